/* A node's part in a run that is shared by a Redis or Valkey server: comes to the run, claims from its
 * board what the session has room for, renews its leases, tells what became of units, gives back what
 * others wait for. All of that happens on a thread of its own, which a lag of the server may stop and a
 * session does not notice. The board is qe_board.h's, how much is asked for qe_share.h's.
 *
 * Calls are a host's, from one thread, but for qe_queue_cancel, and for what qe_queue_source gives,
 * which is the session's. */
#ifndef QE_QUEUE_H
#define QE_QUEUE_H

#include "qe.h"
#include "qe_source.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QE_QUEUE_TEXT 512u /* bytes of a message, NUL included */
#define QE_QUEUE_PAYLOAD ((size_t) 16 << 20) /* of an attempt, at most */

typedef struct qe_queue qe_queue;

typedef struct qe_queue_options {
    const char *url;      /* redis://HOST[:PORT][/DATABASE] or rediss:// */
    const char *user;     /* NULL: what the url has, or none */
    const char *password; /* likewise; never printed */
    const char *ca_file;  /* NULL: the system's list */
    const char *prefix;   /* of all keys; NULL: "qe" */
    const char *project;  /* runs of other projects are not seen */
    const char *run;
    const char *node; /* one of a kind in the run, at most 63 bytes */
    uint32_t workers;
    uint32_t
        maxfail; /* of the whole run; 0: no limit. The first node's holds */
    uint64_t lease_ns; /* 0: 10 s; at least 1 s */
    uint64_t
        kept_s; /* 0: a day. How long the server keeps it after its last use */
    uint64_t timeout_ns; /* of a call; 0: 5 s */
    uint64_t
        patience_ns; /* how long a server that is gone is waited for; 0: two leases */
    uint64_t
        stuck_ns; /* a session that has not looked at its source for so long, though there was
                     something to see, hangs: its leases are renewed no more until it does,
                     or its host tells something. 0: ten minutes, or sixty leases if that is longer */
} qe_queue_options;

/* What is to be known of the unit at a place, see qe_source.h. */
typedef struct qe_queue_unit {
    const char *id;       /* bytes but NUL; unique with what `pass` says */
    uint32_t scope;       /* units of one scope lie side by side */
    uint32_t flags;       /* QE_UNIT_* */
    uint64_t expected_ns; /* 0: unknown */
} qe_queue_unit;

/* What came of the node's part. */
typedef struct qe_queue_end {
    bool over;        /* every unit of the run has an outcome */
    bool stopped;     /* maxfail, or an abort */
    bool last;        /* the run's last outcome was told by this node */
    uint32_t counted; /* outcomes that this node told first */
    uint32_t
        late; /* attempts whose lease had ended, or whose unit had an outcome by then */
    uint32_t untold; /* attempts that could not be told: the server was gone */
    uint64_t left;   /* units of the run without an outcome, as last heard */
} qe_queue_end;

/* Copies all that it is given. QE_EINVAL with a line in `text` (QE_QUEUE_TEXT bytes) that never
 * holds any of the password. Connects to nothing. */
int qe_queue_open(qe_queue **out, const qe_queue_options *options,
                  const qe_queue_unit *units, uint32_t count, char *text);
/* Connects, comes to the run, and lays its plan if it is the first; waits while another does. The
 * connection is closed behind it, so that a host may fork. QE_EFORMAT: the run has another plan:
 * `text` says how many ids each has and the first that differ. QE_EGONE: no server in time.
 * QE_EUNSUPPORTED: the server will not have us. QE_ESTATE: the run is over or stopped:
 * qe_queue_known says which. */
int qe_queue_join(qe_queue *q);
/* Starts the thread. To be called once, after the session's start. */
int qe_queue_start(qe_queue *q);
const qe_source *qe_queue_source(qe_queue *q);
/* An attempt's end. `again`: it is to be run once more, by another node if there is one; otherwise
 * `outcome` is the unit's. `failed`: it counts for maxfail. The payload (up to 16 MiB; NULL: none) is
 * the host's own, and kept with the attempt. Never blocks; what is told is sent within 20 ms, together. */
int qe_queue_tell(qe_queue *q, uint32_t place, uint32_t attempt,
                  enum qe_outcome outcome, bool again, bool failed,
                  const void *payload, size_t size);
/* Nothing more is to start, on any node. */
int qe_queue_stop(qe_queue *q);
/* This node runs nothing more: gives back what it holds, tells what is still to be told (at most
 * `patience_ns`), leaves, and ends the thread. */
int qe_queue_finish(qe_queue *q, qe_queue_end *out);
/* What is known of the run when no thread of ours is at work: after a call of qe_queue_join that
 * came to it, or after qe_queue_finish. */
void qe_queue_known(const qe_queue *q, qe_queue_end *out);
/* Nobody wants to wait any longer: qe_queue_join ends at once with QE_EGONE, if its server has not
 * answered yet, and takes back that we came; qe_queue_finish within half a second, which is enough for
 * a server that answers. Holds for those that come later, too. A server's name that is being looked up
 * still is. From any thread, and from a signal's handler, while the queue is open. */
void qe_queue_cancel(qe_queue *q);
const char *qe_queue_text(const qe_queue *q); /* what went wrong, in a line */
void qe_queue_close(qe_queue *q);

#ifdef __cplusplus
}
#endif

#endif
