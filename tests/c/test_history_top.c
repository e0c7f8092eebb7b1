/* Which tests stand out. */
#include "alloc_fault.h"
#include "history_help.h"

#include "qe_stats.h"

struct told {
    size_t count;
    char names[128];
    qe_history_test last;
    int stop_at;
};

static int take(void *arg, const qe_history_test *test)
{
    struct told *t = arg;
    size_t used = strlen(t->names);

    snprintf(t->names + used, sizeof(t->names) - used, "%s ", test->id);
    t->last = *test;
    t->count++;
    return t->stop_at == (int) t->count ? 42 : 0;
}

/* A run in which each test has one attempt: its letter passes where it is large. */
static void save_letters(qe_history *h, const char *letters)
{
    qe_record *r = NULL;

    assert_int_equal(qe_record_new(&r), QE_OK);
    for (uint32_t i = 0; letters[i] != '\0'; i++) {
        bool passed = letters[i] < 'a';
        const char name[] = {(char) (letters[i] | 32), '\0'};
        const qe_attempt a = {.item = i,
                              .attempt = 1,
                              .outcome = passed ? QE_PASSED : QE_FAILED,
                              .start_s = 1,
                              .duration_s = name[0] - 'a' + 1};

        assert_int_equal(qe_record_add_test(r, name), QE_OK);
        assert_int_equal(qe_record_add_attempt(r, &a), QE_OK);
        assert_int_equal(qe_record_set_outcome(r, i, a.outcome, NULL), QE_OK);
    }
    assert_int_equal(qe_history_save(h, r, 1, 1, 1, NULL), QE_OK);
    qe_record_free(r);
}

/* a always passes, b fails once, c half of its runs, d always, e as c. */
static qe_history *sample(const struct scratch *s)
{
    qe_history *h = must_open(s);

    save_letters(h, "ABCdE");
    save_letters(h, "ABcde");
    save_letters(h, "AbCdE");
    save_letters(h, "ABcde");
    return h;
}

static void told_of(qe_history *h, enum qe_history_top by, uint32_t most,
                    uint64_t expect_found, struct told *t)
{
    uint64_t known = 0, found = 0;

    assert_int_equal(qe_history_top(h, by, most, &known, &found, take, t),
                     QE_OK);
    assert_int_equal(known, 5);
    assert_int_equal(found, expect_found);
}

static void the_nearer_to_even_the_flakier(void **state)
{
    qe_history *h = sample(*state);
    struct told t = {0};
    qe_interval rate;

    told_of(h, QE_TOP_FLAKIEST, 9, 3, &t);
    assert_string_equal(t.names, "c e b ");
    assert_int_equal(t.last.failures, 1);
    assert_int_equal(t.last.passes, 3);
    assert_int_equal(t.last.median_ns, 2000000000);
    assert_int_equal(qe_interval_jeffreys_clamped(1, 3, 0.05, &rate), QE_OK);
    assert_true(t.last.low == rate.low && t.last.high == rate.high);
    qe_history_close(h);
}

static void failing_ones_come_by_their_failures(void **state)
{
    qe_history *h = sample(*state);
    struct told t = {0};

    told_of(h, QE_TOP_FAILING, 9, 4, &t);
    assert_string_equal(t.names, "d c e b ");
    qe_history_close(h);
}

static void slow_ones_come_by_their_median(void **state)
{
    qe_history *h = sample(*state);
    struct told t = {0};

    /* d never passed: how long it takes is not known. */
    told_of(h, QE_TOP_SLOWEST, 2, 4, &t);
    assert_string_equal(t.names, "e c ");
    assert_int_equal(t.last.median_ns, 3000000000);
    qe_history_close(h);
}

static void what_makes_no_sense_is_refused(void **state)
{
    const struct scratch *s = *state;
    qe_history *h = must_open(s);
    uint64_t known = 7, found = 7;
    struct told t = {.stop_at = 1};

    assert_int_equal(
        qe_history_top(h, QE_TOP_SLOWEST, 9, &known, &found, take, &t), QE_OK);
    assert_true(t.count == 0 && known == 0 && found == 0);
    qe_history_close(h);
    h = sample(s);
    assert_int_equal(
        qe_history_top(h, QE_TOP_FAILING, 9, &known, &found, take, &t), 42);
    assert_int_equal(t.count, 1);
    assert_int_equal(
        qe_history_top(h, (enum qe_history_top) 3, 9, &known, &found, take, &t),
        QE_EINVAL);
    assert_int_equal(
        qe_history_top(NULL, QE_TOP_FAILING, 9, &known, &found, take, &t),
        QE_EINVAL);
    assert_int_equal(
        qe_history_top(h, QE_TOP_FAILING, 9, NULL, &found, take, &t),
        QE_EINVAL);
    assert_int_equal(
        qe_history_top(h, QE_TOP_FAILING, 9, &known, NULL, take, &t),
        QE_EINVAL);
    assert_int_equal(
        qe_history_top(h, QE_TOP_FAILING, 9, &known, &found, NULL, &t),
        QE_EINVAL);
    qe_history_close(h);
}

static void want_of_memory_is_said_and_nothing_is_lost(void **state)
{
    qe_history *h = sample(*state);
    bool done = false;

    for (unsigned n = 1; !done; n++) {
        uint64_t known, found;
        struct told t = {0};
        int rc;

        alloc_fault.countdown = n;
        alloc_fault.failed = false;
        rc = qe_history_top(h, QE_TOP_FLAKIEST, 9, &known, &found, take, &t);
        alloc_fault.countdown = 0;
        done = !alloc_fault.failed;
        /* SQLite gets by without some of what it asks for. */
        if (rc == QE_OK) {
            assert_string_equal(t.names, "c e b ");
        } else {
            assert_int_equal(rc, QE_ENOMEM);
        }
    }
    qe_history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(the_nearer_to_even_the_flakier),
        T(failing_ones_come_by_their_failures),
        T(slow_ones_come_by_their_median),
        T(what_makes_no_sense_is_refused),
        T(want_of_memory_is_said_and_nothing_is_lost),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
