/* What is started next, and when. Dealing and stealing are in
 * test_sched_queue.c, random runs in test_sched_random.c. */
#include "alloc_fault.h"
#include "sched_fixture.h"

static void nonsense_is_refused(void **state)
{
    struct fixture f = given_slots("a b", 1);
    qe__sched_options options = {.slots = 0};
    qe_sched *sched = NULL;
    qe_plan *open;
    qe_unit unit = {.id = "x"};
    const uint32_t *units;
    size_t n;

    (void) state;
    assert_int_equal(qe__sched_new(&sched, f.plan, &options), QE_EINVAL);
    options.slots = 4097;
    assert_int_equal(qe__sched_new(&sched, f.plan, &options), QE_ETOOBIG);
    options.slots = 1;
    assert_int_equal(qe__sched_new(NULL, f.plan, &options), QE_EINVAL);
    assert_int_equal(qe__sched_new(&sched, NULL, &options), QE_EINVAL);
    assert_int_equal(qe_plan_new(&open), 0);
    assert_int_equal(qe_plan_add(open, &unit), 0);
    assert_int_equal(qe__sched_new(&sched, open, &options), QE_ESTATE);
    qe_plan_free(open);
    assert_null(sched);

    assert_int_equal(qe__sched_queue(f.sched, 1, &units, &n), QE_EINVAL);
    assert_int_equal(qe__sched_settled(f.sched, 2), QE_EINVAL);
    assert_int_equal(qe__sched_retry(f.sched, 0, 1, 0), QE_EINVAL);
    assert_int_equal(qe__sched_requeue(f.sched, 0, 0), QE_EINVAL);
    /* Nothing was started yet. */
    assert_int_equal(qe__sched_settled(f.sched, 0), QE_ESTATE);
    assert_int_equal(qe__sched_retry(f.sched, 0, 2, 0), QE_ESTATE);
    assert_int_equal(qe__sched_requeue(f.sched, 0, 1), QE_ESTATE);
    qe__sched_slot_free(f.sched, 0);
    qe__sched_slot_free(f.sched, 77);

    expect_start(f, 0, 0, 0, 1, false);
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), QE_ESTATE);
    settle(f, 0, 0);
    assert_int_equal(qe__sched_settled(f.sched, 0), QE_ESTATE);
    assert_int_equal(qe__sched_settled_count(f.sched), 1);
    end(f);
    qe__sched_free(NULL);
}

static void nothing_starts_before_it_is_claimed(void **state)
{
    struct fixture f = given(
        "a a b bS cF", (qe__sched_options){.slots = 2, .by_claims = true});
    const uint32_t *units;
    bool queued;
    size_t n;

    (void) state;
    assert_int_equal(next(f, 0).kind, QE__STEP_WAIT);
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), 0);
    assert_int_equal(n, 0);
    qe__sched_slot_free(f.sched, 0);
    assert_int_equal(qe__sched_common(f.sched, &units, &n), QE_ESTATE);
    assert_int_equal(qe__sched_claim(f.sched, 5, 1, &queued), QE_ESTATE);

    /* An ordinary one is the caller's; the next attempt of it is not. */
    assert_int_equal(qe__sched_claim(f.sched, 1, 1, &queued), 0);
    assert_true(queued);
    assert_int_equal(qe__sched_claim(f.sched, 1, 1, &queued), QE_ESTATE);
    assert_int_equal(next(f, 0).kind, QE__STEP_WAIT);
    assert_int_equal(qe__sched_unclaim(f.sched, 1), 0);
    assert_int_equal(qe__sched_unclaim(f.sched, 1), QE_ESTATE);
    assert_int_equal(qe__sched_claim(f.sched, 1, 2, &queued), 0);
    assert_false(queued);
    expect_start(f, 0, 0, 1, 2, true);

    /* One that runs alone waits for that; a FRESH one has a worker of its own. */
    assert_int_equal(qe__sched_claim(f.sched, 3, 1, &queued), 0);
    assert_false(queued);
    assert_int_equal(qe__sched_claim(f.sched, 4, 1, &queued), 0);
    assert_false(queued);
    expect_start(f, 0, 1, 4, 1, true);
    settle(f, 1, 4);
    assert_int_equal(next(f, 0).kind, QE__STEP_WAIT);
    settle(f, 0, 1);
    expect_start(f, 0, 0, 3, 1, true);
    assert_int_equal(next(f, 0).kind, QE__STEP_WAIT);
    settle(f, 0, 3);

    /* The others have run elsewhere. */
    assert_int_equal(next(f, 0).kind, QE__STEP_WAIT);
    qe__sched_no_claims(f.sched);
    assert_int_equal(qe__sched_claim(f.sched, 0, 1, &queued), QE_ESTATE);
    expect_done(f);
    end(f);
}

