/* What happens to one worker: its start, its events, its end. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_session.h"

#define FALSE_STARTS_MAX 30 /* one that nobody killed counts ten */
#define VOIDS_MAX 20
#define REFUSALS_MAX 12u
#define REFUSAL_PAUSE_NS UINT64_C(250000000)

static void mark_again(qe_session *s, uint32_t unit)
{
    qe__arena_unit *u = &s->exec.arena.units[unit];
    uint64_t word =
        atomic_exchange(&u->state, qe__state(QE__UNIT_PENDING, 1, 0));

    /* A unit that was finished is open again. */
    if (qe__state_of(word) == QE__UNIT_DONE) {
        atomic_fetch_add(&s->exec.arena.head->open, 1);
    }
}

int qe__session_launch(qe_session *s, uint32_t slot, enum qe__job_kind kind,
                       uint32_t unit, uint32_t attempt, uint32_t scope,
                       uint32_t sched_slot)
{
    qe__session_slot *w = &s->slots[slot];
    int status;

    qe__ring_reset(&s->exec.arena.rings[slot]);
    if (kind == QE__JOB_SINGLE) {
        mark_again(s, unit);
    }
    if (kind == QE__JOB_SCOPE) {
        /* Owned before it is opened, so that nobody else can have it, and
         * opened before its worker starts, which would find nothing. */
        atomic_store(&s->exec.arena.scopes[scope].owner, slot + 1);
        if (attempt == 1) {
            qe__arena_open_scope(&s->exec.arena, scope);
        }
    }
    qe__exec_job(&s->exec, slot, kind, unit, attempt, scope);
    status = qe__session_order_start(s, slot);
    if (status != 0) {
        return status;
    }
    w->alive = true;
    w->idle = w->bye = w->began = w->exited = w->is_void = false;
    w->lost_told = w->deaf = w->lingers = w->has_frame = false;
    w->plain.seen = w->plain.told = 0;
    w->pid = 0;
    w->sched_slot = sched_slot;
    s->alive++;
    return 0;
}

static void event_init(qe_session *s, uint32_t slot, enum qe_event_kind kind,
                       uint32_t unit, uint32_t attempt, qe_event *out)
{
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    out->slot = slot;
    out->epoch = s->exec.arena.slots[slot].epoch;
    out->pid = s->slots[slot].pid;
    out->unit = unit;
    out->attempt = attempt;
    if (unit < s->exec.arena.head->units) {
        out->claim = s->units[unit].claim;
        out->item = s->exec.arena.units[unit].item;
        out->pass = s->exec.arena.units[unit].pass;
    } else {
        out->unit = QE__NONE;
    }
}

static void free_slot(qe_session *s, qe__session_slot *w)
{
    if (!w->idle) {
        w->idle = true;
        qe__sched_slot_free(s->sched, w->sched_slot);
    }
}

static bool is_foreign(const qe__session_slot *w, const qe__frame *frame)
{
    /* A process that a test forked has the ring too, but not the right. */
    return w->pid != 0 && frame->pid != (uint32_t) w->pid;
}

/* Whether an attempt of which this is the next frame is still plain. */
static bool stays_plain(const qe__session_slot *w, const qe__frame *frame)
{
    const qe__plain *p = &w->plain;

    if (is_foreign(w, frame)) {
        return true;
    }
    if (p->seen == 0) {
        /* Who lingers is waited for: its next START says more than that. */
        return frame->type == QE__FRAME_START && frame->attempt == 1 &&
               !w->lingers;
    }
    if (frame->unit != p->head[0].unit || frame->attempt != 1 || p->told > 0) {
        return false;
    }
    return frame->type == QE__FRAME_PASSED
               ? frame->phase == p->seen && p->seen <= QE_PHASE_TEARDOWN
               : frame->type == QE__FRAME_FINISH &&
                     p->seen == 1 + QE_PHASE_TEARDOWN &&
                     frame->outcome == QE_PASSED;
}

bool qe__session_replay(qe_session *s, uint32_t slot, const qe__frame *next,
                        qe_event *out)
{
    qe__session_slot *w = &s->slots[slot];
    qe__plain *p = &w->plain;

    if (p->seen == 0 || (next != NULL && stays_plain(w, next))) {
        return false;
    }
    if (p->told < p->seen) {
        *out = p->head[p->told++];
        return true;
    }
    p->seen = p->told = 0;
    return false;
}

