#include "qe_excerpt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_BYTES 128

int qe__excerpt_init(qe__excerpt *e, size_t bound)
{
    *e = (qe__excerpt){NULL, bound, 0};
    if (bound < 2) {
        return QE_EINVAL;
    }
    e->bytes = malloc(bound);
    return e->bytes != NULL ? 0 : QE_ENOMEM;
}

void qe__excerpt_free(qe__excerpt *e)
{
    free(e->bytes);
    e->bytes = NULL;
}

void qe__excerpt_clear(qe__excerpt *e)
{
    e->given = 0;
}

static size_t head_of(const qe__excerpt *e)
{
    return e->bound / 2;
}

/* Where in the ring the byte of that number goes. */
static size_t place_of(const qe__excerpt *e, uint64_t number)
{
    size_t head = head_of(e);

    return (size_t) ((number - head) % (e->bound - head));
}

void qe__excerpt_add(qe__excerpt *e, const char *bytes, size_t n)
{
    size_t head = head_of(e), ring = e->bound - head;

    if (e->given < head) {
        size_t fits = head - (size_t) e->given;
        size_t part = n < fits ? n : fits;

        memcpy(e->bytes + e->given, bytes, part);
        e->given += part;
        bytes += part;
        n -= part;
    }
    if (n > ring) { /* all but the end would be written over */
        e->given += n - ring;
        bytes += n - ring;
        n = ring;
    }
    while (n > 0) {
        size_t at = place_of(e, e->given);
        size_t part = n < ring - at ? n : ring - at;

        memcpy(e->bytes + head + at, bytes, part);
        e->given += part;
        bytes += part;
        n -= part;
    }
}

/* The line between, without a NUL; 0 bytes where nothing was left out. */
static size_t note_of(const qe__excerpt *e, char note[NOTE_BYTES])
{
    return e->given <= e->bound
               ? 0
               : (size_t) snprintf(note, NOTE_BYTES,
                                   "\n[qe: %" PRIu64 " bytes were left out "
                                   "here; %zu are kept of each stream]\n",
                                   e->given - e->bound, e->bound);
}

size_t qe__excerpt_size(const qe__excerpt *e)
{
    char note[NOTE_BYTES];

    return (e->given < e->bound ? (size_t) e->given : e->bound) +
           note_of(e, note);
}

void qe__excerpt_copy(const qe__excerpt *e, char *to)
{
    size_t head = head_of(e), at;
    char note[NOTE_BYTES];
    size_t n = note_of(e, note);

    if (e->given <= e->bound) {
        memcpy(to, e->bytes, (size_t) e->given);
        return;
    }
    memcpy(to, e->bytes, head);
    memcpy(to + head, note, n);
    to += head + n;
    at = place_of(e, e->given); /* the oldest byte of the ring */
    memcpy(to, e->bytes + head + at, e->bound - head - at);
    memcpy(to + (e->bound - head - at), e->bytes + head, at);
}
