/* The log of a project's runs, and its quarantine; see qe_log.h. */
#include "qe_log.h"

#include <stdio.h>
#include <string.h>

#include "qe_util.h"

#define RUN_ID (QE_LOG_NAME - 1)
#define NUMBER 24u

/* KEYS: log, names, born, quarantine. ARGV: how long they live. */
#define LOG_HEAD                                                               \
    "local log, names, born, held = KEYS[1], KEYS[2], KEYS[3], KEYS[4]\n"      \
    "local call = redis.call\n"                                                \
    "local function keep()\n"                                                  \
    "  for i = 1, 4 do call('EXPIRE', KEYS[i], ARGV[1]) end\n"                 \
    "end\n"

/* ARGV: name, run, how many are kept, a name for the log if it is new. More names are kept than runs: one
 * whose answer was lost may come again. */
static const char append_script[] = LOG_HEAD
    "local added = 0\n"
    "if not call('ZSCORE', names, ARGV[2]) then\n"
    "  call('SET', born, ARGV[5], 'NX')\n"
    "  local id = call('XADD', log, 'MAXLEN', ARGV[4], '*', 'n', ARGV[2],\n"
    "    'r', ARGV[3])\n"
    "  call('ZADD', names, string.match(id, '^%d+'), ARGV[2])\n"
    "  call('ZREMRANGEBYRANK', names, 0, -1001)\n"
    "  added = 1\n"
    "end\n"
    "keep()\n"
    "return added\n";

/* ARGV: the log that is known, the entry that was taken last, how many entries and bytes at once, bytes of one.
 * Answers with the log's name and entries: id, name, run; of one that is none of ours "" for both. */
static const char read_script[] = LOG_HEAD
    "local found, size, is = {}, 0, call('GET', born) or ''\n"
    "if is == '' then return {is, found} end\n"
    "local from = '-'\n"
    "if is == ARGV[2] and ARGV[3] ~= '' then from = '(' .. ARGV[3] end\n"
    "while #found < tonumber(ARGV[4]) and size < tonumber(ARGV[5]) do\n"
    "  local one = call('XRANGE', log, from, '+', 'COUNT', 1)[1]\n"
    "  if not one then break end\n"
    "  local f, name, run = one[2], '', ''\n"
    "  if #f == 4 and f[1] == 'n' and f[3] == 'r' and #f[2] == 32 and\n"
    "    #f[4] <= tonumber(ARGV[6]) then\n"
    "    name, run = f[2], f[4]\n"
    "  end\n"
    "  found[#found + 1] = {one[1], name, run}\n"
    "  size = size + #run\n"
    "  from = '(' .. one[1]\n"
    "end\n"
    "keep()\n"
    "return {is, found}\n";

/* ARGV: how many entries there may be, bytes of each. */
static const char held_script[] =
    LOG_HEAD "keep()\n"
             "if call('HLEN', held) > tonumber(ARGV[2]) then return 0 end\n"
             "local all, found = call('HGETALL', held), {}\n"
             "for i = 1, #all, 2 do\n"
             "  local most = tonumber(ARGV[3])\n"
             "  if #all[i] <= most and #all[i + 1] <= most then\n"
             "    found[#found + 1] = all[i]\n"
             "    found[#found + 1] = all[i + 1]\n"
             "  end\n"
             "end\n"
             "return found\n";

/* ARGV: id, value, how many there may be. */
static const char hold_script[] =
    LOG_HEAD "local added = 2\n"
             "if call('HLEN', held) < tonumber(ARGV[4]) then\n"
             "  added = call('HSETNX', held, ARGV[2], ARGV[3])\n"
             "end\n"
             "keep()\n"
             "return added\n";

/* ARGV: id. */
static const char release_script[] =
    LOG_HEAD "local gone = call('HDEL', held, ARGV[2])\n"
             "keep()\n"
             "return gone\n";

/* A word of a call; SIZE_MAX: a string. */
struct word {
    const void *at;
    size_t size;
};