static void claims_end_with_a_cancel(void **state)
{
    struct fixture f =
        given("a a", (qe__sched_options){.slots = 1, .by_claims = true});
    bool queued;

    (void) state;
    assert_int_equal(qe__sched_claim(f.sched, 0, 1, &queued), 0);
    qe__sched_cancel(f.sched);
    assert_int_equal(qe__sched_claim(f.sched, 1, 1, &queued), QE_ESTATE);
    assert_int_equal(qe__sched_unclaim(f.sched, 0), QE_ESTATE);
    expect_done(f);
    end(f);
}

static void an_empty_plan_is_done(void **state)
{
    struct fixture f = given_slots("", 3);

    (void) state;
    expect_done(f);
    end(f);
}

static void a_retry_of_a_together_scope_stays_with_it(void **state)
{
    struct fixture f = given_slots("aT a b", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 2, 1, false);
    settle(f, 1, 2);
    retry(f, 0, 0, 2, 50);
    expect_start(f, 0, 0, 1, 1, false);
    /* Due, and slot 1 is idle; but the two must not overlap. */
    expect_wait(f, 60, UINT64_MAX);
    settle(f, 0, 1);
    expect_start(f, 60, 0, 0, 2, true);
    settle(f, 0, 0);
    expect_done(f);
    end(f);
}

static void a_retry_waits_for_its_time(void **state)
{
    struct fixture f = given_slots("a", 1);

    (void) state;
    expect_start(f, 10, 0, 0, 1, false);
    retry(f, 0, 0, 2, 500);
    expect_wait(f, 20, 500);
    expect_wait(f, 499, 500);
    expect_start(f, 500, 0, 0, 2, true);
    retry(f, 0, 0, 3, 400);
    expect_start(f, 501, 0, 0, 3, true);
    settle(f, 0, 0);
    expect_done(f);
    end(f);
}

static void due_retries_go_first_and_the_oldest_first(void **state)
{
    struct fixture f = given_slots("a b c d", 3);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 1, 1, false);
    expect_start(f, 0, 2, 2, 1, false);
    retry(f, 2, 2, 2, 300);
    retry(f, 0, 0, 2, 200);
    retry(f, 1, 1, 2, 200);
    expect_start(f, 300, 0, 0, 2, true);
    expect_start(f, 300, 1, 1, 2, true);
    expect_start(f, 300, 2, 2, 2, true);
    settle(f, 1, 1);
    expect_start(f, 300, 1, 3, 1, false);
    end(f);
}

static void without_an_idle_slot_only_an_end_wakes(void **state)
{
    struct fixture f = given_slots("a b", 1);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    retry(f, 0, 0, 2, 100);
    expect_start(f, 0, 0, 1, 1, false);
    expect_wait(f, 0, UINT64_MAX);
    expect_wait(f, 200, UINT64_MAX);
    settle(f, 0, 1);
    expect_start(f, 200, 0, 0, 2, true);
    end(f);
}

static void what_was_lost_runs_again_as_the_same_attempt(void **state)
{
    struct fixture f = given_slots("a b", 1);

    (void) state;
    expect_queue(f, 0, "0 1");
    assert_int_equal(qe__sched_requeue(f.sched, 0, 1), 0);
    assert_int_equal(qe__sched_requeue(f.sched, 1, 1), 0);
    qe__sched_slot_free(f.sched, 0);
    expect_start(f, 0, 0, 0, 1, true);
    assert_int_equal(qe__sched_requeue(f.sched, 0, 1), 0);
    qe__sched_slot_free(f.sched, 0);
    expect_start(f, 0, 0, 1, 1, true);
    settle(f, 0, 1);
    expect_start(f, 0, 0, 0, 1, true);
    settle(f, 0, 0);
    expect_done(f);
    end(f);
}

