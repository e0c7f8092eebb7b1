/* The board: what is claimed, told, and given back; see qe_board.h. */
#include "qe_board_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_board_call.h"

static bool text_of(const redisReply *reply, char *out, size_t n)
{
    if (reply->type != REDIS_REPLY_STRING || (size_t) reply->len >= n ||
        memchr(reply->str, '\0', (size_t) reply->len) != NULL) {
        return false;
    }
    memcpy(out, reply->str, (size_t) reply->len + 1);
    return true;
}

/* Of each unit '0' or '1'; empty: all are there. */
static int read_gone(const redisReply *reply, uint32_t count, char **out)
{
    if (reply->type != REDIS_REPLY_STRING ||
        (reply->len != 0 &&
         ((size_t) reply->len != count || strspn(reply->str, "01") != count))) {
        return QE_EFORMAT;
    }
    *out = reply->len == 0 ? NULL : strdup(reply->str);
    return reply->len == 0 || *out != NULL ? 0 : QE_ENOMEM;
}

static int read_entry(const redisReply *reply, qe__entry *out)
{
    redisReply **part = reply->element;
    uint64_t first, count, attempt, alone;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 8 ||
        !text_of(part[0], out->id, sizeof(out->id)) ||
        strspn(out->id, "r0123456789-") != strlen(out->id) ||
        !qe__board_number(part[1], UINT32_MAX, &first) ||
        !qe__board_number(part[2], UINT32_MAX - first, &count) || count == 0 ||
        !qe__board_number(part[3], UINT16_MAX, &attempt) ||
        !text_of(part[4], out->not_on, sizeof(out->not_on)) ||
        !qe__board_number(part[5], QE__EXPECTED_MAX, &out->expected_ns) ||
        !qe__board_number(part[6], 1, &alone)) {
        return QE_EFORMAT;
    }
    out->first = (uint32_t) first;
    out->count = (uint32_t) count;
    out->attempt = (uint32_t) attempt;
    out->alone = alone == 1;
    return read_gone(part[7], out->count, &out->gone);
}

int qe__board_claim(qe__board *b, const qe__share_want *want, uint32_t waiting,
                    qe__entry *out, uint32_t *got, qe__board_news *news)
{
    redisReply *reply, *found;
    int status;

    *got = 0;
    if (want->entries < 1 || want->entries > QE__CLAIM_MAX) {
        return QE_EINVAL;
    }
    b->waiting = waiting;
    if (!qe__board_begin(b) || !qe__board_add_number(b, want->entries) ||
        !qe__board_add_number(b, want->units > 0 ? want->units : UINT32_MAX) ||
        !qe__board_add_number(b, want->expected_ns > 0 ? want->expected_ns
                                                       : QE__EXPECTED_MAX)) {
        return QE_ENOMEM;
    }
    status = qe__board_call(b, board_claim, news, &reply);
    if (status != 0) {
        return status;
    }
    found = reply->element[1];
    if (found->type != REDIS_REPLY_ARRAY || found->elements > want->entries) {
        return qe__board_odd(b, reply);
    }
    for (size_t i = 0; i < found->elements && status == 0; i++) {
        status = read_entry(found->element[i], &out[i]);
        *got += status == 0;
    }
    while (status != 0 && *got > 0) {
        free(out[--*got].gone);
    }
    if (status == QE_EFORMAT) {
        return qe__board_odd(b, reply);
    }
    freeReplyObject(reply);
    return status;
}

int qe__board_beat(qe__board *b, const qe__entry *entries, uint32_t n, bool all,
                   uint32_t waiting, bool *lost, qe__board_news *news)
{
    redisReply *reply;
    int status;

    b->waiting = waiting;
    if (!qe__board_begin(b) || !qe__board_add(b, all ? "1" : "0")) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!qe__board_add(b, entries[i].id)) {
            return QE_ENOMEM;
        }
    }
    status = qe__board_call_numbers(b, board_beat, n, 1, news, &reply);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        lost[i] = reply->element[1]->element[i]->integer == 0;
    }
    freeReplyObject(reply);
    return 0;
}

int qe__board_tell(qe__board *b, const char *who, uint64_t number,
                   qe__told *told, uint32_t n, qe__board_news *news)
{
    char name[96];
    redisReply *reply;
    bool good;
    int status;

    (void) snprintf(name, sizeof(name), "%.64s-%" PRIu64, who, number);
    good = qe__board_begin(b) && qe__board_add(b, name);

    for (const qe__told *t = told; t < told + n && good; t++) {
        good = qe__board_add(b, t->entry) &&
               qe__board_add(b, t->finished ? "1" : "0") &&
               qe__board_add_number(b, t->unit) &&
               qe__board_add_number(b, t->attempt) &&
               qe__board_add_number(b, (uint64_t) t->outcome) &&
               qe__board_add(b, t->failed ? "1" : "0") &&
               qe__board_add_bytes(b, t->payload != NULL ? t->payload : "",
                                   t->payload != NULL ? t->size : 0);
    }
    if (!good) {
        return QE_ENOMEM;
    }
    status = qe__board_call_numbers(b, board_tell, n, 7, news, &reply);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        long long answer = reply->element[1]->element[i]->integer;

        told[i].counted = (answer & 1) != 0;
        told[i].late = (answer & 2) != 0;
        told[i].last = (answer & 4) != 0;
    }
    freeReplyObject(reply);
    return 0;
}

int qe__board_back(qe__board *b, qe__part *parts, uint32_t n,
                   qe__board_news *news)
{
    bool good = qe__board_begin(b);
    redisReply *reply;
    int status;

    for (const qe__part *p = parts; p < parts + n && good; p++) {
        good = qe__board_add(b, p->entry) &&
               qe__board_add(b, p->finished ? "1" : "0") &&
               qe__board_add_number(b, p->first) &&
               qe__board_add_number(b, p->count);
    }
    if (!good) {
        return QE_ENOMEM;
    }
    status = qe__board_call_numbers(b, board_back, n, 1, news, &reply);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        parts[i].given = reply->element[1]->element[i]->integer == 1;
    }
    freeReplyObject(reply);
    return 0;
}
