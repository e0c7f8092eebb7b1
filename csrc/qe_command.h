/* What a unit executes, copied. Internal. */
#ifndef QE_COMMAND_H
#define QE_COMMAND_H

#include "qe.h"

typedef struct qe__command {
    struct qe__command *next; /* the plan's list, to free them by */
    char **argv;              /* ends with NULL */
    char **env;               /* changes of the host's; likewise */
    const char *cwd;          /* NULL: the host's */
    const char *warm;         /* NULL: no server */
    qe_limits limits;
} qe__command;

/* A copy of a unit's command in one piece of memory, for free(3); *out is NULL
 * where the unit has none. QE_EINVAL for a command without a program, for a
 * change of the environment without a name, for fewer than three descriptors,
 * and for any of these without a command. */
int qe__command_copy(qe__command **out, const qe_unit *unit);

/* The environment of a command: the process's own and the changes, which come
 * instead of what has the same name. The words are not copied; free(3)
 * frees the array. NULL: out of memory. */
char **qe__command_environ(const qe__command *command, char *const *own);

#endif
