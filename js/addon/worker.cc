// Worker: what a worker process holds.
#include "addon.h"

namespace qe {

namespace {

class Worker : public Napi::ObjectWrap<Worker> {
  public:
    explicit Worker(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Worker>(info)
    {
        check(info.Env(), qe_worker_attach(&worker_));
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(
            env, "Worker",
            {
                InstanceMethod<&Worker::job>("job"),
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
        return found;
    }

    // The next claim; null: nothing can be claimed now; false: the run is over.
    Napi::Value claim(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        int status = qe_worker_claim(worker_, info[0].ToBoolean().Value(), &claim_);

        if (status == QE_EGONE) {
            return Napi::Boolean::New(env, false);
        }
        check(env, status);
        if (status == 0) {
            return env.Null();
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
        int status = qe_worker_start(worker_, &claim_);

        if (status != QE_EGONE) {
            check(info.Env(), status);
        }
        return Napi::Boolean::New(info.Env(), status == 0);
    }

    void phase(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_worker_phase(
                              worker_, (enum qe_phase) info[0].ToNumber().Uint32Value()));
    }

    void send(const Napi::CallbackInfo &info)
    {
        Napi::Buffer<uint8_t> data = info[1].As<Napi::Buffer<uint8_t>>();

        check(info.Env(), qe_worker_send(worker_, info[0].ToNumber().Uint32Value(),
                                         data.Data(), data.Length()));
    }

    void finish(const Napi::CallbackInfo &info)
    {
        Napi::Buffer<uint8_t> data = info[1].As<Napi::Buffer<uint8_t>>();

        check(info.Env(),
              qe_worker_finish(worker_,
                               (enum qe_outcome) info[0].ToNumber().Uint32Value(),
                               false, data.Data(), data.Length()));
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
};

} // namespace

void add_worker(Napi::Env env, Napi::Object exports)
{
    exports.Set("Worker", Worker::define(env));
}

} // namespace qe
