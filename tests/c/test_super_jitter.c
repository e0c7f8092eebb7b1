/* Workers that are held now and then, and partners that begin together. */
#include "session_world.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_worker.h"

static volatile sig_atomic_t let_go; /* how often, in this process */

static void on_continue(int sig)
{
    (void) sig;
    let_go++;
}

static void begin(struct world *w, qe_worker *worker)
{
    uint32_t refused;

    NOTE(w, signal(SIGCONT, on_continue) != SIG_ERR);
    NOTE(w, qe_worker_around(worker, NULL, &refused) == 0 && refused == 0);
}

static void give(struct world *w, uint32_t number, const qe_around *around,
                 uint32_t n, uint64_t timeout_ns)
{
    static const uint32_t items[64];
    uint64_t limits[64];
    qe_pass pass = {.number = number,
                    .items = items,
                    .timeout_ns = limits,
                    .n = n,
                    .seed = 11,
                    .around = around};
    uint32_t unit;

    for (uint32_t i = 0; i < n; i++) {
        limits[i] = timeout_ns;
    }
    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
}

static void begin_run(struct world *w, world_body *body, uint32_t n,
                      uint64_t timeout_ns)
{
    w->begin = begin;
    w->body = body;
    for (uint32_t i = 0; i < n; i++) {
        world_add(w, "spare", QE_UNIT_SPARE, 0, timeout_ns);
    }
    world_start(w);
}

static void end_run(struct world *w)
{
    (void) qe_session_no_more(w->session);
    world_finish(w);
    world_check(w);
}

/* -------------------------------------------------------------------- jitter */

/* Until it was held; its limit is further away then. */
static enum qe_outcome body_held(struct world *w, qe_worker *worker,
                                 const qe_claim *claim)
{
    uint64_t until = qe_now_ns() + world_patience_ns();
    uint64_t limit = atomic_load(&worker->slot->deadline_ns);
    int before = let_go;

    while ((let_go == before ||
            atomic_load(&worker->slot->deadline_ns) < limit + WORLD_MS) &&
           qe_now_ns() < until) {
        (void) poll(NULL, 0, 1);
    }
    NOTE(w, limit != 0 && qe_now_ns() < until);
    atomic_fetch_add(&w->shared->word[claim->pass], 1);
    return QE_PASSED;
}

static void each_attempt_is_held_and_no_limit_comes_nearer(void **state)
{
    qe_around around = {.flags = QE_JITTER};
    struct world *w = *state;

    begin_run(w, body_held, 6, world_patience_ns());
    give(w, 0, &around, 6, world_patience_ns());
    end_run(w);
    assert_int_equal(atomic_load(&w->shared->word[0]), 6);
}

static enum qe_outcome body_not_held(struct world *w, qe_worker *worker,
                                     const qe_claim *claim)
{
    (void) worker;
    (void) claim;
    (void) poll(NULL, 0, 30);
    NOTE(w, let_go == 0);
    return QE_PASSED;
}

static void others_are_not_held(void **state)
{
    qe_around around = {.flags = QE_IDLE};
    struct world *w = *state;

    begin_run(w, body_not_held, 4, 0);
    give(w, 0, &around, 2, 0);
    give(w, 1, NULL, 2, 0);
    end_run(w);
}

/* It computes for 400 ms of its own processor time. */
static enum qe_outcome body_computes(struct world *w, qe_worker *worker,
                                     const qe_claim *claim)
{
    struct timespec t;

    (void) w;
    (void) worker;
    (void) claim;
    do {
        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    } while (t.tv_sec == 0 && t.tv_nsec < 400000000);
    return QE_PASSED;
}

static bool is_stopped(pid_t pid)
{
    char path[40], text[512] = "";
    const char *at;
    FILE *file;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    file = fopen(path, "r");
    n = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);
    if (file != NULL) {
        fclose(file);
    }
    text[n] = '\0';
    at = strrchr(text, ')');
    return at != NULL && at[1] == ' ' && at[2] == 'T';
}

/* The worker of the pass, while it is held. */
static pid_t held_worker(struct world *w)
{
    qe_event event;
    pid_t pid;

    world_until(w, QE_EV_WORKER, QE__NONE, &event);
    pid = event.pid;
    WORLD_WAIT(is_stopped(pid));
    return pid;
}

static void none_stays_held_when_the_supervisor_is_killed(void **state)
{
    qe_around around = {.flags = QE_JITTER};
    struct world *w = *state;
    pid_t pid;

    begin_run(w, body_computes, 2, 0);
    give(w, 0, &around, 2, 0);
    pid = held_worker(w);
    assert_int_equal(kill(world_supervisor(w), SIGKILL), 0);
    end_run(w);
    assert_false(world_runs(pid));
    assert_int_equal(w->unit[0].outcome, QE_PASSED);
}

