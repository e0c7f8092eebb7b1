/* Processors: one of them, the lowest claim to it, load beside. */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "qe_changing.h"
#include "qe_util.h"

#define MOST_BUSY 2

/* The nth (from 0) of the processors in a set. */
static bool nth_cpu(const cpu_set_t *of, int nth, cpu_set_t *out)
{
    CPU_ZERO(out);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, of) && nth-- == 0) {
            CPU_SET(cpu, out);
            return true;
        }
    }
    return false;
}

/* The life of a process that computes, in bursts of 1 to 16 ms: it rests for 2 ms, or a
 * worker that is IDLE beside it would never come to run. It calls nothing that another
 * thread of the worker may have had locked. */
static _Noreturn void compute(pid_t worker, const cpu_set_t *cpu)
{
    static const struct timespec rest = {0, 2000000};
    uint64_t random = (uint64_t) worker;

    (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (syscall(SYS_getppid) != worker) {
        _exit(0);
    }
    (void) syscall(SYS_close_range, 0U, ~0U, 0U);
    (void) sched_setaffinity(0, sizeof(*cpu), cpu);
    for (;;) {
        uint64_t until =
            qe_now_ns() + (1 + qe__random(&random) % 16) * 1000000u;

        while (qe_now_ns() < until) {}
        (void) nanosleep(&rest, NULL);
    }
}

/* No signal when it ends, so that no wait(2) of a test sees it: then the supervisor
 * reaps it. All signals are blocked, so that a handler of the worker's, which may
 * write to a pipe that they share, never runs in it. */
static bool start_load(const cpu_set_t *cpu)
{
    pid_t worker = getpid();
    sigset_t all, before;
    long pid;

    (void) sigfillset(&all);
    (void) sigprocmask(SIG_SETMASK, &all, &before);
    pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        compute(worker, cpu);
    }
    (void) sigprocmask(SIG_SETMASK, &before, NULL);
    return pid > 0;
}

/* Calls this with each thread of this process: what one sets for itself the others do
 * not have. False if it fails for one. */
static bool for_threads(bool (*set)(pid_t thread, const cpu_set_t *cpu),
                        const cpu_set_t *cpu)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;
    bool done = dir != NULL;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        long thread = strtol(entry->d_name, NULL, 10);

        /* One that has just ended needs nothing. */
        if (thread > 0 && !set((pid_t) thread, cpu) && errno != ESRCH) {
            done = false;
        }
    }
    if (dir != NULL) {
        (void) closedir(dir);
    }
    return done;
}

static bool pin(pid_t thread, const cpu_set_t *cpu)
{
    return sched_setaffinity(thread, sizeof(*cpu), cpu) == 0;
}

static bool make_idle(pid_t thread, const cpu_set_t *cpu)
{
    struct sched_param none = {0};

    (void) cpu;
    return sched_setscheduler(thread, SCHED_IDLE, &none) == 0;
}

uint32_t qe__changing_cpu(uint32_t flags)
{
    cpu_set_t allowed, one;
    uint32_t refused = 0;
    bool known = sched_getaffinity(0, sizeof(allowed), &allowed) == 0;

    if ((flags & QE_ONE_CPU) != 0) {
        if (known && nth_cpu(&allowed, 0, &one) && for_threads(pin, &one)) {
            allowed = one;
        } else {
            refused |= QE_ONE_CPU;
        }
    }
    /* Before IDLE, which they would inherit. */
    for (int i = 0; (flags & QE_BUSY) != 0 && i < MOST_BUSY; i++) {
        if (!known || (nth_cpu(&allowed, i, &one) && !start_load(&one))) {
            refused |= QE_BUSY;
        }
    }
    if ((flags & QE_IDLE) != 0 && !for_threads(make_idle, NULL)) {
        refused |= QE_IDLE;
    }
    return refused;
}
