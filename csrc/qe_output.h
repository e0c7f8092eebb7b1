/* A file that appears whole or not at all. Internal. */
#ifndef QE_OUTPUT_H
#define QE_OUTPUT_H

#include "qe.h"

#include <stdio.h>

/* The bytes go to `<path>.<pid>.tmp`, which is renamed to `path` at the end; a
 * path that is a device or a pipe is written as it stands. Each function
 * returns 0, QE_ENOMEM, or QE_ESYS with errno; after a failure of the others
 * only qe__output_abort may follow. */
typedef struct qe__output {
    FILE *file;
    char *target;
    char *temporary; /* NULL: `target` itself is being written */
    int error;       /* errno of the first write that failed, or 0 */
} qe__output;

int qe__output_open(qe__output *o, const char *path);
int qe__output_write(qe__output *o, const char *text);
/* Flushes, syncs, renames, and frees what `o` holds. When it fails, it has
 * done what qe__output_abort does. */
int qe__output_commit(qe__output *o);
/* Removes the temporary file and frees; keeps errno. */
void qe__output_abort(qe__output *o);

#endif
