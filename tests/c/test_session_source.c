/* A session whose units come by claims: what is claimed runs, what is wanted elsewhere
 * goes back. Who claims is the test. */
#include "session_world.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "scratch.h"

#define SAID_MAX 4096u

/* The other end: what it says comes from here, what it hears is kept. */
static struct {
    qe_source source;
    qe_source_news said[SAID_MAX];
    uint32_t head, tail;
    qe_source_room room;
    uint32_t rooms;
    struct {
        uint32_t first, count;
    } backs[64];
    uint32_t back_count;
    uint32_t next, end, batch; /* claims by itself, as there is room */
    int ended;                 /* the last SOURCE event */
} end;

static void say(qe_source_news news)
{
    assert_true(end.tail < SAID_MAX);
    end.said[end.tail++] = news;
    assert_int_equal(eventfd_write(end.source.fd, 1), 0);
}

static void claim(uint32_t first, uint32_t count)
{
    say((qe_source_news){
        .kind = QE_SOURCE_CLAIM, .first = first, .count = count, .attempt = 1});
}

static void take_one(void *ctx, qe_source_news *out)
{
    eventfd_t skip;

    (void) ctx;
    memset(out, 0, sizeof(*out));
    if (end.head < end.tail) {
        *out = end.said[end.head++];
    } else {
        (void) eventfd_read(end.source.fd, &skip);
    }
}

static void hear_room(void *ctx, const qe_source_room *room)
{
    (void) ctx;
    end.room = *room;
    end.rooms++;
    while (end.batch > 0 && end.next < end.end &&
           room->units + (end.tail - end.head) * end.batch < end.batch) {
        uint32_t n =
            end.batch < end.end - end.next ? end.batch : end.end - end.next;

        claim(end.next, n);
        end.next += n;
    }
}

static void hear_back(void *ctx, uint32_t first, uint32_t count)
{
    (void) ctx;
    assert_true(end.back_count < 64);
    end.backs[end.back_count].first = first;
    end.backs[end.back_count++].count = count;
}

static void hear_event(struct world *w, const qe_event *event)
{
    (void) w;
    if (event->kind == QE_EV_SOURCE)
        end.ended = event->status;
}

static int setup(void **state)
{
    struct world *w;

    memset(&end, 0, sizeof(end));
    end.source.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    end.source.take = take_one;
    end.source.room = hear_room;
    end.source.back = hear_back;
    if (end.source.fd < 0 || world_setup(state) != 0)
        return -1;
    w = *state;
    w->options.source = &end.source;
    w->on_event = hear_event;
    w->open_before--; /* its descriptor is closed behind the check */
    return 0;
}

static int teardown(void **state)
{
    close(end.source.fd);
    return world_teardown(state);
}

static void over(void)
{
    say((qe_source_news){.kind = QE_SOURCE_OVER});
}

static uint32_t outcomes(const struct world *w)
{
    uint32_t n = 0;

    for (uint32_t u = 0; u < w->units; u++) {
        assert_true(w->unit[u].finals <= 1);
        n += w->unit[u].finals;
    }
    assert_int_equal(atomic_load(&w->shared->wrong), 0);
    return n;
}

/* ----------------------------------------------------------------- claims */

static void what_is_not_claimed_does_not_run(void **state)
{
    struct world *w = *state;

    w->options.workers = 2;
    world_add_many(w, 20, 4, 0, 0);
    claim(3, 6);
    over();
    world_start(w);
    world_finish(w);
    assert_int_equal(outcomes(w), 6);
    for (uint32_t u = 0; u < 20; u++)
        assert_int_equal(w->unit[u].finals, u >= 3 && u < 9);
    assert_int_equal(end.ended, QE_SOURCE_OVER);
}

static void nothing_at_all_is_claimed(void **state)
{
    struct world *w = *state;

    world_add_many(w, 20, 4, 0, 0);
    over();
    world_start(w);
    world_finish(w);
    assert_int_equal(outcomes(w), 0);
    assert_int_equal(w->workers, 0);
}

