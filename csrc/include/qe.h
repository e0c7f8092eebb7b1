/*
 * libqe: schedules tests, runs them in processes of their own, judges them,
 * and remembers them. This header, with those that it includes, is the whole public
 * interface; the Python and Node bindings include nothing else.
 *
 * Conventions
 *   - A function returns 0 or a negative QE_E* code unless it says otherwise.
 *   - A function that fails has changed nothing that its caller can see, and
 *     leaves nothing to free.
 *   - Durations and monotonic times are uint64_t nanoseconds (`_ns`); wall
 *     clock times are double seconds since the epoch (`_s`); sizes are bytes.
 *   - Strings are NUL-terminated bytes, UTF-8 by convention; the core copies
 *     what it keeps. Names of tests may hold any byte but NUL.
 *   - `_free` and `_close` accept NULL.
 *   - Nothing here is thread-safe on one handle unless it says so; different
 *     handles are independent. There are no mutable globals.
 */
#ifndef QE_H
#define QE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QE_API __attribute__((visibility("default")))
#else
#define QE_API
#endif

#define QE_VERSION "0.1.0"

/* ------------------------------------------------------------------ errors */

#define QE_ERROR_LIST(X)                                                       \
    X(NOMEM, 1, "out of memory")                                               \
    X(INVAL, 2, "invalid argument")                                            \
    X(SYS, 3, "system call failed (see errno)")                                \
    X(FORMAT, 4, "malformed data")                                             \
    X(CORRUPT, 5, "history database is corrupt")                               \
    X(BUSY, 6, "history database is locked by another process")                \
    X(READONLY, 7, "history database cannot be written")                       \
    X(NOTFOUND, 8, "not found")                                                \
    X(STATE, 9, "call out of order")                                           \
    X(TOOBIG, 10, "value exceeds a documented bound")                          \
    X(GONE, 11, "the peer process is gone")                                    \
    X(UNSUPPORTED, 12, "not supported on this system")

enum qe_error {
    QE_OK = 0,
#define QE_X(name, number, text) QE_E##name = -(number),
    QE_ERROR_LIST(QE_X)
#undef QE_X
};

/* A constant English sentence for a code; "unknown error" for others. */
QE_API const char *qe_strerror(int code);

/* Monotonic and wall clocks. */
QE_API uint64_t qe_now_ns(void);
QE_API double qe_wall_s(void);

/* The processors this process may use: affinity mask, then the cgroup quota
 * (v2 `cpu.max`, v1 `cpu.cfs_quota_us`), rounded up; at least 1. */
QE_API unsigned qe_cpu_count(void);

#include "qe_around.h" /* what is changed around a pass */
#include "qe_source.h" /* where units come from in a run that nodes share */

#include "qe_limits.h" /* what commands may use */

/* ---------------------------------------------------------------- outcomes */

enum qe_outcome {
    QE_NONE = 0,
    QE_PASSED,
    QE_FAILED,  /* the call phase failed */
    QE_SKIPPED, /* skipped, or failed as expected */
    QE_ERROR,   /* setup or teardown failed */
    QE_TIMEOUT, /* killed at its time limit */
    QE_CRASHED, /* its process died */
    QE_FLAKY,   /* failed, then passed on a retry */
    QE_OUTCOME_COUNT
};

/* "passed", "failed", ...; "none" for anything else. */
QE_API const char *qe_outcome_name(enum qe_outcome outcome);

/* -------------------------------------------------------------------- plan */

#define QE_UNIT_SERIAL 1u   /* runs while nothing else runs, after all others */
#define QE_UNIT_TOGETHER 2u /* its whole scope stays in one worker, in order */
#define QE_UNIT_FRESH 4u /* its scope gets a worker of its own (flaky pass) */
#define QE_UNIT_SPARE 8u /* nothing yet, see qe_session_pass */
#define QE_UNIT_FIRST                                                          \
    16u /* its scope starts before those without: it may fail */

