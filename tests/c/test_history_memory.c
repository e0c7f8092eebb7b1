/* The history out of memory: each allocation fails once, those of SQLite among
 * them. Leaks are for the sanitizers and valgrind to find. */
#include "alloc_fault.h"
#include "history_help.h"

/* SQLite's allocator, made of the wrapped functions, with the size in front. */
#define FRONT 16

static void *sqlite_malloc(int n)
{
    char *p = malloc((size_t) n + FRONT);

    if (p == NULL)
        return NULL;
    memcpy(p, &n, sizeof(n));
    return p + FRONT;
}

static void sqlite_free(void *p)
{
    if (p != NULL)
        free((char *) p - FRONT);
}

static void *sqlite_realloc(void *old, int n)
{
    char *p = realloc((char *) old - FRONT, (size_t) n + FRONT);

    if (p == NULL)
        return NULL;
    memcpy(p, &n, sizeof(n));
    return p + FRONT;
}

static int sqlite_size(void *p)
{
    int n = 0;

    if (p != NULL)
        memcpy(&n, (char *) p - FRONT, sizeof(n));
    return n;
}

static int sqlite_roundup(int n)
{
    return (n + 7) & ~7;
}

static int sqlite_init(void *data)
{
    (void) data;
    return SQLITE_OK;
}

static void sqlite_shutdown(void *data)
{
    (void) data;
}

static int use_our_allocator(void **state)
{
    static sqlite3_mem_methods methods = {
        sqlite_malloc,  sqlite_free, sqlite_realloc,  sqlite_size,
        sqlite_roundup, sqlite_init, sqlite_shutdown, NULL};

    (void) state;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        return -1;
    return sqlite3_initialize() == SQLITE_OK ? 0 : -1;
}

/* SQLite does without some allocations, such as a larger cache: a failure need
 * not show, but what shows is QE_ENOMEM, and success is real. */
static void sweep(int (*operation)(void *), void *context, size_t stride)
{
    size_t n, failures = 0;

    for (n = 1;; n += stride) {
        int rc;
        alloc_fault.countdown = n;
        alloc_fault.failed = false;
        rc = operation(context);
        alloc_fault.countdown = 0;
        if (!alloc_fault.failed) {
            assert_int_equal(rc, QE_OK);
            break;
        }
        assert_true(rc == QE_OK || rc == QE_ENOMEM);
        failures += rc == QE_ENOMEM;
    }
    assert_true(failures > 0);
}

struct context {
    struct scratch *s;
    qe_history *h;
    qe_record *r;
};

static int open_it(void *argument)
{
    struct context *c = argument;
    qe_history *h = NULL;
    int rc = qe_history_open(&h, c->s->path);

    if (rc != QE_OK)
        assert_null(h);
    qe_history_close(h);
    return rc;
}

static int make_it(void *argument)
{
    struct context *c = argument;

    unlink(c->s->path);
    return open_it(c);
}

static int save_it(void *argument)
{
    struct context *c = argument;

    return qe_history_save(c->h, c->r, 1.7e9, 1, 1, NULL);
}

static int look_up(void *argument)
{
    static const char *const ids[] = {"test 0", "test 1"};
    struct context *c = argument;
    uint64_t ns[2] = {77, 77};
    int rc = qe_history_durations(c->h, ids, 2, ns);

    if (rc == QE_OK)
        assert_true(ns[0] == 500000000 && ns[1] == 500000000);
    else
        assert_true(ns[0] == 77 && ns[1] == 77);
    return rc;
}

static int count_row(void *argument, const qe_history_row *row)
{
    assert_string_equal(row->label, "abc");
    *(uint64_t *) argument += row->passes;
    return 0;
}

static int count_name(void *argument, const char *id)
{
    (void) id;
    ++*(uint64_t *) argument;
    return 0;
}

static int read_tests(void *argument)
{
    static const char *const ids[] = {"test 0", "test 9"};
    struct context *c = argument;
    uint64_t clean[2], passes = 0, names = 0;
    int rc = qe_history_clean(c->h, ids, 2, clean);

    if (rc == QE_OK)
        assert_true(clean[0] > 0 && clean[1] == 0);
    if (rc == QE_OK)
        rc = qe_history_names(c->h, "test 1", count_name, &names);
    if (rc == QE_OK)
        assert_true(names == 11);
    if (rc == QE_OK)
        rc = qe_history_rates(c->h, ids[0], QE_BY_REVISION, count_row, &passes);
    if (rc == QE_OK)
        assert_true(passes == clean[0]);
    return rc;
}

static int count_key(void *keys, const char *key, double expires_s)
{
    assert_string_equal(key, "key");
    assert_true(expires_s > 0);
    ++*(size_t *) keys;
    return 0;
}

static int use_the_store(void *argument)
{
    struct context *c = argument;
    char *value = NULL;
    size_t keys = 0;
    int rc = qe_history_put(c->h, "key", "value", 60);

    if (rc == QE_OK)
        rc = qe_history_get(c->h, "key", &value);
    if (rc == QE_OK)
        assert_string_equal(value, "value");
    else
        assert_null(value);
    qe_free(value);
    if (rc == QE_OK)
        rc = qe_history_keys(c->h, "k*", count_key, &keys);
    if (rc == QE_OK)
        assert_true(keys == 1);
    if (rc == QE_OK)
        rc = qe_history_delete(c->h, "key");
    return rc;
}

static int collect(void *argument)
{
    struct context *c = argument;

    return qe_history_gc(c->h, 3);
}

static void every_call_survives_each_allocation_that_fails(void **state)
{
    struct context c = {.s = *state, .r = sample_record(30, 0.5)};
    size_t stride = scratch_slow() ? 13 : 1;

    assert_non_null(c.r);
    sweep(make_it, &c, stride);
    assert_whole(c.s);
    assert_int_equal(save_sample(c.s->path, 30, 0.5), QE_OK);
    sweep(open_it, &c, stride);
    c.h = must_open(c.s);
    sweep(save_it, &c, stride);
    sweep(look_up, &c, stride);
    sweep(read_tests, &c, stride);
    sweep(use_the_store, &c, stride);
    sweep(collect, &c, stride);
    qe_history_close(c.h);
    qe_record_free(c.r);
    assert_runs_of(c.s, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_call_survives_each_allocation_that_fails, scratch_setup,
            scratch_teardown),
    };

    return cmocka_run_group_tests(tests, use_our_allocator, NULL);
}
