/*
 * Taking from the queues. Every queue is one range of one array: an idle slot
 * steals only while its own is empty, so a scope that it takes whole becomes
 * its range as it lies there, and nothing is ever copied.
 */
#include "qe_sched_queue.h"

#include <stdlib.h>
#include <string.h>

void qe__queues_free(qe__queues *q)
{
    free(q->order);
    free(q->queue);
    free(q->scope);
    free(q->fresh);
    free(q->late);
    qe__heap_free(&q->richest);
}

uint64_t qe__queues_cost(const qe__queues *q, const qe_unit *unit)
{
    uint64_t cost = unit->expected_ns != 0 ? unit->expected_ns : q->unknown_ns;

    return cost < q->most_ns ? cost : q->most_ns;
}

static uint64_t cost_at(const qe__queues *q, uint32_t place)
{
    qe_unit unit;

    qe_plan_get(q->plan, q->order[place], &unit);
    return qe__queues_cost(q, &unit);
}

static uint32_t scope_at(const qe__queues *q, uint32_t place)
{
    return qe__plan_unit_scope(q->plan, q->order[place]);
}

/* Whether the scope must not be split between slots. */
static bool is_whole(const qe__queues *q, uint32_t scope)
{
    return q->options.steal_scopes ||
           (qe__plan_scope_flags(q->plan, scope) & QE_UNIT_TOGETHER) != 0;
}

static bool can_steal_from(const qe__queues *q, const struct qe__queue *queue)
{
    uint32_t scope;

    if (queue->head == queue->end)
        return false;
    scope = scope_at(q, queue->end - 1);
    return q->scope[scope].owner == QE__OWNER_NONE || !is_whole(q, scope);
}

void qe__queues_refresh(qe__queues *q, uint32_t slot)
{
    const struct qe__queue *queue = &q->queue[slot];

    if (queue->head < queue->end)
        qe__slotset_add(&q->filled, slot);
    else
        qe__slotset_remove(&q->filled, slot);
    if (can_steal_from(q, queue))
        qe__heap_set(&q->richest, slot,
                     (qe__key){UINT64_MAX - queue->left_ns, slot});
    else
        qe__heap_remove(&q->richest, slot);
}

void qe__queues_clear(qe__queues *q)
{
    uint32_t i;

    for (i = 0; i < q->options.slots; i++) {
        q->queue[i].head = q->queue[i].end;
        q->queue[i].left_ns = 0;
        qe__queues_refresh(q, i);
    }
    q->common_next = q->common_end;
    q->serial_next = q->serial_end;
    q->fresh_next = q->fresh_end;
    q->alone_next = q->alone_end;
    q->late_next = q->late_end;
}

bool qe__queues_give(qe__queues *q, uint32_t slot, const uint32_t **units,
                     size_t *n)
{
    struct qe__queue *queue = &q->queue[slot];
    uint32_t i;

    if (queue->head != queue->first || queue->end - queue->head != queue->count)
        return false;
    for (i = queue->head; i < queue->end; i++)
        q->scope[scope_at(q, i)].owner = QE__OWNER_UNKNOWN;
    *units = q->order + queue->first;
    *n = queue->count;
    queue->head = queue->end;
    queue->left_ns = 0;
    qe__queues_refresh(q, slot);
    return true;
}

void qe__queues_give_common(qe__queues *q, const uint32_t **units, size_t *n)
{
    uint32_t i;

    for (i = q->common_next; i < q->common_end; i++)
        q->scope[scope_at(q, i)].owner = QE__OWNER_UNKNOWN;
    *units = q->order + q->common_next;
    *n = q->common_end - q->common_next;
    q->common_next = q->common_end;
}

void qe__queues_started(qe__queues *q, uint32_t unit, uint32_t slot)
{
    struct qe__queue_scope *scope =
        &q->scope[qe__plan_unit_scope(q->plan, unit)];

    /* Of a scope that a worker's queue held, what runs again goes to one slot
     * as well, so that these attempts at least never overlap each other. */
    if (scope->owner >= q->options.slots)
        scope->owner = slot;
}

uint32_t qe__queues_bound_to(const qe__queues *q, uint32_t unit)
{
    uint32_t scope = qe__plan_unit_scope(q->plan, unit);
    uint32_t owner = q->scope[scope].owner;

    return owner < q->options.slots && is_whole(q, scope) ? owner : QE__NO_SLOT;
}

static uint32_t take_head(qe__queues *q, uint32_t slot)
{
    struct qe__queue *queue = &q->queue[slot];
    uint32_t unit = q->order[queue->head];

    queue->left_ns -= cost_at(q, queue->head);
    queue->head++;
    qe__queues_started(q, unit, slot);
    qe__queues_refresh(q, slot);
    return unit;
}

/* Fills the empty queue of a slot with what comes next: a scope that must not
 * be split as a whole, of others one unit. */
static bool take_common(qe__queues *q, uint32_t slot)
{
    struct qe__queue *to = &q->queue[slot];
    uint32_t begin = q->common_next;
    uint32_t end = begin + 1;
    uint32_t i, scope;

    if (begin == q->common_end)
        return false;
    scope = scope_at(q, begin);
    while (is_whole(q, scope) && end < q->common_end &&
           scope_at(q, end) == scope)
        end++;
    q->common_next = end;
    to->head = begin;
    to->end = end;
    to->left_ns = 0;
    for (i = begin; i < end; i++)
        to->left_ns += cost_at(q, i);
    return true;
}

/* Steals for a slot whose own queue is empty. A scope that nobody has begun
 * moves whole, which keeps its fixtures in one place; of one that is running
 * only the last unit is taken. */
static bool steal(qe__queues *q, uint32_t thief, uint32_t *unit)
{
    uint32_t slot, scope, begin, i;
    struct qe__queue *from;
    struct qe__queue *to = &q->queue[thief];
    uint64_t cost = 0;

    if (!qe__heap_top(&q->richest, &slot, NULL))
        return false;
    from = &q->queue[slot];
    scope = scope_at(q, from->end - 1);
    begin = q->scope[scope].owner == QE__OWNER_NONE ? q->scope[scope].begin
                                                    : from->end - 1;
    /* Each scope moves at most once, since it is begun at once. */
    for (i = begin; i < from->end; i++)
        cost += cost_at(q, i);
    to->head = begin;
    to->end = from->end;
    to->left_ns = cost;
    from->end = begin;
    from->left_ns -= cost;
    qe__queues_refresh(q, slot);
    *unit = take_head(q, thief);
    return true;
}

bool qe__queues_take(qe__queues *q, const qe__slotset *idle, uint32_t *slot,
                     uint32_t *unit)
{
    *slot = qe__slotset_first(idle, &q->filled, q->options.slots);
    if (*slot != QE__NO_SLOT) {
        *unit = take_head(q, *slot);
        return true;
    }
    *slot = qe__slotset_first(idle, idle, q->options.slots);
    if (*slot == QE__NO_SLOT)
        return false;
    if (take_common(q, *slot)) {
        *unit = take_head(q, *slot);
        return true;
    }
    return steal(q, *slot, unit);
}
