/* The module. Where the libraries that it needs were missing, QE_MISSING says so, and this file
 * is all there is of it. */
#include "queue_types.h"

#ifdef QE_MISSING

static int exec_module(PyObject *m)
{
    (void) m;
    PyErr_SetString(PyExc_ImportError, QE_MISSING);
    return -1;
}

#else

PyObject *queue_raise(int code, const char *text)
{
    PyObject *errors, *result;

    if (code == QE_ENOMEM) {
        return PyErr_NoMemory();
    }
    errors = PyImport_ImportModule("pytest_qe.errors");
    if (errors == NULL) {
        return NULL;
    }
    /* A line from a server may hold any bytes. */
    result = PyObject_CallMethod(
        errors, "from_queue", "iy", code,
        text != NULL && text[0] != '\0' ? text : qe_strerror(code));
    Py_DECREF(errors);
    if (result != NULL) {
        PyErr_SetObject((PyObject *) Py_TYPE(result), result);
        Py_DECREF(result);
    }
    return NULL;
}

static int exec_module(PyObject *m)
{
    return queue_add_node(m) || queue_add_reader(m) || queue_add_source(m) ? -1
                                                                           : 0;
}

#endif

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *) exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "pytest_qe._queue",
    .m_doc = "Runs across machines (csrc/queue), converted and wired.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__queue(void);
PyMODINIT_FUNC PyInit__queue(void)
{
    return PyModuleDef_Init(&definition);
}
