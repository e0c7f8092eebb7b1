/* The binding of runs across machines: conversion only, no policy. Shared declarations. */
#ifndef QE_QUEUE_TYPES_H
#define QE_QUEUE_TYPES_H

#include "core.h"

/* Adds the types of one file to the module: 0 or -1. */
int queue_add_node(PyObject *module);
int queue_add_reader(PyObject *module);
int queue_add_source(PyObject *module);

/* Raises the exception for a QE_E* code of a queue (pytest_qe.errors), with what is to be said
 * of it; returns NULL. */
PyObject *queue_raise(int code, const char *text);

#endif
