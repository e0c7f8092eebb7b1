/* The trace of a run: valid JSON, whole or not there at all. */
#include "alloc_fault.h"
#include "scratch.h"

#include "qe_json_text.h"

#include <cjson/cJSON.h>
#include <math.h>

static const char *string_of(const cJSON *object, const char *key)
{
    const char *value =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return value != NULL ? value : "(no string)";
}

static double number_of(const cJSON *object, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static qe_record *record_of(const qe_attempt *attempts, size_t n)
{
    qe_record *r;

    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_add_test(r, "a.py::test \"one\""), QE_OK);
    assert_int_equal(qe_record_add_test(r, "b\xff.py::two"), QE_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(qe_record_add_attempt(r, &attempts[i]), QE_OK);
    return r;
}

static cJSON *written(const struct scratch *s, const qe_record *r, double start)
{
    char *text;
    cJSON *tree;

    assert_int_equal(qe_record_write_trace(r, s->path, start), QE_OK);
    assert_int_equal(scratch_count(s), 1);
    text = scratch_read(s->path, NULL);
    assert_true(qe__json_is_object(text));
    tree = cJSON_Parse(text);
    assert_non_null(tree);
    free(text);
    return tree;
}

static void each_attempt_is_a_slice_on_its_workers_track(void **state)
{
    const qe_attempt attempts[] = {
        {.item = 0,
         .worker = 3,
         .outcome = QE_FAILED,
         .start_s = 1000.5,
         .duration_s = 0.25,
         .cpu_s = 0.125,
         .peak_bytes = 4096,
         .attempt = 1,
         .message = "assert 0"},
        {.item = 0,
         .worker = 0,
         .outcome = QE_PASSED,
         .start_s = 1000.75,
         .duration_s = 2,
         .attempt = 2,
         .pass = 1},
        /* Before its run: a clock went back. */
        {.item = 1, .worker = 4096, .outcome = QE_CRASHED, .start_s = 999},
    };
    qe_record *r = record_of(attempts, 3);
    cJSON *tree = written(*state, r, 1000);
    const cJSON *events = cJSON_GetObjectItem(tree, "traceEvents"), *event;

    /* The process and two threads have names; others have their number. */
    assert_int_equal(cJSON_GetArraySize(events), 6);
    event = cJSON_GetArrayItem(events, 0);
    assert_string_equal(string_of(event, "name"), "process_name");
    event = cJSON_GetArrayItem(events, 1);
    assert_string_equal(string_of(event, "ph"), "M");
    assert_string_equal(string_of(cJSON_GetObjectItem(event, "args"), "name"),
                        "gw0");
    event = cJSON_GetArrayItem(events, 2);
    assert_true(number_of(event, "tid") == 3);

    event = cJSON_GetArrayItem(events, 3);
    assert_string_equal(string_of(event, "name"), "a.py::test \"one\"");
    assert_string_equal(string_of(event, "ph"), "X");
    assert_string_equal(string_of(event, "cat"), "failed");
    assert_true(number_of(event, "ts") == 500000);
    assert_true(number_of(event, "dur") == 250000);
    assert_true(number_of(event, "tid") == 3);
    event = cJSON_GetObjectItem(event, "args");
    assert_string_equal(string_of(event, "message"), "assert 0");
    assert_true(number_of(event, "peak_memory") == 4096);
    assert_true(number_of(event, "cpu") == 0.125);
    event = cJSON_GetArrayItem(events, 4);
    assert_true(number_of(event, "ts") == 750000);
    assert_true(number_of(cJSON_GetObjectItem(event, "args"), "attempt") == 2);
    event = cJSON_GetArrayItem(events, 5);
    assert_true(number_of(event, "ts") == 0);
    assert_true(number_of(event, "tid") == 4096);
    assert_string_equal(string_of(event, "name"), "b\xef\xbf\xbd.py::two");
    cJSON_Delete(tree);
    qe_record_free(r);
}

static void an_empty_run_is_a_whole_trace(void **state)
{
    qe_record *r = record_of(NULL, 0);
    cJSON *tree = written(*state, r, 0);

    assert_int_equal(
        cJSON_GetArraySize(cJSON_GetObjectItem(tree, "traceEvents")), 1);
    cJSON_Delete(tree);
    qe_record_free(r);
}

static const qe_record *written_one;

static void *hooked_malloc(size_t n)
{
    return malloc(n); /* the wrapped one */
}

static int write_one(void *path)
{
    return qe_record_write_trace(written_one, path, 0);
}

static void what_cannot_be_written_leaves_nothing(void **state)
{
    const qe_attempt attempt = {.item = 0, .message = "m"};
    const struct scratch *s = *state;
    cJSON_Hooks hooks = {hooked_malloc, free};
    qe_record *r = record_of(&attempt, 1);
    char path[256];

    assert_int_equal(qe_record_write_trace(r, s->path, NAN), QE_EINVAL);
    assert_int_equal(qe_record_write_trace(r, NULL, 0), QE_EINVAL);
    snprintf(path, sizeof(path), "%s/none/file", s->dir);
    assert_int_equal(qe_record_write_trace(r, path, 0), QE_ESYS);
    assert_int_equal(scratch_count(s), 0);
    written_one = r;
    cJSON_InitHooks(&hooks);
    assert_true(alloc_fault_sweep(write_one, (void *) s->path) > 10);
    cJSON_InitHooks(NULL);
    assert_int_equal(scratch_count(s), 1);
    qe_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(each_attempt_is_a_slice_on_its_workers_track),
        T(an_empty_run_is_a_whole_trace),
        T(what_cannot_be_written_leaves_nothing),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
