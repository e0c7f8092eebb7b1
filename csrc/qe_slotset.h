/* A set of slots. Internal. */
#ifndef QE_SLOTSET_H
#define QE_SLOTSET_H

#include "qe_util.h"

/* The bound keeps a search within 64 words, whatever the plan's size. */
#define QE__SLOTS_MAX 4096u
#define QE__NO_SLOT UINT32_MAX

typedef struct qe__slotset {
    uint64_t word[QE__SLOTS_MAX / 64];
} qe__slotset;

static inline void qe__slotset_add(qe__slotset *set, uint32_t slot)
{
    set->word[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static inline void qe__slotset_remove(qe__slotset *set, uint32_t slot)
{
    set->word[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static inline bool qe__slotset_has(const qe__slotset *set, uint32_t slot)
{
    return (set->word[slot / 64] >> (slot % 64) & 1) != 0;
}

/* The lowest slot that is in both sets, of those below `slots`. */
static inline uint32_t qe__slotset_first(const qe__slotset *a,
                                         const qe__slotset *b, uint32_t slots)
{
    uint32_t i;

    for (i = 0; i * 64 < slots; i++) {
        uint64_t both = a->word[i] & b->word[i];

        if (both != 0)
            return i * 64 + (uint32_t) __builtin_ctzll(both);
    }
    return QE__NO_SLOT;
}

#endif
