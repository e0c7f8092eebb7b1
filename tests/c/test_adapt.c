/* How many commands run at once, by what is said to be short. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "qe.h"
#include "qe_util.h"

static const qe_pressure idle = {0.1, 0, 0.5, 0.5};
static const qe_pressure busy = {0.99, 0, 0.5, 9};
static const qe_pressure between = {0.8, 0, 0.5, 2};
static const qe_pressure stalled = {0.1, 0.2, 0.5, 0.5};
static const qe_pressure filled = {0.1, 0, 0.05, 0.5};
static const qe_pressure unknown = {-1, -1, -1, -1};

static qe_adapt begin(uint32_t running, uint32_t most, uint64_t throttle_ns)
{
    return (qe_adapt){.running = running,
                      .most = most,
                      .processors = 2,
                      .throttle_ns = throttle_ns,
                      .first_throttle_ns = throttle_ns};
}

static void with_nothing_short_it_reaches_the_most(void **state)
{
    (void) state;
    for (uint32_t most = 1; most <= 1024; most++) {
        qe_adapt a = begin(1, most, 0);
        int looks = 0;

        while (a.running < most) {
            assert_int_equal(qe_adapt_next(&a, &idle, true), QE_ADAPT_ROOM);
            looks++;
        }
        assert_int_equal(a.running, most);
        assert_true(looks <= 16); /* by half each time */
        assert_int_equal(qe_adapt_next(&a, &idle, true), QE_ADAPT_KEPT);
        assert_false(a.met);
    }
}

static void it_grows_only_where_all_that_may_run_do(void **state)
{
    qe_adapt a = begin(3, 10, 0);

    (void) state;
    assert_int_equal(qe_adapt_next(&a, &idle, false), QE_ADAPT_KEPT);
    assert_int_equal(a.running, 3);
    assert_int_equal(qe_adapt_next(&a, &between, true), QE_ADAPT_KEPT);
    assert_int_equal(a.running, 3);
    assert_int_equal(qe_adapt_next(&a, &idle, true), QE_ADAPT_ROOM);
    assert_int_equal(a.running, 5);
}

static void want_of_processors_takes_a_quarter_down_to_as_many(void **state)
{
    static const uint32_t steps[] = {75, 56, 42, 31, 23, 17, 12,
                                     9,  6,  4,  3,  2,  2};
    qe_adapt a = begin(100, 100, 0);

    (void) state;
    for (size_t i = 0; i < QE__COUNT(steps); i++) {
        /* What runs goes on for a while: nothing changes meanwhile. */
        while (a.rest > 0) {
            uint32_t before = a.running;

            assert_int_equal(
                qe_adapt_next(&a, a.rest % 2 ? &busy : &idle, true),
                QE_ADAPT_KEPT);
            assert_int_equal(a.running, before);
        }
        bool there = a.running == a.processors;

        assert_int_equal(qe_adapt_next(&a, &busy, true),
                         there ? QE_ADAPT_KEPT : QE_ADAPT_CPU);
        assert_int_equal(a.running, steps[i]);
    }
    assert_true(a.met);
    assert_int_equal(qe_adapt_next(&a, &idle, true), QE_ADAPT_ROOM);
    assert_int_equal(a.running, 3); /* slowly from then on */
}

static void want_of_memory_takes_half_down_to_one(void **state)
{
    qe_adapt a = begin(100, 100, 0);

    (void) state;
    for (uint32_t half = 50; half >= 1; half /= 2) {
        assert_int_equal(qe_adapt_next(&a, half % 2 ? &stalled : &filled, true),
                         QE_ADAPT_MEMORY);
        assert_int_equal(a.running, half);
    }
    assert_int_equal(qe_adapt_next(&a, &filled, true), QE_ADAPT_MEMORY);
    assert_int_equal(a.running, 1);
}

static void where_stalls_are_not_told_the_load_says(void **state)
{
    qe_pressure p = unknown;
    qe_adapt a = begin(8, 64, 0);

    (void) state;
    p.load = 5;
    assert_int_equal(qe_adapt_next(&a, &p, true), QE_ADAPT_CPU);
    assert_true(a.rest > 0); /* memory does not wait */
    assert_int_equal(qe_adapt_next(&a, &filled, true), QE_ADAPT_MEMORY);
    a.rest = 0;
    p.load = 3;
    assert_int_equal(qe_adapt_next(&a, &p, true), QE_ADAPT_KEPT);
    p.load = 1;
    assert_int_equal(qe_adapt_next(&a, &p, true), QE_ADAPT_ROOM);
    /* Nothing known at all: nothing is known to be short. */
    assert_int_equal(qe_adapt_next(&a, &unknown, true), QE_ADAPT_ROOM);
}

static void distances_stay_within_their_bounds(void **state)
{
    static const uint64_t first[] = {0,
                                     1,
                                     QE__MS,
                                     5 * QE__MS,
                                     6 * QE__MS,
                                     100 * QE__MS,
                                     UINT64_MAX / 3,
                                     UINT64_MAX};

    (void) state;
    for (size_t i = 0; i < QE__COUNT(first); i++) {
        qe_adapt a = begin(64, 64, first[i]);
        uint64_t floor = 5 * QE__MS;
        uint64_t least = first[i] < floor ? first[i] : floor;
        uint64_t most = first[i] > floor ? first[i] : floor;

        most = most < UINT64_MAX / 4 ? 4 * most : UINT64_MAX;
        for (int n = 0; n < 200; n++) {
            uint64_t before = a.throttle_ns;

            (void) qe_adapt_next(&a, &filled, true);
            assert_true(a.throttle_ns >= before && a.throttle_ns <= most);
        }
        assert_true(a.throttle_ns == most);
        a.most = 1024;
        for (int n = 0; n < 200; n++) {
            uint64_t before = a.throttle_ns;

            (void) qe_adapt_next(&a, &idle, true);
            assert_true(a.throttle_ns <= before && a.throttle_ns >= least);
        }
        assert_true(a.throttle_ns == least);
    }
}

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t) (seed >> 33) % below;
}