static void claims_follow_the_room(struct world *w, uint32_t workers,
                                   uint32_t batch, uint32_t flags)
{
    uint32_t units = (uint32_t) scratch_scaled(1000);

    w->options.workers = workers;
    world_add_many(w, units, 7, flags, 0);
    end.end = units;
    end.batch = batch;
    world_run(w);
    for (uint32_t u = 0; u < units; u++)
        assert_int_equal(atomic_load(&w->shared->starts[u]), 1);
    assert_true(end.rooms > 0);
    assert_int_equal(end.ended, 0); /* all has run here: nobody need say so */
}

static void one_by_one_they_come(void **state)
{
    claims_follow_the_room(*state, 2, 1, 0);
}

static void many_at_once_they_come(void **state)
{
    claims_follow_the_room(*state, 4, 50, 0);
}

static void whole_scopes_stay_together(void **state)
{
    struct world *w = *state;

    claims_follow_the_room(w, 4, 21, QE_UNIT_TOGETHER);
    for (uint32_t u = 0; u + 1 < w->units; u++) {
        if (u / 7 == (u + 1) / 7)
            assert_int_equal(atomic_load(&w->shared->pid[u]),
                             atomic_load(&w->shared->pid[u + 1]));
    }
}

static void in_processes_of_their_own(void **state)
{
    struct world *w = *state;

    w->options.isolate = true;
    claims_follow_the_room(w, 2, 10, 0);
    assert_int_equal(w->workers, w->units);
}

static void serial_ones_run_alone(void **state)
{
    struct world *w = *state;

    w->options.workers = 3;
    world_add_many(w, 12, 3, 0, 0);
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    world_add(w, NULL, QE_UNIT_SERIAL, 0, 0);
    claim(0, 14);
    world_run(w);
    for (uint32_t u = 0; u < 14; u++) {
        for (uint32_t s = 12; s < 14; s++)
            assert_true(u == s ||
                        atomic_load(&w->shared->end_ns[u]) <=
                            atomic_load(&w->shared->begin_ns[s]) ||
                        atomic_load(&w->shared->end_ns[s]) <=
                            atomic_load(&w->shared->begin_ns[u]));
    }
}

static void what_is_claimed_twice_runs_once(void **state)
{
    struct world *w = *state;

    w->options.workers = 2;
    world_add_many(w, 30, 5, 0, 0);
    for (int i = 0; i < 20; i++)
        claim(0, 30);
    world_run(w);
    for (uint32_t u = 0; u < 30; u++)
        assert_int_equal(atomic_load(&w->shared->starts[u]), 1);
}

/* ------------------------------------------------------------------ back */

static enum qe_outcome body_waits(struct world *w, qe_worker *worker,
                                  const qe_claim *claimed)
{
    (void) worker;
    (void) claimed;
    NOTE(w, world_wait_gate(w, 0));
    return QE_PASSED;
}

static void until_back(struct world *w)
{
    qe_event event;

    while (end.back_count == 0 || end.backs[end.back_count - 1].count != 0)
        world_poll(w, &event);
}

static void what_was_claimed_last_goes_back(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits;
    world_add_many(w, 10, 10, 0, 0);
    world_start(w);
    claim(0, 10);
    world_until(w, QE_EV_START, 0, &event);
    while (end.room.units != 9)
        world_poll(w, &event);
    say((qe_source_news){.kind = QE_SOURCE_WANTED, .count = 4});
    until_back(w);
    assert_int_equal(end.back_count, 2);
    assert_int_equal(end.backs[0].first, 6);
    assert_int_equal(end.backs[0].count, 4);
    while (end.room.units != 5)
        world_poll(w, &event);
    /* What is asked for beyond that is what has not begun. */
    say((qe_source_news){.kind = QE_SOURCE_WANTED, .count = 40});
    end.back_count = 0;
    until_back(w);
    assert_int_equal(end.backs[0].first, 1);
    assert_int_equal(end.backs[0].count, 5);
    claim(4, 3); /* some of it comes again */
    world_open(w, 0);
    over();
    world_finish(w);
    assert_int_equal(outcomes(w), 4);
    for (uint32_t u = 0; u < 10; u++)
        assert_int_equal(w->unit[u].finals, u == 0 || (u >= 4 && u < 7));
}

