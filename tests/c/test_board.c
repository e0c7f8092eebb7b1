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

    assert_true(ids != NULL && all != NULL);
    for (uint32_t i = 0; i < count; i++) {
        char *id = malloc(16);

        snprintf(id, 16, "id %u", i);
        ids[i] = id;
    }
    for (uint32_t i = 0; i < entries; i++) {
        all[i].first = i * each;
        all[i].count = each;
        all[i].expected_ns = each * S;
    }
    assert_int_equal(qe__board_join(n->board, "d", count, &n->news), 0);
    assert_int_equal(n->news.state, QE__BOARD_NONE);
    assert_int_equal(
        qe__board_lay(n->board, ids, count, all, entries, maxfail, &n->news),
        0);
    for (uint32_t i = 0; i < count; i++)
        free((void *) ids[i]);
    free(ids);
    free(all);
}

static uint32_t claim(struct node *n, uint32_t entries, qe__entry *out)
{
    qe__share_want want = {.entries = entries};
    uint32_t got;

    assert_int_equal(qe__board_claim(n->board, &want, 0, out, &got, &n->news),
                     0);
    return got;
}

/* A number that no other call has. */
static uint64_t number_of_call(void)
{
    static atomic_uint calls;

    return atomic_fetch_add(&calls, 1) + 1;
}

static qe__told told_of(const qe__entry *e, uint32_t unit,
                        enum qe_outcome outcome, bool finished)
{
    return (qe__told){.entry = e->id,
                      .finished = finished,
                      .unit = unit,
                      .attempt = e->attempt,
                      .outcome = outcome,
                      .failed = outcome != QE_PASSED && outcome != QE_NONE,
                      .payload = "{}",
                      .size = 2};
}

static bool tell(struct node *n, const qe__entry *e, uint32_t unit,
                 enum qe_outcome outcome, bool finished)
{
    qe__told told = told_of(e, unit, outcome, finished);

    assert_int_equal(
        qe__board_tell(n->board, "abc", number_of_call(), &told, 1, &n->news),
        0);
    return told.counted;
}

static bool back(struct node *n, const qe__entry *e, uint32_t first,
                 uint32_t count, bool finished)
{
    qe__part part = {e->id, finished, first, count, false};

    assert_int_equal(qe__board_back(n->board, &part, 1, &n->news), 0);
    return part.given;
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
    assert_int_equal(qe__board_lay(a.board, ids, 2, NULL, 0, 0, &a.news),
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
        assert_int_equal(
            qe__board_beat(a.board, mine, 2, false, 0, lost, &a.news), 0);
        assert_false(lost[0] || lost[1]);
        assert_int_equal(claim(&b, 2, its), 0);
    }
    assert_int_equal(qe__board_beat(a.board, mine, 1, false, 0, lost, &a.news),
                     0);
    nap_ms(LEASE_MS * 6 / 10);
    assert_int_equal(qe__board_beat(a.board, mine, 1, false, 0, lost, &a.news),
                     0);
    nap_ms(LEASE_MS * 6 / 10);
    assert_int_equal(claim(&b, 2, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_int_equal(qe__board_beat(a.board, mine, 2, false, 0, lost, &a.news),
                     0);
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

/* The answer to a claim was lost, or a node of the same name died. */
static void what_we_do_not_know_of_is_anybodys(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine[3], its[3];
    bool lost[2];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 3, 2, 0);
    assert_int_equal(claim(&a, 3, mine), 3);
    assert_int_equal(qe__board_beat(a.board, mine, 1, true, 0, lost, &a.news),
                     0);
    assert_false(lost[0]);
    assert_int_equal(claim(&b, 1, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_int_equal(claim(&a, 3, its), 1);
    assert_string_equal(its[0].id, mine[2].id);
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

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 1, 10, 0);
    assert_int_equal(claim(&a, 1, &mine), 1);
    assert_true(back(&a, &mine, 6, 4, false));
    assert_true(back(&a, &mine, 6, 4, false)); /* again: nothing happens */
    assert_true(back(&a, &mine, 2, 1, false));
    assert_int_equal(a.news.open, 2);
    assert_int_equal(claim(&b, 3, its), 2);
    assert_int_equal(its[0].first, 6);
    assert_int_equal(its[0].count, 4);
    assert_true(its[0].expected_ns == 4 * S);
    assert_null(its[0].gone);
    assert_int_equal(its[1].first, 2);
    assert_int_equal(its[1].count, 1);
    assert_true(tell(&a, &mine, 0, QE_PASSED, false));
    assert_false(tell(&a, &mine, 1, QE_NONE, false));
    /* And what is kept is no more than that for who comes after us. */
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 1, its), 1);
    assert_int_equal(its[0].first, 0);
    assert_int_equal(its[0].count, 10);
    assert_string_equal(its[0].gone, "1110001111");
    free(its[0].gone);
    assert_false(back(&a, &mine, 3, 1, false));
    assert_true(back(&b, &its[0], 3, 3, true));
    assert_false(back(&b, &its[0], 3, 3, true));
    leave(&a);
    leave(&b);
}

/* What was told by one that died is not claimed, and what is all told is finished. */
static void what_was_told_is_not_claimed_again(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine[2], its[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 2, 0);
    assert_int_equal(claim(&a, 2, mine), 2);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(tell(&a, &mine[i / 2], i, QE_PASSED, false));
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 3, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_string_equal(its[0].gone, "10");
    free(its[0].gone);
    /* Given back, and then told late by the first: nobody runs it. */
    assert_true(back(&b, &its[0], 3, 1, true));
    assert_true(tell(&a, &mine[1], 3, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
    leave(&b);
}

static void what_was_told_late_is_not_claimed(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine, its[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 1, 2, 0);
    assert_int_equal(claim(&a, 1, &mine), 1);
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 1, its), 1);
    assert_null(its[0].gone);
    assert_true(back(&b, &its[0], 0, 2, true));
    assert_true(tell(&a, &mine, 0, QE_PASSED, false));
    assert_int_equal(claim(&b, 1, its), 1);
    assert_string_equal(its[0].gone, "10");
    free(its[0].gone);
    leave(&a);
    leave(&b);
}

static uint32_t length(struct node *n, const char *command, const char *key)
{
    const char *argv[] = {command, key};
    redisReply *reply;
    uint32_t found;

    assert_int_equal(qe__redis_add(n->redis, 2, argv, NULL), 0);
    assert_int_equal(qe__redis_reply(n->redis, UINT64_MAX, &reply), 0);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    found = (uint32_t) reply->integer;
    freeReplyObject(reply);
    return found;
}

/* A node whose connection ended before the answer came makes the call again. */
static void what_is_told_twice_happens_once(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e[3];
    qe__told told[3];

    redis_start(w);
    a = come(w, "a");
    lay(&a, 3, 1, 2);
    assert_int_equal(claim(&a, 3, e), 3);
    told[0] = told_of(&e[0], 0, QE_FAILED, true);
    told[1] = told_of(&e[1], 1, QE_NONE, true);
    told[2] = told_of(&e[0], 0, QE_PASSED, false); /* it has been finished */
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            told[j].counted = told[j].late = j == 1;
        assert_int_equal(qe__board_tell(a.board, "abc", 1, told, 3, &a.news),
                         0);
        assert_true(told[0].counted && !told[0].late && !told[0].last);
        assert_false(told[1].counted || told[1].late);
        assert_true(told[2].late && !told[2].counted);
        assert_int_equal(a.news.state, QE__BOARD_OPEN);
        assert_int_equal(a.news.left, 2);
        assert_int_equal(a.news.open, 1);
        assert_int_equal(length(&a, "XLEN", "qe:{p/1}:tries"), 3);
    }
    assert_int_equal(claim(&a, 3, e), 1);
    told[0] = told_of(&e[0], 1, QE_PASSED, true);
    told[1] = told_of(&e[2], 2, QE_PASSED, true);
    assert_int_equal(qe__board_tell(a.board, "abc", 2, told, 2, &a.news), 0);
    assert_false(told[0].last);
    assert_true(told[1].last);
    assert_int_equal(length(&a, "XLEN", "qe:{p/1}:tries"), 5);
    leave(&a);
}

