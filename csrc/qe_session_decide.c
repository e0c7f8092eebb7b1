/* Deciding: what the scheduler says is carried out, worker by worker. */
#include "qe_plan.h"
#include "qe_session.h"

void qe__session_halt(qe_session *s)
{
    if (!s->stopping) {
        s->stopping = true;
        qe__sched_cancel(s->sched);
        qe__arena_stop(&s->exec.arena, QE__STOP_NOW);
    }
}

void qe__session_park(qe_session *s, uint32_t slot, bool rest)
{
    _Atomic uint32_t *park = &s->exec.arena.slots[slot].park;

    if ((atomic_load(park) & 1) != rest) {
        atomic_fetch_add(park, 1);
        if (!rest) {
            qe__arena_wake(&s->exec.arena);
        }
    }
}

static bool is_parked(const qe_session *s, uint32_t slot)
{
    return (atomic_load(&s->exec.arena.slots[slot].park) & 1) != 0;
}

/* First attempts have their turn in the queues' order, and what must run alone
 * waits for the end of all queues: only other retries want room before. */
static bool wants_room(const qe_session *s, uint32_t unit, uint32_t attempt)
{
    qe_unit u;

    return attempt > 1 && qe_plan_get(s->plan, unit, &u) == 0 &&
           (u.flags & QE_UNIT_SERIAL) == 0;
}

void qe__session_need_room(qe_session *s, uint32_t unit, uint32_t attempt,
                           uint64_t not_before_ns)
{
    if (wants_room(s, unit, attempt) &&
        (s->retries_waiting++ == 0 || not_before_ns < s->retry_due_ns)) {
        s->retry_due_ns = not_before_ns;
    }
}

/* Carries out one START. A fresh worker uses the slot of its own number where
 * no home worker lives, otherwise a guest's, while the home worker rests. */
static int carry_out(qe_session *s, const qe__step *step)
{
    uint32_t home = step->slot;
    bool lives = s->slots[home].alive;
    uint32_t slot = lives ? home + s->homes : home;
    uint32_t scope = qe__plan_unit_scope(s->plan, step->unit);

    if (!step->fresh) {
        atomic_store(&s->exec.arena.slots[home].mailbox, step->unit + 1);
        /* It may have been asked to rest for a retry that went elsewhere. */
        qe__session_park(s, home, false);
        if (lives) {
            s->slots[home].idle = false;
            qe__arena_wake(&s->exec.arena);
            return 0;
        }
        return qe__session_launch(s, home, QE__JOB_POOL, 0, 0, 0, home);
    }
    if (lives) {
        qe__session_park(s, home, true);
    }
    /* A unit of a FRESH scope that runs again does so by itself. */
    if (step->attempt == 1 &&
        (qe__plan_scope_flags(s->plan, scope) & QE_UNIT_FRESH) != 0) {
        return qe__session_launch(s, slot, QE__JOB_SCOPE, step->unit, 1, scope,
                                  home);
    }
    if (wants_room(s, step->unit, step->attempt) && s->retries_waiting > 0) {
        s->retries_waiting--;
    }
    return qe__session_launch(s, slot, QE__JOB_SINGLE, step->unit,
                              step->attempt, 0, home);
}

/* A retry that is due must not wait until the queues are empty: one worker is
 * asked to rest after its current test. Its word that it is idle frees its
 * turn, which the scheduler then gives to the retry. */
static void make_room(qe_session *s, uint64_t now, uint64_t *wake_ns)
{
    for (uint32_t i = 0; i < s->homes; i++) {
        if (s->slots[i].idle && *wake_ns != UINT64_MAX) {
            s->retry_due_ns = *wake_ns; /* room, and still none to start */
        }
        if (!is_parked(s, i) || s->slots[i + s->homes].alive) {
            continue;
        }
        /* Nothing needs its turn any more: the worker has it back. */
        if (!s->slots[i].alive) {
            qe__session_park(s, i, false);
        } else if (s->slots[i].idle && qe__sched_slot_take(s->sched, i)) {
            s->slots[i].idle = false;
            qe__session_park(s, i, false);
        }
    }
    if (s->retries_waiting == 0) {
        return;
    }
    if (now < s->retry_due_ns) {
        *wake_ns = s->retry_due_ns < *wake_ns ? s->retry_due_ns : *wake_ns;
        return;
    }
    for (uint32_t i = 0; i < s->homes; i++) {
        uint32_t at = (s->next_park + i) % s->homes;

        if (s->slots[at].alive && s->slots[at].idle) {
            return; /* there is room already */
        }
        if (is_parked(s, at)) {
            return; /* one is being made */
        }
    }
    for (uint32_t i = 0; i < s->homes; i++) {
        uint32_t at = (s->next_park + i) % s->homes;

        if (s->slots[at].alive && s->exec.arena.slots[at].job == QE__JOB_POOL) {
            qe__session_park(s, at, true);
            s->next_park = at + 1;
            return;
        }
    }
}

int qe__session_decide(qe_session *s, uint64_t *wake_ns)
{
    *wake_ns = UINT64_MAX;
    if (atomic_load(&s->exec.arena.head->stop) == QE__STOP_NOW) {
        qe__session_halt(s);
    }
    if (s->pause_until_ns != 0 &&
        (s->stopping || s->draining || qe_now_ns() >= s->pause_until_ns)) {
        s->pause_until_ns = 0;
        qe__session_release(s);
    }
    while (!s->stopping && !s->draining) {
        qe__step step;
        int status;

        if (s->pause_until_ns != 0) {
            *wake_ns = s->pause_until_ns;
            return 0;
        }
        status = qe__sched_next(s->sched, qe_now_ns(), &step);

        if (status != 0) {
            return status;
        }
        if (step.kind == QE__STEP_WAIT) {
            *wake_ns = step.wake_ns;
            make_room(s, qe_now_ns(), wake_ns);
            return 0;
        }
        if (step.kind == QE__STEP_DONE) {
            s->draining = true;
            qe__arena_stop(&s->exec.arena, QE__STOP_DRAIN);
            return 0;
        }
        status = carry_out(s, &step);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int qe_session_limit(qe_session *s, uint32_t running, uint64_t throttle_ns)
{
    qe__arena_head *head = s->exec.arena.head;

    if (s->options.start != QE_START_COMMAND) {
        return QE_EINVAL;
    }
    atomic_store(&head->running_max, running);
    atomic_store(&head->throttle_ns, throttle_ns);
    return 0;
}

int qe_session_grow(qe_session *s, uint32_t workers)
{
    uint32_t most = workers < s->homes ? workers : s->homes;
    int status = 0;

    for (uint32_t i = 0; i < most && status == 0; i++) {
        if (s->slots[i].alive || s->stopping || s->draining ||
            !qe__arena_any_ready(&s->exec.arena, QE__NONE) ||
            !qe__sched_slot_take(s->sched, i)) {
            continue;
        }
        status = qe__session_launch(s, i, QE__JOB_POOL, 0, 0, 0, i);
        if (status != 0) {
            qe__sched_slot_free(s->sched, i);
        }
    }
    return status;
}
