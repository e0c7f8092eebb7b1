/* How loaded the machine is: what the kernel tells of stalls, memory and load. */
#include "qe_gauge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_cgroup.h"
#include "qe_util.h"

struct qe_gauge {
    char *root;
    uint64_t looked_ns;     /* 0: never */
    uint64_t stalled_us[2]; /* so far: for a processor, for memory */
    bool known[2];          /* ... at the last look */
};

int qe__gauge_new(qe_gauge **out, const char *root)
{
    qe_gauge *g = calloc(1, sizeof(*g));

    *out = NULL;
    if (g == NULL || (g->root = strdup(root)) == NULL) {
        free(g);
        return QE_ENOMEM;
    }
    *out = g;
    return 0;
}

int qe_gauge_new(qe_gauge **out)
{
    return qe__gauge_new(out, "");
}

void qe_gauge_free(qe_gauge *g)
{
    if (g != NULL) {
        free(g->root);
        free(g);
    }
}

/* A file of /proc below the root. */
static bool read_proc(const qe_gauge *g, const char *name, char *text,
                      size_t size)
{
    char directory[512];
    int n = snprintf(directory, sizeof(directory), "%s/proc", g->root);

    return n > 0 && (size_t) n < sizeof(directory) &&
           qe__cgroup_read(directory, name, text, size);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123", in microseconds. */
static bool read_stalls(const qe_gauge *g, const char *name, uint64_t *total)
{
    char text[512];
    const char *at;
    char *end;

    if (!read_proc(g, name, text, sizeof(text)) ||
        (at = strstr(text, "total=")) == NULL) {
        return false;
    }
    *total = strtoull(at + 6, &end, 10);
    return end != at + 6;
}

static double share_of(double part, double all)
{
    return part >= all ? 1 : part > 0 ? part / all : 0;
}

static double read_load(const qe_gauge *g)
{
    char text[256];
    unsigned running;

    /* The fourth field, "running/all", is now; the others are averages. */
    if (!read_proc(g, "loadavg", text, sizeof(text)) ||
        sscanf(text, "%*f %*f %*f %u/", &running) != 1) {
        return -1;
    }
    return (double) running / qe_cpu_count();
}

static bool read_number(const char *directory, const char *name,
                        uint64_t *number)
{
    char text[64], *end;

    if (!qe__cgroup_read(directory, name, text, sizeof(text))) {
        return false;
    }
    *number = strtoull(text, &end, 10);
    return end != text;
}

/* What a group may have; false where that is no limit. */
static bool read_limit(const char *directory, int version, uint64_t *limit)
{
    return read_number(directory,
                       version == 1 ? "memory.limit_in_bytes" : "memory.max",
                       limit) &&
           *limit != 0 && *limit < UINT64_MAX / 4;
}

static void take_limit(void *arg, const char *directory, int version)
{
    uint64_t *least = arg, limit;

    if (read_limit(directory, version, &limit) &&
        (*least == 0 || limit < *least)) {
        *least = limit;
    }
}

uint64_t qe__memory_bytes(const char *root)
{
    qe_gauge g = {.root = (char *) root};
    char text[8192];
    const char *total;
    uint64_t least = 0;

    if (read_proc(&g, "meminfo", text, sizeof(text)) &&
        (total = strstr(text, "MemTotal:")) != NULL) {
        least = strtoull(total + 9, NULL, 10) * 1024;
    }
    qe__cgroup_each(root, "memory", take_limit, &least);
    return least;
}

uint64_t qe_memory_bytes(void)
{
    return qe__memory_bytes("");
}

/* What is left of a group's memory, unless the machine has less than it may use. Pages of files count as
 * used there, though they can be had back. */
static void take_memory(void *arg, const char *directory, int version)
{
    double *least = arg, left;
    char text[8192];
    const char *at;
    uint64_t limit, used, pages = 0;

    if (!read_limit(directory, version, &limit) ||
        !read_number(directory,
                     version == 1 ? "memory.usage_in_bytes" : "memory.current",
                     &used)) {
        return;
    }
    if (qe__cgroup_read(directory, "memory.stat", text, sizeof(text)) &&
        (at = strstr(text, "inactive_file ")) != NULL) {
        pages = strtoull(at + 14, NULL, 10);
    }
    used = used > pages ? used - pages : 0;
    left = used < limit ? 1 - (double) used / (double) limit : 0;
    if (*least < 0 || left < *least) {
        *least = left;
    }
}

static double read_free_memory(const qe_gauge *g)
{
    char text[8192];
    const char *total, *left;
    double least = -1;

    if (read_proc(g, "meminfo", text, sizeof(text)) &&
        (total = strstr(text, "MemTotal:")) != NULL &&
        (left = strstr(text, "MemAvailable:")) != NULL) {
        double all = strtod(total + 9, NULL);

        least = all > 0 ? share_of(strtod(left + 13, NULL), all) : -1;
    }
    qe__cgroup_each(g->root, "memory", take_memory, &least);
    return least;
}

void qe_gauge_read(qe_gauge *g, uint64_t now_ns, qe_pressure *out)
{
    static const char *const files[] = {"pressure/cpu", "pressure/memory"};
    double *shares[] = {&out->cpu, &out->memory};
    uint64_t since_us = g->looked_ns != 0 && now_ns > g->looked_ns
                            ? (now_ns - g->looked_ns) / 1000
                            : 0;

    for (size_t i = 0; i < QE__COUNT(files); i++) {
        uint64_t total, before = g->stalled_us[i];
        bool was_known = g->known[i];

        *shares[i] = -1;
        g->known[i] = read_stalls(g, files[i], &total);
        if (!g->known[i]) {
            continue;
        }
        g->stalled_us[i] = total;
        if (was_known && since_us > 0 && total >= before) {
            *shares[i] = share_of((double) (total - before), (double) since_us);
        }
    }
    out->free_memory = read_free_memory(g);
    out->load = read_load(g);
    g->looked_ns = now_ns;
}
