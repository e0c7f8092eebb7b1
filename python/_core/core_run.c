/* Session: a run, as the controller holds it. */
#include "core_session.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 512                   /* events in one list at the most */
#define CAPTURED ((size_t) 1 << 20) /* bytes of a dead test's output */

/* The interpreter's duties around fork(2). The lock is released between. */
static void before_fork(void *ctx)
{
    PyEval_RestoreThread(((Session *) ctx)->thread);
    PyOS_BeforeFork();
}

static void after_fork_parent(void *ctx)
{
    PyOS_AfterFork_Parent();
    ((Session *) ctx)->thread = PyEval_SaveThread();
}

static void after_fork_child(void *ctx)
{
    PyOS_AfterFork_Child();
    ((Session *) ctx)->thread = PyEval_SaveThread();
}

static PyObject *start(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"plan",          "workers",
                            "argv",          "isolate",
                            "func_only",     "steal_scopes",
                            "in_order",      "keeper",
                            "spawned",       "servers",
                            "peak_memory",   "maxfail",
                            "max_restarts",  "session_timeout_ns",
                            "backoff_ns",    "seed",
                            "commands",      "first_workers",
                            "exact_backoff", "grace_ns",
                            "throttle_ns",   "output_bytes",
                            "source",        NULL};
    PyObject *plan, *argv = Py_None, *servers = Py_None, *source = Py_None;
    int isolate = 0, func_only = 0, steal_scopes = 0, peak_memory = 0;
    int in_order = 0, keeper = 0, spawned = 0, commands = 0, exact = 0;
    unsigned int workers, maxfail = 0, max_restarts = UINT32_MAX, first = 0;
    unsigned long long session_timeout = 0, backoff = 0, seed = 0;
    unsigned long long grace = 0, throttle = 0, output_bytes = 0;
    qe_worker *worker = NULL;
    Session *self;
    qe_options options;
    int status;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OI|OppppppOpIIKKKpIpKKKO", names, &plan, &workers,
            &argv, &isolate, &func_only, &steal_scopes, &in_order, &keeper,
            &spawned, &servers, &peak_memory, &maxfail, &max_restarts,
            &session_timeout, &backoff, &seed, &commands, &first, &exact,
            &grace, &throttle, &output_bytes, &source)) {
        return NULL;
    }
    memset(&options, 0, sizeof(options));
    if (source != Py_None) {
        options.source = PyCapsule_GetPointer(source, "qe_source");
        if (options.source == NULL) {
            return NULL;
        }
    }
    self = (Session *) core_new_object(module, "Session");
    if (self == NULL) {
        return NULL;
    }
    if (argv != Py_None && (self->argv = core_words(argv)) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    Py_INCREF(plan);
    self->plan = plan;
    Py_INCREF(source);
    self->source = source;
    if (servers != Py_None) {
        self->server_env = core_lists(servers, &options.servers);
        if (self->server_env == NULL) {
            Py_DECREF(self);
            return NULL;
        }
        options.server_env = (char *const *const *) self->server_env;
    }
    options.workers = workers;
    options.first_workers = first;
    options.start = commands  ? QE_START_COMMAND
                    : spawned ? QE_START_SPAWN
                              : QE_START_FORK;
    options.spawn_argv = self->argv;
    options.isolate = isolate;
    options.func_only = func_only;
    options.steal_scopes = steal_scopes;
    options.in_order = in_order;
    options.keeper = keeper;
    options.peak_memory = peak_memory;
    options.maxfail = maxfail;
    options.max_restarts = max_restarts;
    options.session_timeout_ns = session_timeout;
    options.backoff_ns = backoff;
    options.exact_backoff = exact;
    options.grace_ns = grace;
    options.throttle_ns = throttle;
    options.output_bytes = (size_t) output_bytes;
    options.seed = seed;
    options.plain_events = true;
    qe_fork_hooks hooks = {before_fork, after_fork_parent, after_fork_child,
                           self};
    self->thread = PyEval_SaveThread();
    /* No process that is forked for commands comes to run Python. */
    status = qe_session_start(&self->session, &worker, core_plan_of(plan),
                              &options, commands ? NULL : &hooks);
    PyEval_RestoreThread(self->thread);
    if (status < 0) {
        Py_DECREF(self);
        return core_raise(status);
    }
    if (status == 1) {
        /* A worker: its session object stays for ever, as its memory is what
         * the worker's handle points into. */
        PyObject *w = core_new_worker(module, worker, plan);

        if (w == NULL) {
            return NULL;
        }
        return Py_BuildValue("(ON)", Py_None, w);
    }
    return Py_BuildValue("(NO)", self, Py_None);
}

