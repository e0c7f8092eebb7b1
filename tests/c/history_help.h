/* What the tests of the history share: records to save, and a look into the
 * file past the history's own functions. */
#ifndef QE_TEST_HISTORY_HELP_H
#define QE_TEST_HISTORY_HELP_H

#include "scratch.h"

#include "qe.h"

#include <sqlite3.h>

static inline qe_history *must_open(const struct scratch *s)
{
    qe_history *h = NULL;

    assert_int_equal(qe_history_open(&h, s->path), QE_OK);
    assert_non_null(h);
    return h;
}

/* A record of n tests "test <i>" with one attempt each, which took
 * `duration_s` and, but for every tenth, passed. No cmocka here: children use
 * it too. */
static inline qe_record *sample_record(size_t n, double duration_s)
{
    qe_record *r = NULL;
    char name[32];
    size_t i;
    int rc = qe_record_new(&r);

    for (i = 0; i < n && rc == QE_OK; i++) {
        bool failed = i % 10 == 9;
        qe_attempt a = {.item = (uint32_t) i,
                        .attempt = 1,
                        .outcome = failed ? QE_FAILED : QE_PASSED,
                        .start_s = 1.7e9,
                        .duration_s = duration_s,
                        .message = failed ? "assert 1 == 2" : NULL};
        snprintf(name, sizeof(name), "test %zu", i);
        rc = qe_record_add_test(r, name);
        if (rc == QE_OK)
            rc = qe_record_add_attempt(r, &a);
        if (rc == QE_OK)
            rc = qe_record_set_outcome(r, (uint32_t) i, a.outcome, a.message);
    }
    if (rc == QE_OK)
        rc = qe_record_set_code(r, "abc", "main");
    if (rc == QE_OK)
        rc = qe_record_add_pass(r, 0, "default", 1);
    if (rc == QE_OK)
        return r;
    qe_record_free(r);
    return NULL;
}

/* Opens, saves one sample, closes; the first code that is not 0. */
static inline int save_sample(const char *path, size_t n, double duration_s)
{
    qe_record *r = sample_record(n, duration_s);
    qe_history *h = NULL;
    int rc = r == NULL ? QE_ENOMEM : qe_history_open(&h, path);

    if (rc == QE_OK)
        rc = qe_history_save(h, r, 1.7e9, 1, 4, NULL);
    qe_history_close(h);
    qe_record_free(r);
    return rc;
}

static inline uint64_t duration_of(qe_history *h, const char *id)
{
    uint64_t ns = 77;

    assert_int_equal(qe_history_durations(h, &id, 1, &ns), QE_OK);
    return ns;
}

/* What `sql` gives as its one integer; -1 where it fails. */
static inline int64_t peek(const struct scratch *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    int64_t value = -1;

    if (sqlite3_open(s->path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

/* Changes the file as another program might. */
static inline void poke(const struct scratch *s, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Whether SQLite itself finds nothing wrong with the file. */
static inline void assert_whole(const struct scratch *s)
{
    assert_int_equal(peek(s, "SELECT count(*) FROM pragma_integrity_check"
                             " WHERE integrity_check = 'ok'"),
                     1);
}

/* Whether every run in the file has all its n tests and attempts. */
static inline void assert_runs_of(const struct scratch *s, int64_t n)
{
    char sql[256];

    assert_whole(s);
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM run WHERE"
             " (SELECT count(*) FROM attempt WHERE run = run.id) != %lld OR"
             " (SELECT count(*) FROM outcome WHERE run = run.id) != %lld",
             (long long) n, (long long) n);
    assert_int_equal(peek(s, sql), 0);
    assert_int_equal(peek(s, "SELECT (SELECT count(DISTINCT run) FROM attempt)"
                             " - (SELECT count(*) FROM run)"),
                     0);
}

#endif
