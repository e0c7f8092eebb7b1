/* Hunt: where a flaky hunt spends its runs (qe_hunt.h). */
#include "core.h"

#include <stdlib.h>

typedef struct Hunt {
    PyObject_HEAD
    qe_hunt *hunt;
} Hunt;

uint32_t *core_numbers(PyObject *list, size_t *n)
{
    Py_ssize_t count = PySequence_Size(list);
    uint32_t *numbers;

    if (count < 0) {
        return NULL;
    }
    numbers = malloc(((size_t) count + 1) * sizeof(*numbers));
    if (numbers == NULL) {
        (void) PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(list, i);
        unsigned long number = item == NULL ? 0 : PyLong_AsUnsignedLong(item);

        Py_XDECREF(item);
        if (PyErr_Occurred() == NULL && number > UINT32_MAX) {
            PyErr_SetString(PyExc_OverflowError, "a number above 2**32 - 1");
        }
        if (PyErr_Occurred() != NULL) {
            free(numbers);
            return NULL;
        }
        numbers[i] = (uint32_t) number;
    }
    *n = (size_t) count;
    return numbers;
}

/* As many seconds as there are groups. */
static double *seconds_of(PyObject *list, size_t n)
{
    double *seconds = malloc((n + 1) * sizeof(*seconds));

    if (seconds == NULL) {
        (void) PyErr_NoMemory();
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(list, (Py_ssize_t) i);

        seconds[i] = item == NULL ? 0 : PyFloat_AsDouble(item);
        Py_XDECREF(item);
        if (PyErr_Occurred() != NULL) {
            free(seconds);
            return NULL;
        }
    }
    return seconds;
}

static PyObject *Hunt_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"groups", "seconds_each", "executions", "seconds",
                            "alpha",  "seed",         NULL};
    PyObject *groups, *each;
    qe_hunt_options options = {0};
    unsigned long long seed;
    uint32_t *numbers;
    double *seconds;
    size_t n = 0;
    Hunt *self;
    int status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOdddK", names, &groups,
                                     &each, &options.executions,
                                     &options.seconds, &options.alpha, &seed)) {
        return NULL;
    }
    options.seed = seed;
    numbers = core_numbers(groups, &n);
    if (numbers == NULL) {
        return NULL;
    }
    seconds = seconds_of(each, n);
    self = seconds == NULL ? NULL : (Hunt *) core_new_self(type);
    status = self == NULL
                 ? 0
                 : qe_hunt_new(&self->hunt, numbers, seconds, n, &options);
    free(numbers);
    free(seconds);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void Hunt_dealloc(PyObject *self)
{
    qe_hunt_free(((Hunt *) self)->hunt);
    core_release(self);
}

static PyObject *Hunt_next(PyObject *self, PyObject *unused)
{
    qe_hunt_pass pass;
    PyObject *items;
    int status = qe_hunt_next(((Hunt *) self)->hunt, &pass);

    (void) unused;
    if (status == QE_EGONE) {
        Py_RETURN_FALSE;
    }
    if (status < 0) {
        return core_raise(status);
    }
    if (status == 0) {
        Py_RETURN_NONE;
    }
    items = PyList_New((Py_ssize_t) pass.n);
    for (size_t i = 0; items != NULL && i < pass.n; i++) {
        PyObject *number = PyLong_FromUnsignedLong(pass.items[i]);

        if (number == NULL ||
            PyList_SetItem(items, (Py_ssize_t) i, number) != 0) {
            Py_DECREF(items);
            return NULL;
        }
    }
    if (items == NULL) {
        return NULL;
    }
    if (pass.repeats == UINT32_MAX) {
        return Py_BuildValue("(IsKON)", pass.number,
                             qe_condition_name(pass.condition),
                             (unsigned long long) pass.seed, Py_None, items);
    }
    return Py_BuildValue("(IsKIN)", pass.number,
                         qe_condition_name(pass.condition),
                         (unsigned long long) pass.seed, pass.repeats, items);
}

static PyObject *Hunt_result(PyObject *self, PyObject *args)
{
    unsigned int pass, item;
    double seconds;
    int result;

    if (!PyArg_ParseTuple(args, "IIid", &pass, &item, &result, &seconds)) {
        return NULL;
    }
    return core_done(
        qe_hunt_result(((Hunt *) self)->hunt, pass, item, result, seconds));
}

static PyObject *Hunt_over(PyObject *self, PyObject *args)
{
    unsigned int pass;
    double beside;

    if (!PyArg_ParseTuple(args, "Id", &pass, &beside)) {
        return NULL;
    }
    return core_done(qe_hunt_over(((Hunt *) self)->hunt, pass, beside));
}

static PyObject *Hunt_test(PyObject *self, PyObject *args)
{
    unsigned int item;
    qe_hunt_test found;
    int status;

    if (!PyArg_ParseTuple(args, "I", &item)) {
        return NULL;
    }
    status = qe_hunt_test_of(((Hunt *) self)->hunt, item, &found);
    if (status != 0) {
        return core_raise(status);
    }
    return Py_BuildValue("(sIIIId)", qe_verdict_name(found.verdict),
                         found.failures, found.passes, found.fresh_failures,
                         found.fresh_passes, found.ln_evidence);
}

static PyObject *Hunt_spent(PyObject *self, PyObject *unused)
{
    (void) unused;
    return PyLong_FromUnsignedLongLong(qe_hunt_spent(((Hunt *) self)->hunt));
}

static PyMethodDef Hunt_methods[] = {
    {"next", Hunt_next, METH_NOARGS,
     "next() -> (number, condition, seed, repeats | None, items); None: not "
     "before a pass is over; False: the hunt is over"},
    {"result", Hunt_result, METH_VARARGS,
     "result(pass_, item, result, seconds)\n\n1 passed, 0 failed, 2 neither"},
    {"over", Hunt_over, METH_VARARGS, "over(pass_, seconds beside its tests)"},
    {"test", Hunt_test, METH_VARARGS,
     "test(item) -> (verdict, failures, passes, fresh failures, fresh passes, "
     "ln evidence)"},
    {"spent", Hunt_spent, METH_NOARGS, "spent() -> executions"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Hunt_slots[] = {
    {Py_tp_new, (void *) Hunt_new},
    {Py_tp_dealloc, (void *) Hunt_dealloc},
    {Py_tp_methods, Hunt_methods},
    {Py_tp_doc,
     "Hunt(groups, seconds_each, executions, seconds, alpha, seed)\n\nThe "
     "strategy of a flaky hunt; see qe_hunt.h."},
    {0, NULL},
};

static PyType_Spec Hunt_spec = {"pytest_qe._core.Hunt", sizeof(Hunt), 0,
                                Py_TPFLAGS_DEFAULT, Hunt_slots};

int core_add_hunt(PyObject *module)
{
    return core_add_type(module, &Hunt_spec, "Hunt");
}
