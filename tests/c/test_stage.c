/* What of layers starts when, on a clock that is only counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "qe.h"
#include "qe_stage.h"
#include "qe_util.h"

#define S UINT64_C(1000000000)
#define MOST 64

static struct world {
    qe_layers *l;
    qe_stage *s;
    uint64_t now;
    char log[4096]; /* what happened, a word each: +x begins, x ends, ... */
    double takes_s[MOST];
    bool fails[MOST];       /* each attempt */
    uint32_t failing[MOST]; /* so many attempts */
    uint64_t end_ns[MOST];  /* of what runs; 0: it does not */
    bool deaf;              /* what is to stop goes on to its own end */
} w;

static void close_world(void)
{
    qe_stage_free(w.s);
    qe_layers_free(w.l);
    w.s = NULL;
    w.l = NULL;
}

static void open_world(const char *config, const char *options)
{
    memset(&w, 0, sizeof(w));
    assert_int_equal(qe_layers_new(&w.l, config, NULL), 0);
    assert_string_equal(qe_layers_errors(w.l), "[]");
    assert_int_equal(qe_stage_new(&w.s, w.l, options), 0);
    for (uint32_t i = 0; i < MOST; i++)
        w.takes_s[i] = 1;
}

static void note(const char *before, uint32_t category, const char *after)
{
    size_t n = strlen(w.log);

    snprintf(w.log + n, sizeof(w.log) - n, "%s%s%s%s", n > 0 ? " " : "", before,
             w.l->category[category].name, after);
}

/* The next end, if it comes before `until`. */
static bool end_one(uint64_t until)
{
    uint32_t first = MOST;
    bool again, passed;

    for (uint32_t i = 0; i < MOST; i++)
        if (w.end_ns[i] != 0 &&
            (first == MOST || w.end_ns[i] < w.end_ns[first]))
            first = i;
    if (first == MOST || w.end_ns[first] > until)
        return false;
    w.now = w.end_ns[first];
    w.end_ns[first] = 0;
    passed = !w.fails[first] && w.failing[first] == 0 &&
             (w.deaf || !w.s->category[first].stopped);
    if (w.failing[first] > 0)
        w.failing[first]--;
    assert_int_equal(
        qe_stage_ended(w.s, first, passed, passed ? 3 : 2, !passed, &again), 0);
    note(passed ? "" : "!", first, again ? "?" : "");
    return true;
}

/* To the end, or until so much time has gone. */
static void run_until(uint64_t until)
{
    for (;;) {
        qe_stage_step step;

        assert_int_equal(qe_stage_next(w.s, w.now, &step), 0);
        switch (step.kind) {
        case QE_STAGE_START:
            note("+", step.category, "");
            w.end_ns[step.category] =
                w.now + (uint64_t) (w.takes_s[step.category] * 1e9);
            break;
        case QE_STAGE_STOP:
            note("-", step.category, qe_stage_why_name(step.why));
            if (!w.deaf)
                w.end_ns[step.category] = w.now + S / 10;
            break;
        case QE_STAGE_SKIP:
            note("/", step.category, qe_stage_why_name(step.why));
            break;
        case QE_STAGE_WAIT: {
            uint64_t limit = step.wake_ns < until ? step.wake_ns : until;

            if (end_one(limit))
                break;
            if (limit >= until) {
                w.now = until;
                return;
            }
            w.now = limit;
            break;
        }
        case QE_STAGE_DONE:
            for (uint32_t i = 0; i < MOST; i++)
                assert_int_equal(w.end_ns[i], 0);
            return;
        }
    }
}

static void run_all(void)
{
    run_until(UINT64_MAX);
    assert_int_equal(w.s->used.memory_bytes, 0);
    assert_int_equal(w.s->used.cpu_milli, 0);
    assert_int_equal(w.s->used.instances, 0);
    assert_int_equal(w.s->running, 0);
    for (uint32_t i = 0; i < w.l->names; i++)
        assert_false(w.s->taken[i]);
}

