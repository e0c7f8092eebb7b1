/* Configurations of layers: what is read, what is laid over it, what is wrong with it. */
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

#define LAYER(categories)                                                      \
    "{\"layers\": {\"a\": {\"categories\": " categories "}}}"
#define TWO(more) LAYER("[{\"name\": \"x\"}, {\"name\": \"y\"" more "}]")

static qe_layers *read_config(const char *json, const char *environment)
{
    qe_layers *l;

    assert_int_equal(qe_layers_new(&l, json, environment), 0);
    return l;
}

static void expect_no_mistake(const char *json)
{
    qe_layers *l = read_config(json, NULL);

    assert_string_equal(qe_layers_errors(l), "[]");
    qe_layers_free(l);
}

/* One mistake, there, and its message begins so. */
static void expect_mistake(const char *json, const char *path,
                           const char *message)
{
    qe_layers *l = read_config(json, NULL);
    cJSON *errors = cJSON_Parse(qe_layers_errors(l));
    const cJSON *one = cJSON_GetArrayItem(errors, 0);
    const char *said;

    if (cJSON_GetArraySize(errors) != 1)
        fail_msg("%s: %s", json, qe_layers_errors(l));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(one, "path")),
                        path);
    said = cJSON_GetStringValue(cJSON_GetObjectItem(one, "message"));
    if (strncmp(said, message, strlen(message)) != 0)
        fail_msg("%s, not %s", said, message);
    cJSON_Delete(errors);
    qe_layers_free(l);
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const texts[] = {"", "[]", "1", "{", "{} {}", "null"};
    qe_layers *l;

    (void) state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(qe_layers_new(&l, texts[i], NULL), QE_EINVAL);
    assert_int_equal(qe_layers_new(&l, NULL, NULL), QE_EINVAL);
    assert_int_equal(qe_layers_new(NULL, "{}", NULL), QE_EINVAL);
    qe_layers_free(NULL);
}

static void the_least_is_a_layer_with_a_category(void **state)
{
    (void) state;
    expect_no_mistake(LAYER("[{\"name\": \"x\"}]"));
    expect_mistake("{}", "layers", "takes layers");
    expect_mistake("{\"layers\": []}", "layers", "takes layers");
    expect_mistake("{\"layers\": {}}", "layers", "takes layers");
    expect_mistake("{\"layers\": {\"a\": {}}}", "layers.a.categories",
                   "takes a list of at least one");
    expect_mistake(LAYER("[]"), "layers.a.categories", "takes a list");
    expect_mistake("{\"layers\": {\"a\": 1}}", "layers.a", "takes keys");
}

static void each_value_is_looked_at(void **state)
{
    static const struct {
        const char *text, *key, *message;
    } cases[] = {
        {"\"timeout_seconds\": \"1\"", "timeout_seconds", "takes a number"},
        {"\"timeout_seconds\": 0", "timeout_seconds", "takes a number greater"},
        {"\"timeout_seconds\": -1", "timeout_seconds", "takes a number of at"},
        {"\"timeout_seconds\": 1e300", "timeout_seconds", "takes a number"},
        {"\"retries\": 1.5", "retries", "takes a whole number from 0 to"},
        {"\"retries\": 101", "retries", "takes a whole number from 0 to"},
        {"\"retries\": true", "retries", "takes a whole number"},
        {"\"priority_order\": \"high\"", "priority_order", "takes a whole"},
        {"\"resources\": 3", "resources", "takes keys"},
        {"\"resources\": {\"memory\": \"much\"}", "resources.memory",
         "takes a number of bytes, or one such as 512M"},
        {"\"resources\": {\"memory\": \"-1M\"}", "resources.memory", "takes"},
        {"\"resources\": {\"memory\": \"1MX\"}", "resources.memory", "takes"},
        {"\"resources\": {\"memory\": \"nan\"}", "resources.memory", "takes"},
        {"\"resources\": {\"memory\": 0}", "resources.memory", "takes"},
        {"\"resources\": {\"cpu\": 0}", "resources.cpu", "takes a number gr"},
        {"\"resources\": {\"instances\": 0}", "resources.instances", "takes"},
        {"\"depends_on\": [1]", "depends_on[0]", "takes the name"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char json[256], path[128];

        snprintf(json, sizeof(json), LAYER("[{\"name\": \"x\", %s}]"),
                 cases[i].text);
        snprintf(path, sizeof(path), "layers.a.categories[0].%s", cases[i].key);
        expect_mistake(json, path, cases[i].message);
    }
    expect_mistake(LAYER("[{\"name\": \"a/b\"}]"),
                   "layers.a.categories[0].name", "takes a name without");
    expect_mistake(LAYER("[{}]"), "layers.a.categories[0].name", "takes");
    expect_mistake(LAYER("[1]"), "layers.a.categories[0]", "takes keys");
}

static void sizes_are_of_1024(void **state)
{
    static const char *const good[] = {"1",    "512M", "512MB", "2 GiB",
                                       "1.5G", "1T",   "7B",    "3K"};

    (void) state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char json[200];

        snprintf(json, sizeof(json),
                 LAYER("[{\"name\": \"x\", \"resources\": {\"memory\": "
                       "\"%s\"}}]"),
                 good[i]);
        expect_no_mistake(json);
    }
}

