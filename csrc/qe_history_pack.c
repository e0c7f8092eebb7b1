/*
 * A run as bytes, for a log that machines share.
 *
 *     "QEr" 1, started (ns since the epoch), wall (ns), workers, revision, branch
 *     passes: how many; of each its number, seed, name
 *     tests: how many; of each its name, outcome, message, attempts: how many; of each
 *         pass, attempt, worker, outcome, start (us after the run's, signed), duration (ns),
 *         processor time (us), peak (bytes), status (signed), message (1: the test's)
 *
 * Numbers have seven bits a byte, the lowest first. A text is its length and one, then its bytes; 0 is none.
 * A name is how many bytes it has in common with the one before, how many follow, and these: a run tells all
 * its names, in a few bytes each, so that each entry of a log can be read and dropped without any other.
 */
#include "qe_history_pack.h"

#include "qe_util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 4096u
#define TIME_MAX_NS (UINT64_C(1) << 62)

/* ----------------------------------------------------------------- packing */

void qe__pack_bytes(qe__bytes *out, const void *bytes, size_t size)
{
    if (size == 0 || out->full) {
        return;
    }
    if (qe__grow(&out->bytes, &out->capacity, out->size + size, 1) != QE_OK) {
        out->full = true;
        return;
    }
    memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

void qe__pack_number(qe__bytes *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t n = 0;

    for (; value >= 0x80; value >>= 7) {
        bytes[n++] = (unsigned char) (value | 0x80);
    }
    bytes[n++] = (unsigned char) value;
    qe__pack_bytes(out, bytes, n);
}

void qe__pack_signed(qe__bytes *out, int64_t value)
{
    qe__pack_number(out, value < 0 ? ~((uint64_t) value << 1)
                                   : (uint64_t) value << 1);
}

/* A text whose length is told with so much added. */
static void pack_text(qe__bytes *out, const char *text, size_t added)
{
    size_t n = strlen(text);

    if (n > MESSAGE_MAX) {
        n = MESSAGE_MAX;
        while (n > MESSAGE_MAX - 4 &&
               ((unsigned char) text[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    qe__pack_number(out, n + added);
    qe__pack_bytes(out, text, n);
}

void qe__pack_text(qe__bytes *out, const char *text)
{
    if (text == NULL) {
        qe__pack_number(out, 0);
    } else {
        pack_text(out, text, 1);
    }
}

void qe__pack_message(qe__bytes *out, const char *message, const char *known)
{
    if (message == NULL) {
        qe__pack_number(out, 0);
    } else if (known != NULL && strcmp(message, known) == 0) {
        qe__pack_number(out, 1);
    } else {
        pack_text(out, message, 2);
    }
}

uint64_t qe__pack_ns(double seconds)
{
    if (!(seconds > 0)) {
        return 0;
    }
    return seconds * 1e9 < (double) TIME_MAX_NS
               ? (uint64_t) (seconds * 1e9 + 0.5)
               : TIME_MAX_NS;
}

void qe__pack_name(qe__bytes *out, const char *before, const char *name)
{
    size_t same = 0, n = strlen(name);

    while (before[same] != '\0' && before[same] == name[same]) {
        same++;
    }
    qe__pack_number(out, same);
    qe__pack_number(out, n - same);
    qe__pack_bytes(out, name + same, n - same);
}

/* ----------------------------------------------------------------- reading */

struct reading {
    const unsigned char *at, *end;
    bool odd; /* what follows is none of ours */
    char *name, *text;
    size_t name_size, name_capacity, text_capacity, names;
    uint32_t attempts;
};

static uint64_t number(struct reading *r, uint64_t most)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (r->odd || r->at == r->end) {
            break;
        }
        byte = *r->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t) (byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (value > most) {
                break;
            }
            return value;
        }
    }
    r->odd = true;
    return 0;
}

static int64_t signed_number(struct reading *r)
{
    uint64_t value = number(r, UINT64_MAX);

    return (value & 1) != 0 ? (int64_t) ~(value >> 1) : (int64_t) (value >> 1);
}

static double seconds(struct reading *r)
{
    return (double) number(r, TIME_MAX_NS) / 1e9;
}

static enum qe_outcome outcome(struct reading *r)
{
    return (enum qe_outcome) number(r, QE_OUTCOME_COUNT - 1);
}

/* Bytes without a NUL, which are behind `kept` of a buffer of ours. */
static int bytes(struct reading *r, size_t n, char **buffer, size_t *capacity,
                 size_t kept)
{
    if (r->odd || n > (size_t) (r->end - r->at) ||
        memchr(r->at, '\0', n) != NULL) {
        r->odd = true;
        return QE_OK;
    }
    if (qe__grow(buffer, capacity, kept + n + 1, 1) != QE_OK) {
        return QE_ENOMEM;
    }
    memcpy(*buffer + kept, r->at, n);
    (*buffer)[kept + n] = '\0';
    r->at += n;
    return QE_OK;
}

/* A text whose length and one has been read; it lives until the next. */
static int text_of(struct reading *r, uint64_t size, const char **out)
{
    int rc;

    *out = NULL;
    if (r->odd || size == 0) {
        return QE_OK;
    }
    rc = bytes(r, (size_t) size - 1, &r->text, &r->text_capacity, 0);
    *out = r->text;
    return rc;
}

static int text(struct reading *r, const char **out)
{
    return text_of(r, number(r, MESSAGE_MAX + 1), out);
}

static int name(struct reading *r)
{
    size_t same = (size_t) number(r, r->name_size);
    size_t more = (size_t) number(r, QE__PACK_NAME);
    int rc;

    if (r->odd || same + more == 0 || same + more > QE__PACK_NAME) {
        r->odd = true;
        return QE_OK;
    }
    rc = bytes(r, more, &r->name, &r->name_capacity, same);
    r->name_size = same + more;
    r->names += r->name_size;
    r->odd = r->odd || r->names > QE__PACK_NAMES;
    return rc;
}

static int read_head(struct reading *r, qe__packed_run *run, qe_record *record)
{
    char *revision = NULL;
    const char *branch;
    int rc;

    run->started_s = seconds(r);
    run->wall_s = seconds(r);
    run->workers = (uint32_t) number(r, UINT32_MAX);
    rc = text(r, &branch);
    if (rc == QE_OK && !r->odd && branch != NULL) {
        revision = strdup(branch);
        rc = revision != NULL ? QE_OK : QE_ENOMEM;
    }
    if (rc == QE_OK) {
        rc = text(r, &branch);
    }
    if (rc == QE_OK && !r->odd) {
        rc = qe_record_set_code(record, revision, branch);
    }
    free(revision);
    return rc;
}

static int read_passes(struct reading *r, qe_record *record)
{
    uint64_t n = number(r, UINT32_MAX);
    int rc = QE_OK;

    while (n-- > 0 && rc == QE_OK && !r->odd) {
        uint32_t pass = (uint32_t) number(r, UINT32_MAX);
        uint64_t seed = number(r, UINT64_MAX);
        const char *of;

        rc = text(r, &of);
        if (rc == QE_OK && of == NULL) {
            r->odd = true;
        }
        if (rc == QE_OK && !r->odd) {
            rc = qe_record_add_pass(record, pass, of, seed);
        }
    }
    return rc;
}

static int read_attempt(struct reading *r, const qe__packed_run *run,
                        uint32_t item, const char *of, qe_record *record)
{
    qe_attempt a = {.item = item};
    uint64_t size;
    double start;
    int rc;

    a.pass = (uint32_t) number(r, UINT32_MAX);
    a.attempt = (uint32_t) number(r, UINT32_MAX);
    a.worker = (uint32_t) number(r, UINT32_MAX);
    a.outcome = outcome(r);
    start = run->started_s + (double) signed_number(r) / 1e6;
    a.start_s = start > 0 ? start : 0;
    a.duration_s = seconds(r);
    a.cpu_s = (double) number(r, TIME_MAX_NS) / 1e6;
    a.peak_bytes = number(r, INT64_MAX);
    a.status = (int) (uint32_t) signed_number(r);
    size = number(r, MESSAGE_MAX + 2);
    a.message = of;
    rc = size == 1 ? QE_OK : text_of(r, size == 0 ? 0 : size - 1, &a.message);
    if (rc == QE_OK && !r->odd) {
        r->odd = ++r->attempts > QE__PACK_ATTEMPTS;
        rc = qe_record_add_attempt(record, &a);
    }
    return rc;
}

static int read_tests(struct reading *r, const qe__packed_run *run,
                      qe_record *record)
{
    uint32_t n = (uint32_t) number(r, QE__PACK_TESTS);
    int rc = QE_OK;

    for (uint32_t item = 0; item < n && rc == QE_OK && !r->odd; item++) {
        enum qe_outcome came_to;
        const char *of = NULL;
        char *message = NULL;
        uint64_t attempts;

        rc = name(r);
        came_to = outcome(r);
        if (rc == QE_OK) {
            rc = text(r, &of);
        }
        if (rc == QE_OK && !r->odd) {
            rc = qe_record_add_test(record, r->name);
        }
        if (rc == QE_OK && !r->odd) {
            rc = qe_record_set_outcome(record, item, came_to, of);
        }
        if (rc == QE_OK && !r->odd && of != NULL) {
            message = strdup(of); /* the next text takes its place */
            rc = message != NULL ? QE_OK : QE_ENOMEM;
        }
        for (attempts = number(r, QE__PACK_ATTEMPTS);
             attempts > 0 && rc == QE_OK && !r->odd; attempts--) {
            rc = read_attempt(r, run, item, message, record);
        }
        free(message);
    }
    return rc;
}

int qe__unpack(const void *data, size_t size, qe__packed_run *run,
               qe_record **out)
{
    static const size_t head = sizeof(QE__PACK_HEAD) - 1;
    struct reading r = {0};
    qe_record *record;
    int rc;

    *out = NULL;
    if (size < head || size > QE_LOG_RUN ||
        memcmp(data, QE__PACK_HEAD, head) != 0) {
        return QE_EFORMAT;
    }
    r.at = (const unsigned char *) data + head;
    r.end = (const unsigned char *) data + size;
    rc = qe_record_new(&record);
    if (rc != QE_OK) {
        return rc;
    }
    rc = read_head(&r, run, record);
    if (rc == QE_OK) {
        rc = read_passes(&r, record);
    }
    if (rc == QE_OK) {
        rc = read_tests(&r, run, record);
    }
    free(r.name);
    free(r.text);
    if (rc == QE_OK && (r.odd || r.at != r.end)) {
        rc = QE_EFORMAT;
    }
    if (rc != QE_OK) {
        qe_record_free(record);
        return rc;
    }
    *out = record;
    return QE_OK;
}
