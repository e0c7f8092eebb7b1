/* The connection of somebody who reads runs, and names; see qe_board_read.h. */
#include "qe_board_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

struct qe__reader {
    qe__redis *redis; /* NULL: it was given up */
    qe__redis_address address;
    char *ca_file;
    uint64_t timeout_ns;
    char head[QE__PREFIX_MAX + QE__PROJECT_MAX + 8];
    uint32_t pace;
    char text[QE__READER_TEXT];
};

/* ------------------------------------------------------------------- names */

static const char *wrong_name(const char *name, size_t most, bool slash)
{
    if (name == NULL || name[0] == '\0') {
        return "is empty";
    }
    if (strlen(name) >= most) {
        return "is too long";
    }
    for (const char *c = name; *c != '\0'; c++) {
        if ((unsigned char) *c < 0x20 || *c == 0x7f) {
            return "has a control character";
        }
        if (*c == '{' || *c == '}' || (*c == '/' && !slash)) {
            return slash ? "has a brace" : "has a brace or a slash";
        }
    }
    return NULL;
}

const char *qe__board_names(const char *prefix, const char *project,
                            const char *run)
{
    if (wrong_name(prefix, QE__PREFIX_MAX, true) != NULL) {
        return "the prefix is empty, too long, or has a brace or a control "
               "character";
    }
    if (wrong_name(project, QE__PROJECT_MAX, false) != NULL) {
        return "the project's name is empty, too long, or has a brace, a slash "
               "or a control character";
    }
    if (run != NULL && wrong_name(run, QE__RUN_MAX, true) != NULL) {
        return "the run's name is empty, too long, or has a brace or a control "
               "character";
    }
    return NULL;
}

enum qe__board_state qe__board_state_of(const char *name)
{
    static const char *const names[] = {"", "laying", "open", "stopped",
                                        "over"};

    for (unsigned i = 1; i < QE__COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum qe__board_state) i;
        }
    }
    return QE__BOARD_NONE;
}

/* -------------------------------------------------------------- connection */

int qe__reader_fail(qe__reader *r, int code, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void) vsnprintf(r->text, sizeof(r->text), format, list);
    va_end(list);
    return code;
}

const char *qe__reader_text(const qe__reader *r)
{
    return r->text;
}

uint32_t qe__reader_pace(const qe__reader *r)
{
    return r->pace;
}

void qe__reader_set_pace(qe__reader *r, uint32_t tries)
{
    r->pace = tries;
}

const char *qe__reader_head(const qe__reader *r)
{
    return r->head;
}

int qe__reader_connect(qe__reader *r)
{
    char text[QE__REDIS_TEXT];
    int status;

    qe__redis_close(r->redis);
    r->redis = NULL;
    status = qe__redis_open(&r->redis, &r->address, r->timeout_ns, text);
    return status == 0 ? 0 : qe__reader_fail(r, status, "%s", text);
}

int qe__reader_open(qe__reader **out, const qe__redis_address *address,
                    const char *prefix, const char *project,
                    uint64_t timeout_ns, char *text)
{
    const char *wrong = qe__board_names(prefix, project, NULL);
    qe__reader *r;
    int status = 0;

    *out = NULL;
    text[0] = '\0';
    if (wrong != NULL) {
        (void) snprintf(text, QE__READER_TEXT, "%s", wrong);
        return QE_EINVAL;
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return QE_ENOMEM;
    }
    r->address = *address;
    r->timeout_ns = timeout_ns;
    r->pace = 16;
    (void) snprintf(r->head, sizeof(r->head), "%s:{%s/", prefix, project);
    if (address->ca_file != NULL) {
        r->ca_file = strdup(address->ca_file);
        status = r->ca_file == NULL ? QE_ENOMEM : 0;
        r->address.ca_file = r->ca_file;
    }
    if (status == 0) {
        status = qe__reader_connect(r);
    }
    if (status != 0) {
        (void) snprintf(text, QE__READER_TEXT, "%s", r->text);
        qe__reader_close(r);
        return status;
    }
    *out = r;
    return 0;
}

