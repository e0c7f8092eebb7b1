/* Workers that die or cannot be started. */
#include "session_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "qe_util.h"
#include "qe_worker.h"
#include "scratch.h"

static _Noreturn void die(int how)
{
    if (how < 0)
        _exit(-how - 1);
    (void) raise(how);
    _exit(98);
}

/* word[0]: how unit 1 ends its worker. */
static enum qe_outcome body_dies_in_unit_1(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) worker;
    if (claim->unit == 1)
        die((int) (int64_t) atomic_load(&w->shared->word[0]));
    return QE_PASSED;
}

static void run_with_a_death(struct world *w, int how, uint32_t workers)
{
    struct shared *s = w->shared;

    w->body = body_dies_in_unit_1;
    w->options.workers = workers;
    atomic_store(&s->word[0], (uint64_t) (int64_t) how);
    world_add_many(w, 12, 12, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 12; u++) {
        assert_int_equal(w->unit[u].outcome, u == 1 ? QE_CRASHED : QE_PASSED);
        assert_int_equal(atomic_load(&s->starts[u]), 1);
    }
    assert_int_equal(w->unit[1].losses, 1);
    assert_int_equal(w->unit[1].phase, QE_PHASE_CALL);
    if (how >= 0)
        assert_true(WIFSIGNALED(w->unit[1].status) &&
                    WTERMSIG(w->unit[1].status) == how);
    else
        assert_true(WIFEXITED(w->unit[1].status) &&
                    WEXITSTATUS(w->unit[1].status) == -how - 1);
    if (workers == 1) {
        assert_int_equal(w->workers, 2);
        assert_int_equal(atomic_load(&s->epoch[1]), 1);
        assert_int_equal(atomic_load(&s->epoch[2]), 2);
        assert_int_not_equal(atomic_load(&s->pid[1]), atomic_load(&s->pid[2]));
    }
}

static void a_worker_killed_by_a_signal_is_a_crash(void **state)
{
    run_with_a_death(*state, SIGKILL, 1);
}

static void an_abort_is_a_crash(void **state)
{
    run_with_a_death(*state, SIGTERM, 4);
}

static void an_exit_with_zero_is_a_crash(void **state)
{
    run_with_a_death(*state, -1, 1);
}

static void an_exit_with_three_is_a_crash(void **state)
{
    run_with_a_death(*state, -4, 4);
}

static enum qe_outcome body_crashes_at_first(struct world *w, qe_worker *worker,
                                             const qe_claim *claim)
{
    (void) worker;
    if (claim->attempt <= w->unit[claim->unit].retries)
        die(SIGKILL);
    return QE_PASSED;
}

static void a_crash_can_be_retried(void **state)
{
    struct world *w = *state;

    w->body = body_crashes_at_first;
    w->options.workers = 2;
    world_add_many(w, 6, 2, 0, 2);
    world_add_many(w, 6, 3, QE_UNIT_TOGETHER, 1);
    world_add_many(w, 6, 3, QE_UNIT_FRESH, 1);
    world_add_many(w, 3, 1, QE_UNIT_SERIAL, 1);
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++) {
        assert_int_equal(w->unit[u].outcome, QE_FLAKY);
        assert_int_equal(w->unit[u].losses, w->unit[u].retries);
    }
}

static enum qe_outcome body_crashes(struct world *w, qe_worker *worker,
                                    const qe_claim *claim)
{
    (void) w;
    (void) worker;
    (void) claim;
    die(SIGKILL);
}

static void every_unit_may_crash(void **state)
{
    struct world *w = *state;

    w->body = body_crashes;
    w->options.workers = 4;
    world_add_many(w, 20, 4, 0, 0);
    world_add_many(w, 10, 5, QE_UNIT_TOGETHER, 0);
    world_add_many(w, 10, 5, QE_UNIT_FRESH, 0);
    world_add_many(w, 4, 1, QE_UNIT_SERIAL, 0);
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++) {
        assert_int_equal(w->unit[u].outcome, QE_CRASHED);
        assert_int_equal(atomic_load(&w->shared->starts[u]), 1);
    }
    assert_true(w->workers >= w->units);
}

static void too_many_crashes_give_the_run_up(void **state)
{
    struct world *w = *state;
    uint32_t crashed = 0;

    w->body = body_crashes;
    w->options.max_restarts = 3;
    world_add_many(w, 20, 4, 0, 0);
    world_start(w);
    world_finish(w);
    for (uint32_t u = 0; u < w->units; u++)
        crashed += w->unit[u].outcome == QE_CRASHED;
    assert_int_equal(crashed, 4);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_ETOOBIG);
}

