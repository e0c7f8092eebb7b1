/* A suite at once. */
#include "alloc_fault.h"
#include "golden.h"

#include <math.h>

#include "qe.h"

static void same_interval(const qe_interval *a, const qe_interval *b)
{
    assert_true(a->low == b->low && a->high == b->high);
}

/* What the calls for a single test say. */
static void is_that_of_single_calls(const qe_analysis *a,
                                    const uint8_t *results, size_t n,
                                    double alpha)
{
    qe_shape_verdict v;
    qe_flakiness f;
    qe_interval i;
    double ln_e;

    assert_int_equal(qe_flakiness_of(results, n, &f), QE_OK);
    assert_int_equal(a->flakiness.failures, f.failures);
    assert_int_equal(a->flakiness.passes, f.passes);
    assert_int_equal(a->flakiness.is_flaky, f.is_flaky);
    assert_int_equal(a->flakiness.pattern, f.pattern);
    assert_true(a->flakiness.score == f.score);
    assert_int_equal(
        qe_interval_jeffreys_clamped(f.failures, f.passes, alpha, &i), QE_OK);
    same_interval(&a->jeffreys, &i);
    assert_int_equal(
        qe_interval_clopper_pearson(f.failures, f.passes, alpha, &i), QE_OK);
    same_interval(&a->clopper_pearson, &i);
    assert_int_equal(qe_interval_wilson(f.failures, f.passes, alpha, &i),
                     QE_OK);
    same_interval(&a->wilson, &i);
    assert_int_equal(qe_interval_sequence(f.failures, f.passes, alpha, &i),
                     QE_OK);
    same_interval(&a->sequence, &i);
    assert_int_equal(qe_evidence_flaky(f.failures, f.passes, QE_EVIDENCE_A,
                                       QE_EVIDENCE_B, QE_EVIDENCE_RATE0, &ln_e),
                     QE_OK);
    assert_true(a->ln_e == ln_e);
    assert_int_equal(qe_shape_of(results, n, alpha, 0, QE_CHANGE_ALL, &v),
                     QE_OK);
    assert_int_equal(a->shape.shape, v.shape);
    assert_int_equal(a->shape.failures, v.failures);
    assert_int_equal(a->shape.passes, v.passes);
    assert_int_equal(a->shape.runs, v.runs);
    assert_true(a->shape.p_few == v.p_few && a->shape.p_many == v.p_many);
    assert_true(a->shape.p_change == v.p_change);
    assert_true(a->shape.p_least == v.p_least);
    assert_true(a->shape.change.p == v.change.p);
    assert_int_equal(a->shape.change.at, v.change.at);
    assert_true(a->shape.ln_markov == v.ln_markov);
    assert_true(a->shape.ln_change == v.ln_change);
}

/* So many tests that counts come again and again, and that more of them differ
 * than are kept; of all lengths. */
static void a_suite_is_its_tests_one_by_one(void **state)
{
    enum { TESTS = 4000, LONGEST = 130 };
    size_t tests = (size_t) golden_times(TESTS, 120), at = 0, confirmed = 0;
    uint8_t *results = malloc((size_t) TESTS * LONGEST);
    qe_analysis *out = calloc(TESTS, sizeof(*out));
    static double ln_e[TESTS];
    static bool wanted[TESTS];
    static size_t counts[TESTS];
    uint64_t seed = 77;

    (void) state;
    assert_true(results != NULL && out != NULL);
    for (size_t t = 0; t < tests; t++) {
        double rate = golden_uniform(&seed);

        counts[t] = 1 + (size_t) (golden_uniform(&seed) * (LONGEST - 1));
        if (t % 3 == 0)
            rate = 0.02;
        for (size_t i = 0; i < counts[t]; i++, at++)
            results[at] = t % 5 == 1 && i % 4 == 1
                              ? 9 /* skipped */
                              : golden_uniform(&seed) >= rate;
    }
    assert_int_equal(qe_stats_analyse(results, counts, tests, 0.1, out), QE_OK);
    at = 0;
    for (size_t t = 0; t < tests; t++) {
        is_that_of_single_calls(&out[t], results + at, counts[t], 0.1);
        at += counts[t];
        ln_e[t] = out[t].ln_e;
    }
    assert_int_equal(qe_ebh(ln_e, tests, tests, 0.1, wanted, NULL), QE_OK);
    for (size_t t = 0; t < tests; t++) {
        assert_int_equal(out[t].confirmed, wanted[t]);
        confirmed += wanted[t];
    }
    assert_true(confirmed > 0 && confirmed < tests);
    free(out);
    free(results);
}

/* It is one of the tests, though nothing is known of it: 8 failures and 8 passes
 * are enough for one test of 2 tests. */
static void a_test_without_results_is_no_error(void **state)
{
    static const uint8_t results[] = {2, 7, 0, 1, 0, 1, 1, 0, 0,
                                      1, 0, 1, 1, 0, 0, 1, 0, 1};
    static const size_t counts[] = {0, 2, 16};
    qe_analysis a[3];

    (void) state;
    assert_int_equal(qe_stats_analyse(results, counts, 3, 0.05, a), QE_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(a[i].flakiness.score == 0 && !a[i].flakiness.is_flaky);
        assert_true(a[i].jeffreys.low == 0 && a[i].jeffreys.high == 1);
        assert_true(a[i].clopper_pearson.low == 0);
        assert_true(a[i].clopper_pearson.high == 1);
        assert_true(a[i].wilson.low == 0 && a[i].wilson.high == 1);
        assert_true(a[i].sequence.low == 0 && a[i].sequence.high == 1);
        assert_true(a[i].ln_e == 0 && !a[i].confirmed);
        assert_int_equal(a[i].shape.shape, QE_SHAPE_UNTYPED);
        assert_true(a[i].shape.p_change == 1 && a[i].shape.change.p == 1);
    }
    assert_true(a[2].confirmed && a[2].ln_e > log(3 / 0.05));
    assert_int_equal(qe_stats_analyse(NULL, counts, 1, 0.05, a), QE_OK);
    assert_true(a[0].jeffreys.high == 1);
    assert_int_equal(qe_stats_analyse(NULL, NULL, 0, 0.05, NULL), QE_OK);
}

static void what_is_missing_is_refused(void **state)
{
    static const double bad[] = {0, 1, -0.1, 1.1, NAN, INFINITY, 1e-13};
    static const uint8_t results[] = {1, 0};
    static const size_t counts[] = {2};
    qe_analysis a;

    (void) state;
    assert_int_equal(qe_stats_analyse(NULL, counts, 1, 0.05, &a), QE_EINVAL);
    assert_int_equal(qe_stats_analyse(results, NULL, 1, 0.05, &a), QE_EINVAL);
    assert_int_equal(qe_stats_analyse(results, counts, 1, 0.05, NULL),
                     QE_EINVAL);
    for (int i = 0; i < 7; i++)
        assert_int_equal(qe_stats_analyse(results, counts, 1, bad[i], &a),
                         QE_EINVAL);
}

static int analyse_two(void *unused)
{
    static const uint8_t results[] = {1, 0, 1, 0, 1, 0, 0, 1};
    static const size_t counts[] = {7, 1};
    qe_analysis a[2];

    (void) unused;
    return qe_stats_analyse(results, counts, 2, 0.05, a);
}

static void out_of_memory_is_told(void **state)
{
    (void) state;
    assert_true(alloc_fault_sweep(analyse_two, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suite_is_its_tests_one_by_one),
        cmocka_unit_test(a_test_without_results_is_no_error),
        cmocka_unit_test(what_is_missing_is_refused),
        cmocka_unit_test(out_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
