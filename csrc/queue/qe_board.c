/* The board of a run; see qe_board.h. */
#include "qe_board.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_board_scripts.h"
#include "qe_util.h"

#define KEYS 6u

#define NUMBER 24u /* bytes of a number as text */
#define IDS_AT_ONCE 1000u
#define ENTRIES_AT_ONCE 1000u

struct qe__board {
    qe__redis *redis;
    uint64_t timeout_ns;
    char *keys[KEYS];
    char node[QE__NODE_NAME];
    char workers[NUMBER], lease[NUMBER], kept[NUMBER];
    char text[QE__REDIS_TEXT];
    /* The call that is being made: words, of which `owned` are ours to free. */
    const char **words;
    char **owned;
    size_t count, capacity, owned_count, owned_capacity;
};

static int fail(qe__board *b, int code, const char *text)
{
    (void) snprintf(b->text, sizeof(b->text), "%s", text);
    return code;
}

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
    static const char *const names[KEYS] = {"plan", "work",  "nodes",
                                            "out",  "tries", "ids"};
    size_t n = strlen(o->prefix) + strlen(o->project) + strlen(o->run) + 32;
    qe__board *b;

    *out = NULL;
    if (o->project[0] == '\0' || o->run[0] == '\0' || o->node[0] == '\0' ||
        strlen(o->node) >= QE__NODE_NAME || n > 1024 || o->lease_ms < 100 ||
        o->workers < 1 || o->workers > 1024) {
        return QE_EINVAL;
    }
    b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return QE_ENOMEM;
    }
    b->timeout_ns = o->timeout_ns;
    (void) snprintf(b->node, sizeof(b->node), "%s", o->node);
    (void) snprintf(b->workers, NUMBER, "%" PRIu32, o->workers);
    (void) snprintf(b->lease, NUMBER, "%" PRIu64, o->lease_ms);
    (void) snprintf(b->kept, NUMBER, "%" PRIu64, o->kept_s);
    for (size_t i = 0; i < KEYS; i++) {
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

static void forget_words(qe__board *b)
{
    for (size_t i = 0; i < b->owned_count; i++) {
        free(b->owned[i]);
    }
    b->count = b->owned_count = 0;
}

void qe__board_close(qe__board *b)
{
    if (b == NULL) {
        return;
    }
    forget_words(b);
    for (size_t i = 0; i < KEYS; i++) {
        free(b->keys[i]);
    }
    free(b->words);
    free(b->owned);
    free(b);
}

/* ------------------------------------------------------------------- a call */

static bool add(qe__board *b, const char *word)
{
    if (qe__grow(&b->words, &b->capacity, b->count + 1, sizeof(b->words[0])) !=
        0) {
        return false;
    }
    b->words[b->count++] = word;
    return true;
}

static bool add_number(qe__board *b, uint64_t number)
{
    char *word = malloc(NUMBER);

    if (word == NULL ||
        qe__grow(&b->owned, &b->owned_capacity, b->owned_count + 1,
                 sizeof(b->owned[0])) != 0) {
        free(word);
        return false;
    }
    (void) snprintf(word, NUMBER, "%" PRIu64, number);
    b->owned[b->owned_count++] = word;
    return add(b, word);
}

static void sha1_of(const char *text, char out[SHA_DIGEST_LENGTH * 2 + 1])
{
    unsigned char bytes[SHA_DIGEST_LENGTH];

    (void) SHA1((const unsigned char *) text, strlen(text), bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* The words that all calls begin with; the script's own follow. */
static bool begin(qe__board *b, uint32_t waiting)
{
    bool good;

    forget_words(b);
    good = add(b, "EVALSHA") && add(b, "") && add(b, "6");
    for (size_t i = 0; i < KEYS; i++) {
        good = good && add(b, b->keys[i]);
    }
    return good && add(b, b->node) && add(b, b->workers) &&
           add_number(b, waiting) && add(b, b->lease) && add(b, b->kept);
}

static int ask(qe__board *b, redisReply **out)
{
    uint64_t until = qe_now_ns() + b->timeout_ns;
    int status = qe__redis_add(b->redis, (int) b->count, b->words, NULL);

    *out = NULL;
    if (status == 0) {
        status = qe__redis_reply(b->redis, until, out);
    }
    if (status == QE_EBUSY) {
        status = QE_EGONE; /* what it may still answer belongs to no call */
    }
    return status == 0 ? 0 : fail(b, status, qe__redis_text(b->redis));
}

static bool number_of(const redisReply *reply, uint64_t most, uint64_t *out)
{
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0 ||
        (uint64_t) reply->integer > most) {
        return false;
    }
    *out = (uint64_t) reply->integer;
    return true;
}

static bool read_news(const redisReply *reply, qe__board_news *news)
{
    uint64_t n[5];

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5) {
        return false;
    }
    for (size_t i = 0; i < 5; i++) {
        if (!number_of(reply->element[i], i == 0 ? QE__BOARD_OVER : UINT32_MAX,
                       &n[i])) {
            return false;
        }
    }
    *news = (qe__board_news){(enum qe__board_state) n[0], n[1], n[2],
                             (uint32_t) n[3], (uint32_t) n[4]};
    return true;
}

static int odd(qe__board *b, redisReply *reply)
{
    freeReplyObject(reply);
    return fail(b, QE_EFORMAT,
                "the server answered with what no server of "
                "ours would");
}

/* Makes the call: the reply's second part is the script's own. */
static int call(qe__board *b, const char *script, qe__board_news *news,
                redisReply **out)
{
    char sha[SHA_DIGEST_LENGTH * 2 + 1];
    redisReply *reply;
    int status;

    sha1_of(script, sha);
    b->words[1] = sha;
    status = ask(b, &reply);
    if (status == 0 && reply->type == REDIS_REPLY_ERROR &&
        strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        freeReplyObject(reply);
        b->words[0] = "EVAL";
        b->words[1] = script;
        status = ask(b, &reply);
    }
    forget_words(b);
    if (status != 0) {
        return status;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        status = fail(b, QE_EUNSUPPORTED, qe__redis_text(b->redis));
        freeReplyObject(reply);
        return status;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !read_news(reply->element[0], news)) {
        return odd(b, reply);
    }
    *out = reply;
    return 0;
}

/* One whose own part is a number. */
static int call_number(qe__board *b, const char *script, qe__board_news *news,
                       uint64_t *out)
{
    redisReply *reply;
    int status = call(b, script, news, &reply);

    if (status != 0) {
        return status;
    }
    if (!number_of(reply->element[1], UINT32_MAX, out)) {
        return odd(b, reply);
    }
    freeReplyObject(reply);
    return 0;
}

/* ------------------------------------------------------------------ the plan */

int qe__board_join(qe__board *b, const char *digest, uint32_t count,
                   qe__board_news *news)
{
    uint64_t found;
    int status;

    if (!begin(b, 0) || !add(b, digest) || !add_number(b, count)) {
        return QE_ENOMEM;
    }
    status = call_number(b, board_join, news, &found);
    if (status == 0 && found == 1) {
        news->state = QE__BOARD_NONE;
    }
    return status == 0 && found == 2
               ? fail(b, QE_EFORMAT, "another plan was laid for this run")
               : status;
}

static int lay_part(qe__board *b, const char *const *ids, uint32_t count,
                    const qe__entry *entries, uint32_t entry_count,
                    qe__board_news *news)
{
    uint64_t ours;
    int status;

    if (!begin(b, 0) || !add_number(b, count)) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!add(b, ids[i])) {
            return QE_ENOMEM;
        }
    }
    for (uint32_t i = 0; i < entry_count; i++) {
        if (!add_number(b, entries[i].first) ||
            !add_number(b, entries[i].count)) {
            return QE_ENOMEM;
        }
    }
    status = call_number(b, board_lay, news, &ours);
    return status == 0 && ours == 0
               ? fail(b, QE_ESTATE, "another node lays the plan")
               : status;
}

