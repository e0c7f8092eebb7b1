/* Which entries of the board are ours, and which units of them are done with. The thread's, see
 * qe_queue_own.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_queue_own.h"
#include "qe_util.h"

#define PAYLOADS_MAX ((size_t) 8 << 20) /* of a call together */

qe__held *qe__queue_find(const qe_queue *q, const char *id)
{
    for (size_t i = 0; i < q->held_count; i++) {
        if (!q->held[i]->lost && strcmp(q->held[i]->entry.id, id) == 0) {
            return q->held[i];
        }
    }
    return NULL;
}

static uint64_t expected_of(const qe__held *h, uint32_t units)
{
    return h->entry.expected_ns / h->entry.count * units;
}

/* So many of its units are no longer to be run here. */
static void count_off(qe_queue *q, qe__held *h, uint32_t units)
{
    uint64_t ns = expected_of(h, units);

    h->left -= units;
    if (!h->lost) {
        pthread_mutex_lock(&q->lock);
        q->shared.held_units -= units;
        q->shared.held_ns -= ns < q->shared.held_ns ? ns : q->shared.held_ns;
        pthread_mutex_unlock(&q->lock);
    }
}

static bool say_places(qe_queue *q, enum qe_source_kind kind, const qe__held *h,
                       uint32_t first, uint32_t count)
{
    const qe_source_news news = {.kind = kind,
                                 .first = first,
                                 .count = count,
                                 .attempt = h->entry.attempt,
                                 .alone =
                                     kind == QE_SOURCE_CLAIM && h->entry.alone};

    return qe__queue_say(q, &news);
}

/* What the session is through with, it is not given once more. */
static bool is_said(const qe_queue *q, enum qe_source_kind kind,
                    const qe__held *h, uint32_t place)
{
    return q->held_of[place] == h &&
           (kind != QE_SOURCE_CLAIM || q->final[place].outcome == QE_NONE);
}

/* Says it of all units of the entry that are still its own; under the lock. */
static bool say_all(qe_queue *q, enum qe_source_kind kind, const qe__held *h)
{
    uint32_t end = h->entry.first + h->entry.count;
    bool good = true;

    for (uint32_t at = h->entry.first, next; at < end && good; at = next) {
        next = at;
        while (next < end && is_said(q, kind, h, next)) {
            next++;
        }
        if (next == at) {
            next++;
        } else {
            good = say_places(q, kind, h, at, next - at);
        }
    }
    return good;
}

/* Nobody could be told of it, so it must not stay ours. */
static void disown(qe_queue *q, qe__held *h)
{
    for (uint32_t i = 0; i < h->entry.count; i++) {
        qe__held **of = &q->held_of[h->entry.first + i];

        *of = *of == h ? NULL : *of;
    }
    count_off(q, h, h->left);
    h->lost = true;
}

/* What was told of its units before, once more: without the payload, which went to the server. */
static bool tell_finals(qe_queue *q, const qe__held *h)
{
    bool good = true;

    for (uint32_t i = 0; i < h->entry.count && good; i++) {
        uint32_t place = h->entry.first + i;
        const qe__final *f = &q->final[place];

        if (q->held_of[place] == h && f->outcome != QE_NONE) {
            good = qe_queue_tell(q, place, h->entry.attempt,
                                 (enum qe_outcome) f->outcome, false, f->failed,
                                 NULL, 0) == 0;
        }
    }
    return good;
}

int qe__queue_gain(qe_queue *q, qe__entry *entry)
{
    qe__held *h;
    bool good;

    if (entry->first >= q->count || entry->count > q->count - entry->first) {
        return QE_EFORMAT;
    }
    if (qe__queue_find(q, entry->id) != NULL) {
        /* Its lease had ended, and nobody else has had it since. */
        free(entry->gone);
        entry->gone = NULL;
        return 0;
    }
    h = calloc(1, sizeof(*h));
    if (h == NULL || qe__grow(&q->held, &q->held_capacity, q->held_count + 1,
                              sizeof(q->held[0])) != 0) {
        free(h);
        return QE_ENOMEM;
    }
    h->entry = *entry;
    entry->gone = NULL;
    q->held[q->held_count++] = h;
    for (uint32_t i = 0; i < h->entry.count; i++) {
        qe__held **of = &q->held_of[h->entry.first + i];

        if (h->entry.gone != NULL && h->entry.gone[i] == '1') {
            continue;
        }
        if (*of != NULL) {
            count_off(q, *of, 1);
        }
        *of = h;
        h->left++;
    }
    pthread_mutex_lock(&q->lock);
    q->shared.held_units += h->left;
    q->shared.held_ns += expected_of(h, h->left);
    q->shared.entry_ns = expected_of(h, h->left);
    good = say_all(q, QE_SOURCE_CLAIM, h);
    pthread_mutex_unlock(&q->lock);
    if (!good || !tell_finals(q, h)) {
        good = false;
        disown(q, h);
    }
    return good ? 0 : QE_ENOMEM;
}

bool qe__queue_lose(qe_queue *q, qe__held *h)
{
    uint64_t ns = expected_of(h, h->left);
    bool good;

    if (h->lost) {
        return true;
    }
    h->lost = true;
    pthread_mutex_lock(&q->lock);
    q->shared.held_units -= h->left;
    q->shared.held_ns -= ns < q->shared.held_ns ? ns : q->shared.held_ns;
    good = say_all(q, QE_SOURCE_LOST, h);
    pthread_mutex_unlock(&q->lock);
    return good;
}

