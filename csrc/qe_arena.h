/*
 * The arena: one shared mapping in which workers claim units, and in which
 * the supervisor sees what each worker is doing. Internal.
 *
 * Queues are hints; the claim is one compare-and-swap on the unit's own state
 * word. Whatever instant a worker is killed at, that word says who had the
 * unit and whether it had started, so nothing is lost and nothing runs twice.
 */
#ifndef QE_ARENA_H
#define QE_ARENA_H

#include <stdatomic.h>

#include "qe.h"
#include "qe_ring.h"

enum qe__unit_state {
    QE__UNIT_PENDING = 0, /* not to be claimed from a queue (yet) */
    QE__UNIT_READY,
    QE__UNIT_CLAIMED, /* a worker has it; its code has not begun */
    QE__UNIT_RUNNING,
    QE__UNIT_DONE
};

enum qe__stop {
    QE__STOP_NO = 0,
    QE__STOP_DRAIN, /* nothing is left: workers end their sessions */
    QE__STOP_NOW    /* nothing more may start: likewise */
};

/* What the controller wants the bell to be rung for. */
enum qe__asleep {
    QE__AWAKE = 0, /* nothing: it will look by itself */
    QE__NAPPING,   /* a worker that has nothing to do, or ends */
    QE__ASLEEP     /* any event */
};

enum qe__job_kind {
    QE__JOB_POOL = 0,
    QE__JOB_SCOPE,
    QE__JOB_SINGLE,
    QE__JOB_KEEPER,
    QE__JOB_SERVER
};

/* A deadline word that says: the supervisor is killing this worker. */
#define QE__DEADLINE_KILLED UINT64_MAX
#define QE__NONE UINT32_MAX

typedef struct qe__arena_unit {
    _Atomic uint64_t state; /* see qe__state */
    uint64_t timeout_ns;
    uint64_t expected_ns;
    uint32_t scope;
    uint32_t item;
    uint32_t pass;
    uint32_t place; /* its index in the scope order */
    uint32_t nth;   /* how often its pass runs its item before */
} qe__arena_unit;

typedef struct qe__arena_scope {
    _Atomic uint32_t owner; /* slot + 1 of the worker that started it */
    uint32_t first;         /* index into the scope order */
    uint32_t count;
    uint32_t together; /* only its owner may claim from it */
    uint64_t seed;     /* of its own worker; 0: from the run's */
    uint32_t server;   /* that its workers are forked from; 0: none */
} qe__arena_scope;

/* What is told of a pass that was decided on while the run goes on, beside its
 * scope. */
typedef struct qe__arena_pass {
    qe_around around;
    _Atomic uint32_t partner; /* scope + 1 of the pass that it meets, or 0 */
    _Atomic uint32_t arrived; /* futex: attempts of it that wanted to begin */
} qe__arena_pass;

/* What a worker is doing, and what it was asked to do. One cache line pair a
 * slot, so that workers do not slow each other. */
typedef struct qe__arena_slot {
    _Alignas(128) _Atomic uint64_t running; /* see qe__running */
    _Atomic uint64_t start_ns;              /* of the attempt */
    _Atomic uint64_t deadline_ns;           /* 0: none */
    _Atomic uint64_t blocked_ns; /* since when its ring is full; 0: it is not */
    _Atomic uint64_t load_ns;    /* expected time left in its queue */
    _Atomic uint32_t pid;
    _Atomic uint32_t head, tail; /* of its queue; hints */
    _Atomic uint32_t park;       /* odd: asked not to claim for now; counts */
    _Atomic uint32_t mailbox;    /* unit + 1 it is to run next */
    _Atomic uint32_t scope;      /* scope + 1 it is working through */
    _Atomic uint32_t scope_at;   /* how far, a hint */
    _Atomic uint32_t queue;   /* where its window of the queue array begins */
    _Atomic uint32_t group;   /* process group of its command until that is
                                reaped, or 0 */
    _Atomic uint32_t refusal; /* why that could not be executed, or 0 */
    _Atomic uint32_t turn;    /* 1: it starts or runs a command */
    /* The job, written by the controller before the worker starts. */
    uint32_t epoch;
    uint32_t job; /* qe__job_kind */
    uint32_t job_unit;
    uint32_t job_attempt;
    uint32_t job_scope;
    uint64_t job_seed;
    uint32_t
        job_server; /* that the worker belongs to, or that it is; 0: none */
    /* The slot's files (stdout, stderr, stacks), whose numbers are the same in
     * every process that has them from the controller. */
    int32_t files[3];
} qe__arena_slot;

typedef struct qe__arena_head {
    uint32_t magic;
    uint32_t version;
    uint64_t size_bytes;
    uint32_t units, scopes, slots;
    uint32_t passes; /* the last of the scopes: those that may become a pass */
    uint32_t maxfail;
    uint32_t func_only;
    uint32_t peak_memory;
    uint32_t steal_scopes;
    uint64_t session_timeout_ns;
    uint64_t min_timeout_ns; /* the shortest of all limits; 0: none has one */
    uint64_t units_at, scopes_at, passes_at, order_at, queue_at, slots_at,
        rings_at;
    _Alignas(64) _Atomic uint32_t stop;
    _Atomic uint32_t epoch; /* futex: bumped when a waiting worker may go on */
    _Atomic uint32_t failures;
    _Atomic uint32_t open;  /* units not finished; may be too high, never low */
    _Atomic uint32_t sweep; /* no unit at or past this place is READY; a hint */
    _Atomic uint32_t common; /* place in the queue array of what comes next */
    _Atomic uint32_t
        common_end; /* for whoever has nothing; a hint, like queues */
    _Alignas(64) _Atomic uint32_t asleep; /* the controller: see qe__asleep */
    /* Commands: none starts for throttle_ns after the last start, and not while
     * so many run (0: no limit). */
    _Alignas(64) _Atomic uint64_t last_start_ns;
    _Atomic uint64_t throttle_ns;
    _Atomic uint32_t running_max;
} qe__arena_head;

