/* History. */
#include "core_history.h"

#include <stdlib.h>

typedef struct History {
    PyObject_HEAD
    qe_history *history;
} History;

static PyObject *History_new(PyTypeObject *type, PyObject *args,
                             PyObject *kwargs)
{
    const char *path;
    History *self;
    int status, reads = 0;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "y|p", &path, &reads)) {
        return NULL;
    }
    self = (History *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = reads ? qe_history_open_to_read(&self->history, path)
                   : qe_history_open(&self->history, path);
    Py_END_ALLOW_THREADS
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void History_dealloc(PyObject *self)
{
    qe_history_close(((History *) self)->history);
    core_release(self);
}

qe_history *core_history_of(PyObject *self)
{
    qe_history *h = ((History *) self)->history;

    if (h == NULL) {
        (void) core_raise(QE_ESTATE);
    }
    return h;
}

static PyObject *History_close(PyObject *self, PyObject *unused)
{
    qe_history *h = ((History *) self)->history;

    (void) unused;
    ((History *) self)->history = NULL;
    Py_BEGIN_ALLOW_THREADS
    qe_history_close(h);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *History_save(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    PyObject *object;
    const qe_record *record;
    double started, wall;
    unsigned int workers;
    int64_t id = 0;
    int status;

    if (h == NULL ||
        !PyArg_ParseTuple(args, "OddI", &object, &started, &wall, &workers)) {
        return NULL;
    }
    record = core_record_of(object);
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_save(h, record, started, wall, workers, &id);
    Py_END_ALLOW_THREADS
    return status == 0 ? PyLong_FromLongLong(id) : core_raise(status);
}

static PyObject *u64_list(const uint64_t *values, Py_ssize_t n)
{
    PyObject *list = PyList_New(n);

    for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
        PyObject *v = PyLong_FromUnsignedLongLong(values[i]);

        if (v == NULL || PyList_SetItem(list, i, v) != 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

/* One number for each id, by durations or clean. */
static PyObject *numbers(PyObject *self, PyObject *args,
                         int (*ask)(qe_history *, const char *const *, size_t,
                                    uint64_t *))
{
    qe_history *h = core_history_of(self);
    PyObject *ids, *result = NULL;
    const char **strings;
    uint64_t *values;
    Py_ssize_t n;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "O", &ids) ||
        (n = PyList_Size(ids)) < 0 ||
        (strings = core_strings_of(ids, n)) == NULL) {
        return NULL;
    }
    values = calloc((size_t) n + 1, sizeof(*values));
    if (values == NULL) {
        free(strings);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    status = ask(h, strings, (size_t) n, values);
    Py_END_ALLOW_THREADS
    result = status == 0 ? u64_list(values, n) : core_raise(status);
    free(values);
    free(strings);
    return result;
}

static PyObject *History_durations(PyObject *self, PyObject *args)
{
    return numbers(self, args, qe_history_durations);
}

static PyObject *History_clean(PyObject *self, PyObject *args)
{
    return numbers(self, args, qe_history_clean);
}

/* Appends what the core tells to a list; -1 where Python failed. */
int core_append(PyObject *list, PyObject *value)
{
    int status = value == NULL ? -1 : PyList_Append(list, value);

    Py_XDECREF(value);
    return status;
}

static int append_name(void *list, const char *id)
{
    return core_append(list, PyBytes_FromString(id));
}

static int append_row(void *list, const qe_history_row *row)
{
    return core_append(list,
                       Py_BuildValue("(yKKKdddd)", row->label, row->failures,
                                     row->passes, row->recovered, row->first_s,
                                     row->last_s, row->mean_s, row->longest_s));
}

/* The list, or NULL with the exception: that of the core, or Python's own. */
PyObject *core_listed(PyObject *list, int status)
{
    if (status == 0) {
        return list;
    }
    Py_DECREF(list);
    return PyErr_Occurred() ? NULL : core_raise(status);
}

static PyObject *History_names(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *prefix;
    PyObject *list;

    if (h == NULL || !PyArg_ParseTuple(args, "y", &prefix) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_names(h, prefix, append_name, list));
}

static int append_count(void *arg, const char *id, uint64_t failures,
                        uint64_t passes)
{
    return core_append(arg,
                       Py_BuildValue("(yKK)", id, (unsigned long long) failures,
                                     (unsigned long long) passes));
}

static PyObject *History_counts(PyObject *self, PyObject *unused)
{
    qe_history *h = core_history_of(self);
    PyObject *list;

    (void) unused;
    if (h == NULL || (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_counts(h, append_count, list));
}

static PyObject *History_rates(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *id;
    PyObject *list;
    int by;

    if (h == NULL || !PyArg_ParseTuple(args, "yi", &id, &by) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_rates(h, id, (enum qe_history_by) by,
                                              append_row, list));
}

static PyObject *History_put(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *key, *value;
    double ttl;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "yyd", &key, &value, &ttl)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_put(h, key, value, ttl);
    Py_END_ALLOW_THREADS
    return core_done(status);
}

static PyObject *History_get(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    char *value = NULL;
    PyObject *found;
    const char *key;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "y", &key)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_get(h, key, &value);
    Py_END_ALLOW_THREADS
    if (status == QE_ENOTFOUND) {
        Py_RETURN_NONE;
    }
    if (status != 0) {
        return core_raise(status);
    }
    found = PyBytes_FromString(value);
    qe_free(value);
    return found;
}

static PyObject *History_delete(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *key;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "y", &key)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_delete(h, key);
    Py_END_ALLOW_THREADS
    if (status != 0 && status != QE_ENOTFOUND) {
        return core_raise(status);
    }
    return PyBool_FromLong(status == 0);
}

static int append_key(void *list, const char *key, double expires_s)
{
    return core_append(list, Py_BuildValue("(yd)", key, expires_s));
}

static PyObject *History_keys(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    const char *pattern;
    PyObject *list;

    if (h == NULL || !PyArg_ParseTuple(args, "y", &pattern) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    return core_listed(list, qe_history_keys(h, pattern, append_key, list));
}

static PyObject *History_gc(PyObject *self, PyObject *args)
{
    qe_history *h = core_history_of(self);
    unsigned int keep;

    if (h == NULL || !PyArg_ParseTuple(args, "I", &keep)) {
        return NULL;
    }
    return core_done(qe_history_gc(h, keep));
}

static PyMethodDef History_methods[] = {
    {"close", History_close, METH_NOARGS, "close()"},
    {"save", History_save, METH_VARARGS,
     "save(record, started_s, wall_s, workers) -> run id"},
    {"durations", History_durations, METH_VARARGS,
     "durations(ids: list[bytes]) -> list of nanoseconds, 0 where unknown"},
    {"clean", History_clean, METH_VARARGS,
     "clean(ids: list[bytes]) -> list of executions passed since a failure"},
    {"names", History_names, METH_VARARGS,
     "names(prefix: bytes) -> list of ids that begin so"},
    {"counts", History_counts, METH_NOARGS,
     "counts() -> list of (id, failures, passes), in no order"},
    {"rates", History_rates, METH_VARARGS,
     "rates(id: bytes, by) -> list of (label, failures, passes, recovered, "
     "first_s, last_s, mean_s, longest_s)"},
    {"runs", core_history_runs, METH_VARARGS,
     "runs(most) -> list of (id, started_s, wall_s, workers, revision: bytes, "
     "branch: bytes, {outcome: tests}), newest first"},
    {"run", core_history_run, METH_VARARGS, "run(run) -> one of runs()"},
    {"attempts", core_history_attempts, METH_VARARGS,
     "attempts(run) -> list of (id: bytes, pass, attempt, worker, outcome, "
     "start_s, duration_s, cpu_s, peak_bytes, status, message: bytes or None)"},
    {"outcomes", core_history_outcomes, METH_VARARGS,
     "outcomes(run) -> list of (id: bytes, outcome, message: bytes or None)"},
    {"executions", core_history_executions, METH_VARARGS,
     "executions(id: bytes, most) -> list of (run, started_s, revision: bytes, "
     "branch: bytes, pass, attempt, outcome, start_s, duration_s, peak_bytes, "
     "message: bytes or None), newest first"},
    {"top", core_history_top, METH_VARARGS,
     "top(by, most) -> (known, found, list of (id: bytes, failures, passes, "
     "low, "
     "high, median_ns))"},
    {"put", History_put, METH_VARARGS,
     "put(key: bytes, value: bytes, ttl_s), 0 for ever"},
    {"get", History_get, METH_VARARGS, "get(key: bytes) -> value or None"},
    {"delete", History_delete, METH_VARARGS,
     "delete(key: bytes) -> whether it was there"},
    {"keys", History_keys, METH_VARARGS,
     "keys(pattern: bytes) -> list of (key, expires_s), 0 for never"},
    {"gc", History_gc, METH_VARARGS, "gc(keep_runs)"},
    {"follow", core_history_follow, METH_NOARGS, "follow(): be a replica"},
    {"followed", core_history_followed, METH_NOARGS,
     "followed() -> (log, entry), each empty where nothing was taken yet"},
    {"unsent", core_history_unsent, METH_NOARGS,
     "unsent() -> list of (name, run), oldest first"},
    {"export", core_history_export, METH_VARARGS,
     "export(run) -> (bytes, how many tests)"},
    {"sent", core_history_sent, METH_VARARGS, "sent(name): it is in the log"},
    {"take", core_history_take, METH_VARARGS,
     "take(log, list of (entry, name, run: bytes)) -> (taken, odd)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot History_slots[] = {
    {Py_tp_new, (void *) History_new},
    {Py_tp_dealloc, (void *) History_dealloc},
    {Py_tp_methods, History_methods},
    {Py_tp_doc, "History(path: bytes, read_only=False): the history database; "
                "see qe_history in qe.h."},
    {0, NULL},
};

static PyType_Spec History_spec = {"pytest_qe._core.History", sizeof(History),
                                   0, Py_TPFLAGS_DEFAULT, History_slots};

int core_add_history(PyObject *module)
{
    return core_add_type(module, &History_spec, "History") ||
           PyModule_AddIntConstant(module, "BY_DAY", QE_BY_DAY) ||
           PyModule_AddIntConstant(module, "BY_REVISION", QE_BY_REVISION) ||
           PyModule_AddIntConstant(module, "BY_BRANCH", QE_BY_BRANCH) ||
           PyModule_AddIntConstant(module, "BY_CONDITION", QE_BY_CONDITION) ||
           PyModule_AddIntConstant(module, "TOP_FLAKIEST", QE_TOP_FLAKIEST) ||
           PyModule_AddIntConstant(module, "TOP_FAILING", QE_TOP_FAILING) ||
           PyModule_AddIntConstant(module, "TOP_SLOWEST", QE_TOP_SLOWEST);
}
