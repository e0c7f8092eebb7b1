/*
 * A history that follows a log of runs; see qe_replica.h.
 *
 * Its two tables are beside those of every history, whose schema and version stay as they are: `shared`
 * has the names of runs by which they are known in the log, `followed` says where in the log it is.
 */
#include "qe_history.h"

#include "qe_history_pack.h"
#include "qe_util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS shared("
    " name TEXT PRIMARY KEY,"
    " run INTEGER NOT NULL,"
    " sent INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS followed("
    " id INTEGER PRIMARY KEY,"
    " born TEXT NOT NULL," /* the log's name */
    " entry TEXT NOT NULL);"
    "INSERT OR IGNORE INTO followed VALUES(1, '', '');";

/* ------------------------------------------------------------------- names */

static bool is_hex(const char *text)
{
    return strlen(text) == QE_LOG_NAME - 1 &&
           strspn(text, "0123456789abcdef") == QE_LOG_NAME - 1;
}

static bool is_entry(const char *text)
{
    size_t first = strspn(text, "0123456789");
    size_t second;

    if (first == 0 || first > 20 || text[first] != '-') {
        return false;
    }
    second = strspn(text + first + 1, "0123456789");
    return second >= 1 && second <= 20 && text[first + 1 + second] == '\0';
}

static int make_name(char out[QE_LOG_NAME])
{
    unsigned char bytes[(QE_LOG_NAME - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes)) {
        return QE_ESYS;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[QE_LOG_NAME - 1] = '\0';
    return QE_OK;
}

/* ------------------------------------------------------------------ tables */

int qe__history_is_replica(sqlite3 *db, bool *is)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        db,
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
        " AND name IN ('shared', 'followed')",
        &stmt);

    *is = false;
    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        *is = step == SQLITE_ROW && sqlite3_column_int(stmt, 0) == 2;
        rc = qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int must_be_replica(sqlite3 *db)
{
    bool is;
    int rc = qe__history_is_replica(db, &is);

    return rc == QE_OK && !is ? QE_ESTATE : rc;
}

QE_API int qe_history_follow(qe_history *h)
{
    bool is;
    int rc;

    if (h == NULL) {
        return QE_EINVAL;
    }
    rc = qe__history_is_replica(h->db, &is);
    if (rc != QE_OK || is) {
        return rc;
    }
    rc = qe__history_begin(h->db);
    if (rc != QE_OK) {
        return rc;
    }
    return qe__history_end(h->db, qe__history_exec(h->db, tables));
}

