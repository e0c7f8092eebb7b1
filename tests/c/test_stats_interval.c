/* Intervals: reference values, coverage, and what is refused. */
#include "golden.h"

#include <math.h>

#include "qe.h"

typedef int interval_fn(int64_t, int64_t, double, qe_interval *);

static interval_fn *const KINDS[] = {
    qe_interval_jeffreys, qe_interval_jeffreys_clamped,
    qe_interval_clopper_pearson, qe_interval_wilson, qe_interval_sequence};
#define KIND_COUNT 5

static void check(const golden *g, interval_fn *interval, double alpha,
                  const char *low, const char *high, double error)
{
    int64_t f = golden_count(g, "f"), n = golden_count(g, "n");
    qe_interval found = {-1, -1};

    assert_int_equal(interval(f, n - f, alpha, &found), QE_OK);
    assert_near(found.low, golden_number(g, low), error);
    assert_near(found.high, golden_number(g, high), error);
    /* Small ends are right by their own measure, too. */
    if (found.low > 0 && golden_number(g, low) > 1e-15)
        assert_near(found.low / golden_number(g, low), 1, 1e-6);
}

static void intervals_are_those_of_scipy_and_statsmodels(void **state)
{
    golden g;

    (void) state;
    golden_open(&g, "intervals.csv");
    while (golden_next(&g)) {
        check(&g, qe_interval_clopper_pearson, 0.05, "cp_lo", "cp_hi", 1e-9);
        check(&g, qe_interval_wilson, 0.05, "wilson_lo", "wilson_hi", 1e-9);
        check(&g, qe_interval_jeffreys, 0.05, "jeffreys_lo", "jeffreys_hi",
              1e-9);
        check(&g, qe_interval_sequence, 0.05, "cs_lo", "cs_hi", 1e-6);
    }
    assert_int_equal(g.lines, 83);
}

static void they_are_so_up_to_a_million_runs(void **state)
{
    golden g;

    (void) state;
    golden_open(&g, "intervals_large.csv");
    while (golden_next(&g)) {
        double alpha = golden_number(&g, "alpha");

        check(&g, qe_interval_clopper_pearson, alpha, "cp_lo", "cp_hi", 1e-9);
        check(&g, qe_interval_wilson, alpha, "wilson_lo", "wilson_hi", 1e-9);
        check(&g, qe_interval_jeffreys, alpha, "jeffreys_lo", "jeffreys_hi",
              1e-9);
    }
}

static void the_clamped_form_ends_where_rates_end(void **state)
{
    qe_interval plain, shown;

    (void) state;
    assert_int_equal(qe_interval_jeffreys(0, 10, 0.05, &plain), QE_OK);
    assert_int_equal(qe_interval_jeffreys_clamped(0, 10, 0.05, &shown), QE_OK);
    assert_true(plain.low > 0 && shown.low == 0);
    assert_true(shown.high == plain.high);
    assert_int_equal(qe_interval_jeffreys_clamped(10, 0, 0.05, &shown), QE_OK);
    assert_true(shown.high == 1 && shown.low > 0.5);
    assert_int_equal(qe_interval_jeffreys(3, 10, 0.05, &plain), QE_OK);
    assert_int_equal(qe_interval_jeffreys_clamped(3, 10, 0.05, &shown), QE_OK);
    assert_true(plain.low == shown.low && plain.high == shown.high);
}

/* Over many counts: within 0 and 1, around the rate seen, narrower with a
 * larger alpha, and the mirror image for passes. */
static void every_interval_keeps_to_what_it_is(void **state)
{
    static const int64_t counts[] = {0, 1, 2, 13, 400, 50000, QE_STATS_MOST};

    (void) state;
    for (int k = 0; k < KIND_COUNT; k++)
        for (int i = 0; i < 49; i++) {
            int64_t f = counts[i / 7], s = counts[i % 7];
            double rate = (double) f / (double) (f + s);
            qe_interval wide, narrow, mirror;

            if (f + s == 0)
                continue;
            assert_int_equal(KINDS[k](f, s, 0.001, &wide), QE_OK);
            assert_int_equal(KINDS[k](f, s, 0.2, &narrow), QE_OK);
            assert_int_equal(KINDS[k](s, f, 0.2, &mirror), QE_OK);
            assert_true(wide.low >= 0 && wide.high <= 1);
            assert_true(wide.low <= narrow.low && narrow.high <= wide.high);
            /* Jeffreys' own is within the ends where all is of one kind. */
            if (k > 0 || (f > 0 && s > 0))
                assert_true(narrow.low <= rate && rate <= narrow.high);
            assert_near(mirror.low, 1 - narrow.high, 1e-12);
        }
}

/* How often an interval of n runs holds the rate, by simulation. */
static double coverage(interval_fn *interval, int n, double rate,
                       uint64_t *seed)
{
    int times = golden_times(20000, 2000), held = 0;
    qe_interval all[101];

    for (int f = 0; f <= n; f++)
        assert_int_equal(interval(f, n - f, 0.05, &all[f]), QE_OK);
    for (int i = 0; i < times; i++) {
        int f = 0;

        for (int j = 0; j < n; j++)
            f += golden_uniform(seed) < rate;
        held += all[f].low <= rate && rate <= all[f].high;
    }
    return (double) held / times;
}

