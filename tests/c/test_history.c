/* The history: what was saved is known to the next run. */
#include "history_help.h"

#include <math.h>

#define MS UINT64_C(1000000)

/* Saves one run of one test, with these outcomes and durations. */
static void save_attempts(qe_history *h, const char *id, size_t n,
                          const enum qe_outcome *outcomes,
                          const double *durations_s)
{
    qe_record *r = NULL;
    size_t i;

    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_add_test(r, id), QE_OK);
    for (i = 0; i < n; i++) {
        qe_attempt a = {.attempt = (uint32_t) i + 1,
                        .outcome = outcomes != NULL ? outcomes[i] : QE_PASSED,
                        .duration_s = durations_s[i]};
        assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    }
    qe_record_set_outcome(r, 0, QE_PASSED, NULL);
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, NULL), QE_OK);
    qe_record_free(r);
}

static void a_new_file_is_made_and_found_again(void **state)
{
    struct scratch *s = *state;

    qe_history_close(must_open(s));
    assert_int_equal(scratch_count(s), 1);
    qe_history_close(must_open(s));
    assert_whole(s);
    assert_int_equal(peek(s, "PRAGMA user_version"), 2);
    qe_history_close(NULL);
}

static void opening_again_changes_no_byte(void **state)
{
    struct scratch *s = *state;
    size_t n, m;
    char *before, *after;

    assert_int_equal(save_sample(s->path, 20, 0.5), QE_OK);
    before = scratch_read(s->path, &n);
    qe_history_close(must_open(s));
    after = scratch_read(s->path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    assert_int_equal(scratch_count(s), 1);
    free(before);
    free(after);
}

static void an_empty_file_is_a_new_one(void **state)
{
    struct scratch *s = *state;

    scratch_write(s->path, "", 0);
    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    assert_runs_of(s, 3);
}

static void all_of_an_attempt_is_in_the_file(void **state)
{
    qe_attempt a = {.pass = 2,
                    .attempt = 3,
                    .worker = 4,
                    .outcome = QE_CRASHED,
                    .start_s = 1700000000.5,
                    .duration_s = 0.25,
                    .cpu_s = 0.125,
                    .peak_bytes = UINT64_MAX,
                    .status = 11,
                    .message = "gone"};
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    qe_record *r = NULL;
    int64_t run = 0;

    assert_int_equal(qe_record_new(&r), QE_OK);
    qe_record_add_test(r, "never run");
    qe_record_add_test(r, "it's \"quoted\"; DROP TABLE run");
    a.item = 1;
    assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
    qe_record_set_outcome(r, 1, QE_CRASHED, "why");
    assert_int_equal(qe_history_save(h, r, 1.7e9, 2.5, 6, &run), QE_OK);
    assert_int_equal(run, 1);
    qe_history_close(h);
    qe_record_free(r);
    assert_int_equal(
        peek(s, "SELECT count(*) FROM run WHERE id = 1 AND started = 1.7e9"
                " AND wall = 2.5 AND workers = 6"),
        1);
    assert_int_equal(
        peek(s, "SELECT count(*) FROM attempt JOIN test"
                " ON test.id = attempt.test WHERE run = 1 AND seq = 0"
                " AND name = 'it''s \"quoted\"; DROP TABLE run' AND pass = 2"
                " AND attempt = 3 AND worker = 4 AND outcome = 6"
                " AND start = 1700000000.5 AND duration = 0.25"
                " AND cpu = 0.125 AND peak = 9223372036854775807"
                " AND status = 11 AND message = 'gone'"),
        1);
    assert_int_equal(peek(s, "SELECT count(*) FROM outcome WHERE outcome = 6"
                             " AND message = 'why'"),
                     1);
    assert_int_equal(peek(s, "SELECT count(*) FROM test"), 1);
}

static void a_duration_is_the_median_of_the_last_five_that_passed(void **state)
{
    static const enum qe_outcome outcomes[] = {QE_PASSED, QE_FAILED, QE_SKIPPED,
                                               QE_TIMEOUT};
    static const double mixed[] = {0.004, 9, 8, 7};
    qe_history *h = must_open(*state);

    assert_true(duration_of(h, "t") == 0);
    save_attempts(h, "t", 1, NULL, (double[]){0.1});
    assert_true(duration_of(h, "t") == 100 * MS);
    save_attempts(h, "t", 1, NULL, (double[]){0.002});
    assert_true(duration_of(h, "t") == 51 * MS);
    save_attempts(h, "t", 1, NULL, (double[]){0.003});
    assert_true(duration_of(h, "t") == 3 * MS);
    save_attempts(h, "t", 4, outcomes, mixed);
    assert_true(duration_of(h, "t") == 3500000);
    save_attempts(h, "t", 1, NULL, (double[]){0.005});
    assert_true(duration_of(h, "t") == 4 * MS);
    /* Of six, the first goes: 2 3 4 5 6. Then within one run: 5 6 7 8 9. */
    save_attempts(h, "t", 1, NULL, (double[]){0.006});
    assert_true(duration_of(h, "t") == 4 * MS);
    save_attempts(h, "t", 3, NULL, (double[]){0.007, 0.008, 0.009});
    assert_true(duration_of(h, "t") == 7 * MS);
    qe_history_close(h);
}

static void a_duration_of_nothing_is_known_all_the_same(void **state)
{
    qe_history *h = must_open(*state);

    save_attempts(h, "t", 1, NULL, (double[]){0});
    assert_true(duration_of(h, "t") == 1);
    qe_history_close(h);
}

static void names_of_any_bytes_are_told_apart(void **state)
{
    static const char *const names[] = {"",         "a",    "a\xff", "a\xfe",
                                        "\xc3\xa9", "\xc3", "A"};
    uint64_t found[7];
    qe_history *h = must_open(*state);
    size_t i;

    for (i = 0; i < 7; i++)
        save_attempts(h, names[i], 1, NULL, (double[]){0.001 * (double) i + 1});
    assert_int_equal(qe_history_durations(h, names, 7, found), QE_OK);
    for (i = 0; i < 7; i++)
        assert_true(found[i] == 1000 * MS + i * MS);
    qe_history_close(h);
}

static void a_record_may_name_a_test_twice(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    qe_record *r = NULL;

    assert_int_equal(qe_record_new(&r), QE_OK);
    qe_record_add_test(r, "t");
    qe_record_add_test(r, "t");
    qe_record_set_outcome(r, 0, QE_FAILED, NULL);
    qe_record_set_outcome(r, 1, QE_PASSED, NULL);
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, NULL), QE_OK);
    qe_history_close(h);
    qe_record_free(r);
    assert_int_equal(peek(s, "SELECT outcome FROM outcome"), QE_PASSED);
}

