/* A node's part in a run, as its host has it; see qe_queue.h. */
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qe_board_read.h"
#include "qe_queue_own.h"
#include "qe_util.h"

#define S UINT64_C(1000000000)
#define UNITS_MAX (UINT32_C(1) << 26)
#define FLAGS                                                                  \
    (QE_UNIT_SERIAL | QE_UNIT_TOGETHER | QE_UNIT_FRESH | QE_UNIT_SPARE |       \
     QE_UNIT_FIRST)
#define DEFAULT_PREFIX "qe"

static int wrong(char *text, const char *what)
{
    (void) snprintf(text, QE_QUEUE_TEXT, "%s", what);
    return QE_EINVAL;
}

static bool is_node(const char *name)
{
    size_t n = name == NULL ? 0 : strlen(name);

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char) name[i] < 0x20 || name[i] == 0x7f) {
            return false;
        }
    }
    return n > 0 && n < QE__NODE_NAME;
}

/* ------------------------------------------------------------------------ open */

static int check(const qe_queue_options *o, const qe_queue_unit *units,
                 uint32_t count, char *text)
{
    const char *names = qe__board_names(
        o->prefix != NULL ? o->prefix : DEFAULT_PREFIX,
        o->project != NULL ? o->project : "", o->run != NULL ? o->run : "");

    if (names != NULL) {
        return wrong(text, names);
    }
    if (!is_node(o->node)) {
        return wrong(text, "the node's name must have 1 to 63 bytes, and no "
                           "control characters");
    }
    if (o->workers < 1 || o->workers > 1024) {
        return wrong(text, "there must be 1 to 1024 workers");
    }
    if (o->lease_ns != 0 && (o->lease_ns < S || o->lease_ns > 86400 * S)) {
        return wrong(text, "a lease must be a second to a day");
    }
    if (count > UNITS_MAX) {
        return wrong(text, "a run has 67108864 tests at most");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (units[i].id == NULL || (units[i].flags & ~(uint32_t) FLAGS) != 0) {
            return wrong(text, "a unit must have an id, and flags that "
                               "there are");
        }
    }
    return 0;
}

static int read_address(qe_queue *q, const qe_queue_options *o, char *text)
{
    char line[QE__REDIS_TEXT];
    qe__redis_address *a = &q->address;

    if (o->url == NULL || qe__redis_parse(o->url, a, line) != 0) {
        return wrong(text, o->url == NULL ? "there must be a url" : line);
    }
    if (o->user != NULL) {
        if (strlen(o->user) >= sizeof(a->user)) {
            return wrong(text, "the user is too long");
        }
        (void) snprintf(a->user, sizeof(a->user), "%s", o->user);
    }
    if (o->password != NULL) {
        if (strlen(o->password) >= sizeof(a->password)) {
            return wrong(text, "the password is too long");
        }
        (void) snprintf(a->password, sizeof(a->password), "%s", o->password);
    }
    if (o->ca_file != NULL) {
        q->ca_file = strdup(o->ca_file);
        a->ca_file = q->ca_file;
        return q->ca_file == NULL ? QE_ENOMEM : 0;
    }
    return 0;
}

/* Copies the units: their ids lie in one block. Those of a scope that stays whole are marked. */
static int copy_units(qe_queue *q, const qe_queue_unit *units, uint32_t count)
{
    size_t bytes = 1;
    char *at;

    for (uint32_t i = 0; i < count; i++) {
        bytes += strlen(units[i].id) + 1;
    }
    q->ids = malloc(bytes);
    q->units = calloc((size_t) count + 1, sizeof(q->units[0]));
    q->held_of = calloc((size_t) count + 1, sizeof(q->held_of[0]));
    q->final = calloc((size_t) count + 1, sizeof(q->final[0]));
    if (q->ids == NULL || q->units == NULL || q->held_of == NULL ||
        q->final == NULL) {
        return QE_ENOMEM;
    }
    q->count = count;
    at = q->ids;
    for (uint32_t i = 0; i < count; i++) {
        size_t n = strlen(units[i].id) + 1;

        memcpy(at, units[i].id, n);
        q->units[i] = units[i];
        q->units[i].id = at;
        at += n;
    }
    return 0;
}

