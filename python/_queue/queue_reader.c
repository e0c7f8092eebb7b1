/* Runs as people and reports see them; see qe_board_read.h. */
#include "queue_reader.h"

#include <stdlib.h>
#include <string.h>

static PyObject *wrong_address(const char *text)
{
    char line[QE__READER_TEXT];

    PyOS_snprintf(line, sizeof(line), "the queue's address: %s", text);
    return queue_raise(QE_EINVAL, line);
}

static PyObject *Reader_new(PyTypeObject *type, PyObject *args,
                            PyObject *kwargs)
{
    static char *names[] = {"url",      "project", "prefix",     "user",
                            "password", "ca_file", "timeout_ns", NULL};
    const char *url, *project, *prefix = "qe", *user = NULL, *password = NULL;
    const char *ca_file = NULL;
    unsigned long long timeout = 5000000000u;
    qe__redis_address address;
    char text[QE__READER_TEXT] = "";
    Reader *self;
    int status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ss|szzzK", names, &url,
                                     &project, &prefix, &user, &password,
                                     &ca_file, &timeout)) {
        return NULL;
    }
    if (qe__redis_parse(url, &address, text) != 0) {
        return wrong_address(text);
    }
    if ((user != NULL && strlen(user) >= sizeof(address.user)) ||
        (password != NULL && strlen(password) >= sizeof(address.password))) {
        return wrong_address("the user or the password is too long");
    }
    if (user != NULL) {
        PyOS_snprintf(address.user, sizeof(address.user), "%s", user);
    }
    if (password != NULL) {
        PyOS_snprintf(address.password, sizeof(address.password), "%s",
                      password);
    }
    address.ca_file = ca_file;
    self = (Reader *) core_new_self(type);
    if (self == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = qe__reader_open(&self->reader, &address, prefix, project, timeout,
                             text);
    Py_END_ALLOW_THREADS
    explicit_bzero(&address, sizeof(address));
    if (status != 0) {
        Py_DECREF(self);
        return queue_raise(status, text);
    }
    return (PyObject *) self;
}

static void Reader_dealloc(PyObject *self)
{
    qe__reader_close(((Reader *) self)->reader);
    core_release(self);
}

qe__reader *queue_reader_of(PyObject *object)
{
    Reader *self = (Reader *) object;

    if (self->reader == NULL || self->busy) {
        return (qe__reader *) queue_raise(
            QE_ESTATE,
            self->busy ? "another call is under way" : "it is closed");
    }
    return self->reader;
}

static PyObject *Reader_close(PyObject *self, PyObject *unused)
{
    qe__reader *r = ((Reader *) self)->reader;

    (void) unused;
    if (((Reader *) self)->busy) {
        return (PyObject *) queue_reader_of(self);
    }
    ((Reader *) self)->reader = NULL;
    qe__reader_close(r);
    Py_RETURN_NONE;
}

PyObject *queue_failed(qe__reader *r, int status)
{
    return PyErr_Occurred() ? NULL : queue_raise(status, qe__reader_text(r));
}

static PyObject *text_of(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t) strlen(text),
                                "backslashreplace");
}

/* ------------------------------------------------------------------ status */

int queue_append(PyObject *list, PyObject *value)
{
    int status = value == NULL ? -1 : PyList_Append(list, value);

    Py_XDECREF(value);
    return status;
}

static PyObject *node_of(const qe__run_node *node)
{
    PyObject *age = node->known ? PyFloat_FromDouble(node->age_ms / 1000.0)
                                : (Py_INCREF(Py_None), Py_None);

    return age == NULL
               ? NULL
               : Py_BuildValue("{s:N,s:N,s:I,s:I,s:K}", "name",
                               text_of(node->name), "age_s", age, "workers",
                               node->workers, "waiting", node->waiting,
                               "claimed", (unsigned long long) node->claimed);
}

static PyObject *status_of(const qe__run_status *s)
{
    static const char *const states[] = {"none", "laying", "open", "stopped",
                                         "over"};
    PyObject *nodes = PyList_New(0);

    for (uint32_t i = 0; nodes != NULL && i < s->node_count; i++) {
        if (queue_append(nodes, node_of(&s->nodes[i])) != 0) {
            Py_CLEAR(nodes);
        }
    }
    return nodes == NULL
               ? NULL
               : Py_BuildValue(
                     "{s:s,s:I,s:K,s:K,s:K,s:K,s:K,s:K,s:d,s:d,s:N,s:N}",
                     "state", states[s->state], "units", s->units, "left",
                     (unsigned long long) s->left, "failures",
                     (unsigned long long) s->failures, "maxfail",
                     (unsigned long long) s->maxfail, "open",
                     (unsigned long long) s->open, "claimed",
                     (unsigned long long) s->claimed, "attempts",
                     (unsigned long long) s->attempts, "age_s",
                     (double) s->age_ms / 1000.0, "idle_s",
                     (double) s->idle_ms / 1000.0, "laid_by",
                     text_of(s->laid_by), "nodes", nodes);
}