int qe__board_lay(qe__board *b, const char *digest, const char *const *ids,
                  uint32_t count, const qe__entry *entries,
                  uint32_t entry_count, uint32_t maxfail, qe__board_news *news)
{
    uint64_t ours;
    int status = 0;

    (void) digest;
    for (uint32_t at = 0; at < count && status == 0; at += IDS_AT_ONCE) {
        uint32_t n = count - at < IDS_AT_ONCE ? count - at : IDS_AT_ONCE;

        status = lay_part(b, ids + at, n, NULL, 0, news);
    }
    for (uint32_t at = 0; at < entry_count && status == 0;
         at += ENTRIES_AT_ONCE) {
        uint32_t left = entry_count - at;

        status =
            lay_part(b, NULL, 0, entries + at,
                     left < ENTRIES_AT_ONCE ? left : ENTRIES_AT_ONCE, news);
    }
    if (status != 0) {
        return status;
    }
    if (!begin(b, 0) || !add_number(b, maxfail)) {
        return QE_ENOMEM;
    }
    status = call_number(b, board_start, news, &ours);
    return status == 0 && ours == 0
               ? fail(b, QE_ESTATE, "another node lays the plan")
               : status;
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
    forget_words(b);
    if (!add(b, "LRANGE") || !add(b, b->keys[5]) || !add_number(b, from) ||
        !add_number(b, (uint64_t) from + n - 1)) {
        return QE_ENOMEM;
    }
    status = ask(b, &reply);
    if (status != 0) {
        return status;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > n) {
        return odd(b, reply);
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

/* ------------------------------------------------------------------ the work */

static bool text_of(const redisReply *reply, char *out, size_t n)
{
    if (reply->type != REDIS_REPLY_STRING || (size_t) reply->len >= n ||
        memchr(reply->str, '\0', (size_t) reply->len) != NULL) {
        return false;
    }
    memcpy(out, reply->str, (size_t) reply->len + 1);
    return true;
}

static bool read_entry(const redisReply *reply, qe__entry *out)
{
    uint64_t first, count, attempt;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5 ||
        !text_of(reply->element[0], out->id, sizeof(out->id)) ||
        !number_of(reply->element[1], UINT32_MAX, &first) ||
        !number_of(reply->element[2], UINT32_MAX - first, &count) ||
        !number_of(reply->element[3], UINT16_MAX, &attempt) ||
        !text_of(reply->element[4], out->not_on, sizeof(out->not_on))) {
        return false;
    }
    out->first = (uint32_t) first;
    out->count = (uint32_t) count;
    out->attempt = (uint32_t) attempt;
    return true;
}

int qe__board_claim(qe__board *b, uint32_t want, uint32_t waiting,
                    qe__entry *out, uint32_t *got, qe__board_news *news)
{
    redisReply *reply;
    int status;

    *got = 0;
    if (want < 1 || want > QE__CLAIM_MAX) {
        return QE_EINVAL;
    }
    if (!begin(b, waiting) || !add_number(b, want)) {
        return QE_ENOMEM;
    }
    status = call(b, board_claim, news, &reply);
    if (status != 0) {
        return status;
    }
    if (reply->element[1]->type != REDIS_REPLY_ARRAY ||
        reply->element[1]->elements > want) {
        return odd(b, reply);
    }
    for (size_t i = 0; i < reply->element[1]->elements; i++) {
        if (!read_entry(reply->element[1]->element[i], &out[i])) {
            return odd(b, reply);
        }
    }
    *got = (uint32_t) reply->element[1]->elements;
    freeReplyObject(reply);
    return 0;
}

/* Answers of 0 or 1, one for each that was asked about. */
static int call_flags(qe__board *b, const char *script, uint32_t n,
                      qe__board_news *news, redisReply **out)
{
    uint64_t flag;
    int status = call(b, script, news, out);

    if (status != 0) {
        return status;
    }
    if ((*out)->element[1]->type != REDIS_REPLY_ARRAY ||
        (*out)->element[1]->elements != n) {
        return odd(b, *out);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!number_of((*out)->element[1]->element[i], 1, &flag)) {
            return odd(b, *out);
        }
    }
    return 0;
}

