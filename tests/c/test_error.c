#include "alloc_fault.h"

#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

static void every_code_has_a_sentence(void **state)
{
    (void) state;
    assert_string_equal(qe_strerror(0), "success");
#define QE_X(name, number, text)                                               \
    assert_int_equal(QE_E##name, -(number));                                   \
    assert_string_equal(qe_strerror(QE_E##name), text);
    QE_ERROR_LIST(QE_X)
#undef QE_X
}

static void other_codes_are_unknown(void **state)
{
    static const int codes[] = {1, -1000, INT32_MAX, INT32_MIN};
    size_t i;

    (void) state;
    for (i = 0; i < QE__COUNT(codes); i++)
        assert_string_equal(qe_strerror(codes[i]), "unknown error");
}

static void outcomes_have_their_names(void **state)
{
    (void) state;
    assert_string_equal(qe_outcome_name(QE_NONE), "none");
    assert_string_equal(qe_outcome_name(QE_PASSED), "passed");
    assert_string_equal(qe_outcome_name(QE_FAILED), "failed");
    assert_string_equal(qe_outcome_name(QE_SKIPPED), "skipped");
    assert_string_equal(qe_outcome_name(QE_ERROR), "error");
    assert_string_equal(qe_outcome_name(QE_TIMEOUT), "timeout");
    assert_string_equal(qe_outcome_name(QE_CRASHED), "crashed");
    assert_string_equal(qe_outcome_name(QE_FLAKY), "flaky");
    assert_string_equal(qe_outcome_name(QE_OUTCOME_COUNT), "none");
    assert_string_equal(qe_outcome_name((enum qe_outcome) 77), "none");
}

static void free_accepts_null(void **state)
{
    (void) state;
    qe_free(NULL);
    qe_free(malloc(1));
}

static void growing_keeps_what_was_there(void **state)
{
    uint32_t *array = NULL;
    size_t capacity = 0, i;

    (void) state;
    for (i = 0; i < 1000; i++) {
        assert_int_equal(qe__grow(&array, &capacity, i + 1, sizeof *array), 0);
        assert_true(capacity > i);
        array[i] = (uint32_t) i;
    }
    for (i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    assert_true(capacity < 2 * 1000);
    free(array);
}

static void growing_too_far_changes_nothing(void **state)
{
    uint64_t *array = NULL;
    uint64_t *before;
    size_t capacity = 0, before_capacity;

    (void) state;
    assert_int_equal(qe__grow(&array, &capacity, 3, sizeof *array), 0);
    before = array;
    before_capacity = capacity;
    /* Beyond what can be counted, and beyond what can be multiplied. */
    assert_int_equal(qe__grow(&array, &capacity, SIZE_MAX, sizeof *array),
                     QE_ENOMEM);
    assert_int_equal(qe__grow(&array, &capacity, SIZE_MAX / 8, sizeof *array),
                     QE_ENOMEM);
    alloc_fault.countdown = 1;
    assert_int_equal(qe__grow(&array, &capacity, 1000, sizeof *array),
                     QE_ENOMEM);
    assert_ptr_equal(array, before);
    assert_int_equal(capacity, before_capacity);
    free(array);
}

static void products_that_overflow_cannot_be_met(void **state)
{
    (void) state;
    assert_int_equal(qe__mul(6, 7), 42);
    assert_true(qe__mul(SIZE_MAX / 2, 3) == SIZE_MAX);
}

/* The reference values are those of the authors' splitmix64.c for seed 0. */
static void random_is_splitmix64(void **state)
{
    uint64_t stream = 0;

    (void) state;
    assert_true(qe__random(&stream) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(qe__random(&stream) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(qe__random(&stream) == UINT64_C(0x06c45d188009454f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_sentence),
        cmocka_unit_test(other_codes_are_unknown),
        cmocka_unit_test(outcomes_have_their_names),
        cmocka_unit_test(free_accepts_null),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(growing_too_far_changes_nothing),
        cmocka_unit_test(products_that_overflow_cannot_be_met),
        cmocka_unit_test(random_is_splitmix64),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
