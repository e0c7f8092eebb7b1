/*
 * The one loop of a run: while there is room and something is ready, start
 * it; otherwise wait for one event. Who gets what is the scheduler's, who runs
 * it the executor's; this file carries decisions one way and events the other.
 */
#include "qe_session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "qe_changing.h"
#include "qe_judge.h"
#include "qe_plan.h"
#include "qe_proc.h"

#define READ_LIMIT ((size_t) 1 << 20)
#define MAX_WORKERS 1024u
#define MAX_OUTPUT_BYTES ((size_t) 64 << 20)
#define BUSY_EVENTS 16u /* since the last wait: a few tests' worth */
#define NAP_NS 5000000

/* ------------------------------------------------------------------- start */

static void on_bell(uv_poll_t *handle, int status, int events)
{
    uint64_t skip;

    (void) status;
    (void) events;
    (void) !read(((qe_session *) handle->data)->exec.bell, &skip, sizeof(skip));
}

static void on_timer(uv_timer_t *handle)
{
    (void) handle;
}

/* The loop comes after the fork: an epoll descriptor must not be shared. */
static int open_loop(qe_session *s)
{
    int status = uv_loop_init(&s->loop);

    if (status != 0) {
        return qe__session_uv_code(status);
    }
    s->loop_open = true;
    (void) uv_timer_init(&s->loop, &s->timer);
    for (uint32_t i = 0; i < s->exec.slots; i++) {
        qe__reader_init(&s->slots[i].reader, &s->exec.arena.rings[i]);
    }
    status = uv_poll_init(&s->loop, &s->bell, s->exec.bell);
    if (status != 0) {
        return qe__session_uv_code(status);
    }
    s->bell.data = s;
    status = uv_poll_start(&s->bell, UV_READABLE, on_bell);
    if (status != 0) {
        return qe__session_uv_code(status);
    }
    status = qe__session_watch_source(s);
    return status != 0 ? status : qe__session_watch(s);
}

/* Gives every slot its queue and starts the workers that have work. */
static int start_homes(qe_session *s)
{
    uint32_t first = s->options.first_workers;
    uint32_t used = 0;
    const uint32_t *units;
    size_t n;
    int status;

    if (s->options.isolate || s->options.source != NULL) {
        return 0; /* nothing is queued: every attempt is yielded by itself, or
                     when it is claimed */
    }
    status = qe__sched_common(s->sched, &units, &n);
    if (status != 0) {
        return status;
    }
    qe__arena_fill_common(&s->exec.arena, units, n, &used);
    for (uint32_t i = 0; i < s->homes; i++) {
        status = qe__sched_queue(s->sched, i, &units, &n);
        if (status != 0) {
            return status;
        }
        qe__arena_fill(&s->exec.arena, i, units, n, &used);
    }
    for (uint32_t i = 0; i < s->homes; i++) {
        bool own = atomic_load(&s->exec.arena.slots[i].tail) > 0;

        /* One with nothing of its own steals, where single tests may be. */
        if ((first == 0 || i < first) &&
            (own ||
             ((!s->options.steal_scopes || s->options.in_order) && i < used))) {
            status = qe__session_launch(s, i, QE__JOB_POOL, 0, 0, 0, i);
            if (status != 0) {
                return status;
            }
        } else {
            qe__sched_slot_free(s->sched, i);
        }
    }
    return 0;
}

static void close_loop(qe_session *s)
{
    if (!s->loop_open) {
        return;
    }
    if (s->bell.data != NULL) {
        uv_close((uv_handle_t *) &s->bell, NULL);
    }
    uv_close((uv_handle_t *) &s->timer, NULL);
    if (s->control.data != NULL) {
        uv_close((uv_handle_t *) &s->control, NULL);
    }
    if (s->source.data != NULL) {
        uv_close((uv_handle_t *) &s->source, NULL);
    }
    (void) uv_run(&s->loop, UV_RUN_DEFAULT);
    (void) uv_loop_close(&s->loop);
    s->loop_open = false;
}

