#include "qe_child.h"
#include "qe_cgroup.h"
#include "qe_warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES ((size_t) 65536)
#define READS_MAX 16

/* A refusal word: where it failed, and errno. */
#define IN_CHDIR 0x10000u
#define IN_EXEC 0x20000u
#define IN_CGROUP 0x40000u

extern char **environ;

static void limit(int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit now;

    if (soft == 0 || getrlimit(resource, &now) != 0) {
        return;
    }
    if (hard < now.rlim_max) {
        now.rlim_max = hard;
    }
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    (void) setrlimit(resource, &now);
}

static void limit_all(const qe_limits *limits)
{
    limit(RLIMIT_DATA, limits->memory_bytes, limits->memory_bytes);
    limit(RLIMIT_CPU, limits->cpu_s,
          limits->cpu_s < UINT64_MAX ? limits->cpu_s + 1 : UINT64_MAX);
    limit(RLIMIT_NOFILE, limits->files, limits->files);
}

/* In the child, which has its parent's memory until it executes. */
static _Noreturn void become(const qe__child *c, pid_t parent,
                             const int writes[2], const sigset_t *mask)
{
    const qe__command *command = c->command;
    uint32_t place = IN_CGROUP;

    (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) {
        _exit(127); /* it died before the line above */
    }
    /* In this order: a hold that comes between the two is lifted by either group. */
    atomic_store(c->words.group, (uint32_t) getpid());
    (void) setpgid(0, 0);
    if (command->limits.cgroup == NULL ||
        qe__cgroup_enter(command->limits.cgroup)) {
        place = IN_CHDIR;
        if (dup2(writes[0], 1) >= 0 && dup2(writes[1], 2) >= 0 &&
            (command->cwd == NULL || chdir(command->cwd) == 0)) {
            place = IN_EXEC;
            limit_all(&command->limits);
            (void) sigprocmask(SIG_SETMASK, mask, NULL);
            (void) execvp(command->argv[0], command->argv);
        }
    }
    atomic_store(c->words.refusal, place | (uint32_t) errno);
    _exit(127);
}

/* No page table is copied, however large the host was. The child has this
 * memory meanwhile, and this function's frame is all that it writes to. */
static pid_t launch(const qe__child *c, const int writes[2],
                    const sigset_t *mask)
{
    pid_t parent = getpid();
    pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

    if (pid == 0) {
        become(c, parent, writes, mask); /* NOLINT(clang-analyzer-unix.Vfork) */
    }
    return pid;
}

static void close_both(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            (void) close(fds[i]);
            fds[i] = -1;
        }
    }
}

static int open_streams(qe__child *c, int writes[2])
{
    for (int i = 0; i < 2; i++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) != 0) {
            return QE_ESYS;
        }
        c->streams[i] = ends[0];
        writes[i] = ends[1];
        /* Our end alone: a command may not expect that of its own. */
        (void) fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

int qe__child_start(qe__child *c, const qe__command *command,
                    const qe__child_words *words, const sigset_t *mask)
{
    int writes[2] = {-1, -1};
    char **own = environ, **merged = NULL;
    int status, saved;
    pid_t pid;

    c->words = *words;
    c->command = command;
    c->pid = 0;
    c->streams[0] = c->streams[1] = c->server = -1;
    c->ended = c->lost = false;
    atomic_store(words->refusal, 0);
    status = open_streams(c, writes);
    if (status == 0 && command->env[0] != NULL) {
        merged = qe__command_environ(command, own);
        status = merged != NULL ? 0 : QE_ENOMEM;
        if (merged == NULL) {
            errno = ENOMEM;
        }
    }
    if (status == 0 && command->warm != NULL && !c->cold &&
        command->limits.cgroup == NULL) {
        c->pid = qe__warm_start(&c->server, command,
                                merged != NULL ? merged : own, writes);
        atomic_store(words->group, (uint32_t) c->pid);
    }
    if (status == 0 && c->pid == 0) {
        /* Also where its PATH is looked up. */
        environ = merged != NULL ? merged : own;
        pid = launch(c, writes, mask);
        environ = own;
        if (pid < 0) {
            status = QE_ESYS;
        } else {
            c->pid = pid;
        }
    }
    saved = errno;
    free(merged);
    close_both(writes);
    if (status != 0) {
        close_both(c->streams);
    }
    errno = saved;
    return status;
}

void qe__child_read(qe__child *c, int stream, qe__excerpt *to)
{
    char bytes[READ_BYTES];

    for (int i = 0; i < READS_MAX && c->streams[stream] >= 0; i++) {
        ssize_t n = read(c->streams[stream], bytes, sizeof(bytes));

        if (n > 0) {
            qe__excerpt_add(to, bytes, (size_t) n);
            if ((size_t) n == sizeof(bytes)) {
                continue;
            }
            return; /* what comes later is told */
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0 || errno != EAGAIN) {
            (void) close(c->streams[stream]);
            c->streams[stream] = -1;
        }
        return;
    }
}

bool qe__child_ended(qe__child *c)
{
    siginfo_t info;

    if (c->server >= 0) {
        c->ended = c->ended || qe__warm_ended(c->server);
        return c->ended;
    }
    memset(&info, 0, sizeof(info));
    return waitid(P_PID, (id_t) c->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
               0 ||
           info.si_pid != 0;
}

void qe__child_signal(const qe__child *c, int sig)
{
    /* Once: a second one could meet a process that has heard the first, and ends. */
    if (c->pid > 0 && kill(-c->pid, sig) != 0) {
        (void) kill(c->pid, sig);
    }
}

void qe__child_refused(qe__excerpt *to, const char *what, const char *name,
                       int error)
{
    const char *parts[] = {"qe: cannot ",   what, " ", name, ": ",
                           strerror(error), "\n"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        qe__excerpt_add(to, parts[i], strlen(parts[i]));
    }
}

static void say_refusal(const qe__child *c, uint32_t refusal, qe__excerpt *to)
{
    bool in_exec = (refusal & IN_EXEC) != 0;
    const char *place = (refusal & IN_CGROUP) != 0 ? c->command->limits.cgroup
                                                   : c->command->cwd;

    qe__child_refused(to, in_exec ? "start" : "enter",
                      in_exec || place == NULL ? c->command->argv[0] : place,
                      (int) (refusal & 0xffffu));
}

bool qe__child_reap(qe__child *c, qe__excerpt to[2], int *status,
                    qe__usage *usage)
{
    uint32_t refusal;

    /* Grandchildren: while it is not reaped, the group is still its own. */
    (void) kill(-c->pid, SIGKILL);
    for (int i = 0; i < 2; i++) {
        qe__child_read(c, i, &to[i]);
    }
    close_both(c->streams);
    atomic_store(c->words.group, 0);
    if (c->server >= 0) {
        c->lost = !qe__warm_reap(c->server, status, usage);
        (void) close(c->server);
        c->server = -1;
    } else {
        (void) qe__proc_reap(c->pid, status, usage);
    }
    c->pid = 0;
    refusal = atomic_load(c->words.refusal);
    if (refusal != 0) {
        say_refusal(c, refusal, &to[1]);
    }
    return refusal == 0;
}
