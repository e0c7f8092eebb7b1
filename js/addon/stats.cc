// The statistics of qe_stats.h: conversion of their arguments and results.
#include "addon.h"

#include <cmath>
#include <memory>
#include <utility>

namespace qe {

namespace {

constexpr double LEAST_ALPHA = 1e-12;
constexpr double LEAST_RATE = 1e-300;

int64_t runs_of(const Napi::CallbackInfo &info, size_t at, const char *name, uint32_t least = 0)
{
    return count_of(info[at], name, least, (uint32_t) QE_STATS_MOST);
}

double alpha_of(const Napi::Value &value, const std::string &name = "alpha",
                double otherwise = 0.05)
{
    return given(value) ? real_of(value, name, LEAST_ALPHA, 1 - LEAST_ALPHA) : otherwise;
}

// What is wrong with arguments that are right one by one.
void agree(const Napi::CallbackInfo &info, int code, const char *what)
{
    if (code == QE_EINVAL || code == QE_ETOOBIG) {
        Napi::TypeError error = Napi::TypeError::New(info.Env(), what);

        error.Set("code",
                  Napi::String::New(info.Env(), code == QE_EINVAL ? "QE_EINVAL" : "QE_ETOOBIG"));
        throw error;
    }
    check(info.Env(), code);
}

using Fields = std::initializer_list<std::pair<const char *, double>>;

Napi::Object object_with(Napi::Env env, const Fields &fields)
{
    Napi::Object out = Napi::Object::New(env);

    for (const auto &[name, value] : fields) {
        out.Set(name, value);
    }
    return out;
}

const char NO_RUN[] = "failures, passes: takes at least one run";

template <int (*function)(int64_t, int64_t, double, qe_interval *)>
Napi::Value interval(const Napi::CallbackInfo &info)
{
    qe_interval found;
    int64_t failures = runs_of(info, 0, "failures"), passes = runs_of(info, 1, "passes");

    agree(info, function(failures, passes, alpha_of(info[2]), &found), NO_RUN);
    return object_with(info.Env(), {{"low", found.low}, {"high", found.high}});
}

Napi::Value runs_to_see(const Napi::CallbackInfo &info)
{
    double rate = real_of(info[0], "rate", LEAST_RATE, 1);
    int64_t runs;

    agree(info, qe_runs_to_see(rate, alpha_of(info[1]), &runs),
          "rate: takes more than a billion runs to see");
    return Napi::Number::New(info.Env(), (double) runs);
}

Napi::Value power(const Napi::CallbackInfo &info)
{
    double rate = real_of(info[0], "rate", 0, 1), found;

    check(info.Env(), qe_power_of_runs(rate, runs_of(info, 1, "runs"), &found));
    return Napi::Number::New(info.Env(), found);
}

Napi::Value rate_seen(const Napi::CallbackInfo &info)
{
    int64_t runs = runs_of(info, 0, "runs", 1);
    double rate;

    check(info.Env(), qe_rate_seen(runs, alpha_of(info[1]), &rate));
    return Napi::Number::New(info.Env(), rate);
}

const char *const VERDICTS[] = {"OPEN", "STABLE", "FLAKY"};

class Sprt : public Napi::ObjectWrap<Sprt> {
  public:
    explicit Sprt(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Sprt>(info)
    {
        Napi::Value from = given(info[0]) ? info[0] : Napi::Object::New(info.Env());
        Options options(from, "options");
        auto read = [&](const char *key, double otherwise) {
            return alpha_of(options.get(key), options.name(key), otherwise);
        };

        agree(info,
              qe_sprt_init(&sprt_, read("rate0", QE_SPRT_RATE0), read("rate1", QE_SPRT_RATE1),
                           read("alpha", QE_SPRT_ALPHA), read("beta", QE_SPRT_BETA)),
              "options: takes a rate0 below rate1, and an alpha and a beta that make less than 1");
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Sprt",
                           {
                               InstanceMethod<&Sprt::step>("step"),
                               InstanceAccessor<&Sprt::verdict>("verdict"),
                               InstanceAccessor<&Sprt::failures>("failures"),
                               InstanceAccessor<&Sprt::passes>("passes"),
                               InstanceAccessor<&Sprt::ln_ratio>("lnRatio"),
                           });
    }

  private:
    Napi::Value step(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_sprt_step(&sprt_, flag_of(info[0], "failed")));
        return verdict(info);
    }

    Napi::Value verdict(const Napi::CallbackInfo &info)
    {
        return Napi::String::New(info.Env(), VERDICTS[sprt_.verdict]);
    }

    Napi::Value failures(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), (double) sprt_.failures);
    }

    Napi::Value passes(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), (double) sprt_.passes);
    }

    Napi::Value ln_ratio(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), sprt_.ln_ratio);
    }

    qe_sprt sprt_;
};

