/* Record, History, and the functions without state. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

static PyObject *new_self(PyTypeObject *type)
{
    return ((allocfunc) PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

static PyObject *done(int status)
{
    if (status != 0) {
        return core_raise(status);
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ Record */

typedef struct Record {
    PyObject_HEAD
    qe_record *record;
} Record;

static PyObject *Record_new(PyTypeObject *type, PyObject *args,
                            PyObject *kwargs)
{
    Record *self = (Record *) new_self(type);
    int status;

    (void) args;
    (void) kwargs;
    if (self == NULL) {
        return NULL;
    }
    status = qe_record_new(&self->record);
    if (status != 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    return (PyObject *) self;
}

static void Record_dealloc(PyObject *self)
{
    qe_record_free(((Record *) self)->record);
    core_release(self);
}

static PyObject *Record_add_test(PyObject *self, PyObject *args)
{
    const char *id;

    if (!PyArg_ParseTuple(args, "y", &id)) {
        return NULL;
    }
    return done(qe_record_add_test(((Record *) self)->record, id));
}

static PyObject *Record_add_attempt(PyObject *self, PyObject *args)
{
    unsigned int item, pass, attempt, worker;
    unsigned long long peak;
    double start, duration, cpu;
    const char *message;
    qe_attempt a;
    int outcome, status;

    if (!PyArg_ParseTuple(args, "IIIIidddKiz", &item, &pass, &attempt, &worker,
                          &outcome, &start, &duration, &cpu, &peak, &status,
                          &message)) {
        return NULL;
    }
    a = (qe_attempt){
        item, pass, attempt, worker, (enum qe_outcome) outcome, start, duration,
        cpu,  peak, status,  message};
    return done(qe_record_add_attempt(((Record *) self)->record, &a));
}

static PyObject *Record_add_passed(PyObject *self, PyObject *args)
{
    qe_record *record = ((Record *) self)->record;
    unsigned int item, pass, attempt, worker;
    unsigned long long peak;
    double start, duration, cpu;
    qe_attempt a;
    int status;

    if (!PyArg_ParseTuple(args, "IIIIdddK", &item, &pass, &attempt, &worker,
                          &start, &duration, &cpu, &peak)) {
        return NULL;
    }
    a = (qe_attempt){item,     pass, attempt, worker, QE_PASSED, start,
                     duration, cpu,  peak,    0,      NULL};
    status = qe_record_add_attempt(record, &a);
    if (status == 0) {
        status = qe_record_set_outcome(record, item, QE_PASSED, NULL);
    }
    return done(status);
}

static PyObject *Record_set_outcome(PyObject *self, PyObject *args)
{
    unsigned int item;
    const char *message;
    int outcome;

    if (!PyArg_ParseTuple(args, "Iiz", &item, &outcome, &message)) {
        return NULL;
    }
    return done(qe_record_set_outcome(((Record *) self)->record, item,
                                      (enum qe_outcome) outcome, message));
}

static PyObject *flakiness_dict(const qe_flakiness *f)
{
    return Py_BuildValue("{s:I,s:I,s:d,s:O,s:s}", "passes", f->passes,
                         "failures", f->failures, "flakiness_score", f->score,
                         "is_flaky", f->is_flaky ? Py_True : Py_False,
                         "pattern", qe_pattern_name(f->pattern));
}

static PyObject *Record_flakiness(PyObject *self, PyObject *args)
{
    unsigned int item;
    qe_flakiness f;
    int status;

    if (!PyArg_ParseTuple(args, "I", &item)) {
        return NULL;
    }
    status = qe_record_flakiness(((Record *) self)->record, item, &f);
    if (status == QE_EINVAL) {
        Py_RETURN_NONE; /* nothing was counted */
    }
    return status == 0 ? flakiness_dict(&f) : core_raise(status);
}

static PyObject *Record_write_json(PyObject *self, PyObject *args)
{
    const char *path, *run;
    int flaky, status;

    if (!PyArg_ParseTuple(args, "yzp", &path, &run, &flaky)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_record_write_json(((Record *) self)->record, path, run, flaky);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyMethodDef Record_methods[] = {
    {"add_test", Record_add_test, METH_VARARGS, "add_test(id: bytes)"},
    {"add_attempt", Record_add_attempt, METH_VARARGS,
     "add_attempt(item, pass_, attempt, worker, outcome, start_s, duration_s, "
     "cpu_s, peak_bytes, status, message)"},
    {"add_passed", Record_add_passed, METH_VARARGS,
     "add_passed(item, pass_, attempt, worker, start_s, duration_s, cpu_s, "
     "peak_bytes): the attempt, and it is the test's outcome"},
    {"set_outcome", Record_set_outcome, METH_VARARGS,
     "set_outcome(item, outcome, message)"},
    {"flakiness", Record_flakiness, METH_VARARGS,
     "flakiness(item) -> dict, or None where nothing counts"},
    {"write_json", Record_write_json, METH_VARARGS,
     "write_json(path: bytes, run_json, flaky)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Record_slots[] = {
    {Py_tp_new, (void *) Record_new},
    {Py_tp_dealloc, (void *) Record_dealloc},
    {Py_tp_methods, Record_methods},
    {Py_tp_doc, "What happened in a run, by test; see qe_record in qe.h."},
    {0, NULL},
};

static PyType_Spec Record_spec = {"pytest_qe._core.Record", sizeof(Record), 0,
                                  Py_TPFLAGS_DEFAULT, Record_slots};

/* ----------------------------------------------------------------- History */

typedef struct History {
    PyObject_HEAD
    qe_history *history;
} History;

static PyObject *History_new(PyTypeObject *type, PyObject *args,
                             PyObject *kwargs)
{
    const char *path;
    History *self;
    int status;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "y", &path)) {
        return NULL;
    }
    self = (History *) new_self(type);
    if (self == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_open(&self->history, path);
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

static qe_history *open_history(PyObject *self)
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
    qe_history *h = open_history(self);
    Record *record;
    double started, wall;
    unsigned int workers;
    int64_t id = 0;
    int status;

    if (h == NULL ||
        !PyArg_ParseTuple(args, "OddI", &record, &started, &wall, &workers)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_save(h, record->record, started, wall, workers, &id);
    Py_END_ALLOW_THREADS
    return status == 0 ? PyLong_FromLongLong(id) : core_raise(status);
}

/* The bytes of each item, borrowed; the list must live on. */
static const char **strings_of(PyObject *list, Py_ssize_t n)
{
    const char **out = calloc((size_t) n + 1, sizeof(*out));

    if (out == NULL) {
        (void) PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyList_GetItem(list, i);

        out[i] = item == NULL ? NULL : PyBytes_AsString(item);
        if (out[i] == NULL) {
            free(out);
            return NULL;
        }
    }
    return out;
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

static PyObject *History_durations(PyObject *self, PyObject *args)
{
    qe_history *h = open_history(self);
    PyObject *ids, *result = NULL;
    const char **strings;
    uint64_t *values;
    Py_ssize_t n;
    int status;

    if (h == NULL || !PyArg_ParseTuple(args, "O", &ids) ||
        (n = PyList_Size(ids)) < 0 || (strings = strings_of(ids, n)) == NULL) {
        return NULL;
    }
    values = calloc((size_t) n + 1, sizeof(*values));
    if (values == NULL) {
        free(strings);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_history_durations(h, strings, (size_t) n, values);
    Py_END_ALLOW_THREADS
    result = status == 0 ? u64_list(values, n) : core_raise(status);
    free(values);
    free(strings);
    return result;
}

static PyObject *History_gc(PyObject *self, PyObject *args)
{
    qe_history *h = open_history(self);
    unsigned int keep;

    if (h == NULL || !PyArg_ParseTuple(args, "I", &keep)) {
        return NULL;
    }
    return done(qe_history_gc(h, keep));
}

static PyMethodDef History_methods[] = {
    {"close", History_close, METH_NOARGS, "close()"},
    {"save", History_save, METH_VARARGS,
     "save(record, started_s, wall_s, workers) -> run id"},
    {"durations", History_durations, METH_VARARGS,
     "durations(ids: list[bytes]) -> list of nanoseconds, 0 where unknown"},
    {"gc", History_gc, METH_VARARGS, "gc(keep_runs)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot History_slots[] = {
    {Py_tp_new, (void *) History_new},
    {Py_tp_dealloc, (void *) History_dealloc},
    {Py_tp_methods, History_methods},
    {Py_tp_doc, "The history database; see qe_history in qe.h."},
    {0, NULL},
};

static PyType_Spec History_spec = {"pytest_qe._core.History", sizeof(History),
                                   0, Py_TPFLAGS_DEFAULT, History_slots};

/* --------------------------------------------------------------- functions */

static PyObject *cpu_count(PyObject *module, PyObject *unused)
{
    (void) module;
    (void) unused;
    return PyLong_FromUnsignedLong(qe_cpu_count());
}

static PyObject *outcome_name(PyObject *module, PyObject *args)
{
    int outcome;

    (void) module;
    if (!PyArg_ParseTuple(args, "i", &outcome)) {
        return NULL;
    }
    return PyUnicode_FromString(qe_outcome_name((enum qe_outcome) outcome));
}

static PyObject *flakiness_of(PyObject *module, PyObject *args)
{
    const char *results;
    Py_ssize_t n;
    qe_flakiness f;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "y#", &results, &n)) {
        return NULL;
    }
    status = qe_flakiness_of((const uint8_t *) results, (size_t) n, &f);
    return status == 0 ? flakiness_dict(&f) : core_raise(status);
}

static PyObject *digest(PyObject *module, PyObject *args)
{
    unsigned long long value;
    const char *data;
    Py_ssize_t n;

    (void) module;
    if (!PyArg_ParseTuple(args, "Ky#", &value, &data, &n)) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(qe_digest(value, data, (size_t) n));
}

static PyObject *shard_assign(PyObject *module, PyObject *args)
{
    PyObject *keys, *durations, *result = NULL;
    unsigned int of;
    const char **strings;
    uint64_t *times = NULL;
    uint32_t *shards;
    Py_ssize_t n;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "OOI", &keys, &durations, &of) ||
        (n = PyList_Size(keys)) < 0 ||
        (strings = strings_of(keys, n)) == NULL) {
        return NULL;
    }
    shards = calloc((size_t) n + 1, sizeof(*shards));
    if (durations != Py_None) {
        times = calloc((size_t) n + 1, sizeof(*times));
    }
    if (shards == NULL || (durations != Py_None && times == NULL)) {
        (void) PyErr_NoMemory();
        goto out;
    }
    for (Py_ssize_t i = 0; times != NULL && i < n; i++) {
        PyObject *item = PyList_GetItem(durations, i);

        times[i] = item == NULL ? 0 : PyLong_AsUnsignedLongLong(item);
        if (PyErr_Occurred()) {
            goto out;
        }
    }
    status = qe_shard_assign(strings, times, (size_t) n, of, shards);
    if (status != 0) {
        (void) core_raise(status);
        goto out;
    }
    result = PyList_New(n);
    for (Py_ssize_t i = 0; result != NULL && i < n; i++) {
        PyObject *v = PyLong_FromUnsignedLong(shards[i]);

        if (v == NULL || PyList_SetItem(result, i, v) != 0) {
            Py_CLEAR(result);
        }
    }
out:
    free(times);
    free(shards);
    free(strings);
    return result;
}

static PyMethodDef functions[] = {
    {"cpu_count", cpu_count, METH_NOARGS,
     "cpu_count() -> CPUs this process may use, by affinity and cgroup quota"},
    {"outcome_name", outcome_name, METH_VARARGS, "outcome_name(number) -> str"},
    {"flakiness_of", flakiness_of, METH_VARARGS,
     "flakiness_of(results: bytes) -> dict; 1 is a pass, 0 a failure"},
    {"digest", digest, METH_VARARGS, "digest(value, data: bytes) -> int"},
    {"shard_assign", shard_assign, METH_VARARGS,
     "shard_assign(keys, durations_ns | None, of) -> list of shards from 0"},
    {NULL, NULL, 0, NULL},
};

int core_add_record(PyObject *module)
{
    return core_add_type(module, &Record_spec, "Record") ||
           core_add_type(module, &History_spec, "History") ||
           PyModule_AddFunctions(module, functions) ||
           PyModule_AddObject(module, "DIGEST_INIT",
                              PyLong_FromUnsignedLongLong(QE_DIGEST_INIT));
}
