/* A shared run when nodes, connections and the server fail: nothing is lost, and nothing counts twice. */
#include "alloc_fault.h"
#include "queue_world.h"

#include <signal.h>

/* ----------------------------------------------------------------------- nodes */

static void what_a_killed_node_had_runs_elsewhere(void **state)
{
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 500, 4 * QW_MS);
    n = queue_nodes(w, 4, 2);
    for (uint32_t i = 0; i < 4; i++)
        queue_node_fork(&n[i]);
    for (uint32_t i = 0; i < 2; i++) {
        queue_await_begun(w, 150 * (i + 1));
        queue_node_kill(&n[i], SIGKILL);
        (void) queue_node_wait(&n[i]);
    }
    for (uint32_t i = 2; i < 4; i++) {
        assert_int_equal(queue_node_wait(&n[i]), 0);
        assert_true(n[i].end.over);
        assert_false(n[i].troubled);
    }
    assert_true(n[2].end.last != n[3].end.last);
    queue_check_outcomes(w);
    /* No more than what ran when it was killed, or was told within the last 20 ms. */
    assert_in_range(atomic_load(&w->begun_all), 500, 560);
    queue_world_close(w);
}

/* Frozen for longer than its lease, and then it goes on as if nothing had been. */
static void what_a_frozen_node_tells_late_counts_once(void **state)
{
    struct queue_world *w;
    struct queue_node *n;
    uint32_t counted = 0;

    redis_start(*state);
    w = queue_world_open(*state, 100, 40 * QW_MS);
    n = queue_nodes(w, 3, 1);
    for (uint32_t i = 0; i < 3; i++)
        queue_node_fork(&n[i]);
    queue_await_begun(w, 10);
    while (atomic_load(&n[0].began) == 0)
        queue_nap_ms(1);
    queue_node_kill(&n[0], SIGSTOP);
    for (uint32_t i = 1; i < 3; i++)
        assert_int_equal(queue_node_wait(&n[i]), 0);
    queue_node_kill(&n[0], SIGCONT);
    assert_int_equal(queue_node_wait(&n[0]), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(n[i].end.over);
        assert_false(n[i].troubled);
        counted += n[i].end.counted;
    }
    assert_int_equal(counted, 100);
    assert_true(n[0].end.late > 0);
    assert_false(n[0].end.last);
    queue_check_outcomes(w);
    assert_int_equal(queue_length(w, "XLEN", "tries"),
                     atomic_load(&w->begun_all));
    queue_world_close(w);
}

static void a_frozen_node_comes_back_in_mid_run(void **state)
{
    struct queue_world *w;
    struct queue_node *n;
    uint32_t counted = 0, before;

    redis_start(*state);
    w = queue_world_open(*state, 150, 40 * QW_MS);
    n = queue_nodes(w, 2, 1);
    for (uint32_t i = 0; i < 2; i++)
        queue_node_fork(&n[i]);
    while (atomic_load(&n[0].began) < 5)
        queue_nap_ms(1);
    queue_node_kill(&n[0], SIGSTOP);
    /* Until what it has is no longer its own. */
    queue_await_begun(w, atomic_load(&w->begun_all) + 45);
    before = atomic_load(&n[0].began);
    queue_node_kill(&n[0], SIGCONT);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(queue_node_wait(&n[i]), 0);
        assert_true(n[i].end.over);
        counted += n[i].end.counted;
    }
    assert_true(atomic_load(&n[0].began) > before + 10);
    assert_int_equal(counted, 150);
    queue_check_outcomes(w);
    queue_world_close(w);
}

/* As the CI tries a job again: the same name, and what the first had is free at once. */
static void a_node_of_the_same_name_takes_over(void **state)
{
    struct queue_world *w;
    struct queue_node *n;
    uint64_t began;

    redis_start(*state);
    w = queue_world_open(*state, 60, 20 * QW_MS);
    w->lease_ns = 30 * QW_S;
    n = queue_nodes(w, 2, 2);
    n[1].number = 1;
    queue_node_fork(&n[0]);
    queue_await_begun(w, 20);
    queue_node_kill(&n[0], SIGKILL);
    (void) queue_node_wait(&n[0]);
    began = qe_now_ns();
    queue_node_fork(&n[1]);
    assert_int_equal(queue_node_wait(&n[1]), 0);
    assert_true(n[1].end.over && n[1].end.last);
    assert_true(qe_now_ns() - began < 15 * QW_S);
    queue_check_outcomes(w);
    queue_world_close(w);
}

static void who_died_laying_is_waited_for(void **state)
{
    struct queue_world *w;
    struct queue_node *n;
    char now[32];
    const char *const lay[] = {
        "HSET", "qe:{p/r}:plan", "state", "laying", "at",   now,    "by",
        "dead", "digest",        "other", "count",  "1000", "left", "1000"};

    redis_start(*state);
    w = queue_world_open(*state, 40, 20 * QW_MS);
    snprintf(now, sizeof(now), "%lld000", (long long) time(NULL));
    queue_command(w, 14, lay);
    n = queue_nodes(w, 2, 1);
    queue_start_threads(n, 2);
    queue_join_threads(n, 2);
    queue_check_all(w, n, 2);
    queue_world_close(w);
}

