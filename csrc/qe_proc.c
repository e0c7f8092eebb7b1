#include "qe_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int quiet[QE__SIGNALS_QUIET] = {SIGINT,  SIGQUIT, SIGHUP,
                                             SIGTSTP, SIGTTIN, SIGTTOU,
                                             SIGPIPE, SIGUSR1, SIGUSR2};

void qe__signals_quiet(qe__signals *saved)
{
    struct sigaction action;
    sigset_t child;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < QE__SIGNALS_QUIET; i++) {
        (void) sigaction(quiet[i], &action, &saved->actions[i]);
    }
    action.sa_handler = SIG_DFL;
    (void) sigaction(SIGCHLD, &action, &saved->child);
    (void) sigemptyset(&child);
    (void) sigaddset(&child, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &child, &saved->mask);
}

void qe__signals_restore(const qe__signals *saved)
{
    for (size_t i = 0; i < QE__SIGNALS_QUIET; i++) {
        (void) sigaction(quiet[i], &saved->actions[i], NULL);
    }
    (void) sigaction(SIGCHLD, &saved->child, NULL);
    (void) sigprocmask(SIG_SETMASK, &saved->mask, NULL);
}

int qe__proc_pidfd(pid_t pid)
{
    int fd = (int) syscall(SYS_pidfd_open, pid, 0);

    if (fd >= 0) {
        (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return fd;
}

bool qe__proc_alive(pid_t pid)
{
    char path[40], text[512];
    const char *state;
    ssize_t n;
    int fd;

    if (kill(pid, 0) != 0 && errno != EPERM) {
        return false;
    }
    /* It may have ended and wait for its parent, which need not be us. */
    (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno != ENOENT;
    }
    n = read(fd, text, sizeof(text) - 1);
    (void) close(fd);
    if (n <= 0) {
        return false; /* it went between the two calls */
    }
    text[n] = '\0';
    state = strrchr(text, ')');
    return state == NULL || (state[1] == ' ' && strchr("ZX", state[2]) == NULL);
}

void qe__proc_await(pid_t pid, int timeout_ms)
{
    struct pollfd p = {.fd = qe__proc_pidfd(pid), .events = POLLIN};

    if (p.fd >= 0) {
        (void) poll(&p, 1, timeout_ms);
        (void) close(p.fd);
        return;
    }
    for (int waited = 0; waited < timeout_ms && qe__proc_alive(pid); waited++) {
        (void) poll(NULL, 0, 1);
    }
}

void qe__proc_kill(pid_t pid)
{
    (void) kill(-pid, SIGKILL);
    (void) kill(pid, SIGKILL);
}

bool qe__proc_takes_signal(pid_t pid, int sig, bool *blocked)
{
    char path[40], text[4096];
    uint64_t mask = UINT64_C(1) << (sig - 1);
    const char *at;
    ssize_t n;
    int fd;

    *blocked = false;
    (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    n = read(fd, text, sizeof(text) - 1);
    (void) close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "SigBlk:");
    if (at != NULL && (strtoull(at + 7, NULL, 16) & mask) != 0) {
        *blocked = true;
        return false;
    }
    at = strstr(text, "SigCgt:");
    return at != NULL && (strtoull(at + 7, NULL, 16) & mask) != 0;
}

static void usage_of(const struct rusage *from, qe__usage *out)
{
    out->cpu_s =
        (double) (from->ru_utime.tv_sec + from->ru_stime.tv_sec) +
        (double) (from->ru_utime.tv_usec + from->ru_stime.tv_usec) / 1e6;
    out->peak_bytes = (uint64_t) from->ru_maxrss * 1024;
}

pid_t qe__proc_reap(pid_t pid, int *status, qe__usage *usage)
{
    struct rusage from;
    pid_t reaped;

    memset(&from, 0, sizeof(from));
    *status = 0;
    do {
        reaped = wait4(pid, status, 0, &from);
    } while (reaped < 0 && errno == EINTR);
    usage_of(&from, usage);
    return reaped;
}

void qe__proc_usage(qe__usage *usage)
{
    struct rusage from;

    memset(&from, 0, sizeof(from));
    (void) getrusage(RUSAGE_SELF, &from);
    usage_of(&from, usage);
}

void qe__proc_sweep(uint64_t limit_ns)
{
    uint64_t until = qe_now_ns() + limit_ns;
    char path[64], text[8192];

    (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children",
                    (int) getpid());
    while (qe_now_ns() < until) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
        char *at = text;

        if (fd >= 0) {
            (void) close(fd);
        }
        text[n > 0 ? n : 0] = '\0';
        for (long pid = strtol(at, &at, 10); pid > 0;
             pid = strtol(at, &at, 10)) {
            (void) kill((pid_t) pid, SIGKILL);
        }
        for (;;) {
            pid_t pid = waitpid(-1, NULL, WNOHANG);

            if (pid < 0 && errno == ECHILD) {
                return;
            }
            if (pid <= 0) {
                break;
            }
        }
        (void) poll(NULL, 0, 1);
    }
}

void qe__proc_null_stdin(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd > 0) {
        (void) dup2(fd, 0);
        (void) close(fd);
    } else if (fd == 0) { /* there was none: keep it, as dup2 would */
        (void) fcntl(fd, F_SETFD, 0);
    }
}