static void a_scope_goes_back_whole_or_not(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits;
    world_add_many(w, 15, 5, QE_UNIT_TOGETHER, 0);
    world_start(w);
    claim(0, 12); /* the third not whole */
    world_until(w, QE_EV_START, 0, &event);
    say((qe_source_news){.kind = QE_SOURCE_WANTED, .count = 1});
    until_back(w);
    assert_int_equal(end.back_count, 2);
    assert_int_equal(end.backs[0].first, 5);
    assert_int_equal(end.backs[0].count, 5);
    end.back_count = 0;
    say((qe_source_news){.kind = QE_SOURCE_WANTED, .count = 9});
    until_back(w);
    assert_int_equal(end.back_count, 1); /* begun, or never whole */
    world_open(w, 0);
    over();
    world_finish(w);
    assert_int_equal(outcomes(w), 7);
}

static void what_is_lost_does_not_begin(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits;
    world_add_many(w, 10, 10, 0, 0);
    world_start(w);
    claim(0, 10);
    world_until(w, QE_EV_START, 0, &event);
    say((qe_source_news){.kind = QE_SOURCE_LOST, .first = 0, .count = 8});
    while (end.room.units != 2)
        world_poll(w, &event);
    world_open(w, 0);
    over();
    world_finish(w);
    assert_int_equal(outcomes(w), 3);
    assert_int_equal(w->unit[0].finals, 1); /* it had begun */
}

/* ----------------------------------------------------------- again, and ends */

static enum qe_outcome body_fails_at_first(struct world *w, qe_worker *worker,
                                           const qe_claim *claimed)
{
    (void) w;
    (void) worker;
    return claimed->attempt == 1 ? QE_FAILED : QE_PASSED;
}

static void another_attempt_is_another_claim(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_fails_at_first;
    w->retryable = true;
    world_add(w, NULL, 0, 1, 0);
    world_add(w, NULL, 0, 1, 0);
    world_start(w);
    claim(0, 2);
    for (int i = 0; i < 2; i++) {
        do
            world_next(w, &event);
        while (event.kind != QE_EV_FINISH);
    }
    for (int i = 0; i < 20; i++)
        world_poll(w, &event);
    assert_int_equal(atomic_load(&w->shared->all_starts), 2);
    say((qe_source_news){
        .kind = QE_SOURCE_CLAIM, .first = 1, .count = 1, .attempt = 2});
    over(); /* the other one has run elsewhere */
    world_finish(w);
    assert_int_equal(w->unit[0].finals, 0);
    assert_int_equal(w->unit[1].finals, 1);
    assert_int_equal(w->unit[1].outcome, QE_FLAKY);
}

static enum qe_outcome body_second_waits(struct world *w, qe_worker *worker,
                                         const qe_claim *claimed)
{
    (void) worker;
    if (claimed->attempt == 2)
        (void) world_wait_gate(w, 1);
    return QE_PASSED;
}

/* What runs again has a worker of its own, here in the turn of each that there could be. */
static void what_is_claimed_behind_another_attempt_runs(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_second_waits;
    w->retryable = true;
    w->options.workers = 2;
    world_add_many(w, 12, 3, 0, 1);
    world_start(w);
    for (uint32_t u = 0; u < 2; u++)
        say((qe_source_news){
            .kind = QE_SOURCE_CLAIM, .first = u, .count = 1, .attempt = 2});
    for (uint32_t n = 0; n < 2;) {
        world_next(w, &event);
        n += event.kind == QE_EV_START;
    }
    claim(2, 10);
    while (end.head < end.tail)
        world_poll(w, &event);
    world_open(w, 1);
    while (outcomes(w) < 12)
        world_next(w, &event);
    over();
    world_finish(w);
}

static void attempts_of_its_own_are_no_claims(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_fails_at_first;
    w->retryable = true;
    w->options.own_retries = true;
    world_add(w, NULL, 0, 5, 0);
    world_add(w, NULL, 0, 5, 0);
    world_start(w);
    claim(0, 1);
    world_until(w, QE_EV_FINISH, 0, &event);
    assert_int_equal(event.attempt, 1);
    /* Nobody has claimed anything more. */
    for (event.kind = QE_EV_NONE; event.kind != QE_EV_FINISH;)
        assert_int_equal(qe_session_next(w->session, 10000, &event), 0);
    assert_int_equal(event.attempt, 2);
    assert_int_equal(event.claim, 1);
    assert_int_equal(qe_session_release(w->session, 1), QE_ESTATE);
    assert_int_equal(qe_session_release(w->session, 2), QE_EINVAL);
    assert_int_equal(qe_session_release(w->session, 0), 0);
    say((qe_source_news){
        .kind = QE_SOURCE_CLAIM, .first = 0, .count = 1, .attempt = 2});
    over();
    world_until(w, QE_EV_FINISH, 0, &event);
    assert_int_equal(event.attempt, 3); /* the third of this node's */
    assert_int_equal(event.claim, 2);
    world_finish(w);
    assert_int_equal(w->unit[0].finals, 1);
    assert_int_equal(w->unit[1].finals, 0);
}

