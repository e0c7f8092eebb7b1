/* Units that come by claims: a run that several nodes share. What is claimed lies in the
 * arena behind what was claimed before; what has not begun can be withdrawn again. */
#include <string.h>

#include "qe_plan.h"
#include "qe_session.h"

#define TAKEN_AT_ONCE 64 /* news, before other events have their turn */

static void on_source(uv_poll_t *handle, int status, int events)
{
    (void) status;
    (void) events;
    ((qe_session *) handle->data)->source_readable = true;
}

int qe__session_watch_source(qe_session *s)
{
    const qe_source *source = s->options.source;
    int status;

    if (source == NULL) {
        return 0;
    }
    status = uv_poll_init(&s->loop, &s->source, source->fd);
    if (status == 0) {
        s->source.data = s;
        status = uv_poll_start(&s->source, UV_READABLE, on_source);
    }
    s->source_readable = s->room_changed = true;
    return status != 0 ? qe__session_uv_code(status) : 0;
}

static void hold(qe_session *s, uint32_t unit, bool held)
{
    uint64_t expected_ns = s->exec.arena.units[unit].expected_ns;

    if (s->units[unit].held != held) {
        s->units[unit].held = held;
        s->room.units += held ? 1 : UINT32_MAX;
        s->room.expected_ns += held ? expected_ns : -expected_ns;
        s->room_changed = true;
    }
}

void qe__session_begun(qe_session *s, uint32_t unit)
{
    if (s->options.source != NULL) {
        hold(s, unit, false);
    }
}

/* Starts workers for what was claimed, as far as those with nothing to do are too few. */
static int start_workers(qe_session *s, uint32_t units)
{
    int status = 0;

    for (uint32_t i = 0; i < s->homes && units > 0 && status == 0; i++) {
        if (s->slots[i].alive) {
            units -= s->slots[i].idle;
        } else if (qe__sched_slot_take(s->sched, i)) {
            status = qe__session_launch(s, i, QE__JOB_POOL, 0, 0, 0, i);
            if (status != 0) {
                qe__sched_slot_free(s->sched, i);
            }
            units--;
        }
    }
    return status;
}

void qe__session_start_claimed(qe_session *s)
{
    if (s->options.source != NULL && !s->stopping && s->trouble == 0 &&
        qe__arena_any_ready(&s->exec.arena, QE__NONE)) {
        (void) start_workers(s, 1); /* one that is refused is asked for again */
    }
}

static int claim(qe_session *s, const qe_source_news *news)
{
    qe__arena *a = &s->exec.arena;
    uint32_t n = 0;

    for (uint32_t i = 0; i < news->count; i++) {
        uint32_t unit = a->order[news->first + i];
        uint32_t attempt = news->attempt;
        bool queued;
        int status;

        /* Ours may have been more than the claims before this one were for. */
        if (attempt <= s->units[unit].finished) {
            attempt = s->units[unit].finished + 1u;
        }
        status = qe__sched_claim(s->sched, unit, attempt, &queued);

        if (status == QE_ESTATE) {
            continue; /* it is here already, or has been */
        }
        if (status != 0) {
            return status;
        }
        s->units[unit].claim = news->attempt;
        hold(s, unit, true);
        if (queued) {
            qe__arena_add_common(a, unit);
            n++;
        }
    }
    qe__arena_wake(a);
    return start_workers(s, n);
}

/* True if no worker had it. */
static bool withdraw(qe_session *s, uint32_t unit)
{
    if (!s->units[unit].held || !qe__arena_withdraw(&s->exec.arena, unit)) {
        return false;
    }
    (void) qe__sched_unclaim(s->sched, unit);
    hold(s, unit, false);
    return true;
}

static void lose(qe_session *s, const qe_source_news *news)
{
    for (uint32_t i = 0; i < news->count; i++) {
        (void) withdraw(s, s->exec.arena.order[news->first + i]);
    }
}

