/*
 * Runs passes under changed surroundings, in a world (session_world.h) whose workers do
 * what a host would. Included by one file of a test program.
 */
#ifndef CHANGING_HELP_H
#define CHANGING_HELP_H

#include "session_world.h"

#include <string.h>

#include "around_fault.h"
#include "qe_plan.h"

static struct {
    const char *folder, *tmp, *home, *kept;
} paths;

/* Every worker does what its host would: *refused is in word[0]. */
static inline void begin(struct world *w, qe_worker *worker)
{
    const char *keep[] = {paths.kept, NULL};
    qe_places places = {.folder = paths.folder,
                        .tmp = paths.tmp,
                        .home = paths.home,
                        .keep = keep};
    uint32_t refused;

    NOTE(w, qe_worker_around(worker, &places, &refused) == 0);
    atomic_fetch_or(&w->shared->word[0], refused);
    NOTE(w, qe_worker_around(worker, &places, &refused) == QE_ESTATE);
}

/* A pass of `n` attempts; more may follow. */
static inline void give(struct world *w, uint32_t number,
                        const qe_around *around, uint32_t n)
{
    static const uint32_t items[64];
    qe_pass pass = {
        .number = number, .items = items, .n = n, .seed = 5, .around = around};
    uint32_t unit;

    assert_int_equal(qe_session_pass(w->session, &pass, &unit), 0);
}

static inline void start(struct world *w, world_body *body, uint32_t n)
{
    w->begin = w->begin != NULL ? w->begin : begin;
    w->body = body;
    for (uint32_t i = 0; i < n; i++) {
        world_add(w, "spare", QE_UNIT_SPARE, 0, 0);
    }
    world_start(w);
}

static inline uint32_t run(struct world *w, const qe_around *around, uint32_t n,
                           world_body *body)
{
    start(w, body, n);
    give(w, 0, around, n);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    world_check(w);
    return (uint32_t) atomic_load(&w->shared->word[0]);
}

static inline int changing_setup(void **state)
{
    memset(&around_fault, 0, sizeof(around_fault));
    memset(&paths, 0, sizeof(paths));
    return world_setup(state);
}

#endif
