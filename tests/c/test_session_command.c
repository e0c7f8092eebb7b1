/* Commands as units: what becomes of an attempt, and what is told of it. */
#include "session_world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define KEPT 8192

/* The last end of each unit. */
static struct end {
    enum qe_outcome outcome;
    int status;
    double duration_s, cpu_s;
    uint64_t peak_bytes;
    size_t out_size, err_size;
    char out[KEPT], err[KEPT];
} ends[64];

static void keep(char *to, size_t *size, const char *from, size_t n)
{
    *size = n;
    n = n < KEPT - 1 ? n : KEPT - 1;
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

static void on_end(struct world *w, const qe_event *e)
{
    struct end *end = &ends[e->unit < 64 ? e->unit : 0];

    (void) w;
    if (e->kind != QE_EV_FINISH)
        return;
    end->outcome = e->outcome;
    end->status = e->status;
    end->duration_s = e->duration_s;
    end->cpu_s = e->cpu_s;
    end->peak_bytes = e->peak_bytes;
    keep(end->out, &end->out_size, e->data, e->stdout_bytes);
    keep(end->err, &end->err_size, (const char *) e->data + e->stdout_bytes,
         e->data_size - e->stdout_bytes);
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
    memset(ends, 0, sizeof(ends));
    return 0;
}

static uint32_t add(struct world *w, qe_unit unit)
{
    char id[32];

    snprintf(id, sizeof(id), "command %u", w->units);
    unit.id = id;
    unit.item = w->units * 3;
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->unit[w->units].flags = unit.flags;
    w->unit[w->units].retries = unit.retries;
    return w->units++;
}

static uint32_t add_shell(struct world *w, const char *script, qe_unit unit)
{
    char *argv[] = {"sh", "-c", (char *) script, NULL};

    unit.argv = argv;
    return add(w, unit);
}

static void shell(struct world *w, const char *script)
{
    (void) add_shell(w, script, (qe_unit){0});
}

static void its_exit_status_is_its_outcome(void **state)
{
    struct world *w = *state;

    shell(w, "true");
    shell(w, "exit 3");
    shell(w, "exit 255");
    shell(w, "kill -SEGV $$");
    shell(w, "kill -KILL $$");
    world_run(w);
    assert_int_equal(ends[0].outcome, QE_PASSED);
    assert_int_equal(ends[0].status, 0);
    assert_int_equal(ends[1].outcome, QE_FAILED);
    assert_int_equal(WEXITSTATUS(ends[1].status), 3);
    assert_int_equal(WEXITSTATUS(ends[2].status), 255);
    assert_int_equal(ends[3].outcome, QE_CRASHED);
    assert_true(WIFSIGNALED(ends[3].status));
    assert_int_equal(WTERMSIG(ends[3].status), SIGSEGV);
    assert_int_equal(WTERMSIG(ends[4].status), SIGKILL);
    assert_int_equal(w->unit[4].losses, 0); /* its worker is there to tell */
    assert_int_equal(w->workers, 1);
}

static void what_it_prints_is_told_apart(void **state)
{
    struct world *w = *state;

    shell(w, "echo out; echo err >&2; echo more");
    shell(w, "true");
    shell(w, "printf '\\0\\377' >&2");
    world_run(w);
    assert_string_equal(ends[0].out, "out\nmore\n");
    assert_string_equal(ends[0].err, "err\n");
    assert_int_equal(ends[1].out_size + ends[1].err_size, 0);
    assert_int_equal(ends[2].err_size, 2);
    assert_memory_equal(ends[2].err, "\0\377", 2);
}

static void of_much_output_both_ends_are_kept(void **state)
{
    struct world *w = *state;

    w->options.output_bytes = 1000;
    shell(w, "echo first; i=0; while [ $i -lt 20000 ]; do "
             "echo line $i; i=$((i + 1)); done; echo last; echo small >&2");
    world_run(w);
    assert_int_equal(ends[0].outcome, QE_PASSED);
    assert_memory_equal(ends[0].out, "first\nline 0\n", 13);
    assert_non_null(strstr(ends[0].out, "bytes were left out here"));
    assert_non_null(strstr(ends[0].out, "line 19999\nlast\n"));
    assert_true(ends[0].out_size > 1000 && ends[0].out_size < 1200);
    assert_string_equal(ends[0].err, "small\n");
}

static void what_it_used_is_told(void **state)
{
    struct world *w = *state;

    /* 32 MiB in the shell's own memory; then some work of its own. */
    shell(w, "x=0123456789abcdef; i=0; while [ $i -lt 21 ]; do x=$x$x; "
             "i=$((i + 1)); done; echo ${#x}");
    shell(w, "sleep 0.05");
    world_run(w);
    assert_string_equal(ends[0].out, "33554432\n");
    assert_true(ends[0].peak_bytes > UINT64_C(32) << 20);
    assert_true(ends[0].cpu_s > 0);
    assert_true(ends[1].duration_s >= 0.05);
    assert_true(ends[1].cpu_s < ends[1].duration_s);
}

static void one_that_cannot_be_executed_is_an_error(void **state)
{
    static char *const missing[] = {"qe-no-such-program", NULL};
    static char *const folder[] = {"/", NULL};
    static char *const fine[] = {"true", NULL};
    struct world *w = *state;

    add(w, (qe_unit){.argv = missing});
    add(w, (qe_unit){.argv = folder});
    add(w, (qe_unit){.argv = fine, .cwd = "/nonexistent"});
    add(w, (qe_unit){.argv = fine});
    world_run(w);
    for (uint32_t u = 0; u < 3; u++) {
        assert_int_equal(w->unit[u].outcome, QE_ERROR);
        assert_int_equal(ends[u].status, 0);
        assert_int_equal(ends[u].out_size, 0);
    }
    assert_string_equal(
        ends[0].err,
        "qe: cannot start qe-no-such-program: No such file or directory\n");
    assert_string_equal(ends[1].err, "qe: cannot start /: Permission denied\n");
    assert_string_equal(
        ends[2].err,
        "qe: cannot enter /nonexistent: No such file or directory\n");
    assert_int_equal(w->unit[3].outcome, QE_PASSED);
    assert_int_equal(w->workers, 1);
}

static void it_has_its_folder_and_its_environment(void **state)
{
    static char *const more[] = {"QE_A=1", "QE_B=two words", "QE_A=2", NULL};
    struct world *w = *state;
    char path[64];

    setenv("QE_A", "host", 1);
    setenv("QE_C", "host", 1);
    snprintf(path, sizeof(path), "PATH=/nonexistent");
    add_shell(w, "pwd; echo \"$QE_A|$QE_B|$QE_C\"; env | grep -c QE_A=",
              (qe_unit){.cwd = "/usr", .env = more});
    shell(w, "echo \"$QE_A|$QE_B|$QE_C\"");
    {
        char *const elsewhere[] = {path, NULL};

        add_shell(w, "echo found", (qe_unit){.env = elsewhere});
    }
    world_run(w);
    unsetenv("QE_A");
    unsetenv("QE_C");
    assert_string_equal(ends[0].out, "/usr\n2|two words|host\n1\n");
    assert_string_equal(ends[1].out, "host||host\n");
    assert_int_equal(ends[2].outcome, QE_ERROR); /* its own PATH is searched */
}

/* Which signals this process ignores, as a mask. */
static unsigned long long ignored(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long long mask = 0;
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "SigIgn:", 7) == 0)
            mask = strtoull(line + 7, NULL, 16);
    fclose(file);
    return mask;
}