static PyObject *bytes_or_none(const qe_event *e)
{
    if (e->data == NULL) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize(e->data, (Py_ssize_t) e->data_size);
}

/* What the dead worker of a slot had printed, bounded; NULL on failure. */
static PyObject *captured(qe_session *s, uint32_t slot, int stream)
{
    char *buffer = malloc(CAPTURED);
    PyObject *result;
    size_t n;

    if (buffer == NULL) {
        return PyErr_NoMemory();
    }
    n = qe_session_captured(s, slot, stream, buffer, CAPTURED);
    result = PyBytes_FromStringAndSize(buffer, (Py_ssize_t) n);
    free(buffer);
    return result;
}

/* The tuples are described in pytest_qe/events.py. */
static PyObject *event_tuple(qe_session *s, const qe_event *e)
{
    int kind = (int) e->kind;

    switch (e->kind) {
    case QE_EV_WORKER:
        return Py_BuildValue("(iIIi)", kind, e->slot, e->epoch, e->pid);
    case QE_EV_START:
        return Py_BuildValue("(iIIId)", kind, e->slot, e->unit, e->attempt,
                             e->start_s);
    case QE_EV_PASSED:
        return Py_BuildValue("(iIIIidd)", kind, e->slot, e->unit, e->attempt,
                             (int) e->phase, e->start_s, e->duration_s);
    case QE_EV_DATA:
        return Py_BuildValue("(iIIIIN)", kind, e->slot, e->unit, e->attempt,
                             e->data_kind, bytes_or_none(e));
    case QE_EV_FINISH:
        return Py_BuildValue(
            "(iIIIiiiddKNin)", kind, e->slot, e->unit, e->attempt,
            (int) e->outcome, (int) e->settled, (int) e->last, e->duration_s,
            e->cpu_s, (unsigned long long) e->peak_bytes, bytes_or_none(e),
            e->status, (Py_ssize_t) e->stdout_bytes);
    case QE_EV_PLAIN:
        return Py_BuildValue(
            "(iIIIidddKNdddddd)", kind, e->slot, e->unit, e->attempt,
            (int) e->last, e->start_s, e->duration_s, e->cpu_s,
            (unsigned long long) e->peak_bytes, bytes_or_none(e),
            e->phases[0].start_s, e->phases[0].duration_s, e->phases[1].start_s,
            e->phases[1].duration_s, e->phases[2].start_s,
            e->phases[2].duration_s);
    case QE_EV_LOST:
        return Py_BuildValue(
            "(iIIIiiiddKNNN)", kind, e->slot, e->unit, e->attempt,
            (int) e->outcome, (int) e->phase, e->status, e->start_s,
            e->duration_s, (unsigned long long) e->peak_bytes, bytes_or_none(e),
            captured(s, e->slot, 0), captured(s, e->slot, 1));
    case QE_EV_EXIT:
        return Py_BuildValue("(iIIIiiiN)", kind, e->slot, e->unit, e->attempt,
                             (int) e->outcome, (int) e->phase, e->status,
                             bytes_or_none(e));
    case QE_EV_REFUSED:
    case QE_EV_SOURCE:
        return Py_BuildValue("(ii)", kind, e->status);
    case QE_EV_SERVER:
        return Py_BuildValue("(iIiiN)", kind, e->server, e->status, e->error,
                             captured(s, e->slot, 1));
    case QE_EV_GIVE_UP:
        return Py_BuildValue("(iiis)", kind, e->error, e->status,
                             qe_strerror(e->error));
    default:
        return Py_BuildValue("(i)", kind);
    }
}

