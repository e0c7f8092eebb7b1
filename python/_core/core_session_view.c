/* Looking at a run, and letting others look. */
#include "core_session.h"

#include <stdlib.h>

qe_session *core_open_session(PyObject *self)
{
    qe_session *s = ((Session *) self)->session;

    if (s == NULL) {
        (void) core_raise(QE_ESTATE);
    }
    return s;
}

PyObject *core_session_running(PyObject *self, PyObject *unused)
{
    qe_session *s = core_open_session(self);
    qe_event events[64];
    PyObject *list;
    size_t n;

    (void) unused;
    if (s == NULL) {
        return NULL;
    }
    n = qe_session_running(s, events, 64);
    list = PyList_New((Py_ssize_t) n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *t = Py_BuildValue("(IIIid)", events[i].slot, events[i].unit,
                                    events[i].attempt, (int) events[i].phase,
                                    events[i].duration_s);

        if (t == NULL || PyList_SetItem(list, (Py_ssize_t) i, t) != 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

PyObject *core_session_progress(PyObject *self, PyObject *unused)
{
    qe_session *s = core_open_session(self);
    size_t settled, all;

    (void) unused;
    if (s == NULL) {
        return NULL;
    }
    qe_session_progress(s, &settled, &all);
    return Py_BuildValue("(nn)", (Py_ssize_t) settled, (Py_ssize_t) all);
}

PyObject *core_session_publish(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    const char *folder, *about;
    const char **names;
    PyObject *list;
    int status;

    if (s == NULL ||
        !PyArg_ParseTuple(args, "ysO!", &folder, &about, &PyList_Type, &list)) {
        return NULL;
    }
    names = core_strings_of(list, PyList_Size(list));
    if (names == NULL) {
        return NULL;
    }
    status =
        qe_session_publish(s, folder, about, names, (size_t) PyList_Size(list));
    free((void *) names);
    return core_done(status);
}
