/* A heap of small numbers ("members"), each with a key that can be changed
 * while it is in the heap. The least key is on top. Internal. */
#ifndef QE_HEAP_H
#define QE_HEAP_H

#include "qe_util.h"

/* Compared first by major, then by minor. Members with equal keys come in no
 * particular order: callers put what breaks the tie into minor. */
typedef struct qe__key {
    uint64_t major, minor;
} qe__key;

typedef struct qe__heap {
    struct qe__heap_node {
        qe__key key;
        uint32_t place; /* in order, or UINT32_MAX: not in the heap */
    } * node;           /* by member */
    uint32_t *order;    /* members; four children each, root at 0 */
    size_t node_capacity, order_capacity;
    uint32_t members; /* numbers below this one may be used */
    uint32_t count;   /* of these, how many are in the heap */
} qe__heap;

/* A zeroed qe__heap is an empty heap without members. */

/* Lets numbers below `members` be used. QE_ENOMEM changes nothing. */
int qe__heap_reserve(qe__heap *h, uint32_t members);
void qe__heap_free(qe__heap *h);

/* Adds the member, or changes the key it has: up or down. */
void qe__heap_set(qe__heap *h, uint32_t member, qe__key key);
/* Takes the member out, if it is in. */
void qe__heap_remove(qe__heap *h, uint32_t member);
bool qe__heap_has(const qe__heap *h, uint32_t member);
/* The member with the least key; false if the heap is empty. `key` may be
 * NULL. */
bool qe__heap_top(const qe__heap *h, uint32_t *member, qe__key *key);

#endif
