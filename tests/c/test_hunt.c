/* The strategy of a hunt, tried on simulated suites of which the truth is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qe.h"
#include "qe_util.h"

#define MOST 600u
#define GROUP 10u /* tests of a module */

enum kind {
    HEALTHY,
    BROKEN,  /* always fails */
    COIN,    /* fails with its rate */
    VICTIM,  /* fails behind its other one in the same process */
    BRITTLE, /* fails unless its other one ran before */
    AGAIN    /* fails the second time in a process */
};

struct suite {
    uint32_t n;
    struct {
        enum kind kind;
        double rate, seconds;
        uint32_t other;
    } test[MOST];
    uint32_t groups[MOST];
    uint64_t random;
    double seconds; /* that tests have taken */
};

static double uniform(struct suite *s)
{
    return (double) (qe__random(&s->random) >> 11) * 0x1p-53;
}

static void suite_init(struct suite *s, uint32_t n, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->n = n;
    s->random = seed;
    for (uint32_t i = 0; i < n; i++) {
        s->groups[i] = i / GROUP;
        s->test[i].seconds = 0.01;
    }
}

/* One execution in a process that has run `before`: 1 passed, 0 failed. */
static int execute(struct suite *s, uint32_t item, const uint32_t *before,
                   size_t n)
{
    bool other = false, again = false;

    for (size_t i = 0; i < n; i++) {
        other |= before[i] == s->test[item].other;
        again |= before[i] == item;
    }
    s->seconds += s->test[item].seconds;
    switch (s->test[item].kind) {
    case BROKEN:
        return 0;
    case COIN:
        return uniform(s) >= s->test[item].rate;
    case VICTIM:
        return !other;
    case BRITTLE:
        return other;
    case AGAIN:
        return !again;
    default:
        return 1;
    }
}

static void run_pass(struct suite *s, qe_hunt *h, const qe_hunt_pass *p)
{
    for (size_t i = 0; i < p->n; i++) {
        uint32_t item = p->items[i];
        int result = execute(s, item, p->items, i);

        assert_int_equal(
            qe_hunt_result(h, p->number, item, result, s->test[item].seconds),
            0);
    }
    assert_int_equal(qe_hunt_over(h, p->number, .01), 0);
}

static qe_hunt *begin(const struct suite *s, qe_hunt_options options)
{
    qe_hunt *h;

    assert_int_equal(qe_hunt_new(&h, s->groups, NULL, s->n, &options), 0);
    return h;
}

/* Runs a whole hunt, two passes at a time. */
static void run(struct suite *s, qe_hunt *h)
{
    qe_hunt_pass held[2], p;
    int count = 0, status;

    while ((status = qe_hunt_next(h, &p)) != QE_EGONE || count > 0) {
        if (status == 1) {
            held[count++] = p;
        }
        if (count == 2 || (status != 1 && count > 0)) {
            run_pass(s, h, &held[0]);
            held[0] = held[1];
            count--;
        } else {
            assert_int_equal(status, 1);
        }
    }
}

static enum qe_verdict verdict_of(const qe_hunt *h, uint32_t item)
{
    qe_hunt_test found;

    assert_int_equal(qe_hunt_test_of(h, item, &found), 0);
    return found.verdict;
}

static bool is_found(const qe_hunt *h, uint32_t item)
{
    return verdict_of(h, item) >= QE_SUSPECT;
}

/* ----------------------------------------------------------------------- orders */

static void check_groups_together(const struct suite *s, const qe_hunt_pass *p)
{
    bool seen[MOST] = {false};

    for (size_t i = 0; i < p->n; i++) {
        uint32_t group = s->groups[p->items[i]];

        if (i > 0 && s->groups[p->items[i - 1]] != group) {
            assert_false(seen[group]);
        }
        seen[group] = true;
    }
}

