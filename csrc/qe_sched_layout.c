/* The first layout of the queues: longest scope first, each to the slot with
 * the least to do (Graham 1969: within 4/3 of the best schedule). Where the
 * order counts, all scopes wait in it for whoever is idle. */
#include <stdlib.h>
#include <string.h>

#include "qe_sched_queue.h"

/* A scope with something for the queues. */
struct ranked {
    uint64_t cost_ns;
    uint32_t scope;
    uint32_t slot;
    bool first;
};

static void *array_of(size_t n, size_t size)
{
    /* One more, since malloc(0) may be NULL without being out of memory. */
    return malloc(qe__mul(n + 1, size));
}

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a;
    uint64_t y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;

    if (x->first != y->first)
        return x->first ? -1 : 1;
    if (x->cost_ns != y->cost_ns)
        return x->cost_ns < y->cost_ns ? 1 : -1;
    return (x->scope > y->scope) - (x->scope < y->scope);
}

/* What a unit without history counts as: the median of those with one. */
static int measure(qe__queues *q)
{
    size_t units = qe_plan_count(q->plan);
    uint64_t *known = array_of(units, sizeof *known);
    size_t i, n = 0;

    if (known == NULL)
        return QE_ENOMEM;
    for (i = 0; i < units; i++) {
        qe_unit unit;

        qe_plan_get(q->plan, i, &unit);
        if (unit.expected_ns != 0)
            known[n++] = unit.expected_ns;
    }
    qsort(known, n, sizeof *known, compare_times);
    q->unknown_ns = 1;
    if (n > 0) {
        uint64_t low = known[(n - 1) / 2];

        q->unknown_ns = low + (known[n / 2] - low) / 2;
    }
    free(known);
    /* History comes from elsewhere: nothing in it may make a sum overflow. */
    q->most_ns = UINT64_MAX / (units + 1);
    return 0;
}

static bool is_fresh(const qe__queues *q, uint32_t scope)
{
    return !q->options.isolate && !q->options.by_claims &&
           (qe__plan_scope_flags(q->plan, scope) & QE_UNIT_FRESH) != 0;
}

/* Copies those units of a scope that go to a queue; NULL only counts. */
static uint32_t queue_units(const qe__queues *q, uint32_t scope, uint32_t *to,
                            uint64_t *cost_ns)
{
    uint32_t count, i, n = 0;
    const uint32_t *units = qe__plan_scope_units(q->plan, scope, &count);

    *cost_ns = 0;
    for (i = 0; i < count; i++) {
        qe_unit unit;

        qe_plan_get(q->plan, units[i], &unit);
        if ((unit.flags & (QE_UNIT_SERIAL | QE_UNIT_SPARE)) != 0)
            continue;
        if (to != NULL)
            to[n] = units[i];
        n++;
        *cost_ns += qe__queues_cost(q, &unit);
    }
    return n;
}

/* Finds the slot of every ranked scope, and how many units each slot gets. */
static int share_out(qe__queues *q, struct ranked *rank, uint32_t n)
{
    qe__heap loads = {0};
    uint32_t i, slots = q->options.slots;

    if (qe__heap_reserve(&loads, slots) != 0) {
        qe__heap_free(&loads);
        return QE_ENOMEM;
    }
    for (i = 0; i < slots; i++)
        qe__heap_set(&loads, i, (qe__key){0, i});
    for (i = 0; i < n; i++) {
        uint64_t cost;
        uint32_t slot;
        qe__key load;

        qe__heap_top(&loads, &slot, &load);
        load.major += rank[i].cost_ns;
        qe__heap_set(&loads, slot, load);
        rank[i].slot = slot;
        q->queue[slot].count += queue_units(q, rank[i].scope, NULL, &cost);
        q->queue[slot].left_ns = load.major;
    }
    qe__heap_free(&loads);
    return 0;
}

/* Writes what is common to all slots; returns how much of `order` it takes. */
static uint32_t write_common(qe__queues *q, const struct ranked *rank,
                             uint32_t n)
{
    uint32_t i, at = 0;

    for (i = 0; i < n; i++) {
        uint64_t cost;

        q->scope[rank[i].scope].begin = at;
        at += queue_units(q, rank[i].scope, q->order + at, &cost);
    }
    q->common_end = at;
    return at;
}

