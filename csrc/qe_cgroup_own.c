/* A control group of one's own, for what is executed. */
#include "qe_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qe_util.h"

#define NAME "qe-run-%d-%d"
#define NAMES_MAX 10000
#define PERIOD_US 100000
#define GONE_NS (2000 * QE__MS)
#define LOOK_NS (1 * QE__MS)

struct qe_cgroup {
    char directory[PATH_MAX];
    char procs[PATH_MAX + 16];
    int fd; /* of the directory, locked */
    bool memory, cpu;
};

/* ------------------------------------------------------------------- its files */

static int open_in(int directory, const char *name, int flags)
{
    return openat(directory, name, flags | O_CLOEXEC);
}

static bool write_in(int directory, const char *name, const char *text)
{
    int fd = open_in(directory, name, O_WRONLY);
    ssize_t n;

    if (fd < 0) {
        return false;
    }
    do {
        n = write(fd, text, strlen(text));
    } while (n < 0 && errno == EINTR);
    (void) close(fd);
    return n == (ssize_t) strlen(text);
}

static bool has_word(const char *directory, const char *name, const char *word)
{
    char text[1024];
    char *one, *rest;

    if (!qe__cgroup_read(directory, name, text, sizeof(text))) {
        return false;
    }
    for (one = strtok_r(text, " \n", &rest); one != NULL;
         one = strtok_r(NULL, " \n", &rest)) {
        if (strcmp(one, word) == 0) {
            return true;
        }
    }
    return false;
}

/* The number behind `key`, "oom_kill " of memory.events; behind "": a file's only one. */
static uint64_t number_of(const char *directory, const char *name,
                          const char *key)
{
    char text[1024];
    const char *at;

    if (!qe__cgroup_read(directory, name, text, sizeof(text))) {
        return 0;
    }
    at = strstr(text, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* ------------------------------------------------------------------------ where */

typedef struct places {
    char own[PATH_MAX], above[PATH_MAX];
    int seen;
} places;

static void take_place(void *arg, const char *directory, int version)
{
    places *p = arg;

    if (version != 2 || p->seen >= 2) {
        return;
    }
    (void) snprintf(p->seen == 0 ? p->own : p->above, PATH_MAX, "%s",
                    directory);
    p->seen++;
}

static bool is_limited(const char *directory)
{
    static const char *const files[] = {"memory.max", "memory.high", "cpu.max",
                                        "pids.max"};

    for (size_t i = 0; i < QE__COUNT(files); i++) {
        char text[128];

        if (qe__cgroup_read(directory, files[i], text, sizeof(text)) &&
            strncmp(text, "max", 3) != 0) {
            return true;
        }
    }
    return false;
}

/* Sets which of the limits can hold in groups below a directory; false for none of
 * those that are asked for. */
static bool suits(qe_cgroup *group, const char *directory,
                  const qe_cgroup_limits *limits)
{
    group->memory = limits->memory_bytes != 0 &&
                    has_word(directory, "cgroup.subtree_control", "memory");
    group->cpu = limits->cpu_milli != 0 &&
                 has_word(directory, "cgroup.subtree_control", "cpu");
    return group->memory || group->cpu ||
           (limits->memory_bytes == 0 && limits->cpu_milli == 0 &&
            qe__cgroup_read(directory, "cgroup.controllers", (char[1024]){0},
                            1024));
}

/* ------------------------------------------------------------- what is left behind */

static void pause_ns(uint64_t ns)
{
    struct timespec time = {.tv_nsec = (long) ns};

    (void) nanosleep(&time, NULL);
}

/* Before Linux 5.14 there is no cgroup.kill. */
static void kill_each(int directory)
{
    int fd = open_in(directory, "cgroup.procs", O_RDONLY);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    int pid;

    if (file == NULL) {
        if (fd >= 0) {
            (void) close(fd);
        }
        return;
    }
    while (fscanf(file, "%d", &pid) == 1) {
        if (pid > 1) {
            (void) kill(pid, SIGKILL);
        }
    }
    (void) fclose(file);
}

static void clear(int fd, const char *path)
{
    uint64_t until = qe_now_ns() + GONE_NS;

    while (rmdir(path) != 0 && errno == EBUSY && qe_now_ns() < until) {
        if (!write_in(fd, "cgroup.kill", "1")) {
            kill_each(fd);
        }
        pause_ns(LOOK_NS);
    }
}

/* The lock is its maker's, and of what that forked. */
static int lock(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void) close(fd);
        fd = -1;
    }
    return fd;
}

static void sweep(const char *place)
{
    DIR *dir = opendir(place);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        int fd, n, pid, number, end = 0;

        if (sscanf(entry->d_name, NAME "%n", &pid, &number, &end) != 2 ||
            end == 0 || entry->d_name[end] != '\0') {
            continue; /* somebody else's */
        }
        n = snprintf(path, sizeof(path), "%s/%s", place, entry->d_name);
        fd = n > 0 && (size_t) n < sizeof(path) ? lock(path) : -1;
        if (fd >= 0) {
            clear(fd, path);
            (void) close(fd);
        }
    }
    if (dir != NULL) {
        (void) closedir(dir);
    }
}

