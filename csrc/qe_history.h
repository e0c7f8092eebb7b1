/* What the history's files share. Internal. */
#ifndef QE_HISTORY_H
#define QE_HISTORY_H

#include "qe.h"

#include <sqlite3.h>

struct qe_history {
    sqlite3 *db;
    uint64_t waits_since_ns; /* when a lock was first refused */
    uint64_t random;
};

/* Turns SQLite's result into ours; where that is QE_ESYS, sets errno. */
int qe__history_code(sqlite3 *db, int sqlite_rc);

/* Statements without parameters or results. */
int qe__history_exec(sqlite3 *db, const char *sql);
/* Prepares one statement; *out is NULL on failure, which
 * sqlite3_finalize accepts. */
int qe__history_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out);
/* Steps a statement that returns no rows, and resets it. */
int qe__history_run(sqlite3 *db, sqlite3_stmt *stmt);
/* Binds a string: text where it is UTF-8, otherwise its bytes as a blob, so
 * that any name comes back as it was. NULL binds NULL. The string must live
 * until the statement is reset. */
int qe__history_bind(sqlite3 *db, sqlite3_stmt *stmt, int at, const char *text);

/* A cell as a string. What is neither text nor a blob, or holds a NUL, was not
 * written by us: it is "". Valid until the next step. 0 or QE_ENOMEM. */
int qe__history_string(sqlite3_stmt *stmt, int column, const char **out);

/* A number for each id, by a statement that has the id as its parameter: `read`
 * steps through its rows, and returns the last step. In one transaction: the lock is
 * taken once, and all numbers are of the same moment. */
int qe__history_numbers(qe_history *h, const char *sql,
                        int (*read)(sqlite3_stmt *stmt, uint64_t *out),
                        const char *const *ids, size_t n, uint64_t *out);

/* qe_history.c: saves a run, in the caller's transaction. */
int qe__history_save_run(sqlite3 *db, const qe_record *r, double started_s,
                         double wall_s, uint32_t workers, int64_t *run_id);

/* qe_history_replica.c: whether it follows a log. */
int qe__history_is_replica(sqlite3 *db, bool *is);
/* Of a replica: the run, which was saved just now, is to be appended to the log. */
int qe__history_name_run(sqlite3 *db, int64_t run);

/* A write transaction: begin waits for the lock, at most the busy timeout. */
int qe__history_begin(sqlite3 *db);
/* Commits where rc is QE_OK; otherwise, or when that fails, rolls back and
 * keeps errno. Returns rc or the commit's failure. */
int qe__history_end(sqlite3 *db, int rc);

/* qe_history_schema.c: makes, upgrades or checks the schema, and proves that
 * the file can be written. Changes nothing where it fails. */
int qe__history_schema(sqlite3 *db);
/* Checks the schema, and changes nothing. QE_ENOTFOUND: there is nothing in the
 * file; QE_EREADONLY: it must be upgraded, or rolled back, first. */
int qe__history_look(sqlite3 *db);

#endif
