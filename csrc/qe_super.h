/* The supervisor's state, shared by qe_super.c (its life) and qe_super_kill.c
 * (deadlines). Internal. */
#ifndef QE_SUPER_H
#define QE_SUPER_H

#include "qe_exec.h"

#define QE__MS UINT64_C(1000000)

enum qe__kill_phase { QE__KILL_NO, QE__KILL_DUMPING, QE__KILL_SENT };

typedef struct qe__super_slot {
    pid_t pid; /* 0: no worker */
    enum qe__kill_phase phase;
    bool timed_out;
    uint64_t dump_since_ns, grown_ns;
    off_t dump_size;
} qe__super_slot;

typedef struct qe__super_state {
    qe__super *super;
    qe__super_slot *slots;
    qe__notice *queue; /* notices that the controller has not taken yet */
    size_t queued, queue_capacity;
    pid_t self, standby;
    int signals;    /* signalfd for SIGCHLD */
    int controller; /* pidfd, or -1 */
} qe__super_state;

/* SIGKILL to a worker and its group. */
void qe__super_kill(qe__super_state *st, uint32_t slot);
/* Looks at every deadline and does what is due; returns when to look again. */
uint64_t qe__super_deadlines(qe__super_state *st, uint64_t now);

#endif
