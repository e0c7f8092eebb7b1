/* What the history knows of whole runs: which there were, and who ran what in them. */
#include "qe_history.h"

#include "qe_util.h"

#include <math.h>

/* What another program may have written is made a number of ours. */
static uint32_t u32_of(sqlite3_stmt *stmt, int column)
{
    int64_t value = sqlite3_column_int64(stmt, column);

    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t) value;
}

static double seconds_of(sqlite3_stmt *stmt, int column)
{
    double value = sqlite3_column_double(stmt, column);

    return value > 0 && isfinite(value) ? value : 0;
}

static enum qe_outcome outcome_of(sqlite3_stmt *stmt, int column)
{
    uint32_t value = u32_of(stmt, column);

    return value < QE_OUTCOME_COUNT ? (enum qe_outcome) value : QE_NONE;
}

/* ------------------------------------------------------------------------ runs */

static int count_outcomes(sqlite3 *db, sqlite3_stmt *stmt, qe_history_run *run)
{
    int step;

    (void) sqlite3_bind_int64(stmt, 1, run->id);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        run->outcomes[outcome_of(stmt, 0)] += u32_of(stmt, 1);
    }
    (void) sqlite3_reset(stmt);
    return qe__history_code(db, step);
}

#define RUN "r.id, r.started, r.wall, r.workers, r.revision, r.branch"

/* One whose cells begin at a column. */
static int read_run(sqlite3_stmt *stmt, int at, qe_history_run *run)
{
    int rc;

    *run = (qe_history_run){.id = sqlite3_column_int64(stmt, at),
                            .started_s = seconds_of(stmt, at + 1),
                            .wall_s = seconds_of(stmt, at + 2),
                            .workers = u32_of(stmt, at + 3)};
    rc = qe__history_string(stmt, at + 4, &run->revision);
    return rc == QE_OK ? qe__history_string(stmt, at + 5, &run->branch) : rc;
}

/* Tells the runs of a statement with one parameter; *told: how many. */
static int tell_runs(sqlite3 *db, const char *sql, int64_t parameter,
                     int (*visit)(void *arg, const qe_history_run *run),
                     void *arg, size_t *told)
{
    sqlite3_stmt *stmt = NULL, *outcomes = NULL;
    int step = SQLITE_DONE, stopped = 0;
    int rc = qe__history_prepare(db, sql, &stmt);

    if (rc == QE_OK) {
        rc = qe__history_prepare(db,
                                 "SELECT outcome, count(*) FROM outcome"
                                 " WHERE run = ?1 GROUP BY outcome",
                                 &outcomes);
    }
    if (rc == QE_OK) {
        (void) sqlite3_bind_int64(stmt, 1, parameter);
    }
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        qe_history_run run;

        rc = read_run(stmt, 0, &run);
        if (rc == QE_OK) {
            rc = count_outcomes(db, outcomes, &run);
        }
        if (rc == QE_OK) {
            ++*told;
            stopped = visit(arg, &run);
        }
    }
    if (rc == QE_OK && stopped == 0) {
        rc = qe__history_code(db, step);
    }
    sqlite3_finalize(outcomes);
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}

QE_API int qe_history_runs(qe_history *h, uint32_t most,
                           int (*visit)(void *arg, const qe_history_run *run),
                           void *arg)
{
    size_t told = 0;

    if (h == NULL || visit == NULL) {
        return QE_EINVAL;
    }
    return tell_runs(h->db,
                     "SELECT " RUN " FROM run r ORDER BY r.id DESC LIMIT ?1",
                     most, visit, arg, &told);
}

QE_API int qe_history_find_run(qe_history *h, int64_t run,
                               int (*visit)(void *arg,
                                            const qe_history_run *run),
                               void *arg)
{
    size_t told = 0;
    int rc;

    if (h == NULL || visit == NULL) {
        return QE_EINVAL;
    }
    rc = tell_runs(h->db, "SELECT " RUN " FROM run r WHERE r.id = ?1", run,
                   visit, arg, &told);
    return rc == QE_OK && told == 0 ? QE_ENOTFOUND : rc;
}

/* -------------------------------------------------------------------- attempts */

#define ATTEMPT                                                                \
    "a.pass, a.attempt, a.worker, a.outcome, a.start, a.duration, a.cpu,"      \
    " a.peak, a.status, a.message"

/* One whose cells begin behind the first. */
static int read_attempt(sqlite3_stmt *stmt, qe_attempt *a)
{
    const char *message;
    int rc = qe__history_string(stmt, 10, &message);

    *a = (qe_attempt){.pass = u32_of(stmt, 1),
                      .attempt = u32_of(stmt, 2),
                      .worker = u32_of(stmt, 3),
                      .outcome = outcome_of(stmt, 4),
                      .start_s = seconds_of(stmt, 5),
                      .duration_s = seconds_of(stmt, 6),
                      .cpu_s = seconds_of(stmt, 7),
                      .peak_bytes = (uint64_t) sqlite3_column_int64(stmt, 8),
                      .status = sqlite3_column_int(stmt, 9),
                      .message = message};
    if (sqlite3_column_type(stmt, 10) == SQLITE_NULL) {
        a->message = NULL;
    }
    return rc;
}