void qe__reader_close(qe__reader *r)
{
    if (r == NULL) {
        return;
    }
    qe__redis_close(r->redis);
    free(r->ca_file);
    explicit_bzero(&r->address, sizeof(r->address));
    free(r);
}

bool qe__reader_is_open(const qe__reader *r)
{
    return r->redis != NULL;
}

int qe__reader_key(qe__reader *r, const char *run, const char *what, char *out)
{
    if (wrong_name(run, QE__RUN_MAX, true) != NULL) {
        return qe__reader_fail(r, QE_EINVAL, "the run's name %s",
                               wrong_name(run, QE__RUN_MAX, true));
    }
    (void) snprintf(out, QE__KEY_BYTES, "%s%s}:%s", r->head, run, what);
    return 0;
}

static int add(qe__reader *r, size_t n, const char *const *words,
               const size_t *sizes)
{
    if (r->redis == NULL) {
        return qe__reader_fail(r, QE_EGONE, "the connection has ended");
    }
    return qe__redis_add(r->redis, (int) n, words, sizes);
}

int qe__reader_add(qe__reader *r, size_t n, const char *const *words)
{
    return add(r, n, words, NULL);
}

int qe__reader_take(qe__reader *r, redisReply **out)
{
    int status;

    *out = NULL;
    if (r->redis == NULL) { /* given up by the call before */
        return qe__reader_fail(r, QE_EGONE, "the connection has ended");
    }
    status = qe__redis_reply(r->redis, qe_now_ns() + r->timeout_ns, out);
    if (status != 0) {
        (void) qe__reader_fail(r, 0, "%s", qe__redis_text(r->redis));
        qe__redis_close(r->redis);
        r->redis = NULL;
        /* What it may still answer belongs to no call. */
        return status == QE_EBUSY ? QE_EGONE : status;
    }
    if ((*out)->type == REDIS_REPLY_ERROR) {
        status = strncmp((*out)->str, "WRONGTYPE", 9) == 0
                     ? qe__reader_fail(r, QE_EFORMAT,
                                       "what the server has there is no run "
                                       "of ours: a key of another kind")
                     : qe__reader_fail(r, QE_EUNSUPPORTED, "the server: %s",
                                       qe__redis_text(r->redis));
        freeReplyObject(*out);
        *out = NULL;
    }
    return status;
}

int qe__reader_ask_sized(qe__reader *r, size_t n, const char *const *words,
                         const size_t *sizes, redisReply **out)
{
    int status = add(r, n, words, sizes);

    *out = NULL;
    return status == 0 ? qe__reader_take(r, out) : status;
}

int qe__reader_ask(qe__reader *r, size_t n, const char *const *words,
                   redisReply **out)
{
    return qe__reader_ask_sized(r, n, words, NULL, out);
}

/* --------------------------------------------------------- what replies say */

int qe__reader_odd(qe__reader *r, redisReply *reply, const char *what)
{
    freeReplyObject(reply);
    return qe__reader_fail(
        r, QE_EFORMAT, "what the server has there is no run of ours: %s", what);
}

bool qe__number_of(const redisReply *reply, uint64_t most, uint64_t *out)
{
    uint64_t value = 0;

    if (reply->type == REDIS_REPLY_INTEGER) {
        *out = (uint64_t) reply->integer;
        return reply->integer >= 0 && *out <= most;
    }
    if (reply->type != REDIS_REPLY_STRING || reply->len < 1 ||
        reply->len > 19) {
        return false;
    }
    for (size_t i = 0; i < (size_t) reply->len; i++) {
        if (reply->str[i] < '0' || reply->str[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t) (reply->str[i] - '0');
    }
    *out = value;
    return value <= most;
}

bool qe__name_of(const redisReply *reply, char out[QE__NODE_NAME])
{
    if (reply->type != REDIS_REPLY_STRING ||
        (size_t) reply->len >= QE__NODE_NAME) {
        return false;
    }
    for (size_t i = 0; i < (size_t) reply->len; i++) {
        unsigned char c = (unsigned char) reply->str[i];

        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    memcpy(out, reply->str, (size_t) reply->len);
    out[reply->len] = '\0';
    return true;
}
