/* The units of a node's plan, from Python's lists. */
#ifndef QE_QUEUE_UNITS_H
#define QE_QUEUE_UNITS_H

#include "queue_types.h"

#include "qe_queue.h"

/* The units of a Queue, with the bytes that their ids borrow. */
struct queue_units {
    PyObject *ids; /* a list of bytes */
    qe_queue_unit *at;
    Py_ssize_t count;
};

/* From a sequence of ids (str or bytes), and of scopes, flags and expected nanoseconds: 0, or -1 with an
 * exception. Freed by queue_forget_units. */
int queue_read_units(struct queue_units *u, PyObject *ids,
                     PyObject *const lists[3]);
void queue_forget_units(struct queue_units *u);

#endif
