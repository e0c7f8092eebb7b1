/* A history that is only read: nothing is made, and nothing written. */
#include "history_help.h"

#include <unistd.h>

static int no_run(void *arg, const qe_history_run *run)
{
    (void) run;
    ++*(int *) arg;
    return 0;
}

static void it_is_read_and_no_byte_is_changed(void **state)
{
    const struct scratch *s = *state;
    qe_history *h = NULL;
    char *before, *after;
    size_t n, m;
    int runs = 0;

    assert_int_equal(save_sample(s->path, 10, 0.5), QE_OK);
    before = scratch_read(s->path, &n);
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_OK);
    assert_int_equal(qe_history_runs(h, 9, no_run, &runs), QE_OK);
    assert_int_equal(runs, 1);
    assert_true(duration_of(h, "test 1") == 500000000);
    assert_int_equal(qe_history_put(h, "key", "value", 0), QE_EREADONLY);
    assert_int_equal(qe_history_gc(h, 0), QE_EREADONLY);
    after = scratch_read(s->path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    assert_int_equal(scratch_count(s), 1);
    /* What others write meanwhile is seen. */
    assert_int_equal(save_sample(s->path, 10, 0.5), QE_OK);
    runs = 0;
    assert_int_equal(qe_history_runs(h, 9, no_run, &runs), QE_OK);
    assert_int_equal(runs, 2);
    qe_history_close(h);
    free(before);
    free(after);
}

static void what_is_not_there_is_not_made(void **state)
{
    struct scratch *s = *state;
    size_t files = scratch_count(s), n = 7;
    qe_history *h = NULL;

    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_ENOTFOUND);
    assert_int_equal(scratch_count(s), files);
    scratch_write(s->path, "", 0);
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_ENOTFOUND);
    free(scratch_read(s->path, &n));
    assert_int_equal(n, 0);
    assert_null(h);
    assert_int_equal(qe_history_open_to_read(&h, ""), QE_EINVAL);
    assert_int_equal(qe_history_open_to_read(&h, NULL), QE_EINVAL);
    assert_int_equal(qe_history_open_to_read(NULL, s->path), QE_EINVAL);
}

static void what_is_no_history_is_refused(void **state)
{
    struct scratch *s = *state;
    qe_history *h = NULL;
    size_t n;
    char *whole;

    scratch_write(s->path, "{\"json\": true}\n", 15);
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_ECORRUPT);
    (void) unlink(s->path);
    assert_int_equal(save_sample(s->path, 100, 0.5), QE_OK);
    poke(s, "PRAGMA user_version=99");
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_EUNSUPPORTED);
    poke(s, "PRAGMA user_version=2; PRAGMA application_id=7");
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_ECORRUPT);
    poke(s, "PRAGMA application_id=1363503153; DROP TABLE condition");
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_ECORRUPT);
    whole = scratch_read(s->path, &n);
    scratch_write(s->path, whole, n - 100);
    assert_int_equal(qe_history_open_to_read(&h, s->path), QE_ECORRUPT);
    assert_null(h);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(it_is_read_and_no_byte_is_changed),
        T(what_is_not_there_is_not_made),
        T(what_is_no_history_is_refused),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
