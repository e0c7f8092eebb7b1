/* Warm servers that are killed or stopped, and such as are not what they say. That
 * another user's server is given nothing (is_ours in qe_warm.c) cannot be tried
 * here: it takes a second user. */
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

/* A connection to the server. */
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

/* ---------------------------------------------------------------------- faults */

static void without_a_server_it_runs_cold(void **state)
{
    static char longest[200];
    struct world *w = *state;

    warm_serve("print('ran')\n");
    assert_int_equal(chmod(script, 0700), 0);
    kill(server, SIGKILL);
    warm_end_server();
    warm_add(w, "", (qe_unit){0});
    memset(longest, 'n', sizeof(longest) - 1);
    memcpy(name, longest, sizeof(name) - 1); /* longer than a name can be */
    warm_add(w, "", (qe_unit){0});
    name[0] = '\0';
    warm_add(w, "", (qe_unit){0});
    warm_run(w);
    for (uint32_t u = 0; u < 3; u++)
        assert_false(warm_was(u) && ends[u].out[0] != '\0');
}

/* It ends with its server, and runs again without one, as the same attempt. */
static void a_killed_server_costs_no_attempt(void **state)
{
    struct world *w = *state;
    qe_event event;

    warm_serve(warm_leaves_some);
    warm_add(w, "stays", (qe_unit){0});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(warm_read_number("self") != 0);
    assert_int_equal(kill(server, SIGKILL), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].attempt, 1);
    assert_false(warm_was(0));
    WORLD_WAIT(!world_runs(warm_read_number("self")));
    WORLD_WAIT(!world_runs(warm_read_number("near")));
    /* Nobody is left who could know of this one. */
    (void) kill(warm_read_number("away"), SIGKILL);
}

static void a_killed_worker_takes_its_command_along(void **state)
{
    struct world *w = *state;
    qe_event event;

    warm_serve(warm_leaves_some);
    warm_add(w, "stays", (qe_unit){0});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(warm_read_number("self") != 0);
    assert_int_equal(
        kill((pid_t) atomic_load(&w->session->exec.arena.slots[event.slot].pid),
             SIGKILL),
        0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].losses, 1);
    WORLD_WAIT(!world_runs(warm_read_number("self")));
    WORLD_WAIT(!world_runs(warm_read_number("near")));
    WORLD_WAIT(!warm_serves(server) || world_runs(warm_read_number("away")));
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
        warm_serve(warm_leaves_some);
        if (write(told[1], &server, sizeof(server)) != sizeof(server))
            _exit(1);
        warm_add(own, "stays", (qe_unit){0});
        world_start(w);
        for (;;)
            world_poll(w, &event);
    }
    close(told[1]);
    assert_int_equal(read(told[0], &server, sizeof(server)), sizeof(server));
    close(told[0]);
    WORLD_WAIT(warm_read_number("self") != 0);
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_int_equal(waitpid(host, &status, 0), host);
    WORLD_WAIT(!world_runs(warm_read_number("self")) &&
               !world_runs(warm_read_number("near")) &&
               !world_runs(warm_read_number("away")) && !world_runs(server));
    server = 0;
    assert_true(world_reap_all(world_patience_ns()));
}

static void of_a_stopped_server_nothing_is_expected(void **state)
{
    struct world *w = *state;
    char answer;
    int s;

    warm_serve("import time\ntime.sleep(1000)\n");
    warm_add(w, "", (qe_unit){0});
    assert_int_equal(kill(server, SIGSTOP), 0);
    warm_run(w);
    assert_false(warm_was(0)); /* it cannot be executed by itself */
    assert_int_equal(kill(server, SIGCONT), 0);
    /* It hears of who comes in order: by its answer it knows of the run, too. */
    s = reach();
    assert_int_equal(send(s, "Q\n", 2, MSG_NOSIGNAL), 2);
    assert_int_equal(recv(s, &answer, 1, 0), 1);
    close(s);
    WORLD_WAIT(!warm_serves(server)); /* nobody asks for it any more */
}

static void a_stopped_server_is_no_reason_to_wait_past_the_limit(void **state)
{
    struct world *w = *state;
    qe_event event;

    warm_serve(warm_leaves_some);
    warm_add(w, "stays", (qe_unit){.timeout_ns = 3000 * WORLD_MS});
    world_start(w);
    world_until(w, QE_EV_START, 0, &event);
    WORLD_WAIT(warm_read_number("self") != 0);
    assert_int_equal(kill(server, SIGSTOP), 0);
    world_finish(w);
    world_check(w);
    assert_int_equal(w->unit[0].outcome, QE_TIMEOUT);
    assert_int_equal(kill(server, SIGCONT), 0);
    WORLD_WAIT(!world_runs(warm_read_number("self")));
}

/* A server that says one thing to each who comes, and then holds on to it. */
static void say(const char *what, bool hangs_up)
{
    static char source[1024];
    char *argv[] = {(char *) warm_python(), "-c", source, NULL};

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
    warm_serve_by(argv);
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
    warm_run(w);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(ends[i].outcome, QE_PASSED);
        assert_string_equal(ends[i].out, "cold\n");
        server = all[i];
        holds = held[i];
        warm_end_server();
    }
}

/* It starts a process, as it should; then it says what no server would. */
static void nonsense_at_its_end_has_it_run_again(void **state)
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
    warm_run(w);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(ends[i].outcome, QE_PASSED);
        assert_string_equal(ends[i].out, "cold\n");
        server = all[i];
        holds = held[i];
        warm_end_server();
    }
}

/* ------------------------------------------------- what the server is asked for */

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

    warm_serve("print('ran')\n");
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
    warm_add(w, "", (qe_unit){0});
    warm_run(w);
    assert_string_equal(ends[0].out, "ran\n");
    WORLD_WAIT(!warm_serves(server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, warm_setup, warm_teardown)
        T(without_a_server_it_runs_cold),
        T(a_killed_server_costs_no_attempt),
        T(a_killed_worker_takes_its_command_along),
        T(a_killed_host_leaves_nothing_behind),
        T(of_a_stopped_server_nothing_is_expected),
        T(a_stopped_server_is_no_reason_to_wait_past_the_limit),
        T(nonsense_is_no_start),
        T(nonsense_at_its_end_has_it_run_again),
        T(an_odd_request_harms_no_other),
#undef T
    };

    /* Valgrind's, which no program has that it starts: each run would be cold. */
    unsetenv("LD_PRELOAD");
    (void) signal(SIGPIPE, SIG_IGN); /* of a server that is gone write tells */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
