/* Commands that a warm server starts: the real one, with small scripts. */
#include "warm_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

/* ------------------------------------------------------------- the real server */

static void its_end_is_told_as_any_commands(void **state)
{
    struct world *w = *state;

    warm_serve("import os, signal, sys\n"
               "word = sys.argv[1]\n"
               "print('out', word)\n"
               "print('err', word, file=sys.stderr)\n"
               "if word == 'three': sys.exit(3)\n"
               "if word == 'raise': raise LookupError('why')\n"
               "sys.stdout.flush()\n"
               "if word == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
               "if word == 'leave': os._exit(9)\n");
    warm_add(w, "well", (qe_unit){0});
    warm_add(w, "three", (qe_unit){0});
    warm_add(w, "raise", (qe_unit){0});
    warm_add(w, "kill", (qe_unit){0});
    warm_add(w, "leave", (qe_unit){0});
    warm_run(w);
    assert_int_equal(ends[0].outcome, QE_PASSED);
    assert_string_equal(ends[0].out, "out well\n");
    assert_string_equal(ends[0].err, "err well\n");
    assert_int_equal(ends[1].outcome, QE_FAILED);
    assert_int_equal(WEXITSTATUS(ends[1].status), 3);
    assert_string_equal(ends[1].out, "out three\n");
    assert_int_equal(WEXITSTATUS(ends[2].status), 1);
    assert_non_null(strstr(ends[2].err, "LookupError: why\n"));
    assert_int_equal(ends[3].outcome, QE_CRASHED);
    assert_int_equal(WTERMSIG(ends[3].status), SIGKILL);
    assert_string_equal(ends[3].out, "out kill\n");
    assert_int_equal(WEXITSTATUS(ends[4].status), 9);
    for (uint32_t u = 0; u < 5; u++)
        assert_true(ends[u].cpu_s > 0 && ends[u].peak_bytes > 1 << 20);
}

static void it_has_what_it_was_given(void **state)
{
    static char *const more[] = {"QE_A=two words", "QE_B=", "HOME", "TZ=XYZ-3",
                                 NULL};
    struct world *w = *state;
    char expected[512];

    setenv("HOME", "/nowhere", 1);
    setenv("QE_C", "host", 1);
    warm_serve(
        "import os, sys, time\n"
        "get = os.environ.get\n"
        "print(sys.argv[1:], os.getcwd(), get('QE_A'), repr(get('QE_B')),\n"
        "      get('QE_C'), get('HOME'), time.tzname[0])\n"
        "with os.popen('echo $QE_A') as p: print(p.read(), end='')\n"
        "print(os.getpgrp() == os.getpid(), os.readlink('/proc/self/fd/0'),\n"
        "      [os.readlink('/proc/self/fd/' + n) for n in "
        "os.listdir('/proc/self/fd')\n"
        "       if n > '2' and os.path.exists('/proc/self/fd/' + n)], "
        "__name__)\n"
        "print([l for l in open('/proc/self/status') if 'SigBlk' in l])\n");
    warm_add(w, "an argument", (qe_unit){.env = more, .cwd = "/usr"});
    warm_add(w, "", (qe_unit){0});
    unsetenv("QE_C"); /* the server has it */
    warm_run(w);
    assert_int_equal(ends[0].outcome, QE_PASSED);
    assert_string_equal(ends[0].out,
                        "['an argument'] /usr two words '' None None XYZ\n"
                        "two words\n"
                        "True /dev/null [] __main__\n"
                        "['SigBlk:\\t0000000000000000\\n']\n");
    {
        char here[256];

        assert_non_null(getcwd(here, sizeof(here)));
        snprintf(expected, sizeof(expected), "[''] %s None None None /nowhere ",
                 here);
        assert_memory_equal(ends[1].out, expected, strlen(expected));
    }
}

static void each_run_is_the_first(void **state)
{
    struct world *w = *state;

    warm_serve("import atexit, random, sys, json\n"
               "assert not hasattr(json, 'was_here')\n"
               "json.was_here = True\n"
               "sys.path.append('x')\n"
               "atexit.register(print, 'at the end', sys.path.count('x'))\n");
    for (int i = 0; i < 5; i++)
        warm_add(w, "", (qe_unit){0});
    warm_run(w);
    for (int i = 0; i < 5; i++)
        assert_string_equal(ends[i].out, "at the end 1\n");
}

