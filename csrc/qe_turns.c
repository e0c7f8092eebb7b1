/* Which of several inquiries is asked next. */
#include <stdlib.h>

#include "qe.h"
#include "qe_util.h"

#define LEAST 2u /* take turns, or as many as there are workers */
#define TURN 60u /* runs, and it goes behind the others */

struct qe_turns {
    uint32_t n, most;
    uint32_t begun; /* the first so many */
    uint32_t *runs; /* that each has had */
    /* Two queues: who is asked, in this order, and who has had its turn. */
    uint32_t *active, *behind;
    uint32_t active_n, behind_n;
    uint32_t
        asked; /* of the active, in vain since the last that wanted a run */
    bool stopped;
};

int qe_turns_new(qe_turns **out, uint32_t n, uint32_t workers)
{
    qe_turns *t;

    if (out == NULL || workers == 0) {
        return QE_EINVAL;
    }
    t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return QE_ENOMEM;
    }
    t->n = n;
    t->most = workers < LEAST ? LEAST : workers;
    t->runs = calloc((size_t) n + 1, sizeof(*t->runs));
    t->active = calloc((size_t) n + 1, sizeof(*t->active));
    t->behind = calloc((size_t) n + 1, sizeof(*t->behind));
    if (t->runs == NULL || t->active == NULL || t->behind == NULL) {
        qe_turns_free(t);
        return QE_ENOMEM;
    }
    *out = t;
    return 0;
}

void qe_turns_free(qe_turns *t)
{
    if (t == NULL) {
        return;
    }
    free(t->runs);
    free(t->active);
    free(t->behind);
    free(t);
}

static void take_out(uint32_t *queue, uint32_t *n, uint32_t at)
{
    for (*n -= 1; at < *n; at++) {
        queue[at] = queue[at + 1];
    }
}

/* Those that have not begun come before those that have had their turn. */
static void fill(qe_turns *t)
{
    while (!t->stopped && t->begun < t->n && t->active_n < t->most) {
        t->active[t->active_n++] = t->begun++;
    }
    while (t->behind_n > 0 && (t->stopped || t->active_n < t->most)) {
        t->active[t->active_n++] = t->behind[0];
        take_out(t->behind, &t->behind_n, 0);
    }
}

int qe_turns_next(qe_turns *t, uint32_t *which)
{
    if (t == NULL || which == NULL) {
        return QE_EINVAL;
    }
    fill(t);
    if (t->active_n == 0) {
        return QE_EGONE;
    }
    if (t->asked >= t->active_n) {
        t->asked = 0; /* by then there may be results */
        return 0;
    }
    *which = t->active[t->asked];
    return 1;
}

int qe_turns_said(qe_turns *t, uint32_t which, int status)
{
    if (t == NULL || t->asked >= t->active_n || t->active[t->asked] != which ||
        (status != 0 && status != 1 && status != QE_EGONE)) {
        return QE_EINVAL;
    }
    if (status == 0) {
        t->asked++;
        return 0;
    }
    take_out(t->active, &t->active_n, t->asked);
    t->asked = 0;
    if (status == QE_EGONE) {
        return 0;
    }
    /* Fair: the next run is another's. */
    if (++t->runs[which] % TURN == 0) {
        t->behind[t->behind_n++] = which;
    } else {
        t->active[t->active_n++] = which;
    }
    return 0;
}

void qe_turns_stop(qe_turns *t)
{
    if (t != NULL) {
        t->stopped = true;
    }
}

uint32_t qe_turns_begun(const qe_turns *t)
{
    return t == NULL ? 0 : t->begun;
}
