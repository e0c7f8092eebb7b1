/* Inquiry: why a test is flaky; Turns: which of several is asked next (qe_cause.h). */
#include "core.h"

#include <stdlib.h>

typedef struct Inquiry {
    PyObject_HEAD
    qe_inquiry *inquiry;
} Inquiry;

/* (items, seed, server, started_s), or None for no such pass: 0, or -1 with an
 * exception. The items are to be freed. */
static int context_of(PyObject *tuple, qe_context *out)
{
    PyObject *items;
    unsigned long long seed;
    uint32_t *numbers;

    *out = (qe_context){0};
    if (tuple == Py_None) {
        return 0;
    }
    if (!PyArg_ParseTuple(tuple, "OKId", &items, &seed, &out->server,
                          &out->started_s)) {
        return -1;
    }
    numbers = core_numbers(items, &out->n);
    if (numbers == NULL) {
        return -1;
    }
    out->seed = seed;
    out->items = numbers;
    return 0;
}

static void release(const uint32_t *numbers)
{
    free((void *) (uintptr_t) numbers);
}

static PyObject *Inquiry_new(PyTypeObject *type, PyObject *args,
                             PyObject *kwargs)
{
    static char *names[] = {"test",       "failed",  "passed",     "all",
                            "neighbours", "servers", "forbidden",  "rate",
                            "alpha",      "seed",    "order_only", NULL};
    PyObject *failed, *passed, *all, *neighbours, *forbidden;
    qe_inquiry_options o = {0};
    unsigned long long seed;
    Inquiry *self = NULL;
    int order_only, status = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IOOOOIOddKp", names,
                                     &o.test, &failed, &passed, &all,
                                     &neighbours, &o.servers, &forbidden,
                                     &o.rate, &o.alpha, &seed, &order_only)) {
        return NULL;
    }
    o.seed = seed;
    o.most = QE_INQUIRY_MOST;
    if (core_around_flags(forbidden, &o.forbidden) == 0 &&
        context_of(failed, &o.failed) == 0 &&
        context_of(passed, &o.passed) == 0) {
        o.all = core_numbers(all, &o.all_n);
        o.neighbours =
            o.all == NULL ? NULL : core_numbers(neighbours, &o.neighbours_n);
        if (o.neighbours != NULL) {
            self = (Inquiry *) core_new_self(type);
        }
    }
    if (self != NULL) {
        status = order_only ? qe_inquiry_of_order(&self->inquiry, &o)
                            : qe_inquiry_new(&self->inquiry, &o);
    }
    release(o.failed.items);
    release(o.passed.items);
    release(o.all);
    release(o.neighbours);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void Inquiry_dealloc(PyObject *self)
{
    qe_inquiry_free(((Inquiry *) self)->inquiry);
    core_release(self);
}

static PyObject *probe_dict(const qe_probe *p)
{
    static const char *const beside[] = {[QE_NOTHING_BESIDE] = "",
                                         [QE_THEN] = "then",
                                         [QE_MEANWHILE] = "meanwhile",
                                         [QE_EXCLUSIVE] = "exclusive"};
    PyObject *items = core_list_of(p->items, p->n);
    PyObject *others =
        items == NULL ? NULL : core_list_of(p->others, p->others_n);
    PyObject *around = others == NULL ? NULL : core_around_names(p->around);

    if (around == NULL) {
        Py_XDECREF(items);
        Py_XDECREF(others);
        return NULL;
    }
    return Py_BuildValue("{s:I,s:s,s:N,s:s,s:N,s:K,s:I,s:N,s:d,s:O}", "number",
                         p->number, "name", p->name, "items", items, "beside",
                         beside[p->beside], "others", others, "seed",
                         (unsigned long long) p->seed, "server", p->server,
                         "around", around, "clock", p->clock_s, "left_files",
                         p->left_files ? Py_True : Py_False);
}

static PyObject *Inquiry_next(PyObject *self, PyObject *unused)
{
    qe_probe probe;
    int status = qe_inquiry_next(((Inquiry *) self)->inquiry, &probe);

    (void) unused;
    if (status != 1) {
        return core_not_now(status);
    }
    return probe_dict(&probe);
}

static PyObject *Inquiry_result(PyObject *self, PyObject *args)
{
    unsigned int probe;
    double started_s;
    int result;

    if (!PyArg_ParseTuple(args, "Iid", &probe, &result, &started_s)) {
        return NULL;
    }
    return core_done(qe_inquiry_result(((Inquiry *) self)->inquiry, probe,
                                       result, started_s));
}

