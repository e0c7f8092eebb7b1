// Worker: what a worker process holds.
#include "addon.h"

namespace qe {

namespace {

Napi::Uint8Array bytes_of(const Napi::Value &value)
{
    if (!value.IsTypedArray() ||
        value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        refuse(value, "data", "a Buffer or another Uint8Array");
    }
    return value.As<Napi::Uint8Array>();
}

class Worker : public Napi::ObjectWrap<Worker> {
  public:
    explicit Worker(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Worker>(info)
    {
        int status = qe_worker_attach(&worker_);

        if (status == QE_EFORMAT) {
            Napi::Error error = Napi::Error::New(
                info.Env(), "this process is no worker: no session of QE's has started it, "
                            "or it has attached already");
            error.Set("code", Napi::String::New(info.Env(), "QE_EFORMAT"));
            throw error;
        }
        check(info.Env(), status);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(
            env, "Worker",
            {
                InstanceMethod<&Worker::job>("job"),
                InstanceMethod<&Worker::around>("around"),
                InstanceMethod<&Worker::ahead>("ahead"),
                InstanceMethod<&Worker::claim>("claim"),
                InstanceMethod<&Worker::start>("start"),
                InstanceMethod<&Worker::phase>("phase"),
                InstanceMethod<&Worker::send>("send"),
                InstanceMethod<&Worker::finish>("finish"),
                InstanceMethod<&Worker::count_failure>("countFailure"),
                InstanceMethod<&Worker::stop>("stop"),
                InstanceMethod<&Worker::unlimited>("unlimited"),
                InstanceMethod<&Worker::bye>("bye"),
            });
    }

  private:
    Napi::Value job(const Napi::CallbackInfo &info)
    {
        Napi::Object found = Napi::Object::New(info.Env());
        qe_job job;

        qe_worker_job(worker_, &job);
        found.Set("slot", job.slot);
        found.Set("epoch", job.epoch);
        found.Set("single", job.single);
        found.Set("seed", Napi::BigInt::New(info.Env(), job.seed));
        found.Set("around", around_names(info.Env(), job.around.flags));
        return found;
    }

    // Changes what the core can change around the pass; the names of what was refused.
    Napi::Value around(const Napi::CallbackInfo &info)
    {
        qe_places none = {};
        uint32_t refused = 0;

        check(info.Env(), qe_worker_around(worker_, &none, &refused));
        return around_names(info.Env(), refused);
    }

    // Seconds that the clock which tests see is ahead of the true one.
    Napi::Value ahead(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), qe_worker_ahead_s(worker_));
    }

    // The next claim; null: nothing can be claimed now; false: the run is over.
    Napi::Value claim(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        bool wait = given(info[0]) && flag_of(info[0], "wait");
        int status = qe_worker_claim(worker_, wait, &claim_);

        claimed_ = status == 1;
        if (status != 1) {
            return not_now(env, status);
        }
        Napi::Object found = Napi::Object::New(env);
        found.Set("unit", claim_.unit);
        found.Set("item", claim_.item);
        found.Set("pass", claim_.pass);
        found.Set("attempt", claim_.attempt);
        return found;
    }

    // Starts what was claimed last. False: the run is over.
    Napi::Value start(const Napi::CallbackInfo &info)
    {
        int status = claimed_ ? qe_worker_start(worker_, &claim_) : QE_ESTATE;

        claimed_ = false;
        if (status != QE_EGONE) {
            check(info.Env(), status);
        }
        return Napi::Boolean::New(info.Env(), status == 0);
    }

    void phase(const Napi::CallbackInfo &info)
    {
        uint32_t phase = count_of(info[0], "phase", QE_PHASE_SETUP, QE_PHASE_SESSION);

        check(info.Env(), qe_worker_phase(worker_, (enum qe_phase) phase));
    }

    // (kind: the host's own number, data)
    void send(const Napi::CallbackInfo &info)
    {
        uint32_t kind = count_of(info[0], "kind");
        Napi::Uint8Array data = bytes_of(info[1]);

        check(info.Env(), qe_worker_send(worker_, kind, data.Data(), data.ByteLength()));
    }

    // (outcome, data)
    void finish(const Napi::CallbackInfo &info)
    {
        uint32_t outcome = count_of(info[0], "outcome", QE_PASSED, QE_OUTCOME_COUNT - 1);
        Napi::Uint8Array data = bytes_of(info[1]);

        check(info.Env(), qe_worker_finish(worker_, (enum qe_outcome) outcome, false,
                                           data.Data(), data.ByteLength()));
    }

    void count_failure(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_worker_count_failure(worker_));
    }

    void stop(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_worker_stop(worker_));
    }

    void unlimited(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_worker_unlimited(worker_));
    }

    void bye(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_worker_bye(worker_));
    }

    qe_worker *worker_ = nullptr; // for the life of the process
    qe_claim claim_ = {};
    bool claimed_ = false; // and not started yet
};

} // namespace

void add_worker(Napi::Env env, Napi::Object exports)
{
    exports.Set("Worker", Worker::define(env));
}

} // namespace qe
