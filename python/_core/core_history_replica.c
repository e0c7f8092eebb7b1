/* A history that follows a log; see qe_replica.h. */
#include "core_history.h"

#include <stdlib.h>

PyObject *core_history_follow(PyObject *self, PyObject *unused)
{
    qe_history *h = core_history_of(self);
    int status;

    (void) unused;
    if (h == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_follow(h);
    Py_END_ALLOW_THREADS
    return core_done(status);
}

PyObject *core_history_followed(PyObject *self, PyObject *unused)
{
    qe_history *h = core_history_of(self);
    char born[QE_LOG_BORN], entry[QE_LOG_ENTRY];
    int status;

    (void) unused;
    if (h == NULL) {
        return NULL;
    }
    status = qe_history_followed(h, born, entry);
    return status == 0 ? Py_BuildValue("(ss)", born, entry)
                       : core_raise(status);
}

static int append_unsent(void *list, const char *name, int64_t run)
{
    return core_append(list, Py_BuildValue("(sL)", name, (long long) run));
}

PyObject *core_history_unsent(PyObject *self, PyObject *unused)
{
    qe_history *h = core_history_of(self);
    PyObject *list;

    (void) unused;
    if (h == NULL || (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_unsent(h, append_unsent, list));
}

PyObject *core_history_export(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    void *bytes = NULL;
    size_t size = 0;
    uint32_t tests = 0;
    long long run;
    PyObject *found;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "L", &run)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_export(h, run, &bytes, &size, &tests);
    Py_END_ALLOW_THREADS
    if (status != 0) {
        return core_raise(status);
    }
    found = Py_BuildValue("(y#I)", bytes, (Py_ssize_t) size, tests);
    qe_free(bytes);
    return found;
}

PyObject *core_history_sent(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *name;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "s", &name)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_sent(h, name);
    Py_END_ALLOW_THREADS
    return core_done(status);
}

PyObject *core_history_take(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *born;
    PyObject *list;
    qe_log_entry *entries;
    uint32_t taken = 0, odd = 0;
    Py_ssize_t n;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "sO", &born, &list) ||
        (n = PyList_Size(list)) < 0) {
        return NULL;
    }
    entries = calloc((size_t) n + 1, sizeof(*entries));
    if (entries == NULL) {
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *one = PyList_GetItem(list, i);
        const char *bytes;
        Py_ssize_t size;

        if (one == NULL || !PyArg_ParseTuple(one, "ssy#", &entries[i].entry,
                                             &entries[i].name, &bytes, &size)) {
            free(entries);
            return NULL;
        }
        entries[i].bytes = bytes;
        entries[i].size = (size_t) size;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_take(h, born, entries, (size_t) n, &taken, &odd);
    Py_END_ALLOW_THREADS
    free(entries);
    return status == 0 ? Py_BuildValue("(II)", taken, odd) : core_raise(status);
}
