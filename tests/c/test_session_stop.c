/* Runs that are stopped before their end. */
#include "session_world.h"

#include <signal.h>
#include <sys/wait.h>

/* Fails on its first attempts, as many as its retries allow. */
static enum qe_outcome body_fails_at_first(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) worker;
    return claim->attempt <= w->unit[claim->unit].retries ? QE_FAILED
                                                          : QE_PASSED;
}

static enum qe_outcome body_counts_failures(struct world *w, qe_worker *worker,
                                            const qe_claim *claim)
{
    struct shared *s = w->shared;

    if (claim->unit % 2 == 0)
        return QE_PASSED;
    NOTE(w, qe_worker_count_failure(worker) >= 0);
    if (atomic_fetch_add(&s->word[0], 1) + 1 == 3)
        atomic_store(&s->word[1], atomic_load(&s->all_starts));
    return QE_FAILED;
}

static void count_failures(struct world *w, uint32_t workers)
{
    uint32_t failed = 0, over;

    w->body = body_counts_failures;
    w->options.workers = workers;
    w->options.maxfail = 3;
    world_add_many(w, 200, 10, 0, 0);
    world_start(w);
    world_finish(w);
    for (uint32_t u = 0; u < 200; u++) {
        failed += w->unit[u].outcome == QE_FAILED;
        assert_int_equal(w->unit[u].finals, w->unit[u].starts);
    }
    /* Only what had started when the third was counted came to its end: a
     * start is noted just after it happened, once in each worker. */
    over = atomic_load(&w->shared->all_starts) -
           (uint32_t) atomic_load(&w->shared->word[1]);
    assert_in_range(failed, 3, 3 + workers - 1);
    assert_in_range(over, 0, workers - 1);
}

static void maxfail_stops_one_worker(void **state)
{
    struct world *w = *state;

    count_failures(w, 1);
    assert_int_equal(atomic_load(&w->shared->all_starts), 6);
}

static void maxfail_stops_all_workers(void **state)
{
    count_failures(*state, 4);
}

static enum qe_outcome body_stops(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) claim;
    if (atomic_fetch_add(&w->shared->gate[1], 1) == 10) {
        NOTE(w, qe_worker_stop(worker) == 0);
        atomic_store(&w->shared->gate[2], atomic_load(&w->shared->all_starts));
    }
    return QE_PASSED;
}

static void a_worker_can_stop_all(void **state)
{
    struct world *w = *state;
    uint32_t started;

    w->body = body_stops;
    w->options.workers = 4;
    world_add_many(w, 500, 10, 0, 0);
    world_start(w);
    world_finish(w);
    started = atomic_load(&w->shared->all_starts);
    /* What the others were in goes on to its end. */
    assert_in_range(started, 11, atomic_load(&w->shared->gate[2]) + 3);
    for (uint32_t u = 0; u < 500; u++)
        assert_int_equal(w->unit[u].finals,
                         atomic_load(&w->shared->finishes[u]));
}

static enum qe_outcome body_waits_at_gate(struct world *w, qe_worker *worker,
                                          const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

static void a_stop_lets_what_runs_end(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits_at_gate;
    w->options.workers = 2;
    world_add_many(w, 50, 1, 0, 0);
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, QE__NONE, &event);
    world_until(w, QE_EV_START, QE__NONE, &event);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    world_open(w, 0);
    world_finish(w);
    assert_int_equal(atomic_load(&w->shared->all_starts), 2);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->unit[1].outcome, QE_PASSED);
    assert_int_equal(w->exits, 2);
}

static void a_stop_drops_retries(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_fails_at_first;
    w->options.backoff_ns = UINT64_C(3600000000000);
    world_add_many(w, 2, 1, 0, 1);
    world_start(w);
    world_until(w, QE_EV_FINISH, 0, &event);
    world_until(w, QE_EV_FINISH, 1, &event);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    world_finish(w);
    assert_int_equal(w->unit[0].finals, 0);
    assert_int_equal(w->unit[0].starts, 1);
}

static enum qe_outcome body_sleeps(struct world *w, qe_worker *worker,
                                   const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    NOTE(w, world_wait_gate(w, 7)); /* which nobody opens */
    return QE_PASSED;
}

static void an_interrupt_reaches_what_runs(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_sleeps;
    w->options.workers = 2;
    world_add_many(w, 8, 1, 0, 3);
    world_start(w);
    world_until(w, QE_EV_START, QE__NONE, &event);
    world_until(w, QE_EV_START, QE__NONE, &event);
    assert_int_equal(qe_session_stop(w->session, true), 0);
    world_finish(w);
    for (uint32_t u = 0; u < 2; u++) {
        assert_int_equal(w->unit[u].outcome, QE_CRASHED);
        assert_true(WIFSIGNALED(w->unit[u].status) &&
                    WTERMSIG(w->unit[u].status) == SIGINT);
    }
}

static void a_kill_ends_what_runs(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_sleeps;
    w->options.workers = 2;
    w->options.max_restarts = 0;
    world_add_many(w, 8, 1, 0, 3);
    world_start(w);
    world_until(w, QE_EV_START, QE__NONE, &event);
    world_until(w, QE_EV_START, QE__NONE, &event);
    assert_int_equal(qe_session_kill(w->session), 0);
    world_finish(w);
    assert_int_equal(w->unit[0].outcome, QE_CRASHED);
    assert_int_equal(w->unit[1].outcome, QE_CRASHED);
    /* Those were asked for. */
    assert_int_equal(w->give_ups, 0);
}

static void closing_ends_what_runs(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_sleeps;
    w->options.workers = 2;
    world_add_many(w, 8, 1, 0, 3);
    world_start(w);
    world_until(w, QE_EV_START, QE__NONE, &event);
    qe_session_close(w->session);
    w->session = NULL;
    assert_true(world_reap_all(2000 * WORLD_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(maxfail_stops_one_worker), T(maxfail_stops_all_workers),
        T(a_worker_can_stop_all),    T(a_stop_lets_what_runs_end),
        T(a_stop_drops_retries),     T(an_interrupt_reaches_what_runs),
        T(a_kill_ends_what_runs),    T(closing_ends_what_runs),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
