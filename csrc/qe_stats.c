/* Flakiness in the compatible terms: how often a test passes and fails, and
 * whether its results come in runs. */
#include "qe_record.h"

#include <stdlib.h>

QE_API const char *qe_pattern_name(enum qe_pattern pattern)
{
    static const char *const names[] = {
        [QE_STABLE_PASS] = "STABLE_PASS",
        [QE_STABLE_FAIL] = "STABLE_FAIL",
        [QE_INTERMITTENT] = "INTERMITTENT",
        [QE_RANDOM] = "RANDOM",
    };

    return (unsigned) pattern <= QE_RANDOM ? names[pattern] : "UNKNOWN";
}

struct tally {
    uint64_t passes, failures;
    uint64_t equal; /* neighbours with the same result */
    bool previous;
};

static void count(struct tally *t, bool passed)
{
    if (t->passes + t->failures > 0 && passed == t->previous)
        t->equal++;
    t->previous = passed;
    if (passed)
        t->passes++;
    else
        t->failures++;
}

/*
 * The score is 2 * min(p, f) / n, 1 where passes and failures balance.
 *
 * INTERMITTENT says that more than 70 % of the n - 1 pairs of neighbours are
 * equal. This is the rule that earlier tools of this kind print, kept so that
 * their figures can be compared; it is no test for bursts: independent runs
 * that fail with rate p agree with 1 - 2p(1 - p), which is above 0.7 for every
 * p < 0.184. Whole numbers decide, so that exactly 70 % is RANDOM.
 */
static int judge(const struct tally *t, qe_flakiness *out)
{
    uint64_t n = t->passes + t->failures;
    uint64_t least = t->passes < t->failures ? t->passes : t->failures;

    if (n == 0)
        return QE_EINVAL;
    if (t->passes > UINT32_MAX || t->failures > UINT32_MAX)
        return QE_ETOOBIG;
    out->passes = (uint32_t) t->passes;
    out->failures = (uint32_t) t->failures;
    out->score = 2.0 * (double) least / (double) n;
    out->is_flaky = least > 0;
    if (t->failures == 0)
        out->pattern = QE_STABLE_PASS;
    else if (t->passes == 0)
        out->pattern = QE_STABLE_FAIL;
    else if (10 * t->equal > 7 * (n - 1))
        out->pattern = QE_INTERMITTENT;
    else
        out->pattern = QE_RANDOM;
    return QE_OK;
}

QE_API int qe_flakiness_of(const uint8_t *results, size_t n, qe_flakiness *out)
{
    struct tally t = {0};
    size_t i;

    if ((results == NULL && n > 0) || out == NULL)
        return QE_EINVAL;
    for (i = 0; i < n; i++)
        if (results[i] <= 1)
            count(&t, results[i] == 1);
    return judge(&t, out);
}

int qe__flakiness_of_attempts(const qe__attempts *list, qe_flakiness *out)
{
    struct tally t = {0};
    size_t i;

    for (i = 0; i < list->count; i++) {
        const qe_attempt *a = list->at[i];
        if (i + 1 < list->count && list->at[i + 1]->pass == a->pass)
            continue;
        switch (a->outcome) {
        case QE_PASSED:
        case QE_FLAKY:
            count(&t, true);
            break;
        case QE_FAILED:
        case QE_ERROR:
        case QE_TIMEOUT:
        case QE_CRASHED:
            count(&t, false);
            break;
        default: /* A skipped test neither passed nor failed. */
            break;
        }
    }
    return judge(&t, out);
}

QE_API int qe_record_flakiness(const qe_record *r, uint32_t item,
                               qe_flakiness *out)
{
    qe__attempts list = {0};
    int rc;

    if (r == NULL || item >= r->test_count || out == NULL)
        return QE_EINVAL;
    rc = qe__record_attempts(r, item, &list);
    if (rc == QE_OK)
        rc = qe__flakiness_of_attempts(&list, out);
    free(list.at);
    return rc;
}