/* ----------------------------------------------------------------- connections */

/* An answer that is lost is asked for again, and the same call happens once: each attempt is there once,
 * and none was claimed that nobody ran. */
static void connections_that_end_double_nothing(void **state)
{
    static const char *const kill_all[] = {"CLIENT", "KILL", "TYPE", "normal"};
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 600, 4 * QW_MS);
    w->lease_ns = 30 * QW_S;
    n = queue_nodes(w, 3, 2);
    queue_start_threads(n, 3);
    for (uint32_t i = 1; i <= 12; i++) {
        queue_await_begun(w, 40 * i);
        queue_command(w, 4, kill_all);
    }
    queue_join_threads(n, 3);
    queue_check_all(w, n, 3);
    assert_int_equal(atomic_load(&w->begun_all), 600);
    assert_int_equal(queue_length(w, "XLEN", "tries"), 600);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(n[i].end.late, 0);
    queue_world_close(w);
}

/* ------------------------------------------------------------------------- all */

#define EVENTS 16u
#define CHAOS_NODES 24u

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*random >> 33) % n;
}

static enum qe_outcome now_and_then(struct queue_node *n, uint32_t place,
                                    uint32_t attempt, bool *again)
{
    (void) n;
    *again = attempt == 1 && place % 5 == 0;
    return *again ? QE_NONE : QE_PASSED;
}

/* Nodes are killed, frozen and replaced, connections end, the server is killed. */
static void nothing_is_lost_or_doubled(void **state)
{
    static const char *const kill_all[] = {"CLIENT", "KILL", "TYPE", "normal"};
    uint64_t random = 10;
    uint32_t used = 3, frozen = UINT32_MAX;
    struct queue_world *w;
    struct queue_node *n;

    print_message("seed 10\n");
    redis_start_lasting(*state);
    w = queue_world_open(*state, 800, 8 * QW_MS);
    for (uint32_t i = 0; i < w->count; i += 50)
        w->units[i].flags = QE_UNIT_SERIAL;
    w->ends = now_and_then;
    n = queue_nodes(w, CHAOS_NODES, 2);
    for (uint32_t i = 0; i < used; i++)
        queue_node_fork(&n[i]);
    for (uint32_t i = 1; i <= EVENTS; i++) {
        uint32_t at = next(&random, used);

        queue_await_begun(w, 45 * i);
        if (frozen != UINT32_MAX && next(&random, 2) == 0) {
            queue_node_kill(&n[frozen], SIGCONT);
            frozen = UINT32_MAX;
        }
        switch (next(&random, 4)) {
        case 0:
            redis_kill(*state);
            redis_start(*state);
            break;
        case 1:
            queue_command(w, 4, kill_all);
            break;
        case 2:
            if (n[at].pid != 0 && at != frozen) {
                queue_node_kill(&n[at], SIGKILL);
                (void) queue_node_wait(&n[at]);
                queue_node_fork(&n[used++]);
            }
            break;
        default:
            if (n[at].pid != 0 && frozen == UINT32_MAX) {
                queue_node_kill(&n[at], SIGSTOP);
                frozen = at;
                queue_node_fork(&n[used++]);
            }
            break;
        }
    }
    if (frozen != UINT32_MAX)
        queue_node_kill(&n[frozen], SIGCONT);
    for (uint32_t i = 0; i < used; i++) {
        if (n[i].pid == 0)
            continue;
        /* One that came when all was over says so. */
        if (queue_node_wait(&n[i]) == 0)
            assert_true(n[i].end.over);
        else
            assert_int_equal(n[i].status, QE_ESTATE);
    }
    queue_check_outcomes(w);
    queue_world_close(w);
}

/* ---------------------------------------------------------------------- memory */

static int open_and_join(void *context)
{
    struct queue_node *n = context;
    int status = queue_node_join(n);

    qe_queue_close(n->queue);
    n->queue = NULL;
    return status;
}

static void without_memory_it_can_be_tried_again(void **state)
{
    struct queue_world *w;
    struct queue_node *n;

    redis_start(*state);
    w = queue_world_open(*state, 12, 0);
    n = queue_nodes(w, 1, 1);
    assert_true(alloc_fault_sweep(open_and_join, n) > 20);
    assert_int_equal(queue_length(w, "LLEN", "ids"), 12);
    queue_start_threads(n, 1);
    queue_join_threads(n, 1);
    queue_check_all(w, n, 1);
    queue_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUEUE_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        QUEUE_TEST(what_a_killed_node_had_runs_elsewhere),
        QUEUE_TEST(what_a_frozen_node_tells_late_counts_once),
        QUEUE_TEST(a_frozen_node_comes_back_in_mid_run),
        QUEUE_TEST(a_node_of_the_same_name_takes_over),
        QUEUE_TEST(who_died_laying_is_waited_for),
        QUEUE_TEST(connections_that_end_double_nothing),
        QUEUE_TEST(nothing_is_lost_or_doubled),
        QUEUE_TEST(without_memory_it_can_be_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
