/* Time limits: what hangs is killed, and only that. */
#include "session_world.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

/* The machine may be slow, and valgrind is. */
static uint64_t lag_ns(void)
{
    return (scratch_slow() ? 5000 : 250) * WORLD_MS;
}

static void spin(struct world *w)
{
    uint64_t until = qe_now_ns() + world_patience_ns();
    volatile uint64_t n = 0;

    while (qe_now_ns() < until)
        n++;
    NOTE(w, false);
}

static enum qe_outcome body_spins_in_unit_1(struct world *w, qe_worker *worker,
                                            const qe_claim *claim)
{
    (void) worker;
    if (claim->unit == 1 && claim->attempt == 1)
        spin(w);
    return QE_PASSED;
}

static enum qe_outcome body_spins_deaf(struct world *w, qe_worker *worker,
                                       const qe_claim *claim)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int s = 1; s < NSIG; s++)
        (void) signal(s, SIG_IGN);
    return body_spins_in_unit_1(w, worker, claim);
}

static int stack_fd;

static void on_stack(int sig)
{
    (void) sig;
    (void) !write(stack_fd, "here is the stack\n", 18);
}

static enum qe_outcome body_spins_with_stack(struct world *w, qe_worker *worker,
                                             const qe_claim *claim)
{
    qe_job job;

    qe_worker_job(worker, &job);
    stack_fd = job.stack_fd;
    (void) signal(job.stack_signal, on_stack);
    return body_spins_in_unit_1(w, worker, claim);
}

struct loss {
    uint64_t seen_ns;
    char stack[64];
    enum qe_outcome outcome;
};

static struct loss loss;

static void see_loss(struct world *w, const qe_event *e)
{
    (void) w;
    if (e->kind == QE_EV_LOST) {
        loss.seen_ns = qe_now_ns();
        loss.outcome = e->outcome;
        snprintf(loss.stack, sizeof(loss.stack), "%s",
                 e->data != NULL ? (const char *) e->data : "");
        assert_true(e->data_size < sizeof(loss.stack));
    }
}

static void run_with_a_spin(struct world *w, world_body *body, uint32_t retries)
{
    uint64_t limit = 100 * WORLD_MS, took;

    memset(&loss, 0, sizeof(loss));
    w->body = body;
    w->on_event = see_loss;
    w->options.workers = 2;
    for (uint32_t u = 0; u < 6; u++)
        world_add(w, "all", 0, retries, u == 1 ? limit : 0);
    world_run(w);
    took = loss.seen_ns - atomic_load(&w->shared->begin_ns[1]);
    assert_int_equal(loss.outcome, QE_TIMEOUT);
    assert_true(took >= limit - WORLD_MS);
    assert_true(retries > 0 || took < limit + lag_ns());
    assert_true(WIFSIGNALED(w->unit[1].status) &&
                WTERMSIG(w->unit[1].status) == SIGKILL);
    assert_int_equal(w->unit[1].losses, 1);
    assert_int_equal(w->unit[1].outcome, retries > 0 ? QE_FLAKY : QE_TIMEOUT);
    assert_int_equal(w->give_ups, 0);
}

static void a_unit_that_spins_is_killed_at_its_limit(void **state)
{
    run_with_a_spin(*state, body_spins_in_unit_1, 0);
    /* Under valgrind a process blocks all signals but in calls. */
    if (!scratch_slow())
        assert_string_equal(loss.stack, "");
}

static void a_worker_that_ignores_signals_is_killed_too(void **state)
{
    run_with_a_spin(*state, body_spins_deaf, 0);
    assert_string_equal(loss.stack, "no stack: signal blocked\n");
}

static void a_stack_is_asked_for_before_the_kill(void **state)
{
    run_with_a_spin(*state, body_spins_with_stack, 0);
    if (!scratch_slow())
        assert_string_equal(loss.stack, "here is the stack\n");
}

