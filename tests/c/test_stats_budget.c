/* What a number of runs can see. */
#include "golden.h"

#include <math.h>

#include "qe.h"

static void runs_to_see_a_rate_are_the_known_ones(void **state)
{
    static const double rates[] = {0.1, 0.05, 0.02, 0.01, 1};
    static const int64_t wanted[] = {29, 59, 149, 299, 1};
    int64_t runs;
    golden g;

    (void) state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(qe_runs_to_see(rates[i], 0.05, &runs), QE_OK);
        assert_int_equal(runs, wanted[i]);
    }
    /* A whole number: two runs of a fair coin show a head with 3/4. */
    assert_int_equal(qe_runs_to_see(0.5, 0.25, &runs), QE_OK);
    assert_int_equal(runs, 2);
    golden_open(&g, "intervals.csv");
    while (golden_next(&g)) {
        double f = golden_number(&g, "f"), n = golden_number(&g, "n");

        if (*golden_text(&g, "n_detect95") == '\0')
            continue;
        assert_int_equal(qe_runs_to_see(f / n, 0.05, &runs), QE_OK);
        assert_int_equal(runs, golden_count(&g, "n_detect95"));
    }
}

static void power_is_the_chance_of_one_failure(void **state)
{
    double power;

    (void) state;
    assert_int_equal(qe_power_of_runs(0.05, 10, &power), QE_OK);
    assert_near(power, 0.4012630607616211, 1e-14);
    assert_int_equal(qe_power_of_runs(0.1, 9, &power), QE_OK);
    assert_near(power, 1 - pow(0.9, 9), 1e-14);
    /* Tiny rates are not rounded away. */
    assert_int_equal(qe_power_of_runs(1e-18, 10, &power), QE_OK);
    assert_near(power * 1e17, 1, 1e-12);
    assert_int_equal(qe_power_of_runs(0, 10, &power), QE_OK);
    assert_true(power == 0);
    assert_int_equal(qe_power_of_runs(1, 0, &power), QE_OK);
    assert_true(power == 0);
    assert_int_equal(qe_power_of_runs(1, 3, &power), QE_OK);
    assert_true(power == 1);
}

/* The three say the same: the runs that a rate needs see that rate, and one run
 * less does not. */
static void the_three_agree(void **state)
{
    (void) state;
    for (double rate = 0.9; rate > 1e-7; rate /= 1.9) {
        int64_t runs;
        double power, seen;

        assert_int_equal(qe_runs_to_see(rate, 0.05, &runs), QE_OK);
        assert_int_equal(qe_power_of_runs(rate, runs, &power), QE_OK);
        assert_true(power >= 0.95 - 1e-12);
        assert_int_equal(qe_rate_seen(runs, 0.05, &seen), QE_OK);
        assert_true(seen <= rate * (1 + 1e-12));
        if (runs == 1)
            continue;
        assert_int_equal(qe_power_of_runs(rate, runs - 1, &power), QE_OK);
        assert_true(power < 0.95);
        assert_int_equal(qe_rate_seen(runs - 1, 0.05, &seen), QE_OK);
        assert_true(seen > rate);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const double bad[] = {-0.1, 1.1, NAN, INFINITY, -INFINITY};
    int64_t runs = 7;
    double out = 7;

    (void) state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(qe_runs_to_see(bad[i], 0.05, &runs), QE_EINVAL);
        assert_int_equal(qe_runs_to_see(0.1, bad[i], &runs), QE_EINVAL);
        assert_int_equal(qe_power_of_runs(bad[i], 9, &out), QE_EINVAL);
        assert_int_equal(qe_rate_seen(9, bad[i], &out), QE_EINVAL);
    }
    assert_int_equal(qe_runs_to_see(0, 0.05, &runs), QE_EINVAL);
    assert_int_equal(qe_runs_to_see(0.1, 1, &runs), QE_EINVAL);
    assert_int_equal(qe_runs_to_see(1e-300, 0.05, &runs), QE_ETOOBIG);
    assert_int_equal(qe_runs_to_see(0.1, 0.05, NULL), QE_EINVAL);
    assert_int_equal(qe_power_of_runs(0.1, -1, &out), QE_EINVAL);
    assert_int_equal(qe_power_of_runs(0.1, INT64_MAX, &out), QE_ETOOBIG);
    assert_int_equal(qe_power_of_runs(0.1, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_rate_seen(0, 0.05, &out), QE_EINVAL);
    assert_int_equal(qe_rate_seen(INT64_MAX, 0.05, &out), QE_ETOOBIG);
    assert_int_equal(qe_rate_seen(1, 0.05, NULL), QE_EINVAL);
    assert_int_equal(runs, 7);
    assert_true(out == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_to_see_a_rate_are_the_known_ones),
        cmocka_unit_test(power_is_the_chance_of_one_failure),
        cmocka_unit_test(the_three_agree),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