static void a_pause_holds_them_until_it_ends(void **state)
{
    qe_around around = {.flags = QE_JITTER};
    struct world *w = *state;
    pid_t pid;

    begin_run(w, body_computes, 1, 0);
    give(w, 0, &around, 1, 0);
    pid = held_worker(w);
    assert_int_equal(qe_session_pause(w->session, true), 0);
    /* Longer than any hold: it is the pause now. */
    (void) poll(NULL, 0, 400);
    assert_true(is_stopped(pid));
    assert_int_equal(qe_session_pause(w->session, false), 0);
    end_run(w);
}

static void a_limit_holds_all_the_same(void **state)
{
    qe_around around = {.flags = QE_JITTER};
    struct world *w = *state;

    begin_run(w, body_computes, 1, 100 * WORLD_MS);
    give(w, 0, &around, 1, 100 * WORLD_MS);
    end_run(w);
    assert_int_equal(w->unit[0].outcome, QE_TIMEOUT);
}

static void held_ones_are_killed_with_the_run(void **state)
{
    qe_around around = {.flags = QE_JITTER};
    struct world *w = *state;
    pid_t pid;

    begin_run(w, body_computes, 2, 0);
    give(w, 0, &around, 2, 0);
    pid = held_worker(w);
    assert_int_equal(qe_session_kill(w->session), 0);
    world_finish(w);
    assert_false(world_runs(pid));
}

/* ------------------------------------------------------------------ partners */

static enum qe_outcome body_meets(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) w;
    (void) worker;
    /* One of them comes late each time. */
    (void) poll(NULL, 0, claim->pass == 0 ? 0 : 60);
    return QE_PASSED;
}

/* Whether an attempt began when the partner's before it had ended, or had waited for
 * that as long as it may. */
static bool has_waited(const struct world *w, uint32_t unit, uint32_t other)
{
    uint64_t began = atomic_load(&w->shared->begin_ns[unit]);

    return began >= atomic_load(&w->shared->end_ns[other - 1]) ||
           began - atomic_load(&w->shared->end_ns[unit - 1]) >= 300 * WORLD_MS;
}

static void partners_begin_together(void **state)
{
    qe_around around = {.flags = QE_PARTNER, .partner = 3};
    struct world *w = *state;

    w->options.workers = 2;
    begin_run(w, body_meets, 8, 0);
    give(w, 0, &around, 4, 0);
    give(w, 1, &around, 4, 0);
    end_run(w);
    for (uint32_t i = 1; i < 4; i++) {
        assert_true(has_waited(w, i, 4 + i));
        assert_true(has_waited(w, 4 + i, i));
    }
}

static enum qe_outcome body_crashes(struct world *w, qe_worker *worker,
                                    const qe_claim *claim)
{
    (void) worker;
    (void) w;
    if (claim->pass == 1 && claim->unit == 5) {
        (void) kill(getpid(), SIGKILL);
    }
    return QE_PASSED;
}

static void who_has_left_is_not_waited_for(void **state)
{
    qe_around around = {.flags = QE_PARTNER, .partner = 3};
    qe_around alone = {.flags = QE_PARTNER, .partner = 4};
    struct world *w = *state;
    uint64_t began = qe_now_ns();

    w->options.workers = 2;
    begin_run(w, body_crashes, 48, 0);
    give(w, 0, &around, 4, 0);
    give(w, 1, &around, 4, 0);
    give(w, 2, &alone, 40, 0); /* nobody comes */
    end_run(w);
    assert_int_equal(w->unit[5].outcome, QE_CRASHED);
    assert_true(qe_now_ns() - began < 40 * 300 * WORLD_MS);
}

/* With one worker the second begins when the first has ended. */
static void who_comes_later_is_waited_for_once(void **state)
{
    qe_around around = {.flags = QE_PARTNER, .partner = 3};
    struct world *w = *state;
    uint64_t first, last;

    begin_run(w, body_passes, 60, 0);
    give(w, 0, &around, 30, 0);
    give(w, 1, &around, 30, 0);
    end_run(w);
    first = atomic_load(&w->shared->begin_ns[0]);
    last = atomic_load(&w->shared->begin_ns[29]);
    assert_true(last - first < 29 * 300 * WORLD_MS);
    assert_true(atomic_load(&w->shared->begin_ns[59]) > last);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_attempt_is_held_and_no_limit_comes_nearer),
        TEST(others_are_not_held),
        TEST(none_stays_held_when_the_supervisor_is_killed),
        TEST(a_pause_holds_them_until_it_ends),
        TEST(a_limit_holds_all_the_same),
        TEST(held_ones_are_killed_with_the_run),
        TEST(partners_begin_together),
        TEST(who_has_left_is_not_waited_for),
        TEST(who_comes_later_is_waited_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
