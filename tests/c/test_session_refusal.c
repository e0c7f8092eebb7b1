/* The system starts no process: the run goes on with fewer workers, waits, or
 * says what is wrong. */
#include "session_world.h"

#include <errno.h>
#include <string.h>

#include "fork_fault.h"

#define OURS 2 /* the supervisor's own fork, and its standby's */
#define EVER 1000000

static uint32_t told; /* REFUSED events */

static void count_told(struct world *w, const qe_event *event)
{
    (void) w;
    if (event->kind == QE_EV_REFUSED) {
        assert_int_equal(event->status, EAGAIN);
        told++;
    }
}

static int setup(void **state)
{
    int status = world_setup(state);

    told = 0;
    ((struct world *) *state)->on_event = count_told;
    return status;
}

static int teardown(void **state)
{
    int status = world_teardown(state);

    fork_fault_lift();
    return status;
}

/* The first to start waits for a moment, so that the others are refused. */
static void fewer_workers_run_everything(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS + 1, 3);
    w->options.workers = 4;
    world_add_many(w, 60, 5, 0, 0);
    world_run(w);
    assert_int_equal(atomic_load(&fork_fault->refused), 3);
    assert_int_equal(told, 1);
    assert_int_equal(w->give_ups, 0);
    assert_true(w->workers >= 1);
}

static void where_none_starts_it_is_tried_again(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS, 8);
    w->options.workers = 4;
    world_add_many(w, 60, 5, QE_UNIT_TOGETHER, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
    assert_int_equal(told, 1);
    assert_true(w->workers >= 1);
}

/* Every unit is told of: none has an outcome, none hangs. */
static void gives_up(struct world *w, uint32_t flags)
{
    fork_fault_lay(OURS, EVER);
    w->options.workers = 3;
    world_add_many(w, 12, 4, flags, 0);
    world_start(w);
    world_finish(w);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_ESYS);
    assert_int_equal(told, 1);
    assert_int_equal(w->workers, 0);
}

static void where_none_ever_starts_the_run_is_given_up(void **state)
{
    gives_up(*state, 0);
}

static void likewise_for_scopes_with_workers_of_their_own(void **state)
{
    gives_up(*state, QE_UNIT_FRESH);
}

static void a_fresh_scope_waits_for_its_worker(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS + 1, 5);
    w->options.workers = 3;
    world_add_many(w, 60, 10, QE_UNIT_FRESH | QE_UNIT_TOGETHER, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
    assert_int_equal(told, 1);
    assert_int_equal(w->workers, 6);
    for (uint32_t u = 0; u < 60; u++)
        assert_int_equal(w->shared->pid[u], w->shared->pid[u / 10 * 10]);
}

static enum qe_outcome body_fails_at_first(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) worker;
    return claim->attempt <= w->unit[claim->unit].retries ? QE_FAILED
                                                          : QE_PASSED;
}

static void a_retry_waits_for_its_worker(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS + 2, 3);
    w->body = body_fails_at_first;
    w->options.workers = 2;
    world_add_many(w, 6, 1, 0, 1);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
    for (uint32_t u = 0; u < 6; u++)
        assert_int_equal(w->unit[u].outcome, QE_FLAKY);
}

static void a_serial_unit_waits_for_its_worker(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS, 2);
    world_add_many(w, 3, 1, QE_UNIT_SERIAL, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
    assert_int_equal(told, 1);
}

static void isolated_units_wait_for_their_workers(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS + 3, 6);
    w->options.isolate = true;
    w->options.workers = 4;
    world_add_many(w, 20, 4, 0, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
    assert_int_equal(w->workers, 20);
}

static void a_stop_does_not_wait(void **state)
{
    struct world *w = *state;
    qe_event event;

    fork_fault_lay(OURS, EVER);
    w->options.workers = 3;
    world_add_many(w, 12, 4, 0, 0);
    world_start(w);
    world_until(w, QE_EV_REFUSED, QE__NONE, &event);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    world_finish(w);
    assert_int_equal(w->give_ups, 0);
}

static void the_supervisor_itself_is_refused(void **state)
{
    struct world *w = *state;
    qe_worker *worker;

    fork_fault_lay(0, 1);
    world_add_many(w, 1, 1, 0, 0);
    assert_int_equal(qe_plan_seal(w->plan), 0);
    assert_int_equal(
        qe_session_start(&w->session, &worker, w->plan, &w->options, NULL),
        QE_ESYS);
    assert_int_equal(errno, EAGAIN);
}

static void without_a_standby_the_run_goes_on(void **state)
{
    struct world *w = *state;

    fork_fault_lay(1, 1);
    w->options.workers = 2;
    world_add_many(w, 12, 4, 0, 0);
    world_run(w);
    assert_int_equal(told, 0);
}

/* The keeper's life: it forks what it is asked for. */
static void keep(struct world *w, qe_worker *worker)
{
    qe_worker *forked;
    uint32_t slot;
    qe_job job;

    qe_worker_job(worker, &job);
    if (!job.keeper)
        return;
    while (qe_keeper_wait(worker, &slot) == 1) {
        if (qe_keeper_fork(worker, slot, &forked) == 1)
            world_work(w, forked);
    }
    (void) qe_worker_bye(worker);
    _exit(0);
}

static void a_keeper_is_refused(void **state)
{
    struct world *w = *state;

    fork_fault_lay(OURS, 1);
    w->begin = keep;
    w->options.keeper = true;
    w->options.workers = 2;
    world_add_many(w, 12, 4, 0, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
}

/* Each worker takes two forks, of which either may fail. */
static void keeper_is_refused(struct world *w, int32_t skip)
{
    fork_fault_lay(OURS + 1 + skip, 3);
    w->begin = keep;
    w->options.keeper = true;
    w->options.workers = 2;
    world_add_many(w, 12, 4, 0, 0);
    world_run(w);
    assert_int_equal(atomic_load(&fork_fault->refused), 3);
    assert_int_equal(w->give_ups, 0);
}

static void a_keeper_is_refused_the_first_fork(void **state)
{
    keeper_is_refused(*state, 0);
}

static void a_keeper_is_refused_the_second_fork(void **state)
{
    keeper_is_refused(*state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(fewer_workers_run_everything),
        T(where_none_starts_it_is_tried_again),
        T(where_none_ever_starts_the_run_is_given_up),
        T(likewise_for_scopes_with_workers_of_their_own),
        T(a_fresh_scope_waits_for_its_worker),
        T(a_retry_waits_for_its_worker),
        T(a_serial_unit_waits_for_its_worker),
        T(isolated_units_wait_for_their_workers),
        T(a_stop_does_not_wait),
        T(the_supervisor_itself_is_refused),
        T(without_a_standby_the_run_goes_on),
        T(a_keeper_is_refused),
        T(a_keeper_is_refused_the_first_fork),
        T(a_keeper_is_refused_the_second_fork),
#undef T
    };

    return cmocka_run_group_tests_name("session_refusal", tests, NULL, NULL);
}
