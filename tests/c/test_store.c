/* The keyed store: what was put is there until its time is over, for all processes. */
#include "history_help.h"

#include "qe_util.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

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

    assert_int_equal(qe_history_put(h, "alive", "x", 3600), QE_OK);
    assert_int_equal(qe_history_put(h, "for ever", "x", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "expired", "x", 1e-9), QE_OK);
    assert_int_equal(peek(s, "SELECT count(*) FROM store"), 3);
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

static void an_expired_entry_is_not_there_to_be_deleted(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);

    assert_int_equal(qe_history_put(h, "key", "value", 1e-9), QE_OK);
    assert_int_equal(qe_history_delete(h, "key"), QE_ENOTFOUND);
    assert_int_equal(peek(s, "SELECT count(*) FROM store"), 0);
    qe_history_close(h);
}

/* ----------------------------------------------------------------- clearing */

static off_t size_of(const struct scratch *s)
{
    struct stat st;

    assert_int_equal(stat(s->path, &st), 0);
    return st.st_size;
}

static void each_put_clears_some_that_have_expired(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    char key[32];
    int i;

    for (i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        assert_int_equal(qe_history_put(h, key, "x", 3600), QE_OK);
    }
    assert_int_equal(peek(s, "SELECT count(*) FROM store"), 100);
    poke(s, "UPDATE store SET expires = 1");
    /* The work of one put is bounded. */
    assert_int_equal(qe_history_put(h, "one", "x", 0), QE_OK);
    assert_int_equal(peek(s, "SELECT count(*) FROM store"), 100 - 64 + 1);
    assert_int_equal(qe_history_put(h, "two", "x", 0), QE_OK);
    assert_int_equal(peek(s, "SELECT count(*) FROM store"), 2);
    qe_history_close(h);
}

static void the_file_shrinks_as_entries_go(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    off_t before = size_of(s);
    size_t n = 3000000;
    char *value = malloc(n + 1);
    int i;

    assert_non_null(value);
    memset(value, 'x', n);
    value[n] = '\0';
    assert_int_equal(qe_history_put(h, "large", value, 3600), QE_OK);
    assert_true(size_of(s) > (off_t) n);
    poke(s, "UPDATE store SET expires = 1");
    for (i = 0; i < 8; i++)
        assert_int_equal(qe_history_put(h, "key", "x", 0), QE_OK);
    assert_true(size_of(s) <= before + 8192);
    /* By gc too, where no run goes. */
    assert_int_equal(qe_history_put(h, "large", value, 1e-9), QE_OK);
    assert_true(size_of(s) > (off_t) n);
    assert_int_equal(qe_history_gc(h, 10), QE_OK);
    assert_true(size_of(s) <= before + 8192);
    check(h, "key", "x");
    free(value);
    qe_history_close(h);
    assert_whole(s);
}

/* --------------------------------------------------------------------- keys */

struct told {
    char text[256];
    double expires_s; /* of the last */
    int stop;         /* returned for each */
};

static int tell(void *arg, const char *key, double expires_s)
{
    struct told *told = arg;

    strcat(strcat(told->text, key), "|");
    told->expires_s = expires_s;
    return told->stop;
}

static void check_keys(qe_history *h, const char *pattern, const char *keys)
{
    struct told told = {0};

    assert_int_equal(qe_history_keys(h, pattern, tell, &told), QE_OK);
    assert_string_equal(told.text, keys);
}

static void keys_are_found_by_pattern_in_order(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    struct told told = {0};
    double before;

    check_keys(h, "*", "");
    assert_int_equal(qe_history_put(h, "aqe/b", "x", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "aqe/a", "x", 3600), QE_OK);
    assert_int_equal(qe_history_put(h, "aqe/\xc3\xa4/c", "x", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "AQE/a", "x", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "", "x", 0), QE_OK);
    check_keys(h, "*", "|AQE/a|aqe/a|aqe/b|aqe/\xc3\xa4/c|");
    check_keys(h, "aqe/*", "aqe/a|aqe/b|aqe/\xc3\xa4/c|");
    check_keys(h, "aqe/?", "aqe/a|aqe/b|");
    check_keys(h, "aqe/?/c", "aqe/\xc3\xa4/c|");
    check_keys(h, "[Aa][Qq][Ee]/a", "AQE/a|aqe/a|");
    check_keys(h, "aqe/a", "aqe/a|");
    check_keys(h, "", "|");
    check_keys(h, "aqe/[", "");
    before = qe_wall_s();
    assert_int_equal(qe_history_keys(h, "aqe/a", tell, &told), QE_OK);
    assert_true(told.expires_s > before && told.expires_s <= before + 3600);
    assert_int_equal(qe_history_keys(h, "aqe/b", tell, &told), QE_OK);
    assert_true(told.expires_s == 0);
    poke(s, "UPDATE store SET expires = expires - 3600");
    check_keys(h, "aqe/?", "aqe/b|");
    qe_history_close(h);
}