static enum qe_outcome body_dies_at_first(struct world *w, qe_worker *worker,
                                          const qe_claim *claimed)
{
    (void) worker;
    if (claimed->unit % 10 == 3 &&
        atomic_load(&w->shared->starts[claimed->unit]) == 1)
        raise(SIGKILL);
    return QE_PASSED;
}

static void a_worker_that_dies_loses_nothing(void **state)
{
    struct world *w = *state;
    uint32_t crashed = 0;

    w->body = body_dies_at_first;
    w->options.workers = 2;
    w->options.max_restarts = UINT32_MAX;
    world_add_many(w, 100, 5, 0, 0);
    end.end = 100;
    end.batch = 20;
    world_run(w);
    for (uint32_t u = 0; u < 100; u++)
        crashed += w->unit[u].outcome == QE_CRASHED;
    assert_int_equal(crashed, 10);
}

static void a_stop_elsewhere_stops_here(void **state)
{
    struct world *w = *state;
    qe_event event;

    w->body = body_waits;
    world_add_many(w, 10, 10, 0, 0);
    world_start(w);
    claim(0, 10);
    world_until(w, QE_EV_START, 0, &event);
    say((qe_source_news){.kind = QE_SOURCE_STOPPED});
    world_until(w, QE_EV_SOURCE, QE__NONE, &event);
    assert_int_equal(event.status, QE_SOURCE_STOPPED);
    say((qe_source_news){.kind = QE_SOURCE_WANTED, .count = 9});
    claim(0, 10);
    world_open(w, 0);
    world_finish(w);
    assert_int_equal(outcomes(w), 1);
}

static void without_its_source_it_ends_what_it_has(void **state)
{
    struct world *w = *state;

    w->body = body_fails_at_first;
    w->retryable = true;
    world_add_many(w, 10, 10, 0, 1);
    claim(0, 3);
    say((qe_source_news){.kind = QE_SOURCE_TROUBLE});
    world_start(w);
    world_finish(w);
    assert_int_equal(end.ended, QE_SOURCE_TROUBLE);
    assert_int_equal(outcomes(w), 3);
    assert_int_equal(w->unit[2].outcome, QE_FLAKY); /* here, then */
}

static void nonsense_ends_the_run(void **state)
{
    struct world *w = *state;
    const qe_source_news said[] = {
        {QE_SOURCE_CLAIM, 11, 1, 1, false},
        {QE_SOURCE_CLAIM, 5, 6, 1, false},
        {QE_SOURCE_CLAIM, 1, UINT32_MAX, 1, false},
        {QE_SOURCE_CLAIM, 0, 1, 0, false},
    };

    world_add_many(w, 10, 10, 0, 0);
    say((qe_source_news){.kind = QE_SOURCE_LOST, .first = 9, .count = 9});
    say(said[w->seed % 4]);
    world_start(w);
    world_finish(w);
    assert_int_equal(w->give_ups, 1);
    assert_int_equal(w->give_up_error, QE_EFORMAT);
    assert_int_equal(outcomes(w), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_not_claimed_does_not_run),
        T(nothing_at_all_is_claimed),
        T(one_by_one_they_come),
        T(many_at_once_they_come),
        T(whole_scopes_stay_together),
        T(in_processes_of_their_own),
        T(serial_ones_run_alone),
        T(what_is_claimed_twice_runs_once),
        T(what_was_claimed_last_goes_back),
        T(a_scope_goes_back_whole_or_not),
        T(what_is_lost_does_not_begin),
        T(another_attempt_is_another_claim),
        T(what_is_claimed_behind_another_attempt_runs),
        T(attempts_of_its_own_are_no_claims),
        T(a_worker_that_dies_loses_nothing),
        T(a_stop_elsewhere_stops_here),
        T(without_its_source_it_ends_what_it_has),
        T(nonsense_ends_the_run),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
