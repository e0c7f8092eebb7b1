// Record and History: what happened, and what happened before.
#include "addon.h"

namespace qe {

namespace {

std::string text_of(const Napi::Value &value)
{
    return value.ToString().Utf8Value();
}

class Record : public Napi::ObjectWrap<Record> {
  public:
    explicit Record(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Record>(info)
    {
        check(info.Env(), qe_record_new(&record));
    }

    ~Record() override
    {
        qe_record_free(record);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Record",
                           {
                               InstanceMethod<&Record::add_test>("addTest"),
                               InstanceMethod<&Record::add_attempt>("addAttempt"),
                               InstanceMethod<&Record::set_outcome>("setOutcome"),
                               InstanceMethod<&Record::write_json>("writeJson"),
                           });
    }

    qe_record *record = nullptr;

  private:
    Napi::Value add_test(const Napi::CallbackInfo &info)
    {
        int item = qe_record_add_test(record, text_of(info[0]).c_str());

        check(info.Env(), item);
        return Napi::Number::New(info.Env(), item);
    }

    void add_attempt(const Napi::CallbackInfo &info)
    {
        Napi::Object from = info[0].As<Napi::Object>();
        std::string message;
        qe_attempt attempt = {};

        attempt.item = number_of(from, "item", 0);
        attempt.pass = number_of(from, "pass", 0);
        attempt.attempt = number_of(from, "attempt", 1);
        attempt.worker = number_of(from, "worker", 0);
        attempt.outcome = (enum qe_outcome) number_of(from, "outcome", QE_NONE);
        attempt.start_s = real_of(from, "start", 0);
        attempt.duration_s = real_of(from, "duration", 0);
        attempt.cpu_s = real_of(from, "cpu", 0);
        attempt.peak_bytes = (uint64_t) real_of(from, "peakBytes", 0);
        attempt.status = (int) real_of(from, "status", 0);
        if (from.Get("message").IsString()) {
            message = text_of(from.Get("message"));
            attempt.message = message.c_str();
        }
        check(info.Env(), qe_record_add_attempt(record, &attempt));
    }

    void set_outcome(const Napi::CallbackInfo &info)
    {
        std::string message = info[2].IsString() ? text_of(info[2]) : "";

        check(info.Env(),
              qe_record_set_outcome(record, info[0].ToNumber().Uint32Value(),
                                    (enum qe_outcome) info[1].ToNumber().Uint32Value(),
                                    info[2].IsString() ? message.c_str() : nullptr));
    }

    // (path, run: JSON text, flaky)
    void write_json(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_record_write_json(record, text_of(info[0]).c_str(),
                                               text_of(info[1]).c_str(),
                                               info[2].ToBoolean().Value()));
    }
};

class History : public Napi::ObjectWrap<History> {
  public:
    explicit History(const Napi::CallbackInfo &info) : Napi::ObjectWrap<History>(info)
    {
        check(info.Env(), qe_history_open(&history_, text_of(info[0]).c_str()));
    }

    ~History() override
    {
        qe_history_close(history_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "History",
                           {
                               InstanceMethod<&History::durations>("durations"),
                               InstanceMethod<&History::save>("save"),
                               InstanceMethod<&History::gc>("gc"),
                               InstanceMethod<&History::put>("put"),
                               InstanceMethod<&History::get>("get"),
                               InstanceMethod<&History::close>("close"),
                           });
    }

  private:
    void open(Napi::Env env)
    {
        if (history_ == nullptr) {
            raise(env, QE_ESTATE);
        }
    }

    // Expected seconds of each id; 0 where unknown.
    Napi::Value durations(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::vector<std::string> ids = texts_of(info[0].As<Napi::Array>());
        std::vector<const char *> names;
        std::vector<uint64_t> found(ids.size());
        Napi::Array result = Napi::Array::New(env, ids.size());

        open(env);
        for (const std::string &id : ids) {
            names.push_back(id.c_str());
        }
        check(env, qe_history_durations(history_, names.data(), names.size(), found.data()));
        for (size_t i = 0; i < found.size(); i++) {
            result.Set((uint32_t) i, (double) found[i] / 1e9);
        }
        return result;
    }

    // (record, started, wall, workers): seconds
    void save(const Napi::CallbackInfo &info)
    {
        Record *record = Napi::ObjectWrap<Record>::Unwrap(info[0].As<Napi::Object>());

        open(info.Env());
        check(info.Env(),
              qe_history_save(history_, record->record, info[1].ToNumber().DoubleValue(),
                              info[2].ToNumber().DoubleValue(),
                              info[3].ToNumber().Uint32Value(), nullptr));
    }

    void gc(const Napi::CallbackInfo &info)
    {
        open(info.Env());
        check(info.Env(), qe_history_gc(history_, info[0].ToNumber().Uint32Value()));
    }

    // (key, value, seconds to live; 0: for ever)
    void put(const Napi::CallbackInfo &info)
    {
        open(info.Env());
        check(info.Env(), qe_history_put(history_, text_of(info[0]).c_str(),
                                         text_of(info[1]).c_str(),
                                         info[2].ToNumber().DoubleValue()));
    }

    // The value of a key; null where there is none.
    Napi::Value get(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        char *value = nullptr;
        int status;

        open(env);
        status = qe_history_get(history_, text_of(info[0]).c_str(), &value);
        if (status == QE_ENOTFOUND) {
            return env.Null();
        }
        check(env, status);
        Napi::String found = Napi::String::New(env, value);
        qe_free(value);
        return found;
    }

    void close(const Napi::CallbackInfo &)
    {
        qe_history_close(history_);
        history_ = nullptr;
    }

    qe_history *history_ = nullptr;
};

// How flaky a sequence of results is (true: passed, false: failed).
Napi::Value flakiness(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    Napi::Array from = info[0].As<Napi::Array>();
    std::vector<uint8_t> results;
    qe_flakiness found;
    Napi::Object out = Napi::Object::New(env);

    for (uint32_t i = 0; i < from.Length(); i++) {
        Napi::Value value = from.Get(i);

        results.push_back(value.IsBoolean() ? value.ToBoolean().Value() : 2);
    }
    check(env, qe_flakiness_of(results.data(), results.size(), &found));
    out.Set("passes", found.passes);
    out.Set("failures", found.failures);
    out.Set("score", found.score);
    out.Set("isFlaky", found.is_flaky);
    out.Set("pattern", qe_pattern_name(found.pattern));
    return out;
}

} // namespace

void add_record(Napi::Env env, Napi::Object exports)
{
    exports.Set("Record", Record::define(env));
    exports.Set("History", History::define(env));
    exports.Set("flakiness", Napi::Function::New(env, flakiness, "flakiness"));
}

} // namespace qe
