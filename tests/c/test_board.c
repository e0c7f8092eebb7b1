/* The board of a run, on a real server. */
#include "redis_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "qe_board.h"

#define S UINT64_C(1000000000)
#define LEASE_MS 400u

struct node {
    qe__redis *redis;
    qe__board *board;
    qe__board_news news;
};

static struct node come(const struct redis_world *w, const char *name)
{
    qe__board_options options = {.prefix = "qe",
                                 .project = "p",
                                 .run = "1",
                                 .node = name,
                                 .workers = 2,
                                 .lease_ms = LEASE_MS,
                                 .kept_s = 3600,
                                 .timeout_ns = 60 * S};
    char text[QE__REDIS_TEXT];
    struct node n = {0};

    assert_int_equal(redis_open(w, redis_url(w, false, ""), &n.redis, text), 0);
    assert_int_equal(qe__board_open(&n.board, &options), 0);
    qe__board_use(n.board, n.redis);
    return n;
}

static void leave(struct node *n)
{
    qe__board_close(n->board);
    qe__redis_close(n->redis);
}

static void nap_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* A plan of `entries` entries of `each` units. */
static void lay(struct node *n, uint32_t entries, uint32_t each,
                uint32_t maxfail)
{
    uint32_t count = entries * each;
    const char **ids = calloc(count + 1, sizeof(*ids));
    qe__entry *all = calloc(entries + 1, sizeof(*all));

    for (uint32_t i = 0; i < count; i++) {
        char *id = malloc(16);

        snprintf(id, 16, "id %u", i);
        ids[i] = id;
    }
    for (uint32_t i = 0; i < entries; i++) {
        all[i].first = i * each;
        all[i].count = each;
    }
    assert_int_equal(qe__board_join(n->board, "d", count, &n->news), 0);
    assert_int_equal(n->news.state, QE__BOARD_NONE);
    assert_int_equal(qe__board_lay(n->board, "d", ids, count, all, entries,
                                   maxfail, &n->news),
                     0);
    for (uint32_t i = 0; i < count; i++)
        free((void *) ids[i]);
    free(ids);
    free(all);
}

static uint32_t claim(struct node *n, uint32_t want, qe__entry *out)
{
    uint32_t got;

    assert_int_equal(qe__board_claim(n->board, want, 0, out, &got, &n->news),
                     0);
    return got;
}

static bool tell(struct node *n, const qe__entry *e, uint32_t unit,
                 enum qe_outcome outcome, bool finished)
{
    qe__told told = {unit,    e->attempt,
                     outcome, outcome != QE_PASSED && outcome != QE_NONE,
                     "{}",    false};

    assert_int_equal(qe__board_tell(n->board, e, &told, 1, finished, &n->news),
                     0);
    return told.counted;
}

static void one_node_does_it_all(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e[4];
    char *ids[8];
    uint32_t got;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 3, 2, 0);
    assert_int_equal(a.news.state, QE__BOARD_OPEN);
    assert_int_equal(a.news.left, 6);
    assert_int_equal(a.news.open, 3);
    assert_int_equal(a.news.workers, 2);
    assert_int_equal(qe__board_ids(a.board, 4, 8, ids, &got), 0);
    assert_int_equal(got, 2);
    assert_string_equal(ids[1], "id 5");
    free(ids[0]);
    free(ids[1]);
    assert_int_equal(claim(&a, 2, e), 2);
    assert_int_equal(e[1].first, 2);
    assert_int_equal(e[1].count, 2);
    assert_int_equal(e[1].attempt, 1);
    assert_int_equal(a.news.open, 1);
    assert_int_equal(claim(&a, 4, e + 2), 1);
    assert_int_equal(claim(&a, 4, e + 3), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(tell(&a, &e[i], 2 * i, QE_PASSED, false));
        assert_false(tell(&a, &e[i], 2 * i, QE_FAILED, false));
        assert_true(tell(&a, &e[i], 2 * i + 1, QE_FAILED, true));
    }
    assert_int_equal(a.news.left, 0);
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
}

static void an_empty_plan_is_over(void **state)
{
    struct redis_world *w = *state;
    struct node a;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 0, 0, 0);
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
}

