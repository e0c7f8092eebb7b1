/* A node's part in a run; see qe_queue.h. */
#include "queue_types.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qe_queue.h"

#define CAPSULE "qe_source"

typedef struct Queue {
    PyObject_HEAD
    qe_queue *queue;
    pid_t owner;  /* whose thread it is: a fork has none */
    bool foreign; /* the run is another's: see Queue_attributes */
    bool busy;    /* a call that blocks has let go of the interpreter's lock */
} Queue;

/* What finish() tells, in the order of qe_queue_end. */
static PyStructSequence_Field end_fields[] = {
    {"over", "every unit of the run has an outcome"},
    {"stopped", "maxfail, or an abort"},
    {"last", "the run's last outcome was told by this node"},
    {"counted", "outcomes that this node told first"},
    {"late", "attempts that no longer counted"},
    {"untold", "attempts that could not be told: the server was gone"},
    {"left", "units of the run without an outcome, as last heard"},
    {NULL, NULL},
};

static PyStructSequence_Desc end_description = {
    "pytest_qe._queue.End", "What came of a node's part.", end_fields, 7};

/* ------------------------------------------------------------------- units */

/* The units of a Queue, with the bytes that their ids borrow. */
struct units {
    PyObject *ids; /* a list of bytes */
    qe_queue_unit *at;
    Py_ssize_t count;
};

static void forget_units(struct units *u)
{
    Py_CLEAR(u->ids);
    free(u->at);
    u->at = NULL;
}

static PyObject *id_of(PyObject *item)
{
    if (item != NULL && PyUnicode_Check(item)) {
        return PyUnicode_AsEncodedString(item, "utf-8", "surrogatepass");
    }
    Py_XINCREF(item);
    return item;
}

static bool number_of(PyObject *list, Py_ssize_t i, uint64_t most,
                      uint64_t *out)
{
    PyObject *item = PySequence_GetItem(list, i);

    if (item == NULL) {
        return false;
    }
    *out = PyLong_AsUnsignedLongLong(item);
    Py_DECREF(item);
    if (*out == (uint64_t) -1 && PyErr_Occurred()) {
        return false;
    }
    if (*out > most) {
        PyErr_SetString(PyExc_OverflowError,
                        "the number of a unit is too large");
        return false;
    }
    return true;
}

static bool read_unit(struct units *u, Py_ssize_t i, PyObject *ids,
                      PyObject *const lists[3])
{
    uint64_t numbers[3];
    PyObject *item = PySequence_GetItem(ids, i);
    PyObject *id = id_of(item);
    char *bytes;

    Py_XDECREF(item);
    if (id == NULL) {
        return false;
    }
    if (PyBytes_AsStringAndSize(id, &bytes, NULL) != 0) {
        Py_DECREF(id); /* no bytes, or a NUL in them */
        return false;
    }
    u->at[i].id = bytes;
    if (PyList_SetItem(u->ids, i, id) != 0) {
        return false;
    }
    for (int k = 0; k < 3; k++) {
        if (!number_of(lists[k], i, k == 2 ? UINT64_MAX : UINT32_MAX,
                       &numbers[k])) {
            return false;
        }
    }
    u->at[i].scope = (uint32_t) numbers[0];
    u->at[i].flags = (uint32_t) numbers[1];
    u->at[i].expected_ns = numbers[2];
    return true;
}

static int read_units(struct units *u, PyObject *ids, PyObject *const lists[3])
{
    u->ids = NULL;
    u->at = NULL;
    u->count = PySequence_Size(ids);
    if (u->count < 0) {
        return -1;
    }
    for (int k = 0; k < 3; k++) {
        Py_ssize_t n = PySequence_Size(lists[k]);

        if (n < 0) {
            return -1;
        }
        if (n != u->count) {
            PyErr_SetString(PyExc_ValueError,
                            "ids, scopes, flags and expected_ns differ in "
                            "their lengths");
            return -1;
        }
    }
    if ((uint64_t) u->count > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "too many units");
        return -1;
    }
    u->ids = PyList_New(u->count);
    u->at = calloc((size_t) u->count + 1, sizeof(*u->at));
    if (u->ids == NULL || u->at == NULL) {
        if (!PyErr_Occurred()) {
            (void) PyErr_NoMemory();
        }
        forget_units(u);
        return -1;
    }
    for (Py_ssize_t i = 0; i < u->count; i++) {
        if (!read_unit(u, i, ids, lists)) {
            forget_units(u);
            return -1;
        }
    }
    return 0;
}

/* -------------------------------------------------------------------- life */

