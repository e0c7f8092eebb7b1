#include "qe_judge.h"

bool qe__judge_failed(enum qe_outcome outcome)
{
    switch (outcome) {
    case QE_FAILED:
    case QE_ERROR:
    case QE_TIMEOUT:
    case QE_CRASHED:
        return true;
    case QE_NONE:
    case QE_PASSED:
    case QE_SKIPPED:
    case QE_FLAKY:
    case QE_OUTCOME_COUNT:
        break;
    }
    return false;
}

int qe__judge(uint32_t attempt, uint32_t retries, enum qe_outcome outcome,
              bool retryable, uint64_t now_ns, uint64_t delay_ns,
              qe__verdict *out)
{
    qe__verdict verdict = {.again = false, .outcome = QE_NONE};

    /* FLAKY is what we say of a unit, never what one attempt came to. */
    if (attempt == 0 || out == NULL ||
        (!qe__judge_failed(outcome) && outcome != QE_PASSED &&
         outcome != QE_SKIPPED))
        return QE_EINVAL;

    if (qe__judge_failed(outcome) && retryable && attempt <= retries) {
        verdict.again = true;
        verdict.not_before_ns =
            delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX;
    } else if (outcome == QE_PASSED && attempt > 1) {
        /* There is no later attempt unless the earlier ones failed. */
        verdict.outcome = QE_FLAKY;
    } else {
        verdict.outcome = outcome;
    }
    *out = verdict;
    return 0;
}
