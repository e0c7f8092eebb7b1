/*
 * Makes the system refuse what a worker would change around it. Included by one file
 * of a test program that is linked with --wrap for these calls.
 */
#ifndef AROUND_FAULT_H
#define AROUND_FAULT_H

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Which calls are refused; set before the run, and so equal in all its processes. */
static struct {
    int spaces; /* flags of unshare(2) that need privileges that are missing */
    bool user_space; /* and so does a user space, with which they would do */
    bool overlay, bind, protect, affinity, scheduler, clone;
} around_fault;

int __real_unshare(int flags);
int __wrap_unshare(int flags);
int __real_mount(const char *source, const char *target, const char *type,
                 unsigned long flags, const void *data);
int __wrap_mount(const char *source, const char *target, const char *type,
                 unsigned long flags, const void *data);
int __real_mprotect(void *address, size_t size, int how);
int __wrap_mprotect(void *address, size_t size, int how);
int __real_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);
int __real_sched_setscheduler(pid_t pid, int policy,
                              const struct sched_param *param);
int __wrap_sched_setscheduler(pid_t pid, int policy,
                              const struct sched_param *param);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static int around_refuse(int error)
{
    errno = error;
    return -1;
}

int __wrap_unshare(int flags)
{
    bool with_user = (flags & CLONE_NEWUSER) != 0;

    if ((flags & around_fault.spaces) != 0 &&
        (!with_user || around_fault.user_space)) {
        return around_refuse(EPERM);
    }
    return __real_unshare(flags);
}

int __wrap_mount(const char *source, const char *target, const char *type,
                 unsigned long flags, const void *data)
{
    if ((around_fault.overlay && type != NULL) ||
        (around_fault.bind && (flags & MS_BIND) != 0)) {
        return around_refuse(EINVAL);
    }
    return __real_mount(source, target, type, flags, data);
}

int __wrap_mprotect(void *address, size_t size, int how)
{
    return around_fault.protect ? around_refuse(EACCES)
                                : __real_mprotect(address, size, how);
}

int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
    return around_fault.affinity ? around_refuse(EPERM)
                                 : __real_sched_setaffinity(pid, size, set);
}

int __wrap_sched_setscheduler(pid_t pid, int policy,
                              const struct sched_param *param)
{
    return around_fault.scheduler
               ? around_refuse(EPERM)
               : __real_sched_setscheduler(pid, policy, param);
}

long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    if (around_fault.clone && number == SYS_clone) {
        return around_refuse(EAGAIN);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#endif
