/* The statistics of qe_stats.h: conversion of their arguments and results. */
#include "core.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- intervals */

typedef int interval_function(int64_t, int64_t, double, qe_interval *);

static PyObject *interval(PyObject *args, interval_function *function)
{
    long long failures, passes;
    double alpha;
    qe_interval found;
    int status;

    if (!PyArg_ParseTuple(args, "LLd", &failures, &passes, &alpha)) {
        return NULL;
    }
    status = function(failures, passes, alpha, &found);
    if (status != 0) {
        return core_raise(status);
    }
    return Py_BuildValue("(dd)", found.low, found.high);
}

#define INTERVAL(name)                                                         \
    static PyObject *stats_##name(PyObject *module, PyObject *args)            \
    {                                                                          \
        (void) module;                                                         \
        return interval(args, qe_interval_##name);                             \
    }
INTERVAL(jeffreys)
INTERVAL(jeffreys_clamped)
INTERVAL(clopper_pearson)
INTERVAL(wilson)
INTERVAL(sequence)
#undef INTERVAL

/* ------------------------------------------------------------------- budget */

static PyObject *stats_runs_to_see(PyObject *module, PyObject *args)
{
    double rate, alpha;
    int64_t runs;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "dd", &rate, &alpha)) {
        return NULL;
    }
    status = qe_runs_to_see(rate, alpha, &runs);
    return status == 0 ? PyLong_FromLongLong(runs) : core_raise(status);
}

static PyObject *stats_power_of_runs(PyObject *module, PyObject *args)
{
    double rate, power;
    long long runs;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "dL", &rate, &runs)) {
        return NULL;
    }
    status = qe_power_of_runs(rate, runs, &power);
    return status == 0 ? PyFloat_FromDouble(power) : core_raise(status);
}

static PyObject *stats_rate_seen(PyObject *module, PyObject *args)
{
    double rate, alpha;
    long long runs;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "Ld", &runs, &alpha)) {
        return NULL;
    }
    status = qe_rate_seen(runs, alpha, &rate);
    return status == 0 ? PyFloat_FromDouble(rate) : core_raise(status);
}

/* --------------------------------------------------------------- sequential */

typedef struct Sprt {
    PyObject_HEAD
    qe_sprt sprt;
} Sprt;

static PyObject *Sprt_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    double rate0, rate1, alpha, beta;
    qe_sprt sprt;
    Sprt *self;
    int status;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "dddd", &rate0, &rate1, &alpha, &beta)) {
        return NULL;
    }
    status = qe_sprt_init(&sprt, rate0, rate1, alpha, beta);
    if (status != 0) {
        return core_raise(status);
    }
    self = (Sprt *) ((allocfunc) PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL) {
        self->sprt = sprt;
    }
    return (PyObject *) self;
}

static PyObject *Sprt_step(PyObject *self, PyObject *args)
{
    int failed, verdict;

    if (!PyArg_ParseTuple(args, "p", &failed)) {
        return NULL;
    }
    verdict = qe_sprt_step(&((Sprt *) self)->sprt, failed != 0);
    return verdict < 0 ? core_raise(verdict) : PyLong_FromLong(verdict);
}

static PyObject *Sprt_state(PyObject *self, PyObject *unused)
{
    const qe_sprt *s = &((Sprt *) self)->sprt;

    (void) unused;
    return Py_BuildValue("(LLdddi)", (long long) s->failures,
                         (long long) s->passes, s->ln_ratio, s->flaky_at,
                         s->stable_at, (int) s->verdict);
}

