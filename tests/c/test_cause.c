/* Inquiries, tried on simulated tests of which the cause is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fault.h"
#include "qe.h"
#include "qe_util.h"

#define TESTS 60u
#define SERVERS 5u
#define AT_ONCE 3u
#define LEAST_RATE 0.01
#define MOST_RATE 0.5

enum kind {
    VICTIM,
    VICTIM_OF_TWO, /* it takes two polluters together */
    BRITTLE,
    SELF,
    FILES_SELF,
    FILES_POLLUTED,
    HASH,
    RANDOM,
    ENTROPY,
    TIME,
    RACE,
    BUSY,
    TWIN,
    NEIGHBOUR,
    NETWORK,
    RESOURCES,
    LOCALE,
    COIN, /* nothing that can be changed explains it */
    KINDS
};

static const enum qe_cause expected[KINDS] = {
    [VICTIM] = QE_CAUSE_ORDER,     [VICTIM_OF_TWO] = QE_CAUSE_ORDER,
    [BRITTLE] = QE_CAUSE_BRITTLE,  [SELF] = QE_CAUSE_SELF,
    [FILES_SELF] = QE_CAUSE_FILES, [FILES_POLLUTED] = QE_CAUSE_FILES,
    [HASH] = QE_CAUSE_HASH,        [RANDOM] = QE_CAUSE_RANDOM,
    [ENTROPY] = QE_CAUSE_RANDOM,   [TIME] = QE_CAUSE_TIME,
    [RACE] = QE_CAUSE_TIMING,      [BUSY] = QE_CAUSE_TIMING,
    [TWIN] = QE_CAUSE_NEIGHBOURS,  [NEIGHBOUR] = QE_CAUSE_NEIGHBOURS,
    [NETWORK] = QE_CAUSE_NETWORK,  [RESOURCES] = QE_CAUSE_RESOURCES,
    [LOCALE] = QE_CAUSE_LOCALE,    [COIN] = QE_CAUSE_UNKNOWN,
};

struct world {
    enum kind kind;
    double rate;
    uint32_t test, culprit, second;
    uint64_t random, salt;
    double now_s;
    uint64_t bad_servers; /* a bit each */
    uint32_t forbidden;
};

static double uniform(struct world *w)
{
    return (double) (qe__random(&w->random) >> 11) * 0x1p-53;
}

/* What is drawn by a seed, from 0 to 1. */
static double drawn(uint64_t seed)
{
    uint64_t state = seed;

    (void) qe__random(&state);
    return (double) (qe__random(&state) >> 11) * 0x1p-53;
}

static bool has(const uint32_t *items, size_t n, uint32_t item)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i] == item) {
            return true;
        }
    }
    return false;
}

static uint32_t count(const uint32_t *items, size_t n, uint32_t item)
{
    uint32_t found = 0;

    for (size_t i = 0; i < n; i++) {
        found += items[i] == item;
    }
    return found;
}

/* Whether the test fails in a probe, as its last item. */
static bool fails(struct world *w, const qe_probe *p)
{
    size_t before = p->n - 1;
    bool then = p->beside == QE_THEN;
    bool meanwhile = p->beside == QE_MEANWHILE;
    double clock_s = (p->around & QE_CLOCK) != 0 ? p->clock_s : w->now_s;
    uint64_t attempt =
        w->salt ^
        qe_attempt_seed(p->seed, w->test, count(p->items, before, w->test));

    switch (w->kind) {
    case VICTIM:
        return has(p->items, before, w->culprit);
    case VICTIM_OF_TWO:
        return has(p->items, before, w->culprit) &&
               has(p->items, before, w->second);
    case BRITTLE:
        return !has(p->items, before, w->culprit);
    case SELF:
        return has(p->items, before, w->test);
    case FILES_SELF:
        return p->left_files || has(p->items, before, w->test) ||
               (then && has(p->others, p->others_n, w->test));
    case FILES_POLLUTED:
        return p->left_files || has(p->items, before, w->culprit) ||
               (then && has(p->others, p->others_n, w->culprit));
    case HASH:
        return (w->bad_servers >> p->server & 1) != 0;
    case RANDOM:
        return drawn(attempt) < w->rate;
    case ENTROPY:
        return ((p->around & QE_ENTROPY) != 0 ? drawn(attempt) : uniform(w)) <
               w->rate;
    case TIME:
        return clock_s - floor(clock_s) < w->rate;
    case RACE:
        return (p->around & QE_SLOW_THREADS) != 0 ? uniform(w) < 0.95
                                                  : uniform(w) < w->rate;
    case BUSY:
        return (p->around & (QE_BUSY | QE_JITTER)) != 0 ? uniform(w) < 0.9
                                                        : uniform(w) < w->rate;
    case TWIN:
        return meanwhile && p->others[0] == w->test;
    case NEIGHBOUR:
        return meanwhile && p->others[0] == w->culprit;
    case NETWORK:
        return (p->around & QE_NO_NETWORK) != 0 || uniform(w) < w->rate;
    case RESOURCES:
        return (p->around & QE_FEW_FILES) != 0 || uniform(w) < w->rate;
    case LOCALE:
        return (p->around & QE_C_LOCALE) != 0 || uniform(w) < w->rate;
    default:
        return uniform(w) < w->rate;
    }
}