typedef struct qe_unit {
    const char *id;      /* unique with `pass`; copied */
    const char *scope;   /* units of one scope stay together; NULL: own scope */
    uint32_t item;       /* the host's own number for it */
    uint32_t pass;       /* flaky mode: which pass, from 0; otherwise 0 */
    uint32_t flags;      /* QE_UNIT_*; TOGETHER and FRESH hold for the scope
                             if any of its units has them */
    uint32_t retries;    /* attempts after the first, at most 65535 */
    uint64_t timeout_ns; /* 0: none */
    uint64_t expected_ns; /* from history; 0: unknown */
    /* QE_START_COMMAND: what is executed for each attempt; all copied. */
    char *const *argv; /* program and arguments, then NULL; NULL: none. A
                           program without a slash is looked up in PATH */
    char *const *env;  /* changes of the host's environment, then NULL: a
                           "NAME=value" each, or a "NAME" that is to be
                           missing; NULL: none */
    const char *cwd;   /* NULL: the host's */
    const char *warm;  /* the address of a server (a name in the abstract
                           namespace of Unix sockets) that starts the command
                           in a fork of itself; where it cannot, the command is
                           executed as any other. NULL: none */
    qe_limits limits;
} qe_unit;

typedef struct qe_plan qe_plan;

QE_API int qe_plan_new(qe_plan **out);
QE_API void qe_plan_free(qe_plan *plan);
/* Adds a unit; its number is the count of units added before it. SPARE units come after
 * all others, of one scope, with the shortest time limit that any of them will have.
 * QE_ETOOBIG past 2^26 units. QE_ESTATE once sealed. QE_EINVAL also for a
 * command without a program, and for what comes after SPARE units. */
QE_API int qe_plan_add(qe_plan *plan, const qe_unit *unit);
/* Ends adding: groups units by scope, keeping the order in which units were
 * added within a scope. A sealed plan is read-only and may be shared, unless it
 * has SPARE units: a session makes something of them. */
QE_API int qe_plan_seal(qe_plan *plan);
QE_API size_t qe_plan_count(const qe_plan *plan);
/* The strings live as long as the plan. QE_EINVAL past the end. */
QE_API int qe_plan_get(const qe_plan *plan, size_t unit, qe_unit *out);

/* The units in scope order: the one at each place (see qe_source.h), and the number of its
 * scope, by which units of one scope lie side by side. QE_ESTATE before sealing, QE_EINVAL
 * past the end. */
QE_API int qe_plan_place(const qe_plan *plan, size_t place, uint32_t *unit,
                         uint32_t *scope);

/* ------------------------------------------------------------------- shard */

/* Which of `of` shards (from 0) each key belongs to. Without durations a key
 * goes by a stable hash of its bytes alone (64-bit FNV-1a, mixed by splitmix64,
 * as the low bits of FNV are weak), so every machine agrees without talking. With durations (NULL: none; 0: unknown, counted as
 * the median) keys are spread longest first onto the least loaded shard, ties
 * by key bytes; equal keys must be merged by the caller. */
QE_API int qe_shard_assign(const char *const *keys,
                           const uint64_t *durations_ns, size_t n, uint32_t of,
                           uint32_t *shard_out);
/* 64-bit FNV-1a, chained: start with `qe_digest_init`. */
#define QE_DIGEST_INIT UINT64_C(0xcbf29ce484222325)
QE_API uint64_t qe_digest(uint64_t digest, const void *data, size_t n);

/* ------------------------------------------------------------------ worker */

/* Phases of an attempt. */
enum qe_phase {
    QE_PHASE_NONE = 0,
    QE_PHASE_SETUP,
    QE_PHASE_CALL,
    QE_PHASE_TEARDOWN,
    QE_PHASE_SESSION /* teardown of session fixtures, after the last unit */
};

/* What a worker process holds: its slot in the arena, and in it the ring of
 * its events. All
 * calls belong to the worker's main thread. Every call compares the caller's
 * process id with the owner's: in a child that a test forked they return
 * QE_ESTATE and do nothing. */
typedef struct qe_worker qe_worker;

typedef struct qe_job {
    uint32_t slot;     /* "gw<slot>" */
    uint32_t epoch;    /* which worker of this slot, from 1 */
    uint32_t unit;     /* the unit to run, where single is set */
    uint32_t attempt;  /* from 1, of that unit */
    bool single;       /* run this attempt only, then leave */
    bool keeper;       /* be the keeper, see qe_keeper_wait */
    bool decided;      /* work through a pass that was decided on while the run
                          goes on (qe_session_pass): */
    uint32_t pass;     /* ... its number, */
    qe_around around;  /* ... and what is changed around it */
    uint32_t server;   /* be this server, likewise; 0: be none */
    uint64_t seed;     /* for this worker's random generators */
    int capture_fd[2]; /* files for captured stdout and stderr, shared with the
                         controller, which reads what a killed test printed */
    int stack_fd;      /* file for stack dumps, likewise */
    int stack_signal;  /* signal that asks for one */
} qe_job;

