/* What a node's part in a run is made of. Internal to qe_queue*.c. */
#ifndef QE_QUEUE_OWN_H
#define QE_QUEUE_OWN_H

#include <pthread.h>

#include "qe_board.h"
#include "qe_haste.h"
#include "qe_queue.h"
#include "qe_share.h"

#define QE__QUEUE_BATCH 256u /* attempts, or parts, that are told at once */

/* Which call it is. */
enum qe__call {
    QE__CALL_NONE = 0,
    QE__CALL_BEAT,
    QE__CALL_RENEW,
    QE__CALL_CLAIM,
    QE__CALL_TELL,
    QE__CALL_BACK,
    QE__CALL_STOP,
    QE__CALL_LEAVE
};

/* How long a host that wants to wait no longer still waits, for a server that answers. */
#define QE__QUEUE_GRACE_NS UINT64_C(500000000)

/* After the first loss of a connection. */
#define QE__QUEUE_BACKOFF_NS UINT64_C(100000000)
#define QE__QUEUE_BACKOFF_MAX_NS UINT64_C(5000000000)

/* An attempt that is to be told. */
typedef struct qe__tale {
    uint32_t place, attempt;
    enum qe_outcome outcome;
    bool again, failed;
    void *payload;
    size_t size;
} qe__tale;

typedef struct qe__range {
    uint32_t first, count;
} qe__range;

typedef struct qe__final {
    unsigned char outcome; /* enum qe_outcome */
    bool failed, counted;
} qe__final;

/* An entry of the board that is ours, or was. */
typedef struct qe__held {
    qe__entry entry;
    uint32_t left; /* its units that are neither told nor given back */
    bool lost;     /* what is told of it is late */
} qe__held;

/* Under the lock: what the session, the host and the thread have to say to each other. */
typedef struct qe__queue_shared {
    qe_source_news *news; /* [taken, count) is for the session */
    size_t taken, count, capacity;
    qe__tale *tales;
    size_t tale_count, tale_capacity;
    uint64_t first_tale_ns;
    qe__range *backs;
    size_t back_count, back_capacity;
    bool wanted; /* WANTED was said, and is not answered yet */
    qe_source_room room;
    bool stale;                 /* it does not know of all that was claimed */
    uint64_t room_ns, begun_ns; /* when it was said; when a unit last began */
    uint64_t
        looked_ns; /* when the session last took, or said, anything; 0: never */
    bool is_stuck; /* see qe__queue_is_stuck */
    uint64_t
        nudged_ns; /* when it was last woken for nothing but to see whether it looks */
    uint64_t busy_ns, ended; /* of all workers together; units */
    uint32_t held_units;     /* claimed, and neither told nor given back */
    uint64_t held_ns;
    qe__board_news seen; /* as last heard */
    uint64_t trip_ns, entry_ns;
    uint64_t ask_ns;  /* not before, as nothing came the last time */
    bool asking;      /* the thread asks then, if nothing happens before */
    bool woken;       /* the thread will look */
    bool troubled;    /* the source is no more, as `trouble` says */
    bool stop, leave; /* asked for */
    bool at_once;     /* leave, and do not wait for anything */
    uint64_t leave_ns;
    qe_queue_end end;
    char trouble[QE_QUEUE_TEXT];
} qe__queue_shared;