static int note(sqlite3 *db, const char *name, int64_t run, bool sent)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        db, "INSERT INTO shared(name, run, sent) VALUES(?1, ?2, ?3)", &stmt);

    if (rc == QE_OK) {
        rc = qe__history_bind(db, stmt, 1, name);
    }
    if (rc == QE_OK) {
        (void) sqlite3_bind_int64(stmt, 2, run);
        (void) sqlite3_bind_int(stmt, 3, sent);
        rc = qe__history_run(db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int qe__history_name_run(sqlite3 *db, int64_t run)
{
    char name[QE_LOG_NAME];
    bool is;
    int rc = qe__history_is_replica(db, &is);

    if (rc != QE_OK || !is) {
        return rc;
    }
    rc = make_name(name);
    return rc == QE_OK ? note(db, name, run, false) : rc;
}

/* ---------------------------------------------------------- where it is */

static int copy(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
    const char *text;
    int rc = qe__history_string(stmt, column, &text);

    out[0] = '\0';
    if (rc == QE_OK && strlen(text) < size) {
        memcpy(out, text, strlen(text) + 1);
    }
    return rc;
}

QE_API int qe_history_followed(qe_history *h, char born[QE_LOG_BORN],
                               char entry[QE_LOG_ENTRY])
{
    sqlite3_stmt *stmt = NULL;
    int rc;

    if (h == NULL || born == NULL || entry == NULL) {
        return QE_EINVAL;
    }
    born[0] = entry[0] = '\0';
    rc = must_be_replica(h->db);
    if (rc == QE_OK) {
        rc = qe__history_prepare(
            h->db, "SELECT born, entry FROM followed WHERE id = 1", &stmt);
    }
    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);

        rc = qe__history_code(h->db, step);
        if (step == SQLITE_ROW) {
            rc = copy(stmt, 0, born, QE_LOG_BORN);
        }
        if (step == SQLITE_ROW && rc == QE_OK) {
            rc = copy(stmt, 1, entry, QE_LOG_ENTRY);
        }
        /* What another program has written there is no place in a log. */
        if (!is_hex(born) || !is_entry(entry)) {
            born[0] = entry[0] = '\0';
        }
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int set_followed(sqlite3 *db, const char *born, const char *entry)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        db, "INSERT OR REPLACE INTO followed VALUES(1, ?1, ?2)", &stmt);

    if (rc == QE_OK) {
        rc = qe__history_bind(db, stmt, 1, born);
    }
    if (rc == QE_OK) {
        rc = qe__history_bind(db, stmt, 2, entry);
    }
    if (rc == QE_OK) {
        rc = qe__history_run(db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* ------------------------------------------------------------------ unsent */

/* The oldest unsent run behind this one. QE_ENOTFOUND: there is none. */
static int next_unsent(sqlite3 *db, int64_t *run, char name[QE_LOG_NAME])
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        db,
        "SELECT run, name FROM shared WHERE sent = 0 AND run > ?1"
        " ORDER BY run LIMIT 1",
        &stmt);

    name[0] = '\0';
    if (rc == QE_OK) {
        int step;

        (void) sqlite3_bind_int64(stmt, 1, *run);
        step = sqlite3_step(stmt);
        rc = step == SQLITE_DONE ? QE_ENOTFOUND : qe__history_code(db, step);
        if (rc == QE_OK) {
            *run = sqlite3_column_int64(stmt, 0);
            rc = copy(stmt, 1, name, QE_LOG_NAME);
        }
    }
    sqlite3_finalize(stmt);
    return rc;
}

QE_API int qe_history_unsent(qe_history *h,
                             int (*visit)(void *arg, const char *name,
                                          int64_t run),
                             void *arg)
{
    char name[QE_LOG_NAME];
    int64_t run = 0;
    int rc, stopped;

    if (h == NULL || visit == NULL) {
        return QE_EINVAL;
    }
    rc = must_be_replica(h->db);
    while (rc == QE_OK) {
        rc = next_unsent(h->db, &run, name);
        stopped = rc == QE_OK && is_hex(name) ? visit(arg, name, run) : 0;
        if (stopped != 0) {
            return stopped;
        }
    }
    return rc == QE_ENOTFOUND ? QE_OK : rc;
}

QE_API int qe_history_sent(qe_history *h, const char *name)
{
    sqlite3_stmt *stmt;
    int rc;

    if (h == NULL || name == NULL) {
        return QE_EINVAL;
    }
    rc = must_be_replica(h->db);
    if (rc != QE_OK) {
        return rc;
    }
    rc = qe__history_prepare(
        h->db, "UPDATE shared SET sent = 1 WHERE name = ?1", &stmt);
    if (rc == QE_OK) {
        rc = qe__history_bind(h->db, stmt, 1, name);
    }
    if (rc == QE_OK) {
        rc = qe__history_run(h->db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* -------------------------------------------------------------------- take */

static int is_known(sqlite3 *db, const char *name, bool *known)
{
    sqlite3_stmt *stmt;
    int rc =
        qe__history_prepare(db, "SELECT 1 FROM shared WHERE name = ?1", &stmt);

    if (rc == QE_OK) {
        rc = qe__history_bind(db, stmt, 1, name);
    }
    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        *known = step == SQLITE_ROW;
        rc = qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int take_one(sqlite3 *db, const qe_log_entry *entry, uint32_t *taken,
                    uint32_t *odd)
{
    qe__packed_run run;
    qe_record *record = NULL;
    bool known = false;
    int64_t id;
    int rc = QE_EFORMAT;

    if (entry->name != NULL && is_hex(entry->name) && entry->bytes != NULL) {
        rc = is_known(db, entry->name, &known);
    }
    if (rc == QE_OK && known) {
        return QE_OK;
    }
    if (rc == QE_OK) {
        rc = qe__unpack(entry->bytes, entry->size, &run, &record);
    }
    if (rc == QE_EFORMAT) {
        ++*odd;
        return QE_OK;
    }
    if (rc == QE_OK) {
        rc = qe__history_save_run(db, record, run.started_s, run.wall_s,
                                  run.workers, &id);
    }
    if (rc == QE_OK) {
        rc = note(db, entry->name, id, true);
    }
    qe_record_free(record);
    *taken += rc == QE_OK;
    return rc;
}

QE_API int qe_history_take(qe_history *h, const char *born,
                           const qe_log_entry *entries, size_t n,
                           uint32_t *taken, uint32_t *odd)
{
    int rc;

    if (h == NULL || born == NULL || taken == NULL || odd == NULL ||
        (n > 0 && entries == NULL) || !is_hex(born)) {
        return QE_EINVAL;
    }
    *taken = *odd = 0;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].entry == NULL || !is_entry(entries[i].entry)) {
            return QE_EINVAL;
        }
    }
    rc = must_be_replica(h->db);
    if (rc != QE_OK || n == 0) {
        return rc;
    }
    rc = qe__history_begin(h->db);
    if (rc != QE_OK) {
        return rc;
    }
    for (size_t i = 0; i < n && rc == QE_OK; i++) {
        rc = take_one(h->db, &entries[i], taken, odd);
    }
    if (rc == QE_OK) {
        rc = set_followed(h->db, born, entries[n - 1].entry);
    }
    return qe__history_end(h->db, rc);
}
