/* Who the culprit is: delta debugging of what ran before the test. */
#include <stdlib.h>
#include <string.h>

#include "qe_inquiry.h"
#include "qe_util.h"

#define MOST 600u /* runs of one search */

int qe__delta_begin(qe_inquiry *q, const qe__set *among, bool apart, int wanted)
{
    qe__delta *d = &q->delta;
    uint32_t *items = malloc(qe__mul(among->n + 1, sizeof(*items)));

    if (items == NULL) {
        return QE_ENOMEM;
    }
    if (among->n > 0) {
        memcpy(items, among->items, among->n * sizeof(*items));
    }
    free(d->left.items);
    memset(d, 0, sizeof(*d));
    d->begun = true;
    d->apart = apart;
    d->wanted = wanted;
    d->left = (qe__set){items, among->n};
    d->parts = 2;
    d->over = among->n < 2;
    memset(&q->arm[QE__ARM_SEARCH], 0, sizeof(q->arm[0]));
    memset(&q->arm[QE__ARM_MINIMAL], 0, sizeof(q->arm[0]));
    memset(&q->arm[QE__ARM_APART], 0, sizeof(q->arm[0]));
    return 0;
}

static void part(const qe__delta *d, size_t *from, size_t *to)
{
    *from = d->left.n * d->at / d->parts;
    *to = d->left.n * (d->at + 1) / d->parts;
}

size_t qe__delta_items(const qe_inquiry *q, uint32_t *to)
{
    const qe__delta *d = &q->delta;
    size_t from, end, n = 0;

    part(d, &from, &end);
    for (size_t i = 0; i < d->left.n; i++) {
        if ((i >= from && i < end) != d->complement) {
            to[n++] = d->left.items[i];
        }
    }
    return n;
}

bool qe__delta_found(qe_inquiry *q)
{
    qe__delta *d = &q->delta;

    if (!d->over && d->tried >= MOST) {
        d->over = true;
    }
    return d->over || qe__need(q, QE__ARM_SEARCH, d->tried + 1);
}

/* The next thing to try, after one that did not do it. */
static void step(qe__delta *d)
{
    if (++d->at < d->parts) {
        return;
    }
    d->at = 0;
    /* Of two parts each is all but the other. */
    if (!d->complement && d->parts > 2) {
        d->complement = true;
        return;
    }
    d->complement = false;
    if (d->parts >= d->left.n) {
        d->over = true;
    } else {
        size_t more = (size_t) d->parts * 2;

        d->parts = (uint32_t) (more < d->left.n ? more : d->left.n);
    }
}

void qe__delta_heard(qe_inquiry *q, int result)
{
    qe__delta *d = &q->delta;
    bool complement = d->complement;

    d->tried++;
    if (result != d->wanted) {
        step(d);
        return;
    }
    d->left.n = qe__delta_items(q, d->left.items);
    d->at = 0;
    d->complement = false;
    d->parts = complement && d->parts > 3 ? d->parts - 1 : 2;
    d->over = d->left.n < 2;
}