static void a_timeout_can_be_retried(void **state)
{
    struct world *w = *state;

    w->options.max_restarts = 0; /* a timeout is no crash */
    run_with_a_spin(w, body_spins_in_unit_1, 1);
}

static void the_limit_holds_while_the_host_is_busy(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_spins_in_unit_1;
    world_add_many(w, 1, 1, 0, 0);
    world_add(w, NULL, 0, 0, 50 * WORLD_MS);
    world_start(w);
    world_until(w, QE_EV_START, 1, &event);
    /* The host asks for nothing, and still the worker goes. */
    WORLD_WAIT(atomic_load(&w->shared->pid[1]) != 0);
    WORLD_WAIT(!world_runs(atomic_load(&w->shared->pid[1])));
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[1].outcome, QE_TIMEOUT);
}

static enum qe_outcome body_is_slow_outside_the_call(struct world *w,
                                                     qe_worker *worker,
                                                     const qe_claim *claim)
{
    (void) w;
    (void) claim;
    (void) qe_worker_phase(worker, QE_PHASE_TEARDOWN);
    (void) poll(NULL, 0, 300);
    return QE_PASSED;
}

static void the_limit_may_be_for_the_call_alone(void **state)
{
    struct world *w = *state;

    w->body = body_is_slow_outside_the_call;
    w->options.func_only = true;
    world_add(w, NULL, 0, 0, 100 * WORLD_MS);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
}

static void the_limit_is_for_the_teardown_too(void **state)
{
    struct world *w = *state;

    w->body = body_is_slow_outside_the_call;
    world_add(w, NULL, 0, 0, 100 * WORLD_MS);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_TIMEOUT);
    assert_int_equal(w->unit[0].phase, QE_PHASE_TEARDOWN);
}

#define LARGE ((size_t) 8 << 20)

static enum qe_outcome body_blocks(struct world *w, qe_worker *worker,
                                   const qe_claim *claim)
{
    char *data = calloc(1, LARGE);

    (void) claim;
    atomic_store(&w->shared->word[0], 1);
    NOTE(w, data != NULL && qe_worker_send(worker, 1, data, LARGE) == 0);
    free(data);
    return QE_PASSED;
}

static void time_blocked_on_a_full_ring_does_not_count(void **state)
{
    struct world *w = *state;
    uint64_t until;

    w->body = body_blocks;
    world_add(w, NULL, 0, 0, 100 * WORLD_MS * (scratch_slow() ? 20 : 1));
    world_start(w);
    WORLD_WAIT(atomic_load(&w->session->exec.arena.slots[0].blocked_ns) != 0);
    /* The host is away for several times the limit: here it is the time that
     * the promise is about. */
    until = qe_now_ns() + 500 * WORLD_MS * (scratch_slow() ? 10 : 1);
    while (qe_now_ns() < until)
        world_pause();
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
}

static void end_hangs(struct world *w, qe_worker *worker)
{
    (void) worker;
    spin(w);
}

static enum qe_phase exit_phase;
static enum qe_outcome exit_outcome;

static void see_exit(struct world *w, const qe_event *e)
{
    (void) w;
    if (e->kind == QE_EV_EXIT) {
        exit_phase = e->phase;
        exit_outcome = e->outcome;
    }
}

static void a_session_teardown_that_hangs_is_killed(void **state)
{
    struct world *w = *state;

    w->end = end_hangs;
    w->on_event = see_exit;
    w->options.workers = 2;
    w->options.session_timeout_ns = 100 * WORLD_MS;
    world_add_many(w, 6, 3, 0, 0);
    world_run(w);
    assert_int_equal(w->session_losses, w->workers);
    assert_int_equal(exit_phase, QE_PHASE_SESSION);
    assert_int_equal(exit_outcome, QE_TIMEOUT);
}

static void end_dies(struct world *w, qe_worker *worker)
{
    (void) w;
    (void) worker;
    (void) raise(SIGKILL);
}