static PyObject *Inquiry_finding(PyObject *self, PyObject *unused)
{
    PyObject *culprits, *proof = Py_None;
    qe_finding f;
    int status = qe_inquiry_finding(((Inquiry *) self)->inquiry, &f);

    (void) unused;
    if (status != 0) {
        return core_raise(status);
    }
    culprits = core_list_of(f.culprits, f.culprits_n);
    if (culprits == NULL) {
        return NULL;
    }
    if (f.has_proof) {
        proof = probe_dict(&f.proof);
        if (proof == NULL) {
            Py_DECREF(culprits);
            return NULL;
        }
    } else {
        Py_INCREF(proof);
    }
    return Py_BuildValue(
        "{s:s,s:d,s:z,s:z,s:(II),s:(II),s:N,s:N,s:I,s:I,s:I}", "cause",
        qe_cause_name(f.cause), "p", f.p, "with_name", f.with, "without_name",
        f.without, "with_counts", f.with_failed, f.with_passed,
        "without_counts", f.without_failed, f.without_passed, "culprits",
        culprits, "proof", proof, "proof_failed", f.proof_failed, "proof_runs",
        f.proof_runs, "probes", f.probes);
}

static PyMethodDef Inquiry_methods[] = {
    {"next", Inquiry_next, METH_NOARGS,
     "next() -> a probe (see _core.pyi); None: not before a result is there; "
     "False: it is over"},
    {"result", Inquiry_result, METH_VARARGS,
     "result(probe, result, started_s)\n\n1 passed, 0 failed, 2 neither"},
    {"finding", Inquiry_finding, METH_NOARGS,
     "finding() -> what is known by now (see _core.pyi)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Inquiry_slots[] = {
    {Py_tp_new, (void *) Inquiry_new},
    {Py_tp_dealloc, (void *) Inquiry_dealloc},
    {Py_tp_methods, Inquiry_methods},
    {Py_tp_doc,
     "Inquiry(test, failed, passed, all, neighbours, servers, forbidden, rate, "
     "alpha, seed, order_only)\n\nWhy a test is flaky; see qe_cause.h."},
    {0, NULL},
};

static PyType_Spec Inquiry_spec = {"pytest_qe._core.Inquiry", sizeof(Inquiry),
                                   0, Py_TPFLAGS_DEFAULT, Inquiry_slots};

/* ------------------------------------------------------------------- turns */

typedef struct Turns {
    PyObject_HEAD
    qe_turns *turns;
} Turns;

static PyObject *Turns_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n", "workers", NULL};
    unsigned int n, workers;
    Turns *self;
    int status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "II", names, &n, &workers)) {
        return NULL;
    }
    self = (Turns *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    status = qe_turns_new(&self->turns, n, workers);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void Turns_dealloc(PyObject *self)
{
    qe_turns_free(((Turns *) self)->turns);
    core_release(self);
}

static PyObject *Turns_next(PyObject *self, PyObject *unused)
{
    uint32_t which;
    int status = qe_turns_next(((Turns *) self)->turns, &which);

    (void) unused;
    if (status != 1) {
        return core_not_now(status);
    }
    return core_index(which);
}

static PyObject *said(PyObject *self, PyObject *args, int status)
{
    unsigned int which;

    if (!PyArg_ParseTuple(args, "I", &which)) {
        return NULL;
    }
    return core_done(qe_turns_said(((Turns *) self)->turns, which, status));
}

static PyObject *Turns_asks(PyObject *self, PyObject *args)
{
    return said(self, args, 1);
}

static PyObject *Turns_waits(PyObject *self, PyObject *args)
{
    return said(self, args, 0);
}

static PyObject *Turns_over(PyObject *self, PyObject *args)
{
    return said(self, args, QE_EGONE);
}

static PyObject *Turns_stop(PyObject *self, PyObject *unused)
{
    (void) unused;
    qe_turns_stop(((Turns *) self)->turns);
    Py_RETURN_NONE;
}

static PyObject *Turns_begun(PyObject *self, PyObject *unused)
{
    (void) unused;
    return core_index(qe_turns_begun(((Turns *) self)->turns));
}

static PyMethodDef Turns_methods[] = {
    {"next", Turns_next, METH_NOARGS,
     "next() -> the inquiry to ask; None: not before a result is there; "
     "False: all are over"},
    {"asks", Turns_asks, METH_VARARGS, "asks(which)\n\nIt has a probe."},
    {"waits", Turns_waits, METH_VARARGS, "waits(which)\n\nFor a result."},
    {"over", Turns_over, METH_VARARGS, "over(which)\n\nIt has ended."},
    {"stop", Turns_stop, METH_NOARGS, "stop()\n\nNo more begin."},
    {"begun", Turns_begun, METH_NOARGS, "begun() -> how many have"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Turns_slots[] = {
    {Py_tp_new, (void *) Turns_new},
    {Py_tp_dealloc, (void *) Turns_dealloc},
    {Py_tp_methods, Turns_methods},
    {Py_tp_doc, "Turns(n, workers)\n\nWhich of n inquiries is asked next."},
    {0, NULL},
};

static PyType_Spec Turns_spec = {"pytest_qe._core.Turns", sizeof(Turns), 0,
                                 Py_TPFLAGS_DEFAULT, Turns_slots};

int core_add_cause(PyObject *module)
{
    int status = core_add_type(module, &Inquiry_spec, "Inquiry");

    return status != 0 ? status : core_add_type(module, &Turns_spec, "Turns");
}
