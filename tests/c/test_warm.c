/* Commands that a warm server starts: the real one, with small scripts, and some
 * that are not what they say. That another user's server is given nothing
 * (is_ours in qe_warm.c) cannot be tried here: it takes a second user. */
#include "session_world.h"

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

#define KEPT 4096

static struct end {
    enum qe_outcome outcome;
    int status;
    double cpu_s;
    uint64_t peak_bytes;
    char out[KEPT], err[KEPT];
} ends[512];

static char folder[64], script[96];
/* The server: its process, the end of its standard input, its address. */
static pid_t server;
static int holds = -1;
static char name[128];

static void keep(char *to, const char *from, size_t n)
{
    n = n < KEPT - 1 ? n : KEPT - 1;
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

static void on_end(struct world *w, const qe_event *e)
{
    struct end *end = &ends[e->unit < 512 ? e->unit : 0];

    (void) w;
    if (e->kind != QE_EV_FINISH)
        return;
    end->outcome = e->outcome;
    end->status = e->status;
    end->cpu_s = e->cpu_s;
    end->peak_bytes = e->peak_bytes;
    keep(end->out, e->data, e->stdout_bytes);
    keep(end->err, (const char *) e->data + e->stdout_bytes,
         e->data_size - e->stdout_bytes);
}

/* ------------------------------------------------------------------- servers */

static const char *python(void)
{
    const char *own = getenv("PYTHON");

    return own != NULL && own[0] != '\0' ? own : "python3";
}

/* Reads the first line: where it listens. */
static void read_name(int fd)
{
    size_t n = 0;

    while (n < sizeof(name) - 1 && read(fd, name + n, 1) == 1 &&
           name[n] != '\n')
        n++;
    name[n] = '\0';
    assert_true(n > 0);
}

/* Starts `argv` with a pipe as its standard input; its first line is its name. */
static void serve_by(char *const *argv)
{
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    server = fork();
    if (server == 0) {
        (void) dup2(in[0], 0);
        (void) dup2(out[1], 1);
        (void) execvp(argv[0], argv);
        _exit(127);
    }
    assert_true(server > 0);
    close(in[0]);
    close(out[1]);
    holds = in[1];
    read_name(out[0]);
    close(out[0]);
}

/* The real one, for a script of the test's own. Programs run where the
 * repository is. */
static void serve(const char *source)
{
    char *argv[] = {(char *) python(), "python/pytest_qe/warmserver.py", script,
                    NULL};

    scratch_write(script, source, strlen(source));
    serve_by(argv);
}

static void end_server(void)
{
    /* Sessions that are open have that pipe, too. */
    if (holds >= 0) {
        assert_true(write(holds, "\n", 1) == 1 || errno == EPIPE);
        close(holds);
    }
    holds = -1;
    if (server > 0)
        (void) scratch_wait(server);
    server = 0;
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
    snprintf(folder, sizeof(folder), "/tmp/qe-warm-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(script, sizeof(script), "%s/script.py", folder);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];

    /* Not before the session: what runs is to end by itself, or with it. */
    if (w->session != NULL) {
        qe_session_close(w->session);
        w->session = NULL;
    }
    end_server();
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return world_teardown(state) != 0 || system(command) != 0 ? -1 : 0;
}

/* A run of the script: by the server, where that will, else by itself. */
static uint32_t add(struct world *w, const char *word, qe_unit unit)
{
    char *argv[] = {script, (char *) word, NULL};
    char id[32];

    snprintf(id, sizeof(id), "command %u", w->units);
    unit.id = id;
    unit.item = w->units * 3;
    unit.argv = argv;
    unit.warm = name;
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    return w->units++;
}

static void run(struct world *w)
{
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_int_equal(w->unit[u].losses, 0);
}

/* The script is no program: a run without the server says so by its outcome. */
static bool was_warm(uint32_t unit)
{
    return ends[unit].outcome != QE_ERROR;
}

static int read_number(const char *file)
{
    char path[128];
    FILE *f;
    int n = 0;

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%d\n", &n) != 1)
        n = 0;
    fclose(f);
    return n;
}

static size_t entries_of(pid_t pid, const char *what)
{
    char path[64];
    size_t n = 0;
    DIR *all;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, what);
    all = opendir(path);
    assert_non_null(all);
    while (readdir(all) != NULL)
        n++;
    closedir(all);
    return n - 2;
}

static bool has_children(pid_t pid)
{
    char path[64];
    FILE *f;
    bool some;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid,
             (int) pid);
    f = fopen(path, "r");
    assert_non_null(f);
    some = fgetc(f) != EOF;
    fclose(f);
    return some;
}

