#include "qe_util.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int qe__grow(void *array, size_t *capacity, size_t need, size_t size)
{
    size_t wanted = *capacity;
    size_t bytes;
    void *old;
    void *new;

    if (need <= wanted)
        return 0;
    if (wanted < 8)
        wanted = 8;
    while (wanted < need) {
        if (wanted > SIZE_MAX / 2)
            return QE_ENOMEM;
        wanted *= 2;
    }
    bytes = qe__mul(wanted, size);
    if (bytes == SIZE_MAX)
        return QE_ENOMEM;
    /* The caller's variable has its own pointer type: copying its bytes,
     * rather than casting its address, keeps to the aliasing rules. */
    memcpy(&old, array, sizeof old);
    new = realloc(old, bytes);
    if (new == NULL)
        return QE_ENOMEM;
    memcpy(array, &new, sizeof new);
    *capacity = wanted;
    return 0;
}

uint64_t qe__random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void qe__futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t ns)
{
    struct timespec t = {(time_t) (ns / 1000000000u),
                         (long) (ns % 1000000000u)};

    (void) syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, NULL, 0);
}

void qe__futex_wake(_Atomic uint32_t *word)
{
    (void) syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
