/* Framed events, from a worker to the controller, through a ring. Internal.
 *
 * A frame is a fixed head and `size` bytes of payload. Both ends are the same
 * build on the same machine, so the head is the struct itself; the magic
 * guards against a test that writes over the ring. A frame that fits is put in
 * one go and so is never torn. */
#ifndef QE_WIRE_H
#define QE_WIRE_H

#include "qe.h"
#include "qe_ring.h"

#define QE__WIRE_MAGIC 0x31464551u /* "QEF1" */
#define QE__WIRE_MAX_BYTES ((uint32_t) 256 << 20)

enum qe__frame_type {
    QE__FRAME_START = 1,
    QE__FRAME_PASSED,
    QE__FRAME_DATA,
    QE__FRAME_FINISH,
    /* From here on those for which a nap of the controller ends. */
    QE__FRAME_IDLE, /* the worker finds nothing to claim, and waits; kind is
                       the park word that it saw */
    QE__FRAME_BUSY, /* ... and has something again */
    QE__FRAME_BYE
};

typedef struct qe__frame {
    uint32_t magic;
    uint32_t size; /* of the payload */
    uint32_t pid;
    uint32_t unit;
    uint32_t attempt;
    uint8_t type;
    uint8_t phase;
    uint8_t outcome;
    uint8_t last;
    uint32_t kind;  /* the host's; of a command's FINISH the bytes of stdout */
    int32_t status; /* of a command's FINISH */
    double start_s;
    double duration_s;
    double cpu_s;
    uint64_t peak_bytes;
} qe__frame;

/* The controller's end of one ring: bytes taken and not yet decoded. */
typedef struct qe__reader {
    qe__ring *ring;
    bool broken; /* something that is no frame was read */
    char *bytes;
    size_t begin, end, capacity;
} qe__reader;

void qe__reader_init(qe__reader *r, qe__ring *ring);
void qe__reader_free(qe__reader *r);
/* Takes what is there, at most `limit` bytes; *got says how many. QE_ENOMEM,
 * or QE_EFORMAT where the ring is damaged. */
int qe__reader_fill(qe__reader *r, size_t limit, size_t *got);
/* The next whole frame: 1, with *data inside the reader until the next fill;
 * 0 if there is none. */
int qe__reader_next(qe__reader *r, qe__frame *frame, const void **data);
/* Forgets all bytes: the writer is dead and what is left is torn. Returns how
 * many bytes were dropped. */
size_t qe__reader_drop(qe__reader *r);

#endif
