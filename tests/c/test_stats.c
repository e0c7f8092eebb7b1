/* Flakiness in the compatible terms. */
#include "alloc_fault.h"
#include "scratch.h"

#include "qe.h"

/* '+' passed, '-' failed, 's' not counted. */
static int judge(const char *text, qe_flakiness *out)
{
    uint8_t results[64];
    size_t n = strlen(text);
    size_t i;

    assert_true(n <= sizeof(results));
    for (i = 0; i < n; i++)
        results[i] = text[i] == '+' ? 1 : text[i] == '-' ? 0 : 2;
    return qe_flakiness_of(results, n, out);
}

static void check(const char *text, uint32_t passes, uint32_t failures,
                  double score, enum qe_pattern pattern)
{
    qe_flakiness f;

    assert_int_equal(judge(text, &f), QE_OK);
    assert_int_equal(f.passes, passes);
    assert_int_equal(f.failures, failures);
    assert_true(f.score > score - 1e-12 && f.score < score + 1e-12);
    assert_int_equal(f.is_flaky, passes > 0 && failures > 0);
    assert_string_equal(qe_pattern_name(f.pattern), qe_pattern_name(pattern));
}

static void patterns_have_their_names(void **state)
{
    (void) state;
    assert_string_equal(qe_pattern_name(QE_STABLE_PASS), "STABLE_PASS");
    assert_string_equal(qe_pattern_name(QE_STABLE_FAIL), "STABLE_FAIL");
    assert_string_equal(qe_pattern_name(QE_INTERMITTENT), "INTERMITTENT");
    assert_string_equal(qe_pattern_name(QE_RANDOM), "RANDOM");
    assert_string_equal(qe_pattern_name((enum qe_pattern) 17), "UNKNOWN");
}

static void one_kind_of_result_is_stable(void **state)
{
    (void) state;
    check("+", 1, 0, 0, QE_STABLE_PASS);
    check("-", 0, 1, 0, QE_STABLE_FAIL);
    check("++++++++++", 10, 0, 0, QE_STABLE_PASS);
    check("----------", 0, 10, 0, QE_STABLE_FAIL);
}

static void the_score_is_twice_the_rarer_share(void **state)
{
    (void) state;
    check("+-", 1, 1, 1, QE_RANDOM);
    check("+-+-+-+-+-", 5, 5, 1, QE_RANDOM);
    check("-+-+++++++", 8, 2, 0.4, QE_RANDOM);
    check("+--+++-+-+", 6, 4, 0.8, QE_RANDOM);
    check("+++++-----", 5, 5, 1, QE_INTERMITTENT);
}

static void
more_than_seventy_percent_equal_neighbours_is_intermittent(void **state)
{
    (void) state;
    /* 10 pairs: 7 equal, then 8. */
    check("+-++++++-++", 9, 2, 4.0 / 11, QE_RANDOM);
    check("+++++-+++++", 10, 1, 2.0 / 11, QE_INTERMITTENT);
    check("++++++-----", 6, 5, 10.0 / 11, QE_INTERMITTENT);
    check("+++--+++++-", 8, 3, 6.0 / 11, QE_RANDOM);
}

static void what_does_not_count_is_jumped_over(void **state)
{
    qe_flakiness f = {.passes = 77};

    (void) state;
    check("s+s+ss-s", 2, 1, 2.0 / 3, QE_RANDOM);
    check("+s-s+s-", 2, 2, 1, QE_RANDOM);
    assert_int_equal(judge("", &f), QE_EINVAL);
    assert_int_equal(judge("sss", &f), QE_EINVAL);
    assert_int_equal(qe_flakiness_of(NULL, 0, &f), QE_EINVAL);
    assert_int_equal(qe_flakiness_of(NULL, 1, &f), QE_EINVAL);
    assert_int_equal(qe_flakiness_of((const uint8_t *) "", 1, NULL), QE_EINVAL);
    assert_int_equal(f.passes, 77);
}

static void add(qe_record *r, uint32_t pass, uint32_t attempt,
                enum qe_outcome outcome)
{
    qe_attempt a = {.pass = pass, .attempt = attempt, .outcome = outcome};

    assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
}

static void a_record_counts_the_final_attempt_of_each_pass(void **state)
{
    qe_record *r;
    qe_flakiness f;

    (void) state;
    assert_int_equal(qe_record_new(&r), QE_OK);
    qe_record_add_test(r, "t");
    assert_int_equal(qe_record_flakiness(r, 0, &f), QE_EINVAL);
    add(r, 0, 1, QE_SKIPPED);
    assert_int_equal(qe_record_flakiness(r, 0, &f), QE_EINVAL);
    /* Passes end in any order. */
    add(r, 3, 1, QE_TIMEOUT);
    add(r, 1, 1, QE_FAILED);
    add(r, 1, 2, QE_PASSED);
    add(r, 5, 1, QE_CRASHED);
    add(r, 2, 1, QE_PASSED);
    add(r, 4, 1, QE_ERROR);
    add(r, 6, 2, QE_FAILED);
    add(r, 6, 1, QE_PASSED);
    add(r, 7, 1, QE_NONE);
    assert_int_equal(qe_record_flakiness(r, 0, &f), QE_OK);
    assert_int_equal(f.passes, 2);
    assert_int_equal(f.failures, 4);
    assert_true(f.is_flaky);
    /* + + - - - -: 4 of 5 pairs are equal. */
    assert_int_equal(f.pattern, QE_INTERMITTENT);
    assert_int_equal(qe_record_flakiness(r, 1, &f), QE_EINVAL);
    assert_int_equal(qe_record_flakiness(r, 0, NULL), QE_EINVAL);
    qe_record_free(r);
}

static int judge_first(void *record)
{
    qe_flakiness f;

    return qe_record_flakiness(record, 0, &f);
}

static void out_of_memory_is_told(void **state)
{
    qe_record *r;

    (void) state;
    assert_int_equal(qe_record_new(&r), QE_OK);
    qe_record_add_test(r, "t");
    add(r, 0, 1, QE_PASSED);
    assert_int_equal(alloc_fault_sweep(judge_first, r), 1);
    qe_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_have_their_names),
        cmocka_unit_test(one_kind_of_result_is_stable),
        cmocka_unit_test(the_score_is_twice_the_rarer_share),
        cmocka_unit_test(
            more_than_seventy_percent_equal_neighbours_is_intermittent),
        cmocka_unit_test(what_does_not_count_is_jumped_over),
        cmocka_unit_test(a_record_counts_the_final_attempt_of_each_pass),
        cmocka_unit_test(out_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
