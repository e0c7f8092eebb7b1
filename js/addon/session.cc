// Session: a run. The core's loop has a thread of its own; events come back in
// batches, through a thread-safe function.
#include "addon.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace qe {

namespace {

constexpr int TICK_MS = 20; // the longest that a stop or a kill waits
constexpr size_t MOST_IN_BATCH = 256;
constexpr size_t MOST_BATCHES = 16; // beyond, workers wait for the host
constexpr uint32_t MOST_WORKERS = 1024;
constexpr uint32_t MOST_RETRIES = 65535;
constexpr uint64_t GRACE_NS = 2000000000; // of commands, where nothing is said
constexpr uint32_t MOST_OUTPUT_BYTES = 64u << 20;

// An event, with what the core gives for a moment copied.
struct Event {
    qe_event core;
    std::string data;
    bool again = false;            // another attempt follows
    enum qe_outcome final = QE_NONE; // the unit's outcome, where none follows
};

struct Batch {
    std::vector<Event> events;
    bool end = false;
};

Napi::Object event_object(Napi::Env env, const Event &e)
{
    Napi::Object o = Napi::Object::New(env);
    const qe_event &c = e.core;

    o.Set("kind", (int) c.kind);
    o.Set("slot", c.slot);
    o.Set("epoch", c.epoch);
    o.Set("pid", c.pid);
    if (c.unit != UINT32_MAX) {
        o.Set("unit", c.unit);
        o.Set("item", c.item);
        o.Set("pass", c.pass);
        o.Set("attempt", c.attempt);
    }
    o.Set("phase", (int) c.phase);
    o.Set("outcome", (int) c.outcome);
    o.Set("status", c.status);
    o.Set("start", c.start_s);
    o.Set("duration", c.duration_s);
    o.Set("cpu", c.cpu_s);
    o.Set("peakBytes", (double) c.peak_bytes);
    o.Set("dataKind", c.data_kind);
    o.Set("again", e.again);
    o.Set("final", (int) e.final);
    o.Set("error", c.error);
    o.Set("stdoutBytes", (double) c.stdout_bytes);
    o.Set("data", Napi::Buffer<char>::Copy(env, e.data.data(), e.data.size()));
    return o;
}

// Words as the core takes them: an array of pointers that ends with NULL.
struct Words {
    std::vector<std::string> words;
    std::vector<char *> pointers;

    char *const *get()
    {
        pointers.clear();
        for (std::string &word : words) {
            pointers.push_back(word.data());
        }
        pointers.push_back(nullptr);
        return pointers.data();
    }
};

// What the loop's thread and the host's share.
struct Loop {
    qe_session *session = nullptr;
    qe_plan *plan = nullptr;
    bool commands = false; // units are commands, and no worker program is needed
    Words argv;
    std::atomic<bool> stop{false}, interrupt{false}, kill{false}, quit{false};
    std::atomic<uint32_t> grow{0}; // so many workers are wanted now
    std::mutex mutex;
    std::condition_variable room;
    size_t under_way = 0; // batches that the host has not taken yet

