/* How many orders change as much. */
#include "golden.h"

#include <math.h>

#include "qe_change.h"

/* The places to cut so many results, of which the first failed. */
static qe__cuts *cuts_of(int64_t n, int64_t failures)
{
    static uint8_t results[QE_CHANGE_COUNTED];
    static qe__cuts cuts;

    assert_true(n <= (int64_t) sizeof(results));
    for (int64_t i = 0; i < n; i++)
        results[i] = i >= failures;
    assert_int_equal(qe__cuts_of(results, (size_t) n, &cuts), QE_OK);
    return &cuts;
}

static void chances_are_those_of_whole_numbers(void **state)
{
    int small = 0, never = 0;
    golden g;

    (void) state;
    golden_open(&g, "paths.csv");
    while (golden_next(&g)) {
        double wanted = golden_number(&g, "p");
        double found = qe__change_chance(
            cuts_of(golden_count(&g, "n"), golden_count(&g, "failures")),
            golden_number(&g, "statistic"));

        if (wanted == 0)
            assert_true(found == 0);
        else /* small ones by their own measure */
            assert_near(found / wanted, 1, 1e-9);
        small += wanted > 0 && wanted < 1e-8;
        never += wanted == 0;
    }
    assert_true(small > 5 && never > 5);
}

/* All orders of up to 11 results: p is the share of those, with as many
 * failures, that change at least as much. */
static void chances_are_those_of_every_order(void **state)
{
    static double seen[1 << 11];
    int most = golden_times(11, 8);

    (void) state;
    for (int n = 6; n <= most; n++) {
        qe_change c;

        for (unsigned pass = 0; pass < 2; pass++)
            for (unsigned bits = 0; bits < 1u << n; bits++) {
                int failures = n - __builtin_popcount(bits);
                uint8_t results[11];
                double all = 0, reached = 0;

                for (int i = 0; i < n; i++)
                    results[i] = (bits >> i) & 1;
                assert_int_equal(
                    qe_change_point(results, (size_t) n, 0, QE_CHANGE_ALL, &c),
                    QE_OK);
                if (pass == 0) {
                    seen[bits] = c.statistic;
                    continue;
                }
                for (unsigned other = 0; other < 1u << n; other++)
                    if (n - __builtin_popcount(other) == failures) {
                        all++;
                        reached += seen[other] >= seen[bits] - 1e-9;
                    }
                assert_near(c.p, reached / all, 1e-9);
            }
    }
}

/* A greater statistic is never likelier, and the greatest that is told apart
 * is rarer than any alpha that a call takes, thrice (by Holm). */
static void chances_fall_below_every_alpha(void **state)
{
    static const int64_t sizes[] = {
        59, 60, 100, 317, 1000, 4096, 4097, 30000, 100000, QE_CHANGE_COUNTED};
    int many = golden_times(10, 5);

    (void) state;
    for (int i = 0; i < many; i++)
        for (int64_t part = 2; part <= sizes[i]; part *= 30) {
            const qe__cuts *cuts = cuts_of(sizes[i], sizes[i] / part);
            double last = 1;

            assert_true(qe__change_chance(cuts, 0) == 1);
            for (double s = 1; s < 100; s *= 2.5) {
                double p = qe__change_chance(cuts, s);

                assert_true(p >= 0 && p <= last * (1 + 1e-9));
                last = p;
            }
            assert_true(qe__change_chance(cuts, QE_CHANGE_MOST) < 1e-13);
            assert_true(qe__change_chance(cuts, 1e6) ==
                        qe__change_chance(cuts, QE_CHANGE_MOST));
        }
}

/* Passes in place of failures, and the other way round. */
static void both_kinds_of_results_are_alike(void **state)
{
    (void) state;
    for (int64_t n = 10; n < 6000; n = n * 3 + 1)
        for (int64_t f = 1; f < n; f = f * 4 + 1)
            assert_near(qe__change_chance(cuts_of(n, f), 6),
                        qe__change_chance(cuts_of(n, n - f), 6), 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chances_are_those_of_whole_numbers),
        cmocka_unit_test(chances_are_those_of_every_order),
        cmocka_unit_test(chances_fall_below_every_alpha),
        cmocka_unit_test(both_kinds_of_results_are_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
