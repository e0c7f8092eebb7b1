/* Nodes of a shared run for tests: each with a stand-in session, which takes units from its source,
 * "runs" them by a clock, and tells. A node is a thread or a process. */
#ifndef QUEUE_WORLD_H
#define QUEUE_WORLD_H

#include <pthread.h>
#include <stdatomic.h>

#include "redis_world.h"

#include "qe_queue.h"

#define QW_MS UINT64_C(1000000)
#define QW_S UINT64_C(1000000000)
#define QW_UNITS_MAX 4096u

/* A node may be a thread or a process of its own, which no test can leave by a jump. */
#define queue_must(good)                                                       \
    ((good) ? (void) 0                                                         \
            : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #good),      \
               abort()))

struct queue_node;

/* What became of units, in memory that processes share. */
struct queue_world {
    struct redis_world *server;
    qe_queue_unit *units;
    uint32_t count;
    uint64_t lease_ns, patience_ns;
    uint32_t maxfail;
    const char *user;                  /* as in redis_url; NULL: "" */
    atomic_uint begun[QW_UNITS_MAX];   /* attempts */
    atomic_uint last_on[QW_UNITS_MAX]; /* number of the node, from 1 */
    atomic_uint running, running_alone, together; /* now; seen beside alone */
    atomic_uint begun_all;
    uint32_t together_from; /* nodes begin once so many have joined */
    atomic_uint joined;
    struct queue_node *nodes;
    uint32_t node_count;
    /* How long an attempt takes, and what comes of it. NULL: unit.expected_ns, and it passes. */
    uint64_t (*takes)(struct queue_node *n, uint32_t place, uint32_t attempt);
    enum qe_outcome (*ends)(struct queue_node *n, uint32_t place,
                            uint32_t attempt, bool *again);
};

struct queue_node {
    struct queue_world *w;
    uint32_t number; /* from 1 */
    uint32_t workers;
    uint64_t lease_ns; /* 0: the world's */
    qe_queue *queue;
    char text[QE_QUEUE_TEXT];
    int status; /* of open, join or start: what failed */
    qe_queue_end end;
    bool troubled;
    uint64_t stopped_ns, trouble_ns, over_ns; /* when it was told; 0: never */
    atomic_bool leave; /* it is to end before the run does */
    atomic_uint began; /* attempts here */
    uint32_t backs;    /* units that it gave back */
    pthread_t thread;
    pid_t pid;
};

/* Shared memory, freed by queue_world_close. Units of a second's expected time, scopes of four. */
struct queue_world *queue_world_open(struct redis_world *server, uint32_t count,
                                     uint64_t expected_ns);
void queue_world_close(struct queue_world *w);
/* Its part from opening to finish; what comes of it is in the node. */
void queue_node_run(struct queue_node *n);
/* Opens and joins alone. */
int queue_node_join(struct queue_node *n);
void queue_node_start_thread(struct queue_node *n);
void queue_node_join_thread(struct queue_node *n);
/* Several, which begin together: none finds that the others were done before it came. */
void queue_start_threads(struct queue_node *nodes, uint32_t n);
/* And none of them met with an error. */
void queue_join_threads(struct queue_node *nodes, uint32_t n);
/* Nodes from 1 on in memory that processes share, freed with the world. */
struct queue_node *queue_nodes(struct queue_world *w, uint32_t n,
                               uint32_t workers);
void queue_node_fork(struct queue_node *n);
void queue_node_kill(const struct queue_node *n, int signal);
/* Waits for its end: the status of its process. */
int queue_node_wait(struct queue_node *n);
/* Waits until so many attempts have begun. */
void queue_await_begun(const struct queue_world *w, uint32_t count);
/* A command of a test's own; its answer is nothing to us. */
void queue_command(const struct queue_world *w, int argc,
                   const char *const *argv);
/* How many fields or elements a key of the run has, by HLEN, XLEN, LLEN. */
uint32_t queue_length(const struct queue_world *w, const char *command,
                      const char *key);
/* Each unit has one outcome, and the board is empty. */
void queue_check_outcomes(const struct queue_world *w);
/* And one node has counted it. */
void queue_check_all(const struct queue_world *w,
                     const struct queue_node *nodes, uint32_t n);
void queue_nap_ms(uint64_t ms);

#endif
