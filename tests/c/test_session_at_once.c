/* How many commands run at once, and how far apart they start, while the host
 * changes its mind. */
#include "session_world.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

/* A command has a file "run.N" while it runs, and stays until there is "go". */
static char folder[64];

static int setup(void **state)
{
    struct world *w;

    if (world_setup(state) != 0)
        return -1;
    w = *state;
    w->options.start = QE_START_COMMAND;
    w->options.workers = 6;
    snprintf(folder, sizeof(folder), "/tmp/qe-at-once-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    return world_teardown(state) != 0 || system(command) != 0 ? -1 : 0;
}

static void add(struct world *w, const char *script)
{
    char *argv[] = {"sh", "-c", (char *) script, NULL};
    char id[32];
    qe_unit unit = {
        .id = id, .item = w->units * 3, .argv = argv, .cwd = folder};

    snprintf(id, sizeof(id), "command %u", w->units);
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->units++;
}

static void add_waiters(struct world *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        add(w, ">run.$$; while [ ! -e go ]; do sleep 0.01; done; rm run.$$");
}

/* Those that say how many ran with them, of which the most count. */
static void add_counters(struct world *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        add(w, ">run.$$; set -- run.*; echo $# >>many; rm run.$$");
}

static uint32_t running(void)
{
    DIR *all = opendir(folder);
    struct dirent *entry;
    uint32_t n = 0;

    assert_non_null(all);
    while ((entry = readdir(all)) != NULL)
        n += strncmp(entry->d_name, "run.", 4) == 0;
    closedir(all);
    return n;
}

static void go(void)
{
    char path[80];

    snprintf(path, sizeof(path), "%s/go", folder);
    scratch_write(path, "", 0);
}

static uint32_t most_at_once(void)
{
    char path[80];
    FILE *file;
    uint32_t most = 0, n;

    snprintf(path, sizeof(path), "%s/many", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fscanf(file, "%u", &n) == 1)
        most = n > most ? n : most;
    fclose(file);
    return most;
}

/* Runs until so many run, and a little longer: no more come. */
static void settle_at(struct world *w, uint32_t n)
{
    uint64_t until = qe_now_ns() + world_patience_ns();
    qe_event event;

    while (running() < n) {
        world_poll(w, &event);
        assert_true(qe_now_ns() < until);
    }
    until = qe_now_ns() + 200 * WORLD_MS;
    while (qe_now_ns() < until) {
        world_poll(w, &event);
        assert_int_equal(running(), n);
    }
}

static void a_limit_is_kept_whatever_the_workers(void **state)
{
    struct world *w = *state;
    qe_event event;

    add_counters(w, scratch_slow() ? 20 : 200);
    w->options.throttle_ns = UINT64_C(1000000000000);
    world_start(w);
    world_until(w, QE_EV_FINISH, QE__NONE, &event);
    assert_int_equal(qe_session_limit(w->session, 2, 0), 0);
    world_finish(w);
    world_check(w);
    assert_in_range(most_at_once(), 1, 2);
}

static void a_limit_can_be_raised_and_taken_away(void **state)
{
    struct world *w = *state;

    add_waiters(w, 12);
    /* One starts before the limit is set. */
    w->options.throttle_ns = UINT64_C(1000000000000);
    world_start(w);
    settle_at(w, 1);
    assert_int_equal(qe_session_limit(w->session, 2, 0), 0);
    settle_at(w, 2);
    assert_int_equal(qe_session_limit(w->session, 5, 0), 0);
    settle_at(w, 5);
    assert_int_equal(qe_session_limit(w->session, 0, 0), 0);
    settle_at(w, 6);
    go();
    world_finish(w);
    world_check(w);
}

static void of_a_lowered_limit_what_runs_knows_nothing(void **state)
{
    struct world *w = *state;

    add_waiters(w, 6);
    add_counters(w, 30);
    w->options.in_order = true;
    world_start(w);
    settle_at(w, 6);
    assert_int_equal(qe_session_limit(w->session, 1, 0), 0);
    settle_at(w, 6);
    go();
    world_finish(w);
    world_check(w);
    /* Waiters remove their files a little before they have ended. */
    assert_int_equal(most_at_once(), 1);
}

static void a_killed_workers_room_is_free(void **state)
{
    struct world *w = *state;
    const qe__arena_slot *ran = NULL;
    qe_event event;

    /* Which of the two starts first is open, as both are claimed before. */
    add_waiters(w, 2);
    add_counters(w, 10);
    w->options.in_order = true;
    w->options.workers = 2;
    w->options.throttle_ns = UINT64_C(1000000000000);
    world_start(w);
    settle_at(w, 1);
    /* Under the throttle, the one that waits does not yet ask for room. */
    for (uint32_t i = 0; i < 2; i++) {
        if (atomic_load(&w->session->exec.arena.slots[i].turn) != 0)
            ran = &w->session->exec.arena.slots[i];
    }
    assert_non_null(ran);
    assert_int_equal(qe_session_limit(w->session, 1, 0), 0);
    assert_int_equal(kill((pid_t) atomic_load(&ran->pid), SIGKILL), 0);
    world_until(w, QE_EV_LOST, QE__NONE, &event);
    assert_in_range(event.unit, 0, 1);
    go();
    world_finish(w);
    world_check(w);
    for (uint32_t u = 0; u < w->units; u++) {
        if (u != event.unit)
            assert_int_equal(w->unit[u].outcome, QE_PASSED);
    }
}

static void a_dead_supervisors_room_is_free(void **state)
{
    struct world *w = *state;

    add_waiters(w, 3);
    w->options.throttle_ns = UINT64_C(1000000000000);
    world_start(w);
    settle_at(w, 1);
    assert_int_equal(qe_session_limit(w->session, 1, 0), 0);
    assert_int_equal(kill(w->session->exec.super, SIGKILL), 0);
    go();
    world_finish(w);
    world_check(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
}

static void a_lowered_throttle_holds_at_once(void **state)
{
    struct world *w = *state;

    add_waiters(w, 4);
    w->options.throttle_ns = UINT64_C(1000000000000); /* a quarter of an hour */
    world_start(w);
    settle_at(w, 1);
    assert_int_equal(qe_session_limit(w->session, 0, 10 * WORLD_MS), 0);
    settle_at(w, 4);
    assert_int_equal(qe_session_limit(w->session, 0, 0), 0);
    go();
    world_finish(w);
    world_check(w);
}

static void a_raised_throttle_holds_at_once(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    add_waiters(w, 4);
    world_start(w);
    settle_at(w, 3);
    assert_int_equal(qe_session_limit(w->session, 0, UINT64_MAX), 0);
    go();
    /* The fourth waits for ever, though there is room; until that is over. */
    for (int i = 0; i < 50; i++) {
        qe_event event;

        world_poll(w, &event);
    }
    assert_int_equal(qe_session_limit(w->session, 0, 0), 0);
    world_finish(w);
    world_check(w);
}

static void a_stop_ends_the_wait(void **state)
{
    struct world *w = *state;

    add_waiters(w, 8);
    w->options.throttle_ns = UINT64_C(1000000000000);
    world_start(w);
    settle_at(w, 1);
    assert_int_equal(qe_session_stop(w->session, false), 0);
    go();
    world_finish(w);
    assert_int_equal(w->unit[0].finals + w->unit[1].finals + w->unit[2].finals +
                         w->unit[3].finals + w->unit[4].finals +
                         w->unit[5].finals + w->unit[6].finals +
                         w->unit[7].finals,
                     1);
}

static void it_is_for_commands_alone(void **state)
{
    struct world *w = *state;

    w->options.start = QE_START_FORK;
    (void) world_add(w, NULL, 0, 0, 0);
    world_start(w);
    assert_int_equal(qe_session_limit(w->session, 1, 0), QE_EINVAL);
    world_finish(w);
    world_check(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_limit_is_kept_whatever_the_workers),
        T(a_limit_can_be_raised_and_taken_away),
        T(of_a_lowered_limit_what_runs_knows_nothing),
        T(a_killed_workers_room_is_free),
        T(a_dead_supervisors_room_is_free),
        T(a_lowered_throttle_holds_at_once),
        T(a_raised_throttle_holds_at_once),
        T(a_stop_ends_the_wait),
        T(it_is_for_commands_alone),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
