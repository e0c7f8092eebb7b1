// Queue: a node's part in a run that is shared through a server (qe_queue.h). An addon of its
// own, see binding.gyp: what it shares with the other one are pointers.
#include "addon.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include "qe_queue.h"

namespace qe {

namespace {

constexpr uint32_t MOST_WORKERS = 1024;
constexpr uint32_t MOST_ATTEMPTS = 65535;

// The error of a call: `text` says what went wrong, its `code` is the name.
Napi::Error error_of(Napi::Env env, int code, const std::string &text)
{
    std::string name = "QE_EUNKNOWN";

#define QE_X(known, number, words)                                                                 \
    if (code == -(number)) {                                                                       \
        name = "QE_E" #known;                                                                      \
    }
    QE_ERROR_LIST(QE_X)
#undef QE_X
    Napi::Error error = Napi::Error::New(env, text.empty() ? qe_strerror(code) : text);
    error.Set("code", Napi::String::New(env, name));
    return error;
}

// What a run's session holds as well: the queue is there as long as either is.
struct Handle {
    qe_queue *queue = nullptr;
    bool busy = false; // a call that may block is under way

    ~Handle()
    {
        qe_queue_close(queue);
    }
};
using Shared = std::shared_ptr<Handle>;

// A call that may block, on a thread of libuv's.
class Call : public Napi::AsyncWorker {
  public:
    using Work = int (*)(qe_queue *, qe_queue_end *);

    static Napi::Value start(Napi::Env env, const Shared &handle, Work work)
    {
        Call *call = new Call(env, handle, work); // deletes itself

        handle->busy = true;
        Napi::Promise promise = call->deferred_.Promise();
        call->Queue();
        return promise;
    }

  private:
    Call(Napi::Env env, const Shared &handle, Work work)
        : Napi::AsyncWorker(env, "qe"), deferred_(Napi::Promise::Deferred::New(env)),
          handle_(handle), work_(work)
    {
    }

    void Execute() override
    {
        status_ = work_(handle_->queue, &end_);
    }

    void OnOK() override
    {
        Napi::Env env = Env();
        std::string text = qe_queue_text(handle_->queue);

        handle_->busy = false;
        if (status_ != 0) {
            deferred_.Reject(error_of(env, status_, text).Value());
            return;
        }
        Napi::Object found = Napi::Object::New(env);
        found.Set("over", end_.over);
        found.Set("stopped", end_.stopped);
        found.Set("last", end_.last);
        found.Set("counted", end_.counted);
        found.Set("late", end_.late);
        found.Set("untold", end_.untold);
        found.Set("left", (double) end_.left);
        found.Set("text", text);
        deferred_.Resolve(found);
    }

    Napi::Promise::Deferred deferred_;
    Shared handle_;
    Work work_;
    qe_queue_end end_ = {};
    int status_ = 0;
};

class Queue : public Napi::ObjectWrap<Queue> {
  public:
    // ({url, user, password, caFile, prefix, project, run, node, workers, maxFailures, lease,
    // patience}, units in the order of their places: {id, expected}). Times are seconds.
    explicit Queue(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Queue>(info)
    {
        Options from(info[0], "options");
        Napi::Array list = array_of(info[1], "units");
        std::string url = from.text("url"), project = from.text("project");
        std::string run = from.text("run"), node = from.text("node");
        std::string user, password, ca_file, prefix;
        std::vector<std::string> ids;
        std::vector<qe_queue_unit> units;
        qe_queue_options options = {};
        char text[QE_QUEUE_TEXT] = "";

        options.url = url.c_str();
        options.project = project.c_str();
        options.run = run.c_str();
        options.node = node.c_str();
        options.user = from.text("user", user) ? user.c_str() : nullptr;
        options.password = from.text("password", password) ? password.c_str() : nullptr;
        options.ca_file = from.text("caFile", ca_file) ? ca_file.c_str() : nullptr;
        options.prefix = from.text("prefix", prefix) ? prefix.c_str() : nullptr;
        options.workers = from.count("workers", 1, 1, MOST_WORKERS);
        options.maxfail = from.count("maxFailures", 0);
        options.lease_ns = from.ns("lease");
        options.patience_ns = from.ns("patience");
        ids.reserve(list.Length()); // units point into it
        for (uint32_t i = 0; i < list.Length(); i++) {
            Options one(list.Get(i), "units[" + std::to_string(i) + "]");

            ids.push_back(one.text("id"));
            units.push_back({ids.back().c_str(), i, 0, one.ns("expected")});
        }
        int status = qe_queue_open(&handle_->queue, &options, units.data(),
                                   (uint32_t) units.size(), text);
        if (status == QE_ESYS && text[0] == '\0') {
            throw error_of(info.Env(), status, std::strerror(errno));
        }
        done(info.Env(), status, text);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Queue",
                           {
                               InstanceMethod<&Queue::join>("join"),
                               InstanceMethod<&Queue::source>("source"),
                               InstanceMethod<&Queue::start>("start"),
                               InstanceMethod<&Queue::tell>("tell"),
                               InstanceMethod<&Queue::stop>("stop"),
                               InstanceMethod<&Queue::finish>("finish"),
                           });
    }

