#include "qe_wire.h"

#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define TAKE_BYTES ((size_t) 65536)

void qe__reader_init(qe__reader *r, qe__ring *ring)
{
    memset(r, 0, sizeof(*r));
    r->ring = ring;
}

void qe__reader_free(qe__reader *r)
{
    free(r->bytes);
    r->bytes = NULL;
    r->begin = r->end = r->capacity = 0;
}

int qe__reader_fill(qe__reader *r, size_t limit, size_t *got)
{
    *got = 0;
    if (r->begin > 0) {
        memmove(r->bytes, r->bytes + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    while (*got < limit && qe__ring_filled(r->ring)) {
        size_t wanted = limit - *got < TAKE_BYTES ? limit - *got : TAKE_BYTES;
        size_t n;
        int status = qe__grow(&r->bytes, &r->capacity, r->end + TAKE_BYTES, 1);

        if (status == 0) {
            status = qe__ring_take(r->ring, r->bytes + r->end, wanted, &n);
        }
        if (status != 0) {
            return status;
        }
        r->end += n;
        *got += n;
    }
    return 0;
}

int qe__reader_next(qe__reader *r, qe__frame *frame, const void **data)
{
    size_t have = r->end - r->begin;

    if (r->broken || have < sizeof(*frame)) {
        return 0;
    }
    memcpy(frame, r->bytes + r->begin, sizeof(*frame));
    if (frame->magic != QE__WIRE_MAGIC || frame->size > QE__WIRE_MAX_BYTES) {
        r->broken = true;
        return 0;
    }
    if (have - sizeof(*frame) < frame->size) {
        return 0;
    }
    *data = r->bytes + r->begin + sizeof(*frame);
    r->begin += sizeof(*frame) + frame->size;
    return 1;
}

size_t qe__reader_drop(qe__reader *r)
{
    size_t dropped = r->end - r->begin;

    r->begin = r->end = 0;
    r->broken = false;
    return dropped;
}
