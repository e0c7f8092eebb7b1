/* What a worker changes around it, in real processes, and where that is refused. */
#include "around_fault.h" /* whose calls the program is linked with */
#include "changing_help.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#define CLOCK_S 1.7e9

/* --------------------------------------------------------------- processors */

static enum qe_outcome body_one_cpu(struct world *w, qe_worker *worker,
                                    const qe_claim *claim)
{
    cpu_set_t set;

    (void) worker;
    (void) claim;
    NOTE(w, sched_getaffinity(0, sizeof(set), &set) == 0);
    NOTE(w, CPU_COUNT(&set) == 1);
    NOTE(w, sched_getscheduler(0) == SCHED_IDLE);
    return QE_PASSED;
}

static void one_processor_and_the_lowest_claim(void **state)
{
    qe_around around = {.flags = QE_ONE_CPU | QE_IDLE};

    assert_int_equal(run(*state, &around, 2, body_one_cpu), 0);
}

static void *wait_for_ever(void *arg)
{
    atomic_store((_Atomic uint64_t *) arg, (uint64_t) gettid());
    for (;;) {
        (void) pause();
    }
    return NULL;
}

static void begin_with_a_thread(struct world *w, qe_worker *worker)
{
    pthread_t thread;

    NOTE(w, pthread_create(&thread, NULL, wait_for_ever, &w->shared->word[1]) ==
                0);
    while (atomic_load(&w->shared->word[1]) == 0) {
        world_pause();
    }
    begin(w, worker);
}

static enum qe_outcome body_two_threads(struct world *w, qe_worker *worker,
                                        const qe_claim *claim)
{
    pid_t other = (pid_t) atomic_load(&w->shared->word[1]);
    cpu_set_t set;

    NOTE(w, sched_getaffinity(other, sizeof(set), &set) == 0);
    NOTE(w, CPU_COUNT(&set) == 1);
    NOTE(w, sched_getscheduler(other) == SCHED_IDLE);
    return body_one_cpu(w, worker, claim);
}

/* And a space of one's own would be one thread's alone. */
static void all_threads_are_changed_or_none(void **state)
{
    qe_around around = {.flags = QE_ONE_CPU | QE_IDLE | QE_NO_NETWORK};
    struct world *w = *state;

    w->begin = begin_with_a_thread;
    assert_int_equal(run(w, &around, 1, body_two_threads), QE_NO_NETWORK);
}

static enum qe_outcome body_as_ever(struct world *w, qe_worker *worker,
                                    const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    NOTE(w, sched_getscheduler(0) == SCHED_OTHER);
    NOTE(w, wait(NULL) == -1 && errno == ECHILD);
    return QE_PASSED;
}

static void what_is_refused_of_processors_is_told(void **state)
{
    qe_around around = {.flags = QE_ONE_CPU | QE_IDLE | QE_BUSY};

    around_fault.affinity = around_fault.scheduler = around_fault.clone = true;
    assert_int_equal(run(*state, &around, 1, body_as_ever),
                     QE_ONE_CPU | QE_IDLE | QE_BUSY);
}

/* Children of a process: at most `n`. */
static size_t children(pid_t parent, pid_t *out, size_t n)
{
    char path[64], text[4096];
    char *at = text;
    size_t found = 0;
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) parent,
             (int) parent);
    fd = open(path, O_RDONLY);
    got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    for (long pid = strtol(at, &at, 10); pid > 0 && found < n;
         pid = strtol(at, &at, 10)) {
        out[found++] = (pid_t) pid;
    }
    return found;
}

/* The load is in the group, seen by no wait(2), computes, and is not idle itself. */
static enum qe_outcome body_busy(struct world *w, qe_worker *worker,
                                 const qe_claim *claim)
{
    pid_t beside[4] = {0};
    size_t n = children(getpid(), beside, 4);
    cpu_set_t set;

    (void) worker;
    (void) claim;
    NOTE(w, sched_getaffinity(0, sizeof(set), &set) == 0);
    NOTE(w, n == (CPU_COUNT(&set) > 1 ? 2 : 1));
    for (size_t i = 0; i < n; i++) {
        NOTE(w, getpgid(beside[i]) == getpid());
        NOTE(w, sched_getscheduler(beside[i]) == SCHED_OTHER);
        atomic_store(&w->shared->word[1 + i], (uint64_t) beside[i]);
    }
    NOTE(w, wait(NULL) == -1 && errno == ECHILD);
    if (atomic_load(&w->shared->gate[1]) != 0) {
        (void) kill(getpid(), SIGKILL);
    }
    return QE_PASSED;
}

static bool load_is_gone(const struct world *w)
{
    for (int i = 1; i <= 2; i++) {
        pid_t pid = (pid_t) atomic_load(&w->shared->word[i]);

        if (pid != 0 && world_runs(pid)) {
            return false;
        }
    }
    return atomic_load(&w->shared->word[1]) != 0;
}

static void load_beside_ends_with_the_worker(void **state)
{
    qe_around around = {.flags = QE_BUSY | QE_IDLE};

    assert_int_equal(run(*state, &around, 1, body_busy), 0);
    WORLD_WAIT(load_is_gone(*state));
}

static void load_beside_ends_with_a_killed_worker(void **state)
{
    qe_around around = {.flags = QE_BUSY | QE_ONE_CPU};
    struct world *w = *state;

    world_open(w, 1);
    assert_int_equal(run(w, &around, 1, body_busy), 0);
    assert_int_equal(w->unit[0].outcome, QE_CRASHED);
    WORLD_WAIT(load_is_gone(w));
}

/* -------------------------------------------------------------------- limits */

