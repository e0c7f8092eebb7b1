/* The JSON result: always valid, whole or not there at all. */
#include "alloc_fault.h"
#include "scratch.h"

#include "qe_json_text.h"

#include <cjson/cJSON.h>
#include <signal.h>

static qe_record *new_record(void)
{
    qe_record *r = NULL;

    assert_int_equal(qe_record_new(&r), QE_OK);
    return r;
}

static void add(qe_record *r, const char *id, enum qe_outcome outcome,
                const char *message, const qe_attempt *attempt)
{
    assert_int_equal(qe_record_add_test(r, id), QE_OK);
    if (attempt != NULL)
        assert_int_equal(qe_record_add_attempt(r, attempt), QE_OK);
    assert_int_equal(qe_record_set_outcome(r,
                                           attempt != NULL ? attempt->item : 0,
                                           outcome, message),
                     QE_OK);
}

/* Writes, checks that the file is JSON and has no temporary beside it, and
 * returns its text. */
static char *write_text(const struct scratch *s, const qe_record *r,
                        const char *run, bool flaky)
{
    char *text;

    assert_int_equal(qe_record_write_json(r, s->path, run, flaky), QE_OK);
    assert_int_equal(scratch_count(s), 1);
    text = scratch_read(s->path, NULL);
    assert_true(qe__json_is_object(text));
    return text;
}

static cJSON *write_tree(const struct scratch *s, const qe_record *r,
                         const char *run, bool flaky)
{
    char *text = write_text(s, r, run, flaky);
    cJSON *tree = cJSON_Parse(text);

    assert_non_null(tree);
    free(text);
    return tree;
}

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

static const cJSON *first_of(const cJSON *object, const char *key)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, key), 0);
}

static void an_empty_record_is_a_whole_result(void **state)
{
    qe_record *r = new_record();
    cJSON *tree = write_tree(*state, r, NULL, false);

    assert_true(number_of(tree, "schema") == 1);
    assert_string_equal(string_of(tree, "version"), QE_VERSION);
    assert_true(cJSON_IsObject(cJSON_GetObjectItem(tree, "run")));
    assert_true(number_of(cJSON_GetObjectItem(tree, "summary"), "total") == 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "tests")), 0);
    cJSON_Delete(tree);
    qe_record_free(r);
}

static void all_that_was_recorded_is_in_the_result(void **state)
{
    qe_attempt a = {.item = 0,
                    .pass = 0,
                    .attempt = 2,
                    .worker = 3,
                    .outcome = QE_FAILED,
                    .start_s = 1700000000.123456,
                    .duration_s = 0.1,
                    .cpu_s = 0.25,
                    .peak_bytes = UINT64_C(6000000000),
                    .message = "line \"one\"\n\\"};
    qe_record *r = new_record();
    const cJSON *test, *attempt;
    cJSON *tree;

    add(r, "a.py::t[\xc3\xa9\xf0\x9f\x98\x80]", QE_FAILED, "boom", &a);
    assert_int_equal(qe_record_set_expected(r, 0, 0.25), QE_OK);
    tree = write_tree(*state, r, "{\"seed\": 7}", false);
    assert_true(number_of(cJSON_GetObjectItem(tree, "run"), "seed") == 7);
    test = first_of(tree, "tests");
    assert_string_equal(string_of(test, "id"),
                        "a.py::t[\xc3\xa9\xf0\x9f\x98\x80]");
    assert_string_equal(string_of(test, "outcome"), "failed");
    assert_string_equal(string_of(test, "message"), "boom");
    assert_true(number_of(test, "expected") == 0.25);
    assert_false(cJSON_HasObjectItem(test, "flakiness"));
    attempt = first_of(test, "attempts");
    assert_string_equal(string_of(attempt, "outcome"), "failed");
    assert_true(number_of(attempt, "attempt") == 2);
    assert_true(number_of(attempt, "start") == 1700000000.123456);
    assert_true(number_of(attempt, "duration") == 0.1);
    assert_string_equal(string_of(attempt, "worker"), "gw3");
    assert_true(number_of(attempt, "cpu") == 0.25);
    assert_true(number_of(attempt, "peak_memory") == 6e9);
    assert_string_equal(string_of(attempt, "message"), "line \"one\"\n\\");
    assert_false(cJSON_HasObjectItem(attempt, "pass"));
    assert_false(cJSON_HasObjectItem(attempt, "signal"));
    assert_false(cJSON_HasObjectItem(attempt, "exit_status"));
    cJSON_Delete(tree);
    qe_record_free(r);
}

