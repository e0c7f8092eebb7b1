/* The worker's side: claims from the arena, events into its ring. */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "qe_proc.h"
#include "qe_wire.h"
#include "qe_worker.h"

#define WAIT_NS UINT64_C(200000000)
#define ROOM_WAIT_NS UINT64_C(1000000000)

int qe__stack_signal(void)
{
    /* glibc keeps the first real-time signals; libraries like to take
     * SIGRTMIN itself, so this is the last but two. */
    return SIGRTMAX - 2;
}

void qe_worker_job(const qe_worker *w, qe_job *out)
{
    const qe__arena_pass *pass;

    memset(out, 0, sizeof(*out));
    out->slot = w->number;
    out->epoch = w->slot->epoch;
    out->single = w->slot->job == QE__JOB_SINGLE;
    out->keeper = w->slot->job == QE__JOB_KEEPER;
    out->server = w->slot->job == QE__JOB_SERVER ? w->slot->job_server : 0;
    out->unit = w->slot->job_unit;
    out->attempt = w->slot->job_attempt;
    out->seed = w->slot->job_seed;
    pass = w->slot->job == QE__JOB_SCOPE
               ? qe__arena_pass_of(w->arena, w->slot->job_scope)
               : NULL;
    if (pass != NULL) {
        const qe__arena_scope *scope = &w->arena->scopes[w->slot->job_scope];

        out->decided = true;
        out->pass = w->arena->units[w->arena->order[scope->first]].pass;
        out->around = pass->around;
    }
    out->capture_fd[0] = w->capture[0];
    out->capture_fd[1] = w->capture[1];
    out->stack_fd = w->stack;
    out->stack_signal = qe__stack_signal();
}

static bool foreign(const qe_worker *w)
{
    return getpid() != w->pid;
}

/* ------------------------------------------------------------------ events */

/* Wakes the controller where it sleeps and wants to be woken for this. It
 * looks at the rings after it has said that it sleeps, and this looks whether
 * it sleeps after the ring was filled, so one of the two sees the other. */
static void ring_bell(qe_worker *w, bool urgent)
{
    _Atomic uint32_t *asleep = &w->arena->head->asleep;
    uint32_t how = atomic_load(asleep);
    uint64_t one = 1;

    if (how != QE__AWAKE && (how == QE__ASLEEP || urgent) &&
        atomic_compare_exchange_strong(asleep, &how, QE__AWAKE)) {
        (void) !write(w->bell, &one, sizeof(one));
    }
}

/* Waits until the ring takes more. That time is the controller's, not the
 * test's: the deadline moves by as much, and the supervisor leaves a blocked
 * worker alone. */
static void wait_room(qe_worker *w)
{
    uint64_t since = qe_now_ns();
    uint64_t deadline;

    atomic_store(&w->slot->blocked_ns, since);
    ring_bell(w, true);
    qe__ring_wait_room(&w->arena->rings[w->number], ROOM_WAIT_NS);
    deadline = atomic_load(&w->slot->deadline_ns);
    while (deadline != 0 && deadline != QE__DEADLINE_KILLED &&
           !atomic_compare_exchange_weak(&w->slot->deadline_ns, &deadline,
                                         deadline + (qe_now_ns() - since))) {}
    atomic_store(&w->slot->blocked_ns, 0);
}

static int write_frame(qe_worker *w, qe__frame *frame, const void *data,
                       size_t n)
{
    qe__part parts[2] = {{frame, sizeof(*frame)}, {data, n}};
    size_t at = 0;

    if (n > QE__WIRE_MAX_BYTES) {
        return QE_ETOOBIG;
    }
    frame->magic = QE__WIRE_MAGIC;
    frame->size = (uint32_t) n;
    frame->pid = (uint32_t) w->pid;
    for (;;) {
        at += qe__ring_put(&w->arena->rings[w->number], parts, at);
        if (at == sizeof(*frame) + n) {
            break;
        }
        wait_room(w);
    }
    ring_bell(w, frame->type >= QE__FRAME_IDLE);
    return 0;
}

