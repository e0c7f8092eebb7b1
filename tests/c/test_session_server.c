/* Servers: this program again, executed with an environment of its own, which then
 * forks the workers of the passes that name it. */
#include "session_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fork_fault.h"
#include "qe_util.h"

#define SERVERS 4u
#define ROOM 240u

/* Words of the shared memory: how servers are to behave, how many were started,
 * how many were killed, and their process ids. */
enum { MODE, STARTED, KILLS, PIDS };

enum mode {
    SERVES,
    WAITS,         /* for gate 0, before it is ready */
    WAITS_FOR_ALL, /* until three were started */
    LEAVES,
    DIES,
    DIES_ASKED /* once it is asked for its first worker, if it is the first */
};

enum body { PASSES, KILLS_SERVER, KILLS_SUPERVISOR, RANDOM, CRASHES };

static enum body chosen; /* in the host and what it forks */
static char program[4096], descriptor[16], body_text[4];
static char *server_argv[] = {program, "server", descriptor, body_text, NULL};

static _Atomic uint64_t *word(const struct world *w, uint32_t n)
{
    return &w->shared->word[n];
}

/* ----------------------------------------------------------------- the server */

/* The server that this process is, or was forked from. */
static uint32_t seen_server(void)
{
    const char *seed = getenv("QE_TEST_SEED");

    return seed == NULL ? 0 : (uint32_t) atoi(seed);
}

static void kill_server(struct world *w)
{
    pid_t pid = (pid_t) atomic_load(word(w, PIDS + seen_server()));

    atomic_fetch_add(word(w, KILLS), 1);
    (void) kill(pid, SIGKILL);
}

/* The item says which server it is to be forked from. */
static enum qe_outcome body(struct world *w, qe_worker *worker,
                            const qe_claim *claim)
{
    uint64_t random = w->seed + claim->unit * 977u;
    uint64_t none = 0;

    NOTE(w, seen_server() == claim->item);
    switch (chosen) {
    case KILLS_SERVER:
        kill_server(w);
        break;
    case KILLS_SUPERVISOR:
        if (atomic_compare_exchange_strong(word(w, KILLS), &none, 1)) {
            (void) kill(getppid(), SIGKILL);
        }
        break;
    case RANDOM:
        switch (qe__random(&random) % 8) {
        case 0:
            (void) raise(SIGKILL);
            break;
        case 1:
            if (atomic_load(word(w, KILLS)) < 2) {
                kill_server(w);
            }
            break;
        default:
            break;
        }
        break;
    case CRASHES:
        if (claim->unit == 1) {
            (void) raise(SIGKILL);
        }
        if (claim->unit == 2) {
            for (;;) {
                world_pause();
            }
        }
        break;
    case PASSES:
        break;
    }
    return body_passes(w, worker, claim);
}

static bool wait_for_three(const struct world *w)
{
    uint64_t until = qe_now_ns() + world_patience_ns();

    while (atomic_load(word(w, STARTED)) < 3 && qe_now_ns() < until) {
        world_pause();
    }
    return atomic_load(word(w, STARTED)) >= 3;
}

static int serve(const char *fd, const char *body_number)
{
    struct world *w = calloc(1, sizeof(*w));
    enum mode mode;
    qe_worker *worker, *forked;
    uint64_t count;
    uint32_t slot;
    qe_job job;

    w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED, atoi(fd), 0);
    chosen = (enum body) atoi(body_number);
    w->body = body;
    mode = (enum mode) atomic_load(word(w, MODE));
    if (w->shared == MAP_FAILED || qe_worker_attach(&worker) != 0) {
        return 10;
    }
    qe_worker_job(worker, &job);
    NOTE(w, job.server == seen_server() && !job.keeper && !job.single);
    NOTE(w, getenv("QE_WORKER") == NULL && getenv("QE_TEST_GONE") == NULL);
    atomic_store(word(w, PIDS + job.server), (uint64_t) getpid());
    (void) signal(SIGINT, SIG_DFL); /* before anybody knows of this process */
    count = atomic_fetch_add(word(w, STARTED), 1);
    if (mode == WAITS) {
        NOTE(w, world_wait_gate(w, 0));
    } else if (mode == WAITS_FOR_ALL) {
        NOTE(w, wait_for_three(w));
    } else if (mode == LEAVES) {
        (void) qe_worker_send(worker, 6, "cannot", 6);
        (void) qe_worker_bye(worker);
        _exit(0);
    } else if (mode == DIES) {
        (void) raise(SIGKILL);
    }
    while (qe_keeper_wait(worker, &slot) == 1) {
        if (mode == DIES_ASKED && count == 0) {
            (void) raise(SIGKILL);
        }
        if (qe_keeper_fork(worker, slot, &forked) == 1) {
            world_work(w, forked);
        }
    }
    (void) qe_worker_bye(worker);
    _exit(0);
}

