/* A hunt's state, shared by qe_hunt.c (what comes next), qe_hunt_confirm.c (which runs
 * confirm a suspect) and qe_hunt_order.c (in which order). Internal. */
#ifndef QE_HUNTING_H
#define QE_HUNTING_H

#include "qe.h"

#define QE__NO_PASS UINT32_MAX

typedef struct qe__hunted {
    uint32_t group;
    uint32_t failures, passes;
    uint32_t fresh_failures, fresh_passes;
    double known_failures, known_passes; /* from runs before */
    uint32_t asked;                      /* fresh runs asked for */
    uint32_t failed_in, passed_in;       /* the first pass, or UINT32_MAX */
    double seconds; /* of one run: the mean, or what was expected */
    uint32_t timed; /* runs in that mean */
} qe__hunted;

typedef struct qe__hunt_pass {
    qe_hunt_pass told;
    uint32_t *items; /* NULL: no longer needed */
    uint32_t failures;
    double cost;   /* as it was expected */
    double actual; /* as far as its results are there */
    bool over;
    bool repeated; /* it will not be again */
} qe__hunt_pass;

struct qe_hunt {
    qe_hunt_options options;
    uint32_t n;
    qe__hunted *test;
    qe__hunt_pass *pass;
    size_t pass_capacity;
    uint32_t passes, under_way;
    uint32_t screened;   /* passes that screen */
    double times;        /* executions of a test in these */
    uint64_t executions; /* asked for */
    double spent;        /* of the budget, in its own unit */
    double confirming;   /* of that, in passes that confirm */
    double beside;       /* seconds that a pass costs beside its tests */
    uint32_t ended_passes;
    uint32_t *room;   /* n numbers, for choosing */
    uint32_t partner; /* the pass whose partner comes next, or QE__NO_PASS */
    uint32_t lender;  /* the pass whose files another has had, likewise */
    bool blind;       /* it is not known how long tests take */
    bool ended;
};

/* Puts `items`, which are in ascending order, in that of a condition. `to` has room
 * for two of each with QE_TWICE; returns how many it has now, 0 without memory. */
size_t qe__hunt_order(const qe_hunt *h, enum qe_condition condition,
                      uint64_t seed, const uint32_t *items, size_t n,
                      uint32_t *to);

static inline bool qe__hunt_is_suspect(const qe__hunted *t)
{
    return t->failures > 0 && t->passes > 0;
}
/* It failed before, and is to be looked at. */
static inline bool qe__hunt_is_known(const qe__hunted *t)
{
    return t->known_failures > 0 && t->known_passes > 0;
}
/* What one run, or one of each, takes of the budget. */
double qe__hunt_cost(const qe_hunt *h, uint32_t item);
double qe__hunt_cost_of(const qe_hunt *h, const uint32_t *items, size_t n);
/* Adds a pass of these items, in the order of its condition: 1 and *out. */
int qe__hunt_begin(qe_hunt *h, enum qe_condition condition, uint32_t repeats,
                   const uint32_t *items, size_t n, qe_hunt_pass *out);
/* A pass that confirms suspects, if there is one that costs at most `limit`: 1 and
 * *out, otherwise 0. */
int qe__hunt_confirm(qe_hunt *h, double limit, qe_hunt_pass *out);

#endif
