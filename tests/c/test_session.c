/* Runs of a session in which no process dies before its time. */
#include "session_world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "scratch.h"

static void run_of(struct world *w, uint32_t workers, uint32_t units,
                   uint32_t units_a_scope)
{
    w->options.workers = workers;
    world_add_many(w, units, units_a_scope, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < units; u++) {
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
        assert_int_equal(atomic_load(&w->shared->starts[u]), 1);
        assert_int_equal(atomic_load(&w->shared->finishes[u]), 1);
        assert_int_equal(w->unit[u].starts, 1);
    }
    assert_int_equal(w->workers, workers < units ? workers : units);
    assert_int_equal(w->exits, w->workers);
    assert_true(atomic_load(&w->shared->most_at_once) <= workers);
}

static enum qe_outcome body_waits(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

/* The loop's idea of the time is as old as its last turn. An alarm ends the
 * test if a wait has no end. */
static void a_wait_ends_in_time_also_for_a_busy_host(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits;
    world_add_many(w, 1, 1, 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    (void) alarm(60);
    for (int i = 0; i < 5; i++) {
        do {
            (void) poll(NULL, 0, 20);
            world_poll(w, &event);
        } while (event.kind != QE_EV_NONE);
        (void) poll(NULL, 0, 20);
        assert_int_equal(qe_session_next(w->session, 5, &event), 0);
        assert_int_equal(event.kind, QE_EV_NONE);
    }
    (void) alarm(0);
    world_open(w, 0);
    world_finish(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
}

static void a_plan_without_units_is_done_at_once(void **state)
{
    struct world *w = *state;
    qe_event event;

    world_run(w);
    assert_int_equal(w->events, 1);
    /* And stays so. */
    memset(&event, 0xff, sizeof(event));
    assert_int_equal(qe_session_next(w->session, 0, &event), 0);
    assert_int_equal(event.kind, QE_EV_DONE);
    assert_int_equal(event.unit, QE__NONE);
}

static void one_worker_runs_one_unit(void **state)
{
    run_of(*state, 1, 1, 1);
}

static void one_worker_runs_many_units(void **state)
{
    run_of(*state, 1, (uint32_t) scratch_scaled(2000), 7);
}

static void two_workers_run_many_units(void **state)
{
    run_of(*state, 2, (uint32_t) scratch_scaled(2000), 13);
}

static void eight_workers_run_many_units(void **state)
{
    run_of(*state, 8, (uint32_t) scratch_scaled(2000), 5);
}

static void eight_workers_run_one_large_scope(void **state)
{
    run_of(*state, 8, (uint32_t) scratch_scaled(500), 500);
}

static void more_workers_than_units_are_not_started(void **state)
{
    run_of(*state, 8, 3, 1);
}

static enum qe_outcome body_waits_for_all(struct world *w, qe_worker *worker,
                                          const qe_claim *claim)
{
    uint64_t until = qe_now_ns() + world_patience_ns();

    (void) worker;
    (void) claim;
    while (atomic_load(&w->shared->all_starts) < w->units &&
           qe_now_ns() < until)
        (void) poll(NULL, 0, 100); /* hundreds do */
    NOTE(w, atomic_load(&w->shared->all_starts) == w->units);
    return QE_PASSED;
}

static void hundreds_of_workers_run_at_once(void **state)
{
    struct world *w = *state;
    uint32_t n = scratch_slow() ? 12 : 400;

    w->options.workers = n;
    w->body = body_waits_for_all;
    world_add_many(w, n, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->workers, n);
    assert_int_equal(atomic_load(&w->shared->most_at_once), n);
}

/* ------------------------------------------------------------------- events */

static enum qe_outcome body_tells(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    static const char text[] = "what the host encoded";

    (void) w;
    NOTE(w, qe_worker_passed(worker, QE_PHASE_SETUP, 12.5, 0.125) == 0);
    NOTE(w, qe_worker_send(worker, 7, text, sizeof(text)) == 0);
    NOTE(w, qe_worker_send(worker, 8, NULL, 0) == 0);
    return claim->unit == 1 ? QE_SKIPPED : QE_PASSED;
}

static void check_tells(struct world *w, const qe_event *e)
{
    uint64_t *seen = (uint64_t *) (void *) &w->random;

    assert_true(e->kind == QE_EV_DONE || e->slot == 0);
    if (e->kind == QE_EV_PASSED) {
        assert_int_equal(e->phase, QE_PHASE_SETUP);
        assert_true(e->start_s == 12.5 && e->duration_s == 0.125);
        *seen += 1;
    } else if (e->kind == QE_EV_DATA && e->data_kind == 7) {
        assert_int_equal(e->data_size, 22);
        assert_string_equal(e->data, "what the host encoded");
        *seen += 100;
    } else if (e->kind == QE_EV_DATA) {
        assert_int_equal(e->data_kind, 8);
        assert_int_equal(e->data_size, 0);
        *seen += 10000;
    } else if (e->kind == QE_EV_FINISH) {
        assert_true(e->settled);
        assert_true(e->duration_s >= 0 && e->cpu_s >= 0);
        assert_true(e->peak_bytes > 0);
        assert_int_equal(e->attempt, 1);
    } else if (e->kind == QE_EV_EXIT) {
        assert_true(WIFEXITED(e->status) && WEXITSTATUS(e->status) == 0);
        assert_int_equal(e->outcome, QE_NONE);
        assert_true(e->pid > 0);
    }
}

static void what_a_worker_sends_arrives(void **state)
{
    struct world *w = *state;

    w->body = body_tells;
    w->on_event = check_tells;
    w->options.peak_memory = true;
    world_add_many(w, 3, 2, 0, 0);
    world_run(w);
    assert_int_equal(w->random, 30303);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->unit[1].outcome, QE_SKIPPED);
}

#define LARGE ((size_t) 5 << 20)

static enum qe_outcome body_sends_much(struct world *w, qe_worker *worker,
                                       const qe_claim *claim)
{
    char *data = malloc(LARGE);

    memset(data, (int) claim->unit + 1, LARGE);
    NOTE(w, qe_worker_send(worker, 1, data, LARGE) == 0);
    free(data);
    return QE_PASSED;
}

static void check_much(struct world *w, const qe_event *e)
{
    const char *data = e->data;

    if (e->kind == QE_EV_DATA) {
        assert_int_equal(e->data_size, LARGE);
        assert_int_equal(data[0], e->unit + 1);
        assert_memory_equal(data, data + 1, LARGE - 1);
        w->random++;
    }
}

static void a_message_larger_than_the_ring_arrives_whole(void **state)
{
    struct world *w = *state;

    w->body = body_sends_much;
    w->on_event = check_much;
    w->options.workers = 2;
    world_add_many(w, 6, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->random, 6);
}

static enum qe_outcome body_looks_ahead(struct world *w, qe_worker *worker,
                                        const qe_claim *claim)
{
    qe_claim next;
    bool last = claim->unit + 1 == w->units;

    NOTE(w, qe_worker_peek(worker, &next) == !last);
    NOTE(w, last || next.unit == claim->unit + 1);
    NOTE(w, qe_worker_is_last(worker) == last);
    NOTE(w, claim->item == claim->unit * 3 && claim->attempt == 1);
    /* What is not in order is refused, and does no harm. */
    NOTE(w, qe_worker_start(worker, claim) == QE_ESTATE);
    return QE_PASSED;
}

static void a_worker_sees_what_comes_next(void **state)
{
    struct world *w = *state;

    w->body = body_looks_ahead;
    world_add_many(w, 20, 4, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 20; u++)
        assert_int_equal(atomic_load(&w->shared->sequence[u]), u + 1);
}

static enum qe_outcome body_waits_at_gate(struct world *w, qe_worker *worker,
                                          const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

static void what_runs_now_can_be_seen(void **state)
{
    struct world *w = *state;
    qe_event running[4], event;
    char text[8];
    size_t done, all;

    w->options.workers = 2;
    w->body = body_waits_at_gate;
    world_add_many(w, 3, 1, 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, QE__NONE, &event);
    world_until(w, QE_EV_START, QE__NONE, &event);
    WORLD_WAIT(qe_session_running(w->session, running, 4) == 2 &&
               running[0].phase == QE_PHASE_CALL &&
               running[1].phase == QE_PHASE_CALL);
    assert_true(running[0].duration_s >= running[1].duration_s);
    assert_int_equal(running[0].item, running[0].unit * 3);
    assert_int_equal(qe_session_running(w->session, running, 1), 1);
    assert_int_equal(qe_session_captured(w->session, 0, 0, text, 8), 0);
    assert_int_equal(qe_session_captured(w->session, 99, 0, text, 8), 0);
    assert_int_equal(qe_session_captured(w->session, 0, 2, text, 8), 0);
    qe_session_progress(w->session, &done, &all);
    assert_int_equal(done, 0);
    assert_int_equal(all, 3);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(qe_session_running(w->session, running, 4), 0);
}

static enum qe_outcome body_prints(struct world *w, qe_worker *worker,
                                   const qe_claim *claim)
{
    qe_job job;

    (void) claim;
    qe_worker_job(worker, &job);
    NOTE(w, write(job.capture_fd[0], "to stdout", 9) == 9);
    NOTE(w, write(job.capture_fd[1], "to stderr", 9) == 9);
    atomic_store(&w->shared->word[0], 1);
    NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

static void what_a_test_prints_can_be_read_while_it_runs(void **state)
{
    struct world *w = *state;
    char text[16] = "";

    w->body = body_prints;
    world_add(w, NULL, 0, 0, 0);
    world_start(w);
    WORLD_WAIT(atomic_load(&w->shared->word[0]) == 1);
    assert_int_equal(qe_session_captured(w->session, 0, 0, text, 16), 9);
    assert_memory_equal(text, "to stdout", 9);
    assert_int_equal(qe_session_captured(w->session, 0, 1, text, 6), 6);
    assert_memory_equal(text, "stderr", 6);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
}

/* ------------------------------------------------------------------- options */

static void bad_options_give_codes(void **state)
{
    struct world *w = *state;
    qe_options options = w->options;
    qe_worker *worker = NULL;
    qe_session *session = (qe_session *) w;

    world_add(w, NULL, 0, 0, 0);
    /* The plan is not sealed. */
    assert_int_equal(
        qe_session_start(&session, &worker, w->plan, &options, NULL),
        QE_ESTATE);
    assert_null(session);
    assert_int_equal(qe_plan_seal(w->plan), 0);
    options.workers = 0;
    assert_int_equal(
        qe_session_start(&session, &worker, w->plan, &options, NULL),
        QE_EINVAL);
    options.workers = 1025;
    assert_int_equal(
        qe_session_start(&session, &worker, w->plan, &options, NULL),
        QE_EINVAL);
    options.workers = 1;
    options.start = QE_START_SPAWN;
    assert_int_equal(
        qe_session_start(&session, &worker, w->plan, &options, NULL),
        QE_EINVAL);
    assert_null(session);
    assert_null(worker);
    qe_session_close(NULL);
}

static void a_thousand_workers_are_accepted(void **state)
{
    struct world *w = *state;

    w->options.workers = 1024;
    world_add_many(w, 2, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->workers, 2);
}

static void too_few_descriptors_are_an_error_and_leak_none(void **state)
{
    struct world *w = *state;
    struct rlimit old, few;
    qe_worker *worker = NULL;
    size_t leaked = 0;
    rlim_t limit;

    if (scratch_slow())
        skip(); /* valgrind has a limit on descriptors of its own */
    w->options.workers = 4;
    world_add_many(w, 4, 1, 0, 0);
    assert_int_equal(qe_plan_seal(w->plan), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    /* Every count of descriptors up to those that a session needs: the arena,
     * a bell, three for each of eight slots, a socket pair. */
    for (limit = w->open_before + 25; limit > w->open_before - 4; limit--) {
        few = old;
        few.rlim_cur = limit;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        errno = 0;
        int status =
            qe_session_start(&w->session, &worker, w->plan, &w->options, NULL);
        int saved = errno;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(status, QE_ESYS);
        assert_int_equal(saved, EMFILE);
        assert_null(w->session);
        assert_true(world_reap_all(world_patience_ns()));
        /* Where it finds room for its epoll descriptor but not for the next
         * one, uv_loop_init of libuv 1.44 leaves the first open. */
        leaked = world_open_descriptors() - w->open_before;
        assert_true(leaked <= 1);
    }
    w->open_before += leaked;
}

static void settling_out_of_order_is_refused(void **state)
{
    struct world *w = *state;
    enum qe_outcome final;
    bool again;

    world_add_many(w, 2, 1, 0, 0);
    world_run(w);
    assert_int_equal(
        qe_session_settle(w->session, 0, 1, QE_PASSED, true, &again, &final),
        QE_ESTATE);
    assert_int_equal(
        qe_session_settle(w->session, 2, 1, QE_PASSED, true, &again, &final),
        QE_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(a_plan_without_units_is_done_at_once),
        T(a_wait_ends_in_time_also_for_a_busy_host),
        T(one_worker_runs_one_unit),
        T(one_worker_runs_many_units),
        T(two_workers_run_many_units),
        T(eight_workers_run_many_units),
        T(eight_workers_run_one_large_scope),
        T(more_workers_than_units_are_not_started),
        T(hundreds_of_workers_run_at_once),
        T(what_a_worker_sends_arrives),
        T(a_message_larger_than_the_ring_arrives_whole),
        T(a_worker_sees_what_comes_next),
        T(what_runs_now_can_be_seen),
        T(what_a_test_prints_can_be_read_while_it_runs),
        T(bad_options_give_codes),
        T(a_thousand_workers_are_accepted),
        T(too_few_descriptors_are_an_error_and_leak_none),
        T(settling_out_of_order_is_refused),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
