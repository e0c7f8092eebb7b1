/* How work is dealt to the slots, and how the idle steal it. */
#include "sched_fixture.h"

#include <string.h>

#include "qe_util.h"

static void without_history_scopes_are_dealt_in_file_order(void **state)
{
    struct fixture f = given_slots("a a b b c c d d e e", 2);

    (void) state;
    expect_queue(f, 0, "0 1 4 5 8 9");
    expect_queue(f, 1, "2 3 6 7");
    expect_wait(f, 0, UINT64_MAX);
    end(f);
}

static void scopes_stay_whole_even_if_they_are_interleaved(void **state)
{
    struct fixture f = given_slots("a b a b", 2);

    (void) state;
    expect_queue(f, 0, "0 2");
    expect_queue(f, 1, "1 3");
    end(f);
}

static void the_longest_scope_goes_first_to_the_least_loaded(void **state)
{
    /* a 3, b 9, c 4, d 4 (two units): b | d, c | ... */
    struct fixture f = given_slots("a3 b9 c4 d1 d3", 2);

    (void) state;
    expect_queue(f, 0, "1");
    expect_queue(f, 1, "2 3 4 0");
    end(f);
}

static void an_unknown_unit_counts_as_the_median(void **state)
{
    /* Known: 2, 10, 100: the unknown c and d count 10 each, e 11. */
    struct fixture f = given_slots("a100 b2 c d e11 f10", 1);

    (void) state;
    expect_queue(f, 0, "0 4 2 3 5 1");
    end(f);
}

static void absurd_history_does_not_overflow(void **state)
{
    struct fixture f =
        given_slots("a18446744073709551615 b18446744073709551615 "
                    "c18446744073709551615 d1",
                    2);

    (void) state;
    expect_queue(f, 0, "0 2");
    expect_queue(f, 1, "1 3");
    end(f);
}

static void queues_leave_serial_and_fresh_to_next(void **state)
{
    struct fixture f = given_slots("a aS bF b c", 1);

    (void) state;
    expect_queue(f, 0, "0 4");
    expect_wait(f, 0, UINT64_MAX);
    assert_int_equal(qe__sched_settled(f.sched, 4), 0);
    settle(f, 0, 0);
    {
        qe__step step = next(f, 0);

        assert_int_equal(step.kind, QE__STEP_START);
        assert_int_equal(step.unit, 2);
        assert_int_equal(step.count, 2);
        assert_true(step.fresh);
    }
    assert_int_equal(qe__sched_settled(f.sched, 2), 0);
    settle(f, 0, 3);
    expect_start(f, 0, 0, 1, 1, false);
    settle(f, 0, 1);
    expect_done(f);
    end(f);
}

static void what_is_first_comes_before_what_is_longest(void **state)
{
    struct fixture f = given_slots("-9 -5 bB1 b1 -B2 -7", 2);

    (void) state;
    expect_queue(f, 0, "2 3 0");
    expect_queue(f, 1, "4 5 1");
    end(f);
}

static void a_slot_without_work_gets_an_empty_queue(void **state)
{
    struct fixture f = given_slots("a", 2);

    (void) state;
    expect_queue(f, 1, "");
    expect_queue(f, 0, "0");
    end(f);
}

static void a_queue_is_given_only_once_and_untouched(void **state)
{
    struct fixture f = given_slots("a b", 2);
    const uint32_t *units;
    size_t n;

    (void) state;
    expect_queue(f, 0, "0");
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), QE_ESTATE);
    settle(f, 0, 0);
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), QE_ESTATE);
    expect_start(f, 0, 1, 1, 1, false);
    settle(f, 1, 1);
    assert_int_equal(qe__sched_queue(f.sched, 1, &units, &n), QE_ESTATE);
    end(f);
}

static void one_at_a_time_each_slot_follows_its_queue(void **state)
{
    struct fixture f = given_slots("a a b b", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 2, 1, false);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 1, 2);
    expect_start(f, 0, 1, 3, 1, false);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 1, 1, false);
    settle(f, 0, 1);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 1, 3);
    expect_done(f);
    end(f);
}

