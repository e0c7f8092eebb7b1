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
int core_add_run(PyObject *module);
int core_add_record(PyObject *module);

/* Makes a heap type from a spec and adds it to the module. */
int core_add_type(PyObject *module, PyType_Spec *spec, const char *name);

#endif
