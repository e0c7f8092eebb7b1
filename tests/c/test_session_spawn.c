/* Workers that are started by a command: this program again. */
#include "session_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scratch.h"

/* The other side: a worker that has nothing from the test but its item
 * numbers. It says its process id, which is no child's of the host. */
static int work(void)
{
    qe_worker *worker;
    qe_claim claim;
    qe_job job;

    if (qe_worker_attach(&worker) != 0)
        return 10;
    if (getenv("QE_WORKER") != NULL)
        return 11;
    qe_worker_job(worker, &job);
    if (write(job.capture_fd[0], "spawned", 7) != 7)
        return 12;
    while (qe_worker_claim(worker, true, &claim) == 1) {
        pid_t pid = getpid();

        if (qe_worker_start(worker, &claim) != 0)
            break;
        (void) qe_worker_phase(worker, QE_PHASE_CALL);
        (void) qe_worker_send(worker, 5, &pid, sizeof(pid));
        if (claim.item == 7 * 3 && claim.attempt == 1)
            (void) raise(SIGKILL);
        if (qe_worker_finish(worker, QE_PASSED, false, NULL, 0) != 0)
            return 13;
    }
    (void) qe_worker_bye(worker);
    return 0;
}

static char program[4096];
static char *const worker_argv[] = {program, "worker", NULL};

static void see_pid(struct world *w, const qe_event *e)
{
    if (e->kind == QE_EV_DATA) {
        int32_t pid;

        assert_int_equal(e->data_size, sizeof(pid));
        memcpy(&pid, e->data, sizeof(pid));
        assert_true(w->pid[e->slot] == 0 || pid == w->pid[e->slot]);
        w->random++;
    }
}

static void spawned_workers_run_all_units(void **state)
{
    struct world *w = *state;
    char text[16];

    w->options.start = QE_START_SPAWN;
    w->options.spawn_argv = worker_argv;
    w->options.workers = 2;
    w->on_event = see_pid;
    world_add_many(w, 40, 5, 0, 1);
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_int_equal(w->unit[u].outcome, u == 7 ? QE_FLAKY : QE_PASSED);
    assert_int_equal(w->random, w->units + 1);
    assert_int_equal(w->unit[7].losses, 1);
    assert_int_equal(qe_session_captured(w->session, 0, 0, text, 16), 7);
    assert_memory_equal(text, "spawned", 7);
}

static void spawned_workers_survive_a_new_supervisor(void **state)
{
    struct world *w = *state;
    qe_event event;
    pid_t super;

    w->options.start = QE_START_SPAWN;
    w->options.spawn_argv = worker_argv;
    w->options.isolate = true;
    world_add_many(w, 4, 1, 0, 0);
    world_start(w);
    world_until(w, QE_EV_EXIT, QE__NONE, &event);
    super = w->session->exec.super;
    assert_int_equal(kill(super, SIGKILL), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->give_ups, 0);
}

static void a_command_that_cannot_be_executed_gives_the_run_up(void **state)
{
    static char *const none[] = {"/nonexistent/program", NULL};
    struct world *w = *state;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), old = dup(2);

    w->options.start = QE_START_SPAWN;
    w->options.spawn_argv = none;
    world_add_many(w, 4, 2, 0, 0);
    (void) dup2(null, 2); /* it says so there, three times */
    world_start(w);
    world_finish(w);
    (void) dup2(old, 2);
    close(old);
    close(null);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_EGONE);
    assert_int_equal(w->workers, 3);
}

static void a_command_that_does_not_attach_gives_the_run_up(void **state)
{
    static char *const idle[] = {"true", NULL};
    struct world *w = *state;

    w->options.start = QE_START_SPAWN;
    w->options.spawn_argv = idle;
    world_add_many(w, 4, 2, 0, 0);
    world_start(w);
    world_finish(w);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_EGONE);
}

static void attaching_to_what_is_no_arena_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "0",
        "0:1:2:3:4",
        "0:1:2:3:4:5:6",
        "0:1:2:3:4:x",
        "a:b:c:d:e:f",
    };
    qe_worker *worker = NULL;
    char text[64];
    int fd;

    (void) state;
    unsetenv("QE_WORKER");
    assert_int_equal(qe_worker_attach(&worker), QE_EFORMAT);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("QE_WORKER", bad[i], 1);
        assert_int_equal(qe_worker_attach(&worker), QE_EFORMAT);
    }
    setenv("QE_WORKER", "0:901:902:903:904:905", 1);
    errno = 0;
    assert_int_equal(qe_worker_attach(&worker), QE_ESYS);
    assert_int_equal(errno, EBADF);
    fd = memfd_create("no arena", MFD_CLOEXEC);
    snprintf(text, sizeof(text), "0:%d:%d:%d:%d:%d", fd, fd, fd, fd, fd);
    setenv("QE_WORKER", text, 1);
    assert_int_equal(qe_worker_attach(&worker), QE_EFORMAT);
    assert_int_equal(ftruncate(fd, 100000), 0);
    assert_int_equal(qe_worker_attach(&worker), QE_EFORMAT);
    assert_null(worker);
    close(fd);
    unsetenv("QE_WORKER");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        T(spawned_workers_run_all_units),
        T(spawned_workers_survive_a_new_supervisor),
        T(a_command_that_cannot_be_executed_gives_the_run_up),
        T(a_command_that_does_not_attach_gives_the_run_up),
        T(attaching_to_what_is_no_arena_is_refused),
#undef T
    };

    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        _exit(work()); /* as workers leave: their handle is never freed */
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) <= 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