/* Calls a script with our keys and these words. */
static int call(qe__reader *r, const char *script, const struct word *given,
                size_t n, redisReply **out)
{
    static const char *const kinds[] = {"history", "history-names",
                                        "history-born", "quarantine"};
    char keys[QE__COUNT(kinds)][QE__KEY_BYTES], kept[NUMBER];
    const char *words[16] = {"EVAL", script, "4"};
    size_t sizes[16], count = 3;

    for (size_t i = 0; i < QE__COUNT(kinds); i++) {
        (void) snprintf(keys[i], sizeof(keys[i]), "%s}:%s", qe__reader_head(r),
                        kinds[i]);
        words[count++] = keys[i];
    }
    (void) snprintf(kept, sizeof(kept), "%u", QE__LOG_KEPT_S);
    words[count++] = kept;
    for (size_t i = 0; i < count; i++) {
        sizes[i] = strlen(words[i]);
    }
    for (size_t i = 0; i < n; i++) {
        words[count] = given[i].at;
        sizes[count++] = given[i].size;
    }
    return qe__reader_ask_sized(r, count, words, sizes, out);
}

static struct word word(const char *text)
{
    return (struct word){text, strlen(text)};
}

static int odd(qe__reader *r, redisReply *reply)
{
    freeReplyObject(reply);
    return qe__reader_fail(r, QE_EFORMAT,
                           "what the server has there is no history of ours");
}

/* A call whose answer is a number. */
static int call_number(qe__reader *r, const char *script,
                       const struct word *given, size_t n, uint64_t most,
                       uint64_t *out)
{
    redisReply *reply;
    int status = call(r, script, given, n, &reply);

    if (status != 0) {
        return status;
    }
    if (reply->type != REDIS_REPLY_INTEGER ||
        !qe__number_of(reply, most, out)) {
        return odd(r, reply);
    }
    freeReplyObject(reply);
    return 0;
}

/* -------------------------------------------------------------------- runs */

static bool is_hex(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING && reply->len == RUN_ID &&
           strspn(reply->str, "0123456789abcdef") == RUN_ID;
}

int qe__log_append(qe__reader *r, const char *name, const void *bytes,
                   size_t size, uint32_t keep, bool *added)
{
    char kept[NUMBER];
    const struct word words[] = {
        word(name), {bytes, size}, {kept, 0}, word(name)};
    struct word given[QE__COUNT(words)];
    uint64_t number;
    int status;

    *added = false;
    if (strlen(name) != RUN_ID || size > QE_LOG_RUN || keep < 1) {
        return qe__reader_fail(r, QE_EINVAL, "this is no run for a log");
    }
    memcpy(given, words, sizeof(given));
    given[2].size = (size_t) snprintf(kept, sizeof(kept), "%u", keep);
    /* A new log gets the name of its first run, which is as good as any. */
    status = call_number(r, append_script, given, QE__COUNT(given), 1, &number);
    *added = status == 0 && number == 1;
    return status;
}

static bool is_entry(const redisReply *reply)
{
    size_t digits;

    if (reply->type != REDIS_REPLY_STRING || reply->len < 3 ||
        (size_t) reply->len >= QE_LOG_ENTRY) {
        return false;
    }
    digits = strspn(reply->str, "0123456789");
    return digits > 0 && digits <= 20 && reply->str[digits] == '-' &&
           strspn(reply->str + digits + 1, "0123456789") ==
               (size_t) reply->len - digits - 1 &&
           (size_t) reply->len - digits - 1 <= 20 &&
           (size_t) reply->len - digits - 1 > 0;
}

static bool read_entry(const redisReply *reply, qe_log_entry *out)
{
    if (!qe__is_list(reply, 3) || !is_entry(reply->element[0]) ||
        reply->element[1]->type != REDIS_REPLY_STRING ||
        reply->element[2]->type != REDIS_REPLY_STRING) {
        return false;
    }
    out->entry = reply->element[0]->str;
    out->name = is_hex(reply->element[1]) ? reply->element[1]->str : "";
    out->bytes = reply->element[2]->str;
    out->size = (size_t) reply->element[2]->len;
    return true;
}

