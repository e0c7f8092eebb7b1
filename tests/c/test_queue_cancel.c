/* A host that waits no longer: for a server that does not answer, or for another node's plan. */
#include "queue_world.h"

#include <poll.h>
#include <signal.h>

#define PATIENCE_NS (120 * QW_S)
/* Far less than anybody's patience, and what a busy machine may need. */
#define SOON_NS (30 * QW_S)

static struct queue_node *node_of(struct redis_world *server,
                                  struct queue_world **w)
{
    redis_start(server);
    *w = queue_world_open(server, 40, QW_MS);
    (*w)->patience_ns = PATIENCE_NS;
    return queue_nodes(*w, 2, 4);
}

struct later {
    qe_queue *_Atomic queue;
    pthread_t thread;
};

/* From another thread, once it has been opened, and is likely to wait. */
static void *cancel(void *arg)
{
    struct later *l = arg;

    while (atomic_load(&l->queue) == NULL)
        queue_nap_ms(1);
    queue_nap_ms(100);
    qe_queue_cancel(atomic_load(&l->queue));
    return NULL;
}

static void cancel_later(struct later *l)
{
    atomic_store(&l->queue, NULL);
    assert_int_equal(pthread_create(&l->thread, NULL, cancel, l), 0);
}

static qe_queue *opened(struct queue_node *n)
{
    char name[16], text[QE_QUEUE_TEXT];
    const qe_queue_options options = {
        .url = redis_url(n->w->server, false, ""),
        .project = "p",
        .run = "r",
        .node = name,
        .workers = n->workers,
        .timeout_ns = PATIENCE_NS,
        .patience_ns = PATIENCE_NS,
    };

    snprintf(name, sizeof(name), "node %u", n->number);
    assert_int_equal(
        qe_queue_open(&n->queue, &options, n->w->units, n->w->count, text), 0);
    return n->queue;
}

static void joining_is_cancelled(struct queue_node *n)
{
    uint64_t began = qe_now_ns();
    struct later l;

    cancel_later(&l);
    atomic_store(&l.queue, opened(n));
    assert_int_equal(qe_queue_join(n->queue), QE_EGONE);
    assert_true(qe_now_ns() - began < SOON_NS);
    assert_string_equal(qe_queue_text(n->queue),
                        "the server was waited for no longer");
    pthread_join(l.thread, NULL);
    qe_queue_close(n->queue);
    n->queue = NULL;
}

static void a_server_that_is_frozen_is_not_waited_for(void **state)
{
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n = node_of(server, &w);

    queue_must(kill(server->pid, SIGSTOP) == 0);
    joining_is_cancelled(&n[0]);
    queue_must(kill(server->pid, SIGCONT) == 0);
    assert_int_equal(queue_length(w, "HLEN", "nodes"), 0);
    queue_world_close(w);
}

/* Between two attempts to connect. */
static void one_that_is_not_there_neither(void **state)
{
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n = node_of(server, &w);

    redis_kill(server);
    joining_is_cancelled(&n[0]);
    queue_world_close(w);
}

/* Who came and goes is not taken for one that waits, and what it has begun to lay anybody may lay. */
static void a_plan_that_another_lays_is_not_waited_for(void **state)
{
    const char *const lay[] = {
        "HSET", "qe:{p/r}:plan",  "state", "laying", "by", "x",
        "at",   "99999999999999", "born",  "1"};
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n = node_of(server, &w);

    queue_command(w, 10, lay);
    joining_is_cancelled(&n[0]);
    assert_int_equal(queue_length(w, "HLEN", "nodes"), 0);
    queue_world_close(w);
}

/* Takes what it is given, and waits until that is something. */
static uint32_t claimed(struct queue_node *n, uint32_t *places, uint32_t most)
{
    const qe_source *source = qe_queue_source(n->queue);
    struct pollfd p = {.fd = source->fd, .events = POLLIN};
    qe_source_news news = {0};
    uint32_t count = 0;

    source->room(source->ctx, &(qe_source_room){.idle = n->workers});
    assert_int_equal(poll(&p, 1, 60000), 1);
    for (source->take(source->ctx, &news); news.kind != QE_SOURCE_NONE;
         source->take(source->ctx, &news))
        for (uint32_t i = 0; i < news.count && count < most; i++)
            if (news.kind == QE_SOURCE_CLAIM)
                places[count++] = news.first + i;
    assert_true(count > 0);
    return count;
}

static void tell_all(struct queue_node *n, const uint32_t *places,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(qe_queue_tell(n->queue, places[i], 1, QE_PASSED, false,
                                       false, "{}", 2),
                         0);
}

static void an_end_waits_no_longer_and_says_what_is_untold(void **state)
{
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n = node_of(server, &w);
    uint32_t places[40], count;
    qe_queue_end end;
    struct later l;
    uint64_t began;

    assert_int_equal(qe_queue_join(opened(n)), 0);
    assert_int_equal(qe_queue_start(n->queue), 0);
    count = claimed(n, places, 40);
    queue_must(kill(server->pid, SIGSTOP) == 0);
    tell_all(n, places, count);
    cancel_later(&l);
    began = qe_now_ns();
    atomic_store(&l.queue, n->queue);
    assert_int_equal(qe_queue_finish(n->queue, &end), 0);
    assert_true(qe_now_ns() - began < SOON_NS);
    assert_int_equal(end.untold, count);
    assert_int_equal(end.counted, 0);
    pthread_join(l.thread, NULL);
    queue_must(kill(server->pid, SIGCONT) == 0);
    qe_queue_close(n->queue);
    queue_world_close(w);
}

static qe_queue *_Atomic signalled;

static void on_signal(int number)
{
    (void) number;
    qe_queue_cancel(atomic_load(&signalled));
}

/* In mid-run it means nothing; and a server that answers is told all. */
static void who_is_cancelled_leaves_properly(void **state)
{
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n = node_of(server, &w);
    struct sigaction act = {.sa_handler = on_signal}, before;
    uint32_t places[40], count;
    qe_queue_end end;

    assert_int_equal(qe_queue_join(opened(n)), 0);
    assert_int_equal(qe_queue_start(n->queue), 0);
    atomic_store(&signalled, n->queue);
    queue_must(sigaction(SIGUSR1, &act, &before) == 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    count = claimed(n, places, 40);
    tell_all(n, places, count);
    assert_int_equal(qe_queue_finish(n->queue, &end), 0);
    assert_int_equal(end.untold, 0);
    assert_int_equal(end.counted, count);
    assert_int_equal(queue_length(w, "HLEN", "out"), count);
    assert_int_equal(queue_length(w, "HLEN", "nodes"), 0);
    queue_must(sigaction(SIGUSR1, &before, NULL) == 0);
    qe_queue_close(n->queue);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(a_server_that_is_frozen_is_not_waited_for),
        QUEUE_TEST(one_that_is_not_there_neither),
        QUEUE_TEST(a_plan_that_another_lays_is_not_waited_for),
        QUEUE_TEST(an_end_waits_no_longer_and_says_what_is_untold),
        QUEUE_TEST(who_is_cancelled_leaves_properly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
