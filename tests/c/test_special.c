/* Special functions, against closed forms and identities. */
#include "golden.h"

#include <math.h>

#include "qe_special.h"

static void the_beta_function_is_that_of_factorials(void **state)
{
    (void) state;
    assert_near(qe__lbeta(1, 1), 0, 1e-15);
    assert_near(qe__lbeta(2, 3), -log(12), 1e-15);
    assert_near(qe__lbeta(0.5, 0.5), log(M_PI), 1e-15);
    /* B(1, b) = 1 / b, B(2, b) = 1 / (b (b + 1)): exact at any size. */
    for (double b = 1; b < 1e10; b *= 7) {
        assert_near(qe__lbeta(1, b), -log(b), 1e-14);
        assert_near(qe__lbeta(b, 2), -log(b) - log1p(b), 1e-14);
        assert_near(qe__lbeta(12, b) - qe__lbeta(11, b), log(11 / (b + 11)),
                    1e-13);
    }
}

static void choosing_counts_subsets(void **state)
{
    (void) state;
    assert_near(exp(qe__lchoose(5, 2)), 10, 1e-14);
    assert_near(qe__lchoose(7, 0), 0, 0);
    assert_near(qe__lchoose(7, 7), 0, 0);
    assert_near(qe__lchoose(1e6, 1), log(1e6), 1e-13);
    assert_near(qe__lchoose(1e6, 999998), log(1e6 * 999999.0 / 2), 1e-13);
}

static void the_beta_law_has_its_closed_forms(void **state)
{
    (void) state;
    for (double x = 1e-6; x < 1; x *= 1.7) {
        assert_near(qe__beta_cdf(x, 1 - x, 1, 1), x, 1e-15);
        assert_near(qe__beta_cdf(x, 1 - x, 3, 1), x * x * x, 1e-14);
        assert_near(qe__beta_cdf(x, 1 - x, 1, 400), -expm1(400 * log1p(-x)),
                    1e-13);
        assert_near(qe__beta_cdf(x, 1 - x, 0.5, 0.5), 2 / M_PI * asin(sqrt(x)),
                    1e-14);
    }
    assert_near(qe__beta_cdf(0, 1, 2, 2), 0, 0);
    assert_near(qe__beta_cdf(1, 0, 2, 2), 1, 0);
}

/* Every quantile is where the law says, over ten powers of ten of counts. */
static void a_quantile_gives_back_its_probability(void **state)
{
    static const double counts[] = {0.5, 1, 3.5, 40, 1000.5, 1e6, 1e9};
    static const double chances[] = {1e-12, 1e-3, 0.025, 0.5, 0.9, 1 - 1e-9};

    (void) state;
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < 7; j++)
            for (size_t k = 0; k < 6; k++) {
                double y, p = chances[k];
                double x = qe__beta_quantile(p, counts[i], counts[j], &y);

                assert_true(x > 0 && y > 0 && x <= 1 && y <= 1);
                assert_near(x + y, 1, 1e-15);
                assert_near(qe__beta_cdf(x, y, counts[i], counts[j]) / p, 1,
                            i > 4 || j > 4 ? 1e-6 : 1e-9);
            }
}

static void the_normal_law_has_its_known_quantiles(void **state)
{
    (void) state;
    /* Standard tables. */
    assert_near(qe__normal_upper(0.025), 1.959963984540054, 1e-14);
    assert_near(qe__normal_upper(0.005), 2.5758293035489004, 1e-14);
    assert_near(qe__normal_upper(0.5), 0, 1e-14);
    for (double q = 0.5; q > 1e-13; q /= 3)
        assert_near(0.5 * erfc(qe__normal_upper(q) / sqrt(2)) / q, 1, 1e-12);
    assert_near(qe__chi1_upper(3.841458820694124), 0.05, 1e-14);
    assert_near(qe__chi1_upper(0), 1, 0);
}

static void what_is_a_rate_is_said_of_any_number(void **state)
{
    (void) state;
    assert_true(qe__is_rate(0) && qe__is_rate(1) && qe__is_rate(0.3));
    assert_false(qe__is_rate(-1e-300) || qe__is_rate(1.0000001));
    assert_false(qe__is_rate(NAN) || qe__is_rate(INFINITY));
    assert_true(qe__is_alpha(1e-12) && qe__is_alpha(0.999));
    assert_false(qe__is_alpha(0) || qe__is_alpha(1) || qe__is_alpha(NAN));
    assert_int_equal(qe__check_counts(0, 0), QE_EINVAL);
    assert_int_equal(qe__check_counts(-1, 5), QE_EINVAL);
    assert_int_equal(qe__check_counts(5, INT64_MIN), QE_EINVAL);
    assert_int_equal(qe__check_counts(QE_STATS_MOST, QE_STATS_MOST), QE_OK);
    assert_int_equal(qe__check_counts(QE_STATS_MOST + 1, 0), QE_ETOOBIG);
    assert_int_equal(qe__check_counts(INT64_MAX, INT64_MAX), QE_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_beta_function_is_that_of_factorials),
        cmocka_unit_test(choosing_counts_subsets),
        cmocka_unit_test(the_beta_law_has_its_closed_forms),
        cmocka_unit_test(a_quantile_gives_back_its_probability),
        cmocka_unit_test(the_normal_law_has_its_known_quantiles),
        cmocka_unit_test(what_is_a_rate_is_said_of_any_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
