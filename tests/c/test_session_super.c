/* The supervisor and the controller are killed, and workers at random. */
#include "session_world.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_util.h"
#include "scratch.h"

/* Waits at gate 0 unless it runs again. */
static enum qe_outcome body_waits_once(struct world *w, qe_worker *worker,
                                       const qe_claim *claim)
{
    (void) worker;
    if (atomic_load(&w->shared->starts[claim->unit]) <=
        atomic_load(&w->shared->word[0]))
        NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

/* The host goes on until so many attempts have begun anew, their workers are
 * known, and there is a standby to take over. */
static void until_started(struct world *w, uint32_t n)
{
    uint32_t starts = 0;
    uint64_t until = qe_now_ns() + world_patience_ns();
    qe_event event;

    while (starts < n || world_supervisor(w) == 0 ||
           w->session->exec.standby < 0) {
        assert_true(qe_now_ns() < until);
        world_poll(w, &event);
        starts += event.kind == QE_EV_START;
    }
}

static void kill_supervisor(struct world *w)
{
    pid_t super = world_supervisor(w);

    assert_true(super > 1);
    assert_int_equal(kill(super, SIGKILL), 0);
    WORLD_WAIT(!world_runs(super));
}

static void a_killed_supervisor_is_replaced(void **state)
{
    struct world *w = *state;
    uint32_t voids = 0;

    w->body = body_waits_once;
    w->options.workers = 4;
    atomic_store(&w->shared->word[0], 1);
    world_add_many(w, 40, 10, 0, 0);
    world_start(w);
    until_started(w, 4);
    kill_supervisor(w);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    for (uint32_t u = 0; u < 40; u++) {
        voids += w->unit[u].voids;
        assert_int_equal(w->unit[u].losses, 0);
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
        assert_int_equal(w->unit[u].attempt, 1);
        assert_in_range(atomic_load(&w->shared->starts[u]), 1,
                        w->unit[u].voids + 1);
        assert_int_equal(atomic_load(&w->shared->finishes[u]), 1);
    }
    assert_int_equal(voids, 4);
    assert_int_equal(w->give_ups, 0);
}

static void a_supervisor_may_be_killed_again_and_again(void **state)
{
    struct world *w = *state;
    uint32_t kills = scratch_slow() ? 2 : 6;

    w->body = body_waits_once;
    w->options.workers = 2;
    atomic_store(&w->shared->word[0], kills);
    world_add_many(w, 2, 1, 0, 0);
    world_add_many(w, 8, 4, QE_UNIT_FRESH, 0);
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    world_start(w);
    for (uint32_t i = 0; i < kills; i++) {
        until_started(w, 2);
        kill_supervisor(w);
    }
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    for (uint32_t u = 0; u < w->units; u++) {
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
        assert_int_equal(w->unit[u].losses, 0);
    }
}

static void void_attempts_keep_their_number(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits_once;
    w->options.max_restarts = 0;
    w->options.isolate = true;
    atomic_store(&w->shared->word[0], 1);
    world_add(w, NULL, 0, 0, 0);
    world_start(w);
    until_started(w, 1);
    kill_supervisor(w);
    world_open(w, 0);
    world_until(w, QE_EV_LOST, 0, &event);
    assert_int_equal(event.outcome, QE_NONE);
    assert_int_equal(event.attempt, 1);
    world_until(w, QE_EV_START, 0, &event);
    assert_int_equal(event.attempt, 1);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->give_ups, 0);
}

/* A unit that kills the supervisor, as its parent. */
static enum qe_outcome body_kills_its_parent(struct world *w, qe_worker *worker,
                                             const qe_claim *claim)
{
    if (claim->unit == 0) {
        (void) kill(getppid(), SIGKILL);
        NOTE(w, world_wait_gate(w, 1));
    }
    return body_passes(w, worker, claim);
}

static void
a_unit_that_always_kills_the_supervisor_ends_as_a_crash(void **state)
{
    struct world *w = *state;

    w->body = body_kills_its_parent;
    world_add_many(w, 3, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_CRASHED);
    assert_in_range(w->unit[0].voids, 1, 100);
    assert_int_equal(w->unit[1].outcome, QE_PASSED);
}

static void a_killed_standby_is_replaced(void **state)
{
    struct world *w = *state;
    qe_event event;
    pid_t standby;

    w->body = body_waits_once;
    w->options.workers = 2;
    atomic_store(&w->shared->word[0], 1);
    world_add_many(w, 10, 5, 0, 0);
    world_start(w);
    until_started(w, 2);
    standby = world_standby(w);
    assert_true(standby > 1);
    assert_int_equal(kill(standby, SIGKILL), 0);
    WORLD_WAIT((world_poll(w, &event),
                world_standby(w) != standby && world_standby(w) > 1));
    until_started(w, 0);
    kill_supervisor(w);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->give_ups, 0);
}

