#include "sched_world.h"

#include <stdio.h>
#include <string.h>

uint32_t world_below(struct world *w, uint32_t n)
{
    return (uint32_t) (qe__random(&w->random) % n);
}

uint32_t world_scope_of(const struct world *w, uint32_t unit)
{
    return qe__plan_unit_scope(w->plan, unit);
}

static uint32_t scope_flags(const struct world *w, uint32_t unit)
{
    return qe__plan_scope_flags(w->plan, world_scope_of(w, unit));
}

bool world_is_fresh(const struct world *w, uint32_t unit)
{
    return !w->options.isolate && (scope_flags(w, unit) & QE_UNIT_FRESH);
}

bool world_is_serial(const struct world *w, uint32_t unit)
{
    return w->unit[unit].given.flags & QE_UNIT_SERIAL;
}

/* Whether starting it demands that nothing else runs. */
bool world_is_alone(const struct world *w, uint32_t unit, uint32_t count)
{
    return world_is_serial(w, unit) ||
           (count > 1 && (scope_flags(w, unit) & QE_UNIT_SERIAL));
}

/* Whether its scope belongs to one slot, and which that is. */
static uint32_t bound_to(const struct world *w, uint32_t unit)
{
    if (!w->options.steal_scopes && !(scope_flags(w, unit) & QE_UNIT_TOGETHER))
        return NONE;
    return w->owner[world_scope_of(w, unit)];
}

void world_make(struct world *w, uint64_t seed)
{
    uint32_t flags[16], i;
    bool history;

    memset(w, 0, sizeof *w);
    w->seed = w->random = seed;
    w->options.slots = 1 + world_below(w, MAX_SLOTS);
    w->options.isolate = world_below(w, 5) == 0;
    w->options.steal_scopes = world_below(w, 4) == 0;
    w->queueing = !w->options.isolate && world_below(w, 2) == 0;
    w->options.in_order = !w->queueing && world_below(w, 3) == 0;
    w->units =
        world_below(w, 4) == 0 ? world_below(w, 4) : world_below(w, MAX_UNITS);
    history = world_below(w, 2) == 0;
    for (i = 0; i < QE__COUNT(flags); i++)
        flags[i] = (world_below(w, 3) == 0 ? QE_UNIT_TOGETHER : 0) |
                   (world_below(w, 6) == 0 ? QE_UNIT_FRESH : 0);
    assert_int_equal(qe_plan_new(&w->plan), 0);
    for (i = 0; i < w->units; i++) {
        char id[16], scope[16];
        uint32_t which = world_below(w, QE__COUNT(flags) + 4);
        qe_unit *unit = &w->unit[i].given;

        snprintf(id, sizeof id, "%u", i);
        snprintf(scope, sizeof scope, "s%u", which);
        unit->id = id;
        unit->scope = which < QE__COUNT(flags) ? scope : NULL;
        unit->flags = which < QE__COUNT(flags) ? flags[which] : 0;
        unit->flags |= world_below(w, 12) == 0 ? QE_UNIT_SERIAL : 0;
        unit->expected_ns =
            history && world_below(w, 4) ? world_below(w, 100) : 0;
        assert_int_equal(qe_plan_add(w->plan, unit), 0);
        w->unit[i].attempt = 1;
        w->owner[i] = w->last_first[i] = NONE;
    }
    assert_int_equal(qe_plan_seal(w->plan), 0);
    assert_int_equal(qe__sched_new(&w->sched, w->plan, &w->options), 0);
}

uint32_t world_busy_slots(const struct world *w)
{
    uint32_t i, n = 0;

    for (i = 0; i < w->options.slots; i++)
        n += w->slot[i].busy;
    return n;
}

/* A due attempt that an idle slot could run now. */
static bool can_run_again(const struct world *w, uint32_t unit)
{
    const struct model_unit *u = &w->unit[unit];
    uint32_t slot = bound_to(w, unit);

    return u->where == TO_RUN_AGAIN && u->due_ns <= w->now_ns &&
           !world_is_serial(w, unit) && (slot == NONE || !w->slot[slot].busy);
}