/* Keeps an event back; false if it is to be told. */
static bool keep(const qe_session *s, qe__session_slot *w,
                 const qe__frame *frame, const qe_event *event)
{
    if (!s->options.plain_events || !stays_plain(w, frame)) {
        return false;
    }
    w->plain.head[w->plain.seen++] = *event;
    return true;
}

/* The end of an attempt that was plain throughout. */
static void tell_plain(qe__session_slot *w, qe_event *out)
{
    qe__plain *p = &w->plain;

    out->kind = QE_EV_PLAIN;
    out->start_s = p->head[0].start_s;
    for (uint32_t i = 1; i < p->seen; i++) {
        out->phases[i - 1].start_s = p->head[i].start_s;
        out->phases[i - 1].duration_s = p->head[i].duration_s;
    }
    p->seen = 0;
}

bool qe__session_frame(qe_session *s, uint32_t slot, const qe__frame *frame,
                       const void *data, qe_event *out)
{
    qe__session_slot *w = &s->slots[slot];
    bool has_unit = frame->unit < s->exec.arena.head->units;

    if (is_foreign(w, frame)) {
        return false;
    }
    event_init(s, slot, QE_EV_NONE, frame->unit, frame->attempt, out);
    out->phase = (enum qe_phase) frame->phase;
    out->start_s = frame->start_s;
    out->duration_s = frame->duration_s;
    switch (frame->type) {
    case QE__FRAME_START:
        w->began = true;
        s->false_starts = 0;
        if (has_unit) {
            qe__session_begun(s, frame->unit);
        }
        out->kind = QE_EV_START;
        return has_unit && !keep(s, w, frame, out);
    case QE__FRAME_PASSED:
        out->kind = QE_EV_PASSED;
        return has_unit && !keep(s, w, frame, out);
    case QE__FRAME_DATA:
        out->kind = QE_EV_DATA;
        out->data_kind = frame->kind;
        out->data = data;
        out->data_size = frame->size;
        return true;
    case QE__FRAME_FINISH:
        if (!has_unit || frame->outcome >= QE_OUTCOME_COUNT) {
            return false;
        }
        s->units[frame->unit].finished = (uint16_t) frame->attempt;
        qe__session_begun(s, frame->unit);
        out->kind = QE_EV_FINISH;
        if (w->plain.seen > 0) {
            tell_plain(w, out);
        }
        out->data = frame->size > 0 ? data : NULL;
        out->data_size = frame->size;
        out->status = frame->status;
        out->stdout_bytes =
            frame->kind <= frame->size ? frame->kind : frame->size;
        w->lingers = frame->last;
        out->outcome = (enum qe_outcome) frame->outcome;
        out->last = frame->last;
        out->cpu_s = frame->cpu_s;
        out->peak_bytes = frame->peak_bytes;
        if (frame->attempt == 1 &&
            (out->outcome == QE_PASSED || out->outcome == QE_SKIPPED)) {
            out->settled = true;
            s->units[frame->unit].settled = true;
            s->outcomes[out->outcome]++;
            (void) qe__sched_settled(s->sched, frame->unit);
        }
        return true;
    case QE__FRAME_IDLE:
        if (qe__session_keeper_ready(s, slot)) {
            return false;
        }
        /* It may have crossed a word to it; then it will say so again. */
        if (frame->kind == atomic_load(&s->exec.arena.slots[slot].park)) {
            free_slot(s, w);
        }
        return false;
    case QE__FRAME_BUSY:
        /* By itself, as something was given back that it may have. */
        if (w->idle && qe__sched_slot_take(s->sched, w->sched_slot)) {
            w->idle = false;
        }
        return false;
    case QE__FRAME_BYE:
        w->bye = true;
        return false;
    default:
        return false;
    }
}

/* The stack dump of a dead worker, for the host; NUL-terminated. */
static void read_stack(qe_session *s, uint32_t slot, qe_event *out)
{
    int fd = s->exec.files[slot].stack;
    struct stat st;
    ssize_t n;

    free(s->blob);
    s->blob = NULL;
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > (16 << 20)) {
        return;
    }
    s->blob = malloc((size_t) st.st_size + 1);
    if (s->blob == NULL) {
        return;
    }
    n = pread(fd, s->blob, (size_t) st.st_size, 0);
    if (n > 0) {
        s->blob[n] = '\0';
        out->data = s->blob;
        out->data_size = (size_t) n;
    }
}

/* It runs again as the same attempt: in the scope's own worker, or in a fresh
 * one. */
