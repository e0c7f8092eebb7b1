/* The record of a run: its tests, and the attempts of each, in memory. */
#include "qe_record.h"

#include "qe_util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Strings live in chunks that never move, so that a record of millions of
 * names costs one allocation in thousands of strings. */
#define CHUNK_BYTES ((size_t) 64 * 1024)

struct qe__chunk {
    struct qe__chunk *next;
    size_t used, size;
    char bytes[];
};

static struct qe__chunk *chunk_new(size_t need)
{
    size_t size = need > CHUNK_BYTES ? need : CHUNK_BYTES;
    struct qe__chunk *chunk;

    if (size > SIZE_MAX - sizeof(*chunk))
        return NULL;
    chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return NULL;
    chunk->next = NULL;
    chunk->used = 0;
    chunk->size = size;
    return chunk;
}

/* Copies a string; NULL stays NULL and is no failure. */
static int keep(qe_record *r, const char *text, const char **out)
{
    struct qe__chunk *chunk = r->chunks;
    size_t n;

    *out = NULL;
    if (text == NULL)
        return QE_OK;
    n = strlen(text) + 1;
    if (chunk == NULL || chunk->size - chunk->used < n) {
        struct qe__chunk *fresh = chunk_new(n);
        if (fresh == NULL)
            return QE_ENOMEM;
        if (chunk != NULL && n > CHUNK_BYTES / 2) {
            /* A long string gets a chunk of its own behind the current one,
             * which still has room for short ones. */
            fresh->next = chunk->next;
            chunk->next = fresh;
        } else {
            fresh->next = chunk;
            r->chunks = fresh;
        }
        chunk = fresh;
    }
    *out = memcpy(chunk->bytes + chunk->used, text, n);
    chunk->used += n;
    return QE_OK;
}

QE_API int qe_record_new(qe_record **out)
{
    qe_record *r;

    if (out == NULL)
        return QE_EINVAL;
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return QE_ENOMEM;
    *out = r;
    return QE_OK;
}

static void free_texts(qe__text *text)
{
    while (text != NULL) {
        qe__text *next = text->next;
        free(text);
        text = next;
    }
}

QE_API void qe_record_free(qe_record *r)
{
    if (r == NULL)
        return;
    while (r->chunks != NULL) {
        struct qe__chunk *next = r->chunks->next;
        free(r->chunks);
        r->chunks = next;
    }
    for (size_t i = 0; i < r->attempt_count; i++)
        free_texts(r->attempts[i].texts);
    free(r->tests);
    free(r->attempts);
    free(r->passes);
    free(r);
}

QE_API int qe_record_add_test(qe_record *r, const char *id)
{
    qe__test test = {
        .outcome = QE_NONE, .first = QE__NO_ATTEMPT, .last = QE__NO_ATTEMPT};
    int rc;

    if (r == NULL || id == NULL)
        return QE_EINVAL;
    if (r->test_count >= UINT32_MAX)
        return QE_ETOOBIG;
    rc = qe__grow(&r->tests, &r->test_capacity, r->test_count + 1,
                  sizeof(*r->tests));
    if (rc != QE_OK)
        return rc;
    rc = keep(r, id, &test.id);
    if (rc != QE_OK)
        return rc;
    r->tests[r->test_count++] = test;
    return QE_OK;
}

/* A clock that was set back, or a host's arithmetic, must not cost a result:
 * what is no duration counts as 0. */
static double seconds(double value)
{
    return isfinite(value) && value > 0 ? value : 0;
}

static bool is_outcome(enum qe_outcome outcome)
{
    return (unsigned) outcome < QE_OUTCOME_COUNT;
}

QE_API int qe_record_add_attempt(qe_record *r, const qe_attempt *attempt)
{
    qe__attempt entry;
    qe__test *test;
    uint32_t index;
    int rc;

    if (r == NULL || attempt == NULL || attempt->item >= r->test_count ||
        !is_outcome(attempt->outcome))
        return QE_EINVAL;
    if (r->attempt_count >= QE__NO_ATTEMPT)
        return QE_ETOOBIG;
    rc = qe__grow(&r->attempts, &r->attempt_capacity, r->attempt_count + 1,
                  sizeof(*r->attempts));
    if (rc != QE_OK)
        return rc;
    entry.data = *attempt;
    entry.data.start_s = seconds(attempt->start_s);
    entry.data.duration_s = seconds(attempt->duration_s);
    entry.data.cpu_s = seconds(attempt->cpu_s);
    entry.next = QE__NO_ATTEMPT;
    entry.texts = NULL;
    rc = keep(r, attempt->message, &entry.data.message);
    if (rc != QE_OK)
        return rc;

    index = (uint32_t) r->attempt_count++;
    r->attempts[index] = entry;
    test = &r->tests[attempt->item];
    if (test->first == QE__NO_ATTEMPT)
        test->first = index;
    else
        r->attempts[test->last].next = index;
    test->last = index;
    return QE_OK;
}

QE_API int qe_record_set_outcome(qe_record *r, uint32_t item,
                                 enum qe_outcome outcome, const char *message)
{
    const char *copy;
    int rc;

