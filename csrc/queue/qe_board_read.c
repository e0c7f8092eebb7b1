/* The status of a run; see qe_board_read.h. */
#include "qe_board_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define NODES_MAX 10000u

/* ------------------------------------------------------------------ status */

static int read_plan(qe__reader *r, const char *run, uint64_t now_ms,
                     qe__run_status *out)
{
    char key[QE__KEY_BYTES], name[QE__NODE_NAME];
    const char *const words[] = {"HMGET", key,  "state",    "count",  "left",
                                 "at",    "by", "failures", "maxfail"};
    redisReply *reply;
    uint64_t count, at;
    int status = qe__reader_key(r, run, "plan", key);

    if (status == 0) {
        status = qe__reader_ask(r, QE__COUNT(words), words, &reply);
    }
    if (status != 0) {
        return status;
    }
    if (!qe__is_list(reply, 7)) {
        return qe__reader_odd(r, reply, "the reply about its plan");
    }
    if (reply->element[0]->type == REDIS_REPLY_NIL) {
        freeReplyObject(reply);
        return qe__reader_fail(r, QE_ENOTFOUND, "there is no run %s", run);
    }
    if (!qe__name_of(reply->element[0], name) ||
        !qe__number_of(reply->element[1], QE__UNITS_MAX, &count) ||
        !qe__number_of(reply->element[2], count, &out->left) ||
        !qe__number_of(reply->element[3], INT64_MAX, &at) ||
        !qe__name_of(reply->element[4], out->laid_by)) {
        return qe__reader_odd(r, reply, "its plan");
    }
    out->state = qe__board_state_of(name);
    out->units = (uint32_t) count;
    out->age_ms = now_ms > at ? now_ms - at : 0;
    /* These two come with the plan's end. */
    if (out->state == QE__BOARD_NONE ||
        (reply->element[5]->type != REDIS_REPLY_NIL &&
         !qe__number_of(reply->element[5], UINT32_MAX, &out->failures)) ||
        (reply->element[6]->type != REDIS_REPLY_NIL &&
         !qe__number_of(reply->element[6], UINT32_MAX, &out->maxfail))) {
        return qe__reader_odd(r, reply, "its plan");
    }
    freeReplyObject(reply);
    return 0;
}

static int server_time(qe__reader *r, uint64_t *now_ms)
{
    const char *const words[] = {"TIME"};
    redisReply *reply;
    uint64_t s, us;
    int status = qe__reader_ask(r, 1, words, &reply);

    if (status != 0) {
        return status;
    }
    if (!qe__is_list(reply, 2) ||
        !qe__number_of(reply->element[0], INT64_MAX / 1000, &s) ||
        !qe__number_of(reply->element[1], 999999, &us)) {
        return qe__reader_odd(r, reply, "the server's time");
    }
    *now_ms = s * 1000 + us / 1000;
    freeReplyObject(reply);
    return 0;
}

static qe__run_node *node_of(qe__run_status *out, size_t *capacity,
                             const char *name)
{
    qe__run_node *node;

    for (uint32_t i = 0; i < out->node_count; i++) {
        if (strcmp(out->nodes[i].name, name) == 0) {
            return &out->nodes[i];
        }
    }
    if (out->node_count >= NODES_MAX ||
        qe__grow(&out->nodes, capacity, out->node_count + 1,
                 sizeof(out->nodes[0])) != 0) {
        return NULL;
    }
    node = &out->nodes[out->node_count++];
    memset(node, 0, sizeof(*node));
    (void) snprintf(node->name, sizeof(node->name), "%s", name);
    return node;
}

/* "TIME WORKERS WAITING", as a node writes it. */
static bool read_beat(const redisReply *reply, uint64_t now_ms,
                      qe__run_node *node)
{
    unsigned long long at;
    unsigned workers, waiting;
    int end = 0;

    if (reply->type != REDIS_REPLY_STRING || reply->len > 64 ||
        strlen(reply->str) != (size_t) reply->len ||
        strspn(reply->str, "0123456789 ") != (size_t) reply->len ||
        sscanf(reply->str, "%18llu %9u %9u%n", &at, &workers, &waiting, &end) !=
            3 ||
        end != (int) reply->len) {
        return false;
    }
    node->known = true;
    node->age_ms = now_ms > at ? now_ms - at : 0;
    node->workers = workers;
    node->waiting = waiting;
    return true;
}

static int read_nodes(qe__reader *r, const char *run, uint64_t now_ms,
                      qe__run_status *out, size_t *capacity)
{
    char key[QE__KEY_BYTES], name[QE__NODE_NAME];
    const char *const words[] = {"HGETALL", key};
    redisReply *reply;
    int status = qe__reader_key(r, run, "nodes", key);

    if (status == 0) {
        status = qe__reader_ask(r, 2, words, &reply);
    }
    if (status != 0) {
        return status;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0 ||
        reply->elements / 2 > NODES_MAX) {
        return qe__reader_odd(r, reply, "its nodes");
    }
    out->idle_ms = out->age_ms;
    for (size_t i = 0; i < reply->elements; i += 2) {
        qe__run_node *node;

        if (!qe__name_of(reply->element[i], name)) {
            return qe__reader_odd(r, reply, "the name of a node");
        }
        node = node_of(out, capacity, name);
        if (node == NULL) {
            freeReplyObject(reply);
            return QE_ENOMEM;
        }
        if (!read_beat(reply->element[i + 1], now_ms, node)) {
            return qe__reader_odd(r, reply, "what a node says of itself");
        }
        if (node->age_ms < out->idle_ms) {
            out->idle_ms = node->age_ms;
        }
    }
    freeReplyObject(reply);
    return 0;
}