static void the_idle_steal_from_who_has_most_to_do(void **state)
{
    /* Slot 0: a; slot 1: b, e; slot 2: c, d. */
    struct fixture f = given_slots("a90 b80 c70 d40 e20", 3);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 1, 1, false);
    expect_start(f, 0, 2, 2, 1, false);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 3, 1, false);
    settle(f, 0, 3);
    expect_start(f, 0, 0, 4, 1, false);
    end(f);
}

static void only_what_is_left_counts_for_stealing(void **state)
{
    struct fixture f = given_slots("a1000 a1 a1 b500 b100 c5", 3);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 3, 1, false);
    expect_start(f, 0, 2, 5, 1, false);
    settle(f, 2, 5);
    expect_start(f, 0, 2, 4, 1, false);
    end(f);

    f = given_slots("a1 a60 a60 b1 b100 c5 d5", 4);
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 3, 1, false);
    expect_start(f, 0, 2, 5, 1, false);
    expect_start(f, 0, 3, 6, 1, false);
    settle(f, 2, 5);
    expect_start(f, 0, 2, 2, 1, false);
    settle(f, 3, 6);
    expect_start(f, 0, 3, 4, 1, false);
    end(f);
}

static void a_scope_that_runs_gives_up_its_last_unit(void **state)
{
    struct fixture f = given_slots("a a a", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 2, 1, false);
    settle(f, 1, 2);
    expect_start(f, 0, 1, 1, 1, false);
    end(f);
}

static void a_scope_that_waits_is_stolen_whole(void **state)
{
    /* Slot 0: c, b; slot 1: a. */
    struct fixture f = given_slots("a100 b10 b20 b30 c90", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 4, 1, false);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 1, 1, false);
    settle(f, 0, 1);
    expect_start(f, 0, 0, 2, 1, false);
    end(f);
}

static void a_together_scope_is_never_split(void **state)
{
    struct fixture f = given_slots("aT a a", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 1, 1, false);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 0, 1);
    expect_start(f, 0, 0, 2, 1, false);
    end(f);
}

static void no_scope_is_split_with_steal_scopes(void **state)
{
    struct fixture f =
        given("a a", (qe__sched_options){.slots = 2, .steal_scopes = true});

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 1, 1, false);
    end(f);
}

/* b is the longest, and would go first. */
static void in_order_each_idle_slot_takes_the_next_scope(void **state)
{
    struct fixture f = given("aT aT b9 b9 c",
                             (qe__sched_options){.slots = 2, .in_order = true});

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 2, 1, false);
    settle(f, 1, 2);
    expect_start(f, 0, 1, 3, 1, false); /* not 1: that goes with 0 */
    settle(f, 1, 3);
    expect_start(f, 0, 1, 4, 1, false);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 1, 1, false);
    end(f);
}

