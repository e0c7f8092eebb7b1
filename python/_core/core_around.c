/* What is changed around a pass, from names and back (qe_around.h). */
#include "core.h"

/* The flag of a name; 0 with an exception. */
static uint32_t flag_of(PyObject *name)
{
    PyObject *text = PyUnicode_AsUTF8String(name);
    uint32_t flag = text == NULL ? 0 : qe_around_flag(PyBytes_AsString(text));

    Py_XDECREF(text);
    if (flag == 0 && PyErr_Occurred() == NULL) {
        PyErr_Format(PyExc_ValueError, "%R is no change around a pass", name);
    }
    return flag;
}

/* A number that goes with a flag; -1 with an exception. */
static int number_of(PyObject *value, uint32_t *out)
{
    unsigned long number = PyLong_AsUnsignedLong(value);

    if (PyErr_Occurred() == NULL && number > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a number above 2**32 - 1");
    }
    *out = (uint32_t) number;
    return PyErr_Occurred() == NULL ? 0 : -1;
}

int core_around_of(PyObject *dict, qe_around *out)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;

    *out = (qe_around){0};
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "around: a dict, or None");
        return -1;
    }
    while (PyDict_Next(dict, &at, &name, &value)) {
        uint32_t flag = flag_of(name);
        int wanted = flag == 0 ? -1 : 1;

        if (flag == QE_FILES) {
            wanted = number_of(value, &out->files) == 0 ? 1 : -1;
        } else if (flag == QE_PARTNER) {
            wanted = number_of(value, &out->partner) == 0 ? 1 : -1;
        } else if (flag == QE_CLOCK) {
            out->clock_s = PyFloat_AsDouble(value);
            wanted = PyErr_Occurred() == NULL ? 1 : -1;
        } else if (flag != 0) {
            wanted = PyObject_IsTrue(value);
        }
        if (wanted < 0) {
            return -1;
        }
        out->flags |= wanted ? flag : 0;
    }
    return 0;
}

int core_around_flags(PyObject *names, uint32_t *out)
{
    Py_ssize_t n = PySequence_Size(names);

    *out = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *name = PySequence_GetItem(names, i);
        uint32_t flag = name == NULL ? 0 : flag_of(name);

        Py_XDECREF(name);
        if (flag == 0) {
            return -1;
        }
        *out |= flag;
    }
    return n < 0 ? -1 : 0;
}

PyObject *core_around_names(uint32_t flags)
{
    PyObject *list = PyList_New(0);

    for (uint32_t flag = 1; list != NULL && flag != 0 && flag <= flags;
         flag <<= 1) {
        const char *name = qe_around_name(flags & flag);
        PyObject *text = name == NULL ? NULL : PyUnicode_FromString(name);

        if (text != NULL && PyList_Append(list, text) == 0) {
            Py_DECREF(text);
        } else if (name != NULL) {
            Py_XDECREF(text);
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

PyObject *core_around_dict(const qe_around *around)
{
    PyObject *dict = PyDict_New();

    for (uint32_t flag = 1; dict != NULL && flag != 0 && flag <= around->flags;
         flag <<= 1) {
        const char *name = qe_around_name(around->flags & flag);
        PyObject *value;

        if (name == NULL) {
            continue;
        }
        value = flag == QE_FILES     ? PyLong_FromUnsignedLong(around->files)
                : flag == QE_PARTNER ? PyLong_FromUnsignedLong(around->partner)
                : flag == QE_CLOCK   ? PyFloat_FromDouble(around->clock_s)
                                     : PyBool_FromLong(1);
        if (value == NULL || PyDict_SetItemString(dict, name, value) != 0) {
            Py_XDECREF(value);
            Py_DECREF(dict);
            return NULL;
        }
        Py_DECREF(value);
    }
    return dict;
}

static PyObject *attempt_seed(PyObject *module, PyObject *args)
{
    unsigned long long seed;
    unsigned int key, nth;

    (void) module;
    if (!PyArg_ParseTuple(args, "KII", &seed, &key, &nth)) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(qe_attempt_seed(seed, key, nth));
}

static PyMethodDef functions[] = {
    {"attempt_seed", attempt_seed, METH_VARARGS,
     "attempt_seed(pass_seed, key, nth) -> seed"},
    {NULL, NULL, 0, NULL},
};

int core_add_around(PyObject *module)
{
    PyObject *names = core_around_names(QE_TMP_BY_NAME - 1);

    /* PyModule_AddObject takes it, unless it fails. */
    if (names == NULL || PyModule_AddObject(module, "AROUND", names) != 0) {
        Py_XDECREF(names);
        return -1;
    }
    return PyModule_AddFunctions(module, functions);
}