/* ------------------------------------------------------------------- the host */

static char *env_of[SERVERS][3] = {{"QE_TEST_SEED=1", "QE_TEST_GONE", NULL},
                                   {"QE_TEST_SEED=2", "QE_TEST_GONE", NULL},
                                   {"QE_TEST_SEED=3", "QE_TEST_GONE", NULL},
                                   {"QE_TEST_SEED=4", "QE_TEST_GONE", NULL}};
static char *const *const envs[SERVERS] = {env_of[0], env_of[1], env_of[2],
                                           env_of[3]};

static int setup(void **state)
{
    struct world *w;
    int fd;

    if (world_setup(state) != 0) {
        return -1;
    }
    w = *state;
    /* What a server can map, which is executed. */
    munmap(w->shared, sizeof(*w->shared));
    fd = memfd_create("shared", 0);
    if (fd < 0 || ftruncate(fd, sizeof(*w->shared)) != 0) {
        return -1;
    }
    w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED, fd, 0);
    (void) snprintf(descriptor, sizeof(descriptor), "%d", fd);
    w->open_before++;
    w->random = (uint64_t) fd;
    w->body = body;
    w->options.servers = SERVERS;
    w->options.server_env = envs;
    w->options.spawn_argv = server_argv;
    (void) setenv("QE_TEST_GONE", "here", 1);
    return 0;
}

static int teardown(void **state)
{
    int fd = atoi(descriptor);
    int status = world_teardown(state);

    (void) close(fd);
    (void) unsetenv("QE_TEST_GONE");
    return status;
}

static void begin(struct world *w, enum mode mode, enum body what)
{
    atomic_store(word(w, MODE), mode);
    chosen = what;
    (void) snprintf(body_text, sizeof(body_text), "%d", (int) what);
    for (uint32_t i = 0; i < ROOM; i++) {
        (void) world_add(w, "spare", QE_UNIT_SPARE, 0, 100 * WORLD_MS);
    }
    world_start(w);
}

/* A pass of n units that names a server; `sees`: what they are to find. */
static uint32_t give(struct world *w, uint32_t server, uint32_t sees, size_t n)
{
    uint32_t items[ROOM];
    qe_pass pass = {.number = server, .items = items, .n = n, .server = server};
    uint32_t unit = QE__NONE;

    for (size_t i = 0; i < n; i++) {
        items[i] = sees;
    }
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
    return unit;
}

/* Ends the run: all that was given came to one outcome. */
static void finish(struct world *w, uint32_t used)
{
    (void) qe_session_no_more(w->session);
    world_finish(w);
    w->units = used;
    world_check(w);
    assert_int_equal(w->give_ups, 0);
}

static void passes_have_the_environment_of_their_server(void **state)
{
    struct world *w = *state;

    w->options.workers = 2;
    begin(w, SERVES, PASSES);
    for (uint32_t i = 0; i < 20; i++) {
        (void) give(w, i % (SERVERS + 1), i % (SERVERS + 1), 3);
    }
    finish(w, 60);
    assert_int_equal(atomic_load(word(w, STARTED)), SERVERS);
    for (uint32_t u = 0; u < 60; u++) {
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
    }
    assert_true(w->session->homes == 2); /* fewer than servers */
}

