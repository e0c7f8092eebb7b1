/* Which worker runs what and when: retries, serial units, scopes with a worker
 * of their own. */
#include "session_world.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "qe_util.h"
#include "scratch.h"

/* Fails on its first attempts, as many as its retries allow. */
static enum qe_outcome body_fails_at_first(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) worker;
    return claim->attempt <= w->unit[claim->unit].retries ? QE_FAILED
                                                          : QE_PASSED;
}

static enum qe_outcome body_fails(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) w;
    (void) worker;
    (void) claim;
    return QE_FAILED;
}

static void a_failed_attempt_runs_again_in_a_fresh_worker(void **state)
{
    struct world *w = *state;
    qe_event event;
    int32_t first;

    w->body = body_fails_at_first;
    world_add(w, NULL, 0, 1, 0);
    world_start(w);
    world_until(w, QE_EV_FINISH, 0, &event);
    assert_int_equal(event.outcome, QE_FAILED);
    assert_false(event.settled);
    first = atomic_load(&w->shared->pid[0]);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_FLAKY);
    assert_int_equal(w->unit[0].attempt, 2);
    assert_int_not_equal(atomic_load(&w->shared->pid[0]), first);
}

static void retries_end_with_the_last_failure(void **state)
{
    struct world *w = *state;

    w->body = body_fails;
    w->options.workers = 2;
    world_add_many(w, 6, 2, 0, 2);
    world_run(w);
    for (uint32_t u = 0; u < 6; u++) {
        assert_int_equal(w->unit[u].outcome, QE_FAILED);
        assert_int_equal(w->unit[u].starts, 3);
        assert_int_equal(atomic_load(&w->shared->starts[u]), 3);
    }
}

static void what_the_host_does_not_want_again_is_final(void **state)
{
    struct world *w = *state;

    w->body = body_fails;
    w->retryable = false;
    world_add_many(w, 2, 1, 0, 5);
    world_run(w);
    assert_int_equal(w->unit[1].outcome, QE_FAILED);
    assert_int_equal(w->unit[1].starts, 1);
}

static void settling_twice_is_refused(void **state)
{
    struct world *w = *state;
    enum qe_outcome final;
    qe_event event;
    bool again;

    w->body = body_fails_at_first;
    world_add(w, NULL, 0, 1, 0);
    world_start(w);
    world_until(w, QE_EV_FINISH, 0, &event);
    assert_int_equal(w->session->retries_waiting, 1);
    assert_int_equal(
        qe_session_settle(w->session, 0, 1, QE_FAILED, true, &again, &final),
        QE_ESTATE);
    assert_int_equal(w->session->retries_waiting, 1);
    world_finish(w);
    world_check(w);
}

static void a_retry_waits_out_its_backoff(void **state)
{
    struct world *w = *state;
    qe_event event;
    uint64_t failed;

    w->body = body_fails_at_first;
    w->options.backoff_ns = 80 * WORLD_MS; /* with jitter from 40 to 120 */
    world_add(w, NULL, 0, 1, 0);
    world_start(w);
    world_until(w, QE_EV_FINISH, 0, &event);
    failed = atomic_load(&w->shared->end_ns[0]);
    world_finish(w);
    world_check(w);
    assert_true(atomic_load(&w->shared->begin_ns[0]) - failed >= 40 * WORLD_MS);
    assert_int_equal(w->unit[0].outcome, QE_FLAKY);
}

/* Unit 0 fails at first; the others end one by one, so that their worker would
 * be busy for as long as unit 0 does not run again. */
static enum qe_outcome body_waits_for_the_retry(struct world *w,
                                                qe_worker *worker,
                                                const qe_claim *claim)
{
    struct shared *s = w->shared;

    (void) worker;
    if (claim->unit == 0)
        return claim->attempt == 1 ? QE_FAILED : QE_PASSED;
    if (atomic_load(&s->starts[0]) < 2)
        atomic_fetch_add(&s->word[0], 1);
    world_pause();
    return QE_PASSED;
}

