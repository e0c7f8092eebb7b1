/* The server of the model: what csrc/queue/qe_board.h does, each call at one moment. */
#ifndef QUEUE_SERVER_H
#define QUEUE_SERVER_H

#include "queue_model.h"

#define NOBODY UINT32_MAX

struct entry {
    uint32_t first, count;
    uint32_t untold; /* of these units */
    uint32_t attempt;
    uint64_t expected_ns;
    uint32_t not_on, owner; /* nodes, or NOBODY */
    uint64_t renewed_ns;
};

struct told {
    uint32_t unit, entry, attempt;
    bool again;
};

struct peer {            /* a node as the server knows it */
    uint64_t heard_ns;   /* it called */
    uint64_t renewed_ns; /* it renewed what it has */
    uint32_t waiting;
    bool alive;
};

struct news {
    uint64_t left, open;
    uint32_t all, waiting;
};

struct server {
    struct entry *entries;
    size_t room, count;
    uint32_t *queue; /* of entries, `head` to `tail`: nobody has claimed them */
    size_t queue_room, head, tail;
    uint32_t *again; /* likewise, of what is to run again: they come first */
    size_t again_room, again_count;
    uint32_t
        *orphans; /* whose node is gone: claimed when their lease has ended */
    size_t orphan_room, orphan_count;
    uint8_t *done; /* by unit: 1: it has its outcome, 2: it is to run again */
    struct peer *peers;
    uint32_t nodes, workers;
    uint64_t lease_ns, left, end_ns;
    uint32_t all, waiting, alive;
    uint64_t look_ns; /* when a lease of a node may next have ended */
    struct run_result *result;
    int status; /* QE_ENOMEM: memory has run out */
};

int server_open(struct server *s, const struct load *l,
                const struct run_kind *kind, struct run_result *result);
void server_close(struct server *s);

/* A node calls; `waiting` of its workers have nothing. */
void server_hears(struct server *s, uint32_t node, uint32_t waiting,
                  uint64_t now);
struct news server_news(const struct server *s);
/* Entries into `out`, of which there are want->entries, until there is as much as is wanted; how many. */
uint32_t server_claim(struct server *s, uint32_t node,
                      const qe__share_want *want, uint64_t now, uint32_t *out);
void server_tell(struct server *s, uint32_t node, const struct told *told,
                 uint32_t n, uint64_t now);
void server_back(struct server *s, uint32_t entry, uint32_t first, uint32_t n);
/* Of an entry that was claimed: whether the unit is still to run. */
bool server_needs(const struct server *s, uint32_t entry, uint32_t unit);
/* The node is gone: what it has is claimed when the lease of that has ended. */
void server_loses(struct server *s, uint32_t node);

#endif