static int check_options(const qe_plan *plan, const qe_options *o)
{
    size_t commands = qe__plan_commands(plan);
    bool by_command = o->start == QE_START_COMMAND;
    qe_unit unit;

    if (o->workers < 1 || o->workers > MAX_WORKERS ||
        (o->start == QE_START_SPAWN && o->spawn_argv == NULL) ||
        (o->start != QE_START_FORK && o->keeper) ||
        !qe__session_sound_servers(o) ||
        commands != (by_command ? qe_plan_count(plan) : 0) ||
        o->output_bytes == 1 || o->output_bytes > MAX_OUTPUT_BYTES) {
        return QE_EINVAL;
    }
    /* An unsealed plan has no units to give out. */
    return qe_plan_count(plan) > 0 && qe_plan_get(plan, 0, &unit) != 0
               ? QE_ESTATE
               : 0;
}

int qe_session_start(qe_session **out, qe_worker **worker_out, qe_plan *plan,
                     const qe_options *options, const qe_fork_hooks *hooks)
{
    qe__sched_options how = {options->workers, options->isolate,
                             options->steal_scopes, options->in_order,
                             options->source != NULL};
    qe_session *s;
    uint32_t slot = 0;
    uint32_t keepers = 0;
    int status = check_options(plan, options);

    *out = NULL;
    if (status != 0) {
        return status;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return QE_ENOMEM;
    }
    s->plan = plan;
    s->options = *options;
    /* A command's start is told when it is, as it has no phases to wait for. */
    s->options.plain_events &= options->start != QE_START_COMMAND;
    s->homes = options->workers;
    /* Spawned workers have the environments, and need nobody to fork them. */
    if (options->start == QE_START_FORK &&
        (options->keeper || options->servers > 0)) {
        keepers = 1 + options->servers;
    }
    s->slots = calloc(s->homes * 2 + keepers, sizeof(s->slots[0]));
    s->units = calloc(qe_plan_count(plan) + 1, sizeof(s->units[0]));
    status = s->slots == NULL || s->units == NULL
                 ? QE_ENOMEM
                 : qe__sched_new(&s->sched, plan, &how);
    if (status == 0) {
        status = qe__session_keepers_new(s, keepers);
    }
    if (status == 0) {
        status = qe__exec_open(&s->exec, plan, options, s->homes * 2 + keepers,
                               keepers, hooks, &slot);
    }
    if (status == 1) {
        /* A worker. The session's memory stays: the arena's handle is in it. */
        status = qe__worker_new(worker_out, &s->exec.arena, slot,
                                &s->exec.files[slot], s->exec.bell);
        if (status == 0 && s->exec.keeper >= 0) {
            qe__worker_keep(*worker_out, &s->exec);
        }
        return status == 0 ? 1 : status;
    }
    if (status != 0) {
        goto fail;
    }
    status = open_loop(s);
    if (status == 0) {
        status = qe__session_keep(s);
    }
    if (status == 0) {
        status = start_homes(s);
    }
    if (status != 0) {
        int saved = errno;

        qe_session_close(s);
        errno = saved;
        return status;
    }
    *out = s;
    return 0;

fail:
    qe__sched_free(s->sched);
    free(s->held);
    free(s->keepers);
    free(s->units);
    free(s->slots);
    free(s);
    return status;
}

/* -------------------------------------------------------------------- events */

/* The next event of a slot's frames; false if there is none, with what went
 * wrong in *status. */
static bool take_frames(qe_session *s, uint32_t at, qe_event *out, int *status)
{
    qe__session_slot *w = &s->slots[at];
    size_t got;

    do {
        while (w->has_frame ||
               qe__reader_next(&w->reader, &w->frame, &w->frame_data) == 1) {
            if (!w->has_frame) {
                s->traffic++;
                w->has_frame = true;
            }
            if (qe__session_replay(s, at, &w->frame, out)) {
                return true;
            }
            w->has_frame = false;
            if (qe__session_frame(s, at, &w->frame, w->frame_data, out)) {
                return true;
            }
        }
        *status = qe__reader_fill(&w->reader, READ_LIMIT, &got);
    } while (*status == 0 && got > 0);
    return false;
}

