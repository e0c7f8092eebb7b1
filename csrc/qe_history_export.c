/* A run of the history as bytes, for a log that machines share; see qe_history_pack.c. */
#include "qe_history.h"

#include "qe_history_pack.h"
#include "qe_util.h"

#include <stdlib.h>
#include <string.h>

struct exporting {
    sqlite3 *db;
    int64_t run;
    double started_s;
    qe__bytes out, of; /* all of it; the attempts of one test */
    sqlite3_stmt *attempt;
    int step; /* what the last step of `attempt` gave */
    char *before;
    size_t before_capacity, names;
    uint32_t tests, attempts;
};

static uint64_t count_of(sqlite3_stmt *stmt, int column, uint64_t most)
{
    int64_t value = sqlite3_column_int64(stmt, column);

    return value < 0 ? 0 : (uint64_t) value > most ? most : (uint64_t) value;
}

/* A text, or NULL, until the next step. */
static int text_of(sqlite3_stmt *stmt, int column, const char **out)
{
    int rc = qe__history_string(stmt, column, out);

    if (rc == QE_OK && sqlite3_column_type(stmt, column) == SQLITE_NULL) {
        *out = NULL;
    }
    return rc;
}

static int pack_text(qe__bytes *out, sqlite3_stmt *stmt, int column)
{
    const char *text;
    int rc = text_of(stmt, column, &text);

    if (rc == QE_OK) {
        qe__pack_text(out, text);
    }
    return rc;
}

/* A statement about the run. */
static int prepare(struct exporting *e, const char *sql, sqlite3_stmt **stmt)
{
    int rc = qe__history_prepare(e->db, sql, stmt);

    if (rc == QE_OK) {
        (void) sqlite3_bind_int64(*stmt, 1, e->run);
    }
    return rc;
}

/* The one number of a statement about the run. */
static int pack_count(struct exporting *e, const char *sql, uint64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    int rc = prepare(e, sql, &stmt);

    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        *out = step == SQLITE_ROW ? count_of(stmt, 0, UINT32_MAX) : 0;
        rc = qe__history_code(e->db, step);
    }
    sqlite3_finalize(stmt);
    if (rc == QE_OK) {
        qe__pack_number(&e->out, *out);
    }
    return rc;
}