template <int (*function)(int64_t, int64_t, double, double, double, double *)>
Napi::Value evidence(const Napi::CallbackInfo &info)
{
    int64_t failures = runs_of(info, 0, "failures"), passes = runs_of(info, 1, "passes");
    Options options(given(info[2]) ? info[2] : Napi::Object::New(info.Env()), "options");
    auto read = [&](const char *key, double otherwise, double most) {
        Napi::Value value = options.get(key);
        return given(value) ? real_of(value, options.name(key), LEAST_ALPHA, most) : otherwise;
    };
    double ln_e;

    check(info.Env(),
          function(failures, passes, read("a", QE_EVIDENCE_A, 1e9), read("b", QE_EVIDENCE_B, 1e9),
                   read("rate0", QE_EVIDENCE_RATE0, 1 - LEAST_ALPHA), &ln_e));
    return Napi::Number::New(info.Env(), ln_e);
}

std::vector<double> numbers_of(const Napi::Value &value, const std::string &name, double least,
                               double most)
{
    Napi::Array from = array_of(value, name);
    std::vector<double> found;

    for (uint32_t i = 0; i < from.Length(); i++) {
        found.push_back(real_of(from.Get(i), name + "[" + std::to_string(i) + "]", least, most));
    }
    return found;
}

// eBh(lnE, alpha, tests): which are confirmed.
Napi::Value ebh(const Napi::CallbackInfo &info)
{
    std::vector<double> ln_e = numbers_of(info[0], "lnE", -INFINITY, INFINITY);
    double alpha = alpha_of(info[1]);
    size_t tests =
        given(info[2]) ? count_of(info[2], "tests", (uint32_t) ln_e.size()) : ln_e.size();
    std::unique_ptr<bool[]> confirmed(new bool[ln_e.size() + 1]);
    Napi::Array out = Napi::Array::New(info.Env(), ln_e.size());

    check(info.Env(), qe_ebh(ln_e.data(), ln_e.size(), tests, alpha, confirmed.get(), nullptr));
    for (uint32_t i = 0; i < ln_e.size(); i++) {
        out.Set(i, confirmed[i]);
    }
    return out;
}

template <int (*function)(const double *, size_t, double *)>
Napi::Value adjusted(const Napi::CallbackInfo &info)
{
    std::vector<double> p = numbers_of(info[0], "p", 0, 1);
    Napi::Array out = Napi::Array::New(info.Env(), p.size());

    check(info.Env(), function(p.data(), p.size(), p.data()));
    for (uint32_t i = 0; i < p.size(); i++) {
        out.Set(i, p[i]);
    }
    return out;
}

Napi::Value fisher(const Napi::CallbackInfo &info)
{
    qe_fisher found;

    agree(info,
          qe_fisher_exact(runs_of(info, 0, "failures1"), runs_of(info, 1, "passes1"),
                          runs_of(info, 2, "failures2"), runs_of(info, 3, "passes2"), &found),
          "failures, passes: takes at least one run of each condition");
    return object_with(info.Env(), {{"two", found.p_two},
                                    {"more", found.p_more},
                                    {"less", found.p_less}});
}

Napi::Value runs_test(const Napi::CallbackInfo &info)
{
    double few, many;

    agree(info,
          qe_runs_test(runs_of(info, 0, "failures"), runs_of(info, 1, "passes"),
                       runs_of(info, 2, "runs"), &few, &many),
          "runs: takes as many as such failures and passes can make");
    return object_with(info.Env(), {{"few", few}, {"many", many}});
}

// As js/stats.js makes them of what the host gives: 1, 0, or jumped over.
const uint8_t *results_of(const Napi::CallbackInfo &info, size_t *n)
{
    if (!info[0].IsTypedArray() ||
        info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        refuse(info[0], "results", "a Uint8Array");
    }
    Napi::Uint8Array array = info[0].As<Napi::Uint8Array>();
    *n = array.ByteLength();
    return array.Data();
}

Napi::Value markov(const Napi::CallbackInfo &info)
{
    size_t n;
    const uint8_t *results = results_of(info, &n);
    qe_markov m;

    agree(info, qe_markov_of(results, n, &m),
          "results: takes some that follow a failure, and some that follow a pass");
    return object_with(info.Env(), {{"afterFailure", m.after_failure},
                                    {"afterPass", m.after_pass},
                                    {"lambda", m.lambda},
                                    {"lag1", m.lag1},
                                    {"g2", m.g2},
                                    {"p", m.p}});
}

Napi::Object change_object(Napi::Env env, const qe_change &c)
{
    return object_with(env, {{"statistic", c.statistic},
                             {"p", c.p},
                             {"at", (double) c.at},
                             {"before", c.before},
                             {"after", c.after}});
}

uint64_t seed_of(const Napi::Value &value)
{
    return given(value) ? (uint64_t) count_of(value, "seed") : 0;
}