/* ------------------------------------------------------------- the real server */

static void its_end_is_told_as_any_commands(void **state)
{
    struct world *w = *state;

    serve("import os, signal, sys\n"
          "word = sys.argv[1]\n"
          "print('out', word)\n"
          "print('err', word, file=sys.stderr)\n"
          "if word == 'three': sys.exit(3)\n"
          "if word == 'raise': raise LookupError('why')\n"
          "sys.stdout.flush()\n"
          "if word == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
          "if word == 'leave': os._exit(9)\n");
    add(w, "well", (qe_unit){0});
    add(w, "three", (qe_unit){0});
    add(w, "raise", (qe_unit){0});
    add(w, "kill", (qe_unit){0});
    add(w, "leave", (qe_unit){0});
    run(w);
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
    serve("import os, sys, time\n"
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
    add(w, "an argument", (qe_unit){.env = more, .cwd = "/usr"});
    add(w, "", (qe_unit){0});
    unsetenv("QE_C"); /* the server has it */
    run(w);
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

    serve("import atexit, random, sys, json\n"
          "assert not hasattr(json, 'was_here')\n"
          "json.was_here = True\n"
          "sys.path.append('x')\n"
          "atexit.register(print, 'at the end', sys.path.count('x'))\n");
    for (int i = 0; i < 5; i++)
        add(w, "", (qe_unit){0});
    run(w);
    for (int i = 0; i < 5; i++)
        assert_string_equal(ends[i].out, "at the end 1\n");
}

static void its_limits_are_kept(void **state)
{
    struct world *w = *state;

    serve("import resource as r, sys\n"
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
    add(w, "memory", (qe_unit){.limits.memory_bytes = UINT64_C(256) << 20});
    add(w, "files", (qe_unit){.limits.files = 30});
    add(w, "time", (qe_unit){.limits.cpu_s = 1});
    add(w, "none", (qe_unit){.limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX}});
    run(w);
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
    serve("import signal, sys\n"
          "def ask(*a):\n"
          "    print('asked')\n"
          "    sys.exit(0)\n"
          "signal.signal(signal.SIGTERM,\n"
          "              ask if sys.argv[1] == 'asks' else signal.SIG_IGN)\n"
          "while True: signal.pause()\n");
    add(w, "asks", limited);
    add(w, "deaf", limited);
    run(w);
    assert_int_equal(ends[0].outcome, QE_TIMEOUT);
    assert_string_equal(ends[0].out, "asked\n");
    assert_int_equal(ends[0].status, 0);
    assert_int_equal(ends[1].outcome, QE_TIMEOUT);
    assert_int_equal(WTERMSIG(ends[1].status), SIGKILL);
}

static const char leaves_some[] =
    "import os, sys, time\n"
    "os.chdir(os.path.dirname(sys.argv[0]))\n"
    "def stay(name):\n"
    "    if os.fork() == 0:\n"
    "        if name == 'away': os.setsid()\n"
    "        with open('.' + name, 'w') as f: f.write('%d\\n' % os.getpid())\n"
    "        os.rename('.' + name, name)\n"
    "        time.sleep(1000)\n"
    "stay('near')\n"
    "stay('away')\n"
    "while not (os.path.exists('near') and os.path.exists('away')):\n"
    "    time.sleep(0.001)\n"
    "with open('.self', 'w') as f: f.write('%d\\n' % os.getpid())\n"
    "os.rename('.self', 'self')\n"
    "if sys.argv[1] == 'stays': time.sleep(1000)\n"
    "print('done')\n";

static void what_it_leaves_behind_holds_nobody_up(void **state)
{
    struct world *w = *state;

    serve(leaves_some);
    add(w, "ends", (qe_unit){0});
    run(w);
    assert_int_equal(ends[0].outcome, QE_PASSED);
    assert_string_equal(ends[0].out, "done\n");
    WORLD_WAIT(!world_runs(read_number("near")));
    /* It left the group: it stays until the server ends. */
    assert_true(world_runs(read_number("away")));
    end_server();
    assert_false(world_runs(read_number("away")));
}

static void what_a_run_forks_runs_no_server(void **state)
{
    struct world *w = *state;

    serve("import os\n"
          "pid = os.fork()\n"
          "if pid:\n"
          "    os.waitpid(pid, 0)\n"
          "    print('parent')\n"
          "else:\n"
          "    print('child')\n");
    for (int i = 0; i < 20; i++)
        add(w, "", (qe_unit){0});
    w->options.workers = 2;
    run(w);
    for (int i = 0; i < 20; i++)
        assert_string_equal(ends[i].out, "child\nparent\n");
    WORLD_WAIT(!has_children(server));
}

static void many_starts_leave_nothing(void **state)
{
    struct world *w = *state;
    uint32_t many = scratch_slow() ? 30 : 300;
    size_t files;
    qe_event event;

    serve("import sys, os, time\n"
          "while sys.argv[1] == 'last' and not os.path.exists(\n"
          "        os.path.dirname(sys.argv[0]) + '/go'): time.sleep(0.01)\n");
    files = entries_of(server, "fd");
    w->options.in_order = true;
    for (uint32_t i = 0; i < many; i++)
        add(w, "", (qe_unit){0});
    add(w, "last", (qe_unit){0}); /* holds the worker until it was looked at */
    world_start(w);
    world_until(w, QE_EV_START, many, &event);
    for (uint32_t i = 0; i < many; i++)
        assert_true(was_warm(i));
    {
        const qe__arena_slot *slot = &w->session->exec.arena.slots[event.slot];

        /* Two streams and the connection of the last; the worker's own are few. */
        WORLD_WAIT(atomic_load(&slot->group) != 0);
        assert_true(entries_of((pid_t) atomic_load(&slot->pid), "fd") < 40);
    }
    {
        char path[96];

        snprintf(path, sizeof(path), "%s/go", folder);
        scratch_write(path, "", 0);
    }
    world_finish(w);
    world_check(w);
    /* The pipe that its name came by may have been open at first. */
    WORLD_WAIT(entries_of(server, "fd") <= files && !has_children(server));
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
    serve("import os\n"
          "print(sum(len(os.environ['QE_HUGE_%d' % i]) for i in range(40)))\n");
    add(w, "", (qe_unit){.env = more});
    for (int i = 0; i < 40; i++)
        free(more[i]);
    run(w);
    assert_string_equal(ends[0].out, "4799960\n"); /* execve takes less */
}

static void what_it_cannot_give_runs_cold(void **state)
{
    static char *const seeded[] = {"PYTHONHASHSEED=77", NULL};
    static char *const localised[] = {"LC_ALL=C", NULL};
    struct world *w = *state;

    unsetenv("LC_ALL");
    serve("print('ran')\n");
    add(w, "", (qe_unit){.env = seeded});
    add(w, "", (qe_unit){.env = localised});
    add(w, "", (qe_unit){.cwd = "/nonexistent"});
    add(w, "", (qe_unit){0});
    run(w);
    assert_false(was_warm(0));
    assert_false(was_warm(1));
    assert_string_equal(
        ends[2].err,
        "qe: cannot enter /nonexistent: No such file or directory\n");
    assert_true(was_warm(3));
    /* Another script: not that of the server. */
}

static void another_script_runs_cold(void **state)
{
    struct world *w = *state;
    char *const argv[] = {"sh", "-c", "echo cold", NULL};
    qe_unit unit = {.id = "other", .argv = argv, .warm = name};

    serve("print('warm')\n");
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->units++;
    run(w);
    assert_string_equal(ends[0].out, "cold\n");
}

/* ---------------------------------------------------------------------- faults */

static void without_a_server_it_runs_cold(void **state)
{
    static char longest[200];
    struct world *w = *state;

    serve("print('ran')\n");
    assert_int_equal(chmod(script, 0700), 0);
    kill(server, SIGKILL);
    end_server();
    add(w, "", (qe_unit){0});
    memset(longest, 'n', sizeof(longest) - 1);
    memcpy(name, longest, sizeof(name) - 1); /* longer than a name can be */
    add(w, "", (qe_unit){0});
    name[0] = '\0';
    add(w, "", (qe_unit){0});
    run(w);
    for (uint32_t u = 0; u < 3; u++)
        assert_false(was_warm(u) && ends[u].out[0] != '\0');
}

static void a_killed_server_takes_its_commands_along(void **state)
{
    struct world *w = *state;
    qe_event event;

    serve(leaves_some);
    add(w, "stays", (qe_unit){0});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(read_number("self") != 0);
    assert_int_equal(kill(server, SIGKILL), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(ends[0].outcome, QE_CRASHED);
    assert_int_equal(WTERMSIG(ends[0].status), SIGKILL);
    WORLD_WAIT(!world_runs(read_number("self")));
    WORLD_WAIT(!world_runs(read_number("near")));
    /* Nobody is left who could know of this one. */
    (void) kill(read_number("away"), SIGKILL);
}

static void a_killed_worker_takes_its_command_along(void **state)
{
    struct world *w = *state;
    qe_event event;

    serve(leaves_some);
    add(w, "stays", (qe_unit){0});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(read_number("self") != 0);
    assert_int_equal(
        kill((pid_t) atomic_load(&w->session->exec.arena.slots[event.slot].pid),
             SIGKILL),
        0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].losses, 1);
    WORLD_WAIT(!world_runs(read_number("self")));
    WORLD_WAIT(!world_runs(read_number("near")));
    WORLD_WAIT(!has_children(server) || world_runs(read_number("away")));
}

/* The host is this child, which has the only end of the server's standard
 * input: but for those whom it forked, who end with it. */
static void a_killed_host_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    struct world *own = w;
    int told[2], status;
    pid_t host;

    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    host = fork();
    if (host == 0) {
        qe_event event;

        w->host = getpid();
        serve(leaves_some);
        if (write(told[1], &server, sizeof(server)) != sizeof(server))
            _exit(1);
        add(own, "stays", (qe_unit){0});
        world_start(w);
        for (;;)
            world_poll(w, &event);
    }
    close(told[1]);
    assert_int_equal(read(told[0], &server, sizeof(server)), sizeof(server));
    close(told[0]);
    WORLD_WAIT(read_number("self") != 0);
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_int_equal(waitpid(host, &status, 0), host);
    WORLD_WAIT(!world_runs(read_number("self")) &&
               !world_runs(read_number("near")) &&
               !world_runs(read_number("away")) && !world_runs(server));
    server = 0;
    assert_true(world_reap_all(world_patience_ns()));
}

