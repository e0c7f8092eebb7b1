/* A byte stream from one worker to the controller, in the arena. Internal.
 *
 * What was put before a SIGKILL is there after it. One process puts, one takes;
 * a put that finds room costs no system call. */
#ifndef QE_RING_H
#define QE_RING_H

#include <stdatomic.h>

#include "qe.h"

#define QE__RING_BYTES ((uint32_t) 1 << 17)

typedef struct qe__ring {
    _Alignas(64) _Atomic uint64_t written; /* bytes put so far */
    _Alignas(64) _Atomic uint64_t taken;   /* bytes taken so far */
    _Atomic uint32_t turn;                 /* futex: bumped when room is made */
    _Atomic uint32_t waiting;              /* the writer waits for it */
    _Alignas(64) char bytes[QE__RING_BYTES];
} qe__ring;

/* One of two parts that are put as if they were one. */
typedef struct qe__part {
    const void *bytes;
    size_t size;
} qe__part;

/* Worker: puts what fits of the two parts from byte `at` on, all of it seen at
 * once, and returns how much that was. */
size_t qe__ring_put(qe__ring *r, const qe__part parts[2], size_t at);
/* Worker: waits until there is room, at most `ns`. */
void qe__ring_wait_room(qe__ring *r, uint64_t ns);

/* Controller: whether something is there. */
bool qe__ring_filled(const qe__ring *r);
/* Controller: takes up to `size` bytes. QE_EFORMAT: a test wrote over the
 * counters. */
int qe__ring_take(qe__ring *r, char *to, size_t size, size_t *got);
/* Controller, while no worker has it: forgets what is in it. */
void qe__ring_reset(qe__ring *r);

#endif