static void texts_and_marks_are_in_the_result(void **state)
{
    static const qe_attempt attempts[] = {
        {.item = 0, .pass = 0, .attempt = 1, .outcome = QE_FAILED},
        {.item = 0, .pass = 0, .attempt = 2, .outcome = QE_PASSED},
    };
    qe_record *r = new_record();
    const cJSON *test, *list, *marks;
    cJSON *tree;

    add(r, "a.py::t", QE_FLAKY, NULL, &attempts[0]);
    assert_int_equal(qe_record_add_attempt(r, &attempts[1]), QE_OK);
    assert_int_equal(qe_record_set_marks(r, 0, "slow\ndb"), QE_OK);
    assert_int_equal(
        qe_record_add_text(r, 0, 0, 1, QE_TEXT_FAILURE, "call", "E  1 == 2"),
        QE_OK);
    assert_int_equal(qe_record_add_text(r, 0, 0, 1, QE_TEXT_OUTPUT,
                                        "Captured stdout",
                                        "\x1b[31m\xc3\xa9\"\n"),
                     QE_OK);
    assert_int_equal(
        qe_record_add_text(r, 0, 1, 1, QE_TEXT_FAILURE, "call", "x"),
        QE_ENOTFOUND);
    assert_int_equal(qe_record_add_text(r, 1, 0, 1, QE_TEXT_FAILURE, "", ""),
                     QE_EINVAL);
    assert_int_equal(qe_record_add_text(r, 0, 0, 1, QE_TEXT_KINDS, "", ""),
                     QE_EINVAL);
    assert_int_equal(qe_record_set_marks(r, 1, "x"), QE_EINVAL);
    assert_int_equal(qe_record_set_expected(r, 1, 1), QE_EINVAL);
    tree = write_tree(*state, r, NULL, false);
    test = first_of(tree, "tests");
    marks = cJSON_GetObjectItem(test, "marks");
    assert_int_equal(cJSON_GetArraySize(marks), 2);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(marks, 0)),
                        "slow");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(marks, 1)),
                        "db");
    list = cJSON_GetObjectItem(first_of(test, "attempts"), "texts");
    assert_int_equal(cJSON_GetArraySize(list), 2);
    assert_string_equal(string_of(cJSON_GetArrayItem(list, 0), "kind"),
                        "failure");
    assert_string_equal(string_of(cJSON_GetArrayItem(list, 0), "name"), "call");
    assert_string_equal(string_of(cJSON_GetArrayItem(list, 0), "text"),
                        "E  1 == 2");
    assert_string_equal(string_of(cJSON_GetArrayItem(list, 1), "kind"),
                        "output");
    assert_string_equal(string_of(cJSON_GetArrayItem(list, 1), "name"),
                        "Captured stdout");
    assert_string_equal(string_of(cJSON_GetArrayItem(list, 1), "text"),
                        "\x1b[31m\xc3\xa9\"\n");
    assert_false(cJSON_HasObjectItem(
        cJSON_GetArrayItem(cJSON_GetObjectItem(test, "attempts"), 1), "texts"));
    cJSON_Delete(tree);
    qe_record_free(r);
}

static void the_summary_counts_every_outcome(void **state)
{
    qe_record *r = new_record();
    const cJSON *summary;
    cJSON *tree;
    uint32_t item = 0;
    int outcome, i;

    for (outcome = 0; outcome < QE_OUTCOME_COUNT; outcome++)
        for (i = 0; i <= outcome; i++) {
            assert_int_equal(qe_record_add_test(r, "t"), QE_OK);
            assert_int_equal(qe_record_set_outcome(
                                 r, item++, (enum qe_outcome) outcome, NULL),
                             QE_OK);
        }
    tree = write_tree(*state, r, NULL, false);
    summary = cJSON_GetObjectItem(tree, "summary");
    assert_true(number_of(summary, "total") == item);
    for (outcome = 0; outcome < QE_OUTCOME_COUNT; outcome++)
        assert_true(
            number_of(summary, qe_outcome_name((enum qe_outcome) outcome)) ==
            outcome + 1);
    cJSON_Delete(tree);
    qe_record_free(r);
}

static void a_quarantined_test_is_marked(void **state)
{
    qe_record *r = new_record();
    cJSON *tree;
    const cJSON *tests;

    add(r, "held", QE_FAILED, NULL, NULL);
    add(r, "free", QE_NONE, NULL, NULL);
    assert_int_equal(qe_record_set_quarantined(r, 0), QE_OK);
    tree = write_tree(*state, r, NULL, false);
    tests = cJSON_GetObjectItemCaseSensitive(tree, "tests");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
        cJSON_GetArrayItem(tests, 0), "quarantined")));
    assert_null(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(tests, 1),
                                                 "quarantined"));
    cJSON_Delete(tree);
    qe_record_free(r);
}

