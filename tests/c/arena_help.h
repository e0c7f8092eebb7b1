/* What the tests of the arena share: plans, and arenas laid out from them. */
#ifndef ARENA_HELP_H
#define ARENA_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qe_arena.h"
#include "qe_plan.h"
#include "qe_util.h"

#define ARENA_SLOTS 8u

struct arena_fixture {
    qe_plan *plan;
    qe_options options;
    qe__arena arena;
    uint32_t units, scopes, used;
    uint64_t random, seed;
};

static inline void arena_begin(struct arena_fixture *f, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    f->seed = f->random = seed;
    f->options.workers = ARENA_SLOTS;
    assert_int_equal(qe_plan_new(&f->plan), 0);
}

/* A scope of `n` units. */
static inline void arena_scope(struct arena_fixture *f, uint32_t n,
                               uint32_t flags)
{
    char id[32], scope[32];

    snprintf(scope, sizeof(scope), "scope %u", f->scopes++);
    for (uint32_t i = 0; i < n; i++) {
        qe_unit unit = {.id = id,
                        .scope = scope,
                        .item = f->units + 100,
                        .flags = flags,
                        .expected_ns = 1000000};

        snprintf(id, sizeof(id), "unit %u", f->units++);
        assert_int_equal(qe_plan_add(f->plan, &unit), 0);
    }
}

static inline void arena_make(struct arena_fixture *f, uint32_t slots)
{
    assert_int_equal(qe_plan_seal(f->plan), 0);
    assert_int_equal(qe__arena_new(&f->arena, f->plan, &f->options, slots), 0);
}

/* Units from first to end - 1 become the queue of a slot. */
static inline void arena_fill(struct arena_fixture *f, uint32_t slot,
                              uint32_t first, uint32_t end)
{
    uint32_t *units = calloc(end - first + 1, sizeof(*units));

    assert_non_null(units);
    for (uint32_t i = first; i < end; i++)
        units[i - first] = i;
    qe__arena_fill(&f->arena, slot, units, end - first, &f->used);
    free(units);
}

/* All units, for no slot in particular. */
static inline void arena_fill_common(struct arena_fixture *f)
{
    uint32_t *units = calloc(f->units + 1, sizeof(*units));

    assert_non_null(units);
    for (uint32_t i = 0; i < f->units; i++)
        units[i] = i;
    qe__arena_fill_common(&f->arena, units, f->units, &f->used);
    free(units);
}

static inline void arena_end(struct arena_fixture *f)
{
    qe__arena_close(&f->arena);
    qe_plan_free(f->plan);
}

static inline enum qe__unit_state arena_state(const struct arena_fixture *f,
                                              uint32_t unit)
{
    return qe__state_of(atomic_load(&f->arena.units[unit].state));
}

#define ARENA_CHECK(f, condition)                                              \
    do {                                                                       \
        if (!(condition))                                                      \
            fail_msg("seed %llu: %s", (unsigned long long) (f)->seed,          \
                     #condition);                                              \
    } while (0)

#endif
