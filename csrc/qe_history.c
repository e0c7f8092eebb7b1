/*
 * History: what earlier runs found out, in one SQLite file.
 *
 * The file keeps the rollback journal, not the write-ahead log. The log needs
 * memory shared between processes, which network file systems do not give; it
 * keeps the last runs in a second file, which a CI cache that saves one file
 * loses; and it cannot be opened where the directory is read-only. Its gain,
 * readers beside a writer, is nothing for a file that is written once a run.
 * With the journal the file at rest is the whole truth, and after a SIGKILL or
 * a power cut the next to open it rolls the unfinished transaction back.
 */
#include "qe_history.h"

#include "qe_judge.h"
#include "qe_record.h"
#include "qe_util.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_NS UINT64_C(2000000000)
/* Between two tries for a lock. */
#define TRY_LEAST_US 500
#define TRY_MOST_US 4000
#define LAST_ATTEMPTS 5
/* About 31 years: what a foreign file says beyond is no duration. */
#define DURATION_MAX_S 1e9

/* SQLite's own handler soon tries every 100 ms only, and beside processes that write
 * often it never finds the moment between two of their transactions. */
static int wait_for_lock(void *arg, int tries)
{
    qe_history *h = arg;
    uint64_t now = qe_now_ns();

    if (tries == 0)
        h->waits_since_ns = now;
    if (now - h->waits_since_ns >= BUSY_NS)
        return 0;
    usleep((useconds_t) (TRY_LEAST_US + qe__random(&h->random) %
                                            (TRY_MOST_US - TRY_LEAST_US)));
    return 1;
}

/* The file may come from a CI cache that others can write: neither its schema
 * nor its cells are trusted. */
static int configure(sqlite3 *db, qe_history *h)
{
    static const int switches[][2] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    size_t i;
    int rc = sqlite3_busy_handler(db, wait_for_lock, h);

    for (i = 0; i < QE__COUNT(switches) && rc == SQLITE_OK; i++)
        rc = sqlite3_db_config(db, switches[i][0], switches[i][1], NULL);
    if (rc != SQLITE_OK)
        return qe__history_code(db, rc);
    return qe__history_exec(
        db,
        "PRAGMA mmap_size=0;"        /* A file cut short would raise SIGBUS. */
        "PRAGMA cell_size_check=ON;" /* Finds broken pages as they are read. */
        "PRAGMA temp_store=MEMORY;"  /* No other file to fail. */
        "PRAGMA cache_size=-32768;"  /* 100,000 attempts without spilling, */
                                     /* which would lock readers out early. */
        "PRAGMA secure_delete=OFF");
}

/* Where SQLite is built with URI names on, as Debian's is, a file whose name
 * begins with "file:" would be taken for one. */
static char *file_name(const char *path)
{
    bool uri = strncmp(path, "file:", 5) == 0;
    char *name = malloc(strlen(path) + 3);

    if (name != NULL)
        stpcpy(stpcpy(name, uri ? "./" : ""), path);
    return name;
}

