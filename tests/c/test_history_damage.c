/* The history does not trust its file: damage and foreign files are told, and
 * nothing is made worse. */
#include "history_help.h"

#include "qe_util.h"

/* Opening fails with `code` and changes no byte, nor leaves a file. */
static void check_refused(const struct scratch *s, int code)
{
    qe_history *h = NULL;
    size_t files = scratch_count(s);
    size_t n, m;
    char *before = scratch_read(s->path, &n);
    char *after;

    assert_int_equal(qe_history_open(&h, s->path), code);
    assert_null(h);
    after = scratch_read(s->path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    assert_int_equal(scratch_count(s), files);
    free(before);
    free(after);
}

static void garbage_is_corrupt(void **state)
{
    struct scratch *s = *state;
    uint64_t random = 11;
    char data[20000];
    size_t i;

    for (i = 0; i < sizeof(data); i++)
        data[i] = (char) qe__random(&random);
    scratch_write(s->path, data, 2);
    check_refused(s, QE_ECORRUPT);
    scratch_write(s->path, data, sizeof(data));
    check_refused(s, QE_ECORRUPT);
    /* The right magic makes it no better. */
    memcpy(data, "SQLite format 3", 16);
    scratch_write(s->path, data, sizeof(data));
    check_refused(s, QE_ECORRUPT);
    memset(data, 0, sizeof(data));
    scratch_write(s->path, data, sizeof(data));
    check_refused(s, QE_ECORRUPT);
    scratch_write(s->path, "{\"json\": true}\n", 15);
    check_refused(s, QE_ECORRUPT);
}

static void a_file_cut_short_anywhere_is_corrupt(void **state)
{
    struct scratch *s = *state;
    size_t n, step, cut;
    char *whole;

    assert_int_equal(save_sample(s->path, 200, 0.5), QE_OK);
    whole = scratch_read(s->path, &n);
    step = scratch_slow() ? 3584 : 512;
    for (cut = step; cut < n; cut += step) {
        scratch_write(s->path, whole, cut);
        check_refused(s, QE_ECORRUPT);
    }
    scratch_write(s->path, whole, n);
    assert_int_equal(save_sample(s->path, 200, 0.5), QE_OK);
    free(whole);
}

static int ignore_name(void *arg, const char *id)
{
    (void) arg;
    return strlen(id) == 0;
}

static int ignore_row(void *arg, const qe_history_row *row)
{
    (void) arg;
    return strlen(row->label) > 1000000;
}

/* Whatever the bytes, each call returns, with a code of the header. */
static void use_all(const struct scratch *s, const qe_record *r)
{
    static const char *const ids[] = {"test 0", "test 100", "none"};
    qe_history *h = NULL;
    uint64_t ns[3];
    char *value = NULL;
    int rc = qe_history_open(&h, s->path);

    if (rc == QE_OK) {
        qe_history_durations(h, ids, 3, ns);
        qe_history_clean(h, ids, 3, ns);
        qe_history_names(h, "test", ignore_name, NULL);
        qe_history_rates(h, ids[0], QE_BY_CONDITION, ignore_row, NULL);
        if (qe_history_get(h, "key", &value) == QE_OK)
            qe_free(value);
        qe_history_save(h, r, 1.7e9, 1, 1, NULL);
        qe_history_put(h, "key", "value", 60);
        qe_history_delete(h, "other");
        qe_history_gc(h, 1);
        qe_history_close(h);
    } else {
        assert_true(rc == QE_ECORRUPT || rc == QE_EUNSUPPORTED ||
                    rc == QE_ESYS || rc == QE_ENOMEM);
    }
}

static void damage_in_any_page_is_survived(void **state)
{
    struct scratch *s = *state;
    qe_history *h;
    qe_record *r = sample_record(100, 0.5);
    uint64_t random = 20240601;
    size_t rounds = scratch_scaled(400);
    size_t i, j, n;
    char *whole, *damaged, journal[256];

    assert_int_equal(save_sample(s->path, 200, 0.5), QE_OK);
    h = must_open(s);
    assert_int_equal(qe_history_put(h, "key", "value", 0), QE_OK);
    qe_history_close(h);
    whole = scratch_read(s->path, &n);
    damaged = malloc(n);
    assert_non_null(damaged);
    snprintf(journal, sizeof(journal), "%s-journal", s->path);
    for (i = 0; i < rounds; i++) {
        size_t bytes = (size_t) 1 << (i % 10);
        size_t page = qe__random(&random) % (n / 4096) * 4096;
        memcpy(damaged, whole, n);
        /* Headers of pages hurt most: every other round aims at one. */
        for (j = 0; j < bytes; j++)
            damaged[page + qe__random(&random) % (i % 2 ? 64 : 4096)] =
                (char) qe__random(&random);
        scratch_write(s->path, damaged, n);
        use_all(s, r);
        unlink(journal);
    }
    free(whole);
    free(damaged);
    qe_record_free(r);
}

static void a_file_that_shrinks_while_open_is_survived(void **state)
{
    struct scratch *s = *state;
    qe_history *h;
    uint64_t ns = 77;
    const char *id = "test 199";

    assert_int_equal(save_sample(s->path, 2000, 0.5), QE_OK);
    h = must_open(s);
    assert_int_equal(truncate(s->path, 8192), 0);
    assert_int_equal(qe_history_durations(h, &id, 1, &ns), QE_ECORRUPT);
    assert_true(ns == 77);
    qe_history_close(h);
}

static void a_database_of_another_program_is_refused(void **state)
{
    struct scratch *s = *state;

    poke(s, "CREATE TABLE run(id INTEGER PRIMARY KEY)");
    check_refused(s, QE_ECORRUPT);
    poke(s, "PRAGMA user_version=1");
    check_refused(s, QE_ECORRUPT);
    poke(s, "PRAGMA application_id=17; DROP TABLE run");
    check_refused(s, QE_ECORRUPT);
}

static void a_newer_schema_is_not_supported(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(save_sample(s->path, 20, 0.5), QE_OK);
    poke(s, "PRAGMA user_version=3");
    check_refused(s, QE_EUNSUPPORTED);
    poke(s, "PRAGMA user_version=2147483647");
    check_refused(s, QE_EUNSUPPORTED);
    poke(s, "PRAGMA user_version=-1");
    check_refused(s, QE_ECORRUPT);
    poke(s, "PRAGMA user_version=0");
    check_refused(s, QE_ECORRUPT);
    poke(s, "PRAGMA user_version=2");
    qe_history_close(must_open(s));
}

static void another_schema_is_corrupt(void **state)
{
    static const char *const changes[] = {
        "DROP INDEX attempt_passed",
        "DROP TABLE store",
        "ALTER TABLE run ADD COLUMN more",
        "ALTER TABLE outcome RENAME COLUMN message TO text",
        "DROP TABLE run; CREATE VIEW run AS SELECT 1 AS id",
        "DROP INDEX store_expires;"
        "CREATE INDEX store_expires ON store(value)",
        "DROP TABLE test; CREATE TABLE test(id INTEGER PRIMARY KEY,"
        " name NOT NULL, last_run INTEGER NOT NULL)",
    };
    struct scratch *s = *state;
    size_t i, n;
    char *whole;

    assert_int_equal(save_sample(s->path, 20, 0.5), QE_OK);
    whole = scratch_read(s->path, &n);
    for (i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        scratch_write(s->path, whole, n);
        poke(s, changes[i]);
        check_refused(s, QE_ECORRUPT);
    }
    free(whole);
}

static void triggers_and_views_of_a_foreign_file_do_not_run(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(save_sample(s->path, 20, 0.5), QE_OK);
    poke(s, "CREATE TABLE loot(x);"
            "CREATE VIEW v AS SELECT * FROM run;"
            "CREATE TRIGGER t1 AFTER INSERT ON run BEGIN"
            " INSERT INTO loot VALUES(1); END;"
            "CREATE TRIGGER t2 BEFORE INSERT ON attempt BEGIN"
            " SELECT raise(ABORT, 'no'); END;");
    assert_int_equal(save_sample(s->path, 20, 0.5), QE_OK);
    assert_int_equal(peek(s, "SELECT count(*) FROM loot"), 0);
    assert_runs_of(s, 20);
}

static void text_in_another_encoding_is_refused(void **state)
{
    struct scratch *s = *state;
    sqlite3 *db = NULL;
    sqlite3 *model = NULL;
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(save_sample(s->path, 1, 0.5), QE_OK);
    assert_int_equal(sqlite3_open(s->path, &model), SQLITE_OK);
    snprintf(s->path, sizeof(s->path), "%s/file16", s->dir);
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA encoding='UTF-16le'", NULL, NULL, NULL);
    sqlite3_prepare_v2(model,
                       "SELECT sql FROM sqlite_schema WHERE sql NOT NULL", -1,
                       &stmt, NULL);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        assert_int_equal(
            sqlite3_exec(db, (const char *) sqlite3_column_text(stmt, 0), NULL,
                         NULL, NULL),
            SQLITE_OK);
    sqlite3_finalize(stmt);
    sqlite3_exec(db, "PRAGMA user_version=2; PRAGMA application_id=1363503153",
                 NULL, NULL, NULL);
    sqlite3_close(model);
    sqlite3_close(db);
    assert_int_equal(peek(s, "PRAGMA application_id"), 1363503153);
    check_refused(s, QE_ECORRUPT);
}

static void numbers_past_all_bounds_are_refused(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(save_sample(s->path, 1, 0.5), QE_OK);
    poke(s, "INSERT INTO run(id, started, wall, workers)"
            " VALUES(9223372036854775807, 1, 1, 1)");
    check_refused(s, QE_ECORRUPT);
    poke(s, "DELETE FROM run WHERE id > 1;"
            "INSERT INTO test(id, name, last_run)"
            " VALUES(9223372036854775807, 'x', 1)");
    check_refused(s, QE_ECORRUPT);
}

static void a_cell_that_is_no_duration_is_passed_over(void **state)
{
    struct scratch *s = *state;
    qe_history *h;
    int i;

    for (i = 0; i < 4; i++)
        assert_int_equal(save_sample(s->path, 1, 0.002), QE_OK);
    poke(s, "UPDATE attempt SET duration = 'soon' WHERE run = 4;"
            "UPDATE attempt SET duration = -1 WHERE run = 3;"
            "UPDATE attempt SET duration = 9e999 WHERE run = 2");
    h = must_open(s);
    assert_true(duration_of(h, "test 0") == 2000000);
    poke(s, "UPDATE attempt SET duration = x'00' WHERE run = 1");
    assert_true(duration_of(h, "test 0") == 0);
    qe_history_close(h);
}

static void attempts_in_the_way_of_a_save_are_told(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    poke(s, "INSERT INTO attempt SELECT 2, seq, test, pass, attempt, worker,"
            " outcome, start, duration, cpu, peak, status, message"
            " FROM attempt");
    assert_int_equal(save_sample(s->path, 3, 0.5), QE_ECORRUPT);
    assert_int_equal(peek(s, "SELECT count(*) FROM run"), 1);
    assert_whole(s);
}

static void a_file_with_a_write_ahead_log_is_taken_over(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    poke(s, "PRAGMA journal_mode=WAL");
    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    assert_int_equal(scratch_count(s), 1);
    assert_runs_of(s, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(garbage_is_corrupt),
        T(a_file_cut_short_anywhere_is_corrupt),
        T(damage_in_any_page_is_survived),
        T(a_file_that_shrinks_while_open_is_survived),
        T(a_database_of_another_program_is_refused),
        T(a_newer_schema_is_not_supported),
        T(another_schema_is_corrupt),
        T(triggers_and_views_of_a_foreign_file_do_not_run),
        T(text_in_another_encoding_is_refused),
        T(numbers_past_all_bounds_are_refused),
        T(a_cell_that_is_no_duration_is_passed_over),
        T(attempts_in_the_way_of_a_save_are_told),
        T(a_file_with_a_write_ahead_log_is_taken_over),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
