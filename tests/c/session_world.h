/*
 * A whole run of a session among real processes: a plan, a host that settles
 * what it is told and keeps account of it, and workers in C. What a worker
 * does in a unit is one function of the test; what it did is in memory that
 * all processes of the run share.
 *
 * Workers never use cmocka's assertions, which would jump back into the test:
 * they leave a note in the shared memory, which world_check reads.
 */
#ifndef SESSION_WORLD_H
#define SESSION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "qe_session.h"

#define WORLD_UNITS 2048u
#define WORLD_WORKERS 1024u
#define WORLD_NOTES 8u
#define WORLD_MS UINT64_C(1000000)

/* What all processes of a run share. */
struct shared {
    _Atomic uint32_t starts[WORLD_UNITS];   /* bodies begun */
    _Atomic uint32_t finishes[WORLD_UNITS]; /* bodies ended by themselves */
    _Atomic uint32_t slot[WORLD_UNITS];     /* where the last one ran, + 1 */
    _Atomic uint32_t epoch[WORLD_UNITS];    /* and in which worker of it */
    _Atomic int32_t pid[WORLD_UNITS];
    _Atomic uint64_t begin_ns[WORLD_UNITS], end_ns[WORLD_UNITS];
    _Atomic uint32_t sequence[WORLD_UNITS]; /* the how manieth start of all */
    _Atomic uint32_t all_starts;
    _Atomic uint32_t at_once, most_at_once; /* where no worker dies */
    _Atomic uint32_t gate[WORLD_NOTES];     /* what tests wait for */
    _Atomic uint64_t word[WORLD_NOTES];     /* the test's own */
    _Atomic int wrong;                      /* line of the first failed NOTE */
};

struct world;

/* What a unit does in its worker; QE_NONE for an attempt that sent its own
 * end. */
typedef enum qe_outcome world_body(struct world *w, qe_worker *worker,
                                   const qe_claim *claim);

/* What the host knows of a unit. */
struct world_unit {
    uint32_t flags, retries, attempt; /* the attempt that last began */
    uint32_t finals;                  /* how often it came to an outcome */
    uint32_t voids, losses, starts;   /* events */
    enum qe_outcome outcome;
    int status; /* of the last loss */
    enum qe_phase phase;
};

struct world {
    qe_plan *plan;
    qe_options options;
    const qe_fork_hooks *hooks;
    world_body *body;
    void (*begin)(struct world *w, qe_worker *worker); /* before any claim */
    void (*end)(struct world *w, qe_worker *worker);   /* session teardown */
    void (*on_event)(struct world *w, const qe_event *event);
    struct shared *shared;
    qe_session *session;
    uint32_t units;
    struct world_unit unit[WORLD_UNITS];
    int32_t pid[2 * WORLD_WORKERS]; /* by slot: the live worker, or 0 */
    uint32_t epoch[2 * WORLD_WORKERS];
    uint32_t workers, exits, give_ups, session_losses, events;
    int give_up_error;
    bool retryable, done;
    uint64_t random, seed;
    size_t open_before;
    pid_t host;
};

/* In a worker: what should hold. */
#define NOTE(world, condition)                                                 \
    do {                                                                       \
        if (!(condition)) {                                                    \
            int zero_ = 0;                                                     \
            atomic_compare_exchange_strong(&(world)->shared->wrong, &zero_,    \
                                           __LINE__);                          \
        }                                                                      \
    } while (0)

/* Test fixtures: *state is a world with an empty plan, one worker, no limits.
 * The teardown closes the session and checks that no process and no
 * descriptor of it is left. */
int world_setup(void **state);
int world_teardown(void **state);

/* Adds a unit; returns its number. `scope` NULL: a scope of its own. */
uint32_t world_add(struct world *w, const char *scope, uint32_t flags,
                   uint32_t retries, uint64_t timeout_ns);
void world_add_many(struct world *w, uint32_t n, uint32_t units_a_scope,
                    uint32_t flags, uint32_t retries);

/* Seals the plan and starts the session; in a worker it does not return. */
void world_start(struct world *w);
/* The next event, waited for; fails after a long time without any. Accounts
 * for it, settles what wants to be settled, calls on_event. */
void world_next(struct world *w, qe_event *event);
/* Likewise, but waits only a moment: the kind may be NONE. */
void world_poll(struct world *w, qe_event *event);
/* Runs until DONE. */
void world_finish(struct world *w);
/* start, finish, and check that every unit came to one outcome. */
void world_run(struct world *w);
void world_check(struct world *w);
/* Runs until an event of this kind for this unit (QE__NONE: any). */
void world_until(struct world *w, enum qe_event_kind kind, uint32_t unit,
                 qe_event *event);

/* What a worker does all its life. */
void world_work(struct world *w, qe_worker *worker);

/* Gates: closed at first. Waiting is bounded, and false means too long. */
void world_open(struct world *w, uint32_t gate);
bool world_wait_gate(struct world *w, uint32_t gate);
/* Waits until the condition holds; bounded. */
#define WORLD_WAIT(condition)                                                  \
    do {                                                                       \
        uint64_t until_ = qe_now_ns() + world_patience_ns();                   \
        bool holds_;                                                           \
        while (!(holds_ = (condition)) && qe_now_ns() < until_)                \
            world_pause();                                                     \
        assert_true(holds_);                                                   \
    } while (0)
void world_pause(void);
uint64_t world_patience_ns(void);

/* The supervisor in office: the parent of the workers. */
pid_t world_supervisor(const struct world *w);
/* The standby, or 0. Only while no worker is alive that is not known. */
pid_t world_standby(const struct world *w);
/* By /proc: whether a process runs (zombies do not), and its parent. */
bool world_runs(pid_t pid);
pid_t world_parent(pid_t pid);
/* How many descriptors this process has open. */
size_t world_open_descriptors(void);
/* Reaps all children of this process (a subreaper); false if some live on. */
bool world_reap_all(uint64_t limit_ns);

/* Bodies. */
enum qe_outcome body_passes(struct world *w, qe_worker *worker,
                            const qe_claim *claim);

#endif
