/* Which tests stand out over all runs that are remembered. */
#include "qe_history.h"

#include "qe_stats.h"
#include "qe_util.h"

#include <stdlib.h>
#include <string.h>

#define ALPHA 0.05

struct tests {
    qe_history_test *all;
    size_t count, capacity;
};

static void clear(struct tests *tests)
{
    for (size_t i = 0; i < tests->count; i++) {
        free((char *) tests->all[i].id);
    }
    free(tests->all);
}

static int add(void *arg, const char *id, uint64_t failures, uint64_t passes)
{
    struct tests *to = arg;
    qe_history_test test = {.failures = failures, .passes = passes};
    qe_interval rate;
    int rc;

    /* More than that nobody has run; a file that says so was made up. */
    if (failures > QE_STATS_MOST || passes > QE_STATS_MOST) {
        return 0;
    }
    rc = qe_interval_jeffreys_clamped((int64_t) failures, (int64_t) passes,
                                      ALPHA, &rate);
    if (rc != QE_OK) {
        return rc == QE_EINVAL ? 0 : rc; /* it never ran to its end */
    }
    test.low = rate.low;
    test.high = rate.high;
    test.id = strdup(id);
    if (test.id == NULL) {
        return QE_ENOMEM;
    }
    rc = qe__grow(&to->all, &to->capacity, to->count + 1, sizeof(*to->all));
    if (rc != QE_OK) {
        free((char *) test.id);
        return rc;
    }
    to->all[to->count++] = test;
    return 0;
}

/* How long they take: of those that are asked for, in one transaction. */
static int add_medians(qe_history *h, qe_history_test *tests, size_t n)
{
    const char **ids = calloc(n + 1, sizeof(*ids));
    uint64_t *took = calloc(n + 1, sizeof(*took));
    int rc = ids == NULL || took == NULL ? QE_ENOMEM : QE_OK;

    for (size_t i = 0; rc == QE_OK && i < n; i++) {
        ids[i] = tests[i].id;
    }
    if (rc == QE_OK) {
        rc = qe_history_durations(h, ids, n, took);
    }
    for (size_t i = 0; rc == QE_OK && i < n; i++) {
        tests[i].median_ns = took[i];
    }
    free(ids);
    free(took);
    return rc;
}

/* ------------------------------------------------------------------------ order */

static int by_name(const qe_history_test *a, const qe_history_test *b)
{
    return strcmp(a->id, b->id);
}

/* 1 where the first number is the smaller one: it comes later. */
static int less_first(double a, double b)
{
    return (a < b) - (a > b);
}

/* The nearer to even, the flakier; of two that are alike the better known. What
 * counts is how much of the rarer result is sure to come again. */
static double mix(const qe_history_test *test)
{
    return test->low < 1 - test->high ? test->low : 1 - test->high;
}

static int flakier(const void *a, const void *b)
{
    const qe_history_test *one = a, *two = b;
    int order = less_first(mix(one), mix(two));

    if (order == 0) {
        order = less_first((double) (one->failures + one->passes),
                           (double) (two->failures + two->passes));
    }
    return order != 0 ? order : by_name(one, two);
}

static int fails_more(const void *a, const void *b)
{
    const qe_history_test *one = a, *two = b;
    int order = less_first((double) one->failures, (double) two->failures);

    /* Of as many failures those in fewer runs weigh more. */
    if (order == 0) {
        order = less_first((double) two->passes, (double) one->passes);
    }
    return order != 0 ? order : by_name(one, two);
}

static int slower(const void *a, const void *b)
{
    const qe_history_test *one = a, *two = b;
    int order =
        (one->median_ns < two->median_ns) - (one->median_ns > two->median_ns);

    return order != 0 ? order : by_name(one, two);
}

static bool is_mixed(const qe_history_test *test)
{
    return test->failures > 0 && test->passes > 0;
}

static bool has_failed(const qe_history_test *test)
{
    return test->failures > 0;
}

static bool has_time(const qe_history_test *test)
{
    return test->median_ns > 0;
}

static const struct {
    bool (*is)(const qe_history_test *test);
    int (*order)(const void *a, const void *b);
} tops[] = {
    [QE_TOP_FLAKIEST] = {is_mixed, flakier},
    [QE_TOP_FAILING] = {has_failed, fails_more},
    [QE_TOP_SLOWEST] = {has_time, slower},
};

/* ------------------------------------------------------------------------- tell */

/* Brings those that a table is about to the front; returns how many. */
static size_t select_tests(struct tests *tests,
                           bool (*is)(const qe_history_test *))
{
    size_t found = 0;

    for (size_t i = 0; i < tests->count; i++) {
        if (is(&tests->all[i])) {
            qe_history_test other = tests->all[found];

            tests->all[found++] = tests->all[i];
            tests->all[i] = other;
        }
    }
    return found;
}

QE_API int qe_history_top(qe_history *h, enum qe_history_top by, uint32_t most,
                          uint64_t *known, uint64_t *found,
                          int (*visit)(void *arg, const qe_history_test *test),
                          void *arg)
{
    struct tests tests = {0};
    size_t n = 0, told = 0;
    int rc, stopped = 0;

    if (h == NULL || known == NULL || found == NULL || visit == NULL ||
        (unsigned) by >= QE__COUNT(tops)) {
        return QE_EINVAL;
    }
    rc = qe_history_counts(h, add, &tests);
    if (rc == QE_OK && by == QE_TOP_SLOWEST) {
        rc = add_medians(h, tests.all, tests.count);
    }
    if (rc == QE_OK && tests.count > 0) {
        n = select_tests(&tests, tops[by].is);
        qsort(tests.all, n, sizeof(*tests.all), tops[by].order);
        told = n < most ? n : most;
    }
    if (rc == QE_OK && by != QE_TOP_SLOWEST) {
        rc = add_medians(h, tests.all, told);
    }
    if (rc == QE_OK) {
        *known = tests.count;
        *found = n;
    }
    for (size_t i = 0; rc == QE_OK && stopped == 0 && i < told; i++) {
        stopped = visit(arg, &tests.all[i]);
    }
    clear(&tests);
    return stopped != 0 ? stopped : rc;
}
