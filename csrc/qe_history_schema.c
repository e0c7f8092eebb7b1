/* The history's schema: how it is made, upgraded, and recognised. */
#include "qe_history.h"
#include "qe_util.h"

#include <limits.h>

/* "QEh1": what file(1) and PRAGMA application_id show. */
#define APPLICATION_ID 0x51456831

/* No run or test of ours gets a number near this. A file that holds one was
 * made up, and would leave no number for the next row. */
#define ID_MAX (INT64_C(1) << 53)

/*
 * Step i turns version i (PRAGMA user_version) into version i + 1. A step that
 * was released is never changed; a change of the schema is one more step.
 *
 * Tests have numbers, because a name is long and comes in every run. Attempts
 * lie in the order of runs, so that saving appends and dropping old runs cuts
 * off the front. attempt_passed holds all that expected durations need, and
 * nothing else (the outcome, which is always 1, because SQLite 3.40 would look
 * it up in the table otherwise).
 */
static const char *const steps[] = {
    "CREATE TABLE run("
    " id INTEGER PRIMARY KEY,"
    " started REAL NOT NULL," /* seconds since the epoch */
    " wall REAL NOT NULL,"    /* seconds */
    " workers INTEGER NOT NULL);"
    "CREATE TABLE test("
    " id INTEGER PRIMARY KEY,"
    " name NOT NULL UNIQUE," /* text, or a blob where it is no UTF-8 */
    " last_run INTEGER NOT NULL);"
    "CREATE TABLE outcome("
    " run INTEGER NOT NULL,"
    " test INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL," /* enum qe_outcome */
    " message,"
    " PRIMARY KEY(run, test)) WITHOUT ROWID;"
    "CREATE TABLE attempt("
    " run INTEGER NOT NULL,"
    " seq INTEGER NOT NULL," /* within the run; rises in each test */
    " test INTEGER NOT NULL,"
    " pass INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " worker INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL," /* enum qe_outcome */
    " start REAL NOT NULL,"      /* seconds since the epoch */
    " duration REAL NOT NULL,"   /* seconds */
    " cpu REAL NOT NULL,"        /* seconds */
    " peak INTEGER NOT NULL,"    /* bytes */
    " status INTEGER NOT NULL,"  /* as from wait */
    " message,"
    " PRIMARY KEY(run, seq)) WITHOUT ROWID;"
    "CREATE INDEX attempt_passed"
    " ON attempt(test, run, seq, duration, outcome) WHERE outcome = 1;"
    "CREATE TABLE store("
    " key PRIMARY KEY,"
    " value NOT NULL,"
    " expires REAL) WITHOUT ROWID;" /* seconds since the epoch; NULL: never */
    "CREATE INDEX store_expires ON store(expires)"
    " WHERE expires IS NOT NULL;",
    /* How many executions a test has passed since it last failed is counted as
     * runs are saved: attempts go with their runs, and of a large suite there
     * are too few to count it from. */
    "ALTER TABLE run ADD COLUMN revision;"
    "ALTER TABLE run ADD COLUMN branch;"
    "ALTER TABLE test ADD COLUMN clean INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE condition("
    " run INTEGER NOT NULL,"
    " pass INTEGER NOT NULL,"
    " name NOT NULL,"
    " seed INTEGER NOT NULL," /* the bits of a uint64_t */
    " PRIMARY KEY(run, pass)) WITHOUT ROWID;",
};

#define VERSION ((int) QE__COUNT(steps))