static void without_supervisor_and_standby_the_run_is_given_up(void **state)
{
    struct world *w = *state;
    pid_t standby, worker;

    w->body = body_waits_once;
    w->options.workers = 2;
    atomic_store(&w->shared->word[0], UINT32_MAX);
    world_add_many(w, 10, 5, 0, 0);
    world_start(w);
    until_started(w, 2);
    worker = w->pid[0];
    standby = world_standby(w);
    assert_true(standby > 1);
    /* A stopped supervisor cannot make another one. */
    assert_int_equal(kill(world_supervisor(w), SIGSTOP), 0);
    assert_int_equal(kill(standby, SIGKILL), 0);
    kill_supervisor(w);
    world_open(w, 0);
    world_finish(w);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_EGONE);
    assert_false(world_runs(worker));
}

static void an_order_to_a_dead_supervisor_is_not_lost(void **state)
{
    struct world *w = *state;
    qe_event event;
    pid_t super;

    w->options.isolate = true;
    world_add_many(w, 3, 1, 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    super = world_supervisor(w);
    /* When the first worker has ended the next one is ordered, by a host that
     * does not know yet. */
    world_until(w, QE_EV_EXIT, QE__NONE, &event);
    if (super == 0)
        super = w->session->exec.super;
    assert_true(w->session->exec.standby >= 0);
    assert_int_equal(kill(super, SIGKILL), 0);
    WORLD_WAIT(!world_runs(super));
    assert_false(w->session->control_readable);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->give_ups, 0);
}

static enum qe_outcome body_dies_in_unit_0(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) worker;
    if (claim->unit == 0) {
        NOTE(w, world_wait_gate(w, 1));
        (void) raise(SIGKILL);
    }
    return body_waits_once(w, worker, claim);
}

/* The kernel tells of orders that were left unread before it hands out what
 * was sent. */
static void what_a_supervisor_said_before_its_death_counts(void **state)
{
    struct world *w = *state;
    struct pollfd said = {.events = POLLIN};
    qe__exec *exec;
    qe_event event;
    pid_t super;
    int status;

    w->body = body_dies_in_unit_0;
    w->options.workers = 2;
    atomic_store(&w->shared->word[0], 1);
    world_add_many(w, 2, 1, 0, 0);
    world_start(w);
    until_started(w, 2);
    exec = &w->session->exec;
    super = world_supervisor(w);
    /* All that it has to say has been heard, until the worker's end. */
    WORLD_WAIT((w->pid[0] > 0 && w->pid[1] > 0) ||
               (world_poll(w, &event), false));
    said.fd = exec->control;
    assert_int_equal(poll(&said, 1, 0), 0);
    world_open(w, 1);
    assert_int_equal(poll(&said, 1, (int) (world_patience_ns() / WORLD_MS)), 1);
    assert_int_equal(kill(super, SIGSTOP), 0);
    assert_int_equal(waitpid(super, &status, WUNTRACED), super);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(qe__exec_order(exec, QE__ORDER_SIGNAL, 1, 0), 0);
    assert_int_equal(kill(super, SIGKILL), 0);
    WORLD_WAIT(!world_runs(super));
    world_open(w, 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_CRASHED);
    assert_int_equal(w->unit[0].voids, 0);
    assert_int_equal(w->unit[1].voids, 1);
}

static enum qe_outcome body_leaves_a_child(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (claim->unit == 1)
            (void) setsid();
        atomic_store(&w->shared->pid[claim->unit + 1000], getpid());
        for (;;)
            (void) poll(NULL, 0, 1000);
    }
    while (atomic_load(&w->shared->pid[claim->unit + 1000]) == 0)
        world_pause();
    return body_waits_once(w, worker, claim);
}

static void what_tests_started_dies_after_the_supervisor_too(void **state)
{
    struct world *w = *state;
    int32_t child;

    w->body = body_leaves_a_child;
    atomic_store(&w->shared->word[0], 1);
    world_add_many(w, 1, 1, 0, 0);
    world_start(w);
    until_started(w, 1);
    WORLD_WAIT((child = atomic_load(&w->shared->pid[1000])) != 0);
    kill_supervisor(w);
    world_open(w, 0);
    world_finish(w);
    assert_false(world_runs(child));
}

/* ----------------------------------------------------------------- many kills */

struct chaos {
    uint32_t kills, worker_kills, super_kills, most;
};

static struct chaos chaos;

static void kill_at_random(struct world *w, const qe_event *e)
{
    uint64_t dice = qe__random(&w->random);

    if (e->kind != QE_EV_START || chaos.kills >= chaos.most)
        return;
    if (dice % 8 == 0 && w->session->exec.standby >= 0) {
        pid_t super = world_supervisor(w);

        if (super > 1) {
            chaos.super_kills += kill(super, SIGKILL) == 0;
            chaos.kills++;
        }
    } else if (dice % 8 < 5 && w->pid[e->slot] > 0) {
        chaos.worker_kills += kill(w->pid[e->slot], SIGKILL) == 0;
        chaos.kills++;
    }
}