int qe__board_beat(qe__board *b, const qe__entry *entries, uint32_t n,
                   uint32_t waiting, bool *lost, qe__board_news *news)
{
    redisReply *reply;
    int status;

    if (!begin(b, waiting)) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!add(b, entries[i].id)) {
            return QE_ENOMEM;
        }
    }
    status = call_flags(b, board_beat, n, news, &reply);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        lost[i] = reply->element[1]->element[i]->integer == 0;
    }
    freeReplyObject(reply);
    return 0;
}

int qe__board_tell(qe__board *b, const qe__entry *entry, qe__told *told,
                   uint32_t n, bool finished, qe__board_news *news)
{
    redisReply *reply;
    int status;

    if (!begin(b, 0) || !add(b, entry->id) || !add(b, finished ? "1" : "0")) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!add_number(b, told[i].unit) || !add_number(b, told[i].attempt) ||
            !add_number(b, (uint64_t) told[i].outcome) ||
            !add(b, told[i].failed ? "1" : "0") ||
            !add(b, told[i].payload != NULL ? told[i].payload : "")) {
            return QE_ENOMEM;
        }
    }
    status = call_flags(b, board_tell, n, news, &reply);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        told[i].counted = reply->element[1]->element[i]->integer == 1;
    }
    freeReplyObject(reply);
    return 0;
}

int qe__board_back(qe__board *b, qe__entry *entry, uint32_t n, bool *given,
                   qe__board_news *news)
{
    uint64_t done;
    int status;

    *given = false;
    if (n < 1 || n > entry->count) {
        return QE_EINVAL;
    }
    if (!begin(b, 0) || !add(b, entry->id) || !add_number(b, entry->first) ||
        !add_number(b, entry->count) || !add_number(b, entry->attempt) ||
        !add_number(b, n)) {
        return QE_ENOMEM;
    }
    status = call_number(b, board_back, news, &done);
    if (status == 0 && done == 1) {
        entry->count -= n;
        *given = true;
    }
    return status;
}

int qe__board_stop(qe__board *b, qe__board_news *news)
{
    uint64_t done;

    return begin(b, 0) ? call_number(b, board_stop, news, &done) : QE_ENOMEM;
}
