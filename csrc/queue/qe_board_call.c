/* Calls of the board; see qe_board_call.h. */
#include "qe_board_call.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

int qe__board_fail(qe__board *b, int code, const char *text)
{
    (void) snprintf(b->text, sizeof(b->text), "%s", text);
    return code;
}

void qe__board_forget(qe__board *b)
{
    for (size_t i = 0; i < b->owned_count; i++) {
        free(b->owned[i]);
    }
    b->count = b->owned_count = 0;
}

bool qe__board_add_bytes(qe__board *b, const void *bytes, size_t size)
{
    if (qe__grow(&b->words, &b->capacity, b->count + 1, sizeof(b->words[0])) !=
            0 ||
        qe__grow(&b->sizes, &b->sized, b->count + 1, sizeof(b->sizes[0])) !=
            0) {
        return false;
    }
    b->words[b->count] = bytes;
    b->sizes[b->count++] = size;
    return true;
}

bool qe__board_add(qe__board *b, const char *word)
{
    return qe__board_add_bytes(b, word, strlen(word));
}

bool qe__board_add_number(qe__board *b, uint64_t number)
{
    char *word = malloc(BOARD_NUMBER);

    if (word == NULL ||
        qe__grow(&b->owned, &b->owned_capacity, b->owned_count + 1,
                 sizeof(b->owned[0])) != 0) {
        free(word);
        return false;
    }
    (void) snprintf(word, BOARD_NUMBER, "%" PRIu64, number);
    b->owned[b->owned_count++] = word;
    return qe__board_add(b, word);
}

static void sha1_of(const char *text, char out[SHA_DIGEST_LENGTH * 2 + 1])
{
    unsigned char bytes[SHA_DIGEST_LENGTH];

    (void) SHA1((const unsigned char *) text, strlen(text), bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

bool qe__board_begin(qe__board *b)
{
    char keys[BOARD_NUMBER];
    bool good;

    (void) snprintf(keys, sizeof(keys), "%d", BOARD_KEYS);
    qe__board_forget(b);
    good = qe__board_add(b, "EVALSHA") && qe__board_add(b, "") &&
           qe__board_add_number(b, BOARD_KEYS);
    for (size_t i = 0; i < BOARD_KEYS; i++) {
        good = good && qe__board_add(b, b->keys[i]);
    }
    return good && qe__board_add(b, b->node) && qe__board_add(b, b->workers) &&
           qe__board_add_number(b, b->waiting) && qe__board_add(b, b->lease) &&
           qe__board_add(b, b->kept) && qe__board_add_number(b, b->born);
}

static int send_words(qe__board *b, redisReply **out)
{
    uint64_t until = qe_now_ns() + b->timeout_ns;
    int status = qe__redis_add(b->redis, (int) b->count, b->words, b->sizes);

    *out = NULL;
    if (status == 0) {
        status = qe__redis_reply(b->redis, until, out);
    }
    if (status == QE_EBUSY) {
        status = QE_EGONE; /* what it may still answer belongs to no call */
    }
    return status == 0 ? 0
                       : qe__board_fail(b, status, qe__redis_text(b->redis));
}

/* What a server's refusals mean, by how they begin. What may pass by itself is QE_EGONE. */
static const struct {
    const char *begins;
    int code;
    const char *means;
} refusals[] = {
    {"OOM ", QE_EUNSUPPORTED, "the server is full"},
    {"READONLY ", QE_EUNSUPPORTED,
     "the server can only be read: another one is its master"},
    {"NOAUTH ", QE_EUNSUPPORTED, "the server wants a password"},
    {"WRONGPASS ", QE_EUNSUPPORTED, "the server wants another password"},
    {"NOPERM ", QE_EUNSUPPORTED, "the user has no right to this"},
    {"MISCONF ", QE_EUNSUPPORTED, "the server cannot write to its disk"},
    {"MOVED ", QE_EUNSUPPORTED,
     "another node of the server's cluster has this run"},
    {"WRONGTYPE ", QE_EUNSUPPORTED,
     "something else is kept under the names of this run"},
    {"LOADING ", QE_EGONE, "the server is still starting"},
    {"BUSY ", QE_EGONE, "the server is busy with somebody's script"},
    {"MASTERDOWN ", QE_EGONE, "the server has lost its master"},
    {"CLUSTERDOWN ", QE_EGONE, "the server's cluster is down"},
    {"TRYAGAIN ", QE_EGONE, "the server's cluster moves its data"},
};

static int refused(qe__board *b, redisReply *reply)
{
    const char *means = "the server refuses", *said = qe__redis_text(b->redis);
    int code = QE_EUNSUPPORTED;
    char line[QE__REDIS_TEXT];

    if (strstr(said, "nknown Redis command") != NULL ||
        strstr(said, "nknown command") != NULL) {
        means = "the server must be Redis 6.2, or Valkey, or newer";
    }
    for (size_t i = 0; i < QE__COUNT(refusals); i++) {
        const char *begins = refusals[i].begins;

        if (strncmp(reply->str, begins, strlen(begins)) == 0) {
            means = refusals[i].means;
            code = refusals[i].code;
        }
    }
    (void) snprintf(line, sizeof(line), "%s: %.150s", means, said);
    freeReplyObject(reply);
    return qe__board_fail(b, code, line);
}

int qe__board_ask(qe__board *b, redisReply **out)
{
    int status = send_words(b, out);

    if (status == 0 && (*out)->type == REDIS_REPLY_ERROR) {
        status = refused(b, *out);
        *out = NULL;
    }
    return status;
}

bool qe__board_number(const redisReply *reply, uint64_t most, uint64_t *out)
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
        if (!qe__board_number(reply->element[i],
                              i == 0 ? QE__BOARD_OVER : UINT32_MAX, &n[i])) {
            return false;
        }
    }
    *news = (qe__board_news){(enum qe__board_state) n[0], n[1], n[2],
                             (uint32_t) n[3], (uint32_t) n[4]};
    return true;
}