static void its_limits_are_kept(void **state)
{
    struct world *w = *state;

    warm_serve(
        "import resource as r, sys\n"
        "if sys.argv[1] == 'memory':\n"
        "    try: b'x' * (1 << 30)\n"
        "    except MemoryError: print('none')\n"
        "elif sys.argv[1] == 'time':\n"
        "    while True: pass\n"
        "elif sys.argv[1] == 'files':\n"
        "    try: l = [open('/dev/null') for i in range(99)]\n"
        "    except OSError as e: print(e.strerror)\n"
        "else:\n"
        "    print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_DATA))\n");
    warm_add(w, "memory",
             (qe_unit){.limits.memory_bytes = UINT64_C(256) << 20});
    warm_add(w, "files", (qe_unit){.limits.files = 30});
    warm_add(w, "time", (qe_unit){.limits.cpu_s = 1});
    warm_add(w, "none",
             (qe_unit){.limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX}});
    warm_run(w);
    assert_string_equal(ends[0].out, "none\n");
    assert_string_equal(ends[1].out, "Too many open files\n");
    assert_int_equal(ends[2].outcome, QE_CRASHED);
    assert_int_equal(WTERMSIG(ends[2].status), SIGXCPU);
    assert_string_equal(ends[3].out, "(-1, -1) (-1, -1)\n");
}

static void at_its_time_limit_it_is_asked_then_killed(void **state)
{
    struct world *w = *state;
    qe_unit limited = {.timeout_ns = 1000 * WORLD_MS};

    w->options.workers = 2;
    if (scratch_slow())
        limited.timeout_ns *= 5;
    warm_serve(
        "import signal, sys\n"
        "def ask(*a):\n"
        "    print('asked')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM,\n"
        "              ask if sys.argv[1] == 'asks' else signal.SIG_IGN)\n"
        "while True: signal.pause()\n");
    warm_add(w, "asks", limited);
    warm_add(w, "deaf", limited);
    warm_run(w);
    assert_int_equal(ends[0].outcome, QE_TIMEOUT);
    assert_string_equal(ends[0].out, "asked\n");
    assert_int_equal(ends[0].status, 0);
    assert_int_equal(ends[1].outcome, QE_TIMEOUT);
    assert_int_equal(WTERMSIG(ends[1].status), SIGKILL);
}

static void what_it_leaves_behind_holds_nobody_up(void **state)
{
    struct world *w = *state;

    warm_serve(warm_leaves_some);
    warm_add(w, "ends", (qe_unit){0});
    warm_run(w);
    assert_int_equal(ends[0].outcome, QE_PASSED);
    assert_string_equal(ends[0].out, "done\n");
    WORLD_WAIT(!world_runs(warm_read_number("near")));
    /* It left the group: it stays until the server ends. */
    assert_true(world_runs(warm_read_number("away")));
    warm_end_server();
    assert_false(world_runs(warm_read_number("away")));
}

static void what_a_run_forks_runs_no_server(void **state)
{
    struct world *w = *state;

    warm_serve("import os\n"
               "pid = os.fork()\n"
               "if pid:\n"
               "    os.waitpid(pid, 0)\n"
               "    print('parent')\n"
               "else:\n"
               "    print('child')\n");
    for (int i = 0; i < 20; i++)
        warm_add(w, "", (qe_unit){0});
    w->options.workers = 2;
    warm_run(w);
    for (int i = 0; i < 20; i++)
        assert_string_equal(ends[i].out, "child\nparent\n");
    WORLD_WAIT(!warm_serves(server));
}