static PyMethodDef Sprt_methods[] = {
    {"step", Sprt_step, METH_VARARGS, "step(failed) -> verdict"},
    {"state", Sprt_state, METH_NOARGS,
     "(failures, passes, ln_ratio, flaky_at, stable_at, verdict)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Sprt_slots[] = {
    {Py_tp_new, (void *) Sprt_new},
    {Py_tp_dealloc, (void *) core_release},
    {Py_tp_methods, Sprt_methods},
    {Py_tp_doc, "Sprt(rate0, rate1, alpha, beta); see qe_stats.h."},
    {0, NULL},
};

static PyType_Spec Sprt_spec = {"pytest_qe._core.Sprt", sizeof(Sprt), 0,
                                Py_TPFLAGS_DEFAULT, Sprt_slots};

typedef int evidence_function(int64_t, int64_t, double, double, double,
                              double *);

static PyObject *evidence(PyObject *args, evidence_function *function)
{
    long long failures, passes;
    double a, b, rate0, ln_e;
    int status;

    if (!PyArg_ParseTuple(args, "LLddd", &failures, &passes, &a, &b, &rate0)) {
        return NULL;
    }
    status = function(failures, passes, a, b, rate0, &ln_e);
    return status == 0 ? PyFloat_FromDouble(ln_e) : core_raise(status);
}

static PyObject *stats_evidence(PyObject *module, PyObject *args)
{
    (void) module;
    return evidence(args, qe_evidence);
}

static PyObject *stats_evidence_flaky(PyObject *module, PyObject *args)
{
    (void) module;
    return evidence(args, qe_evidence_flaky);
}

/* ----------------------------------------------------------------- multiple */

/* The numbers of a list, to be freed; NULL with an exception. */
static double *numbers_of(PyObject *list, Py_ssize_t *count)
{
    Py_ssize_t n = PyList_Size(list);
    double *out = n < 0 ? NULL : calloc((size_t) n + 1, sizeof(*out));

    if (n >= 0 && out == NULL) {
        (void) PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; out != NULL && i < n; i++) {
        PyObject *item = PyList_GetItem(list, i);

        out[i] = item == NULL ? -1 : PyFloat_AsDouble(item);
        if (PyErr_Occurred() != NULL) {
            free(out);
            return NULL;
        }
    }
    *count = n;
    return out;
}

static PyObject *number_list(const double *values, Py_ssize_t n)
{
    PyObject *list = PyList_New(n);

    for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
        PyObject *v = PyFloat_FromDouble(values[i]);

        if (v == NULL || PyList_SetItem(list, i, v) != 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *stats_ebh(PyObject *module, PyObject *args)
{
    PyObject *list, *result = NULL;
    double alpha, *ln_e;
    bool *confirmed;
    Py_ssize_t n, tests;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "Ond", &list, &tests, &alpha) ||
        (ln_e = numbers_of(list, &n)) == NULL) {
        return NULL;
    }
    confirmed = calloc((size_t) n + 1, sizeof(*confirmed));
    if (confirmed == NULL) {
        status = QE_ENOMEM;
    } else if (tests < 0) {
        status = QE_EINVAL;
    } else {
        status =
            qe_ebh(ln_e, (size_t) n, (size_t) tests, alpha, confirmed, NULL);
    }
    result = status == 0 ? PyList_New(n) : core_raise(status);
    for (Py_ssize_t i = 0; result != NULL && i < n; i++) {
        if (PyList_SetItem(result, i, PyBool_FromLong(confirmed[i])) != 0) {
            Py_CLEAR(result);
        }
    }
    free(confirmed);
    free(ln_e);
    return result;
}

static PyObject *adjusted(PyObject *args,
                          int (*function)(const double *, size_t, double *))
{
    PyObject *list, *result;
    Py_ssize_t n;
    double *p;
    int status;

    if (!PyArg_ParseTuple(args, "O", &list) ||
        (p = numbers_of(list, &n)) == NULL) {
        return NULL;
    }
    status = function(p, (size_t) n, p);
    result = status == 0 ? number_list(p, n) : core_raise(status);
    free(p);
    return result;
}

static PyObject *stats_holm(PyObject *module, PyObject *args)
{
    (void) module;
    return adjusted(args, qe_holm);
}

static PyObject *stats_benjamini_hochberg(PyObject *module, PyObject *args)
{
    (void) module;
    return adjusted(args, qe_benjamini_hochberg);
}

/* ----------------------------------------------------------------- contrast */

static PyObject *stats_fisher_exact(PyObject *module, PyObject *args)
{
    long long f1, s1, f2, s2;
    qe_fisher found;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "LLLL", &f1, &s1, &f2, &s2)) {
        return NULL;
    }
    status = qe_fisher_exact(f1, s1, f2, s2, &found);
    if (status != 0) {
        return core_raise(status);
    }
    return Py_BuildValue("(ddd)", found.p_two, found.p_more, found.p_less);
}

static PyMethodDef functions[] = {
    {"jeffreys", stats_jeffreys, METH_VARARGS, NULL},
    {"jeffreys_clamped", stats_jeffreys_clamped, METH_VARARGS, NULL},
    {"clopper_pearson", stats_clopper_pearson, METH_VARARGS, NULL},
    {"wilson", stats_wilson, METH_VARARGS, NULL},
    {"confidence_sequence", stats_sequence, METH_VARARGS, NULL},
    {"runs_to_see", stats_runs_to_see, METH_VARARGS, NULL},
    {"power_of_runs", stats_power_of_runs, METH_VARARGS, NULL},
    {"rate_seen", stats_rate_seen, METH_VARARGS, NULL},
    {"evidence", stats_evidence, METH_VARARGS, NULL},
    {"evidence_flaky", stats_evidence_flaky, METH_VARARGS, NULL},
    {"ebh", stats_ebh, METH_VARARGS, NULL},
    {"holm", stats_holm, METH_VARARGS, NULL},
    {"benjamini_hochberg", stats_benjamini_hochberg, METH_VARARGS, NULL},
    {"fisher_exact", stats_fisher_exact, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int core_add_stats(PyObject *module)
{
    if (core_add_type(module, &Sprt_spec, "Sprt") != 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, functions);
}
