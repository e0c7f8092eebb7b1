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
#include "qe_share.h"

#define QE__ENTRY_ID 48u    /* bytes of an entry's name, NUL included */
#define QE__NODE_NAME 64u   /* bytes of a node's, likewise */
#define QE__CLAIM_MAX 1024u /* entries at once */
/* Units of an entry at most: the server looks at each, and answers nobody else meanwhile. */
#define QE__ENTRY_UNITS 1000000
/* Expected nanoseconds are at most that: the server counts in doubles. */
#define QE__EXPECTED_MAX (UINT64_C(1) << 53)

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
    uint64_t expected_ns;       /* of all of it */
    bool alone;                 /* nothing else runs meanwhile, on any node */
    char *
        gone; /* of each unit '1' where it is no longer to be run: it was told before its lease
                   ended, or given back. NULL: all are. Freed by who claimed it */
} qe__entry;

typedef struct qe__told {
    const char *entry; /* its name; "": of none that we have, so it is late */
    bool finished;     /* the entry has nothing more to be told */
    uint32_t unit, attempt;
    enum qe_outcome outcome; /* of the unit; NONE: it is to run again */
    bool failed;             /* it counts for maxfail */
    const void *payload;     /* of the host's; kept with the attempt */
    size_t size;
    bool counted, late, last; /* out: it was the unit's first outcome; the entry
                                 is not ours; it was the run's last outcome */
} qe__told;

/* Units of an entry that are given back. */
typedef struct qe__part {
    const char *entry;
    bool finished; /* nothing is left of the entry */
    uint32_t first, count;
    bool given; /* out; otherwise it was not ours any more */
} qe__part;

typedef struct qe__board qe__board;

/* The connection stays the caller's, and may be replaced by qe__board_use. QE_EINVAL for names
 * that are too long or empty. */
int qe__board_open(qe__board **out, const qe__board_options *options);
void qe__board_close(qe__board *b);
void qe__board_use(qe__board *b, qe__redis *r);
const char *qe__board_text(const qe__board *b); /* what went wrong last */

/* All that follow: QE_EGONE also where the server says that it cannot just now; QE_EUNSUPPORTED where
 * it will not; QE_ENOTFOUND where it has no such run (any more). */

/* Comes to a run with a plan of `count` units and this digest. state NONE: we are the first, and
 * lay it (with qe__board_lay; a lease of its own ends where nobody does). QE_EFORMAT: the plan
 * that is there is another one, which qe__board_ids tells. */
int qe__board_join(qe__board *b, const char *digest, uint32_t count,
                   qe__board_news *news);
/* That of the run, once we have come to it: its first node's, whatever ours would have been. */
uint64_t qe__board_lease_ms(const qe__board *b);
/* Writes the plan: the ids of units in its order, and the entries (first, count, expected_ns, alone).
 * maxfail 0: no limit. QE_ESTATE: we took so long that another node does it. QE_ETOOBIG: an entry has
 * more than QE__ENTRY_UNITS. */
int qe__board_lay(qe__board *b, const char *const *ids, uint32_t count,
                  const qe__entry *entries, uint32_t entry_count,
                  uint32_t maxfail, qe__board_news *news);
/* Ids of the plan from a place on: up to `n`, freed by the caller. */
int qe__board_ids(qe__board *b, uint32_t from, uint32_t n, char **out,
                  uint32_t *got);

/* Claims entries until there are want->entries (at most QE__CLAIM_MAX), or of units or expected
 * nanoseconds as many as are wanted; `waiting` of our workers have nothing. An entry that is alone
 * is the only one, and nobody has any other meanwhile. */
int qe__board_claim(qe__board *b, const qe__share_want *want, uint32_t waiting,
                    qe__entry *out, uint32_t *got, qe__board_news *news);
/* Says that we are there; renews our entries; of these lost[i] is set for those that are ours no
 * longer. `all`: we have no others, so what the server thinks that we have besides is anybody's. */
int qe__board_beat(qe__board *b, const qe__entry *entries, uint32_t n, bool all,
                   uint32_t waiting, bool *lost, qe__board_news *news);
/* Tells attempts. Those that are to run again are put up for other nodes, once. `who` (letters and
 * digits, one of a kind) and `number` name this call: where its answer was lost it is made again by
 * the same name, and does nothing twice. The next has a greater number. */
int qe__board_tell(qe__board *b, const char *who, uint64_t number,
                   qe__told *told, uint32_t n, qe__board_news *news);
/* Gives back what was not begun; each part becomes an entry of its own. */
int qe__board_back(qe__board *b, qe__part *parts, uint32_t n,
                   qe__board_news *news);
/* Nothing more is to start, on any node. */
int qe__board_stop(qe__board *b, qe__board_news *news);
/* We are no longer there: nobody waits for us. */
int qe__board_leave(qe__board *b, qe__board_news *news);

#endif