static void names_that_there_are_not_are_told_with_those_there_are(void **state)
{
    qe_layers *l = read_config(TWO(", \"depends_on\": [\"z\"]"), NULL);

    (void) state;
    assert_string_equal(
        qe_layers_errors(l),
        "[{\"path\":\"layers.a.categories[1].depends_on[0]\",\"message\":"
        "\"there is no category of that name\",\"unknown\":\"z\",\"known\":"
        "[\"x\",\"y\"]}]");
    qe_layers_free(l);
    expect_mistake(TWO(", \"depends_on\": [\"b/x\"]"),
                   "layers.a.categories[1].depends_on[0]",
                   "there is no layer of that name");
    expect_mistake("{\"layers\": {\"a\": {\"dependencies\": [\"b\"], "
                   "\"categories\": [{\"name\": \"x\"}]}}}",
                   "layers.a.dependencies[0]", "there is no layer");
    expect_mistake("{\"layers\": {\"a\": {\"required_services\": [\"db\"], "
                   "\"categories\": [{\"name\": \"x\"}]}}}",
                   "layers.a.required_services[0]", "there is no service");
    expect_mistake("{\"layers\": {\"a\": {\"success_criteria\": "
                   "{\"required_categories\": [\"z\"]}, "
                   "\"categories\": [{\"name\": \"x\"}]}}}",
                   "layers.a.success_criteria.required_categories[0]",
                   "there is no category");
    expect_mistake("{\"layers\": {\"a\": {\"execution_mode\": \"fast\", "
                   "\"categories\": [{\"name\": \"x\"}]}}}",
                   "layers.a.execution_mode", "takes sequential, parallel");
}

static void names_are_there_once(void **state)
{
    (void) state;
    expect_mistake(LAYER("[{\"name\": \"x\"}, {\"name\": \"x\"}]"),
                   "layers.a.categories[1].name", "another category");
}