/* How long a stream or a list is; one that is not there has no length. */
static int length_of(qe__reader *r, const char *run, const char *command,
                     const char *what, uint64_t *out)
{
    char key[QE__KEY_BYTES];
    const char *const words[] = {command, key};
    redisReply *reply;
    int status = qe__reader_key(r, run, what, key);

    if (status == 0) {
        status = qe__reader_ask(r, 2, words, &reply);
    }
    if (status != 0) {
        return status;
    }
    if (!qe__number_of(reply, INT64_MAX, out)) {
        return qe__reader_odd(r, reply, what);
    }
    freeReplyObject(reply);
    return 0;
}

static bool read_claimed(const redisReply *reply, qe__run_status *out,
                         size_t *capacity)
{
    char name[QE__NODE_NAME];
    uint64_t n;

    if (!qe__is_list(reply, 4) ||
        !qe__number_of(reply->element[0], UINT32_MAX, &n)) {
        return false;
    }
    out->claimed += n;
    if (reply->element[3]->type == REDIS_REPLY_NIL) {
        return true;
    }
    if (reply->element[3]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i < reply->element[3]->elements; i++) {
        const redisReply *one = reply->element[3]->element[i];
        qe__run_node *node;

        if (!qe__is_list(one, 2) || !qe__name_of(one->element[0], name)) {
            return false;
        }
        node = node_of(out, capacity, name);
        if (node == NULL || !qe__number_of(one->element[1], UINT32_MAX, &n)) {
            return false;
        }
        node->claimed += n;
    }
    return true;
}

/* When the last attempt was told: its name begins with the server's time. */
static int read_last(qe__reader *r, const char *run, uint64_t now_ms,
                     qe__run_status *out)
{
    char key[QE__KEY_BYTES];
    const char *const words[] = {"XREVRANGE", key, "+", "-", "COUNT", "1"};
    unsigned long long at;
    redisReply *reply;
    int status = qe__reader_key(r, run, "tries", key);

    if (status == 0) {
        status = qe__reader_ask(r, QE__COUNT(words), words, &reply);
    }
    if (status != 0) {
        return status;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > 1) {
        return qe__reader_odd(r, reply, "its attempts");
    }
    if (reply->elements == 1) {
        const redisReply *entry = reply->element[0];

        if (!qe__is_list(entry, 2) ||
            entry->element[0]->type != REDIS_REPLY_STRING ||
            sscanf(entry->element[0]->str, "%18llu-", &at) != 1) {
            return qe__reader_odd(r, reply, "the name of an attempt");
        }
        at = now_ms > at ? now_ms - at : 0;
        out->idle_ms = at < out->idle_ms ? at : out->idle_ms;
    }
    freeReplyObject(reply);
    return 0;
}

/* Who has entries of a stream; one of which nobody has claimed any may have no group. */
static int read_pending(qe__reader *r, const char *run, const char *stream,
                        qe__run_status *out, size_t *capacity)
{
    char key[QE__KEY_BYTES];
    const char *const words[] = {"XPENDING", key, "q"};
    redisReply *reply;
    int status = qe__reader_key(r, run, stream, key);

    if (status == 0) {
        status = qe__reader_ask(r, 3, words, &reply);
    }
    if (status == QE_EUNSUPPORTED &&
        strstr(qe__reader_text(r), "NOGROUP") != NULL) {
        return 0;
    }
    if (status != 0) {
        return status;
    }
    if (!read_claimed(reply, out, capacity)) {
        return qe__reader_odd(r, reply, "who has its work");
    }
    freeReplyObject(reply);
    return 0;
}

/* Streams have what is claimed as well, lists do not. */
static int read_work(qe__reader *r, const char *run, qe__run_status *out,
                     size_t *capacity)
{
    static const char *const keys[][2] = {{"XLEN", "work"},
                                          {"XLEN", "rework"},
                                          {"LLEN", "again"},
                                          {"LLEN", "serial"}};
    uint64_t all = 0, length;
    int status = length_of(r, run, "XLEN", "tries", &out->attempts);

    for (size_t i = 0; i < QE__COUNT(keys) && status == 0; i++) {
        status = length_of(r, run, keys[i][0], keys[i][1], &length);
        all += status == 0 ? length : 0;
    }
    for (size_t i = 0; i < 2 && status == 0; i++) {
        status = read_pending(r, run, keys[i][1], out, capacity);
    }
    out->open = all > out->claimed ? all - out->claimed : 0;
    return status;
}

int qe__reader_status(qe__reader *r, const char *run, qe__run_status *out)
{
    uint64_t now_ms = 0;
    size_t capacity = 0;
    int status;

    memset(out, 0, sizeof(*out));
    status = server_time(r, &now_ms);
    if (status == 0) {
        status = read_plan(r, run, now_ms, out);
    }
    if (status == 0) {
        status = read_nodes(r, run, now_ms, out, &capacity);
    }
    if (status == 0) {
        status = read_last(r, run, now_ms, out);
    }
    if (status == 0) {
        status = read_work(r, run, out, &capacity);
    }
    if (status != 0) {
        qe__run_status_free(out);
    }
    return status;
}

void qe__run_status_free(qe__run_status *status)
{
    free(status->nodes);
    status->nodes = NULL;
    status->node_count = 0;
}
