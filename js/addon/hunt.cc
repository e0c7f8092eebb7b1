// Hunt: where a flaky hunt spends its runs (qe_hunt.h).
#include "addon.h"

namespace qe {

namespace {

constexpr double MOST_EXECUTIONS = 1e9;
constexpr double MOST_RATE = 1e9;
constexpr int SEED_BITS_LEFT_OUT = 11; // a double holds 53 of 64

class Hunt : public Napi::ObjectWrap<Hunt> {
  public:
    // ({groups, secondsEach, executions, seconds, alpha, seed, rates: [a, b]})
    explicit Hunt(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Hunt>(info)
    {
        Options from(info[0], "hunt");
        Napi::Array groups = array_of(from.get("groups"), from.name("groups"));
        Napi::Array each = array_of(from.get("secondsEach"), from.name("secondsEach"));
        qe_hunt_options options = {};
        std::vector<uint32_t> numbers;
        std::vector<double> seconds;

        if (each.Length() != groups.Length()) {
            refuse(each, from.name("secondsEach"), "as many numbers as there are groups");
        }
        numbers.reserve(1); // of nothing: there is a place, though
        for (uint32_t i = 0; i < groups.Length(); i++) {
            numbers.push_back(count_of(groups.Get(i), from.name("groups")));
            seconds.push_back(real_of(each.Get(i), from.name("secondsEach"), 0, MOST_SECONDS));
        }
        options.executions =
            real_of(from.get("executions"), from.name("executions"), 1, MOST_EXECUTIONS);
        options.seconds = from.real("seconds", 0, MOST_SECONDS);
        options.alpha = real_of(from.get("alpha"), from.name("alpha"), 0, 1);
        options.seed = from.count("seed", 0);
        if (given(from.get("rates"))) {
            Napi::Array rates = array_of(from.get("rates"), from.name("rates"));
            options.rates_a = real_of(rates.Get(0u), from.name("rates"), 0, MOST_RATE);
            options.rates_b = real_of(rates.Get(1u), from.name("rates"), 0, MOST_RATE);
        }
        check(info.Env(),
              qe_hunt_new(&hunt_, numbers.data(), seconds.data(), numbers.size(), &options));
    }

    ~Hunt() override
    {
        qe_hunt_free(hunt_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Hunt",
                           {
                               InstanceMethod<&Hunt::known>("known"),
                               InstanceMethod<&Hunt::next>("next"),
                               InstanceMethod<&Hunt::result>("result"),
                               InstanceMethod<&Hunt::over>("over"),
                               InstanceMethod<&Hunt::more>("more"),
                               InstanceMethod<&Hunt::test>("test"),
                               InstanceMethod<&Hunt::spent>("spent"),
                           });
    }

  private:
    // The next pass; null: none before another is over; false: the hunt is over.
    Napi::Value next(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        qe_hunt_pass pass;
        int status = qe_hunt_next(hunt_, &pass);

        if (status != 1) {
            return not_now(env, status);
        }
        Napi::Object found = Napi::Object::New(env);
        found.Set("number", pass.number);
        found.Set("condition", qe_condition_name(pass.condition));
        found.Set("seed", (double) (pass.seed >> SEED_BITS_LEFT_OUT));
        if (pass.repeats != UINT32_MAX) {
            found.Set("repeats", pass.repeats);
        }
        if (pass.files != UINT32_MAX) {
            found.Set("files", pass.files); // whose; without: the user's
        }
        found.Set("items", array_from(env, pass.items, pass.n));
        return found;
    }

    // (pass, item, result: true passed, false failed, otherwise neither; seconds)
    void result(const Napi::CallbackInfo &info)
    {
        uint32_t pass = count_of(info[0], "pass");
        uint32_t item = count_of(info[1], "item");
        int result = info[2].IsBoolean() ? info[2].ToBoolean().Value() : 2;
        double seconds = real_of(info[3], "seconds", 0, MOST_SECONDS);

        check(info.Env(), qe_hunt_result(hunt_, pass, item, result, seconds));
    }

    // (pass, seconds beside its tests)
    void over(const Napi::CallbackInfo &info)
    {
        uint32_t pass = count_of(info[0], "pass");
        double beside = real_of(info[1], "beside", 0, MOST_SECONDS);

        check(info.Env(), qe_hunt_over(hunt_, pass, beside));
    }

    // (item, result): an execution of an inquiry that nothing was changed around
    void more(const Napi::CallbackInfo &info)
    {
        uint32_t item = count_of(info[0], "item");

        check(info.Env(), qe_hunt_more(hunt_, item, flag_of(info[1], "result")));
    }

    // (item, failures, passes): of runs before
    void known(const Napi::CallbackInfo &info)
    {
        uint32_t item = count_of(info[0], "item");
        uint32_t failures = count_of(info[1], "failures");

        check(info.Env(), qe_hunt_known(hunt_, item, failures, count_of(info[2], "passes")));
    }

    Napi::Value test(const Napi::CallbackInfo &info)
    {
        Napi::Object out = Napi::Object::New(info.Env());
        qe_hunt_test found;

        check(info.Env(), qe_hunt_test_of(hunt_, count_of(info[0], "item"), &found));
        out.Set("verdict", qe_verdict_name(found.verdict));
        out.Set("failures", found.failures);
        out.Set("passes", found.passes);
        out.Set("fresh_failures", found.fresh_failures);
        out.Set("fresh_passes", found.fresh_passes);
        out.Set("ln_evidence", found.ln_evidence);
        return out;
    }

    Napi::Value spent(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), (double) qe_hunt_spent(hunt_));
    }

    qe_hunt *hunt_ = nullptr;
};

// ([[failures, passes], ...]) -> [a, b] of Beta(a, b); null: they are too few to tell
Napi::Value rates_fit(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    Napi::Array counts = array_of(info[0], "counts");
    std::vector<uint64_t> failures, passes;
    double a, b;

    failures.reserve(1);
    passes.reserve(1);
    for (uint32_t i = 0; i < counts.Length(); i++) {
        Napi::Array each = array_of(counts.Get(i), "counts");
        failures.push_back(count_of(each.Get(0u), "failures"));
        passes.push_back(count_of(each.Get(1u), "passes"));
    }
    int status = qe_rates_fit(failures.data(), passes.data(), failures.size(), &a, &b);
    if (status == QE_ENOTFOUND) {
        return env.Null();
    }
    check(env, status);
    Napi::Array found = Napi::Array::New(env, 2);
    found.Set(0u, a);
    found.Set(1u, b);
    return found;
}

} // namespace

void add_hunt(Napi::Env env, Napi::Object exports)
{
    exports.Set("Hunt", Hunt::define(env));
    exports.Set("ratesFit", Napi::Function::New(env, rates_fit, "ratesFit"));
}

} // namespace qe
