/* A keeper's side: a worker that runs no test, but holds what its workers
 * share, and forks them from its own state. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_worker.h"

#define ADOPTION_LIMIT_MS 10000
#define ORPHAN_LIMIT_MS 10000

void qe__worker_keep(qe_worker *w, const qe__exec *x)
{
    w->control = x->keeper;
    w->super = x->parent;
    w->files = x->files;
    w->slots = x->slots;
}

int qe_keeper_wait(qe_worker *w, uint32_t *slot)
{
    qe__birth birth;
    int status;

    if (getpid() != w->pid || w->control < 0) {
        return QE_ESTATE;
    }
    status = qe__worker_idle(w);
    if (status != 0) {
        return status;
    }
    for (;;) {
        ssize_t n = recv(w->control, &birth, sizeof(birth), 0);

        if (n == (ssize_t) sizeof(birth)) {
            *slot = birth.slot;
            return birth.slot < w->slots ? 1 : 0;
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            /* The supervisor is dead: the kernel's SIGKILL is under way, and
             * half a teardown would be worse than none. */
            (void) poll(NULL, 0, ORPHAN_LIMIT_MS);
            _exit(127);
        }
    }
}

/* Waits until the supervisor is this process's parent; from then on its death
 * is ours, too. */
static bool await_adoption(pid_t super)
{
    for (int i = 0; getppid() != super; i++) {
        if (i >= ADOPTION_LIMIT_MS) {
            return false;
        }
        (void) poll(NULL, 0, 1);
    }
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return getppid() == super;
}

/* Whether the supervisor was told of this worker. Who was to tell it has left by now,
 * and may have been killed before: then another one gets the slot. */
static bool was_told(int told)
{
    char byte;
    ssize_t n;

    do {
        n = read(told, &byte, 1);
    } while (n < 0 && errno == EINTR);
    (void) close(told);
    return n == 1;
}

/* In the new worker: nothing of the keeper's own stays. */
static int become_worker(qe_worker *w, uint32_t slot, int told, qe_worker **out)
{
    qe__slot_files files = w->files[slot];

    if (!await_adoption(w->super) || !was_told(told)) {
        _exit(127);
    }
    (void) setpgid(0, 0);
    (void) close(w->control);
    (void) close(w->capture[0]);
    (void) close(w->capture[1]);
    (void) close(w->stack);
    if (w->clear_refs >= 0) {
        (void) close(w->clear_refs);
    }
    return qe__worker_new(out, w->arena, slot, &files, w->bell);
}

/* Between both: forks the worker, tells the supervisor of it, and then the worker that
 * it was told. Returns in the worker alone. */
static int bear(qe_worker *w, uint32_t slot, const int told[2], qe_worker **out)
{
    qe__birth birth = {.slot = slot, .pid = fork()};

    if (birth.pid == 0) {
        (void) close(told[1]);
        if (become_worker(w, slot, told[0], out) != 0) {
            _exit(1);
        }
        return 1;
    }
    birth.error = errno;
    if (send(w->control, &birth, sizeof(birth), MSG_NOSIGNAL) >= 0) {
        (void) !write(told[1], "", 1);
    }
    _exit(0);
}

int qe_keeper_fork(qe_worker *w, uint32_t slot, qe_worker **out)
{
    qe__birth birth = {.slot = slot};
    int status = 0, told[2] = {-1, -1};
    pid_t pid = -1;

    *out = NULL;
    if (getpid() != w->pid || w->control < 0 || slot >= w->slots) {
        return QE_ESTATE;
    }
    if (pipe2(told, O_CLOEXEC) == 0) {
        pid = fork();
    }
    if (pid == 0) {
        return bear(w, slot, told, out);
    }
    birth.error = errno;
    if (told[0] >= 0) {
        (void) close(told[0]);
        (void) close(told[1]);
    }
    if (pid > 0) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        if (status == 0) {
            return 0;
        }
        birth.error = EAGAIN; /* it was killed before it could say anything */
    }
    (void) send(w->control, &birth, sizeof(birth), MSG_NOSIGNAL);
    return 0;
}
