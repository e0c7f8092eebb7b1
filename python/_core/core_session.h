/* What the files share that are about Session, a run. */
#ifndef QE_CORE_SESSION_H
#define QE_CORE_SESSION_H

#include "core.h"

typedef struct Session {
    PyObject_HEAD
    qe_session *session;
    PyObject *plan;
    PyObject *source; /* keeps what the core calls; None: nothing */
    char **argv;
    char ***server_env;
    PyThreadState *thread;
} Session;

/* Its session; NULL with an exception where it is closed. */
qe_session *core_open_session(PyObject *self);

/* Its methods in core_session_view.c. */
PyObject *core_session_running(PyObject *self, PyObject *unused);
PyObject *core_session_progress(PyObject *self, PyObject *unused);
PyObject *core_session_publish(PyObject *self, PyObject *args);

#endif
