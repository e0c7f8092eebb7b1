// Adapt: how many commands at once, by how loaded the machine is.
#include "addon.h"

namespace qe {

namespace {

constexpr uint32_t MOST_AT_ONCE = 1024;

class Adapt : public Napi::ObjectWrap<Adapt> {
  public:
    // (at once at first, at most, seconds between two starts)
    explicit Adapt(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Adapt>(info)
    {
        adapt_.running = count_of(info[0], "running", 1, MOST_AT_ONCE);
        adapt_.most = count_of(info[1], "most", adapt_.running, MOST_AT_ONCE);
        adapt_.processors = qe_cpu_count();
        adapt_.throttle_ns = ns_of(info[2], "throttle");
        adapt_.first_throttle_ns = adapt_.throttle_ns;
        check(info.Env(), qe_gauge_new(&gauge_));
    }

    ~Adapt() override
    {
        qe_gauge_free(gauge_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Adapt", {InstanceMethod<&Adapt::next>("next")});
    }

  private:
    // (as many run as may): what is to be from now on, why, and what was seen.
    Napi::Value next(const Napi::CallbackInfo &info)
    {
        Napi::Object o = Napi::Object::New(info.Env());
        bool full = flag_of(info[0], "full");
        qe_pressure p;

        qe_gauge_read(gauge_, qe_now_ns(), &p);
        enum qe_adapt_why why = qe_adapt_next(&adapt_, &p, full);
        o.Set("running", adapt_.running);
        o.Set("throttle", (double) adapt_.throttle_ns / 1e9);
        o.Set("why", qe_adapt_name(why));
        o.Set("cpu", p.cpu);
        o.Set("memory", p.memory);
        o.Set("freeMemory", p.free_memory);
        o.Set("load", p.load);
        return o;
    }

    qe_gauge *gauge_ = nullptr;
    qe_adapt adapt_ = {};
};

} // namespace

void add_adapt(Napi::Env env, Napi::Object exports)
{
    exports.Set("Adapt", Adapt::define(env));
}

} // namespace qe
