/* The supervisor's state, shared by qe_super.c (its life) and qe_super_kill.c
 * (deadlines), qe_super_jitter.c (holding). Internal. */
#ifndef QE_SUPER_H
#define QE_SUPER_H

#include "qe_exec.h"
#include "qe_util.h"

enum qe__kill_phase {
    QE__KILL_NO,
    QE__KILL_DUMPING, /* its stacks are being taken */
    QE__KILL_ASKED,   /* its command was asked to end */
    QE__KILL_SENT
};

/* How a worker is held now and then: all zero at its start. */
typedef struct qe__jitter {
    uint64_t random;    /* the state of its generator */
    uint64_t running;   /* what ran at the last look, without its phase */
    uint64_t looked_ns; /* when that was */
    uint64_t spare_ns;  /* for how long it may be held */
    uint64_t next_ns;   /* not before then */
    uint64_t held_ns, until_ns; /* since when it is; 0: it is not */
} qe__jitter;

typedef struct qe__super_slot {
    pid_t pid;      /* 0: no worker */
    uint32_t asked; /* 1 + the number of the keeper that was asked for one */
    enum qe__kill_phase phase;
    bool timed_out;
    uint64_t dump_since_ns, grown_ns;
    off_t dump_size;
    uint64_t resumed_ns, held_ns; /* when it last went on, held for how long */
    qe__jitter jitter;
} qe__super_slot;

typedef struct qe__super_state {
    qe__super *super;
    qe__super_slot *slots;
    qe__notice *queue; /* notices that the controller has not taken yet */
    size_t queued, queue_capacity;
    pid_t self, standby;
    uint64_t paused_ns;   /* since when all are held; 0: they are not */
    int signals;          /* signalfd for SIGCHLD */
    int controller;       /* pidfd, or -1 */
    int *keepers;         /* sockets to the keepers, or -1 */
    struct pollfd *polls; /* of the loop: its own, then the keepers' */
} qe__super_state;

/* A word to the controller, now or when it takes more. */
void qe__super_notify(qe__super_state *st, const qe__notice *notice);
/* The number of the keeper that a slot is for, or QE__NONE. */
uint32_t qe__super_keeper_of(const qe__super_state *st, uint32_t slot);
/* Where a keeper that is about to start will listen. */
void qe__super_open_keeper(qe__super_state *st, uint32_t keeper);
/* Asks a keeper for a worker. False if it cannot be asked: *error is an errno,
 * or QE__NO_KEEPER. */
bool qe__super_ask_keeper(qe__super_state *st, uint32_t keeper, uint32_t slot,
                          int *error);
/* Takes in which workers the keepers have forked. To be called before a process
 * that is unknown is reaped. */
void qe__super_take_births(qe__super_state *st);
void qe__super_keeper_died(qe__super_state *st, uint32_t keeper);
/* Tells it that all workers have left. */
void qe__super_dismiss_keeper(qe__super_state *st, uint32_t keeper);
/* Closes the sockets. */
void qe__super_drop_keepers(qe__super_state *st);
/* SIGKILL to a worker and its group. */
void qe__super_kill(qe__super_state *st, uint32_t slot);
/* `ended` is about to be reaped, the worker of `slot` if that is one: kills the
 * groups of the commands that it leaves behind. PR_SET_PDEATHSIG reaches a
 * command and not its group; as only we can reap it then, the group is still
 * its own. */
void qe__super_kill_orphans(qe__super_state *st, uint32_t slot, pid_t ended);
/* Looks at every deadline and does what is due; returns when to look again. */
uint64_t qe__super_deadlines(qe__super_state *st, uint64_t now);

/* Moves the deadlines of a worker that was held for `ns`. */
void qe__super_shift(qe__super_state *st, uint32_t slot, uint64_t ns);
/* A signal to all that a worker's test has started in groups that are known. */
void qe__super_signal_group(qe__super_state *st, uint32_t slot, int sig);
/* Holds a worker whose pass asks for it, or lets it go on; when to look again. */
uint64_t qe__super_jitter(qe__super_state *st, uint32_t slot, uint64_t now);
/* Lets it go on, if it is held. */
void qe__super_let_go(qe__super_state *st, uint32_t slot, uint64_t now);

/* Stops all workers' groups, or lets them go on: for their deadlines no time has
 * passed then. Twice the same does nothing. */
void qe__super_pause(qe__super_state *st, bool on);

#endif