static void many_starts_leave_nothing(void **state)
{
    struct world *w = *state;
    uint32_t many = scratch_slow() ? 30 : 300;
    size_t files;
    qe_event event;

    warm_serve(
        "import sys, os, time\n"
        "while sys.argv[1] == 'last' and not os.path.exists(\n"
        "        os.path.dirname(sys.argv[0]) + '/go'): time.sleep(0.01)\n");
    files = warm_entries_of(server, "fd");
    w->options.in_order = true;
    for (uint32_t i = 0; i < many; i++)
        warm_add(w, "", (qe_unit){0});
    warm_add(w, "last",
             (qe_unit){0}); /* holds the worker until it was looked at */
    world_start(w);
    world_until(w, QE_EV_START, many, &event);
    for (uint32_t i = 0; i < many; i++)
        assert_true(warm_was(i));
    {
        const qe__arena_slot *slot = &w->session->exec.arena.slots[event.slot];

        /* Two streams and the connection of the last; the worker's own are few. */
        WORLD_WAIT(atomic_load(&slot->group) != 0);
        assert_true(warm_entries_of((pid_t) atomic_load(&slot->pid), "fd") <
                    40);
    }
    {
        char path[96];

        snprintf(path, sizeof(path), "%s/go", folder);
        scratch_write(path, "", 0);
    }
    world_finish(w);
    world_check(w);
    /* The pipe that its name came by may have been open at first. */
    WORLD_WAIT(warm_entries_of(server, "fd") <= files && !warm_serves(server));
}

static void a_huge_environment_is_given(void **state)
{
    static char huge[120000];
    char *more[41];
    struct world *w = *state;

    memset(huge, 'x', sizeof(huge) - 1);
    for (int i = 0; i < 40; i++) {
        more[i] = malloc(sizeof(huge) + 32);
        assert_non_null(more[i]);
        snprintf(more[i], sizeof(huge) + 32, "QE_HUGE_%d=%s", i, huge);
    }
    more[40] = NULL;
    warm_serve(
        "import os\n"
        "print(sum(len(os.environ['QE_HUGE_%d' % i]) for i in range(40)))\n");
    warm_add(w, "", (qe_unit){.env = more});
    for (int i = 0; i < 40; i++)
        free(more[i]);
    warm_run(w);
    assert_string_equal(ends[0].out, "4799960\n"); /* execve takes less */
}

static void what_it_cannot_give_runs_cold(void **state)
{
    static char *const seeded[] = {"PYTHONHASHSEED=77", NULL};
    static char *const localised[] = {"LC_ALL=C", NULL};
    struct world *w = *state;

    unsetenv("LC_ALL");
    warm_serve("print('ran')\n");
    warm_add(w, "", (qe_unit){.env = seeded});
    warm_add(w, "", (qe_unit){.env = localised});
    warm_add(w, "", (qe_unit){.cwd = "/nonexistent"});
    warm_add(w, "", (qe_unit){0});
    warm_run(w);
    assert_false(warm_was(0));
    assert_false(warm_was(1));
    assert_string_equal(
        ends[2].err,
        "qe: cannot enter /nonexistent: No such file or directory\n");
    assert_true(warm_was(3));
    /* Another script: not that of the server. */
}

static void another_script_runs_cold(void **state)
{
    struct world *w = *state;
    char *const argv[] = {"sh", "-c", "echo cold", NULL};
    qe_unit unit = {.id = "other", .argv = argv, .warm = name};

    warm_serve("print('warm')\n");
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->units++;
    warm_run(w);
    assert_string_equal(ends[0].out, "cold\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, warm_setup, warm_teardown)
        T(its_end_is_told_as_any_commands),
        T(it_has_what_it_was_given),
        T(each_run_is_the_first),
        T(its_limits_are_kept),
        T(at_its_time_limit_it_is_asked_then_killed),
        T(what_it_leaves_behind_holds_nobody_up),
        T(what_a_run_forks_runs_no_server),
        T(many_starts_leave_nothing),
        T(a_huge_environment_is_given),
        T(what_it_cannot_give_runs_cold),
        T(another_script_runs_cold),
#undef T
    };

    /* Valgrind's, which no program has that it starts: each run would be cold. */
    unsetenv("LD_PRELOAD");
    (void) signal(SIGPIPE, SIG_IGN); /* of a server that is gone write tells */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
