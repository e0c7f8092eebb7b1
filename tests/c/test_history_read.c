/* What the history tells of single tests: clean executions, rates by label. */
#include "history_help.h"

#include <time.h>

/* The first version's schema, as released files have it. */
static const char version_1[] =
    "PRAGMA application_id=1363503153; PRAGMA user_version=1;"
    "CREATE TABLE run("
    " id INTEGER PRIMARY KEY,"
    " started REAL NOT NULL,"
    " wall REAL NOT NULL,"
    " workers INTEGER NOT NULL);"
    "CREATE TABLE test("
    " id INTEGER PRIMARY KEY,"
    " name NOT NULL UNIQUE,"
    " last_run INTEGER NOT NULL);"
    "CREATE TABLE outcome("
    " run INTEGER NOT NULL,"
    " test INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL,"
    " message,"
    " PRIMARY KEY(run, test)) WITHOUT ROWID;"
    "CREATE TABLE attempt("
    " run INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " test INTEGER NOT NULL,"
    " pass INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " worker INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL,"
    " start REAL NOT NULL,"
    " duration REAL NOT NULL,"
    " cpu REAL NOT NULL,"
    " peak INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " message,"
    " PRIMARY KEY(run, seq)) WITHOUT ROWID;"
    "CREATE INDEX attempt_passed"
    " ON attempt(test, run, seq, duration, outcome) WHERE outcome = 1;"
    "CREATE TABLE store("
    " key PRIMARY KEY,"
    " value NOT NULL,"
    " expires REAL) WITHOUT ROWID;"
    "CREATE INDEX store_expires ON store(expires)"
    " WHERE expires IS NOT NULL;"
    "INSERT INTO run VALUES(7, 1.7e9, 1.0, 2);"
    "INSERT INTO test VALUES(1, 't', 7);"
    "INSERT INTO outcome VALUES(7, 1, 1, NULL);"
    "INSERT INTO attempt VALUES(7, 0, 1, 0, 1, 0, 1, 1.7e9, 0.5, 0, 0, 0, "
    "NULL)";

/* One run of "t": "p" a pass, "f" a failure, "s" a skip, each the first attempt
 * of a pass of its own; in capitals a retry in the pass before. */
static void run(qe_history *h, const char *results, double started_s,
                const char *revision, const char *branch)
{
    enum qe_outcome last = QE_SKIPPED;
    uint32_t pass = 0, attempt = 0;
    qe_record *r = NULL;
    const char *at;

    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_add_test(r, "t"), QE_OK);
    assert_int_equal(qe_record_set_code(r, revision, branch), QE_OK);
    for (at = results; *at != '\0'; at++) {
        bool retry = *at < 'a';
        attempt = retry ? attempt + 1 : 1;
        pass += !retry && at > results;
        last = strchr("pP", *at) != NULL   ? QE_PASSED
               : strchr("fF", *at) != NULL ? QE_FAILED
                                           : QE_SKIPPED;
        assert_int_equal(
            qe_record_add_attempt(r, &(qe_attempt){.pass = pass,
                                                   .attempt = attempt,
                                                   .outcome = last,
                                                   .start_s = started_s}),
            QE_OK);
        assert_int_equal(
            qe_record_add_pass(r, pass, pass % 2 == 0 ? "default" : "reverse",
                               UINT64_MAX - pass),
            QE_OK);
    }
    assert_int_equal(qe_record_set_outcome(r, 0, last, NULL), QE_OK);
    assert_int_equal(qe_history_save(h, r, started_s, 1, 1, NULL), QE_OK);
    qe_record_free(r);
}

static uint64_t clean_of(qe_history *h, const char *id)
{
    uint64_t clean = 77;

    assert_int_equal(qe_history_clean(h, &id, 1, &clean), QE_OK);
    return clean;
}

struct rows {
    char text[512];
    int stop_after;
};

static int write_row(void *arg, const qe_history_row *row)
{
    struct rows *rows = arg;
    size_t used = strlen(rows->text);

    snprintf(rows->text + used, sizeof(rows->text) - used, "%s %u/%u+%u;",
             row->label, (unsigned) row->failures, (unsigned) row->passes,
             (unsigned) row->recovered);
    return rows->stop_after > 0 && --rows->stop_after == 0 ? 5 : 0;
}

static int write_name(void *arg, const char *id)
{
    struct rows *rows = arg;

    strcat(strcat(rows->text, id), ";");
    return rows->stop_after > 0 && --rows->stop_after == 0 ? 5 : 0;
}

static void assert_rates(qe_history *h, enum qe_history_by by, const char *text)
{
    struct rows rows = {0};

    assert_int_equal(qe_history_rates(h, "t", by, write_row, &rows), QE_OK);
    assert_string_equal(rows.text, text);
}

