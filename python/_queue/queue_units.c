/* The units of a node's plan, from Python's lists; see queue_units.h. */
#include "queue_units.h"

#include <stdlib.h>

void queue_forget_units(struct queue_units *u)
{
    Py_CLEAR(u->ids);
    free(u->at);
    u->at = NULL;
}

static PyObject *id_of(PyObject *item)
{
    if (item != NULL && PyUnicode_Check(item)) {
        return PyUnicode_AsEncodedString(item, "utf-8", "surrogatepass");
    }
    Py_XINCREF(item);
    return item;
}

static bool number_of(PyObject *list, Py_ssize_t i, uint64_t most,
                      uint64_t *out)
{
    PyObject *item = PySequence_GetItem(list, i);

    if (item == NULL) {
        return false;
    }
    *out = PyLong_AsUnsignedLongLong(item);
    Py_DECREF(item);
    if (*out == (uint64_t) -1 && PyErr_Occurred()) {
        return false;
    }
    if (*out > most) {
        PyErr_SetString(PyExc_OverflowError,
                        "the number of a unit is too large");
        return false;
    }
    return true;
}

static bool read_unit(struct queue_units *u, Py_ssize_t i, PyObject *ids,
                      PyObject *const lists[3])
{
    uint64_t numbers[3];
    PyObject *item = PySequence_GetItem(ids, i);
    PyObject *id = id_of(item);
    char *bytes;

    Py_XDECREF(item);
    if (id == NULL) {
        return false;
    }
    if (PyBytes_AsStringAndSize(id, &bytes, NULL) != 0) {
        Py_DECREF(id); /* no bytes, or a NUL in them */
        return false;
    }
    u->at[i].id = bytes;
    if (PyList_SetItem(u->ids, i, id) != 0) {
        return false;
    }
    for (int k = 0; k < 3; k++) {
        if (!number_of(lists[k], i, k == 2 ? UINT64_MAX : UINT32_MAX,
                       &numbers[k])) {
            return false;
        }
    }
    u->at[i].scope = (uint32_t) numbers[0];
    u->at[i].flags = (uint32_t) numbers[1];
    u->at[i].expected_ns = numbers[2];
    return true;
}

int queue_read_units(struct queue_units *u, PyObject *ids,
                     PyObject *const lists[3])
{
    u->ids = NULL;
    u->at = NULL;
    u->count = PySequence_Size(ids);
    if (u->count < 0) {
        return -1;
    }
    for (int k = 0; k < 3; k++) {
        Py_ssize_t n = PySequence_Size(lists[k]);

        if (n < 0) {
            return -1;
        }
        if (n != u->count) {
            PyErr_SetString(PyExc_ValueError,
                            "ids, scopes, flags and expected_ns differ in "
                            "their lengths");
            return -1;
        }
    }
    if ((uint64_t) u->count > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "too many units");
        return -1;
    }
    u->ids = PyList_New(u->count);
    u->at = calloc((size_t) u->count + 1, sizeof(*u->at));
    if (u->ids == NULL || u->at == NULL) {
        if (!PyErr_Occurred()) {
            (void) PyErr_NoMemory();
        }
        queue_forget_units(u);
        return -1;
    }
    for (Py_ssize_t i = 0; i < u->count; i++) {
        if (!read_unit(u, i, ids, lists)) {
            queue_forget_units(u);
            return -1;
        }
    }
    return 0;
}
