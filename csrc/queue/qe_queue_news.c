/* What a session, its host and the queue's thread have to say to each other: short, under one lock,
 * and with no call of the server in it. See qe_queue_own.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_queue_own.h"
#include "qe_util.h"

/* Longer than any hook of a host takes, and any look at a debugger's prompt but the longest. */
#define STUCK_NS (600000 * QE__MS)

static void ring(int fd)
{
    const uint64_t one = 1;

    (void) !write(fd, &one, sizeof(one));
}

void qe__queue_wake(qe_queue *q)
{
    if (!q->shared.woken) {
        q->shared.woken = true;
        ring(q->wake_fd);
    }
}

bool qe__queue_say(qe_queue *q, const qe_source_news *news)
{
    qe__queue_shared *s = &q->shared;

    if (s->taken > 0 && s->count == s->capacity) {
        memmove(s->news, s->news + s->taken,
                (s->count - s->taken) * sizeof(s->news[0]));
        s->count -= s->taken;
        s->taken = 0;
    }
    if (qe__grow(&s->news, &s->capacity, s->count + 1, sizeof(s->news[0])) !=
        0) {
        return false;
    }
    s->news[s->count++] = *news;
    if (s->count - s->taken == 1) {
        ring(q->news_fd);
    }
    return true;
}

void qe__queue_trouble(qe_queue *q, const char *text)
{
    const qe_source_news news = {.kind = QE_SOURCE_TROUBLE};

    if (q->shared.troubled) {
        return;
    }
    q->shared.troubled = true;
    (void) snprintf(q->shared.trouble, sizeof(q->shared.trouble), "%s", text);
    /* Without memory for a word the session hears nothing more, and its host sees that. */
    (void) qe__queue_say(q, &news);
}

bool qe__queue_is_stuck(qe_queue *q, uint64_t now, uint64_t *look_ns)
{
    qe__queue_shared *s = &q->shared;
    uint64_t limit = q->stuck_ns;

    if (limit == 0) {
        limit = 60 * q->lease_ns > STUCK_NS ? 60 * q->lease_ns : STUCK_NS;
    }
    *look_ns = UINT64_MAX;
    if (s->leave || s->looked_ns == 0) { /* there may be no session at all */
        return false;
    }
    if (now >= s->looked_ns + limit / 4 && now >= s->nudged_ns + limit / 4) {
        s->nudged_ns = now;
        ring(q->news_fd);
    }
    s->is_stuck = now >= s->looked_ns + limit;
    *look_ns =
        (s->looked_ns > s->nudged_ns ? s->looked_ns : s->nudged_ns) + limit / 4;
    return s->is_stuck;
}

/* What the session said is what it has, unless something has been claimed since: then it has all
 * that is held but what runs. */
void qe__queue_view(const qe_queue *q, uint64_t now, qe__share_view *out)
{
    const qe__queue_shared *s = &q->shared;
    uint32_t idle = s->room.idle < q->workers ? s->room.idle : q->workers;

    *out = (qe__share_view){
        .workers = q->workers,
        .idle = idle,
        .units = s->room.units,
        .held_ns = s->room.expected_ns,
        .trip_ns = s->trip_ns,
        .entry_ns = s->entry_ns,
        .left = s->seen.left,
        .open = s->seen.open,
        .all = s->seen.workers > q->workers ? s->seen.workers : q->workers,
        .waiting = s->seen.waiting};
    if (s->stale || s->taken < s->count) {
        uint32_t begun = q->workers - idle + (uint32_t) s->tale_count;

        out->units = s->held_units > begun ? s->held_units - begun : 0;
        out->held_ns =
            s->held_units == 0 ? 0 : s->held_ns / s->held_units * out->units;
    }
    out->unit_ns = s->ended > 0 ? s->busy_ns / s->ended : 0;
    out->quiet_ns = s->begun_ns > 0 ? now - s->begun_ns : 0;
}

uint32_t qe__queue_waiting(const qe_queue *q)
{
    qe__share_view v;

    qe__queue_view(q, 0, &v);
    return v.idle > v.units ? v.idle - v.units : 0;
}

/* ---------------------------------------------------------------- a session's */

static void looked(qe_queue *q)
{
    q->shared.looked_ns = qe_now_ns();
    if (q->shared
            .is_stuck) { /* the thread waits for that, and for nothing else */
        q->shared.is_stuck = false;
        qe__queue_wake(q);
    }
}