static void another_plan_is_seen(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 1, 0);
    assert_int_equal(qe__board_join(b.board, "d", 2, &b.news), 0);
    assert_int_equal(b.news.state, QE__BOARD_OPEN);
    assert_int_equal(b.news.workers, 4);
    assert_int_equal(qe__board_join(b.board, "other", 2, &b.news), QE_EFORMAT);
    assert_int_equal(qe__board_join(b.board, "d", 3, &b.news), QE_EFORMAT);
    leave(&a);
    leave(&b);
}

static void who_dies_laying_is_replaced(void **state)
{
    struct redis_world *w = *state;
    const char *ids[] = {"x", "y"};
    struct node a, b;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(a.board, "d", 2, &a.news), 0);
    assert_int_equal(a.news.state, QE__BOARD_NONE);
    assert_int_equal(qe__board_join(b.board, "d", 2, &b.news), 0);
    assert_int_equal(b.news.state, QE__BOARD_LAYING);
    nap_ms(LEASE_MS + 50);
    lay(&b, 2, 1, 0);
    /* The first was only slow. */
    assert_int_equal(qe__board_lay(a.board, "d", ids, 2, NULL, 0, 0, &a.news),
                     QE_ESTATE);
    assert_int_equal(b.news.left, 2);
    leave(&a);
    leave(&b);
}