  private:
    static void done(Napi::Env env, int status, const char *text)
    {
        if (status != 0) {
            throw error_of(env, status, text);
        }
    }

    // The handle for a call, while no other one is under way.
    qe_queue *ready(Napi::Env env) const
    {
        if (handle_->busy) {
            throw error_of(env, QE_EBUSY, "another call is under way");
        }
        return handle_->queue;
    }

    // Comes to the run: a promise.
    Napi::Value join(const Napi::CallbackInfo &info)
    {
        ready(info.Env());
        return Call::start(info.Env(), handle_,
                           [](qe_queue *queue, qe_queue_end *) { return qe_queue_join(queue); });
    }

    // The option of a session, which keeps what it stands for.
    Napi::Value source(const Napi::CallbackInfo &info)
    {
        auto drop = [](Napi::Env, qe_source *, Shared *held) { delete held; };
        // The session only reads it; an External has no word for that.
        auto *source = const_cast<qe_source *>(qe_queue_source(ready(info.Env())));

        return Napi::External<qe_source>::New(info.Env(), source, drop, new Shared(handle_));
    }

    // To be called once, after the session's start.
    void start(const Napi::CallbackInfo &info)
    {
        int status = qe_queue_start(ready(info.Env()));

        done(info.Env(), status, qe_queue_text(handle_->queue));
    }

    // (place, attempt, outcome, whether again, whether failed, payload): an attempt's end.
    void tell(const Napi::CallbackInfo &info)
    {
        uint32_t place = count_of(info[0], "place");
        uint32_t attempt = count_of(info[1], "attempt", 1, MOST_ATTEMPTS);
        uint32_t outcome = count_of(info[2], "outcome", 0, QE_OUTCOME_COUNT - 1);
        bool again = flag_of(info[3], "again");
        bool failed = flag_of(info[4], "failed");
        std::string payload = result_bytes_of(info[5], "payload");

        done(info.Env(),
             qe_queue_tell(ready(info.Env()), place, attempt, (enum qe_outcome) outcome, again,
                           failed, payload.data(), payload.size()),
             "");
    }

    // Nothing more is to start, on any node.
    void stop(const Napi::CallbackInfo &info)
    {
        done(info.Env(), qe_queue_stop(ready(info.Env())), "");
    }

    // This node runs nothing more: a promise of what came of its part.
    Napi::Value finish(const Napi::CallbackInfo &info)
    {
        ready(info.Env());
        return Call::start(info.Env(), handle_, qe_queue_finish);
    }

    Shared handle_ = std::make_shared<Handle>();
};

Napi::Object init(Napi::Env env, Napi::Object exports)
{
    exports.Set("Queue", Queue::define(env));
    return exports;
}

} // namespace

NODE_API_MODULE(qe_queue, init)

} // namespace qe