static void it_starts_with_a_clean_process(void **state)
{
    struct world *w = *state;
    /* Whoever started this program may have had it ignore some, for good. */
    unsigned long long asked =
        (ignored() | 1ull << (SIGUSR1 - 1)) & ~(1ull << (SIGPIPE - 1));
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    char expected[64];
    int leaked = open("/dev/null", O_RDONLY); /* without close-on-exec */

    signal(SIGUSR1, SIG_IGN);
    /* A shell's listing of descriptors has one of its own. */
    shell(w, "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0");
    shell(w, "grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t'");
    shell(w, "read pid comm state ppid pgrp rest </proc/self/stat; "
             "[ $pgrp = $$ ] && echo own");
    world_run(w);
    signal(SIGPIPE, old);
    signal(SIGUSR1, SIG_DFL);
    close(leaked);
    assert_string_equal(ends[0].out, "0 1 2 3 /dev/null\n");
    snprintf(expected, sizeof(expected), "SigBlk:%016xSigIgn:%016llx", 0u,
             asked);
    assert_string_equal(ends[1].out, expected);
    assert_string_equal(ends[2].out, "own\n");
}

static void at_its_limit_it_is_asked_then_killed(void **state)
{
    struct world *w = *state;
    qe_unit limited = {.timeout_ns = 300 * WORLD_MS};

    w->options.workers = 2;
    add_shell(w,
              "trap 'echo asked; exit 0' TERM; echo began; "
              "while :; do sleep 0.01; done",
              limited);
    add_shell(w, "trap '' TERM; echo deaf; while :; do sleep 0.01; done",
              limited);
    add_shell(w, "kill -STOP $$", limited);
    shell(w, "echo after");
    world_run(w);
    assert_string_equal(ends[0].out, "began\nasked\n");
    assert_int_equal(ends[0].outcome, QE_TIMEOUT);
    assert_int_equal(ends[0].status, 0);
    assert_string_equal(ends[1].out, "deaf\n");
    assert_int_equal(ends[1].outcome, QE_TIMEOUT);
    assert_int_equal(WTERMSIG(ends[1].status), SIGKILL);
    assert_true(ends[1].duration_s >= 0.5);
    assert_int_equal(ends[2].outcome, QE_TIMEOUT);
    assert_int_equal(WTERMSIG(ends[2].status), SIGTERM);
    assert_int_equal(ends[3].outcome, QE_PASSED);
    assert_int_equal(w->workers, 2); /* they live on */
}

