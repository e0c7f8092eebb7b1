#include "qe_proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "scratch.h"

#define MS UINT64_C(1000000)
#define LONG_MS 120000

/* What children tell. */
struct shared {
    _Atomic int32_t pid[8];
    _Atomic uint32_t ready, go;
};

static int shared_setup(void **state)
{
    *state = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *state == MAP_FAILED ? -1 : 0;
}

static int shared_teardown(void **state)
{
    return munmap(*state, sizeof(struct shared));
}

static void await_count(_Atomic uint32_t *count, uint32_t n)
{
    uint64_t until = qe_now_ns() + LONG_MS * MS;

    while (atomic_load(count) < n && qe_now_ns() < until)
        (void) poll(NULL, 0, 1);
    assert_true(atomic_load(count) >= n);
}

static int sleep_for_ever(void *argument)
{
    struct shared *s = argument;

    atomic_fetch_add(&s->ready, 1);
    for (;;)
        (void) poll(NULL, 0, 1000);
    return 1;
}

/* -------------------------------------------------------------------- signals */

static void handler(int sig)
{
    (void) sig;
}

static bool is(int sig, void (*wanted)(int))
{
    struct sigaction action;

    return sigaction(sig, NULL, &action) == 0 && action.sa_handler == wanted;
}

static int quiet_and_restore(void *argument)
{
    static const int quiet[] = {SIGINT,  SIGQUIT, SIGHUP,  SIGTSTP, SIGTTIN,
                                SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2};
    struct sigaction action;
    qe__signals saved;
    sigset_t mask, before;

    (void) argument;
    /* As a host may have them: some handled, some ignored, some blocked. */
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    (void) signal(SIGHUP, SIG_IGN);
    (void) signal(SIGUSR2, SIG_DFL);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);

    qe__signals_quiet(&saved);
    for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
        if (!is(quiet[i], SIG_IGN) || kill(getpid(), quiet[i]) != 0)
            return 1;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    if (!is(SIGCHLD, SIG_DFL) || !sigismember(&mask, SIGCHLD) ||
        !sigismember(&mask, SIGUSR1) || !is(SIGTERM, SIG_DFL))
        return 2;

    qe__signals_restore(&saved);
    if (!is(SIGINT, handler) || !is(SIGCHLD, handler) || !is(SIGHUP, SIG_IGN) ||
        !is(SIGUSR2, SIG_DFL))
        return 3;
    sigaction(SIGINT, NULL, &action);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    if ((action.sa_flags & SA_RESTART) == 0 || sigismember(&mask, SIGCHLD) ||
        !sigismember(&mask, SIGUSR1))
        return 4;
    return 0;
}

static void quiet_signals_come_back_as_they_were(void **state)
{
    (void) state;
    scratch_in_child(quiet_and_restore, NULL);
}