static void what_depends_on_itself_is_told_with_its_way(void **state)
{
    (void) state;
    expect_mistake(LAYER("[{\"name\": \"x\", \"depends_on\": [\"x\"]}]"),
                   "layers.a.categories[0].depends_on[0]",
                   "a category cannot depend on itself");
    expect_mistake(LAYER("[{\"name\": \"x\", \"depends_on\": [\"y\"]},"
                         " {\"name\": \"y\", \"depends_on\": [\"z\"]},"
                         " {\"name\": \"z\", \"depends_on\": [\"x\"]}]"),
                   "layers.a.categories[0].depends_on",
                   "depends on itself: a/x -> a/y -> a/z -> a/x");
    /* Not what only leads there. */
    expect_mistake(LAYER("[{\"name\": \"x\", \"depends_on\": [\"y\"]},"
                         " {\"name\": \"y\", \"depends_on\": [\"z\"]},"
                         " {\"name\": \"z\", \"depends_on\": [\"y\"]}]"),
                   "layers.a.categories[1].depends_on",
                   "depends on itself: a/y -> a/z -> a/y");
    expect_mistake("{\"layers\": {"
                   "\"a\": {\"dependencies\": [\"b\"], \"categories\": "
                   "[{\"name\": \"x\"}]},"
                   "\"b\": {\"dependencies\": [\"a\"], \"categories\": "
                   "[{\"name\": \"y\"}]}}}",
                   "layers.b.dependencies", "depends on itself: b -> a -> b");
    /* A layer that needs another, of which a category needs one of the first. */
    expect_mistake("{\"layers\": {"
                   "\"a\": {\"dependencies\": [\"b\"], \"categories\": "
                   "[{\"name\": \"x\"}]},"
                   "\"b\": {\"categories\": "
                   "[{\"name\": \"y\", \"depends_on\": [\"a/x\"]}]}}}",
                   "layers.a.dependencies",
                   "depends on itself: a/x -> b -> b/y -> a/x");
}

static void there_may_be_a_thousand_layers(void **state)
{
    static char text[64 * 1001];
    size_t n = (size_t) snprintf(text, sizeof(text), "{\"layers\": {");

    (void) state;
    for (int i = 0; i <= 1000; i++) {
        n += (size_t) snprintf(text + n, sizeof(text) - n,
                               "%s\"a%d\": {\"categories\": "
                               "[{\"name\": \"x\"}]}",
                               i > 0 ? "," : "", i);
    }
    (void) snprintf(text + n, sizeof(text) - n, "}}");
    expect_mistake(text, "layers", "takes at most 1000 layers");
}

static void nobody_waits_for_the_background(void **state)
{
    (void) state;
    expect_mistake("{\"layers\": {"
                   "\"a\": {\"execution_mode\": \"background\", "
                   "\"categories\": [{\"name\": \"x\"}]},"
                   "\"b\": {\"dependencies\": [\"a\"], \"categories\": "
                   "[{\"name\": \"y\"}]}}}",
                   "layers.b.dependencies[0]", "a layer that runs in the");
    expect_mistake("{\"layers\": {"
                   "\"a\": {\"execution_mode\": \"background\", "
                   "\"categories\": [{\"name\": \"x\"}]},"
                   "\"b\": {\"categories\": "
                   "[{\"name\": \"y\", \"depends_on\": [\"a/x\"]}]}}}",
                   "layers.b.categories[0].depends_on[0]",
                   "a layer that runs in the background");
}

static void all_mistakes_are_told_at_once(void **state)
{
    qe_layers *l = read_config(
        LAYER("[{\"name\": \"x\", \"retries\": -1, \"timeout_seconds\": 0},"
              " {\"name\": \"x\"}]"),
        NULL);
    cJSON *errors = cJSON_Parse(qe_layers_errors(l));
    qe_stage *s;

    (void) state;
    assert_int_equal(cJSON_GetArraySize(errors), 3);
    assert_int_equal(qe_stage_new(&s, l, "{}"), QE_EINVAL);
    cJSON_Delete(errors);
    qe_layers_free(l);
}