typedef struct qe_claim {
    uint32_t unit;
    uint32_t item;
    uint32_t pass;
    uint32_t attempt;
} qe_claim;

QE_API void qe_worker_job(const qe_worker *w, qe_job *out);
/* Changes what is around this worker as its pass asks (qe_job.around), before its first
 * claim. What the system forbids is left out, and its flags are in *refused, with
 * TMP_BY_NAME and HOME_BY_NAME for what the host has still to do: to name the set's
 * folders in TMPDIR and HOME. From here on limits hold in setup, call and teardown of
 * each attempt, the clock is set at each start, and partners wait for each other there
 * (at most 300 ms). QE_ESTATE after the first start, or the second time. */
QE_API int qe_worker_around(qe_worker *w, const qe_places *places,
                            uint32_t *refused);
/* Lifts the limits until the next phase: what follows is the host's own work. */
QE_API int qe_worker_lift(qe_worker *w);
/* How far the clock that this process sees is ahead of the true one, in seconds. */
QE_API double qe_worker_ahead_s(const qe_worker *w);
/* Looks at what would be claimed next, without claiming: 1 and *out, or 0. */
QE_API int qe_worker_peek(qe_worker *w, qe_claim *out);
/* Claims the next unit: 1 and *out; 0 if nothing can be claimed now; QE_EGONE
 * if the run is over or stopping. With `wait`, blocks until one of the
 * others is true. Safe against SIGKILL at any instant. */
QE_API int qe_worker_claim(qe_worker *w, bool wait, qe_claim *out);
/* True if every other unit is finished: the running one is the last. */
QE_API bool qe_worker_is_last(qe_worker *w);
/* The claimed unit starts: from here on a death is its crash. */
QE_API int qe_worker_start(qe_worker *w, const qe_claim *claim);
/* The seed of the running attempt (qe_attempt_seed): 1. 0, with *out 0, where its
 * pass was planned before the run: then attempts draw on from each other. */
QE_API int qe_worker_seed(const qe_worker *w, uint32_t key, uint64_t *out);
/* Enters a phase of the running unit; QE_PHASE_SESSION needs none. The time
 * limit is laid over setup to teardown, or the call alone (`func_only`). */
QE_API int qe_worker_phase(qe_worker *w, enum qe_phase phase);
/* A passed phase without output: a small fixed record. */
QE_API int qe_worker_passed(qe_worker *w, enum qe_phase phase, double start_s,
                            double duration_s);
/* Anything else, encoded by the host. `kind` is the host's own. */
QE_API int qe_worker_send(qe_worker *w, uint32_t kind, const void *data,
                          size_t n);
/* The running unit is finished. `last`: no next unit was in sight, so session
 * fixtures are still up. `data` (n bytes, may be none) comes with the event. */
QE_API int qe_worker_finish(qe_worker *w, enum qe_outcome outcome, bool last,
                            const void *data, size_t n);
/* Lifts the limit of the attempt, or of the session's end, that runs: somebody
 * looks into it with a debugger. */
QE_API int qe_worker_unlimited(qe_worker *w);
/* A failure that counts for --maxfail. 0; at the limit it stops all claims, and
 * returns how many failures there are by now in all workers. */
QE_API int qe_worker_count_failure(qe_worker *w);
/* Stops all claims in all workers (a plugin set `shouldstop`, pytest.exit). */
QE_API int qe_worker_stop(qe_worker *w);
/* Makes the stack signal's handler one that never returns, so that a test that
 * is being killed cannot go on while its stacks are taken. The host registers
 * its own handler on top, and chains to this one. */
QE_API int qe_worker_hold(qe_worker *w);
/* The session is over: what follows is not part of any unit. */
QE_API int qe_worker_bye(qe_worker *w);

/* ------------------------------------------------------------------ keeper */

