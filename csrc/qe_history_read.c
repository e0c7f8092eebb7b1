/* What the history knows of single tests: how long each has been clean, and
 * how often it failed, over time. */
#include "qe_history.h"

#include "qe_util.h"

#include <stdlib.h>
#include <string.h>

/* A cell as a string. What is neither text nor a blob, or holds a NUL, was not
 * written by us: it is "". Valid until the next step. */
static int string_of(sqlite3_stmt *stmt, int column, const char **out)
{
    int type = sqlite3_column_type(stmt, column);
    const void *bytes;
    size_t n;

    *out = "";
    if (type != SQLITE_TEXT && type != SQLITE_BLOB)
        return QE_OK;
    /* As text, a blob too: that is what puts the NUL behind it. */
    bytes = sqlite3_column_text(stmt, column);
    n = (size_t) sqlite3_column_bytes(stmt, column);
    if (bytes == NULL)
        return n > 0 || sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM
                   ? QE_ENOMEM
                   : QE_OK;
    if (memchr(bytes, '\0', n) == NULL)
        *out = bytes;
    return QE_OK;
}

static uint64_t count_of(sqlite3_stmt *stmt, int column)
{
    int64_t count = sqlite3_column_int64(stmt, column);

    return count > 0 ? (uint64_t) count : 0;
}

/* ------------------------------------------------------------------ clean */

static int clean_of(sqlite3 *db, sqlite3_stmt *stmt, const char *id,
                    uint64_t *out)
{
    int step;
    int rc = qe__history_bind(db, stmt, 1, id);

    *out = 0;
    if (rc != QE_OK)
        return rc;
    step = sqlite3_step(stmt);
    if (step == SQLITE_ROW)
        *out = count_of(stmt, 0);
    rc = qe__history_code(db, step);
    sqlite3_reset(stmt);
    return rc;
}

QE_API int qe_history_clean(qe_history *h, const char *const *ids, size_t n,
                            uint64_t *out)
{
    sqlite3_stmt *stmt;
    size_t i;
    int rc;

    if (h == NULL || (n > 0 && (ids == NULL || out == NULL)))
        return QE_EINVAL;
    for (i = 0; i < n; i++)
        if (ids[i] == NULL)
            return QE_EINVAL;
    rc = qe__history_exec(h->db, "BEGIN");
    if (rc != QE_OK)
        return rc;
    rc = qe__history_prepare(h->db, "SELECT clean FROM test WHERE name = ?1",
                             &stmt);
    for (i = 0; i < n && rc == QE_OK; i++)
        rc = clean_of(h->db, stmt, ids[i], &out[i]);
    sqlite3_finalize(stmt);
    return qe__history_end(h->db, rc);
}

/* ------------------------------------------------------------------ names */

QE_API int qe_history_names(qe_history *h, const char *prefix,
                            int (*visit)(void *arg, const char *id), void *arg)
{
    sqlite3_stmt *stmt;
    int step = SQLITE_DONE;
    int stopped = 0;
    int rc;

    if (h == NULL || prefix == NULL || visit == NULL)
        return QE_EINVAL;
    /* substr counts bytes of a blob, and letters of a text: both sides are
     * the one or both are the other, or they differ. */
    rc = qe__history_prepare(h->db,
                             "SELECT name FROM test WHERE"
                             " substr(name, 1, length(?1)) = ?1"
                             " ORDER BY name",
                             &stmt);
    if (rc == QE_OK)
        rc = qe__history_bind(h->db, stmt, 1, prefix);
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *id;
        rc = string_of(stmt, 0, &id);
        if (rc == QE_OK && *id != '\0')
            stopped = visit(arg, id);
    }
    if (rc == QE_OK && stopped == 0)
        rc = qe__history_code(h->db, step);
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}

/* ------------------------------------------------------------------ rates */

/* Retries are told apart from first attempts: each follows a failure, in
 * another process, and says little of how often the test fails. */
#define RATES(label)                                                           \
    "SELECT " label ", sum(attempt.attempt <= 1 AND attempt.outcome != 1),"    \
    " sum(attempt.attempt <= 1 AND attempt.outcome = 1),"                      \
    " sum(attempt.attempt > 1 AND attempt.outcome = 1),"                       \
    " min(run.started), max(run.started)"                                      \
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

QE_API int qe_history_rates(qe_history *h, const char *id,
                            enum qe_history_by by,
                            int (*visit)(void *arg, const qe_history_row *row),
                            void *arg)
{
    sqlite3_stmt *stmt;
    int step = SQLITE_DONE;
    int stopped = 0;
    int rc;

    if (h == NULL || id == NULL || visit == NULL ||
        (unsigned) by >= QE__COUNT(rates))
        return QE_EINVAL;
    rc = qe__history_prepare(h->db, rates[by], &stmt);
    if (rc == QE_OK)
        rc = qe__history_bind(h->db, stmt, 1, id);
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        qe_history_row row = {
            .failures = count_of(stmt, 1),
            .passes = count_of(stmt, 2),
            .recovered = count_of(stmt, 3),
            .first_s = sqlite3_column_double(stmt, 4),
            .last_s = sqlite3_column_double(stmt, 5),
        };
        rc = string_of(stmt, 0, &row.label);
        if (rc == QE_OK)
            stopped = visit(arg, &row);
    }
    if (rc == QE_OK && stopped == 0)
        rc = qe__history_code(h->db, step);
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}
