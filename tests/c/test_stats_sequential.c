/* SPRT and evidence. */
#include "golden.h"

#include <math.h>

#include "qe.h"

static enum qe_sprt_verdict verdict_of(const char *name)
{
    return strcmp(name, "FLAKY") == 0    ? QE_SPRT_FLAKY
           : strcmp(name, "STABLE") == 0 ? QE_SPRT_STABLE
                                         : QE_SPRT_OPEN;
}

static void sprt_decides_where_the_reference_does(void **state)
{
    int kinds[3] = {0};
    golden g;

    (void) state;
    golden_open(&g, "sprt.csv");
    while (golden_next(&g)) {
        enum qe_sprt_verdict wanted = verdict_of(golden_text(&g, "verdict"));
        int64_t runs = golden_count(&g, "runs");
        uint8_t results[1000];
        size_t n =
            golden_results(golden_text(&g, "results"), results, sizeof results);
        int verdict = QE_SPRT_OPEN;
        qe_sprt s;

        assert_int_equal(qe_sprt_init(&s, golden_number(&g, "rate0"),
                                      golden_number(&g, "rate1"),
                                      golden_number(&g, "alpha"),
                                      golden_number(&g, "beta")),
                         QE_OK);
        for (size_t i = 0; i < n; i++) {
            if ((int64_t) i < runs)
                assert_int_equal(verdict, QE_SPRT_OPEN);
            verdict = qe_sprt_step(&s, results[i] == 0);
            assert_int_equal(verdict, s.verdict);
        }
        /* What came after the decision is not counted. */
        assert_int_equal(s.verdict, wanted);
        assert_int_equal(s.failures + s.passes, runs);
        assert_near(s.ln_ratio, golden_number(&g, "ln_ratio"), 1e-9);
        kinds[wanted]++;
    }
    assert_true(kinds[0] > 0 && kinds[1] > 0 && kinds[2] > 0);
}

/* How often tests of this rate are called flaky; *runs is what that took. */
static double called_flaky(double rate, int times, uint64_t *seed, double *runs)
{
    int flaky = 0;

    *runs = 0;
    for (int i = 0; i < times; i++) {
        qe_sprt s;
        int verdict = QE_SPRT_OPEN;

        assert_int_equal(qe_sprt_init(&s, QE_SPRT_RATE0, QE_SPRT_RATE1,
                                      QE_SPRT_ALPHA, QE_SPRT_BETA),
                         QE_OK);
        while (verdict == QE_SPRT_OPEN && s.failures + s.passes < 100000)
            verdict = qe_sprt_step(&s, golden_uniform(seed) < rate);
        assert_true(verdict > QE_SPRT_OPEN);
        flaky += verdict == QE_SPRT_FLAKY;
        *runs += (double) (s.failures + s.passes) / times;
    }
    return (double) flaky / times;
}

static void sprt_is_wrong_as_rarely_as_it_says(void **state)
{
    int times = golden_times(20000, 2000);
    double error = 4 * sqrt(0.05 * 0.95 / times), runs;
    uint64_t seed = 99;

    (void) state;
    /* Wald: alpha / (1 - beta) and beta / (1 - alpha) at the most. */
    assert_true(called_flaky(QE_SPRT_RATE0, times, &seed, &runs) <
                0.05 / 0.95 + error);
    /* A fixed number of runs as sure as that: 1 or more failures in 59, wrong
     * with 5.7 % and 4.8 %; 2 in 93 is the least that keeps to both. */
    assert_true(runs < 0.7 * 93);
    assert_true(1 - called_flaky(QE_SPRT_RATE1, times, &seed, &runs) <
                0.05 / 0.95 + error);
    assert_true(called_flaky(0.3, times, &seed, &runs) > 0.99);
    assert_true(runs < 93 / 3.0);
}

static void sprt_refuses_what_makes_no_test(void **state)
{
    static const double bad[][4] = {
        {0, 0.05, 0.05, 0.05},    {0.1, 0.05, 0.05, 0.05},
        {0.05, 0.05, 0.05, 0.05}, {0.001, 1, 0.05, 0.05},
        {0.001, 0.05, 0, 0.05},   {0.001, 0.05, 0.05, 1},
        {0.001, 0.05, 0.6, 0.4},  {NAN, 0.05, 0.05, 0.05},
        {0.001, NAN, 0.05, 0.05}, {0.001, 0.05, NAN, 0.05},
        {0.001, 0.05, 0.05, NAN}, {-0.1, 0.05, 0.05, 0.05},
    };
    qe_sprt s;

    (void) state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(
            qe_sprt_init(&s, bad[i][0], bad[i][1], bad[i][2], bad[i][3]),
            QE_EINVAL);
    assert_int_equal(qe_sprt_init(NULL, 0.001, 0.05, 0.05, 0.05), QE_EINVAL);
    assert_int_equal(qe_sprt_step(NULL, true), QE_EINVAL);
    assert_int_equal(qe_sprt_init(&s, 0.001, 0.05, 0.05, 0.05), QE_OK);
    s.passes = QE_STATS_MOST;
    assert_int_equal(qe_sprt_step(&s, false), QE_ETOOBIG);
    s.passes = -1;
    assert_int_equal(qe_sprt_step(&s, false), QE_EINVAL);
}

