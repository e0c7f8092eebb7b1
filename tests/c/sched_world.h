/*
 * A model of what the scheduler may say at each moment, for random runs. It
 * knows the state of every unit and slot, and nothing of how the scheduler
 * comes to its answer.
 */
#ifndef SCHED_WORLD_H
#define SCHED_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qe_plan.h"
#include "qe_sched.h"
#include "qe_util.h"

#define MAX_UNITS 80u
#define MAX_SLOTS 7u
#define NONE UINT32_MAX

enum where { NOT_STARTED, IN_QUEUE, RUNS, TO_RUN_AGAIN, SETTLED };

struct model_unit {
    qe_unit given;
    enum where where;
    uint32_t attempt; /* it runs as, or has to run as next */
    uint64_t due_ns;  /* where TO_RUN_AGAIN */
    uint64_t order;   /* likewise: counts the requests */
};

struct model_slot {
    bool busy;
    bool queueing;            /* a worker that claims by itself */
    bool alone;               /* nothing else may run */
    uint32_t todo[MAX_UNITS]; /* what it runs, in order; the first one now */
    uint32_t count;
    uint64_t until_ns; /* when the first one ends */
};

struct world {
    uint64_t seed, random, now_ns, last_next_ns, requests;
    qe_plan *plan;
    qe_sched *sched;
    qe__sched_options options;
    uint32_t units;
    bool queueing, cancelled;
    struct model_unit unit[MAX_UNITS];
    struct model_slot slot[MAX_SLOTS];
    uint32_t owner[MAX_UNITS];      /* by scope: the slot that began it */
    uint32_t last_first[MAX_UNITS]; /* by scope: the last one that began */
};

#define CHECK(world, condition)                                                \
    do {                                                                       \
        if (!(condition))                                                      \
            fail_msg("seed %llu: %s", (unsigned long long) (world)->seed,      \
                     #condition);                                              \
    } while (0)

/* A random plan and its scheduler; nothing has begun. */
void world_make(struct world *w, uint64_t seed);
/* A random number below n, which must not be 0. */
uint32_t world_below(struct world *w, uint32_t n);
uint32_t world_scope_of(const struct world *w, uint32_t unit);
/* Whether its scope gets a worker of its own. */
bool world_is_fresh(const struct world *w, uint32_t unit);
bool world_is_serial(const struct world *w, uint32_t unit);
/* Whether starting it demands that nothing else runs. */
bool world_is_alone(const struct world *w, uint32_t unit, uint32_t count);
uint32_t world_busy_slots(const struct world *w);
/* Fails, with the seed, if the step is not one that may come now. */
void world_check_start(struct world *w, const qe__step *step);
void world_check_wait(struct world *w, const qe__step *step);

#endif
