/* The board of a run; see qe_board.h. */
#include "qe_board_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_board_scripts.h"
#include "qe_util.h"

#define IDS_AT_ONCE 1000u
#define ENTRIES_AT_ONCE 1000u
#define LEASE_MIN_MS 100u
#define LEASE_MAX_MS 86400000u

const char *qe__board_text(const qe__board *b)
{
    return b->text;
}

void qe__board_use(qe__board *b, qe__redis *r)
{
    b->redis = r;
}

int qe__board_open(qe__board **out, const qe__board_options *o)
{
    static const char *const names[BOARD_KEYS] = {
        [BOARD_PLAN] = "plan",     [BOARD_WORK] = "work",
        [BOARD_NODES] = "nodes",   [BOARD_OUT] = "out",
        [BOARD_TRIES] = "tries",   [BOARD_IDS] = "ids",
        [BOARD_SERIAL] = "serial", [BOARD_AGAIN] = "again",
        [BOARD_REWORK] = "rework",
    };
    size_t n = strlen(o->prefix) + strlen(o->project) + strlen(o->run) + 32;
    qe__board *b;

    *out = NULL;
    if (o->project[0] == '\0' || o->run[0] == '\0' || o->node[0] == '\0' ||
        strlen(o->node) >= QE__NODE_NAME || n > 1024 ||
        o->lease_ms < LEASE_MIN_MS || o->lease_ms > LEASE_MAX_MS ||
        o->workers < 1 || o->workers > 1024) {
        return QE_EINVAL;
    }
    b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return QE_ENOMEM;
    }
    b->timeout_ns = o->timeout_ns;
    (void) snprintf(b->node, sizeof(b->node), "%s", o->node);
    (void) snprintf(b->workers, BOARD_NUMBER, "%" PRIu32, o->workers);
    (void) snprintf(b->lease, BOARD_NUMBER, "%" PRIu64, o->lease_ms);
    (void) snprintf(b->kept, BOARD_NUMBER, "%" PRIu64, o->kept_s);
    for (size_t i = 0; i < BOARD_KEYS; i++) {
        b->keys[i] = malloc(n);
        if (b->keys[i] == NULL) {
            qe__board_close(b);
            return QE_ENOMEM;
        }
        /* What stands in braces decides where a cluster has it. */
        (void) snprintf(b->keys[i], n, "%s:{%s/%s}:%s", o->prefix, o->project,
                        o->run, names[i]);
    }
    *out = b;
    return 0;
}

void qe__board_close(qe__board *b)
{
    if (b == NULL) {
        return;
    }
    qe__board_forget(b);
    for (size_t i = 0; i < BOARD_KEYS; i++) {
        free(b->keys[i]);
    }
    free(b->words);
    free(b->sizes);
    free(b->owned);
    free(b);
}

/* ------------------------------------------------------------------ the plan */

int qe__board_join(qe__board *b, const char *digest, uint32_t count,
                   qe__board_news *news)
{
    uint64_t found, lease_ms, born;
    redisReply *reply;
    int status;

    if (!qe__board_begin(b) || !qe__board_add(b, digest) ||
        !qe__board_add_number(b, count)) {
        return QE_ENOMEM;
    }
    status = qe__board_call_numbers(b, board_join, 3, INT64_MAX, news, &reply);
    if (status != 0) {
        news->state = QE__BOARD_NONE;
        return status;
    }
    found = (uint64_t) reply->element[1]->element[0]->integer;
    lease_ms = (uint64_t) reply->element[1]->element[1]->integer;
    born = (uint64_t) reply->element[1]->element[2]->integer;
    if (found > 2 || lease_ms < LEASE_MIN_MS || lease_ms > LEASE_MAX_MS) {
        news->state = QE__BOARD_NONE;
        return qe__board_odd(b, reply);
    }
    freeReplyObject(reply);
    if (found == 2) {
        return qe__board_fail(b, QE_EFORMAT,
                              "another plan was laid for this run");
    }
    (void) snprintf(b->lease, sizeof(b->lease), "%" PRIu64, lease_ms);
    b->born = born;
    if (found == 1) {
        news->state = QE__BOARD_NONE;
    }
    return 0;
}

uint64_t qe__board_lease_ms(const qe__board *b)
{
    return strtoull(b->lease, NULL, 10);
}

