/* Nodes that share a run, on a real server. */
#include "queue_world.h"

static void run_all(struct queue_world *w, struct queue_node *nodes, uint32_t n,
                    uint32_t workers)
{
    for (uint32_t i = 0; i < n; i++)
        nodes[i] =
            (struct queue_node){.w = w, .number = i + 1, .workers = workers};
    queue_start_threads(nodes, n);
    queue_join_threads(nodes, n);
    for (uint32_t i = 0; i < n; i++) {
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

static void many_nodes_share(void **state)
{
    struct queue_node n[6];
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 2000, QW_MS);
    for (uint32_t i = 0; i < w->count; i += 7)
        w->units[i].expected_ns = 0; /* not known */
    for (uint32_t i = 0; i < 40; i++)
        w->units[i].flags = QE_UNIT_TOGETHER;
    run_all(w, n, 6, 2);
    queue_check_all(w, n, 6);
    assert_int_equal(atomic_load(&w->begun_all), 2000);
    assert_int_equal(queue_length(w, "XLEN", "tries"), 2000);
    queue_world_close(w);
}

static void one_comes_late_and_one_leaves(void **state)
{
    struct queue_node n[3] = {{0}};
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 600, 3 * QW_MS);
    for (uint32_t i = 0; i < 3; i++) {
        n[i].w = w;
        n[i].number = i + 1;
        n[i].workers = 2;
    }
    queue_node_start_thread(&n[0]);
    queue_node_start_thread(&n[1]);
    queue_await_begun(w, 100);
    queue_node_start_thread(&n[2]);
    queue_await_begun(w, 300);
    atomic_store(&n[0].leave, true);
    for (uint32_t i = 0; i < 3; i++) {
        queue_node_join_thread(&n[i]);
        assert_int_equal(n[i].status, 0);
    }
    assert_false(n[0].end.over);
    assert_true(n[0].end.left > 0);
    assert_true(n[1].end.over && n[2].end.over);
    assert_true(n[2].end.counted > 0);
    queue_check_all(w, n, 3);
    assert_true(atomic_load(&w->begun_all) <= 602); /* what it left running */
    queue_world_close(w);
}

static uint64_t long_on_the_last(struct queue_node *n, uint32_t place,
                                 uint32_t attempt)
{
    (void) place;
    (void) attempt;
    return n->number == 3 ? 2 * QW_S : 50 * QW_MS;
}

static enum qe_outcome fails(struct queue_node *n, uint32_t place,
                             uint32_t attempt, bool *again)
{
    (void) n;
    (void) place;
    (void) attempt;
    *again = false;
    return QE_FAILED;
}

/* Also for a node that has nothing to tell meanwhile. */
static void failures_stop_all_within_a_second(void **state)
{
    struct queue_node n[3];
    struct queue_world *w;
    uint64_t first = UINT64_MAX;

    redis_start(*state);
    w = queue_world_open(*state, 400, 0);
    w->maxfail = 6;
    w->lease_ns = 10 * QW_S;
    w->takes = long_on_the_last;
    w->ends = fails;
    run_all(w, n, 3, 1);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(n[i].end.stopped && !n[i].end.over);
        first = n[i].stopped_ns < first ? n[i].stopped_ns : first;
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_true(n[i].stopped_ns - first < QW_S);
    assert_true(atomic_load(&w->begun_all) < 30);
    assert_int_equal(queue_length(w, "HLEN", "out"),
                     n[0].end.counted + n[1].end.counted + n[2].end.counted);
    queue_world_close(w);
}

static enum qe_outcome stops(struct queue_node *n, uint32_t place,
                             uint32_t attempt, bool *again)
{
    (void) place;
    (void) attempt;
    *again = false;
    if (n->number == 1 && atomic_load(&n->w->begun_all) > 5)
        queue_must(qe_queue_stop(n->queue) == 0);
    return QE_PASSED;
}

static void a_host_stops_all(void **state)
{
    struct queue_node n[2];
    struct queue_world *w;
    qe_queue_end end;

    redis_start(*state);
    w = queue_world_open(*state, 400, 50 * QW_MS);
    w->ends = stops;
    run_all(w, n, 2, 1);
    for (uint32_t i = 0; i < 2; i++)
        assert_true(n[i].end.stopped && !n[i].end.over);
    /* What was not begun has been given back, and nobody comes to it any more. */
    assert_true(queue_length(w, "XLEN", "work") > 0);
    n[0] = (struct queue_node){.w = w, .number = 9, .workers = 1};
    assert_int_equal(queue_node_join(&n[0]), QE_ESTATE);
    qe_queue_known(n[0].queue, &end);
    assert_true(end.stopped && !end.over && end.left > 0);
    assert_string_equal(n[0].text, "the run was stopped");
    qe_queue_close(n[0].queue);
    queue_world_close(w);
}

/* ------------------------------------------------------------------ attempts */

static atomic_uint ran_on[QW_UNITS_MAX][4]; /* by attempt */