static bool can_begin(const struct world *w, uint32_t unit)
{
    uint32_t slot = bound_to(w, unit);

    return w->unit[unit].where == NOT_STARTED && !world_is_serial(w, unit) &&
           !world_is_fresh(w, unit) && (slot == NONE || !w->slot[slot].busy);
}

void world_check_start(struct world *w, const qe__step *step)
{
    const struct model_unit *u;
    uint32_t i, n, slot;
    const uint32_t *order;
    bool again;

    CHECK(w, !w->cancelled);
    CHECK(w, step->slot < w->options.slots);
    CHECK(w, !w->slot[step->slot].busy);
    CHECK(w, step->unit < w->units);
    u = &w->unit[step->unit];
    again = u->where == TO_RUN_AGAIN;
    CHECK(w, again || u->where == NOT_STARTED);
    CHECK(w, step->attempt == u->attempt);
    CHECK(w, !again || u->due_ns <= w->now_ns);
    CHECK(w, step->fresh == (again || w->options.isolate ||
                             world_is_fresh(w, step->unit)));

    /* A FRESH scope comes whole, anything else alone. */
    order = qe__plan_scope_units(w->plan, world_scope_of(w, step->unit), &n);
    CHECK(w, step->count == (world_is_fresh(w, step->unit) && !again ? n : 1));
    CHECK(w, step->count == 1 || order[0] == step->unit);

    slot = bound_to(w, step->unit);
    CHECK(w, slot == NONE || slot == step->slot);

    /* Nothing runs beside a SERIAL unit. */
    for (i = 0; i < w->options.slots; i++) {
        CHECK(w,
              !w->slot[i].busy || !world_is_alone(w, step->unit, step->count));
        CHECK(w, !w->slot[i].alone);
    }
    for (i = 0; i < w->units; i++) {
        if (i == step->unit)
            continue;
        /* Due attempts go first, and of these the oldest. */
        if (can_run_again(w, i)) {
            CHECK(w, again && !world_is_serial(w, step->unit));
            CHECK(w, u->due_ns < w->unit[i].due_ns ||
                         (u->due_ns == w->unit[i].due_ns &&
                          u->order < w->unit[i].order));
        }
        /* Then what is neither FRESH nor SERIAL. */
        if (can_begin(w, i) && !again)
            CHECK(w, !world_is_fresh(w, step->unit) &&
                         !world_is_serial(w, step->unit));
        if (world_is_serial(w, step->unit) && !world_is_fresh(w, step->unit) &&
            !again)
            CHECK(w, w->unit[i].where != NOT_STARTED || world_is_serial(w, i));
    }
    /* A scope that stays together also stays in order. */
    if (!again &&
        (slot != NONE || (scope_flags(w, step->unit) & QE_UNIT_TOGETHER)) &&
        !world_is_serial(w, step->unit)) {
        uint32_t *last = &w->last_first[world_scope_of(w, step->unit)];

        CHECK(w, *last == NONE || *last < step->unit);
        *last = step->unit;
    }
}

void world_check_wait(struct world *w, const qe__step *step)
{
    uint32_t i;
    bool alone = false;

    CHECK(w, w->cancelled || qe__sched_settled_count(w->sched) < w->units);
    for (i = 0; i < w->options.slots; i++)
        alone |= w->slot[i].alone;
    if (w->cancelled || alone || world_busy_slots(w) == w->options.slots) {
        CHECK(w, step->wake_ns == UINT64_MAX);
        return;
    }
    CHECK(w, step->wake_ns > w->now_ns);
    /* Nothing that could run is left lying. */
    for (i = 0; i < w->units; i++) {
        CHECK(w, !can_run_again(w, i));
        CHECK(w, !can_begin(w, i));
        CHECK(w,
              !(w->unit[i].where == NOT_STARTED && world_busy_slots(w) == 0));
        CHECK(w, !(w->unit[i].where == NOT_STARTED && world_is_fresh(w, i) &&
                   !(scope_flags(w, i) & QE_UNIT_SERIAL)));
        if (w->unit[i].where == TO_RUN_AGAIN && w->unit[i].due_ns > w->now_ns)
            CHECK(w, step->wake_ns <= w->unit[i].due_ns);
    }
}
