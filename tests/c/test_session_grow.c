/* Workers that are held back until the host wants them. */
#include "session_world.h"

#include <signal.h>

/* Every unit waits until the gate is open. */
static enum qe_outcome body_waits(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    return world_wait_gate(w, 0) ? QE_PASSED : QE_FAILED;
}

static enum qe_outcome body_dies_once(struct world *w, qe_worker *worker,
                                      const qe_claim *claim)
{
    (void) w;
    (void) worker;
    if (claim->unit == 1 && claim->attempt == 1)
        (void) raise(SIGKILL);
    return QE_PASSED;
}

static void one_worker_runs_all_where_no_more_are_wanted(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    w->options.first_workers = 1;
    world_add_many(w, 12, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->workers, 1);
}

/* The host hears of all events, whatever it waits for between them. */
static void a_host_without_hurry_hears_of_all(void **state)
{
    struct world *w = *state;

    w->body = body_dies_once;
    w->options.workers = 2;
    w->options.lazy_events = true;
    world_add_many(w, 40, 1, 0, 1);
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_int_equal(w->unit[u].outcome, u == 1 ? QE_FLAKY : QE_PASSED);
}

static void in_order_one_worker_runs_them_as_planned(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    w->options.first_workers = 1;
    w->options.in_order = true;
    world_add_many(w, 12, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->workers, 1);
    for (uint32_t u = 1; u < 12; u++)
        assert_true(atomic_load(&w->shared->sequence[u - 1]) <
                    atomic_load(&w->shared->sequence[u]));
}

static void the_others_start_when_they_are_wanted(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits;
    w->options.workers = 4;
    w->options.first_workers = 1;
    world_add_many(w, 12, 1, 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, QE__NONE, &event);
    assert_int_equal(qe_session_grow(w->session, 3), 0);
    assert_int_equal(qe_session_grow(w->session, 3), 0); /* they are there */
    for (int i = 0; i < 2; i++)
        world_until(w, QE_EV_START, QE__NONE, &event);
    WORLD_WAIT(atomic_load(&w->shared->at_once) == 3);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->workers, 3);
    assert_int_equal(qe_session_grow(w->session, 4), 0); /* nothing is left */
}

static void a_lost_attempt_does_not_wait_for_a_worker_held_back(void **state)
{
    struct world *w = *state;

    w->body = body_dies_once;
    w->options.workers = 2;
    w->options.first_workers = 1;
    world_add_many(w, 6, 1, 0, 1);
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_int_equal(w->unit[u].outcome, u == 1 ? QE_FLAKY : QE_PASSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(one_worker_runs_all_where_no_more_are_wanted),
        T(in_order_one_worker_runs_them_as_planned),
        T(a_host_without_hurry_hears_of_all),
        T(the_others_start_when_they_are_wanted),
        T(a_lost_attempt_does_not_wait_for_a_worker_held_back),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