/* The next event of the slots: frames first, then ends. */
static bool take_slots(qe_session *s, qe_event *out)
{
    for (uint32_t i = 0; i < s->exec.slots; i++) {
        uint32_t at = (s->next_slot + i) % s->exec.slots;
        qe__session_slot *w = &s->slots[at];
        int status;

        if (!w->alive) {
            continue;
        }
        if (take_frames(s, at, out, &status)) {
            s->next_slot = at; /* stay: what is read is cheapest */
            return true;
        }
        if (!w->deaf && (w->reader.broken || status != 0)) {
            /* What it wrote is lost, so it is of no more use. */
            w->deaf = true;
            (void) qe__exec_order(&s->exec, QE__ORDER_KILL, at, 0);
        }
        if (w->exited) {
            (void) qe__reader_drop(&w->reader);
            if (qe__session_replay(s, at, NULL, out) ||
                qe__session_exit(s, at, out)) {
                return true;
            }
        }
    }
    return false;
}

static bool take(qe_session *s, qe_event *out)
{
    if (qe__session_server_gone(s, out) || take_slots(s, out) ||
        (s->control_readable && qe__session_notice(s, out)) ||
        take_slots(s, out) ||
        (s->source_readable && qe__session_source(s, out))) {
        return true;
    }
    memset(out, 0, sizeof(*out));
    out->unit = QE__NONE;
    if (s->refused_errno != 0 && !s->refused_told) {
        s->refused_told = true;
        out->kind = QE_EV_REFUSED;
        out->status = s->refused_errno;
        return true;
    }
    if (s->trouble != 0 && !s->trouble_told) {
        s->trouble_told = true;
        out->kind = QE_EV_GIVE_UP;
        out->error = s->trouble;
        out->status = s->trouble_errno;
        qe__session_halt(s);
        return true;
    }
    if ((s->stopping || s->draining) && !qe__session_dismiss_keepers(s) &&
        s->alive == 0) {
        s->done = true;
        out->kind = QE_EV_DONE;
        return true;
    }
    return false;
}

static bool anything_there(const qe_session *s)
{
    for (uint32_t i = 0; i < s->exec.slots; i++) {
        if (s->slots[i].alive && !s->slots[i].deaf &&
            qe__ring_filled(&s->exec.arena.rings[i])) {
            return true;
        }
    }
    return false;
}

/* Waits for one event of the loop, at most until `wake`. With much traffic,
 * waking for every event would cost the workers more than it tells us sooner:
 * then what they write in a few milliseconds is taken at once.
 *
 * uv_run(3) runs timers that are due before it polls, and would then poll
 * without any limit: the loop may have slept, or its host may have been busy,
 * for longer than the timer. So its idea of the time is renewed, and the timer
 * repeats. */
static void wait_once(qe_session *s, uint64_t now, uint64_t wake)
{
    _Atomic uint32_t *asleep = &s->exec.arena.head->asleep;
    bool busy = s->traffic >= (s->options.lazy_events ? 1 : BUSY_EVENTS);
    uint64_t most = busy ? now + NAP_NS : wake;
    uint64_t until = wake < most ? wake : most;
    uint64_t ms = until > now ? (until - now + 999999u) / 1000000u : 0;

    s->traffic = 0;
    atomic_store(asleep, busy ? QE__NAPPING : QE__ASLEEP);
    if (busy || !anything_there(s)) {
        uv_update_time(&s->loop);
        (void) uv_timer_start(&s->timer, on_timer, ms, ms > 0 ? ms : 1);
        (void) uv_run(&s->loop, UV_RUN_ONCE);
    }
    atomic_store(asleep, QE__AWAKE);
}

int qe_session_next(qe_session *s, int timeout_ms, qe_event *out)
{
    uint64_t now = qe_now_ns();
    uint64_t until =
        now + (uint64_t) (timeout_ms > 0 ? timeout_ms : 0) * 1000000u;

    free(s->blob);
    s->blob = NULL;
    for (;; now = qe_now_ns()) {
        uint64_t wake;
        int status;

        if (s->live.folder != NULL && now >= s->live.due_ns) {
            qe__session_tell(s, now);
        }
        if (s->done || take(s, out)) {
            if (s->done) {
                memset(out, 0, sizeof(*out));
                out->unit = QE__NONE;
                out->kind = QE_EV_DONE;
            }
            return 0;
        }
        status = qe__session_decide(s, &wake);
        if (status == QE_EGONE) {
            s->control_readable = true; /* the supervisor's end will tell */
        } else if (status != 0 && s->trouble == 0) {
            s->trouble = status;
            continue;
        }
        if (take(s, out)) {
            return 0;
        }
        now = qe_now_ns();
        if (s->live.folder != NULL && s->live.due_ns < wake) {
            wake = s->live.due_ns;
        }
        qe__session_tell_room(s);
        if (now >= until) {
            out->kind = QE_EV_NONE;
            return 0;
        }
        wake = wake < until ? wake : until;
        wait_once(s, now, wake);
    }
}

