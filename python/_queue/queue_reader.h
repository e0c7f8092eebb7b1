/* What the binding's files about the reader share. */
#ifndef QE_QUEUE_READER_H
#define QE_QUEUE_READER_H

#include "queue_types.h"

#include "qe_board_read.h"

typedef struct Reader {
    PyObject_HEAD
    qe__reader *reader;
    bool busy; /* a call has let go of the interpreter's lock */
} Reader;

/* NULL with an exception: it is closed, or another thread uses it. */
qe__reader *queue_reader_of(PyObject *object);

/* Around what waits for the server. */
#define WAITING(object, call)                                                  \
    do {                                                                       \
        ((Reader *) (object))->busy = true;                                    \
        Py_BEGIN_ALLOW_THREADS                                                 \
        call;                                                                  \
        Py_END_ALLOW_THREADS((Reader *) (object))                              \
        ->busy = false;                                                        \
    } while (0)

/* Raises what a call has failed with, or what Python has; returns NULL. */
PyObject *queue_failed(qe__reader *r, int status);
/* Appends what is visited to a list, and lets go of it. */
int queue_append(PyObject *list, PyObject *value);

/* queue_log.c */
PyObject *queue_log_append(PyObject *self, PyObject *args);
PyObject *queue_log_read(PyObject *self, PyObject *args);
PyObject *queue_log_held(PyObject *self, PyObject *unused);
PyObject *queue_log_hold(PyObject *self, PyObject *args);
PyObject *queue_log_release(PyObject *self, PyObject *args);

#endif
