/* Commands as units, while processes of the run are killed, held or refused
 * what they need. */
#include "session_world.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

/* A command that says in a file who it is, with one more in its group. */
#define SAYS_AND_STAYS "sleep 1000 & echo $! $$ >%s.tmp; mv %s.tmp %s; wait"

static char folder[64];
static enum qe_outcome ended_as;
static char said[512];

static void on_end(struct world *w, const qe_event *e)
{
    (void) w;
    if (e->kind == QE_EV_FINISH) {
        size_t n =
            e->data_size < sizeof(said) - 1 ? e->data_size : sizeof(said) - 1;

        ended_as = e->outcome;
        if (n > 0)
            memcpy(said, e->data, n);
        said[n] = '\0';
    }
}

static int setup(void **state)
{
    struct world *w;

    if (world_setup(state) != 0)
        return -1;
    w = *state;
    w->options.start = QE_START_COMMAND;
    w->options.grace_ns = 200 * WORLD_MS;
    w->on_event = on_end;
    snprintf(folder, sizeof(folder), "/tmp/qe-command-XXXXXX");
    ended_as = QE_NONE;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    DIR *all = opendir(folder);
    struct dirent *entry;
    char path[512];

    while (all != NULL && (entry = readdir(all)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        (void) unlink(path);
    }
    if (all != NULL)
        closedir(all);
    (void) rmdir(folder);
    return world_teardown(state);
}

static void shell(struct world *w, const char *script, uint32_t retries,
                  uint64_t timeout_ns)
{
    char *argv[] = {"sh", "-c", (char *) script, NULL};
    char id[32];
    qe_unit unit = {.id = id,
                    .item = w->units * 3,
                    .retries = retries,
                    .timeout_ns = timeout_ns,
                    .argv = argv};

    snprintf(id, sizeof(id), "command %u", w->units);
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->unit[w->units++].retries = retries;
}

static void add_stayer(struct world *w, const char *name, uint32_t retries)
{
    char script[1024], path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(script, sizeof(script), SAYS_AND_STAYS, path, path, path);
    shell(w, script, retries, 0);
}

/* Who it said it is; false where it has not yet. */
static bool read_pids(const char *name, int pids[2])
{
    char path[128];
    FILE *file;
    bool good;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    good = fscanf(file, "%d %d", &pids[0], &pids[1]) == 2;
    fclose(file);
    return good;
}

/* An attempt may begin before its worker's process id is told. */
static pid_t worker_of(const struct world *w, const qe_event *e)
{
    return (pid_t) atomic_load(&w->session->exec.arena.slots[e->slot].pid);
}

static void a_killed_worker_takes_its_command_along(void **state)
{
    struct world *w = *state;
    int pids[2] = {0, 0};
    qe_event event;

    add_stayer(w, "a", 0);
    shell(w, "echo next", 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(read_pids("a", pids));
    assert_int_equal(kill(worker_of(w, &event), SIGKILL), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_CRASHED);
    assert_int_equal(w->unit[0].losses, 1);
    assert_int_equal(WTERMSIG(w->unit[0].status), SIGKILL);
    assert_int_equal(w->unit[1].outcome, QE_PASSED);
    /* They were killed by then; the system may take its time. */
    WORLD_WAIT(!world_runs(pids[0]) && !world_runs(pids[1]));
}

static void a_killed_supervisor_costs_no_outcome(void **state)
{
    struct world *w = *state;
    int pids[2] = {0, 0};
    char script[512];
    qe_event event;

    /* Stays the first time, so that it is there to be killed. */
    snprintf(script, sizeof(script),
             "if [ -e %s/b ]; then exit 0; fi; " SAYS_AND_STAYS, folder,
             "$PWD/b", "$PWD/b", "$PWD/b");
    {
        char *argv[] = {"sh", "-c", script, NULL};
        qe_unit unit = {.id = "b", .argv = argv, .cwd = folder};

        assert_int_equal(qe_plan_add(w->plan, &unit), 0);
        w->units++;
    }
    shell(w, "true", 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(read_pids("b", pids));
    assert_int_equal(kill(w->session->exec.super, SIGKILL), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].voids, 1);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->unit[1].outcome, QE_PASSED);
    assert_false(world_runs(pids[1]));
    WORLD_WAIT(!world_runs(pids[0]));
}

static void a_killed_host_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    int pids[2] = {0, 0}, status;
    pid_t host;

    add_stayer(w, "a", 0);
    host = fork();
    if (host == 0) {
        qe_event event;

        w->host = getpid();
        world_start(w);
        for (;;)
            world_poll(w, &event);
    }
    WORLD_WAIT(read_pids("a", pids));
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_int_equal(waitpid(host, &status, 0), host);
    WORLD_WAIT(!world_runs(pids[0]) && !world_runs(pids[1]));
    assert_true(world_reap_all(world_patience_ns()));
}

static uint64_t next_random(struct world *w)
{
    w->random =
        w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return w->random >> 33;
}