static void they_start_together_and_take_no_workers_room(void **state)
{
    struct world *w = *state;

    begin(w, WAITS_FOR_ALL, PASSES);
    for (uint32_t i = 1; i <= 3; i++) {
        (void) give(w, i, i, 2);
    }
    finish(w, 6);
    assert_int_equal(atomic_load(word(w, STARTED)), 3);
}

static void one_that_nobody_names_is_not_started(void **state)
{
    struct world *w = *state;

    begin(w, SERVES, PASSES);
    (void) give(w, 0, 0, 2);
    (void) give(w, 3, 3, 2);
    finish(w, 4);
    assert_int_equal(atomic_load(word(w, STARTED)), 1);
}

static void other_passes_do_not_wait_for_it(void **state)
{
    struct world *w = *state;
    qe_event event;
    uint32_t first;

    begin(w, WAITS, PASSES);
    first = give(w, 1, 1, 2);
    (void) give(w, 2, 2, 2);
    (void) give(w, 0, 0, 2);
    world_until(w, QE_EV_FINISH, 5, &event);
    assert_int_equal(w->unit[first].starts, 0);
    world_open(w, 0);
    finish(w, 6);
}

static uint32_t gone, gone_server;
static int gone_status, gone_error;
static bool gone_said; /* there was word of it before */

static void see_gone(struct world *w, const qe_event *e)
{
    if (e->kind == QE_EV_SERVER) {
        gone++;
        gone_server = e->server;
        gone_status = e->status;
        gone_error = e->error;
        assert_int_equal(w->unit[0].starts, 0);
    }
    if (e->kind == QE_EV_DATA) {
        assert_int_equal(gone, 0);
        gone_said = e->data_size == 6 && e->slot == 2 * w->options.workers + 2;
    }
}

/* Server 2 cannot serve, which is told once and before its passes start: their
 * workers are as any other. */
static void check_gone(struct world *w, enum mode mode, int status, int error)
{
    gone = 0;
    gone_said = false;
    w->on_event = see_gone;
    begin(w, mode, PASSES);
    (void) give(w, 2, 0, 2);
    (void) give(w, 2, 0, 2);
    finish(w, 4);
    assert_int_equal(gone, 1);
    assert_int_equal(gone_server, 2);
    assert_int_equal(gone_status, status);
    assert_int_equal(gone_error, error);
}

static void one_that_dies_first_is_done_without(void **state)
{
    check_gone(*state, DIES, SIGKILL, 0);
    assert_int_equal(atomic_load(word(*state, STARTED)), 1);
}

static void one_that_leaves_first_is_done_without(void **state)
{
    check_gone(*state, LEAVES, 0, 0);
    assert_true(gone_said);
}

static void one_that_cannot_be_executed_is_done_without(void **state)
{
    static char *none[] = {"/nonexistent/program", NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), old = dup(2);
    struct world *w = *state;

    w->options.spawn_argv = none;
    (void) dup2(null, 2); /* it says so there */
    check_gone(w, SERVES, 127 << 8, 0);
    (void) dup2(old, 2);
    (void) close(old);
    (void) close(null);
}

static void one_that_the_system_refuses_is_done_without(void **state)
{
    struct world *w = *state;

    gone = 0;
    w->on_event = see_gone;
    fork_fault_lay(1000, 0);
    begin(w, SERVES, PASSES);
    atomic_store(&fork_fault->skip, 0);
    /* The standby is forked in the beginning, and may be what is refused. */
    atomic_store(&fork_fault->refuse, 2);
    (void) give(w, 2, 0, 2);
    world_until(w, QE_EV_SERVER, QE__NONE, &(qe_event){.kind = QE_EV_NONE});
    atomic_store(&fork_fault->refuse, 0);
    finish(w, 2);
    fork_fault_lift();
    assert_int_equal(gone, 1);
    assert_int_equal(gone_error, EAGAIN);
}

