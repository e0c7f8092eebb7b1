/*
 * Random plans, driven by an executor that knows no mercy: attempts fail, are
 * lost with their worker, take any time, and end in any order. A model beside
 * it knows what may happen at each moment. Time is virtual, seeds are fixed,
 * and the one that fails is printed.
 */
#include "sched_world.h"

#include <string.h>

static void begin_first(struct world *w, uint32_t slot)
{
    struct model_slot *s = &w->slot[slot];
    struct model_unit *u = &w->unit[s->todo[0]];

    u->where = RUNS;
    s->until_ns = w->now_ns + world_below(w, 50);
}

static void apply_start(struct world *w, const qe__step *step)
{
    struct model_slot *s = &w->slot[step->slot];
    uint32_t n, i, scope = world_scope_of(w, step->unit);
    const uint32_t *order = qe__plan_scope_units(w->plan, scope, &n);

    s->busy = true;
    s->queueing = false;
    s->alone = world_is_alone(w, step->unit, step->count);
    s->count = step->count;
    memcpy(s->todo, step->count > 1 ? order : &step->unit,
           step->count * sizeof *s->todo);
    for (i = 0; i < s->count; i++)
        w->unit[s->todo[i]].where = RUNS;
    if (w->owner[scope] == NONE)
        w->owner[scope] = step->slot;
    begin_first(w, step->slot);
}

/* The attempt is over: for good, or not. */
static void end_attempt(struct world *w, uint32_t unit)
{
    struct model_unit *u = &w->unit[unit];

    u->order = ++w->requests;
    switch (world_below(w, 6)) {
    case 0:
        u->where = TO_RUN_AGAIN;
        u->attempt++;
        u->due_ns = w->now_ns + (world_below(w, 2) ? world_below(w, 200) : 0);
        CHECK(w, qe__sched_retry(w->sched, unit, u->attempt, u->due_ns) == 0);
        break;
    case 1:
        u->where = TO_RUN_AGAIN;
        u->due_ns = w->last_next_ns;
        CHECK(w, qe__sched_requeue(w->sched, unit, u->attempt) == 0);
        break;
    default:
        u->where = SETTLED;
        CHECK(w, qe__sched_settled(w->sched, unit) == 0);
        CHECK(w, qe__sched_settled(w->sched, unit) == QE_ESTATE);
        break;
    }
    /* Nobody runs what was cancelled again. */
    if (w->cancelled)
        u->where = SETTLED;
}

static void leave(struct world *w, uint32_t slot)
{
    struct model_slot *s = &w->slot[slot];

    s->busy = s->alone = false;
    s->count = 0;
    qe__sched_slot_free(w->sched, slot);
}

/* The worker dies; what it had not begun runs elsewhere. */
static void lose_rest(struct world *w, uint32_t slot)
{
    struct model_slot *s = &w->slot[slot];
    uint32_t i;

    for (i = 0; i < s->count; i++) {
        struct model_unit *u = &w->unit[s->todo[i]];

        u->where = w->cancelled ? SETTLED : TO_RUN_AGAIN;
        u->due_ns = w->last_next_ns;
        u->order = ++w->requests;
        CHECK(w, qe__sched_requeue(w->sched, s->todo[i], u->attempt) == 0);
    }
    leave(w, slot);
}

/* A worker that ran dry takes the last unit of another's queue. */
static void steal(struct world *w, uint32_t thief)
{
    uint32_t i, from = world_below(w, w->options.slots);

    for (i = 0; i < w->options.slots; i++) {
        struct model_slot *s = &w->slot[(from + i) % w->options.slots];

        if (s->queueing && s->count > 1) {
            w->slot[thief].todo[0] = s->todo[--s->count];
            w->slot[thief].count = 1;
            return;
        }
    }
}

/* The first attempt of a slot ends at its time. */
static void finish_first(struct world *w, uint32_t slot)
{
    struct model_slot *s = &w->slot[slot];
    uint32_t unit = s->todo[0];
    bool free_first = world_below(w, 4) == 0 && s->count == 1 && !s->queueing;

    if (free_first)
        leave(w, slot);
    end_attempt(w, unit);
    if (free_first)
        return;
    s->count--;
    memmove(s->todo, s->todo + 1, s->count * sizeof *s->todo);
    if (w->cancelled && s->queueing)
        s->count = 0;
    if (world_below(w, 10) == 0) {
        lose_rest(w, slot);
        return;
    }
    if (s->count == 0 && s->queueing && !w->cancelled)
        steal(w, slot);
    if (s->count == 0)
        leave(w, slot);
    else
        begin_first(w, slot);
}

