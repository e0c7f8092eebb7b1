/* Attempts that wait to run again: first for their time, then, where only one
 * slot will do, for that slot. Internal to the scheduler. */
#ifndef QE_SCHED_WAIT_H
#define QE_SCHED_WAIT_H

#include "qe_heap.h"

/* A lane holds what is due but must wait for something else than time. There
 * is one for each slot, and one (numbered as the count of slots) for attempts
 * that have to run alone. */
struct qe__lane {
    uint32_t head, tail; /* entries, or UINT32_MAX */
    bool called;         /* its first entry went back to the heap */
};

typedef struct qe__waits {
    struct qe__wait {
        qe__key key; /* when it is due, then in which order it was added */
        uint32_t unit, attempt;
        uint32_t next; /* in its lane, or in the list of free entries */
        uint32_t lane; /* it is in, or was called from; UINT32_MAX: none */
    } * entry;
    size_t capacity;
    uint32_t used; /* entries ever used */
    uint32_t free; /* the first free one of these, or UINT32_MAX */
    uint64_t added;
    qe__heap heap; /* entries that are in no lane */
    struct qe__lane *lane;
} qe__waits;

int qe__waits_init(qe__waits *w, uint32_t lanes);
void qe__waits_free(qe__waits *w);
/* Forgets every entry, and keeps the memory. */
void qe__waits_clear(qe__waits *w, uint32_t lanes);

/* QE_ENOMEM changes nothing. */
int qe__waits_add(qe__waits *w, uint32_t unit, uint32_t attempt,
                  uint64_t not_before_ns);
/* The oldest entry that is due and in no lane. */
bool qe__waits_due(const qe__waits *w, uint64_t now_ns, uint32_t *entry);
/* When the next entry that is in no lane is due; UINT64_MAX for never. */
uint64_t qe__waits_earliest(const qe__waits *w);
/* Moves an entry from the heap into a lane, in order of its key. */
void qe__waits_park(qe__waits *w, uint32_t entry, uint32_t lane);
/* Lets the first of a lane compete with all others again. */
void qe__waits_call(qe__waits *w, uint32_t lane);
/* The first of a lane. */
bool qe__waits_parked(const qe__waits *w, uint32_t lane, uint32_t *entry);
/* Removes an entry that qe__waits_due or qe__waits_parked found. */
void qe__waits_take(qe__waits *w, uint32_t entry, uint32_t *unit,
                    uint32_t *attempt);

#endif
