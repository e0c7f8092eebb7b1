/* The change point. */
#include "golden.h"

#include <math.h>

#include "qe.h"

static void changes_are_those_of_the_reference(void **state)
{
    int exact = 0;
    golden g;

    (void) state;
    golden_open(&g, "change.csv");
    while (golden_next(&g)) {
        uint8_t results[1000];
        size_t n =
            golden_results(golden_text(&g, "results"), results, sizeof results);
        uint32_t permutations = (uint32_t) golden_count(&g, "permutations");
        qe_change c;

        assert_int_equal(qe_change_point(results, n,
                                         (uint64_t) golden_count(&g, "seed"),
                                         permutations, &c),
                         QE_OK);
        assert_near(c.statistic, golden_number(&g, "statistic"), 1e-9);
        assert_int_equal(c.at, golden_count(&g, "at"));
        assert_near(c.before, golden_number(&g, "before"), 1e-12);
        assert_near(c.after, golden_number(&g, "after"), 1e-12);
        /* The same shuffles: equal to the last one. */
        assert_near(c.p, golden_number(&g, "p"), 1e-12);
        if (*golden_text(&g, "p_exact") != '\0') {
            double p = golden_number(&g, "p_exact");

            assert_near(c.p, p,
                        4 * sqrt(p * (1 - p) / permutations) +
                            1.5 / permutations);
            assert_int_equal(qe_change_point(results, n, 0, QE_CHANGE_ALL, &c),
                             QE_OK);
            assert_near(c.p, p, 1e-9);
            exact++;
        }
    }
    assert_true(exact >= 8);
}

/* The p-values of sequences that do not change are spread evenly, or lie above:
 * how many are at most 5 % and 20 %. */
static void no_change_is_seldom_seen_where_there_is_none(void **state)
{
    int times = golden_times(20000, 60), low = 0, mean = 0;
    uint64_t seed = 31;

    (void) state;
    for (int i = 0; i < times; i++) {
        uint8_t results[50];
        qe_change c;

        for (int j = 0; j < 50; j++)
            results[j] = golden_uniform(&seed) >= 0.3;
        assert_int_equal(qe_change_point(results, 50, 0, QE_CHANGE_ALL, &c),
                         QE_OK);
        low += c.p <= 0.05;
        mean += c.p <= 0.5;
    }
    assert_true(low <= 0.05 * times + 4 * sqrt(0.0475 * times));
    assert_true(low > 0.03 * times - 4 * sqrt(0.0475 * times));
    /* A few below: so few results take steps. */
    assert_near((double) mean / times, 0.48, 4 * sqrt(0.25 / times) + 0.02);
}

/* Of many results only some cuts are tried, and their orders differ at the cuts
 * alone: these p-values, too, are spread evenly, whether orders are counted or
 * drawn, and the statistic is less than that of all cuts, by little. */
static void many_results_are_cut_at_some_places(void **state)
{
    enum { N = QE_CHANGE_EXACT + 1000 };
    int times = golden_times(200, 10), low = 0, drawn_low = 0;
    double error = golden_times(99, 19);
    static uint8_t results[N];
    uint64_t seed = 12;
    double sum = 0;
    qe_change c, drawn;

    (void) state;
    for (int i = 0; i < times; i++) {
        for (int j = 0; j < N; j++)
            results[j] = golden_uniform(&seed) >= 0.02;
        assert_int_equal(qe_change_point(results, N, seed,
                                         (uint32_t) golden_times(99, 19),
                                         &drawn),
                         QE_OK);
        assert_int_equal(qe_change_point(results, N, 0, QE_CHANGE_ALL, &c),
                         QE_OK);
        assert_true(c.at == drawn.at && c.statistic == drawn.statistic);
        assert_near(drawn.p, c.p,
                    4.5 * sqrt(c.p * (1 - c.p) / error) + 1.5 / error);
        drawn_low += drawn.p <= 0.05;
        low += c.p <= 0.05;
        sum += c.p;
    }
    assert_true(low <= 0.05 * times + 4 * sqrt(0.0475 * times));
    assert_true(drawn_low <= 0.05 * times + 4 * sqrt(0.0475 * times));
    assert_near(sum / times, 0.5, 4 * sqrt(1 / 12.0 / times) + 0.03);
    for (int j = 2000; j < N; j++)
        results[j] = golden_uniform(&seed) >= 0.06;
    assert_int_equal(qe_change_point(results, N, 1, 99, &c), QE_OK);
    assert_near(c.p, 0.01, 1e-12);
    assert_in_range(c.at, 1700, 2300);
    assert_true(c.before < 0.03 && c.after > 0.05);
}