static void a_lease_that_ended_is_lost(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine[2], its[2];
    bool lost[2];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 2, 0);
    assert_int_equal(claim(&a, 2, mine), 2);
    for (int i = 0; i < 4; i++) { /* renewed: it stays */
        nap_ms(LEASE_MS / 2);
        assert_int_equal(qe__board_beat(a.board, mine, 2, 0, lost, &a.news), 0);
        assert_false(lost[0] || lost[1]);
        assert_int_equal(claim(&b, 2, its), 0);
    }
    assert_int_equal(qe__board_beat(a.board, mine, 1, 0, lost, &a.news), 0);
    nap_ms(LEASE_MS * 6 / 10);
    assert_int_equal(qe__board_beat(a.board, mine, 1, 0, lost, &a.news), 0);
    nap_ms(LEASE_MS * 6 / 10);
    assert_int_equal(claim(&b, 2, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_int_equal(qe__board_beat(a.board, mine, 2, 0, lost, &a.news), 0);
    assert_false(lost[0]);
    assert_true(lost[1]);
    /* Late, and the first: it counts, once. */
    assert_true(tell(&a, &mine[1], 2, QE_PASSED, false));
    assert_false(tell(&b, &its[0], 2, QE_FAILED, false));
    /* Late, and to run again: that is the other's to say. */
    assert_false(tell(&a, &mine[1], 3, QE_NONE, true));
    assert_true(tell(&b, &its[0], 3, QE_PASSED, true));
    assert_true(tell(&a, &mine[0], 0, QE_PASSED, false));
    assert_true(tell(&a, &mine[0], 1, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    assert_int_equal(a.news.open, 0);
    leave(&a);
    leave(&b);
}

static void what_runs_again_does_so_elsewhere(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 1, 1, 0);
    assert_int_equal(claim(&a, 1, &e), 1);
    assert_false(tell(&a, &e, 0, QE_NONE, true));
    assert_int_equal(claim(&a, 1, &e), 1); /* nobody else is there */
    assert_int_equal(e.attempt, 2);
    assert_string_equal(e.not_on, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(b.board, "d", 1, &b.news), 0);
    assert_false(tell(&a, &e, 0, QE_NONE, true));
    assert_int_equal(claim(&a, 1, &e), 0);
    assert_int_equal(claim(&b, 1, &e), 1);
    assert_int_equal(e.attempt, 3);
    assert_true(tell(&b, &e, 0, QE_FLAKY, true));
    assert_int_equal(b.news.state, QE__BOARD_OVER);
    leave(&a);
    leave(&b);
}

static void failures_stop_all(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 5, 1, 2);
    assert_int_equal(claim(&a, 2, e), 2);
    assert_int_equal(claim(&b, 1, e + 2), 1);
    assert_true(tell(&a, &e[0], 0, QE_FAILED, true));
    assert_int_equal(a.news.state, QE__BOARD_OPEN);
    assert_true(tell(&b, &e[2], 2, QE_CRASHED, true));
    assert_int_equal(b.news.state, QE__BOARD_STOPPED);
    assert_int_equal(claim(&a, 1, e), 0);
    assert_true(tell(&a, &e[1], 1, QE_PASSED, true));
    assert_int_equal(a.news.left, 2);
    leave(&a);
    leave(&b);
}

static void what_was_not_begun_is_given_back(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine, its[3];
    bool given;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 1, 10, 0);
    assert_int_equal(claim(&a, 1, &mine), 1);
    assert_int_equal(qe__board_back(a.board, &mine, 4, &given, &a.news), 0);
    assert_true(given);
    assert_int_equal(mine.count, 6);
    assert_int_equal(claim(&b, 3, its), 1);
    assert_int_equal(its[0].first, 6);
    assert_int_equal(its[0].count, 4);
    /* And what is kept is no more than that for who comes after us. */
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 3, its), 2);
    assert_int_equal(its[0].first, 0);
    assert_int_equal(its[0].count, 6);
    assert_int_equal(qe__board_back(a.board, &mine, 1, &given, &a.news), 0);
    assert_false(given);
    assert_int_equal(qe__board_back(b.board, &its[0], 6, &given, &b.news), 0);
    assert_true(given);
    assert_int_equal(claim(&a, 3, &mine), 1);
    assert_int_equal(mine.count, 6);
    leave(&a);
    leave(&b);
}

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

        if (qe__board_claim(n.board, 1 + number % 3, 0, e, &got, &n.news) !=
            0) {
            again(c, &n);
            continue;
        }
        if (n.news.state == QE__BOARD_OVER)
            break;
        if (got == 0)
            nap_ms(5);
        for (uint32_t i = 0; i < got; i++) {
            for (uint32_t u = 0; u < e[i].count; u++) {
                qe__told told = {e[i].first + u, e[i].attempt, QE_PASSED,
                                 false,          "payload",    false};

                random = random * 6364136223846793005u + 1442695040888963407u;
                if (random >> 33 & 1 && e[i].attempt == 1)
                    told.outcome = QE_NONE;
                if ((random >> 40) % 64 == 0)
                    nap_ms(LEASE_MS + 100); /* frozen */
                atomic_fetch_add(&c->ran[told.unit], 1);
                while (qe__board_tell(n.board, &e[i], &told, 1,
                                      u + 1 == e[i].count, &n.news) != 0)
                    again(c, &n);
                if (told.counted)
                    atomic_fetch_add(&c->counted[told.unit], 1);
            }
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
    uint32_t lost = 0;

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
        /* An answer that was lost with its server is not told again. */
        assert_true(atomic_load(&c.counted[i]) <= 1);
        lost += atomic_load(&c.counted[i]) == 0;
    }
    assert_true(lost <= 3 * NODES);
    leave(&a);
}

static void a_full_server_says_so(void **state)
{
    struct redis_world *w = *state;
    qe__board_news news;
    struct node a;

    w->more[0] = "--maxmemory";
    w->more[1] = "1";
    redis_start(w);
    a = come(w, "a");
    assert_int_equal(qe__board_join(a.board, "d", 1, &news), QE_EUNSUPPORTED);
    assert_non_null(strstr(qe__board_text(a.board), "OOM"));
    leave(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BOARD_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        BOARD_TEST(one_node_does_it_all),
        BOARD_TEST(an_empty_plan_is_over),
        BOARD_TEST(another_plan_is_seen),
        BOARD_TEST(who_dies_laying_is_replaced),
        BOARD_TEST(a_lease_that_ended_is_lost),
        BOARD_TEST(what_runs_again_does_so_elsewhere),
        BOARD_TEST(failures_stop_all),
        BOARD_TEST(what_was_not_begun_is_given_back),
        BOARD_TEST(nothing_is_lost_or_doubled),
        BOARD_TEST(a_full_server_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
