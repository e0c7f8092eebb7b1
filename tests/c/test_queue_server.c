/* A shared run whose server goes, comes back, or refuses. */
#include "queue_world.h"

static void a_server_that_comes_back_is_gone_on_with(void **state)
{
    struct queue_world *w;
    struct queue_node *n;

    redis_start_lasting(*state);
    w = queue_world_open(*state, 500, 4 * QW_MS);
    w->lease_ns = 30 * QW_S;
    n = queue_nodes(w, 3, 2);
    queue_start_threads(n, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        queue_await_begun(w, 100 * i);
        redis_kill(*state);
        redis_start(*state);
    }
    queue_join_threads(n, 3);
    queue_check_all(w, n, 3);
    assert_int_equal(atomic_load(&w->begun_all), 500);
    assert_int_equal(queue_length(w, "XLEN", "tries"), 500);
    queue_world_close(w);
}

static void who_comes_first_waits_for_the_server(void **state)
{
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    redis_kill(*state);
    w = queue_world_open(*state, 20, QW_MS);
    n = queue_nodes(w, 2, 1);
    queue_start_threads(n, 2);
    queue_nap_ms(250); /* so that they find none: it is right without, too */
    redis_start(*state);
    queue_join_threads(n, 2);
    queue_check_all(w, n, 2);
    queue_world_close(w);
}

static void where_no_server_comes_a_node_ends(void **state)
{
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n;

    redis_start(server);
    w = queue_world_open(server, 20, QW_MS);
    w->patience_ns = QW_S / 2;
    n = queue_nodes(w, 2, 1);
    redis_kill(server);
    assert_int_equal(queue_node_join(&n[0]), QE_EGONE);
    assert_non_null(strstr(n[0].text, "Connection refused"));
    qe_queue_close(n[0].queue);
    server->password = "right";
    redis_start(server);
    w->user = ":wrong-secret@";
    assert_int_equal(queue_node_join(&n[1]), QE_EUNSUPPORTED);
    assert_non_null(strstr(n[1].text, "WRONGPASS"));
    assert_null(strstr(n[1].text, "secret"));
    qe_queue_close(n[1].queue);
    queue_world_close(w);
}

static void check_trouble(const struct queue_node *n, const char *text)
{
    assert_int_equal(n->status, 0);
    assert_true(n->troubled);
    assert_false(n->end.over);
    if (strstr(n->text, text) == NULL)
        fail_msg("%s", n->text);
    assert_null(strchr(n->text, '\n'));
}

/* What a node has it runs to its end; then it says how much could not be told. */
static void a_server_that_is_gone_is_said_to_be(void **state)
{
    struct queue_world *w;
    struct queue_node *n;
    uint64_t began;
    uint32_t untold = 0, counted = 0;

    redis_start(*state);
    w = queue_world_open(*state, 400, 20 * QW_MS);
    w->patience_ns = QW_S;
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 40);
    redis_kill(*state);
    began = qe_now_ns();
    queue_join_threads(n, 2);
    assert_true(qe_now_ns() - began < 20 * QW_S);
    for (uint32_t i = 0; i < 2; i++) {
        check_trouble(&n[i], "the server could not be used for ");
        check_trouble(&n[i], "Connection refused");
        assert_true(n[i].trouble_ns - began >= QW_S);
        untold += n[i].end.untold;
        counted += n[i].end.counted;
    }
    assert_true(untold > 0);
    /* All that began was told, or was not. What the server had counted when it was killed may have
     * been told without an answer. */
    assert_int_equal(counted + untold, atomic_load(&w->begun_all));
    queue_world_close(w);
}

static void a_server_that_forgot_is_said_to_have(void **state)
{
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 400, 20 * QW_MS);
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 40);
    redis_kill(*state);
    redis_start(*state);
    queue_join_threads(n, 2);
    for (uint32_t i = 0; i < 2; i++)
        check_trouble(&n[i], "the server has this run no more");
    queue_world_close(w);
}

/* While nodes run, the server is set to something that it refuses them by. */
static void refused_in_mid_run(void **state, const char *option,
                               const char *value, const char *text)
{
    const char *const set[] = {"CONFIG", "SET", option, value};
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 400, 20 * QW_MS);
    w->patience_ns = QW_S;
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 40);
    queue_command(w, 4, set);
    queue_join_threads(n, 2);
    for (uint32_t i = 0; i < 2; i++)
        check_trouble(&n[i], text);
    queue_world_close(w);
}

static void a_server_that_fills_up_is_said_to_be_full(void **state)
{
    refused_in_mid_run(state, "maxmemory", "1", "the server is full: OOM ");
}

static void a_server_that_refuses_is_quoted(void **state)
{
    refused_in_mid_run(state, "min-replicas-to-write", "1", "NOREPLICAS");
}

