/* The runs test, and how the next result depends on the last. */
#include "golden.h"

#include <math.h>

#include "qe.h"

static void runs_and_markov_are_those_of_the_reference(void **state)
{
    golden g;

    (void) state;
    golden_open(&g, "runs.csv");
    while (golden_next(&g)) {
        uint8_t results[200];
        size_t n =
            golden_results(golden_text(&g, "seq"), results, sizeof results);
        double few, many;
        qe_markov m;

        assert_int_equal(qe_runs_test(golden_count(&g, "n1"),
                                      golden_count(&g, "n2"),
                                      golden_count(&g, "R"), &few, &many),
                         QE_OK);
        assert_near(few, golden_number(&g, "p_low_exact"), 1e-9);
        assert_near(many, golden_number(&g, "p_high_exact"), 1e-9);
        assert_int_equal(qe_markov_of(results, n, &m), QE_OK);
        assert_near(m.lag1, golden_number(&g, "lag1"), 1e-9);
        assert_near(m.lambda, golden_number(&g, "markov_lambda"), 1e-9);
        assert_near(m.g2, golden_number(&g, "markov_G2"), 1e-9);
        assert_near(m.p, golden_number(&g, "markov_p"), 1e-9);
    }
}

/* Tails down to 1e-300, of counts up to 2000, by whole numbers. */
static void far_tails_are_right_by_their_own_measure(void **state)
{
    golden g;

    (void) state;
    golden_open(&g, "runs_large.csv");
    while (golden_next(&g)) {
        double few, many;
        double ln_few = golden_number(&g, "ln_p_few");
        double ln_many = golden_number(&g, "ln_p_many");

        assert_int_equal(qe_runs_test(golden_count(&g, "f"),
                                      golden_count(&g, "s"),
                                      golden_count(&g, "runs"), &few, &many),
                         QE_OK);
        if (ln_few > -600)
            assert_near(log(few), ln_few, 1e-9);
        else
            assert_true(few < 1e-260);
        if (ln_many > -600)
            assert_near(log(many), ln_many, 1e-9);
        else
            assert_true(many < 1e-260);
    }
}

static void both_tails_share_the_number_itself(void **state)
{
    (void) state;
    for (int64_t f = 1; f <= 9; f++)
        for (int64_t s = 1; s <= 9; s++) {
            int64_t most = 2 * (f < s ? f : s) + (f != s);
            double last_few = 0;

            for (int64_t r = 2; r <= most; r++) {
                double few, many;

                assert_int_equal(qe_runs_test(f, s, r, &few, &many), QE_OK);
                assert_near(many, 1 - last_few, 1e-12);
                assert_true(few > last_few);
                last_few = few;
            }
            assert_near(last_few, 1, 1e-12);
        }
}

static void a_million_results_work(void **state)
{
    double few, many;

    (void) state;
    /* 500001 runs are the mean. */
    assert_int_equal(qe_runs_test(500000, 500000, 500001, &few, &many), QE_OK);
    assert_near(few, 0.5, 1e-3);
    assert_near(many, 0.5, 1e-3);
    assert_true(few + many > 1);
    assert_int_equal(qe_runs_test(500000, 500000, 501001, &few, &many), QE_OK);
    assert_near(many, 0.0228, 1e-3); /* 2 standard deviations */
    assert_int_equal(qe_runs_test(500000, 500000, 2, &few, &many), QE_OK);
    assert_true(few == 0 && many == 1);
    assert_int_equal(qe_runs_test(3, 999997, 7, &few, &many), QE_OK);
    assert_near(few, 1, 1e-9);
}

static void what_no_sequence_has_is_refused(void **state)
{
    double few = 7, many = 7;

    (void) state;
    assert_int_equal(qe_runs_test(0, 0, 0, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(-1, 3, 2, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, INT64_MAX, 2, &few, &many), QE_ETOOBIG);
    assert_int_equal(qe_runs_test(3, 3, 1, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, 3, 7, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, 4, 8, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, 4, -2, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, 0, 2, &few, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, 3, 2, NULL, &many), QE_EINVAL);
    assert_int_equal(qe_runs_test(3, 3, 2, &few, NULL), QE_EINVAL);
    assert_true(few == 7 && many == 7);
    /* One kind of result is one run, and says nothing. */
    assert_int_equal(qe_runs_test(3, 0, 1, &few, &many), QE_OK);
    assert_true(few == 1 && many == 1);
}

static void markov_needs_a_result_after_each_kind(void **state)
{
    static const char *const bad[] = {"",    "F",    "P", "PPPP",
                                      "FFF", "PPPF", "FP"};
    static const uint8_t jumped[] = {0, 9, 0, 1, 2, 1, 3, 0};
    uint8_t results[8];
    qe_markov m = {.p = 7};

    (void) state;
    for (int i = 0; i < 7; i++) {
        size_t n = golden_results(bad[i], results, sizeof results);

        assert_int_equal(qe_markov_of(results, n, &m), QE_EINVAL);
    }
    assert_int_equal(qe_markov_of(NULL, 3, &m), QE_EINVAL);
    assert_int_equal(qe_markov_of(jumped, 8, NULL), QE_EINVAL);
    assert_true(m.p == 7);
    /* FFPPF: what does not count is as if it were not there. */
    assert_int_equal(qe_markov_of(jumped, 8, &m), QE_OK);
    assert_near(m.after_failure, 0.5, 1e-15);
    assert_near(m.after_pass, 0.5, 1e-15);
    assert_near(m.p, 1, 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_and_markov_are_those_of_the_reference),
        cmocka_unit_test(far_tails_are_right_by_their_own_measure),
        cmocka_unit_test(both_tails_share_the_number_itself),
        cmocka_unit_test(a_million_results_work),
        cmocka_unit_test(what_no_sequence_has_is_refused),
        cmocka_unit_test(markov_needs_a_result_after_each_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