static void evidence_is_that_of_the_reference(void **state)
{
    golden g;

    (void) state;
    golden_open(&g, "evidence.csv");
    while (golden_next(&g)) {
        int64_t f = golden_count(&g, "f"), s = golden_count(&g, "s");
        double a = golden_number(&g, "a"), b = golden_number(&g, "b");
        double rate0 = golden_number(&g, "rate0"), one, two;

        assert_int_equal(qe_evidence(f, s, a, b, rate0, &one), QE_OK);
        assert_near(one, golden_number(&g, "ln_e"), 1e-9);
        assert_int_equal(qe_evidence_flaky(f, s, a, b, rate0, &two), QE_OK);
        assert_near(two, golden_number(&g, "ln_e_flaky"), 1e-9);
    }
}

static double flaky(int64_t failures, int64_t passes)
{
    double ln_e = NAN;

    assert_int_equal(qe_evidence_flaky(failures, passes, QE_EVIDENCE_A,
                                       QE_EVIDENCE_B, QE_EVIDENCE_RATE0, &ln_e),
                     QE_OK);
    return ln_e;
}

static void flaky_takes_failures_and_passes(void **state)
{
    double ln_e;

    (void) state;
    assert_near(flaky(0, 0), 0, 0);
    for (int64_t n = 1; n < 100000; n *= 3) {
        /* However often it fails: a test that never passes is not flaky. */
        assert_true(flaky(n, 0) < 0 && flaky(0, n) < 0);
        assert_near(flaky(n, 7), flaky(7, n), 1e-12);
    }
    assert_int_equal(qe_evidence(1000, 0, 0.5, 5, 0.001, &ln_e), QE_OK);
    assert_true(ln_e > 1000); /* though it does fail */
    assert_true(flaky(5, 5) > log(1e6));
}

/* Its mean is at most 1 where the rate is rate0, at any stopping time. Here it
 * stops at the first failure, or at 300 runs. */
static void evidence_is_one_on_average_where_there_is_none(void **state)
{
    static const double rates[] = {0.001, 0.0003};

    (void) state;
    for (int i = 0; i < 2; i++) {
        double mean = 0, left = 1, ln_e;

        for (int64_t n = 1; n <= 300; n++) {
            assert_int_equal(qe_evidence(1, n - 1, 0.5, 5, 0.001, &ln_e),
                             QE_OK);
            mean += left * rates[i] * exp(ln_e);
            left *= 1 - rates[i];
        }
        assert_int_equal(qe_evidence(0, 300, 0.5, 5, 0.001, &ln_e), QE_OK);
        mean += left * exp(ln_e);
        assert_true(mean > 0.1 && mean <= 1 + 1e-12);
    }
}

static void evidence_refuses_what_is_no_rate(void **state)
{
    static const double bad[] = {0, -1, NAN, INFINITY, 1e300};
    double ln_e = 7;

    (void) state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(qe_evidence(1, 1, bad[i], 5, 0.001, &ln_e), QE_EINVAL);
        assert_int_equal(qe_evidence(1, 1, 0.5, bad[i], 0.001, &ln_e),
                         QE_EINVAL);
        assert_int_equal(qe_evidence(1, 1, 0.5, 5, bad[i], &ln_e), QE_EINVAL);
        assert_int_equal(qe_evidence_flaky(1, 1, 0.5, 5, bad[i], &ln_e),
                         QE_EINVAL);
    }
    assert_int_equal(qe_evidence(1, 1, 0.5, 5, 1, &ln_e), QE_EINVAL);
    assert_int_equal(qe_evidence(-1, 1, 0.5, 5, 0.001, &ln_e), QE_EINVAL);
    assert_int_equal(qe_evidence(1, INT64_MAX, 0.5, 5, 0.001, &ln_e),
                     QE_ETOOBIG);
    assert_int_equal(qe_evidence(1, 1, 0.5, 5, 0.001, NULL), QE_EINVAL);
    assert_true(ln_e == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sprt_decides_where_the_reference_does),
        cmocka_unit_test(sprt_is_wrong_as_rarely_as_it_says),
        cmocka_unit_test(sprt_refuses_what_makes_no_test),
        cmocka_unit_test(evidence_is_that_of_the_reference),
        cmocka_unit_test(flaky_takes_failures_and_passes),
        cmocka_unit_test(evidence_is_one_on_average_where_there_is_none),
        cmocka_unit_test(evidence_refuses_what_is_no_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
