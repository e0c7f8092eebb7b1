/*
 * Where a session's units come from when they are not all its own: a run that several
 * nodes share. The session lays out its whole plan, and starts of it what the source
 * says is this node's to run; the source is told how much of that is left.
 *
 * A place is the index of a unit in the plan's scope order (qe_plan_place), which all
 * nodes have in common, whatever they expect of its time.
 */
#ifndef QE_SOURCE_H
#define QE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum qe_source_kind {
    QE_SOURCE_NONE = 0, /* nothing to say */
    QE_SOURCE_CLAIM, /* these units are this node's: the attempt `attempt` of each.
                           Units that it has already are passed over */
    QE_SOURCE_LOST, /* they are somebody else's: what of them has not begun is not to
                           begin; what has goes on, and is told as ever */
    QE_SOURCE_WANTED, /* others have nothing to do: up to `count` units that have not
                           begun are given back, by the source's `back` */
    QE_SOURCE_STOPPED, /* nothing more is to start, on any node: maxfail, or an abort */
    QE_SOURCE_OVER, /* every unit has an outcome somewhere */
    QE_SOURCE_TROUBLE /* the source is no more: what this node has it runs to its end,
                           and there will be nothing else */
};

typedef struct qe_source_news {
    enum qe_source_kind kind;
    uint32_t first, count; /* places, one behind the other */
    uint32_t attempt;
    bool alone; /* CLAIM: nothing else runs on any node */
} qe_source_news;

/* What a node has to do: a report of its session, whenever that changes. */
typedef struct qe_source_room {
    uint32_t units;       /* claimed, and not begun */
    uint64_t expected_ns; /* of these together */
    uint32_t idle;        /* workers with nothing to do */
} qe_source_room;

/* All functions are called by the session's thread, and return at once. */
typedef struct qe_source {
    void *ctx;
    int fd; /* readable while `take` has something */
    void (*take)(void *ctx, qe_source_news *out);
    void (*room)(void *ctx, const qe_source_room *room);
    /* These units, which were claimed and have not begun, are no longer this node's.
     * The answer to WANTED ends with a call of count 0. */
    void (*back)(void *ctx, uint32_t first, uint32_t count);
} qe_source;

#ifdef __cplusplus
}
#endif

#endif