/* A pass over `items` with its own seed, until the test has done `wanted`. */
static void find_context(struct world *w, bool wanted, uint32_t *items,
                         qe_context *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t tries = 0; tries < 20000; tries++) {
        size_t n = 0;
        bool twice = tries % 4 == 1;
        qe_probe p = {.items = items, .seed = qe__random(&w->random)};
        uint32_t first = 0;

        if (tries % 4 == 3) {
            first = (uint32_t) (qe__random(&w->random) % TESTS);
        }
        for (uint32_t i = 0; i < TESTS; i++) {
            uint32_t item = tries % 2 == 0 ? i : TESTS - 1 - i;

            item = (item + first) % TESTS;
            items[n++] = item;
            if (twice) {
                items[n++] = item;
            }
            if (item == w->test) {
                break;
            }
        }
        p.n = n;
        p.server = (uint32_t) (tries % (SERVERS + 1));
        p.left_files = tries > 2; /* what earlier passes have left */
        p.beside = tries % 5 == 4 ? QE_MEANWHILE : QE_NOTHING_BESIDE;
        p.others = w->kind == NEIGHBOUR ? &w->culprit : &w->test;
        p.others_n = 1;
        w->now_s += uniform(w);
        if (fails(w, &p) != wanted) {
            out->items = items;
            out->n = n;
            out->seed = p.seed;
            out->server = p.server;
            out->started_s = w->now_s;
            return;
        }
    }
}

static void world_init(struct world *w, enum kind kind, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->kind = kind;
    w->random = seed * 1000 + kind;
    w->salt = qe__random(&w->random);
    w->rate =
        exp(log(LEAST_RATE) + uniform(w) * (log(MOST_RATE) - log(LEAST_RATE)));
    w->test = (uint32_t) (qe__random(&w->random) % TESTS);
    do {
        w->culprit = (uint32_t) (qe__random(&w->random) % TESTS);
    } while (w->culprit == w->test);
    do {
        w->second = (uint32_t) (qe__random(&w->random) % TESTS);
    } while (w->second == w->test || w->second == w->culprit);
    if (kind == VICTIM_OF_TWO) { /* one order has both before it */
        w->test = 20;
        w->culprit = w->culprit % 20;
        w->second = (w->culprit + 1 + w->second % 18) % 20;
    }
    w->now_s = 1.7e9;
    while (w->bad_servers == 0 || w->bad_servers == (2u << SERVERS) - 1) {
        w->bad_servers = 0;
        for (uint32_t i = 0; i <= SERVERS; i++) {
            w->bad_servers |= (uint64_t) (uniform(w) < w->rate) << i;
        }
    }
}

