/* Passes that are decided on while a run goes on, made of SPARE units. */
#include "session_world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_plan.h"

#define ROOM 16u

/* The items that run, in the order of their beginning, are in word[0], four bits
 * each, the first lowest. */
static void note_item(struct world *w, uint32_t item)
{
    uint64_t seen = atomic_load(&w->shared->word[0]);
    uint64_t at;

    do {
        at = atomic_load(&w->shared->word[1]);
    } while (!atomic_compare_exchange_weak(&w->shared->word[1], &at, at + 4));
    while (!atomic_compare_exchange_weak(&w->shared->word[0], &seen,
                                         seen | (uint64_t) item << at)) {}
}

static enum qe_outcome body_notes(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) worker;
    NOTE(w, claim->pass == 7 + claim->unit / 3);
    note_item(w, claim->item);
    return QE_PASSED;
}

static enum qe_outcome body_crashes_at_item_3(struct world *w,
                                              qe_worker *worker,
                                              const qe_claim *claim)
{
    (void) worker;
    note_item(w, claim->item);
    if (claim->item == 3) {
        (void) kill(getpid(), SIGKILL);
    }
    return QE_PASSED;
}

static enum qe_outcome body_hangs_at_item_3(struct world *w, qe_worker *worker,
                                            const qe_claim *claim)
{
    qe_job job;

    qe_worker_job(worker, &job);
    NOTE(w,
         job.seed == 5 || job.epoch > 1); /* what is left has another worker */
    note_item(w, claim->item);
    if (claim->item == 3) {
        for (;;) {
            (void) pause();
        }
    }
    return QE_PASSED;
}

static enum qe_outcome body_overlaps(struct world *w, qe_worker *worker,
                                     const qe_claim *claim)
{
    (void) w;
    (void) worker;
    (void) claim;
    for (int i = 0; i < 5; i++) {
        world_pause();
    }
    return QE_PASSED;
}

static void spare(struct world *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        world_add(w, "spare", QE_UNIT_SPARE, 0, 0);
    }
}

static uint32_t give(struct world *w, uint32_t number, uint32_t flags,
                     const uint32_t *items, size_t n)
{
    qe_pass pass = {.number = number, .flags = flags, .items = items, .n = n};
    uint32_t unit = QE_NONE;

    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
    return unit;
}

/* All that was made of spare units came to one outcome; what is spare did not. */
static void check(struct world *w, uint32_t used)
{
    size_t done, all;

    qe_session_progress(w->session, &done, &all);
    assert_int_equal(all, used);
    assert_int_equal(done, used);
    assert_int_equal(qe_session_spare(w->session), w->units - used);
    w->units = used;
    world_check(w);
}

static void a_pass_runs_its_items_in_order_in_one_worker(void **state)
{
    static const uint32_t first[] = {5, 2, 5}, second[] = {9, 1, 4};
    struct world *w = *state;

    w->body = body_notes;
    spare(w, ROOM);
    world_start(w);
    assert_int_equal(give(w, 7, 0, first, 3), 0);
    assert_int_equal(give(w, 8, 0, second, 3), 3);
    assert_int_equal(qe_session_no_more(w->session), 0);
    world_finish(w);
    check(w, 6);
    assert_int_equal(atomic_load(&w->shared->word[0]), 0x419525);
    for (uint32_t u = 1; u < 6; u++) {
        assert_int_equal(w->shared->pid[u] == w->shared->pid[u - 1], u != 3);
    }
}

static void a_run_with_spare_units_waits_for_more(void **state)
{
    static const uint32_t items[] = {1, 2, 3};
    struct world *w = *state;
    qe_event event;

    w->body = body_notes;
    w->options.workers = 2;
    spare(w, ROOM);
    world_start(w);
    for (uint32_t pass = 0; pass < 4; pass++) {
        uint32_t unit = give(w, 7 + pass, 0, items, 3);

        assert_int_equal(unit, 3 * pass);
        world_until(w, QE_EV_EXIT, QE__NONE, &event);
        for (int i = 0; i < 3; i++) {
            world_poll(w, &event);
            assert_int_equal(event.kind, QE_EV_NONE);
        }
        assert_int_equal(w->unit[unit + 2].outcome, QE_PASSED);
    }
    (void) qe_session_no_more(w->session);
    world_finish(w);
    check(w, 12);
}

static void what_cannot_be_a_pass_is_refused(void **state)
{
    static const uint32_t items[ROOM + 1] = {0};
    struct world *w = *state;
    qe_pass pass = {.items = items};
    uint32_t unit;

    w->body = body_passes;
    spare(w, ROOM);
    world_start(w);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    pass.n = 1;
    pass.flags = QE_UNIT_FRESH;
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    pass.flags = 0;
    pass.n = ROOM + 1;
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_ETOOBIG);
    (void) give(w, 0, 0, items, ROOM);
    pass.n = 1;
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_ETOOBIG);
    (void) qe_session_no_more(w->session);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_ESTATE);
    world_finish(w);
    check(w, ROOM);
}