static PyObject *Session_events(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    PyObject *list;
    qe_event event;
    int timeout_ms, status;

    if (s == NULL || !PyArg_ParseTuple(args, "i", &timeout_ms)) {
        return NULL;
    }
    list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe_session_next(s, timeout_ms, &event);
    Py_END_ALLOW_THREADS
    for (int n = 0; status == 0 && event.kind != QE_EV_NONE; n++) {
        PyObject *tuple = event_tuple(s, &event);

        if (tuple == NULL || PyList_Append(list, tuple) != 0) {
            Py_XDECREF(tuple);
            Py_DECREF(list);
            return NULL;
        }
        Py_DECREF(tuple);
        if (n >= BATCH || event.kind == QE_EV_DONE) {
            break;
        }
        status = qe_session_next(s, 0, &event);
    }
    if (status != 0) {
        Py_DECREF(list);
        return core_raise(status);
    }
    return list;
}

static PyObject *Session_settle(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    unsigned int unit, attempt;
    enum qe_outcome final;
    int outcome, retryable, status;
    bool again;

    if (s == NULL || !PyArg_ParseTuple(args, "IIip", &unit, &attempt, &outcome,
                                       &retryable)) {
        return NULL;
    }
    status = qe_session_settle(s, unit, attempt, (enum qe_outcome) outcome,
                               retryable, &again, &final);
    if (status != 0) {
        return core_raise(status);
    }
    return Py_BuildValue("(Oi)", again ? Py_True : Py_False, (int) final);
}

static PyObject *Session_stop(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    int interrupt = 0;

    if (s == NULL || !PyArg_ParseTuple(args, "|p", &interrupt)) {
        return NULL;
    }
    (void) qe_session_stop(s, interrupt);
    Py_RETURN_NONE;
}

static PyObject *Session_pause(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    int on;

    if (s == NULL || !PyArg_ParseTuple(args, "p", &on)) {
        return NULL;
    }
    (void) qe_session_pause(s, on);
    Py_RETURN_NONE;
}

static PyObject *Session_kill(PyObject *self, PyObject *unused)
{
    qe_session *s = core_open_session(self);

    (void) unused;
    if (s == NULL) {
        return NULL;
    }
    (void) qe_session_kill(s);
    Py_RETURN_NONE;
}

static PyObject *Session_add_pass(PyObject *self, PyObject *args,
                                  PyObject *kwargs)
{
    static char *names[] = {"", "", "", "", "around", "flags", "server", NULL};
    qe_session *s = core_open_session(self);
    PyObject *items, *limits, *changes = Py_None;
    qe_around around;
    qe_pass pass = {.number = 0};
    unsigned long long seed;
    uint32_t *numbers = NULL;
    uint64_t *timeouts = NULL;
    uint32_t unit = 0;
    int status = QE_EINVAL;

    if (s == NULL || !PyArg_ParseTupleAndKeywords(
                         args, kwargs, "IOOK|OII", names, &pass.number, &items,
                         &limits, &seed, &changes, &pass.flags, &pass.server)) {
        return NULL;
    }
    if (changes != Py_None) {
        if (core_around_of(changes, &around) != 0) {
            return NULL;
        }
        pass.around = &around;
    }
    numbers = core_numbers(items, &pass.n);
    timeouts =
        numbers == NULL ? NULL : malloc((pass.n + 1) * sizeof(*timeouts));
    for (size_t i = 0; timeouts != NULL && i < pass.n; i++) {
        PyObject *limit = PySequence_GetItem(limits, (Py_ssize_t) i);

        timeouts[i] = limit == NULL ? 0 : PyLong_AsUnsignedLongLong(limit);
        Py_XDECREF(limit);
    }
    if (numbers != NULL && timeouts == NULL) {
        (void) PyErr_NoMemory();
    }
    if (PyErr_Occurred() == NULL) {
        pass.items = numbers;
        pass.timeout_ns = timeouts;
        pass.seed = seed;
        status = qe_session_pass(s, &pass, &unit);
        if (status != 0) {
            (void) core_raise(status);
        }
    }
    free(numbers);
    free(timeouts);
    return status == 0 ? PyLong_FromUnsignedLong(unit) : NULL;
}

