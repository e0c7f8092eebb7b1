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

PyObject *core_list_of(const uint32_t *numbers, size_t n)
{
    PyObject *items = PyList_New((Py_ssize_t) n);

    for (size_t i = 0; items != NULL && i < n; i++) {
        PyObject *number = PyLong_FromUnsignedLong(numbers[i]);

        if (number == NULL ||
            PyList_SetItem(items, (Py_ssize_t) i, number) != 0) {
            Py_DECREF(items);
            return NULL;
        }
    }
    return items;
}

PyObject *core_index(uint32_t number)
{
    if (number == UINT32_MAX) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLong(number);
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
    static char *names[] = {"groups",  "seconds_each", "executions", "seconds",
                            "alpha",   "seed",         "servers",    "pairs",
                            "rates_a", "rates_b",      "apart",      NULL};
    PyObject *groups, *each;
    qe_hunt_options options = {0};
    unsigned long long seed;
    uint32_t *numbers;
    double *seconds;
    size_t n = 0;
    Hunt *self;
    int status, pairs, apart = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOdddKIpdd|p", names,
                                     &groups, &each, &options.executions,
                                     &options.seconds, &options.alpha, &seed,
                                     &options.servers, &pairs, &options.rates_a,
                                     &options.rates_b, &apart)) {
        return NULL;
    }
    options.seed = seed;
    options.pairs = pairs != 0;
    options.apart = apart != 0;
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
    if (status != 1) {
        return core_not_now(status);
    }
    items = core_list_of(pass.items, pass.n);
    return items == NULL
               ? NULL
               : Py_BuildValue("(IsKNIINN)", pass.number,
                               qe_condition_name(pass.condition),
                               (unsigned long long) pass.seed,
                               core_index(pass.repeats), pass.server,
                               pass.files, core_index(pass.partner), items);
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

static PyObject *Hunt_known(PyObject *self, PyObject *args)
{
    unsigned int item;
    unsigned long long failures, passes;

    if (!PyArg_ParseTuple(args, "IKK", &item, &failures, &passes)) {
        return NULL;
    }
    return core_done(
        qe_hunt_known(((Hunt *) self)->hunt, item, failures, passes));
}

static PyObject *rates_fit(PyObject *module, PyObject *list)
{
    Py_ssize_t n = PySequence_Size(list);
    uint64_t *failures, *passes;
    double a, b;
    int status = QE_ENOMEM;

    (void) module;
    if (n < 0) {
        return NULL;
    }
    failures = malloc(((size_t) n + 1) * sizeof(*failures));
    passes = malloc(((size_t) n + 1) * sizeof(*passes));
    for (Py_ssize_t i = 0; failures != NULL && passes != NULL && i < n; i++) {
        PyObject *pair = PySequence_GetItem(list, i);
        unsigned long long f = 0, p = 0;

        if (pair == NULL || !PyArg_ParseTuple(pair, "KK", &f, &p)) {
            Py_XDECREF(pair);
            free(failures);
            free(passes);
            return NULL;
        }
        Py_DECREF(pair);
        failures[i] = f;
        passes[i] = p;
    }
    if (failures != NULL && passes != NULL) {
        status = qe_rates_fit(failures, passes, (size_t) n, &a, &b);
    }
    free(failures);
    free(passes);
    if (status == QE_ENOTFOUND) {
        Py_RETURN_NONE;
    }
    return status == 0 ? Py_BuildValue("(dd)", a, b) : core_raise(status);
}

static PyMethodDef functions[] = {
    {"rates_fit", rates_fit, METH_O,
     "rates_fit([(failures, passes)]) -> (a, b) of Beta(a, b), or None"},
    {NULL, NULL, 0, NULL},
};

static PyObject *Hunt_more(PyObject *self, PyObject *args)
{
    unsigned int item;
    int result;

    if (!PyArg_ParseTuple(args, "Ii", &item, &result)) {
        return NULL;
    }
    return core_done(qe_hunt_more(((Hunt *) self)->hunt, item, result));
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
     "next() -> (number, condition, seed, repeats | None, server, files | "
     "None, "
     "partner | None, items); None: not before a pass is over; False: the hunt "
     "is over"},
    {"result", Hunt_result, METH_VARARGS,
     "result(pass_, item, result, seconds)\n\n1 passed, 0 failed, 2 neither"},
    {"known", Hunt_known, METH_VARARGS,
     "known(item, failures, passes)\n\nFrom runs before; before the first "
     "pass"},
    {"more", Hunt_more, METH_VARARGS,
     "more(item, result)\n\nAn execution of an inquiry: 1 passed, 0 failed"},
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
     "Hunt(groups, seconds_each, executions, seconds, alpha, seed, servers, "
     "pairs, rates_a, rates_b)\n\nThe strategy of a flaky hunt; see "
     "qe_hunt.h."},
    {0, NULL},
};

static PyType_Spec Hunt_spec = {"pytest_qe._core.Hunt", sizeof(Hunt), 0,
                                Py_TPFLAGS_DEFAULT, Hunt_slots};

int core_add_hunt(PyObject *module)
{
    return core_add_type(module, &Hunt_spec, "Hunt") != 0
               ? -1
               : PyModule_AddFunctions(module, functions);
}
