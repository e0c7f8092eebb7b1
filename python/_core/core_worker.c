/* Worker: what a worker process holds. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

typedef struct Worker {
    PyObject_HEAD
    qe_worker *worker;
    PyObject *plan; /* what the arena's memory came from lives as long */
} Worker;

static PyObject *claim_tuple(const qe_claim *c)
{
    return Py_BuildValue("(IIII)", c->unit, c->item, c->pass, c->attempt);
}

static PyObject *done(int status)
{
    if (status < 0) {
        return core_raise(status);
    }
    Py_RETURN_NONE;
}

static PyObject *Worker_peek(PyObject *self, PyObject *unused)
{
    qe_claim claim;
    int status = qe_worker_peek(((Worker *) self)->worker, &claim);

    (void) unused;
    return status == 1 ? claim_tuple(&claim) : done(status);
}

static PyObject *Worker_claim(PyObject *self, PyObject *args)
{
    qe_worker *worker = ((Worker *) self)->worker;
    qe_claim claim;
    int wait, status;

    if (!PyArg_ParseTuple(args, "p", &wait)) {
        return NULL;
    }
    status = qe_worker_claim(worker, false, &claim);
    if (status == 0 && wait) {
        Py_BEGIN_ALLOW_THREADS
        status = qe_worker_claim(worker, true, &claim);
        Py_END_ALLOW_THREADS
    }
    if (status == QE_EGONE) {
        Py_RETURN_FALSE;
    }
    return status == 1 ? claim_tuple(&claim) : done(status);
}

static PyObject *Worker_start(PyObject *self, PyObject *args)
{
    qe_claim c;
    int status;

    if (!PyArg_ParseTuple(args, "(IIII)", &c.unit, &c.item, &c.pass,
                          &c.attempt)) {
        return NULL;
    }
    /* What writes an event may wait for room in the pipe. */
    Py_BEGIN_ALLOW_THREADS
    status = qe_worker_start(((Worker *) self)->worker, &c);
    Py_END_ALLOW_THREADS
    if (status == QE_EGONE) {
        Py_RETURN_FALSE;
    }
    if (status != 0) {
        return core_raise(status);
    }
    Py_RETURN_TRUE;
}

static PyObject *Worker_seed(PyObject *self, PyObject *args)
{
    unsigned int key;
    uint64_t seed;
    int status;

    if (!PyArg_ParseTuple(args, "I", &key)) {
        return NULL;
    }
    status = qe_worker_seed(((Worker *) self)->worker, key, &seed);
    return status == 1 ? PyLong_FromUnsignedLongLong(seed) : done(status);
}

/* The paths of a list of bytes; NULL with an exception. */
static const char **paths_of(PyObject *list)
{
    Py_ssize_t n = PyList_Size(list);

    return n < 0 ? NULL : core_strings_of(list, n);
}

/* A path of bytes, or NULL for None; NULL with an exception for what is neither. */
static const char *path_or_null(PyObject *path)
{
    return path == Py_None ? NULL : PyBytes_AsString(path);
}

static PyObject *Worker_around(PyObject *self, PyObject *args)
{
    qe_places places;
    PyObject *folder, *tmp, *home, *keep;
    const char **kept;
    uint32_t refused = 0;
    int status;

    if (!PyArg_ParseTuple(args, "OOOO", &folder, &tmp, &home, &keep)) {
        return NULL;
    }
    places.folder = path_or_null(folder);
    places.tmp = path_or_null(tmp);
    places.home = path_or_null(home);
    kept = PyErr_Occurred() == NULL ? paths_of(keep) : NULL;
    if (kept == NULL) {
        return NULL;
    }
    places.keep = kept;
    status = qe_worker_around(((Worker *) self)->worker, &places, &refused);
    free(kept);
    return status == 0 ? core_around_names(refused) : core_raise(status);
}

static PyObject *Worker_lift(PyObject *self, PyObject *unused)
{
    (void) unused;
    return done(qe_worker_lift(((Worker *) self)->worker));
}

static PyObject *Worker_ahead(PyObject *self, PyObject *unused)
{
    (void) unused;
    return PyFloat_FromDouble(qe_worker_ahead_s(((Worker *) self)->worker));
}