static qe__frame frame_of(const qe_worker *w, enum qe__frame_type type)
{
    qe__frame frame;

    memset(&frame, 0, sizeof(frame));
    frame.type = (uint8_t) type;
    frame.unit = w->running ? w->now.unit : QE__NONE;
    frame.attempt = w->running ? w->now.attempt : 0;
    frame.phase = (uint8_t) qe__running_phase(atomic_load(&w->slot->running));
    return frame;
}

static int send_plain(qe_worker *w, enum qe__frame_type type, uint32_t kind)
{
    qe__frame frame = frame_of(w, type);

    frame.kind = kind;
    return write_frame(w, &frame, NULL, 0);
}

int qe_worker_passed(qe_worker *w, enum qe_phase phase, double start_s,
                     double duration_s)
{
    qe__frame frame;

    if (foreign(w) || !w->running) {
        return QE_ESTATE;
    }
    frame = frame_of(w, QE__FRAME_PASSED);
    frame.phase = (uint8_t) phase;
    frame.start_s = start_s;
    frame.duration_s = duration_s;
    return write_frame(w, &frame, NULL, 0);
}

int qe_worker_send(qe_worker *w, uint32_t kind, const void *data, size_t n)
{
    qe__frame frame;

    if (foreign(w)) {
        return QE_ESTATE;
    }
    frame = frame_of(w, QE__FRAME_DATA);
    frame.kind = kind;
    return write_frame(w, &frame, data, n);
}

/* ------------------------------------------------------------------ claims */

static void claim_of(const qe_worker *w, uint32_t unit, uint32_t attempt,
                     qe_claim *out)
{
    out->unit = unit;
    out->item = w->arena->units[unit].item;
    out->pass = w->arena->units[unit].pass;
    out->attempt = attempt;
}

static bool may_claim(const qe_worker *w)
{
    return atomic_load(&w->arena->head->stop) == QE__STOP_NO &&
           (atomic_load(&w->slot->park) & 1) == 0;
}

int qe_worker_peek(qe_worker *w, qe_claim *out)
{
    uint32_t unit;

    if (foreign(w)) {
        return QE_ESTATE;
    }
    if (w->slot->job == QE__JOB_SINGLE || !may_claim(w) ||
        !qe__arena_peek(w->arena, w->number, &unit)) {
        return 0;
    }
    claim_of(w, unit, 1, out);
    return 1;
}

static int claim_once(qe_worker *w, qe_claim *out)
{
    uint32_t unit, attempt;

    if (w->slot->job == QE__JOB_SINGLE) {
        if (w->single_done ||
            atomic_load(&w->arena->head->stop) == QE__STOP_NOW) {
            return QE_EGONE;
        }
        w->single_done = true;
        claim_of(w, w->slot->job_unit, w->slot->job_attempt, out);
        return 1;
    }
    if (atomic_load(&w->arena->head->stop) != QE__STOP_NO) {
        return QE_EGONE;
    }
    if (!may_claim(w)) {
        return 0;
    }
    if (!qe__arena_claim(w->arena, w->number, &unit, &attempt)) {
        return w->slot->job == QE__JOB_SCOPE ? QE_EGONE : 0;
    }
    claim_of(w, unit, attempt, out);
    return 1;
}

int qe_worker_claim(qe_worker *w, bool wait, qe_claim *out)
{
    uint64_t told = UINT64_MAX; /* the park word that was told */

    if (foreign(w)) {
        return QE_ESTATE;
    }
    for (;;) {
        uint32_t epoch = atomic_load(&w->arena->head->epoch);
        uint32_t park = atomic_load(&w->slot->park);
        int status = claim_once(w, out);

        if (status != 0 || !wait) {
            if (status == 1 && told != UINT64_MAX) {
                (void) send_plain(w, QE__FRAME_BUSY, 0);
            }
            return status;
        }
        /* Who was asked to rest and then to go on has its turn back, and says
         * again that it has no use for it. */
        if (told != park) {
            told = park;
            status = send_plain(w, QE__FRAME_IDLE, park);
            if (status != 0) {
                return status;
            }
        }
        qe__arena_wait(w->arena, epoch, WAIT_NS);
    }
}

