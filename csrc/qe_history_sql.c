/* The history's way to SQLite: statements, transactions, and what their
 * failures mean. */
#include "qe_history.h"
#include "qe_json_text.h"

#include <errno.h>
#include <string.h>

/* What the system said. SQLite keeps it with the handle where a file could not
 * be opened, and with the file where one could not be read or written. */
static int system_errno(sqlite3 *db)
{
    int error = 0;

    if (db == NULL)
        return 0;
    error = sqlite3_system_errno(db);
    if (error == 0)
        sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* A file of another program, or one whose cells break our constraints, fails
 * as SQLITE_ERROR or SQLITE_CONSTRAINT: our own statements do not. */
int qe__history_code(sqlite3 *db, int sqlite_rc)
{
    int error;

    switch (sqlite_rc) {
    case SQLITE_IOERR_NOMEM:
        return QE_ENOMEM;
    case SQLITE_IOERR_CORRUPTFS:
    case SQLITE_IOERR_SHORT_READ:
        return QE_ECORRUPT;
    }
    switch (sqlite_rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return QE_OK;
    case SQLITE_NOMEM:
        return QE_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return QE_EBUSY;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        error = system_errno(db);
        if (error != 0)
            errno = error;
        return QE_EREADONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_EMPTY:
        return QE_ECORRUPT;
    case SQLITE_TOOBIG:
        return QE_ETOOBIG;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return QE_EINVAL;
    case SQLITE_FULL:
        /* SQLite forgets errno here, but makes this of ENOSPC alone. */
        errno = ENOSPC;
        return QE_ESYS;
    default:
        error = system_errno(db);
        errno = error != 0 ? error : EIO;
        return QE_ESYS;
    }
}

int qe__history_exec(sqlite3 *db, const char *sql)
{
    return qe__history_code(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int qe__history_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
    *out = NULL;
    return qe__history_code(db, sqlite3_prepare_v2(db, sql, -1, out, NULL));
}

int qe__history_run(sqlite3 *db, sqlite3_stmt *stmt)
{
    int step = sqlite3_step(stmt);
    int rc = qe__history_code(db, step);

    sqlite3_reset(stmt);
    if (step == SQLITE_ROW)
        return QE_ECORRUPT;
    return rc;
}

int qe__history_bind(sqlite3 *db, sqlite3_stmt *stmt, int at, const char *text)
{
    int rc;

    if (text == NULL)
        rc = sqlite3_bind_null(stmt, at);
    else if (qe__utf8_valid(text))
        rc = sqlite3_bind_text64(stmt, at, text, strlen(text), SQLITE_STATIC,
                                 SQLITE_UTF8);
    else
        rc = sqlite3_bind_blob64(stmt, at, text, strlen(text), SQLITE_STATIC);
    return qe__history_code(db, rc);
}

int qe__history_begin(sqlite3 *db)
{
    /* IMMEDIATE: two transactions that both read first, and then want to
     * write, would be a deadlock, for which SQLite does not wait. */
    return qe__history_exec(db, "BEGIN IMMEDIATE");
}

int qe__history_end(sqlite3 *db, int rc)
{
    int error;

    if (rc == QE_OK)
        rc = qe__history_exec(db, "COMMIT");
    error = errno;
    /* Some failures end the transaction by themselves. */
    if (rc != QE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    errno = error;
    return rc;
}

int qe__history_string(sqlite3_stmt *stmt, int column, const char **out)
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
