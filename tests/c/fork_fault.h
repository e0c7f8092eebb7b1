/*
 * Makes forks fail, in whichever process of the run. Included by one file of a
 * test program that is linked with --wrap for fork.
 */
#ifndef FORK_FAULT_H
#define FORK_FAULT_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Shared by all processes; NULL: no fork fails. */
static struct {
    _Atomic int32_t skip;   /* so many forks succeed, */
    _Atomic int32_t refuse; /* then so many fail */
    _Atomic uint32_t refused;
} * fork_fault;

pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t __wrap_fork(void)
{
    if (fork_fault != NULL && atomic_fetch_sub(&fork_fault->skip, 1) <= 0 &&
        atomic_fetch_sub(&fork_fault->refuse, 1) > 0) {
        atomic_fetch_add(&fork_fault->refused, 1);
        errno = EAGAIN;
        return -1;
    }
    return __real_fork();
}

static inline void fork_fault_lay(int32_t skip, int32_t refuse)
{
    fork_fault = mmap(NULL, sizeof(*fork_fault), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(&fork_fault->skip, skip);
    atomic_store(&fork_fault->refuse, refuse);
}

static inline void fork_fault_lift(void)
{
    if (fork_fault != NULL) {
        munmap(fork_fault, sizeof(*fork_fault));
    }
    fork_fault = NULL;
}

#endif
