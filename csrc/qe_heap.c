#include "qe_heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OUT UINT32_MAX
/* Four children fit one cache line, and halve the depth of a binary heap. */
#define ARITY 4u

static bool less(qe__key a, qe__key b)
{
    return a.major < b.major || (a.major == b.major && a.minor < b.minor);
}

static void put(qe__heap *h, uint32_t place, uint32_t member)
{
    h->order[place] = member;
    h->node[member].place = place;
}

static void sift_up(qe__heap *h, uint32_t place)
{
    uint32_t member = h->order[place];
    qe__key key = h->node[member].key;

    while (place > 0) {
        uint32_t parent = (place - 1) / ARITY;

        if (!less(key, h->node[h->order[parent]].key))
            break;
        put(h, place, h->order[parent]);
        place = parent;
    }
    put(h, place, member);
}

static void sift_down(qe__heap *h, uint32_t place)
{
    uint32_t member = h->order[place];
    qe__key key = h->node[member].key;

    for (;;) {
        uint64_t first = (uint64_t) place * ARITY + 1;
        uint64_t i;
        uint32_t least = place;
        qe__key least_key = key;

        for (i = first; i < first + ARITY && i < h->count; i++) {
            qe__key child = h->node[h->order[i]].key;

            if (less(child, least_key)) {
                least = (uint32_t) i;
                least_key = child;
            }
        }
        if (least == place)
            break;
        put(h, place, h->order[least]);
        place = least;
    }
    put(h, place, member);
}

int qe__heap_reserve(qe__heap *h, uint32_t members)
{
    int err;

    err = qe__grow(&h->node, &h->node_capacity, members, sizeof *h->node);
    if (err == 0)
        err =
            qe__grow(&h->order, &h->order_capacity, members, sizeof *h->order);
    if (err != 0)
        return err;
    for (; h->members < members; h->members++)
        h->node[h->members].place = OUT;
    return 0;
}

void qe__heap_free(qe__heap *h)
{
    free(h->node);
    free(h->order);
    memset(h, 0, sizeof *h);
}

void qe__heap_set(qe__heap *h, uint32_t member, qe__key key)
{
    assert(member < h->members);
    h->node[member].key = key;
    if (h->node[member].place == OUT) {
        put(h, h->count, member);
        h->count++;
    }
    /* Only one of the two moves anything. */
    sift_up(h, h->node[member].place);
    sift_down(h, h->node[member].place);
}

void qe__heap_remove(qe__heap *h, uint32_t member)
{
    uint32_t place, last;

    if (!qe__heap_has(h, member))
        return;
    place = h->node[member].place;
    h->node[member].place = OUT;
    h->count--;
    if (place == h->count)
        return;
    last = h->order[h->count];
    put(h, place, last);
    sift_up(h, place);
    sift_down(h, h->node[last].place);
}

bool qe__heap_has(const qe__heap *h, uint32_t member)
{
    return member < h->members && h->node[member].place != OUT;
}

bool qe__heap_top(const qe__heap *h, uint32_t *member, qe__key *key)
{
    if (h->count == 0)
        return false;
    *member = h->order[0];
    if (key != NULL)
        *key = h->node[h->order[0]].key;
    return true;
}
