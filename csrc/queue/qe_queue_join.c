/* How a node comes to a run: its plan is compared with the one that is laid, or laid. See qe_queue.h. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_queue_own.h"
#include "qe_util.h"

#define LOOK_NS (50 * QE__MS) /* how often, while another node lays the plan */
#define LAYING_LEASES 60u     /* and for how long at most */
#define IDS_AT_ONCE 1000u
#define ID_SHOWN 120u /* bytes of an id in a message */

static int fail(qe_queue *q, int code, const char *text)
{
    (void) snprintf(q->text, sizeof(q->text), "%s", text);
    return code;
}

/* The host waits no longer. */
static bool is_cancelled(const qe_queue *q)
{
    return atomic_load(&q->haste.asked_ns) != 0;
}

static void nap(const qe_queue *q, uint64_t ns)
{
    uint64_t until = qe_now_ns() + ns;

    while (!is_cancelled(q) && qe_now_ns() < until) {
        (void) qe__haste_poll(&q->haste, -1, 0, until);
    }
}

/* ------------------------------------------------------------------ the digest */

int qe__queue_digest(qe_queue *q)
{
    unsigned char bytes[SHA256_DIGEST_LENGTH];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

    for (uint32_t i = 0; i < q->count && good; i++) {
        const qe_queue_unit *u = &q->units[i];
        /* Numbers of scopes may differ from node to node, where they begin may not. */
        bool begins = i == 0 || u->scope != u[-1].scope;
        unsigned char rest[5] = {
            begins, (unsigned char) u->flags, (unsigned char) (u->flags >> 8),
            (unsigned char) (u->flags >> 16), (unsigned char) (u->flags >> 24)};

        good = EVP_DigestUpdate(context, u->id, strlen(u->id) + 1) == 1 &&
               EVP_DigestUpdate(context, rest, sizeof(rest)) == 1;
    }
    good = good && EVP_DigestFinal_ex(context, bytes, NULL) == 1;
    EVP_MD_CTX_free(context);
    for (size_t i = 0; i < sizeof(bytes) && good; i++) {
        (void) snprintf(q->digest + 2 * i, 3, "%02x", bytes[i]);
    }
    return good ? 0 : QE_ENOMEM;
}

/* -------------------------------------------------------------- the difference */

/* An id as it can be shown: it may come from anywhere. */
static void show(const char *id, char out[ID_SHOWN + 8])
{
    size_t n = 0;

    if (id == NULL) {
        (void) snprintf(out, ID_SHOWN + 8, "nothing");
        return;
    }
    out[n++] = '"';
    for (; *id != '\0' && n + 4 < ID_SHOWN; id++) {
        unsigned char c = (unsigned char) *id;

        if (c < 0x20 || c == 0x7f || c == '\\' || c == '"') {
            n += (size_t) snprintf(out + n, 5, "\\x%02x", c);
        } else {
            out[n++] = *id;
        }
    }
    (void) snprintf(out + n, 8, "%s", *id == '\0' ? "\"" : "\"...");
}

/* Where the laid ids first differ from ours: the place, and the id there (NULL: none), to be
 * freed. How many there are besides. */
static int compare(qe_queue *q, uint32_t *place, char **theirs, uint32_t *count)
{
    char **ids = calloc(IDS_AT_ONCE, sizeof(*ids));
    uint32_t got = IDS_AT_ONCE, at = 0;
    bool differs = false;
    int status = ids == NULL ? QE_ENOMEM : 0;

    *theirs = NULL;
    *place = UINT32_MAX;
    while (status == 0 && got == IDS_AT_ONCE && at < UINT32_MAX - IDS_AT_ONCE) {
        status = qe__board_ids(q->board, at, IDS_AT_ONCE, ids, &got);
        for (uint32_t i = 0; i < got && status == 0; i++, at++) {
            if (!differs &&
                (at >= q->count || strcmp(ids[i], q->units[at].id) != 0)) {
                differs = true;
                *place = at;
                *theirs = ids[i];
            } else {
                free(ids[i]);
            }
        }
    }
    free(ids);
    *count = at;
    if (!differs && at < q->count) {
        *place = at;
    }
    return status;
}

static int other_plan(qe_queue *q)
{
    char mine[ID_SHOWN + 8], other[ID_SHOWN + 8];
    uint32_t place, count;
    char *theirs;
    int status = compare(q, &place, &theirs, &count);

    if (status != 0) {
        free(theirs);
        return fail(q, status, qe__board_text(q->board));
    }
    if (place == UINT32_MAX) {
        (void) snprintf(q->text, sizeof(q->text),
                        "the run has the same %" PRIu32
                        " tests in another grouping, or with other marks",
                        count);
        return QE_EFORMAT;
    }
    show(theirs, other);
    show(place < q->count ? q->units[place].id : NULL, mine);
    free(theirs);
    (void) snprintf(q->text, sizeof(q->text),
                    "the run has %" PRIu32 " tests, this node %" PRIu32
                    "; number %" PRIu32 " is %s there, %s here",
                    count, q->count, place + 1, other, mine);
    return QE_EFORMAT;
}

