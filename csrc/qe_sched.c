/*
 * The scheduler itself: the state of every unit, and the order of choice.
 * What has not been started is in qe_sched_queue.c, what is to run again in
 * qe_sched_wait.c.
 */
#include "qe_sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "qe_sched_queue.h"
#include "qe_sched_wait.h"

enum state {
    IDLE,    /* not started, or not claimed */
    QUEUED,  /* a worker has it in its queue, and may have started it */
    RUNNING, /* yielded by qe__sched_next */
    WAITING, /* to run again */
    SETTLED,
    DROPPED /* cancelled; counts as settled */
};

/* Which states may follow which. */
#define TO(state) (1u << (state))
static const unsigned char may_become[] = {
    [IDLE] = TO(QUEUED) | TO(RUNNING) | TO(WAITING) | TO(DROPPED),
    [QUEUED] = TO(IDLE) | TO(WAITING) | TO(SETTLED) | TO(DROPPED),
    [RUNNING] = TO(IDLE) | TO(WAITING) | TO(SETTLED) | TO(DROPPED),
    [WAITING] = TO(RUNNING) | TO(DROPPED),
    [SETTLED] = 0,
    /* A queued unit may turn out to have been running. */
    [DROPPED] = TO(SETTLED) | TO(DROPPED),
};

struct qe_sched {
    const qe_plan *plan;
    uint32_t slots;
    bool isolate;
    bool by_claims;
    bool cancelled;
    size_t units; /* those that are spare do not count */
    size_t settled;
    bool more;            /* passes may follow */
    unsigned char *state; /* by unit */
    qe__queues queues;
    qe__waits waits;
    qe__slotset idle;
    uint32_t busy;   /* slots that are not idle */
    uint32_t alone;  /* slot that lets nothing else start, or QE__NO_SLOT */
    uint64_t now_ns; /* the latest that we were told */
};

static bool may_move(const qe_sched *s, uint32_t unit, enum state to)
{
    return (may_become[s->state[unit]] & TO(to)) != 0;
}

static bool is_over(unsigned char state)
{
    return state == SETTLED || state == DROPPED;
}

static void move(qe_sched *s, uint32_t unit, enum state to)
{
    assert(may_move(s, unit, to));
    s->settled += is_over((unsigned char) to) && !is_over(s->state[unit]);
    s->state[unit] = (unsigned char) to;
}

int qe__sched_new(qe_sched **out, const qe_plan *plan,
                  const qe__sched_options *options)
{
    qe_sched *s;
    uint32_t i;

    if (out == NULL || plan == NULL || options == NULL || options->slots == 0)
        return QE_EINVAL;
    if (options->slots > QE__SLOTS_MAX)
        return QE_ETOOBIG;
    /* Only a sealed plan knows the units of a scope. */
    if (qe__plan_scope_count(plan) > 0 &&
        qe__plan_scope_units(plan, 0, &i) == NULL)
        return QE_ESTATE;

    s = calloc(1, sizeof *s);
    if (s == NULL)
        return QE_ENOMEM;
    s->plan = plan;
    s->slots = options->slots;
    s->isolate = options->isolate;
    s->by_claims = options->by_claims;
    s->units = qe_plan_count(plan) - qe__plan_spares(plan);
    s->more = qe__plan_spares(plan) > 0;
    s->alone = QE__NO_SLOT;
    for (i = 0; i < s->slots; i++)
        qe__slotset_add(&s->idle, i);
    s->state = calloc(qe_plan_count(plan) + 1, sizeof *s->state);
    if (s->state == NULL)
        goto no_state;
    if (qe__queues_init(&s->queues, plan, options) != 0)
        goto no_queues;
    if (qe__waits_init(&s->waits, s->slots + 1) != 0)
        goto no_waits;
    *out = s;
    return 0;

no_waits:
    qe__queues_free(&s->queues);
no_queues:
    free(s->state);
no_state:
    free(s);
    return QE_ENOMEM;
}

