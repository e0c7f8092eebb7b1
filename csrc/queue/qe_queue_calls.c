/* The calls of a node's thread, and what their answers mean to its session. See qe_queue_own.h. */
#include <stdlib.h>

#include "qe_queue_own.h"
#include "qe_util.h"

#define BEAT_NS (500 * QE__MS)
/* How often those look who have what others may wait for. */
#define TAIL_NS (50 * QE__MS)
#define BEAT_AT_ONCE 1000u

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void say(qe_queue *q, enum qe_source_kind kind, uint32_t count)
{
    const qe_source_news news = {.kind = kind, .count = count};

    if (!qe__queue_say(q, &news)) {
        qe__queue_trouble(q, "out of memory");
    }
}

/* What an answer said of the run; under the lock. */
static void take_news(qe_queue *q, const qe__board_news *news, uint64_t now)
{
    qe__queue_shared *s = &q->shared;
    qe__share_view view;
    uint32_t n;

    if (s->seen.open == 0 && news->open > 0) {
        s->ask_ns = 0;
    }
    s->seen = *news;
    s->end.left = news->left;
    if (news->state == QE__BOARD_STOPPED && !s->end.stopped) {
        s->end.stopped = true;
        say(q, QE_SOURCE_STOPPED, 0);
    }
    if (news->state == QE__BOARD_OVER && !s->end.over) {
        s->end.over = true;
        say(q, QE_SOURCE_OVER, 0);
    }
    qe__queue_view(q, now, &view);
    n = qe__share_back(&view);
    if (news->state == QE__BOARD_OPEN && n > 0 && !s->wanted && !s->leave) {
        s->wanted = true;
        say(q, QE_SOURCE_WANTED, n);
    }
    q->beat_ns =
        now + least(least(BEAT_NS, q->lease_ns / 3),
                    view.open == 0 && view.units > 0 && view.all > view.workers
                        ? TAIL_NS
                        : BEAT_NS);
}

/* A server that answers some calls and refuses one that has to be made is of no use for as long: what
 * it refused has to come through, or nothing to have failed for long. */
static bool is_through(const qe_queue *q, uint64_t now)
{
    return q->refused == QE__CALL_NONE || q->refused == q->calling ||
           now - q->failed_ns >
               qe__queue_patience_ns(q) + 2 * QE__QUEUE_BACKOFF_MAX_NS;
}