static int open_database(qe_history *h, const char *path, int mode,
                         int (*prepare)(sqlite3 *db))
{
    int flags = mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    char *name = file_name(path);
    sqlite3 *db = NULL;
    int rc;

    if (name == NULL)
        return QE_ENOMEM;
    rc = sqlite3_open_v2(name, &db, flags, NULL);
    free(name);
    rc = rc != SQLITE_OK ? qe__history_code(db, rc) : configure(db, h);
    if (rc == QE_OK)
        rc = prepare(db);
    /* A log that another tool left becomes a journal; where others hold the
     * file open it stays, which is no harm. */
    if (rc == QE_OK && mode != SQLITE_OPEN_READONLY)
        sqlite3_exec(db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    if (rc != QE_OK) {
        int error = errno;
        sqlite3_close(db);
        errno = error;
        return rc;
    }
    h->db = db;
    return QE_OK;
}

static int open_as(qe_history **out, const char *path, int mode,
                   int (*prepare)(sqlite3 *db))
{
    qe_history *h = calloc(1, sizeof(*h));
    int rc;

    if (h == NULL)
        return QE_ENOMEM;
    /* So that two processes do not try in step. */
    h->random = qe_now_ns() ^ ((uint64_t) getpid() << 32);
    rc = open_database(h, path, mode, prepare);
    if (rc != QE_OK) {
        int error = errno;
        free(h);
        errno = error;
        return rc;
    }
    *out = h;
    return QE_OK;
}

QE_API int qe_history_open(qe_history **out, const char *path)
{
    if (out == NULL || path == NULL || *path == '\0')
        return QE_EINVAL;
    return open_as(out, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                   qe__history_schema);
}

QE_API int qe_history_open_to_read(qe_history **out, const char *path)
{
    int rc;

    if (out == NULL || path == NULL || *path == '\0')
        return QE_EINVAL;
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return QE_ENOTFOUND;
    rc = open_as(out, path, SQLITE_OPEN_READONLY, qe__history_look);
    if (rc == QE_EREADONLY)
        rc = open_as(out, path, SQLITE_OPEN_READWRITE, qe__history_schema);
    return rc;
}

QE_API void qe_history_close(qe_history *h)
{
    if (h == NULL)
        return;
    sqlite3_close(h->db);
    free(h);
}

/* ------------------------------------------------------------------ saving */

struct saver {
    sqlite3 *db;
    const qe_record *record;
    sqlite3_stmt *find, *seen, *intern, *outcome, *attempt;
    uint32_t workers;
    int64_t run;
    int64_t seq;
};

static int save_run(struct saver *s, double started_s, double wall_s)
{
    sqlite3_stmt *stmt;
    int rc = qe__history_prepare(
        s->db,
        "INSERT INTO run(started, wall, workers, revision, branch)"
        " VALUES(?1, ?2, ?3, ?4, ?5)",
        &stmt);

    if (rc == QE_OK)
        rc = qe__history_bind(s->db, stmt, 4, s->record->revision);
    if (rc == QE_OK)
        rc = qe__history_bind(s->db, stmt, 5, s->record->branch);
    if (rc == QE_OK) {
        sqlite3_bind_double(stmt, 1, started_s);
        sqlite3_bind_double(stmt, 2, wall_s);
        sqlite3_bind_int64(stmt, 3, s->workers);
        rc = qe__history_run(s->db, stmt);
    }
    sqlite3_finalize(stmt);
    s->run = sqlite3_last_insert_rowid(s->db);
    return rc;
}

static int save_passes(struct saver *s)
{
    sqlite3_stmt *stmt;
    size_t i;
    int rc = qe__history_prepare(s->db,
                                 "INSERT OR REPLACE INTO condition"
                                 " VALUES(?1, ?2, ?3, ?4)",
                                 &stmt);

    for (i = 0; i < s->record->pass_count && rc == QE_OK; i++) {
        const qe__pass *pass = &s->record->passes[i];
        rc = qe__history_bind(s->db, stmt, 3, pass->name);
        if (rc != QE_OK)
            break;
        sqlite3_bind_int64(stmt, 1, s->run);
        sqlite3_bind_int64(stmt, 2, pass->pass);
        sqlite3_bind_int64(stmt, 4, (int64_t) pass->seed);
        rc = qe__history_run(s->db, stmt);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* What a run says of how long a test has been clean. */
struct streak {
    bool failed;   /* so that what was counted before is void */
    int64_t clean; /* first attempts that passed, after the last failure */
};

static struct streak streak_of(const qe_record *r, const qe__test *test)
{
    struct streak streak = {0};
    uint32_t i;

    for (i = test->first; i != QE__NO_ATTEMPT; i = r->attempts[i].next) {
        const qe_attempt *a = &r->attempts[i].data;
        if (qe__judge_failed(a->outcome))
            streak = (struct streak){.failed = true};
        else if (a->outcome == QE_PASSED && a->attempt <= 1)
            streak.clean++;
    }
    /* A session's teardown may fail a test behind its attempts. */
    if (qe__judge_failed(test->outcome))
        streak = (struct streak){.failed = true};
    return streak;
}

/* The number of a name, seen in this run. */
static int intern(struct saver *s, const char *name, struct streak streak,
                  int64_t *id)
{
    int rc = qe__history_bind(s->db, s->find, 1, name);
    int step;

    if (rc != QE_OK)
        return rc;
    step = sqlite3_step(s->find);
    if (step == SQLITE_ROW)
        *id = sqlite3_column_int64(s->find, 0);
    rc = qe__history_code(s->db, step);
    sqlite3_reset(s->find);
    if (rc != QE_OK)
        return rc;
    if (step == SQLITE_ROW) {
        sqlite3_bind_int64(s->seen, 1, *id);
        sqlite3_bind_int64(s->seen, 2, s->run);
        sqlite3_bind_int64(s->seen, 3, streak.clean);
        sqlite3_bind_int(s->seen, 4, streak.failed);
        return qe__history_run(s->db, s->seen);
    }
    rc = qe__history_bind(s->db, s->intern, 1, name);
    if (rc != QE_OK)
        return rc;
    sqlite3_bind_int64(s->intern, 2, s->run);
    sqlite3_bind_int64(s->intern, 3, streak.clean);
    rc = qe__history_run(s->db, s->intern);
    *id = sqlite3_last_insert_rowid(s->db);
    return rc;
}

static int save_attempt(struct saver *s, int64_t test, const qe_attempt *a)
{
    sqlite3_stmt *stmt = s->attempt;
    int64_t peak =
        a->peak_bytes > INT64_MAX ? INT64_MAX : (int64_t) a->peak_bytes;
    int rc = qe__history_bind(s->db, stmt, 13, a->message);

    if (rc != QE_OK)
        return rc;
    sqlite3_bind_int64(stmt, 1, s->run);
    sqlite3_bind_int64(stmt, 2, s->seq++);
    sqlite3_bind_int64(stmt, 3, test);
    sqlite3_bind_int64(stmt, 4, a->pass);
    sqlite3_bind_int64(stmt, 5, a->attempt);
    sqlite3_bind_int64(stmt, 6, a->worker);
    sqlite3_bind_int(stmt, 7, a->outcome);
    sqlite3_bind_double(stmt, 8, a->start_s);
    sqlite3_bind_double(stmt, 9, a->duration_s);
    sqlite3_bind_double(stmt, 10, a->cpu_s);
    sqlite3_bind_int64(stmt, 11, peak);
    sqlite3_bind_int(stmt, 12, a->status);
    return qe__history_run(s->db, stmt);
}

static int save_test(struct saver *s, const qe__test *test)
{
    const qe__attempt *attempts = s->record->attempts;
    int64_t id;
    uint32_t i;
    int rc = intern(s, test->id, streak_of(s->record, test), &id);

    if (rc == QE_OK)
        rc = qe__history_bind(s->db, s->outcome, 4, test->message);
    if (rc == QE_OK) {
        sqlite3_bind_int64(s->outcome, 1, s->run);
        sqlite3_bind_int64(s->outcome, 2, id);
        sqlite3_bind_int(s->outcome, 3, test->outcome);
        rc = qe__history_run(s->db, s->outcome);
    }
    for (i = test->first; i != QE__NO_ATTEMPT && rc == QE_OK;
         i = attempts[i].next)
        rc = save_attempt(s, id, &attempts[i].data);
    return rc;
}

static int save_tests(struct saver *s)
{
    sqlite3 *db = s->db;
    size_t i;
    int rc = qe__history_prepare(db, "SELECT id FROM test WHERE name = ?1",
                                 &s->find);

    if (rc == QE_OK)
        rc = qe__history_prepare(
            db,
            "UPDATE test SET last_run = ?2,"
            " clean = ?3 + CASE WHEN ?4 THEN 0 ELSE clean END WHERE id = ?1",
            &s->seen);
    if (rc == QE_OK)
        rc = qe__history_prepare(
            db, "INSERT INTO test(name, last_run, clean) VALUES(?1, ?2, ?3)",
            &s->intern);
    if (rc == QE_OK) /* REPLACE: a record may name one test twice. */
        rc = qe__history_prepare(
            db, "INSERT OR REPLACE INTO outcome VALUES(?1, ?2, ?3, ?4)",
            &s->outcome);
    if (rc == QE_OK)
        rc = qe__history_prepare(db,
                                 "INSERT INTO attempt VALUES(?1, ?2, ?3, ?4,"
                                 " ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                                 &s->attempt);
    for (i = 0; i < s->record->test_count && rc == QE_OK; i++) {
        const qe__test *test = &s->record->tests[i];
        /* What was not run, because the run was stopped, is no news. */
        if (test->outcome != QE_NONE || test->first != QE__NO_ATTEMPT)
            rc = save_test(s, test);
    }
    sqlite3_finalize(s->find);
    sqlite3_finalize(s->seen);
    sqlite3_finalize(s->intern);
    sqlite3_finalize(s->outcome);
    sqlite3_finalize(s->attempt);
    return rc;
}

int qe__history_save_run(sqlite3 *db, const qe_record *r, double started_s,
                         double wall_s, uint32_t workers, int64_t *run_id)
{
    struct saver s = {.db = db, .record = r, .workers = workers};
    int rc = save_run(&s, started_s, wall_s);

    if (rc == QE_OK)
        rc = save_passes(&s);
    if (rc == QE_OK)
        rc = save_tests(&s);
    *run_id = s.run;
    return rc;
}

QE_API int qe_history_save(qe_history *h, const qe_record *r, double started_s,
                           double wall_s, uint32_t workers, int64_t *run_id)
{
    int64_t run;
    int rc;

    if (h == NULL || r == NULL || !isfinite(started_s) || !isfinite(wall_s))
        return QE_EINVAL;
    rc = qe__history_begin(h->db);
    if (rc != QE_OK)
        return rc;
    rc = qe__history_save_run(h->db, r, started_s, wall_s, workers, &run);
    if (rc == QE_OK)
        rc = qe__history_name_run(h->db, run);
    rc = qe__history_end(h->db, rc);
    if (rc == QE_OK && run_id != NULL)
        *run_id = run;
    return rc;
}

/* --------------------------------------------------------------- durations */

/* False where the cell is no duration. */
static bool read_duration(sqlite3_stmt *stmt, uint64_t *out_ns)
{
    int type = sqlite3_column_type(stmt, 0);
    double value;

    if (type != SQLITE_FLOAT && type != SQLITE_INTEGER)
        return false;
    value = sqlite3_column_double(stmt, 0);
    if (!(value >= 0 && value <= DURATION_MAX_S))
        return false;
    /* 0 says that nothing is known. */
    *out_ns = value < 1e-9 ? 1 : (uint64_t) (value * 1e9 + 0.5);
    return true;
}

static uint64_t median(uint64_t *values, size_t n)
{
    size_t i, j;

    for (i = 1; i < n; i++) {
        uint64_t value = values[i];
        for (j = i; j > 0 && values[j - 1] > value; j--)
            values[j] = values[j - 1];
        values[j] = value;
    }
    if (n == 0)
        return 0;
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static int expected(sqlite3_stmt *stmt, uint64_t *out_ns)
{
    uint64_t values[LAST_ATTEMPTS];
    size_t n = 0;
    int step;

    while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
        if (n < LAST_ATTEMPTS && read_duration(stmt, &values[n]))
            n++;
    *out_ns = median(values, n);
    return step;
}

QE_API int qe_history_durations(qe_history *h, const char *const *ids, size_t n,
                                uint64_t *out_ns)
{
    return qe__history_numbers(
        h,
        "SELECT attempt.duration FROM test CROSS JOIN attempt"
        " INDEXED BY attempt_passed ON attempt.test = test.id"
        " WHERE test.name = ?1 AND attempt.outcome = 1"
        " ORDER BY attempt.run DESC, attempt.seq DESC LIMIT 5",
        expected, ids, n, out_ns);
}