static void mark_whole(qe_queue *q)
{
    for (uint32_t i = 0, end; i < q->count; i = end) {
        uint32_t flags = 0;

        for (end = i;
             end < q->count && q->units[end].scope == q->units[i].scope;
             end++) {
            flags |= q->units[end].flags;
        }
        for (uint32_t k = i;
             k < end && (flags & (QE_UNIT_TOGETHER | QE_UNIT_FRESH)) != 0;
             k++) {
            q->units[k].flags |= QE__UNIT_WHOLE;
        }
    }
}

static int open_board(qe_queue *q, const qe_queue_options *o)
{
    const qe__board_options options = {
        .prefix = o->prefix != NULL ? o->prefix : DEFAULT_PREFIX,
        .project = o->project,
        .run = o->run,
        .node = o->node,
        .workers = o->workers,
        .lease_ms = q->lease_ns / QE__MS,
        .kept_s = o->kept_s != 0 ? o->kept_s : 86400,
        .timeout_ns = q->timeout_ns,
    };

    return qe__board_open(&q->board, &options);
}

/* A name for our calls, which a node of the same name before us cannot have had. */
static void name_calls(qe_queue *q)
{
    uint64_t bits[2];

    if (getrandom(bits, sizeof(bits), 0) != (ssize_t) sizeof(bits)) {
        bits[0] = qe_now_ns();
        bits[1] = (uint64_t) getpid();
    }
    (void) snprintf(q->who, sizeof(q->who), "%016llx%016llx",
                    (unsigned long long) bits[0], (unsigned long long) bits[1]);
    q->random = bits[0];
}

static int open_rest(qe_queue *q, const qe_queue_options *o,
                     const qe_queue_unit *units, uint32_t count, char *text)
{
    int status = read_address(q, o, text);

    q->workers = o->workers;
    q->maxfail = o->maxfail;
    q->lease_ns = o->lease_ns != 0 ? o->lease_ns : 10 * S;
    q->timeout_ns = o->timeout_ns != 0 ? o->timeout_ns : 5 * S;
    q->patience_ns = o->patience_ns;
    q->stuck_ns = o->stuck_ns;
    q->backoff_ns = QE__QUEUE_BACKOFF_NS;
    q->address.haste = &q->haste;
    q->shared.room.idle = o->workers;
    name_calls(q);
    if (status == 0) {
        status = copy_units(q, units, count);
    }
    if (status == 0) {
        status = qe__queue_digest(q);
        mark_whole(q);
    }
    if (status == 0) {
        status = open_board(q, o);
    }
    if (status == 0) {
        q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        q->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        q->haste.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        status =
            q->wake_fd < 0 || q->news_fd < 0 || q->haste.fd < 0 ? QE_ESYS : 0;
    }
    if (status == 0) {
        q->has_lock = pthread_mutex_init(&q->lock, NULL) == 0;
        status = q->has_lock ? 0 : QE_ENOMEM;
    }
    qe__queue_set_source(q);
    return status;
}

int qe_queue_open(qe_queue **out, const qe_queue_options *options,
                  const qe_queue_unit *units, uint32_t count, char *text)
{
    qe_queue *q;
    int status;

    *out = NULL;
    text[0] = '\0';
    status = check(options, units, count, text);
    if (status != 0) {
        return status;
    }
    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return wrong(text, "out of memory"), QE_ENOMEM;
    }
    q->wake_fd = q->news_fd = q->haste.fd = -1;
    status = open_rest(q, options, units, count, text);
    if (status != 0) {
        int error = errno;

        if (text[0] == '\0') {
            (void) wrong(text, qe_strerror(status));
        }
        qe_queue_close(q);
        errno = error;
        return status;
    }
    *out = q;
    return 0;
}

