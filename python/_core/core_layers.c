/* Layers: a configuration; Stage: what of it starts when. JSON goes through as text. */
#include "core.h"

typedef struct Layers {
    PyObject_HEAD
    qe_layers *layers;
} Layers;

typedef struct Stage {
    PyObject_HEAD
    qe_stage *stage;
    PyObject *layers; /* which it reads */
} Stage;

static PyObject *taken_text(char *text)
{
    PyObject *string;

    if (text == NULL) {
        return PyErr_NoMemory();
    }
    string = PyUnicode_FromString(text);
    qe_free(text);
    return string;
}

static PyObject *Layers_new(PyTypeObject *type, PyObject *args,
                            PyObject *kwargs)
{
    const char *json, *environment;
    Layers *self;
    int status;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "sz", &json, &environment)) {
        return NULL;
    }
    self = (Layers *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    status = qe_layers_new(&self->layers, json, environment);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void Layers_dealloc(PyObject *self)
{
    qe_layers_free(((Layers *) self)->layers);
    core_release(self);
}

static PyObject *Layers_errors(PyObject *self, PyObject *unused)
{
    (void) unused;
    return PyUnicode_FromString(qe_layers_errors(((Layers *) self)->layers));
}

static PyObject *Layers_merged(PyObject *self, PyObject *unused)
{
    (void) unused;
    return taken_text(qe_layers_merged(((Layers *) self)->layers));
}

static PyMethodDef Layers_methods[] = {
    {"errors", Layers_errors, METH_NOARGS,
     "errors() -> str\n\nWhat is wrong with it, as a JSON array."},
    {"merged", Layers_merged, METH_NOARGS,
     "merged() -> str\n\nThe configuration with the overrides in it, as JSON."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Layers_slots[] = {
    {Py_tp_new, (void *) Layers_new},
    {Py_tp_dealloc, (void *) Layers_dealloc},
    {Py_tp_methods, Layers_methods},
    {Py_tp_doc, "Layers(json, environment); see qe_layers_new in qe_layers.h."},
    {0, NULL},
};

static PyType_Spec Layers_spec = {"pytest_qe._core.Layers", sizeof(Layers), 0,
                                  Py_TPFLAGS_DEFAULT, Layers_slots};

/* ------------------------------------------------------------------------ Stage */

static PyObject *Stage_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *layers;
    const char *options;
    Stage *self;
    int status;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "Os", &layers, &options)) {
        return NULL;
    }
    /* A type of a module that may be there more than once is known by what makes it. */
    if (PyType_GetSlot(Py_TYPE(layers), Py_tp_new) != (void *) Layers_new) {
        PyErr_SetString(PyExc_TypeError, "Stage() takes a Layers first");
        return NULL;
    }
    self = (Stage *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    status = qe_stage_new(&self->stage, ((Layers *) layers)->layers, options);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    Py_INCREF(layers);
    self->layers = layers;
    return (PyObject *) self;
}

static void Stage_dealloc(PyObject *self)
{
    qe_stage_free(((Stage *) self)->stage);
    Py_XDECREF(((Stage *) self)->layers);
    core_release(self);
}

static PyObject *Stage_errors(PyObject *self, PyObject *unused)
{
    (void) unused;
    return PyUnicode_FromString(qe_stage_errors(((Stage *) self)->stage));
}

static PyObject *Stage_plan(PyObject *self, PyObject *unused)
{
    (void) unused;
    return taken_text(qe_stage_plan(((Stage *) self)->stage));
}

static PyObject *Stage_next(PyObject *self, PyObject *args)
{
    static const char *const kinds[] = {
        [QE_STAGE_START] = "start", [QE_STAGE_STOP] = "stop",
        [QE_STAGE_SKIP] = "skip",   [QE_STAGE_WAIT] = "wait",
        [QE_STAGE_DONE] = "done",
    };
    unsigned long long now_ns;
    qe_stage_step step;
    PyObject *wake;
    int status;

    if (!PyArg_ParseTuple(args, "K", &now_ns)) {
        return NULL;
    }
    status = qe_stage_next(((Stage *) self)->stage, now_ns, &step);
    if (status != 0) {
        return core_raise(status);
    }
    if (step.kind == QE_STAGE_WAIT && step.wake_ns != UINT64_MAX) {
        wake = PyLong_FromUnsignedLongLong(step.wake_ns);
    } else {
        Py_INCREF(Py_None);
        wake = Py_None;
    }
    return Py_BuildValue("(sIIIsIN)", kinds[step.kind], step.category,
                         step.layer, step.attempt, qe_stage_why_name(step.why),
                         step.of, wake);
}

static PyObject *Stage_ended(PyObject *self, PyObject *args)
{
    unsigned int category;
    unsigned long long passed_tests, failed_tests;
    int passed, status;
    bool again;

    if (!PyArg_ParseTuple(args, "IpKK", &category, &passed, &passed_tests,
                          &failed_tests)) {
        return NULL;
    }
    status = qe_stage_ended(((Stage *) self)->stage, category, passed,
                            passed_tests, failed_tests, &again);
    return status != 0 ? core_raise(status) : PyBool_FromLong(again);
}

static PyObject *Stage_refused(PyObject *self, PyObject *args)
{
    unsigned int category;
    unsigned long long again_ns;

    if (!PyArg_ParseTuple(args, "IK", &category, &again_ns)) {
        return NULL;
    }
    return core_done(
        qe_stage_refused(((Stage *) self)->stage, category, again_ns));
}

static PyObject *Stage_drop(PyObject *self, PyObject *args)
{
    unsigned int layer;

    if (!PyArg_ParseTuple(args, "I", &layer)) {
        return NULL;
    }
    return core_done(
        qe_stage_drop(((Stage *) self)->stage, layer, QE_STAGE_SERVICE));
}

static PyObject *Stage_cancel(PyObject *self, PyObject *unused)
{
    (void) unused;
    qe_stage_cancel(((Stage *) self)->stage);
    return core_done(0);
}

static PyObject *Stage_succeeded(PyObject *self, PyObject *args)
{
    unsigned int layer;
    double rate = -1;
    bool succeeded;

    if (!PyArg_ParseTuple(args, "I", &layer)) {
        return NULL;
    }
    succeeded = qe_stage_succeeded(((Stage *) self)->stage, layer, &rate);
    return Py_BuildValue("(Od)", succeeded ? Py_True : Py_False, rate);
}

static PyMethodDef Stage_methods[] = {
    {"errors", Stage_errors, METH_NOARGS,
     "errors() -> str\n\nWhat can never run, as a JSON array."},
    {"plan", Stage_plan, METH_NOARGS,
     "plan() -> str\n\nWhat there is to run, as JSON."},
    {"next", Stage_next, METH_VARARGS,
     "next(now_ns) -> (kind, category, layer, attempt, why, of, wake_ns)\n\n"
     "What is to be done now: start, stop, skip, wait (wake_ns: None, or until "
     "then), done."},
    {"ended", Stage_ended, METH_VARARGS,
     "ended(category, passed, tests_passed, tests_failed) -> bool\n\n"
     "An attempt has ended; whether it will start again."},
    {"refused", Stage_refused, METH_VARARGS,
     "refused(category, again_ns)\n\nIt could not start; not before then."},
    {"drop", Stage_drop, METH_VARARGS,
     "drop(layer)\n\nA service of the layer is not there: no category of it "
     "starts."},
    {"cancel", Stage_cancel, METH_NOARGS, "cancel()\n\nAll is to end."},
    {"succeeded", Stage_succeeded, METH_VARARGS,
     "succeeded(layer) -> (bool, rate)\n\nBy its criteria; the rate of tests "
     "in percent, negative where it is not known."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Stage_slots[] = {
    {Py_tp_new, (void *) Stage_new},
    {Py_tp_dealloc, (void *) Stage_dealloc},
    {Py_tp_methods, Stage_methods},
    {Py_tp_doc, "Stage(layers, options); see qe_stage_new in qe_layers.h."},
    {0, NULL},
};

static PyType_Spec Stage_spec = {"pytest_qe._core.Stage", sizeof(Stage), 0,
                                 Py_TPFLAGS_DEFAULT, Stage_slots};

int core_add_layers(PyObject *module)
{
    return core_add_type(module, &Layers_spec, "Layers") != 0 ||
                   core_add_type(module, &Stage_spec, "Stage") != 0
               ? -1
               : 0;
}