/* All of it, with nothing that fails; what happened is in the log. */
static void play(const char *config, const char *options, const char *log)
{
    open_world(config, options);
    run_all();
    assert_string_equal(w.log, log);
    close_world();
}

#define A(more, categories)                                                    \
    "{\"layers\": {\"a\": {" more "\"categories\": [" categories "]}}}"
#define C(name, more) "{\"name\": \"" name "\"" more "}"

static void in_sequence_they_start_by_their_priority(void **state)
{
    (void) state;
    open_world(A("", C("x", ", \"priority_order\": 2") "," C("y", "") "," C(
                         "z", ", \"priority_order\": -1")),
               "{}");
    run_all();
    assert_string_equal(w.log, "+z z +y y +x x");
    assert_true(qe_stage_succeeded(w.s, 0, NULL));
    close_world();
}

static void what_depends_comes_later_and_is_skipped_if_that_fails(void **state)
{
    (void) state;
    play(A("\"execution_mode\": \"parallel\",",
           C("x", ", \"depends_on\": [\"y\"]") "," C("y", "") "," C(
               "z", ", \"depends_on\": [\"x\"]")),
         "{}", "+y y +x x +z z");
    open_world(A("\"execution_mode\": \"parallel\",",
                 C("x", ", \"depends_on\": [\"y\"]") "," C("y", "") "," C(
                     "z", ", \"depends_on\": [\"x\"]") "," C("v", "")),
               "{}");
    w.fails[1] = true;
    run_all();
    assert_string_equal(w.log, "+y +v !y /xdependency /zdependency v");
    assert_false(qe_stage_succeeded(w.s, 0, NULL));
    close_world();
}

