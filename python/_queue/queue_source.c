/* The source of a queue for a host that claims for itself, and gives its session what it has
 * claimed: the capsule of Queue.source, see qe_source.h. */
#include "queue_types.h"

#include "qe_source.h"

#define CAPSULE "qe_source"

static const qe_source *source_of(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, CAPSULE);
}

static PyObject *take(PyObject *module, PyObject *capsule)
{
    const qe_source *source = source_of(capsule);
    qe_source_news news = {0};

    (void) module;
    if (source == NULL) {
        return NULL;
    }
    source->take(source->ctx, &news);
    if (news.kind == QE_SOURCE_NONE) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(iIII)", (int) news.kind, news.first, news.count,
                         news.attempt);
}

static PyObject *room(PyObject *module, PyObject *args)
{
    const qe_source *source;
    qe_source_room room = {0};
    unsigned long long expected_ns;
    PyObject *capsule;

    (void) module;
    if (!PyArg_ParseTuple(args, "OIKI", &capsule, &room.units, &expected_ns,
                          &room.idle)) {
        return NULL;
    }
    source = source_of(capsule);
    if (source == NULL) {
        return NULL;
    }
    room.expected_ns = expected_ns;
    source->room(source->ctx, &room);
    Py_RETURN_NONE;
}

static PyObject *back(PyObject *module, PyObject *args)
{
    const qe_source *source;
    unsigned int first, count;
    PyObject *capsule;

    (void) module;
    if (!PyArg_ParseTuple(args, "OII", &capsule, &first, &count)) {
        return NULL;
    }
    source = source_of(capsule);
    if (source == NULL) {
        return NULL;
    }
    source->back(source->ctx, first, count);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"take", take, METH_O,
     "take(source) -> (kind, first, count, attempt), or None: nothing to say"},
    {"room", room, METH_VARARGS,
     "room(source, units, expected_ns, idle): what there is to do here"},
    {"back", back, METH_VARARGS,
     "back(source, first, count): not begun; count 0 ends the answer"},
    {NULL, NULL, 0, NULL},
};

int queue_add_source(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
