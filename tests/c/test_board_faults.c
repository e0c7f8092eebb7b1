/* The board of a run when nodes and its server fail, or somebody else writes to it. */
#include "board_world.h"

#include <pthread.h>
#include <stdatomic.h>

/* Nodes that freeze now and then, and a server that is killed now and then. */
#define UNITS 300u
#define NODES 4u

struct chaos {
    struct redis_world *w;
    atomic_uint counted[UNITS];
    atomic_uint ran[UNITS];
    atomic_bool over;
    atomic_uint wrong;
};

static int again(struct chaos *c, struct node *n)
{
    char text[QE__REDIS_TEXT];

    qe__redis_close(n->redis);
    n->redis = NULL;
    while (redis_open(c->w, redis_url(c->w, false, ""), &n->redis, text) != 0)
        nap_ms(20);
    qe__board_use(n->board, n->redis);
    return 0;
}

static void *live(void *argument)
{
    static atomic_uint names;
    struct chaos *c = argument;
    uint32_t number = atomic_fetch_add(&names, 1);
    uint64_t random = number + 1;
    char name[16];
    struct node n;

    snprintf(name, sizeof(name), "node %u", number);
    n = come(c->w, name);
    while (!atomic_load(&c->over)) {
        qe__entry e[3];
        uint32_t got = 0;

        qe__share_want want = {.entries = 1 + number % 3};

        if (qe__board_claim(n.board, &want, 0, e, &got, &n.news) != 0) {
            again(c, &n);
            continue;
        }
        if (n.news.state == QE__BOARD_OVER)
            break;
        if (got == 0)
            nap_ms(5);
        for (uint32_t i = 0; i < got; i++) {
            for (uint32_t u = 0; u < e[i].count; u++) {
                const uint64_t call = number_of_call();
                qe__told told = told_of(&e[i], e[i].first + u, QE_PASSED,
                                        u + 1 == e[i].count);

                if (e[i].gone != NULL && e[i].gone[u] == '1')
                    continue;
                random = random * 6364136223846793005u + 1442695040888963407u;
                if (random >> 33 & 1 && e[i].attempt == 1)
                    told.outcome = QE_NONE;
                if ((random >> 40) % 64 == 0)
                    nap_ms(LEASE_MS + 100); /* frozen */
                atomic_fetch_add(&c->ran[told.unit], 1);
                while (qe__board_tell(n.board, "abc", call, &told, 1,
                                      &n.news) != 0)
                    again(c, &n);
                if (told.counted)
                    atomic_fetch_add(&c->counted[told.unit], 1);
            }
            free(e[i].gone);
        }
    }
    leave(&n);
    return NULL;
}

static void nothing_is_lost_or_doubled(void **state)
{
    static struct chaos c;
    struct redis_world *w = *state;
    pthread_t thread[NODES];
    struct node a;

    memset(&c, 0, sizeof(c));
    c.w = w;
    w->more[0] = "--appendonly";
    w->more[1] = "yes";
    w->more[2] = "--appendfsync";
    w->more[3] = "always";
    redis_start(w);
    a = come(w, "first");
    lay(&a, UNITS / 3, 3, 0);
    for (uint32_t i = 0; i < NODES; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, live, &c), 0);
    for (int i = 0; i < 3; i++) {
        nap_ms(150);
        redis_kill(w);
        redis_start(w);
    }
    for (uint32_t i = 0; i < NODES; i++)
        pthread_join(thread[i], NULL);
    again(&c, &a);
    assert_int_equal(qe__board_join(a.board, "d", UNITS, &a.news), 0);
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    assert_int_equal(a.news.left, 0);
    for (uint32_t i = 0; i < UNITS; i++) {
        assert_true(atomic_load(&c.ran[i]) > 0);
        assert_int_equal(atomic_load(&c.counted[i]), 1);
    }
    leave(&a);
}

/* A run that is over is open once more. */
static void reopen(struct node *n)
{
    static const char *const set[] = {"HSET", "qe:{p/1}:plan", "state",
                                      "open", "left",          "1"};
    redisReply *reply;

    assert_int_equal(qe__redis_add(n->redis, 6, set, NULL), 0);
    assert_int_equal(qe__redis_reply(n->redis, UINT64_MAX, &reply), 0);
    freeReplyObject(reply);
}