uint32_t permutations_of(const Napi::Value &value)
{
    return given(value) ? count_of(value, "permutations", 0, 1000000) : QE_CHANGE_ALL;
}

Napi::Value change_point(const Napi::CallbackInfo &info)
{
    size_t n;
    const uint8_t *results = results_of(info, &n);
    qe_change c;

    agree(info,
          qe_change_point(results, n, seed_of(info[1]), permutations_of(info[2]), &c),
          "results: takes at least 6 that passed or failed");
    return change_object(info.Env(), c);
}

Napi::Object shape_object(Napi::Env env, const qe_shape_verdict &v)
{
    Napi::Object out = object_with(env, {{"failures", (double) v.failures},
                                         {"passes", (double) v.passes},
                                         {"runs", (double) v.runs},
                                         {"few", v.p_few},
                                         {"many", v.p_many},
                                         {"change", v.p_change},
                                         {"least", v.p_least},
                                         {"lnMarkov", v.ln_markov},
                                         {"lnChange", v.ln_change}});
    out.Set("name", qe_shape_name(v.shape));
    out.Set("changePoint", change_object(env, v.change));
    return out;
}

Napi::Value pattern(const Napi::CallbackInfo &info)
{
    size_t n;
    const uint8_t *results = results_of(info, &n);
    double alpha = alpha_of(info[1]);
    qe_shape_verdict v;

    agree(info, qe_shape_of(results, n, alpha, seed_of(info[2]), permutations_of(info[3]), &v),
          "results: takes at least one that passed or failed");
    return shape_object(info.Env(), v);
}

Napi::Object analysis_object(Napi::Env env, const qe_analysis &a)
{
    Napi::Object out = object_with(env, {{"lnE", a.ln_e}});
    auto add = [&](const char *name, const qe_interval &ends) {
        out.Set(name, object_with(env, {{"low", ends.low}, {"high", ends.high}}));
    };

    out.Set("flakiness", flakiness_object(env, a.flakiness));
    add("jeffreys", a.jeffreys);
    add("clopperPearson", a.clopper_pearson);
    add("wilson", a.wilson);
    add("confidenceSequence", a.sequence);
    out.Set("confirmed", a.confirmed);
    out.Set("pattern", shape_object(env, a.shape));
    return out;
}

// analyse(results, lengths, alpha): the results of all tests, and how many each has.
Napi::Value analyse(const Napi::CallbackInfo &info)
{
    size_t n, sum = 0;
    const uint8_t *results = results_of(info, &n);
    Napi::Array from = array_of(info[1], "lengths");
    double alpha = alpha_of(info[2]);
    std::vector<size_t> lengths;

    for (uint32_t i = 0; i < from.Length(); i++) {
        lengths.push_back(count_of(from.Get(i), "lengths[" + std::to_string(i) + "]"));
        sum += lengths.back();
    }
    agree(info, sum == n ? QE_OK : QE_EINVAL, "lengths: takes those of all results");
    std::vector<qe_analysis> found(lengths.size());
    agree(info,
          qe_stats_analyse(results, lengths.data(), lengths.size(), alpha, found.data()),
          "tests: takes at most a billion outcomes of each");
    Napi::Array out = Napi::Array::New(info.Env(), found.size());
    for (uint32_t i = 0; i < found.size(); i++) {
        // As many as there are tests: their handles must not pile up.
        Napi::HandleScope scope(info.Env());

        out.Set(i, analysis_object(info.Env(), found[i]));
    }
    return out;
}

} // namespace

void add_stats(Napi::Env env, Napi::Object exports)
{
    Napi::Object stats = Napi::Object::New(env);
    auto add = [&](const char *name, Napi::Value (*function)(const Napi::CallbackInfo &)) {
        stats.Set(name, Napi::Function::New(env, function, name));
    };

    add("jeffreys", interval<qe_interval_jeffreys>);
    add("jeffreysClamped", interval<qe_interval_jeffreys_clamped>);
    add("clopperPearson", interval<qe_interval_clopper_pearson>);
    add("wilson", interval<qe_interval_wilson>);
    add("confidenceSequence", interval<qe_interval_sequence>);
    add("runsToSee", runs_to_see);
    add("power", power);
    add("rateSeen", rate_seen);
    add("evidence", evidence<qe_evidence>);
    add("evidenceFlaky", evidence<qe_evidence_flaky>);
    add("eBh", ebh);
    add("holm", adjusted<qe_holm>);
    add("benjaminiHochberg", adjusted<qe_benjamini_hochberg>);
    add("fisher", fisher);
    add("runsTest", runs_test);
    add("markov", markov);
    add("changePoint", change_point);
    add("pattern", pattern);
    add("analyse", analyse);
    stats.Set("Sprt", Sprt::define(env));
    exports.Set("stats", stats);
}

} // namespace qe