bool qe_worker_is_last(qe_worker *w)
{
    return w->slot->job == QE__JOB_SINGLE ||
           atomic_load(&w->arena->head->open) <= 1 ||
           atomic_load(&w->arena->head->stop) != QE__STOP_NO;
}

/* --------------------------------------------------------------- attempts */

int qe_worker_start(qe_worker *w, const qe_claim *claim)
{
    qe__arena_unit *unit;
    qe__frame frame;
    qe__usage usage;

    if (foreign(w) || w->running || claim->unit >= w->arena->head->units) {
        return QE_ESTATE;
    }
    qe__changing_meet(w);
    if (atomic_load(&w->arena->head->stop) == QE__STOP_NOW) {
        return QE_EGONE; /* it stays claimed, and so is never started */
    }
    unit = &w->arena->units[claim->unit];
    if (w->clear_refs >= 0) {
        /* Resets the high-water mark of resident memory (proc(5)). */
        (void) !write(w->clear_refs, "5", 1);
    }
    qe__proc_usage(&usage);
    w->cpu_before_s = usage.cpu_s;
    w->now = *claim;
    w->running = true;
    w->unlimited = false;
    qe__fault_point(3);
    atomic_store(&w->slot->start_ns, qe_now_ns());
    atomic_store(&w->slot->running,
                 qe__running(claim->unit, claim->attempt, QE_PHASE_NONE));
    atomic_store(&unit->state,
                 qe__state(QE__UNIT_RUNNING, claim->attempt, w->number));
    qe__fault_point(4);
    frame = frame_of(w, QE__FRAME_START);
    frame.start_s = qe_wall_s();
    qe__changing_start(w);
    return write_frame(w, &frame, NULL, 0);
}

int qe_worker_seed(const qe_worker *w, uint32_t key, uint64_t *out)
{
    const qe__arena_unit *unit;

    *out = 0;
    if (foreign(w) || !w->running) {
        return QE_ESTATE;
    }
    unit = &w->arena->units[w->now.unit];
    if (qe__arena_pass_of(w->arena, unit->scope) == NULL) {
        return 0;
    }
    *out = qe_attempt_seed(w->slot->job_seed, key, unit->nth);
    return 1;
}

/* Lays the limit, or lifts it; once the supervisor has begun to kill, the
 * process waits for its end instead of going on to another test. */
static void set_deadline(qe_worker *w, uint64_t limit_ns)
{
    uint64_t now = atomic_load(&w->slot->deadline_ns);
    uint64_t next = limit_ns == 0 ? 0 : qe_now_ns() + limit_ns;

    do {
        while (now == QE__DEADLINE_KILLED) {
            (void) poll(NULL, 0, 1000);
            now = atomic_load(&w->slot->deadline_ns);
        }
    } while (!atomic_compare_exchange_weak(&w->slot->deadline_ns, &now, next));
}

int qe_worker_phase(qe_worker *w, enum qe_phase phase)
{
    const qe__arena_head *head = w->arena->head;
    uint64_t limit;

    if (foreign(w)) {
        return QE_ESTATE;
    }
    if (phase == QE_PHASE_SESSION) {
        qe__changing_lift(&w->changing);
        atomic_store(&w->slot->start_ns, qe_now_ns());
        atomic_store(&w->slot->running,
                     qe__running(w->now.unit, w->now.attempt, phase));
        set_deadline(w, head->session_timeout_ns);
        return 0;
    }
    if (!w->running) {
        return QE_ESTATE;
    }
    atomic_store(&w->slot->running,
                 qe__running(w->now.unit, w->now.attempt, phase));
    limit = w->arena->units[w->now.unit].timeout_ns;
    if (limit != 0 && !w->unlimited) {
        if (head->func_only) {
            set_deadline(w, phase == QE_PHASE_CALL ? limit : 0);
        } else if (phase == QE_PHASE_SETUP) {
            set_deadline(w, limit);
        }
    }
    qe__changing_limit(&w->changing);
    if (phase == QE_PHASE_CALL) {
        /* It is known when the body began that failed; how long a set-up before it takes
         * differs. */
        qe__changing_start(w);
    }
    return 0;
}

