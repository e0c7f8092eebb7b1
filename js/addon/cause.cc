// Inquiry: why a test is flaky, and Turns: which of several is asked next (qe_cause.h); and
// what is changed around a pass, by name (qe_around.h).
#include "addon.h"

namespace qe {

namespace {

// A whole number of the host has 53 bits. One that it gave comes back as it was; one that
// the core has drawn is as random without its highest bits.
constexpr uint64_t SEED_BITS = (UINT64_C(1) << 53) - 1;

const char *const BESIDE[] = {"", "then", "meanwhile", "exclusive"};

std::vector<uint32_t> numbers_of(const Napi::Value &value, const std::string &name)
{
    Napi::Array from = array_of(value, name);
    std::vector<uint32_t> found;

    found.reserve(from.Length() + 1); // of nothing: there is a place, though
    for (uint32_t i = 0; i < from.Length(); i++) {
        found.push_back(count_of(from.Get(i), name));
    }
    return found;
}

// A pass as the host tells it: {items, seed, started}; null or undefined is none.
struct Context {
    std::vector<uint32_t> items;
    qe_context core = {};

    Context(const Napi::Value &value, const std::string &name)
    {
        if (!given(value)) {
            return;
        }
        Options from(value, name);
        items = numbers_of(from.get("items"), from.name("items"));
        core.items = items.data();
        core.n = items.size();
        core.seed = seed_of(from.get("seed"), from.name("seed"));
        core.started_s = from.real("started", 0, MOST_CLOCK_S);
    }
};

class Inquiry : public Napi::ObjectWrap<Inquiry> {
  public:
    // ({test, failed, passed, all, neighbours, forbidden, rate, alpha, seed, most,
    // orderOnly})
    explicit Inquiry(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Inquiry>(info)
    {
        Options from(info[0], "inquiry");
        Context failed(from.get("failed"), from.name("failed"));
        Context passed(from.get("passed"), from.name("passed"));
        std::vector<uint32_t> all = numbers_of(from.get("all"), from.name("all"));
        std::vector<uint32_t> neighbours;
        qe_inquiry_options options = {};

        if (given(from.get("neighbours"))) {
            neighbours = numbers_of(from.get("neighbours"), from.name("neighbours"));
        }
        options.test = count_of(from.get("test"), from.name("test"));
        options.failed = failed.core;
        options.passed = passed.core;
        options.all = all.data();
        options.all_n = all.size();
        options.neighbours = neighbours.data();
        options.neighbours_n = neighbours.size();
        if (given(from.get("forbidden"))) {
            options.forbidden = around_of(from.get("forbidden"), from.name("forbidden"));
        }
        options.rate = real_of(from.get("rate"), from.name("rate"), 0, 1);
        options.alpha = real_of(from.get("alpha"), from.name("alpha"), 0, 1);
        options.seed = seed_of(from.get("seed"), from.name("seed"));
        options.most = from.count("most", QE_INQUIRY_MOST, 1);
        check(info.Env(), from.flag("orderOnly") ? qe_inquiry_of_order(&inquiry_, &options)
                                                 : qe_inquiry_new(&inquiry_, &options));
    }

    ~Inquiry() override
    {
        qe_inquiry_free(inquiry_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Inquiry",
                           {
                               InstanceMethod<&Inquiry::next>("next"),
                               InstanceMethod<&Inquiry::result>("result"),
                               InstanceMethod<&Inquiry::finding>("finding"),
                           });
    }

  private:
    static Napi::Object probe_object(Napi::Env env, const qe_probe &probe)
    {
        Napi::Object out = Napi::Object::New(env);

        out.Set("number", probe.number);
        out.Set("name", probe.name);
        out.Set("items", array_from(env, probe.items, probe.n));
        out.Set("beside", BESIDE[probe.beside]);
        out.Set("others", array_from(env, probe.others, probe.others_n));
        out.Set("seed", (double) (probe.seed & SEED_BITS));
        out.Set("around", around_names(env, probe.around));
        out.Set("clock", probe.clock_s);
        out.Set("leftFiles", probe.left_files);
        return out;
    }

    // The next run; null: not before a result is there; false: it is over.
    Napi::Value next(const Napi::CallbackInfo &info)
    {
        qe_probe probe;
        int status = qe_inquiry_next(inquiry_, &probe);

        if (status != 1) {
            return not_now(info.Env(), status);
        }
        return probe_object(info.Env(), probe);
    }

    // (probe, result: true passed, false failed, otherwise neither; when it began)
    void result(const Napi::CallbackInfo &info)
    {
        uint32_t probe = count_of(info[0], "probe");
        int result = info[1].IsBoolean() ? info[1].ToBoolean().Value() : 2;
        double started =
            given(info[2]) ? real_of(info[2], "started", 0, MOST_CLOCK_S) : 0;

        check(info.Env(), qe_inquiry_result(inquiry_, probe, result, started));
    }

    static Napi::Value side(Napi::Env env, const char *name, uint32_t failed,
                            uint32_t passed)
    {
        if (name == nullptr) {
            return env.Null();
        }
        Napi::Object out = Napi::Object::New(env);
        out.Set("name", name);
        out.Set("failed", failed);
        out.Set("passed", passed);
        return out;
    }

    Napi::Value finding(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        Napi::Object out = Napi::Object::New(env);
        qe_finding found;

        check(env, qe_inquiry_finding(inquiry_, &found));
        out.Set("cause", qe_cause_name(found.cause));
        out.Set("p", found.p);
        out.Set("with", side(env, found.with, found.with_failed, found.with_passed));
        out.Set("without",
                side(env, found.without, found.without_failed, found.without_passed));
        out.Set("culprits", array_from(env, found.culprits, found.culprits_n));
        out.Set("proof", found.has_proof ? probe_object(env, found.proof) : env.Null());
        out.Set("proofFailed", found.proof_failed);
        out.Set("proofRuns", found.proof_runs);
        out.Set("probes", found.probes);
        return out;
    }

    qe_inquiry *inquiry_ = nullptr;
};

class Turns : public Napi::ObjectWrap<Turns> {
  public:
    // (inquiries, the most important first; runs at once)
    explicit Turns(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Turns>(info)
    {
        check(info.Env(), qe_turns_new(&turns_, count_of(info[0], "inquiries"),
                                       count_of(info[1], "workers")));
    }

    ~Turns() override
    {
        qe_turns_free(turns_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Turns",
                           {
                               InstanceMethod<&Turns::next>("next"),
                               InstanceMethod<&Turns::asks>("asks"),
                               InstanceMethod<&Turns::waits>("waits"),
                               InstanceMethod<&Turns::over>("over"),
                               InstanceMethod<&Turns::stop>("stop"),
                               InstanceMethod<&Turns::begun>("begun"),
                           });
    }

  private:
    // The inquiry to ask; null: none before a result is there; false: all are over.
    Napi::Value next(const Napi::CallbackInfo &info)
    {
        uint32_t which;
        int status = qe_turns_next(turns_, &which);

        if (status != 1) {
            return not_now(info.Env(), status);
        }
        return Napi::Number::New(info.Env(), which);
    }

    void said(const Napi::CallbackInfo &info, int status)
    {
        check(info.Env(), qe_turns_said(turns_, count_of(info[0], "inquiry"), status));
    }

    // What that one said: it has a probe, waits for a result, or has ended.
    void asks(const Napi::CallbackInfo &info)
    {
        said(info, 1);
    }

    void waits(const Napi::CallbackInfo &info)
    {
        said(info, 0);
    }

    void over(const Napi::CallbackInfo &info)
    {
        said(info, QE_EGONE);
    }

    void stop(const Napi::CallbackInfo & /*info*/)
    {
        qe_turns_stop(turns_);
    }

    Napi::Value begun(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), qe_turns_begun(turns_));
    }

