/* Small tools shared by the core's files. Internal. */
#ifndef QE_UTIL_H
#define QE_UTIL_H

#include <stdatomic.h>

#include "qe.h"

#define QE__MS UINT64_C(1000000) /* in nanoseconds */

#define QE__COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* a * b, or SIZE_MAX (which no allocation can meet) where that overflows. */
static inline size_t qe__mul(size_t a, size_t b)
{
    size_t out;
    return __builtin_mul_overflow(a, b, &out) ? SIZE_MAX : out;
}

/* Grows *array (elements of `size` bytes) so that `need` fit; doubles.
 * 0 or QE_ENOMEM; on failure nothing changes. */
int qe__grow(void *array, size_t *capacity, size_t need, size_t size);

/* splitmix64 (Steele, Lea, Flood 2014): the next of a stream. */
uint64_t qe__random(uint64_t *state);

/* Sleeps while *word is `seen`, at most `ns`; wakes all who do, in any process
 * that shares the memory. */
void qe__futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t ns);
void qe__futex_wake(_Atomic uint32_t *word);

#endif