static void bytes_that_are_no_utf8_become_lone_surrogates(void **state)
{
    /* Stray, cut short, overlong, an encoded surrogate, past U+10FFFF. */
    static const char *const cases[][2] = {
        {"a\xff(", "\"a\\udcff(\""},
        {"\xc3", "\"\\udcc3\""},
        {"\xe2\x82|", "\"\\udce2\\udc82|\""},
        {"\xc0\xaf", "\"\\udcc0\\udcaf\""},
        {"\xe0\x9f\xbf", "\"\\udce0\\udc9f\\udcbf\""},
        {"\xed\xa0\x80", "\"\\udced\\udca0\\udc80\""},
        {"\xf0\x8f\xbf\xbf", "\"\\udcf0\\udc8f\\udcbf\\udcbf\""},
        {"\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\""},
        {"\x80\"\\\n\x7f\xc3\xa9", "\"\\udc80\\\"\\\\\\u000a\\u007f\xc3\xa9\""},
    };
    struct scratch *s = *state;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        qe_record *r = new_record();
        char *text;
        add(r, cases[i][0], QE_FAILED, cases[i][0], NULL);
        text = write_text(s, r, NULL, false);
        assert_non_null(strstr(strstr(text, "\"id\":"), cases[i][1]));
        assert_non_null(strstr(strstr(text, "\"message\":"), cases[i][1]));
        free(text);
        qe_record_free(r);
    }
}

static void any_byte_in_a_name_gives_valid_json(void **state)
{
    qe_record *r = new_record();
    char name[4] = {0};
    unsigned a, b;

    for (a = 1; a < 256; a++) {
        for (b = 0; b < 256; b += b < 0x7e ? 21 : 1) {
            name[0] = (char) a;
            name[1] = (char) b;
            name[2] = (char) (a ^ 0x55);
            assert_int_equal(qe_record_add_test(r, name), QE_OK);
        }
    }
    free(write_text(*state, r, NULL, false));
    qe_record_free(r);
}

static void only_objects_in_json_pass_for_one(void **state)
{
    static const char *const good[] = {
        "{}",
        " {\n} ",
        "{\"a\":[1,-0,0.5,1e9,-1.5E-3,true,false,null,\"\",{},[]]}",
        "{\"\\u00e9\\ud83d\\udc80\\\"\\/\\n\":\"\xc3\xa9\"}",
        "{\"lone\":\"\\udcff\"}",
    };
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{",
        "}",
        "{}{}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\\u12",
        "{\"a\":1}x",
        "{\"a\" 1}",
    };
    char deep[400] = "{\"a\":";
    size_t i;

    (void) state;
    for (i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(qe__json_is_object(good[i]));
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(qe__json_is_object(bad[i]));
    /* No depth of it may use up the stack. */
    memset(deep + 5, '[', 150);
    memset(deep + 155, ']', 150);
    deep[305] = '}';
    assert_false(qe__json_is_object(deep));
    memset(deep + 5, ' ', 50);
    memset(deep + 255, ' ', 50);
    assert_true(qe__json_is_object(deep));
}

static void the_run_object_arrives_unchanged(void **state)
{
    static const char run[] =
        "{\"seed\": 18446744073709551615, \"argv\": [\"\\udcff\"]}";
    qe_record *r = new_record();
    char *text = write_text(*state, r, run, false);

    assert_non_null(strstr(text, run));
    free(text);
    qe_record_free(r);
}

static void a_run_that_is_no_object_is_refused(void **state)
{
    struct scratch *s = *state;
    qe_record *r = new_record();

    assert_int_equal(qe_record_write_json(r, s->path, "[1]", false),
                     QE_EFORMAT);
    assert_int_equal(qe_record_write_json(r, NULL, NULL, false), QE_EINVAL);
    assert_int_equal(qe_record_write_json(NULL, s->path, NULL, false),
                     QE_EINVAL);
    assert_int_equal(scratch_count(s), 0);
    qe_record_free(r);
}

static void deaths_have_their_signal_or_exit_status(void **state)
{
    static const struct {
        enum qe_outcome outcome;
        int status;
        const char *text;
    } cases[] = {
        {QE_CRASHED, SIGSEGV, "\"signal\":\"SIGSEGV\""},
        {QE_CRASHED, SIGABRT | 0x80, "\"signal\":\"SIGABRT\""},
        {QE_TIMEOUT, SIGKILL, "\"signal\":\"SIGKILL\""},
        {QE_CRASHED, 3 << 8, "\"exit_status\":3"},
        {QE_CRASHED, 0, "\"exit_status\":0"},
    };
    qe_record *r = new_record();
    char expected[32];
    char *text, *at;
    uint32_t i;

    for (i = 0; i < 5; i++) {
        qe_attempt a = {.item = i,
                        .attempt = 1,
                        .outcome = cases[i].outcome,
                        .status = cases[i].status};
        add(r, "t", cases[i].outcome, NULL, &a);
    }
    add(r, "t", QE_CRASHED, NULL,
        &(qe_attempt){
            .item = 5, .outcome = QE_CRASHED, .status = SIGRTMIN + 2});
    at = text = write_text(*state, r, NULL, false);
    for (i = 0; i < 5; i++) {
        at = strstr(at, cases[i].text);
        assert_non_null(at);
    }
    snprintf(expected, sizeof(expected), "\"signal\":\"SIGRTMIN+2\"");
    assert_non_null(strstr(at, expected));
    free(text);
    qe_record_free(r);
}

static void flaky_mode_adds_passes_and_flakiness(void **state)
{
    qe_record *r = new_record();
    const cJSON *test, *flakiness;
    cJSON *tree;
    uint32_t pass;

    assert_int_equal(qe_record_add_test(r, "t"), QE_OK);
    for (pass = 4; pass-- > 0;) {
        qe_attempt a = {.pass = pass,
                        .attempt = 1,
                        .outcome = pass == 1 ? QE_FAILED : QE_PASSED};
        assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    }
    add(r, "skipped", QE_SKIPPED, NULL,
        &(qe_attempt){.item = 1, .outcome = QE_SKIPPED});
    tree = write_tree(*state, r, NULL, true);
    test = first_of(tree, "tests");
    assert_true(number_of(first_of(test, "attempts"), "pass") == 0);
    flakiness = cJSON_GetObjectItem(test, "flakiness");
    assert_true(number_of(flakiness, "passes") == 3);
    assert_true(number_of(flakiness, "failures") == 1);
    assert_true(number_of(flakiness, "flakiness_score") == 0.5);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(flakiness, "is_flaky")));
    assert_string_equal(string_of(flakiness, "pattern"), "RANDOM");
    test = cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "tests"), 1);
    assert_false(cJSON_HasObjectItem(test, "flakiness"));
    cJSON_Delete(tree);
    qe_record_free(r);
}