static PyObject *Reader_status(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    qe__run_status found;
    const char *run;
    PyObject *result;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "s", &run)) {
        return NULL;
    }
    WAITING(self, status = qe__reader_status(r, run, &found));
    if (status != 0) {
        return queue_failed(r, status);
    }
    result = status_of(&found);
    qe__run_status_free(&found);
    return result;
}

static PyObject *Reader_outcomes(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    uint64_t counts[QE_OUTCOME_COUNT], odd;
    unsigned int units;
    const char *run;
    PyObject *list;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "sI", &run, &units)) {
        return NULL;
    }
    WAITING(self, status = qe__reader_outcomes(r, run, units, counts, &odd));
    if (status != 0) {
        return queue_failed(r, status);
    }
    list = PyList_New(0);
    for (int i = 0; list != NULL && i < QE_OUTCOME_COUNT; i++) {
        if (queue_append(list, PyLong_FromUnsignedLongLong(counts[i])) != 0) {
            Py_CLEAR(list);
        }
    }
    return list == NULL ? NULL
                        : Py_BuildValue("(NK)", list, (unsigned long long) odd);
}

/* ---------------------------------------------------------------- in pieces */

/* What is visited comes while the interpreter's lock is let go of: it is taken for each. */
static int add_unit(void *list, uint32_t place, const char *id, size_t size,
                    enum qe_outcome outcome)
{
    PyGILState_STATE state = PyGILState_Ensure();
    int status = queue_append(
        list, Py_BuildValue("(y#i)", id, (Py_ssize_t) size, (int) outcome));

    (void) place;
    PyGILState_Release(state);
    return status == 0 ? 0 : QE_ENOMEM;
}

static int add_try(void *list, const qe__try *one)
{
    PyGILState_STATE state = PyGILState_Ensure();
    int status = queue_append(
        list,
        Py_BuildValue("(IIiNNy#)", one->unit, one->attempt, (int) one->outcome,
                      text_of(one->node), PyBool_FromLong(one->late),
                      one->payload == NULL ? "" : one->payload,
                      (Py_ssize_t) one->size));

    PyGILState_Release(state);
    return status == 0 ? 0 : QE_ENOMEM;
}

static PyObject *Reader_units(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    unsigned int from, n;
    const char *run;
    uint32_t got;
    PyObject *list;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "sII", &run, &from, &n) ||
        (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    WAITING(self,
            status = qe__reader_units(r, run, from, n, add_unit, list, &got));
    if (status != 0) {
        Py_DECREF(list);
        return queue_failed(r, status);
    }
    return list;
}

static PyObject *Reader_tries(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    char after[QE__ENTRY_ID];
    const char *run, *from;
    unsigned int units;
    uint32_t got;
    PyObject *list;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "sIs", &run, &units, &from)) {
        return NULL;
    }
    if (strlen(from) >= sizeof(after)) {
        return queue_raise(QE_EINVAL, "no attempt has such a name");
    }
    PyOS_snprintf(after, sizeof(after), "%s", from);
    list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    WAITING(self, status = qe__reader_tries(r, run, units, after, add_try, list,
                                            &got));
    if (status != 0) {
        Py_DECREF(list);
        return queue_failed(r, status);
    }
    return Py_BuildValue("(Ns)", list, after);
}

/* -------------------------------------------------------------------- runs */

static PyObject *Reader_runs(PyObject *self, PyObject *unused)
{
    qe__reader *r = queue_reader_of(self);
    char **runs;
    PyObject *list;
    uint32_t n;
    int status;

    (void) unused;
    if (r == NULL) {
        return NULL;
    }
    WAITING(self, status = qe__reader_runs(r, &runs, &n));
    if (status != 0) {
        return queue_failed(r, status);
    }
    list = PyList_New(0);
    for (uint32_t i = 0; list != NULL && i < n; i++) {
        /* One whose name is no text has been made by nobody we know. */
        PyObject *name = PyUnicode_DecodeUTF8(
            runs[i], (Py_ssize_t) strlen(runs[i]), "strict");

        if (name == NULL) {
            PyErr_Clear();
        } else if (queue_append(list, name) != 0) {
            Py_CLEAR(list);
        }
    }
    qe__runs_free(runs, n);
    return list;
}