static void as_many_crashes_as_allowed_do_not(void **state)
{
    struct world *w = *state;

    w->body = body_crashes;
    w->options.max_restarts = 3;
    world_add_many(w, 3, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
}

/* word[0]: how they die; word[1]: how many. */
static void begin_dies(struct world *w, qe_worker *worker)
{
    (void) worker;
    if (atomic_fetch_add(&w->shared->gate[0], 1) <
        atomic_load(&w->shared->word[1]))
        die((int) (int64_t) atomic_load(&w->shared->word[0]));
}

static void run_with_false_starts(struct world *w, int how, uint64_t most,
                                  uint32_t workers)
{
    w->begin = begin_dies;
    atomic_store(&w->shared->word[0], (uint64_t) (int64_t) how);
    atomic_store(&w->shared->word[1], most);
    world_add_many(w, 20, 4, 0, 0);
    if (most == UINT64_MAX) {
        world_start(w);
        world_finish(w);
        assert_int_equal(w->give_ups, 1);
        assert_int_equal(w->give_up_error, QE_EGONE);
        assert_int_equal(atomic_load(&w->shared->all_starts), 0);
    } else {
        world_run(w);
        assert_int_equal(w->give_ups, 0);
    }
    assert_int_equal(w->workers, workers);
}

static void workers_that_die_at_their_start_give_the_run_up(void **state)
{
    run_with_false_starts(*state, -6, UINT64_MAX, 3);
}

static void two_deaths_at_the_start_do_not(void **state)
{
    run_with_false_starts(*state, -6, 2, 3);
}

static void thirty_kills_at_the_start_give_the_run_up(void **state)
{
    run_with_false_starts(*state, SIGKILL, UINT64_MAX, 30);
}

static void twenty_nine_kills_at_the_start_do_not(void **state)
{
    run_with_false_starts(*state, SIGKILL, 29, 30);
}

/* ----------------------------------------------------------- what tests fork */

static enum qe_outcome body_forks(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    qe_claim other;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        bool refused =
            qe_worker_peek(worker, &other) == QE_ESTATE &&
            qe_worker_claim(worker, false, &other) == QE_ESTATE &&
            qe_worker_claim(worker, true, &other) == QE_ESTATE &&
            qe_worker_start(worker, claim) == QE_ESTATE &&
            qe_worker_phase(worker, QE_PHASE_SESSION) == QE_ESTATE &&
            qe_worker_passed(worker, QE_PHASE_CALL, 0, 0) == QE_ESTATE &&
            qe_worker_send(worker, 1, "x", 1) == QE_ESTATE &&
            qe_worker_finish(worker, QE_FAILED, false, NULL, 0) == QE_ESTATE &&
            qe_worker_count_failure(worker) == QE_ESTATE &&
            qe_worker_stop(worker) == QE_ESTATE &&
            qe_worker_bye(worker) == QE_ESTATE;

        _exit(refused ? 0 : 1);
    }
    NOTE(w, waitpid(pid, &status, 0) == pid && status == 0);
    return QE_PASSED;
}

static void a_child_that_a_test_forked_has_no_say(void **state)
{
    struct world *w = *state;

    w->body = body_forks;
    w->options.maxfail = 1;
    world_add_many(w, 4, 2, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 4; u++)
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
}

static enum qe_outcome body_leaves_a_child(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) worker;
    if (claim->unit % 2 != 0)
        return QE_PASSED;
    pid_t pid = fork();

    if (pid == 0) {
        if (claim->unit % 4 == 0)
            (void) setsid();
        (void) prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
        atomic_store(&w->shared->pid[claim->unit + 1000], getpid());
        for (;;)
            (void) poll(NULL, 0, 1000);
    }
    return pid > 0 ? QE_PASSED : QE_ERROR;
}

static void a_child_that_stays_does_not_delay_the_end(void **state)
{
    struct world *w = *state;

    w->body = body_leaves_a_child;
    w->options.workers = 2;
    world_add_many(w, 8, 1, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 8; u++)
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
    qe_session_close(w->session);
    w->session = NULL;
    for (uint32_t u = 0; u < 8; u += 2)
        assert_false(world_runs(atomic_load(&w->shared->pid[u + 1000])));
}

/* What a test could write to the descriptors that it has and over its own
 * memory, of which the ring is a part. */
static enum qe_outcome body_writes_garbage(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    char garbage[200];
    qe__part parts[2] = {{garbage, sizeof(garbage)}, {NULL, 0}};

    if (claim->unit != 3 || atomic_load(&w->shared->starts[3]) > 1)
        return QE_PASSED;
    memset(garbage, 'g', sizeof(garbage));
    (void) !write(worker->bell, garbage, sizeof(garbage));
    (void) qe__ring_put(&worker->arena->rings[worker->number], parts, 0);
    return QE_PASSED;
}

static enum qe_outcome body_always_writes_garbage(struct world *w,
                                                  qe_worker *worker,
                                                  const qe_claim *claim)
{
    atomic_store(&w->shared->starts[3], 1);
    return body_writes_garbage(w, worker, claim);
}