static void of_a_stopped_server_nothing_is_expected(void **state)
{
    struct world *w = *state;

    serve("print('ran')\n");
    add(w, "", (qe_unit){0});
    assert_int_equal(kill(server, SIGSTOP), 0);
    run(w);
    assert_false(was_warm(0)); /* it cannot be executed by itself */
    assert_int_equal(kill(server, SIGCONT), 0);
    WORLD_WAIT(!has_children(server)); /* nobody asks for it any more */
}

static void a_stopped_server_is_no_reason_to_wait_past_the_limit(void **state)
{
    struct world *w = *state;
    qe_event event;

    serve(leaves_some);
    add(w, "stays", (qe_unit){.timeout_ns = 3000 * WORLD_MS});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(read_number("self") != 0);
    assert_int_equal(kill(server, SIGSTOP), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_TIMEOUT);
    assert_int_equal(kill(server, SIGCONT), 0);
    WORLD_WAIT(!world_runs(read_number("self")));
}

/* A server that says one thing to each who comes, and then holds on to it. */
static void say(const char *what, bool hangs_up)
{
    static char source[1024];
    char *argv[] = {(char *) python(), "-c", source, NULL};

    snprintf(source, sizeof(source),
             "import os, socket, sys, select\n"
             "s = socket.socket(socket.AF_UNIX)\n"
             "s.bind('')\n"
             "s.listen(99)\n"
             "print(s.getsockname()[1:].decode(), flush=True)\n"
             "held = []\n"
             "while True:\n"
             "    if 0 in select.select([0, s], [], [])[0]: break\n"
             "    c = s.accept()[0]\n"
             "    c.recv(65536)\n"
             "    c.sendall(b'%s')\n"
             "    %s\n",
             what, hangs_up ? "c.close()" : "held.append(c)");
    serve_by(argv);
}

