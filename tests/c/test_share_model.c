/* How good the policy of csrc/queue/qe_share.c is: the simulation of bench/queue_sim.c, in small. All of
 * it is in virtual time, and follows from the seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../bench/queue_load.c"
#include "../../bench/queue_model.c"
#include "../../bench/queue_node.c"
#include "../../bench/queue_server.c"

static const uint32_t nodes[] = {1, 2, 8, 32, 64};

static struct load_kind some_tests(enum load_shape shape, enum load_known known,
                                   uint64_t seed)
{
    return (struct load_kind){.shape = shape,
                              .known = known,
                              .units = 20000,
                              .scope_units = 10,
                              .median_ns = 100 * QE__MS,
                              .seed = seed};
}

static struct run_kind some_nodes(uint32_t count, uint32_t trip_ms)
{
    return (struct run_kind){.nodes = count,
                             .workers = 1,
                             .trip_ns = trip_ms * QE__MS,
                             .lease_ns = 10000 * QE__MS,
                             .seed = 1};
}

/* Every unit has one outcome, whatever happens. */
static struct run_result ran(const struct load *l, const struct run_kind *kind)
{
    struct run_result result;

    assert_int_equal(run_queue(l, kind, &result, NULL), 0);
    assert_int_equal(result.outcomes, l->count);
    assert_int_equal(result.doubled, 0);
    return result;
}

static void expect_within(const struct run_result *r, double most,
                          const struct load_kind *load,
                          const struct run_kind *kind)
{
    double ratio = (double) r->end_ns / (double) r->bound_ns;

    if (ratio > most || ratio < 0.999) {
        fail_msg("seed %llu, %u nodes, a trip of %llu ms: %.3f of the best, "
                 "not %.3f",
                 (unsigned long long) load->seed, kind->nodes,
                 (unsigned long long) (kind->trip_ns / QE__MS), ratio, most);
    }
}

static void known_durations(enum load_shape shape)
{
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct load_kind kind = some_tests(shape, LOAD_NOISY, seed);
        struct load l;

        assert_int_equal(load_make(&l, &kind), 0);
        for (size_t i = 0; i < QE__COUNT(nodes); i++) {
            struct run_kind run = some_nodes(nodes[i], seed == 1 ? 50 : 1);
            struct run_result r = ran(&l, &run);

            expect_within(&r, 1.05, &kind, &run);
        }
        load_free(&l);
    }
}

static void lognormal_durations_take_five_percent_more_at_most(void **state)
{
    (void) state;
    known_durations(LOAD_LOGNORMAL);
}

static void pareto_durations_take_five_percent_more_at_most(void **state)
{
    (void) state;
    known_durations(LOAD_PARETO);
}

/* Graham's bound for any list: nobody waits while there is work, so only the unit that ends last may
 * stand out. A hundredth, for the server. */
static void unknown_durations_keep_every_node_busy(void **state)
{
    struct load_kind kind = some_tests(LOAD_PARETO, LOAD_UNKNOWN, 1);
    struct load l;

    (void) state;
    assert_int_equal(load_make(&l, &kind), 0);
    for (size_t i = 0; i < QE__COUNT(nodes); i++) {
        struct run_kind run = some_nodes(nodes[i], 20);
        struct run_result r = ran(&l, &run);
        uint64_t graham = l.total_ns / nodes[i] + l.longest_ns;

        assert_true(r.end_ns <= graham + graham / 100);
    }
    load_free(&l);
}

static void a_few_nodes_keep_scopes_whole(void **state)
{
    struct load_kind kind = some_tests(LOAD_LOGNORMAL, LOAD_NOISY, 3);
    struct run_kind run = some_nodes(4, 5);
    struct run_result r;
    struct load l;

    (void) state;
    kind.median_ns =
        10 * QE__MS; /* none is longer than a scope's setup may be */
    assert_int_equal(load_make(&l, &kind), 0);
    r = ran(&l, &run);
    expect_within(&r, 1.01, &kind, &run);
    assert_true(r.setups < l.scopes + l.scopes / 20);
    load_free(&l);
}

static void lost_and_late_nodes_lose_nothing(void **state)
{
    struct load_kind kind = some_tests(LOAD_LOGNORMAL, LOAD_NOISY, 4);
    struct run_kind run = some_nodes(16, 20);
    struct run_result r;
    struct load l;

    (void) state;
    run.late = run.lost = 0.3;
    kind.fails = 0.01;
    kind.together = 0.1;
    assert_int_equal(load_make(&l, &kind), 0);
    r = ran(&l, &run);
    assert_true(r.begun > l.count); /* they were in the middle of something */
    expect_within(&r, 1.05, &kind, &run);
    load_free(&l);
}

/* What is to run again is not left for the end, however long it is. */
static void what_fails_once_makes_no_tail(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct load_kind kind = some_tests(LOAD_PARETO, LOAD_NOISY, seed);
        struct run_kind run = some_nodes(32, 10);
        struct run_result r;
        struct load l;

        kind.fails = 0.02;
        assert_int_equal(load_make(&l, &kind), 0);
        r = ran(&l, &run);
        expect_within(&r, 1.05, &kind, &run);
        load_free(&l);
    }
}

static void nodes_of_several_workers_are_kept_busy(void **state)
{
    struct load_kind kind = some_tests(LOAD_LOGNORMAL, LOAD_NOISY, 5);
    struct run_kind run = some_nodes(8, 20);
    struct run_result r;
    struct load l;

    (void) state;
    run.workers = 4;
    assert_int_equal(load_make(&l, &kind), 0);
    r = ran(&l, &run);
    expect_within(&r, 1.05, &kind, &run);
    load_free(&l);
}

static void one_scope_is_spread_over_all(void **state)
{
    struct load_kind kind = some_tests(LOAD_LOGNORMAL, LOAD_NOISY, 6);
    struct run_kind run = some_nodes(32, 20);
    struct run_result r;
    struct load l;

    (void) state;
    kind.scope_units = 1000000;
    assert_int_equal(load_make(&l, &kind), 0);
    assert_int_equal(l.scopes, 1);
    r = ran(&l, &run);
    expect_within(&r, 1.05, &kind, &run);
    load_free(&l);
}

/* Those who wait ask seldom enough for a server. */
static void a_server_is_not_asked_too_often(void **state)
{
    struct load_kind kind = some_tests(LOAD_PARETO, LOAD_NOISY, 7);
    struct run_kind run = some_nodes(256, 1);
    struct run_result r;
    struct load l;

    (void) state;
    kind.units = 2000; /* most have nothing for most of the time */
    assert_int_equal(load_make(&l, &kind), 0);
    r = ran(&l, &run);
    assert_true((double) r.calls / ((double) r.end_ns / 1e9) < 2500);
    load_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lognormal_durations_take_five_percent_more_at_most),
        cmocka_unit_test(pareto_durations_take_five_percent_more_at_most),
        cmocka_unit_test(unknown_durations_keep_every_node_busy),
        cmocka_unit_test(a_few_nodes_keep_scopes_whole),
        cmocka_unit_test(lost_and_late_nodes_lose_nothing),
        cmocka_unit_test(what_fails_once_makes_no_tail),
        cmocka_unit_test(nodes_of_several_workers_are_kept_busy),
        cmocka_unit_test(one_scope_is_spread_over_all),
        cmocka_unit_test(a_server_is_not_asked_too_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