/* With qe_options.keeper one process more is forked, before all workers. It runs
 * no unit: it prepares what all of them share, then waits here. The first call
 * says that it is ready, and lifts the limit that qe_worker_phase laid. 1: a
 * worker for *slot is wanted, see qe_keeper_fork. 0: all workers have left, so it
 * takes down what it holds, and says bye. A keeper that leaves without having
 * called this is done without: workers are forked from the supervisor.
 *
 * A server (qe_options.servers) is a keeper that attaches, and forks the workers of
 * the passes that name it. */
QE_API int qe_keeper_wait(qe_worker *w, uint32_t *slot);
/* Forks a worker from this process. 1 in the worker, with *out: its handle. 0
 * in the keeper, also where fork is refused: the session is told. The host does
 * its own duties before and after, in both. */
QE_API int qe_keeper_fork(qe_worker *w, uint32_t slot, qe_worker **out);

/* ----------------------------------------------------------------- session */

typedef struct qe_session qe_session;

/* How the host forks itself: called in the supervisor around fork(2) with the
 * interpreter's own duties. `child` runs in the worker. NULL entries are
 * skipped. */
typedef struct qe_fork_hooks {
    void (*before)(void *ctx);
    void (*parent)(void *ctx);
    void (*child)(void *ctx);
    void *ctx;
} qe_fork_hooks;

enum qe_start {
    QE_START_FORK,   /* workers are forks of the host */
    QE_START_SPAWN,  /* workers are programs that attach, see spawn_argv */
    QE_START_COMMAND /* units are commands: each has its argv. The core runs
                         them by itself; nobody else attaches */
};

typedef struct qe_options {
    uint32_t workers;       /* how many attempts run at once; 1..1024 */
    uint32_t first_workers; /* how many of these start with the run, the others
                                 by qe_session_grow or where one is lost; 0: all */
    enum qe_start start;
    char *const *spawn_argv; /* SPAWN: what a worker executes, SIGINT ignored;
                                  it finds its arena by the environment
                                  variable QE_WORKER */
    bool isolate;            /* a fresh worker for every unit */
    bool func_only;          /* the time limit covers the call phase alone */
    bool steal_scopes;       /* never split a scope (xdist's loadscope) */
    bool in_order;           /* scopes start in plan order, not longest first */
    bool keeper;             /* workers are forked from a process that the host
                                  prepares, in slot 2 * workers; FORK only */
    uint32_t servers;        /* at most 1024: FORK: processes that are executed
                                  (spawn_argv, also under FORK then), prepare
                                  themselves, and fork the workers of passes,
                                  see qe_pass.server; in the slots behind
                                  2 * workers. One is started with the first
                                  pass that names it, and takes no worker's
                                  room. SPAWN: environments of workers */
    char *const *const *server_env; /* of each, changes of the host's
                                         environment, as in qe_unit.env. Like
                                         spawn_argv they are not copied */
    bool peak_memory;            /* measure each attempt's own peak (about 20 us
                                  an attempt), not the worker's so far */
    uint32_t maxfail;            /* 0: no limit */
    uint32_t max_restarts;       /* crashes before the run is given up;
                                  UINT32_MAX: no limit */
    uint64_t session_timeout_ns; /* limit of a worker's session teardown */
    uint64_t backoff_ns;         /* before the first retry; doubles; jittered */
    bool exact_backoff;          /* ... not jittered */
    uint64_t grace_ns;           /* COMMAND: from SIGTERM, at the time limit, to
                               SIGKILL; 0: SIGKILL at once */
    uint64_t throttle_ns;        /* COMMAND: least time between two starts */
    size_t output_bytes; /* COMMAND: how much is kept of each stream of an
                               attempt, half from its beginning and half from
                               its end; 0: 256 KiB; at most 64 MiB */
    bool plain_events;   /* one PLAIN event for an attempt that passed
                                      with nothing to tell */
    bool
        lazy_events; /* the host need not hear of each event at once: behind one,
                           more are waited for, some milliseconds */
    const qe_source *source; /* which units are this node's to run, and
                                       when; outlives the session. NULL: all */
    bool own_retries; /* with a source: another attempt is this node's own, and
                         not another claim, see qe_session_release */
    uint64_t seed;
} qe_options;