/* The whole of an inquiry; false if it could not begin, as nothing was seen. */
static bool inquire(struct world *w, qe_inquiry **q, qe_finding *found)
{
    static uint32_t items[2][2 * TESTS], all[TESTS];
    qe_inquiry_options o = {.test = w->test,
                            .all = all,
                            .all_n = TESTS,
                            .servers = SERVERS,
                            .rate = w->rate,
                            .alpha = 0.05,
                            .forbidden = w->forbidden,
                            .seed = w->random,
                            .most = 2000};
    qe_probe under_way[AT_ONCE], p;
    uint32_t near[3] = {(w->culprit + 1) % TESTS, w->culprit, 0};
    uint32_t n = 0;
    int status;

    for (uint32_t i = 0; i < TESTS; i++) {
        all[i] = i;
    }
    o.neighbours = near;
    o.neighbours_n = 3;
    find_context(w, false, items[0], &o.failed);
    find_context(w, true, items[1], &o.passed);
    if (o.failed.n == 0 || o.passed.n == 0) {
        return false;
    }
    assert_int_equal(qe_inquiry_new(q, &o), 0);
    for (;;) {
        status = qe_inquiry_next(*q, &p);
        assert_true(status >= 0 || status == QE_EGONE);
        if (status == 1) {
            int result;

            assert_int_equal(p.items[p.n - 1], w->test);
            w->now_s += uniform(w);
            result = fails(w, &p) ? 0 : 1;
            if ((p.around & w->forbidden) != 0) {
                fail_msg("a probe with what is forbidden: %s", p.name);
            }
            p.clock_s = w->now_s;
            p.n = (size_t) result;
            under_way[n++] = p;
        }
        if (n == AT_ONCE || (status != 1 && n > 0)) {
            uint32_t at = (uint32_t) (qe__random(&w->random) % n);

            assert_int_equal(qe_inquiry_result(*q, under_way[at].number,
                                               (int) under_way[at].n,
                                               under_way[at].clock_s),
                             0);
            under_way[at] = under_way[--n];
        } else if (status == QE_EGONE) {
            break;
        } else {
            assert_int_equal(status, 1);
        }
    }
    assert_int_equal(qe_inquiry_finding(*q, found), 0);
    return true;
}

static void test_causes_are_named(void **state)
{
    uint32_t all = 0, right = 0, wrong = 0, coins = 0, coins_wrong = 0;
    uint32_t probes = 0;

    (void) state;
    for (int kind = 0; kind < KINDS; kind++) {
        uint32_t own = 0, own_right = 0, culprits = 0, proofs = 0, spent = 0;

        for (uint64_t seed = 1; seed <= 60; seed++) {
            struct world w;
            qe_inquiry *q;
            qe_finding f;
            bool found;

            world_init(&w, (enum kind) kind, seed);
            if (!inquire(&w, &q, &f)) {
                continue;
            }
            found = f.cause == expected[kind];
            if (kind == COIN) {
                coins++;
                coins_wrong += !found;
            } else {
                all++;
                own++;
                right += found;
                own_right += found;
                wrong += !found && f.cause != QE_CAUSE_UNKNOWN;
            }
            spent += f.probes;
            culprits += f.culprits_n > 0 && f.culprits[0] == w.culprit;
            proofs += f.has_proof && f.proof_runs == QE_INQUIRY_PROOFS &&
                      f.proof_failed >= 9;
            if (kind == VICTIM || kind == BRITTLE || kind == FILES_POLLUTED) {
                if (found) {
                    assert_int_equal(f.culprits_n, 1);
                    assert_int_equal(f.culprits[0], w.culprit);
                }
            }
            if (kind == VICTIM_OF_TWO && found) {
                assert_int_equal(f.culprits_n, 2);
            }
            if (found && (kind == RANDOM || kind == ENTROPY || kind == HASH ||
                          kind == VICTIM || kind == SELF || kind == TIME)) {
                assert_int_equal(f.proof_failed, QE_INQUIRY_PROOFS);
            }
            qe_inquiry_free(q);
        }
        probes += spent;
        print_message("%-12s kind %2d: %u of %u, %u by name, %u proven, "
                      "%.0f probes each\n",
                      qe_cause_name(expected[kind]), kind, own_right, own,
                      culprits, proofs, own ? (double) spent / own : 0);
    }
    print_message("%u of %u right, %u wrong; coins: %u of %u wrong\n", right,
                  all, wrong, coins_wrong, coins);
    assert_true(right >= 0.9 * all);
    assert_true(wrong <= 0.03 * all);
    assert_true(coins_wrong <= 0.05 * coins);
    (void) probes;
}

/* ------------------------------------------------------------- what may go wrong */

