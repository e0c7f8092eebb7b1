/* Types, their objects, and lists: what both extensions are made with. */
#include "core.h"

#include <stdlib.h>

void core_release(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_slot = (freefunc) PyType_GetSlot(type, Py_tp_free);

    free_slot(self);
    Py_DECREF(type);
}

PyObject *core_new_object(PyObject *module, const char *name)
{
    PyTypeObject *type = (PyTypeObject *) PyObject_GetAttrString(module, name);
    PyObject *self;

    if (type == NULL) {
        return NULL;
    }
    self = ((allocfunc) PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    Py_DECREF(type);
    return self;
}

PyObject *core_new_self(PyTypeObject *type)
{
    return ((allocfunc) PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

int core_add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    int status;

    if (type == NULL) {
        return -1;
    }
    status = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return status;
}

/* The bytes of each item, borrowed; the list must live on. */
const char **core_strings_of(PyObject *list, Py_ssize_t n)
{
    const char **out = calloc((size_t) n + 1, sizeof(*out));

    if (out == NULL) {
        (void) PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyList_GetItem(list, i);

        out[i] = item == NULL ? NULL : PyBytes_AsString(item);
        if (out[i] == NULL) {
            free(out);
            return NULL;
        }
    }
    return out;
}