static void at_once_are_as_many_as_the_strategy_says(void **state)
{
    static const struct {
        const char *options;
        const char *log;
    } cases[] = {
        {"{\"strategy\": \"sequential\"}", "+x x +y y +z z"},
        {"{\"strategy\": \"parallel_unlimited\"}", "+x +y +z x y z"},
        {"{\"strategy\": \"parallel_limited\", \"max_parallel\": 2}",
         "+x +y x +z y z"},
        {"{\"strategy\": \"parallel_limited\", \"machine\": {\"cpu\": 2}}",
         "+x +y x +z y z"},
        {"{\"strategy\": \"parallel_limited\"}", "+x x +y y +z z"},
        {"{\"strategy\": \"hybrid_smart\", \"machine\": {\"cpu\": 2}}",
         "+x +y x +z y z"},
        {"{\"strategy\": \"hybrid_smart\"}", "+x +y +z x y z"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(A("", C("x", "") "," C("y", "") "," C("z", "")),
                   cases[i].options);
        run_all();
        assert_string_equal(w.log, cases[i].log);
        close_world();
    }
}

static void the_longest_path_begins_first(void **state)
{
    (void) state;
    /* y and what needs it take 5 s, x takes 4, z takes 1. */
    play(A("\"execution_mode\": \"hybrid\",",
           C("x", "") "," C("y", "") "," C(
               "z", ", \"depends_on\": [\"y\"]") "," C("v", "")),
         "{\"machine\": {\"cpu\": 1}, \"expected\": {\"a/x\": 4, "
         "\"a/y\": 2, \"a/z\": 3, \"a/v\": 1}}",
         "+y y +x x +z z +v v");
}

static void room_is_reserved_and_given_back(void **state)
{
    (void) state;
    play(
        A("\"execution_mode\": \"parallel\", \"resource_limits\": "
          "{\"memory\": \"3G\"},",
          C("x", ", \"resources\": {\"memory\": \"2G\"}") "," C(
              "y",
              ", \"resources\": {\"memory\": \"2G\"}") "," C("z",
                                                             ", \"resources\": "
                                                             "{\"memory\": "
                                                             "\"1G\"}")),
        "{}", "+x +z x +y z y");
    play(
        A("\"execution_mode\": \"parallel\",",
          C("x", ", \"resources\": {\"exclusive\": [\"db\"]}") "," C(
              "y",
              ", \"resources\": {\"exclusive\": [\"db\", \"p\"]}") "," C("z",
                                                                         ", "
                                                                         "\"res"
                                                                         "ource"
                                                                         "s\": "
                                                                         "{\"ex"
                                                                         "clusi"
                                                                         "ve\":"
                                                                         " ["
                                                                         "\"p\""
                                                                         "]}")),
        "{}", "+x +z x z +y y");
}

static void what_can_never_fit_is_told_before_anything_starts(void **state)
{
    qe_stage_step step;

    (void) state;
    open_world(A("\"resource_limits\": {\"memory\": \"1G\", "
                 "\"parallel_instances\": 2},",
                 C("x", ", \"resources\": {\"memory\": \"2G\", \"cpu\": 9, "
                        "\"instances\": 3}")),
               "{\"machine\": {\"cpu\": 8}}");
    assert_non_null(strstr(qe_stage_errors(w.s),
                           "takes 2048 MiB of memory, its layer's "
                           "resource_limits allow 1024 MiB"));
    assert_non_null(
        strstr(qe_stage_errors(w.s), "takes 9 processors, the machine has 8"));
    assert_non_null(strstr(qe_stage_errors(w.s), "takes 3 instances"));
    assert_int_equal(qe_stage_next(w.s, 0, &step), QE_EINVAL);
    close_world();
}

static void a_large_one_is_not_kept_out_by_small_ones(void **state)
{
    char config[8192], one[128];

    (void) state;
    snprintf(config, sizeof(config),
             "{\"layers\": {\"a\": {\"execution_mode\": \"parallel\", "
             "\"categories\": [");
    for (int i = 0; i < 40; i++) {
        snprintf(one, sizeof(one),
                 "{\"name\": \"s%d\", \"priority_order\": %d, \"resources\": "
                 "{\"cpu\": 1}},",
                 i, i > 1);
        strcat(config, one);
    }
    strcat(config, "{\"name\": \"large\", \"resources\": {\"cpu\": 2}}]}}}");
    open_world(config, "{\"machine\": {\"cpu\": 2}}");
    for (uint32_t i = 0; i < 40; i++)
        w.takes_s[i] = i % 2 == 0 ? 1 : 1.5;
    run_all();
    {
        const char *at = strstr(w.log, "+large");
        int before = 0;

        assert_non_null(at);
        for (const char *p = w.log; p < at; p++)
            before += *p == '+';
        assert_in_range(before, 2, 8);
    }
    close_world();
}

static void one_that_waits_for_a_name_holds_up_nothing_else(void **state)
{
    char config[8192], one[128];

    (void) state;
    snprintf(config, sizeof(config),
             "{\"layers\": {\"a\": {\"execution_mode\": \"parallel\", "
             "\"categories\": [{\"name\": \"holder\", \"resources\": "
             "{\"exclusive\": [\"db\"]}}, {\"name\": \"waiter\", "
             "\"resources\": {\"exclusive\": [\"db\"]}}");
    for (int i = 0; i < 20; i++) {
        snprintf(one, sizeof(one), ",{\"name\": \"s%d\"}", i);
        strcat(config, one);
    }
    strcat(config, "]}}}");
    open_world(config, "{\"max_parallel\": 3}");
    w.takes_s[0] = 30;
    run_all();
    /* 20 of 1 s, two at a time beside the holder. */
    assert_int_equal(w.now, 31 * S);
    assert_non_null(strstr(w.log, "+s19 s18 s19 holder +waiter"));
    close_world();
}

static void failed_ones_are_tried_again(void **state)
{
    (void) state;
    open_world(A("", C("x", ", \"retries\": 2") "," C("y", "")), "{}");
    w.failing[0] = 2;
    run_all();
    assert_string_equal(w.log, "+x !x? +x !x? +x x +y y");
    assert_true(qe_stage_succeeded(w.s, 0, NULL));
    close_world();
    open_world(A("", C("x", ", \"retries\": 1")), "{}");
    w.fails[0] = true;
    run_all();
    assert_string_equal(w.log, "+x !x? +x !x");
    close_world();
}

static void failing_fast_skips_what_has_not_begun(void **state)
{
    (void) state;
    open_world(A("\"execution_mode\": \"parallel_limited\", \"fail_fast\": "
                 "true,",
                 C("x", "") "," C("y", "") "," C("z", "") "," C("v", "")),
               "{\"max_parallel\": 2}");
    w.fails[0] = true;
    w.takes_s[1] = 3;
    run_all();
    assert_string_equal(w.log, "+x +y !x /zfail_fast /vfail_fast y");
    close_world();
    /* Not as long as it may still pass. */
    open_world(
        A("\"fail_fast\": true,", C("x", ", \"retries\": 1") "," C("y", "")),
        "{}");
    w.failing[0] = 1;
    run_all();
    assert_string_equal(w.log, "+x !x? +x x +y y");
    close_world();
    open_world(A("\"fail_fast\": true,", C("x", "") "," C("y", "")),
               "{\"fail_fast\": false}");
    w.fails[0] = true;
    run_all();
    assert_string_equal(w.log, "+x !x +y y");
    close_world();
}

static void the_time_of_a_layer_stops_what_runs_and_skips_the_rest(void **state)
{
    (void) state;
    open_world(A("\"max_duration_minutes\": 1,",
                 C("x", "") "," C("y", ", \"retries\": 3") "," C("z", "")),
               "{}");
    w.takes_s[0] = 30;
    w.takes_s[1] = 100;
    run_all();
    assert_string_equal(w.log, "+x x +y -ylimit /zlimit !y");
    assert_int_equal(w.now, 60 * S + S / 10);
    assert_false(qe_stage_succeeded(w.s, 0, NULL));
    close_world();
    open_world(A("\"max_duration_minutes\": 1, \"timeout_multiplier\": 2,",
                 C("x", "")),
               "{\"timeout_multiplier\": 1.5}");
    w.takes_s[0] = 179;
    run_all();
    assert_string_equal(w.log, "+x x");
    close_world();
}

static void cancelling_stops_and_skips_all(void **state)
{
    (void) state;
    open_world(A("\"execution_mode\": \"parallel_limited\",",
                 C("x", "") "," C("y", "") "," C("z", "")),
               "{\"max_parallel\": 2}");
    run_until(S / 2);
    qe_stage_cancel(w.s);
    run_all();
    assert_string_equal(w.log,
                        "+x +y -xcancelled -ycancelled /zcancelled !x !y");
    close_world();
    open_world(A("", C("x", "")), "{}");
    qe_stage_cancel(w.s);
    run_all();
    assert_string_equal(w.log, "/xcancelled");
    close_world();
}

#define TWO_LAYERS(first, second)                                              \
    "{\"layers\": {\"a\": {" first "\"categories\": [" C("x", "") "," C(       \
        "y", "") "]}, \"b\": {" second "\"categories\": [" C("z", "") "]}}}"

static void layers_wait_for_those_that_they_need(void **state)
{
    (void) state;
    play(TWO_LAYERS("", "\"dependencies\": [\"a\"],"), "{}", "+x x +y y +z z");
    open_world(TWO_LAYERS("", "\"dependencies\": [\"a\"],"), "{}");
    w.fails[1] = true;
    run_all();
    assert_string_equal(w.log, "+x x +y !y /zlayer");
    close_world();
    /* Without the other it runs by itself. */
    play(TWO_LAYERS("", "\"dependencies\": [\"a\"],"), "{\"layers\": [\"b\"]}",
         "+z z");
    /* Without a dependency they run beside each other... */
    play(TWO_LAYERS("", ""), "{}", "+x +z x +y z y");
    /* ... unless there are gates; not for what runs in the background. */
    play(TWO_LAYERS("", ""), "{\"gates\": true}", "+x x +y y +z z");
    play(TWO_LAYERS("\"execution_mode\": \"background\",", ""),
         "{\"gates\": true}", "+x +y +z x y z");
    play(TWO_LAYERS("", "\"dependencies\": [\"a\"],"),
         "{\"gates\": true, \"layers\": [\"b\", \"a\"]}", "+x x +y y +z z");
}

static void a_circle_with_gates_is_told(void **state)
{
    (void) state;
    open_world(
        "{\"layers\": {\"a\": {\"categories\": [" C("x", "") "," C(
            "y", ", \"depends_on\": [\"b/v\"]") "]}, \"b\": "
                                                "{\"categories\": [" C(
                                                    "z",
                                                    ", \"depends_on\": "
                                                    "[\"a/x\"]") "," C("v",
                                                                       "") "]}}"
                                                                           "}",
        "{}");
    run_all();
    assert_true(qe_stage_succeeded(w.s, 0, NULL));
    close_world();
    open_world(
        "{\"layers\": {\"a\": {\"categories\": [" C("x", "") "," C(
            "y", ", \"depends_on\": [\"b/v\"]") "]}, \"b\": "
                                                "{\"categories\": [" C(
                                                    "z",
                                                    ", \"depends_on\": "
                                                    "[\"a/x\"]") "," C("v",
                                                                       "") "]}}"
                                                                           "}",
        "{\"gates\": true}");
    assert_non_null(strstr(qe_stage_errors(w.s), "cannot run layer by layer"));
    close_world();
}

static void criteria_say_what_succeeds(void **state)
{
    static const struct {
        const char *criteria;
        bool succeeds; /* where x passes (3 tests), y fails (2 passed, 1 not) */
    } cases[] = {
        {"{}", false},
        {"{\"min_pass_rate\": 83}", true},
        {"{\"min_pass_rate\": 84}", false},
        {"{\"max_failures\": 1}", true},
        {"{\"max_failures\": 0}", false},
        {"{\"required_categories\": [\"x\"]}", true},
        {"{\"required_categories\": [\"y\"]}", false},
        {"{\"min_pass_rate\": 50, \"required_categories\": [\"y\"]}", false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char config[512];
        double rate;

        snprintf(config, sizeof(config),
                 A("\"success_criteria\": %s,", C("x", "") "," C("y", "")),
                 cases[i].criteria);
        open_world(config, "{}");
        w.fails[1] = true;
        assert_false(qe_stage_succeeded(w.s, 0, &rate));
        run_all();
        if (qe_stage_succeeded(w.s, 0, &rate) != cases[i].succeeds)
            fail_msg("%s", cases[i].criteria);
        assert_float_equal(rate, 100.0 * 5 / 6, 1e-9);
        close_world();
    }
}

/* x passes with its tests; y never begins, and so has none. */
static void what_never_ran_is_no_success(void **state)
{
    static const struct {
        const char *criteria;
        bool succeeds;
    } cases[] = {
        {"{\"min_pass_rate\": 1}", false}, /* 3 of how many? */
        {"{\"max_failures\": 1}", true},
        {"{\"max_failures\": 0}", false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char config[512];
        qe_stage_step step;
        bool again;

        snprintf(config, sizeof(config),
                 A("\"success_criteria\": %s,", C("x", "") "," C("y", "")),
                 cases[i].criteria);
        open_world(config, "{}");
        assert_int_equal(qe_stage_next(w.s, 0, &step), 0);
        assert_int_equal(step.kind, QE_STAGE_START);
        assert_int_equal(qe_stage_ended(w.s, step.category, true, 3, 0, &again),
                         0);
        assert_int_equal(qe_stage_drop(w.s, 0, QE_STAGE_SERVICE), 0);
        assert_int_equal(qe_stage_next(w.s, 0, &step), 0);
        assert_int_equal(step.kind, QE_STAGE_SKIP);
        if (qe_stage_succeeded(w.s, 0, NULL) != cases[i].succeeds)
            fail_msg("%s", cases[i].criteria);
        close_world();
    }
}

static void what_is_refused_starts_later(void **state)
{
    qe_stage_step step;

    (void) state;
    open_world(A("", C("x", "") "," C("y", "")), "{}");
    assert_int_equal(qe_stage_next(w.s, 0, &step), 0);
    assert_int_equal(step.kind, QE_STAGE_START);
    assert_int_equal(step.attempt, 1);
    assert_int_equal(qe_stage_refused(w.s, 0, 5 * S), 0);
    assert_int_equal(qe_stage_refused(w.s, 0, 5 * S), QE_ESTATE);
    w.takes_s[1] = 2;
    run_all();
    assert_string_equal(w.log, "+y y +x x");
    assert_int_equal(w.now, 6 * S);
    assert_int_equal(w.s->category[0].attempt, 1);
    close_world();
}

static void a_dropped_layer_does_not_start(void **state)
{
    (void) state;
    open_world(TWO_LAYERS("", ""), "{}");
    assert_int_equal(qe_stage_drop(w.s, 0, QE_STAGE_SERVICE), 0);
    assert_int_equal(qe_stage_drop(w.s, 9, QE_STAGE_SERVICE), QE_EINVAL);
    assert_int_equal(qe_stage_drop(w.s, 0, QE_STAGE_NO_REASON), QE_EINVAL);
    run_all();
    assert_string_equal(w.log, "/xservice /yservice +z z");
    close_world();
}

static void wrong_options_are_refused(void **state)
{
    static const char *const options[] = {"",
                                          "[]",
                                          "{\"layers\": []}",
                                          "{\"layers\": [\"b\"]}",
                                          "{\"layers\": [1]}",
                                          "{\"strategy\": \"fast\"}",
                                          "{\"max_parallel\": -1}",
                                          "{\"timeout_multiplier\": 0}",
                                          "{\"machine\": {\"cpu\": -1}}"};
    qe_stage *s;
    bool again;

    (void) state;
    open_world(A("", C("x", "")), "{}");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (qe_stage_new(&s, w.l, options[i]) != QE_EINVAL)
            fail_msg("%s", options[i]);
    }
    assert_int_equal(qe_stage_ended(w.s, 0, true, 0, 0, &again), QE_ESTATE);
    assert_int_equal(qe_stage_ended(w.s, 7, true, 0, 0, &again), QE_EINVAL);
    close_world();
}

static void the_plan_has_all_of_it(void **state)
{
    char *text;
    cJSON *plan;
    const cJSON *layer, *category;

    (void) state;
    open_world(A("\"max_duration_minutes\": 2, \"timeout_multiplier\": 2,",
                 C("x", ", \"timeout_seconds\": 7, \"retries\": 1") "," C(
                     "y", ", \"depends_on\": [\"x\"], \"resources\": "
                          "{\"memory\": \"1M\", \"cpu\": 0.5, \"exclusive\": "
                          "[\"db\"]}")),
               "{\"expected\": {\"a/x\": 4}}");
    text = qe_stage_plan(w.s);
    plan = cJSON_Parse(text);
    assert_float_equal(
        cJSON_GetObjectItem(plan, "critical_path_s")->valuedouble, 8, 1e-9);
    layer = cJSON_GetArrayItem(cJSON_GetObjectItem(plan, "layers"), 0);
    assert_string_equal(cJSON_GetObjectItem(layer, "strategy")->valuestring,
                        "sequential");
    assert_float_equal(cJSON_GetObjectItem(layer, "limit_s")->valuedouble, 240,
                       1e-9);
    category = cJSON_GetArrayItem(cJSON_GetObjectItem(layer, "categories"), 0);
    assert_float_equal(cJSON_GetObjectItem(category, "timeout_s")->valuedouble,
                       14, 1e-9);
    assert_int_equal(cJSON_GetObjectItem(category, "attempts")->valueint, 2);
    category = cJSON_GetArrayItem(cJSON_GetObjectItem(layer, "categories"), 1);
    assert_string_equal(
        cJSON_GetArrayItem(cJSON_GetObjectItem(category, "depends_on"), 0)
            ->valuestring,
        "a/x");
    assert_string_equal(
        cJSON_GetArrayItem(cJSON_GetObjectItem(category, "exclusive"), 0)
            ->valuestring,
        "db");
    cJSON_Delete(plan);
    qe_free(text);
    close_world();
}

/* ----------------------------------------------------------------- at random */

static uint32_t any(uint64_t *random, uint32_t n)
{
    return (uint32_t) (qe__random(random) % n);
}

/* Up to four layers of up to six categories, which need some of those before. */
static void write_any(char *to, size_t size, uint64_t *random)
{
    static const char *const kinds[] = {
        "sequential", "parallel", "parallel_limited", "hybrid", "background"};
    uint32_t layers = 1 + any(random, 4);
    size_t n = (size_t) snprintf(to, size, "{\"layers\": {");

    for (uint32_t i = 0; i < layers; i++) {
        uint32_t categories = 1 + any(random, 6);

        n += (size_t) snprintf(
            to + n, size - n,
            "%s\"l%u\": {\"execution_mode\": \"%s\", \"fail_fast\": %s, "
            "\"resource_limits\": {\"memory\": \"4K\"%s}, \"categories\": [",
            i > 0 ? "," : "", i, kinds[any(random, i + 1 < layers ? 4 : 5)],
            any(random, 4) == 0 ? "true" : "false",
            any(random, 2) == 0 ? ", \"parallel_instances\": 2" : "");
        for (uint32_t k = 0; k < categories; k++) {
            n += (size_t) snprintf(
                to + n, size - n,
                "%s{\"name\": \"c%u\", \"retries\": %u, \"priority_order\": "
                "%u, \"resources\": {\"memory\": \"%uK\", \"cpu\": %u, "
                "\"exclusive\": [%s]}, \"depends_on\": [",
                k > 0 ? "," : "", k, any(random, 3), any(random, 3),
                1 + any(random, 4), 1 + any(random, 3),
                any(random, 3) == 0 ? "\"db\"" : "");
            if (k > 0 && any(random, 2) == 0)
                n += (size_t) snprintf(to + n, size - n, "\"c%u\"",
                                       any(random, k));
            n += (size_t) snprintf(to + n, size - n, "]}");
        }
        n += (size_t) snprintf(to + n, size - n, "]}");
    }
    n += (size_t) snprintf(to + n, size - n, "}}");
    assert_true(n < size);
}

static void check_now(void)
{
    uint64_t memory = 0, cpu = 0;
    uint32_t holders = 0;

    for (uint32_t i = 0; i < w.l->categories; i++) {
        const qe__category *c = &w.l->category[i];

        if (w.s->category[i].spot != QE__SPOT_RUNNING)
            continue;
        memory += c->room.memory_bytes;
        cpu += c->room.cpu_milli;
        holders += c->exclusive.count;
        for (uint32_t k = 0; k < c->needs.count; k++)
            assert_int_equal(w.s->category[c->needs.at[k]].spot,
                             QE__SPOT_PASSED);
    }
    assert_true(memory <= 6 * 1024 && cpu <= 4000 && holders <= 1);
    for (uint32_t i = 0; i < w.l->layers; i++) {
        const qe__stage_layer *layer = &w.s->layer[i];

        assert_true(layer->used.memory_bytes <= 4 * 1024);
        assert_true(layer->most == 0 || layer->running <= layer->most);
        assert_true(layer->mode != QE__MODE_SEQUENTIAL || layer->running <= 1);
    }
}

static void
whatever_it_is_all_comes_to_an_end_and_nothing_is_broken(void **state)
{
    char config[16384];

    (void) state;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        uint64_t random = seed;
        int steps = 0;

        write_any(config, sizeof(config), &random);
        open_world(config, any(&random, 2) == 0
                               ? "{\"machine\": {\"memory\": 6144, \"cpu\": "
                                 "4}, \"gates\": true}"
                               : "{\"machine\": {\"memory\": 6144, \"cpu\": "
                                 "4}}");
        assert_string_equal(qe_stage_errors(w.s), "[]");
        for (uint32_t i = 0; i < w.l->categories; i++) {
            w.takes_s[i] = 0.1 * (1 + any(&random, 50));
            w.failing[i] = any(&random, 5) == 0 ? any(&random, 4) : 0;
        }
        for (bool done = false; !done;) {
            qe_stage_step step;

            assert_true(steps++ < 1000);
            assert_int_equal(qe_stage_next(w.s, w.now, &step), 0);
            check_now();
            if (step.kind == QE_STAGE_START && any(&random, 10) == 0) {
                assert_int_equal(
                    qe_stage_refused(w.s, step.category, w.now + S / 5), 0);
            } else if (step.kind == QE_STAGE_START) {
                w.end_ns[step.category] =
                    w.now + (uint64_t) (w.takes_s[step.category] * 1e9);
            } else if (step.kind == QE_STAGE_STOP) {
                w.end_ns[step.category] = w.now;
            } else if (step.kind == QE_STAGE_WAIT) {
                bool ended = end_one(step.wake_ns);

                if (!ended && step.wake_ns == UINT64_MAX)
                    fail_msg("nothing runs, and nothing starts (seed %d)",
                             (int) seed);
                if (!ended)
                    w.now = step.wake_ns;
                if (any(&random, 200) == 0)
                    qe_stage_cancel(w.s);
            }
            done = step.kind == QE_STAGE_DONE;
        }
        assert_int_equal(w.s->used.memory_bytes, 0);
        assert_int_equal(w.s->used.instances, 0);
        for (uint32_t i = 0; i < w.l->categories; i++)
            assert_true(w.s->category[i].spot >= QE__SPOT_PASSED);
        close_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_sequence_they_start_by_their_priority),
        cmocka_unit_test(what_depends_comes_later_and_is_skipped_if_that_fails),
        cmocka_unit_test(at_once_are_as_many_as_the_strategy_says),
        cmocka_unit_test(the_longest_path_begins_first),
        cmocka_unit_test(room_is_reserved_and_given_back),
        cmocka_unit_test(what_can_never_fit_is_told_before_anything_starts),
        cmocka_unit_test(a_large_one_is_not_kept_out_by_small_ones),
        cmocka_unit_test(one_that_waits_for_a_name_holds_up_nothing_else),
        cmocka_unit_test(failed_ones_are_tried_again),
        cmocka_unit_test(failing_fast_skips_what_has_not_begun),
        cmocka_unit_test(
            the_time_of_a_layer_stops_what_runs_and_skips_the_rest),
        cmocka_unit_test(cancelling_stops_and_skips_all),
        cmocka_unit_test(layers_wait_for_those_that_they_need),
        cmocka_unit_test(a_circle_with_gates_is_told),
        cmocka_unit_test(criteria_say_what_succeeds),
        cmocka_unit_test(what_never_ran_is_no_success),
        cmocka_unit_test(what_is_refused_starts_later),
        cmocka_unit_test(a_dropped_layer_does_not_start),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(the_plan_has_all_of_it),
        cmocka_unit_test(
            whatever_it_is_all_comes_to_an_end_and_nothing_is_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