static void passes_differ_in_order_and_seed(void **state)
{
    static const char *const names[] = {"defined", "reversed", "twice",
                                        "shuffled", "shuffled"};
    qe_hunt_pass p[5];
    struct suite s;
    qe_hunt *h;

    (void) state;
    suite_init(&s, 40, 1);
    h = begin(&s, (qe_hunt_options){.executions = 10, .alpha = .05, .seed = 7});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(qe_hunt_next(h, &p[i]), 1);
        assert_string_equal(qe_condition_name(p[i].condition), names[i]);
        assert_int_equal(p[i].number, i);
        assert_int_equal(p[i].n, i == 2 ? 80 : 40);
        check_groups_together(&s, &p[i]);
        for (int j = 0; j < i; j++) {
            assert_true(p[i].seed != p[j].seed);
        }
    }
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(p[0].items[i], i);
        assert_int_equal(p[1].items[i], 39 - i);
        assert_int_equal(p[2].items[2 * i], i);
        assert_int_equal(p[2].items[2 * i + 1], i);
    }
    assert_memory_not_equal(p[3].items, p[4].items, 40 * sizeof(uint32_t));
    assert_memory_not_equal(p[3].items, p[0].items, 40 * sizeof(uint32_t));
    qe_hunt_free(h);
}

static void the_same_seed_gives_the_same_hunt(void **state)
{
    uint32_t first[40];

    (void) state;
    for (uint64_t seed = 7; seed < 10; seed++) {
        qe_hunt_pass p;
        struct suite s;
        qe_hunt *h;

        suite_init(&s, 40, 1);
        h = begin(&s, (qe_hunt_options){
                          .executions = 10, .alpha = .05, .seed = seed / 2});
        for (int i = 0; i < 4; i++) {
            assert_int_equal(qe_hunt_next(h, &p), 1);
        }
        if (seed == 7) {
            memcpy(first, p.items, sizeof first);
        }
        assert_int_equal(memcmp(first, p.items, sizeof first) == 0, seed < 8);
        qe_hunt_free(h);
    }
}

/* ----------------------------------------------------------------------- verdicts */

static void each_kind_has_its_verdict(void **state)
{
    struct suite s;
    qe_hunt_test found;
    qe_hunt *h;

    (void) state;
    suite_init(&s, 60, 1);
    s.test[3].kind = BROKEN;
    s.test[20].kind = VICTIM; /* behind one that comes later */
    s.test[20].other = 45;
    s.test[31].kind = BRITTLE; /* needs one that comes before */
    s.test[31].other = 2;
    s.test[40].kind = AGAIN;
    s.test[50].kind = COIN;
    s.test[50].rate = .4;
    h = begin(&s, (qe_hunt_options){.executions = 12, .alpha = .05, .seed = 7});
    run(&s, h);
    for (uint32_t i = 0; i < 60; i++) {
        enum qe_verdict wanted = s.test[i].kind == HEALTHY  ? QE_CLEAR
                                 : s.test[i].kind == BROKEN ? QE_STABLE_FAILS
                                                            : QE_CONFIRMED;

        assert_string_equal(qe_verdict_name(verdict_of(h, i)),
                            qe_verdict_name(wanted));
    }
    assert_int_equal(qe_hunt_test_of(h, 40, &found), 0);
    assert_int_equal(found.failed_in, 2);
    assert_true(found.fresh_failures > 0 && found.fresh_passes > 0);
    assert_true(qe_hunt_spent(h) <= 720);
    qe_hunt_free(h);
}

static void a_broken_suite_is_not_run_on(void **state)
{
    struct suite s;
    qe_hunt *h;

    (void) state;
    suite_init(&s, 100, 1);
    for (uint32_t i = 0; i < s.n; i++) {
        s.test[i].kind = BROKEN;
    }
    h = begin(&s, (qe_hunt_options){.executions = 50, .alpha = .05});
    run(&s, h);
    assert_int_equal(verdict_of(h, 5), QE_STABLE_FAILS);
    assert_true(qe_hunt_spent(h) <= (uint64_t) 100 * (QE_HUNT_STABLE + 2));
    qe_hunt_free(h);
}