static void without_a_grace_it_is_killed_at_once(void **state)
{
    struct world *w = *state;

    w->options.grace_ns = 0;
    add_shell(w, "trap 'echo asked' TERM; while :; do sleep 0.01; done",
              (qe_unit){.timeout_ns = 100 * WORLD_MS});
    world_run(w);
    assert_int_equal(ends[0].outcome, QE_TIMEOUT);
    assert_int_equal(ends[0].out_size, 0);
    assert_int_equal(WTERMSIG(ends[0].status), SIGKILL);
}

static void streams_do_not_say_whether_it_lives(void **state)
{
    struct world *w = *state;

    shell(w, "exec >&- 2>&-; sleep 0.2; exit 7"); /* closes, and lives */
    shell(w, "echo kept; sleep 1000 & exit 0");   /* leaves one in its group */
    shell(w, "setsid sleep 1000 & sleep 0.1; exit 5"); /* and one outside */
    world_run(w);
    assert_int_equal(WEXITSTATUS(ends[0].status), 7);
    assert_true(ends[0].duration_s >= 0.2);
    assert_int_equal(ends[1].outcome, QE_PASSED);
    assert_string_equal(ends[1].out, "kept\n");
    assert_int_equal(WEXITSTATUS(ends[2].status), 5);
    /* The teardown finds no process of the run. */
}

static void a_retry_waits_without_a_slot(void **state)
{
    char folder[] = "/tmp/qe-command-XXXXXX", script[256];
    struct world *w = *state;

    assert_non_null(mkdtemp(folder));
    w->options.backoff_ns = 150 * WORLD_MS;
    w->options.exact_backoff = true;
    snprintf(script, sizeof(script), "echo x >>%s/n; [ $(grep -c x %s/n) = 3 ]",
             folder, folder);
    add_shell(w, script, (qe_unit){.retries = 3});
    for (int i = 0; i < 5; i++)
        shell(w, "sleep 0.01");
    world_run(w);
    assert_int_equal(w->unit[0].outcome, QE_FLAKY);
    assert_int_equal(w->unit[0].attempt, 3);
    for (uint32_t u = 1; u < 6; u++)
        assert_int_equal(w->unit[u].outcome, QE_PASSED);
    snprintf(script, sizeof(script), "%s/n", folder);
    unlink(script);
    rmdir(folder);
}

static double first_s, last_s;
static uint32_t begun;

static void on_start(struct world *w, const qe_event *e)
{
    (void) w;
    if (e->kind == QE_EV_FINISH) {
        double at = strtod((const char *) e->data, NULL);

        first_s = begun == 0 || at < first_s ? at : first_s;
        last_s = begun++ == 0 || at > last_s ? at : last_s;
    }
}

static void starts_keep_their_distance(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    w->options.throttle_ns = 100 * WORLD_MS;
    w->on_event = on_start;
    begun = 0;
    for (int i = 0; i < 6; i++)
        shell(w, "date +%s.%N");
    world_run(w);
    assert_int_equal(begun, 6);
    /* Five pauses; each process says its time a little after its start. */
    assert_true(last_s - first_s >= 0.4);
}

