/* A node whose session hangs while its thread does not: others get what it has. */
#include "queue_world.h"

#include <poll.h>

static qe_queue *opened(struct queue_world *w, uint64_t stuck_ns)
{
    char text[QE_QUEUE_TEXT];
    const qe_queue_options options = {.url = redis_url(w->server, false, ""),
                                      .project = "p",
                                      .run = "r",
                                      .node = "it hangs",
                                      .workers = 2,
                                      .lease_ns = w->lease_ns,
                                      .stuck_ns = stuck_ns};
    qe_queue *q;

    assert_int_equal(qe_queue_open(&q, &options, w->units, w->count, text), 0);
    assert_int_equal(qe_queue_join(q), 0);
    assert_int_equal(qe_queue_start(q), 0);
    return q;
}

/* Whatever it is told; the first place that it has got by now, or UINT32_MAX. */
static uint32_t look(qe_queue *q, int timeout_ms)
{
    const qe_source *source = qe_queue_source(q);
    struct pollfd p = {.fd = source->fd, .events = POLLIN};
    uint32_t place = UINT32_MAX;
    qe_source_news news;

    (void) poll(&p, 1, timeout_ms);
    do {
        source->take(source->ctx, &news);
        if (news.kind == QE_SOURCE_CLAIM && place == UINT32_MAX)
            place = news.first;
        if (news.kind == QE_SOURCE_WANTED) /* it has begun all */
            source->back(source->ctx, 0, 0);
    } while (news.kind != QE_SOURCE_NONE);
    return place;
}

static struct queue_world *world_of(struct redis_world *server)
{
    struct queue_world *w;

    redis_start(server);
    w = queue_world_open(server, 12, QW_MS);
    w->lease_ns = QW_S;
    return w;
}

static uint32_t first_claim(qe_queue *q)
{
    const qe_source *source = qe_queue_source(q);
    uint32_t place;

    source->room(source->ctx, &(qe_source_room){.idle = 2});
    do
        place = look(q, 1000);
    while (place == UINT32_MAX);
    return place;
}

static void what_it_has_runs_elsewhere(void **state)
{
    struct queue_world *w = world_of(*state);
    qe_queue *q = opened(w, QW_S / 2);
    struct queue_node *n = queue_nodes(w, 1, 2);
    uint32_t place = first_claim(q);
    qe_queue_end end;

    /* It does not look any more. */
    queue_node_start_thread(&n[0]);
    queue_node_join_thread(&n[0]);
    assert_int_equal(n[0].status, 0);
    assert_true(n[0].end.over);
    assert_int_equal(n[0].end.counted, w->count);
    /* And then it does: what it tells is too late. */
    (void) look(q, 0);
    assert_int_equal(
        qe_queue_tell(q, place, 1, QE_PASSED, false, false, NULL, 0), 0);
    assert_int_equal(qe_queue_finish(q, &end), 0);
    assert_int_equal(end.late, 1);
    assert_int_equal(end.counted, 0);
    assert_true(end.over);
    queue_check_outcomes(w);
    qe_queue_close(q);
    queue_world_close(w);
}

/* A long test: nothing is to be heard or said for a long time. */
static void who_looks_when_it_is_woken_keeps_it(void **state)
{
    struct queue_world *w = world_of(*state);
    qe_queue *q = opened(w, 4 * QW_S);
    struct queue_node *n = queue_nodes(w, 1, 2);
    uint32_t place = first_claim(q);
    uint64_t began = qe_now_ns();
    qe_queue_end end;

    queue_node_start_thread(&n[0]);
    while (qe_now_ns() - began < 9 * QW_S)
        (void) look(q, 3000);
    assert_int_equal(atomic_fetch_add(&w->begun[place], 1), 0);
    assert_int_equal(
        qe_queue_tell(q, place, 1, QE_PASSED, false, false, NULL, 0), 0);
    assert_int_equal(qe_queue_finish(q, &end), 0);
    assert_int_equal(end.late, 0);
    assert_int_equal(end.counted, 1);
    queue_node_join_thread(&n[0]);
    assert_true(n[0].end.over);
    assert_int_equal(n[0].end.counted, w->count - 1);
    queue_check_outcomes(w);
    qe_queue_close(q);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(what_it_has_runs_elsewhere),
        QUEUE_TEST(who_looks_when_it_is_woken_keeps_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
