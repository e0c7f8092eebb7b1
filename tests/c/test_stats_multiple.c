/* Many verdicts at once. */
#include "alloc_fault.h"
#include "golden.h"

#include <math.h>

#include "qe.h"

#define MOST 64

static void ebh_confirms_those_of_the_reference(void **state)
{
    size_t some = 0;
    golden g;

    (void) state;
    golden_open(&g, "ebh.csv");
    while (golden_next(&g)) {
        double ln_e[MOST], wanted[MOST];
        size_t n = golden_list(golden_text(&g, "ln_e"), ln_e, MOST);
        size_t tests = (size_t) golden_count(&g, "tests");
        size_t count = 0, confirmed_count = 0;
        bool confirmed[MOST];

        assert_int_equal(
            golden_list(golden_text(&g, "confirmed"), wanted, MOST), n);
        assert_int_equal(qe_ebh(ln_e, n, tests, golden_number(&g, "alpha"),
                                confirmed, &count),
                         QE_OK);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(confirmed[i], wanted[i] == 1);
            confirmed_count += confirmed[i];
        }
        assert_int_equal(count, confirmed_count);
        some += count > 0 && count < n;
    }
    assert_true(some > 3);
}

static void ebh_counts_all_tests(void **state)
{
    double ln_e[] = {log(500), log(90), log(90), -INFINITY, INFINITY};
    bool confirmed[5];
    size_t count;

    (void) state;
    assert_int_equal(qe_ebh(ln_e, 5, 5, 0.05, confirmed, &count), QE_OK);
    assert_int_equal(count, 4);
    assert_false(confirmed[3]);
    /* Of 40 tests: 500 >= 40 / (.05 * 2), 90 < 40 / (.05 * 3) = 267. */
    assert_int_equal(qe_ebh(ln_e, 5, 40, 0.05, confirmed, NULL), QE_OK);
    assert_true(confirmed[0] && confirmed[4]);
    assert_false(confirmed[1] || confirmed[2]);
    assert_int_equal(qe_ebh(ln_e, 5, 40, 0.05, NULL, &count), QE_OK);
    assert_int_equal(count, 2);
    assert_int_equal(qe_ebh(NULL, 0, 40, 0.05, NULL, &count), QE_OK);
    assert_int_equal(count, 0);
}

static double evidence(int failures, int passes)
{
    double ln_e;

    assert_int_equal(qe_evidence_flaky(failures, passes, QE_EVIDENCE_A,
                                       QE_EVIDENCE_B, QE_EVIDENCE_RATE0, &ln_e),
                     QE_OK);
    return ln_e;
}

/* 40 tests, of which 30 are healthy: they fail with rate0, all of them in the
 * same runs, as they do when a machine is overloaded. Each test stops at its
 * own time, when its evidence is great. Of what is confirmed at most alpha is
 * healthy, on average; and the flaky ones are found. */
static void ebh_is_seldom_wrong_when_tests_fail_together(void **state)
{
    enum { TESTS = 40, HEALTHY = 30, RUNS = 80 };
    int times = golden_times(1500, 25);
    double wrong = 0, found = 0;
    int shared = 0;
    uint64_t seed = 5;

    (void) state;
    for (int t = 0; t < times; t++) {
        double ln_e[TESTS] = {0};
        bool confirmed[TESTS], bad[RUNS];
        int bad_confirmed = 0;
        size_t count;

        for (int r = 0; r < RUNS; r++) {
            bad[r] = golden_uniform(&seed) < QE_EVIDENCE_RATE0;
            shared += bad[r];
        }
        for (int i = 0; i < TESTS; i++) {
            int f = 0;

            for (int r = 0; r < RUNS && ln_e[i] < log(TESTS / 0.05); r++) {
                f += i < HEALTHY ? bad[r] : golden_uniform(&seed) < 0.15;
                ln_e[i] = evidence(f, r + 1 - f);
            }
        }
        assert_int_equal(qe_ebh(ln_e, TESTS, TESTS, 0.05, confirmed, &count),
                         QE_OK);
        for (int i = 0; i < HEALTHY; i++)
            bad_confirmed += confirmed[i];
        wrong += count > 0 ? (double) bad_confirmed / (double) count : 0;
        found += (double) (count - (size_t) bad_confirmed) / (TESTS - HEALTHY);
    }
    assert_true(shared > 0);
    assert_true(wrong / times <= 0.05);
    assert_true(found / times > 0.9);
}