static int pack_head(struct exporting *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = prepare(e,
                     "SELECT started, wall, workers, revision, branch FROM run"
                     " WHERE id = ?1",
                     &stmt);

    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        rc = step == SQLITE_DONE ? QE_ENOTFOUND : qe__history_code(e->db, step);
    }
    if (rc == QE_OK) {
        uint64_t started = qe__pack_ns(sqlite3_column_double(stmt, 0));

        e->started_s = (double) started / 1e9;
        qe__pack_bytes(&e->out, QE__PACK_HEAD, sizeof(QE__PACK_HEAD) - 1);
        qe__pack_number(&e->out, started);
        qe__pack_number(&e->out, qe__pack_ns(sqlite3_column_double(stmt, 1)));
        qe__pack_number(&e->out, count_of(stmt, 2, UINT32_MAX));
        rc = pack_text(&e->out, stmt, 3);
    }
    if (rc == QE_OK) {
        rc = pack_text(&e->out, stmt, 4);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int pack_passes(struct exporting *e)
{
    sqlite3_stmt *stmt = NULL;
    uint64_t n;
    int step = SQLITE_DONE;
    int rc = pack_count(e, "SELECT count(*) FROM condition WHERE run = ?1", &n);

    if (rc == QE_OK) {
        rc = prepare(e,
                     "SELECT pass, seed, name FROM condition WHERE run = ?1"
                     " ORDER BY pass",
                     &stmt);
    }
    while (rc == QE_OK && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *name;

        qe__pack_number(&e->out, count_of(stmt, 0, UINT32_MAX));
        qe__pack_number(&e->out, (uint64_t) sqlite3_column_int64(stmt, 1));
        rc = qe__history_string(stmt, 2, &name);
        if (rc == QE_OK) {
            qe__pack_text(&e->out, name);
        }
    }
    if (rc == QE_OK) {
        rc = qe__history_code(e->db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int pack_attempt(struct exporting *e, const char *message)
{
    sqlite3_stmt *stmt = e->attempt;
    uint64_t start = qe__pack_ns(sqlite3_column_double(stmt, 5));
    uint64_t began = qe__pack_ns(e->started_s);
    const char *own;
    int rc;

    for (int column = 1; column <= 3; column++) {
        qe__pack_number(&e->of, count_of(stmt, column, UINT32_MAX));
    }
    qe__pack_number(&e->of, count_of(stmt, 4, QE_OUTCOME_COUNT - 1));
    qe__pack_signed(&e->of, ((int64_t) start - (int64_t) began) / 1000);
    qe__pack_number(&e->of, qe__pack_ns(sqlite3_column_double(stmt, 6)));
    qe__pack_number(&e->of, qe__pack_ns(sqlite3_column_double(stmt, 7)) / 1000);
    qe__pack_number(&e->of, count_of(stmt, 8, INT64_MAX));
    qe__pack_signed(&e->of, sqlite3_column_int(stmt, 9));
    rc = text_of(stmt, 10, &own);
    if (rc == QE_OK) {
        qe__pack_message(&e->of, own, message);
    }
    return rc;
}

/* Both statements go by the test's number. */
static int pack_attempts(struct exporting *e, int64_t test, const char *message)
{
    uint64_t n = 0;
    int rc = QE_OK;

    e->of.size = 0;
    while (rc == QE_OK && e->step == SQLITE_ROW &&
           sqlite3_column_int64(e->attempt, 0) <= test) {
        if (sqlite3_column_int64(e->attempt, 0) == test) {
            rc = pack_attempt(e, message);
            n++;
        }
        e->step = sqlite3_step(e->attempt);
        if (rc == QE_OK) {
            rc = qe__history_code(e->db, e->step);
        }
    }
    e->attempts += (uint32_t) n;
    qe__pack_number(&e->out, n);
    qe__pack_bytes(&e->out, e->of.bytes, e->of.size);
    return rc;
}

static int pack_test(struct exporting *e, sqlite3_stmt *stmt)
{
    const char *name, *message;
    size_t size;
    int rc = qe__history_string(stmt, 1, &name);

    if (rc != QE_OK) {
        return rc;
    }
    size = strlen(name);
    e->names += size;
    if (size == 0 || size > QE__PACK_NAME || e->names > QE__PACK_NAMES) {
        return QE_ETOOBIG;
    }
    qe__pack_name(&e->out, e->before, name);
    rc = qe__grow(&e->before, &e->before_capacity, size + 1, 1);
    if (rc == QE_OK) {
        memcpy(e->before, name, size + 1);
        qe__pack_number(&e->out, count_of(stmt, 2, QE_OUTCOME_COUNT - 1));
        rc = text_of(stmt, 3, &message);
    }
    if (rc == QE_OK) {
        qe__pack_text(&e->out, message);
        rc = pack_attempts(e, sqlite3_column_int64(stmt, 0), message);
    }
    if (rc == QE_OK && (e->out.full || e->of.full)) {
        rc = QE_ENOMEM;
    }
    if (rc == QE_OK &&
        (e->out.size > QE_LOG_RUN || e->attempts > QE__PACK_ATTEMPTS)) {
        rc = QE_ETOOBIG;
    }
    return rc;
}

static int pack_tests(struct exporting *e)
{
    sqlite3_stmt *stmt = NULL;
    uint64_t n;
    int step = SQLITE_DONE;
    int rc = pack_count(e,
                        "SELECT count(*) FROM outcome o JOIN test t"
                        " ON t.id = o.test WHERE o.run = ?1",
                        &n);

    e->tests = rc == QE_OK ? (uint32_t) n : 0;
    if (rc == QE_OK && n > QE__PACK_TESTS) {
        rc = QE_ETOOBIG;
    }
    if (rc == QE_OK) {
        rc = prepare(e,
                     "SELECT test, pass, attempt, worker, outcome, start,"
                     " duration, cpu, peak, status, message FROM attempt"
                     " WHERE run = ?1 ORDER BY test, seq",
                     &e->attempt);
    }
    if (rc == QE_OK) {
        e->step = sqlite3_step(e->attempt);
        rc = qe__history_code(e->db, e->step);
    }
    if (rc == QE_OK) {
        rc = prepare(e,
                     "SELECT o.test, t.name, o.outcome, o.message"
                     " FROM outcome o JOIN test t ON t.id = o.test"
                     " WHERE o.run = ?1 ORDER BY o.test",
                     &stmt);
    }
    while (rc == QE_OK && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = pack_test(e, stmt);
    }
    if (rc == QE_OK) {
        rc = qe__history_code(e->db, step);
    }
    sqlite3_finalize(stmt);
    sqlite3_finalize(e->attempt);
    return rc;
}

QE_API int qe_history_export(qe_history *h, int64_t run, void **bytes,
                             size_t *size, uint32_t *tests)
{
    struct exporting e = {.run = run};
    int rc;

    if (h == NULL || bytes == NULL || size == NULL || tests == NULL) {
        return QE_EINVAL;
    }
    e.db = h->db;
    rc = qe__grow(&e.before, &e.before_capacity, 1, 1);
    if (rc != QE_OK) {
        return rc;
    }
    e.before[0] = '\0';
    /* One transaction: all of it is of the same moment. */
    rc = qe__history_exec(h->db, "BEGIN");
    if (rc == QE_OK) {
        rc = pack_head(&e);
        if (rc == QE_OK) {
            rc = pack_passes(&e);
        }
        if (rc == QE_OK) {
            rc = pack_tests(&e);
        }
        rc = qe__history_end(h->db, rc);
    }
    if (rc == QE_OK && (e.out.full || e.of.full)) {
        rc = QE_ENOMEM;
    }
    free(e.before);
    free(e.of.bytes);
    if (rc != QE_OK) {
        free(e.out.bytes);
        return rc;
    }
    *bytes = e.out.bytes;
    *size = e.out.size;
    *tests = e.tests;
    return QE_OK;
}
