/* Time, and how many processors there are. */
#include "qe_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qe_util.h"

/* The largest mask we ask for; Linux itself stops at 8192 processors. */
#define MAX_PROCESSORS (1 << 20)

uint64_t qe_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * UINT64_C(1000000000) + (uint64_t) t.tv_nsec;
}

double qe_wall_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static unsigned affinity_cpus(void)
{
    long online;
    int n;

    /* The kernel refuses a mask smaller than its own with EINVAL, and says
     * nowhere how large its own is. */
    for (n = CPU_SETSIZE; n <= MAX_PROCESSORS; n *= 2) {
        size_t size = CPU_ALLOC_SIZE((size_t) n);
        cpu_set_t *mask = CPU_ALLOC((size_t) n);
        int count = 0;
        int failed;

        if (mask == NULL)
            break;
        CPU_ZERO_S(size, mask);
        failed = sched_getaffinity(0, size, mask) != 0 ? errno : 0;
        if (!failed)
            count = CPU_COUNT_S(size, mask);
        CPU_FREE(mask);
        if (!failed && count > 0)
            return (unsigned) count;
        if (failed != EINVAL)
            break;
    }
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned) online : 1;
}

/* Reads a small file whole; false if it is missing or does not fit. */
static bool read_file(const char *path, char *text, size_t size)
{
    size_t used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    while (used + 1 < size) {
        ssize_t n = read(fd, text + used, size - 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t) n;
    }
    close(fd);
    text[used] = '\0';
    return used > 0 && used + 1 < size;
}

/* quota/period rounded up; UINT_MAX where that is no limit. */
static unsigned quota_cpus(long long quota, long long period)
{
    long long cpus;

    if (quota <= 0 || period <= 0)
        return UINT_MAX;
    cpus = quota / period + (quota % period != 0);
    return cpus < UINT_MAX ? (unsigned) cpus : UINT_MAX;
}

/* The limit of one group of version 2: "max 100000" or "150000 100000". */
static unsigned group_cpus_v2(const char *directory)
{
    char path[PATH_MAX + 32];
    char text[128];
    long long quota, period;

    snprintf(path, sizeof path, "%s/cpu.max", directory);
    if (!read_file(path, text, sizeof text) ||
        sscanf(text, "%lld %lld", &quota, &period) != 2)
        return UINT_MAX;
    return quota_cpus(quota, period);
}

/* The same of version 1: two files, and a quota of -1 for none. */
static unsigned group_cpus_v1(const char *directory)
{
    char path[PATH_MAX + 32];
    char text[128];
    long long quota, period;

    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    if (!read_file(path, text, sizeof text) ||
        sscanf(text, "%lld", &quota) != 1)
        return UINT_MAX;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    if (!read_file(path, text, sizeof text) ||
        sscanf(text, "%lld", &period) != 1)
        return UINT_MAX;
    return quota_cpus(quota, period);
}

/* The least limit of a group and all groups above it. A container often names
 * the path that the host sees, which does not exist inside: the walk still
 * ends at the mount point, and that is then the container's own group. */
static unsigned path_cpus(const char *root, const char *mount,
                          const char *group,
                          unsigned (*group_cpus)(const char *))
{
    char path[PATH_MAX];
    size_t base;
    unsigned least = UINT_MAX;
    int n;

    n = snprintf(path, sizeof path, "%s%s", root, mount);
    if (n < 0 || (size_t) n >= sizeof path)
        return UINT_MAX;
    base = (size_t) n;
    /* A group outside our cgroup namespace begins with "/..". */
    if (strstr(group, "/..") == NULL)
        n = snprintf(path + base, sizeof path - base, "%s", group);
    if (n < 0 || (size_t) n >= sizeof path - base)
        path[base] = '\0';

    for (;;) {
        unsigned cpus = group_cpus(path);
        char *slash;

        if (cpus < least)
            least = cpus;
        if (path[base] == '\0')
            return least;
        slash = strrchr(path + base, '/');
        *(slash != NULL ? slash : path + base) = '\0';
    }
}

static bool has_cpu_controller(const char *controllers)
{
    const char *at = controllers;

    for (;;) {
        size_t n = strcspn(at, ",");

        if (n == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        if (at[n] == '\0')
            return false;
        at += n + 1;
    }
}

/* One line of /proc/self/cgroup: "hierarchy:controllers:/group". */
static unsigned line_cpus(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;

    if (group == NULL)
        return UINT_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    if (controllers[0] == '\0')
        return path_cpus(root, "/sys/fs/cgroup", group, group_cpus_v2);
    if (has_cpu_controller(controllers)) {
        unsigned one =
            path_cpus(root, "/sys/fs/cgroup/cpu", group, group_cpus_v1);
        unsigned two =
            path_cpus(root, "/sys/fs/cgroup/cpu,cpuacct", group, group_cpus_v1);

        return one < two ? one : two;
    }
    return UINT_MAX;
}

unsigned qe__cgroup_cpus(const char *root)
{
    char path[PATH_MAX];
    char text[8192];
    char *line, *rest;
    unsigned least = UINT_MAX;
    int n;

    n = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (n < 0 || (size_t) n >= sizeof path ||
        !read_file(path, text, sizeof text))
        return UINT_MAX;
    for (line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        unsigned cpus = line_cpus(root, line);

        if (cpus < least)
            least = cpus;
    }
    return least;
}

unsigned qe_cpu_count(void)
{
    unsigned affinity = affinity_cpus();
    unsigned quota = qe__cgroup_cpus("");

    return quota < affinity ? quota : affinity;
}
