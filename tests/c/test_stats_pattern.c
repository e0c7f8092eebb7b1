/* What kind of sequence the results make. */
#include "golden.h"

#include <math.h>

#include "qe.h"

static void shapes_are_those_of_the_reference(void **state)
{
    unsigned kinds = 0;
    golden g;

    (void) state;
    golden_open(&g, "shape.csv");
    while (golden_next(&g)) {
        uint8_t results[1000];
        size_t n =
            golden_results(golden_text(&g, "results"), results, sizeof results);
        qe_shape_verdict v;

        assert_int_equal(qe_shape_of(results, n, 0.05,
                                     (uint64_t) golden_count(&g, "seed"),
                                     QE_CHANGE_PERMUTATIONS, &v),
                         QE_OK);
        assert_string_equal(qe_shape_name(v.shape), golden_text(&g, "shape"));
        assert_int_equal(v.failures + v.passes, n);
        assert_near(v.p_few, golden_number(&g, "p_few"), 1e-9);
        assert_near(v.p_many, golden_number(&g, "p_many"), 1e-9);
        assert_near(v.p_change, golden_number(&g, "p_change"), 1e-9);
        assert_near(v.ln_markov, golden_number(&g, "ln_markov"), 1e-9);
        assert_near(v.ln_change, golden_number(&g, "ln_change"), 1e-9);
        kinds |= 1u << v.shape;
    }
    assert_int_equal(kinds, 0x7f); /* every shape is there */
}

static void shapes_have_their_names(void **state)
{
    (void) state;
    assert_string_equal(qe_shape_name(QE_SHAPE_NONE), "NO_PATTERN");
    assert_string_equal(qe_shape_name(QE_SHAPE_BURSTS), "INTERMITTENT");
    assert_string_equal(qe_shape_name((enum qe_shape) 7), "UNKNOWN");
    assert_string_equal(qe_shape_name((enum qe_shape) - 1), "UNKNOWN");
}

/* At 3 and 3, and at 4 and 4, no order is unlikely enough to be told from
 * chance: never RANDOM, never a pattern. */
static void few_results_show_no_pattern(void **state)
{
    (void) state;
    for (unsigned bits = 0; bits < 256; bits++) {
        uint8_t results[8];
        int passes = 0;
        qe_shape_verdict v;

        for (unsigned i = 0; i < 8; i++) {
            results[i] = (bits >> i) & 1;
            passes += results[i];
        }
        assert_int_equal(
            qe_shape_of(results, 8, 0.05, 1, bits % 2 ? 99 : QE_CHANGE_ALL, &v),
            QE_OK);
        assert_int_equal(v.passes, passes);
        if (passes < 3 || passes > 5) {
            assert_int_equal(v.shape, QE_SHAPE_UNTYPED);
            assert_true(v.p_few == 1 && v.p_many == 1 && v.p_change == 1);
        } else {
            assert_int_equal(v.shape, QE_SHAPE_NONE);
            assert_true(v.p_least > 0.05 / 3);
        }
    }
}

static void make(const char *kind, uint8_t *results, int n, uint64_t *seed)
{
    bool failing = false;

    for (int i = 0; i < n; i++) {
        double u = golden_uniform(seed), rate = 0.3;

        if (*kind == 'd')
            rate = i < n / 2 ? 0.05 : 0.65;
        else if (*kind == 'i')
            rate = i < n / 2 ? 0.65 : 0.05;
        else if (*kind == 'b')
            rate = failing ? 0.8 : 0.12;
        else if (*kind == 'a')
            rate = failing ? 0.1 : 0.8;
        failing = u < rate;
        results[i] = !failing;
    }
}

/* The share of sequences of 60 that are typed as what they are. */
static double right(const char *kind, enum qe_shape wanted, uint64_t *seed)
{
    int times = golden_times(4000, 10), found = 0, typed = 0;

    for (int i = 0; i < times; i++) {
        uint8_t results[60];
        qe_shape_verdict v;

        make(kind, results, 60, seed);
        assert_int_equal(qe_shape_of(results, 60, 0.05, 0, QE_CHANGE_ALL, &v),
                         QE_OK);
        typed += v.shape != QE_SHAPE_UNTYPED;
        found += v.shape == wanted;
    }
    assert_true(typed > 0.9 * times);
    return (double) found / typed;
}

static void most_sequences_are_typed_as_what_they_are(void **state)
{
    uint64_t seed = 600;
    double slack = golden_times(0, 1) * 0.25;

    (void) state;
    assert_true(right("random", QE_SHAPE_RANDOM, &seed) > 0.93 - slack);
    assert_true(right("bursts", QE_SHAPE_BURSTS, &seed) > 0.8 - slack);
    assert_true(right("degrading", QE_SHAPE_DEGRADING, &seed) > 0.9 - slack);
    assert_true(right("improving", QE_SHAPE_IMPROVING, &seed) > 0.9 - slack);
    assert_true(right("alternating", QE_SHAPE_ALTERNATING, &seed) >
                0.9 - slack);
}

static void what_has_no_result_is_refused(void **state)
{
    static const uint8_t results[] = {2, 3, 1, 0};
    qe_shape_verdict v = {.p_few = 7};

    (void) state;
    assert_int_equal(qe_shape_of(results, 2, 0.05, 1, 9, &v), QE_EINVAL);
    assert_int_equal(qe_shape_of(NULL, 0, 0.05, 1, 9, &v), QE_EINVAL);
    assert_int_equal(qe_shape_of(NULL, 4, 0.05, 1, 9, &v), QE_EINVAL);
    assert_int_equal(qe_shape_of(results, 4, NAN, 1, 9, &v), QE_EINVAL);
    assert_int_equal(qe_shape_of(results, 4, 0, 1, 9, &v), QE_EINVAL);
    assert_int_equal(qe_shape_of(results, 4, 0.05, 1, 1000001, &v), QE_ETOOBIG);
    assert_int_equal(qe_shape_of(results, 4, 0.05, 1, 9, NULL), QE_EINVAL);
    assert_true(v.p_few == 7);
    assert_int_equal(qe_shape_of(results, 4, 0.05, 1, 9, &v), QE_OK);
    assert_int_equal(v.shape, QE_SHAPE_UNTYPED);
    assert_int_equal(v.runs, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_those_of_the_reference),
        cmocka_unit_test(shapes_have_their_names),
        cmocka_unit_test(few_results_show_no_pattern),
        cmocka_unit_test(most_sequences_are_typed_as_what_they_are),
        cmocka_unit_test(what_has_no_result_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