static PyObject *Worker_phase(PyObject *self, PyObject *args)
{
    int phase, status;

    if (!PyArg_ParseTuple(args, "i", &phase)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_worker_phase(((Worker *) self)->worker, (enum qe_phase) phase);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyObject *Worker_passed(PyObject *self, PyObject *args)
{
    double start, duration;
    int phase, status;

    if (!PyArg_ParseTuple(args, "idd", &phase, &start, &duration)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_worker_passed(((Worker *) self)->worker, (enum qe_phase) phase,
                              start, duration);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyObject *Worker_send(PyObject *self, PyObject *args)
{
    unsigned int kind;
    const char *data;
    Py_ssize_t n;
    int status;

    if (!PyArg_ParseTuple(args, "Iy#", &kind, &data, &n)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_worker_send(((Worker *) self)->worker, kind, data, (size_t) n);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyObject *Worker_finish(PyObject *self, PyObject *args)
{
    int outcome, last, status;
    const char *data = NULL;
    Py_ssize_t n = 0;

    if (!PyArg_ParseTuple(args, "ip|z#", &outcome, &last, &data, &n)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status =
        qe_worker_finish(((Worker *) self)->worker, (enum qe_outcome) outcome,
                         last, data, (size_t) n);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyObject *Worker_is_last(PyObject *self, PyObject *unused)
{
    (void) unused;
    return PyBool_FromLong(qe_worker_is_last(((Worker *) self)->worker));
}

static PyObject *Worker_count_failure(PyObject *self, PyObject *unused)
{
    int failures = qe_worker_count_failure(((Worker *) self)->worker);

    (void) unused;
    return failures < 0 ? core_raise(failures) : PyLong_FromLong(failures);
}

static PyObject *Worker_unlimited(PyObject *self, PyObject *unused)
{
    int status;

    (void) unused;
    Py_BEGIN_ALLOW_THREADS
    status = qe_worker_unlimited(((Worker *) self)->worker);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyObject *Worker_stop(PyObject *self, PyObject *unused)
{
    (void) unused;
    return done(qe_worker_stop(((Worker *) self)->worker));
}

static PyObject *Worker_hold(PyObject *self, PyObject *unused)
{
    (void) unused;
    return done(qe_worker_hold(((Worker *) self)->worker));
}

static PyObject *Worker_wait_keeper(PyObject *self, PyObject *unused)
{
    uint32_t slot = 0;
    int status;

    (void) unused;
    Py_BEGIN_ALLOW_THREADS
    status = qe_keeper_wait(((Worker *) self)->worker, &slot);
    Py_END_ALLOW_THREADS
    return status == 1 ? PyLong_FromUnsignedLong(slot) : done(status);
}

static PyObject *Worker_fork(PyObject *self, PyObject *args)
{
    PyObject *module, *result;
    qe_worker *worker;
    unsigned int slot;
    int status;

    if (!PyArg_ParseTuple(args, "I", &slot)) {
        return NULL;
    }
    PyOS_BeforeFork();
    status = qe_keeper_fork(((Worker *) self)->worker, slot, &worker);
    if (status != 1) {
        PyOS_AfterFork_Parent();
        return done(status);
    }
    PyOS_AfterFork_Child();
    module = PyImport_ImportModule("pytest_qe._core");
    if (module == NULL) {
        return NULL;
    }
    result = core_new_worker(module, worker, ((Worker *) self)->plan);
    Py_DECREF(module);
    return result;
}

static PyObject *Worker_bye(PyObject *self, PyObject *unused)
{
    int status;

    (void) unused;
    Py_BEGIN_ALLOW_THREADS
    status = qe_worker_bye(((Worker *) self)->worker);
    Py_END_ALLOW_THREADS
    return done(status);
}

static PyObject *Worker_job(PyObject *self, PyObject *unused)
{
    PyObject *around;
    qe_job job;

    (void) unused;
    qe_worker_job(((Worker *) self)->worker, &job);
    around = core_around_dict(&job.around);
    if (around == NULL) {
        return NULL;
    }
    return Py_BuildValue(
        "{s:I,s:I,s:O,s:O,s:I,s:O,s:I,s:N,s:K,s:i,s:i,s:i,s:i}", "slot",
        job.slot, "epoch", job.epoch, "single", job.single ? Py_True : Py_False,
        "keeper", job.keeper ? Py_True : Py_False, "server", job.server,
        "decided", job.decided ? Py_True : Py_False, "pass", job.pass, "around",
        around, "seed", (unsigned long long) job.seed, "stdout",
        job.capture_fd[0], "stderr", job.capture_fd[1], "stack", job.stack_fd,
        "stack_signal", job.stack_signal);
}

static void Worker_dealloc(PyObject *self)
{
    /* The handle stays: a worker leaves by _exit, and a test that forked may
     * still hold it. */
    Py_CLEAR(((Worker *) self)->plan);
    core_release(self);
}

static PyMethodDef Worker_methods[] = {
    {"job", Worker_job, METH_NOARGS, "job() -> dict"},
    {"peek", Worker_peek, METH_NOARGS,
     "peek() -> (unit, item, pass, attempt) | None"},
    {"claim", Worker_claim, METH_VARARGS,
     "claim(wait) -> (unit, item, pass, attempt), None if there is nothing "
     "now, False if the run is over"},
    {"start", Worker_start, METH_VARARGS,
     "start(claim) -> bool: False if the run was stopped"},
    {"around", Worker_around, METH_VARARGS,
     "around(folder, tmp, home, keep) -> what was refused of what is to change "
     "around it; see qe_worker_around"},
    {"lift", Worker_lift, METH_NOARGS,
     "lift(): no limit of these until the next phase"},
    {"ahead", Worker_ahead, METH_NOARGS,
     "ahead() -> seconds that the clock is ahead"},
    {"seed", Worker_seed, METH_VARARGS,
     "seed(key) -> the running attempt's, or None where its pass was planned "
     "before the run"},
    {"phase", Worker_phase, METH_VARARGS, "phase(number)"},
    {"passed", Worker_passed, METH_VARARGS,
     "passed(phase, start_s, duration_s)"},
    {"send", Worker_send, METH_VARARGS, "send(kind, data: bytes)"},
    {"finish", Worker_finish, METH_VARARGS, "finish(outcome, last, data=None)"},
    {"is_last", Worker_is_last, METH_NOARGS, "is_last() -> bool"},
    {"count_failure", Worker_count_failure, METH_NOARGS,
     "count_failure() -> failures in all workers, where the limit is reached; "
     "else 0"},
    {"unlimited", Worker_unlimited, METH_NOARGS,
     "unlimited(): what runs has no limit any more"},
    {"stop", Worker_stop, METH_NOARGS, "stop(): nothing more starts"},
    {"hold", Worker_hold, METH_NOARGS,
     "hold(): the stack signal's handler never returns"},
    {"wait_keeper", Worker_wait_keeper, METH_NOARGS,
     "wait_keeper() -> the slot of a worker that is wanted, or None"},
    {"fork", Worker_fork, METH_VARARGS,
     "fork(slot) -> Worker in the new worker, None in the keeper"},
    {"bye", Worker_bye, METH_NOARGS, "bye(): the session is over"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Worker_slots[] = {
    {Py_tp_dealloc, (void *) Worker_dealloc},
    {Py_tp_methods, Worker_methods},
    {Py_tp_doc, "What a worker process holds; see qe_worker in qe.h."},
    {0, NULL},
};

static PyType_Spec Worker_spec = {
    "pytest_qe._core.Worker", sizeof(Worker), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, Worker_slots};

PyObject *core_new_worker(PyObject *module, qe_worker *worker, PyObject *plan)
{
    Worker *w = (Worker *) core_new_object(module, "Worker");

    if (w != NULL) {
        w->worker = worker;
        w->plan = plan;
        Py_XINCREF(plan);
    }
    return (PyObject *) w;
}

static PyObject *attach(PyObject *module, PyObject *unused)
{
    qe_worker *worker;
    int status = qe_worker_attach(&worker);

    (void) unused;
    if (status != 0) {
        return core_raise(status);
    }
    return core_new_worker(module, worker, NULL);
}

static PyMethodDef functions[] = {
    {"attach", attach, METH_NOARGS,
     "attach() -> Worker, in a spawned worker (environment QE_WORKER)"},
    {NULL, NULL, 0, NULL},
};

int core_add_worker(PyObject *module)
{
    return core_add_type(module, &Worker_spec, "Worker") ||
           PyModule_AddFunctions(module, functions);
}
