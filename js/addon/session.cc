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
constexpr uint32_t MOST_SPARE = 1u << 20;

struct Batch {
    std::vector<Event> events;
    bool end = false;
};

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

// A pass that the host has given while the run goes on.
struct Pass {
    uint32_t number;
    std::vector<uint32_t> items;
    uint64_t timeout_ns; // of each
    bool serial = false; // nothing else runs meanwhile
    qe_around around = {};
};

// What the loop's thread and the host's share.
struct Loop {
    qe_session *session = nullptr;
    qe_plan *plan = nullptr;
    bool commands = false; // units are commands, and no worker program is needed
    Words argv;
    std::atomic<bool> stop{false}, interrupt{false}, kill{false}, quit{false};
    std::atomic<uint32_t> grow{0}; // so many workers are wanted now
    std::atomic<bool> no_more{false}; // passes
    std::vector<Pass> passes; // that the core is to be told of; with the mutex
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

// What cannot begin any more, as the run is being stopped, is told by its end.
void give_passes(Loop &loop)
{
    bool last = loop.no_more.exchange(false); // before those that were given before it
    std::vector<Pass> given;
    uint32_t unit;

    {
        std::lock_guard<std::mutex> lock(loop.mutex);
        given.swap(loop.passes);
    }
    for (const Pass &each : given) {
        std::vector<uint64_t> limits(each.items.size(), each.timeout_ns);
        qe_pass pass = {};

        pass.number = each.number;
        pass.items = each.items.data();
        pass.timeout_ns = limits.data();
        pass.n = each.items.size();
        pass.flags = each.serial ? QE_UNIT_SERIAL : 0;
        pass.around = &each.around;
        if (qe_session_pass(loop.session, &pass, &unit) != 0) {
            last = true;
        }
    }
    if (last) {
        (void) qe_session_no_more(loop.session);
    }
}

void obey(Loop &loop)
{
    give_passes(loop);
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
        plan(env, array_of(info[0], "units"), options);
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
                               InstanceMethod<&Session::pass>("pass"),
                               InstanceMethod<&Session::no_more>("noMore"),
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

    void plan(Napi::Env env, const Napi::Array &units, const Options &options)
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
        add_spare(env, options.count("spare", 0, 0, MOST_SPARE),
                  options.count("spareRetries", 0, 0, MOST_RETRIES), options.ns("spareTimeout"));
        check(env, qe_plan_seal(loop_->plan));
    }

    // Room for units of passes to come.
    void add_spare(Napi::Env env, uint32_t count, uint32_t retries, uint64_t timeout_ns)
    {
        qe_unit unit = {};

        unit.id = "";
        unit.scope = "spare";
        unit.flags = QE_UNIT_SPARE;
        unit.retries = retries;
        unit.timeout_ns = timeout_ns;
        for (spare_ = count; count > 0; count--) {
            check(env, qe_plan_add(loop_->plan, &unit));
        }
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

    // (number, items in their order, seconds that each may take, {serial, around: names,
    // partner, clock}): a pass in a worker of its own. False: there is no room for it.
    Napi::Value pass(const Napi::CallbackInfo &info)
    {
        Pass found = {count_of(info[0], "number"), {}, ns_of(info[2], "timeout")};
        Napi::Array items = array_of(info[1], "items");

        if (given(info[3])) {
            Options more(info[3], "pass");
            found.serial = more.flag("serial");
            if (given(more.get("around"))) {
                found.around.flags = around_of(more.get("around"), more.name("around"));
            }
            found.around.partner = more.count("partner", 0);
            found.around.clock_s = more.real("clock", 0, MOST_CLOCK_S);
        }

        for (uint32_t i = 0; i < items.Length(); i++) {
            found.items.push_back(count_of(items.Get(i), "items"));
        }
        if (found.items.size() > spare_ || found.items.empty()) {
            return Napi::Boolean::New(info.Env(), false);
        }
        spare_ -= (uint32_t) found.items.size();
        std::lock_guard<std::mutex> lock(loop_->mutex);
        loop_->passes.push_back(std::move(found));
        return Napi::Boolean::New(info.Env(), true);
    }

    // No pass follows: the run may end.
    void no_more(const Napi::CallbackInfo &)
    {
        loop_->no_more = true;
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
    uint32_t spare_ = 0; // units that are
    bool hooked_ = false;
};

} // namespace

void add_session(Napi::Env env, Napi::Object exports)
{
    exports.Set("Session", Session::define(env));
}

} // namespace qe
