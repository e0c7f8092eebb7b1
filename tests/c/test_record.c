/* The record in memory: what goes in comes out, by test. */
#include "alloc_fault.h"
#include "scratch.h"

#include "qe_record.h"

#include <math.h>

static qe_record *new_record(void)
{
    qe_record *r = NULL;

    assert_int_equal(qe_record_new(&r), QE_OK);
    return r;
}

static void names_and_outcomes_are_kept_as_they_were(void **state)
{
    qe_record *r = new_record();
    char id[] = "a.py::test[\xff\x01\"]";
    char message[] = "assert 1 == 2";

    (void) state;
    assert_int_equal(qe_record_add_test(r, id), QE_OK);
    assert_int_equal(qe_record_add_test(r, ""), QE_OK);
    assert_int_equal(qe_record_set_outcome(r, 0, QE_FAILED, message), QE_OK);
    id[0] = message[0] = '!';
    assert_int_equal(r->test_count, 2);
    assert_string_equal(r->tests[0].id, "a.py::test[\xff\x01\"]");
    assert_string_equal(r->tests[0].message, "assert 1 == 2");
    assert_int_equal(r->tests[0].outcome, QE_FAILED);
    assert_string_equal(r->tests[1].id, "");
    assert_int_equal(r->tests[1].outcome, QE_NONE);
    assert_null(r->tests[1].message);
    qe_record_free(r);
}

static void an_outcome_can_be_set_again(void **state)
{
    qe_record *r = new_record();

    (void) state;
    qe_record_add_test(r, "t");
    assert_int_equal(qe_record_set_outcome(r, 0, QE_FAILED, "once"), QE_OK);
    assert_int_equal(qe_record_set_outcome(r, 0, QE_FLAKY, NULL), QE_OK);
    assert_int_equal(r->tests[0].outcome, QE_FLAKY);
    assert_null(r->tests[0].message);
    qe_record_free(r);
}

static void attempts_come_by_pass_then_attempt_then_arrival(void **state)
{
    /* item, pass, attempt, worker: the worker says who is who. */
    static const uint32_t added[][4] = {{1, 1, 1, 0}, {0, 0, 1, 1},
                                        {1, 0, 2, 2}, {1, 0, 1, 3},
                                        {0, 0, 1, 4}, {1, 2, 1, 5}};
    static const uint32_t expected[] = {3, 2, 0, 5};
    qe_record *r = new_record();
    qe__attempts list = {0};
    size_t i;

    (void) state;
    qe_record_add_test(r, "zero");
    qe_record_add_test(r, "one");
    qe_record_add_test(r, "two");
    for (i = 0; i < 6; i++) {
        qe_attempt a = {.item = added[i][0],
                        .pass = added[i][1],
                        .attempt = added[i][2],
                        .worker = added[i][3],
                        .outcome = QE_PASSED};
        assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    }
    assert_int_equal(qe__record_attempts(r, 1, &list), QE_OK);
    assert_int_equal(list.count, 4);
    for (i = 0; i < 4; i++)
        assert_int_equal(list.at[i]->worker, expected[i]);
    assert_int_equal(qe__record_attempts(r, 0, &list), QE_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.at[0]->worker, 1);
    assert_int_equal(list.at[1]->worker, 4);
    assert_int_equal(qe__record_attempts(r, 2, &list), QE_OK);
    assert_int_equal(list.count, 0);
    qe_free(list.at);
    qe_record_free(r);
}

static void what_is_no_duration_counts_as_zero(void **state)
{
    qe_record *r = new_record();
    qe_attempt a = {.outcome = QE_PASSED,
                    .start_s = NAN,
                    .duration_s = -1,
                    .cpu_s = INFINITY};

    (void) state;
    qe_record_add_test(r, "t");
    assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    assert_true(r->attempts[0].data.start_s == 0);
    assert_true(r->attempts[0].data.duration_s == 0);
    assert_true(r->attempts[0].data.cpu_s == 0);
    qe_record_free(r);
}

static void wrong_arguments_are_refused_and_change_nothing(void **state)
{
    qe_record *r = new_record();
    qe_attempt a = {.item = 0, .outcome = QE_PASSED};
    qe_flakiness f;

    (void) state;
    assert_int_equal(qe_record_new(NULL), QE_EINVAL);
    assert_int_equal(qe_record_add_test(NULL, "t"), QE_EINVAL);
    assert_int_equal(qe_record_add_test(r, NULL), QE_EINVAL);
    assert_int_equal(qe_record_add_attempt(r, &a), QE_EINVAL);
    assert_int_equal(qe_record_set_outcome(r, 0, QE_PASSED, NULL), QE_EINVAL);
    assert_int_equal(qe_record_flakiness(r, 0, &f), QE_EINVAL);
    qe_record_add_test(r, "t");
    assert_int_equal(qe_record_add_attempt(r, NULL), QE_EINVAL);
    a.outcome = QE_OUTCOME_COUNT;
    assert_int_equal(qe_record_add_attempt(r, &a), QE_EINVAL);
    a.outcome = (enum qe_outcome) - 1;
    assert_int_equal(qe_record_add_attempt(r, &a), QE_EINVAL);
    assert_int_equal(qe_record_set_outcome(r, 0, QE_OUTCOME_COUNT, "x"),
                     QE_EINVAL);
    assert_int_equal(qe_record_set_outcome(r, 1, QE_PASSED, "x"), QE_EINVAL);
    assert_int_equal(r->attempt_count, 0);
    assert_int_equal(r->tests[0].outcome, QE_NONE);
    qe_record_free(r);
    qe_record_free(NULL);
}

