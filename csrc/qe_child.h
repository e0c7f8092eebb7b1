/* One command as a process, from its start until it is reaped. Internal. */
#ifndef QE_CHILD_H
#define QE_CHILD_H

#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "qe_command.h"
#include "qe_excerpt.h"
#include "qe_proc.h"

/* What the process and its parent share, in memory that others see too. */
typedef struct qe__child_words {
    _Atomic uint32_t *group;   /* its process group until it is reaped, or 0 */
    _Atomic uint32_t *refusal; /* why it was not executed, or 0 */
} qe__child_words;

typedef struct qe__child {
    qe__child_words words;
    const qe__command *command;
    pid_t pid;      /* 0: none runs */
    int streams[2]; /* what it prints, or -1 */
    int server;     /* what started it in a fork of itself, or -1 */
    bool ended;     /* the server's word for it */
    bool cold;      /* no server is to start it; set before qe__child_start */
    bool lost;      /* its server was, and it with that */
} qe__child;

/* Starts a command in a process group of its own that ends with the caller, with
 * the signal mask given. QE_ESYS with errno where the system has no room for
 * it; that it cannot be executed is found when it is reaped. `streams` and
 * `server` become readable when there is something to take. */
int qe__child_start(qe__child *c, const qe__command *command,
                    const qe__child_words *words, const sigset_t *mask);
/* Takes what is there of a stream, at most 1 MiB; closes it at its end. */
void qe__child_read(qe__child *c, int stream, qe__excerpt *to);
/* Adds the line that says why a command was not executed: "qe: cannot start x: ". */
void qe__child_refused(qe__excerpt *to, const char *what, const char *name,
                       int error);
/* Whether it has ended; it is not reaped yet, so that its process id is its. */
bool qe__child_ended(qe__child *c);
/* Sends a signal to it and its group. */
void qe__child_signal(const qe__child *c, int sig);
/* It has ended: kills what is left of its group, takes what it had printed,
 * closes the streams, reaps it. False where it was not executed: then `to[1]`
 * has a line that says why. */
bool qe__child_reap(qe__child *c, qe__excerpt to[2], int *status,
                    qe__usage *usage);

#endif
