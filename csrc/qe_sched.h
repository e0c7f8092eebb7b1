/*
 * The scheduler: who gets what, and what to start next. Pure: time is an
 * argument, nothing is read from or done to the world. Internal.
 *
 * Two kinds of executor drive it, with the same plan and policy:
 *
 *   Queueing (fork and spawn workers): qe__sched_queue gives each slot its
 *   whole first queue; the workers claim from it and steal by themselves, and
 *   the session reports back with qe__sched_settled / _retry. qe__sched_next
 *   then yields only what is not in a queue: retries, serial units, FRESH
 *   scopes, or all units one by one where `isolate` is set.
 *
 *   One at a time (a command for each attempt): nothing is queued;
 *   qe__sched_next yields every attempt, slot by slot, stealing as it goes.
 *
 * Every operation costs O(log n) or less for n units (amortised).
 */
#ifndef QE_SCHED_H
#define QE_SCHED_H

#include "qe.h"

typedef struct qe_sched qe_sched;

typedef struct qe__sched_options {
    uint32_t slots;
    bool isolate;      /* every attempt is yielded by next, with fresh set */
    bool steal_scopes; /* never split a scope between slots */
    bool in_order;     /* scopes start in plan order: qe__sched_common */
    bool by_claims;    /* units start once they are claimed: qe__sched_claim */
} qe__sched_options;

enum qe__step_kind {
    QE__STEP_START, /* start unit/attempt on slot; `fresh`: in a new worker.
                       For a FRESH scope: `unit` is the scope's first unit and
                       `count` how many (order: qe__plan_scope_units). */
    QE__STEP_WAIT,  /* nothing to start before wake_ns (UINT64_MAX: before
                       something finishes) */
    QE__STEP_DONE   /* every unit is settled */
};

typedef struct qe__step {
    enum qe__step_kind kind;
    uint32_t slot, unit, attempt, count;
    bool fresh;
    uint64_t wake_ns;
} qe__step;

int qe__sched_new(qe_sched **out, const qe_plan *plan,
                  const qe__sched_options *options);
void qe__sched_free(qe_sched *s);

/* The first queue of `slot`, in the order to run: units that are neither
 * SERIAL nor in a FRESH scope. Scopes are whole. Longest scope first by
 * expected time (sum over the scope; an unknown unit counts as the median of
 * the known ones, or 1 where none is known), FIRST ones before all others, each scope to the least loaded
 * slot, ties by plan order and by lowest slot, so that without history the
 * first scopes go to slot 0, 1, ... in file order. Within one slot the scopes
 * come in that same order. After this call the slot is busy until
 * qe__sched_slot_free. The array lives as long as the scheduler. */
int qe__sched_queue(qe_sched *s, uint32_t slot, const uint32_t **units,
                    size_t *n);

/* With `in_order`: what belongs to no slot, in plan order, scope by scope. A
 * slot that has nothing to do takes the next scope of it; the queues of the
 * slots are then empty. To be called before them, once; otherwise *n is 0. */
int qe__sched_common(qe_sched *s, const uint32_t **units, size_t *n);

/* What to start next, given the slots that are free. A started attempt makes
 * its slot busy until qe__sched_slot_free. Order: retries that are due (oldest
 * first), then units in queue order (own queue head; where that is empty, what
 * is next with `in_order`; where that is empty, too, the
 * tail of the queue with the most expected time left; a scope that is
 * TOGETHER, or any scope with steal_scopes, is only taken whole: units of it
 * go to the slot that started it, and a scope that was started is never
 * stolen), then FRESH scopes, then SERIAL units, which start only when no
 * other slot is busy and let nothing else start meanwhile. */
int qe__sched_next(qe_sched *s, uint64_t now_ns, qe__step *out);

void qe__sched_slot_free(qe_sched *s, uint32_t slot);
/* An idle slot is taken for a worker that goes on with its queue: as if it had
 * been given that queue again. False if it is not idle, or if nothing else may
 * run now. */
bool qe__sched_slot_take(qe_sched *s, uint32_t slot);

/* A pass has been made of SPARE units of the plan: this scope. It starts behind
 * the FRESH scopes and the passes before it, alone if it is SERIAL; its turn comes
 * before SERIAL units. Only where it takes passes. */
void qe__sched_pass(qe_sched *s, uint32_t scope);
/* Likewise, but it is held back, and its turn comes behind those that there are when
 * it is let go. */
void qe__sched_hold_pass(qe_sched *s, uint32_t scope);
void qe__sched_let_pass(qe_sched *s, uint32_t scope);
/* Whether passes may still be made. */
bool qe__sched_takes_passes(const qe_sched *s);
/* There will be no further pass; until then qe__sched_next does not yield DONE
 * where there are SPARE units. */
void qe__sched_no_more(qe_sched *s);

/* With `by_claims` no unit is in any queue, and none is yielded, before it is claimed.
 * First attempts of units that are neither SERIAL nor FRESH, without `isolate`, are the
 * caller's to give to the workers: *queued. The others are yielded by next, each in a
 * fresh worker, SERIAL units when nothing else runs. QE_ESTATE: it has been claimed
 * already, or is over. */
int qe__sched_claim(qe_sched *s, uint32_t unit, uint32_t attempt, bool *queued);
/* A unit that was queued has not begun, and will not, or one has run and is to run once
 * more on another node: it may be claimed again. */
int qe__sched_unclaim(qe_sched *s, uint32_t unit);
/* Nothing more will be claimed: what was not counts as settled. */
void qe__sched_no_claims(qe_sched *s);

/* The unit is finished for good. */
int qe__sched_settled(qe_sched *s, uint32_t unit);
/* The unit is to run again as `attempt`, in a fresh worker, not before t. */
int qe__sched_retry(qe_sched *s, uint32_t unit, uint32_t attempt,
                    uint64_t not_before_ns);
/* An attempt that was started (or queued) was lost through no fault of its
 * own: it runs again, as the same attempt, in a fresh worker. */
int qe__sched_requeue(qe_sched *s, uint32_t unit, uint32_t attempt);
/* Drops everything that has not started: next yields WAIT or DONE from now
 * on. Units never started count as settled. */
void qe__sched_cancel(qe_sched *s);

size_t qe__sched_settled_count(const qe_sched *s);

#endif
