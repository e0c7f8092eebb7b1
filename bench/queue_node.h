/* Nodes of the model, see queue_node.c. */
#ifndef QUEUE_NODE_H
#define QUEUE_NODE_H

#include "qe_heap.h"
#include "queue_server.h"

enum call { CALL_NONE, CALL_CLAIM, CALL_TELL, CALL_BACK, CALL_BEAT };
enum phase {
    FREE,
    SENT,
    HEARD
}; /* what its next event is: a call begins, is done there, is answered */

struct segment {
    uint32_t entry, at, end;
};

struct worker {
    bool busy;
    uint32_t unit, entry, scope;
    uint64_t began_ns;
    struct segment own; /* what it has taken, and not begun */
};

struct node {
    bool here;
    uint64_t join_ns, loss_ns;
    double slow;
    struct worker *workers;
    uint32_t idle;
    /* What has been claimed and not begun. */
    struct segment *segments;
    size_t segment_room, head, tail;
    uint32_t units, unknown; /* `unknown` of them nothing is expected */
    uint64_t held_ns;        /* the others */
    /* What has ended and was not told; the first `sent` are in a call. */
    struct told *told;
    size_t told_room, told_count, sent;
    uint64_t told_since_ns;
    uint64_t spent_ns, ended, entry_ns, begin_ns, trip_ns;
    struct news news;
    /* The thread. */
    enum phase phase;
    enum call call;
    qe__share_want want;
    uint32_t got_count, back;
    uint32_t *got;
    size_t got_room;
    uint32_t back_entry, back_first;
    uint64_t call_ns, ask_ns, renew_ns, beat_ns;
    struct news answer;
};

struct run {
    const struct load *l;
    const struct run_kind *kind;
    struct server server;
    struct node *nodes;
    qe__heap events;
    uint64_t random, now;
    uint64_t *known_ns; /* by place: what is expected of those before it */
    uint32_t *unknown;  /* likewise how many have no time */
    struct run_result *result;
    int status;
};

/* The node's thread, and behind it its workers, as the heap of events knows them. */
uint32_t node_member(const struct run *r, const struct node *n);
/* What comes next of it at the run's time: its thread's (0), or a worker's. */
void node_event(struct run *r, struct node *n, uint32_t which);

#endif
