/* What machines remember together; see qe_log.h. */
#include "queue_reader.h"

#include <string.h>

#include "qe_log.h"

PyObject *queue_log_append(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    const char *name, *bytes;
    Py_ssize_t size;
    unsigned int keep;
    bool added;
    int status;

    if (r == NULL ||
        !PyArg_ParseTuple(args, "sy#I", &name, &bytes, &size, &keep)) {
        return NULL;
    }
    WAITING(self, status = qe__log_append(r, name, bytes, (size_t) size, keep,
                                          &added));
    return status == 0 ? PyBool_FromLong(added) : queue_failed(r, status);
}

/* What is visited comes while the interpreter's lock is let go of. */
static int add_entry(void *list, const qe_log_entry *entry)
{
    PyGILState_STATE state = PyGILState_Ensure();
    int status = queue_append(list, Py_BuildValue("(ssy#)", entry->entry,
                                                  entry->name, entry->bytes,
                                                  (Py_ssize_t) entry->size));

    PyGILState_Release(state);
    return status == 0 ? 0 : QE_ENOMEM;
}

PyObject *queue_log_read(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    char born[QE_LOG_BORN];
    const char *known, *after;
    PyObject *list;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "ss", &known, &after)) {
        return NULL;
    }
    if (strlen(known) >= sizeof(born) || strlen(after) >= QE_LOG_ENTRY) {
        return queue_raise(QE_EINVAL, "this is no place in a log");
    }
    PyOS_snprintf(born, sizeof(born), "%s", known);
    list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    WAITING(self, status = qe__log_read(r, born, after, add_entry, list));
    if (status != 0) {
        Py_DECREF(list);
        return queue_failed(r, status);
    }
    return Py_BuildValue("(sN)", born, list);
}

static int add_held(void *list, const void *id, size_t id_size,
                    const void *value, size_t size)
{
    PyGILState_STATE state = PyGILState_Ensure();
    int status =
        queue_append(list, Py_BuildValue("(y#y#)", id, (Py_ssize_t) id_size,
                                         value, (Py_ssize_t) size));

    PyGILState_Release(state);
    return status == 0 ? 0 : QE_ENOMEM;
}

PyObject *queue_log_held(PyObject *self, PyObject *unused)
{
    qe__reader *r = queue_reader_of(self);
    PyObject *list;
    int status;

    (void) unused;
    if (r == NULL || (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    WAITING(self, status = qe__log_held(r, add_held, list));
    if (status != 0) {
        Py_DECREF(list);
        return queue_failed(r, status);
    }
    return list;
}

PyObject *queue_log_hold(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    const char *id, *value;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "yy", &id, &value)) {
        return NULL;
    }
    WAITING(self, status = qe__log_hold(r, id, value));
    if (status != 0) {
        return queue_failed(r, status);
    }
    Py_RETURN_NONE;
}

PyObject *queue_log_release(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    const char *id;
    bool gone;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "y", &id)) {
        return NULL;
    }
    WAITING(self, status = qe__log_release(r, id, &gone));
    return status == 0 ? PyBool_FromLong(gone) : queue_failed(r, status);
}