static void holm_and_benjamini_hochberg_are_those_of_statsmodels(void **state)
{
    double p[MOST], wanted[MOST], found[MOST];
    size_t n = 0;
    golden g;

    (void) state;
    golden_open(&g, "holm.csv");
    while (golden_next(&g)) {
        n = golden_list(golden_text(&g, "p"), p, MOST);
        assert_int_equal(golden_list(golden_text(&g, "adjusted"), wanted, MOST),
                         n);
        assert_int_equal(qe_holm(p, n, found), QE_OK);
        for (size_t i = 0; i < n; i++)
            assert_near(found[i], wanted[i], 1e-12);
    }
    n = 0;
    golden_open(&g, "bh.csv");
    while (golden_next(&g)) {
        p[n] = golden_number(&g, "p");
        wanted[n++] = golden_number(&g, "adj_bh");
    }
    assert_int_equal(qe_benjamini_hochberg(p, n, found), QE_OK);
    for (size_t i = 0; i < n; i++)
        assert_near(found[i], wanted[i], 1e-12);
    /* In any order, and in place. */
    for (size_t i = 0; i < n; i++)
        found[i] = p[(i * 7 + 3) % n];
    assert_int_equal(n, 25);
    assert_int_equal(qe_benjamini_hochberg(found, n, found), QE_OK);
    for (size_t i = 0; i < n; i++)
        assert_near(found[i], wanted[(i * 7 + 3) % n], 1e-12);
}

static void what_is_no_chance_is_refused(void **state)
{
    static const double bad[] = {-0.1, 1.1, NAN, INFINITY};
    double out[2] = {7, 7};
    size_t count = 7;

    (void) state;
    for (int i = 0; i < 4; i++) {
        double p[] = {0.5, bad[i]};

        assert_int_equal(qe_holm(p, 2, out), QE_EINVAL);
        assert_int_equal(qe_benjamini_hochberg(p, 2, out), QE_EINVAL);
        assert_int_equal(qe_ebh(p, 2, 2, bad[i], NULL, &count), QE_EINVAL);
    }
    assert_int_equal(qe_ebh((double[]){NAN}, 1, 1, 0.05, NULL, &count),
                     QE_EINVAL);
    assert_int_equal(qe_ebh(out, 2, 1, 0.05, NULL, &count), QE_EINVAL);
    assert_int_equal(qe_ebh(NULL, 1, 1, 0.05, NULL, &count), QE_EINVAL);
    assert_int_equal(qe_holm(NULL, 1, out), QE_EINVAL);
    assert_int_equal(qe_holm(out, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_holm(NULL, 0, NULL), QE_OK);
    assert_int_equal(qe_benjamini_hochberg(NULL, 0, NULL), QE_OK);
    assert_true(out[0] == 7 && out[1] == 7 && count == 7);
}

static int ebh_of_two(void *unused)
{
    double ln_e[] = {9, 1};

    (void) unused;
    return qe_ebh(ln_e, 2, 2, 0.05, NULL, NULL);
}

static int holm_of_two(void *adjust)
{
    double p[] = {0.1, 0.2};

    return (adjust == NULL ? qe_holm : qe_benjamini_hochberg)(p, 2, p);
}

static void out_of_memory_is_told(void **state)
{
    int other;

    (void) state;
    assert_int_equal(alloc_fault_sweep(ebh_of_two, NULL), 1);
    assert_int_equal(alloc_fault_sweep(holm_of_two, NULL), 1);
    assert_int_equal(alloc_fault_sweep(holm_of_two, &other), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ebh_confirms_those_of_the_reference),
        cmocka_unit_test(ebh_counts_all_tests),
        cmocka_unit_test(ebh_is_seldom_wrong_when_tests_fail_together),
        cmocka_unit_test(holm_and_benjamini_hochberg_are_those_of_statsmodels),
        cmocka_unit_test(what_is_no_chance_is_refused),
        cmocka_unit_test(out_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
