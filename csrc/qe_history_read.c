/* What the history knows of single tests: how long each has been clean, and
 * how often it failed, over time. */
#include "qe_history.h"

#include "qe_util.h"

#include <stdlib.h>
#include <string.h>

static uint64_t count_of(sqlite3_stmt *stmt, int column)
{
    int64_t count = sqlite3_column_int64(stmt, column);

    return count > 0 ? (uint64_t) count : 0;
}

/* ---------------------------------------------------------------- numbers */

static int number_of(sqlite3 *db, sqlite3_stmt *stmt,
                     int (*read)(sqlite3_stmt *stmt, uint64_t *out),
                     const char *id, uint64_t *out)
{
    int rc = qe__history_bind(db, stmt, 1, id);

    if (rc != QE_OK)
        return rc;
    rc = qe__history_code(db, read(stmt, out));
    sqlite3_reset(stmt);
    return rc;
}

int qe__history_numbers(qe_history *h, const char *sql,
                        int (*read)(sqlite3_stmt *stmt, uint64_t *out),
                        const char *const *ids, size_t n, uint64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    uint64_t *found;
    size_t i;
    int rc;

    if (h == NULL || (n > 0 && (ids == NULL || out == NULL)))
        return QE_EINVAL;
    for (i = 0; i < n; i++)
        if (ids[i] == NULL)
            return QE_EINVAL;
    if (n == 0)
        return QE_OK;
    found = malloc(qe__mul(n, sizeof(*found)));
    if (found == NULL)
        return QE_ENOMEM;
    rc = qe__history_exec(h->db, "BEGIN");
    if (rc == QE_OK) {
        rc = qe__history_prepare(h->db, sql, &stmt);
        for (i = 0; i < n && rc == QE_OK; i++)
            rc = number_of(h->db, stmt, read, ids[i], &found[i]);
        sqlite3_finalize(stmt);
        rc = qe__history_end(h->db, rc);
    }
    if (rc == QE_OK)
        memcpy(out, found, n * sizeof(*found));
    free(found);
    return rc;
}

static int clean_of(sqlite3_stmt *stmt, uint64_t *out)
{
    int step = sqlite3_step(stmt);

    *out = step == SQLITE_ROW ? count_of(stmt, 0) : 0;
    return step;
}

QE_API int qe_history_clean(qe_history *h, const char *const *ids, size_t n,
                            uint64_t *out)
{
    return qe__history_numbers(h, "SELECT clean FROM test WHERE name = ?1",
                               clean_of, ids, n, out);
}

/* ------------------------------------------------------------------- rows */

/* What the host has asked to be told. */
struct telling {
    int (*name)(void *arg, const char *id);
    int (*row)(void *arg, const qe_history_row *row);
    int (*count)(void *arg, const char *id, uint64_t failures, uint64_t passes);
    void *arg;
    int stopped; /* what it returned, if that ends it */
};

/* Tells each row of a statement that has one string as its parameter. */
static int tell_rows(sqlite3 *db, const char *sql, const char *parameter,
                     int (*tell)(sqlite3_stmt *stmt, struct telling *to),
                     struct telling *to)
{
    sqlite3_stmt *stmt;
    int step = SQLITE_DONE;
    int rc = qe__history_prepare(db, sql, &stmt);