    qe_turns *turns_ = nullptr;
};

// (seed of the pass, key of the test, how often it ran before)
Napi::Value attempt_seed(const Napi::CallbackInfo &info)
{
    uint64_t seed = seed_of(info[0], "seed");
    uint32_t key = count_of(info[1], "key");
    uint32_t nth = given(info[2]) ? count_of(info[2], "nth") : 0;

    return Napi::BigInt::New(info.Env(), qe_attempt_seed(seed, key, nth));
}

} // namespace

uint64_t seed_of(const Napi::Value &value, const std::string &name)
{
    return (uint64_t) whole_of(value, name, 0, (double) SEED_BITS);
}

uint32_t around_of(const Napi::Value &value, const std::string &name)
{
    uint32_t flags = 0;

    for (const std::string &each : texts_of(value, name)) {
        uint32_t flag = qe_around_flag(each.c_str());

        if (flag == 0) {
            refuse(value, name, "names of changes around a pass, such as \"clock\"");
        }
        flags |= flag;
    }
    return flags;
}

Napi::Array around_names(Napi::Env env, uint32_t flags)
{
    Napi::Array out = Napi::Array::New(env);

    for (uint32_t flag = 1; flag != 0 && flag <= flags; flag <<= 1) {
        if ((flags & flag) != 0) {
            out.Set(out.Length(), qe_around_name(flag));
        }
    }
    return out;
}

void add_cause(Napi::Env env, Napi::Object exports)
{
    exports.Set("Inquiry", Inquiry::define(env));
    exports.Set("Turns", Turns::define(env));
    exports.Set("attemptSeed", Napi::Function::New(env, attempt_seed, "attemptSeed"));
}

} // namespace qe
