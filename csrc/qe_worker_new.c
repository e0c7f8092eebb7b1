/* How a process becomes a worker: forked, or executed and attached. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_worker.h"

/* A descriptor of this process's own on the same file, with an offset of its
 * own that begins at 0: forked processes would otherwise share one. */
static int reopen(int fd)
{
    char path[40];
    int own;

    (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_RDWR | O_CLOEXEC | O_APPEND);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int qe__worker_new(qe_worker **out, qe__arena *arena, uint32_t slot,
                   const qe__slot_files *files, int bell)
{
    qe_worker *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        return QE_ENOMEM;
    }
    w->arena = arena;
    w->slot = &arena->slots[slot];
    w->number = slot;
    w->pid = getpid();
    w->bell = bell;
    w->capture[0] = reopen(files->capture[0]);
    w->capture[1] = reopen(files->capture[1]);
    w->stack = reopen(files->stack);
    w->clear_refs = arena->head->peak_memory
                        ? open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
                        : -1;
    atomic_store(&w->slot->pid, (uint32_t) w->pid);
    w->control = -1;
    w->now.unit = QE__NONE;
    *out = w;
    return 0;
}

/* A server has inherited the files of all slots, for the workers that it is going
 * to fork. */
static int attach_server(qe_worker *w, int control, pid_t super)
{
    uint32_t slots = w->arena->head->slots;
    qe__slot_files *files = calloc(slots, sizeof(*files));

    if (files == NULL) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < slots; i++) {
        const int32_t *fds = w->arena->slots[i].files;

        files[i] = (qe__slot_files){{fds[0], fds[1]}, fds[2]};
        for (int j = 0; j < 3; j++) {
            if (fcntl(fds[j], F_SETFD, FD_CLOEXEC) != 0) {
                free(files);
                return QE_ESYS;
            }
        }
    }
    if (fcntl(control, F_SETFD, FD_CLOEXEC) != 0) {
        free(files);
        return QE_ESYS;
    }
    w->files = files;
    w->slots = slots;
    w->control = control;
    w->super = super;
    return 0;
}

/* QE_WORKER is "slot:arena:bell:stdout:stderr:stack", descriptors of this
 * process, and a server's has ":control:supervisor" behind that. It is removed,
 * so that what a test starts is no worker. */
int qe_worker_attach(qe_worker **out)
{
    const char *text = getenv("QE_WORKER");
    qe__slot_files files;
    qe__arena arena;
    qe_worker *w;
    unsigned slot;
    int fd, bell, control, super, status;
    int used = 0;
    bool server;
    char extra;

    memset(&files, 0, sizeof(files));
    if (text == NULL || sscanf(text, "%u:%d:%d:%d:%d:%d%n", &slot, &fd, &bell,
                               &files.capture[0], &files.capture[1],
                               &files.stack, &used) != 6) {
        return QE_EFORMAT;
    }
    server = text[used] != '\0';
    if (server &&
        sscanf(text + used, ":%d:%d%c", &control, &super, &extra) != 2) {
        return QE_EFORMAT;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(bell, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(files.capture[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(files.capture[1], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(files.stack, F_SETFD, FD_CLOEXEC) != 0) {
        return QE_ESYS;
    }
    status = qe__arena_attach(&arena, fd);
    if (status != 0) {
        return status;
    }
    if (slot >= arena.head->slots) {
        qe__arena_close(&arena);
        return QE_EFORMAT;
    }
    status = qe__worker_new(&w, &arena, slot, &files, bell);
    if (status != 0) {
        qe__arena_close(&arena);
        return status;
    }
    w->own = arena;
    w->arena = &w->own;
    w->slot = &w->own.slots[slot];
    status = server ? attach_server(w, control, super) : 0;
    if (status != 0) {
        (void) close(w->capture[0]);
        (void) close(w->capture[1]);
        (void) close(w->stack);
        qe__arena_close(&w->own);
        free(w);
        return status;
    }
    (void) unsetenv("QE_WORKER");
    *out = w;
    return 0;
}