    ~Loop()
    {
        qe_session_close(session);
        qe_plan_free(plan);
    }
};

void call_host(Napi::Env env, Napi::Function callback, Loop *loop, Batch *batch);
using Channel = Napi::TypedThreadSafeFunction<Loop, Batch, call_host>;

void call_host(Napi::Env env, Napi::Function callback, Loop *loop, Batch *batch)
{
    std::unique_ptr<Batch> own(batch);

    if (env == nullptr || callback.IsEmpty()) {
        return; // the host is torn down, and the loop with it: let_go came before
    }
    {
        std::lock_guard<std::mutex> lock(loop->mutex);
        loop->under_way--;
        loop->room.notify_one();
    }
    Napi::HandleScope scope(env);
    try {
        Napi::Array events = Napi::Array::New(env, own->events.size());
        for (size_t i = 0; i < own->events.size(); i++) {
            events.Set((uint32_t) i, event_object(env, own->events[i]));
        }
        callback.Call({events, Napi::Boolean::New(env, own->end)});
    } catch (const Napi::Error &error) {
        napi_fatal_exception(env, error.Value());
    }
}

// Whether another attempt is asked for: by a worker, whose last data begin with "R" then.
bool wants_again(const Loop &loop, const Event &e)
{
    return loop.commands || e.core.kind == QE_EV_LOST || (!e.data.empty() && e.data[0] == 'R');
}

// One event of the core's, judged where it must be. False at the end.
bool take(Loop &loop, int timeout_ms, Batch &batch)
{
    Event e;

    if (qe_session_next(loop.session, timeout_ms, &e.core) != 0) {
        e.core.kind = QE_EV_DONE;
    }
    if (e.core.kind == QE_EV_NONE) {
        return false;
    }
    if (e.core.data != nullptr) {
        e.data.assign((const char *) e.core.data, e.core.data_size);
    }
    if ((e.core.kind == QE_EV_FINISH && !e.core.settled) ||
        (e.core.kind == QE_EV_LOST && e.core.outcome != QE_NONE)) {
        (void) qe_session_settle(loop.session, e.core.unit, e.core.attempt,
                                 e.core.outcome, wants_again(loop, e), &e.again, &e.final);
    } else if (e.core.kind == QE_EV_FINISH) {
        e.final = e.core.outcome;
    } else if (e.core.kind == QE_EV_LOST) {
        e.again = true; // void: it runs again, as if it had never begun
    }
    batch.end = e.core.kind == QE_EV_DONE;
    batch.events.push_back(std::move(e));
    return !batch.end;
}

void obey(Loop &loop)
{
    if (uint32_t workers = loop.grow.exchange(0)) {
        (void) qe_session_grow(loop.session, workers); // without: fewer are enough
    }
    if (loop.stop.exchange(false)) {
        (void) qe_session_stop(loop.session, loop.interrupt);
    }
    if (loop.kill.exchange(false)) {
        (void) qe_session_kill(loop.session);
    }
}

// Batches may still be on their way when the session itself is gone.
void let_go(Napi::Env, std::shared_ptr<Loop> *loop, Loop *)
{
    delete loop;
}

void run(Loop *loop, Channel channel)
{
    bool end = false;

    while (!end && !loop->quit) {
        auto batch = std::make_unique<Batch>();

        obey(*loop);
        for (int wait = TICK_MS;
             batch->events.size() < MOST_IN_BATCH && take(*loop, wait, *batch); wait = 0) {
        }
        end = batch->end;
        if (end) { // nothing is left running when the host hears of it
            qe_session_close(loop->session);
            loop->session = nullptr;
        }
        if (batch->events.empty()) {
            continue;
        }
        std::unique_lock<std::mutex> lock(loop->mutex);
        loop->room.wait(lock, [&] { return loop->under_way < MOST_BATCHES || loop->quit; });
        loop->under_way++;
        lock.unlock();
        Batch *given = batch.release();
        if (channel.NonBlockingCall(given) != napi_ok) {
            delete given;
            break;
        }
    }
    if (loop->session != nullptr) {
        qe_session_close(loop->session);
        loop->session = nullptr;
    }
    channel.Release();
}

class Session : public Napi::ObjectWrap<Session> {
  public:
    // (units, options, callback of (events, end))
    explicit Session(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Session>(info)
    {
        Napi::Env env = info.Env();

        Napi::Function callback = function_of(info[2], "callback");
        Options options(info[1], "options");
        loop_ = std::make_shared<Loop>();
        loop_->commands = are_commands(options, array_of(info[0], "units"));
        plan(env, array_of(info[0], "units"));
        start(env, options);
        channel_ = Channel::New(env, callback, "qe", 0, 1, loop_.get(), let_go,
                                new std::shared_ptr<Loop>(loop_));
        try {
            thread_ = std::thread(run, loop_.get(), channel_);
        } catch (const std::system_error &) { // no more threads
            channel_.Abort();
            raise(env, QE_ESYS);
        }
        napi_add_env_cleanup_hook(env, leave, this);
        hooked_ = true;
    }

    ~Session() override
    {
        end();
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Session",
                           {
                               InstanceMethod<&Session::grow>("grow"),
                               InstanceMethod<&Session::stop>("stop"),
                               InstanceMethod<&Session::kill>("kill"),
                               InstanceMethod<&Session::close>("close"),
                           });
    }

  private:
    // A unit's own command; what it has is valid as long as these are.
    struct Command {
        Words argv, env;
        std::string cwd;
    };

    void command(const Options &from, Command &own, qe_unit &unit)
    {
        own.argv.words = argv_of(from);
        unit.argv = own.argv.get();
        if (from.text("cwd", own.cwd)) {
            unit.cwd = own.cwd.c_str();
        }
        if (given(from.get("env"))) {
            own.env.words = environment_of(from.get("env"), from.name("env"));
            unit.env = own.env.get();
        }
    }

    // That of the options, or a unit's.
    static std::vector<std::string> argv_of(const Options &from)
    {
        std::vector<std::string> found = texts_of(from.get("argv"), from.name("argv"));

        if (found.empty() || found[0].empty()) {
            refuse(from.get("argv"), from.name("argv"), "an array of at least a program");
        }
        return found;
    }

