#include "board_world.h"

#include <stdatomic.h>
#include <time.h>

struct node come(const struct redis_world *w, const char *name)
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

void leave(struct node *n)
{
    qe__board_close(n->board);
    qe__redis_close(n->redis);
}

void nap_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* A plan of `entries` entries of `each` units. */
void lay(struct node *n, uint32_t entries, uint32_t each, uint32_t maxfail)
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

uint32_t claim(struct node *n, uint32_t entries, qe__entry *out)
{
    qe__share_want want = {.entries = entries};
    uint32_t got;

    assert_int_equal(qe__board_claim(n->board, &want, 0, out, &got, &n->news),
                     0);
    return got;
}

/* A number that no other call has. */
uint64_t number_of_call(void)
{
    static atomic_uint calls;

    return atomic_fetch_add(&calls, 1) + 1;
}

qe__told told_of(const qe__entry *e, uint32_t unit, enum qe_outcome outcome,
                 bool finished)
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

bool tell(struct node *n, const qe__entry *e, uint32_t unit,
          enum qe_outcome outcome, bool finished)
{
    qe__told told = told_of(e, unit, outcome, finished);

    assert_int_equal(
        qe__board_tell(n->board, "abc", number_of_call(), &told, 1, &n->news),
        0);
    return told.counted;
}

bool back(struct node *n, const qe__entry *e, uint32_t first, uint32_t count,
          bool finished)
{
    qe__part part = {e->id, finished, first, count, false};

    assert_int_equal(qe__board_back(n->board, &part, 1, &n->news), 0);
    return part.given;
}

uint32_t length(struct node *n, const char *command, const char *key)
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