static void run_again(qe_session *s, uint32_t slot, uint32_t unit,
                      uint32_t attempt)
{
    qe__arena *a = &s->exec.arena;
    uint32_t box = unit + 1;

    if (a->slots[slot].job == QE__JOB_SCOPE) {
        mark_again(s, unit);
        qe__arena_ready(a, unit);
        return;
    }
    /* It may have come by the mailbox, which must not give it twice. */
    (void) atomic_compare_exchange_strong(&a->slots[slot].mailbox, &box, 0);
    mark_again(s, unit);
    if (qe__sched_requeue(s->sched, unit, attempt) == 0) {
        qe__session_need_room(s, unit, attempt, 0);
    }
}

/* Gives back what the dead worker had claimed and not started; true if it was
 * running something: *unit. */
static bool give_back(qe_session *s, uint32_t slot, uint32_t *unit,
                      uint32_t *attempt)
{
    qe__arena *a = &s->exec.arena;
    bool running = false;

    for (uint32_t u = qe__arena_held(a, slot, 0); u != QE__NONE;
         u = qe__arena_held(a, slot, u + 1)) {
        uint64_t word = atomic_load(&a->units[u].state);
        uint32_t n = qe__state_attempt(word);

        if (s->units[u].settled || s->units[u].finished >= n) {
            qe__arena_done(a, u); /* its end was seen: only the word is late */
        } else if (qe__state_of(word) == QE__UNIT_RUNNING) {
            running = true;
            *unit = u;
            *attempt = n;
        } else {
            run_again(s, slot, u, n);
        }
    }
    return running;
}

/* A unit that the dead worker finished by its state word, while the word of it
 * was among what could not be read. */
static bool unheard(const qe_session *s, uint32_t slot, uint32_t *unit,
                    uint32_t *attempt)
{
    const qe__arena *a = &s->exec.arena;

    for (uint32_t u = 0; u < a->head->units; u++) {
        uint64_t word = atomic_load(&a->units[u].state);

        if (qe__state_of(word) == QE__UNIT_DONE &&
            qe__state_slot(word) == slot && !s->units[u].settled &&
            s->units[u].finished < qe__state_attempt(word)) {
            *unit = u;
            *attempt = qe__state_attempt(word);
            return true;
        }
    }
    return false;
}

/* A single attempt whose worker never began it. */
static void give_back_single(qe_session *s, uint32_t slot)
{
    const qe__arena_slot *job = &s->exec.arena.slots[slot];

    if (job->job == QE__JOB_SINGLE && !s->slots[slot].began &&
        s->units[job->job_unit].finished < job->job_attempt) {
        run_again(s, slot, job->job_unit, job->job_attempt);
    }
}

static bool lost_event(qe_session *s, uint32_t slot, uint32_t unit,
                       uint32_t attempt, bool is_void, qe_event *out)
{
    qe__session_slot *w = &s->slots[slot];
    qe__arena *a = &s->exec.arena;
    uint64_t running = atomic_load(&a->slots[slot].running);
    uint64_t now = qe_now_ns();
    uint64_t ended = w->exit.ended_ns != 0 ? w->exit.ended_ns : now;

    event_init(s, slot, QE_EV_LOST, unit, attempt, out);
    out->status = w->exit.value;
    if (qe__running_unit(running) == unit) {
        out->phase = qe__running_phase(running);
        uint64_t start = atomic_load(&a->slots[slot].start_ns);

        out->duration_s = ended > start ? (double) (ended - start) / 1e9 : 0;
    }
    out->peak_bytes = w->exit.peak_bytes;
    out->start_s = qe_wall_s() - (double) (now - ended) / 1e9 - out->duration_s;
    s->units[unit].finished = (uint16_t) attempt;
    qe__session_begun(s, unit);
    /* Where the supervisor dies or the ring breaks under the same unit again and
     * again, it is the unit's doing. */
    if (is_void && ++s->units[unit].voids < VOIDS_MAX) {
        s->units[unit].finished = (uint16_t) (attempt - 1);
        run_again(s, slot, unit, attempt);
        return true; /* outcome NONE */
    }
    out->outcome = w->exit.timed_out ? QE_TIMEOUT : QE_CRASHED;
    if (!w->exit.timed_out && !s->stopping) {
        s->crashes++;
    }
    qe__arena_done(a, unit);
    read_stack(s, slot, out);
    return true;
}