static void a_killed_one_is_replaced(void **state)
{
    struct world *w = *state;
    qe_event event;

    gone = 0;
    begin(w, SERVES, PASSES);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t unit = give(w, 1, 1, 2);

        world_until(w, QE_EV_FINISH, unit + 1, &event);
        if (i < 2) {
            pid_t idle = (pid_t) atomic_load(word(w, PIDS + 1));

            (void) kill(idle, SIGKILL);
            WORLD_WAIT(!world_runs(idle));
        }
    }
    finish(w, 6);
    assert_int_equal(gone, 0);
    assert_int_equal(atomic_load(word(w, STARTED)), 3);
}

static void see_any_gone(struct world *w, const qe_event *e)
{
    (void) w;
    gone += e->kind == QE_EV_SERVER;
}

static void it_is_not_replaced_for_ever(void **state)
{
    struct world *w = *state;
    qe_event event;

    gone = 0;
    w->on_event = see_any_gone;
    begin(w, SERVES, KILLS_SERVER);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t unit = give(w, 1, 1, 1);

        world_until(w, QE_EV_FINISH, unit, &event);
        if (i < 2) {
            WORLD_WAIT((world_poll(w, &event),
                        atomic_load(word(w, STARTED)) == i + 2));
        }
    }
    while (gone == 0) {
        world_next(w, &event);
    }
    (void) give(w, 1, 0, 2);
    finish(w, 5);
    assert_int_equal(gone, 1);
    assert_int_equal(atomic_load(word(w, STARTED)), 3);
}

static void one_that_dies_as_it_is_asked_is_replaced(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    begin(w, DIES_ASKED, PASSES);
    for (uint32_t i = 0; i < 6; i++) {
        (void) give(w, 1, 1, 2);
    }
    finish(w, 12);
    assert_int_equal(atomic_load(word(w, STARTED)), 2);
}

static void a_new_supervisor_has_new_ones(void **state)
{
    struct world *w = *state;

    w->options.workers = 2;
    begin(w, SERVES, KILLS_SUPERVISOR);
    for (uint32_t i = 0; i < 9; i++) {
        (void) give(w, 1 + i % 3, 1 + i % 3, 2);
    }
    (void) qe_session_no_more(w->session);
    world_finish(w);
    w->units = 18;
    world_check(w);
    assert_int_equal(atomic_load(word(w, KILLS)), 1);
    assert_in_range(atomic_load(word(w, STARTED)), 4, 6);
}

static void its_workers_crash_and_time_out_as_any(void **state)
{
    struct world *w = *state;
    uint32_t items[] = {1, 1, 1, 1};
    uint64_t limits[] = {0, 0, 100 * WORLD_MS, 0};
    qe_pass pass = {.items = items, .timeout_ns = limits, .n = 4, .server = 1};
    uint32_t unit;

    begin(w, SERVES, CRASHES);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
    (void) give(w, 1, 1, 2);
    finish(w, 6);
    assert_int_equal(w->unit[1].outcome, QE_CRASHED);
    assert_int_equal(w->unit[2].outcome, QE_TIMEOUT);
    for (uint32_t u = 3; u < 6; u++) {
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
    }
    assert_int_equal(atomic_load(word(w, STARTED)), 1);
}

static void nothing_is_lost_or_doubled_whoever_dies(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    begin(w, SERVES, RANDOM);
    for (uint32_t i = 0; i < 40; i++) {
        (void) give(w, 1 + i % SERVERS, 1 + i % SERVERS, 5);
    }
    finish(w, 200);
    for (uint32_t u = 0; u < 200; u++) {
        assert_int_equal(atomic_load(&w->shared->starts[u]), 1);
    }
}

static void a_stop_does_not_wait_for_one_that_starts(void **state)
{
    struct world *w = *state;

    begin(w, WAITS, PASSES);
    (void) give(w, 1, 1, 2);
    WORLD_WAIT(atomic_load(word(w, STARTED)) == 1);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    world_finish(w);
    assert_int_equal(atomic_load(&w->shared->all_starts), 0);
}

