/* Connections to a real server. */
#include "redis_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#define S UINT64_C(1000000000)

static void addresses(void **state)
{
    static const struct {
        const char *url, *host, *port, *user, *password;
        uint32_t database;
        bool tls;
    } good[] = {
        {"redis://a", "a", "6379", "", "", 0, false},
        {"redis://a/", "a", "6379", "", "", 0, false},
        {"rediss://a.b:1/15", "a.b", "1", "", "", 15, true},
        {"redis://:pw@a", "a", "6379", "", "pw", 0, false},
        {"redis://u:p%40%3a%2F@a:65535", "a", "65535", "u", "p@:/", 0, false},
        {"redis://u:p@q@a", "a", "6379", "u", "p@q", 0, false},
        {"redis://u@[::1]:7/0", "::1", "7", "u", "", 0, false},
    };
    static const char *const bad[] = {
        "",
        "a:6379",
        "http://a",
        "redis://",
        "redis://:6379",
        "redis://a:0",
        "redis://a:65536",
        "redis://a:6379x",
        "redis://a: 1",
        "redis://a:-1",
        "redis://a/x",
        "redis://a/70000",
        "redis://a?db=1",
        "redis://[::1",
        "redis://[::1]7",
        "redis://%zz@a",
        "redis://x:secret%00@a",
        "redis://x:secret%4@a",
    };
    char text[QE__REDIS_TEXT];
    qe__redis_address a;

    (void) state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(qe__redis_parse(good[i].url, &a, text), 0);
        assert_string_equal(a.host, good[i].host);
        assert_string_equal(a.port, good[i].port);
        assert_string_equal(a.user, good[i].user);
        assert_string_equal(a.password, good[i].password);
        assert_int_equal(a.database, good[i].database);
        assert_int_equal(a.tls, good[i].tls);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text[0] = '\0';
        assert_int_equal(qe__redis_parse(bad[i], &a, text), QE_EINVAL);
        assert_true(strlen(text) > 10);
        assert_null(strstr(text, "secret"));
    }
}

static redisReply *call(qe__redis *r, int argc, const char *const *argv)
{
    redisReply *reply;

    assert_int_equal(qe__redis_add(r, argc, argv, NULL), 0);
    assert_int_equal(qe__redis_reply(r, qe_now_ns() + 60 * S, &reply), 0);
    return reply;
}