static void test_what_is_forbidden_is_not_asked_for(void **state)
{
    static const struct {
        enum kind kind;
        uint32_t flag;
    } cases[] = {{ENTROPY, QE_ENTROPY},    {TIME, QE_CLOCK},
                 {RACE, QE_SLOW_THREADS},  {TWIN, QE_PARTNER},
                 {NETWORK, QE_NO_NETWORK}, {RESOURCES, QE_FEW_FILES}};

    (void) state;
    for (size_t i = 0; i < QE__COUNT(cases); i++) {
        struct world w;
        qe_inquiry *q;
        qe_finding f;

        world_init(&w, cases[i].kind, 5);
        w.forbidden = cases[i].flag;
        assert_true(inquire(&w, &q, &f)); /* which looks at each probe */
        assert_int_equal(f.cause, QE_CAUSE_UNKNOWN);
        assert_true(f.culprits_n == 0 && f.with == NULL && f.p >= 1);
        qe_inquiry_free(q);
    }
}

/* A world in which every run of a change breaks in a way of its own. */
static void test_what_a_change_breaks_is_no_cause(void **state)
{
    const uint32_t all[] = {0, 1, 2};
    qe_inquiry_options o = {.test = 1,
                            .all = all,
                            .all_n = 3,
                            .servers = 2,
                            .rate = .1,
                            .alpha = .05,
                            .most = 3000};
    uint32_t asked = 0;
    qe_inquiry *q;
    qe_finding f;
    qe_probe p;
    int status;

    (void) state;
    assert_int_equal(qe_inquiry_new(&q, &o), 0);
    while ((status = qe_inquiry_next(q, &p)) == 1) {
        bool changed = p.around != 0 && p.around != QE_ENTROPY;

        assert_true(++asked <= o.most);
        assert_int_equal(qe_inquiry_result(q, p.number,
                                           changed           ? 2
                                           : asked % 10 == 9 ? 0
                                                             : 1,
                                           1.5e9),
                         0);
    }
    assert_int_equal(status, QE_EGONE);
    assert_int_equal(qe_inquiry_finding(q, &f), 0);
    assert_int_equal(f.cause, QE_CAUSE_UNKNOWN);
    assert_int_equal(f.probes, asked);
    assert_true(f.has_proof && f.proof_runs == QE_INQUIRY_PROOFS);
    qe_inquiry_free(q);
}

static void test_probes_have_a_limit(void **state)
{
    struct world w;
    const uint32_t all[] = {0, 1};
    qe_inquiry_options o = {.test = 1,
                            .all = all,
                            .all_n = 2,
                            .rate = .01,
                            .alpha = .05,
                            .most = 20};
    uint32_t asked = 0;
    qe_inquiry *q;
    qe_finding f;
    qe_probe p;

    (void) state;
    world_init(&w, COIN, 1);
    assert_int_equal(qe_inquiry_new(&q, &o), 0);
    while (qe_inquiry_next(q, &p) == 1) {
        asked++;
        assert_int_equal(qe_inquiry_result(q, p.number, 1, 0), 0);
    }
    assert_int_equal(asked, 20);
    assert_int_equal(qe_inquiry_finding(q, &f), 0);
    assert_true(f.cause == QE_CAUSE_UNKNOWN && !f.has_proof);
    qe_inquiry_free(q);
}

static void test_order_alone(void **state)
{
    const uint32_t failed[] = {3, 0, 2, 1}, passed[] = {1};
    qe_inquiry_options o = {.test = 1,
                            .failed = {.items = failed, .n = 4},
                            .passed = {.items = passed, .n = 1},
                            .alpha = .05,
                            .rate = .5,
                            .most = 500};
    qe_inquiry *q;
    qe_finding f;
    qe_probe p;

    (void) state;
    for (uint32_t polluter = 0; polluter < 5; polluter++) {
        assert_int_equal(qe_inquiry_of_order(&q, &o), 0);
        while (qe_inquiry_next(q, &p) == 1) {
            assert_int_equal(p.around, 0);
            assert_int_equal(qe_inquiry_result(q, p.number,
                                               !has(p.items, p.n - 1, polluter),
                                               0),
                             0);
        }
        assert_int_equal(qe_inquiry_finding(q, &f), 0);
        if (polluter == 1 || polluter == 4) { /* nobody, or itself */
            assert_int_equal(f.cause, QE_CAUSE_UNKNOWN);
        } else {
            assert_int_equal(f.cause, QE_CAUSE_ORDER);
            assert_true(f.culprits_n == 1 && f.culprits[0] == polluter);
            assert_true(f.proof.n == 2 && f.proof.items[0] == polluter &&
                        f.proof.items[1] == 1);
        }
        qe_inquiry_free(q);
    }
}

