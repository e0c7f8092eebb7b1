/* One command as a process of this one. */
#include "qe_child.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Processes do not share memory after vfork under valgrind; the arena they do. */
static _Atomic uint32_t *shared;

struct run {
    qe__child child;
    qe__excerpt output[2];
    qe__usage usage;
    int status;
    bool executed;
};

static void begin_unit(struct run *r, qe__command **command,
                       const qe_unit *unit)
{
    qe__child_words words = {&shared[0], &shared[1]};
    sigset_t none;

    memset(r, 0, sizeof(*r));
    (void) sigemptyset(&none);
    assert_int_equal(qe__excerpt_init(&r->output[0], 4096), 0);
    assert_int_equal(qe__excerpt_init(&r->output[1], 4096), 0);
    assert_int_equal(qe__command_copy(command, unit), 0);
    assert_int_equal(qe__child_start(&r->child, *command, &words, &none), 0);
}

static void begin(struct run *r, qe__command **command, char *const *argv)
{
    qe_unit unit = {.id = "a", .argv = argv};

    begin_unit(r, command, &unit);
}

static void end(struct run *r)
{
    while (!qe__child_ended(&r->child)) {
        (void) poll(NULL, 0, 1);
        for (int i = 0; i < 2; i++)
            qe__child_read(&r->child, i, &r->output[i]);
    }
    r->executed = qe__child_reap(&r->child, r->output, &r->status, &r->usage);
    assert_int_equal(r->child.pid, 0);
    assert_int_equal(r->child.streams[0], -1);
    assert_int_equal(r->child.streams[1], -1);
    assert_int_equal(atomic_load(&shared[0]), 0);
}

