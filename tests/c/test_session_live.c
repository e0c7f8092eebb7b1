/* What a run tells other processes while it goes on. */
#include "session_world.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

#define ABOUT "{\"kind\":\"test\"}"

static struct scratch *place;
static char live_folder[256];

static void file_of(char *path, size_t n)
{
    char first[192] = "";
    DIR *dir = opendir(live_folder);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strstr(entry->d_name, ".json") != NULL &&
            strstr(entry->d_name, ".tmp") == NULL &&
            strtol(entry->d_name, NULL, 10) == (long) getpid())
            snprintf(first, sizeof(first), "%.150s", entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    path[0] = '\0';
    if (first[0] != '\0')
        snprintf(path, n, "%s/%s", live_folder, first);
}

static cJSON *state_of_file(void)
{
    char path[512];
    char *text;
    cJSON *root;

    file_of(path, sizeof(path));
    if (path[0] == '\0')
        return NULL;
    text = scratch_read(path, NULL);
    root = cJSON_Parse(text);
    assert_non_null(root);
    free(text);
    return root;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_true(cJSON_IsNumber(value));
    return value->valuedouble;
}

static const char *string(const cJSON *object, const char *key)
{
    const char *value =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    assert_non_null(value);
    return value;
}

/* Unit 0 passes, unit 1 fails, the others wait until the test has looked. */
static enum qe_outcome hold(struct world *w, qe_worker *worker,
                            const qe_claim *claim)
{
    (void) worker;
    if (claim->unit == 0)
        return QE_PASSED;
    if (claim->unit == 1)
        return QE_FAILED;
    return world_wait_gate(w, 0) ? QE_PASSED : QE_FAILED;
}

static void look(cJSON *root)
{
    const cJSON *running = cJSON_GetObjectItem(root, "running");
    const cJSON *outcomes = cJSON_GetObjectItem(root, "outcomes");
    const cJSON *one = cJSON_GetArrayItem(running, 0);
    int named = 0;

    assert_string_equal(string(cJSON_GetObjectItem(root, "about"), "kind"),
                        "test");
    assert_int_equal(number(root, "version"), 1);
    assert_int_equal(number(root, "pid"), getpid());
    assert_true(number(root, "pid_start") > 0);
    assert_int_equal(strlen(string(root, "boot")), 36);
    assert_true(fabs(number(root, "told_at") - qe_wall_s()) < 60);
    assert_true(number(root, "started_at") < number(root, "told_at"));
    assert_int_equal(number(root, "workers"), 2);
    assert_int_equal(number(root, "done"), 2);
    assert_int_equal(number(root, "all"), 5);
    assert_int_equal(number(outcomes, "passed"), 1);
    assert_int_equal(number(outcomes, "failed"), 1);
    assert_int_equal(cJSON_GetArraySize(running), 2);
    cJSON_ArrayForEach(one, running)
    {
        assert_true(kill((pid_t) number(one, "pid"), 0) == 0);
        assert_true(number(one, "worker") < 2);
        assert_int_equal(number(one, "attempt"), 1);
        assert_int_equal(number(one, "pass"), 0);
        assert_string_equal(string(one, "phase"), "call");
        assert_true(number(one, "seconds") > 0);
        assert_true(fabs(number(one, "expected_s") - 100) < 1e-6);
        named += strcmp(string(one, "id"), "a name \"\\") == 0;
        named += 2 * (strcmp(string(one, "id"), "unit 3") == 0);
    }
    assert_int_equal(named, 3);
    /* Three open ones of 100 s, which have only begun, and two workers. */
    assert_true(number(root, "left_s") > 100);
    assert_true(number(root, "left_s") <= 150);
}

static int live_setup(void **state)
{
    void *made;

    if (scratch_setup(&made) != 0)
        return -1;
    place = made;
    snprintf(live_folder, sizeof(live_folder), "%s/live", place->dir);
    return world_setup(state);
}

static int live_teardown(void **state)
{
    void *made = place;
    int status = world_teardown(state);

    scratch_teardown(&made);
    return status;
}

static void add(struct world *w, uint64_t expected_ns)
{
    char id[32];
    qe_unit unit = {.id = id, .item = w->units * 3, .expected_ns = expected_ns};

    snprintf(id, sizeof(id), "unit %u", w->units);
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->units++;
}