    // Whether units bring commands of their own: where no program is given for all.
    static bool are_commands(const Options &options, const Napi::Array &units)
    {
        if (given(options.get("argv"))) {
            return false;
        }
        for (uint32_t i = 0; i < units.Length(); i++) {
            Options from(units.Get(i), "units[" + std::to_string(i) + "]");

            if (given(from.get("argv"))) {
                return true;
            }
        }
        return units.Length() == 0; // a run of nothing needs no program
    }

    void plan(Napi::Env env, const Napi::Array &units)
    {
        check(env, qe_plan_new(&loop_->plan));
        for (uint32_t i = 0; i < units.Length(); i++) {
            Options from(units.Get(i), "units[" + std::to_string(i) + "]");
            std::string id = from.text("id");
            std::string scope;
            Command own;
            qe_unit unit = {};

            if (loop_->commands) {
                command(from, own, unit);
            } else {
                for (const char *key : {"argv", "cwd", "env"}) {
                    if (given(from.get(key))) {
                        refuse(from.get(key), from.name(key), "nothing beside options.argv");
                    }
                }
            }
            unit.id = id.c_str();
            if (from.text("scope", scope)) {
                unit.scope = scope.c_str();
            }
            unit.item = from.count("item", i);
            unit.pass = from.count("pass", 0);
            unit.retries = from.count("retries", 0, 0, MOST_RETRIES);
            unit.timeout_ns = from.ns("timeout");
            unit.expected_ns = from.ns("expected");
            unit.flags = from.flag("serial") ? QE_UNIT_SERIAL : 0;
            check(env, qe_plan_add(loop_->plan, &unit));
        }
        check(env, qe_plan_seal(loop_->plan));
    }

    void start(Napi::Env env, const Options &from)
    {
        qe_options options = {};
        qe_worker *none = nullptr;

        if (!loop_->commands) {
            loop_->argv.words = argv_of(from);
            options.spawn_argv = loop_->argv.get();
        }
        options.workers = from.count("workers", 1, 1, MOST_WORKERS);
        options.first_workers = from.count("firstWorkers", 0, 0, MOST_WORKERS);
        options.start = loop_->commands ? QE_START_COMMAND : QE_START_SPAWN;
        options.isolate = from.flag("isolate");
        options.func_only = from.flag("callOnly");
        options.in_order = from.flag("inOrder");
        options.lazy_events = from.flag("lazyEvents");
        options.peak_memory = from.flag("peakMemory");
        options.maxfail = from.count("maxFailures", 0);
        options.max_restarts = from.count("maxRestarts", UINT32_MAX);
        options.session_timeout_ns = from.ns("endTimeout");
        options.backoff_ns = from.ns("backoff");
        options.exact_backoff = from.flag("exactBackoff");
        options.grace_ns = given(from.get("grace")) ? from.ns("grace") : GRACE_NS;
        options.throttle_ns = from.ns("throttle");
        options.output_bytes = from.count("outputBytes", 0, 2, MOST_OUTPUT_BYTES);
        options.seed = from.count("seed", 0);
        check(env, qe_session_start(&loop_->session, &none, loop_->plan, &options, nullptr));
    }

    // From now on up to so many of the workers run.
    void grow(const Napi::CallbackInfo &info)
    {
        loop_->grow = count_of(info[0], "workers", 1, MOST_WORKERS);
    }

    void stop(const Napi::CallbackInfo &info)
    {
        loop_->interrupt = given(info[0]) && flag_of(info[0], "interrupt");
        loop_->stop = true;
    }

    void kill(const Napi::CallbackInfo &)
    {
        loop_->kill = true;
    }

    // Ends everything that is left, at once.
    void close(const Napi::CallbackInfo &)
    {
        end();
    }

    static void leave(void *self)
    {
        Session *session = static_cast<Session *>(self);

        session->hooked_ = false;
        session->end();
    }

    void end()
    {
        if (hooked_) {
            hooked_ = false;
            napi_remove_env_cleanup_hook(Env(), leave, this);
        }
        if (thread_.joinable()) {
            {
                std::lock_guard<std::mutex> lock(loop_->mutex);
                loop_->quit = true;
                loop_->room.notify_all();
            }
            thread_.join();
        }
    }

    std::shared_ptr<Loop> loop_;
    Channel channel_;
    std::thread thread_;
    bool hooked_ = false;
};

} // namespace

void add_session(Napi::Env env, Napi::Object exports)
{
    exports.Set("Session", Session::define(env));
}

} // namespace qe