static void a_healthy_suite_gets_its_whole_budget(void **state)
{
    struct suite s;

    (void) state;
    for (uint32_t executions = 1; executions < 40; executions += 6) {
        qe_hunt *h;

        suite_init(&s, 50, 1);
        h = begin(&s,
                  (qe_hunt_options){.executions = executions, .alpha = .05});
        run(&s, h);
        assert_int_equal(verdict_of(h, 49), QE_CLEAR);
        assert_int_equal(qe_hunt_spent(h), 50 * executions);
        qe_hunt_free(h);
    }
}

static void a_test_that_is_never_counted_is_untried(void **state)
{
    qe_hunt_pass p;
    struct suite s;
    qe_hunt *h;

    (void) state;
    suite_init(&s, 2, 1);
    h = begin(&s, (qe_hunt_options){.executions = 1, .alpha = .05});
    assert_int_equal(qe_hunt_next(h, &p), 1);
    assert_int_equal(qe_hunt_result(h, 0, 1, 2, .1), 0);
    assert_int_equal(qe_hunt_over(h, 0, 0), 0);
    assert_int_equal(qe_hunt_next(h, &p), QE_EGONE);
    assert_int_equal(verdict_of(h, 0), QE_UNTRIED);
    assert_int_equal(verdict_of(h, 1), QE_UNTRIED);
    qe_hunt_free(h);
}

/* ------------------------------------------------------------------- how good it is */

/* Log-uniform from .01 to .5. */
static double some_rate(struct suite *s)
{
    return .01 * pow(50, uniform(s));
}

/* Half of the tests are healthy; the oracle knows what triggers each of the others,
 * and with which rate, and runs nothing else. */
static void few_executions_find_what_an_oracle_finds(void **state)
{
    double oracle = 0, found = 0, confirmed = 0, wrong = 0;

    (void) state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct suite s;
        qe_hunt *h;

        suite_init(&s, 60, seed * 1000);
        for (uint32_t i = 0; i < s.n; i += 2) {
            s.test[i].kind = COIN + (enum kind)(i / 2 % 4);
            s.test[i].rate = some_rate(&s);
            s.test[i].other = 1 + 2 * (uint32_t) (uniform(&s) * 30);
            oracle +=
                s.test[i].kind == COIN ? 1 - pow(1 - s.test[i].rate, 9) : 1;
        }
        h = begin(
            &s, (qe_hunt_options){.executions = 9, .alpha = .05, .seed = seed});
        run(&s, h);
        assert_true(qe_hunt_spent(h) <= UINT64_C(9) * 60);
        for (uint32_t i = 0; i < s.n; i++) {
            found += s.test[i].kind != HEALTHY && is_found(h, i);
            confirmed += verdict_of(h, i) == QE_CONFIRMED;
            wrong += s.test[i].kind == HEALTHY && is_found(h, i);
        }
        qe_hunt_free(h);
    }
    assert_int_equal(wrong, 0);
    assert_true(found >= .9 * oracle);
    assert_true(confirmed >= .8 * found);
}

/* Tests that fail once in a thousand runs count as healthy. */
static void few_of_the_confirmed_are_healthy(void **state)
{
    double confirmed = 0, wrong = 0;

    (void) state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct suite s;
        qe_hunt *h;

        suite_init(&s, 300, seed * 1000);
        for (uint32_t i = 0; i < s.n; i++) {
            s.test[i].kind = COIN;
            s.test[i].rate = i % 30 == 0 ? some_rate(&s) : .001;
        }
        h = begin(&s, (qe_hunt_options){
                          .executions = 10, .alpha = .05, .seed = seed});
        run(&s, h);
        for (uint32_t i = 0; i < s.n; i++) {
            bool is = verdict_of(h, i) == QE_CONFIRMED;

            confirmed += is;
            wrong += is && s.test[i].rate <= .001;
        }
        qe_hunt_free(h);
    }
    assert_true(confirmed > 50);
    assert_true(wrong <= .05 * confirmed);
}