/* The end of each call: the connection goes with one that failed. */
static int answered(qe_queue *q, int status, const qe__board_news *news,
                    uint64_t began_ns, bool measured)
{
    uint64_t now = qe_now_ns(), trip = now - began_ns;
    qe__queue_shared *s = &q->shared;

    if (status != 0) {
        return status;
    }
    if (is_through(q, now)) {
        q->failing_ns = 0;
        q->backoff_ns = QE__QUEUE_BACKOFF_NS;
        q->refused = QE__CALL_NONE;
    }
    pthread_mutex_lock(&q->lock);
    if (measured) {
        s->trip_ns = s->trip_ns == 0 ? trip : (7 * s->trip_ns + trip) / 8;
    }
    take_news(q, news, now);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

/* ---------------------------------------------------------------------- calls */

static uint64_t begin(qe_queue *q, enum qe__call call)
{
    q->calling = call;
    return qe_now_ns();
}

static uint32_t waiting_now(qe_queue *q)
{
    uint32_t n;

    pthread_mutex_lock(&q->lock);
    n = qe__queue_waiting(q);
    pthread_mutex_unlock(&q->lock);
    return n;
}

int qe__queue_call_beat(qe_queue *q)
{
    uint64_t began = begin(q, QE__CALL_BEAT);
    qe__board_news news;
    int status =
        qe__board_beat(q->board, NULL, 0, false, waiting_now(q), NULL, &news);

    return answered(q, status, &news, began, true);
}

/* Renews what is ours, so many at once that no call takes long. */
int qe__queue_call_renew(qe_queue *q)
{
    qe__entry *entries = malloc(qe__mul(q->held_count + 1, sizeof(*entries)));
    bool *lost = malloc(q->held_count + 1);
    bool all = q->fresh && q->held_count <= BEAT_AT_ONCE;
    uint64_t began = begin(q, QE__CALL_RENEW);
    size_t n = 0;
    int status = entries == NULL || lost == NULL ? QE_ENOMEM : 0;

    for (size_t i = 0; i < q->held_count && status == 0; i++) {
        if (!q->held[i]->lost) {
            entries[n++] = q->held[i]->entry;
        }
    }
    for (size_t at = 0; status == 0 && (at == 0 || at < n);
         at += BEAT_AT_ONCE) {
        uint32_t some = (uint32_t) least(n - at, BEAT_AT_ONCE);
        qe__board_news news;

        status = qe__board_beat(q->board, entries + at, some, all,
                                waiting_now(q), lost + at, &news);
        for (size_t i = at; status == 0 && i < at + some; i++) {
            qe__held *h = qe__queue_find(q, entries[i].id);

            if (lost[i] && h != NULL && !qe__queue_lose(q, h)) {
                status = QE_ENOMEM;
            }
        }
        status = answered(q, status, &news, began, false);
    }
    if (status == 0) {
        q->fresh = false;
        q->renew_ns = began + q->lease_ns / 3;
    }
    free(entries);
    free(lost);
    return status;
}

/* Sends a batch that was made, or was sent before. */
int qe__queue_call_tell(qe_queue *q)
{
    uint64_t began = begin(q, QE__CALL_TELL);
    qe_queue_end *end = &q->shared.end;
    qe__board_news news;
    int status = qe__board_tell(q->board, q->who, q->call, q->told,
                                q->telling_count, &news);

    if (status != 0) {
        return status;
    }
    pthread_mutex_lock(&q->lock);
    for (uint32_t i = 0; i < q->telling_count; i++) {
        const qe__told *t = &q->told[i];
        qe__final *f = &q->final[t->unit];

        end->counted += t->counted && !f->counted;
        if (t->outcome != QE_NONE) {
            *f = (qe__final){(unsigned char) t->outcome, t->failed,
                             t->counted || f->counted};
        }
        end->late += t->late || (!t->counted && t->outcome != QE_NONE);
        end->last = end->last || t->last;
    }
    pthread_mutex_unlock(&q->lock);
    for (uint32_t i = 0; i < q->telling_count; i++) {
        qe__held *h = q->told[i].late ? qe__queue_find(q, q->told_of[i]) : NULL;

        if (h != NULL && !qe__queue_lose(q, h)) {
            status = QE_ENOMEM;
        }
        free(q->telling[i].payload);
    }
    q->telling_count = 0;
    qe__queue_sweep(q);
    return answered(q, status, &news, began, false);
}

int qe__queue_call_give_back(qe_queue *q)
{
    uint64_t began = begin(q, QE__CALL_BACK);
    qe__board_news news;
    int status = qe__board_back(q->board, q->backing, q->backing_count, &news);

    if (status != 0) {
        return status;
    }
    q->backing_count = 0;
    qe__queue_sweep(q);
    return answered(q, 0, &news, began, false);
}

int qe__queue_call_stop(qe_queue *q)
{
    uint64_t began = begin(q, QE__CALL_STOP);
    qe__board_news news;
    int status = qe__board_stop(q->board, &news);

    if (status != 0) {
        return status;
    }
    pthread_mutex_lock(&q->lock);
    q->shared.stop = false;
    pthread_mutex_unlock(&q->lock);
    return answered(q, 0, &news, began, false);
}

int qe__queue_call_claim(qe_queue *q, const qe__share_want *want)
{
    qe__entry *entries = calloc(want->entries, sizeof(*entries));
    uint64_t began = begin(q, QE__CALL_CLAIM);
    qe__board_news news;
    uint32_t got = 0;
    int status;

    if (entries == NULL) {
        return QE_ENOMEM;
    }
    status =
        qe__board_claim(q->board, want, waiting_now(q), entries, &got, &news);
    if (status == 0 && q->held_count == 0) {
        q->renew_ns = began + q->lease_ns / 3;
    }
    for (uint32_t i = 0; i < got && status == 0; i++) {
        status = qe__queue_gain(q, &entries[i]);
    }
    for (uint32_t i = 0; i < got; i++) {
        free(entries[i].gone);
    }
    free(entries);
    status = answered(q, status, &news, began, true);
    if (status == 0) {
        pthread_mutex_lock(&q->lock);
        q->shared.ask_ns = got > 0 ? 0 : qe_now_ns() + want->pause_ns;
        pthread_mutex_unlock(&q->lock);
    }
    return status;
}

/* The last calls of all; *done once nothing is left. */
int qe__queue_call_leave(qe_queue *q, bool *done)
{
    qe__board_news news;
    int status;

    qe__queue_begin_leave(q);
    q->calling = QE__CALL_LEAVE;
    if (q->backing_count > 0) {
        return qe__queue_call_give_back(q);
    }
    status = qe__board_leave(q->board, &news);
    *done = status == 0;
    return answered(q, status, &news, qe_now_ns(), false);
}