static void intervals_hold_the_rate_as_often_as_they_say(void **state)
{
    static const double rates[] = {0.02, 0.07, 0.13, 0.29, 0.5, 0.61, 0.94};
    double mean[KIND_COUNT] = {0};
    uint64_t seed = 20250;

    (void) state;
    for (int k = 0; k < KIND_COUNT; k++)
        for (int i = 0; i < 7; i++) {
            double held = coverage(KINDS[k], 60, rates[i], &seed);

            mean[k] += held / 7;
            /* 4 standard errors of the simulation. */
            if (KINDS[k] == qe_interval_clopper_pearson ||
                KINDS[k] == qe_interval_sequence)
                assert_true(held > 0.95 - golden_times(62, 195) / 10000.0);
            else
                assert_true(held > 0.88); /* they dip, by their nature */
        }
    assert_near(mean[0], 0.95, 0.02);
    assert_near(mean[3], 0.95, 0.02);
    assert_true(mean[1] >= mean[0] - 0.01);
    assert_true(mean[4] > 0.97);
}

/* Stops as soon as both results were seen, or, which is worse, as soon as the
 * interval misses the rate. Wilson's does so again and again. */
static void the_sequence_holds_whenever_one_stops(void **state)
{
    enum { RUNS = 150 };
    static qe_interval sequence[RUNS + 1][RUNS + 1], wilson[RUNS + 1][RUNS + 1];
    static const double rates[] = {0.01, 0.1, 0.3};
    int times = golden_times(4000, 800), runs = golden_times(RUNS, 50);
    uint64_t seed = 4;

    (void) state;
    for (int n = 1; n <= runs; n++)
        for (int f = 0; f <= n; f++) {
            qe_interval_sequence(f, n - f, 0.05, &sequence[f][n - f]);
            qe_interval_wilson(f, n - f, 0.05, &wilson[f][n - f]);
        }
    for (int r = 0; r < 3; r++) {
        int missed = 0, wilson_missed = 0, mixed = 0, mixed_missed = 0;

        for (int i = 0; i < times; i++) {
            bool miss = false, wilson_miss = false, stopped = false;

            for (int n = 1, f = 0; n <= runs; n++) {
                const qe_interval *c, *w;

                f += golden_uniform(&seed) < rates[r];
                c = &sequence[f][n - f];
                w = &wilson[f][n - f];
                miss |= rates[r] < c->low || rates[r] > c->high;
                wilson_miss |= rates[r] < w->low || rates[r] > w->high;
                if (!stopped && f > 0 && f < n) {
                    stopped = true;
                    mixed++;
                    mixed_missed += rates[r] < c->low || rates[r] > c->high;
                }
            }
            missed += miss;
            wilson_missed += wilson_miss;
        }
        assert_true(missed <= 0.05 * times);
        assert_true(mixed > times / 4 && mixed_missed <= 0.05 * mixed);
        /* The test can tell: what holds for fixed n alone does not pass. */
        if (r > 0)
            assert_true(wilson_missed > 0.1 * times);
    }
}

/* Both ends are the median then; rounding must not cross them. */
static void the_least_sure_interval_is_a_point(void **state)
{
    static const int64_t counts[] = {1, 3, 43, 2495, 10471037, QE_STATS_MOST};

    (void) state;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 36; i++) {
            qe_interval point;

            assert_int_equal(
                KINDS[k](counts[i / 6], counts[i % 6], 1 - 1e-12, &point),
                QE_OK);
            assert_true(point.low <= point.high);
            if (k < 2)
                assert_near(point.low, point.high, 1e-9);
        }
}

static void what_is_no_count_and_no_alpha_is_refused(void **state)
{
    static const double bad[] = {0, 1, -0.1, 1.1, NAN, INFINITY, 1e-13};
    qe_interval out = {7, 7};

    (void) state;
    for (int k = 0; k < KIND_COUNT; k++) {
        assert_int_equal(KINDS[k](0, 0, 0.05, &out), QE_EINVAL);
        assert_int_equal(KINDS[k](-1, 3, 0.05, &out), QE_EINVAL);
        assert_int_equal(KINDS[k](3, -1, 0.05, &out), QE_EINVAL);
        assert_int_equal(KINDS[k](1, INT64_MAX, 0.05, &out), QE_ETOOBIG);
        assert_int_equal(KINDS[k](1, 1, 0.05, NULL), QE_EINVAL);
        for (int i = 0; i < 7; i++)
            assert_int_equal(KINDS[k](1, 1, bad[i], &out), QE_EINVAL);
    }
    assert_true(out.low == 7 && out.high == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_those_of_scipy_and_statsmodels),
        cmocka_unit_test(they_are_so_up_to_a_million_runs),
        cmocka_unit_test(the_clamped_form_ends_where_rates_end),
        cmocka_unit_test(every_interval_keeps_to_what_it_is),
        cmocka_unit_test(intervals_hold_the_rate_as_often_as_they_say),
        cmocka_unit_test(the_sequence_holds_whenever_one_stops),
        cmocka_unit_test(the_least_sure_interval_is_a_point),
        cmocka_unit_test(what_is_no_count_and_no_alpha_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