void qe__sched_free(qe_sched *s)
{
    if (s == NULL)
        return;
    qe__waits_free(&s->waits);
    qe__queues_free(&s->queues);
    free(s->state);
    free(s);
}

static void make_busy(qe_sched *s, uint32_t slot)
{
    assert(qe__slotset_has(&s->idle, slot));
    qe__slotset_remove(&s->idle, slot);
    s->busy++;
}

int qe__sched_queue(qe_sched *s, uint32_t slot, const uint32_t **units,
                    size_t *n)
{
    size_t i;

    if (s == NULL || units == NULL || n == NULL || slot >= s->slots)
        return QE_EINVAL;
    if (s->isolate || s->cancelled || !qe__slotset_has(&s->idle, slot) ||
        !qe__queues_give(&s->queues, slot, units, n))
        return QE_ESTATE;
    for (i = 0; i < *n; i++)
        move(s, (*units)[i], QUEUED);
    make_busy(s, slot);
    return 0;
}

int qe__sched_common(qe_sched *s, const uint32_t **units, size_t *n)
{
    size_t i;

    if (s == NULL || units == NULL || n == NULL)
        return QE_EINVAL;
    if (s->isolate || s->cancelled || s->by_claims)
        return QE_ESTATE;
    qe__queues_give_common(&s->queues, units, n);
    for (i = 0; i < *n; i++)
        move(s, (*units)[i], QUEUED);
    return 0;
}

static uint32_t any_idle(const qe_sched *s)
{
    return qe__slotset_first(&s->idle, &s->idle, s->slots);
}

/* Starts an attempt of one unit. */
static void start(qe_sched *s, qe__step *out, uint32_t slot, uint32_t unit,
                  uint32_t attempt, bool fresh)
{
    move(s, unit, RUNNING);
    make_busy(s, slot);
    qe__queues_started(&s->queues, unit, slot);
    out->kind = QE__STEP_START;
    out->slot = slot;
    out->unit = unit;
    out->attempt = attempt;
    out->count = 1;
    out->fresh = fresh || s->isolate;
}

static void start_waiting(qe_sched *s, qe__step *out, uint32_t slot,
                          uint32_t entry)
{
    uint32_t unit, attempt;

    qe__waits_take(&s->waits, entry, &unit, &attempt);
    start(s, out, slot, unit, attempt, true);
}

static void start_fresh(qe_sched *s, qe__step *out, uint32_t slot,
                        uint32_t scope)
{
    uint32_t count, i;
    const uint32_t *units = qe__plan_scope_units(s->plan, scope, &count);

    start(s, out, slot, units[0], 1, true);
    for (i = 1; i < count; i++)
        move(s, units[i], RUNNING);
    out->count = count;
}

static bool must_run_alone(const qe_sched *s, uint32_t unit)
{
    qe_unit u;

    qe_plan_get(s->plan, unit, &u);
    return (u.flags & QE_UNIT_SERIAL) != 0;
}

/* The oldest attempt that is due and whose slot is idle. What is due but has
 * to wait for a slot, or for all of them, is put aside on the way. */
static bool next_waiting(qe_sched *s, qe__step *out)
{
    uint32_t entry;

    while (qe__waits_due(&s->waits, s->now_ns, &entry)) {
        uint32_t unit = s->waits.entry[entry].unit;
        uint32_t slot = qe__queues_bound_to(&s->queues, unit);

        if (must_run_alone(s, unit)) {
            qe__waits_park(&s->waits, entry, s->slots);
        } else if (slot == QE__NO_SLOT) {
            start_waiting(s, out, any_idle(s), entry);
            return true;
        } else if (qe__slotset_has(&s->idle, slot)) {
            start_waiting(s, out, slot, entry);
            return true;
        } else {
            qe__waits_park(&s->waits, entry, slot);
        }
    }
    return false;
}

static bool next_queued(qe_sched *s, qe__step *out)
{
    uint32_t slot, unit;

    if (!qe__queues_take(&s->queues, &s->idle, &slot, &unit))
        return false;
    start(s, out, slot, unit, 1, false);
    return true;
}