/* One that answers with whether it was done. */
static int call_layer(qe__board *b, const char *script, qe__board_news *news)
{
    uint64_t ours;
    int status = qe__board_call_number(b, script, news, &ours);

    return status == 0 && ours == 0
               ? qe__board_fail(b, QE_ESTATE, "another node lays the plan")
               : status;
}

static int lay_ids(qe__board *b, const char *const *ids, uint32_t count,
                   qe__board_news *news)
{
    bool good = qe__board_begin(b) && qe__board_add_number(b, count);

    for (uint32_t i = 0; i < count && good; i++) {
        good = qe__board_add(b, ids[i]);
    }
    return good ? call_layer(b, board_lay, news) : QE_ENOMEM;
}

static int lay_entries(qe__board *b, const qe__entry *entries, uint32_t count,
                       qe__board_news *news)
{
    bool good = qe__board_begin(b) && qe__board_add_number(b, 0);

    for (const qe__entry *e = entries; e < entries + count && good; e++) {
        good = qe__board_add_number(b, e->first) &&
               qe__board_add_number(b, e->count) &&
               qe__board_add_number(b, e->expected_ns < QE__EXPECTED_MAX
                                           ? e->expected_ns
                                           : QE__EXPECTED_MAX) &&
               qe__board_add(b, e->alone ? "1" : "0");
    }
    return good ? call_layer(b, board_lay, news) : QE_ENOMEM;
}

int qe__board_lay(qe__board *b, const char *const *ids, uint32_t count,
                  const qe__entry *entries, uint32_t entry_count,
                  uint32_t maxfail, qe__board_news *news)
{
    int status = 0;

    for (uint32_t i = 0; i < entry_count; i++) {
        if (entries[i].count > QE__ENTRY_UNITS) {
            return qe__board_fail(b, QE_ETOOBIG,
                                  "a group has more tests than one node can "
                                  "claim at once (1000000)");
        }
    }
    for (uint32_t at = 0; at < count && status == 0; at += IDS_AT_ONCE) {
        uint32_t left = count - at;

        status =
            lay_ids(b, ids + at, left < IDS_AT_ONCE ? left : IDS_AT_ONCE, news);
    }
    for (uint32_t at = 0; at < entry_count && status == 0;
         at += ENTRIES_AT_ONCE) {
        uint32_t left = entry_count - at;

        status =
            lay_entries(b, entries + at,
                        left < ENTRIES_AT_ONCE ? left : ENTRIES_AT_ONCE, news);
    }
    if (status != 0) {
        return status;
    }
    return qe__board_begin(b) && qe__board_add_number(b, maxfail)
               ? call_layer(b, board_start, news)
               : QE_ENOMEM;
}

int qe__board_ids(qe__board *b, uint32_t from, uint32_t n, char **out,
                  uint32_t *got)
{
    redisReply *reply;
    int status;

    *got = 0;
    if (n == 0) {
        return 0;
    }
    qe__board_forget(b);
    if (!qe__board_add(b, "LRANGE") || !qe__board_add(b, b->keys[BOARD_IDS]) ||
        !qe__board_add_number(b, from) ||
        !qe__board_add_number(b, (uint64_t) from + n - 1)) {
        return QE_ENOMEM;
    }
    status = qe__board_ask(b, &reply);
    if (status != 0) {
        return status;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > n) {
        return qe__board_odd(b, reply);
    }
    for (size_t i = 0; i < reply->elements && status == 0; i++) {
        const redisReply *one = reply->element[i];

        out[i] = one->type == REDIS_REPLY_STRING
                     ? strndup(one->str, (size_t) one->len)
                     : NULL;
        if (out[i] == NULL) {
            status = QE_ENOMEM;
        } else {
            (*got)++;
        }
    }
    while (status != 0 && *got > 0) {
        free(out[--*got]);
    }
    freeReplyObject(reply);
    return status;
}

int qe__board_stop(qe__board *b, qe__board_news *news)
{
    uint64_t done;

    return qe__board_begin(b)
               ? qe__board_call_number(b, board_stop, news, &done)
               : QE_ENOMEM;
}

int qe__board_leave(qe__board *b, qe__board_news *news)
{
    uint64_t done;

    return qe__board_begin(b)
               ? qe__board_call_number(b, board_leave, news, &done)
               : QE_ENOMEM;
}
