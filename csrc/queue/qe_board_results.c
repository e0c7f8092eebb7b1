/* What became of a run's units, in pieces; see qe_board_read.h. */
#include "qe_board_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define NUMBER 24u
#define UNITS_AT_ONCE 10000u
/* Payloads have up to a mebibyte each, and usually far less: more are asked for at once while a
 * piece stays below this. */
#define PIECE_BYTES ((size_t) 4 << 20)
#define TRIES_LEAST 16u
#define TRIES_MOST 1024u

/* ------------------------------------------------------------------- units */

static bool outcome_of(const redisReply *reply, enum qe_outcome *out)
{
    uint64_t number;

    *out = QE_NONE;
    if (reply->type == REDIS_REPLY_NIL) {
        return true;
    }
    if (!qe__number_of(reply, QE_OUTCOME_COUNT - 1, &number) || number == 0) {
        return false;
    }
    *out = (enum qe_outcome) number;
    return true;
}

/* HMGET of the outcomes of units side by side. */
static int add_outcomes(qe__reader *r, const char *key, uint32_t from,
                        uint32_t n)
{
    const char **words = calloc((size_t) n + 2, sizeof(*words));
    char *numbers = malloc((size_t) n * NUMBER + 1);
    int status = QE_ENOMEM;

    if (words != NULL && numbers != NULL) {
        words[0] = "HMGET";
        words[1] = key;
        for (uint32_t i = 0; i < n; i++) {
            char *number = numbers + (size_t) i * NUMBER;

            (void) snprintf(number, NUMBER, "%" PRIu32, from + i);
            words[i + 2] = number;
        }
        status = qe__reader_add(r, (size_t) n + 2, words);
    }
    free(numbers);
    free(words);
    return status;
}

static int take_outcomes(qe__reader *r, uint32_t n, redisReply **out)
{
    int status = qe__reader_take(r, out);

    if (status == 0 && !qe__is_list(*out, n)) {
        status = qe__reader_odd(r, *out, "its outcomes");
        *out = NULL;
    }
    return status;
}

static int add_ids(qe__reader *r, const char *key, uint32_t from, uint32_t n)
{
    char first[NUMBER], last[NUMBER];
    const char *const words[] = {"LRANGE", key, first, last};

    (void) snprintf(first, NUMBER, "%" PRIu32, from);
    (void) snprintf(last, NUMBER, "%" PRIu64, (uint64_t) from + n - 1);
    return qe__reader_add(r, 4, words);
}

static int visit_units(qe__reader *r, uint32_t from, const redisReply *ids,
                       const redisReply *outcomes,
                       int (*visit)(void *arg, uint32_t place, const char *id,
                                    size_t size, enum qe_outcome outcome),
                       void *arg, uint32_t *got)
{
    for (uint32_t i = 0; i < ids->elements; i++) {
        const redisReply *id = ids->element[i];
        enum qe_outcome outcome;
        int status;

        if (id->type != REDIS_REPLY_STRING ||
            memchr(id->str, '\0', (size_t) id->len) != NULL) {
            return qe__reader_odd(r, NULL, "the id of a unit");
        }
        if (!outcome_of(outcomes->element[i], &outcome)) {
            return qe__reader_odd(r, NULL, "the outcome of a unit");
        }
        status = visit(arg, from + i, id->str, (size_t) id->len, outcome);
        if (status != 0) {
            return status;
        }
        *got = i + 1;
    }
    return 0;
}

int qe__reader_units(qe__reader *r, const char *run, uint32_t from, uint32_t n,
                     int (*visit)(void *arg, uint32_t place, const char *id,
                                  size_t size, enum qe_outcome outcome),
                     void *arg, uint32_t *got)
{
    char ids_key[QE__KEY_BYTES], out_key[QE__KEY_BYTES];
    redisReply *ids = NULL, *outcomes = NULL;
    int status = qe__reader_key(r, run, "ids", ids_key);

    *got = 0;
    if (n < 1 || n > UNITS_AT_ONCE || from > QE__UNITS_MAX) {
        return QE_EINVAL;
    }
    if (status == 0) {
        status = qe__reader_key(r, run, "out", out_key);
    }
    if (status == 0) {
        status = add_ids(r, ids_key, from, n);
    }
    if (status == 0) {
        status = add_outcomes(r, out_key, from, n);
    }
    if (status == 0) {
        int second;

        status = qe__reader_take(r, &ids);
        /* The second reply comes, whatever the first was. */
        second = status == 0 || qe__reader_is_open(r)
                     ? take_outcomes(r, n, &outcomes)
                     : 0;
        status = status != 0 ? status : second;
    }
    if (status == 0 && (ids->type != REDIS_REPLY_ARRAY || ids->elements > n)) {
        status = qe__reader_odd(r, NULL, "its ids");
    }
    if (status == 0) {
        status = visit_units(r, from, ids, outcomes, visit, arg, got);
    }
    freeReplyObject(ids);
    freeReplyObject(outcomes);
    return status;
}

