/* The board of a run on a Redis or Valkey server: what there is to do, who has it, and what became
 * of it. Each call is one round trip and one script, so it has happened or it has not. Calls block,
 * at most as long as they are given: they belong to a thread of their own. Internal.
 *
 * Work lies in a stream as entries: runs of units in the plan's order. A node that has claimed one
 * holds a lease of it, which qe__board_beat renews; once that has ended any other may have it. What
 * a unit comes to is set once, whoever tells it. */
#ifndef QE_BOARD_H
#define QE_BOARD_H

#include "qe_redis.h"

#define QE__ENTRY_ID 48u    /* bytes of an entry's name, NUL included */
#define QE__NODE_NAME 64u   /* bytes of a node's, likewise */
#define QE__CLAIM_MAX 1024u /* entries at once */

typedef struct qe__board_options {
    const char *prefix;  /* of all keys: "qe" */
    const char *project; /* runs of others are not seen, whatever their names */
    const char *run;
    const char *node; /* ours: one of a kind, no longer than QE__NODE_NAME */
    uint32_t workers;
    uint64_t lease_ms;   /* at least 100 */
    uint64_t kept_s;     /* how long all of it lives after it was last used */
    uint64_t timeout_ns; /* of a call */
} qe__board_options;

enum qe__board_state {
    QE__BOARD_NONE = 0,
    QE__BOARD_LAYING, /* somebody writes the plan */
    QE__BOARD_OPEN,
    QE__BOARD_STOPPED, /* nothing more is to start */
    QE__BOARD_OVER     /* every unit has an outcome */
};

/* What every answer says. */
typedef struct qe__board_news {
    enum qe__board_state state;
    uint64_t left;    /* units without an outcome */
    uint64_t open;    /* entries that nobody has claimed */
    uint32_t workers; /* of all nodes that have beaten within a lease */
    uint32_t waiting; /* of these, with nothing to do */
} qe__board_news;

typedef struct qe__entry {
    char id[QE__ENTRY_ID];
    uint32_t first, count; /* places in the plan's order */
    uint32_t attempt;
    char not_on[QE__NODE_NAME]; /* "": any node may run it */
} qe__entry;

typedef struct qe__told {
    uint32_t unit, attempt;
    enum qe_outcome outcome; /* of the unit; NONE: it is to run again */
    bool failed;             /* it counts for maxfail */
    const char
        *payload; /* of the host's, NULL for none; kept with the attempt */
    bool counted; /* out: it was the first */
} qe__told;

typedef struct qe__board qe__board;

/* The connection stays the caller's, and may be replaced by qe__board_use. QE_EINVAL for names
 * that are too long or empty. */
int qe__board_open(qe__board **out, const qe__board_options *options);
void qe__board_close(qe__board *b);
void qe__board_use(qe__board *b, qe__redis *r);
const char *qe__board_text(const qe__board *b); /* what went wrong last */

/* Comes to a run with a plan of `count` units and this digest. state NONE: we are the first, and
 * lay it (with qe__board_lay; a lease of its own ends where nobody does). QE_EFORMAT: the plan
 * that is there is another one, which qe__board_id tells. */
int qe__board_join(qe__board *b, const char *digest, uint32_t count,
                   qe__board_news *news);
/* Writes the plan: the ids of units in its order, and the entries. maxfail 0: no limit. */
int qe__board_lay(qe__board *b, const char *digest, const char *const *ids,
                  uint32_t count, const qe__entry *entries,
                  uint32_t entry_count, uint32_t maxfail, qe__board_news *news);
/* Ids of the plan from a place on: up to `n`, freed by the caller. */
int qe__board_ids(qe__board *b, uint32_t from, uint32_t n, char **out,
                  uint32_t *got);

/* Claims up to `want` entries (at most QE__CLAIM_MAX); `waiting` of our workers have nothing. */
int qe__board_claim(qe__board *b, uint32_t want, uint32_t waiting,
                    qe__entry *out, uint32_t *got, qe__board_news *news);
/* Renews our entries; of these lost[i] is set for those that are ours no longer. */
int qe__board_beat(qe__board *b, const qe__entry *entries, uint32_t n,
                   uint32_t waiting, bool *lost, qe__board_news *news);
/* Tells attempts of an entry; `finished`: it has nothing more to be told. Those that are to run
 * again are put up for other nodes, once: what is told twice, as its answer was lost, is done
 * once. */
int qe__board_tell(qe__board *b, const qe__entry *entry, qe__told *told,
                   uint32_t n, bool finished, qe__board_news *news);
/* Gives back what of an entry was not begun: its last `n` units. Nothing happens where it is not
 * ours any more (*given is false then). */
int qe__board_back(qe__board *b, qe__entry *entry, uint32_t n, bool *given,
                   qe__board_news *news);
/* Nothing more is to start, on any node. */
int qe__board_stop(qe__board *b, qe__board_news *news);

#endif