/* The first pass that waits, if it is one that does, or does not, run alone. */
static bool next_late(const qe_sched *s, bool alone)
{
    const qe__queues *q = &s->queues;

    return q->late_next < q->late_end &&
           ((qe__plan_scope_flags(s->plan, q->late[q->late_next]) &
             QE_UNIT_SERIAL) != 0) == alone;
}

static bool next_fresh(qe_sched *s, qe__step *out)
{
    qe__queues *q = &s->queues;

    if (q->fresh_next < q->fresh_end)
        start_fresh(s, out, any_idle(s), q->fresh[q->fresh_next++]);
    else if (next_late(s, false))
        start_fresh(s, out, any_idle(s), q->late[q->late_next++]);
    else
        return false;
    return true;
}

/* What lets nothing else run: attempts that are to run again, then FRESH
 * scopes with a SERIAL unit in them, then SERIAL units. */
static bool next_alone(qe_sched *s, qe__step *out)
{
    qe__queues *q = &s->queues;
    uint32_t entry, slot, unit;

    if (s->busy > 0)
        return false;
    if (qe__waits_parked(&s->waits, s->slots, &entry)) {
        slot = qe__queues_bound_to(q, s->waits.entry[entry].unit);
        start_waiting(s, out, slot != QE__NO_SLOT ? slot : 0, entry);
    } else if (q->alone_next < q->alone_end) {
        start_fresh(s, out, 0, q->fresh[q->alone_next++]);
    } else if (next_late(s, true)) {
        start_fresh(s, out, 0, q->late[q->late_next++]);
    } else if (q->serial_next < q->serial_end) {
        unit = q->order[q->serial_next++];
        slot = qe__queues_bound_to(q, unit);
        start(s, out, slot != QE__NO_SLOT ? slot : 0, unit, 1, false);
    } else {
        return false;
    }
    s->alone = out->slot;
    return true;
}

int qe__sched_next(qe_sched *s, uint64_t now_ns, qe__step *out)
{
    if (s == NULL || out == NULL)
        return QE_EINVAL;
    memset(out, 0, sizeof *out);
    if (s->now_ns < now_ns)
        s->now_ns = now_ns;

    /* After a cancel we no longer know what the queues' workers are running,
     * so the last of them has to be gone as well. */
    if (s->settled == s->units && !s->more && (!s->cancelled || s->busy == 0)) {
        out->kind = QE__STEP_DONE;
        return 0;
    }
    out->kind = QE__STEP_WAIT;
    out->wake_ns = UINT64_MAX;
    if (s->alone != QE__NO_SLOT || s->busy == s->slots)
        return 0;
    if (!next_waiting(s, out) && !next_queued(s, out) && !next_fresh(s, out) &&
        !next_alone(s, out))
        out->wake_ns = qe__waits_earliest(&s->waits);
    return 0;
}

void qe__sched_slot_free(qe_sched *s, uint32_t slot)
{
    if (s == NULL || slot >= s->slots || qe__slotset_has(&s->idle, slot))
        return;
    qe__slotset_add(&s->idle, slot);
    s->busy--;
    if (s->alone == slot)
        s->alone = QE__NO_SLOT;
    qe__waits_call(&s->waits, slot);
}

bool qe__sched_slot_take(qe_sched *s, uint32_t slot)
{
    if (s == NULL || slot >= s->slots || s->alone != QE__NO_SLOT ||
        !qe__slotset_has(&s->idle, slot))
        return false;
    make_busy(s, slot);
    return true;
}

bool qe__sched_takes_passes(const qe_sched *s)
{
    return s->more;
}

void qe__sched_hold_pass(qe_sched *s, uint32_t scope)
{
    qe__queues *q = &s->queues;
    uint32_t count;

    assert(s->more);
    (void) qe__plan_scope_units(s->plan, scope, &count);
    s->units += count;
    q->scope[scope].begin = 0;
    q->scope[scope].owner = QE__OWNER_NONE;
}

