/* What is changed around a pass, and how it is put back (qe_around.h). Internal. */
#ifndef QE_CHANGING_H
#define QE_CHANGING_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "qe.h"

/* Whether a host may ask for these; NULL is nothing. */
bool qe__around_is_sound(const qe_around *around);

/* A limit that is laid, and what was before. */
typedef struct qe__laid {
    struct rlimit before;
    rlim_t now;
} qe__laid;

/* What a worker knows of its changes: all zero where there are none. */
typedef struct qe__changing {
    bool begun;    /* qe_worker_around was called */
    bool alone;    /* its partner had not come the last time */
    uint32_t done; /* flags: asked for, and not refused */
    double clock_s;
    int set;     /* a lock on the set of FILES, + 1; 0: none */
    bool limits; /* are laid: */
    qe__laid files, file_size, memory;
} qe__changing;

/* Before an attempt: waits for the partner; then, and before its body, sets the clock. */
void qe__changing_meet(qe_worker *w);
void qe__changing_start(qe_worker *w);
/* Lays limits, or takes them back; twice the same does nothing. */
void qe__changing_limit(qe__changing *c);
void qe__changing_lift(qe__changing *c);

/* Each of these does what it can of `flags`, and returns what the system refused.
 *
 * qe_changing_spaces.c: NO_NETWORK and FILES take this process into spaces of its own,
 * and only they do: without privileges into a user space, too. */
uint32_t qe__changing_spaces(qe__changing *c, const qe_around *around,
                             const qe_places *places);
/* qe_changing_cpu.c: ONE_CPU, BUSY and IDLE. */
uint32_t qe__changing_cpu(uint32_t flags);
/* qe_changing_clock.c: makes the process's clock one that can be set. */
uint32_t qe__changing_clock(void);
/* Sets it, for what was loaded since, too. */
void qe__changing_set_clock(double clock_s);
double qe__changing_ahead_s(void);

/* qe_changing_files.c. A set's folders. */
typedef struct qe__set {
    char root[4096], tmp[4096], home[4096], upper[4096], work[4096];
} qe__set;
/* Makes them: 0, or QE_ESYS. */
int qe__set_make(qe__set *set, const qe_places *places, uint32_t number);
/* Fills its home with links to what is in the real one. */
void qe__set_link(const qe__set *set, const char *home);
/* Mounts it over the places, in a mount space of this process's own; returns which of
 * TMP_BY_NAME and HOME_BY_NAME is left to do. */
uint32_t qe__set_mount(const qe__set *set, const qe_places *places,
                       bool overlay);

#endif
