/* The binding: conversion only, no policy. Shared declarations. */
#ifndef QE_CORE_H
#define QE_CORE_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#include <Python.h>

#include "qe.h"

/* Raises the exception for a QE_E* code (pytest_qe.errors); returns NULL. */
PyObject *core_raise(int code);

/* Adds the types and functions of one file to the module: 0 or -1. */
int core_add_plan(PyObject *module);
int core_add_run(PyObject *module);
int core_add_worker(PyObject *module);
int core_add_record(PyObject *module);
int core_add_history(PyObject *module);
int core_add_objects(PyObject *module);
int core_add_stats(PyObject *module);
int core_add_hunt(PyObject *module);
int core_add_patterns(PyObject *module);
int core_add_around(PyObject *module);
int core_add_cause(PyObject *module);
int core_add_adapt(PyObject *module);
int core_add_layers(PyObject *module);
int core_add_cgroup(PyObject *module);

/* A sequence of numbers as an array, and how many; NULL with an exception. */
uint32_t *core_numbers(PyObject *list, size_t *n);
/* And back; NULL with an exception. */
PyObject *core_list_of(const uint32_t *numbers, size_t n);
/* A number, or None for UINT32_MAX. */
PyObject *core_index(uint32_t number);

/* What a dict of names asks for: 0, or -1 with an exception. */
int core_around_of(PyObject *dict, qe_around *out);
/* The flags of a sequence of names: likewise. */
int core_around_flags(PyObject *names, uint32_t *out);
/* The names of flags; such a dict. NULL with an exception. */
PyObject *core_around_names(uint32_t flags);
PyObject *core_around_dict(const qe_around *around);

/* A sequence of words (bytes, or strings), copied; NULL with an exception. */
char **core_words(PyObject *list);
void core_free_words(char **words);
/* A sequence of such, and how many. */
char ***core_lists(PyObject *list, uint32_t *count);
void core_free_lists(char ***lists);

/* A new object of a type. */
PyObject *core_new_self(PyTypeObject *type);
/* None, or the exception of a code. */
PyObject *core_done(int status);
/* Where a call gives nothing: None, not before something else ends; False, never again. */
PyObject *core_not_now(int status);
/* The bytes of each item, borrowed; the list must live on. Freed by free. */
const char **core_strings_of(PyObject *list, Py_ssize_t n);
/* What a Plan holds. */
qe_plan *core_plan_of(PyObject *plan);
/* What a Record holds. */
const qe_record *core_record_of(PyObject *record);
/* A new object of a type of the module, by its name. */
PyObject *core_new_object(PyObject *module, const char *name);
/* What every deallocator ends with: frees the object, lets go of its type. */
void core_release(PyObject *self);
/* A Worker for a handle; `plan` may be NULL. */
PyObject *core_new_worker(PyObject *module, qe_worker *worker, PyObject *plan);

/* Makes a heap type from a spec and adds it to the module. */
int core_add_type(PyObject *module, PyType_Spec *spec, const char *name);

#endif