/* A line away from the border: both ways find the same. */
static void both_ways_agree_at_their_border(void **state)
{
    static uint8_t results[QE_CHANGE_EXACT + 1];
    qe_change exact, cuts;
    uint64_t seed = 3;

    (void) state;
    for (int j = 0; j <= QE_CHANGE_EXACT; j++)
        results[j] = golden_uniform(&seed) >= (j < 2048 ? 0.1 : 0.115);
    assert_int_equal(qe_change_point(results, QE_CHANGE_EXACT, 1,
                                     (uint32_t) golden_times(999, 199), &exact),
                     QE_OK);
    assert_int_equal(qe_change_point(results, QE_CHANGE_EXACT + 1, 1,
                                     (uint32_t) golden_times(999, 199), &cuts),
                     QE_OK);
    assert_true(exact.p > 0.02 && exact.p < 0.98);
    assert_near(exact.p, cuts.p, 0.15);
    assert_true(cuts.statistic <= exact.statistic + 1);
}

/* One result more than are counted: as many orders are drawn as one would. */
static void of_too_many_results_orders_are_drawn(void **state)
{
    enum { N = QE_CHANGE_COUNTED + 1 };
    uint8_t *results = malloc(N);
    qe_change counted, drawn, all;
    uint64_t seed = 4;

    (void) state;
    assert_non_null(results);
    for (int j = 0; j < N; j++)
        results[j] = golden_uniform(&seed) >= 0.001;
    assert_int_equal(qe_change_point(results, N, 5, QE_CHANGE_ALL, &all),
                     QE_OK);
    assert_int_equal(
        qe_change_point(results, N, 5, QE_CHANGE_PERMUTATIONS, &drawn), QE_OK);
    assert_int_equal(
        qe_change_point(results, N - 1, 5, QE_CHANGE_ALL, &counted), QE_OK);
    assert_true(all.p == drawn.p);
    assert_true(counted.p != drawn.p && counted.p > 0.01 && counted.p < 0.99);
    assert_near(counted.p, drawn.p, 4 * sqrt(0.25 / QE_CHANGE_PERMUTATIONS));
    free(results);
}

static void a_seed_repeats_itself(void **state)
{
    uint8_t results[40];
    qe_change a, b, c;
    uint64_t seed = 8;

    (void) state;
    for (int j = 0; j < 40; j++)
        results[j] = golden_uniform(&seed) >= 0.4;
    assert_int_equal(qe_change_point(results, 40, 7, 999, &a), QE_OK);
    assert_int_equal(qe_change_point(results, 40, 7, 999, &b), QE_OK);
    assert_int_equal(qe_change_point(results, 40, 8, 999, &c), QE_OK);
    assert_true(a.p == b.p);
    assert_true(a.p != c.p && fabs(a.p - c.p) < 0.1);
}

static void what_is_too_short_is_refused(void **state)
{
    static const uint8_t results[] = {1, 1, 0, 2, 2, 0, 1, 7};
    static const uint8_t enough[] = {1, 1, 0, 2, 2, 0, 1, 7, 0};
    qe_change c = {.p = 7};

    (void) state;
    assert_int_equal(qe_change_point(results, 8, 1, 9, &c), QE_EINVAL);
    assert_int_equal(qe_change_point(NULL, 8, 1, 9, &c), QE_EINVAL);
    assert_int_equal(qe_change_point(NULL, 0, 1, 9, &c), QE_EINVAL);
    assert_int_equal(qe_change_point(enough, 9, 1, 1000001, &c), QE_ETOOBIG);
    assert_int_equal(qe_change_point(enough, 9, 1, 9, NULL), QE_EINVAL);
    assert_true(c.p == 7);
    /* What does not count is jumped over: PPF FPF. */
    assert_int_equal(qe_change_point(enough, 9, 1, 9, &c), QE_OK);
    assert_int_equal(c.at, 3);
    assert_near(c.before, 1 / 3.0, 1e-12);
    assert_near(c.after, 2 / 3.0, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_those_of_the_reference),
        cmocka_unit_test(no_change_is_seldom_seen_where_there_is_none),
        cmocka_unit_test(many_results_are_cut_at_some_places),
        cmocka_unit_test(both_ways_agree_at_their_border),
        cmocka_unit_test(of_too_many_results_orders_are_drawn),
        cmocka_unit_test(a_seed_repeats_itself),
        cmocka_unit_test(what_is_too_short_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