/* With another password nobody comes in again; who is in stays. */
static void another_password_is_said(void **state)
{
    const char *const set[] = {"CONFIG", "SET", "requirepass", "other"};
    struct redis_world *server = *state;
    struct queue_world *w;
    struct queue_node *n;

    redis_start_lasting(server);
    w = queue_world_open(server, 400, 20 * QW_MS);
    w->patience_ns = QW_S;
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 40);
    queue_command(w, 4, set);
    redis_kill(server);
    server->password = "other";
    redis_start(server);
    queue_join_threads(n, 2);
    for (uint32_t i = 0; i < 2; i++)
        check_trouble(&n[i], "NOAUTH");
    queue_world_close(w);
}

static void a_server_that_has_room_again_is_gone_on_with(void **state)
{
    const char *const full[] = {"CONFIG", "SET", "maxmemory", "1"};
    const char *const free_again[] = {"CONFIG", "SET", "maxmemory", "0"};
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 300, 5 * QW_MS);
    w->lease_ns = 30 * QW_S;
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 40);
    queue_command(w, 4, full);
    queue_nap_ms(300);
    queue_command(w, 4, free_again);
    queue_join_threads(n, 2);
    queue_check_all(w, n, 2);
    assert_int_equal(atomic_load(&w->begun_all), 300);
    assert_int_equal(queue_length(w, "XLEN", "tries"), 300);
    queue_world_close(w);
}

/* It renews leases all the while, and never takes in what is told. */
static void a_server_that_refuses_some_calls_is_said_to(void **state)
{
    const char *const set[] = {"SET", "qe:{p/r}:out", "x"};
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 400, 20 * QW_MS);
    w->patience_ns = QW_S;
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 40);
    queue_command(w, 3, set);
    queue_join_threads(n, 2);
    for (uint32_t i = 0; i < 2; i++)
        check_trouble(&n[i], "something else is kept under the names");
    queue_world_close(w);
}

/* As one does that makes room for others: it would be waited for without end. */
static void a_server_that_lost_work_is_said_to_have(void **state)
{
    const char *const lose[] = {"DEL", "qe:{p/r}:serial"};
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 100, 20 * QW_MS);
    for (uint32_t i = 96; i < 100; i++)
        w->units[i].flags = QE_UNIT_SERIAL;
    w->patience_ns = QW_S;
    n = queue_nodes(w, 2, 2);
    queue_start_threads(n, 2);
    queue_await_begun(w, 10);
    queue_command(w, 2, lose);
    queue_join_threads(n, 2);
    for (uint32_t i = 0; i < 2; i++)
        check_trouble(&n[i], "it has lost keys of this run");
    assert_int_equal(n[0].end.counted + n[1].end.counted, 96);
    queue_world_close(w);
}

/* As after a failure of a server whose stand-in had not heard of the last outcomes yet. */
static void what_a_server_lost_is_told_again(void **state)
{
    static const char script[] =
        "redis.call('HDEL', KEYS[1], '0')\n"
        "redis.call('HINCRBY', KEYS[2], 'left', 1)\n"
        "redis.call('XADD', KEYS[3], '*', 'u', 0, 'n', 1, 'a', 1, 'x', '',\n"
        "  'e', 0, 's', 0)\n";
    const char *const lose[] = {
        "EVAL", script, "3", "qe:{p/r}:out", "qe:{p/r}:plan", "qe:{p/r}:work",
    };
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 60, 20 * QW_MS);
    w->lease_ns = 30 * QW_S;
    n = queue_nodes(w, 1, 1);
    queue_start_threads(n, 1);
    while (queue_length(w, "HLEN", "out") < 20)
        queue_nap_ms(1);
    queue_command(w, 6, lose);
    queue_join_threads(n, 1);
    assert_int_equal(atomic_load(&w->begun[0]), 1);
    assert_int_equal(n[0].end.late, 0);
    queue_check_all(w, n, 1);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(a_server_that_comes_back_is_gone_on_with),
        QUEUE_TEST(who_comes_first_waits_for_the_server),
        QUEUE_TEST(where_no_server_comes_a_node_ends),
        QUEUE_TEST(a_server_that_is_gone_is_said_to_be),
        QUEUE_TEST(a_server_that_forgot_is_said_to_have),
        QUEUE_TEST(a_server_that_fills_up_is_said_to_be_full),
        QUEUE_TEST(a_server_that_refuses_is_quoted),
        QUEUE_TEST(a_server_that_refuses_some_calls_is_said_to),
        QUEUE_TEST(a_server_that_lost_work_is_said_to_have),
        QUEUE_TEST(what_a_server_lost_is_told_again),
        QUEUE_TEST(another_password_is_said),
        QUEUE_TEST(a_server_that_has_room_again_is_gone_on_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