static void serial_units_run_last_and_alone(void **state)
{
    struct fixture f = given_slots("aS b cS d", 2);

    (void) state;
    expect_start(f, 0, 0, 1, 1, false);
    expect_start(f, 0, 1, 3, 1, false);
    settle(f, 0, 1);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 1, 3);
    expect_start(f, 0, 0, 0, 1, false);
    expect_wait(f, 0, UINT64_MAX);
    /* Its retry waits for no time, yet for the slots. */
    retry(f, 0, 0, 2, 0);
    expect_start(f, 0, 0, 0, 2, true);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 2, 1, false);
    settle(f, 0, 2);
    expect_done(f);
    end(f);
}

static void a_retry_that_is_not_due_does_not_hold_up_serial(void **state)
{
    struct fixture f = given_slots("a bS", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    retry(f, 0, 0, 2, 100);
    expect_start(f, 0, 0, 1, 1, false);
    expect_wait(f, 100, UINT64_MAX);
    settle(f, 0, 1);
    expect_start(f, 100, 0, 0, 2, true);
    end(f);
}

static void a_fresh_scope_with_a_serial_unit_runs_alone(void **state)
{
    struct fixture f = given_slots("aF aS bF c", 2);
    qe__step step;

    (void) state;
    expect_start(f, 0, 0, 3, 1, false);
    step = next(f, 0);
    assert_int_equal(step.unit, 2);
    assert_int_equal(step.slot, 1);
    settle(f, 0, 3);
    expect_wait(f, 0, UINT64_MAX);
    settle(f, 1, 2);
    step = next(f, 0);
    assert_int_equal(step.unit, 0);
    assert_int_equal(step.count, 2);
    expect_wait(f, 0, UINT64_MAX);
    end(f);
}

static void isolated_units_are_fresh_one_by_one(void **state)
{
    struct fixture f =
        given("aF a bS", (qe__sched_options){.slots = 1, .isolate = true});
    const uint32_t *units;
    size_t n;

    (void) state;
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), QE_ESTATE);
    expect_start(f, 0, 0, 0, 1, true);
    settle(f, 0, 0);
    expect_start(f, 0, 0, 1, 1, true);
    settle(f, 0, 1);
    expect_start(f, 0, 0, 2, 1, true);
    settle(f, 0, 2);
    expect_done(f);
    end(f);
}

static void a_cancel_drops_what_has_not_started(void **state)
{
    struct fixture f = given_slots("a b c dF eS g", 2);

    (void) state;
    expect_start(f, 0, 0, 0, 1, false);
    expect_start(f, 0, 1, 1, 1, false);
    retry(f, 1, 1, 2, 100);
    qe__sched_cancel(f.sched);
    qe__sched_cancel(f.sched);
    assert_int_equal(qe__sched_settled_count(f.sched), 5);
    expect_wait(f, 200, UINT64_MAX);
    /* Nothing runs again, whatever is asked for now. */
    retry(f, 0, 0, 2, 0);
    assert_int_equal(qe__sched_settled_count(f.sched), 6);
    expect_done(f);
    end(f);
}

static void a_cancelled_queue_may_still_be_running(void **state)
{
    struct fixture f = given_slots("a b", 1);
    const uint32_t *units;
    size_t n;

    (void) state;
    expect_queue(f, 0, "0 1");
    qe__sched_cancel(f.sched);
    assert_int_equal(qe__sched_settled_count(f.sched), 2);
    expect_wait(f, 0, UINT64_MAX);
    assert_int_equal(qe__sched_settled(f.sched, 0), 0);
    assert_int_equal(qe__sched_requeue(f.sched, 1, 1), 0);
    assert_int_equal(qe__sched_settled_count(f.sched), 2);
    qe__sched_slot_free(f.sched, 0);
    expect_done(f);
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), QE_ESTATE);
    end(f);
}

static int make(void *context)
{
    struct fixture *f = context;
    qe__sched_options options = {.slots = 3};

    return qe__sched_new(&f->sched, f->plan, &options);
}

struct again {
    struct fixture f;
    uint32_t unit;
};