static void give_queues(struct world *w)
{
    uint32_t i, j;

    for (i = 0; i < w->options.slots; i++) {
        struct model_slot *s = &w->slot[i];
        const uint32_t *units;
        size_t n;

        if (world_below(w, 8) == 0)
            continue;
        CHECK(w, qe__sched_queue(w->sched, i, &units, &n) == 0);
        s->busy = s->queueing = true;
        s->count = (uint32_t) n;
        for (j = 0; j < n; j++) {
            s->todo[j] = units[j];
            CHECK(w, w->unit[units[j]].where == NOT_STARTED);
            CHECK(w, !world_is_serial(w, units[j]) &&
                         !world_is_fresh(w, units[j]));
            /* A scope is in one piece and in order. */
            CHECK(w, w->owner[world_scope_of(w, units[j])] != i ||
                         world_scope_of(w, units[j - 1]) ==
                             world_scope_of(w, units[j]));
            CHECK(w, w->owner[world_scope_of(w, units[j])] == NONE ||
                         (w->owner[world_scope_of(w, units[j])] == i &&
                          units[j - 1] < units[j]));
            w->unit[units[j]].where = IN_QUEUE;
            w->owner[world_scope_of(w, units[j])] = i;
        }
    }
    /* Who claims them in the end is between the workers. */
    for (i = 0; i < w->options.slots; i++) {
        struct model_slot *s = &w->slot[i];

        for (j = 0; j < s->count; j++)
            w->owner[world_scope_of(w, s->todo[j])] = NONE;
    }
    for (i = 0; i < w->options.slots; i++) {
        struct model_slot *s = &w->slot[i];

        if (s->busy && s->count == 0)
            steal(w, i);
        if (s->busy && s->count == 0)
            leave(w, i);
        else if (s->busy)
            begin_first(w, i);
    }
}

static void cancel(struct world *w)
{
    uint32_t i;

    qe__sched_cancel(w->sched);
    w->cancelled = true;
    for (i = 0; i < w->units; i++) {
        if (w->unit[i].where != RUNS)
            w->unit[i].where = SETTLED;
    }
}

/* Moves time on to the next thing that happens. */
static void pass_time(struct world *w, uint64_t wake_ns)
{
    uint32_t i, at = NONE, from = world_below(w, w->options.slots);

    for (i = 0; i < w->options.slots; i++) {
        uint32_t slot = (from + i) % w->options.slots;
        const struct model_slot *s = &w->slot[slot];

        if (s->busy && (at == NONE || s->until_ns < w->slot[at].until_ns))
            at = slot;
    }
    CHECK(w, at != NONE || wake_ns != UINT64_MAX);
    if (at != NONE && w->slot[at].until_ns <= wake_ns) {
        if (w->now_ns < w->slot[at].until_ns)
            w->now_ns = w->slot[at].until_ns;
        finish_first(w, at);
    } else {
        w->now_ns = wake_ns;
    }
}

/* Settled units, as the model counts them. */
static uint32_t settled(const struct world *w)
{
    uint32_t i, n = 0;

    for (i = 0; i < w->units; i++)
        n += w->unit[i].where == SETTLED;
    return n;
}

static void run_world(uint64_t seed)
{
    struct world world, *w = &world;
    uint32_t steps = 0, cancel_at = NONE;
    qe__step step;

    world_make(w, seed);
    if (world_below(w, 5) == 0)
        cancel_at = world_below(w, 2 * w->units + 1);
    if (w->queueing)
        give_queues(w);
    for (;; steps++) {
        CHECK(w, steps < 100 * (w->units + 1));
        if (steps == cancel_at)
            cancel(w);
        CHECK(w, qe__sched_next(w->sched, w->now_ns, &step) == 0);
        w->last_next_ns = w->now_ns;
        if (step.kind == QE__STEP_DONE)
            break;
        if (step.kind == QE__STEP_START) {
            world_check_start(w, &step);
            apply_start(w, &step);
        } else {
            world_check_wait(w, &step);
            pass_time(w, step.wake_ns);
        }
        /* Now and then something ends although more could be started. */
        if (step.kind == QE__STEP_START && world_below(w, 3) == 0)
            pass_time(w, UINT64_MAX);
        if (!w->cancelled)
            CHECK(w, qe__sched_settled_count(w->sched) == settled(w));
    }
    CHECK(w, settled(w) == w->units);
    CHECK(w, qe__sched_settled_count(w->sched) == w->units);
    qe__sched_free(w->sched);
    qe_plan_free(w->plan);
}

static void every_promise_holds_in_random_runs(void **state)
{
    uint64_t seed;

    (void) state;
    for (seed = 1; seed <= 5000; seed++)
        run_world(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promise_holds_in_random_runs),
    };

    return cmocka_run_group_tests_name("sched_random", tests, NULL, NULL);
}
