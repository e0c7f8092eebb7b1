/* Record, and the functions without state. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ Record */

typedef struct Record {
    PyObject_HEAD
    qe_record *record;
} Record;

static PyObject *Record_new(PyTypeObject *type, PyObject *args,
                            PyObject *kwargs)
{
    Record *self = (Record *) core_new_self(type);
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

const qe_record *core_record_of(PyObject *record)
{
    return ((Record *) record)->record;
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
    return core_done(qe_record_add_test(((Record *) self)->record, id));
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
    return core_done(qe_record_add_attempt(((Record *) self)->record, &a));
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
    return core_done(status);
}

static PyObject *Record_set_outcome(PyObject *self, PyObject *args)
{
    unsigned int item;
    const char *message;
    int outcome;

    if (!PyArg_ParseTuple(args, "Iiz", &item, &outcome, &message)) {
        return NULL;
    }
    return core_done(qe_record_set_outcome(((Record *) self)->record, item,
                                           (enum qe_outcome) outcome, message));
}

static PyObject *Record_set_code(PyObject *self, PyObject *args)
{
    const char *revision, *branch;

    if (!PyArg_ParseTuple(args, "zz", &revision, &branch)) {
        return NULL;
    }
    return core_done(
        qe_record_set_code(((Record *) self)->record, revision, branch));
}

static PyObject *Record_add_pass(PyObject *self, PyObject *args)
{
    unsigned long long seed;
    const char *name;
    unsigned int pass;

    if (!PyArg_ParseTuple(args, "IsK", &pass, &name, &seed)) {
        return NULL;
    }
    return core_done(
        qe_record_add_pass(((Record *) self)->record, pass, name, seed));
}

static PyObject *Record_set_quarantined(PyObject *self, PyObject *args)
{
    unsigned int item;

    if (!PyArg_ParseTuple(args, "I", &item)) {
        return NULL;
    }
    return core_done(
        qe_record_set_quarantined(((Record *) self)->record, item));
}

static PyObject *Record_set_marks(PyObject *self, PyObject *args)
{
    unsigned int item;
    const char *marks;

    if (!PyArg_ParseTuple(args, "Iy", &item, &marks)) {
        return NULL;
    }
    return core_done(
        qe_record_set_marks(((Record *) self)->record, item, marks));
}

static PyObject *Record_set_expected(PyObject *self, PyObject *args)
{
    unsigned int item;
    double expected;

    if (!PyArg_ParseTuple(args, "Id", &item, &expected)) {
        return NULL;
    }
    return core_done(
        qe_record_set_expected(((Record *) self)->record, item, expected));
}

static PyObject *Record_add_text(PyObject *self, PyObject *args)
{
    unsigned int item, pass, attempt;
    const char *name, *text;
    int kind;

    if (!PyArg_ParseTuple(args, "IIIiyy", &item, &pass, &attempt, &kind, &name,
                          &text)) {
        return NULL;
    }
    return core_done(qe_record_add_text(((Record *) self)->record, item, pass,
                                        attempt, (enum qe_text_kind) kind, name,
                                        text));
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
    return core_done(status);
}

static PyObject *Record_write_trace(PyObject *self, PyObject *args)
{
    const char *path;
    double started_s;
    int status;

    if (!PyArg_ParseTuple(args, "yd", &path, &started_s)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_record_write_trace(((Record *) self)->record, path, started_s);
    Py_END_ALLOW_THREADS
    return core_done(status);
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
    {"set_code", Record_set_code, METH_VARARGS,
     "set_code(revision, branch): None is unknown"},
    {"add_pass", Record_add_pass, METH_VARARGS, "add_pass(pass_, name, seed)"},
    {"set_quarantined", Record_set_quarantined, METH_VARARGS,
     "set_quarantined(item)"},
    {"set_marks", Record_set_marks, METH_VARARGS,
     "set_marks(item, marks: bytes): their names, one a line"},
    {"set_expected", Record_set_expected, METH_VARARGS,
     "set_expected(item, expected_s): by the history, before this run"},
    {"add_text", Record_add_text, METH_VARARGS,
     "add_text(item, pass_, attempt, kind, name: bytes, text: bytes): kind is "
     "TEXT_FAILURE or TEXT_OUTPUT"},
    {"flakiness", Record_flakiness, METH_VARARGS,
     "flakiness(item) -> dict, or None where nothing counts"},
    {"write_json", Record_write_json, METH_VARARGS,
     "write_json(path: bytes, run_json, flaky)"},
    {"write_trace", Record_write_trace, METH_VARARGS,
     "write_trace(path: bytes, started_s)"},
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

/* --------------------------------------------------------------- functions */

static PyObject *cpu_count(PyObject *module, PyObject *unused)
{
    (void) module;
    (void) unused;
    return PyLong_FromUnsignedLong(qe_cpu_count());
}

static PyObject *memory_bytes(PyObject *module, PyObject *unused)
{
    (void) module;
    (void) unused;
    return PyLong_FromUnsignedLongLong(qe_memory_bytes());
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
        (strings = core_strings_of(keys, n)) == NULL) {
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

static PyObject *write_file(PyObject *module, PyObject *args)
{
    const char *path, *text;
    int status;

    (void) module;
    if (!PyArg_ParseTuple(args, "yy", &path, &text)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_write_file(path, text);
    Py_END_ALLOW_THREADS
    return core_done(status);
}

static PyMethodDef functions[] = {
    {"write_file", write_file, METH_VARARGS,
     "write_file(path: bytes, text: bytes): whole, or not at all"},
    {"memory_bytes", memory_bytes, METH_NOARGS,
     "memory_bytes() -> bytes this process may use, by the machine and its "
     "control groups; 0: not known"},
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
           PyModule_AddFunctions(module, functions) ||
           PyModule_AddIntConstant(module, "TEXT_FAILURE", QE_TEXT_FAILURE) ||
           PyModule_AddIntConstant(module, "TEXT_OUTPUT", QE_TEXT_OUTPUT) ||
           PyModule_AddObject(module, "DIGEST_INIT",
                              PyLong_FromUnsignedLongLong(QE_DIGEST_INIT));
}
