// Log: what machines remember together (qe_log.h). Calls block, each for as long as a server may
// take: they are made before anything runs, and when all has run.
#include "queue.h"

#include <cstring>

extern "C" {
#include "qe_log.h"
}

namespace qe {

namespace {

struct Entry {
    std::string entry, name, run;
};

// No exception may go through the core.
int append_entry(void *list, const qe_log_entry *entry)
{
    try {
        static_cast<std::vector<Entry> *>(list)->push_back(
            {entry->entry, entry->name, {(const char *) entry->bytes, entry->size}});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

void copy(std::string from, char *to, size_t size, const Napi::Value &value, const char *name)
{
    if (from.size() >= size) {
        refuse(value, name, "at most " + std::to_string(size - 1) + " bytes");
    }
    std::memcpy(to, from.c_str(), from.size() + 1);
}

class Log : public Napi::ObjectWrap<Log> {
  public:
    // ({url, user, password, caFile, prefix, project, timeout}): connects. Seconds.
    explicit Log(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Log>(info)
    {
        Napi::Env env = info.Env();
        Options from(info[0], "options");
        std::string url = from.text("url"), project = from.text("project");
        std::string prefix = from.text("prefix"), user, password, ca_file;
        qe__redis_address address;
        char text[QE__READER_TEXT] = "";

        if (qe__redis_parse(url.c_str(), &address, text) != 0) {
            throw queue_error(env, QE_EINVAL, text);
        }
        if (from.text("user", user)) {
            copy(user, address.user, sizeof(address.user), info[0], "options.user");
        }
        if (from.text("password", password)) {
            copy(password, address.password, sizeof(address.password), env.Undefined(),
                 "options.password"); // which is not shown
        }
        address.ca_file = from.text("caFile", ca_file) ? ca_file.c_str() : nullptr;
        int status = qe__reader_open(&reader_, &address, prefix.c_str(), project.c_str(),
                                     from.ns("timeout"), text);
        explicit_bzero(&address, sizeof(address));
        if (status != 0) {
            throw queue_error(env, status, text);
        }
    }

    ~Log() override
    {
        qe__reader_close(reader_);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Log",
                           {
                               InstanceMethod<&Log::append>("append"),
                               InstanceMethod<&Log::read>("read"),
                               InstanceMethod<&Log::close>("close"),
                           });
    }

  private:
    qe__reader *ready(Napi::Env env) const
    {
        if (reader_ == nullptr) {
            throw queue_error(env, QE_ESTATE, "it is closed");
        }
        return reader_;
    }

    // (name, run: a Buffer, keep: how many runs): whether the log had none of this name.
    Napi::Value append(const Napi::CallbackInfo &info)
    {
        qe__reader *reader = ready(info.Env());
        std::string name = text_of(info[0], "name");
        std::string run = bytes_of(info[1], "run");
        uint32_t keep = count_of(info[2], "keep", 1);
        bool added = false;
        int status = qe__log_append(reader, name.c_str(), run.data(), run.size(), keep, &added);

        if (status != 0) {
            throw queue_error(info.Env(), status, qe__reader_text(reader));
        }
        return Napi::Boolean::New(info.Env(), added);
    }

    // (log, entry): the log's name, and what is behind the entry: [log, [[entry, name, run]]]
    Napi::Value read(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        qe__reader *reader = ready(env);
        char born[QE_LOG_BORN], after[QE_LOG_ENTRY];
        std::vector<Entry> found;

        copy(text_of(info[0], "log"), born, sizeof(born), info[0], "log");
        copy(text_of(info[1], "entry"), after, sizeof(after), info[1], "entry");
        int status = qe__log_read(reader, born, after, append_entry, &found);
        if (status != 0) {
            throw queue_error(env, status, qe__reader_text(reader));
        }
        Napi::Array list = Napi::Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) {
            Napi::Array one = Napi::Array::New(env, 3);

            one.Set(0u, found[i].entry);
            one.Set(1u, found[i].name);
            one.Set(2u, Napi::Buffer<char>::Copy(env, found[i].run.data(), found[i].run.size()));
            list.Set((uint32_t) i, one);
        }
        Napi::Array both = Napi::Array::New(env, 2);
        both.Set(0u, std::string(born));
        both.Set(1u, list);
        return both;
    }

    void close(const Napi::CallbackInfo &)
    {
        qe__reader_close(reader_);
        reader_ = nullptr;
    }

    qe__reader *reader_ = nullptr;
};

} // namespace

void add_log(Napi::Env env, Napi::Object exports)
{
    exports.Set("Log", Log::define(env));
}

} // namespace qe
