/* What qe_stats.h says of the order of results, and of a whole suite: conversion
 * of arguments and results. */
#include "core.h"

#include <stdlib.h>

static PyObject *stats_runs_test(PyObject *module, PyObject *args)
{
    long long failures, passes, runs;
    double few, many;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "LLL", &failures, &passes, &runs)) {
        return NULL;
    }
    status = qe_runs_test(failures, passes, runs, &few, &many);
    return status == 0 ? Py_BuildValue("(dd)", few, many) : core_raise(status);
}

static PyObject *stats_markov(PyObject *module, PyObject *args)
{
    const char *results;
    Py_ssize_t n;
    qe_markov m;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "y#", &results, &n)) {
        return NULL;
    }
    status = qe_markov_of((const uint8_t *) results, (size_t) n, &m);
    if (status != 0) {
        return core_raise(status);
    }
    return Py_BuildValue("(dddddd)", m.after_failure, m.after_pass, m.lambda,
                         m.lag1, m.g2, m.p);
}

static PyObject *change_tuple(const qe_change *c)
{
    return Py_BuildValue("(ddLdd)", c->statistic, c->p, (long long) c->at,
                         c->before, c->after);
}

/* A count of the host's, as the core's narrower one. */
static uint32_t narrow(long long count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t) count;
}

static PyObject *stats_change_point(PyObject *module, PyObject *args)
{
    unsigned long long seed;
    long long permutations;
    const char *results;
    Py_ssize_t n;
    qe_change c;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "y#KL", &results, &n, &seed, &permutations)) {
        return NULL;
    }
    if (permutations < 0) {
        return core_raise(QE_EINVAL);
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_change_point((const uint8_t *) results, (size_t) n, seed,
                             narrow(permutations), &c);
    Py_END_ALLOW_THREADS
    return status == 0 ? change_tuple(&c) : core_raise(status);
}

static PyObject *shape_tuple(const qe_shape_verdict *v)
{
    return Py_BuildValue("(sLLLddddNdd)", qe_shape_name(v->shape),
                         (long long) v->failures, (long long) v->passes,
                         (long long) v->runs, v->p_few, v->p_many, v->p_change,
                         v->p_least, change_tuple(&v->change), v->ln_markov,
                         v->ln_change);
}

static PyObject *stats_shape(PyObject *module, PyObject *args)
{
    unsigned long long seed;
    long long permutations;
    qe_shape_verdict v;
    const char *results;
    Py_ssize_t n;
    double alpha;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "y#dKL", &results, &n, &alpha, &seed,
                          &permutations)) {
        return NULL;
    }
    if (permutations < 0) {
        return core_raise(QE_EINVAL);
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_shape_of((const uint8_t *) results, (size_t) n, alpha, seed,
                         narrow(permutations), &v);
    Py_END_ALLOW_THREADS
    return status == 0 ? shape_tuple(&v) : core_raise(status);
}

static PyObject *analysis_tuple(const qe_analysis *a)
{
    const qe_flakiness *f = &a->flakiness;

    return Py_BuildValue(
        "(kkdNs(dd)(dd)(dd)(dd)dNN)", (unsigned long) f->failures,
        (unsigned long) f->passes, f->score, PyBool_FromLong(f->is_flaky),
        qe_pattern_name(f->pattern), a->jeffreys.low, a->jeffreys.high,
        a->clopper_pearson.low, a->clopper_pearson.high, a->wilson.low,
        a->wilson.high, a->sequence.low, a->sequence.high, a->ln_e,
        PyBool_FromLong(a->confirmed), shape_tuple(&a->shape));
}

/* The lengths of a list's parts, to be freed, whose sum is `all`; NULL with an
 * exception. */
static size_t *lengths_of(PyObject *list, Py_ssize_t all, Py_ssize_t *count)
{
    Py_ssize_t n = PyList_Size(list), i;
    size_t *out = n < 0 ? NULL : calloc((size_t) n + 1, sizeof(*out));

    if (n >= 0 && out == NULL) {
        (void) PyErr_NoMemory();
    }
    for (i = 0; out != NULL && i < n; i++) {
        PyObject *item = PyList_GetItem(list, i);
        Py_ssize_t length = item == NULL ? -1 : PyLong_AsSsize_t(item);

        if (PyErr_Occurred() == NULL && (length < 0 || length > all)) {
            core_raise(QE_EINVAL);
        }
        if (PyErr_Occurred() != NULL) {
            free(out);
            return NULL;
        }
        out[i] = (size_t) length;
        all -= length;
    }
    *count = n;
    return out;
}

static PyObject *stats_analyse(PyObject *module, PyObject *args)
{
    PyObject *list, *result = NULL;
    qe_analysis *found;
    const char *results;
    Py_ssize_t n, tests;
    size_t *lengths;
    double alpha;
    int status = QE_ENOMEM;

    (void) module;
    if (!PyArg_ParseTuple(args, "y#Od", &results, &n, &list, &alpha) ||
        (lengths = lengths_of(list, n, &tests)) == NULL) {
        return NULL;
    }
    found = calloc((size_t) tests + 1, sizeof(*found));
    if (found != NULL) {
        Py_BEGIN_ALLOW_THREADS
        status = qe_stats_analyse((const uint8_t *) results, lengths,
                                  (size_t) tests, alpha, found);
        Py_END_ALLOW_THREADS
    }
    result = status == 0 ? PyList_New(tests) : core_raise(status);
    for (Py_ssize_t i = 0; result != NULL && i < tests; i++) {
        PyObject *one = analysis_tuple(&found[i]);

        if (one == NULL || PyList_SetItem(result, i, one) != 0) {
            Py_CLEAR(result);
        }
    }
    free(found);
    free(lengths);
    return result;
}

static PyMethodDef functions[] = {
    {"runs_test", stats_runs_test, METH_VARARGS, NULL},
    {"markov", stats_markov, METH_VARARGS, NULL},
    {"change_point", stats_change_point, METH_VARARGS, NULL},
    {"shape", stats_shape, METH_VARARGS, NULL},
    {"analyse", stats_analyse, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int core_add_patterns(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
