/* What the history tells of whole runs. */
#include "history_help.h"

struct told {
    size_t count;
    int64_t ids[8];
    qe_history_run last;
    char revision[32], names[256];
    qe_attempt attempt;
    char message[64];
    int stop_at;
};

static int take_run(void *arg, const qe_history_run *run)
{
    struct told *t = arg;

    t->ids[t->count % 8] = run->id;
    t->count++;
    t->last = *run;
    snprintf(t->revision, sizeof(t->revision), "%s", run->revision);
    return t->stop_at == (int) t->count ? 42 : 0;
}

static int take_attempt(void *arg, const char *id, const qe_attempt *attempt)
{
    struct told *t = arg;
    size_t used = strlen(t->names);

    snprintf(t->names + used, sizeof(t->names) - used, "%s ", id);
    snprintf(t->message, sizeof(t->message), "%s",
             attempt->message != NULL ? attempt->message : "(none)");
    t->count++;
    t->attempt = *attempt;
    return t->stop_at == (int) t->count ? 42 : 0;
}

static void runs_come_newest_first_with_their_outcomes(void **state)
{
    const struct scratch *s = *state;
    struct told t = {0};
    qe_history *h;

    for (size_t n = 10; n <= 30; n += 10)
        assert_int_equal(save_sample(s->path, n, 0.5), QE_OK);
    h = must_open(s);
    assert_int_equal(qe_history_runs(h, 2, take_run, &t), QE_OK);
    assert_int_equal(t.count, 2);
    assert_true(t.ids[0] > t.ids[1]);
    assert_int_equal(t.last.outcomes[QE_PASSED], 18);
    assert_int_equal(t.last.outcomes[QE_FAILED], 2);
    assert_true(t.last.started_s == 1.7e9 && t.last.wall_s == 1);
    assert_int_equal(t.last.workers, 4);
    assert_string_equal(t.revision, "abc");
    t = (struct told){.stop_at = 1};
    assert_int_equal(qe_history_runs(h, 2, take_run, &t), 42);
    assert_int_equal(t.count, 1);
    t = (struct told){0};
    assert_int_equal(qe_history_runs(h, 0, take_run, &t), QE_OK);
    assert_int_equal(t.count, 0);
    assert_int_equal(qe_history_runs(NULL, 1, take_run, &t), QE_EINVAL);
    assert_int_equal(qe_history_runs(h, 1, NULL, &t), QE_EINVAL);
    qe_history_close(h);
}

static void attempts_come_in_the_order_in_which_they_began(void **state)
{
    const struct scratch *s = *state;
    const qe_attempt late = {.item = 0,
                             .worker = 2,
                             .start_s = 20,
                             .duration_s = 1.5,
                             .cpu_s = 0.25,
                             .peak_bytes = 4096,
                             .outcome = QE_CRASHED,
                             .status = 9,
                             .attempt = 1,
                             .message = "killed"};
    const qe_attempt early = {.item = 1,
                              .start_s = 10,
                              .outcome = QE_PASSED,
                              .attempt = 2,
                              .pass = 3};
    struct told t = {0};
    qe_record *r = NULL;
    qe_history *h = must_open(s);
    int64_t run;

    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_add_test(r, "late"), QE_OK);
    assert_int_equal(qe_record_add_test(r, "early\xff"), QE_OK);
    assert_int_equal(qe_record_add_attempt(r, &late), QE_OK);
    assert_int_equal(qe_record_add_attempt(r, &early), QE_OK);
    assert_int_equal(qe_history_save(h, r, 5, 30, 3, &run), QE_OK);
    qe_record_free(r);
    assert_int_equal(qe_history_attempts(h, run, take_attempt, &t), QE_OK);
    assert_string_equal(t.names, "early\xff late ");
    assert_string_equal(t.message, "killed");
    assert_int_equal(t.attempt.worker, 2);
    assert_int_equal(t.attempt.outcome, QE_CRASHED);
    assert_int_equal(t.attempt.status, 9);
    assert_int_equal(t.attempt.peak_bytes, 4096);
    assert_true(t.attempt.start_s == 20 && t.attempt.duration_s == 1.5 &&
                t.attempt.cpu_s == 0.25);
    t = (struct told){.stop_at = 1};
    assert_int_equal(qe_history_attempts(h, run, take_attempt, &t), 42);
    assert_int_equal(t.attempt.pass, 3);
    assert_int_equal(t.attempt.attempt, 2);
    assert_string_equal(t.message, "(none)");
    assert_int_equal(qe_history_attempts(h, run + 1, take_attempt, &t),
                     QE_ENOTFOUND);
    assert_int_equal(qe_history_attempts(h, run, NULL, &t), QE_EINVAL);
    qe_history_close(h);
}