/* What goes on in this slot, or instead of it. */
static void succeed(qe_session *s, uint32_t slot)
{
    qe__session_slot *w = &s->slots[slot];
    qe__arena_slot *job = &s->exec.arena.slots[slot];
    bool more = false;
    int status = 0;

    if (!s->stopping && s->trouble == 0) {
        if (job->job == QE__JOB_SCOPE) {
            more = qe__arena_any_ready(&s->exec.arena, job->job_scope);
        } else if (job->job == QE__JOB_POOL) {
            more = atomic_load(&job->mailbox) != 0 ||
                   qe__arena_any_ready(&s->exec.arena, QE__NONE);
        }
    }
    if (!more || job->job != QE__JOB_SCOPE) {
        /* But a scope with a worker of its own passes to the next one. */
        qe__arena_disown(&s->exec.arena, slot);
    }
    if (more) {
        bool idle = w->idle;

        status = qe__session_launch(s, slot, (enum qe__job_kind) job->job, 0, 0,
                                    job->job_scope, w->sched_slot);
        w->idle = idle && status == 0;
    }
    if (!more || status != 0) {
        free_slot(s, w);
        qe__session_start_claimed(s);
    }
}

void qe__session_never(qe_session *s, uint32_t slot)
{
    s->slots[slot].alive = false;
    s->alive--;
    free_slot(s, &s->slots[slot]);
}

/* Whether a worker runs: not one that is only ordered. */
static bool any_runs(const qe_session *s)
{
    for (uint32_t i = 0; i < 2 * s->homes; i++) {
        if (s->slots[i].alive && s->slots[i].pid != 0) {
            return true;
        }
    }
    return false;
}

void qe__session_refused(qe_session *s, uint32_t slot, int error)
{
    const qe__arena_slot *a = &s->exec.arena.slots[slot];
    uint64_t now = qe_now_ns();
    bool runs = any_runs(s);

    s->refused_errno = error;
    /* A worker is worth more than where others could come from. */
    qe__session_spare_servers(s);
    if (a->job == QE__JOB_POOL && atomic_load(&a->mailbox) == 0 && runs) {
        qe__session_never(s, slot); /* fewer are enough, as the others steal */
        return;
    }
    /* What the others have they may give back. Where nobody has anything, it is
     * tried again for a while only; all that is refused together counts once. */
    if (now >= s->pause_until_ns) {
        s->refusals = runs ? 0 : s->refusals + 1;
        s->pause_until_ns = now + REFUSAL_PAUSE_NS;
    }
    s->slots[slot].waiting = true;
    if (s->refusals >= REFUSALS_MAX && s->trouble == 0) {
        s->trouble = QE_ESYS;
        s->trouble_errno = error;
    }
}

bool qe__session_exit(qe_session *s, uint32_t slot, qe_event *out)
{
    qe__session_slot *w = &s->slots[slot];
    const qe__arena_slot *job = &s->exec.arena.slots[slot];
    uint64_t running = atomic_load(&job->running);
    uint32_t keeper = qe__session_keeper_of(s, slot);
    uint32_t unit, attempt;

    if (w->deaf && unheard(s, slot, &unit, &attempt)) {
        w->began = true;
        return lost_event(s, slot, unit, attempt, true, out);
    }
    if (!w->lost_told) {
        w->lost_told = true;
        if (give_back(s, slot, &unit, &attempt)) {
            w->began = true;
            return lost_event(s, slot, unit, attempt, w->is_void || w->deaf,
                              out);
        }
    }
    event_init(s, slot, QE_EV_EXIT, qe__running_unit(running),
               qe__running_attempt(running), out);
    out->status = w->exit.value;
    out->cpu_s = w->exit.cpu_s;
    out->peak_bytes = w->exit.peak_bytes;
    out->phase = qe__running_phase(running);
    if (!w->bye && !w->is_void) {
        out->outcome = w->exit.timed_out ? QE_TIMEOUT : QE_CRASHED;
        if (out->phase == QE_PHASE_SESSION) {
            read_stack(s, slot, out);
        }
        if (!w->began && keeper == QE__NONE) {
            s->false_starts += w->exit.value == SIGKILL ? 1 : 10;
        }
        if (s->false_starts >= FALSE_STARTS_MAX && s->trouble == 0) {
            s->trouble = QE_EGONE;
        }
    }
    give_back_single(s, slot);
    if (s->crashes > s->options.max_restarts && s->trouble == 0) {
        s->trouble = QE_ETOOBIG;
    }
    w->alive = w->exited = w->waiting = false;
    s->alive--;
    if (keeper != QE__NONE) {
        qe__session_keeper_left(s, keeper);
    } else {
        succeed(s, slot);
    }
    return true;
}