/* What a node hears of a server that is started like this. */
static void refuses(struct redis_world *w, const char *option,
                    const char *value, const char *more, int code,
                    const char *line)
{
    qe__board_news news;
    struct node a;

    w->more[0] = option;
    w->more[1] = value;
    w->more[2] = more;
    redis_start(w);
    a = come(w, "a");
    assert_int_equal(qe__board_join(a.board, "d", 1, &news), code);
    if (strncmp(qe__board_text(a.board), line, strlen(line)) != 0)
        fail_msg("%s", qe__board_text(a.board));
    assert_null(strchr(qe__board_text(a.board), '\n'));
    leave(&a);
    redis_kill(w);
}

static void what_a_server_lacks_is_said(void **state)
{
    struct redis_world *w = *state;

    refuses(w, "--maxmemory", "1", NULL, QE_EUNSUPPORTED,
            "the server is full: OOM ");
    refuses(w, "--replicaof", "127.0.0.1", "1", QE_EUNSUPPORTED,
            "the server can only be read: another one is its master: ");
    refuses(w, "--rename-command", "XAUTOCLAIM", "", QE_EUNSUPPORTED,
            "the server must be Redis 6.2, or Valkey, or newer: ");
}

/* What somebody else wrote under our names harms nothing. */
static void what_is_odd_is_refused(void **state)
{
    static const char *const writes[][8] = {
        {"XADD", "qe:{p/1}:work", "*", "u", "0", "n", "0", NULL},
        {"HSET", "qe:{p/1}:plan", "left", "-5", NULL},
        {"HSET", "qe:{p/1}:plan", "left", "lots", NULL},
        {"DEL", "qe:{p/1}:work", NULL},
        {"SET", "qe:{p/1}:work", "x", NULL},
        {"SET", "qe:{p/1}:out", "x", NULL},
        {"HSET", "qe:{p/1}:nodes", "z", "1 2", NULL},
    };
    struct redis_world *w = *state;

    redis_start(w);
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        const char *all[] = {"FLUSHALL"};
        qe__share_want want = {.entries = 2};
        struct node a = come(w, "a");
        redisReply *reply;
        qe__entry e[2];
        uint32_t got;
        int argc = 0, status;

        assert_int_equal(qe__redis_add(a.redis, 1, all, NULL), 0);
        assert_int_equal(qe__redis_reply(a.redis, UINT64_MAX, &reply), 0);
        freeReplyObject(reply);
        lay(&a, 0 + (i > 0), 1, 0);
        while (writes[i][argc] != NULL)
            argc++;
        assert_int_equal(qe__redis_add(a.redis, argc, writes[i], NULL), 0);
        assert_int_equal(qe__redis_reply(a.redis, UINT64_MAX, &reply), 0);
        freeReplyObject(reply);
        status = qe__board_claim(a.board, &want, 0, e, &got, &a.news);
        assert_true(status == 0 || status == QE_EFORMAT ||
                    status == QE_EUNSUPPORTED);
        if (status != 0) {
            assert_null(strchr(qe__board_text(a.board), '\n'));
            assert_true(strlen(qe__board_text(a.board)) > 0);
        }
        for (uint32_t j = 0; j < got; j++)
            free(e[j].gone);
        leave(&a);
    }
}