    if (rc == QE_OK)
        rc = qe__history_bind(db, stmt, 1, parameter);
    while (rc == QE_OK && to->stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = tell(stmt, to);
    if (rc == QE_OK && to->stopped == 0)
        rc = qe__history_code(db, step);
    sqlite3_finalize(stmt);
    return to->stopped != 0 ? to->stopped : rc;
}

/* ----------------------------------------------------------------- counts */

static int tell_count(sqlite3_stmt *stmt, struct telling *to)
{
    const char *id;
    int rc = qe__history_string(stmt, 0, &id);

    if (rc == QE_OK && *id != '\0')
        to->stopped =
            to->count(to->arg, id, count_of(stmt, 1), count_of(stmt, 2));
    return rc;
}

QE_API int qe_history_counts(qe_history *h,
                             int (*visit)(void *arg, const char *id,
                                          uint64_t failures, uint64_t passes),
                             void *arg)
{
    struct telling to = {.count = visit, .arg = arg};

    if (h == NULL || visit == NULL)
        return QE_EINVAL;
    return tell_rows(h->db,
                     "SELECT test.name, counts.failures, counts.passes FROM"
                     " (SELECT test, sum(outcome != 1) AS failures,"
                     " sum(outcome = 1) AS passes FROM attempt"
                     " WHERE attempt <= 1 AND outcome IN (1, 2, 4, 5, 6)"
                     " GROUP BY test) AS counts"
                     " JOIN test ON test.id = counts.test"
                     " WHERE ?1 = ''",
                     "", tell_count, &to);
}

/* ------------------------------------------------------------------ names */

static int tell_name(sqlite3_stmt *stmt, struct telling *to)
{
    const char *id;
    int rc = qe__history_string(stmt, 0, &id);

    if (rc == QE_OK && *id != '\0')
        to->stopped = to->name(to->arg, id);
    return rc;
}

QE_API int qe_history_names(qe_history *h, const char *prefix,
                            int (*visit)(void *arg, const char *id), void *arg)
{
    struct telling to = {.name = visit, .arg = arg};

    if (h == NULL || prefix == NULL || visit == NULL)
        return QE_EINVAL;
    /* substr counts bytes of a blob, and letters of a text: both sides are
     * the one or both are the other, or they differ. */
    return tell_rows(h->db,
                     "SELECT name FROM test WHERE"
                     " substr(name, 1, length(?1)) = ?1"
                     " ORDER BY name",
                     prefix, tell_name, &to);
}

/* ------------------------------------------------------------------ rates */

/* Retries are told apart from first attempts: each follows a failure, in
 * another process, and says little of how often the test fails. */
#define RATES(label)                                                           \
    "SELECT " label ", sum(attempt.attempt <= 1 AND attempt.outcome != 1),"    \
    " sum(attempt.attempt <= 1 AND attempt.outcome = 1),"                      \
    " sum(attempt.attempt > 1 AND attempt.outcome = 1),"                       \
    " min(run.started), max(run.started),"                                     \
    " avg(CASE attempt.outcome WHEN 1 THEN attempt.duration END),"             \
    " max(CASE attempt.outcome WHEN 1 THEN attempt.duration END)"              \
    " FROM attempt JOIN run ON run.id = attempt.run"                           \
    " LEFT JOIN condition ON condition.run = attempt.run"                      \
    " AND condition.pass = attempt.pass"                                       \
    " WHERE attempt.test = (SELECT id FROM test WHERE name = ?1)"              \
    " AND attempt.outcome IN (1, 2, 4, 5, 6)"                                  \
    " GROUP BY 1 ORDER BY min(attempt.run), min(attempt.seq)"

static const char *const rates[] = {
    [QE_BY_DAY] = RATES("date(run.started, 'unixepoch', 'localtime')"),
    [QE_BY_REVISION] = RATES("run.revision"),
    [QE_BY_BRANCH] = RATES("run.branch"),
    [QE_BY_CONDITION] = RATES("condition.name"),
};

static int tell_rate(sqlite3_stmt *stmt, struct telling *to)
{
    qe_history_row row = {
        .failures = count_of(stmt, 1),
        .passes = count_of(stmt, 2),
        .recovered = count_of(stmt, 3),
        .first_s = sqlite3_column_double(stmt, 4),
        .last_s = sqlite3_column_double(stmt, 5),
        .mean_s = sqlite3_column_double(stmt, 6),
        .longest_s = sqlite3_column_double(stmt, 7),
    };
    int rc = qe__history_string(stmt, 0, &row.label);

    if (rc == QE_OK)
        to->stopped = to->row(to->arg, &row);
    return rc;
}

QE_API int qe_history_rates(qe_history *h, const char *id,
                            enum qe_history_by by,
                            int (*visit)(void *arg, const qe_history_row *row),
                            void *arg)
{
    struct telling to = {.row = visit, .arg = arg};

    if (h == NULL || id == NULL || visit == NULL ||
        (unsigned) by >= QE__COUNT(rates))
        return QE_EINVAL;
    return tell_rows(h->db, rates[by], id, tell_rate, &to);
}
