#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qe_judge.h"
#include "qe_util.h"

static const enum qe_outcome failures[] = {QE_FAILED, QE_ERROR, QE_TIMEOUT,
                                           QE_CRASHED};

static qe__verdict judge(uint32_t attempt, uint32_t retries,
                         enum qe_outcome outcome, bool retryable)
{
    qe__verdict verdict;

    assert_int_equal(
        qe__judge(attempt, retries, outcome, retryable, 1000, 50, &verdict), 0);
    return verdict;
}

static void only_failures_are_failures(void **state)
{
    size_t i;

    (void) state;
    for (i = 0; i < QE__COUNT(failures); i++)
        assert_true(qe__judge_failed(failures[i]));
    assert_false(qe__judge_failed(QE_NONE));
    assert_false(qe__judge_failed(QE_PASSED));
    assert_false(qe__judge_failed(QE_SKIPPED));
    assert_false(qe__judge_failed(QE_FLAKY));
    assert_false(qe__judge_failed((enum qe_outcome) 77));
}

static void a_failure_runs_again_while_retries_last(void **state)
{
    size_t i;

    (void) state;
    for (i = 0; i < QE__COUNT(failures); i++) {
        qe__verdict verdict = judge(1, 2, failures[i], true);

        assert_true(verdict.again);
        assert_int_equal(verdict.outcome, QE_NONE);
        assert_int_equal(verdict.not_before_ns, 1050);
        assert_true(judge(2, 2, failures[i], true).again);
        verdict = judge(3, 2, failures[i], true);
        assert_false(verdict.again);
        assert_int_equal(verdict.outcome, failures[i]);
    }
}

static void without_retries_a_failure_is_final(void **state)
{
    qe__verdict verdict = judge(1, 0, QE_CRASHED, true);

    (void) state;
    assert_false(verdict.again);
    assert_int_equal(verdict.outcome, QE_CRASHED);
}

static void the_host_can_veto_a_retry(void **state)
{
    qe__verdict verdict = judge(1, 5, QE_FAILED, false);

    (void) state;
    assert_false(verdict.again);
    assert_int_equal(verdict.outcome, QE_FAILED);
}

static void a_pass_is_flaky_only_after_a_failure(void **state)
{
    (void) state;
    assert_int_equal(judge(1, 3, QE_PASSED, true).outcome, QE_PASSED);
    assert_int_equal(judge(2, 3, QE_PASSED, true).outcome, QE_FLAKY);
    assert_int_equal(judge(4, 3, QE_PASSED, false).outcome, QE_FLAKY);
    assert_false(judge(2, 3, QE_PASSED, true).again);
}

static void a_skip_stays_a_skip(void **state)
{
    (void) state;
    assert_int_equal(judge(1, 3, QE_SKIPPED, true).outcome, QE_SKIPPED);
    assert_int_equal(judge(2, 3, QE_SKIPPED, true).outcome, QE_SKIPPED);
    assert_false(judge(1, 3, QE_SKIPPED, true).again);
}

static void a_delay_past_the_end_of_time_stops_there(void **state)
{
    qe__verdict verdict;

    (void) state;
    assert_int_equal(
        qe__judge(1, 1, QE_FAILED, true, UINT64_MAX - 3, 9, &verdict), 0);
    assert_true(verdict.again);
    assert_true(verdict.not_before_ns == UINT64_MAX);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
    static const enum qe_outcome bad[] = {QE_NONE, QE_FLAKY, QE_OUTCOME_COUNT,
                                          (enum qe_outcome) 99};
    qe__verdict verdict = {true, QE_ERROR, 7};
    size_t i;

    (void) state;
    for (i = 0; i < QE__COUNT(bad); i++)
        assert_int_equal(qe__judge(1, 1, bad[i], true, 0, 0, &verdict),
                         QE_EINVAL);
    assert_int_equal(qe__judge(0, 1, QE_FAILED, true, 0, 0, &verdict),
                     QE_EINVAL);
    assert_int_equal(qe__judge(1, 1, QE_FAILED, true, 0, 0, NULL), QE_EINVAL);
    assert_true(verdict.again);
    assert_int_equal(verdict.outcome, QE_ERROR);
    assert_int_equal(verdict.not_before_ns, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_failures_are_failures),
        cmocka_unit_test(a_failure_runs_again_while_retries_last),
        cmocka_unit_test(without_retries_a_failure_is_final),
        cmocka_unit_test(the_host_can_veto_a_retry),
        cmocka_unit_test(a_pass_is_flaky_only_after_a_failure),
        cmocka_unit_test(a_skip_stays_a_skip),
        cmocka_unit_test(a_delay_past_the_end_of_time_stops_there),
        cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
    };

    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
