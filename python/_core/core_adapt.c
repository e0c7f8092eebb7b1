/* Adapt: how many commands at once, by how loaded the machine is. */
#include "core.h"

#define NS 1e9

typedef struct Adapt {
    PyObject_HEAD
    qe_gauge *gauge;
    qe_adapt adapt;
} Adapt;

static PyObject *Adapt_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    unsigned int running, most;
    double throttle_s;
    Adapt *self;
    int status;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "IId", &running, &most, &throttle_s)) {
        return NULL;
    }
    if (running < 1 || most < running || !(throttle_s >= 0)) {
        return core_raise(QE_EINVAL);
    }
    self = (Adapt *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    status = qe_gauge_new(&self->gauge);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    self->adapt.running = running;
    self->adapt.most = most;
    self->adapt.processors = qe_cpu_count();
    self->adapt.throttle_ns = (uint64_t) (throttle_s * NS);
    self->adapt.first_throttle_ns = self->adapt.throttle_ns;
    return (PyObject *) self;
}

static void Adapt_dealloc(PyObject *self)
{
    qe_gauge_free(((Adapt *) self)->gauge);
    core_release(self);
}

static PyObject *Adapt_next(PyObject *self, PyObject *args)
{
    Adapt *a = (Adapt *) self;
    enum qe_adapt_why why;
    qe_pressure p;
    int full;

    if (!PyArg_ParseTuple(args, "p", &full)) {
        return NULL;
    }
    qe_gauge_read(a->gauge, qe_now_ns(), &p);
    why = qe_adapt_next(&a->adapt, &p, full);
    return Py_BuildValue("(Idsdddd)", a->adapt.running,
                         (double) a->adapt.throttle_ns / NS, qe_adapt_name(why),
                         p.cpu, p.memory, p.free_memory, p.load);
}

static PyMethodDef Adapt_methods[] = {
    {"next", Adapt_next, METH_VARARGS,
     "next(full) -> (running, throttle_s, why, cpu, memory, free_memory, "
     "load)\n\nHow many are to run at once from now on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Adapt_slots[] = {
    {Py_tp_new, (void *) Adapt_new},
    {Py_tp_dealloc, (void *) Adapt_dealloc},
    {Py_tp_methods, Adapt_methods},
    {Py_tp_doc, "Adapt(running, most, throttle_s); see qe_adapt in "
                "qe_adapt.h."},
    {0, NULL},
};

static PyType_Spec Adapt_spec = {"pytest_qe._core.Adapt", sizeof(Adapt), 0,
                                 Py_TPFLAGS_DEFAULT, Adapt_slots};

int core_add_adapt(PyObject *module)
{
    return core_add_type(module, &Adapt_spec, "Adapt");
}