void qe__queue_sweep(qe_queue *q)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->held_count; i++) {
        qe__held *h = q->held[i];

        if (h->left > 0) {
            q->held[kept++] = h;
        } else {
            free(h->entry.gone);
            free(h);
        }
    }
    q->held_count = kept;
}

/* ----------------------------------------------------------------------- tell */

/* Takes the oldest that fit into a call out of what is to be told. */
static void fetch_tales(qe_queue *q)
{
    qe__queue_shared *s = &q->shared;
    size_t n = 0, bytes = 0;

    pthread_mutex_lock(&q->lock);
    while (n < s->tale_count && n < QE__QUEUE_BATCH &&
           (n == 0 || bytes + s->tales[n].size <= PAYLOADS_MAX)) {
        bytes += s->tales[n++].size;
    }
    memcpy(q->telling, s->tales, n * sizeof(s->tales[0]));
    memmove(s->tales, s->tales + n, (s->tale_count - n) * sizeof(s->tales[0]));
    s->tale_count -= n;
    pthread_mutex_unlock(&q->lock);
    q->telling_count = (uint32_t) n;
}

/* What an attempt's end means for the entry that has its unit. One that was told again under another
 * attempt's entry: that attempt is still to be run, and the session, which had the unit already when
 * it was claimed, hears of it once more. */
static bool settle(qe_queue *q, const qe__tale *t, qe__held *h)
{
    if (t->again && h->entry.attempt != t->attempt) {
        bool good;

        pthread_mutex_lock(&q->lock);
        good = h->lost || say_places(q, QE_SOURCE_CLAIM, h, t->place, 1);
        pthread_mutex_unlock(&q->lock);
        if (!good) {
            pthread_mutex_lock(&q->lock);
            qe__queue_trouble(q, "out of memory");
            pthread_mutex_unlock(&q->lock);
        }
        return false;
    }
    q->held_of[t->place] = NULL;
    count_off(q, h, 1);
    return h->left == 0;
}

void qe__queue_begin_tell(qe_queue *q)
{
    fetch_tales(q);
    q->call++;
    for (uint32_t i = 0; i < q->telling_count; i++) {
        const qe__tale *t = &q->telling[i];
        qe__held *h = q->held_of[t->place];

        (void) snprintf(q->told_of[i], QE__ENTRY_ID, "%s",
                        h != NULL ? h->entry.id : "");
        q->told[i] = (qe__told){.entry = q->told_of[i],
                                .finished = h != NULL && settle(q, t, h),
                                .unit = t->place,
                                .attempt = t->attempt,
                                .outcome = t->outcome,
                                .failed = t->failed,
                                .payload = t->payload,
                                .size = t->size};
    }
}

/* ----------------------------------------------------------------------- back */

static void add_part(qe_queue *q, qe__held *h, uint32_t first, uint32_t count)
{
    uint32_t at = q->backing_count++;

    for (uint32_t i = 0; i < count; i++) {
        q->held_of[first + i] = NULL;
    }
    count_off(q, h, count);
    (void) snprintf(q->backing_of[at], QE__ENTRY_ID, "%s", h->entry.id);
    q->backing[at] = (qe__part){.entry = q->backing_of[at],
                                .finished = h->left == 0,
                                .first = first,
                                .count = count};
}

/* Of places from `first` on: how many are of one entry, and go together; at most `most`, but scopes
 * that stay whole do. */
static uint32_t piece_from(const qe_queue *q, uint32_t first, uint32_t end,
                           uint32_t most)
{
    const qe__held *h = q->held_of[first];
    uint32_t at = first + 1;

    while (
        at < end && q->held_of[at] == h &&
        (at - first < most || ((q->units[at].flags & QE__UNIT_WHOLE) != 0 &&
                               q->units[at].scope == q->units[at - 1].scope))) {
        at++;
    }
    return at - first;
}

void qe__queue_begin_back(qe_queue *q)
{
    qe__queue_shared *s = &q->shared;
    uint32_t sum = 0, most;

    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < s->back_count; i++) {
        sum += s->backs[i].count;
    }
    /* So that each who waits gets some of it. */
    most = sum / (2 * (s->seen.waiting > 0 ? s->seen.waiting : 1));
    pthread_mutex_unlock(&q->lock);
    while (q->backing_count < QE__QUEUE_BATCH) {
        qe__range *range, r;
        uint32_t n;

        pthread_mutex_lock(&q->lock);
        if (s->back_count == 0) {
            pthread_mutex_unlock(&q->lock);
            break;
        }
        range = &s->backs[s->back_count - 1];
        r = *range;
        n = piece_from(q, r.first, r.first + r.count, most > 0 ? most : 1);
        range->first += n;
        range->count -= n;
        s->back_count -= range->count == 0;
        pthread_mutex_unlock(&q->lock);
        if (q->held_of[r.first] == NULL) {
            continue;
        }
        if (q->held_of[r.first]->lost) { /* it is somebody's already */
            qe__held *h = q->held_of[r.first];

            for (uint32_t i = 0; i < n; i++) {
                q->held_of[r.first + i] = NULL;
            }
            count_off(q, h, n);
        } else {
            add_part(q, q->held_of[r.first], r.first, n);
        }
    }
}

void qe__queue_begin_leave(qe_queue *q)
{
    for (size_t i = 0; i < q->held_count; i++) {
        qe__held *h = q->held[i];
        uint32_t end = h->entry.first + h->entry.count;

        for (uint32_t at = h->entry.first;
             at < end && !h->lost && q->backing_count < QE__QUEUE_BATCH; at++) {
            if (q->held_of[at] == h) {
                add_part(q, h, at, piece_from(q, at, end, UINT32_MAX));
            }
        }
    }
}