static void a_unit_that_always_writes_garbage_ends_as_a_crash(void **state)
{
    struct world *w = *state;

    w->body = body_always_writes_garbage;
    w->options.workers = 1;
    world_add_many(w, 10, 10, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 10; u++)
        assert_int_equal(w->unit[u].outcome, u == 3 ? QE_CRASHED : QE_PASSED);
}

static void garbage_in_the_ring_loses_no_unit(void **state)
{
    struct world *w = *state;

    w->body = body_writes_garbage;
    w->options.workers = 1;
    world_add_many(w, 30, 10, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 30; u++)
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
    assert_true(w->workers >= 2);
}

/* ------------------------------------------------------ forks that are refused */

struct refusal {
    pid_t host;
    uint32_t forks, first, count; /* by the supervisor; which are refused */
};

static void before_fork(void *context)
{
    struct refusal *r = context;
    struct rlimit limit;
    uint32_t n;

    if (getpid() == r->host)
        return;
    n = r->forks++;
    (void) getrlimit(RLIMIT_NPROC, &limit);
    limit.rlim_cur =
        n >= r->first && n < r->first + r->count ? 0 : limit.rlim_max;
    (void) setrlimit(RLIMIT_NPROC, &limit);
}

static void run_with_refusals(struct world *w, uint32_t first, uint32_t count)
{
    struct refusal refusal = {getpid(), 0, first, count};
    qe_fork_hooks hooks = {before_fork, NULL, NULL, &refusal};

    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        print_message("cannot become another user\n");
        _exit(77);
    }
    w->hooks = &hooks;
    world_start(w);
    world_finish(w);
    if (w->give_ups == 0)
        world_check(w);
    qe_session_close(w->session);
    w->session = NULL;
}

/* The user is changed for good, so this needs a process of its own. The
 * supervisor's fork number 0 is for the standby. */
static void in_child(struct world *w, void (*body)(void **state))
{
    const struct CMUnitTest test[] = {
        {.name = "child", .test_func = body, .initial_state = w}};
    FILE *said = tmpfile();
    char text[4096];
    size_t n;
    int status;
    pid_t pid;

    assert_non_null(said);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        w->host = getpid();
        /* Its assertions must not jump back into this test, and what the runner
         * says is no part of what this one says. */
        if (dup2(fileno(said), 1) != 1 || dup2(fileno(said), 2) != 2)
            _exit(1);
        _exit(cmocka_run_group_tests(test, NULL, NULL));
    }
    status = scratch_wait(pid);
    rewind(said);
    n = fread(text, 1, sizeof(text) - 1, said);
    text[n] = '\0';
    fclose(said);
    if (status != 0)
        print_error("%s", text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void refused_isolated(void **state)
{
    struct world *w = *state;

    w->options.isolate = true;
    world_add_many(w, 5, 1, 0, 0);
    run_with_refusals(w, 1, 2);
    assert_int_equal(w->give_ups, 0);
}

static void an_isolated_unit_whose_worker_was_refused_runs_later(void **state)
{
    in_child(*state, refused_isolated);
}

static void refused_serial(void **state)
{
    struct world *w = *state;

    w->options.workers = 2;
    world_add_many(w, 2, 1, 0, 0);
    world_add_many(w, 2, 1, QE_UNIT_SERIAL, 0);
    run_with_refusals(w, 2, 1);
    assert_int_equal(w->give_ups, 0);
}

static void a_worker_less_is_made_up_for(void **state)
{
    in_child(*state, refused_serial);
}

static void refused_for_ever(void **state)
{
    struct world *w = *state;

    world_add_many(w, 5, 1, 0, 0);
    run_with_refusals(w, 1, 1000);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_ESYS);
}

static void a_run_without_any_worker_is_given_up(void **state)
{
    in_child(*state, refused_for_ever);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(a_worker_killed_by_a_signal_is_a_crash),
        T(an_abort_is_a_crash),
        T(an_exit_with_zero_is_a_crash),
        T(an_exit_with_three_is_a_crash),
        T(a_crash_can_be_retried),
        T(every_unit_may_crash),
        T(too_many_crashes_give_the_run_up),
        T(as_many_crashes_as_allowed_do_not),
        T(workers_that_die_at_their_start_give_the_run_up),
        T(two_deaths_at_the_start_do_not),
        T(twenty_nine_kills_at_the_start_do_not),
        T(thirty_kills_at_the_start_give_the_run_up),
        T(a_child_that_a_test_forked_has_no_say),
        T(a_child_that_stays_does_not_delay_the_end),
        T(garbage_in_the_ring_loses_no_unit),
        T(a_unit_that_always_writes_garbage_ends_as_a_crash),
        T(an_isolated_unit_whose_worker_was_refused_runs_later),
        T(a_worker_less_is_made_up_for),
        T(a_run_without_any_worker_is_given_up),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
