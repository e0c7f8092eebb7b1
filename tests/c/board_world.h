/* Nodes of a board for tests. */
#ifndef BOARD_WORLD_H
#define BOARD_WORLD_H

#include "redis_world.h"

#include "qe_board.h"

#define S UINT64_C(1000000000)
#define LEASE_MS 400u

struct node {
    qe__redis *redis;
    qe__board *board;
    qe__board_news news;
};

struct node come(const struct redis_world *w, const char *name);
void leave(struct node *n);
void nap_ms(long ms);
/* A plan of `entries` entries of `each` units. */
void lay(struct node *n, uint32_t entries, uint32_t each, uint32_t maxfail);
uint32_t claim(struct node *n, uint32_t entries, qe__entry *out);
/* A number that no other call has. */
uint64_t number_of_call(void);
qe__told told_of(const qe__entry *e, uint32_t unit, enum qe_outcome outcome,
                 bool finished);
bool tell(struct node *n, const qe__entry *e, uint32_t unit,
          enum qe_outcome outcome, bool finished);
bool back(struct node *n, const qe__entry *e, uint32_t first, uint32_t count,
          bool finished);
/* What a command such as XLEN says of a key. */
uint32_t length(struct node *n, const char *command, const char *key);

#endif