int qe__log_read(qe__reader *r, char born[QE_LOG_BORN], const char *after,
                 int (*visit)(void *arg, const qe_log_entry *entry), void *arg)
{
    char entries[NUMBER], piece[NUMBER], most[NUMBER];
    struct word given[5];
    const redisReply *list;
    redisReply *reply;
    int status;

    (void) snprintf(entries, sizeof(entries), "%u", QE__LOG_ENTRIES);
    (void) snprintf(piece, sizeof(piece), "%zu", QE__LOG_PIECE);
    (void) snprintf(most, sizeof(most), "%zu", QE_LOG_RUN);
    given[0] = word(born);
    given[1] = word(after);
    given[2] = word(entries);
    given[3] = word(piece);
    given[4] = word(most);
    status = call(r, read_script, given, QE__COUNT(given), &reply);
    if (status != 0) {
        return status;
    }
    if (!qe__is_list(reply, 2) ||
        reply->element[1]->type != REDIS_REPLY_ARRAY ||
        reply->element[1]->elements > QE__LOG_ENTRIES) {
        return odd(r, reply);
    }
    list = reply->element[1];
    born[0] = '\0';
    if (is_hex(reply->element[0])) {
        memcpy(born, reply->element[0]->str, RUN_ID + 1);
    } else if (reply->element[0]->type != REDIS_REPLY_STRING ||
               reply->element[0]->len != 0 || list->elements != 0) {
        return odd(r, reply);
    }
    for (size_t i = 0; i < list->elements && status == 0; i++) {
        qe_log_entry entry;

        if (!read_entry(list->element[i], &entry)) {
            return odd(r, reply);
        }
        status = visit(arg, &entry);
    }
    freeReplyObject(reply);
    return status;
}

/* -------------------------------------------------------------- quarantine */

int qe__log_held(qe__reader *r,
                 int (*visit)(void *arg, const void *id, size_t id_size,
                              const void *value, size_t size),
                 void *arg)
{
    char most[NUMBER], size[NUMBER];
    struct word given[2];
    redisReply *reply;
    int status;

    (void) snprintf(most, sizeof(most), "%u", QE__HELD_MAX);
    (void) snprintf(size, sizeof(size), "%u", QE__HELD_BYTES);
    given[0] = word(most);
    given[1] = word(size);
    status = call(r, held_script, given, QE__COUNT(given), &reply);
    if (status != 0) {
        return status;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        freeReplyObject(reply);
        return qe__reader_fail(r, QE_EFORMAT,
                               "the server's quarantine has more than %u "
                               "entries",
                               QE__HELD_MAX);
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0) {
        return odd(r, reply);
    }
    for (size_t i = 0; i < reply->elements && status == 0; i += 2) {
        const redisReply *id = reply->element[i],
                         *value = reply->element[i + 1];

        if (id->type != REDIS_REPLY_STRING ||
            value->type != REDIS_REPLY_STRING) {
            return odd(r, reply);
        }
        status = visit(arg, id->str, (size_t) id->len, value->str,
                       (size_t) value->len);
    }
    freeReplyObject(reply);
    return status;
}

int qe__log_hold(qe__reader *r, const char *id, const char *value)
{
    char most[NUMBER];
    struct word given[3];
    uint64_t number;
    int status;

    if (strlen(id) > QE__HELD_BYTES || strlen(value) > QE__HELD_BYTES) {
        return qe__reader_fail(r, QE_EINVAL, "the entry is too long");
    }
    (void) snprintf(most, sizeof(most), "%u", QE__HELD_MAX);
    given[0] = word(id);
    given[1] = word(value);
    given[2] = word(most);
    status = call_number(r, hold_script, given, QE__COUNT(given), 2, &number);
    if (status == 0 && number == 0) {
        return qe__reader_fail(r, QE_ESTATE, "the server holds it already");
    }
    if (status == 0 && number == 2) {
        return qe__reader_fail(
            r, QE_ESTATE,
            "the server's quarantine is full: it takes %u entries",
            QE__HELD_MAX);
    }
    return status;
}

int qe__log_release(qe__reader *r, const char *id, bool *gone)
{
    const struct word given[] = {word(id)};
    uint64_t number;
    int status = call_number(r, release_script, given, 1, 1, &number);

    *gone = status == 0 && number == 1;
    return status;
}