static bool is_short(const qe_pressure *p)
{
    return p == &busy || p == &stalled || p == &filled;
}

static void whatever_comes_it_stays_within_its_bounds(void **state)
{
    static const qe_pressure *const all[] = {&idle,    &busy,   &between,
                                             &stalled, &filled, &unknown};

    (void) state;
    seed = 20260301;
    for (int run = 0; run < 500; run++) {
        uint32_t most = draw(1024) + 1;
        qe_adapt a = begin(draw(most) + 1, most, draw(1000) * QE__MS / 10);

        a.processors = draw(70); /* none, too */
        for (int n = 0; n < 200; n++) {
            const qe_pressure *p = all[draw(QE__COUNT(all))];
            uint32_t before = a.running;
            bool full = draw(4) != 0;
            enum qe_adapt_why why = qe_adapt_next(&a, p, full);

            assert_true(a.running >= 1 && a.running <= most);
            assert_true(!is_short(p) || a.running <= before);
            assert_int_equal(why == QE_ADAPT_ROOM, a.running > before);
            assert_true(why != QE_ADAPT_CPU || a.running < before);
            assert_true(why != QE_ADAPT_KEPT || a.running == before);
            assert_true(a.running >= before || before > 1);
        }
    }
}

/* What the system bears is 12: beyond, each look says that processors are short. */
static void it_settles_near_what_the_system_bears(void **state)
{
    qe_adapt a = begin(2, 1000, 0);
    uint32_t sum = 0;

    (void) state;
    for (int n = 0; n < 1100; n++) {
        (void) qe_adapt_next(&a, a.running > 12 ? &busy : &idle, true);
        if (n >= 100) {
            assert_in_range(a.running, 9, 13);
            sum += a.running;
        }
    }
    assert_in_range(sum, 10000, 12500);
}

static void where_half_the_looks_say_short_it_settles(void **state)
{
    qe_adapt a = begin(2, 1000, 0);

    (void) state;
    seed = 7;
    for (int n = 0; n < 20; n++)
        (void) qe_adapt_next(&a, &idle, true);
    assert_int_equal(a.running, 1000);
    for (int n = 0; n < 5000; n++) {
        (void) qe_adapt_next(&a, draw(2) ? &busy : &idle, true);
        assert_true(n < 100 || a.running <= 20);
    }
}

static void nonsense_is_survived(void **state)
{
    qe_pressure odd = {NAN, NAN, NAN, NAN};
    qe_pressure endless = {INFINITY, INFINITY, -INFINITY, INFINITY};
    qe_adapt a = {0};

    (void) state;
    assert_int_equal(qe_adapt_next(&a, &idle, true), QE_ADAPT_KEPT);
    assert_int_equal(a.running, 1);
    a = begin(50, 20, 0);
    assert_int_equal(qe_adapt_next(&a, &odd, true), QE_ADAPT_KEPT);
    assert_int_equal(a.running, 20);
    assert_int_equal(qe_adapt_next(&a, &endless, true), QE_ADAPT_MEMORY);
    a = begin(UINT32_MAX - 1, UINT32_MAX, 0);
    assert_int_equal(qe_adapt_next(&a, &idle, true), QE_ADAPT_ROOM);
    assert_true(a.running == UINT32_MAX);
    assert_int_equal(qe_adapt_next(&a, &busy, true), QE_ADAPT_CPU);
    assert_true(a.running < UINT32_MAX && a.running > UINT32_MAX / 2);
}

static void each_reason_has_a_name(void **state)
{
    (void) state;
    assert_string_equal(qe_adapt_name(QE_ADAPT_KEPT), "kept");
    assert_string_equal(qe_adapt_name(QE_ADAPT_ROOM), "room");
    assert_string_equal(qe_adapt_name(QE_ADAPT_CPU), "cpu");
    assert_string_equal(qe_adapt_name(QE_ADAPT_MEMORY), "memory");
    assert_string_equal(qe_adapt_name((enum qe_adapt_why) 4), "kept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_nothing_short_it_reaches_the_most),
        cmocka_unit_test(it_grows_only_where_all_that_may_run_do),
        cmocka_unit_test(want_of_processors_takes_a_quarter_down_to_as_many),
        cmocka_unit_test(want_of_memory_takes_half_down_to_one),
        cmocka_unit_test(where_stalls_are_not_told_the_load_says),
        cmocka_unit_test(distances_stay_within_their_bounds),
        cmocka_unit_test(whatever_comes_it_stays_within_its_bounds),
        cmocka_unit_test(it_settles_near_what_the_system_bears),
        cmocka_unit_test(where_half_the_looks_say_short_it_settles),
        cmocka_unit_test(nonsense_is_survived),
        cmocka_unit_test(each_reason_has_a_name),
    };

    return cmocka_run_group_tests_name("adapt", tests, NULL, NULL);
}