static int write_one(void *path)
{
    qe_attempt a = {.attempt = 1, .outcome = QE_PASSED, .message = "\xff"};
    qe_record *r = NULL;
    int rc = qe_record_new(&r);

    if (rc == QE_OK)
        rc = qe_record_add_test(r, "t\xff");
    if (rc == QE_OK)
        rc = qe_record_add_attempt(r, &a);
    if (rc == QE_OK)
        rc = qe_record_set_marks(r, 0, "slow\ndb\xff");
    if (rc == QE_OK)
        rc = qe_record_add_text(r, 0, 0, 1, QE_TEXT_FAILURE, "call", "\xff");
    if (rc == QE_OK)
        rc = qe_record_write_json(r, path, "{}", true);
    qe_record_free(r);
    return rc;
}

static void *hooked_malloc(size_t n)
{
    return malloc(n); /* the wrapped one */
}

static void out_of_memory_leaves_the_old_result(void **state)
{
    cJSON_Hooks hooks = {hooked_malloc, free};
    struct scratch *s = *state;
    char *text;
    size_t n;

    scratch_write(s->path, "old", 3);
    alloc_fault.countdown = 30; /* in the middle of the test's object */
    cJSON_InitHooks(&hooks);
    assert_int_equal(write_one(s->path), QE_ENOMEM);
    text = scratch_read(s->path, NULL);
    assert_string_equal(text, "old");
    free(text);
    n = alloc_fault_sweep(write_one, s->path);
    cJSON_InitHooks(NULL);
    assert_true(n > 50);
    assert_int_equal(scratch_count(s), 1);
    text = scratch_read(s->path, NULL);
    assert_true(qe__json_is_object(text));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(an_empty_record_is_a_whole_result),
        T(all_that_was_recorded_is_in_the_result),
        T(texts_and_marks_are_in_the_result),
        T(the_summary_counts_every_outcome),
        T(a_quarantined_test_is_marked),
        T(bytes_that_are_no_utf8_become_lone_surrogates),
        T(any_byte_in_a_name_gives_valid_json),
        T(only_objects_in_json_pass_for_one),
        T(the_run_object_arrives_unchanged),
        T(a_run_that_is_no_object_is_refused),
        T(deaths_have_their_signal_or_exit_status),
        T(flaky_mode_adds_passes_and_flakiness),
        T(out_of_memory_leaves_the_old_result),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