static void killed_workers_lose_and_double_nothing(void **state)
{
    struct world *w = *state;
    int kills = 0, most = scratch_slow() ? 10 : 60;
    qe_event event;

    w->seed = w->random = 20260101;
    w->options.workers = 2;
    for (int i = 0; i < 150; i++)
        shell(w, "sleep 0.01", 60, 0);
    world_start(w);
    do {
        world_next(w, &event);
        if (event.kind == QE_EV_START && kills < most &&
            next_random(w) % 2 == 0) {
            usleep((useconds_t) (next_random(w) % 15000));
            if (w->pid[event.slot] > 0) /* its end is not told */
                (void) kill(w->pid[event.slot], SIGKILL);
            kills++;
        }
    } while (event.kind != QE_EV_DONE);
    world_check(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_true(w->unit[u].outcome == QE_PASSED ||
                    w->unit[u].outcome == QE_FLAKY);
    assert_true(kills > most / 2);
}

static void a_stuck_worker_is_killed_after_the_grace(void **state)
{
    struct world *w = *state;
    int pids[2];
    char script[1024], path[128];
    qe_event event;

    snprintf(path, sizeof(path), "%s/a", folder);
    snprintf(script, sizeof(script), SAYS_AND_STAYS, path, path, path);
    shell(w, script, 0, 1000 * WORLD_MS);
    shell(w, "true", 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(read_pids("a", pids));
    assert_int_equal(kill(worker_of(w, &event), SIGSTOP), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_TIMEOUT);
    assert_int_equal(w->unit[0].losses, 1);
    assert_int_equal(w->unit[1].outcome, QE_PASSED);
    assert_false(world_runs(pids[0]));
    assert_false(world_runs(pids[1]));
}

/* No more descriptors for a worker than it has; or again as many as before. With
 * a limit of 0 it could not even poll. */
static struct rlimit before;

static void limit(pid_t pid, bool on)
{
    struct rlimit none = {0, before.rlim_max};

    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, on ? &none : &before, NULL),
                     0);
}

static void without_descriptors_it_is_tried_again(void **state)
{
    struct world *w = *state;
    uint64_t until;
    qe_event event;

    if (scratch_slow())
        skip(); /* valgrind keeps limits of its own, and gives those to sh */

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    shell(w, "sleep 0.3; echo first", 0, 0);
    shell(w, "echo second", 0, 0);
    shell(w, "echo third", 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(atomic_load(&w->session->exec.arena.slots[event.slot].group) !=
               0);
    limit(worker_of(w, &event), true);
    world_until(w, QE_EV_START, 1, &event);
    until = qe_now_ns() + 300 * WORLD_MS;
    while (qe_now_ns() < until)
        world_poll(w, &event);
    limit(worker_of(w, &event), false);
    world_until(w, QE_EV_FINISH, 1, &event);
    assert_string_equal(said, "second\n");
    assert_int_equal(ended_as, QE_PASSED);
    world_finish(w);
    world_check(w);
}

static void without_descriptors_for_long_it_is_an_error(void **state)
{
    struct world *w = *state;
    qe_event event;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    shell(w, "sleep 0.3; echo first", 0, 0);
    shell(w, "echo second", 0, 0);
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(atomic_load(&w->session->exec.arena.slots[event.slot].group) !=
               0);
    limit(worker_of(w, &event), true);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_int_equal(w->unit[1].outcome, QE_ERROR);
    assert_string_equal(said, "qe: cannot start sh: Too many open files\n");
}

static size_t descriptors_of(pid_t pid)
{
    char path[64];
    size_t n = 0;
    DIR *all;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
    all = opendir(path);
    assert_non_null(all);
    while (readdir(all) != NULL)
        n++;
    closedir(all);
    return n;
}

static void many_commands_leave_no_descriptor(void **state)
{
    struct world *w = *state;
    uint32_t many = scratch_slow() ? 100 : 2000;
    size_t first;
    qe_event event;

    for (uint32_t i = 0; i < many; i++)
        shell(w, "exit 0", 0, 0);
    /* Holds the worker until it was looked at. */
    shell(w, "sleep 0.5", 0, 0);
    w->options.in_order = true;
    world_start(w);
    world_until(w, QE_EV_FINISH, 0, &event);
    first = descriptors_of(worker_of(w, &event));
    world_until(w, QE_EV_START, many, &event);
    /* A command that runs may have two pipes open, in the worker as well. */
    assert_true(descriptors_of(worker_of(w, &event)) <= first + 4);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->workers, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_killed_worker_takes_its_command_along),
        T(a_killed_supervisor_costs_no_outcome),
        T(a_killed_host_leaves_nothing_behind),
        T(killed_workers_lose_and_double_nothing),
        T(a_stuck_worker_is_killed_after_the_grace),
        T(without_descriptors_it_is_tried_again),
        T(without_descriptors_for_long_it_is_an_error),
        T(many_commands_leave_no_descriptor),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