const qe_source *qe_queue_source(qe_queue *q)
{
    return &q->source;
}

/* ---------------------------------------------------------------------- its life */

int qe_queue_start(qe_queue *q)
{
    sigset_t all, before;
    int error;

    if (!q->joined || q->started) {
        return QE_ESTATE;
    }
    /* A host's signals are a host's. */
    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&q->thread, NULL, qe__queue_run, q);
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return QE_ESYS;
    }
    q->started = true;
    return 0;
}

int qe_queue_stop(qe_queue *q)
{
    if (!q->started || q->finished) {
        return QE_ESTATE;
    }
    pthread_mutex_lock(&q->lock);
    q->shared.stop = true;
    qe__queue_wake(q);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

static void end_thread(qe_queue *q, bool at_once)
{
    if (!q->started || q->finished) {
        return;
    }
    pthread_mutex_lock(&q->lock);
    q->shared.leave = true;
    q->shared.at_once = at_once;
    q->shared.leave_ns = qe_now_ns() + qe__queue_patience_ns(q);
    qe__haste_from(&q->haste, QE__QUEUE_GRACE_NS);
    if (at_once && q->redis != NULL) {
        /* Whatever it waits for, it has it now. */
        (void) shutdown(qe__redis_fd(q->redis), SHUT_RDWR);
    }
    qe__queue_wake(q);
    pthread_mutex_unlock(&q->lock);
    (void) pthread_join(q->thread, NULL);
    q->finished = true;
}

int qe_queue_finish(qe_queue *q, qe_queue_end *out)
{
    if (q->finished) {
        return QE_ESTATE;
    }
    end_thread(q, false);
    q->shared.end.untold = (uint32_t) (q->telling_count + q->shared.tale_count);
    if (out != NULL) {
        *out = q->shared.end;
    }
    return 0;
}

void qe_queue_known(const qe_queue *q, qe_queue_end *out)
{
    *out = q->started && !q->finished ? (qe_queue_end){0} : q->shared.end;
}

void qe_queue_cancel(qe_queue *q)
{
    qe__haste_now(&q->haste);
}

const char *qe_queue_text(const qe_queue *q)
{
    qe_queue *own = (qe_queue *) q; /* the lock, and our copy */

    pthread_mutex_lock(&own->lock);
    if (q->shared.troubled) {
        memcpy(own->text, q->shared.trouble, sizeof(own->text));
    }
    pthread_mutex_unlock(&own->lock);
    return q->text;
}

void qe_queue_close(qe_queue *q)
{
    if (q == NULL) {
        return;
    }
    end_thread(q, true);
    for (size_t i = 0; i < q->held_count; i++) {
        free(q->held[i]->entry.gone);
        free(q->held[i]);
    }
    for (uint32_t i = 0; i < q->telling_count; i++) {
        free(q->telling[i].payload);
    }
    for (size_t i = 0; i < q->shared.tale_count; i++) {
        free(q->shared.tales[i].payload);
    }
    free(q->held);
    free(q->held_of);
    free(q->final);
    free(q->shared.news);
    free(q->shared.tales);
    free(q->shared.backs);
    qe__redis_close(q->redis);
    qe__board_close(q->board);
    if (q->has_lock) {
        (void) pthread_mutex_destroy(&q->lock);
    }
    if (q->wake_fd >= 0) {
        (void) close(q->wake_fd);
    }
    if (q->news_fd >= 0) {
        (void) close(q->news_fd);
    }
    if (q->haste.fd >= 0) {
        (void) close(q->haste.fd);
    }
    OPENSSL_cleanse(q->address.password, sizeof(q->address.password));
    free(q->ca_file);
    free(q->ids);
    free(q->units);
    free(q);
}