static int again(void *context)
{
    struct again *a = context;

    return qe__sched_retry(a->f.sched, a->unit, 2, a->unit);
}

static void out_of_memory_leaves_the_scheduler_usable(void **state)
{
    struct fixture f = given_slots("aF a b - - - - - - cS - - - - - -", 1);
    size_t failures = 0;
    qe__step step;

    (void) state;
    qe__sched_free(f.sched);
    f.sched = NULL;
    assert_true(alloc_fault_sweep(make, &f) >= 8);
    /* Every unit but those of the FRESH scope runs twice. */
    for (;;) {
        struct again a = {.f = f};

        step = next(f, 0);
        if (step.kind != QE__STEP_START || step.count > 1)
            break;
        /* A failed call has not moved the unit on: it can be repeated. */
        a.unit = step.unit;
        failures += alloc_fault_sweep(again, &a);
        qe__sched_slot_free(f.sched, step.slot);
    }
    /* The entries, and the two arrays of the heap, grew. */
    assert_true(failures >= 3);
    assert_int_equal(step.unit, 0);
    assert_int_equal(qe__sched_settled(f.sched, 0), 0);
    settle(f, step.slot, 1);
    for (;;) {
        step = next(f, 1000);
        if (step.kind != QE__STEP_START)
            break;
        if (step.unit != 9 || step.attempt == 2)
            settle(f, step.slot, step.unit);
        else
            retry(f, step.slot, step.unit, 2, 0);
    }
    assert_int_equal(step.kind, QE__STEP_DONE);
    assert_int_equal(qe__sched_settled_count(f.sched), qe_plan_count(f.plan));
    end(f);
}

static void a_worker_that_goes_on_takes_its_slot_back(void **state)
{
    struct fixture f = given_slots("- - -S", 2);
    const uint32_t *units;
    size_t n;

    (void) state;
    assert_int_equal(qe__sched_queue(f.sched, 0, &units, &n), 0);
    assert_int_equal(qe__sched_queue(f.sched, 1, &units, &n), 0);
    assert_false(qe__sched_slot_take(f.sched, 0)); /* it is busy */
    assert_false(qe__sched_slot_take(f.sched, 2));
    assert_false(qe__sched_slot_take(NULL, 0));
    qe__sched_slot_free(f.sched, 0);
    assert_true(qe__sched_slot_take(f.sched, 0));
    qe__sched_slot_free(f.sched, 1);
    expect_wait(f, 0, UINT64_MAX); /* for slot 0, as the unit is SERIAL */
    qe__sched_slot_free(f.sched, 0);
    expect_start(f, 0, 0, 2, 1, false);
    assert_false(qe__sched_slot_take(f.sched, 1)); /* nothing else may run */
    assert_int_equal(qe__sched_settled(f.sched, 0), 0);
    assert_int_equal(qe__sched_settled(f.sched, 1), 0);
    settle(f, 0, 2);
    assert_true(qe__sched_slot_take(f.sched, 1));
    expect_done(f);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(an_empty_plan_is_done),
        cmocka_unit_test(nothing_starts_before_it_is_claimed),
        cmocka_unit_test(claims_end_with_a_cancel),
        cmocka_unit_test(a_retry_of_a_together_scope_stays_with_it),
        cmocka_unit_test(a_worker_that_goes_on_takes_its_slot_back),
        cmocka_unit_test(a_retry_waits_for_its_time),
        cmocka_unit_test(due_retries_go_first_and_the_oldest_first),
        cmocka_unit_test(without_an_idle_slot_only_an_end_wakes),
        cmocka_unit_test(what_was_lost_runs_again_as_the_same_attempt),
        cmocka_unit_test(serial_units_run_last_and_alone),
        cmocka_unit_test(a_retry_that_is_not_due_does_not_hold_up_serial),
        cmocka_unit_test(a_fresh_scope_with_a_serial_unit_runs_alone),
        cmocka_unit_test(isolated_units_are_fresh_one_by_one),
        cmocka_unit_test(a_cancel_drops_what_has_not_started),
        cmocka_unit_test(a_cancelled_queue_may_still_be_running),
        cmocka_unit_test(out_of_memory_leaves_the_scheduler_usable),
    };

    return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