static void a_retry_does_not_wait_for_the_queues_to_end(void **state)
{
    struct world *w = *state;
    uint32_t n = 400;

    w->body = body_waits_for_the_retry;
    w->options.workers = 2;
    world_add_many(w, n, 1, 0, 1);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_FLAKY);
    /* Far less than all of them ran before it. */
    assert_true(atomic_load(&w->shared->word[0]) < n / 2);
    assert_true(atomic_load(&w->shared->most_at_once) <= 2);
}

static enum qe_outcome body_fails_often(struct world *w, qe_worker *worker,
                                        const qe_claim *claim)
{
    (void) w;
    (void) worker;
    for (uint32_t i = 0; i < claim->unit % 4; i++)
        world_pause();
    return claim->unit % 3 == 0 && claim->attempt < 3 ? QE_FAILED : QE_PASSED;
}

static void no_more_attempts_run_at_once_than_workers(void **state)
{
    struct world *w = *state;

    w->body = body_fails_often;
    w->options.workers = 3;
    w->options.backoff_ns = 2 * WORLD_MS;
    world_add_many(w, 150, 3, 0, 2);
    world_run(w);
    for (uint32_t u = 0; u < 150; u++)
        assert_int_equal(w->unit[u].starts, u % 3 == 0 ? 3 : 1);
    assert_true(atomic_load(&w->shared->most_at_once) <= 3);
}

/* -------------------------------------------------------------- serial units */

static enum qe_outcome body_alone(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    struct shared *s = w->shared;

    (void) worker;
    for (uint32_t i = 0; i < 1 + claim->unit % 3; i++) {
        if ((w->unit[claim->unit].flags & QE_UNIT_SERIAL) != 0)
            NOTE(w, atomic_load(&s->at_once) == 1);
        world_pause();
    }
    return claim->unit % 4 == 0 && claim->attempt == 1 ? QE_FAILED : QE_PASSED;
}

static void serial_units_run_alone_and_last(void **state)
{
    struct world *w = *state;
    uint32_t last_other = 0, first_serial = UINT32_MAX;

    w->body = body_passes;
    w->options.workers = 4;
    for (uint32_t i = 0; i < 40; i++)
        world_add(w, i % 2 != 0 ? "even" : NULL,
                  i % 3 == 0 ? QE_UNIT_SERIAL : 0, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 40; u++) {
        uint32_t at = atomic_load(&w->shared->sequence[u]);

        if (w->unit[u].flags != 0)
            first_serial = at < first_serial ? at : first_serial;
        else
            last_other = at > last_other ? at : last_other;
    }
    assert_true(first_serial > last_other);
}

static void serial_units_run_alone_among_retries(void **state)
{
    struct world *w = *state;

    w->body = body_alone;
    w->options.workers = 4;
    w->options.backoff_ns = 3 * WORLD_MS;
    for (uint32_t i = 0; i < 60; i++)
        world_add(w, NULL, i % 5 == 0 ? QE_UNIT_SERIAL : 0, 1, 0);
    world_run(w);
    for (uint32_t u = 0; u < 60; u++)
        assert_int_equal(w->unit[u].outcome, u % 4 == 0 ? QE_FLAKY : QE_PASSED);
}

static enum qe_outcome body_alone_or_dies(struct world *w, qe_worker *worker,
                                          const qe_claim *claim)
{
    uint64_t random = w->seed ^ (uint64_t) claim->unit << 8 ^ claim->attempt;
    uint64_t dice = qe__random(&random);

    if (dice % 3 == 0 && (w->unit[claim->unit].flags & QE_UNIT_SERIAL) == 0) {
        (void) poll(NULL, 0, (int) (dice / 3 % 4));
        atomic_fetch_sub(&w->shared->at_once, 1);
        (void) raise(SIGKILL);
    }
    return body_alone(w, worker, claim);
}