static void commands_and_workers_do_not_mix(void **state)
{
    static char *const fine[] = {"true", NULL};
    static char *const nameless[] = {"=x", NULL};
    static char *const none[] = {NULL};
    struct world *w = *state;
    qe_session *session = NULL;
    qe_worker *worker = NULL;
    qe_unit unit = {.id = "a", .argv = none};

    assert_int_equal(qe_plan_add(w->plan, &unit), QE_EINVAL);
    unit.argv = NULL;
    unit.cwd = "/";
    assert_int_equal(qe_plan_add(w->plan, &unit), QE_EINVAL);
    unit.argv = fine;
    unit.env = nameless;
    assert_int_equal(qe_plan_add(w->plan, &unit), QE_EINVAL);
    add(w, (qe_unit){.argv = fine});
    add(w, (qe_unit){0});
    assert_int_equal(qe_plan_seal(w->plan), 0);
    for (int start = QE_START_FORK; start <= QE_START_COMMAND; start++) {
        w->options.start = (enum qe_start) start;
        w->options.spawn_argv = (char *const *) fine;
        assert_int_equal(
            qe_session_start(&session, &worker, w->plan, &w->options, NULL),
            QE_EINVAL);
        assert_null(session);
    }
}

static void an_interrupt_reaches_what_runs(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->options.workers = 2;
    w->options.grace_ns = 10000 * WORLD_MS;
    shell(w, "trap 'echo interrupted; exit 130' INT; while :; do sleep 0.01; "
             "done");
    shell(w, "exec sleep 1000");
    for (int i = 0; i < 4; i++)
        shell(w, "true");
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    /* The trap is laid a little after the start. */
    usleep(300000);
    assert_int_equal(qe_session_stop(w->session, true), 0);
    world_finish(w);
    assert_string_equal(ends[0].out, "interrupted\n");
    assert_int_equal(WEXITSTATUS(ends[0].status), 130);
    assert_int_equal(WTERMSIG(ends[1].status), SIGINT);
}

static void held_commands_do_not_run_out_of_time(void **state)
{
    struct world *w = *state;
    qe_event event;

    add_shell(w, "i=0; while [ $i -lt 5 ]; do sleep 0.1; i=$((i + 1)); done",
              (qe_unit){.timeout_ns = 4000 * WORLD_MS});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    assert_int_equal(qe_session_pause(w->session, true), 0);
    for (uint64_t until = qe_now_ns() + 5000 * WORLD_MS; qe_now_ns() < until;)
        world_poll(w, &event);
    assert_int_equal(w->unit[0].finals, 0);
    assert_int_equal(qe_session_pause(w->session, false), 0);
    world_finish(w);
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
    assert_true(ends[0].duration_s >= 5);
}

/* Also between two steps of a command's start, at the time of which it is in a group
 * that is not its own yet. */
static void a_hold_may_come_at_any_moment(void **state)
{
    struct world *w = *state;
    qe_event event;

    for (int i = 0; i < 200; i++)
        add_shell(w, "exit 0", (qe_unit){.timeout_ns = 20000 * WORLD_MS});
    world_start(w);
    while (!w->done) {
        uint64_t until;

        world_next(w, &event);
        if (event.kind != QE_EV_START)
            continue;
        until = qe_now_ns() + event.unit * 37 % 400 * 1000;
        while (qe_now_ns() < until) {}
        assert_int_equal(qe_session_pause(w->session, true), 0);
        until = qe_now_ns() + 3 * WORLD_MS;
        while (qe_now_ns() < until && !w->done)
            world_poll(w, &event);
        assert_int_equal(qe_session_pause(w->session, false), 0);
    }
    assert_int_equal(w->session->alive, 0);
    for (uint32_t i = 0; i < w->units; i++)
        assert_int_equal(w->unit[i].outcome, QE_PASSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
        T(its_exit_status_is_its_outcome),
        T(what_it_prints_is_told_apart),
        T(of_much_output_both_ends_are_kept),
        T(what_it_used_is_told),
        T(one_that_cannot_be_executed_is_an_error),
        T(it_has_its_folder_and_its_environment),
        T(it_starts_with_a_clean_process),
        T(at_its_limit_it_is_asked_then_killed),
        T(without_a_grace_it_is_killed_at_once),
        T(streams_do_not_say_whether_it_lives),
        T(a_retry_waits_without_a_slot),
        T(starts_keep_their_distance),
        T(commands_and_workers_do_not_mix),
        T(an_interrupt_reaches_what_runs),
        T(held_commands_do_not_run_out_of_time),
        T(a_hold_may_come_at_any_moment),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
