/* Passes under changed surroundings: names, seeds, and what a session takes. */
#include "session_world.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "qe_plan.h"

#define ROOM 16u

static void spare(struct world *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        world_add(w, "spare", QE_UNIT_SPARE, 0, 0);
    }
}

static void names_and_flags_go_both_ways(void **state)
{
    uint32_t named = 0;

    (void) state;
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t flag = UINT32_C(1) << bit;
        const char *name = qe_around_name(flag);

        named += name != NULL;
        if (name != NULL) {
            assert_int_equal(qe_around_flag(name),
                             flag < QE_TMP_BY_NAME ? flag : 0);
        }
    }
    assert_int_equal(named, 18);
    assert_string_equal(qe_around_name(QE_ONE_CPU), "one_cpu");
    assert_null(qe_around_name(0));
    assert_null(qe_around_name(QE_ONE_CPU | QE_IDLE));
    assert_int_equal(qe_around_flag("rain"), 0);
}

/* From an implementation of splitmix64 in another language. */
static void seeds_of_attempts_are_those_of_other_hosts(void **state)
{
    (void) state;
    assert_true(qe_attempt_seed(0, 0, 0) == UINT64_C(0xa706dd2f4d197e6f));
    assert_true(qe_attempt_seed(5, 7, 0) == UINT64_C(0x8ea5269b74dee2bc));
    assert_true(qe_attempt_seed(5, 7, 1) == qe_attempt_seed(6, 7, 0));
    assert_true(qe_attempt_seed(5, 7, 0) != qe_attempt_seed(5, 8, 0));
    assert_true(qe_attempt_seed(UINT64_MAX, 1, 1) == qe_attempt_seed(0, 1, 0));
}

static enum qe_outcome body_seeds(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    static const uint32_t nth[] = {0, 0, 1, 1, 2, 0};
    uint64_t seed;
    qe_job job;

    qe_worker_job(worker, &job);
    NOTE(w, job.decided && job.pass == 4);
    NOTE(w, job.around.flags == (QE_ENTROPY | QE_ZONE));
    NOTE(w, qe_worker_seed(worker, claim->item, &seed) == 1);
    NOTE(w, seed == qe_attempt_seed(50, claim->item, nth[claim->unit]));
    if (claim->unit == 2) {
        (void) kill(getpid(), SIGKILL); /* what follows runs in another one */
    }
    return QE_PASSED;
}

static void an_attempt_has_its_seed_whatever_ran_before(void **state)
{
    static const uint32_t items[] = {9, 2, 9, 2, 9, 4};
    qe_around around = {.flags = QE_ENTROPY | QE_ZONE};
    qe_pass pass = {
        .number = 4, .items = items, .n = 6, .seed = 50, .around = &around};
    struct world *w = *state;
    uint32_t unit;

    w->body = body_seeds;
    spare(w, 6);
    world_start(w);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[2].outcome, QE_CRASHED);
    assert_int_equal(w->unit[5].outcome, QE_PASSED);
}

static enum qe_outcome body_has_no_seed(struct world *w, qe_worker *worker,
                                        const qe_claim *claim)
{
    uint64_t seed = 1;
    qe_job job;

    (void) claim;
    qe_worker_job(worker, &job);
    NOTE(w, !job.decided && job.around.flags == 0);
    NOTE(w, qe_worker_seed(worker, 0, &seed) == 0 && seed == 0);
    return QE_PASSED;
}

static void what_was_planned_has_no_seed_of_its_own(void **state)
{
    struct world *w = *state;

    w->body = body_has_no_seed;
    world_add_many(w, 4, 2, 0, 0);
    world_add(w, "pass", QE_UNIT_FRESH | QE_UNIT_TOGETHER, 0, 0);
    world_run(w);
}

static void unknown_surroundings_are_refused(void **state)
{
    static const uint32_t items[] = {1};
    qe_around around = {.flags = QE_TMP_BY_NAME};
    qe_pass pass = {.items = items, .n = 1, .around = &around};
    struct world *w = *state;
    uint32_t unit;

    spare(w, 1);
    world_start(w);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    around.flags = UINT32_C(1) << 31;
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    around.flags = QE_CLOCK;
    around.clock_s = NAN;
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    around.clock_s = -1;
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    around.flags = QE_ZONE; /* then the clock is not looked at */
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    world_check(w);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_flags_go_both_ways),
        cmocka_unit_test(seeds_of_attempts_are_those_of_other_hosts),
        TEST(an_attempt_has_its_seed_whatever_ran_before),
        TEST(what_was_planned_has_no_seed_of_its_own),
        TEST(unknown_surroundings_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
