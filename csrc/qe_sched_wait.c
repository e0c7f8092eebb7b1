#include "qe_sched_wait.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

int qe__waits_init(qe__waits *w, uint32_t lanes)
{
    memset(w, 0, sizeof *w);
    w->lane = malloc(qe__mul(lanes, sizeof *w->lane));
    if (w->lane == NULL)
        return QE_ENOMEM;
    qe__waits_clear(w, lanes);
    return 0;
}

void qe__waits_free(qe__waits *w)
{
    qe__heap_free(&w->heap);
    free(w->entry);
    free(w->lane);
}

void qe__waits_clear(qe__waits *w, uint32_t lanes)
{
    uint32_t i, top;

    while (qe__heap_top(&w->heap, &top, NULL))
        qe__heap_remove(&w->heap, top);
    for (i = 0; i < lanes; i++)
        w->lane[i] = (struct qe__lane){NONE, NONE, false};
    w->used = 0;
    w->free = NONE;
}

int qe__waits_add(qe__waits *w, uint32_t unit, uint32_t attempt,
                  uint64_t not_before_ns)
{
    struct qe__wait *new;
    uint32_t entry = w->free;
    int err;

    if (entry == NONE) {
        entry = w->used;
        err = qe__grow(&w->entry, &w->capacity, (size_t) entry + 1,
                       sizeof *w->entry);
        if (err == 0)
            err = qe__heap_reserve(&w->heap, entry + 1);
        if (err != 0)
            return err;
        w->used++;
    } else {
        w->free = w->entry[entry].next;
    }
    new = &w->entry[entry];
    new->key = (qe__key){not_before_ns, w->added++};
    new->unit = unit;
    new->attempt = attempt;
    new->next = NONE;
    new->lane = NONE;
    qe__heap_set(&w->heap, entry, new->key);
    return 0;
}

bool qe__waits_due(const qe__waits *w, uint64_t now_ns, uint32_t *entry)
{
    qe__key key;

    return qe__heap_top(&w->heap, entry, &key) && key.major <= now_ns;
}

uint64_t qe__waits_earliest(const qe__waits *w)
{
    qe__key key;
    uint32_t entry;

    return qe__heap_top(&w->heap, &entry, &key) ? key.major : UINT64_MAX;
}

static bool before(qe__key a, qe__key b)
{
    return a.major < b.major || (a.major == b.major && a.minor < b.minor);
}

/* Out of the heap; if a lane had called it there, that may call the next. */
static void leave_heap(qe__waits *w, struct qe__wait *e)
{
    qe__heap_remove(&w->heap, (uint32_t) (e - w->entry));
    if (e->lane != NONE)
        w->lane[e->lane].called = false;
}

void qe__waits_park(qe__waits *w, uint32_t entry, uint32_t lane)
{
    struct qe__lane *l = &w->lane[lane];
    struct qe__wait *e = &w->entry[entry];
    uint32_t *link = &l->head;

    leave_heap(w, e);
    e->lane = lane;
    /* Entries come in order, so they go to the end: but for the one that was
     * called back to the heap, and that one belongs at the very front. */
    if (l->tail != NONE && before(w->entry[l->tail].key, e->key))
        link = &w->entry[l->tail].next;
    e->next = *link;
    *link = entry;
    if (e->next == NONE)
        l->tail = entry;
}

static void leave_lane(qe__waits *w, uint32_t lane)
{
    struct qe__lane *l = &w->lane[lane];

    l->head = w->entry[l->head].next;
    if (l->head == NONE)
        l->tail = NONE;
}

void qe__waits_call(qe__waits *w, uint32_t lane)
{
    struct qe__lane *l = &w->lane[lane];
    uint32_t entry = l->head;

    /* One at a time: calling a whole lane each time its slot falls free would
     * cost its length each time. */
    if (entry == NONE || l->called)
        return;
    leave_lane(w, lane);
    w->entry[entry].next = NONE;
    l->called = true;
    qe__heap_set(&w->heap, entry, w->entry[entry].key);
}

bool qe__waits_parked(const qe__waits *w, uint32_t lane, uint32_t *entry)
{
    *entry = w->lane[lane].head;
    return *entry != NONE;
}

void qe__waits_take(qe__waits *w, uint32_t entry, uint32_t *unit,
                    uint32_t *attempt)
{
    struct qe__wait *e = &w->entry[entry];

    *unit = e->unit;
    *attempt = e->attempt;
    if (qe__heap_has(&w->heap, entry))
        leave_heap(w, e);
    else
        leave_lane(w, e->lane);
    e->next = w->free;
    w->free = entry;
}