static int open_many(int *fds, int n)
{
    int i = 0;

    while (i < n && (fds[i] = open("/dev/null", O_RDONLY)) >= 0) {
        i++;
    }
    return i;
}

static enum qe_outcome body_limits(struct world *w, qe_worker *worker,
                                   const qe_claim *claim)
{
    static char bytes[20000];
    int fds[32];
    int n = open_many(fds, 32);
    void *map;

    (void) claim;
    NOTE(w, n == 8);
    for (int i = 0; i < n; i++) {
        close(fds[i]);
    }
    n = memfd_create("test", 0);
    NOTE(w, write(n, bytes, sizeof(bytes)) == 16384);
    NOTE(w, write(n, bytes, 1) == -1 && errno == EFBIG);
    map = mmap(NULL, (size_t) 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
               -1, 0);
    NOTE(w, map == MAP_FAILED && errno == ENOMEM);
    map = mmap(NULL, (size_t) 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
               -1, 0);
    NOTE(w, map != MAP_FAILED);
    munmap(map, (size_t) 16 << 20);
    /* The host's own work has no limits. */
    NOTE(w, qe_worker_lift(worker) == 0);
    NOTE(w, write(n, bytes, sizeof(bytes)) == (ssize_t) sizeof(bytes));
    NOTE(w, open_many(fds, 32) == 32);
    for (int i = 0; i < 32; i++) {
        close(fds[i]);
    }
    close(n);
    return QE_PASSED;
}

static enum qe_outcome body_sets_a_limit(struct world *w, qe_worker *worker,
                                         const qe_claim *claim)
{
    struct rlimit limit;

    (void) worker;
    NOTE(w, getrlimit(RLIMIT_FSIZE, &limit) == 0);
    NOTE(w, limit.rlim_cur == (claim->unit == 0 ? 16384 : 5000));
    limit.rlim_cur = 5000;
    NOTE(w, setrlimit(RLIMIT_FSIZE, &limit) == 0);
    return QE_PASSED;
}

static void a_limit_of_the_test_s_own_stays(void **state)
{
    qe_around around = {.flags = QE_SMALL_FILES};

    assert_int_equal(run(*state, &around, 2, body_sets_a_limit), 0);
}

static void end_without_limits(struct world *w, qe_worker *worker)
{
    int fds[32];

    (void) worker;
    NOTE(w, open_many(fds, 32) == 32);
    atomic_fetch_add(&w->shared->word[1], 1);
}

static void limits_hold_in_tests_alone(void **state)
{
    qe_around around = {.flags =
                            QE_FEW_FILES | QE_SMALL_FILES | QE_LITTLE_MEMORY};
    struct world *w = *state;

    w->end = end_without_limits;
    assert_int_equal(run(w, &around, 3, body_limits), 0);
    assert_int_equal(atomic_load(&w->shared->word[1]), 1);
}

/* --------------------------------------------------------------------- clock */

/* In another object, as a test's calls are: libuv's. */
static double seen_s(void)
{
    uv_timeval64_t t;

    (void) uv_gettimeofday(&t);
    return (double) t.tv_sec + t.tv_usec / 1e6;
}

static enum qe_outcome body_clock(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    double seen = seen_s(), ahead = qe_worker_ahead_s(worker);
    uint64_t began = qe_now_ns();

    (void) claim;
    NOTE(w, seen >= CLOCK_S && seen < CLOCK_S + 5);
    NOTE(w, seen_s() >= seen);
    NOTE(w, qe_wall_s() > CLOCK_S + 1e6);
    NOTE(w, seen - ahead <= qe_wall_s() && seen - ahead > qe_wall_s() - 5);
    NOTE(w, uv_hrtime() >= began); /* which is monotonic */
    while (qe_now_ns() < began + 30 * WORLD_MS) {
        world_pause();
    }
    NOTE(w, seen_s() >= seen + .03); /* it goes on */
    return QE_PASSED;
}

static void check_start(struct world *w, const qe_event *event)
{
    (void) w;
    if (event->kind == QE_EV_START) {
        assert_true(event->start_s > CLOCK_S + 1e6);
        assert_true(event->start_s <= qe_wall_s());
    }
}

static void each_attempt_begins_at_one_time(void **state)
{
    qe_around around = {.flags = QE_CLOCK, .clock_s = CLOCK_S};
    struct world *w = *state;

    w->on_event = check_start;
    assert_int_equal(run(w, &around, 3, body_clock), 0);
    assert_true(seen_s() > CLOCK_S + 1e6); /* and only theirs */
}

static enum qe_outcome body_true_clock(struct world *w, qe_worker *worker,
                                       const qe_claim *claim)
{
    (void) claim;
    NOTE(w, seen_s() > CLOCK_S + 1e6);
    NOTE(w, qe_worker_ahead_s(worker) == 0);
    return QE_PASSED;
}

static void a_clock_that_cannot_be_set_is_told(void **state)
{
    qe_around around = {.flags = QE_CLOCK, .clock_s = CLOCK_S};

    around_fault.protect = true;
    assert_int_equal(run(*state, &around, 1, body_true_clock), QE_CLOCK);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, changing_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_processor_and_the_lowest_claim),
        TEST(all_threads_are_changed_or_none),
        TEST(what_is_refused_of_processors_is_told),
        TEST(a_limit_of_the_test_s_own_stays),
        TEST(load_beside_ends_with_the_worker),
        TEST(load_beside_ends_with_a_killed_worker),
        TEST(limits_hold_in_tests_alone),
        TEST(each_attempt_begins_at_one_time),
        TEST(a_clock_that_cannot_be_set_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