static PyObject *Queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"url",         "ids",         "scopes",   "flags",
                            "expected_ns", "project",     "run",      "node",
                            "workers",     "user",        "password", "ca_file",
                            "prefix",      "maxfail",     "lease_ns", "kept_s",
                            "timeout_ns",  "patience_ns", NULL};
    qe_queue_options o = {0};
    unsigned long long lease = 0, kept = 0, timeout = 0, patience = 0;
    unsigned int workers = 0, maxfail = 0;
    PyObject *ids, *lists[3];
    struct units units;
    char text[QE_QUEUE_TEXT] = "";
    Queue *self;
    int status;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sOOOO|$sssIzzzzIKKKK", names, &o.url, &ids,
            &lists[0], &lists[1], &lists[2], &o.project, &o.run, &o.node,
            &workers, &o.user, &o.password, &o.ca_file, &o.prefix, &maxfail,
            &lease, &kept, &timeout, &patience)) {
        return NULL;
    }
    if (o.project == NULL || o.run == NULL || o.node == NULL || workers == 0) {
        PyErr_SetString(PyExc_TypeError,
                        "project, run, node and workers are required");
        return NULL;
    }
    if (read_units(&units, ids, lists) != 0) {
        return NULL;
    }
    o.workers = workers;
    o.maxfail = maxfail;
    o.lease_ns = lease;
    o.kept_s = kept;
    o.timeout_ns = timeout;
    o.patience_ns = patience;
    self = (Queue *) core_new_self(type);
    if (self == NULL) {
        forget_units(&units);
        return NULL;
    }
    self->owner = getpid();
    status =
        qe_queue_open(&self->queue, &o, units.at, (uint32_t) units.count, text);
    forget_units(&units);
    if (status != 0) {
        Py_DECREF(self);
        return queue_raise(status, text);
    }
    return (PyObject *) self;
}

static void Queue_dealloc(PyObject *object)
{
    Queue *self = (Queue *) object;

    /* In a fork there is no thread to be ended, and the connection is not the fork's. */
    if (self->queue != NULL && self->owner == getpid()) {
        Py_BEGIN_ALLOW_THREADS
        qe_queue_close(self->queue);
        Py_END_ALLOW_THREADS
    }
    core_release(object);
}

/* The handle for a call of this process; NULL with an exception. */
static qe_queue *handle_of(Queue *self)
{
    if (self->owner != getpid() || self->busy) {
        return (qe_queue *) queue_raise(
            QE_ESTATE, self->busy ? "another call is under way"
                                  : "the queue is another process's");
    }
    return self->queue;
}

static PyObject *done(Queue *self, int status)
{
    if (status != 0) {
        return queue_raise(status, qe_queue_text(self->queue));
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------- calls */

static PyObject *Queue_join(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;
    qe_queue *q = handle_of(self);
    int status;

    (void) unused;
    if (q == NULL) {
        return NULL;
    }
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    status = qe_queue_join(q);
    Py_END_ALLOW_THREADS
    self->busy = false;
    self->foreign = status == QE_EFORMAT || status == QE_ESTATE;
    return done(self, status);
}

static PyObject *Queue_start(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;
    qe_queue *q = handle_of(self);

    (void) unused;
    return q == NULL ? NULL : done(self, qe_queue_start(q));
}

static PyObject *Queue_tell(PyObject *object, PyObject *args)
{
    Queue *self = (Queue *) object;
    qe_queue *q = handle_of(self);
    unsigned int place, attempt;
    const char *payload;
    Py_ssize_t size;
    int outcome, again, failed;

    if (q == NULL ||
        !PyArg_ParseTuple(args, "IIippz#", &place, &attempt, &outcome, &again,
                          &failed, &payload, &size)) {
        return NULL;
    }
    if (outcome < QE_NONE || outcome >= QE_OUTCOME_COUNT) {
        return queue_raise(QE_EINVAL, "there is no such outcome");
    }
    return done(self,
                qe_queue_tell(q, place, attempt, (enum qe_outcome) outcome,
                              again != 0, failed != 0, payload,
                              payload == NULL ? 0 : (size_t) size));
}

static PyObject *Queue_stop(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;
    qe_queue *q = handle_of(self);

    (void) unused;
    return q == NULL ? NULL : done(self, qe_queue_stop(q));
}

static PyObject *end_of(PyTypeObject *type, const qe_queue_end *end)
{
    PyObject *module = PyType_GetModule(type);
    PyObject *record, *kind, *values[7];

    kind = module == NULL ? NULL : PyObject_GetAttrString(module, "End");
    record = kind == NULL ? NULL : PyStructSequence_New((PyTypeObject *) kind);
    Py_XDECREF(kind);
    if (record == NULL) {
        return NULL;
    }
    values[0] = PyBool_FromLong(end->over);
    values[1] = PyBool_FromLong(end->stopped);
    values[2] = PyBool_FromLong(end->last);
    values[3] = PyLong_FromUnsignedLong(end->counted);
    values[4] = PyLong_FromUnsignedLong(end->late);
    values[5] = PyLong_FromUnsignedLong(end->untold);
    values[6] = PyLong_FromUnsignedLongLong(end->left);
    for (int i = 0; i < 7; i++) {
        if (values[i] == NULL) {
            Py_CLEAR(record);
            break;
        }
        PyStructSequence_SetItem(record, i, values[i]);
    }
    return record;
}

static PyObject *Queue_finish(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;
    qe_queue *q = handle_of(self);
    qe_queue_end end = {0};
    int status;

    (void) unused;
    if (q == NULL) {
        return NULL;
    }
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    status = qe_queue_finish(q, &end);
    Py_END_ALLOW_THREADS
    self->busy = false;
    return status == 0 ? end_of(Py_TYPE(object), &end) : done(self, status);
}

/* -------------------------------------------------------------- attributes */

static PyObject *Queue_text(PyObject *object, void *unused)
{
    Queue *self = (Queue *) object;
    const char *text = self->busy ? "" : qe_queue_text(self->queue);

    (void) unused;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t) strlen(text),
                                "backslashreplace");
}