int qe_session_settle(qe_session *s, uint32_t unit, uint32_t attempt,
                      enum qe_outcome outcome, bool retryable, bool *again,
                      enum qe_outcome *final_out)
{
    qe__verdict verdict;
    qe_unit u;
    uint64_t delay;
    int status = qe_plan_get(s->plan, unit, &u);

    if (status != 0) {
        return status;
    }
    if (s->units[unit].settled) {
        return QE_ESTATE;
    }
    delay = s->options.exact_backoff
                ? qe__retry_base_ns(s->options.backoff_ns, attempt)
                : qe__retry_delay_ns(s->options.backoff_ns, attempt, unit,
                                     s->options.seed);
    status = qe__judge(attempt, s->stopping ? 0 : u.retries, outcome, retryable,
                       qe_now_ns(), delay, &verdict);
    if (status != 0) {
        return status;
    }
    *again = verdict.again;
    *final_out = verdict.outcome;
    if (verdict.again) {
        *final_out = QE_NONE;
        if (!s->options.own_retries && qe__sched_unclaim(s->sched, unit) == 0) {
            return 0; /* another node is to have it, or this one by a new claim */
        }
        status =
            qe__sched_retry(s->sched, unit, attempt + 1, verdict.not_before_ns);
        if (status == 0) {
            qe__session_need_room(s, unit, attempt + 1, verdict.not_before_ns);
        }
        return status;
    }
    s->units[unit].settled = true;
    s->outcomes[verdict.outcome]++;
    return s->stopping ? 0 : qe__sched_settled(s->sched, unit);
}

int qe_session_release(qe_session *s, uint32_t unit)
{
    if (unit >= qe_plan_count(s->plan)) {
        return QE_EINVAL;
    }
    return s->units[unit].settled ? QE_ESTATE
                                  : qe__sched_unclaim(s->sched, unit);
}

int qe_session_stop(qe_session *s, bool interrupt)
{
    qe__session_halt(s);
    return interrupt
               ? qe__exec_order(&s->exec, QE__ORDER_SIGNAL, QE__NONE, SIGINT)
               : 0;
}

int qe_session_pass(qe_session *s, const qe_pass *pass, uint32_t *unit_out)
{
    uint32_t scope;
    int status;

    if (!qe__sched_takes_passes(s->sched)) {
        return QE_ESTATE;
    }
    if (!qe__around_is_sound(pass->around) ||
        pass->server > s->options.servers) {
        return QE_EINVAL;
    }
    status = qe__plan_pass(s->plan, pass, &scope, unit_out);
    if (status == 0) {
        qe__arena_lay_pass(&s->exec.arena, s->plan, scope, pass);
        qe__session_take_pass(s, scope);
    }
    return status;
}

size_t qe_session_spare(const qe_session *s)
{
    return qe__plan_spare(s->plan);
}

int qe_session_no_more(qe_session *s)
{
    qe__sched_no_more(s->sched);
    return 0;
}

int qe_session_pause(qe_session *s, bool on)
{
    return qe__exec_order(&s->exec, QE__ORDER_PAUSE, QE__NONE, on);
}

int qe_session_kill(qe_session *s)
{
    qe__session_halt(s);
    return qe__exec_order(&s->exec, QE__ORDER_KILL, QE__NONE, 0);
}

void qe_session_close(qe_session *s)
{
    if (s == NULL) {
        return;
    }
    qe__live_close(&s->live);
    close_loop(s);
    qe__exec_close(&s->exec);
    for (uint32_t i = 0; i < s->exec.slots; i++) {
        qe__reader_free(&s->slots[i].reader);
    }
    qe__sched_free(s->sched);
    free(s->held);
    free(s->keepers);
    free(s->blob);
    free(s->units);
    free(s->slots);
    free(s);
}
