/* What has not been started yet: the queue of each slot, FRESH scopes, SERIAL
 * units. Internal to the scheduler. */
#ifndef QE_SCHED_QUEUE_H
#define QE_SCHED_QUEUE_H

#include "qe_heap.h"
#include "qe_plan.h"
#include "qe_sched.h"
#include "qe_slotset.h"

typedef struct qe__queues {
    const qe_plan *plan;
    qe__sched_options options;
    uint64_t unknown_ns; /* what a unit without history counts as */
    uint64_t most_ns;    /* what a unit counts as at most */
    uint32_t *order;     /* units: the queues, slot by slot; then SERIAL ones */
    struct qe__queue {
        uint32_t first, count; /* in order: as it was laid out */
        uint32_t head, end;    /* in order: what is left, stolen scopes too */
        uint64_t left_ns;      /* the sum of what is left */
    } * queue;                 /* by slot */
    struct qe__queue_scope {
        uint32_t begin; /* of its units, in order */
        uint32_t owner; /* slot that started it, or one of the two below */
    } * scope;
    uint32_t common_next, common_end; /* in order: what no slot has yet */
    qe__slotset filled;               /* slots whose queue is not empty */
    qe__heap richest;                 /* slots that can be stolen from */
    uint32_t serial_next, serial_end; /* in order */
    uint32_t *fresh;                  /* FRESH scopes in plan order: */
    uint32_t fresh_next, fresh_end;   /* first those without SERIAL units, */
    uint32_t alone_next, alone_end;   /* then those that must run alone */
    uint32_t *late;                   /* passes made of SPARE units */
    uint32_t late_next, late_end;
} qe__queues;

#define QE__OWNER_NONE UINT32_MAX /* no unit was started */
/* A worker that claims by itself has it, and we do not know which. */
#define QE__OWNER_UNKNOWN (UINT32_MAX - 1)

/* Lays out everything in the plan; see qe__sched_queue for the policy. A
 * failure leaves nothing to free. */
int qe__queues_init(qe__queues *q, const qe_plan *plan,
                    const qe__sched_options *options);
void qe__queues_free(qe__queues *q);
/* Empties everything. */
void qe__queues_clear(qe__queues *q);

/* Gives away the whole first queue of a slot; false if some of it was taken
 * already. */
bool qe__queues_give(qe__queues *q, uint32_t slot, const uint32_t **units,
                     size_t *n);
/* Gives away what no slot has yet. */
void qe__queues_give_common(qe__queues *q, const uint32_t **units, size_t *n);
/* Takes the next unit for one of the idle slots: out of a queue of their own,
 * of what is common to all, or stolen. */
bool qe__queues_take(qe__queues *q, const qe__slotset *idle, uint32_t *slot,
                     uint32_t *unit);
/* Notes which slot starts a unit, and with it its scope. */
void qe__queues_started(qe__queues *q, uint32_t unit, uint32_t slot);
/* The only slot where this unit may run, or QE__NO_SLOT if any will do. */
uint32_t qe__queues_bound_to(const qe__queues *q, uint32_t unit);

/* For the two files that implement this: what a unit counts as, and noting
 * that a queue has changed. */
uint64_t qe__queues_cost(const qe__queues *q, const qe_unit *unit);
void qe__queues_refresh(qe__queues *q, uint32_t slot);

#endif