/* Ten passes over all, and as many seconds of a hunt, where few tests take nearly all
 * of the time and any test may be flaky. */
static void seconds_go_where_they_show_most(void **state)
{
    double fixed = 0, hunted = 0;

    (void) state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct suite s;
        double seconds = 0;
        qe_hunt *h;

        suite_init(&s, MOST, seed * 1000);
        for (uint32_t i = 0; i < s.n; i++) {
            s.test[i].seconds = .001 * pow(uniform(&s) + 1e-4, -1.2);
            s.test[i].kind = i % 10 == 3 ? COIN : HEALTHY;
            s.test[i].rate = .002 * pow(25, uniform(&s));
            seconds += s.test[i].seconds;
        }
        for (uint32_t i = 3; i < s.n; i += 10) {
            fixed += 1 - pow(1 - s.test[i].rate, 10);
        }
        h = begin(&s, (qe_hunt_options){.executions = 1,
                                        .seconds = 10 * seconds,
                                        .alpha = .05,
                                        .seed = seed});
        s.seconds = 0;
        run(&s, h);
        assert_true(s.seconds <= 10.5 * seconds);
        for (uint32_t i = 3; i < s.n; i += 10) {
            hunted += is_found(h, i);
        }
        qe_hunt_free(h);
    }
    assert_true(hunted >= 3 * fixed);
}

/* --------------------------------------------------------------------------- errors */

/* All passes of a hunt in which nothing fails. */
static uint32_t passes_of(const qe_hunt_options *options, uint32_t n,
                          qe_hunt_pass *out, uint32_t most)
{
    uint32_t groups[MOST] = {0}, count = 0;
    qe_hunt_pass p;
    qe_hunt *h;

    assert_int_equal(qe_hunt_new(&h, groups, NULL, n, options), 0);
    while (qe_hunt_next(h, &p) == 1) {
        assert_true(count < most);
        out[count++] = p;
        for (size_t i = 0; i < p.n; i++) {
            assert_int_equal(qe_hunt_result(h, p.number, p.items[i], 1, .001),
                             0);
        }
        /* Two that run together are over together. */
        if (p.condition != QE_AS_DEFINED || p.partner == UINT32_MAX) {
            assert_int_equal(qe_hunt_over(h, p.number, 0), 0);
        }
        if (p.condition == QE_BESIDE) {
            assert_int_equal(qe_hunt_over(h, p.partner, 0), 0);
        }
    }
    qe_hunt_free(h);
    return count;
}

static void a_hunt_begins_with_two_passes_beside_each_other(void **state)
{
    const qe_hunt_options o = {
        .executions = 9, .alpha = .05, .seed = 3, .servers = 4, .pairs = true};
    qe_hunt_pass p[40];
    uint32_t n = passes_of(&o, 10, p, 40), borrowed = 0;

    (void) state;
    assert_true(n >= 8);
    assert_int_equal(p[0].condition, QE_AS_DEFINED);
    assert_int_equal(p[1].condition, QE_BESIDE);
    assert_true(p[0].partner == 0 && p[1].partner == 0);
    assert_true(p[0].server == 0 && p[1].server == 0);
    assert_true(p[0].seed != p[1].seed);
    assert_true(p[0].n == 10 && p[1].n == 10);
    for (uint32_t i = 2; i < n; i++) {
        assert_true(p[i].partner == UINT32_MAX);
        assert_true(p[i].server >= 1 && p[i].server <= 4);
        assert_true(p[i].server != p[i - 1].server);
    }
    for (uint32_t i = 0; i < n; i++) {
        borrowed += p[i].files != i;
        assert_true(p[i].files <= i);
    }
    assert_int_equal(borrowed, 1);
}