enum qe_event_kind {
    QE_EV_NONE = 0, /* nothing happened within the time given */
    QE_EV_WORKER,   /* a worker began: slot, epoch, pid */
    QE_EV_START,    /* an attempt began */
    QE_EV_PASSED, /* a phase passed without output: phase, start_s, duration_s */
    QE_EV_DATA,   /* the host's own: data_kind, data, data_size */
    QE_EV_FINISH,  /* an attempt ended by itself: outcome, peak_bytes, cpu_s,
                       and data if the worker gave some; settled says whether
                       the core has already judged it. A command's: status is
                       as from wait; PASSED for 0, FAILED for another exit
                       status, CRASHED for a signal, TIMEOUT whatever it ended
                       by after its limit, ERROR where it could not be executed
                       (its stderr says why). Its data are what it printed:
                       stdout_bytes of standard output, then standard error */
    QE_EV_PLAIN,   /* START, PASSED for each phase and FINISH of a first attempt
                       that passed, in one: phases, and as in FINISH */
    QE_EV_LOST,    /* an attempt ended with its process: outcome is CRASHED or
                       TIMEOUT, phase, status (as from wait), stack data. With
                       outcome NONE the attempt itself is void, through no fault
                       of its own (its supervisor died), and runs again */
    QE_EV_EXIT,    /* a worker ended: status; phase is SESSION, with outcome
                       CRASHED or TIMEOUT, if it died in its session teardown */
    QE_EV_REFUSED, /* the system would not start a worker: status is errno. Told
                       once a run, which goes on with fewer, or waits */
    QE_EV_SERVER,  /* a server cannot serve: it could not be started (error is
                      errno), or ended before it was ready, or died too often
                      (status). Told once; its passes that begin after this have
                      workers as any other, and not its environment. What it
                      wrote to its slot's files stays there */
    QE_EV_GIVE_UP, /* max_restarts reached, or no worker can be started */
    QE_EV_SOURCE,  /* what its source says of the whole run: status is
                     QE_SOURCE_STOPPED, OVER or TROUBLE. What runs goes on to its
                     end; nothing more is claimed, and with STOPPED nothing starts */
    QE_EV_DONE     /* nothing is left to run and no worker is alive */
};

typedef struct qe_event {
    enum qe_event_kind kind;
    uint32_t slot, epoch;
    int32_t pid;
    uint32_t unit, item, pass, attempt; /* unit is UINT32_MAX where none */
    uint32_t
        claim; /* with a source: the attempt that the unit was claimed for */
    enum qe_phase phase;
    enum qe_outcome outcome;
    bool settled;
    bool last; /* FINISH: more may come for it when its worker exits */
    int status;
    double start_s, duration_s, cpu_s;
    uint64_t peak_bytes;
    uint32_t data_kind;
    const void *data; /* until the next call on this session */
    size_t data_size;
    size_t stdout_bytes; /* FINISH of a command */
    struct {
        double start_s, duration_s;
    } phases[3];     /* PLAIN: of setup, call and teardown */
    int error;       /* GIVE_UP: a QE_E* code; status is errno with QE_ESYS */
    uint32_t server; /* SERVER: its number, from 1 */
} qe_event;

/* A pass that is decided on while the run goes on. */
typedef struct qe_pass {
    uint32_t number; /* as in qe_unit */
    uint32_t flags;  /* 0, or QE_UNIT_SERIAL: nothing else runs meanwhile */
    const uint32_t *items; /* the host's own numbers, in the order to run; one
                                   may come several times */
    const uint64_t *timeout_ns; /* of each, as in qe_unit; NULL: none */
    size_t n;
    uint64_t seed; /* for its worker's random generators; 0: from the run's */
    const qe_around *around; /* what is changed around it; NULL: nothing */
    uint32_t server; /* its workers are forked from this server, from 1, and
                        start when that is ready: other passes need not wait
                        for it. 0: from none */
} qe_pass;

/* Lays out the arena and starts the supervisor. In the controller: 0, and
 * *out. In a worker, whose process this call also returns in under
 * QE_START_FORK: 1, and *worker_out; *out is then NULL. The plan must be
 * sealed and outlive the session.
 *
 * A command runs in a process group of its own, with nothing but /dev/null and
 * two pipes open. It ends with its worker, whatever ends that. When it has
 * ended, what is left of its group is killed, so that no grandchild holds the
 * run up; one that left the group is killed when the session is closed. SIGINT
 * (qe_session_stop) is passed on to it, with the same grace as at its limit. */
QE_API int qe_session_start(qe_session **out, qe_worker **worker_out,
                            qe_plan *plan, const qe_options *options,
                            const qe_fork_hooks *hooks);