/* Whether there is such a run. */
static int find_run(sqlite3 *db, int64_t run)
{
    sqlite3_stmt *stmt;
    int step;
    int rc = qe__history_prepare(db, "SELECT 1 FROM run WHERE id = ?1", &stmt);

    if (rc == QE_OK) {
        (void) sqlite3_bind_int64(stmt, 1, run);
        step = sqlite3_step(stmt);
        rc = step == SQLITE_ROW    ? QE_OK
             : step == SQLITE_DONE ? QE_ENOTFOUND
                                   : qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* A statement about a run (?1), which must be there. */
static int select_of(sqlite3 *db, int64_t run, const char *sql,
                     sqlite3_stmt **stmt)
{
    int rc = find_run(db, run);

    if (rc == QE_OK) {
        rc = qe__history_prepare(db, sql, stmt);
    }
    if (rc == QE_OK) {
        (void) sqlite3_bind_int64(*stmt, 1, run);
    }
    return rc;
}

QE_API int qe_history_attempts(qe_history *h, int64_t run,
                               int (*visit)(void *arg, const char *id,
                                            const qe_attempt *attempt),
                               void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int rc, step = SQLITE_DONE, stopped = 0;

    if (h == NULL || visit == NULL) {
        return QE_EINVAL;
    }
    rc = select_of(h->db, run,
                   "SELECT t.name, " ATTEMPT
                   " FROM attempt a JOIN test t ON t.id = a.test"
                   " WHERE a.run = ?1 ORDER BY a.start, a.seq",
                   &stmt);
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *id;
        qe_attempt attempt;

        rc = qe__history_string(stmt, 0, &id);
        if (rc == QE_OK) {
            rc = read_attempt(stmt, &attempt);
        }
        if (rc == QE_OK && *id != '\0') {
            stopped = visit(arg, id, &attempt);
        }
    }
    if (rc == QE_OK && stopped == 0) {
        rc = qe__history_code(h->db, step);
    }
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}

/* --------------------------------------------------------------------- outcomes */

QE_API int qe_history_outcomes(qe_history *h, int64_t run,
                               int (*visit)(void *arg, const char *id,
                                            enum qe_outcome outcome,
                                            const char *message),
                               void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int rc, step = SQLITE_DONE, stopped = 0;

    if (h == NULL || visit == NULL) {
        return QE_EINVAL;
    }
    rc = select_of(h->db, run,
                   "SELECT t.name, o.outcome, o.message"
                   " FROM outcome o JOIN test t ON t.id = o.test"
                   " WHERE o.run = ?1",
                   &stmt);
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *id, *message = NULL;

        rc = qe__history_string(stmt, 0, &id);
        if (rc == QE_OK) {
            rc = qe__history_string(stmt, 2, &message);
        }
        if (rc == QE_OK && *id != '\0') {
            stopped = visit(
                arg, id, outcome_of(stmt, 1),
                sqlite3_column_type(stmt, 2) == SQLITE_NULL ? NULL : message);
        }
    }
    if (rc == QE_OK && stopped == 0) {
        rc = qe__history_code(h->db, step);
    }
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}

/* ------------------------------------------------------------------- executions */

QE_API int qe_history_executions(qe_history *h, const char *id, uint32_t most,
                                 int (*visit)(void *arg,
                                              const qe_history_run *run,
                                              const qe_attempt *attempt),
                                 void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int rc, step = SQLITE_DONE, stopped = 0;

    if (h == NULL || id == NULL || visit == NULL) {
        return QE_EINVAL;
    }
    /* The newest runs first, until there are enough: no index has all attempts of
     * a test, and most are asked for from the end. */
    rc = qe__history_prepare(
        h->db,
        "SELECT a.run, " ATTEMPT ", " RUN
        " FROM attempt a JOIN run r ON r.id = a.run"
        " WHERE a.test = (SELECT id FROM test WHERE name = ?1)"
        " ORDER BY a.run DESC, a.seq DESC LIMIT ?2",
        &stmt);
    if (rc == QE_OK) {
        rc = qe__history_bind(h->db, stmt, 1, id);
    }
    if (rc == QE_OK) {
        (void) sqlite3_bind_int64(stmt, 2, most);
    }
    while (rc == QE_OK && stopped == 0 &&
           (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        qe_history_run run;
        qe_attempt attempt;

        rc = read_attempt(stmt, &attempt);
        if (rc == QE_OK) {
            rc = read_run(stmt, 11, &run);
        }
        if (rc == QE_OK) {
            stopped = visit(arg, &run, &attempt);
        }
    }
    if (rc == QE_OK && stopped == 0) {
        rc = qe__history_code(h->db, step);
    }
    sqlite3_finalize(stmt);
    return stopped != 0 ? stopped : rc;
}