static PyObject *Reader_stop(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    enum qe__board_state was;
    const char *run;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "s", &run)) {
        return NULL;
    }
    WAITING(self, status = qe__reader_stop(r, run, &was));
    return status == 0 ? PyBool_FromLong(was == QE__BOARD_OPEN ||
                                         was == QE__BOARD_LAYING)
                       : queue_failed(r, status);
}

static PyObject *Reader_delete(PyObject *self, PyObject *args)
{
    qe__reader *r = queue_reader_of(self);
    const char **runs;
    PyObject *names, *list;
    uint64_t keys = 0;
    Py_ssize_t n;
    int status;

    if (r == NULL || !PyArg_ParseTuple(args, "O", &names) ||
        (list = PySequence_List(names)) == NULL) {
        return NULL;
    }
    /* As strcmp sorts them: by their bytes. */
    n = PyList_Size(list);
    if (PyList_Sort(list) != 0 || (runs = core_strings_of(list, n)) == NULL) {
        Py_DECREF(list);
        return NULL;
    }
    WAITING(self, status = qe__reader_delete(r, runs, (uint32_t) n, &keys));
    free(runs);
    Py_DECREF(list);
    return status == 0 ? PyLong_FromUnsignedLongLong(keys)
                       : queue_failed(r, status);
}

static PyMethodDef Reader_methods[] = {
    {"close", Reader_close, METH_NOARGS, "close()"},
    {"status", Reader_status, METH_VARARGS, "status(run) -> dict"},
    {"outcomes", Reader_outcomes, METH_VARARGS,
     "outcomes(run, units) -> (how many of each, how many of other units)"},
    {"units", Reader_units, METH_VARARGS,
     "units(run, from, n) -> list of (id: bytes, outcome)"},
    {"tries", Reader_tries, METH_VARARGS,
     "tries(run, units, after) -> (list of (unit, attempt, outcome, node, "
     "late, "
     "payload: bytes), after)"},
    {"runs", Reader_runs, METH_NOARGS, "runs() -> list of names, sorted"},
    {"stop", Reader_stop, METH_VARARGS,
     "stop(run) -> whether it could still have gone on"},
    {"delete", Reader_delete, METH_VARARGS,
     "delete(runs: list of bytes) -> how many keys"},
    {"log_append", queue_log_append, METH_VARARGS,
     "log_append(name, run: bytes, keep) -> whether the log had no such run"},
    {"log_read", queue_log_read, METH_VARARGS,
     "log_read(log, after) -> (log, list of (entry, name, run: bytes))"},
    {"held", queue_log_held, METH_NOARGS,
     "held() -> list of (id: bytes, entry: bytes)"},
    {"hold", queue_log_hold, METH_VARARGS, "hold(id: bytes, entry: bytes)"},
    {"release", queue_log_release, METH_VARARGS,
     "release(id: bytes) -> whether it was held"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Reader_slots[] = {
    {Py_tp_new, (void *) Reader_new},
    {Py_tp_dealloc, (void *) Reader_dealloc},
    {Py_tp_methods, Reader_methods},
    {Py_tp_doc, "Reader(url, project, prefix='qe', user=None, password=None, "
                "ca_file=None, timeout_ns=5 s): runs as reports see them; see "
                "qe_board_read.h."},
    {0, NULL},
};

static PyType_Spec Reader_spec = {"pytest_qe._queue.Reader", sizeof(Reader), 0,
                                  Py_TPFLAGS_DEFAULT, Reader_slots};

static PyObject *wrong_names(PyObject *self, PyObject *args)
{
    const char *prefix, *project, *run, *wrong;

    (void) self;
    if (!PyArg_ParseTuple(args, "ssz", &prefix, &project, &run)) {
        return NULL;
    }
    wrong = qe__board_names(prefix, project, run);
    if (wrong == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromString(wrong);
}

static PyMethodDef functions[] = {
    {"wrong_names", wrong_names, METH_VARARGS,
     "wrong_names(prefix, project, run or None) -> what is wrong, or None"},
    {NULL, NULL, 0, NULL},
};

int queue_add_reader(PyObject *module)
{
    return core_add_type(module, &Reader_spec, "Reader") ||
                   PyModule_AddFunctions(module, functions)
               ? -1
               : 0;
}
