// The binding: conversion only, no policy. Shared declarations.
#ifndef QE_ADDON_H
#define QE_ADDON_H

#define NODE_ADDON_API_CPP_EXCEPTIONS
#include <napi.h>

#include <string>
#include <vector>

#include "qe.h"

namespace qe {

// Throws the error for a QE_E* code: its `code` is the name ("QE_EBUSY").
[[noreturn]] void raise(Napi::Env env, int code);
void check(Napi::Env env, int code);

// Options of an object, with a default where one is undefined.
uint32_t number_of(const Napi::Object &from, const char *name, uint32_t otherwise);
double real_of(const Napi::Object &from, const char *name, double otherwise);
bool flag_of(const Napi::Object &from, const char *name);
// Seconds of the host as nanoseconds of the core; 0 where there are none.
uint64_t ns_of(const Napi::Object &from, const char *name);
std::vector<std::string> texts_of(const Napi::Array &from);

void add_record(Napi::Env env, Napi::Object exports);
void add_session(Napi::Env env, Napi::Object exports);
void add_worker(Napi::Env env, Napi::Object exports);

} // namespace qe

#endif
