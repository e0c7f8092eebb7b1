/* What the binding's files about the history share. */
#ifndef QE_CORE_HISTORY_H
#define QE_CORE_HISTORY_H

#include "core.h"

/* The open history of an object; NULL with an exception once it is closed. */
qe_history *core_history_of(PyObject *self);

/* Appends what the core tells to a list, and lets go of it; -1 where Python failed. */
int core_append(PyObject *list, PyObject *value);

/* The list, or NULL with the exception: that of the core, or Python's own. */
PyObject *core_listed(PyObject *list, int status);

/* core_history_runs.c */
PyObject *core_history_runs(PyObject *self, PyObject *args);
PyObject *core_history_run(PyObject *self, PyObject *args);
PyObject *core_history_attempts(PyObject *self, PyObject *args);
PyObject *core_history_outcomes(PyObject *self, PyObject *args);
PyObject *core_history_executions(PyObject *self, PyObject *args);
PyObject *core_history_top(PyObject *self, PyObject *args);

/* core_history_replica.c */
PyObject *core_history_follow(PyObject *self, PyObject *unused);
PyObject *core_history_followed(PyObject *self, PyObject *unused);
PyObject *core_history_unsent(PyObject *self, PyObject *unused);
PyObject *core_history_export(PyObject *self, PyObject *args);
PyObject *core_history_sent(PyObject *self, PyObject *args);
PyObject *core_history_take(PyObject *self, PyObject *args);

#endif
