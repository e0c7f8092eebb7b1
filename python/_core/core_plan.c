/* Plan: what is to run. */
#include "core.h"

typedef struct Plan {
    PyObject_HEAD
    qe_plan *plan;
} Plan;

static PyObject *Plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Plan *self = (Plan *) core_new_self(type);
    int status;

    (void) args;
    (void) kwargs;
    if (self == NULL) {
        return NULL;
    }
    status = qe_plan_new(&self->plan);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void Plan_dealloc(PyObject *self)
{
    qe_plan_free(((Plan *) self)->plan);
    core_release(self);
}

static PyObject *Plan_add(PyObject *self, PyObject *args)
{
    unsigned int item, pass, flags, retries;
    unsigned long long timeout_ns, expected_ns;
    const char *id, *scope;
    qe_unit unit;

    if (!PyArg_ParseTuple(args, "yyIIIIKK", &id, &scope, &item, &pass, &flags,
                          &retries, &timeout_ns, &expected_ns)) {
        return NULL;
    }
    unit = (qe_unit){.id = id,
                     .scope = scope,
                     .item = item,
                     .pass = pass,
                     .flags = flags,
                     .retries = retries,
                     .timeout_ns = timeout_ns,
                     .expected_ns = expected_ns};
    return core_done(qe_plan_add(((Plan *) self)->plan, &unit));
}

static PyObject *Plan_add_command(PyObject *self, PyObject *args,
                                  PyObject *kwargs)
{
    static char *names[] = {"id",          "argv",         "item",  "pass_",
                            "retries",     "timeout_ns",   "env",   "cwd",
                            "warm",        "memory_bytes", "cpu_s", "files",
                            "expected_ns", "cgroup",       NULL};
    PyObject *argv, *env = Py_None;
    qe_unit unit = {.id = NULL};
    char **words, **changes = NULL;
    Py_ssize_t sizes[3]; /* a NUL would cut them, as it does any path */
    int status = QE_EINVAL;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "yO|IIIKOz#z#KKKKz#", names, &unit.id, &argv,
            &unit.item, &unit.pass, &unit.retries, &unit.timeout_ns, &env,
            &unit.cwd, &sizes[0], &unit.warm, &sizes[1],
            &unit.limits.memory_bytes, &unit.limits.cpu_s, &unit.limits.files,
            &unit.expected_ns, &unit.limits.cgroup, &sizes[2])) {
        return NULL;
    }
    words = core_words(argv);
    if (words == NULL ||
        (env != Py_None && (changes = core_words(env)) == NULL)) {
        core_free_words(words);
        return NULL;
    }
    unit.argv = words;
    unit.env = changes;
    status = qe_plan_add(((Plan *) self)->plan, &unit);
    core_free_words(words);
    core_free_words(changes);
    return core_done(status);
}

static PyObject *Plan_add_spare(PyObject *self, PyObject *args)
{
    unsigned int n;
    unsigned long long timeout_ns;
    int status = 0;

    if (!PyArg_ParseTuple(args, "IK", &n, &timeout_ns)) {
        return NULL;
    }
    for (unsigned int i = 0; i < n && status == 0; i++) {
        status = qe_plan_add(((Plan *) self)->plan,
                             &(qe_unit){.id = "",
                                        .scope = "spare",
                                        .flags = QE_UNIT_SPARE,
                                        .timeout_ns = timeout_ns});
    }
    return core_done(status);
}

static PyObject *Plan_seal(PyObject *self, PyObject *unused)
{
    (void) unused;
    return core_done(qe_plan_seal(((Plan *) self)->plan));
}

static PyObject *Plan_places(PyObject *self, PyObject *unused)
{
    const qe_plan *plan = ((Plan *) self)->plan;
    size_t n = qe_plan_count(plan);
    PyObject *list = PyList_New((Py_ssize_t) n);

    (void) unused;
    for (size_t i = 0; list != NULL && i < n; i++) {
        uint32_t number, scope;
        qe_unit unit;
        PyObject *one = NULL;
        int status = qe_plan_place(plan, i, &number, &scope);

        if (status == 0) {
            status = qe_plan_get(plan, number, &unit);
        }
        one = status != 0 ? core_raise(status)
                          : Py_BuildValue("(III)", number, scope, unit.flags);
        if (one == NULL ||
            PyList_SetItem(list, (Py_ssize_t) i, one) != 0) { /* steals */
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static Py_ssize_t Plan_len(PyObject *self)
{
    return (Py_ssize_t) qe_plan_count(((Plan *) self)->plan);
}

static PyMethodDef Plan_methods[] = {
    {"add", Plan_add, METH_VARARGS,
     "add(id: bytes, scope: bytes, item, pass_, flags, retries, timeout_ns, "
     "expected_ns)\n\nAdds a unit; units are numbered from 0 as added."},
    {"add_command", (PyCFunction) (void (*)(void)) Plan_add_command,
     METH_VARARGS | METH_KEYWORDS,
     "add_command(id: bytes, argv, item=0, pass_=0, retries=0, timeout_ns=0, "
     "env=None, cwd=None, warm=None, memory_bytes=0, cpu_s=0, files=0, "
     "expected_ns=0, cgroup=None)\n\nAdds a "
     "unit that is a command; a plan has such alone, or none."},
    {"add_spare", Plan_add_spare, METH_VARARGS,
     "add_spare(n, timeout_ns)\n\nAdds so many units that are nothing yet."},
    {"places", Plan_places, METH_NOARGS,
     "places() -> [(unit, scope, flags), ...]\n\nUnits in scope order, as all "
     "nodes "
     "of a shared run have it; only of a sealed plan."},
    {"seal", Plan_seal, METH_NOARGS, "seal()\n\nEnds adding."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Plan_slots[] = {
    {Py_tp_new, (void *) Plan_new},
    {Py_tp_dealloc, (void *) Plan_dealloc},
    {Py_tp_methods, Plan_methods},
    {Py_sq_length, (void *) Plan_len},
    {Py_tp_doc, "What is to run: units, in order, by scope."},
    {0, NULL},
};

static PyType_Spec Plan_spec = {"pytest_qe._core.Plan", sizeof(Plan), 0,
                                Py_TPFLAGS_DEFAULT, Plan_slots};

qe_plan *core_plan_of(PyObject *plan)
{
    return ((Plan *) plan)->plan;
}

int core_add_plan(PyObject *module)
{
    return core_add_type(module, &Plan_spec, "Plan");
}