static void who_has_one_worker_or_few_runs_has_no_pair(void **state)
{
    qe_hunt_options o = {.executions = 9, .alpha = .05};
    qe_hunt_pass p[40];
    uint32_t n = passes_of(&o, 10, p, 40);

    (void) state;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(p[i].condition != QE_BESIDE && p[i].server == 0);
    }
    o.pairs = true;
    o.executions = 2;
    n = passes_of(&o, 10, p, 40);
    assert_int_equal(n, 2);
    assert_int_equal(p[1].condition, QE_REVERSED);
}

static void what_failed_before_runs_more_often(void **state)
{
    const qe_hunt_options o = {.executions = 9, .alpha = .05};
    uint32_t groups[50] = {0}, alone = 0;
    qe_hunt_test found;
    qe_hunt_pass p;
    qe_hunt *h;

    (void) state;
    assert_int_equal(qe_hunt_new(&h, groups, NULL, 50, &o), 0);
    assert_int_equal(qe_hunt_known(h, 50, 1, 1), QE_EINVAL);
    assert_int_equal(qe_hunt_known(h, 7, 3, 500), 0);
    while (qe_hunt_next(h, &p) == 1) {
        for (size_t i = 0; i < p.n; i++) {
            assert_int_equal(qe_hunt_result(h, p.number, p.items[i], 1, .001),
                             0);
        }
        if (p.condition == QE_ALONE) {
            assert_int_equal(p.items[0], 7);
            alone++;
        }
        assert_int_equal(qe_hunt_over(h, p.number, 0), 0);
    }
    assert_int_equal(alone, QE_HUNT_MOST_FRESH);
    assert_int_equal(qe_hunt_known(h, 7, 3, 500), QE_ESTATE);
    /* It has only passed now: that it failed once is not what a hunt has seen. */
    assert_int_equal(qe_hunt_test_of(h, 7, &found), 0);
    assert_int_equal(found.verdict, QE_CLEAR);
    qe_hunt_free(h);
}

/* A gamma variate of shape a, by Marsaglia and Tsang 2000, for a Beta law. */
static double gamma_of(struct suite *s, double a)
{
    double d = (a < 1 ? a + 1 : a) - 1. / 3, c = 1 / sqrt(9 * d);
    double boost = a < 1 ? pow(uniform(s), 1 / a) : 1;

    for (;;) {
        double x = sqrt(-2 * log(1 - uniform(s))) *
                   cos(2 * 3.14159265358979 * uniform(s));
        double v = pow(1 + c * x, 3);

        if (v > 0 &&
            log(1 - uniform(s)) < .5 * x * x + d - d * v + d * log(v)) {
            return boost * d * v;
        }
    }
}

static void the_law_of_rates_is_that_of_the_tests(void **state)
{
    static uint64_t failures[3000], passes[3000];
    static const double laws[][2] = {{.53, 51.7}, {.2, 20}, {2, 100}};
    struct suite s;
    double a, b;

    (void) state;
    suite_init(&s, 1, 11);
    for (size_t law = 0; law < QE__COUNT(laws); law++) {
        for (size_t i = 0; i < 3000; i++) {
            double x = gamma_of(&s, laws[law][0]);
            double rate = x / (x + gamma_of(&s, laws[law][1]));

            failures[i] = passes[i] = 0;
            for (int run = 0; run < 200; run++) {
                if (uniform(&s) < rate) {
                    failures[i]++;
                } else {
                    passes[i]++;
                }
            }
        }
        assert_int_equal(qe_rates_fit(failures, passes, 3000, &a, &b), 0);
        print_message("Beta(%g, %g): fitted %.3f, %.1f\n", laws[law][0],
                      laws[law][1], a, b);
        assert_true(fabs(a / laws[law][0] - 1) < .15);
        assert_true(fabs(b / laws[law][1] - 1) < .2);
    }
    assert_int_equal(qe_rates_fit(failures, passes, 0, &a, &b), QE_ENOTFOUND);
    assert_int_equal(qe_rates_fit(NULL, passes, 3, &a, &b), QE_EINVAL);
    assert_int_equal(qe_rates_fit(failures, passes, 3, NULL, &b), QE_EINVAL);
    memset(failures, 0, sizeof failures); /* nothing ever fails */
    assert_int_equal(qe_rates_fit(failures, passes, 3000, &a, &b),
                     QE_ENOTFOUND);
}

