/* Objects: a set of objects by their address. It keeps none of them alive, and
 * putting one in or looking one up does not touch the object. */
#include "core.h"

#include <stdint.h>
#include <stdlib.h>

typedef struct Objects {
    PyObject_HEAD
    uintptr_t *slots; /* open addressing; 0 is free */
    size_t mask;      /* slots - 1, a power of two less one */
    size_t count;
} Objects;

/* Addresses are multiples of 16: what tells them apart is in the middle. */
static size_t place_of(const Objects *set, const void *thing)
{
    return (size_t) (((uint64_t) (uintptr_t) thing * 0x9e3779b97f4a7c15u) >>
                     24) &
           set->mask;
}

static uintptr_t *slot_of(const Objects *set, const void *thing)
{
    size_t i = place_of(set, thing);

    while (set->slots[i] != 0 && set->slots[i] != (uintptr_t) thing) {
        i = (i + 1) & set->mask;
    }
    return &set->slots[i];
}

static int has(const Objects *set, const void *thing)
{
    return *slot_of(set, thing) != 0;
}

/* Room for `count` in all, at most half full: 0 or -1. */
static int reserve(Objects *set, size_t count)
{
    uintptr_t *old = set->slots;
    size_t size = 16, old_size = old == NULL ? 0 : set->mask + 1;

    while (size / 2 < count) {
        size *= 2;
    }
    if (size <= old_size) {
        return 0;
    }
    set->slots = calloc(size, sizeof(*set->slots));
    if (set->slots == NULL) {
        set->slots = old;
        PyErr_NoMemory();
        return -1;
    }
    set->mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i] != 0) {
            *slot_of(set, (const void *) old[i]) = old[i];
        }
    }
    free(old);
    return 0;
}

/* Room must be there. */
static void put(Objects *set, const void *thing)
{
    uintptr_t *slot = slot_of(set, thing);

    set->count += *slot == 0;
    *slot = (uintptr_t) thing;
}

static PyObject *Objects_new(PyTypeObject *type, PyObject *args,
                             PyObject *kwargs)
{
    PyObject *things;
    Objects *self;
    Py_ssize_t n;

    (void) kwargs;
    if (!PyArg_ParseTuple(args, "O!", &PyList_Type, &things)) {
        return NULL;
    }
    self = (Objects *) ((allocfunc) PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    n = PyList_Size(things);
    if (self == NULL || reserve(self, (size_t) n) != 0) {
        Py_XDECREF(self);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        put(self, PyList_GetItem(things, i));
    }
    return (PyObject *) self;
}

static void Objects_dealloc(PyObject *self)
{
    free(((Objects *) self)->slots);
    core_release(self);
}

static Py_ssize_t Objects_len(PyObject *self)
{
    return (Py_ssize_t) ((Objects *) self)->count;
}

static int Objects_contains(PyObject *self, PyObject *thing)
{
    return has((Objects *) self, thing);
}

/* ------------------------------------------------------------ what holds what */

static int is_in(PyObject *thing, void *set)
{
    return has(set, thing);
}

/* By what the collector is told, so as gc.get_referrers has it. */
static int holds_one(PyObject *holder, Objects *set)
{
    traverseproc traverse =
        (traverseproc) PyType_GetSlot(Py_TYPE(holder), Py_tp_traverse);

    return traverse != NULL && traverse(holder, is_in, set) != 0;
}

static PyObject *Objects_grow(PyObject *self, PyObject *things)
{
    Objects *set = (Objects *) self;
    size_t before;

    if (!PyList_Check(things)) {
        PyErr_SetString(PyExc_TypeError, "things: a list is wanted");
        return NULL;
    }
    do {
        before = set->count;
        for (Py_ssize_t i = 0; i < PyList_Size(things); i++) {
            PyObject *thing = PyList_GetItem(things, i);

            if (has(set, thing) || !holds_one(thing, set)) {
                continue;
            }
            if (reserve(set, set->count + 1) != 0) {
                return NULL;
            }
            put(set, thing);
        }
    } while (set->count != before);
    Py_RETURN_NONE;
}

/* Those of a list of which `wanted` holds. */
static PyObject *choose(PyObject *things, Objects *set,
                        int (*wanted)(PyObject *, Objects *))
{
    PyObject *found;

    if (!PyList_Check(things)) {
        PyErr_SetString(PyExc_TypeError, "things: a list is wanted");
        return NULL;
    }
    found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < PyList_Size(things); i++) {
        PyObject *thing = PyList_GetItem(things, i);

        if (wanted(thing, set) && PyList_Append(found, thing) != 0) {
            Py_CLEAR(found);
        }
    }
    return found;
}

static PyObject *Objects_holders(PyObject *self, PyObject *things)
{
    return choose(things, (Objects *) self, holds_one);
}

static int is_not_in(PyObject *thing, Objects *set)
{
    return !has(set, thing);
}

static PyObject *Objects_without(PyObject *self, PyObject *things)
{
    return choose(things, (Objects *) self, is_not_in);
}

static PyMethodDef methods[] = {
    {"grow", Objects_grow, METH_O,
     "Adds every one of a list that holds one of the set, and so on."},
    {"holders", Objects_holders, METH_O,
     "Those of a list that hold one of the set."},
    {"without", Objects_without, METH_O, "Those of a list not in the set."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *) "A set of objects by their address, which keeps none "
                         "of them alive."},
    {Py_tp_new, (void *) Objects_new},
    {Py_tp_dealloc, (void *) Objects_dealloc},
    {Py_tp_methods, methods},
    {Py_sq_length, (void *) Objects_len},
    {Py_sq_contains, (void *) Objects_contains},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "pytest_qe._core.Objects",
    .basicsize = sizeof(Objects),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static int has_finaliser(PyObject *thing, Objects *unused)
{
    (void) unused;
    return PyType_GetSlot(Py_TYPE(thing), Py_tp_finalize) != NULL;
}

static PyObject *with_finaliser(PyObject *module, PyObject *things)
{
    (void) module;
    return choose(things, NULL, has_finaliser);
}

static PyMethodDef functions[] = {
    {"with_finaliser", with_finaliser, METH_O,
     "Those of a list whose types have __del__. Unlike looking that name up, "
     "this writes to no type, whose memory a fork shares."},
    {NULL, NULL, 0, NULL},
};

int core_add_objects(PyObject *module)
{
    return PyModule_AddFunctions(module, functions) ||
                   core_add_type(module, &spec, "Objects")
               ? -1
               : 0;
}