static void a_long_message_leaves_the_others_whole(void **state)
{
    qe_record *r = new_record();
    size_t n = 1 << 20;
    char *message = malloc(n + 1);
    char name[32];
    uint32_t i;

    (void) state;
    assert_non_null(message);
    memset(message, 'x', n);
    message[n] = '\0';
    for (i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "test %u", i);
        assert_int_equal(qe_record_add_test(r, name), QE_OK);
        if (i % 100 == 50)
            assert_int_equal(qe_record_set_outcome(r, i, QE_FAILED, message),
                             QE_OK);
    }
    for (i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "test %u", i);
        assert_string_equal(r->tests[i].id, name);
        if (i % 100 == 50)
            assert_string_equal(r->tests[i].message, message);
    }
    free(message);
    qe_record_free(r);
}

static void a_million_attempts_fit(void **state)
{
    size_t tests = scratch_scaled(500000);
    qe_record *r = new_record();
    qe__attempts list = {0};
    char name[64];
    size_t i;

    (void) state;
    for (i = 0; i < tests; i++) {
        snprintf(name, sizeof(name), "tests/test_module.py::test[%zu]", i);
        assert_int_equal(qe_record_add_test(r, name), QE_OK);
    }
    for (i = 0; i < 2 * tests; i++) {
        qe_attempt a = {.item = (uint32_t) (i % tests),
                        .attempt = (uint32_t) (i / tests) + 1,
                        .outcome = QE_PASSED};
        assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    }
    for (i = 0; i < tests; i += 997) {
        snprintf(name, sizeof(name), "tests/test_module.py::test[%zu]", i);
        assert_string_equal(r->tests[i].id, name);
        assert_int_equal(qe__record_attempts(r, (uint32_t) i, &list), QE_OK);
        assert_int_equal(list.count, 2);
        assert_int_equal(list.at[0]->attempt, 1);
        assert_int_equal(list.at[1]->attempt, 2);
    }
    qe_free(list.at);
    qe_record_free(r);
}

static int build_a_record(void *context)
{
    qe_attempt a = {.pass = 1, .outcome = QE_FAILED, .message = "m"};
    qe__attempts list = {0};
    qe_record *r;
    int rc = qe_record_new(&r);

    (void) context;
    if (rc != QE_OK)
        return rc;
    rc = qe_record_add_test(r, "t");
    if (rc == QE_OK)
        rc = qe_record_set_outcome(r, 0, QE_FAILED, "m");
    if (rc == QE_OK)
        rc = qe_record_add_attempt(r, &a);
    a.pass = 0;
    if (rc == QE_OK)
        rc = qe_record_add_attempt(r, &a);
    if (rc == QE_OK)
        rc = qe__record_attempts(r, 0, &list);
    qe_free(list.at);
    qe_record_free(r);
    return rc;
}

static void a_record_survives_each_allocation_that_fails(void **state)
{
    (void) state;
    assert_int_equal(alloc_fault_sweep(build_a_record, NULL), 5);
}

static int add_a_long_name(void *context)
{
    static char name[100000];

    memset(name, 'x', sizeof(name) - 1);
    return qe_record_add_test(context, name);
}

static void a_test_that_cannot_be_added_changes_nothing(void **state)
{
    qe_record *r = new_record();

    (void) state;
    assert_int_equal(qe_record_add_test(r, "t"), QE_OK);
    assert_int_equal(alloc_fault_sweep(add_a_long_name, r), 1);
    assert_int_equal(r->test_count, 2);
    assert_string_equal(r->tests[0].id, "t");
    qe_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_outcomes_are_kept_as_they_were),
        cmocka_unit_test(an_outcome_can_be_set_again),
        cmocka_unit_test(attempts_come_by_pass_then_attempt_then_arrival),
        cmocka_unit_test(what_is_no_duration_counts_as_zero),
        cmocka_unit_test(wrong_arguments_are_refused_and_change_nothing),
        cmocka_unit_test(a_long_message_leaves_the_others_whole),
        cmocka_unit_test(a_million_attempts_fit),
        cmocka_unit_test(a_record_survives_each_allocation_that_fails),
        cmocka_unit_test(a_test_that_cannot_be_added_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