static void wrong_arguments_are_refused(void **state)
{
    static const char *const hole[] = {"t", NULL};
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    qe_history *none = NULL;
    qe_record *r = sample_record(1, 1);
    uint64_t ns[2] = {77, 77};

    assert_int_equal(qe_history_open(NULL, s->path), QE_EINVAL);
    assert_int_equal(qe_history_open(&none, NULL), QE_EINVAL);
    assert_int_equal(qe_history_open(&none, ""), QE_EINVAL);
    assert_int_equal(qe_history_save(NULL, r, 1, 1, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_history_save(h, NULL, 1, 1, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_history_save(h, r, NAN, 1, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_history_save(h, r, 1, INFINITY, 1, NULL), QE_EINVAL);
    assert_int_equal(qe_history_durations(h, hole, 2, ns), QE_EINVAL);
    assert_int_equal(qe_history_durations(h, NULL, 1, ns), QE_EINVAL);
    assert_int_equal(qe_history_durations(h, NULL, 0, NULL), QE_OK);
    assert_int_equal(qe_history_gc(NULL, 1), QE_EINVAL);
    assert_true(ns[0] == 77 && ns[1] == 77);
    assert_null(none);
    qe_record_free(r);
    qe_history_close(h);
}

static int open_by_uri(void *dir)
{
    if (chdir(dir) != 0)
        return 1;
    return save_sample("file:x?mode=memory", 1, 1) == QE_OK &&
                   access("file:x?mode=memory", F_OK) == 0
               ? 0
               : 2;
}

static void a_name_that_looks_like_a_uri_is_a_name(void **state)
{
    struct scratch *s = *state;

    scratch_in_child(open_by_uri, s->dir);
}

static void gc_drops_all_runs_but_the_newest(void **state)
{
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    qe_record *r = sample_record(600, 0.5);
    struct stat before, after;
    int64_t run;
    int i;

    save_attempts(h, "of old", 1, NULL, (double[]){1});
    for (i = 0; i < 5; i++)
        assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, NULL), QE_OK);
    save_attempts(h, "of late", 1, NULL, (double[]){2});
    assert_int_equal(stat(s->path, &before), 0);
    assert_int_equal(qe_history_gc(h, 7), QE_OK);
    assert_true(duration_of(h, "of old") == 1000 * MS);
    assert_int_equal(qe_history_gc(h, 2), QE_OK);
    assert_true(duration_of(h, "of old") == 0);
    assert_true(duration_of(h, "of late") == 2000 * MS);
    assert_true(duration_of(h, "test 0") == 500 * MS);
    assert_int_equal(stat(s->path, &after), 0);
    assert_true(after.st_size < before.st_size / 2);
    assert_int_equal(peek(s, "SELECT count(*) FROM run"), 2);
    assert_int_equal(peek(s, "SELECT count(*) FROM test WHERE name = 'of old'"),
                     0);
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, &run), QE_OK);
    assert_int_equal(run, 8);
    assert_int_equal(qe_history_gc(h, 0), QE_OK);
    assert_int_equal(peek(s, "SELECT (SELECT count(*) FROM run) +"
                             " (SELECT count(*) FROM test) +"
                             " (SELECT count(*) FROM outcome) +"
                             " (SELECT count(*) FROM attempt)"),
                     0);
    assert_int_equal(qe_history_gc(h, UINT32_MAX), QE_OK);
    qe_history_close(h);
    qe_record_free(r);
    assert_whole(s);
}

