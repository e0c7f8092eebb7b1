/* The orders in which the passes of a hunt run tests. */
#include <stdlib.h>

#include "qe_hunting.h"
#include "qe_util.h"

/* Fisher and Yates, as in Knuth 1969, vol. 2, 3.4.2, algorithm P. */
static void shuffle(uint32_t *numbers, size_t n, uint64_t *state)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t) (qe__random(state) % i);
        uint32_t kept = numbers[i - 1];

        numbers[i - 1] = numbers[j];
        numbers[j] = kept;
    }
}

struct member {
    uint32_t group, item;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    return (x->item > y->item) - (x->item < y->item);
}

/* Groups in a shuffled order, each with its items in one. */
static size_t shuffled(const qe_hunt *h, uint64_t seed, const uint32_t *items,
                       size_t n, uint32_t *to)
{
    struct member *member = malloc(qe__mul(n, sizeof(*member)));
    uint32_t *start = malloc(qe__mul(n + 1, sizeof(*start)));
    size_t groups = 0, out = 0;
    uint64_t state = seed;

    if (member == NULL || start == NULL) {
        free(member);
        free(start);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        member[i] = (struct member){h->test[items[i]].group, items[i]};
    }
    qsort(member, n, sizeof(*member), compare_members);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || member[i].group != member[i - 1].group) {
            start[groups++] = (uint32_t) i;
        }
    }
    shuffle(start, groups, &state);
    for (size_t g = 0; g < groups; g++) {
        uint32_t *own = to + out;
        size_t at = start[g];

        do {
            to[out++] = member[at++].item;
        } while (at < n && member[at].group == member[at - 1].group);
        shuffle(own, (size_t) (to + out - own), &state);
    }
    free(member);
    free(start);
    return out;
}

size_t qe__hunt_order(const qe_hunt *h, enum qe_condition condition,
                      uint64_t seed, const uint32_t *items, size_t n,
                      uint32_t *to)
{
    size_t out = 0;

    if (condition == QE_SHUFFLED) {
        return shuffled(h, seed, items, n, to);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t item = items[condition == QE_REVERSED ? n - 1 - i : i];

        to[out++] = item;
        if (condition == QE_TWICE) {
            to[out++] = item;
        }
    }
    return out;
}