int qe__reader_outcomes(qe__reader *r, const char *run, uint32_t units,
                        uint64_t counts[QE_OUTCOME_COUNT], uint64_t *odd)
{
    char key[QE__KEY_BYTES];
    const char *const words[] = {"HLEN", key};
    uint64_t all = 0, found = 0;
    redisReply *reply;
    int status = qe__reader_key(r, run, "out", key);

    memset(counts, 0, QE_OUTCOME_COUNT * sizeof(counts[0]));
    *odd = 0;
    /* How many first: what comes meanwhile is not of units that there are not. */
    if (status == 0) {
        status = qe__reader_ask(r, 2, words, &reply);
    }
    if (status != 0) {
        return status;
    }
    if (!qe__number_of(reply, INT64_MAX, &all)) {
        return qe__reader_odd(r, reply, "its outcomes");
    }
    freeReplyObject(reply);
    reply = NULL;
    for (uint32_t at = 0; at < units && status == 0; at += UNITS_AT_ONCE) {
        uint32_t n = units - at < UNITS_AT_ONCE ? units - at : UNITS_AT_ONCE;

        status = add_outcomes(r, key, at, n);
        if (status == 0) {
            status = take_outcomes(r, n, &reply);
        }
        for (uint32_t i = 0; i < n && status == 0; i++) {
            enum qe_outcome outcome;

            if (!outcome_of(reply->element[i], &outcome)) {
                status = qe__reader_odd(r, NULL, "the outcome of a unit");
                break;
            }
            counts[outcome]++;
            found += outcome != QE_NONE;
        }
        if (reply != NULL) {
            freeReplyObject(reply);
            reply = NULL;
        }
    }
    *odd = all > found ? all - found : 0;
    return status;
}

/* ---------------------------------------------------------------- attempts */

/* The fields of an entry, by their names: those that are not known are passed over. */
static bool read_try(const redisReply *fields, uint32_t units, qe__try *out)
{
    uint64_t number;
    unsigned seen = 0;

    if (fields->type != REDIS_REPLY_ARRAY || fields->elements % 2 != 0) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < fields->elements; i += 2) {
        const redisReply *name = fields->element[i];
        const redisReply *value = fields->element[i + 1];

        if (name->type != REDIS_REPLY_STRING ||
            value->type != REDIS_REPLY_STRING) {
            return false;
        }
        if (strcmp(name->str, "u") == 0) {
            if (!qe__number_of(value, UINT32_MAX, &number) || number >= units) {
                return false;
            }
            out->unit = (uint32_t) number;
            seen |= 1;
        } else if (strcmp(name->str, "a") == 0) {
            if (!qe__number_of(value, UINT16_MAX + 1u, &number)) {
                return false;
            }
            out->attempt = (uint32_t) number;
            seen |= 2;
        } else if (strcmp(name->str, "o") == 0) {
            if (!qe__number_of(value, QE_OUTCOME_COUNT - 1, &number)) {
                return false;
            }
            out->outcome = (enum qe_outcome) number;
            seen |= 4;
        } else if (strcmp(name->str, "n") == 0) {
            if (!qe__name_of(value, out->node)) {
                return false;
            }
            seen |= 8;
        } else if (strcmp(name->str, "late") == 0) {
            if (!qe__number_of(value, 1, &number)) {
                return false;
            }
            out->late = number == 1;
        } else if (strcmp(name->str, "p") == 0) {
            out->payload = value->str;
            out->size = (size_t) value->len;
        }
    }
    return seen == 15;
}

static int ask_tries(qe__reader *r, const char *key, const char *after,
                     uint32_t n, redisReply **out)
{
    char from[QE__ENTRY_ID + 1], count[NUMBER];
    const char *const words[] = {"XRANGE", key, from, "+", "COUNT", count};

    (void) snprintf(from, sizeof(from), "%s%s", after[0] == '\0' ? "-" : "(",
                    after);
    (void) snprintf(count, sizeof(count), "%" PRIu32, n);
    return qe__reader_ask(r, 6, words, out);
}

/* A piece that is no larger than a reply may be, however large its payloads are. */
static int ask_some(qe__reader *r, const char *key, const char *after,
                    redisReply **out)
{
    uint32_t n = qe__reader_pace(r);
    int status = ask_tries(r, key, after, n, out);

    while (status == QE_ETOOBIG && n > 1) {
        n = n > 8 ? n / 8 : 1;
        status = qe__reader_connect(r);
        if (status == 0) {
            status = ask_tries(r, key, after, n, out);
        }
    }
    qe__reader_set_pace(r, n);
    return status;
}

static void adapt(qe__reader *r, size_t bytes)
{
    uint32_t n = qe__reader_pace(r);

    if (bytes < PIECE_BYTES / 4 && n < TRIES_MOST) {
        n *= 2;
    } else if (bytes > PIECE_BYTES && n > TRIES_LEAST) {
        n /= 2;
    }
    qe__reader_set_pace(r, n);
}

int qe__reader_tries(qe__reader *r, const char *run, uint32_t units,
                     char *after, int (*visit)(void *arg, const qe__try *one),
                     void *arg, uint32_t *got)
{
    char key[QE__KEY_BYTES];
    redisReply *reply = NULL;
    size_t bytes = 0;
    int status = qe__reader_key(r, run, "tries", key);

    *got = 0;
    if (status == 0 && strspn(after, "0123456789-") != strlen(after)) {
        status = QE_EINVAL;
    }
    if (status == 0) {
        status = ask_some(r, key, after, &reply);
    }
    if (status == 0 && reply->type != REDIS_REPLY_ARRAY) {
        status = qe__reader_odd(r, NULL, "its attempts");
    }
    for (size_t i = 0; status == 0 && i < reply->elements; i++) {
        const redisReply *entry = reply->element[i];
        qe__try one;

        if (!qe__is_list(entry, 2) ||
            entry->element[0]->type != REDIS_REPLY_STRING ||
            (size_t) entry->element[0]->len >= QE__ENTRY_ID ||
            strspn(entry->element[0]->str, "0123456789-") !=
                (size_t) entry->element[0]->len ||
            !read_try(entry->element[1], units, &one)) {
            status = qe__reader_odd(r, NULL, "an attempt");
            break;
        }
        (void) snprintf(after, QE__ENTRY_ID, "%s", entry->element[0]->str);
        bytes += one.size;
        status = visit(arg, &one);
        *got += status == 0;
    }
    if (status == 0) {
        adapt(r, bytes);
    }
    freeReplyObject(reply);
    return status;
}