static void clean_executions_count_from_the_last_failure(void **state)
{
    qe_history *h = must_open(*state);

    assert_int_equal(clean_of(h, "t"), 0);
    run(h, "pp", 1.7e9, NULL, NULL);
    assert_int_equal(clean_of(h, "t"), 2);
    run(h, "psp", 1.7e9, NULL, NULL);
    assert_int_equal(clean_of(h, "t"), 4);
    run(h, "pfpp", 1.7e9, NULL, NULL);
    assert_int_equal(clean_of(h, "t"), 2);
    qe_history_close(h);
}

static void a_pass_on_a_retry_is_no_clean_execution(void **state)
{
    qe_history *h = must_open(*state);

    run(h, "ppp", 1.7e9, NULL, NULL);
    run(h, "fP", 1.7e9, NULL, NULL);
    assert_int_equal(clean_of(h, "t"), 0);
    run(h, "p", 1.7e9, NULL, NULL);
    assert_int_equal(clean_of(h, "t"), 1);
    qe_history_close(h);
}

static void clean_executions_outlive_their_runs(void **state)
{
    qe_history *h = must_open(*state);
    int i;

    for (i = 0; i < 5; i++)
        run(h, "p", 1.7e9, "abc", NULL);
    assert_int_equal(qe_history_gc(h, 2), QE_OK);
    assert_int_equal(clean_of(h, "t"), 5);
    assert_rates(h, QE_BY_REVISION, "abc 0/2+0;");
    qe_history_close(h);
    assert_int_equal(peek(*state, "SELECT count(*) FROM condition"), 2);
}

static void rates_are_by_revision_branch_day_and_condition(void **state)
{
    qe_history *h = must_open(*state);

    run(h, "pfp", 1.7e9, "aaa", "main");
    run(h, "fPs", 1.7e9, "bbb", "main");
    run(h, "fFF", 1.7e9 + 864000, NULL, "topic");
    assert_rates(h, QE_BY_REVISION, "aaa 1/2+0;bbb 1/0+1; 1/0+0;");
    assert_rates(h, QE_BY_BRANCH, "main 2/2+1;topic 1/0+0;");
    assert_rates(h, QE_BY_CONDITION, "default 2/2+1;reverse 1/0+0;");
    qe_history_close(h);
}

struct times {
    double mean_s, longest_s;
};

static int keep_times(void *arg, const qe_history_row *row)
{
    *(struct times *) arg = (struct times){row->mean_s, row->longest_s};
    return 0;
}

static void passes_have_their_times(void **state)
{
    static const double took_s[] = {1, 2, 6, 100};
    qe_history *h = must_open(*state);
    struct times times = {0};
    qe_record *r = NULL;
    uint32_t i;

    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_add_test(r, "t"), QE_OK);
    for (i = 0; i < 4; i++) {
        qe_attempt a = {.pass = i,
                        .attempt = 1,
                        .outcome = i < 3 ? QE_PASSED : QE_FAILED,
                        .start_s = 1.7e9,
                        .duration_s = took_s[i]};
        assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    }
    assert_int_equal(qe_record_set_outcome(r, 0, QE_PASSED, NULL), QE_OK);
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, NULL), QE_OK);
    qe_record_free(r);
    assert_int_equal(
        qe_history_rates(h, "t", QE_BY_REVISION, keep_times, &times), QE_OK);
    assert_true(times.mean_s == 3 && times.longest_s == 6);
    qe_history_close(h);
}

static void a_test_that_never_passed_has_no_times(void **state)
{
    qe_history *h = must_open(*state);
    struct times times = {5, 5};

    run(h, "ff", 1.7e9, NULL, NULL);
    assert_int_equal(
        qe_history_rates(h, "t", QE_BY_REVISION, keep_times, &times), QE_OK);
    assert_true(times.mean_s == 0 && times.longest_s == 0);
    qe_history_close(h);
}

static void days_are_those_of_the_local_time(void **state)
{
    qe_history *h = must_open(*state);

    setenv("TZ", "UTC-10", 1);
    tzset();
    run(h, "p", 1.7e9, NULL, NULL); /* 2023-11-14T22:13:20Z */
    assert_rates(h, QE_BY_DAY, "2023-11-15 0/1+0;");
    unsetenv("TZ");
    tzset();
    qe_history_close(h);
}

static void a_test_that_is_not_known_has_no_rates(void **state)
{
    qe_history *h = must_open(*state);

    assert_rates(h, QE_BY_DAY, "");
    qe_history_close(h);
}

static void names_are_those_that_begin_so(void **state)
{
    struct rows rows = {0};
    struct scratch *s = *state;
    qe_history *h;

    assert_int_equal(save_sample(s->path, 12, 0.5), QE_OK);
    h = must_open(s);
    assert_int_equal(qe_history_names(h, "test 1", write_name, &rows), QE_OK);
    assert_string_equal(rows.text, "test 1;test 10;test 11;");
    rows = (struct rows){.stop_after = 2};
    assert_int_equal(qe_history_names(h, "", write_name, &rows), 5);
    assert_string_equal(rows.text, "test 0;test 1;");
    qe_history_close(h);
}

