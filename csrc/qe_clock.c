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

#include "qe_cgroup.h"
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

/* quota/period rounded up; UINT_MAX where that is no limit. */
static unsigned quota_cpus(long long quota, long long period)
{
    long long cpus;

    if (quota <= 0 || period <= 0)
        return UINT_MAX;
    cpus = quota / period + (quota % period != 0);
    return cpus < UINT_MAX ? (unsigned) cpus : UINT_MAX;
}

/* The limit of one group: "max 100000" or "150000 100000"; of version 1 two files,
 * and a quota of -1 for none. */
static void take_quota(void *arg, const char *directory, int version)
{
    unsigned *least = arg, cpus;
    char text[128];
    long long quota, period;

    if (version == 2) {
        if (!qe__cgroup_read(directory, "cpu.max", text, sizeof text) ||
            sscanf(text, "%lld %lld", &quota, &period) != 2)
            return;
    } else if (!qe__cgroup_read(directory, "cpu.cfs_quota_us", text,
                                sizeof text) ||
               sscanf(text, "%lld", &quota) != 1 ||
               !qe__cgroup_read(directory, "cpu.cfs_period_us", text,
                                sizeof text) ||
               sscanf(text, "%lld", &period) != 1) {
        return;
    }
    cpus = quota_cpus(quota, period);
    if (cpus < *least)
        *least = cpus;
}

unsigned qe__cgroup_cpus(const char *root)
{
    unsigned least = UINT_MAX;

    qe__cgroup_each(root, "cpu", take_quota, &least);
    return least;
}

unsigned qe_cpu_count(void)
{
    unsigned affinity = affinity_cpus();
    unsigned quota = qe__cgroup_cpus("");

    return quota < affinity ? quota : affinity;
}
