/* All runs of a project: which there are, and what ends them; see qe_board_read.h. */
#include "qe_board_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define RUNS_MAX 100000u
#define PLAN "}:plan"
/* Of a whole look through the server's keys, those of others among them. */
#define SCAN_NS UINT64_C(120000000000)
#define CURSOR_BYTES 24u

/* In a pattern, what stands for itself. */
static bool add_plain(char *out, size_t n, const char *text)
{
    size_t used = 0;

    for (; *text != '\0'; text++) {
        if (used + 3 > n) {
            return false;
        }
        if (strchr("*?[]\\^-", *text) != NULL) {
            out[used++] = '\\';
        }
        out[used++] = *text;
    }
    out[used] = '\0';
    return true;
}

/* The name of the run that a key belongs to; false where it is no run's of ours. */
static bool run_of(const qe__reader *r, const redisReply *key,
                   char run[QE__RUN_MAX])
{
    const char *head = qe__reader_head(r);
    const char *from, *to;

    if (key->type != REDIS_REPLY_STRING ||
        strlen(key->str) != (size_t) key->len ||
        strncmp(key->str, head, strlen(head)) != 0) {
        return false;
    }
    from = key->str + strlen(head);
    to = strstr(from, "}:");
    if (to == NULL || to == from || (size_t) (to - from) >= QE__RUN_MAX) {
        return false;
    }
    memcpy(run, from, (size_t) (to - from));
    run[to - from] = '\0';
    return qe__board_names("p", "p", run) == NULL;
}

static int scan_some(qe__reader *r, char cursor[CURSOR_BYTES],
                     const char *pattern,
                     int (*visit)(void *arg, const char *key, const char *run),
                     void *arg)
{
    const char *const words[] = {"SCAN",  cursor,  "MATCH",
                                 pattern, "COUNT", "1000"};
    char run[QE__RUN_MAX];
    redisReply *reply;
    int status = qe__reader_ask(r, QE__COUNT(words), words, &reply);

    if (status != 0) {
        return status;
    }
    if (!qe__is_list(reply, 2) ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        (size_t) reply->element[0]->len >= CURSOR_BYTES ||
        strspn(reply->element[0]->str, "0123456789") !=
            (size_t) reply->element[0]->len ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return qe__reader_odd(r, reply, "the list of keys");
    }
    (void) snprintf(cursor, CURSOR_BYTES, "%s", reply->element[0]->str);
    for (size_t i = 0; status == 0 && i < reply->element[1]->elements; i++) {
        const redisReply *key = reply->element[1]->element[i];

        if (run_of(r, key, run)) {
            status = visit(arg, key->str, run);
        }
    }
    freeReplyObject(reply);
    return status;
}

/* Calls `visit` for each key of the project that has `tail` behind a run's name, with that name;
 * for one that comes twice, twice. */
static int scan(qe__reader *r, const char *tail,
                int (*visit)(void *arg, const char *key, const char *run),
                void *arg)
{
    char plain[2 * QE__KEY_BYTES], pattern[2 * QE__KEY_BYTES + 16];
    char cursor[CURSOR_BYTES] = "0";
    uint64_t until = qe_now_ns() + SCAN_NS;
    int status;

    if (!add_plain(plain, sizeof(plain), qe__reader_head(r))) {
        return QE_EINVAL;
    }
    (void) snprintf(pattern, sizeof(pattern), "%s*%s", plain, tail);
    do {
        status = scan_some(r, cursor, pattern, visit, arg);
        if (status == 0 && qe_now_ns() > until) {
            status =
                qe__reader_fail(r, QE_EGONE,
                                "the server has more keys than can be looked "
                                "through in time");
        }
    } while (status == 0 && strcmp(cursor, "0") != 0);
    return status;
}

/* -------------------------------------------------------------------- runs */

struct runs {
    char **at;
    size_t count, capacity;
};

