#include "addon.h"

#include <uv.h>

#include <cerrno>
#include <cstring>

namespace qe {

namespace {

struct Named {
    const char *name;
    int value;
};

const Named ERRORS[] = {
#define QE_X(name, number, text) {"QE_E" #name, -(number)},
    QE_ERROR_LIST(QE_X)
#undef QE_X
};

const Named CONSTANTS[] = {
    {"EV_WORKER", QE_EV_WORKER}, {"EV_START", QE_EV_START},
    {"EV_DATA", QE_EV_DATA},     {"EV_FINISH", QE_EV_FINISH},
    {"EV_LOST", QE_EV_LOST},     {"EV_EXIT", QE_EV_EXIT},
    {"EV_REFUSED", QE_EV_REFUSED}, {"EV_GIVE_UP", QE_EV_GIVE_UP},
    {"EV_DONE", QE_EV_DONE},     {"EV_NONE", QE_EV_NONE},
    {"EV_SOURCE", QE_EV_SOURCE}, {"SOURCE_STOPPED", QE_SOURCE_STOPPED},
    {"SOURCE_OVER", QE_SOURCE_OVER}, {"SOURCE_TROUBLE", QE_SOURCE_TROUBLE},
    {"PASSED", QE_PASSED},
    {"FAILED", QE_FAILED},       {"SKIPPED", QE_SKIPPED},
    {"ERROR", QE_ERROR},         {"TIMEOUT", QE_TIMEOUT},
    {"CRASHED", QE_CRASHED},     {"FLAKY", QE_FLAKY},
    {"NONE", QE_NONE},           {"SETUP", QE_PHASE_SETUP},
    {"CALL", QE_PHASE_CALL},     {"TEARDOWN", QE_PHASE_TEARDOWN},
    {"SESSION", QE_PHASE_SESSION}, {"TEXT_FAILURE", QE_TEXT_FAILURE},
    {"TEXT_OUTPUT", QE_TEXT_OUTPUT},
};

Napi::Value cpu_count(const Napi::CallbackInfo &info)
{
    return Napi::Number::New(info.Env(), qe_cpu_count());
}

} // namespace

void raise(Napi::Env env, int code)
{
    std::string text = qe_strerror(code);
    std::string name = "QE_EUNKNOWN";

    if (code == QE_ESYS) {
        text += std::string(": ") + std::strerror(errno);
    }
    for (const Named &error : ERRORS) {
        if (error.value == code) {
            name = error.name;
        }
    }
    Napi::Error error = Napi::Error::New(env, text);
    error.Set("code", Napi::String::New(env, name));
    throw error;
}

void check(Napi::Env env, int code)
{
    if (code < 0) {
        raise(env, code);
    }
}

Napi::Value not_now(Napi::Env env, int status)
{
    if (status == QE_EGONE) {
        return Napi::Boolean::New(env, false);
    }
    check(env, status);
    return env.Null();
}

static Napi::Object init(Napi::Env env, Napi::Object exports)
{
    // The core was compiled for one layout of libuv's handles, and runs with
    // what this Node exports.
    if (uv_handle_size(UV_POLL) != sizeof(uv_poll_t) ||
        uv_handle_size(UV_TIMER) != sizeof(uv_timer_t) ||
        uv_loop_size() != sizeof(uv_loop_t)) {
        throw Napi::Error::New(env, "this Node's libuv is not the one that the "
                                    "addon was built for: rebuild it");
    }
    for (const Named &constant : CONSTANTS) {
        exports.Set(constant.name, Napi::Number::New(env, constant.value));
    }
    exports.Set("VERSION", Napi::String::New(env, QE_VERSION));
    exports.Set("cpuCount", Napi::Function::New(env, cpu_count, "cpuCount"));
    add_adapt(env, exports);
    add_cause(env, exports);
    add_hunt(env, exports);
    add_machine(env, exports);
    add_record(env, exports);
    add_replica(env, exports);
    add_session(env, exports);
    add_shard(env, exports);
    add_stats(env, exports);
    add_warm(env, exports);
    add_worker(env, exports);
    return exports;
}

NODE_API_MODULE(qe, init)

} // namespace qe