static void nonsense_is_no_start(void **state)
{
    static const struct {
        const char *text;
        bool hangs_up;
    } said[] = {
        {"", true},
        {"hello\\n", false},
        {"P\\n", false},
        {"P x\\n", false},
        {"P 0\\n", false},
        {"P 1\\n", false},
        {"P -1\\n", false},
        {"P 4294967295\\n", false},
        {"P 99999999999999999999999\\n", false},
        {"P 2147483646\\n", false}, /* nobody */
        {"P 12 34\\n", false},
        {"R no\\n", false},
        {"E\\n", false},
        {"S 0 0 0\\n", true},
        {"P 77", true}, /* half a line */
        {"\\0\\n", false},
        {"P 1111111111111111111111111111111111111111111111111111111111111111111"
         "111111111111111111111111111111111111111111111111111111111111111111111"
         "111111",
         false},
    };
    struct world *w = *state;
    uint32_t n = sizeof(said) / sizeof(said[0]);
    char *const argv[] = {"sh", "-c", "echo cold", NULL};
    pid_t all[32];
    int held[32];

    for (uint32_t i = 0; i < n; i++) {
        qe_unit unit = {.item = i * 3, .argv = argv, .warm = name};
        char id[16];

        say(said[i].text, said[i].hangs_up);
        all[i] = server;
        held[i] = holds;
        snprintf(id, sizeof(id), "%u", i);
        unit.id = id;
        assert_int_equal(qe_plan_add(w->plan, &unit), 0);
        w->units++;
    }
    run(w);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(ends[i].outcome, QE_PASSED);
        assert_string_equal(ends[i].out, "cold\n");
        server = all[i];
        holds = held[i];
        end_server();
    }
}