/* Writes the queues; returns how much of `order` they take. */
static uint32_t write_queues(qe__queues *q, const struct ranked *rank,
                             uint32_t n)
{
    uint32_t i, at = 0;

    if (q->options.in_order)
        at = write_common(q, rank, n);
    for (i = 0; i < q->options.slots; i++) {
        struct qe__queue *queue = &q->queue[i];

        queue->first = queue->head = queue->end = at;
        at += queue->count;
    }
    if (q->options.in_order)
        return at;
    for (i = 0; i < n; i++) {
        struct qe__queue *queue = &q->queue[rank[i].slot];
        uint64_t cost;

        q->scope[rank[i].scope].begin = queue->end;
        queue->end +=
            queue_units(q, rank[i].scope, q->order + queue->end, &cost);
    }
    return at;
}

/* SERIAL units that are not in a FRESH scope, in plan order. */
static void write_serial(qe__queues *q, uint32_t at)
{
    uint32_t i, units = (uint32_t) qe_plan_count(q->plan);

    q->serial_next = q->serial_end = at;
    for (i = 0; i < units; i++) {
        qe_unit unit;

        qe_plan_get(q->plan, i, &unit);
        if ((unit.flags & QE_UNIT_SERIAL) != 0 && !q->options.by_claims &&
            !is_fresh(q, qe__plan_unit_scope(q->plan, i)))
            q->order[q->serial_end++] = i;
    }
}

/* FRESH scopes: those with a SERIAL unit go last, and will run alone. */
static void write_fresh(qe__queues *q, uint32_t scopes)
{
    uint32_t i, n = 0;
    int alone;

    for (alone = 0; alone < 2; alone++) {
        for (i = 0; i < scopes; i++) {
            uint32_t flags = qe__plan_scope_flags(q->plan, i);

            if (is_fresh(q, i) &&
                ((flags & QE_UNIT_SERIAL) != 0) == (alone == 1))
                q->fresh[n++] = i;
        }
        if (alone == 0)
            q->fresh_end = q->alone_next = n;
    }
    q->alone_end = n;
}

static int lay_out(qe__queues *q, uint32_t scopes)
{
    struct ranked *rank = array_of(scopes, sizeof *rank);
    uint32_t i, n = 0;
    int err = 0;

    if (rank == NULL)
        return QE_ENOMEM;
    for (i = 0; i < scopes; i++) {
        q->scope[i].begin = 0;
        q->scope[i].owner = QE__OWNER_NONE;
        rank[n].scope = i;
        rank[n].first = (qe__plan_scope_flags(q->plan, i) & QE_UNIT_FIRST) != 0;
        if (!q->options.by_claims && !is_fresh(q, i) &&
            queue_units(q, i, NULL, &rank[n].cost_ns) > 0)
            n++;
    }
    if (!q->options.in_order) {
        qsort(rank, n, sizeof *rank, compare_ranked);
        err = share_out(q, rank, n);
    }
    if (err == 0)
        write_serial(q, write_queues(q, rank, n));
    free(rank);
    return err;
}

int qe__queues_init(qe__queues *q, const qe_plan *plan,
                    const qe__sched_options *options)
{
    uint32_t scopes = (uint32_t) qe__plan_scope_count(plan);
    uint32_t passes = (uint32_t) qe__plan_most_passes(plan);
    uint32_t i, fresh = 0;
    int err;

    memset(q, 0, sizeof *q);
    q->plan = plan;
    q->options = *options;
    for (i = 0; i < scopes; i++)
        fresh += is_fresh(q, i);
    q->order = array_of(qe_plan_count(plan), sizeof *q->order);
    q->queue = calloc(options->slots, sizeof *q->queue);
    q->scope = array_of((size_t) scopes + passes, sizeof *q->scope);
    q->late = array_of(passes, sizeof *q->late);
    q->fresh = array_of(fresh, sizeof *q->fresh);
    err = qe__heap_reserve(&q->richest, options->slots);
    if (q->order == NULL || q->queue == NULL || q->scope == NULL ||
        q->fresh == NULL || q->late == NULL)
        err = QE_ENOMEM;
    if (err == 0)
        err = measure(q);
    if (err == 0)
        err = lay_out(q, scopes);
    if (err != 0) {
        qe__queues_free(q);
        return err;
    }
    write_fresh(q, scopes);
    for (i = 0; i < options->slots; i++)
        qe__queues_refresh(q, i);
    return 0;
}