static void in_order_all_queues_are_one(void **state)
{
    struct fixture f =
        given("a b9 a cS", (qe__sched_options){.slots = 2, .in_order = true});
    const uint32_t *units;
    size_t n;

    (void) state;
    assert_int_equal(qe__sched_common(f.sched, &units, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(units[0], 0);
    assert_int_equal(units[1], 2);
    assert_int_equal(units[2], 1);
    for (uint32_t slot = 0; slot < 2; slot++) {
        assert_int_equal(qe__sched_queue(f.sched, slot, &units, &n), 0);
        assert_int_equal(n, 0);
    }
    assert_int_equal(qe__sched_common(f.sched, &units, &n), 0);
    assert_int_equal(n, 0);
    for (uint32_t unit = 0; unit < 3; unit++)
        assert_int_equal(qe__sched_settled(f.sched, unit), 0);
    qe__sched_slot_free(f.sched, 0);
    qe__sched_slot_free(f.sched, 1);
    expect_start(f, 0, 0, 3, 1, false);
    end(f);
}

/* Nobody waits while someone else has two units left: the run ends within
 * one longest unit of the best that could be (Graham 1966). */
static void nobody_idles(uint64_t seed)
{
    enum { UNITS = 200, SLOTS = 5 };
    uint64_t random = seed, end_ns[SLOTS] = {0}, sum = 0, longest = 0, now = 0;
    uint32_t runs[SLOTS];
    qe__sched_options options = {.slots = SLOTS};
    qe_plan *plan;
    qe_sched *sched;
    qe__step step;
    uint32_t i;

    memset(runs, 0xff, sizeof runs);
    assert_int_equal(qe_plan_new(&plan), 0);
    for (i = 0; i < UNITS; i++) {
        char scope[16];
        qe_unit unit = {.id = "", .scope = scope};

        snprintf(scope, sizeof scope, "%llu",
                 (unsigned long long) (qe__random(&random) % 20));
        unit.expected_ns = 1 + qe__random(&random) % 1000;
        /* Item carries what it really takes: history knows half of it. */
        unit.item =
            (uint32_t) (unit.expected_ns / 2 + qe__random(&random) % 500 + 1);
        sum += unit.item;
        longest = longest < unit.item ? unit.item : longest;
        assert_int_equal(qe_plan_add(plan, &unit), 0);
    }
    assert_int_equal(qe_plan_seal(plan), 0);
    assert_int_equal(qe__sched_new(&sched, plan, &options), 0);
    for (;;) {
        uint32_t first = SLOTS;
        qe_unit unit;

        assert_int_equal(qe__sched_next(sched, now, &step), 0);
        if (step.kind == QE__STEP_DONE)
            break;
        if (step.kind == QE__STEP_START) {
            assert_int_equal(qe_plan_get(plan, step.unit, &unit), 0);
            runs[step.slot] = step.unit;
            end_ns[step.slot] = now + unit.item;
            continue;
        }
        for (i = 0; i < SLOTS; i++) {
            if (runs[i] != UINT32_MAX &&
                (first == SLOTS || end_ns[i] < end_ns[first]))
                first = i;
        }
        now = end_ns[first];
        assert_int_equal(qe__sched_settled(sched, runs[first]), 0);
        runs[first] = UINT32_MAX;
        qe__sched_slot_free(sched, first);
    }
    if (now > sum / SLOTS + longest)
        fail_msg("seed %llu", (unsigned long long) seed);
    qe__sched_free(sched);
    qe_plan_free(plan);
}

static void nobody_idles_while_there_is_work(void **state)
{
    uint64_t seed;

    (void) state;
    for (seed = 1; seed <= 50; seed++)
        nobody_idles(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_history_scopes_are_dealt_in_file_order),
        cmocka_unit_test(scopes_stay_whole_even_if_they_are_interleaved),
        cmocka_unit_test(the_longest_scope_goes_first_to_the_least_loaded),
        cmocka_unit_test(an_unknown_unit_counts_as_the_median),
        cmocka_unit_test(absurd_history_does_not_overflow),
        cmocka_unit_test(queues_leave_serial_and_fresh_to_next),
        cmocka_unit_test(what_is_first_comes_before_what_is_longest),
        cmocka_unit_test(a_slot_without_work_gets_an_empty_queue),
        cmocka_unit_test(a_queue_is_given_only_once_and_untouched),
        cmocka_unit_test(one_at_a_time_each_slot_follows_its_queue),
        cmocka_unit_test(the_idle_steal_from_who_has_most_to_do),
        cmocka_unit_test(only_what_is_left_counts_for_stealing),
        cmocka_unit_test(a_scope_that_runs_gives_up_its_last_unit),
        cmocka_unit_test(a_scope_that_waits_is_stolen_whole),
        cmocka_unit_test(a_together_scope_is_never_split),
        cmocka_unit_test(no_scope_is_split_with_steal_scopes),
        cmocka_unit_test(in_order_each_idle_slot_takes_the_next_scope),
        cmocka_unit_test(in_order_all_queues_are_one),
        cmocka_unit_test(nobody_idles_while_there_is_work),
    };

    return cmocka_run_group_tests_name("sched_queue", tests, NULL, NULL);
}