/* -------------------------------------------------------------------- the plan */

static int lay(qe_queue *q, qe__board_news *news)
{
    const char **ids = malloc(qe__mul((size_t) q->count + 1, sizeof(*ids)));
    qe__share_piece *pieces = NULL;
    qe__entry *entries = NULL;
    uint32_t n = 0;
    int status = ids == NULL ? QE_ENOMEM
                             : qe__share_lay(q->units, q->count, &pieces, &n);

    if (status == 0) {
        entries = calloc((size_t) n + 1, sizeof(*entries));
        status = entries == NULL ? QE_ENOMEM : 0;
    }
    for (uint32_t i = 0; i < q->count && status == 0; i++) {
        ids[i] = q->units[i].id;
    }
    for (uint32_t i = 0; i < n && status == 0; i++) {
        entries[i].first = pieces[i].first;
        entries[i].count = pieces[i].count;
        entries[i].expected_ns = pieces[i].expected_ns;
        entries[i].alone = pieces[i].alone;
    }
    if (status == 0) {
        status = qe__board_lay(q->board, ids, q->count, entries, n, q->maxfail,
                               news);
    }
    free(ids);
    free(pieces);
    free(entries);
    return status;
}

/* A run that this node has no part in: its workers are not to count there. */
static int turn_away(qe_queue *q, int status, const char *why)
{
    qe__board_news news;

    if (why != NULL) {
        (void) fail(q, status, why);
    }
    (void) qe__board_leave(q->board, &news);
    return status;
}

/* With a connection: 0; QE_EBUSY: another node lays the plan. */
static int come(qe_queue *q, qe__board_news *news)
{
    int status;

    news->state = QE__BOARD_NONE;
    status = qe__board_join(q->board, q->digest, q->count, news);
    if (status == QE_EFORMAT && news->state != QE__BOARD_NONE) {
        return turn_away(q, other_plan(q), NULL);
    }
    if (status == 0 && news->state == QE__BOARD_NONE) {
        status = lay(q, news);
        status = status == QE_ESTATE ? QE_EBUSY : status;
    }
    if (status == 0 && news->state == QE__BOARD_LAYING) {
        status = QE_EBUSY;
    }
    if (status != 0 && status != QE_EBUSY) {
        return fail(q, status, qe__board_text(q->board));
    }
    if (status == 0) {
        q->shared.end.left = news->left;
    }
    if (status == 0 && news->state == QE__BOARD_OVER && q->count > 0) {
        q->shared.end.over = true;
        return turn_away(q, QE_ESTATE, "the run is over");
    }
    if (status == 0 && news->state == QE__BOARD_STOPPED) {
        q->shared.end.stopped = true;
        return turn_away(q, QE_ESTATE, "the run was stopped");
    }
    return status;
}

/* Nobody is to wait for us, nor for a plan that we began to lay. */
static int cancelled(qe_queue *q)
{
    qe__board_news news;

    if (q->redis != NULL) {
        (void) qe__board_leave(q->board, &news);
    }
    qe__redis_close(q->redis);
    q->redis = NULL;
    return fail(q, QE_EGONE, "the server was waited for no longer");
}

int qe_queue_join(qe_queue *q)
{
    uint64_t began = qe_now_ns(), backoff_ns = 2 * LOOK_NS;
    qe__board_news news = {0};
    int status;

    if (q->joined) {
        return QE_ESTATE;
    }
    for (;;) {
        uint64_t now;

        if (q->redis == NULL) {
            qe__haste_from(&q->haste, 0); /* nothing has been said yet */
            status =
                qe__redis_open(&q->redis, &q->address, q->timeout_ns, q->text);
            qe__board_use(q->board, q->redis);
        } else {
            status = 0;
        }
        if (status == 0) {
            qe__haste_from(&q->haste, QE__QUEUE_GRACE_NS);
            status = come(q, &news);
        }
        now = qe_now_ns();
        if (is_cancelled(q)) {
            return cancelled(q);
        }
        if (status != QE_EBUSY) {
            qe__redis_close(q->redis);
            q->redis = NULL;
        }
        if (status == QE_EBUSY && now - began < LAYING_LEASES * q->lease_ns) {
            nap(q, LOOK_NS);
        } else if (status == QE_EGONE &&
                   now - began < qe__queue_patience_ns(q)) {
            nap(q, backoff_ns / 2 + qe__random(&q->random) % (backoff_ns / 2));
            backoff_ns =
                backoff_ns < 2500 * QE__MS ? 2 * backoff_ns : 5000 * QE__MS;
        } else {
            break;
        }
    }
    if (status == QE_EBUSY) {
        qe__redis_close(q->redis);
        q->redis = NULL;
        return fail(q, QE_EGONE,
                    "another node does not get done with laying "
                    "the plan of the run");
    }
    atomic_store(&q->haste.since_ns, 0);
    q->joined = status == 0;
    q->lease_ns = qe__board_lease_ms(q->board) * QE__MS;
    if (status == QE_ENOMEM) {
        return fail(q, status, "out of memory");
    }
    return status;
}