/* It starts a process, as it should; then it says what no server would. */
static void nonsense_at_its_end_is_a_crash(void **state)
{
    static const char *const said[] = {"nonsense\\n", "E\\nS\\n",
                                       "E\\nS x y z\\n", "E\\nS 127 0 0\\n",
                                       "S 0 0 0\\n"};
    struct world *w = *state;
    uint32_t n = sizeof(said) / sizeof(said[0]);
    char *const argv[] = {"sh", "-c", "echo cold", NULL};
    pid_t all[8];
    int held[8];

    for (uint32_t i = 0; i < n; i++) {
        char text[300], id[16];
        qe_unit unit = {.id = id, .item = i * 3, .argv = argv, .warm = name};

        snprintf(text, sizeof(text),
                 "P %%d\\n%s' %% __import__('subprocess').Popen(['sleep', "
                 "'1000'], process_group=0).pid + b'",
                 said[i]);
        say(text, false);
        all[i] = server;
        held[i] = holds;
        snprintf(id, sizeof(id), "%u", i);
        assert_int_equal(qe_plan_add(w->plan, &unit), 0);
        w->units++;
    }
    run(w);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(ends[i].outcome, QE_CRASHED);
        assert_int_equal(WTERMSIG(ends[i].status), SIGKILL);
        server = all[i];
        holds = held[i];
        end_server();
    }
}

/* ------------------------------------------------- what the server is asked for */

static int reach(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path + 1, name, strlen(name));
    assert_int_equal(
        connect(s, (struct sockaddr *) &address,
                (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 +
                             strlen(name))),
        0);
    return s;
}

static void an_odd_request_harms_no_other(void **state)
{
    static const char *const asked[] = {
        "",
        "Q",
        "QE1",
        "QE1 \n",
        "QE1 -5\n",
        "QE1 99999999999999999999\n",
        "QE2 0\n",
        "QE1 0\n",
        "QE1 4\nabcd",
        "A\n",
        "GET / HTTP/1.1\r\n\r\n",
        "012345678901234567890123456789012345678901234567890123456789012345678"
        "9",
    };
    struct world *w = *state;

    serve("print('ran')\n");
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        int s = reach();
        char answer[256];
        ssize_t n;

        assert_int_equal(send(s, asked[i], strlen(asked[i]), MSG_NOSIGNAL),
                         strlen(asked[i]));
        assert_int_equal(shutdown(s, SHUT_WR), 0);
        n = recv(s, answer, sizeof(answer), 0);
        assert_true(n <= 0 || answer[0] == 'R');
        close(s);
    }
    { /* words enough, but no streams; then too few words with streams */
        int s = reach(), fds[2] = {0, 1};
        char room[CMSG_SPACE(sizeof(fds))] = {0};
        struct iovec text = {"QE1 4\n1\0"
                             "1\0",
                             10};
        struct msghdr m = {.msg_iov = &text,
                           .msg_iovlen = 1,
                           .msg_control = room,
                           .msg_controllen = sizeof(room)};
        struct cmsghdr *part = CMSG_FIRSTHDR(&m);
        char answer[256];

        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(part), fds, sizeof(fds));
        assert_int_equal(sendmsg(s, &m, MSG_NOSIGNAL), 10);
        assert_true(recv(s, answer, sizeof(answer), 0) > 0);
        assert_int_equal(answer[0], 'R');
        close(s);
    }
    add(w, "", (qe_unit){0});
    run(w);
    assert_string_equal(ends[0].out, "ran\n");
    WORLD_WAIT(!has_children(server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
        T(without_a_server_it_runs_cold),
        T(a_killed_server_takes_its_commands_along),
        T(a_killed_worker_takes_its_command_along),
        T(a_killed_host_leaves_nothing_behind),
        T(of_a_stopped_server_nothing_is_expected),
        T(a_stopped_server_is_no_reason_to_wait_past_the_limit),
        T(nonsense_is_no_start),
        T(nonsense_at_its_end_is_a_crash),
        T(an_odd_request_harms_no_other),
#undef T
    };

    /* Valgrind's, which no program has that it starts: each run would be cold. */
    unsetenv("LD_PRELOAD");
    (void) signal(SIGPIPE, SIG_IGN); /* of a server that is gone write tells */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
