/* A node's part in a run; see qe_queue.h. */
#include "queue_types.h"
#include "queue_units.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CAPSULE "qe_source"

typedef struct Queue {
    PyObject_HEAD
    qe_queue *queue;
    pid_t owner;   /* whose thread it is: a fork has none */
    bool foreign;  /* the run is another's: see Queue_attributes */
    bool busy;     /* a call that blocks has let go of the interpreter's lock */
    PyObject *end; /* what finish() told; NULL: not yet */
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
    struct queue_units units;
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
    if (queue_read_units(&units, ids, lists) != 0) {
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
        queue_forget_units(&units);
        return NULL;
    }
    self->owner = getpid();
    status =
        qe_queue_open(&self->queue, &o, units.at, (uint32_t) units.count, text);
    queue_forget_units(&units);
    if (status != 0) {
        Py_DECREF(self);
        return queue_raise(status, text);
    }
    return (PyObject *) self;
}

static void Queue_dealloc(PyObject *object)
{
    Queue *self = (Queue *) object;

    Py_CLEAR(self->end);

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

/* ------------------------------------------------- calls that wait for a server */

#define LOOK_MS 100 /* for signals that another thread of the process got */

struct waiting {
    qe_queue *queue;
    qe_queue_end *end; /* NULL: it joins, otherwise it finishes */
    int status, done_fd;
};

static void *wait_out(void *argument)
{
    struct waiting *w = argument;
    const uint64_t one = 1;

    w->status = w->end != NULL ? qe_queue_finish(w->queue, w->end)
                               : qe_queue_join(w->queue);
    (void) !write(w->done_fd, &one, sizeof(one));
    return NULL;
}

static bool start_waiting(struct waiting *w, pthread_t *thread)
{
    sigset_t all, before;
    int error;

    w->done_fd = eventfd(0, EFD_CLOEXEC);
    if (w->done_fd < 0) {
        return false;
    }
    (void) sigfillset(&all); /* they are the interpreter's */
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, NULL, wait_out, w);
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        (void) close(w->done_fd);
    }
    return error == 0;
}

/* True once the call is done. */
static bool look(const struct waiting *w)
{
    struct pollfd p = {.fd = w->done_fd, .events = POLLIN};
    bool done;

    Py_BEGIN_ALLOW_THREADS
    done = poll(&p, 1, LOOK_MS) > 0;
    Py_END_ALLOW_THREADS
    return done;
}

/* Makes the call on a thread of its own, while this one looks for signals: where a handler raises,
 * nobody wants to wait any longer. False with that exception; what the call came to is in *w. */
static bool waits(Queue *self, struct waiting *w)
{
    PyObject *type = NULL, *value = NULL, *trace = NULL;
    pthread_t thread;

    w->queue = self->queue;
    self->busy = true;
    if (!start_waiting(w, &thread)) {
        Py_BEGIN_ALLOW_THREADS
        w->done_fd = -1;
        (void) wait_out(w);
        Py_END_ALLOW_THREADS
        self->busy = false;
        return true;
    }
    while (!look(w)) {
        if (PyErr_CheckSignals() == 0) {
            continue;
        }
        qe_queue_cancel(w->queue);
        if (type == NULL) {
            PyErr_Fetch(&type, &value, &trace);
        } else {
            PyErr_Clear();
        }
    }
    Py_BEGIN_ALLOW_THREADS(void)
    pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS(void)
    close(w->done_fd);
    self->busy = false;
    if (type != NULL) {
        PyErr_Restore(type, value, trace);
    }
    return type == NULL;
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

static PyObject *Queue_join(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;
    struct waiting w = {.end = NULL};
    int status;

    (void) unused;
    if (handle_of(self) == NULL || !waits(self, &w)) {
        return NULL;
    }
    status = w.status;
    self->foreign = status == QE_EFORMAT || status == QE_ESTATE;
    if (status == QE_ESTATE) {
        qe_queue_end end;

        qe_queue_known(self->queue, &end);
        if (self->end == NULL &&
            (end.over || end.stopped)) { /* otherwise it is a call too many */
            self->end = end_of(Py_TYPE(object), &end);
            if (self->end == NULL) {
                return NULL;
            }
        }
    }
    return done(self, status);
}

static PyObject *Queue_cancel(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;

    (void) unused;
    if (self->owner == getpid()) { /* also while a call is under way */
        qe_queue_cancel(self->queue);
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------- calls */

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

static PyObject *Queue_finish(PyObject *object, PyObject *unused)
{
    Queue *self = (Queue *) object;
    qe_queue_end end = {0};
    struct waiting w = {.end = &end};
    PyObject *type, *value, *trace;
    bool good;

    (void) unused;
    if (handle_of(self) == NULL) {
        return NULL;
    }
    good = waits(self, &w);
    if (w.status == 0) { /* it is told, though a signal's handler has raised */
        PyErr_Fetch(&type, &value, &trace);
        self->end = end_of(Py_TYPE(object), &end);
        if (self->end == NULL) {
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(trace);
            return NULL;
        }
        PyErr_Restore(type, value, trace);
    }
    if (!good) {
        return NULL;
    }
    if (w.status != 0) {
        return done(self, w.status);
    }
    Py_INCREF(self->end);
    return self->end;
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

static PyObject *Queue_end(PyObject *object, void *unused)
{
    PyObject *end = ((Queue *) object)->end;

    (void) unused;
    end = end == NULL ? Py_None : end;
    Py_INCREF(end);
    return end;
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
    {"cancel", Queue_cancel, METH_NOARGS,
     "cancel(): join() and finish() wait no longer; from any thread"},
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
    {"end", Queue_end, NULL,
     "what finish() told, also where a signal's handler raised; what join() "
     "found, where the run has ended; None before",
     NULL},
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