static void what_others_have_written_is_made_sense_of(void **state)
{
    const struct scratch *s = *state;
    struct told t = {0};
    qe_history *h;

    assert_int_equal(save_sample(s->path, 1, 0.5), QE_OK);
    poke(s, "UPDATE attempt SET worker = -1, outcome = 77, start = -5,"
            " duration = 'x', message = zeroblob(3)");
    poke(s, "UPDATE outcome SET outcome = -3");
    poke(s, "UPDATE run SET workers = 1 << 40, revision = 5");
    h = must_open(s);
    assert_int_equal(qe_history_runs(h, 9, take_run, &t), QE_OK);
    assert_int_equal(t.last.outcomes[QE_NONE], 1);
    assert_true(t.last.workers == UINT32_MAX);
    assert_string_equal(t.revision, "");
    t.count = 0;
    assert_int_equal(qe_history_attempts(h, t.ids[0], take_attempt, &t), QE_OK);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.attempt.outcome, QE_NONE);
    assert_int_equal(t.attempt.worker, 0);
    assert_true(t.attempt.start_s == 0 && t.attempt.duration_s == 0);
    assert_string_equal(t.message, "");
    qe_history_close(h);
}

static void one_run_is_found_by_its_number(void **state)
{
    const struct scratch *s = *state;
    struct told t = {0};
    qe_history *h;

    for (size_t n = 10; n <= 30; n += 10)
        assert_int_equal(save_sample(s->path, n, 0.5), QE_OK);
    h = must_open(s);
    assert_int_equal(qe_history_find_run(h, 2, take_run, &t), QE_OK);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.ids[0], 2);
    assert_int_equal(t.last.outcomes[QE_PASSED], 18);
    assert_int_equal(qe_history_find_run(h, 4, take_run, &t), QE_ENOTFOUND);
    assert_int_equal(t.count, 1);
    t.stop_at = 2;
    assert_int_equal(qe_history_find_run(h, 1, take_run, &t), 42);
    assert_int_equal(qe_history_find_run(NULL, 1, take_run, &t), QE_EINVAL);
    assert_int_equal(qe_history_find_run(h, 1, NULL, &t), QE_EINVAL);
    qe_history_close(h);
}

static int take_outcome(void *arg, const char *id, enum qe_outcome outcome,
                        const char *message)
{
    struct told *t = arg;

    assert_int_equal(outcome,
                     strcmp(id, "test 9") == 0 ? QE_FAILED : QE_PASSED);
    snprintf(t->message, sizeof(t->message), "%s",
             message != NULL ? message : "(none)");
    t->count++;
    return t->stop_at == (int) t->count ? 42 : 0;
}

static void outcomes_of_a_run_come_with_their_messages(void **state)
{
    const struct scratch *s = *state;
    struct told t = {0};
    qe_history *h;

    assert_int_equal(save_sample(s->path, 10, 0.5), QE_OK);
    h = must_open(s);
    assert_int_equal(qe_history_outcomes(h, 1, take_outcome, &t), QE_OK);
    assert_int_equal(t.count, 10);
    assert_string_equal(t.message, "assert 1 == 2");
    t = (struct told){.stop_at = 3};
    assert_int_equal(qe_history_outcomes(h, 1, take_outcome, &t), 42);
    assert_int_equal(t.count, 3);
    assert_string_equal(t.message, "(none)");
    assert_int_equal(qe_history_outcomes(h, 2, take_outcome, &t), QE_ENOTFOUND);
    assert_int_equal(qe_history_outcomes(h, 1, NULL, &t), QE_EINVAL);
    assert_int_equal(qe_history_outcomes(NULL, 1, take_outcome, &t), QE_EINVAL);
    qe_history_close(h);
}

static int take_execution(void *arg, const qe_history_run *run,
                          const qe_attempt *attempt)
{
    struct told *t = arg;

    assert_int_equal(attempt->outcome, QE_FAILED);
    assert_string_equal(attempt->message, "assert 1 == 2");
    assert_string_equal(run->branch, "main");
    snprintf(t->revision, sizeof(t->revision), "%s", run->revision);
    t->ids[t->count++ % 8] = run->id;
    t->last = *run;
    t->attempt = *attempt;
    return t->stop_at == (int) t->count ? 42 : 0;
}

static void executions_of_a_test_come_newest_first(void **state)
{
    const struct scratch *s = *state;
    struct told t = {0};
    qe_history *h;

    for (int n = 1; n <= 3; n++)
        assert_int_equal(save_sample(s->path, 10, n), QE_OK);
    h = must_open(s);
    assert_int_equal(qe_history_executions(h, "test 9", 2, take_execution, &t),
                     QE_OK);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.ids[0], 3);
    assert_int_equal(t.ids[1], 2);
    assert_true(t.attempt.duration_s == 2 && t.last.started_s == 1.7e9);
    assert_string_equal(t.revision, "abc");
    t = (struct told){.stop_at = 1};
    assert_int_equal(qe_history_executions(h, "test 9", 9, take_execution, &t),
                     42);
    t = (struct told){0};
    assert_int_equal(qe_history_executions(h, "other", 9, take_execution, &t),
                     QE_OK);
    assert_int_equal(t.count, 0);
    assert_int_equal(qe_history_executions(h, NULL, 9, take_execution, &t),
                     QE_EINVAL);
    assert_int_equal(qe_history_executions(h, "test 9", 9, NULL, &t),
                     QE_EINVAL);
    qe_history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(runs_come_newest_first_with_their_outcomes),
        T(attempts_come_in_the_order_in_which_they_began),
        T(one_run_is_found_by_its_number),
        T(outcomes_of_a_run_come_with_their_messages),
        T(executions_of_a_test_come_newest_first),
        T(what_others_have_written_is_made_sense_of),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
