/* Fisher's exact test. */
#include "golden.h"

#include <math.h>

#include "qe.h"

/* By their ratio: a chance of 1e-11 is to be right, too. */
static void assert_chance(double found, double wanted)
{
    assert_near(found / wanted, 1, 1e-9);
}

static void chances_are_those_of_scipy(void **state)
{
    qe_fisher p;
    golden g;

    (void) state;
    golden_open(&g, "fisher.csv");
    while (golden_next(&g)) {
        int64_t k1 = golden_count(&g, "k1"), k2 = golden_count(&g, "k2");

        assert_int_equal(qe_fisher_exact(k1, golden_count(&g, "n1") - k1, k2,
                                         golden_count(&g, "n2") - k2, &p),
                         QE_OK);
        assert_chance(p.p_two, golden_number(&g, "p_two"));
        assert_chance(p.p_more, golden_number(&g, "p_greater2"));
        assert_chance(p.p_less, golden_number(&g, "p_less2"));
    }
    golden_open(&g, "fisher_random.csv");
    while (golden_next(&g)) {
        assert_int_equal(
            qe_fisher_exact(golden_count(&g, "f1"), golden_count(&g, "s1"),
                            golden_count(&g, "f2"), golden_count(&g, "s2"), &p),
            QE_OK);
        /* scipy's own are less exact where they are near nothing. */
        assert_near(p.p_two, golden_number(&g, "p_two"), 1e-9);
        assert_near(p.p_more, golden_number(&g, "p_more"), 1e-9);
        assert_near(p.p_less, golden_number(&g, "p_less"), 1e-9);
    }
}

/* All tables of up to 7 runs a condition, by counting. */
static double choose(int n, int k)
{
    double value = 1;

    for (int i = 0; i < k; i++)
        value = value * (n - i) / (i + 1);
    return value;
}

static void chances_are_those_of_counting(void **state)
{
    (void) state;
    for (int f1 = 0; f1 <= 7; f1++)
        for (int f2 = 0; f2 <= 6; f2++) {
            double all = choose(13, f1 + f2), two = 0, more = 0, less = 0;
            double seen = choose(7, f1) * choose(6, f2);
            qe_fisher p;

            for (int x = 0; x <= 6; x++) {
                double ways = f1 + f2 - x < 0 || f1 + f2 - x > 7
                                  ? 0
                                  : choose(7, f1 + f2 - x) * choose(6, x);

                two += ways <= seen ? ways : 0;
                more += x >= f2 ? ways : 0;
                less += x <= f2 ? ways : 0;
            }
            assert_int_equal(qe_fisher_exact(f1, 7 - f1, f2, 6 - f2, &p),
                             QE_OK);
            assert_near(p.p_two, two / all, 1e-12);
            assert_near(p.p_more, more / all, 1e-12);
            assert_near(p.p_less, less / all, 1e-12);
        }
}

static void a_million_runs_work(void **state)
{
    qe_fisher p, q;

    (void) state;
    assert_int_equal(qe_fisher_exact(500000, 500000, 500000, 500000, &p),
                     QE_OK);
    assert_near(p.p_two, 1, 1e-9);
    assert_near(p.p_more, p.p_less, 1e-9);
    assert_int_equal(qe_fisher_exact(500000, 500000, 501000, 499000, &p),
                     QE_OK);
    /* The normal law says .1573 (z = 1.4142). */
    assert_near(p.p_two, 0.1573, 1e-3);
    assert_int_equal(qe_fisher_exact(501000, 499000, 500000, 500000, &q),
                     QE_OK);
    assert_near(q.p_two, p.p_two, 1e-9);
    assert_near(q.p_less, p.p_more, 1e-9);
    /* So unlikely that no double holds it. */
    assert_int_equal(qe_fisher_exact(0, 1000000, 1000000, 0, &p), QE_OK);
    assert_true(p.p_two == 0 && p.p_less == 1);
}

static void a_condition_that_was_not_run_is_refused(void **state)
{
    qe_fisher p = {7, 7, 7};

    (void) state;
    assert_int_equal(qe_fisher_exact(0, 0, 1, 1, &p), QE_EINVAL);
    assert_int_equal(qe_fisher_exact(1, 1, 0, 0, &p), QE_EINVAL);
    assert_int_equal(qe_fisher_exact(-1, 1, 1, 1, &p), QE_EINVAL);
    assert_int_equal(qe_fisher_exact(1, 1, 1, INT64_MIN, &p), QE_EINVAL);
    assert_int_equal(qe_fisher_exact(1, INT64_MAX, 1, 1, &p), QE_ETOOBIG);
    assert_int_equal(qe_fisher_exact(1, 1, 1, 1, NULL), QE_EINVAL);
    assert_true(p.p_two == 7 && p.p_more == 7 && p.p_less == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chances_are_those_of_scipy),
        cmocka_unit_test(chances_are_those_of_counting),
        cmocka_unit_test(a_million_runs_work),
        cmocka_unit_test(a_condition_that_was_not_run_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