    if (r == NULL || item >= r->test_count || !is_outcome(outcome))
        return QE_EINVAL;
    rc = keep(r, message, &copy);
    if (rc != QE_OK)
        return rc;
    r->tests[item].outcome = outcome;
    r->tests[item].message = copy;
    return QE_OK;
}

QE_API int qe_record_set_code(qe_record *r, const char *revision,
                              const char *branch)
{
    const char *copies[2];
    int rc;

    if (r == NULL)
        return QE_EINVAL;
    rc = keep(r, revision, &copies[0]);
    if (rc == QE_OK)
        rc = keep(r, branch, &copies[1]);
    if (rc != QE_OK)
        return rc;
    r->revision = copies[0];
    r->branch = copies[1];
    return QE_OK;
}

QE_API int qe_record_add_pass(qe_record *r, uint32_t pass, const char *name,
                              uint64_t seed)
{
    qe__pass entry = {.pass = pass, .seed = seed};
    int rc;

    if (r == NULL || name == NULL)
        return QE_EINVAL;
    rc = qe__grow(&r->passes, &r->pass_capacity, r->pass_count + 1,
                  sizeof(*r->passes));
    if (rc == QE_OK)
        rc = keep(r, name, &entry.name);
    if (rc == QE_OK)
        r->passes[r->pass_count++] = entry;
    return rc;
}

QE_API int qe_record_set_quarantined(qe_record *r, uint32_t item)
{
    if (r == NULL || item >= r->test_count)
        return QE_EINVAL;
    r->tests[item].quarantined = true;
    return QE_OK;
}

QE_API int qe_record_set_marks(qe_record *r, uint32_t item, const char *marks)
{
    if (r == NULL || item >= r->test_count)
        return QE_EINVAL;
    return keep(r, marks, &r->tests[item].marks);
}

QE_API int qe_record_set_expected(qe_record *r, uint32_t item,
                                  double expected_s)
{
    if (r == NULL || item >= r->test_count)
        return QE_EINVAL;
    r->tests[item].expected_s = seconds(expected_s);
    return QE_OK;
}

/* The newest of a test's attempts with this pass and number, or NULL. */
static qe__attempt *find_attempt(qe_record *r, const qe__test *test,
                                 uint32_t pass, uint32_t attempt)
{
    qe__attempt *found = NULL;
    uint32_t i;

    for (i = test->first; i != QE__NO_ATTEMPT; i = r->attempts[i].next)
        if (r->attempts[i].data.pass == pass &&
            r->attempts[i].data.attempt == attempt)
            found = &r->attempts[i];
    return found;
}

QE_API int qe_record_add_text(qe_record *r, uint32_t item, uint32_t pass,
                              uint32_t attempt, enum qe_text_kind kind,
                              const char *name, const char *text)
{
    qe__attempt *owner;
    qe__text *entry;
    qe__text **end;
    int rc;

    if (r == NULL || name == NULL || text == NULL || item >= r->test_count ||
        (unsigned) kind >= QE_TEXT_KINDS)
        return QE_EINVAL;
    owner = find_attempt(r, &r->tests[item], pass, attempt);
    if (owner == NULL)
        return QE_ENOTFOUND;
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return QE_ENOMEM;
    entry->kind = kind;
    rc = keep(r, name, &entry->name);
    if (rc == QE_OK)
        rc = keep(r, text, &entry->text);
    if (rc != QE_OK) {
        free(entry);
        return rc;
    }
    for (end = &owner->texts; *end != NULL; end = &(*end)->next)
        ;
    *end = entry;
    return QE_OK;
}

/* -1, 0 or 1 by pass, then attempt. */
static int compare(const qe_attempt *a, const qe_attempt *b)
{
    if (a->pass != b->pass)
        return a->pass < b->pass ? -1 : 1;
    if (a->attempt != b->attempt)
        return a->attempt < b->attempt ? -1 : 1;
    return 0;
}

/* Attempts lie in one array in the order in which they were added, so that
 * their addresses settle ties, and a sort that is not stable will do. */
static int compare_entries(const void *left, const void *right)
{
    const qe_attempt *a = *(const qe_attempt *const *) left;
    const qe_attempt *b = *(const qe_attempt *const *) right;
    int order = compare(a, b);

    if (order != 0)
        return order;
    return a < b ? -1 : a > b;
}

int qe__record_attempts(const qe_record *r, uint32_t item, qe__attempts *list)
{
    bool sorted = true;
    uint32_t i;

    list->count = 0;
    for (i = r->tests[item].first; i != QE__NO_ATTEMPT;
         i = r->attempts[i].next) {
        const qe_attempt *attempt = &r->attempts[i].data;
        int rc = qe__grow(&list->at, &list->capacity, list->count + 1,
                          sizeof(qe_attempt *));
        if (rc != QE_OK)
            return rc;
        if (list->count > 0 && compare(list->at[list->count - 1], attempt) > 0)
            sorted = false;
        list->at[list->count++] = attempt;
    }
    if (!sorted)
        qsort(list->at, list->count, sizeof(qe_attempt *), compare_entries);
    return QE_OK;
}