static void what_comes_behind_a_crash_runs_in_another_worker(void **state)
{
    static const uint32_t items[] = {1, 3, 2, 4};
    struct world *w = *state;

    w->body = body_crashes_at_item_3;
    spare(w, 4);
    world_start(w);
    (void) give(w, 0, 0, items, 4);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    check(w, 4);
    assert_int_equal(w->unit[1].outcome, QE_CRASHED);
    assert_int_equal(w->unit[1].status, SIGKILL);
    assert_int_equal(atomic_load(&w->shared->word[0]), 0x4231);
    assert_int_equal(w->shared->pid[2], w->shared->pid[3]);
    assert_int_not_equal(w->shared->pid[0], w->shared->pid[2]);
}

static void each_item_of_a_pass_has_its_limit(void **state)
{
    static const uint32_t items[] = {1, 3, 2};
    static const uint64_t limits[] = {0, 50 * WORLD_MS, 0};
    struct world *w = *state;
    qe_pass pass = {.items = items, .timeout_ns = limits, .n = 3, .seed = 5};
    uint32_t unit;

    w->body = body_hangs_at_item_3;
    for (uint32_t i = 0; i < 3; i++) {
        world_add(w, "spare", QE_UNIT_SPARE, 0, 50 * WORLD_MS);
    }
    world_start(w);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    check(w, 3);
    assert_int_equal(w->unit[1].outcome, QE_TIMEOUT);
    assert_int_equal(w->unit[2].outcome, QE_PASSED);
}

static void a_serial_pass_runs_alone_in_its_turn(void **state)
{
    static const uint32_t items[] = {1, 2};
    struct world *w = *state;

    w->body = body_overlaps;
    w->options.workers = 2;
    spare(w, 6);
    world_start(w);
    (void) give(w, 0, 0, items, 2);
    (void) give(w, 1, QE_UNIT_SERIAL, items, 2);
    (void) give(w, 2, 0, items, 2);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    check(w, 6);
    assert_true(w->shared->begin_ns[2] >= w->shared->end_ns[1]);
    assert_true(w->shared->begin_ns[4] >= w->shared->end_ns[3]);
}

static void passes_come_behind_what_was_planned(void **state)
{
    static const uint32_t items[] = {1, 2, 3};
    struct world *w = *state;

    w->body = body_passes;
    world_add_many(w, 6, 2, 0, 0);
    spare(w, 3);
    world_start(w);
    assert_int_equal(give(w, 1, 0, items, 3), 6);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    check(w, 9);
    for (uint32_t u = 6; u < 9; u++) {
        assert_int_equal(atomic_load(&w->shared->sequence[u]), u + 1);
    }
}

static void a_stop_drops_what_has_not_begun(void **state)
{
    static const uint32_t items[] = {1, 2, 3};
    struct world *w = *state;
    qe_event event;

    w->body = body_overlaps;
    spare(w, ROOM);
    world_start(w);
    (void) give(w, 0, 0, items, 3);
    (void) give(w, 1, 0, items, 3);
    world_until(w, QE_EV_WORKER, QE__NONE, &event);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    world_finish(w);
    assert_true(w->done);
    for (uint32_t u = 3; u < 6; u++) {
        assert_int_equal(w->unit[u].finals, 0);
    }
}

static void spare_units_come_last_and_of_one_scope(void **state)
{
    qe_unit unit = {.id = "a", .flags = QE_UNIT_SPARE};
    qe_plan *plan;

    (void) state;
    assert_int_equal(qe_plan_new(&plan), 0);
    assert_int_equal(qe_plan_add(plan, &unit), QE_EINVAL); /* no scope */
    unit.scope = "spare";
    unit.flags |= QE_UNIT_SERIAL;
    assert_int_equal(qe_plan_add(plan, &unit), QE_EINVAL);
    unit.flags = QE_UNIT_SPARE;
    assert_int_equal(qe_plan_add(plan, &unit), 0);
    unit.scope = "other";
    assert_int_equal(qe_plan_add(plan, &unit), QE_EINVAL);
    unit.flags = 0;
    assert_int_equal(qe_plan_add(plan, &unit), QE_EINVAL);
    assert_int_equal(qe_plan_count(plan), 1);
    qe_plan_free(plan);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_pass_runs_its_items_in_order_in_one_worker),
        TEST(a_run_with_spare_units_waits_for_more),
        TEST(what_cannot_be_a_pass_is_refused),
        TEST(what_comes_behind_a_crash_runs_in_another_worker),
        TEST(each_item_of_a_pass_has_its_limit),
        TEST(a_serial_pass_runs_alone_in_its_turn),
        TEST(passes_come_behind_what_was_planned),
        TEST(a_stop_drops_what_has_not_begun),
        cmocka_unit_test(spare_units_come_last_and_of_one_scope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
