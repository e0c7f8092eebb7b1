/* A worker is killed at each step of a claim, in every way that a unit can
 * come to a worker: nothing is lost, and nothing has two results. */
#define QE_FAULT_POINTS
#include "session_world.h"

#include <signal.h>
#include <unistd.h>

/* A worker's own: in which process qe__fault_point may kill. */
static struct world *victim_of;
static uint32_t victim_epoch, victim_slot;
static bool victim_is_late; /* it waits before it marks a unit as done */

#define STEPS 7

/* word[0]: the step; word[1]: kills so far; word[2]: kills allowed; word[3]:
 * the slots that may be hit, as bits. */
void qe__fault_point(int step)
{
    struct shared *s;

    if (victim_of == NULL)
        return;
    s = victim_of->shared;
    if (step == 5 && victim_is_late)
        (void) world_wait_gate(victim_of, 0);
    if ((uint64_t) step == atomic_load(&s->word[0]) &&
        (atomic_load(&s->word[3]) >> victim_slot & 1) != 0 &&
        atomic_fetch_add(&s->word[1], 1) < atomic_load(&s->word[2]))
        (void) raise(SIGKILL);
}

static void begin_as_victim(struct world *w, qe_worker *worker)
{
    qe_job job;

    qe_worker_job(worker, &job);
    victim_of = w;
    victim_epoch = job.epoch;
    victim_slot = job.slot;
}

/* Steps from the mark that the unit runs up to its end: its crash, or an end
 * that was told. */
static bool is_crash_at(uint64_t step)
{
    return step == 4;
}

static void run_with_kills(struct world *w, uint64_t step, uint64_t kills)
{
    struct shared *s = w->shared;
    uint32_t crashed = 0, n = w->units;
    uint64_t hit;

    w->begin = begin_as_victim;
    atomic_store(&s->word[0], step);
    atomic_store(&s->word[2], kills);
    world_run(w);
    hit = atomic_load(&s->word[1]);
    hit = hit < kills ? hit : kills;
    for (uint32_t u = 0; u < n; u++) {
        crashed += w->unit[u].outcome == QE_CRASHED;
        if (w->unit[u].outcome == QE_PASSED)
            assert_int_equal(atomic_load(&s->starts[u]), 1);
        else
            assert_int_equal(atomic_load(&s->starts[u]), 0);
        assert_int_equal(w->unit[u].voids, 0);
    }
    assert_int_equal(crashed, is_crash_at(step) ? hit : 0);
    assert_int_equal(w->give_ups, 0);
}

static void each_step(void **state, void (*lay)(struct world *w),
                      uint64_t steps, uint64_t kills)
{
    for (uint64_t step = 0; step < STEPS; step++) {
        struct world *w = *state;

        atomic_store(&w->shared->word[3], UINT64_MAX);
        lay(w);
        run_with_kills(w, step, kills);
        /* The points that these units pass, and no others. */
        if ((atomic_load(&w->shared->word[1]) > 0) != (steps >> step & 1))
            fail_msg("step %d was %s", (int) step,
                     steps >> step & 1 ? "not passed" : "passed");
        /* A new world for the next step. */
        assert_int_equal(world_teardown(state), 0);
        assert_int_equal(world_setup(state), 0);
    }
}

/* Two kills: a third death before any attempt would end the run. */
#define POOL_STEPS (1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5)
#define MAILBOX_STEPS (1u << 6)

static void lay_pool(struct world *w)
{
    world_add_many(w, 12, 3, 0, 0);
}

static void a_unit_of_a_queue(void **state)
{
    each_step(state, lay_pool, POOL_STEPS, 1);
}

static void lay_pool_of_two(struct world *w)
{
    w->options.workers = 2;
    world_add_many(w, 30, 3, 0, 0);
}

static void units_of_two_queues(void **state)
{
    each_step(state, lay_pool_of_two, POOL_STEPS, 2);
}

static void lay_together(struct world *w)
{
    w->options.workers = 2;
    world_add_many(w, 20, 5, QE_UNIT_TOGETHER, 0);
}

static void units_of_scopes_kept_together(void **state)
{
    each_step(state, lay_together, POOL_STEPS, 2);
}

static void lay_fresh(struct world *w)
{
    w->options.workers = 2;
    world_add_many(w, 20, 5, QE_UNIT_FRESH, 0);
}

static void units_of_scopes_with_a_worker_of_their_own(void **state)
{
    each_step(state, lay_fresh, POOL_STEPS, 2);
}

static void lay_serial(struct world *w)
{
    world_add_many(w, 6, 1, QE_UNIT_SERIAL, 0);
}

static void serial_units(void **state)
{
    each_step(state, lay_serial, POOL_STEPS | MAILBOX_STEPS, 2);
}

static void lay_isolated(struct world *w)
{
    w->options.workers = 2;
    w->options.isolate = true;
    world_add_many(w, 8, 2, 0, 0);
}

static void units_with_a_worker_each(void **state)
{
    each_step(state, lay_isolated, 1u << 3 | 1u << 4 | 1u << 5, 2);
}

static enum qe_outcome body_fails_at_first(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    (void) w;
    (void) worker;
    return claim->attempt == 1 ? QE_FAILED : QE_PASSED;
}

/* Retries run in guests' slots: those from the second on. */
static void retries(void **state)
{
    static const uint64_t steps[] = {3, 4, 5};

    for (size_t i = 0; i < 3; i++) {
        struct world *w = *state;

        w->body = body_fails_at_first;
        w->begin = begin_as_victim;
        atomic_store(&w->shared->word[0], steps[i]);
        atomic_store(&w->shared->word[2], 2);
        atomic_store(&w->shared->word[3], 2);
        world_add_many(w, 6, 2, 0, 3);
        world_run(w);
        for (uint32_t u = 0; u < 6; u++) {
            assert_int_equal(w->unit[u].outcome, QE_FLAKY);
            assert_int_equal(w->unit[u].voids, 0);
        }
        assert_true(atomic_load(&w->shared->word[1]) >= 2);
        assert_int_equal(world_teardown(state), 0);
        assert_int_equal(world_setup(state), 0);
    }
}

static enum qe_outcome body_fails_late_then_dies(struct world *w,
                                                 qe_worker *worker,
                                                 const qe_claim *claim)
{
    int patience = 40000; /* some 40 s */

    (void) worker;
    victim_is_late = claim->unit == 0 && claim->attempt == 1;
    if (claim->attempt == 1)
        return QE_FAILED;
    world_open(w, 0); /* the first worker marks it as done now */
    while (atomic_load(&w->shared->finishes[0]) == 0 && patience-- > 0)
        world_pause();
    NOTE(w, patience > 0);
    (void) raise(SIGKILL);
    return QE_NONE;
}

static void a_late_mark_does_not_hide_the_next_attempt(void **state)
{
    struct world *w = *state;

    w->body = body_fails_late_then_dies;
    w->begin = begin_as_victim;
    atomic_store(&w->shared->word[0], UINT64_MAX);
    w->options.workers = 2;
    world_add(w, "a", 0, 1, 0);
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_CRASHED);
    assert_int_equal(w->unit[0].losses, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(a_unit_of_a_queue),
        T(units_of_two_queues),
        T(units_of_scopes_kept_together),
        T(units_of_scopes_with_a_worker_of_their_own),
        T(serial_units),
        T(units_with_a_worker_each),
        T(retries),
        T(a_late_mark_does_not_hide_the_next_attempt),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
