/* How nodes come to a shared run, and what they are refused for. */
#include "queue_world.h"

/* ------------------------------------------------------------------ the plan */

static void refused(struct queue_world *w, const char *text)
{
    struct queue_node n = {.w = w, .number = 2, .workers = 1};

    assert_int_equal(queue_node_join(&n), QE_EFORMAT);
    assert_string_equal(n.text, text);
    qe_queue_close(n.queue);
}

static void another_plan_is_refused(void **state)
{
    struct queue_node n;
    struct queue_world *w;
    const char *id;
    char *odd;

    redis_start(*state);
    w = queue_world_open(*state, 1500, 0);
    n = (struct queue_node){.w = w, .number = 1, .workers = 1};
    w->units[1].scope = 0;
    assert_int_equal(queue_node_join(&n), 0);
    qe_queue_close(n.queue);
    /* Numbers of scopes are a node's own affair. */
    for (uint32_t i = 0; i < w->count; i++)
        w->units[i].scope = 7 + 3 * w->units[i].scope;
    n = (struct queue_node){.w = w, .number = 2, .workers = 1};
    assert_int_equal(queue_node_join(&n), 0);
    qe_queue_close(n.queue);

    w->units[4].scope = w->units[3].scope;
    refused(w, "the run has the same 1500 tests in another grouping, or with "
               "other marks");
    w->count = 1200;
    refused(w, "the run has 1500 tests, this node 1200; number 1201 is "
               "\"test_1200\" there, nothing here");
    w->count = 1500;
    id = w->units[1100].id;
    w->units[1100].id = "a \"b\"\n\033[31m\\";
    refused(w, "the run has 1500 tests, this node 1500; number 1101 is "
               "\"test_1100\" there, \"a \\x22b\\x22\\x0a\\x1b[31m\\x5c\" "
               "here");
    odd = malloc(4001);
    assert_non_null(odd);
    memset(odd, '\n', 4000);
    odd[4000] = '\0';
    w->units[1100].id = odd;
    n = (struct queue_node){.w = w, .number = 2, .workers = 1};
    assert_int_equal(queue_node_join(&n), QE_EFORMAT);
    assert_true(strlen(n.text) < 300);
    qe_queue_close(n.queue);
    free(odd);
    w->units[1100].id = id;
    queue_world_close(w);
}

/* The first node's ids come back to the second from the server: they are anybody's. */
static void ids_of_others_are_shown_safely(void **state)
{
    struct queue_node n;
    struct queue_world *w;
    const char *id;

    redis_start(*state);
    w = queue_world_open(*state, 2, 0);
    n = (struct queue_node){.w = w, .number = 1, .workers = 1};
    id = w->units[0].id;
    w->units[0].id = "\033]0;x\a";
    assert_int_equal(queue_node_join(&n), 0);
    qe_queue_close(n.queue);
    w->units[0].id = id;
    refused(w, "the run has 2 tests, this node 2; number 1 is "
               "\"\\x1b]0;x\\x07\" there, \"test_0\" here");
    queue_world_close(w);
}

static void a_run_that_is_over_is_said_to_be(void **state)
{
    struct queue_node n[1] = {{0}};
    struct queue_world *w;
    qe_queue_end end;

    redis_start(*state);
    w = queue_world_open(*state, 3, 0);
    n[0] = (struct queue_node){.w = w, .number = 1, .workers = 1};
    queue_node_run(&n[0]);
    queue_check_all(w, n, 1);
    n[0] = (struct queue_node){.w = w, .number = 2, .workers = 1};
    assert_int_equal(queue_node_join(&n[0]), QE_ESTATE);
    qe_queue_known(n[0].queue, &end);
    assert_true(end.over && !end.stopped && end.left == 0);
    assert_string_equal(n[0].text, "the run is over");
    qe_queue_close(n[0].queue);
    queue_world_close(w);
}

/* --------------------------------------------------------------- what is wrong */

static void is_wrong(const qe_queue_options *o, const char *line)
{
    const qe_queue_unit unit = {.id = "x"};
    char text[QE_QUEUE_TEXT];
    qe_queue *q;

    assert_int_equal(qe_queue_open(&q, o, &unit, 1, text), QE_EINVAL);
    assert_null(q);
    assert_non_null(strstr(text, line));
    assert_null(strstr(text, "secret"));
}