static void serial_units_run_alone_among_crashes(void **state)
{
    for (uint64_t seed = 1; seed <= (scratch_slow() ? 1 : 8); seed++) {
        struct world *w = *state;

        w->seed = seed;
        w->body = body_alone_or_dies;
        w->options.workers = 3;
        world_add_many(w, 20, 4, QE_UNIT_TOGETHER, 1);
        world_add_many(w, 16, 4, 0, 2);
        world_add_many(w, 8, 4, QE_UNIT_FRESH, 1);
        world_add_many(w, 6, 1, QE_UNIT_SERIAL, 1);
        world_run(w);
        assert_true(atomic_load(&w->shared->most_at_once) <= 3);
        assert_int_equal(world_teardown(state), 0);
        assert_int_equal(world_setup(state), 0);
    }
}

/* A worker that was asked to rest, so that a retry could start, and was not
 * needed for it after all: it must not sleep over a serial unit. */
static enum qe_outcome body_rests(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) worker;
    if (claim->unit == 0 && claim->attempt == 1) { /* fails beside unit 1 */
        NOTE(w, world_wait_gate(w, 1));
        return QE_FAILED;
    }
    if (claim->unit == 1) {
        world_open(w, 1);
        NOTE(w, world_wait_gate(w, 2));
    }
    if (claim->unit == 2)
        NOTE(w, world_wait_gate(w, 0));
    if (claim->unit == 0)
        NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

static void a_worker_that_was_asked_to_rest_takes_a_serial_unit(void **state)
{
    struct world *w = *state;
    qe_event event;
    const qe__ring *ring;
    pid_t guest;

    w->body = body_rests;
    w->options.workers = 2;
    world_add(w, "a", 0, 1, 0); /* slot 0, fails */
    world_add(w, "b", 0, 0, 0); /* slot 1 */
    world_add(w, "a", 0, 0, 0); /* slot 0, after unit 0 */
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    world_start(w);
    /* Slot 0 is in unit 2 and asked to rest; then slot 1 is free first. */
    WORLD_WAIT(atomic_load(&w->shared->starts[2]) == 1);
    do
        world_next(w, &event);
    while (w->unit[1].starts == 0 || w->unit[2].starts == 0);
    WORLD_WAIT(qe_session_next(w->session, 0, &event) == 0 &&
               event.kind == QE_EV_NONE &&
               atomic_load(&w->session->exec.arena.slots[0].park) == 1);
    world_open(w, 2);
    do
        world_next(w, &event);
    while (event.kind != QE_EV_START || event.attempt != 2);
    guest = event.pid;
    assert_true(event.slot >= 2);
    /* Both end; the host looks only when all that they said is there. */
    world_open(w, 0);
    WORLD_WAIT(!world_runs(guest) && world_parent(guest) == 0);
    ring = &w->session->exec.arena.rings[0];
    WORLD_WAIT(atomic_load(&ring->written) - atomic_load(&ring->taken) >=
               2 * sizeof(qe__frame));
    world_finish(w);
    world_check(w);
}

/* --------------------------------------------------- workers of their own */

static void a_fresh_scope_has_one_worker_of_its_own(void **state)
{
    struct world *w = *state;
    struct shared *s = w->shared;

    w->options.workers = 3;
    world_add_many(w, 8, 2, 0, 0);
    world_add_many(w, 12, 4, QE_UNIT_FRESH, 0);
    world_run(w);
    for (uint32_t u = 8; u < 20; u++) {
        uint32_t first = 8 + (u - 8) / 4 * 4;

        assert_int_equal(s->pid[u], s->pid[first]);
        if (u > 8 && u != first)
            assert_true(s->sequence[u] > s->sequence[u - 1]);
        for (uint32_t v = 0; v < 20; v++)
            if (v < first || v >= first + 4)
                assert_int_not_equal(s->pid[u], s->pid[v]);
    }
    assert_int_equal(w->workers, 6);
}

