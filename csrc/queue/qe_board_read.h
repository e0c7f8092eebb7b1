/* Runs on a server as people and reports see them, by somebody who is no node of them: nothing
 * that is read here renews a lease, or keeps a run alive. What comes from the server is checked,
 * and taken in pieces. Only keys of one project are ever seen or deleted. Calls block, each
 * command at most as long as it is given. Internal. */
#ifndef QE_BOARD_READ_H
#define QE_BOARD_READ_H

#include "qe_board.h"

#define QE__PREFIX_MAX 64u   /* bytes of a prefix, NUL included */
#define QE__PROJECT_MAX 128u /* of a project's name */
#define QE__RUN_MAX 256u     /* of a run's */
#define QE__UNITS_MAX (UINT32_C(1) << 26)
#define QE__READER_TEXT 512u

/* Whether names can stand in keys without being taken for others: they are not empty, not too
 * long, and have no control characters and no braces; a project's has no / either. What is wrong
 * otherwise, in a few words; NULL: nothing. `run` NULL: none is asked about. */
const char *qe__board_names(const char *prefix, const char *project,
                            const char *run);

typedef struct qe__reader qe__reader;

/* Connects. All that it is given is copied; `address` with its ca_file. Otherwise as
 * qe__redis_open; `text` has QE__READER_TEXT bytes. */
int qe__reader_open(qe__reader **out, const qe__redis_address *address,
                    const char *prefix, const char *project,
                    uint64_t timeout_ns, char *text);
void qe__reader_close(qe__reader *r);
const char *qe__reader_text(const qe__reader *r); /* what went wrong last */

typedef struct qe__run_node {
    char name[QE__NODE_NAME];
    bool known;      /* it has said how many workers it has */
    uint64_t age_ms; /* since it last did */
    uint32_t workers, waiting;
    uint64_t claimed; /* entries that it has */
} qe__run_node;

typedef struct qe__run_status {
    enum qe__board_state state;
    uint32_t units;
    uint64_t left, failures, maxfail;
    uint64_t open, claimed; /* entries that nobody has, and that somebody has */
    uint64_t attempts;      /* that were told */
    uint64_t age_ms;        /* since its plan was begun */
    uint64_t idle_ms; /* since any node was heard of, or told an attempt */
    char laid_by[QE__NODE_NAME];
    qe__run_node *nodes; /* freed by qe__run_status_free */
    uint32_t node_count;
} qe__run_status;

/* QE_ENOTFOUND: there is no such run. QE_EFORMAT: what is there is no run. */
int qe__reader_status(qe__reader *r, const char *run, qe__run_status *out);
void qe__run_status_free(qe__run_status *status);

/* Calls `visit` for up to `n` (at most 10,000) units of a run from a place on, in order, each
 * with its id, and its outcome: NONE where it has none. Where `visit` returns other than 0, that
 * ends it and is returned. *got: how many there were. */
int qe__reader_units(qe__reader *r, const char *run, uint32_t from, uint32_t n,
                     int (*visit)(void *arg, uint32_t place, const char *id,
                                  size_t size, enum qe_outcome outcome),
                     void *arg, uint32_t *got);
/* How many outcomes of each kind a run has, by enum qe_outcome (NONE: those without one), and
 * how many there are of units that it does not have. */
int qe__reader_outcomes(qe__reader *r, const char *run, uint32_t units,
                        uint64_t counts[QE_OUTCOME_COUNT], uint64_t *odd);

typedef struct qe__try {
    uint32_t unit, attempt;
    enum qe_outcome outcome; /* as in qe__told */
    bool late;
    char node[QE__NODE_NAME];
    const char *payload; /* `size` bytes, of the host's: not checked */
    size_t size;
} qe__try;

/* Calls `visit` for attempts that were told, in that order, a piece of them: those behind the
 * one that `after` (QE__ENTRY_ID bytes; "": the first) names, which is set to the last one's.
 * *got 0: there are no more. Otherwise as qe__reader_units. */
int qe__reader_tries(qe__reader *r, const char *run, uint32_t units,
                     char *after, int (*visit)(void *arg, const qe__try *one),
                     void *arg, uint32_t *got);

/* Names of all runs of the project, sorted; freed by qe__runs_free. */
int qe__reader_runs(qe__reader *r, char ***out, uint32_t *n);
void qe__runs_free(char **runs, uint32_t n);
/* Nothing more is to start. *was: what the run's state was. */
int qe__reader_stop(qe__reader *r, const char *run, enum qe__board_state *was);
/* Deletes all that there is of these runs (sorted). */
int qe__reader_delete(qe__reader *r, const char *const *runs, uint32_t n,
                      uint64_t *keys);

/* ------------------------------------------------- between the reader's files */

#define QE__KEY_BYTES 512u

int qe__reader_fail(qe__reader *r, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* QE_EFORMAT for what is not as nodes leave it. Frees the reply. */
int qe__reader_odd(qe__reader *r, redisReply *reply, const char *what);
/* Connects anew. */
int qe__reader_connect(qe__reader *r);
bool qe__reader_is_open(const qe__reader *r);
/* A command behind those that were not sent yet; one reply, freed by freeReplyObject. An error of
 * the server is QE_EFORMAT where it is about what the key holds, otherwise QE_EUNSUPPORTED. After
 * any other the connection has ended. */
int qe__reader_add(qe__reader *r, size_t n, const char *const *words);
int qe__reader_take(qe__reader *r, redisReply **out);
/* Both. */
int qe__reader_ask(qe__reader *r, size_t n, const char *const *words,
                   redisReply **out);
/* Words of these sizes, which may hold any bytes. */
int qe__reader_ask_sized(qe__reader *r, size_t n, const char *const *words,
                         const size_t *sizes, redisReply **out);
/* How many attempts are asked for at once: more as they prove to be small. */
uint32_t qe__reader_pace(const qe__reader *r);
void qe__reader_set_pace(qe__reader *r, uint32_t tries);
/* A key of a run (QE__KEY_BYTES): QE_EINVAL for a name that cannot be one. */
int qe__reader_key(qe__reader *r, const char *run, const char *what, char *out);
const char *qe__reader_head(const qe__reader *r); /* PREFIX:{PROJECT/ */
/* NONE for what is no state. */
enum qe__board_state qe__board_state_of(const char *name);
/* A decimal number and nothing else, at most `most`. */
bool qe__number_of(const redisReply *reply, uint64_t most, uint64_t *out);
/* A name of a node: short, and without what a terminal would obey. */
bool qe__name_of(const redisReply *reply, char out[QE__NODE_NAME]);

static inline bool qe__is_list(const redisReply *reply, size_t n)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == n;
}

#endif
