/* Types and their objects: what both extensions are made with. */
#include "core.h"

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
