#include "qe_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_util.h"

void qe__reader_init(qe__reader *r, int fd)
{
    memset(r, 0, sizeof(*r));
    r->fd = fd;
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
    while (*got < limit) {
        ssize_t n;
        int status = qe__grow(&r->bytes, &r->capacity, r->end + 65536, 1);

        if (status != 0) {
            return status;
        }
        n = read(r->fd, r->bytes + r->end, r->capacity - r->end);
        if (n > 0) {
            r->end += (size_t) n;
            *got += (size_t) n;
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        return n < 0 && errno != EAGAIN ? QE_ESYS : 0;
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