static void who_is_told_may_stop(void **state)
{
    struct rows rows = {.stop_after = 1};
    qe_history *h = must_open(*state);

    run(h, "p", 1.7e9, "aaa", NULL);
    run(h, "p", 1.7e9, "bbb", NULL);
    assert_int_equal(qe_history_rates(h, "t", QE_BY_REVISION, write_row, &rows),
                     5);
    assert_string_equal(rows.text, "aaa 0/1+0;");
    qe_history_close(h);
}

static void a_file_of_the_first_version_is_upgraded(void **state)
{
    struct scratch *s = *state;
    qe_history *h;

    poke(s, version_1);
    h = must_open(s);
    assert_int_equal(duration_of(h, "t"), 500000000);
    assert_int_equal(clean_of(h, "t"), 0);
    run(h, "p", 1.7e9, "abc", "main");
    assert_int_equal(clean_of(h, "t"), 1);
    assert_rates(h, QE_BY_REVISION, " 0/1+0;abc 0/1+0;");
    qe_history_close(h);
    assert_whole(s);
    assert_int_equal(peek(s, "PRAGMA user_version"), 2);
    qe_history_close(must_open(s));
}

static void one_that_is_only_read_is_upgraded_too(void **state)
{
    struct scratch *s = *state;
    qe_history *h = NULL;

    poke(s, version_1);
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_OK);
    assert_int_equal(duration_of(h, "t"), 500000000);
    qe_history_close(h);
    assert_int_equal(peek(s, "PRAGMA user_version"), 2);
}

static void cells_of_a_foreign_file_are_not_trusted(void **state)
{
    struct scratch *s = *state;
    struct rows rows = {0};
    qe_history *h = must_open(s);

    run(h, "p", 1.7e9, "aaa", NULL);
    qe_history_close(h);
    poke(s, "UPDATE run SET started='soon', branch=17, revision=x'610062';"
            "UPDATE test SET clean=-5;"
            "INSERT INTO test VALUES(900, 12.5, 1, 'many')");
    h = must_open(s);
    assert_int_equal(clean_of(h, "t"), 0);
    assert_rates(h, QE_BY_DAY, " 0/1+0;");
    assert_rates(h, QE_BY_BRANCH, " 0/1+0;");
    assert_rates(h, QE_BY_REVISION, " 0/1+0;");
    assert_int_equal(qe_history_names(h, "", write_name, &rows), QE_OK);
    assert_string_equal(rows.text, "t;");
    qe_history_close(h);
}

static void wrong_arguments_are_refused(void **state)
{
    const char *const ids[] = {"t", NULL};
    qe_history *h = must_open(*state);
    struct rows rows = {0};
    qe_record *r = NULL;
    uint64_t found[2];

    assert_int_equal(qe_history_clean(NULL, ids, 1, found), QE_EINVAL);
    assert_int_equal(qe_history_clean(h, ids, 2, found), QE_EINVAL);
    assert_int_equal(qe_history_clean(h, ids, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_history_clean(h, NULL, 0, NULL), QE_OK);
    assert_int_equal(qe_history_names(NULL, "", write_name, &rows), QE_EINVAL);
    assert_int_equal(qe_history_names(h, NULL, write_name, &rows), QE_EINVAL);
    assert_int_equal(qe_history_names(h, "", NULL, &rows), QE_EINVAL);
    assert_int_equal(qe_history_rates(NULL, "t", QE_BY_DAY, write_row, &rows),
                     QE_EINVAL);
    assert_int_equal(qe_history_rates(h, NULL, QE_BY_DAY, write_row, &rows),
                     QE_EINVAL);
    assert_int_equal(qe_history_rates(h, "t", QE_BY_DAY, NULL, &rows),
                     QE_EINVAL);
    assert_int_equal(
        qe_history_rates(h, "t", (enum qe_history_by) 4, write_row, &rows),
        QE_EINVAL);
    qe_history_close(h);
    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_set_code(NULL, "a", "b"), QE_EINVAL);
    assert_int_equal(qe_record_add_pass(NULL, 0, "a", 1), QE_EINVAL);
    assert_int_equal(qe_record_add_pass(r, 0, NULL, 1), QE_EINVAL);
    assert_int_equal(qe_record_set_quarantined(NULL, 0), QE_EINVAL);
    assert_int_equal(qe_record_set_quarantined(r, 0), QE_EINVAL);
    qe_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(clean_executions_count_from_the_last_failure),
        T(a_pass_on_a_retry_is_no_clean_execution),
        T(clean_executions_outlive_their_runs),
        T(rates_are_by_revision_branch_day_and_condition),
        T(passes_have_their_times),
        T(a_test_that_never_passed_has_no_times),
        T(days_are_those_of_the_local_time),
        T(a_test_that_is_not_known_has_no_rates),
        T(names_are_those_that_begin_so),
        T(who_is_told_may_stop),
        T(a_file_of_the_first_version_is_upgraded),
        T(one_that_is_only_read_is_upgraded_too),
        T(cells_of_a_foreign_file_are_not_trusted),
        T(wrong_arguments_are_refused),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