/* Nor does it keep the server from others. */
static void what_is_huge_keeps_no_server_busy(void **state)
{
    const char *const writes[][16] = {
        {"XADD", "qe:{p/1}:work", "*", "u", "0", "n", "4000000000", "a", "1",
         "x", "", "e", "1", "s", "0", NULL},
        {"RPUSH", "qe:{p/1}:again", "0 4000000000 2 1 ", NULL},
        {"RPUSH", "qe:{p/1}:serial", "0 4000000000 1 1 ", NULL},
    };
    static const char *const late[] = {"HSET", "qe:{p/1}:plan", "late", "1"};
    struct redis_world *w = *state;

    redis_start(w);
    for (size_t i = 0; i < 3; i++) {
        const char *all[] = {"FLUSHALL"};
        qe__share_want want = {.entries = 2};
        struct node a = come(w, "a");
        redisReply *reply;
        qe__entry e[2];
        uint32_t got;
        int argc = 0;

        assert_int_equal(qe__redis_add(a.redis, 1, all, NULL), 0);
        assert_int_equal(qe__redis_reply(a.redis, UINT64_MAX, &reply), 0);
        freeReplyObject(reply);
        lay(&a, 1, 1, 0);
        assert_int_equal(claim(&a, 1, e), 1);
        assert_true(tell(&a, e, 0, QE_PASSED, true));
        while (writes[i][argc] != NULL)
            argc++;
        assert_int_equal(qe__redis_add(a.redis, argc, writes[i], NULL), 0);
        assert_int_equal(qe__redis_reply(a.redis, UINT64_MAX, &reply), 0);
        freeReplyObject(reply);
        assert_int_equal(qe__redis_add(a.redis, 4, late, NULL), 0);
        assert_int_equal(qe__redis_reply(a.redis, UINT64_MAX, &reply), 0);
        freeReplyObject(reply);
        reopen(&a);
        assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news),
                         QE_EUNSUPPORTED);
        assert_non_null(
            strstr(qe__board_text(a.board), "no such number of tests"));
        leave(&a);
    }
}

static void a_run_that_is_gone_is_seen(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e;
    qe__told told;
    bool lost;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 1, 1, 0);
    assert_int_equal(claim(&a, 1, &e), 1);
    redis_kill(w);
    redis_start(w); /* without an append-only file */
    told = told_of(&e, 0, QE_PASSED, true);
    assert_int_equal(qe__board_tell(a.board, "abc", 1, &told, 1, &a.news),
                     QE_EGONE);
    leave(&a);
    a = come(w, "a");
    assert_int_equal(qe__board_beat(a.board, &e, 1, false, 0, &lost, &a.news),
                     QE_ENOTFOUND);
    assert_int_equal(qe__board_tell(a.board, "abc", 1, &told, 1, &a.news),
                     QE_ENOTFOUND);
    assert_int_equal(length(&a, "EXISTS", "qe:{p/1}:nodes"), 0);
    leave(&a);
}

/* Another has laid its plan under the name since: nothing of that is ours. */
static void a_run_that_was_laid_again_is_another(void **state)
{
    const char *all[] = {"FLUSHALL"};
    qe__share_want want = {.entries = 1};
    struct redis_world *w = *state;
    struct node a, b;
    redisReply *reply;
    qe__entry e;
    qe__told told;
    uint32_t got;
    bool lost;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 1, 0);
    assert_int_equal(claim(&a, 1, &e), 1);
    assert_int_equal(qe__redis_add(a.redis, 1, all, NULL), 0);
    assert_int_equal(qe__redis_reply(a.redis, UINT64_MAX, &reply), 0);
    freeReplyObject(reply);
    nap_ms(2); /* runs are told apart by the millisecond */
    lay(&b, 3, 1, 0);
    told = told_of(&e, 0, QE_PASSED, true);
    assert_int_equal(qe__board_tell(a.board, "abc", 1, &told, 1, &a.news),
                     QE_ENOTFOUND);
    assert_int_equal(qe__board_beat(a.board, &e, 1, true, 0, &lost, &a.news),
                     QE_ENOTFOUND);
    assert_int_equal(qe__board_claim(a.board, &want, 0, &e, &got, &a.news),
                     QE_ENOTFOUND);
    assert_int_equal(qe__board_stop(a.board, &a.news), QE_ENOTFOUND);
    assert_int_equal(length(&b, "HLEN", "qe:{p/1}:out"), 0);
    assert_int_equal(length(&b, "XLEN", "qe:{p/1}:tries"), 0);
    assert_int_equal(length(&b, "HLEN", "qe:{p/1}:nodes"), 1);
    assert_int_equal(claim(&b, 1, &e), 1);
    assert_int_equal(b.news.state, QE__BOARD_OPEN);
    assert_int_equal(b.news.left, 3);
    leave(&a);
    leave(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BOARD_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        BOARD_TEST(nothing_is_lost_or_doubled),
        BOARD_TEST(what_a_server_lacks_is_said),
        BOARD_TEST(what_is_odd_is_refused),
        BOARD_TEST(what_is_huge_keeps_no_server_busy),
        BOARD_TEST(a_run_that_is_gone_is_seen),
        BOARD_TEST(a_run_that_was_laid_again_is_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