static void publish(struct world *w)
{
    static const char *const names[] = {"0", "",  "",           "1",
                                        "",  "4", "a name \"\\"};

    assert_int_equal(
        qe_session_publish(w->session, place->dir, ABOUT, names, 7), 0);
}

/* Where unit 2 and unit 3 are what runs: of 5, 2 have ended. */
static void start(struct world *w)
{
    w->options.workers = 2;
    w->options.in_order = true;
    w->body = hold;
    for (int i = 0; i < 5; i++)
        add(w, i > 1 ? UINT64_C(100000000000) : 0);
    world_start(w);
}

static bool sees_two(struct world *w, cJSON **root)
{
    qe_event event;

    cJSON_Delete(*root);
    world_poll(w, &event);
    *root = state_of_file();
    return *root != NULL && number(*root, "done") == 2 &&
           cJSON_GetArraySize(cJSON_GetObjectItem(*root, "running")) == 2;
}

static cJSON *wait_for_two(struct world *w)
{
    cJSON *root = NULL;

    WORLD_WAIT(sees_two(w, &root));
    return root;
}

static void a_run_tells(void **state)
{
    struct world *w = *state;
    char path[512];
    cJSON *root;

    start(w);
    assert_int_equal(qe_session_publish(w->session, place->dir, "no", NULL, 0),
                     QE_EINVAL);
    publish(w);
    assert_int_equal(qe_session_publish(w->session, place->dir, ABOUT, NULL, 0),
                     QE_ESTATE);
    root = wait_for_two(w);
    look(root);
    cJSON_Delete(root);
    world_open(w, 0);
    world_finish(w);
    qe_session_close(w->session);
    w->session = NULL;
    file_of(path, sizeof(path));
    assert_string_equal(path, "");
    assert_int_equal(scratch_count(place), 1);
}

/* Nobody is kept from running by what cannot be told. */
static void a_folder_that_cannot_be_is_done_without(void **state)
{
    struct world *w = *state;

    scratch_write(live_folder, "", 0);
    start(w);
    publish(w);
    for (int i = 0; i < 80; i++) {
        qe_event event;

        world_poll(w, &event);
    }
    world_open(w, 0);
    world_finish(w);
    world_check(w);
}

static void what_is_a_day_old_goes(void **state)
{
    static const char *const names[] = {"77-1.json", "77-2.json.tmp",
                                        "78-1.json", "note.json", "77-1.jsonx"};
    struct world *w = *state;
    struct timespec old[2] = {{1000000, 0}, {1000000, 0}};
    char path[512];
    cJSON *root;

    assert_int_equal(mkdir(live_folder, 0700), 0);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/%s", live_folder, names[i]);
        scratch_write(path, "{}", 2);
        if (i != 2)
            assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    }
    start(w);
    publish(w);
    root = wait_for_two(w);
    cJSON_Delete(root);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/%s", live_folder, names[i]);
        assert_int_equal(scratch_exists(path), i > 1);
    }
    world_open(w, 0);
    world_finish(w);
}

/* What a link leads to is not ours, whatever its files are called. */
static void what_is_old_behind_a_link_stays(void **state)
{
    struct world *w = *state;
    struct timespec old[2] = {{1000000, 0}, {1000000, 0}};
    char folder[512], path[600];
    cJSON *root;

    snprintf(folder, sizeof(folder), "%s/elsewhere", place->dir);
    snprintf(path, sizeof(path), "%s/2024-01.json", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    scratch_write(path, "{}", 2);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(symlink(folder, live_folder), 0);
    start(w);
    publish(w);
    root = wait_for_two(w);
    cJSON_Delete(root);
    assert_true(scratch_exists(path));
    world_open(w, 0);
    world_finish(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LIVE_TEST(name)                                                        \
    cmocka_unit_test_setup_teardown(name, live_setup, live_teardown)
        LIVE_TEST(a_run_tells),
        LIVE_TEST(a_folder_that_cannot_be_is_done_without),
        LIVE_TEST(what_is_a_day_old_goes),
        LIVE_TEST(what_is_old_behind_a_link_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