/* The one integer that a statement gives. */
static int query_int(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(db, sql, &stmt);

    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        if (step == SQLITE_ROW)
            *out = sqlite3_column_int64(stmt, 0);
        else
            rc = step == SQLITE_DONE ? QE_ECORRUPT : qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* PRAGMA takes no parameters; the only values set here are our constants. */
static int set_pragma(sqlite3 *db, const char *name, int value)
{
    char *sql = sqlite3_mprintf("PRAGMA %s=%d", name, value);
    int rc;

    if (sql == NULL)
        return QE_ENOMEM;
    rc = qe__history_exec(db, sql);
    sqlite3_free(sql);
    return rc;
}

static int upgrade(sqlite3 *db, int from)
{
    int rc = set_pragma(db, "application_id", APPLICATION_ID);
    int i;

    for (i = from; i < VERSION && rc == QE_OK; i++)
        rc = qe__history_exec(db, steps[i]);
    if (rc == QE_OK)
        rc = set_pragma(db, "user_version", VERSION);
    return rc;
}

/* Whether `stmt`, the question, finds the object that `row` describes. */
static int has_object(sqlite3 *db, sqlite3_stmt *stmt, sqlite3_stmt *row)
{
    int rc = SQLITE_OK;
    int i;

    for (i = 0; i < 4 && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_value(stmt, i + 1, sqlite3_column_value(row, i));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        rc = QE_OK;
    else
        rc = rc == SQLITE_DONE ? QE_ECORRUPT : qe__history_code(db, rc);
    sqlite3_reset(stmt);
    return rc;
}

/* Compares the schema with that of an empty database made by the same steps,
 * word for word. What a foreign file has beside it is left alone: its triggers
 * and views are switched off. */
static int compare(sqlite3 *db, sqlite3 *model)
{
    sqlite3_stmt *ask = NULL;
    sqlite3_stmt *row = NULL;
    int rc = qe__history_prepare(model,
                                 "SELECT type, name, tbl_name, sql"
                                 " FROM sqlite_schema",
                                 &row);

    if (rc == QE_OK)
        rc = qe__history_prepare(db,
                                 "SELECT 1 FROM sqlite_schema WHERE type=?1"
                                 " AND name=?2 AND tbl_name=?3 AND sql IS ?4",
                                 &ask);
    while (rc == QE_OK) {
        int step = sqlite3_step(row);
        if (step == SQLITE_DONE)
            break;
        if (step != SQLITE_ROW)
            rc = qe__history_code(model, step);
        else
            rc = has_object(db, ask, row);
    }
    sqlite3_finalize(ask);
    sqlite3_finalize(row);
    return rc;
}

static int check_objects(sqlite3 *db)
{
    sqlite3 *model = NULL;
    int rc = qe__history_code(
        NULL,
        sqlite3_open_v2(":memory:", &model,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));

    if (rc == QE_OK)
        rc = upgrade(model, 0);
    if (rc == QE_OK)
        rc = compare(db, model);
    sqlite3_close(model);
    return rc;
}

static int check_ids(sqlite3 *db)
{
    int64_t id = 0;
    int rc = query_int(db,
                       "SELECT max(ifnull((SELECT max(id) FROM run), 0),"
                       " ifnull((SELECT max(id) FROM test), 0))",
                       &id);

    if (rc == QE_OK && id > ID_MAX)
        rc = QE_ECORRUPT;
    return rc;
}

/* SQLite finds out only at the first write that the directory lets no journal
 * be made. Writing the version once more, to be rolled back, asks early. */
static int check_writable(sqlite3 *db)
{
    return set_pragma(db, "user_version", VERSION);
}

/* Whether the first column of what `sql` gives is this text. */
static int query_is(sqlite3 *db, const char *sql, const char *text, bool *is)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(db, sql, &stmt);

    if (rc == QE_OK) {
        int step = sqlite3_step(stmt);
        if (step == SQLITE_ROW)
            *is = sqlite3_stricmp((const char *) sqlite3_column_text(stmt, 0),
                                  text) == 0;
        else
            rc = step == SQLITE_DONE ? QE_ECORRUPT : qe__history_code(db, step);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* Our bytes would not survive the way to UTF-16 and back. */
static int check_encoding(sqlite3 *db)
{
    bool is = false;
    int rc = query_is(db, "PRAGMA encoding", "UTF-8", &is);

    return rc == QE_OK && !is ? QE_ECORRUPT : rc;
}

/* SQLite finds a file that lacks whole pages when it opens it, but one that is
 * cut short within its last page only when it reads that one. Beside a
 * write-ahead log the file may be short by right. */
static int check_size(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int64_t pages = 0, page_bytes = 0;
    sqlite3_int64 bytes = 0;
    bool log = false;
    int rc = query_is(db, "PRAGMA journal_mode", "wal", &log);

    if (rc == QE_OK)
        rc = query_int(db, "PRAGMA page_count", &pages);
    if (rc == QE_OK)
        rc = query_int(db, "PRAGMA page_size", &page_bytes);
    if (rc != QE_OK || log)
        return rc;
    rc = qe__history_code(
        db, sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file));
    /* A database in memory has no file. */
    if (rc != QE_OK || file == NULL || file->pMethods == NULL)
        return rc;
    rc = qe__history_code(db, file->pMethods->xFileSize(file, &bytes));
    if (rc == QE_OK && bytes < pages * page_bytes)
        rc = QE_ECORRUPT;
    return rc;
}

struct marks {
    int64_t version, application, objects;
};

/* What kind of file it is. */
static int read_marks(sqlite3 *db, struct marks *out)
{
    int rc = query_int(db, "PRAGMA user_version", &out->version);

    if (rc == QE_OK)
        rc = query_int(db, "PRAGMA application_id", &out->application);
    if (rc == QE_OK)
        rc = query_int(db, "SELECT count(*) FROM sqlite_schema", &out->objects);
    return rc == QE_OK ? check_encoding(db) : rc;
}

static bool is_empty(const struct marks *marks)
{
    return marks->version == 0 && marks->application == 0 &&
           marks->objects == 0;
}

static int check_marks(const struct marks *marks)
{
    if (marks->application != APPLICATION_ID || marks->version < 1)
        return QE_ECORRUPT;
    return marks->version > VERSION ? QE_EUNSUPPORTED : QE_OK;
}

/* Inside the write transaction, so that of two processes that make one file
 * the second finds the first one's work. */
static int settle(sqlite3 *db, bool *changed)
{
    struct marks marks = {0};
    int rc = read_marks(db, &marks);

    *changed = false;
    if (rc != QE_OK)
        return rc;
    if (is_empty(&marks)) {
        *changed = true;
        return upgrade(db, 0);
    }
    rc = check_marks(&marks);
    /* Before an upgrade, whose new pages are not in the file yet. */
    if (rc == QE_OK)
        rc = check_size(db);
    if (rc == QE_OK && marks.version < VERSION) {
        *changed = true;
        rc = upgrade(db, (int) marks.version);
    }
    if (rc == QE_OK)
        rc = check_objects(db);
    if (rc == QE_OK)
        rc = check_ids(db);
    if (rc == QE_OK && !*changed)
        rc = check_writable(db);
    return rc;
}

/* Lets qe_history_gc give room back to the disk. This must be said before the
 * first page is written; to a file that has pages it would be one more write,
 * at every opening. */
static int prepare_new(sqlite3 *db)
{
    int64_t pages = 0;
    int rc = query_int(db, "PRAGMA page_count", &pages);

    if (rc == QE_OK && pages == 0)
        rc = qe__history_exec(db, "PRAGMA auto_vacuum=INCREMENTAL");
    return rc;
}

int qe__history_schema(sqlite3 *db)
{
    bool changed;
    int rc = prepare_new(db);

    if (rc == QE_OK)
        rc = qe__history_begin(db);
    if (rc != QE_OK)
        return rc;
    rc = settle(db, &changed);
    if (rc == QE_OK && !changed)
        return qe__history_code(db,
                                sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL));
    return qe__history_end(db, rc);
}

static int look(sqlite3 *db)
{
    struct marks marks = {0};
    int rc = read_marks(db, &marks);

    if (rc == QE_OK && is_empty(&marks))
        return QE_ENOTFOUND;
    if (rc == QE_OK)
        rc = check_marks(&marks);
    if (rc == QE_OK)
        rc = check_size(db);
    if (rc == QE_OK && marks.version < VERSION)
        return QE_EREADONLY;
    if (rc == QE_OK)
        rc = check_objects(db);
    return rc == QE_OK ? check_ids(db) : rc;
}

int qe__history_look(sqlite3 *db)
{
    int rc = qe__history_exec(db, "BEGIN");

    if (rc == QE_OK) {
        rc = look(db);
        (void) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return rc;
}
