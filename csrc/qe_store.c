/* The history's keyed store, and what clears the history up. */
#include "qe_history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes. SQLite refuses what is longer than 50,000, as an error that would look like
 * a damaged file. */
#define PATTERN_MAX 4096

/* What one put or delete clears up beside its own work, so that what it takes is
 * bounded, however much has expired: entries, and pages given back to the disk. */
#define CLEAR_ENTRIES "64"
#define CLEAR_PAGES "256"

static int drop_expired(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(db, sql, &stmt);

    if (rc == QE_OK) {
        sqlite3_bind_double(stmt, 1, qe_wall_s());
        rc = qe__history_run(db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int drop_some_expired(sqlite3 *db)
{
    return drop_expired(db, "DELETE FROM store WHERE key IN"
                            " (SELECT key FROM store WHERE expires <= ?1"
                            " LIMIT " CLEAR_ENTRIES ")");
}

static int shrink_some(sqlite3 *db)
{
    return qe__history_exec(db, "PRAGMA incremental_vacuum(" CLEAR_PAGES ")");
}

static int insert(sqlite3 *db, const char *key, const char *value, double ttl_s)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        db,
        "INSERT OR REPLACE INTO store(key, value, expires) VALUES(?1, ?2, ?3)",
        &stmt);

    if (rc == QE_OK)
        rc = qe__history_bind(db, stmt, 1, key);
    if (rc == QE_OK)
        rc = qe__history_bind(db, stmt, 2, value);
    if (rc == QE_OK) {
        if (ttl_s > 0 && isfinite(ttl_s))
            sqlite3_bind_double(stmt, 3, qe_wall_s() + ttl_s);
        rc = qe__history_run(db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

QE_API int qe_history_put(qe_history *h, const char *key, const char *value,
                          double ttl_s)
{
    int rc;

    if (h == NULL || key == NULL || value == NULL || isnan(ttl_s))
        return QE_EINVAL;
    rc = qe__history_begin(h->db);
    if (rc != QE_OK)
        return rc;
    /* First, so that the new value takes the room of the old ones. */
    rc = drop_some_expired(h->db);
    if (rc == QE_OK)
        rc = insert(h->db, key, value, ttl_s);
    if (rc == QE_OK)
        rc = shrink_some(h->db);
    return qe__history_end(h->db, rc);
}

/* A copy of a string of ours: text, or a blob, without a NUL in it. */
static int copy_string(sqlite3_stmt *stmt, int column, char **out)
{
    int type = sqlite3_column_type(stmt, column);
    const void *bytes;
    size_t n;

    if (type != SQLITE_TEXT && type != SQLITE_BLOB)
        return QE_ECORRUPT;
    bytes = sqlite3_column_blob(stmt, column);
    n = (size_t) sqlite3_column_bytes(stmt, column);
    if (bytes == NULL && n > 0)
        return QE_ENOMEM;
    if (n > 0 && memchr(bytes, '\0', n) != NULL)
        return QE_ECORRUPT;
    *out = malloc(n + 1);
    if (*out == NULL)
        return QE_ENOMEM;
    if (n > 0)
        memcpy(*out, bytes, n);
    (*out)[n] = '\0';
    return QE_OK;
}

/* QE_OK where the entry of a row is alive. */
static int check_expiry(sqlite3_stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_NULL:
        return QE_OK;
    case SQLITE_INTEGER:
    case SQLITE_FLOAT:
        return sqlite3_column_double(stmt, column) > qe_wall_s() ? QE_OK
                                                                 : QE_ENOTFOUND;
    default:
        return QE_ECORRUPT;
    }
}

QE_API int qe_history_get(qe_history *h, const char *key, char **value_out)
{
    sqlite3_stmt *stmt;
    int rc;

    if (h == NULL || key == NULL || value_out == NULL)
        return QE_EINVAL;
    rc = qe__history_prepare(
        h->db, "SELECT value, expires FROM store WHERE key = ?1", &stmt);
    if (rc == QE_OK)
        rc = qe__history_bind(h->db, stmt, 1, key);
    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        rc = step == SQLITE_DONE ? QE_ENOTFOUND : qe__history_code(h->db, step);
        if (rc == QE_OK)
            rc = check_expiry(stmt, 1);
        if (rc == QE_OK)
            rc = copy_string(stmt, 0, value_out);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* *alive: whether the entry was there, and had not expired. */
static int delete_entry(sqlite3 *db, const char *key, bool *alive)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(db, "SELECT expires FROM store WHERE key = ?1",
                                 &stmt);

    *alive = false;
    if (rc == QE_OK)
        rc = qe__history_bind(db, stmt, 1, key);
    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        /* What is no time is no reason to keep it. */
        *alive = step == SQLITE_ROW && check_expiry(stmt, 0) != QE_ENOTFOUND;
        rc = qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    if (rc != QE_OK)
        return rc;
    rc = qe__history_prepare(db, "DELETE FROM store WHERE key = ?1", &stmt);
    if (rc == QE_OK)
        rc = qe__history_bind(db, stmt, 1, key);
    if (rc == QE_OK)
        rc = qe__history_run(db, stmt);
    sqlite3_finalize(stmt);
    return rc;
}

QE_API int qe_history_delete(qe_history *h, const char *key)
{
    bool alive = false;
    int rc;

    if (h == NULL || key == NULL)
        return QE_EINVAL;
    rc = qe__history_begin(h->db);
    if (rc != QE_OK)
        return rc;
    rc = delete_entry(h->db, key, &alive);
    if (rc == QE_OK)
        rc = shrink_some(h->db);
    rc = qe__history_end(h->db, rc);
    return rc == QE_OK && !alive ? QE_ENOTFOUND : rc;
}

/* ------------------------------------------------------------------- keys */

/* What has expired, or is no key of ours, is not told. */
static int tell_key(sqlite3_stmt *stmt,
                    int (*visit)(void *arg, const char *key, double expires_s),
                    void *arg, int *stopped)
{
    double expires_s = sqlite3_column_type(stmt, 1) == SQLITE_NULL
                           ? 0
                           : sqlite3_column_double(stmt, 1);
    char *key = NULL;
    int rc = check_expiry(stmt, 1);

    if (rc == QE_OK)
        rc = copy_string(stmt, 0, &key);
    if (rc == QE_OK)
        *stopped = visit(arg, key, expires_s);
    free(key);
    /* What another program wrote is not ours to tell, nor to fail for. */
    return rc == QE_ENOTFOUND || rc == QE_ECORRUPT ? QE_OK : rc;
}

QE_API int qe_history_keys(qe_history *h, const char *pattern,
                           int (*visit)(void *arg, const char *key,
                                        double expires_s),
                           void *arg)
{
    sqlite3_stmt *stmt;
    int step = SQLITE_DONE, stopped = 0;
    int rc;

    if (h == NULL || pattern == NULL || visit == NULL)
        return QE_EINVAL;
    if (strlen(pattern) > PATTERN_MAX)
        return QE_ETOOBIG;
    rc = qe__history_prepare(
        h->db, "SELECT key, expires FROM store WHERE key GLOB ?1 ORDER BY key",
        &stmt);
    if (rc == QE_OK)
        rc = qe__history_bind(h->db, stmt, 1, pattern);
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = tell_key(stmt, visit, arg, &stopped);
    if (rc == QE_OK && stopped == 0)
        rc = qe__history_code(h->db, step);
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}

/* --------------------------------------------------------------- clearing */

static int delete_up_to(sqlite3 *db, const char *sql, int64_t run)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(db, sql, &stmt);

    if (rc == QE_OK) {
        sqlite3_bind_int64(stmt, 1, run);
        rc = qe__history_run(db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* The newest run that goes; 0 where all stay. */
static int newest_to_drop(sqlite3 *db, uint32_t keep_runs, int64_t *run)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        db, "SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?1", &stmt);

    *run = 0;
    if (rc == QE_OK) {
        int step;
        sqlite3_bind_int64(stmt, 1, keep_runs);
        step = sqlite3_step(stmt);
        if (step == SQLITE_ROW)
            *run = sqlite3_column_int64(stmt, 0);
        rc = qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int drop_runs(sqlite3 *db, uint32_t keep_runs)
{
    static const char *const deletions[] = {
        "DELETE FROM attempt WHERE run <= ?1",
        "DELETE FROM condition WHERE run <= ?1",
        "DELETE FROM outcome WHERE run <= ?1",
        "DELETE FROM test WHERE last_run <= ?1",
        "DELETE FROM run WHERE id <= ?1",
        "DELETE FROM shared WHERE run <= ?1", /* of replicas alone */
    };
    size_t i, n = sizeof(deletions) / sizeof(*deletions);
    bool is_replica;
    int64_t run;
    int rc = newest_to_drop(db, keep_runs, &run);

    if (rc != QE_OK || run == 0)
        return rc;
    rc = qe__history_is_replica(db, &is_replica);
    for (i = 0; i < n - !is_replica && rc == QE_OK; i++)
        rc = delete_up_to(db, deletions[i], run);
    return rc;
}

QE_API int qe_history_gc(qe_history *h, uint32_t keep_runs)
{
    int rc;

    if (h == NULL)
        return QE_EINVAL;
    rc = qe__history_begin(h->db);
    if (rc != QE_OK)
        return rc;
    rc = drop_expired(h->db, "DELETE FROM store WHERE expires <= ?1");
    if (rc == QE_OK)
        rc = drop_runs(h->db, keep_runs);
    /* Gives the room back to the disk, since CI caches carry the file. */
    if (rc == QE_OK)
        rc = qe__history_exec(h->db, "PRAGMA incremental_vacuum");
    return qe__history_end(h->db, rc);
}