/* ------------------------------------------------------------------------ making */

bool qe__cgroup_enter(const char *procs)
{
    int fd = open(procs, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, "0", 1) == 1; /* "0": who writes it */
}

/* Nothing else knows whether a process may be moved there from where it is. */
static bool can_enter(const char *procs)
{
    int status = 0;
    pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

    if (pid == 0) {
        _exit(qe__cgroup_enter(procs) ? 0 : errno);
    }
    if (pid < 0) {
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    return errno == 0;
}

static bool set_limits(const qe_cgroup *group, const qe_cgroup_limits *limits)
{
    char text[64];

    if (group->memory) {
        (void) snprintf(text, sizeof(text), "%" PRIu64, limits->memory_bytes);
        if (!write_in(group->fd, "memory.max", text)) {
            return false;
        }
        /* There is no such file where there is no swap. */
        (void) write_in(group->fd, "memory.swap.max", "0");
    }
    if (group->cpu) {
        (void) snprintf(text, sizeof(text), "%" PRIu64 " %d",
                        (uint64_t) limits->cpu_milli * PERIOD_US / 1000,
                        PERIOD_US);
        return write_in(group->fd, "cpu.max", text);
    }
    return true;
}

/* A directory of our own in a place, locked. */
static bool make_directory(qe_cgroup *group, const char *place)
{
    for (int number = 0; number < NAMES_MAX; number++) {
        int n = snprintf(group->directory, sizeof(group->directory), "%s/" NAME,
                         place, (int) getpid(), number);

        if (n < 0 || (size_t) n >= sizeof(group->directory)) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (mkdir(group->directory, 0755) != 0) {
            if (errno == EEXIST) {
                continue;
            }
            return false;
        }
        group->fd = lock(group->directory);
        /* Another one's sweep may have been faster than the lock. */
        if (group->fd >= 0 &&
            faccessat(group->fd, "cgroup.procs", W_OK, 0) == 0) {
            return true;
        }
        if (group->fd >= 0) {
            (void) close(group->fd);
            group->fd = -1;
            if (access(group->directory, F_OK) == 0) {
                (void) rmdir(group->directory);
                errno = EACCES; /* it may not be entered */
                return false;
            }
        }
    }
    errno = EEXIST;
    return false;
}

static bool make_in(qe_cgroup *group, const char *place,
                    const qe_cgroup_limits *limits)
{
    int error;

    sweep(place);
    if (!make_directory(group, place)) {
        return false;
    }
    (void) snprintf(group->procs, sizeof(group->procs), "%s/cgroup.procs",
                    group->directory);
    if (set_limits(group, limits) && can_enter(group->procs)) {
        return true;
    }
    error = errno;
    clear(group->fd, group->directory);
    (void) close(group->fd);
    group->fd = -1;
    errno = error;
    return false;
}

int qe__cgroup_new(qe_cgroup **out, const char *root,
                   const qe_cgroup_limits *limits)
{
    qe_cgroup *group;
    places *p;
    bool made = false;
    int error = EOPNOTSUPP;

    *out = NULL;
    if (limits->cpu_milli != 0 && limits->cpu_milli < 10) {
        return QE_EINVAL;
    }
    group = calloc(1, sizeof(*group));
    p = calloc(1, sizeof(*p));
    if (group == NULL || p == NULL) {
        free(group);
        free(p);
        return QE_ENOMEM;
    }
    group->fd = -1;
    qe__cgroup_each(root, "", take_place, p);
    if (p->seen > 0 && suits(group, p->own, limits)) {
        made = make_in(group, p->own, limits);
        error = errno;
    }
    if (!made && p->seen > 1 && !is_limited(p->own) &&
        suits(group, p->above, limits)) {
        made = make_in(group, p->above, limits);
        error = errno;
    }
    free(p);
    if (!made) {
        free(group);
        errno = error;
        return QE_ESYS;
    }
    *out = group;
    return 0;
}

int qe_cgroup_new(qe_cgroup **out, const qe_cgroup_limits *limits)
{
    return qe__cgroup_new(out, "", limits);
}

bool qe_cgroup_limits_memory(const qe_cgroup *group)
{
    return group->memory;
}

bool qe_cgroup_limits_cpu(const qe_cgroup *group)
{
    return group->cpu;
}

const char *qe_cgroup_procs(const qe_cgroup *group)
{
    return group->procs;
}

void qe_cgroup_free(qe_cgroup *group, qe_cgroup_end *end)
{
    if (end != NULL) {
        *end = (qe_cgroup_end){0, 0};
    }
    if (group == NULL) {
        return;
    }
    if (end != NULL && group->memory) {
        end->oom_kills =
            number_of(group->directory, "memory.events", "\noom_kill ");
        end->peak_bytes = number_of(group->directory, "memory.peak", "");
    }
    clear(group->fd, group->directory);
    (void) close(group->fd);
    free(group);
}
