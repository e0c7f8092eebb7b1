/* Cgroup: a control group of one's own, for what is executed. */
#include "core.h"

typedef struct Cgroup {
    PyObject_HEAD
    qe_cgroup *group; /* NULL once closed */
} Cgroup;

static PyObject *Cgroup_new(PyTypeObject *type, PyObject *args,
                            PyObject *kwargs)
{
    qe_cgroup_limits limits = {0, 0};
    unsigned long long memory_bytes;
    unsigned int cpu_milli;
    Cgroup *self;
    int status;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "KI", &memory_bytes, &cpu_milli)) {
        return NULL;
    }
    limits.memory_bytes = memory_bytes;
    limits.cpu_milli = cpu_milli;
    self = (Cgroup *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    status = qe_cgroup_new(&self->group, &limits);
    if (status != 0) {
        PyObject *error = core_raise(status);

        Py_DECREF(self);
        return error;
    }
    return (PyObject *) self;
}

static void Cgroup_dealloc(PyObject *self)
{
    qe_cgroup_free(((Cgroup *) self)->group, NULL);
    core_release(self);
}

static PyObject *Cgroup_close(PyObject *self, PyObject *unused)
{
    qe_cgroup *group = ((Cgroup *) self)->group;
    qe_cgroup_end end;

    (void) unused;
    ((Cgroup *) self)->group = NULL;
    Py_BEGIN_ALLOW_THREADS
    qe_cgroup_free(group, &end);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(KK)", (unsigned long long) end.oom_kills,
                         (unsigned long long) end.peak_bytes);
}

static PyObject *Cgroup_procs(PyObject *self, void *unused)
{
    qe_cgroup *group = ((Cgroup *) self)->group;

    (void) unused;
    return PyUnicode_DecodeFSDefault(group != NULL ? qe_cgroup_procs(group)
                                                   : "");
}

static PyObject *Cgroup_memory(PyObject *self, void *unused)
{
    qe_cgroup *group = ((Cgroup *) self)->group;

    (void) unused;
    return PyBool_FromLong(group != NULL && qe_cgroup_limits_memory(group));
}

static PyObject *Cgroup_cpu(PyObject *self, void *unused)
{
    qe_cgroup *group = ((Cgroup *) self)->group;

    (void) unused;
    return PyBool_FromLong(group != NULL && qe_cgroup_limits_cpu(group));
}

static PyMethodDef Cgroup_methods[] = {
    {"close", Cgroup_close, METH_NOARGS,
     "close() -> (oom_kills, peak_bytes)\n\nKills what is in it, and removes "
     "it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Cgroup_getset[] = {
    {"procs", Cgroup_procs, NULL, "The file that a process enters it by.",
     NULL},
    {"memory", Cgroup_memory, NULL, "Whether it limits memory.", NULL},
    {"cpu", Cgroup_cpu, NULL, "Whether it limits processors.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Cgroup_slots[] = {
    {Py_tp_new, (void *) Cgroup_new},
    {Py_tp_dealloc, (void *) Cgroup_dealloc},
    {Py_tp_methods, Cgroup_methods},
    {Py_tp_getset, Cgroup_getset},
    {Py_tp_doc, "Cgroup(memory_bytes, cpu_milli); see qe_cgroup in "
                "qe_limits.h."},
    {0, NULL},
};

static PyType_Spec Cgroup_spec = {"pytest_qe._core.Cgroup", sizeof(Cgroup), 0,
                                  Py_TPFLAGS_DEFAULT, Cgroup_slots};

int core_add_cgroup(PyObject *module)
{
    return core_add_type(module, &Cgroup_spec, "Cgroup");
}