static void claims_end_where_there_is_enough(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e[8];
    qe__share_want want = {.entries = 8, .units = 5};
    uint32_t got;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 12, 2, 0);
    assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news), 0);
    assert_int_equal(got, 3);
    want = (qe__share_want){.entries = 8, .expected_ns = 5 * S};
    assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news), 0);
    assert_int_equal(got, 3);
    want = (qe__share_want){.entries = 8, .units = 20, .expected_ns = 1};
    assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news), 0);
    assert_int_equal(got, 1);
    assert_true(e[0].expected_ns == 2 * S);
    assert_int_equal(claim(&a, 4, e), 4);
    assert_int_equal(claim(&a, 4, e), 1);
    leave(&a);
}

static void what_is_alone_is_alone(void **state)
{
    static const char *const ids[] = {"x", "y", "z"};
    const qe__entry all[] = {{.first = 1, .count = 1, .alone = true},
                             {.first = 0, .count = 1},
                             {.first = 2, .count = 1, .alone = true}};
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e, f;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(a.board, "d", 3, &a.news), 0);
    assert_int_equal(qe__board_lay(a.board, ids, 3, all, 3, 0, &a.news), 0);
    assert_int_equal(a.news.open, 1);
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_false(e.alone);
    assert_int_equal(claim(&b, 3, &f), 0);
    assert_true(tell(&a, &e, 0, QE_PASSED, true));
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_true(e.alone);
    assert_int_equal(e.first, 1);
    assert_int_equal(claim(&b, 3, &f), 0);
    assert_int_equal(claim(&a, 3, &f), 0);
    /* To run again: after what else is there, elsewhere, and still alone. */
    assert_false(tell(&a, &e, 1, QE_NONE, true));
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_int_equal(e.first, 2);
    assert_int_equal(claim(&b, 3, &f), 0);
    assert_true(back(&a, &e, 2, 1, true));
    assert_int_equal(claim(&b, 3, &f), 1);
    assert_int_equal(f.first, 1);
    assert_int_equal(f.attempt, 2);
    assert_true(f.alone);
    assert_int_equal(claim(&a, 3, &e), 0);
    assert_true(tell(&b, &f, 1, QE_PASSED, true));
    /* Whose lease ends while it is alone is replaced as anybody is. */
    assert_int_equal(claim(&b, 3, &f), 1);
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_string_equal(e.id, f.id);
    assert_true(e.alone);
    assert_true(tell(&a, &e, 2, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
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
        BOARD_TEST(what_we_do_not_know_of_is_anybodys),
        BOARD_TEST(what_runs_again_does_so_elsewhere),
        BOARD_TEST(failures_stop_all),
        BOARD_TEST(what_was_not_begun_is_given_back),
        BOARD_TEST(what_was_told_is_not_claimed_again),
        BOARD_TEST(what_was_told_late_is_not_claimed),
        BOARD_TEST(what_is_told_twice_happens_once),
        BOARD_TEST(claims_end_where_there_is_enough),
        BOARD_TEST(what_is_alone_is_alone),
        BOARD_TEST(nothing_is_lost_or_doubled),
        BOARD_TEST(what_a_server_lacks_is_said),
        BOARD_TEST(what_is_odd_is_refused),
        BOARD_TEST(a_run_that_is_gone_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