/* In a process started by QE_START_SPAWN, or as a server: attaches to the
 * arena. */
QE_API int qe_worker_attach(qe_worker **out);
/* Waits up to timeout_ms for the next event. Call without any host lock. */
QE_API int qe_session_next(qe_session *s, int timeout_ms, qe_event *out);
/* Judges an attempt that was not settled: was it to be retried (`retryable`:
 * the host's own filter agrees)? *again says whether another attempt follows;
 * then *final_out is QE_NONE, otherwise the unit's outcome. */
QE_API int qe_session_settle(qe_session *s, uint32_t unit, uint32_t attempt,
                             enum qe_outcome outcome, bool retryable,
                             bool *again, enum qe_outcome *final_out);
/* Instead of that, with own_retries: the unit has run as far as it does here, and is to run
 * once more by another claim, on whichever node. QE_ESTATE: it is not running, or the run
 * is at its end. */
QE_API int qe_session_release(qe_session *s, uint32_t unit);
/* Stops: nothing new starts. `interrupt` also sends SIGINT to running tests.
 * Both keep draining through qe_session_next. */
QE_API int qe_session_stop(qe_session *s, bool interrupt);
/* From now on up to `workers` run, of options.workers: those that start take what
 * the others have not begun. May be called between two calls of qe_session_next
 * alone. */
QE_API int qe_session_grow(qe_session *s, uint32_t workers);
/* COMMAND: from now on at most `running` commands run at once (0: as many as there are
 * workers), at least throttle_ns between two starts. What runs goes on. May be called
 * between two calls of qe_session_next alone. */
QE_API int qe_session_limit(qe_session *s, uint32_t running,
                            uint64_t throttle_ns);
/* Makes SPARE units of the plan a pass: attempts at these items, in this order, in
 * a worker of their own. It begins when those given before have begun and there is
 * room, and its server is ready. *unit_out: the number of its first unit, the others
 * follow. A plan with SPARE units ends only after qe_session_no_more. QE_ETOOBIG if fewer are spare
 * than n; QE_ESTATE if nothing new may start; QE_EINVAL also for surroundings that
 * there are not. May be called between two calls of
 * qe_session_next alone. */
QE_API int qe_session_pass(qe_session *s, const qe_pass *pass,
                           uint32_t *unit_out);
/* How many units are spare. */
QE_API size_t qe_session_spare(const qe_session *s);
/* No pass follows: what is spare now counts for nothing. */
QE_API int qe_session_no_more(qe_session *s);
/* Holds all workers, with what their tests started in their groups, before the
 * host is stopped (Ctrl-Z), or lets them go on: no time has passed for their
 * limits then. May be called between two calls of qe_session_next alone. */
QE_API int qe_session_pause(qe_session *s, bool on);
/* Kills everything still running; qe_session_next then reports it. */
QE_API int qe_session_kill(qe_session *s);
/* What runs now, for a progress line: fills up to n entries (unit, slot,
 * phase, attempt, duration_s so far), longest first; returns how many. */
QE_API size_t qe_session_running(qe_session *s, qe_event *out, size_t n);
/* Units settled so far, and in all. */
QE_API void qe_session_progress(const qe_session *s, size_t *done, size_t *all);
/* Captured output so far of a slot's current phase: stream 0 stdout, 1 stderr.
 * Copies up to n bytes from the end and returns how many. After a LOST or EXIT
 * event it is the dead worker's until the next qe_session_next. */
QE_API size_t qe_session_captured(qe_session *s, uint32_t slot, int stream,
                                  char *buffer, size_t n);
/* Ends everything that is left, reaps it, frees. */
QE_API void qe_session_close(qe_session *s);

/* Frees what a function here has given. */
QE_API void qe_free(void *p);

#ifdef __cplusplus
}
#endif

#include "qe_live.h" /* what a run tells while it goes on */

#include "qe_results.h" /* what happened, and what is remembered of it */

#include "qe_replica.h" /* what is remembered by several machines together */

#include "qe_stats.h" /* what passes and failures say */

#include "qe_hunt.h" /* where a flaky hunt spends its runs */

#include "qe_cause.h" /* why a test is flaky */

#include "qe_adapt.h" /* how many commands at once */

#include "qe_layers.h" /* layers of tests, and what of them starts when */

#endif
