/* Attempts of which there is nothing to tell but that they passed. */
#include "session_world.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

/* The kinds of events of each unit, a letter each. */
static char told[64][32];
static qe_event plain;

static void note_kind(struct world *w, const qe_event *e)
{
    static const char letters[] = {
        [QE_EV_START] = 'S',  [QE_EV_PASSED] = 'p', [QE_EV_DATA] = 'd',
        [QE_EV_FINISH] = 'F', [QE_EV_PLAIN] = 'P',  [QE_EV_LOST] = 'L',
    };

    (void) w;
    if (e->unit < 64 && (size_t) e->kind < sizeof(letters) &&
        letters[e->kind] != 0) {
        char *at = told[e->unit] + strlen(told[e->unit]);

        if (at < told[e->unit] + sizeof(told[0]) - 1)
            *at = letters[e->kind];
    }
    if (e->kind == QE_EV_PLAIN) {
        plain = *e;
        assert_true(e->settled);
        assert_int_equal(e->outcome, QE_PASSED);
    }
}

static int plain_setup(void **state)
{
    int status = world_setup(state);
    struct world *w = *state;

    if (status == 0) {
        memset(told, 0, sizeof(told));
        w->options.plain_events = true;
        w->on_event = note_kind;
    }
    return status;
}

/* What a unit does; the last letter is its outcome. */
static const char *script[8];

static enum qe_outcome play(qe_worker *worker, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '1':
        case '2':
        case '3':
            (void) qe_worker_passed(worker, (enum qe_phase)(*text - '0'),
                                    10 + (*text - '0'), 0.5 * (*text - '0'));
            break;
        case 'd':
            (void) qe_worker_send(worker, 5, "data", 4);
            break;
        case 'K':
            (void) raise(SIGKILL);
            break;
        case 'f':
            (void) qe_worker_finish(worker, QE_PASSED, false, "end", 3);
            return QE_NONE;
        case 'l':
            (void) qe_worker_finish(worker, QE_PASSED, true, NULL, 0);
            return QE_NONE;
        case 's':
            return QE_SKIPPED;
        case 'x':
            return QE_FAILED;
        default:
            return QE_PASSED;
        }
    }
    return QE_PASSED;
}

static enum qe_outcome body_plays(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) w;
    return play(worker, script[claim->unit]);
}

static void run_script(struct world *w, uint32_t n, uint32_t retries)
{
    w->body = body_plays;
    world_add_many(w, n, n, 0, retries);
    world_run(w);
}

static void a_plain_attempt_is_one_event(void **state)
{
    script[0] = "123f";
    run_script(*state, 1, 0);
    assert_string_equal(told[0], "P");
    assert_int_equal(plain.unit, 0);
    assert_int_equal(plain.attempt, 1);
    assert_int_equal(plain.data_size, 3);
    assert_true(plain.start_s > 1e9);
    assert_false(plain.last);
    for (int i = 0; i < 3; i++) {
        assert_true(plain.phases[i].start_s == 11 + i);
        assert_true(plain.phases[i].duration_s == 0.5 * (i + 1));
    }
}

static void what_is_not_plain_is_told_in_full_and_in_order(void **state)
{
    static const char *const expected[] = {"SpdppF", "SdpppF", "SpppdF", "SppF",
                                           "SpppF",  "SppppF", "SF",     "P"};

    script[0] = "1d23";
    script[1] = "d123";
    script[2] = "123d";
    script[3] = "23";
    script[4] = "123s";
    script[5] = "1223";
    script[6] = "x";
    script[7] = "123";
    run_script(*state, 8, 0);
    for (uint32_t u = 0; u < 8; u++)
        assert_string_equal(told[u], expected[u]);
}

static void what_a_dead_attempt_had_told_is_not_kept(void **state)
{
    struct world *w = *state;

    script[0] = "12K";
    script[1] = "K";
    script[2] = "1d2K";
    script[3] = "123K";
    run_script(w, 4, 0);
    assert_string_equal(told[0], "SppL");
    assert_string_equal(told[1], "SL");
    assert_string_equal(told[2], "SpdpL");
    assert_string_equal(told[3], "SpppL");
    for (uint32_t u = 0; u < 4; u++)
        assert_int_equal(w->unit[u].outcome, QE_CRASHED);
}

static void a_second_attempt_is_told_in_full(void **state)
{
    struct world *w = *state;

    script[0] = "12x";
    w->body = body_plays;
    world_add_many(w, 1, 1, 0, 1);
    world_run(w);
    assert_string_equal(told[0], "SppFSppF");
}

/* The host keeps what it knows of such a test until its worker goes on. */
static void a_start_after_a_lingering_test_is_told(void **state)
{
    script[0] = "123l";
    script[1] = "123";
    script[2] = "123";
    run_script(*state, 3, 0);
    assert_string_equal(told[0], "P");
    assert_string_equal(told[1], "SpppF");
    assert_string_equal(told[2], "P");
}

static enum qe_outcome body_is_plain(struct world *w, qe_worker *worker,
                                     const qe_claim *claim)
{
    (void) w;
    (void) claim;
    for (int phase = 1; phase <= 3; phase++)
        (void) qe_worker_passed(worker, (enum qe_phase) phase, 1, 0);
    return QE_PASSED;
}

static void a_thousand_plain_attempts_are_a_thousand_events(void **state)
{
    struct world *w = *state;
    uint32_t n = (uint32_t) scratch_scaled(1000);

    w->body = body_is_plain;
    w->options.workers = 2;
    world_add_many(w, n, 10, 0, 0);
    world_run(w);
    assert_int_equal(w->events, n + 2 * w->workers + 1);
}

/* A test that has just ended is told while the next one runs on and on. */
static enum qe_outcome body_second_waits(struct world *w, qe_worker *worker,
                                         const qe_claim *claim)
{
    if (claim->unit == 1)
        NOTE(w, world_wait_gate(w, 0));
    return body_is_plain(w, worker, claim);
}

static void an_end_is_told_while_the_next_test_runs(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_second_waits;
    world_add_many(w, 2, 2, 0, 0);
    world_start(w);
    world_until(w, QE_EV_PLAIN, 0, &event);
    world_open(w, 0);
    world_finish(w);
    world_check(w);
}

int main(void)
{
#define T(test)                                                                \
    cmocka_unit_test_setup_teardown(test, plain_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(a_plain_attempt_is_one_event),
        T(what_is_not_plain_is_told_in_full_and_in_order),
        T(what_a_dead_attempt_had_told_is_not_kept),
        T(a_second_attempt_is_told_in_full),
        T(a_start_after_a_lingering_test_is_told),
        T(a_thousand_plain_attempts_are_a_thousand_events),
        T(an_end_is_told_while_the_next_test_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