static char state_of(pid_t pid)
{
    char path[40], text[256] = "";
    char *at;
    int fd;

    (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
        return '?';
    }
    (void) close(fd);
    at = strrchr(text, ')');
    return at == NULL ? '?' : at[2];
}

static void a_pause_holds_it(void **state)
{
    struct world *w = *state;
    qe_event event;
    pid_t server;

    begin(w, SERVES, PASSES);
    world_until(w, QE_EV_FINISH, give(w, 1, 1, 1), &event);
    server = (pid_t) atomic_load(word(w, PIDS + 1));
    assert_int_equal(qe_session_pause(w->session, true), 0);
    WORLD_WAIT(state_of(server) == 'T');
    assert_int_equal(qe_session_pause(w->session, false), 0);
    (void) give(w, 1, 1, 1);
    finish(w, 2);
    assert_int_equal(atomic_load(word(w, STARTED)), 1);
}

static void a_spawned_worker_has_the_environment(void **state)
{
    struct world *w = *state;

    w->options.start = QE_START_SPAWN;
    server_argv[1] = "worker";
    begin(w, SERVES, PASSES);
    for (uint32_t i = 0; i < 6; i++) {
        (void) give(w, i % 3, i % 3, 2);
    }
    finish(w, 12);
    server_argv[1] = "server";
    assert_int_equal(atomic_load(word(w, STARTED)), 0);
}

static int work(const char *fd)
{
    struct world *w = calloc(1, sizeof(*w));
    qe_worker *worker;

    w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED, atoi(fd), 0);
    w->body = body;
    if (w->shared == MAP_FAILED || qe_worker_attach(&worker) != 0) {
        return 10;
    }
    world_work(w, worker);
    return 0;
}

static void what_cannot_be_is_refused(void **state)
{
    static char *unnamed[] = {"=1", NULL};
    static char *const *const wrong[] = {unnamed};
    struct world *w = *state;
    qe_options good = w->options, bad[4];
    uint32_t item = 0, unit;
    qe_pass pass = {.items = &item, .n = 1, .server = SERVERS + 1};
    qe_worker *worker;

    for (int i = 0; i < 4; i++) {
        bad[i] = good;
    }
    bad[0].spawn_argv = NULL;
    bad[1].server_env = NULL;
    bad[2].servers = 1025;
    bad[3].servers = 1;
    bad[3].server_env = wrong;
    (void) world_add(w, "spare", QE_UNIT_SPARE, 0, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            qe_session_start(&w->session, &worker, w->plan, &bad[i], NULL),
            QE_EINVAL);
    }
    world_start(w);
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), QE_EINVAL);
    assert_int_equal(qe_session_spare(w->session), 1);
    (void) qe_session_no_more(w->session);
    world_finish(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(passes_have_the_environment_of_their_server),
        T(they_start_together_and_take_no_workers_room),
        T(one_that_nobody_names_is_not_started),
        T(other_passes_do_not_wait_for_it),
        T(one_that_dies_first_is_done_without),
        T(one_that_leaves_first_is_done_without),
        T(one_that_cannot_be_executed_is_done_without),
        T(one_that_the_system_refuses_is_done_without),
        T(a_killed_one_is_replaced),
        T(it_is_not_replaced_for_ever),
        T(one_that_dies_as_it_is_asked_is_replaced),
        T(a_new_supervisor_has_new_ones),
        T(its_workers_crash_and_time_out_as_any),
        T(nothing_is_lost_or_doubled_whoever_dies),
        T(a_stop_does_not_wait_for_one_that_starts),
        T(a_pause_holds_it),
        T(a_spawned_worker_has_the_environment),
        T(what_cannot_be_is_refused),
#undef T
    };
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

    if (argc == 4 && strcmp(argv[1], "server") == 0) {
        return serve(argv[2], argv[3]);
    }
    if (argc == 4 && strcmp(argv[1], "worker") == 0) {
        return work(argv[2]);
    }
    if (n <= 0) {
        return 99;
    }
    return cmocka_run_group_tests_name("session_server", tests, NULL, NULL);
}
