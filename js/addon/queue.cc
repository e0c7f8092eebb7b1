// Queue: a node's part in a run that is shared through a server (qe_queue.h). An addon of its
// own, see binding.gyp: what it shares with the other one are pointers.
#include "queue.h"

#include <cerrno>
#include <cstring>

#include "qe_queue.h"

namespace qe {

namespace {

constexpr uint32_t MOST_WORKERS = 1024;
constexpr uint32_t MOST_ATTEMPTS = 65535;

// What a run's session holds as well: the queue is there as long as either is.
struct Handle : Busy {
    qe_queue *queue = nullptr;

    ~Handle() override
    {
        qe_queue_close(queue);
    }
};
using Shared = std::shared_ptr<Handle>;

Napi::Object object_of(Napi::Env env, const qe_queue_end &end)
{
    Napi::Object found = Napi::Object::New(env);

    found.Set("over", end.over);
    found.Set("stopped", end.stopped);
    found.Set("last", end.last);
    found.Set("counted", end.counted);
    found.Set("late", end.late);
    found.Set("untold", end.untold);
    found.Set("left", (double) end.left);
    return found;
}

// A call that may block, on a thread of libuv's: a promise of the node's end.
Napi::Value call(Napi::Env env, const Shared &handle, int (*work)(qe_queue *, qe_queue_end *))
{
    auto end = std::make_shared<qe_queue_end>();
    Handle *of = handle.get(); // the task holds it
    auto run = [of, work, end](std::string &text) {
        int status = work(of->queue, end.get());

        text = qe_queue_text(of->queue);
        return status;
    };
    auto made = [of, end](Napi::Env made_env) {
        Napi::Object found = object_of(made_env, *end);

        found.Set("text", qe_queue_text(of->queue));
        return found;
    };

    return Task::start(env, handle, run, made);
}

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
            throw queue_error(info.Env(), status, std::strerror(errno));
        }
        done(info.Env(), status, text);
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Queue",
                           {
                               InstanceMethod<&Queue::join>("join"),
                               InstanceMethod<&Queue::cancel>("cancel"),
                               InstanceMethod<&Queue::known>("known"),
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
            throw queue_error(env, status, text);
        }
    }

    // The handle for a call, while no other one is under way.
    qe_queue *ready(Napi::Env env) const
    {
        Task::check_free(env, *handle_);
        return handle_->queue;
    }

    // Comes to the run: a promise.
    Napi::Value join(const Napi::CallbackInfo &info)
    {
        ready(info.Env());
        return call(info.Env(), handle_,
                    [](qe_queue *queue, qe_queue_end *) { return qe_queue_join(queue); });
    }

    // join() and finish() wait no longer, also while they are under way.
    void cancel(const Napi::CallbackInfo &)
    {
        qe_queue_cancel(handle_->queue);
    }

    // What is known of the run, also where join() has failed as it has ended.
    Napi::Value known(const Napi::CallbackInfo &info)
    {
        qe_queue_end end;

        qe_queue_known(ready(info.Env()), &end);
        return object_of(info.Env(), end);
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
        return call(info.Env(), handle_, qe_queue_finish);
    }

    Shared handle_ = std::make_shared<Handle>();
};

Napi::Object init(Napi::Env env, Napi::Object exports)
{
    exports.Set("Queue", Queue::define(env));
    add_log(env, exports);
    add_queue_reader(env, exports);
    return exports;
}

} // namespace

Napi::Error queue_error(Napi::Env env, int code, const std::string &text)
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

Napi::Value Task::start(Napi::Env env, const std::shared_ptr<Busy> &owner, Work work, Made made)
{
    check_free(env, *owner);
    // Deletes itself.
    Task *task = new Task(env, owner, std::move(work), std::move(made));
    Napi::Promise promise = task->deferred_.Promise();

    owner->busy = true;
    task->Queue();
    return promise;
}

void Task::check_free(Napi::Env env, const Busy &owner)
{
    if (owner.busy) {
        throw queue_error(env, QE_EBUSY, "another call is under way");
    }
}

Task::Task(Napi::Env env, std::shared_ptr<Busy> owner, Work work, Made made)
    : Napi::AsyncWorker(env, "qe"), deferred_(Napi::Promise::Deferred::New(env)),
      owner_(std::move(owner)), work_(std::move(work)), made_(std::move(made))
{
}

void Task::Execute()
{
    status_ = work_(text_);
}

void Task::OnOK()
{
    owner_->busy = false;
    if (status_ != 0) {
        deferred_.Reject(queue_error(Env(), status_, text_).Value());
        return;
    }
    deferred_.Resolve(made_(Env()));
}

// What was thrown on the thread: there was no memory.
void Task::OnError(const Napi::Error &error)
{
    owner_->busy = false;
    deferred_.Reject(error.Value());
}

NODE_API_MODULE(qe_queue, init)

} // namespace qe
