/* Which of several inquiries is asked next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fault.h"
#include "qe.h"

#define WORKERS 6u
#define AT_ONCE 6u

static qe_turns *made(uint32_t n)
{
    qe_turns *t;

    assert_int_equal(qe_turns_new(&t, n, WORKERS), 0);
    return t;
}

static uint32_t next(qe_turns *t)
{
    uint32_t which = UINT32_MAX;

    assert_int_equal(qe_turns_next(t, &which), 1);
    return which;
}

static void test_each_is_asked_in_turn(void **state)
{
    qe_turns *t = made(10);

    (void) state;
    for (uint32_t i = 0; i < 3 * AT_ONCE; i++) {
        assert_int_equal(next(t), i % AT_ONCE);
        assert_int_equal(qe_turns_said(t, i % AT_ONCE, 1), 0);
    }
    assert_int_equal(qe_turns_begun(t), AT_ONCE);
    qe_turns_free(t);
}

static void test_who_waits_is_passed_over_once(void **state)
{
    qe_turns *t = made(3);
    uint32_t which;

    (void) state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(next(t), i);
            assert_int_equal(qe_turns_said(t, i, 0), 0);
        }
        assert_int_equal(qe_turns_next(t, &which), 0);
    }
    assert_int_equal(next(t), 0);
    assert_int_equal(qe_turns_said(t, 0, 0), 0);
    assert_int_equal(next(t), 1);
    assert_int_equal(qe_turns_said(t, 1, 1), 0);
    /* By then the first may have what it waited for. */
    assert_int_equal(next(t), 0);
    qe_turns_free(t);
}

static void test_who_has_had_many_runs_lets_others_begin(void **state)
{
    enum { N = 20 };
    qe_turns *t = made(N);
    uint32_t runs[N] = {0}, begun_at[N], total = 0;

    (void) state;
    memset(begun_at, 0xff, sizeof(begun_at));
    /* None ever ends: all get their runs, the first ones first. */
    while (total < N * 200) {
        uint32_t which = next(t);

        if (runs[which]++ == 0)
            begun_at[which] = total;
        total++;
        assert_int_equal(qe_turns_said(t, which, 1), 0);
    }
    for (uint32_t i = 0; i < N; i++) {
        assert_in_range(runs[i], 120, 300);
        if (i > 0)
            assert_true(begun_at[i] > begun_at[i - 1]);
    }
    assert_true(begun_at[AT_ONCE] >= 60);
    qe_turns_free(t);
}

static void test_all_end(void **state)
{
    enum { N = 50 };
    qe_turns *t = made(N);
    bool over[N] = {false};
    uint32_t which;

    (void) state;
    for (uint32_t i = 0; i < N; i++) {
        which = next(t);
        assert_false(over[which]);
        over[which] = true;
        assert_int_equal(qe_turns_said(t, which, QE_EGONE), 0);
    }
    assert_int_equal(qe_turns_next(t, &which), QE_EGONE);
    assert_int_equal(qe_turns_begun(t), N);
    qe_turns_free(t);
    /* While one waits there is another, also for a single worker. */
    assert_int_equal(qe_turns_new(&t, N, 1), 0);
    (void) next(t);
    assert_int_equal(qe_turns_begun(t), 2);
    qe_turns_free(t);
    t = made(0);
    assert_int_equal(qe_turns_next(t, &which), QE_EGONE);
    qe_turns_free(t);
}

static void test_none_begins_behind_a_stop(void **state)
{
    enum { N = 20 };
    qe_turns *t = made(N);
    uint32_t which, begun, over = 0;

    (void) state;
    for (int i = 0; i < 400; i++) { /* some are behind by now */
        which = next(t);
        assert_int_equal(qe_turns_said(t, which, 1), 0);
    }
    qe_turns_stop(t);
    begun = qe_turns_begun(t);
    assert_in_range(begun, AT_ONCE + 1, N - 1);
    while (qe_turns_next(t, &which) == 1) {
        assert_int_equal(qe_turns_said(t, which, QE_EGONE), 0);
        over++;
    }
    assert_int_equal(qe_turns_next(t, &which), QE_EGONE);
    assert_int_equal(over, begun);
    assert_int_equal(qe_turns_begun(t), begun);
    qe_turns_free(t);
}

static void test_wrong_arguments_are_refused(void **state)
{
    qe_turns *t;
    uint32_t which;

    (void) state;
    assert_int_equal(qe_turns_new(NULL, 1, 1), QE_EINVAL);
    assert_int_equal(qe_turns_new(&t, 1, 0), QE_EINVAL);
    t = made(2);
    assert_int_equal(qe_turns_next(NULL, &which), QE_EINVAL);
    assert_int_equal(qe_turns_next(t, NULL), QE_EINVAL);
    assert_int_equal(qe_turns_said(NULL, 0, 1), QE_EINVAL);
    which = next(t);
    assert_int_equal(qe_turns_said(t, which + 1, 1), QE_EINVAL);
    assert_int_equal(qe_turns_said(t, which, QE_EINVAL), QE_EINVAL);
    assert_int_equal(qe_turns_said(t, which, 1), 0);
    assert_int_equal(qe_turns_begun(NULL), 0);
    qe_turns_stop(NULL);
    qe_turns_free(NULL);
    qe_turns_free(t);
}

static int make(void *unused)
{
    qe_turns *t;
    int status = qe_turns_new(&t, 5, WORKERS);

    (void) unused;
    if (status == 0)
        qe_turns_free(t);
    return status;
}

static void test_no_memory_is_told(void **state)
{
    (void) state;
    assert_int_equal(alloc_fault_sweep(make, NULL), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_asked_in_turn),
        cmocka_unit_test(test_who_waits_is_passed_over_once),
        cmocka_unit_test(test_who_has_had_many_runs_lets_others_begin),
        cmocka_unit_test(test_all_end),
        cmocka_unit_test(test_none_begins_behind_a_stop),
        cmocka_unit_test(test_wrong_arguments_are_refused),
        cmocka_unit_test(test_no_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
