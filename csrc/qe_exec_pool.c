/* Spawned workers, and servers: a program of its own for each, which finds the
 * run by the environment variable QE_WORKER (see qe_worker_attach). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_exec.h"

static bool hand_down(int fd)
{
    return fcntl(fd, F_SETFD, 0) == 0;
}

/* A server's workers have the files of any slot, and it is asked for them. */
static bool hand_down_all(const qe__super *super)
{
    for (uint32_t i = 0; i < super->slots; i++) {
        const qe__slot_files *files = &super->files[i];

        if (!hand_down(files->capture[0]) || !hand_down(files->capture[1]) ||
            !hand_down(files->stack)) {
            return false;
        }
    }
    return hand_down(super->keeper);
}

static bool change_environment(char *const *words)
{
    for (; words != NULL && *words != NULL; words++) {
        /* putenv(3) takes a name alone as one to remove. */
        if (putenv(*words) != 0) {
            return false;
        }
    }
    return true;
}

static void execute(const qe__super *super, uint32_t slot)
{
    const qe__arena_slot *a = &super->arena->slots[slot];
    const qe__slot_files *files = &super->files[slot];
    /* A host may have marked its standard output, as Node does. */
    int inherited[] = {super->arena->fd,
                       super->bell,
                       files->capture[0],
                       files->capture[1],
                       files->stack,
                       1,
                       2};
    char text[128];
    int n;

    for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
        if (!hand_down(inherited[i]) && inherited[i] > 2) {
            return;
        }
    }
    if (a->job_server != 0 &&
        !change_environment(super->options->server_env[a->job_server - 1])) {
        return;
    }
    n = snprintf(text, sizeof(text), "%u:%d:%d:%d:%d:%d", slot, inherited[0],
                 inherited[1], inherited[2], inherited[3], inherited[4]);
    if (a->job == QE__JOB_SERVER) {
        if (!hand_down_all(super)) {
            return;
        }
        (void) snprintf(text + n, sizeof(text) - (size_t) n, ":%d:%d",
                        super->keeper, (int) super->parent);
    }
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
