/* Nodes that share a run, on a real server. */
#include "queue_world.h"

#define NODES_MAX 8u

static void run_all(struct queue_world *w, struct queue_node *nodes, uint32_t n,
                    uint32_t workers)
{
    memset(nodes, 0, n * sizeof(*nodes));
    for (uint32_t i = 0; i < n; i++) {
        nodes[i].w = w;
        nodes[i].number = i + 1;
        nodes[i].workers = workers;
        queue_node_start_thread(&nodes[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        queue_node_join_thread(&nodes[i]);
        if (nodes[i].status != 0)
            print_error("%s\n", nodes[i].text);
        assert_int_equal(nodes[i].status, 0);
        assert_false(nodes[i].troubled);
        assert_int_equal(nodes[i].end.untold, 0);
    }
}

static void one_node_runs_all(void **state)
{
    struct queue_node n[1];
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 500, 0);
    run_all(w, n, 1, 4);
    queue_check_all(w, n, 1);
    assert_true(n[0].end.over && !n[0].end.stopped);
    assert_int_equal(n[0].end.late, 0);
    assert_int_equal(n[0].end.left, 0);
    assert_int_equal(atomic_load(&w->begun_all), 500);
    assert_int_equal(queue_length(w, "XLEN", "tries"), 500);
    queue_world_close(w);
}

static void two_nodes_share(void **state)
{
    struct queue_node n[2];
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 200, 5 * QW_MS);
    run_all(w, n, 2, 2);
    queue_check_all(w, n, 2);
    assert_int_equal(atomic_load(&w->begun_all), 200);
    assert_true(n[0].end.counted > 50 && n[1].end.counted > 50);
    queue_world_close(w);
}

static void nothing_to_do_is_over(void **state)
{
    struct queue_node n[1];
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 0, 0);
    run_all(w, n, 1, 1);
    assert_true(n[0].end.over);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(one_node_runs_all),
        QUEUE_TEST(two_nodes_share),
        QUEUE_TEST(nothing_to_do_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