static void wrong_arguments_are_refused(void **state)
{
    qe_hunt_options good = {.executions = 2, .alpha = .05}, bad;
    const uint32_t groups[2] = {0, 0};
    qe_hunt_test found;
    qe_hunt_pass p;
    qe_hunt *h;

    (void) state;
    for (int i = 0; i < 4; i++) {
        bad = good;
        bad.executions = i == 0 ? .5 : i == 1 ? NAN : 2;
        bad.alpha = i == 2 ? 1 : .05;
        bad.seconds = i == 3 ? -1 : 0;
        assert_int_equal(qe_hunt_new(&h, groups, NULL, 2, &bad), QE_EINVAL);
    }
    assert_int_equal(qe_hunt_new(NULL, groups, NULL, 2, &good), QE_EINVAL);
    assert_int_equal(qe_hunt_new(&h, groups, NULL, 2, &good), 0);
    assert_int_equal(qe_hunt_result(h, 0, 0, 1, .1), QE_EINVAL);
    assert_int_equal(qe_hunt_over(h, 0, 0), QE_EINVAL);
    assert_int_equal(qe_hunt_next(h, &p), 1);
    assert_int_equal(qe_hunt_result(h, 0, 2, 1, .1), QE_EINVAL);
    assert_int_equal(qe_hunt_result(h, 0, 1, 1, NAN), QE_EINVAL);
    assert_int_equal(qe_hunt_over(h, 0, NAN), QE_EINVAL);
    assert_int_equal(qe_hunt_over(h, 0, 0), 0);
    assert_int_equal(qe_hunt_over(h, 0, 0), QE_EINVAL);
    assert_int_equal(qe_hunt_result(h, 0, 1, 1, .1), QE_EINVAL);
    assert_int_equal(qe_hunt_test_of(h, 2, &found), QE_EINVAL);
    qe_hunt_free(h);
    qe_hunt_free(NULL);
    assert_string_equal(qe_condition_name((enum qe_condition) 99), "unknown");
    assert_string_equal(qe_verdict_name((enum qe_verdict) 99), "unknown");
}

static void a_hunt_of_nothing_is_over(void **state)
{
    qe_hunt_options options = {.executions = 2, .alpha = .05};
    const uint32_t groups[1] = {0};
    qe_hunt_pass p;
    qe_hunt *h;

    (void) state;
    assert_int_equal(qe_hunt_new(&h, groups, NULL, 0, &options), 0);
    assert_int_equal(qe_hunt_next(h, &p), QE_EGONE);
    qe_hunt_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_differ_in_order_and_seed),
        cmocka_unit_test(the_same_seed_gives_the_same_hunt),
        cmocka_unit_test(each_kind_has_its_verdict),
        cmocka_unit_test(a_broken_suite_is_not_run_on),
        cmocka_unit_test(a_healthy_suite_gets_its_whole_budget),
        cmocka_unit_test(a_test_that_is_never_counted_is_untried),
        cmocka_unit_test(few_executions_find_what_an_oracle_finds),
        cmocka_unit_test(few_of_the_confirmed_are_healthy),
        cmocka_unit_test(seconds_go_where_they_show_most),
        cmocka_unit_test(a_hunt_begins_with_two_passes_beside_each_other),
        cmocka_unit_test(who_has_one_worker_or_few_runs_has_no_pair),
        cmocka_unit_test(what_failed_before_runs_more_often),
        cmocka_unit_test(the_law_of_rates_is_that_of_the_tests),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_hunt_of_nothing_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
