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

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
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
    q->failed_ns = now;
    if (status != QE_EGONE) {
        q->refused = q->calling;
    }
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
    q->backoff_ns = least(2 * q->backoff_ns, QE__QUEUE_BACKOFF_MAX_NS);
}

static void reconnect(qe_queue *q)
{
    char text[QE__REDIS_TEXT];
    qe__redis *r;
    int status = qe__redis_open(&r, &q->address, q->timeout_ns, text);

    q->calling = QE__CALL_NONE;
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

static int tell_next(qe_queue *q)
{
    qe__queue_begin_tell(q);
    return qe__queue_call_tell(q);
}

/* Makes the call that is most urgent, if any is: *due is when the next will be. What was sent and not
 * answered comes before anything that is new: the server must hear it in this order. */
static int step(qe_queue *q, uint64_t *due, bool *done)
{
    uint64_t now = qe_now_ns(), ask_ns, look_ns;
    errand e = errand_of(q);
    qe__share_want want;
    bool stuck;

    pthread_mutex_lock(&q->lock);
    stuck = qe__queue_is_stuck(q, now, &look_ns);
    pthread_mutex_unlock(&q->lock);
    if (stuck) { /* nobody runs what we have: others are to have it */
        *due = look_ns;
        return 0;
    }
    *due = now;
    if (q->renew_ns <= now) {
        return qe__queue_call_renew(q);
    }
    if (q->telling_count > 0) {
        return qe__queue_call_tell(q);
    }
    if (q->backing_count > 0) {
        return qe__queue_call_give_back(q);
    }
    if (e.stop) {
        return qe__queue_call_stop(q);
    }
    if (e.leave) {
        return e.tell ? tell_next(q) : qe__queue_call_leave(q, done);
    }
    if (e.told_all) {
        return tell_next(q);
    }
    if (e.back) {
        qe__queue_begin_back(q);
        qe__queue_sweep(q);
        return q->backing_count > 0 ? qe__queue_call_give_back(q) : 0;
    }
    want = wanted(q, now, &ask_ns);
    if (ask_ns <= now) {
        return qe__queue_call_claim(q, &want);
    }
    if (e.tell_ns <= now) {
        return tell_next(q);
    }
    if (q->beat_ns <= now) {
        return qe__queue_call_beat(q);
    }
    *due = least(least(ask_ns, e.tell_ns), least(q->beat_ns, q->renew_ns));
    *due = least(*due, look_ns);
    return 0;
}

/* Sleeps until then, or until somebody has something to say. */
static void rest(qe_queue *q, uint64_t until_ns)
{
    uint64_t rung;

    if (until_ns <= qe_now_ns()) {
        return;
    }
    if (qe__haste_poll(&q->haste, q->wake_fd, POLLIN, until_ns) > 0) {
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
          (s->leave &&
           (q->dead || qe_now_ns() >= qe__haste_until(&q->haste, s->leave_ns) ||
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