/* Commands in a row, bytes of any kind, and replies of any size. */
static void talk(qe__redis *r)
{
    static const char nul[] = "a\0b\r\n";
    static const size_t lengths[] = {3, 1, 5};
    const char *set[] = {"SET", "k", nul};
    const char *get[] = {"GET", "k"};
    const char *big[] = {"EVAL", "return string.rep('x', 3000000)", "0"};
    const char *none[] = {"NOSUCH"};
    redisReply *reply;

    for (int i = 0; i < 1000; i++)
        assert_int_equal(qe__redis_add(r, 3, set, lengths), 0);
    assert_int_equal(qe__redis_add(r, 2, get, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(qe__redis_reply(r, qe_now_ns() + 60 * S, &reply), 0);
        assert_int_equal(reply->type, REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    assert_int_equal(qe__redis_reply(r, qe_now_ns() + 60 * S, &reply), 0);
    assert_int_equal(reply->len, 5);
    assert_memory_equal(reply->str, nul, 5);
    freeReplyObject(reply);
    reply = call(r, 3, big);
    assert_int_equal(reply->len, 3000000);
    freeReplyObject(reply);
    reply = call(r, 1, none);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_non_null(strstr(qe__redis_text(r), "NOSUCH"));
    freeReplyObject(reply);
    assert_int_equal(qe__redis_reply(r, qe_now_ns(), &reply), QE_EBUSY);
}

static void commands(void **state)
{
    struct redis_world *w = *state;
    char text[QE__REDIS_TEXT];
    qe__redis *r;

    redis_start(w);
    assert_int_equal(redis_open(w, redis_url(w, false, ""), &r, text), 0);
    talk(r);
    qe__redis_close(r);
}

static void commands_by_tls(void **state)
{
    struct redis_world *w = *state;
    char text[QE__REDIS_TEXT];
    qe__redis *r;

    w->only_tls = true;
    w->password = "pass word";
    redis_start(w);
    assert_int_equal(
        redis_open(w, redis_url(w, true, ":pass%20word@"), &r, text), 0);
    talk(r);
    qe__redis_close(r);
}

static void refused(struct redis_world *w, const char *url, int status,
                    const char *words)
{
    char text[QE__REDIS_TEXT];
    qe__redis *r;

    assert_int_equal(redis_open(w, url, &r, text), status);
    assert_null(r);
    if (strstr(text, words) == NULL)
        fail_msg("%s: no \"%s\" in \"%s\"", url, words, text);
    assert_null(strchr(text, '\n'));
    assert_null(strstr(text, "wrongpw"));
}

static void who_is_refused_is_told_why(void **state)
{
    struct redis_world *w = *state;
    char url[256];

    w->password = "right";
    w->with_tls = true;
    redis_start(w);
    refused(w, redis_url(w, false, ""), QE_EUNSUPPORTED, "NOAUTH");
    refused(w, redis_url(w, false, ":wrongpw@"), QE_EUNSUPPORTED, "WRONGPASS");
    refused(w, redis_url(w, false, "me:wrongpw@"), QE_EUNSUPPORTED,
            "WRONGPASS");
    /* Nobody vouches for it; it is not who it says it is. */
    snprintf(url, sizeof(url), "rediss://:right@127.0.0.1:%d", w->tls_port);
    refused(w, url, QE_EUNSUPPORTED, "certificate");
    w->ca[0] = '\0';
    refused(w, redis_url(w, true, ":right@"), QE_EUNSUPPORTED, "certificate");
    /* No TLS where it is wanted. */
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", w->tls_port);
    refused(w, url, QE_EGONE, "rediss://");
    refused(w, "redis://no-such-host.invalid", QE_EGONE, "no-such-host");
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", w->port);
    redis_kill(w);
    refused(w, url, QE_EGONE, "refused");
}

static void a_server_that_goes_is_noticed(void **state)
{
    struct redis_world *w = *state;
    const char *ping[] = {"PING"};
    char text[QE__REDIS_TEXT];
    redisReply *reply;
    qe__redis *r;

    redis_start(w);
    assert_int_equal(redis_open(w, redis_url(w, false, ""), &r, text), 0);
    assert_int_equal(kill(w->pid, SIGSTOP), 0);
    assert_int_equal(qe__redis_add(r, 1, ping, NULL), 0);
    assert_int_equal(qe__redis_reply(r, qe_now_ns() + S / 20, &reply),
                     QE_EBUSY);
    assert_non_null(strstr(qe__redis_text(r), "does not answer"));
    assert_int_equal(kill(w->pid, SIGCONT), 0);
    assert_int_equal(qe__redis_reply(r, qe_now_ns() + 60 * S, &reply), 0);
    assert_string_equal(reply->str, "PONG");
    freeReplyObject(reply);
    redis_kill(w);
    assert_int_equal(qe__redis_add(r, 1, ping, NULL), 0);
    assert_int_equal(qe__redis_reply(r, qe_now_ns() + 60 * S, &reply),
                     QE_EGONE);
    qe__redis_close(r);
}

/* A server that is none: what it says is bounded, and never obeyed. */
static void hostile(struct redis_world *w, const char *says, size_t times,
                    int status)
{
    char url[64];
    char text[QE__REDIS_TEXT];
    qe__redis *r;
    int one = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    pid_t pid;

    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(server, (struct sockaddr *) &a, sizeof(a)), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *) &a, &n), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = accept(server, NULL, NULL);

        (void) signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; i < times; i++) {
            if (send(fd, says, strlen(says), 0) < 0)
                break;
        }
        _exit(0);
    }
    close(server);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", ntohs(a.sin_port));
    assert_int_equal(redis_open(w, url, &r, text), status);
    assert_null(strchr(text, '\n'));
    assert_null(strchr(text, '\033'));
    (void) scratch_wait(pid);
}

static void what_a_hostile_server_says_is_bounded(void **state)
{
    static char many[1 << 16];

    memset(many, 'x', sizeof(many) - 1);
    hostile(*state, "HTTP/1.1 400 Bad Request\r\n\r\n", 1, QE_EFORMAT);
    hostile(*state, "$2147483647\r\n", 1, QE_EGONE);
    hostile(*state, "*1000000000\r\n", 1, QE_EFORMAT);
    hostile(*state, "-\033[31mNO\r\n", 1, QE_EUNSUPPORTED);
    hostile(*state,
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1"
            "\r\n*1\r\n*1\r\n:1\r\n",
            1, QE_EFORMAT);
    hostile(*state, many, 1100, QE_EFORMAT);
    many[0] = '+';
    hostile(*state, many, 1100, QE_EFORMAT);
    memcpy(many, "$500000000\r\n", 12);
    hostile(*state, many, 1100, QE_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
#define REDIS_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        REDIS_TEST(commands),
        REDIS_TEST(commands_by_tls),
        REDIS_TEST(who_is_refused_is_told_why),
        REDIS_TEST(a_server_that_goes_is_noticed),
        REDIS_TEST(what_a_hostile_server_says_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