int qe__board_odd(qe__board *b, redisReply *reply)
{
    freeReplyObject(reply);
    return qe__board_fail(b, QE_EFORMAT,
                          "the server answered with what no server of "
                          "ours would");
}

int qe__board_call(qe__board *b, const char *script, qe__board_news *news,
                   redisReply **out)
{
    char sha[SHA_DIGEST_LENGTH * 2 + 1];
    redisReply *reply;
    int status;

    sha1_of(script, sha);
    b->words[1] = sha;
    b->sizes[1] = strlen(sha);
    status = send_words(b, &reply);
    if (status == 0 && reply->type == REDIS_REPLY_ERROR &&
        strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        freeReplyObject(reply);
        b->words[0] = "EVAL";
        b->sizes[0] = 4;
        b->words[1] = script;
        b->sizes[1] = strlen(script);
        status = send_words(b, &reply);
    }
    qe__board_forget(b);
    if (status != 0) {
        return status;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        return refused(b, reply);
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !read_news(reply->element[0], news)) {
        return qe__board_odd(b, reply);
    }
    if (news->state == QE__BOARD_NONE) {
        freeReplyObject(reply);
        return qe__board_fail(b, QE_ENOTFOUND,
                              "the server has this run no more: it was started "
                              "again without its append-only file, or the run "
                              "was removed");
    }
    *out = reply;
    return 0;
}

int qe__board_call_number(qe__board *b, const char *script,
                          qe__board_news *news, uint64_t *out)
{
    redisReply *reply;
    int status = qe__board_call(b, script, news, &reply);

    if (status != 0) {
        return status;
    }
    if (!qe__board_number(reply->element[1], UINT32_MAX, out)) {
        return qe__board_odd(b, reply);
    }
    freeReplyObject(reply);
    return 0;
}

int qe__board_call_numbers(qe__board *b, const char *script, uint32_t n,
                           uint64_t most, qe__board_news *news,
                           redisReply **out)
{
    uint64_t number;
    int status = qe__board_call(b, script, news, out);

    if (status != 0) {
        return status;
    }
    if ((*out)->element[1]->type != REDIS_REPLY_ARRAY ||
        (*out)->element[1]->elements != n) {
        return qe__board_odd(b, *out);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!qe__board_number((*out)->element[1]->element[i], most, &number)) {
            return qe__board_odd(b, *out);
        }
    }
    return 0;
}
