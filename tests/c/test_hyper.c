/* Draws without replacement. */
#include "golden.h"

#include <math.h>

#include "qe_hyper.h"

static void chances_are_those_of_counting(void **state)
{
    /* 3 of 10 are marked, 4 drawn: C(3,x) C(7,4-x) / 210. */
    static const double wanted[] = {35, 105, 63, 7};
    qe__hyper h = qe__hyper_of(10, 3, 4);
    double below = 0;

    (void) state;
    assert_int_equal(h.low, 0);
    assert_int_equal(h.high, 3);
    assert_int_equal(h.mode, 1);
    for (int x = 0; x <= 3; x++) {
        assert_near(exp(qe__hyper_ln(&h, x)), wanted[x] / 210, 1e-14);
        assert_near(qe__hyper_upper(&h, x), 1 - below, 1e-14);
        below += wanted[x] / 210;
        assert_near(qe__hyper_lower(&h, x), below, 1e-14);
    }
    assert_near(qe__hyper_lower(&h, -1), 0, 0);
    assert_near(qe__hyper_upper(&h, 4), 0, 0);
}

static void what_must_come_comes(void **state)
{
    uint64_t seed = 1;
    qe__hyper all = qe__hyper_of(10, 10, 4);
    qe__hyper none = qe__hyper_of(10, 0, 4);
    qe__hyper most = qe__hyper_of(10, 8, 4);

    (void) state;
    assert_int_equal(qe__hyper_draw(&all, &seed), 4);
    assert_int_equal(qe__hyper_draw(&none, &seed), 0);
    assert_int_equal(most.low, 2);
    for (int i = 0; i < 100; i++)
        assert_in_range(qe__hyper_draw(&most, &seed), 2, 4);
}

/* Chi-square over all values, at 1e-6; the seed is fixed. */
static void draws_come_as_often_as_their_chance(void **state)
{
    qe__hyper h = qe__hyper_of(1000, 300, 40);
    int times = golden_times(40000, 8000), seen[41] = {0}, cells = 0;
    uint64_t seed = 77;
    double chi = 0;

    (void) state;
    for (int i = 0; i < times; i++)
        seen[qe__hyper_draw(&h, &seed)]++;
    for (int x = 0; x <= 40; x++) {
        double wanted = times * exp(qe__hyper_ln(&h, x));

        if (wanted < 5)
            continue;
        chi += (seen[x] - wanted) * (seen[x] - wanted) / wanted;
        cells++;
    }
    assert_in_range(cells, 12, 25);
    assert_true(chi < 75); /* chi-square(24) exceeds it with 4e-7 */
}

static void great_counts_stay_within_reason(void **state)
{
    qe__hyper h = qe__hyper_of(2000000, 1000000, 1000000);

    (void) state;
    assert_int_equal(h.mode, 500000);
    assert_near(qe__hyper_lower(&h, 500000) + qe__hyper_upper(&h, 500001), 1,
                1e-9);
    assert_near(qe__hyper_lower(&h, 499999), qe__hyper_upper(&h, 500001), 1e-9);
    assert_true(qe__hyper_upper(&h, 999000) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chances_are_those_of_counting),
        cmocka_unit_test(what_must_come_comes),
        cmocka_unit_test(draws_come_as_often_as_their_chance),
        cmocka_unit_test(great_counts_stay_within_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