/* A scope that stays in one worker goes back whole, if no worker has begun it. */
static uint32_t give_scope(qe_session *s, uint32_t scope)
{
    qe__arena *a = &s->exec.arena;
    qe__arena_scope *whole = &a->scopes[scope];
    uint32_t nobody = 0, n = 0;

    if (!atomic_compare_exchange_strong(&whole->owner, &nobody, UINT32_MAX)) {
        return 0;
    }
    while (n < whole->count && withdraw(s, a->order[whole->first + n])) {
        n++;
    }
    if (n < whole->count) { /* some of it was never ours */
        for (uint32_t i = 0; i < n; i++) {
            qe_source_news again = {
                .first = whole->first + i,
                .count = 1,
                /* The first: others wait in the scheduler, not in the arena. */
                .attempt = s->units[a->order[whole->first + i]].claim};

            (void) claim(s, &again);
        }
        n = 0;
    }
    atomic_store(&whole->owner, 0);
    if (n > 0) {
        s->options.source->back(s->options.source->ctx, whole->first, n);
    }
    return n;
}

/* Gives back what was claimed last and has not begun. */
static void give(qe_session *s, uint32_t most)
{
    const qe_source *source = s->options.source;
    qe__arena *a = &s->exec.arena;
    uint32_t first = 0, n = 0; /* places that go back together */
    uint32_t left = most;

    for (uint32_t at = atomic_load(&a->head->common_end); at > 0 && left > 0;
         at--) {
        uint32_t unit = a->queue[at - 1];
        uint32_t place = a->units[unit].place;
        uint32_t scope = a->units[unit].scope;

        if (!s->units[unit].held) {
            continue;
        }
        if (a->scopes[scope].together) {
            uint32_t given = give_scope(s, scope);

            left -= given < left ? given : left;
        } else if (withdraw(s, unit)) {
            if (n > 0 && place + 1 != first) {
                source->back(source->ctx, first, n);
                n = 0;
            }
            first = place;
            n++;
            left--;
        }
    }
    if (n > 0) {
        source->back(source->ctx, first, n);
    }
    source->back(source->ctx, 0, 0);
}

static bool in_range(const qe_session *s, const qe_source_news *news)
{
    uint32_t units = s->exec.arena.head->units;

    return news->first <= units && news->count <= units - news->first &&
           (news->kind != QE_SOURCE_CLAIM || news->attempt > 0);
}

bool qe__session_source(qe_session *s, qe_event *out)
{
    const qe_source *source = s->options.source;

    for (int i = 0; i < TAKEN_AT_ONCE && s->source_readable; i++) {
        qe_source_news news = {0};
        int status;

        source->take(source->ctx, &news);
        if (news.kind == QE_SOURCE_NONE) {
            s->source_readable = false;
            break;
        }
        if (s->stopping) {
            if (news.kind == QE_SOURCE_WANTED) {
                source->back(source->ctx, 0, 0);
            }
            continue; /* what was claimed stays unbegun */
        }
        switch (news.kind) {
        case QE_SOURCE_CLAIM:
            status = in_range(s, &news) ? claim(s, &news) : QE_EFORMAT;
            if (status == QE_EGONE) {
                s->control_readable = true; /* the supervisor's end will tell */
            } else if (status != 0 && s->trouble == 0) {
                s->trouble = status;
            }
            break;
        case QE_SOURCE_LOST:
            if (in_range(s, &news)) {
                lose(s, &news);
            }
            break;
        case QE_SOURCE_WANTED:
            give(s, news.count);
            break;
        default: /* STOPPED, OVER, TROUBLE */
            if (news.kind == QE_SOURCE_STOPPED) {
                qe__session_halt(s);
            } else {
                qe__sched_no_claims(s->sched);
            }
            memset(out, 0, sizeof(*out));
            out->unit = QE__NONE;
            out->kind = QE_EV_SOURCE;
            out->status = (int) news.kind;
            return true;
        }
    }
    return false;
}

void qe__session_tell_room(qe_session *s)
{
    const qe_source *source = s->options.source;
    uint32_t idle = 0;

    if (source == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->homes; i++) {
        idle += (!s->slots[i].alive || s->slots[i].idle) &&
                !s->slots[i + s->homes].alive;
    }
    if (s->room_changed || idle != s->room.idle) {
        s->room.idle = idle;
        s->room_changed = false;
        source->room(source->ctx, &s->room);
    }
}
