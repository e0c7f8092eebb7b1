/* The control groups that this process is in. Internal. */
#ifndef QE_CGROUP_H
#define QE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "qe.h"

/* Calls `visit` for the group's directory, and for each above it, where a controller of
 * version 1 or 2 may have its files. A container often names the path that the host
 * sees, which does not exist inside: the walk still ends at the mount point, and that is
 * then the container's own group. `root` is prepended to /proc and /sys; tests point it
 * at a tree of their own, everyone else says "". */
void qe__cgroup_each(const char *root, const char *controller,
                     void (*visit)(void *arg, const char *directory,
                                   int version),
                     void *arg);
/* Reads a small file of a directory whole; false if it is missing or does not fit. */
bool qe__cgroup_read(const char *directory, const char *name, char *text,
                     size_t size);
/* qe_cgroup_new and qe_memory_bytes, likewise. */
int qe__cgroup_new(qe_cgroup **out, const char *root,
                   const qe_cgroup_limits *limits);
uint64_t qe__memory_bytes(const char *root);
/* Moves this process into the group of that cgroup.procs; false with errno. For a child
 * that has its parent's memory: the descriptor stays open until it executes. */
bool qe__cgroup_enter(const char *procs);

#endif
