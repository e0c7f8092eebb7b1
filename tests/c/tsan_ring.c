/* A ring between two threads, for ThreadSanitizer, which sees no processes. */
#include "qe_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define ALL ((size_t) 8 << 20)

static char byte_at(size_t at)
{
    return (char) (at * 31 + at / 4099);
}

static void *write_all(void *argument)
{
    qe__ring *ring = argument;
    uint64_t random = 7;
    char bytes[5000];

    for (size_t at = 0; at < ALL;) {
        size_t n = qe__random(&random) % sizeof(bytes) + 1;
        qe__part parts[2];
        size_t done = 0;

        n = n < ALL - at ? n : ALL - at;
        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(at + i);
        parts[0] = (qe__part){bytes, n / 2};
        parts[1] = (qe__part){bytes + n / 2, n - n / 2};
        while ((done += qe__ring_put(ring, parts, done)) < n)
            qe__ring_wait_room(ring, UINT64_C(10000000000));
        at += n;
    }
    return NULL;
}

static void what_goes_in_comes_out(void **state)
{
    qe__ring *ring = aligned_alloc(64, sizeof(*ring));
    uint64_t random = 9;
    char bytes[70000];
    pthread_t thread;
    size_t at = 0;

    (void) state;
    assert_non_null(ring);
    memset(ring, 0, sizeof(*ring));
    assert_int_equal(pthread_create(&thread, NULL, write_all, ring), 0);
    while (at < ALL) {
        size_t got = 0;

        if (qe__random(&random) % 8 == 0)
            sched_yield();
        assert_int_equal(qe__ring_take(ring, bytes,
                                       qe__random(&random) % sizeof(bytes),
                                       &got),
                         0);
        for (size_t i = 0; i < got; i++)
            if (bytes[i] != byte_at(at + i))
                fail_msg("byte %zu", at + i);
        at += got;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(qe__ring_filled(ring));
    free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
