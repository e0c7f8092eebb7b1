// Replica: a history that follows a log of runs (qe_replica.h).
#include "addon.h"

#include <memory>

namespace qe {

namespace {

struct Unsent {
    std::string name;
    int64_t run;
};

// No exception may go through the core.
int append_unsent(void *list, const char *name, int64_t run)
{
    try {
        static_cast<std::vector<Unsent> *>(list)->push_back({name, run});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

class Replica : public Napi::ObjectWrap<Replica> {
  public:
    // (path): a history that is made one, if it is none.
    explicit Replica(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Replica>(info)
    {
        check(info.Env(), qe_history_open(&history_, text_of(info[0], "path").c_str()));
        check(info.Env(), qe_history_follow(history_));
    }

    ~Replica() override
    {
        qe_history_close(history_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Replica",
                           {
                               InstanceMethod<&Replica::followed>("followed"),
                               InstanceMethod<&Replica::take>("take"),
                               InstanceMethod<&Replica::unsent>("unsent"),
                               InstanceMethod<&Replica::bytes>("export"),
                               InstanceMethod<&Replica::sent>("sent"),
                               InstanceMethod<&Replica::gc>("gc"),
                               InstanceMethod<&Replica::close>("close"),
                           });
    }

  private:
    void open(Napi::Env env)
    {
        if (history_ == nullptr) {
            raise(env, QE_ESTATE);
        }
    }

    // [log, entry]: where it is in the log
    Napi::Value followed(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        char born[QE_LOG_BORN], entry[QE_LOG_ENTRY];

        open(env);
        check(env, qe_history_followed(history_, born, entry));
        Napi::Array result = Napi::Array::New(env, 2);
        result.Set(0u, std::string(born));
        result.Set(1u, std::string(entry));
        return result;
    }

    // (log, [[entry, name, run: a Buffer]]): {taken, odd}
    Napi::Value take(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::string log = text_of(info[0], "log");
        Napi::Array list = array_of(info[1], "entries");
        uint32_t n = list.Length(), taken = 0, odd = 0;
        std::vector<std::string> texts;
        std::vector<qe_log_entry> entries;

        open(env);
        texts.reserve((size_t) n * 3); // entries point into it
        for (uint32_t i = 0; i < n; i++) {
            Napi::Array one = array_of(list.Get(i), "entries[" + std::to_string(i) + "]");

            texts.push_back(text_of(one.Get(0u), "entry"));
            texts.push_back(text_of(one.Get(1u), "name"));
            texts.push_back(bytes_of(one.Get(2u), "run"));
            const std::string *all = &texts[(size_t) i * 3];
            entries.push_back({all[0].c_str(), all[1].c_str(), all[2].data(), all[2].size()});
        }
        check(env, qe_history_take(history_, log.c_str(), entries.data(), n, &taken, &odd));
        Napi::Object result = Napi::Object::New(env);
        result.Set("taken", taken);
        result.Set("odd", odd);
        return result;
    }

    // [[name, run]], the oldest first
    Napi::Value unsent(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::vector<Unsent> found;

        open(env);
        check(env, qe_history_unsent(history_, append_unsent, &found));
        Napi::Array result = Napi::Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) {
            Napi::Array one = Napi::Array::New(env, 2);

            one.Set(0u, found[i].name);
            one.Set(1u, (double) found[i].run);
            result.Set((uint32_t) i, one);
        }
        return result;
    }

    // (run): [a Buffer, how many tests it has]; null where there is no such run.
    Napi::Value bytes(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        double run = whole_of(info[0], "run", 0, MOST_BYTES);
        void *bytes = nullptr;
        size_t size = 0;
        uint32_t tests = 0;

        open(env);
        int status = qe_history_export(history_, (int64_t) run, &bytes, &size, &tests);
        if (status == QE_ENOTFOUND) {
            return env.Null();
        }
        check(env, status);
        std::unique_ptr<void, decltype(&qe_free)> held(bytes, qe_free);
        Napi::Array result = Napi::Array::New(env, 2);
        result.Set(0u, Napi::Buffer<char>::Copy(env, (const char *) bytes, size));
        result.Set(1u, tests);
        return result;
    }

    // (name): the run is in the log.
    void sent(const Napi::CallbackInfo &info)
    {
        std::string name = text_of(info[0], "name");

        open(info.Env());
        check(info.Env(), qe_history_sent(history_, name.c_str()));
    }

    // (keep: how many runs)
    void gc(const Napi::CallbackInfo &info)
    {
        uint32_t keep = count_of(info[0], "keep");

        open(info.Env());
        check(info.Env(), qe_history_gc(history_, keep));
    }

    void close(const Napi::CallbackInfo &)
    {
        qe_history_close(history_);
        history_ = nullptr;
    }

    qe_history *history_ = nullptr;
};

} // namespace

void add_replica(Napi::Env env, Napi::Object exports)
{
    exports.Set("Replica", Replica::define(env));
}

} // namespace qe