static void a_session_teardown_that_dies_is_told(void **state)
{
    struct world *w = *state;

    w->end = end_dies;
    w->on_event = see_exit;
    world_add_many(w, 6, 3, 0, 0);
    world_run(w);
    assert_int_equal(w->session_losses, 1);
    assert_int_equal(exit_phase, QE_PHASE_SESSION);
    assert_int_equal(exit_outcome, QE_CRASHED);
}

static enum qe_outcome body_waits(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

/* By /proc: R, S, T and so on. */
static char state_of(pid_t pid)
{
    char path[40], text[512];
    const char *at;
    FILE *file;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    file = fopen(path, "r");
    assert_non_null(file);
    n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    at = strrchr(text, ')');
    assert_non_null(at);
    return at[2];
}

static void run_paused(struct world *w, bool and_on)
{
    uint64_t limit = 2 * lag_ns();
    uint64_t until;

    w->body = body_waits;
    w->options.workers = 2;
    for (uint32_t u = 0; u < 2; u++)
        world_add(w, NULL, 0, 0, limit);
    world_start(w);
    WORLD_WAIT(atomic_load(&w->shared->starts[0]) == 1 &&
               atomic_load(&w->shared->starts[1]) == 1);
    for (int i = 0; i < 2; i++) /* the second says nothing new */
        assert_int_equal(qe_session_pause(w->session, true), 0);
    for (uint32_t u = 0; u < 2; u++)
        WORLD_WAIT(state_of(atomic_load(&w->shared->pid[u])) == 'T');
    until = qe_now_ns() + 3 * limit / 2;
    while (qe_now_ns() < until)
        world_pause();
    for (uint32_t u = 0; u < 2; u++)
        assert_int_equal(state_of(atomic_load(&w->shared->pid[u])), 'T');
    if (!and_on)
        return;
    for (int i = 0; i < 2; i++)
        assert_int_equal(qe_session_pause(w->session, false), 0);
}

static void a_pause_takes_no_time(void **state)
{
    struct world *w = *state;

    run_paused(w, true);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->unit[1].outcome, QE_PASSED);
}

static void a_limit_holds_after_a_pause(void **state)
{
    struct world *w = *state;

    run_paused(w, true);
    world_finish(w);
    assert_int_equal(w->unit[0].outcome, QE_TIMEOUT);
    assert_int_equal(w->unit[1].outcome, QE_TIMEOUT);
}

static void what_is_held_can_be_killed(void **state)
{
    struct world *w = *state;

    run_paused(w, false);
    assert_int_equal(qe_session_kill(w->session), 0);
    world_finish(w);
    assert_int_equal(w->unit[0].losses, 1);
    assert_int_equal(w->unit[1].losses, 1);
}

static enum qe_outcome body_is_looked_into(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    uint64_t until = qe_now_ns() + 2 * lag_ns();

    if (claim->unit != 0)
        return body_spins_in_unit_1(w, worker, claim);
    NOTE(w, qe_worker_unlimited(worker) == 0);
    while (qe_now_ns() < until)
        world_pause();
    return QE_PASSED;
}

static void a_limit_can_be_lifted_from_one_attempt(void **state)
{
    struct world *w = *state;

    w->body = body_is_looked_into;
    for (uint32_t u = 0; u < 2; u++)
        world_add(w, "all", 0, 0, lag_ns());
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->unit[1].outcome, QE_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(a_unit_that_spins_is_killed_at_its_limit),
        T(a_worker_that_ignores_signals_is_killed_too),
        T(a_stack_is_asked_for_before_the_kill),
        T(a_timeout_can_be_retried),
        T(the_limit_holds_while_the_host_is_busy),
        T(the_limit_may_be_for_the_call_alone),
        T(the_limit_is_for_the_teardown_too),
        T(time_blocked_on_a_full_ring_does_not_count),
        T(a_session_teardown_that_hangs_is_killed),
        T(a_session_teardown_that_dies_is_told),
        T(a_limit_can_be_lifted_from_one_attempt),
        T(a_pause_takes_no_time),
        T(a_limit_holds_after_a_pause),
        T(what_is_held_can_be_killed),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