static void a_retry_within_a_fresh_scope_runs_that_unit_alone(void **state)
{
    struct world *w = *state;

    w->body = body_fails_at_first;
    w->options.workers = 2;
    world_add_many(w, 4, 4, QE_UNIT_FRESH, 1);
    world_add_many(w, 4, 4, QE_UNIT_FRESH, 0);
    world_run(w);
    for (uint32_t u = 0; u < 8; u++) {
        assert_int_equal(w->unit[u].outcome, u < 4 ? QE_FLAKY : QE_PASSED);
        assert_int_equal(atomic_load(&w->shared->starts[u]), u < 4 ? 2 : 1);
    }
}

static void a_scope_kept_together_stays_in_one_worker(void **state)
{
    struct world *w = *state;
    struct shared *s = w->shared;

    w->options.workers = 4;
    world_add_many(w, 120, 12, QE_UNIT_TOGETHER, 0);
    world_run(w);
    for (uint32_t u = 0; u < 120; u++) {
        assert_int_equal(s->pid[u], s->pid[u / 12 * 12]);
        if (u % 12 != 0)
            assert_true(s->sequence[u] > s->sequence[u - 1]);
    }
}

static void no_scope_is_split_where_that_was_asked(void **state)
{
    struct world *w = *state;
    struct shared *s = w->shared;

    w->options.workers = 4;
    w->options.steal_scopes = true;
    world_add_many(w, 200, 25, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 200; u++)
        assert_int_equal(s->pid[u], s->pid[u / 25 * 25]);
}

/* Unit 0 ends when all others have: one worker runs them all. */
static enum qe_outcome body_first_ends_last(struct world *w, qe_worker *worker,
                                            const qe_claim *claim)
{
    struct shared *s = w->shared;
    uint64_t until = qe_now_ns() + world_patience_ns();

    (void) worker;
    while (claim->unit == 0 && atomic_load(&s->all_starts) < w->units &&
           qe_now_ns() < until)
        world_pause();
    return QE_PASSED;
}

static void in_order_scopes_begin_as_planned(void **state)
{
    struct world *w = *state;
    struct shared *s = w->shared;

    w->body = body_first_ends_last;
    w->options.workers = 2;
    w->options.in_order = true;
    world_add_many(w, 40, 1, 0, 0);
    world_run(w);
    for (uint32_t u = 2; u < 40; u++)
        assert_true(s->sequence[u] > s->sequence[u - 1]);
}

static void isolation_gives_every_unit_a_worker(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    w->options.isolate = true;
    world_add_many(w, 30, 5, 0, 0);
    world_run(w);
    assert_int_equal(w->workers, 30);
    for (uint32_t u = 0; u < 30; u++)
        for (uint32_t v = 0; v < u; v++)
            assert_int_not_equal(atomic_load(&w->shared->pid[u]),
                                 atomic_load(&w->shared->pid[v]));
    assert_true(atomic_load(&w->shared->most_at_once) <= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(a_failed_attempt_runs_again_in_a_fresh_worker),
        T(retries_end_with_the_last_failure),
        T(what_the_host_does_not_want_again_is_final),
        T(settling_twice_is_refused),
        T(a_retry_waits_out_its_backoff),
        T(a_retry_does_not_wait_for_the_queues_to_end),
        T(no_more_attempts_run_at_once_than_workers),
        T(serial_units_run_alone_and_last),
        T(serial_units_run_alone_among_retries),
        T(serial_units_run_alone_among_crashes),
        T(a_worker_that_was_asked_to_rest_takes_a_serial_unit),
        T(a_fresh_scope_has_one_worker_of_its_own),
        T(a_retry_within_a_fresh_scope_runs_that_unit_alone),
        T(a_scope_kept_together_stays_in_one_worker),
        T(no_scope_is_split_where_that_was_asked),
        T(in_order_scopes_begin_as_planned),
        T(isolation_gives_every_unit_a_worker),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