void qe__sched_let_pass(qe_sched *s, uint32_t scope)
{
    qe__queues *q = &s->queues;

    if (!s->cancelled)
        q->late[q->late_end++] = scope;
}

void qe__sched_pass(qe_sched *s, uint32_t scope)
{
    qe__sched_hold_pass(s, scope);
    qe__sched_let_pass(s, scope);
}

void qe__sched_no_more(qe_sched *s)
{
    s->more = false;
}

int qe__sched_claim(qe_sched *s, uint32_t unit, uint32_t attempt, bool *queued)
{
    uint32_t flags;
    int err;

    *queued = false;
    if (!s->by_claims || s->cancelled || unit >= qe_plan_count(s->plan) ||
        s->state[unit] != IDLE)
        return QE_ESTATE;
    flags = qe__plan_scope_flags(s->plan, qe__plan_unit_scope(s->plan, unit));
    if (attempt == 1 && !s->isolate && (flags & QE_UNIT_FRESH) == 0 &&
        !must_run_alone(s, unit)) {
        move(s, unit, QUEUED);
        *queued = true;
        return 0;
    }
    err = qe__waits_add(&s->waits, unit, attempt, s->now_ns);
    if (err == 0)
        move(s, unit, WAITING);
    return err;
}

int qe__sched_unclaim(qe_sched *s, uint32_t unit)
{
    if (!s->by_claims || s->cancelled || !may_move(s, unit, IDLE))
        return QE_ESTATE;
    move(s, unit, IDLE);
    return 0;
}

void qe__sched_no_claims(qe_sched *s)
{
    for (uint32_t i = 0; i < s->units; i++) {
        if (s->state[i] == IDLE)
            move(s, i, DROPPED);
    }
    s->by_claims = false;
}

int qe__sched_settled(qe_sched *s, uint32_t unit)
{
    if (s == NULL || unit >= qe_plan_count(s->plan))
        return QE_EINVAL;
    if (!may_move(s, unit, SETTLED))
        return QE_ESTATE;
    move(s, unit, SETTLED);
    return 0;
}

static int run_again(qe_sched *s, uint32_t unit, uint32_t attempt,
                     uint64_t not_before_ns)
{
    int err;

    if (s->cancelled) {
        if (!may_move(s, unit, DROPPED))
            return QE_ESTATE;
        move(s, unit, DROPPED);
        return 0;
    }
    /* What is IDLE comes to wait by a claim alone. */
    if (s->state[unit] == IDLE || !may_move(s, unit, WAITING))
        return QE_ESTATE;
    /* "Oldest first" goes by when it could first have run, so a time that has
     * passed already does not let it overtake those that were due before. */
    err = qe__waits_add(&s->waits, unit, attempt,
                        not_before_ns > s->now_ns ? not_before_ns : s->now_ns);
    if (err == 0)
        move(s, unit, WAITING);
    return err;
}

int qe__sched_retry(qe_sched *s, uint32_t unit, uint32_t attempt,
                    uint64_t not_before_ns)
{
    if (s == NULL || unit >= qe_plan_count(s->plan) || attempt < 2)
        return QE_EINVAL;
    return run_again(s, unit, attempt, not_before_ns);
}

int qe__sched_requeue(qe_sched *s, uint32_t unit, uint32_t attempt)
{
    if (s == NULL || unit >= qe_plan_count(s->plan) || attempt == 0)
        return QE_EINVAL;
    return run_again(s, unit, attempt, 0);
}

void qe__sched_cancel(qe_sched *s)
{
    uint32_t i;

    if (s == NULL || s->cancelled)
        return;
    s->cancelled = true;
    s->more = false;
    qe__queues_clear(&s->queues);
    qe__waits_clear(&s->waits, s->slots + 1);
    /* What is spare comes last, so these are all that count. */
    for (i = 0; i < s->units; i++) {
        if (s->state[i] == IDLE || s->state[i] == QUEUED ||
            s->state[i] == WAITING)
            move(s, i, DROPPED);
    }
}

size_t qe__sched_settled_count(const qe_sched *s)
{
    return s != NULL ? s->settled : 0;
}
