/* Processes: signals, the kill, reaping, what a process used. Internal. */
#ifndef QE_PROC_H
#define QE_PROC_H

#include <signal.h>
#include <sys/types.h>

#include "qe.h"

#define QE__SIGNALS_QUIET 9

/* The dispositions and mask that a quiet process had before. */
typedef struct qe__signals {
    struct sigaction actions[QE__SIGNALS_QUIET];
    struct sigaction child;
    sigset_t mask;
} qe__signals;

/* Ignores what a terminal or a user sends to a process group, takes SIGCHLD
 * back to its default and blocks it (for a signalfd). */
void qe__signals_quiet(qe__signals *saved);
void qe__signals_restore(const qe__signals *saved);

typedef struct qe__usage {
    double cpu_s; /* user and system time */
    uint64_t peak_bytes;
} qe__usage;

/* A close-on-exec descriptor that becomes readable when the process ends, or
 * -1 (an old kernel, a sandbox): then look at qe__proc_alive now and then. */
int qe__proc_pidfd(pid_t pid);
/* Whether it runs: one that waits to be reaped does not. */
bool qe__proc_alive(pid_t pid);
/* Waits until a process, which need not be a child, is gone. */
void qe__proc_await(pid_t pid, int timeout_ms);
/* SIGKILL to the process and to the group that it leads. */
void qe__proc_kill(pid_t pid);
/* Whether a process would take a signal: it has a handler and does not block
 * it. Without a handler a real-time signal would be the kill. */
bool qe__proc_takes_signal(pid_t pid, int sig, bool *blocked);
/* Reaps a child that has ended: its pid, status and usage. */
pid_t qe__proc_reap(pid_t pid, int *status, qe__usage *usage);
/* What this process has used so far. */
void qe__proc_usage(qe__usage *usage);
/* Kills and reaps children until none is left: in a subreaper also what its
 * descendants left behind. Again and again, as each that ends may hand over
 * its own. At most `limit_ns`. */
void qe__proc_sweep(uint64_t limit_ns);
/* Standard input becomes /dev/null. */
void qe__proc_null_stdin(void);

#endif