static enum qe_outcome flaky(struct queue_node *n, uint32_t place,
                             uint32_t attempt, bool *again)
{
    queue_must(attempt >= 1 && attempt <= 3);
    atomic_store(&ran_on[place][attempt], n->number);
    *again = attempt == 1 ? place % 3 == 0 : attempt == 2 && place % 9 == 0;
    return *again ? QE_NONE : QE_PASSED;
}

static void what_failed_runs_again_elsewhere(void **state)
{
    struct queue_node n[2];
    struct queue_world *w;
    uint32_t there = 0;

    redis_start(*state);
    w = queue_world_open(*state, 90, 5 * QW_MS);
    w->ends = flaky;
    run_all(w, n, 2, 2);
    queue_check_all(w, n, 2);
    assert_int_equal(atomic_load(&w->begun_all), 90 + 30 + 10);
    for (uint32_t i = 0; i < 90; i++) {
        unsigned a = atomic_load(&ran_on[i][1]), b = atomic_load(&ran_on[i][2]);

        if (i % 3 == 0)
            there += a != b;
        if (i % 9 == 0)
            assert_true(atomic_load(&ran_on[i][3]) > 0);
    }
    /* The other one may have left by the time of the last. */
    assert_true(there >= 28);
    queue_world_close(w);
}

static void where_nobody_else_is_it_runs_again_here(void **state)
{
    struct queue_node n[1];
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 18, QW_MS);
    w->ends = flaky;
    run_all(w, n, 1, 2);
    queue_check_all(w, n, 1);
    assert_int_equal(atomic_load(&w->begun_all), 18 + 6 + 2);
    queue_world_close(w);
}

static void what_is_serial_runs_alone(void **state)
{
    struct queue_node n[3];
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 200, 2 * QW_MS);
    for (uint32_t i = 0; i < w->count; i += 10)
        w->units[i].flags = QE_UNIT_SERIAL;
    w->ends = flaky; /* of these, too, some run again */
    run_all(w, n, 3, 2);
    queue_check_all(w, n, 3);
    assert_int_equal(atomic_load(&w->together), 0);
    queue_world_close(w);
}

/* ---------------------------------------------------------------------- tail */

static uint64_t longer_than_known(struct queue_node *n, uint32_t place,
                                  uint32_t attempt)
{
    (void) n;
    (void) place;
    (void) attempt;
    return 50 * QW_MS;
}

/* The first node has taken all of it, as it was thought to be short. */
static void who_waits_is_given_some(void **state)
{
    struct queue_node n[2] = {{0}};
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 40, 1000);
    w->takes = longer_than_known;
    for (uint32_t i = 0; i < 2; i++) {
        n[i].w = w;
        n[i].number = i + 1;
        n[i].workers = 1;
    }
    queue_node_start_thread(&n[0]);
    queue_await_begun(w, 4);
    queue_node_start_thread(&n[1]);
    for (uint32_t i = 0; i < 2; i++)
        queue_node_join_thread(&n[i]);
    queue_check_all(w, n, 2);
    assert_true(n[0].backs > 0);
    assert_int_equal(atomic_load(&w->begun_all), 40);
    assert_in_range(n[1].end.counted, 10, 20);
    assert_true(n[0].over_ns - n[1].over_ns + QW_S < 2 * QW_S);
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

static uint64_t three_seconds_on_the_first(struct queue_node *n, uint32_t place,
                                           uint32_t attempt)
{
    (void) place;
    (void) attempt;
    return n->number == 1 ? 3 * QW_S : 0;
}

/* A node that was started with another lease does not take away what others renew by theirs. */
static void the_lease_is_the_runs(void **state)
{
    struct queue_node n[2] = {{0}};
    struct queue_world *w;

    redis_start(*state);
    w = queue_world_open(*state, 8, 0);
    w->takes = three_seconds_on_the_first;
    w->lease_ns = 9 * QW_S;
    for (uint32_t i = 0; i < 2; i++)
        n[i] = (struct queue_node){.w = w, .number = i + 1, .workers = 1};
    queue_node_start_thread(&n[0]);
    queue_await_begun(w, 1);
    n[1].lease_ns = QW_S;
    queue_node_start_thread(&n[1]);
    for (uint32_t i = 0; i < 2; i++)
        queue_node_join_thread(&n[i]);
    queue_check_all(w, n, 2);
    assert_int_equal(atomic_load(&w->begun_all), 8);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(one_node_runs_all),
        QUEUE_TEST(two_nodes_share),
        QUEUE_TEST(many_nodes_share),
        QUEUE_TEST(nothing_to_do_is_over),
        QUEUE_TEST(one_comes_late_and_one_leaves),
        QUEUE_TEST(failures_stop_all_within_a_second),
        QUEUE_TEST(a_host_stops_all),
        QUEUE_TEST(what_failed_runs_again_elsewhere),
        QUEUE_TEST(where_nobody_else_is_it_runs_again_here),
        QUEUE_TEST(what_is_serial_runs_alone),
        QUEUE_TEST(who_waits_is_given_some),
        QUEUE_TEST(the_lease_is_the_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