static void a_hundred_thousand_attempts_are_saved_and_looked_up(void **state)
{
    size_t n = scratch_scaled(100000);
    struct scratch *s = *state;
    qe_history *h = must_open(s);
    qe_record *r = sample_record(n, 0.25);
    char **ids = calloc(n, sizeof(*ids));
    uint64_t *found = calloc(n, sizeof(*found));
    uint64_t began;
    size_t i;

    assert_true(r != NULL && ids != NULL && found != NULL);
    for (i = 0; i < n; i++)
        assert_true(asprintf(&ids[i], "test %zu", i) > 0);
    began = qe_now_ns();
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, NULL), QE_OK);
    print_message("%zu attempts saved in %.0f ms\n", n,
                  (double) (qe_now_ns() - began) / 1e6);
    began = qe_now_ns();
    assert_int_equal(
        qe_history_durations(h, (const char *const *) ids, n, found), QE_OK);
    print_message("%zu durations found in %.0f ms\n", n,
                  (double) (qe_now_ns() - began) / 1e6);
    for (i = 0; i < n; i++) {
        assert_true(found[i] == (i % 10 == 9 ? 0 : 250 * MS));
        free(ids[i]);
    }
    free(ids);
    free(found);
    qe_history_close(h);
    qe_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(a_new_file_is_made_and_found_again),
        T(opening_again_changes_no_byte),
        T(an_empty_file_is_a_new_one),
        T(all_of_an_attempt_is_in_the_file),
        T(a_duration_is_the_median_of_the_last_five_that_passed),
        T(a_duration_of_nothing_is_known_all_the_same),
        T(names_of_any_bytes_are_told_apart),
        T(a_record_may_name_a_test_twice),
        T(wrong_arguments_are_refused),
        T(a_name_that_looks_like_a_uri_is_a_name),
        T(gc_drops_all_runs_but_the_newest),
        T(a_hundred_thousand_attempts_are_saved_and_looked_up),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
