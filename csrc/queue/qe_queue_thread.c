/* The thread of a node's part in a run: all calls of the server are made here, one after another. It
 * sleeps until the session or its host has something to say, or a call is due. See qe_queue_own.h. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_queue_own.h"
#include "qe_util.h"

#define TELL_NS (20 * QE__MS)
#define BEAT_NS (500 * QE__MS)
/* How often those look who have what others may wait for. */
#define TAIL_NS (50 * QE__MS)
#define BACKOFF_NS (100 * QE__MS)
#define BACKOFF_MAX_NS (5000 * QE__MS)
#define BEAT_AT_ONCE 1000u

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* -------------------------------------------------------------------- answers */

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

/* The end of each call: the connection goes with one that failed. */
static int answered(qe_queue *q, int status, const qe__board_news *news,
                    uint64_t began_ns, bool measured)
{
    uint64_t now = qe_now_ns(), trip = now - began_ns;
    qe__queue_shared *s = &q->shared;

    if (status != 0) {
        return status;
    }
    q->failing_ns = 0;
    q->backoff_ns = BACKOFF_NS;
    pthread_mutex_lock(&q->lock);
    if (measured) {
        s->trip_ns = s->trip_ns == 0 ? trip : (7 * s->trip_ns + trip) / 8;
    }
    take_news(q, news, now);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

/* ---------------------------------------------------------------------- calls */

static uint32_t waiting_now(qe_queue *q)
{
    uint32_t n;

    pthread_mutex_lock(&q->lock);
    n = qe__queue_waiting(q);
    pthread_mutex_unlock(&q->lock);
    return n;
}

static int beat(qe_queue *q)
{
    uint64_t began = qe_now_ns();
    qe__board_news news;
    int status =
        qe__board_beat(q->board, NULL, 0, false, waiting_now(q), NULL, &news);

    return answered(q, status, &news, began, true);
}

/* Renews what is ours, so many at once that no call takes long. */
static int renew(qe_queue *q)
{
    qe__entry *entries = malloc(qe__mul(q->held_count + 1, sizeof(*entries)));
    bool *lost = malloc(q->held_count + 1);
    bool all = q->fresh && q->held_count <= BEAT_AT_ONCE;
    uint64_t began = qe_now_ns();
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
static int tell(qe_queue *q)
{
    uint64_t began = qe_now_ns();
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

        end->counted += t->counted;
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

static int give_back(qe_queue *q)
{
    uint64_t began = qe_now_ns();
    qe__board_news news;
    int status = qe__board_back(q->board, q->backing, q->backing_count, &news);

    if (status != 0) {
        return status;
    }
    q->backing_count = 0;
    qe__queue_sweep(q);
    return answered(q, 0, &news, began, false);
}

static int stop(qe_queue *q)
{
    uint64_t began = qe_now_ns();
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

/* How much to ask for; `entries` 0: nothing. *at: when, if nothing happens before. */
static qe__share_want wanted(qe_queue *q, uint64_t now, uint64_t *at)
{
    qe__queue_shared *s = &q->shared;
    qe__share_want want = {0};
    qe__share_view view;

    *at = UINT64_MAX;
    pthread_mutex_lock(&q->lock);
    if (s->seen.state == QE__BOARD_OPEN && !s->troubled && !s->leave &&
        !s->stop) {
        qe__queue_view(q, now, &view);
        want = qe__share_ask(&view);
        *at = want.entries > 0 ? s->ask_ns : UINT64_MAX;
    }
    s->asking = want.entries > 0;
    pthread_mutex_unlock(&q->lock);
    if (want.entries > QE__CLAIM_MAX) {
        want.entries = QE__CLAIM_MAX;
    }
    return want;
}

static int claim(qe_queue *q, const qe__share_want *want)
{
    qe__entry *entries = calloc(want->entries, sizeof(*entries));
    uint64_t began = qe_now_ns();
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

/* ----------------------------------------------------------------- connection */

static void use(qe_queue *q, qe__redis *r)
{
    pthread_mutex_lock(&q->lock);
    qe__redis_close(q->redis);
    q->redis = r;
    pthread_mutex_unlock(&q->lock);
    qe__board_use(q->board, r);
}

/* Half of it to all of it, so that nodes which were cut off together do not come back together. */
static uint64_t jittered(qe_queue *q, uint64_t ns)
{
    return ns / 2 + qe__random(&q->random) % (ns / 2 + 1);
}

static void failed(qe_queue *q, int status, const char *text)
{
    uint64_t now = qe_now_ns();
    char line[QE_QUEUE_TEXT];

    use(q, NULL);
    q->dead = status == QE_ENOTFOUND;
    if (q->dead) {
        (void) snprintf(line, sizeof(line), "%s", text);
    } else {
        q->failing_ns = q->failing_ns != 0 ? q->failing_ns : now;
        (void) snprintf(line, sizeof(line),
                        "the server could not be used for %.0f s: %s",
                        (double) (now - q->failing_ns) / 1e9,
                        text[0] != '\0' ? text : qe_strerror(status));
    }
    if (q->dead || now - q->failing_ns >= qe__queue_patience_ns(q)) {
        pthread_mutex_lock(&q->lock);
        qe__queue_trouble(q, line);
        pthread_mutex_unlock(&q->lock);
    }
    q->connect_ns = now + jittered(q, q->backoff_ns);
    q->backoff_ns = least(2 * q->backoff_ns, BACKOFF_MAX_NS);
}

static void reconnect(qe_queue *q)
{
    char text[QE__REDIS_TEXT];
    qe__redis *r;
    int status = qe__redis_open(&r, &q->address, q->timeout_ns, text);

    if (status != 0) {
        failed(q, status, text);
        return;
    }
    use(q, r);
    q->fresh = true;
    q->renew_ns = 0;
}

/* ------------------------------------------------------------------- the loop */

/* What the thread is to do, as the others left it. */
typedef struct errand {
    bool stop, leave, back, tell, told_all;
    uint64_t tell_ns; /* when; UINT64_MAX: nothing is to be told */
} errand;

static errand errand_of(qe_queue *q)
{
    const qe__queue_shared *s = &q->shared;
    errand e = {.tell_ns = UINT64_MAX};

    pthread_mutex_lock(&q->lock);
    e.stop = s->stop;
    e.leave = s->leave;
    e.back = s->back_count > 0 && !s->wanted;
    e.tell = s->tale_count > 0;
    e.told_all = e.tell && s->tale_count >= s->held_units;
    if (e.tell) {
        e.tell_ns = e.leave || e.told_all || s->tale_count >= QE__QUEUE_BATCH
                        ? 0
                        : s->first_tale_ns + TELL_NS;
    }
    pthread_mutex_unlock(&q->lock);
    return e;
}

static int tell_next(qe_queue *q)
{
    qe__queue_begin_tell(q);
    return tell(q);
}

/* The last calls of all; *done once nothing is left. */
static int leave(qe_queue *q, bool *done)
{
    qe__board_news news;
    int status;

    qe__queue_begin_leave(q);
    if (q->backing_count > 0) {
        return give_back(q);
    }
    status = qe__board_leave(q->board, &news);
    *done = status == 0;
    return answered(q, status, &news, qe_now_ns(), false);
}

/* Makes the call that is most urgent, if any is: *due is when the next will be. What was sent and not
 * answered comes before anything that is new: the server must hear it in this order. */
static int step(qe_queue *q, uint64_t *due, bool *done)
{
    uint64_t now = qe_now_ns(), ask_ns;
    errand e = errand_of(q);
    qe__share_want want;

    *due = now;
    if (q->renew_ns <= now) {
        return renew(q);
    }
    if (q->telling_count > 0) {
        return tell(q);
    }
    if (q->backing_count > 0) {
        return give_back(q);
    }
    if (e.stop) {
        return stop(q);
    }
    if (e.leave) {
        return e.tell ? tell_next(q) : leave(q, done);
    }
    if (e.told_all) {
        return tell_next(q);
    }
    if (e.back) {
        qe__queue_begin_back(q);
        qe__queue_sweep(q);
        return q->backing_count > 0 ? give_back(q) : 0;
    }
    want = wanted(q, now, &ask_ns);
    if (ask_ns <= now) {
        return claim(q, &want);
    }
    if (e.tell_ns <= now) {
        return tell_next(q);
    }
    if (q->beat_ns <= now) {
        return beat(q);
    }
    *due = least(least(ask_ns, e.tell_ns), least(q->beat_ns, q->renew_ns));
    return 0;
}

/* Sleeps until then, or until somebody has something to say. */
static void rest(qe_queue *q, uint64_t until_ns)
{
    struct pollfd p = {.fd = q->wake_fd, .events = POLLIN};
    uint64_t now = qe_now_ns(), rung;
    struct timespec t;

    if (until_ns <= now) {
        return;
    }
    t.tv_sec = (time_t) (least(until_ns - now, 3600000 * QE__MS) / 1000000000u);
    t.tv_nsec = (long) (least(until_ns - now, 3600000 * QE__MS) % 1000000000u);
    if (ppoll(&p, 1, &t, NULL) > 0) {
        pthread_mutex_lock(&q->lock);
        (void) !read(q->wake_fd, &rung, sizeof(rung));
        q->shared.woken = false;
        pthread_mutex_unlock(&q->lock);
    }
}

/* Whether the thread is to end though something may be left to be said: nobody can wait longer. */
static bool given_up(qe_queue *q, bool tried)
{
    const qe__queue_shared *s = &q->shared;
    bool now;

    pthread_mutex_lock(&q->lock);
    now = s->at_once ||
          (s->leave && (q->dead || qe_now_ns() >= s->leave_ns ||
                        (s->troubled && q->redis == NULL && tried)));
    pthread_mutex_unlock(&q->lock);
    return now;
}

static bool leaving(qe_queue *q)
{
    bool is;

    pthread_mutex_lock(&q->lock);
    is = q->shared.leave;
    pthread_mutex_unlock(&q->lock);
    return is;
}

void *qe__queue_run(void *queue)
{
    qe_queue *q = queue;
    bool done = false, tried = false;

    while (!done && !given_up(q, tried)) {
        bool last = leaving(q);
        uint64_t due;
        int status;

        if (q->redis == NULL) {
            if (q->dead || (q->connect_ns > qe_now_ns() && (!last || tried))) {
                rest(q, q->dead ? UINT64_MAX : q->connect_ns);
            } else {
                tried = last;
                reconnect(q);
            }
            continue;
        }
        status = step(q, &due, &done);
        if (status != 0) {
            failed(q, status, qe__board_text(q->board));
        } else if (!done) {
            rest(q, due);
        }
    }
    use(q, NULL);
    return NULL;
}