static void take(void *ctx, qe_source_news *out)
{
    qe_queue *q = ctx;
    qe__queue_shared *s = &q->shared;
    uint64_t rung;

    *out = (qe_source_news){0};
    pthread_mutex_lock(&q->lock);
    looked(q);
    if (s->taken < s->count) {
        *out = s->news[s->taken++];
        s->stale = s->stale || out->kind == QE_SOURCE_CLAIM;
        if (s->taken == s->count) {
            s->taken = s->count = 0;
            (void) !read(q->news_fd, &rung, sizeof(rung));
        }
    } else { /* it was only to look */
        (void) !read(q->news_fd, &rung, sizeof(rung));
    }
    pthread_mutex_unlock(&q->lock);
}

static void room(void *ctx, const qe_source_room *said)
{
    qe_queue *q = ctx;
    qe__queue_shared *s = &q->shared;
    uint64_t now = qe_now_ns();
    qe__share_view view;

    pthread_mutex_lock(&q->lock);
    looked(q);
    if (s->room_ns > 0 && s->room.idle < q->workers) {
        s->busy_ns += (now - s->room_ns) * (q->workers - s->room.idle);
    }
    if (said->units < s->room.units || said->idle < s->room.idle) {
        s->begun_ns = now;
    }
    if (said->idle > s->room.idle) {
        s->ask_ns = 0;
    }
    s->room = *said;
    s->room_ns = now;
    s->stale = false;
    if (s->seen.state == QE__BOARD_OPEN && !s->woken &&
        (!s->asking || now >= s->ask_ns)) {
        qe__queue_view(q, now, &view);
        if (qe__share_ask(&view).entries > 0) {
            qe__queue_wake(q);
        }
    }
    pthread_mutex_unlock(&q->lock);
}

static void back(void *ctx, uint32_t first, uint32_t count)
{
    qe_queue *q = ctx;
    qe__queue_shared *s = &q->shared;

    pthread_mutex_lock(&q->lock);
    looked(q);
    if (count == 0) {
        s->wanted = false;
    } else if (first < q->count && count <= q->count - first &&
               qe__grow(&s->backs, &s->back_capacity, s->back_count + 1,
                        sizeof(s->backs[0])) == 0) {
        s->backs[s->back_count++] = (qe__range){first, count};
    } else {
        /* They would stay ours for ever. */
        qe__queue_trouble(q, "out of memory");
    }
    qe__queue_wake(q);
    pthread_mutex_unlock(&q->lock);
}

void qe__queue_set_source(qe_queue *q)
{
    q->source = (qe_source){
        .ctx = q, .fd = q->news_fd, .take = take, .room = room, .back = back};
}

/* -------------------------------------------------------------------- a host's */

int qe_queue_tell(qe_queue *q, uint32_t place, uint32_t attempt,
                  enum qe_outcome outcome, bool again, bool failed,
                  const void *payload, size_t size)
{
    qe__queue_shared *s = &q->shared;
    qe__tale tale = {.place = place,
                     .attempt = attempt,
                     .outcome = again ? QE_NONE : outcome,
                     .again = again,
                     .failed = failed,
                     .size = payload != NULL ? size : 0};
    int status;

    if (!q->started || q->finished) {
        return QE_ESTATE;
    }
    if (place >= q->count || attempt < 1 || attempt > UINT16_MAX ||
        (!again && (outcome <= QE_NONE || outcome >= QE_OUTCOME_COUNT))) {
        return QE_EINVAL;
    }
    if (tale.size > QE_QUEUE_PAYLOAD) {
        return QE_ETOOBIG;
    }
    if (tale.size > 0) {
        tale.payload = malloc(tale.size);
        if (tale.payload == NULL) {
            return QE_ENOMEM;
        }
        memcpy(tale.payload, payload, tale.size);
    }
    pthread_mutex_lock(&q->lock);
    status = qe__grow(&s->tales, &s->tale_capacity, s->tale_count + 1,
                      sizeof(s->tales[0]));
    if (status == 0) {
        s->tales[s->tale_count++] = tale;
        if (s->looked_ns != 0) {
            looked(q);
        }
        s->ended++;
        if (s->tale_count == 1) {
            s->first_tale_ns = qe_now_ns();
        }
        if (s->tale_count == 1 || s->tale_count % QE__QUEUE_BATCH == 0 ||
            s->tale_count >= s->held_units) {
            qe__queue_wake(q);
        }
    }
    pthread_mutex_unlock(&q->lock);
    if (status != 0) {
        free(tale.payload);
    }
    return status;
}
