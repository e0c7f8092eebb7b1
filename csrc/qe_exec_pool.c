/* Spawned workers: a program of its own for each, which finds the run by the
 * environment variable QE_WORKER (see qe_worker_attach). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_exec.h"

static void execute(const qe__super *super, uint32_t slot)
{
    const qe__slot_files *files = &super->files[slot];
    /* A host may have marked its standard output, as Node does. */
    int inherited[] = {super->arena->fd,
                       super->bell,
                       files->capture[0],
                       files->capture[1],
                       files->stack,
                       1,
                       2};
    char text[96];

    for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
        if (fcntl(inherited[i], F_SETFD, 0) != 0 && inherited[i] > 2) {
            return;
        }
    }
    (void) snprintf(text, sizeof(text), "%u:%d:%d:%d:%d:%d", slot, inherited[0],
                    inherited[1], inherited[2], inherited[3], inherited[4]);
    if (setenv("QE_WORKER", text, 1) != 0) {
        return;
    }
    /* The interrupt of a terminal reaches it, too: it is the program's to listen
     * once it can handle one. */
    (void) signal(SIGINT, SIG_IGN);
    (void) execvp(super->options->spawn_argv[0], super->options->spawn_argv);
}

_Noreturn void qe__pool_execute(const qe__super *super, uint32_t slot)
{
    execute(super, slot);
    dprintf(2, "qe: cannot start a worker: %s: %s\n",
            super->options->spawn_argv[0], strerror(errno));
    _exit(127);
}