struct qe_queue {
    /* As it was opened: */
    qe__redis_address address;
    char *ca_file, *ids;
    qe_queue_unit *units;
    uint32_t count, workers, maxfail;
    uint64_t lease_ns, timeout_ns, patience_ns, stuck_ns;
    char digest[65], who[33];
    char text[QE_QUEUE_TEXT];
    qe_source source;
    qe__board *board;
    qe__haste haste;
    int wake_fd, news_fd;
    bool has_lock, joined, started, finished;
    pthread_t thread;
    pthread_mutex_t lock;
    qe__queue_shared shared;
    /* The thread's alone, but for `redis`, which changes under the lock: */
    qe__redis *redis;
    uint64_t random;
    uint64_t failing_ns; /* since when no call has come through; 0: it does */
    uint64_t failed_ns;  /* when one failed last */
    enum qe__call calling,
        refused; /* the one that is made; that a server refused */
    uint64_t connect_ns, backoff_ns; /* when next; then after how long */
    uint64_t beat_ns, renew_ns;      /* when next */
    bool fresh; /* the connection is new: the server may know of more */
    bool dead;  /* there is no run any more */
    qe__held **held;
    size_t held_count, held_capacity;
    qe__held **held_of; /* of each place; NULL: of none */
    /* Of each place what this node told of it at last; QE_NONE: nothing yet. A server that lost what
     * it had answered asks for it once more, and the session has it no more. */
    qe__final *final;
    /* What was sent and not answered: sent again before anything else is. */
    qe__tale telling[QE__QUEUE_BATCH];
    qe__told told[QE__QUEUE_BATCH];
    char told_of[QE__QUEUE_BATCH][QE__ENTRY_ID];
    uint32_t telling_count;
    uint64_t call; /* its number */
    qe__part backing[QE__QUEUE_BATCH];
    char backing_of[QE__QUEUE_BATCH][QE__ENTRY_ID];
    uint32_t backing_count;
};

/* A unit of a scope that stays in one piece; a flag of ours in units[].flags. */
#define QE__UNIT_WHOLE (UINT32_C(1) << 31)

/* ------------------------------------------------ qe_queue_news.c, under the lock */

void qe__queue_set_source(qe_queue *q);
/* What the session is to hear; false where there is no memory. */
bool qe__queue_say(qe_queue *q, const qe_source_news *news);
/* How long a server is waited for. */
static inline uint64_t qe__queue_patience_ns(const qe_queue *q)
{
    return q->patience_ns != 0 ? q->patience_ns : 2 * q->lease_ns;
}
/* What decides how much is asked for. */
void qe__queue_view(const qe_queue *q, uint64_t now, qe__share_view *out);
/* Whether the session hangs, for all that we know; its next look wakes the thread then. One that has
 * nothing to hear or to say is woken now and then, so that it looks. *look_ns: when to ask next. */
bool qe__queue_is_stuck(qe_queue *q, uint64_t now, uint64_t *look_ns);
/* How many of our workers have nothing to do. */
uint32_t qe__queue_waiting(const qe_queue *q);
void qe__queue_wake(qe_queue *q);
/* The source is no more; the first reason holds. */
void qe__queue_trouble(qe_queue *q, const char *text);

/* ------------------------------------------------ qe_queue_entries.c, the thread's */

/* Takes over an entry that was claimed, and says so. QE_EFORMAT: it is none of this plan. */
int qe__queue_gain(qe_queue *q, qe__entry *entry);
/* It is ours no longer. False where there is no memory. */
bool qe__queue_lose(qe_queue *q, qe__held *held);
qe__held *qe__queue_find(const qe_queue *q, const char *id);
/* Makes a batch of what is to be told; of what is given back, and of all that is held. */
void qe__queue_begin_tell(qe_queue *q);
void qe__queue_begin_back(qe_queue *q);
void qe__queue_begin_leave(qe_queue *q);
/* Forgets what nothing more is to be said of. */
void qe__queue_sweep(qe_queue *q);

/* -------------------------------------------------------------- qe_queue_join.c */

/* Says q->digest: of all ids, flags, and where scopes begin. */
int qe__queue_digest(qe_queue *q);

/* ------------------------------------------------- qe_queue_calls.c, the thread's */

/* Each is a call of the board, and what its answer means. After one that failed the connection is of
 * no use any more. */
int qe__queue_call_beat(qe_queue *q);
int qe__queue_call_renew(qe_queue *q);
int qe__queue_call_claim(qe_queue *q, const qe__share_want *want);
int qe__queue_call_stop(qe_queue *q);
/* These send a batch that was made, once more if need be. */
int qe__queue_call_tell(qe_queue *q);
int qe__queue_call_give_back(qe_queue *q);
/* The last calls of all; *done once nothing is left. */
int qe__queue_call_leave(qe_queue *q, bool *done);

/* ------------------------------------------------------------ qe_queue_thread.c */

void *qe__queue_run(void *queue);

#endif