/* How a child stands to SIGUSR1 and to a real-time signal. */
static int stand(void *argument)
{
    struct shared *s = argument;
    uint32_t how = atomic_load(&s->go);
    sigset_t mask;

    sigemptyset(&mask);
    if (how & 1)
        (void) signal(SIGUSR1, handler);
    else
        (void) signal(SIGUSR1, how & 4 ? SIG_IGN : SIG_DFL);
    if (how & 1)
        (void) signal(SIGRTMAX - 2, handler);
    if (how & 2) {
        sigaddset(&mask, SIGUSR1);
        sigaddset(&mask, SIGRTMAX - 2);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return sleep_for_ever(s);
}

static void only_a_handler_that_is_not_blocked_takes_a_signal(void **state)
{
    struct shared *s = *state;
    const int signals[] = {SIGUSR1, SIGRTMAX - 2};

    if (scratch_slow())
        skip(); /* under valgrind a process blocks all signals but in calls */
    for (uint32_t how = 0; how < 8; how++) {
        pid_t pid;

        atomic_store(&s->go, how);
        atomic_store(&s->ready, 0);
        pid = scratch_fork(stand, s);
        await_count(&s->ready, 1);
        for (size_t i = 0; i < 2; i++) {
            bool blocked = true;
            bool takes = qe__proc_takes_signal(pid, signals[i], &blocked);

            assert_int_equal(takes, (how & 3) == 1);
            assert_int_equal(blocked, (how & 2) != 0);
        }
        qe__proc_kill(pid);
        (void) scratch_wait(pid);
    }
}

static void a_process_that_is_gone_takes_no_signal(void **state)
{
    pid_t pid = scratch_fork(sleep_for_ever, *state);
    bool blocked = true;

    qe__proc_kill(pid);
    (void) scratch_wait(pid);
    assert_false(qe__proc_takes_signal(pid, SIGUSR1, &blocked));
    assert_false(blocked);
}

/* -------------------------------------------------------------------- reaping */

static int use_much(void *argument)
{
    uint64_t until;
    volatile uint64_t n = 0;
    char *memory = malloc(40 << 20);
    struct rusage *none = argument;

    (void) none;
    if (memory == NULL)
        return 1;
    memset(memory, 1, 40 << 20);
    until = qe_now_ns() + 100 * MS;
    while (qe_now_ns() < until)
        n += (uint64_t) memory[n % (40 << 20)];
    free(memory);
    return 5;
}

static void a_reaped_child_tells_its_status_and_usage(void **state)
{
    pid_t pid = scratch_fork(use_much, NULL);
    qe__usage usage;
    int status;

    (void) state;
    assert_int_equal(qe__proc_reap(pid, &status, &usage), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    assert_true(usage.cpu_s > 0.01 && usage.cpu_s < 60);
    assert_true(usage.peak_bytes >= 40 << 20);
    assert_true(usage.peak_bytes < (uint64_t) 64 << 30);
    /* Once. */
    assert_int_equal(qe__proc_reap(pid, &status, &usage), -1);
}

static void a_killed_child_tells_the_signal(void **state)
{
    struct shared *s = *state;
    pid_t pid = scratch_fork(sleep_for_ever, s);
    qe__usage usage;
    int status;

    await_count(&s->ready, 1);
    assert_true(qe__proc_alive(pid));
    qe__proc_kill(pid);
    assert_int_equal(qe__proc_reap(pid, &status, &usage), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(qe__proc_alive(pid));
}

static void what_this_process_used_grows(void **state)
{
    qe__usage before, after;
    uint64_t until = qe_now_ns() + 30 * MS;

    (void) state;
    qe__proc_usage(&before);
    do
        qe__proc_usage(&after);
    while (after.cpu_s <= before.cpu_s || qe_now_ns() < until);
    assert_true(after.cpu_s > before.cpu_s);
    assert_true(before.peak_bytes > 100000);
}

/* ------------------------------------------------------------- life and death */

static void a_process_that_waits_to_be_reaped_is_not_alive(void **state)
{
    struct shared *s = *state;
    pid_t pid = scratch_fork(sleep_for_ever, s);
    siginfo_t info;

    await_count(&s->ready, 1);
    qe__proc_kill(pid);
    assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(qe__proc_alive(pid));
    qe__proc_await(pid, LONG_MS); /* at once, or this takes minutes */
    (void) scratch_wait(pid);
}

static void a_pidfd_tells_of_the_end(void **state)
{
    struct shared *s = *state;
    pid_t pid = scratch_fork(sleep_for_ever, s);
    int fd = qe__proc_pidfd(pid);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd < 0) {
        qe__proc_kill(pid);
        (void) scratch_wait(pid);
        print_message("pidfd_open is missing here\n");
        skip();
    }
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(poll(&p, 1, 0), 0);
    qe__proc_kill(pid);
    assert_int_equal(poll(&p, 1, LONG_MS), 1);
    close(fd);
    (void) scratch_wait(pid);
    assert_int_equal(qe__proc_pidfd(pid), -1);
}

static int end_when_told(void *argument)
{
    struct shared *s = argument;

    while (atomic_load(&s->go) == 0)
        (void) poll(NULL, 0, 1);
    return 0;
}

/* A grandchild, which this process cannot wait for. */
static int have_a_child(void *argument)
{
    struct shared *s = argument;
    pid_t pid = fork();

    if (pid == 0)
        _exit(end_when_told(s));
    atomic_store(&s->pid[0], pid);
    atomic_fetch_add(&s->ready, 1);
    return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

static void await_a_grandchild(struct shared *s)
{
    pid_t child = scratch_fork(have_a_child, s);
    pid_t pid;
    uint64_t since;

    await_count(&s->ready, 1);
    pid = atomic_load(&s->pid[0]);
    since = qe_now_ns();
    qe__proc_await(pid, 30); /* it lives on */
    assert_true(qe_now_ns() - since >= 29 * MS);
    assert_true(qe__proc_alive(pid));
    atomic_store(&s->go, 1);
    qe__proc_await(pid, LONG_MS);
    assert_false(qe__proc_alive(pid));
    assert_true(qe_now_ns() - since < LONG_MS / 2 * MS);
    assert_int_equal(scratch_wait(child), 0);
    qe__proc_await(pid, LONG_MS); /* nothing to wait for */
}

static void the_end_of_a_process_can_be_awaited(void **state)
{
    await_a_grandchild(*state);
}

/* As where pidfd_open is refused: a process may have no more descriptors. */
static void it_can_be_awaited_without_a_pidfd(void **state)
{
    struct rlimit old, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    /* Three are open, and a fourth would be the pidfd: /proc is not read then
     * either, and the process counts as alive until it is reaped. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    await_a_grandchild(*state);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static int lead_a_group(void *argument)
{
    struct shared *s = argument;

    (void) setpgid(0, 0);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();

        if (pid == 0)
            return sleep_for_ever(s);
        atomic_store(&s->pid[i], pid);
    }
    return sleep_for_ever(s);
}

static void a_kill_reaches_the_group(void **state)
{
    struct shared *s = *state;
    pid_t pid = scratch_fork(lead_a_group, s);

    await_count(&s->ready, 3);
    qe__proc_kill(pid);
    (void) scratch_wait(pid);
    for (int i = 0; i < 2; i++)
        qe__proc_await(atomic_load(&s->pid[i]), LONG_MS);
    for (int i = 0; i < 2; i++)
        assert_false(qe__proc_alive(atomic_load(&s->pid[i])));
}

/* ---------------------------------------------------------------------- sweep */

static void scatter(struct shared *s, int depth)
{
    /* Each level in a session of its own, parents gone before their children
     * or after them, deaf to what can be ignored. */
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            (void) setsid();
            (void) signal(SIGTERM, SIG_IGN);
            (void) signal(SIGHUP, SIG_IGN);
            if (depth > 1)
                scatter(s, depth - 1);
            atomic_fetch_add(&s->ready, 1);
            if (depth > 1 && i == 0)
                _exit(0);
            for (;;)
                (void) poll(NULL, 0, 1000);
        }
    }
}

static int sweep_all(void *argument)
{
    struct shared *s = argument;
    uint64_t since, took;

    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return 1;
    scatter(s, 3); /* 2 + 4 + 8 processes */
    while (atomic_load(&s->ready) < 14)
        (void) poll(NULL, 0, 1);
    since = qe_now_ns();
    qe__proc_sweep(LONG_MS * MS);
    took = qe_now_ns() - since;
    if (took > LONG_MS / 2 * MS)
        return 2;
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 3;
}

static void a_sweep_leaves_no_descendant(void **state)
{
    scratch_in_child(sweep_all, *state);
}

static int sweep_nothing(void *argument)
{
    (void) argument;
    qe__proc_sweep(LONG_MS * MS);
    return 0;
}

static void a_sweep_without_children_ends_at_once(void **state)
{
    scratch_in_child(sweep_nothing, *state);
}

static int null_stdin(void *argument)
{
    char byte;

    (void) argument;
    qe__proc_null_stdin();
    if (read(0, &byte, 1) != 0 || fcntl(0, F_GETFD) != 0)
        return 1;
    close(0);
    qe__proc_null_stdin(); /* also where there was none */
    return read(0, &byte, 1) == 0 && fcntl(0, F_GETFD) == 0 ? 0 : 2;
}

static void standard_input_becomes_empty(void **state)
{
    scratch_in_child(null_stdin, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, shared_setup, shared_teardown)
        T(quiet_signals_come_back_as_they_were),
        T(only_a_handler_that_is_not_blocked_takes_a_signal),
        T(a_process_that_is_gone_takes_no_signal),
        T(a_reaped_child_tells_its_status_and_usage),
        T(a_killed_child_tells_the_signal),
        T(what_this_process_used_grows),
        T(a_process_that_waits_to_be_reaped_is_not_alive),
        T(a_pidfd_tells_of_the_end),
        T(the_end_of_a_process_can_be_awaited),
        T(it_can_be_awaited_without_a_pidfd),
        T(a_kill_reaches_the_group),
        T(a_sweep_leaves_no_descendant),
        T(a_sweep_without_children_ends_at_once),
        T(standard_input_becomes_empty),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
