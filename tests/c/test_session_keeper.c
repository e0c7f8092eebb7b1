/* Workers that are forked from a keeper, which the host has prepared. */
#include "session_world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_util.h"

/* Words of the shared memory. */
enum { PREPARED, TORN_DOWN, KEEPER, KILLS };

static int held;         /* what the keeper holds, in its own memory */
static bool nobody_dies; /* so that what runs at once can be counted */

/* The keeper's life, before a worker's where it was forked from one. */
static void keep(struct world *w, qe_worker *worker)
{
    struct shared *s = w->shared;
    qe_worker *forked;
    uint32_t slot;
    qe_job job;

    qe_worker_job(worker, &job);
    if (!job.keeper)
        return;
    NOTE(w, job.slot == 2 * w->options.workers);
    held = 7;
    atomic_fetch_add(&s->word[PREPARED], 1);
    atomic_store(&s->word[KEEPER], (uint64_t) getpid());
    while (qe_keeper_wait(worker, &slot) == 1) {
        if (qe_keeper_fork(worker, slot, &forked) == 1)
            world_work(w, forked);
    }
    if (nobody_dies)
        NOTE(w, atomic_load(&s->at_once) == 0);
    atomic_fetch_add(&s->word[TORN_DOWN], 1);
    (void) qe_worker_bye(worker);
    _exit(0);
}

static enum qe_outcome body_shares(struct world *w, qe_worker *worker,
                                   const qe_claim *claim)
{
    NOTE(w, held == 7);
    NOTE(w, (uint64_t) getppid() != atomic_load(&w->shared->word[KEEPER]));
    return claim->attempt == 1 && w->unit[claim->unit].retries > 0
               ? QE_FAILED
               : body_passes(w, worker, claim);
}

static enum qe_outcome body_has_nothing(struct world *w, qe_worker *worker,
                                        const qe_claim *claim)
{
    NOTE(w, held == 0);
    return body_passes(w, worker, claim);
}

static uint64_t word(const struct world *w, int n)
{
    return atomic_load(&w->shared->word[n]);
}

static void all_workers_share_what_it_holds(void **state)
{
    struct world *w = *state;

    w->begin = keep;
    w->body = body_shares;
    w->options.keeper = true;
    w->options.workers = 4;
    world_add_many(w, 40, 5, 0, 0);
    world_add_many(w, 4, 1, 0, 1);
    nobody_dies = true;
    world_run(w);
    nobody_dies = false;
    assert_int_equal(word(w, PREPARED), 1);
    assert_int_equal(word(w, TORN_DOWN), 1);
    assert_int_equal(w->give_ups, 0);
}

static void isolation_forks_every_worker_from_it(void **state)
{
    struct world *w = *state;

    w->begin = keep;
    w->body = body_shares;
    w->options.keeper = true;
    w->options.isolate = true;
    w->options.workers = 3;
    world_add_many(w, 30, 5, 0, 0);
    world_run(w);
    assert_int_equal(word(w, PREPARED), 1);
    assert_int_equal(w->workers, 31);
}

static void leaves(struct world *w, qe_worker *worker)
{
    qe_job job;

    qe_worker_job(worker, &job);
    if (job.keeper) {
        held = 1;
        (void) qe_worker_bye(worker);
        _exit(0);
    }
    (void) w;
}

static void dies(struct world *w, qe_worker *worker)
{
    qe_job job;

    qe_worker_job(worker, &job);
    if (job.keeper) {
        atomic_fetch_add(&w->shared->word[PREPARED], 1);
        _exit(3);
    }
}

static void one_that_leaves_first_is_done_without(void **state)
{
    struct world *w = *state;

    w->begin = leaves;
    w->body = body_has_nothing;
    w->options.keeper = true;
    w->options.workers = 3;
    world_add_many(w, 20, 2, 0, 0);
    world_run(w);
    assert_int_equal(w->give_ups, 0);
}

static void one_that_dies_first_is_done_without(void **state)
{
    struct world *w = *state;

    w->begin = dies;
    w->body = body_has_nothing;
    w->options.keeper = true;
    w->options.workers = 3;
    world_add_many(w, 20, 2, 0, 0);
    world_run(w);
    assert_int_equal(word(w, PREPARED), 1);
    assert_int_equal(w->give_ups, 0);
}

/* Unit 0 kills the keeper and fails; its retry needs a new worker. */
static enum qe_outcome body_kills_keeper(struct world *w, qe_worker *worker,
                                         const qe_claim *claim)
{
    struct shared *s = w->shared;

    (void) worker;
    NOTE(w, held == 7);
    if (claim->attempt > w->unit[claim->unit].retries)
        return QE_PASSED;
    (void) kill((pid_t) atomic_load(&s->word[KEEPER]), SIGKILL);
    atomic_fetch_add(&s->word[KILLS], 1);
    return QE_FAILED;
}

static void a_killed_one_is_replaced(void **state)
{
    struct world *w = *state;

    w->begin = keep;
    w->body = body_kills_keeper;
    w->options.keeper = true;
    world_add(w, NULL, 0, 1, 0);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_FLAKY);
    assert_int_equal(word(w, KILLS), 1);
    assert_int_equal(word(w, PREPARED), 2);
    assert_int_equal(word(w, TORN_DOWN), 1);
}

