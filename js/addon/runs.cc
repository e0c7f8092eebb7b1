// What the history knows of whole runs: which there were, and who ran what in them.
#include "addon.h"

namespace qe {

namespace {

struct Run {
    qe_history_run core;
    std::string revision, branch;
};

struct Attempt {
    qe_attempt core;
    std::string id, message;
};

// Called by the core, through which no exception may go.
int append_run(void *list, const qe_history_run *run)
{
    try {
        static_cast<std::vector<Run> *>(list)->push_back({*run, run->revision, run->branch});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

// Called by the core, through which no exception may go.
int append_attempt(void *list, const char *id, const qe_attempt *attempt)
{
    try {
        static_cast<std::vector<Attempt> *>(list)->push_back(
            {*attempt, id, attempt->message == nullptr ? "" : attempt->message});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

Napi::Object object_of_run(Napi::Env env, const Run &run)
{
    Napi::Object one = Napi::Object::New(env);
    Napi::Object outcomes = Napi::Object::New(env);

    for (int i = 0; i < QE_OUTCOME_COUNT; i++) {
        if (run.core.outcomes[i] > 0) {
            outcomes.Set(qe_outcome_name((enum qe_outcome) i), (double) run.core.outcomes[i]);
        }
    }
    one.Set("id", (double) run.core.id);
    one.Set("started", run.core.started_s);
    one.Set("wall", run.core.wall_s);
    one.Set("workers", run.core.workers);
    one.Set("revision", run.revision);
    one.Set("branch", run.branch);
    one.Set("outcomes", outcomes);
    return one;
}

Napi::Object object_of_attempt(Napi::Env env, const Attempt &attempt)
{
    Napi::Object one = Napi::Object::New(env);
    const qe_attempt &core = attempt.core;

    one.Set("id", attempt.id);
    one.Set("pass", core.pass);
    one.Set("attempt", core.attempt);
    one.Set("worker", core.worker);
    one.Set("outcome", qe_outcome_name(core.outcome));
    one.Set("start", core.start_s);
    one.Set("duration", core.duration_s);
    one.Set("cpu", core.cpu_s);
    one.Set("peakBytes", (double) core.peak_bytes);
    one.Set("status", core.status);
    one.Set("message", core.message == nullptr ? env.Null()
                                               : Napi::String::New(env, attempt.message));
    return one;
}

template <typename Thing, typename Make>
Napi::Array array_of_all(Napi::Env env, const std::vector<Thing> &all, Make make)
{
    Napi::Array result = Napi::Array::New(env, all.size());

    for (size_t i = 0; i < all.size(); i++) {
        Napi::HandleScope scope(env); // there may be a million
        result.Set((uint32_t) i, make(env, all[i]));
    }
    return result;
}

} // namespace

Napi::Array runs_of(Napi::Env env, qe_history *history, uint32_t most)
{
    std::vector<Run> found;

    check(env, qe_history_runs(history, most, append_run, &found));
    return array_of_all(env, found, object_of_run);
}

Napi::Array attempts_of(Napi::Env env, qe_history *history, int64_t run)
{
    std::vector<Attempt> found;

    check(env, qe_history_attempts(history, run, append_attempt, &found));
    return array_of_all(env, found, object_of_attempt);
}

} // namespace qe
