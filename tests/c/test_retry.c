#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qe_judge.h"

#define MS UINT64_C(1000000)
#define HOUR (UINT64_C(3600000) * MS)

/* Whether got lies in [0.5, 1.5) of the delay. */
static void assert_jittered(uint64_t got, uint64_t delay)
{
    assert_true(got * 2 >= delay);
    assert_true(got * 2 < delay * 3);
}

static void no_base_means_no_delay(void **state)
{
    (void) state;
    assert_int_equal(qe__retry_delay_ns(0, 1, 0, 1), 0);
    assert_int_equal(qe__retry_delay_ns(0, 65535, 7, 1), 0);
}

static void the_delay_doubles_with_every_attempt(void **state)
{
    uint64_t delay = 100 * MS;
    uint32_t attempt;

    (void) state;
    for (attempt = 1; attempt <= 15; attempt++, delay *= 2)
        assert_jittered(qe__retry_delay_ns(100 * MS, attempt, 3, 42), delay);
}

static void the_delay_stops_at_an_hour(void **state)
{
    uint32_t attempt;

    (void) state;
    for (attempt = 40; attempt < 100; attempt++)
        assert_jittered(qe__retry_delay_ns(100 * MS, attempt, 3, 42), HOUR);
    assert_jittered(qe__retry_delay_ns(1, UINT32_MAX, 3, 42), HOUR);
    assert_jittered(qe__retry_delay_ns(UINT64_MAX, 1, 3, 42), HOUR);
    assert_jittered(qe__retry_delay_ns(HOUR / 2 + 1, 2, 3, 42), HOUR);
}

static void the_shortest_base_keeps_its_bounds(void **state)
{
    uint32_t unit;
    uint64_t base;

    (void) state;
    for (base = 1; base < 20; base++) {
        for (unit = 0; unit < 100; unit++)
            assert_jittered(qe__retry_delay_ns(base, 1, unit, 5), base);
    }
}

static void the_jitter_depends_on_its_arguments_alone(void **state)
{
    uint64_t one = qe__retry_delay_ns(HOUR, 1, 1, 1);

    (void) state;
    assert_true(one == qe__retry_delay_ns(HOUR, 1, 1, 1));
    assert_true(one != qe__retry_delay_ns(HOUR, 2, 1, 1));
    assert_true(one != qe__retry_delay_ns(HOUR, 1, 2, 1));
    assert_true(one != qe__retry_delay_ns(HOUR, 1, 1, 2));
}

/* Tests that fail together must not come back together. */
static void the_jitter_spreads_evenly(void **state)
{
    enum { UNITS = 10000, PARTS = 10 };
    uint32_t part[PARTS] = {0};
    uint32_t unit, i;

    (void) state;
    for (unit = 0; unit < UNITS; unit++) {
        uint64_t got = qe__retry_delay_ns(1000 * MS, 1, unit, 9);

        part[(got - 500 * MS) / (1000 * MS / PARTS)]++;
    }
    for (i = 0; i < PARTS; i++)
        assert_in_range(part[i], UNITS / PARTS * 85 / 100,
                        UNITS / PARTS * 115 / 100);
}

static void what_is_not_jittered_doubles_to_an_hour(void **state)
{
    (void) state;
    assert_true(qe__retry_base_ns(0, 3) == 0);
    assert_true(qe__retry_base_ns(2000 * MS, 1) == 2000 * MS);
    assert_true(qe__retry_base_ns(2000 * MS, 2) == 4000 * MS);
    assert_true(qe__retry_base_ns(2000 * MS, 3) == 8000 * MS);
    assert_true(qe__retry_base_ns(2000 * MS, 65535) == HOUR);
    assert_true(qe__retry_base_ns(UINT64_MAX, 1) == HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_base_means_no_delay),
        cmocka_unit_test(the_delay_doubles_with_every_attempt),
        cmocka_unit_test(the_delay_stops_at_an_hour),
        cmocka_unit_test(the_shortest_base_keeps_its_bounds),
        cmocka_unit_test(the_jitter_depends_on_its_arguments_alone),
        cmocka_unit_test(the_jitter_spreads_evenly),
        cmocka_unit_test(what_is_not_jittered_doubles_to_an_hour),
    };

    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
