/* The keyed store: what was put is there until its time is over. */
#include "history_help.h"

#include <math.h>

static void check(qe_history *h, const char *key, const char *value)
{
    char *found = NULL;

    assert_int_equal(qe_history_get(h, key, &found), QE_OK);
    assert_string_equal(found, value);
    qe_free(found);
}

static void check_missing(qe_history *h, const char *key)
{
    char *found = NULL;

    assert_int_equal(qe_history_get(h, key, &found), QE_ENOTFOUND);
    assert_null(found);
}

static void what_was_put_is_got_by_the_next_process(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);

    check_missing(h, "key");
    assert_int_equal(qe_history_put(h, "key", "value", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "other", "", -1), QE_OK);
    assert_int_equal(qe_history_put(h, "", "of nothing", INFINITY), QE_OK);
    assert_int_equal(qe_history_put(h, "k\xff", "v\xfe\"'", 3600), QE_OK);
    check(h, "key", "value");
    qe_history_close(h);
    h = must_open(s);
    check(h, "key", "value");
    check(h, "other", "");
    check(h, "", "of nothing");
    check(h, "k\xff", "v\xfe\"'");
    check_missing(h, "k");
    qe_history_close(h);
}

static void putting_again_replaces_value_and_time(void **state)
{
    qe_history *h = must_open(*state);

    assert_int_equal(qe_history_put(h, "key", "old", 1e-9), QE_OK);
    assert_int_equal(qe_history_put(h, "key", "new", 0), QE_OK);
    check(h, "key", "new");
    assert_int_equal(qe_history_put(h, "key", "newer", 1e-9), QE_OK);
    check_missing(h, "key");
    qe_history_close(h);
}

static void an_expired_entry_is_not_found_at_once(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);

    assert_int_equal(qe_history_put(h, "key", "value", 3600), QE_OK);
    check(h, "key", "value");
    /* An hour passes. */
    poke(s, "UPDATE store SET expires = expires - 3599.5");
    check(h, "key", "value");
    poke(s, "UPDATE store SET expires = expires - 3600");
    check_missing(h, "key");
    qe_history_close(h);
}

static void gc_drops_expired_entries_alone(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);

    assert_int_equal(qe_history_put(h, "expired", "x", 1e-9), QE_OK);
    assert_int_equal(qe_history_put(h, "alive", "x", 3600), QE_OK);
    assert_int_equal(qe_history_put(h, "for ever", "x", 0), QE_OK);
    assert_int_equal(qe_history_gc(h, 10), QE_OK);
    assert_int_equal(peek(s, "SELECT count(*) FROM store"), 2);
    check(h, "alive", "x");
    check(h, "for ever", "x");
    qe_history_close(h);
}

static void a_deleted_entry_is_gone(void **state)
{
    qe_history *h = must_open(*state);

    assert_int_equal(qe_history_delete(h, "key"), QE_ENOTFOUND);
    assert_int_equal(qe_history_put(h, "key", "value", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "other", "value", 0), QE_OK);
    assert_int_equal(qe_history_delete(h, "key"), QE_OK);
    check_missing(h, "key");
    check(h, "other", "value");
    qe_history_close(h);
}

static void a_large_value_comes_back_whole(void **state)
{
    size_t n = 3000000;
    char *value = malloc(n + 1);
    qe_history *h = must_open(*state);

    assert_non_null(value);
    memset(value, 'x', n);
    value[n] = '\0';
    assert_int_equal(qe_history_put(h, "key", value, 0), QE_OK);
    check(h, "key", value);
    free(value);
    qe_history_close(h);
}

static void cells_of_a_foreign_file_are_not_trusted(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    char *found = NULL;

    poke(s, "INSERT INTO store VALUES('int', 5, NULL);"
            "INSERT INTO store VALUES('real', 1.5, NULL);"
            "INSERT INTO store VALUES('nul', CAST(x'610062' AS TEXT), NULL);"
            "INSERT INTO store VALUES('when', 'x', 'tomorrow');"
            "INSERT INTO store VALUES('blob', x'6162', 9e18);"
            "INSERT INTO store VALUES(5, 'x', NULL)");
    assert_int_equal(qe_history_get(h, "int", &found), QE_ECORRUPT);
    assert_int_equal(qe_history_get(h, "real", &found), QE_ECORRUPT);
    assert_int_equal(qe_history_get(h, "nul", &found), QE_ECORRUPT);
    assert_int_equal(qe_history_get(h, "when", &found), QE_ECORRUPT);
    assert_null(found);
    check(h, "blob", "ab");
    check_missing(h, "5");
    /* Such an entry can be replaced, and deleted. */
    assert_int_equal(qe_history_put(h, "int", "good", 0), QE_OK);
    check(h, "int", "good");
    assert_int_equal(qe_history_delete(h, "when"), QE_OK);
    qe_history_close(h);
}

static void wrong_arguments_are_refused(void **state)
{
    qe_history *h = must_open(*state);
    char *found = NULL;

    assert_int_equal(qe_history_put(NULL, "k", "v", 0), QE_EINVAL);
    assert_int_equal(qe_history_put(h, NULL, "v", 0), QE_EINVAL);
    assert_int_equal(qe_history_put(h, "k", NULL, 0), QE_EINVAL);
    assert_int_equal(qe_history_put(h, "k", "v", NAN), QE_EINVAL);
    assert_int_equal(qe_history_get(NULL, "k", &found), QE_EINVAL);
    assert_int_equal(qe_history_get(h, NULL, &found), QE_EINVAL);
    assert_int_equal(qe_history_get(h, "k", NULL), QE_EINVAL);
    assert_int_equal(qe_history_delete(NULL, "k"), QE_EINVAL);
    assert_int_equal(qe_history_delete(h, NULL), QE_EINVAL);
    check_missing(h, "k");
    qe_history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(what_was_put_is_got_by_the_next_process),
        T(putting_again_replaces_value_and_time),
        T(an_expired_entry_is_not_found_at_once),
        T(gc_drops_expired_entries_alone),
        T(a_deleted_entry_is_gone),
        T(a_large_value_comes_back_whole),
        T(cells_of_a_foreign_file_are_not_trusted),
        T(wrong_arguments_are_refused),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