int qe_worker_unlimited(qe_worker *w)
{
    if (foreign(w)) {
        return QE_ESTATE;
    }
    w->unlimited = true;
    set_deadline(w, 0);
    return 0;
}

/* Says how the running unit ended, and takes it off the list. */
static int finish(qe_worker *w, qe__frame *frame, const void *data, size_t n)
{
    qe__arena_unit *unit = &w->arena->units[w->now.unit];
    uint64_t mine;
    int status;

    frame->duration_s =
        (double) (qe_now_ns() - atomic_load(&w->slot->start_ns)) / 1e9;
    status = write_frame(w, frame, data, n);
    if (status != 0) {
        return status;
    }
    qe__fault_point(5);
    /* The event is out, so the controller counts the unit as finished even if
     * this process dies before the next line; and it may already have given the
     * unit to another worker for its next attempt. */
    mine = qe__state(QE__UNIT_RUNNING, w->now.attempt, w->number);
    if (atomic_compare_exchange_strong(
            &unit->state, &mine,
            qe__state(QE__UNIT_DONE, w->now.attempt, w->number))) {
        atomic_fetch_sub(&w->arena->head->open, 1);
    }
    atomic_store(&w->slot->running, 0);
    w->running = false;
    return 0;
}

int qe_worker_finish(qe_worker *w, enum qe_outcome outcome, bool last,
                     const void *data, size_t n)
{
    qe__frame frame;
    qe__usage usage;

    if (foreign(w) || !w->running) {
        return QE_ESTATE;
    }
    qe__changing_lift(&w->changing);
    set_deadline(w, 0);
    frame = frame_of(w, QE__FRAME_FINISH);
    frame.outcome = (uint8_t) outcome;
    frame.last = last;
    qe__proc_usage(&usage);
    frame.cpu_s = usage.cpu_s - w->cpu_before_s;
    frame.peak_bytes = usage.peak_bytes;
    return finish(w, &frame, data, n);
}

int qe__worker_end(qe_worker *w, const qe__ending *end)
{
    qe__frame frame = frame_of(w, QE__FRAME_FINISH);

    frame.outcome = (uint8_t) end->outcome;
    frame.status = end->status;
    frame.kind = end->stdout_bytes;
    frame.cpu_s = end->usage.cpu_s;
    frame.peak_bytes = end->usage.peak_bytes;
    return finish(w, &frame, end->data, end->size);
}

int qe_worker_count_failure(qe_worker *w)
{
    qe__arena_head *head = w->arena->head;
    uint32_t failures;

    if (foreign(w)) {
        return QE_ESTATE;
    }
    failures = atomic_fetch_add(&head->failures, 1) + 1;
    if (head->maxfail == 0 || failures < head->maxfail) {
        return 0;
    }
    qe__arena_stop(w->arena, QE__STOP_NOW);
    return failures < INT32_MAX ? (int) failures : INT32_MAX;
}

int qe_worker_stop(qe_worker *w)
{
    if (foreign(w)) {
        return QE_ESTATE;
    }
    qe__arena_stop(w->arena, QE__STOP_NOW);
    return 0;
}

static void never_return(int sig)
{
    (void) sig;
    for (;;) {
        (void) pause();
    }
}

int qe_worker_hold(qe_worker *w)
{
    struct sigaction action;

    if (foreign(w)) {
        return QE_ESTATE;
    }
    memset(&action, 0, sizeof(action));
    action.sa_handler = never_return;
    action.sa_flags = SA_ONSTACK;
    return sigaction(qe__stack_signal(), &action, NULL) == 0 ? 0 : QE_ESYS;
}

int qe__worker_idle(qe_worker *w)
{
    if (w->told) {
        return 0;
    }
    w->told = true;
    set_deadline(w, 0);
    atomic_store(&w->slot->running, 0);
    return send_plain(w, QE__FRAME_IDLE, 0);
}

int qe_worker_bye(qe_worker *w)
{
    if (foreign(w)) {
        return QE_ESTATE;
    }
    set_deadline(w, 0);
    atomic_store(&w->slot->running, 0);
    return send_plain(w, QE__FRAME_BYE, 0);
}
