/*
 * A run that nodes share, in virtual time: the real policy (csrc/queue/qe_share.c) on nodes and a
 * server that are modelled. For bench/queue_sim.c, which prints a table, and tests/c/test_share_model.c,
 * which says how good it must be. Everything follows from the seeds.
 */
#ifndef QUEUE_MODEL_H
#define QUEUE_MODEL_H

#include "qe_share.h"
#include "qe_util.h"

/* ------------------------------------------------------------------- a load */

/* The next of a stream: above 0, and below 1. */
double model_uniform(uint64_t *random);

enum load_shape { LOAD_LOGNORMAL, LOAD_PARETO };
enum load_known {
    LOAD_EXACT,
    LOAD_NOISY, /* each off by a third or so; one in a hundred is new */
    LOAD_UNKNOWN
};

struct load_kind {
    enum load_shape shape;
    enum load_known known;
    uint32_t units;
    uint32_t scope_units; /* the median of how many a scope has */
    uint64_t median_ns;   /* of what a unit takes */
    double fails;         /* so many of all fail once, and run again */
    double together;      /* so many of all scopes are TOGETHER */
    uint64_t seed;
};

struct load {
    uint32_t count, scopes;
    qe_queue_unit *units; /* what is expected of them */
    uint64_t *real_ns;    /* what they take */
    uint8_t *fails;
    uint64_t total_ns;   /* with what runs again */
    uint64_t longest_ns; /* likewise: all attempts of one unit */
};

/* QE_ENOMEM. Closed by load_free, also then. */
int load_make(struct load *l, const struct load_kind *kind);
void load_free(struct load *l);

/* When the last of so many machines is done with its part, which is fixed before. By count: whole
 * scopes in the order of a digest, as many for each (jest --shard). By time: what is expected,
 * longest first (pytest-split's least_duration, qe_shard_assign). 0: no memory. `lost_ns`, of which there
 * are `of`, or NULL: when each is lost, and begins again. */
uint64_t shards_by_count(const struct load *l, uint32_t of,
                         const uint64_t *lost_ns);
uint64_t shards_by_time(const struct load *l, uint32_t of,
                        const uint64_t *lost_ns);
/* One machine with so many workers and the core's scheduler. 0: no memory. */
uint64_t one_machine(const struct load *l, uint32_t workers);

/* ------------------------------------------------------------------- a run */

struct run_kind {
    uint32_t nodes, workers; /* a node's */
    uint64_t
        trip_ns; /* a round trip to the server: half of it to three halves */
    uint64_t lease_ns;
    double late; /* so many of the nodes come in the first third, not at once */
    double lost; /* so many are lost, at any time of what the run should take */
    double speeds; /* a node's time is up to so much longer or shorter */
    uint64_t seed;
};

struct run_result {
    uint64_t end_ns; /* the server has heard of the last outcome */
    uint64_t
        bound_ns; /* no schedule is shorter: the nodes' time, or the longest unit */
    uint64_t calls;
    uint64_t entries;  /* pieces that were laid */
    uint64_t given;    /* entries that were given back */
    uint64_t setups;   /* how often a worker came to a scope */
    uint64_t begun;    /* attempts, those of lost nodes too */
    uint64_t outcomes; /* that counted; the rest were told too late */
    uint64_t doubled;  /* outcomes of units that had one */
};

/* QE_ENOMEM; QE_ESTATE: nobody is left that could run it. Where `lost_ns` is not NULL it gets when
 * each node is lost (UINT64_MAX: not). */
int run_queue(const struct load *l, const struct run_kind *kind,
              struct run_result *out, uint64_t *lost_ns);

#endif