static void overrides_are_laid_over_it_key_by_key(void **state)
{
    static const char json[] =
        "{\"layers\": {\"a\": {\"fail_fast\": true, \"timeout_multiplier\": 2,"
        " \"categories\": [{\"name\": \"x\", \"retries\": 1}, "
        "{\"name\": \"y\"}]}},"
        " \"services\": {\"db\": {\"ready_seconds\": 5}},"
        " \"environment_overrides\": {\"staging\": {"
        "\"layers\": {\"a\": {\"timeout_multiplier\": 3, \"categories\": "
        "[{\"name\": \"y\", \"retries\": 4}, {\"name\": \"z\"}]}},"
        "\"services\": {\"db\": {\"ready_seconds\": 60}}}}}";
    qe_layers *l = read_config(json, "staging");
    char *merged = qe_layers_merged(l);

    (void) state;
    assert_string_equal(qe_layers_errors(l), "[]");
    assert_string_equal(
        merged, "{\"layers\":{\"a\":{\"fail_fast\":true,"
                "\"timeout_multiplier\":3,\"categories\":[{\"name\":\"x\","
                "\"retries\":1},{\"name\":\"y\",\"retries\":4},"
                "{\"name\":\"z\"}]}},\"services\":{\"db\":"
                "{\"ready_seconds\":60}}}");
    qe_free(merged);
    qe_layers_free(l);
    /* Others stay out. */
    l = read_config(json, "production");
    merged = qe_layers_merged(l);
    assert_string_equal(qe_layers_errors(l), "[]");
    assert_null(strstr(merged, "60"));
    qe_free(merged);
    qe_layers_free(l);
    l = read_config(json, "stagin");
    assert_non_null(strstr(qe_layers_errors(l), "\"unknown\":\"stagin\""));
    assert_non_null(strstr(qe_layers_errors(l), "\"staging\""));
    qe_layers_free(l);
}

static void one_way_takes_the_place_of_another(void **state)
{
    qe_layers *l = read_config(
        "{\"layers\": {\"command\": {\"categories\": [{\"name\": \"x\", "
        "\"framework\": \"jest\", \"paths\": [\"a\"], \"environment\": "
        "{\"http\": \"1\"}}]}, \"framework\": {\"categories\": "
        "[{\"name\": \"y\", \"command\": [\"a\"]}]}},"
        " \"services\": {\"db\": {\"check\": {\"tcp\": \"h:1\"}}},"
        " \"environment_overrides\": {\"ci\": {\"layers\": {\"command\": "
        "{\"categories\": [{\"name\": \"x\", \"command\": [\"b\"], "
        "\"environment\": {\"tcp\": \"2\"}}]}}, \"services\": {\"db\": "
        "{\"check\": {\"http\": \"u\"}}}}}}",
        "ci");
    char *merged = qe_layers_merged(l);

    (void) state;
    assert_string_equal(qe_layers_errors(l), "[]");
    assert_string_equal(
        merged, "{\"layers\":{\"command\":{\"categories\":[{\"name\":\"x\","
                "\"environment\":{\"http\":\"1\",\"tcp\":\"2\"},\"command\":"
                "[\"b\"]}]},\"framework\":{\"categories\":[{\"name\":\"y\","
                "\"command\":[\"a\"]}]}},\"services\":{\"db\":{\"check\":"
                "{\"http\":\"u\"}}}}");
    qe_free(merged);
    qe_layers_free(l);
}

static void an_override_may_be_wrong_too(void **state)
{
    qe_layers *l = read_config(
        "{\"layers\": {\"a\": {\"categories\": [{\"name\": \"x\"}]}},"
        " \"environment_overrides\": {\"ci\": {\"layers\": {\"a\": "
        "{\"categories\": [{\"name\": \"x\", \"retries\": -3}]}}}}}",
        "ci");

    (void) state;
    assert_non_null(strstr(qe_layers_errors(l), "categories[0].retries"));
    qe_layers_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(the_least_is_a_layer_with_a_category),
        cmocka_unit_test(each_value_is_looked_at),
        cmocka_unit_test(sizes_are_of_1024),
        cmocka_unit_test(
            names_that_there_are_not_are_told_with_those_there_are),
        cmocka_unit_test(names_are_there_once),
        cmocka_unit_test(what_depends_on_itself_is_told_with_its_way),
        cmocka_unit_test(there_may_be_a_thousand_layers),
        cmocka_unit_test(nobody_waits_for_the_background),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(overrides_are_laid_over_it_key_by_key),
        cmocka_unit_test(one_way_takes_the_place_of_another),
        cmocka_unit_test(an_override_may_be_wrong_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