static enum qe_outcome body_kills_every_keeper(struct world *w,
                                               qe_worker *worker,
                                               const qe_claim *claim)
{
    (void) worker;
    if (held != 0) {
        atomic_fetch_add(&w->shared->word[KILLS], 1);
        (void) kill((pid_t) atomic_load(&w->shared->word[KEEPER]), SIGKILL);
    }
    return claim->attempt > w->unit[claim->unit].retries ? QE_PASSED
                                                         : QE_FAILED;
}

static void it_is_not_replaced_for_ever(void **state)
{
    struct world *w = *state;

    w->begin = keep;
    w->body = body_kills_every_keeper;
    w->options.keeper = true;
    world_add(w, NULL, 0, 8, 0);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_FLAKY);
    assert_int_equal(w->unit[0].starts, 9);
    assert_int_equal(word(w, PREPARED), 3);
}

static enum qe_outcome body_kills_supervisor_once(struct world *w,
                                                  qe_worker *worker,
                                                  const qe_claim *claim)
{
    uint64_t none = 0;

    NOTE(w, held == 7);
    if (atomic_compare_exchange_strong(&w->shared->word[KILLS], &none, 1))
        (void) kill(getppid(), SIGKILL);
    return body_passes(w, worker, claim);
}

static void a_new_supervisor_has_a_new_one(void **state)
{
    struct world *w = *state;

    w->begin = keep;
    w->body = body_kills_supervisor_once;
    w->options.keeper = true;
    w->options.workers = 2;
    world_add_many(w, 20, 1, 0, 0);
    world_start(w);
    world_finish(w);
    world_check(w);
    assert_int_equal(word(w, PREPARED), 2);
    assert_int_equal(word(w, TORN_DOWN), 1);
}

static void waits(struct world *w, qe_worker *worker)
{
    qe_job job;

    qe_worker_job(worker, &job);
    if (job.keeper)
        NOTE(w, world_wait_gate(w, 0));
    keep(w, worker);
}

static void nothing_starts_if_it_was_stopped_meanwhile(void **state)
{
    struct world *w = *state;

    w->begin = waits;
    w->options.keeper = true;
    w->options.workers = 3;
    world_add_many(w, 9, 1, 0, 0);
    world_start(w);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    world_open(w, 0);
    world_finish(w);
    assert_int_equal(atomic_load(&w->shared->all_starts), 0);
    assert_int_equal(word(w, TORN_DOWN), 1);
    assert_int_equal(w->workers, 1);
}

static void hangs(struct world *w, qe_worker *worker)
{
    qe_job job;

    qe_worker_job(worker, &job);
    if (job.keeper) {
        (void) qe_worker_phase(worker, QE_PHASE_SESSION);
        for (;;)
            world_pause();
    }
    (void) w;
}

static void its_preparation_has_a_limit(void **state)
{
    struct world *w = *state;

    w->begin = hangs;
    w->body = body_has_nothing;
    w->options.keeper = true;
    w->options.session_timeout_ns = 200 * WORLD_MS;
    w->options.workers = 2;
    world_add_many(w, 4, 1, 0, 0);
    world_run(w);
    assert_int_equal(w->session_losses, 1);
}

static enum qe_outcome body_random(struct world *w, qe_worker *worker,
                                   const qe_claim *claim)
{
    uint64_t random = w->seed + claim->unit * 977u + claim->attempt;
    struct shared *s = w->shared;

    (void) worker;
    switch (qe__random(&random) % 8) {
    case 0:
        (void) raise(SIGKILL);
        break;
    case 1:
        if (atomic_fetch_add(&s->word[KILLS], 1) < 2)
            (void) kill((pid_t) atomic_load(&s->word[KEEPER]), SIGKILL);
        break;
    default:
        break;
    }
    return QE_PASSED;
}

static void nothing_is_lost_or_doubled_whoever_dies(void **state)
{
    struct world *w = *state;

    w->begin = keep;
    w->body = body_random;
    w->options.keeper = true;
    w->options.workers = 4;
    world_add_many(w, 120, 3, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < 120; u++) {
        assert_int_equal(atomic_load(&w->shared->starts[u]), 1);
        assert_int_equal(w->unit[u].finals, 1);
    }
}

static void spawned_workers_have_none(void **state)
{
    struct world *w = *state;
    char *argv[] = {"/bin/true", NULL};
    qe_worker *worker;

    w->options.keeper = true;
    w->options.start = QE_START_SPAWN;
    w->options.spawn_argv = argv;
    world_add_many(w, 1, 1, 0, 0);
    assert_int_equal(qe_plan_seal(w->plan), 0);
    assert_int_equal(
        qe_session_start(&w->session, &worker, w->plan, &w->options, NULL),
        QE_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(all_workers_share_what_it_holds),
        T(isolation_forks_every_worker_from_it),
        T(one_that_leaves_first_is_done_without),
        T(one_that_dies_first_is_done_without),
        T(a_killed_one_is_replaced),
        T(it_is_not_replaced_for_ever),
        T(a_new_supervisor_has_a_new_one),
        T(nothing_starts_if_it_was_stopped_meanwhile),
        T(its_preparation_has_a_limit),
        T(nothing_is_lost_or_doubled_whoever_dies),
        T(spawned_workers_have_none),
#undef T
    };

    return cmocka_run_group_tests_name("session_keeper", tests, NULL, NULL);
}
