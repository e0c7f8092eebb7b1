// The binding: conversion only, no policy. Shared declarations.
#ifndef QE_ADDON_H
#define QE_ADDON_H

#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL // std::bad_alloc is thrown to the host too
#include <napi.h>

#include <string>
#include <vector>

#include "qe.h"

namespace qe {

constexpr double MOST_SECONDS = 1e9;
constexpr double MOST_CLOCK_S = 9e9 - 1; // the year 2255
constexpr double MOST_BYTES = 9007199254740991; // the last whole number of a double

// Throws the error for a QE_E* code: its `code` is the name ("QE_EBUSY").
[[noreturn]] void raise(Napi::Env env, int code);
void check(Napi::Env env, int code);
// Where a call gives nothing: null, not before something else ends; false, never again.
Napi::Value not_now(Napi::Env env, int status);

// Throws the TypeError of an argument: "options.workers: takes ..., not NaN".
[[noreturn]] void refuse(const Napi::Value &value, const std::string &name,
                         const std::string &wanted);

// Neither undefined nor null.
bool given(const Napi::Value &value);

Napi::Array array_from(Napi::Env env, const uint32_t *numbers, size_t n);

// Arguments; `name` is what the message calls them.
std::string text_of(const Napi::Value &value, const std::string &name);
// A name or a message of a test, which may hold anything: a NUL must not cost a result.
std::string result_text_of(const Napi::Value &value, const std::string &name);
// ... or the bytes of a Buffer, which may be no UTF-8
std::string result_bytes_of(const Napi::Value &value, const std::string &name);
// The bytes of a Buffer, as they are.
std::string bytes_of(const Napi::Value &value, const std::string &name);
uint32_t count_of(const Napi::Value &value, const std::string &name, uint32_t least = 0,
                  uint32_t most = UINT32_MAX);
double whole_of(const Napi::Value &value, const std::string &name, double least, double most);
double real_of(const Napi::Value &value, const std::string &name, double least, double most);
// Seconds of the host as nanoseconds of the core.
uint64_t ns_of(const Napi::Value &value, const std::string &name);
bool flag_of(const Napi::Value &value, const std::string &name);
Napi::Object object_of(const Napi::Value &value, const std::string &name);
Napi::Array array_of(const Napi::Value &value, const std::string &name);
Napi::Function function_of(const Napi::Value &value, const std::string &name);
// A seed: a whole number that a double of the host can hold.
uint64_t seed_of(const Napi::Value &value, const std::string &name);
// Changes around a pass, by their names.
uint32_t around_of(const Napi::Value &value, const std::string &name);
Napi::Array around_names(Napi::Env env, uint32_t flags);
std::vector<std::string> texts_of(const Napi::Value &value, const std::string &name);
// An object of texts as "NAME=value"; null as "NAME", which is to be missing.
std::vector<std::string> environment_of(const Napi::Value &value, const std::string &name);

// Properties of an object; each has a default, 0 or false where none is named, for
// undefined and null.
class Options {
  public:
    Options(const Napi::Value &from, const std::string &name)
        : from_(object_of(from, name)), name_(name)
    {
    }

    Napi::Value get(const char *key) const;
    std::string name(const char *key) const;
    std::string text(const char *key) const; // must be given
    bool text(const char *key, std::string &found) const;
    bool result_text(const char *key, std::string &found) const;
    bool result_bytes(const char *key, std::string &found) const;
    uint32_t count(const char *key, uint32_t otherwise, uint32_t least = 0,
                   uint32_t most = UINT32_MAX) const;
    double real(const char *key, double least, double most) const;
    double whole(const char *key, double least, double most) const; // 0 is none, too
    uint64_t ns(const char *key) const;
    bool flag(const char *key) const;

  private:
    Napi::Object from_;
    std::string name_;
};

// The compatible terms, as analyze() gives them.
Napi::Object flakiness_object(Napi::Env env, const qe_flakiness &found);

// An event, with what the core gives for a moment copied.
struct Event {
    qe_event core;
    std::string data;
    bool asks = false;             // the host is to settle it
    bool again = false;            // another attempt follows
    bool elsewhere = false;        // it does, but by another claim
    enum qe_outcome final = QE_NONE; // the unit's outcome, where none follows
};

Napi::Object event_object(Napi::Env env, const Event &event);

// Runs of a history, the newest first; and the attempts of one, in the order in which they began.
Napi::Array runs_of(Napi::Env env, qe_history *history, uint32_t most);
Napi::Array attempts_of(Napi::Env env, qe_history *history, int64_t run);

void add_adapt(Napi::Env env, Napi::Object exports);
void add_cause(Napi::Env env, Napi::Object exports);
void add_hunt(Napi::Env env, Napi::Object exports);
void add_machine(Napi::Env env, Napi::Object exports);
void add_record(Napi::Env env, Napi::Object exports);
void add_replica(Napi::Env env, Napi::Object exports);
void add_shard(Napi::Env env, Napi::Object exports);
void add_session(Napi::Env env, Napi::Object exports);
void add_stats(Napi::Env env, Napi::Object exports);
void add_warm(Napi::Env env, Napi::Object exports);
void add_worker(Napi::Env env, Napi::Object exports);

} // namespace qe

#endif
