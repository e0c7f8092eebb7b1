/* What tests need of qe_clock.c beyond qe.h. Internal. */
#ifndef QE_CLOCK_H
#define QE_CLOCK_H

/* The processors that cgroup quotas allow, rounded up, at least 1; UINT_MAX
 * where there is no quota. `root` is prepended to /proc and /sys; tests point
 * it at a tree of their own, everyone else says "". */
unsigned qe__cgroup_cpus(const char *root);

#endif