static PyObject *Queue_foreign(PyObject *object, void *unused)
{
    (void) unused;
    return PyBool_FromLong(((Queue *) object)->foreign);
}

static void let_go(PyObject *capsule)
{
    Py_DECREF((PyObject *) PyCapsule_GetContext(capsule));
}

static PyObject *Queue_source(PyObject *object, void *unused)
{
    qe_queue *q = handle_of((Queue *) object);
    const qe_source *source = q == NULL ? NULL : qe_queue_source(q);
    PyObject *capsule;

    (void) unused;
    if (source == NULL) {
        return q == NULL ? NULL : done((Queue *) object, QE_ESTATE);
    }
    capsule = PyCapsule_New((void *) (uintptr_t) source, CAPSULE, NULL);
    if (capsule == NULL) {
        return NULL;
    }
    /* Who holds it holds the queue. */
    if (PyCapsule_SetContext(capsule, object) != 0) {
        Py_DECREF(capsule);
        return NULL;
    }
    Py_INCREF(object);
    if (PyCapsule_SetDestructor(capsule, let_go) != 0) {
        Py_DECREF(object);
        Py_DECREF(capsule);
        return NULL;
    }
    return capsule;
}

static PyMethodDef Queue_methods[] = {
    {"join", Queue_join, METH_NOARGS,
     "join(): comes to the run, lays its plan if it is the first"},
    {"start", Queue_start, METH_NOARGS,
     "start(): starts the thread, after the session's start"},
    {"tell", Queue_tell, METH_VARARGS,
     "tell(place, attempt, outcome, again, failed, payload: bytes or None)"},
    {"stop", Queue_stop, METH_NOARGS, "stop(): nothing starts on any node"},
    {"finish", Queue_finish, METH_NOARGS,
     "finish() -> End: gives back, tells the rest, leaves"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Queue_attributes[] = {
    {"source", Queue_source, NULL, "a capsule with the qe_source", NULL},
    {"foreign", Queue_foreign, NULL,
     "the run that was come to has another plan, or has ended", NULL},
    {"text", Queue_text, NULL, "what went wrong last, in a line", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Queue_slots[] = {
    {Py_tp_new, (void *) Queue_new},
    {Py_tp_dealloc, (void *) Queue_dealloc},
    {Py_tp_methods, Queue_methods},
    {Py_tp_getset, Queue_attributes},
    {Py_tp_doc,
     "Queue(url, ids, scopes, flags, expected_ns, *, project, run, node, "
     "workers, ...): a node's part in a run; see qe_queue.h."},
    {0, NULL},
};

static PyType_Spec Queue_spec = {"pytest_qe._queue.Queue", sizeof(Queue), 0,
                                 Py_TPFLAGS_DEFAULT, Queue_slots};

int queue_add_node(PyObject *module)
{
    PyTypeObject *end = PyStructSequence_NewType(&end_description);
    PyObject *type;
    int status;

    if (end == NULL) {
        return -1;
    }
    status = PyModule_AddObjectRef(module, "End", (PyObject *) end);
    Py_DECREF(end);
    if (status != 0) {
        return -1;
    }
    type = PyType_FromModuleAndSpec(module, &Queue_spec, NULL);
    status = type == NULL ? -1 : PyModule_AddObjectRef(module, "Queue", type);
    Py_XDECREF(type);
    return status;
}
