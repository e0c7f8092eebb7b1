/* What the history tells of runs, and of tests in them. */
#include "core_history.h"

static int append_run(void *list, const qe_history_run *run)
{
    PyObject *outcomes = PyDict_New();
    int status = outcomes == NULL ? -1 : 0;

    for (int i = 0; status == 0 && i < QE_OUTCOME_COUNT; i++) {
        PyObject *count;

        if (run->outcomes[i] == 0) {
            continue;
        }
        count = PyLong_FromUnsignedLongLong(run->outcomes[i]);
        status =
            count == NULL
                ? -1
                : PyDict_SetItemString(
                      outcomes, qe_outcome_name((enum qe_outcome) i), count);
        Py_XDECREF(count);
    }
    if (status != 0) {
        Py_XDECREF(outcomes);
        return -1;
    }
    return core_append(list,
                       Py_BuildValue("(LddIyyN)", (long long) run->id,
                                     run->started_s, run->wall_s, run->workers,
                                     run->revision, run->branch, outcomes));
}

PyObject *core_history_runs(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    unsigned int most;
    PyObject *list;

    if (h == NULL || !PyArg_ParseTuple(args, "I", &most) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_runs(h, most, append_run, list));
}

PyObject *core_history_run(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    long long run;
    PyObject *list, *found = NULL;

    if (h == NULL || !PyArg_ParseTuple(args, "L", &run) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    list = core_listed(list, qe_history_find_run(h, run, append_run, list));
    if (list != NULL) {
        found = PyList_GetItem(list, 0);
        Py_XINCREF(found);
        Py_DECREF(list);
    }
    return found;
}

static int append_attempt(void *list, const char *id, const qe_attempt *a)
{
    return core_append(list,
                       Py_BuildValue("(yIIIsdddKiy)", id, a->pass, a->attempt,
                                     a->worker, qe_outcome_name(a->outcome),
                                     a->start_s, a->duration_s, a->cpu_s,
                                     (unsigned long long) a->peak_bytes,
                                     a->status, a->message));
}

PyObject *core_history_attempts(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    long long run;
    PyObject *list;

    if (h == NULL || !PyArg_ParseTuple(args, "L", &run) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_attempts(h, run, append_attempt, list));
}

static int append_outcome(void *list, const char *id, enum qe_outcome outcome,
                          const char *message)
{
    return core_append(
        list, Py_BuildValue("(ysy)", id, qe_outcome_name(outcome), message));
}

PyObject *core_history_outcomes(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    long long run;
    PyObject *list;

    if (h == NULL || !PyArg_ParseTuple(args, "L", &run) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_outcomes(h, run, append_outcome, list));
}

static int append_execution(void *list, const qe_history_run *run,
                            const qe_attempt *a)
{
    return core_append(
        list,
        Py_BuildValue("(LdyyIIsddKy)", (long long) run->id, run->started_s,
                      run->revision, run->branch, a->pass, a->attempt,
                      qe_outcome_name(a->outcome), a->start_s, a->duration_s,
                      (unsigned long long) a->peak_bytes, a->message));
}

PyObject *core_history_executions(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    unsigned int most;
    const char *id;
    PyObject *list;

    if (h == NULL || !PyArg_ParseTuple(args, "yI", &id, &most) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(
        list, qe_history_executions(h, id, most, append_execution, list));
}

static int append_test(void *list, const qe_history_test *test)
{
    return core_append(
        list,
        Py_BuildValue("(yKKddK)", test->id, (unsigned long long) test->failures,
                      (unsigned long long) test->passes, test->low, test->high,
                      (unsigned long long) test->median_ns));
}

PyObject *core_history_top(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    uint64_t known = 0, found = 0;
    unsigned int most;
    PyObject *list;
    int by;

    if (h == NULL || !PyArg_ParseTuple(args, "iI", &by, &most) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    list = core_listed(list, qe_history_top(h, (enum qe_history_top) by, most,
                                            &known, &found, append_test, list));
    return list == NULL ? NULL
                        : Py_BuildValue("(KKN)", (unsigned long long) known,
                                        (unsigned long long) found, list);
}
