/* How a run is shared: in which pieces its plan is laid, how much a node asks for, and what it gives
 * back. Pure: nothing here talks, waits or knows the time. Internal. */
#ifndef QE_SHARE_H
#define QE_SHARE_H

#include "qe_queue.h"

/* What a node knows when it decides. Times that are 0 are unknown. */
typedef struct qe__share_view {
    uint32_t workers; /* its own */
    uint32_t idle;    /* of these, with nothing to do */
    uint32_t units;   /* that it has claimed, and not begun */
    uint64_t held_ns; /* what these are expected to take together */
    /* A round trip to the server, as last measured (smoothed). */
    uint64_t trip_ns;
    uint64_t unit_ns;  /* the mean time of a unit, as seen here */
    uint64_t entry_ns; /* what the entry that came last is expected to take */
    uint64_t quiet_ns; /* since a unit of ours last began */
    /* The board's last answer. */
    uint64_t left;    /* units of the run without an outcome */
    uint64_t open;    /* entries that nobody has claimed */
    uint32_t all;     /* workers of all nodes, ours among them */
    uint32_t waiting; /* of these, with nothing to do */
} qe__share_view;

/* How much to claim: entries are taken until one of these is reached; `entries` 0: nothing now. */
typedef struct qe__share_want {
    uint32_t entries;
    uint32_t units;
    uint64_t expected_ns;
    /* If nothing came: when to ask again, where nothing else happens. */
    uint64_t pause_ns;
} qe__share_want;

qe__share_want qe__share_ask(const qe__share_view *view);
/* How many of the units that have not begun to give back, from the end of what was claimed last.
 * Where a scope is kept together only all of it can be given. */
uint32_t qe__share_back(const qe__share_view *view);

/* A piece of the plan: units side by side that are claimed together. */
typedef struct qe__share_piece {
    uint32_t first, count;
    /* A unit that is unknown counts as the median of the known; 0: none is. */
    uint64_t expected_ns;
    bool alone; /* nothing else runs meanwhile, anywhere */
} qe__share_piece;

/* Cuts a plan: longest first (those of FIRST before all others), scopes whole while they are short,
 * those of TOGETHER or FRESH always, and very short ones several at once; SERIAL units come last,
 * one by one, alone. A FRESH scope with SERIAL units is alone as a whole. *out is freed by the
 * caller. QE_ENOMEM. */
int qe__share_lay(const qe_queue_unit *units, uint32_t count,
                  qe__share_piece **out, uint32_t *n);

#endif
