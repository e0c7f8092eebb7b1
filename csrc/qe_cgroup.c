#include "qe_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct walk {
    const char *root;
    const char *controller;
    void (*visit)(void *arg, const char *directory, int version);
    void *arg;
} walk;

bool qe__cgroup_read(const char *directory, const char *name, char *text,
                     size_t size)
{
    char path[PATH_MAX + 64];
    size_t used = 0;
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = n > 0 && (size_t) n < sizeof path
                 ? open(path, O_RDONLY | O_CLOEXEC)
                 : -1;

    if (fd < 0)
        return false;
    while (used + 1 < size) {
        ssize_t got = read(fd, text + used, size - 1 - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t) got;
    }
    close(fd);
    text[used] = '\0';
    return used > 0 && used + 1 < size;
}

static void visit_upwards(const walk *w, const char *mount, const char *group,
                          int version)
{
    char path[PATH_MAX];
    size_t base;
    int n;

    n = snprintf(path, sizeof path, "%s%s", w->root, mount);
    if (n < 0 || (size_t) n >= sizeof path)
        return;
    base = (size_t) n;
    /* A group outside our cgroup namespace begins with "/..". */
    if (strstr(group, "/..") == NULL)
        n = snprintf(path + base, sizeof path - base, "%s", group);
    if (n < 0 || (size_t) n >= sizeof path - base)
        path[base] = '\0';

    for (;;) {
        char *slash;

        w->visit(w->arg, path, version);
        if (path[base] == '\0')
            return;
        slash = strrchr(path + base, '/');
        *(slash != NULL ? slash : path + base) = '\0';
    }
}

static bool names(const char *controllers, const char *one)
{
    const char *at = controllers;

    for (;;) {
        size_t n = strcspn(at, ",");

        if (n == strlen(one) && memcmp(at, one, n) == 0)
            return true;
        if (at[n] == '\0')
            return false;
        at += n + 1;
    }
}

/* Where version 2 is: beside version 1 it has a folder of its own (systemd's "hybrid"). */
static const char *mount_2(const walk *w)
{
    static const char unified[] = "/sys/fs/cgroup/unified";
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s/cgroup.controllers", w->root,
                     unified);

    return n > 0 && (size_t) n < sizeof path && access(path, F_OK) == 0
               ? unified
               : "/sys/fs/cgroup";
}

/* One line of /proc/self/cgroup: "hierarchy:controllers:/group". Version 1 mounts one
 * controller by its name, or several by all of theirs. */
static void visit_line(const walk *w, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    char mount[256];

    if (group == NULL)
        return;
    *controllers++ = '\0';
    *group++ = '\0';
    if (controllers[0] == '\0') {
        visit_upwards(w, mount_2(w), group, 2);
    } else if (names(controllers, w->controller)) {
        (void) snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s",
                        w->controller);
        visit_upwards(w, mount, group, 1);
        if (strcmp(w->controller, "cpu") == 0)
            visit_upwards(w, "/sys/fs/cgroup/cpu,cpuacct", group, 1);
    }
}

void qe__cgroup_each(const char *root, const char *controller,
                     void (*visit)(void *arg, const char *directory,
                                   int version),
                     void *arg)
{
    walk w = {root, controller, visit, arg};
    char path[PATH_MAX];
    char text[8192];
    char *line, *rest;
    int n = snprintf(path, sizeof path, "%s/proc/self", root);

    if (n < 0 || (size_t) n >= sizeof path ||
        !qe__cgroup_read(path, "cgroup", text, sizeof text))
        return;
    for (line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        visit_line(&w, line);
    }
}
