#include "core.h"

#include <errno.h>

PyObject *core_raise(int code)
{
    int saved = errno;
    PyObject *errors, *result;

    if (code == QE_ENOMEM) {
        return PyErr_NoMemory();
    }
    if (code == QE_ESYS) {
        errno = saved;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    errors = PyImport_ImportModule("pytest_qe.errors");
    if (errors == NULL) {
        return NULL;
    }
    result =
        PyObject_CallMethod(errors, "from_code", "is", code, qe_strerror(code));
    Py_DECREF(errors);
    if (result != NULL) {
        PyErr_SetObject((PyObject *) Py_TYPE(result), result);
        Py_DECREF(result);
    }
    return NULL;
}

PyObject *core_done(int status)
{
    if (status != 0) {
        return core_raise(status);
    }
    Py_RETURN_NONE;
}

PyObject *core_not_now(int status)
{
    if (status == QE_EGONE) {
        Py_RETURN_FALSE;
    }
    return core_done(status);
}

static int add_constants(PyObject *m)
{
    static const struct {
        const char *name;
        long value;
    } constants[] = {
        {"PASSED", QE_PASSED},
        {"FAILED", QE_FAILED},
        {"SKIPPED", QE_SKIPPED},
        {"ERROR", QE_ERROR},
        {"TIMEOUT", QE_TIMEOUT},
        {"CRASHED", QE_CRASHED},
        {"FLAKY", QE_FLAKY},
        {"NONE", QE_NONE},
        {"SETUP", QE_PHASE_SETUP},
        {"CALL", QE_PHASE_CALL},
        {"TEARDOWN", QE_PHASE_TEARDOWN},
        {"SESSION", QE_PHASE_SESSION},
        {"SERIAL", QE_UNIT_SERIAL},
        {"TOGETHER", QE_UNIT_TOGETHER},
        {"FRESH", QE_UNIT_FRESH},
        {"SPARE", QE_UNIT_SPARE},
        {"EV_WORKER", QE_EV_WORKER},
        {"EV_START", QE_EV_START},
        {"EV_PASSED", QE_EV_PASSED},
        {"EV_DATA", QE_EV_DATA},
        {"EV_FINISH", QE_EV_FINISH},
        {"EV_PLAIN", QE_EV_PLAIN},
        {"EV_LOST", QE_EV_LOST},
        {"EV_EXIT", QE_EV_EXIT},
        {"EV_GIVE_UP", QE_EV_GIVE_UP},
        {"EV_REFUSED", QE_EV_REFUSED},
        {"EV_SERVER", QE_EV_SERVER},
        {"EV_SOURCE", QE_EV_SOURCE},
        {"SOURCE_CLAIM", QE_SOURCE_CLAIM},
        {"SOURCE_LOST", QE_SOURCE_LOST},
        {"SOURCE_WANTED", QE_SOURCE_WANTED},
        {"SOURCE_STOPPED", QE_SOURCE_STOPPED},
        {"SOURCE_OVER", QE_SOURCE_OVER},
        {"SOURCE_TROUBLE", QE_SOURCE_TROUBLE},
        {"EV_DONE", QE_EV_DONE},
    };

    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
        if (PyModule_AddIntConstant(m, constants[i].name, constants[i].value)) {
            return -1;
        }
    }
    return PyModule_AddStringConstant(m, "VERSION", QE_VERSION);
}

static int exec_module(PyObject *m)
{
    return add_constants(m) || core_add_plan(m) || core_add_run(m) ||
                   core_add_worker(m) || core_add_record(m) ||
                   core_add_history(m) || core_add_objects(m) ||
                   core_add_stats(m) || core_add_patterns(m) ||
                   core_add_hunt(m) || core_add_around(m) ||
                   core_add_cause(m) || core_add_adapt(m) ||
                   core_add_layers(m) || core_add_cgroup(m)
               ? -1
               : 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *) exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "pytest_qe._core",
    .m_doc = "The C core of QE (csrc/include/qe.h), converted and wired.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