static void test_wrong_arguments_are_refused(void **state)
{
    const uint32_t items[] = {0, 1};
    const qe_inquiry_options good = {.test = 1,
                                     .failed = {.items = items, .n = 2},
                                     .all = items,
                                     .all_n = 2,
                                     .alpha = .05,
                                     .rate = .1,
                                     .most = 10};
    qe_inquiry_options bad;
    qe_finding f;
    qe_probe p;
    qe_inquiry *q;

    (void) state;
    assert_int_equal(qe_inquiry_new(NULL, &good), QE_EINVAL);
    assert_int_equal(qe_inquiry_new(&q, NULL), QE_EINVAL);
    for (int i = 0; i < 6; i++) {
        bad = good;
        bad.alpha = i == 0 ? 2 : .05;
        bad.rate = i == 1 ? NAN : i == 2 ? 1.5 : .1;
        bad.test = i == 3 ? 0 : 1; /* no pass ends with it */
        bad.all = i == 4 ? NULL : items;
        bad.neighbours_n = i == 5 ? 1 : 0;
        assert_int_equal(qe_inquiry_new(&q, &bad), QE_EINVAL);
    }
    assert_int_equal(qe_inquiry_new(&q, &good), 0);
    assert_int_equal(qe_inquiry_result(q, 0, 1, 0), QE_EINVAL);
    assert_int_equal(qe_inquiry_next(q, &p), 1);
    assert_int_equal(qe_inquiry_result(q, 0, 1, NAN), QE_EINVAL);
    assert_int_equal(qe_inquiry_result(q, 0, 1, 0), 0);
    assert_int_equal(qe_inquiry_result(q, 0, 1, 0), QE_EINVAL);
    assert_int_equal(qe_inquiry_next(q, NULL), QE_EINVAL);
    assert_int_equal(qe_inquiry_finding(NULL, &f), QE_EINVAL);
    qe_inquiry_free(q);
    qe_inquiry_free(NULL);
    assert_string_equal(qe_cause_name((enum qe_cause) 99), "unknown");
}

/* A whole inquiry: what it returns if something in it fails. */
static int whole(void *context)
{
    const uint32_t failed[] = {3, 0, 2, 1}, passed[] = {1};
    qe_inquiry_options o = {.test = 1,
                            .failed = {.items = failed, .n = 4},
                            .passed = {.items = passed, .n = 1},
                            .all = failed,
                            .all_n = 4,
                            .alpha = .05,
                            .rate = .5,
                            .most = 500};
    int status;
    qe_inquiry *q;
    qe_finding f;
    qe_probe p;

    (void) context;
    status = qe_inquiry_new(&q, &o);
    if (status != 0) {
        return status;
    }
    while ((status = qe_inquiry_next(q, &p)) == 1) {
        (void) qe_inquiry_result(q, p.number, !has(p.items, p.n - 1, 2), 0);
    }
    if (status == QE_ENOMEM) {
        /* It can be gone on with. */
        alloc_fault.countdown = 0;
        while (qe_inquiry_next(q, &p) == 1) {
            (void) qe_inquiry_result(q, p.number, !has(p.items, p.n - 1, 2), 0);
        }
    }
    (void) qe_inquiry_finding(q, &f);
    assert_int_equal(f.cause, QE_CAUSE_ORDER);
    assert_int_equal(f.proof_failed, QE_INQUIRY_PROOFS);
    qe_inquiry_free(q);
    return status == QE_EGONE ? 0 : status;
}

static void test_no_memory_ends_no_inquiry(void **state)
{
    (void) state;
    assert_true(alloc_fault_sweep(whole, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes_are_named),
        cmocka_unit_test(test_what_is_forbidden_is_not_asked_for),
        cmocka_unit_test(test_what_a_change_breaks_is_no_cause),
        cmocka_unit_test(test_probes_have_a_limit),
        cmocka_unit_test(test_order_alone),
        cmocka_unit_test(test_wrong_arguments_are_refused),
        cmocka_unit_test(test_no_memory_ends_no_inquiry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