static void a_visit_ends_the_listing(void **state)
{
    qe_history *h = must_open(*state);
    struct told told = {.stop = 7};

    assert_int_equal(qe_history_put(h, "a", "x", 0), QE_OK);
    assert_int_equal(qe_history_put(h, "b", "x", 0), QE_OK);
    assert_int_equal(qe_history_keys(h, "*", tell, &told), 7);
    assert_string_equal(told.text, "a|");
    /* The handle is free again. */
    assert_int_equal(qe_history_put(h, "c", "x", 0), QE_OK);
    check_keys(h, "*", "a|b|c|");
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
    check_keys(h, "*", "blob|int|nul|real|");
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
    struct told told = {0};
    char *found = NULL;
    char pattern[4098];

    memset(pattern, '*', sizeof(pattern));
    pattern[4097] = '\0';
    assert_int_equal(qe_history_keys(NULL, "*", tell, &told), QE_EINVAL);
    assert_int_equal(qe_history_keys(h, NULL, tell, &told), QE_EINVAL);
    assert_int_equal(qe_history_keys(h, "*", NULL, &told), QE_EINVAL);
    assert_int_equal(qe_history_keys(h, pattern, tell, &told), QE_ETOOBIG);
    assert_int_equal(qe_history_keys(h, pattern + 1, tell, &told), QE_OK);
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

/* ---------------------------------------------------------------- processes */

/* A value that shows where it was torn: `n` times one letter. */
static char *value_of(uint64_t number, size_t *n)
{
    char *value;

    *n = 1000 + (size_t) (number % 7) * 20000;
    value = malloc(*n + 1);
    if (value != NULL) {
        memset(value, 'a' + (int) (number % 26), *n);
        value[*n] = '\0';
    }
    return value;
}

static int count_key(void *arg, const char *key, double expires_s)
{
    struct told *told = arg;

    (void) expires_s;
    told->stop++;
    snprintf(told->text, sizeof(told->text), "%s", key);
    return 0;
}

/* Whether each key from 0 on holds one of the values that were put there. */
static size_t check_values(qe_history *h, size_t keys)
{
    struct told told = {0};
    size_t i, found = 0;

    for (i = 0; i < keys; i++) {
        char key[32], *value = NULL;
        size_t n;
        int rc;

        snprintf(key, sizeof(key), "key %zu", i);
        rc = qe_history_get(h, key, &value);
        if (rc == QE_ENOTFOUND)
            continue;
        assert_int_equal(rc, QE_OK);
        n = strlen(value);
        assert_true(n >= 1000 && (n - 1000) % 20000 == 0);
        assert_int_equal(strspn(value, (char[]){value[0], '\0'}), n);
        qe_free(value);
        found++;
    }
    assert_int_equal(qe_history_keys(h, "key *", count_key, &told), QE_OK);
    assert_int_equal(told.stop, (int) found);
    return found;
}

struct writer {
    const char *path;
    uint64_t seed;
    size_t puts;
};

/* Puts, and now and then deletes, under ten keys; 0 where all went well and none
 * waited for long. */
static int write_many(void *arg)
{
    const struct writer *w = arg;
    uint64_t random = w->seed;
    qe_history *h = NULL;
    size_t i;

    if (qe_history_open(&h, w->path) != QE_OK)
        return 1;
    for (i = 0; i < w->puts; i++) {
        uint64_t number = qe__random(&random);
        uint64_t began = qe_now_ns();
        char key[32], *value;
        size_t n;
        int rc;

        snprintf(key, sizeof(key), "key %d", (int) (number % 10));
        value = value_of(number / 10, &n);
        if (value == NULL)
            return 2;
        rc = qe_history_put(h, key, value, number % 3 == 0 ? 1e-9 : 3600);
        free(value);
        if (rc == QE_OK && number % 5 == 0) {
            rc = qe_history_delete(h, key);
            if (rc == QE_ENOTFOUND)
                rc = QE_OK;
        }
        if (rc != QE_OK)
            return 3;
        if (!scratch_slow() && qe_now_ns() - began > UINT64_C(10000000000))
            return 4;
    }
    qe_history_close(h);
    return 0;
}

static void processes_that_write_at_once_all_write(void **state)
{
    struct scratch *s = *state;
    struct writer writers[6];
    pid_t pids[6];
    qe_history *h;
    size_t i;

    /* They also make the file at once. */
    for (i = 0; i < 6; i++) {
        writers[i] = (struct writer){s->path, i + 1, scratch_scaled(60)};
        pids[i] = scratch_fork(write_many, &writers[i]);
    }
    for (i = 0; i < 6; i++)
        assert_int_equal(scratch_wait(pids[i]), 0);
    h = must_open(s);
    assert_true(check_values(h, 10) > 0);
    qe_history_close(h);
    assert_whole(s);
}

static void a_kill_in_the_middle_of_a_put_leaves_whole_values(void **state)
{
    struct scratch *s = *state;
    size_t rounds = scratch_scaled(100);
    uint64_t random = 42;
    size_t i, journals = 0;
    char journal[256];

    snprintf(journal, sizeof(journal), "%s-journal", s->path);
    qe_history_close(must_open(s));
    for (i = 0; i < rounds; i++) {
        struct writer writer = {s->path, i + 1, SIZE_MAX};
        pid_t pid = scratch_fork(write_many, &writer);
        qe_history *h;

        usleep((useconds_t) (qe__random(&random) %
                             (scratch_slow() ? 2000000 : 40000)));
        kill(pid, SIGKILL);
        assert_true(WIFSIGNALED(scratch_wait(pid)));
        journals += scratch_exists(journal);
        h = must_open(s);
        assert_false(scratch_exists(journal));
        check_values(h, 10);
        qe_history_close(h);
        assert_whole(s);
    }
    print_message("%zu of %zu kills hit a transaction\n", journals, i);
}

static int fill_the_disk(void *path)
{
    struct rlimit limit = {300000, 300000};
    size_t n = 500000;
    char *large = malloc(n + 1), *found = NULL;
    qe_history *h = NULL;

    /* A limit on the file's size stands in for a full disk. */
    if (large == NULL || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    memset(large, 'x', n);
    large[n] = '\0';
    if (qe_history_open(&h, path) != QE_OK)
        return 2;
    errno = 0;
    if (qe_history_put(h, "key", large, 0) != QE_ESYS || errno != EFBIG)
        return 3;
    /* The old value is there, and what fits can be put. */
    if (qe_history_get(h, "key", &found) != QE_OK || strcmp(found, "old") != 0)
        return 4;
    qe_free(found);
    if (qe_history_put(h, "small", "fits", 0) != QE_OK)
        return 5;
    qe_history_close(h);
    free(large);
    return 0;
}

static void a_full_disk_keeps_the_old_value(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);

    assert_int_equal(qe_history_put(h, "key", "old", 0), QE_OK);
    qe_history_close(h);
    scratch_in_child(fill_the_disk, s->path);
    h = must_open(s);
    check(h, "key", "old");
    check(h, "small", "fits");
    qe_history_close(h);
    assert_whole(s);
    assert_int_equal(scratch_count(s), 1);
}

static int hold_for_good(void *arg)
{
    const struct scratch *s = ((void **) arg)[0];
    int ready = *(int *) ((void **) arg)[1];
    sqlite3 *db = NULL;

    if (sqlite3_open(s->path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        write(ready, "", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static void a_writer_that_stays_is_busy_to_others_for_two_seconds(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    uint64_t began, took;
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(qe_history_put(h, "key", "old", 0), QE_OK);
    assert_int_equal(pipe(ready), 0);
    pid = scratch_fork(hold_for_good, (void *[]){s, &ready[1]});
    assert_int_equal(read(ready[0], &byte, 1), 1);
    began = qe_now_ns();
    assert_int_equal(qe_history_put(h, "key", "new", 0), QE_EBUSY);
    took = qe_now_ns() - began;
    assert_true(took >= UINT64_C(1900000000));
    assert_true(took < UINT64_C(10000000000));
    /* Readers go on. */
    check(h, "key", "old");
    check_keys(h, "*", "key|");
    /* A writer that was killed holds up nobody. */
    kill(pid, SIGKILL);
    assert_true(WIFSIGNALED(scratch_wait(pid)));
    assert_int_equal(qe_history_put(h, "key", "new", 0), QE_OK);
    check(h, "key", "new");
    close(ready[0]);
    close(ready[1]);
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
        T(an_expired_entry_is_not_there_to_be_deleted),
        T(each_put_clears_some_that_have_expired),
        T(the_file_shrinks_as_entries_go),
        T(keys_are_found_by_pattern_in_order),
        T(a_visit_ends_the_listing),
        T(a_large_value_comes_back_whole),
        T(cells_of_a_foreign_file_are_not_trusted),
        T(wrong_arguments_are_refused),
        T(processes_that_write_at_once_all_write),
        T(a_kill_in_the_middle_of_a_put_leaves_whole_values),
        T(a_full_disk_keeps_the_old_value),
        T(a_writer_that_stays_is_busy_to_others_for_two_seconds),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