static PyObject *Session_grow(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    unsigned int workers;

    if (s == NULL || !PyArg_ParseTuple(args, "I", &workers)) {
        return NULL;
    }
    return core_done(qe_session_grow(s, workers));
}

static PyObject *Session_limit(PyObject *self, PyObject *args)
{
    qe_session *s = core_open_session(self);
    unsigned int running;
    unsigned long long throttle_ns;

    if (s == NULL || !PyArg_ParseTuple(args, "IK", &running, &throttle_ns)) {
        return NULL;
    }
    return core_done(qe_session_limit(s, running, throttle_ns));
}

static PyObject *Session_spare(PyObject *self, PyObject *unused)
{
    qe_session *s = core_open_session(self);

    (void) unused;
    return s == NULL ? NULL : PyLong_FromSize_t(qe_session_spare(s));
}

static PyObject *Session_no_more(PyObject *self, PyObject *unused)
{
    qe_session *s = core_open_session(self);

    (void) unused;
    if (s == NULL) {
        return NULL;
    }
    (void) qe_session_no_more(s);
    Py_RETURN_NONE;
}

static PyObject *Session_close(PyObject *self, PyObject *unused)
{
    Session *me = (Session *) self;
    qe_session *s = me->session;

    (void) unused;
    me->session = NULL;
    Py_BEGIN_ALLOW_THREADS
    qe_session_close(s);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static void Session_dealloc(PyObject *self)
{
    Session *me = (Session *) self;

    qe_session_close(me->session);
    core_free_words(me->argv);
    core_free_lists(me->server_env);
    Py_CLEAR(me->plan);
    Py_CLEAR(me->source);
    core_release(self);
}

static PyMethodDef Session_methods[] = {
    {"events", Session_events, METH_VARARGS,
     "events(timeout_ms) -> list of tuples (see pytest_qe.events)"},
    {"settle", Session_settle, METH_VARARGS,
     "settle(unit, attempt, outcome, retryable) -> (again, final outcome)"},
    {"stop", Session_stop, METH_VARARGS, "stop(interrupt=False)"},
    {"pause", Session_pause, METH_VARARGS, "pause(on)"},
    {"kill", Session_kill, METH_NOARGS, "kill()"},
    {"add_pass", (PyCFunction) (void (*)(void)) Session_add_pass,
     METH_VARARGS | METH_KEYWORDS,
     "add_pass(number, items, timeouts_ns, seed, around=None, flags=0, "
     "server=0) -> its "
     "first unit"},
    {"grow", Session_grow, METH_VARARGS,
     "grow(workers)\n\nUp to so many of the workers run from now on."},
    {"limit", Session_limit, METH_VARARGS,
     "limit(running, throttle_ns)\n\nOf commands: so many at once (0: as many "
     "as workers), so far apart."},
    {"spare", Session_spare, METH_NOARGS, "spare() -> units"},
    {"no_more", Session_no_more, METH_NOARGS, "no_more()"},
    {"running", core_session_running, METH_NOARGS,
     "running() -> [(slot, unit, attempt, phase, seconds)], longest first"},
    {"progress", core_session_progress, METH_NOARGS,
     "progress() -> (done, all)"},
    {"publish", core_session_publish, METH_VARARGS,
     "publish(folder, about_json, names)\n\nTells other processes what runs, "
     "see qe_live.h; names are those of items."},
    {"close", Session_close, METH_NOARGS, "close()"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Session_slots[] = {
    {Py_tp_dealloc, (void *) Session_dealloc},
    {Py_tp_methods, Session_methods},
    {Py_tp_doc, "A run under way; see qe_session in qe.h."},
    {0, NULL},
};

static PyType_Spec Session_spec = {
    "pytest_qe._core.Session", sizeof(Session), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, Session_slots};

static PyMethodDef functions[] = {
    {"start", (PyCFunction) (void (*)(void)) start,
     METH_VARARGS | METH_KEYWORDS,
     "start(plan, workers, ...) -> (Session, None), or (None, Worker) in a "
     "forked worker, in which this call also returns"},
    {NULL, NULL, 0, NULL},
};

int core_add_run(PyObject *module)
{
    return core_add_type(module, &Session_spec, "Session") ||
           PyModule_AddFunctions(module, functions);
}