static int add_run(void *arg, const char *key, const char *run)
{
    struct runs *runs = arg;
    char *copy;

    /* Another key may end as the plan does: that of a resource of such a name. */
    if (strcmp(strstr(key, "}:"), PLAN) != 0) {
        return 0;
    }
    if (runs->count >= RUNS_MAX ||
        qe__grow(&runs->at, &runs->capacity, runs->count + 1,
                 sizeof(runs->at[0])) != 0) {
        return QE_ENOMEM;
    }
    copy = strdup(run);
    if (copy == NULL) {
        return QE_ENOMEM;
    }
    runs->at[runs->count++] = copy;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

void qe__runs_free(char **runs, uint32_t n)
{
    for (uint32_t i = 0; runs != NULL && i < n; i++) {
        free(runs[i]);
    }
    free(runs);
}

int qe__reader_runs(qe__reader *r, char ***out, uint32_t *n)
{
    struct runs runs = {NULL, 0, 0};
    int status = scan(r, PLAN, add_run, &runs);
    size_t kept = 0;

    *out = NULL;
    *n = 0;
    if (status != 0) {
        qe__runs_free(runs.at, (uint32_t) runs.count);
        return status;
    }
    if (runs.count > 0) {
        qsort(runs.at, runs.count, sizeof(runs.at[0]), compare);
    }
    for (size_t i = 0; i < runs.count; i++) {
        if (kept > 0 && strcmp(runs.at[kept - 1], runs.at[i]) == 0) {
            free(runs.at[i]);
        } else {
            runs.at[kept++] = runs.at[i];
        }
    }
    *out = runs.at;
    *n = (uint32_t) kept;
    return 0;
}

/* -------------------------------------------------------------------- ends */

int qe__reader_stop(qe__reader *r, const char *run, enum qe__board_state *was)
{
    static const char script[] =
        "local was = redis.call('HGET', KEYS[1], 'state')\n"
        "if was == 'open' or was == 'laying' then\n"
        "  redis.call('HSET', KEYS[1], 'state', 'stopped')\n"
        "end\n"
        "return was\n";
    char key[QE__KEY_BYTES];
    const char *const words[] = {"EVAL", script, "1", key};
    redisReply *reply;
    int status = qe__reader_key(r, run, "plan", key);

    *was = QE__BOARD_NONE;
    if (status == 0) {
        status = qe__reader_ask(r, 4, words, &reply);
    }
    if (status != 0) {
        return status;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        freeReplyObject(reply);
        return qe__reader_fail(r, QE_ENOTFOUND, "there is no run %s", run);
    }
    if (reply->type == REDIS_REPLY_STRING) {
        *was = qe__board_state_of(reply->str);
    }
    if (*was == QE__BOARD_NONE) {
        return qe__reader_odd(r, reply, "its plan");
    }
    freeReplyObject(reply);
    return 0;
}

struct deleting {
    const char *const *runs; /* sorted */
    uint32_t count;
    struct runs keys;
};

static int note_key(void *arg, const char *key, const char *run)
{
    struct deleting *d = arg;
    char *copy;

    if (bsearch(&run, d->runs, d->count, sizeof(d->runs[0]), compare) == NULL) {
        return 0;
    }
    if (qe__grow(&d->keys.at, &d->keys.capacity, d->keys.count + 1,
                 sizeof(d->keys.at[0])) != 0 ||
        (copy = strdup(key)) == NULL) {
        return QE_ENOMEM;
    }
    d->keys.at[d->keys.count++] = copy;
    return 0;
}

static int unlink_all(qe__reader *r, const struct runs *keys, uint64_t *gone)
{
    int status = 0;

    for (size_t i = 0; i < keys->count && status == 0; i++) {
        const char *const words[] = {"UNLINK", keys->at[i]};
        uint64_t n;
        redisReply *reply;

        status = qe__reader_ask(r, 2, words, &reply);
        if (status == 0) {
            if (!qe__number_of(reply, 1, &n)) {
                return qe__reader_odd(r, reply, "the answer to UNLINK");
            }
            *gone += n;
            freeReplyObject(reply);
        }
    }
    return status;
}

int qe__reader_delete(qe__reader *r, const char *const *runs, uint32_t n,
                      uint64_t *keys)
{
    struct deleting d = {.runs = runs, .count = n};
    int status = 0;

    *keys = 0;
    for (uint32_t i = 0; i < n && status == 0; i++) {
        const char *wrong = qe__board_names("p", "p", runs[i]);

        if (wrong != NULL) {
            status = qe__reader_fail(r, QE_EINVAL, "%s", wrong);
        }
    }
    if (status == 0 && n > 0) {
        status = scan(r, "", note_key, &d);
    }
    if (status == 0) {
        status = unlink_all(r, &d.keys, keys);
    }
    qe__runs_free(d.keys.at, (uint32_t) d.keys.count);
    return status;
}
