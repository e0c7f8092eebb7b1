/* Waits for a server that somebody may want to be over sooner. Internal. */
#ifndef QE_HASTE_H
#define QE_HASTE_H

#include <stdatomic.h>

#include "qe_redis.h"

/* What shortens waits: from qe__haste_now on, which any thread or signal's handler may call, none
 * that began at `since_ns` or later lasts longer than `grace_ns`. */
struct qe__haste {
    int fd;                    /* an eventfd: look again; -1: nobody hurries */
    _Atomic uint64_t asked_ns; /* when; 0: not yet */
    _Atomic uint64_t
        since_ns; /* 0: what is waited for now is to be waited for */
    _Atomic uint64_t grace_ns;
};

void qe__haste_now(qe__haste *h);
/* Waits whose ends may be hastened begin now; who waits already looks again. */
void qe__haste_from(qe__haste *h, uint64_t grace_ns);
/* When a wait until then ends. */
uint64_t qe__haste_until(const qe__haste *h, uint64_t until_ns);
/* Poll's, for up to an hour: > 0 when the descriptor is ready for `events` (fd -1: none is), 0 at
 * that time or before; the caller looks. */
int qe__haste_poll(const qe__haste *h, int fd, short events, uint64_t until_ns);

#endif