static void options_that_are_wrong_are_refused(void **state)
{
    const qe_queue_options good = {.url = "redis://127.0.0.1:1",
                                   .password = "secret",
                                   .project = "p",
                                   .run = "r",
                                   .node = "n",
                                   .workers = 1};
    const qe_queue_unit bad[] = {{.id = NULL}, {.id = "x", .flags = 1u << 31}};
    char name[256], text[QE_QUEUE_TEXT];
    qe_queue_options o;
    qe_queue *q;

    (void) state;
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    o = good, o.url = NULL, is_wrong(&o, "url");
    o = good, o.url = "http://secret@x", is_wrong(&o, "redis://");
    o = good, o.run = "", is_wrong(&o, "run's name");
    o = good, o.run = "a\nb", is_wrong(&o, "run's name");
    o = good, o.project = NULL, is_wrong(&o, "project's name");
    o = good, o.prefix = "", is_wrong(&o, "prefix");
    o = good, o.prefix = "a{b", is_wrong(&o, "prefix");
    o = good, o.project = "a/b", is_wrong(&o, "project's name");
    o = good, o.run = "a}", is_wrong(&o, "run's name");
    o = good, o.node = name, is_wrong(&o, "node's name");
    o = good, o.user = name, is_wrong(&o, "user");
    o = good, o.workers = 0, is_wrong(&o, "workers");
    o = good, o.lease_ns = QW_MS, is_wrong(&o, "lease");
    o = good, o.lease_ns = UINT64_MAX, is_wrong(&o, "lease");
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(qe_queue_open(&q, &good, &bad[i], 1, text), QE_EINVAL);
}

static void calls_out_of_order_are_refused(void **state)
{
    struct queue_node n;
    struct queue_world *w;
    qe_queue_end end;

    redis_start(*state);
    w = queue_world_open(*state, 3, 0);
    n = (struct queue_node){.w = w, .number = 1, .workers = 1};
    assert_int_equal(queue_node_join(&n), 0);
    assert_int_equal(qe_queue_join(n.queue), QE_ESTATE);
    assert_int_equal(
        qe_queue_tell(n.queue, 0, 1, QE_PASSED, false, false, NULL, 0),
        QE_ESTATE);
    assert_int_equal(qe_queue_stop(n.queue), QE_ESTATE);
    assert_int_equal(qe_queue_start(n.queue), 0);
    assert_int_equal(qe_queue_start(n.queue), QE_ESTATE);
    assert_int_equal(
        qe_queue_tell(n.queue, 3, 1, QE_PASSED, false, false, NULL, 0),
        QE_EINVAL);
    assert_int_equal(
        qe_queue_tell(n.queue, 0, 0, QE_PASSED, false, false, NULL, 0),
        QE_EINVAL);
    assert_int_equal(
        qe_queue_tell(n.queue, 0, 1, QE_NONE, false, false, NULL, 0),
        QE_EINVAL);
    assert_int_equal(qe_queue_tell(n.queue, 0, 1, QE_PASSED, false, false, "",
                                   QE_QUEUE_PAYLOAD + 1),
                     QE_ETOOBIG);
    assert_int_equal(qe_queue_finish(n.queue, &end), 0);
    assert_int_equal(end.left, 3);
    assert_int_equal(qe_queue_finish(n.queue, &end), QE_ESTATE);
    qe_queue_close(n.queue);
    /* One that is closed in the middle ends at once; what it had is anybody's after its lease. */
    n.queue = NULL;
    assert_int_equal(queue_node_join(&n), 0);
    assert_int_equal(qe_queue_start(n.queue), 0);
    qe_queue_close(n.queue);
    queue_world_close(w);
}

/* A payload of any bytes, and up to the limit, comes to the server as it is. */
static void payloads_are_kept(void **state)
{
    struct queue_node n;
    struct queue_world *w;
    char *bytes = calloc(1, QE_QUEUE_PAYLOAD);
    qe_queue_end end;

    assert_non_null(bytes);
    redis_start(*state);
    w = queue_world_open(*state, 3, 0);
    n = (struct queue_node){.w = w, .number = 1, .workers = 1};
    assert_int_equal(queue_node_join(&n), 0);
    assert_int_equal(qe_queue_start(n.queue), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(qe_queue_tell(n.queue, i, 1, QE_PASSED, false, false,
                                       bytes, i == 0 ? QE_QUEUE_PAYLOAD : i),
                         0);
    assert_int_equal(qe_queue_finish(n.queue, &end), 0);
    /* Nothing was claimed before it was told, or not all: it is late, and counts as the first. */
    assert_int_equal(end.counted, 3);
    assert_true(end.over && end.last);
    assert_int_equal(queue_length(w, "XLEN", "tries"), 3);
    qe_queue_close(n.queue);
    free(bytes);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(another_plan_is_refused),
        QUEUE_TEST(ids_of_others_are_shown_safely),
        QUEUE_TEST(a_run_that_is_over_is_said_to_be),
        QUEUE_TEST(calls_out_of_order_are_refused),
        QUEUE_TEST(payloads_are_kept),
        cmocka_unit_test(options_that_are_wrong_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