static void expect(const qe__excerpt *e, const char *expected)
{
    char text[8192];
    size_t n = qe__excerpt_size(e);

    assert_true(n < sizeof(text));
    qe__excerpt_copy(e, text);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void leave(struct run *r, qe__command *command)
{
    qe__excerpt_free(&r->output[0]);
    qe__excerpt_free(&r->output[1]);
    free(command);
}

static void it_leads_a_group_of_its_own(void **state)
{
    static char *const argv[] = {"sh", "-c", "echo up; exec sleep 1000", NULL};
    qe__command *command;
    struct run r;

    (void) state;
    begin(&r, &command, argv);
    while (qe__excerpt_size(&r.output[0]) == 0) {
        (void) poll(NULL, 0, 1);
        qe__child_read(&r.child, 0, &r.output[0]);
    }
    assert_int_equal(atomic_load(&shared[0]), r.child.pid);
    assert_int_equal(getpgid(r.child.pid), r.child.pid);
    assert_false(qe__child_ended(&r.child));
    qe__child_signal(&r.child, SIGTERM);
    end(&r);
    assert_true(r.executed);
    assert_int_equal(WTERMSIG(r.status), SIGTERM);
    leave(&r, command);
}

static void what_it_said_last_is_taken_when_it_has_ended(void **state)
{
    static char *const argv[] = {"sh", "-c", "echo out; echo err >&2; exit 4",
                                 NULL};
    qe__command *command;
    struct run r;

    (void) state;
    begin(&r, &command, argv);
    while (!qe__child_ended(&r.child))
        (void) poll(NULL, 0, 1); /* reads nothing meanwhile */
    end(&r);
    assert_int_equal(WEXITSTATUS(r.status), 4);
    expect(&r.output[0], "out\n");
    expect(&r.output[1], "err\n");
    leave(&r, command);
}

static void what_it_left_behind_ends_with_it(void **state)
{
    static char *const argv[] = {"sh", "-c", "sleep 1000 & echo $!", NULL};
    qe__command *command;
    char text[32] = "";
    struct run r;
    pid_t left;

    (void) state;
    begin(&r, &command, argv);
    end(&r);
    assert_true(qe__excerpt_size(&r.output[0]) < sizeof(text));
    qe__excerpt_copy(&r.output[0], text);
    left = (pid_t) strtol(text, NULL, 10);
    assert_true(left > 0);
    for (int i = 0; i < 20000 && qe__proc_alive(left); i++)
        (void) poll(NULL, 0, 1);
    assert_false(qe__proc_alive(left));
    leave(&r, command);
}

static void one_that_is_not_executed_says_why(void **state)
{
    static char *const argv[] = {"/nonexistent/program", NULL};
    qe__command *command;
    struct run r;

    (void) state;
    begin(&r, &command, argv);
    end(&r);
    assert_false(r.executed);
    expect(&r.output[1], "qe: cannot start /nonexistent/program: No such file "
                         "or directory\n");
    leave(&r, command);
}

static void one_that_may_not_enter_its_control_group_says_so(void **state)
{
    static char *const argv[] = {"true", NULL};
    qe_unit unit = {.id = "a", .argv = argv, .limits.cgroup = "/none/procs"};
    qe__command *command;
    struct run r;

    (void) state;
    begin_unit(&r, &command, &unit);
    end(&r);
    assert_false(r.executed);
    expect(&r.output[1], "qe: cannot enter /none/procs: No such file or "
                         "directory\n");
    leave(&r, command);
}

/* Without limits: these need a controller, which is rarely there. */
static void it_runs_in_its_control_group(void **state)
{
    static char *const argv[] = {"sh", "-c", "cat /proc/self/cgroup", NULL};
    static const qe_cgroup_limits none;
    qe_unit unit = {.id = "a", .argv = argv};
    char text[8192], *name;
    qe__command *command;
    qe_cgroup *group;
    struct run r;

    (void) state;
    if (qe_cgroup_new(&group, &none) != 0) {
        print_message("no control group (version 2) may be made here: %s\n",
                      strerror(errno));
        skip();
    }
    unit.limits.cgroup = qe_cgroup_procs(group);
    begin_unit(&r, &command, &unit);
    end(&r);
    assert_true(r.executed);
    qe__excerpt_copy(&r.output[0], text);
    text[qe__excerpt_size(&r.output[0])] = '\0';
    name = strdup(qe_cgroup_procs(group));
    assert_non_null(name);
    *strrchr(name, '/') = '\0';
    assert_non_null(strstr(text, strrchr(name, '/')));
    free(name);
    leave(&r, command);
    qe_cgroup_free(group, NULL);
}

/* Valgrind keeps limits of memory and descriptors to itself: the kernel, and what is
 * executed, never hear of them. */
static void skip_where_limits_are_held_back(void)
{
    if (getenv("QE_TEST_VALGRIND") != NULL)
        skip();
}

/* What a shell says of its own limits, or what becomes of it by them. */
static void limited(struct run *r, const char *script, qe_limits limits)
{
    char *argv[] = {"sh", "-c", (char *) script, NULL};
    qe_unit unit = {.id = "a", .argv = argv, .limits = limits};
    qe__command *command;

    begin_unit(r, &command, &unit);
    end(r);
    free(command);
}

static void drop(struct run *r)
{
    leave(r, NULL);
}

static void limits_are_its_own(void **state)
{
    struct rlimit before[3], after;
    static const int kinds[] = {RLIMIT_DATA, RLIMIT_CPU, RLIMIT_NOFILE};
    struct run r;

    (void) state;
    skip_where_limits_are_held_back();
    for (int i = 0; i < 3; i++)
        assert_int_equal(getrlimit(kinds[i], &before[i]), 0);
    limited(&r, "ulimit -d; ulimit -t; ulimit -n; ulimit -Ht; ulimit -Hn",
            (qe_limits){UINT64_C(64) << 20, 7, 20, NULL});
    expect(&r.output[0], "65536\n7\n20\n8\n20\n");
    drop(&r);
    for (int i = 0; i < 3; i++) { /* whose memory the child had */
        assert_int_equal(getrlimit(kinds[i], &after), 0);
        assert_int_equal(after.rlim_cur, before[i].rlim_cur);
        assert_int_equal(after.rlim_max, before[i].rlim_max);
    }
}

static void more_than_we_have_is_not_given(void **state)
{
    struct rlimit before, less;
    struct run r;

    (void) state;
    skip_where_limits_are_held_back();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    less = before;
    less.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    limited(&r, "ulimit -n; ulimit -t",
            (qe_limits){UINT64_MAX, UINT64_MAX, UINT64_MAX, NULL});
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    {
        char wanted[64];

        if (before.rlim_max == RLIM_INFINITY)
            snprintf(wanted, sizeof(wanted), "unlimited\nunlimited\n");
        else
            snprintf(wanted, sizeof(wanted), "%llu\nunlimited\n",
                     (unsigned long long) before.rlim_max);
        expect(&r.output[0], wanted);
    }
    drop(&r);
}

static void beyond_its_memory_allocations_fail(void **state)
{
    static const char script[] =
        "x=0123456789abcdef; i=0; while [ $i -lt 21 ]; do x=$x$x; "
        "i=$((i + 1)); done; echo ${#x}";
    struct run r;

    (void) state;
    skip_where_limits_are_held_back();
    limited(&r, script, (qe_limits){.memory_bytes = UINT64_C(256) << 20});
    expect(&r.output[0], "33554432\n");
    drop(&r);
    limited(&r, script, (qe_limits){.memory_bytes = UINT64_C(16) << 20});
    assert_true(r.executed);
    assert_true(r.status != 0);
    expect(&r.output[0], "");
    drop(&r);
}

static void beyond_its_time_it_gets_sigxcpu_then_sigkill(void **state)
{
    struct run r;

    (void) state;
    limited(&r, "while :; do :; done", (qe_limits){.cpu_s = 1});
    assert_true(WIFSIGNALED(r.status));
    assert_int_equal(WTERMSIG(r.status), SIGXCPU);
    assert_true(r.usage.cpu_s > 0.5 && r.usage.cpu_s < 1.9);
    drop(&r);
    limited(&r, "trap '' XCPU; while :; do :; done", (qe_limits){.cpu_s = 1});
    assert_true(WIFSIGNALED(r.status));
    assert_int_equal(WTERMSIG(r.status), SIGKILL);
    assert_true(r.usage.cpu_s > 1.5 && r.usage.cpu_s < 2.9);
    drop(&r);
}

static void beyond_its_descriptors_it_opens_none(void **state)
{
    struct run r;

    (void) state;
    skip_where_limits_are_held_back();
    limited(&r, "exec 3</dev/null; echo three; exec 0</dev/null; echo more",
            (qe_limits){.files = 4});
    expect(&r.output[0], "three\n");
    assert_true(r.executed && r.status != 0);
    drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_leads_a_group_of_its_own),
        cmocka_unit_test(what_it_said_last_is_taken_when_it_has_ended),
        cmocka_unit_test(what_it_left_behind_ends_with_it),
        cmocka_unit_test(one_that_is_not_executed_says_why),
        cmocka_unit_test(one_that_may_not_enter_its_control_group_says_so),
        cmocka_unit_test(it_runs_in_its_control_group),
        cmocka_unit_test(limits_are_its_own),
        cmocka_unit_test(more_than_we_have_is_not_given),
        cmocka_unit_test(beyond_its_memory_allocations_fail),
        cmocka_unit_test(beyond_its_time_it_gets_sigxcpu_then_sigkill),
        cmocka_unit_test(beyond_its_descriptors_it_opens_none),
    };

    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