static enum qe_outcome body_takes_a_while(struct world *w, qe_worker *worker,
                                          const qe_claim *claim)
{
    char data[300] = "";

    (void) w;
    (void) qe_worker_send(worker, 1, data, claim->unit % 300);
    if (claim->unit % 3 == 0)
        (void) poll(NULL, 0, (int) (claim->unit % 4));
    return claim->unit % 7 == 0 && claim->attempt == 1 ? QE_FAILED : QE_PASSED;
}

static void run_chaos(struct world *w, uint64_t seed, uint32_t kills)
{
    uint32_t n = scratch_slow() ? 60 : 420;

    w->seed = w->random = seed;
    memset(&chaos, 0, sizeof(chaos));
    chaos.most = kills;
    w->body = body_takes_a_while;
    w->on_event = kill_at_random;
    w->options.workers = 4;
    w->options.seed = seed;
    world_add_many(w, n / 2, 5, 0, 1);
    world_add_many(w, n / 6, 4, QE_UNIT_TOGETHER, 0);
    world_add_many(w, n / 6, 4, QE_UNIT_FRESH, 1);
    world_add_many(w, n / 12, 1, QE_UNIT_SERIAL, 1);
    world_add_many(w, n / 12, 1, 0, 3);
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++) {
        if (w->unit[u].outcome == QE_PASSED &&
            atomic_load(&w->shared->finishes[u]) > 1)
            fail_msg("unit %u finished twice (seed %llu)", u,
                     (unsigned long long) seed);
        if (w->unit[u].losses > w->unit[u].retries + 1)
            fail_msg("unit %u was lost too often (seed %llu)", u,
                     (unsigned long long) seed);
    }
    assert_int_equal(w->give_ups, 0);
    print_message("seed %llu: %u workers and %u supervisors killed\n",
                  (unsigned long long) seed, chaos.worker_kills,
                  chaos.super_kills);
}

static void random_kills_lose_nothing_and_double_nothing(void **state)
{
    run_chaos(*state, 20240601, scratch_slow() ? 15 : 200);
}

static void other_random_kills_do_not_either(void **state)
{
    run_chaos(*state, 77, scratch_slow() ? 15 : 200);
}

/* ------------------------------------------------------------- the controller */

/* A whole session in a child, whose tests have children in sessions of their
 * own; it is killed in the middle of all. */
static void kill_a_controller(struct world *w, bool leaves)
{
    struct shared *s = w->shared;
    uint64_t since;
    qe_event event;
    pid_t pid;

    w->body = leaves ? body_leaves_a_child : body_waits_once;
    w->options.workers = 3;
    atomic_store(&s->word[0], UINT32_MAX);
    world_add_many(w, 3, 1, 0, 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        w->host = getpid();
        world_start(w);
        for (;;)
            world_next(w, &event);
    }
    for (uint32_t u = 0; u < 3; u++)
        WORLD_WAIT(atomic_load(&s->pid[u]) != 0 &&
                   (!leaves || atomic_load(&s->pid[u + 1000]) != 0));
    assert_int_equal(kill(pid, SIGKILL), 0);
    since = qe_now_ns();
    /* What has lost its parent is handed to this process. */
    assert_true(world_reap_all((scratch_slow() ? 20000 : 2000) * WORLD_MS));
    print_message("all gone after %llu ms\n",
                  (unsigned long long) ((qe_now_ns() - since) / WORLD_MS));
    for (uint32_t u = 0; u < 3; u++) {
        assert_false(world_runs(atomic_load(&s->pid[u])));
        assert_true(!leaves || !world_runs(atomic_load(&s->pid[u + 1000])));
    }
}

static void nothing_outlives_a_killed_controller(void **state)
{
    kill_a_controller(*state, false);
}

static void nothing_that_tests_started_outlives_it_either(void **state)
{
    kill_a_controller(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(a_killed_supervisor_is_replaced),
        T(a_supervisor_may_be_killed_again_and_again),
        T(void_attempts_keep_their_number),
        T(a_unit_that_always_kills_the_supervisor_ends_as_a_crash),
        T(a_killed_standby_is_replaced),
        T(without_supervisor_and_standby_the_run_is_given_up),
        T(an_order_to_a_dead_supervisor_is_not_lost),
        T(what_a_supervisor_said_before_its_death_counts),
        T(what_tests_started_dies_after_the_supervisor_too),
        T(random_kills_lose_nothing_and_double_nothing),
        T(other_random_kills_do_not_either),
        T(nothing_outlives_a_killed_controller),
        T(nothing_that_tests_started_outlives_it_either),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
