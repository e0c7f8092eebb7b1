/* What the controller, the supervisor and the workers share. Internal. */
#ifndef QE_EXEC_H
#define QE_EXEC_H

#include <sys/types.h>

#include "qe.h"
#include "qe_arena.h"

/* The files of one slot: made before the supervisor is, so that every process
 * of the run can reach them, and used by one worker after the other. */
typedef struct qe__slot_files {
    int capture[2]; /* what the worker's tests print */
    int stack;      /* stack dumps */
} qe__slot_files;

/* Controller to supervisor. */
enum qe__order_kind {
    QE__ORDER_START =
        1, /* start a worker for `slot`; value: 1 + the number of the
                          keeper it is forked from, 0: of none */
    QE__ORDER_DISMISS,   /* tell the keeper of `slot` that no worker is left */
    QE__ORDER_SIGNAL,    /* send `value` to every worker, or to `slot`'s */
    QE__ORDER_KILL,      /* SIGKILL its process group (QE__NONE: all) */
    QE__ORDER_PAUSE,     /* hold all workers and their deadlines; 0: go on */
    QE__ORDER_TAKE_OVER, /* to the standby: you are the supervisor now */
    QE__ORDER_QUIT       /* end what is left, and leave */
};

typedef struct qe__order {
    uint32_t kind;
    uint32_t slot;
    int32_t value;
} qe__order;

/* There may be several keepers: the one that holds fixtures has the number 0,
 * servers have theirs from 1 on. Each has a slot of its own behind those of
 * the workers, in this order. */

/* Supervisor to keeper: a worker for `slot` is wanted (QE__NONE: no more are);
 * and back: it is there, or
 * pid is -1 and error says why. */
typedef struct qe__birth {
    uint32_t slot;
    int32_t pid;
    int32_t error;
} qe__birth;

/* A FAILED notice's value: the keeper died before it came to it. */
#define QE__NO_KEEPER 0

/* Supervisor to controller. */
enum qe__notice_kind {
    QE__NOTICE_STARTED = 1, /* pid */
    QE__NOTICE_FAILED,      /* no worker could be started: value is errno */
    QE__NOTICE_EXITED,      /* pid, status, cpu; timed_out */
    QE__NOTICE_STANDBY      /* pid; carries its socket (SCM_RIGHTS) */
};

typedef struct qe__notice {
    uint32_t kind;
    uint32_t slot;
    int32_t pid;
    int32_t value; /* wait status, or errno */
    uint32_t timed_out;
    uint64_t ended_ns; /* EXITED: when, by qe_now_ns */
    double cpu_s;
    uint64_t peak_bytes;
} qe__notice;

/* What a supervisor needs; filled by the controller before it forks. */
typedef struct qe__super {
    qe__arena *arena;
    qe__slot_files *files;
    uint32_t slots;
    uint32_t keepers; /* how many of these, the last ones, are for keepers */
    int bell;         /* for spawned workers */
    int control;      /* this supervisor's socket */
    int foreign; /* the controller's end of it, which is the controller's alone */
    pid_t controller;
    const qe_plan *plan; /* for commands */
    const qe_options *options;
    const qe_fork_hooks *hooks;
    int keeper;   /* in the keeper: its end of the supervisor's socket */
    pid_t parent; /* likewise: the supervisor */
} qe__super;

/* Runs the supervisor; never returns in it. Returns the slot in a forked
 * worker, which then goes on as one. */
uint32_t qe__super_run(qe__super *super);

/* The controller's end: the arena, the slots' files, the supervisor's socket. */
typedef struct qe__exec {
    qe__arena arena;
    qe__slot_files *files;
    uint32_t slots;
    uint32_t keepers; /* as in qe__super */
    int bell;         /* an eventfd: workers wake the controller by it */
    pid_t super;      /* our child; 0 once reaped */
    pid_t office;     /* the supervisor in office */
    pid_t standby_pid;
    int control; /* socket to the supervisor in office; -1: there is none */
    int standby; /* socket to the standby, -1 where there is none */
    qe_options options; /* a copy, for the supervisor's life */
    int keeper;         /* in the keeper: see qe__super */
    pid_t parent;
} qe__exec;

/* Makes all of it and forks the supervisor. 0 in the controller; 1 in a
 * forked worker, with *slot. */
int qe__exec_open(qe__exec *x, const qe_plan *plan, const qe_options *options,
                  uint32_t slots, uint32_t keepers, const qe_fork_hooks *hooks,
                  uint32_t *slot);
/* Prepares a slot's job (a SERVER's `unit` is its number); the order to start it follows by qe__exec_order. */
void qe__exec_job(qe__exec *x, uint32_t slot, enum qe__job_kind kind,
                  uint32_t unit, uint32_t attempt, uint32_t scope);
int qe__exec_order(qe__exec *x, enum qe__order_kind kind, uint32_t slot,
                   int32_t value);
/* The next notice: 1; 0 where there is none yet; QE_EGONE: the supervisor is
 * dead. Takes the standby's socket in by itself. */
int qe__exec_notice(qe__exec *x, qe__notice *out);
/* Waits until the supervisor in office, whose socket has ended, is dead. */
void qe__exec_await_super(qe__exec *x);
/* Puts the standby into office. QE_EGONE where there is none. */
int qe__exec_take_over(qe__exec *x);
/* Tells the supervisor to end everything, waits until it has. */
void qe__exec_close(qe__exec *x);

/* The worker's handle, in a forked worker. */
int qe__worker_new(qe_worker **out, qe__arena *arena, uint32_t slot,
                   const qe__slot_files *files, int bell);

/* Makes the keeper of it. */
void qe__worker_keep(qe_worker *w, const qe__exec *x);

/* The signal that asks a worker for its stacks. */
int qe__stack_signal(void);

/* qe_exec_pool.c: in the child that the supervisor forked for a spawned
 * worker, or for a server: executes it. */
_Noreturn void qe__pool_execute(const qe__super *super, uint32_t slot);

/* qe_exec_spawn.c: in the child that the supervisor forked for commands: runs
 * them until none is left. */
_Noreturn void qe__spawn_work(const qe__super *super, uint32_t slot);

#endif