typedef struct qe__arena {
    int fd;
    size_t size_bytes;
    qe__arena_head *head;
    qe__arena_unit *units;
    qe__arena_scope *scopes;
    qe__arena_pass *passes;
    uint32_t *order; /* units grouped by scope */
    uint32_t *queue; /* the slots' queues, one behind the other */
    qe__arena_slot *slots;
    qe__ring *rings; /* each slot's events */
} qe__arena;

/* A state word holds the state, the attempt and the slot that has it. */
static inline uint64_t qe__state(enum qe__unit_state state, uint32_t attempt,
                                 uint32_t slot)
{
    return (uint64_t) state | (uint64_t) (attempt & 0xffffffu) << 8 |
           (uint64_t) slot << 32;
}
static inline enum qe__unit_state qe__state_of(uint64_t word)
{
    return (enum qe__unit_state)(word & 0xff);
}
static inline uint32_t qe__state_attempt(uint64_t word)
{
    return (uint32_t) (word >> 8) & 0xffffffu;
}
static inline uint32_t qe__state_slot(uint64_t word)
{
    return (uint32_t) (word >> 32);
}

/* A running word holds unit + 1, attempt and phase; 0 is nothing. */
static inline uint64_t qe__running(uint32_t unit, uint32_t attempt,
                                   enum qe_phase phase)
{
    return ((uint64_t) unit + 1) << 32 | (uint64_t) (attempt & 0xffffu) << 8 |
           (uint64_t) phase;
}
static inline uint32_t qe__running_unit(uint64_t word)
{
    return (uint32_t) (word >> 32) - 1; /* QE__NONE for 0 */
}
static inline uint32_t qe__running_attempt(uint64_t word)
{
    return (uint32_t) (word >> 8) & 0xffffu;
}
static inline enum qe_phase qe__running_phase(uint64_t word)
{
    return (enum qe_phase)(word & 0xff);
}

/* Makes the arena for a sealed plan; every unit is PENDING. */
int qe__arena_new(qe__arena *a, const qe_plan *plan, const qe_options *options,
                  uint32_t slots);
/* Controller: a pass has been made of SPARE units; it becomes this scope. */
void qe__arena_lay_pass(qe__arena *a, const qe_plan *plan, uint32_t scope,
                        const qe_pass *pass);
/* What is told of the pass that a scope is, or NULL. */
qe__arena_pass *qe__arena_pass_of(const qe__arena *a, uint32_t scope);
/* Maps an arena made by another process. Checks its bounds. */
int qe__arena_attach(qe__arena *a, int fd);
void qe__arena_close(qe__arena *a);

/* Controller: lays out a slot's queue and makes its units READY. `*used`
 * counts the places taken so far in the queue array. */
void qe__arena_fill(qe__arena *a, uint32_t slot, const uint32_t *units,
                    size_t n, uint32_t *used);
/* Controller: likewise what belongs to no slot, and is taken in order, scope by
 * scope. Comes first in the queue array. */
void qe__arena_fill_common(qe__arena *a, const uint32_t *units, size_t n,
                           uint32_t *used);
/* Controller: a unit becomes READY behind what belongs to no slot so far, or without a
 * place in a queue, where those are all taken. qe__arena_wake is to follow. */
void qe__arena_add_common(qe__arena *a, uint32_t unit);
/* Controller: a unit that no worker has claimed is PENDING again: false if one has. */
bool qe__arena_withdraw(qe__arena *a, uint32_t unit);
/* Controller: the units of a scope become READY, for a SCOPE job. */
void qe__arena_open_scope(qe__arena *a, uint32_t scope);
/* Controller: a unit that no live worker has becomes READY, or DONE. */
void qe__arena_ready(qe__arena *a, uint32_t unit);
void qe__arena_done(qe__arena *a, uint32_t unit);
/* Controller, after the worker of `slot` died: the first unit from `from` on
 * that it had CLAIMED or RUNNING, or QE__NONE. */
uint32_t qe__arena_held(const qe__arena *a, uint32_t slot, uint32_t from);
/* Whether any unit is READY (for anyone, or in `scope` if not QE__NONE). */
bool qe__arena_any_ready(const qe__arena *a, uint32_t scope);
/* Gives up the scopes that a dead slot owned, so that others may go on. */
void qe__arena_disown(qe__arena *a, uint32_t slot);

/* Anyone: raises the stop word (it never falls) and wakes all. */
void qe__arena_stop(qe__arena *a, enum qe__stop stop);
void qe__arena_wake(qe__arena *a);
/* Waits until the epoch is no longer `seen`, at most `ns`. */
void qe__arena_wait(qe__arena *a, uint32_t seen, uint64_t ns);

/* Worker: what qe_worker_peek and _claim promise, for a slot. */
bool qe__arena_peek(qe__arena *a, uint32_t slot, uint32_t *unit);
bool qe__arena_claim(qe__arena *a, uint32_t slot, uint32_t *unit,
                     uint32_t *attempt);

#ifdef QE_FAULT_POINTS
/* Tests stop a worker at each step of a claim. */
void qe__fault_point(int step);
#else
#define qe__fault_point(step) ((void) 0)
#endif

#endif
