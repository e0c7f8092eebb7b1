// Session: a run. The core's loop has a thread of its own (loop.cc).
#include "loop.h"

#include <system_error>
#include <thread>

namespace qe {

namespace {

constexpr uint32_t MOST_WORKERS = 1024;
constexpr uint32_t MOST_RETRIES = 65535;
constexpr uint64_t GRACE_NS = 2000000000; // of commands, where nothing is said
constexpr uint32_t MOST_OUTPUT_BYTES = 64u << 20;
constexpr uint32_t MOST_SPARE = 1u << 20;

class Session : public Napi::ObjectWrap<Session> {
  public:
    // (units, options, callback of (events, end))
    explicit Session(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Session>(info)
    {
        Napi::Env env = info.Env();

        Napi::Function callback = function_of(info[2], "callback");
        Options options(info[1], "options");
        loop_ = std::make_shared<Loop>();
        loop_->asks = options.flag("asks");
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
                               InstanceMethod<&Session::limit>("limit"),
                               InstanceMethod<&Session::settle>("settle"),
                               InstanceMethod<&Session::pass>("pass"),
                               InstanceMethod<&Session::no_more>("noMore"),
                               InstanceMethod<&Session::stop>("stop"),
                               InstanceMethod<&Session::kill>("kill"),
                               InstanceMethod<&Session::pause>("pause"),
                               InstanceMethod<&Session::close>("close"),
                           });
    }

  private:
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
                own.read(from, unit);
            } else {
                Command::refuse_any(from);
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
            unit.flags = (from.flag("serial") ? QE_UNIT_SERIAL : 0) |
                         (from.flag("first") ? QE_UNIT_FIRST : 0);
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

        if (given(from.get("source"))) {
            take_source(env, from, options);
        }
        if (!loop_->commands) {
            loop_->argv.words = Command::argv_of(from);
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
        if (given(from.get("publish"))) {
            publish(env, Options(from.get("publish"), from.name("publish")));
        }
    }

    // Units come by claims (qe_source.h): of what is claimed for an attempt up to
    // `retriesElsewhere`, that which fails is released. Each attempt of a command has a claim.
    void take_source(Napi::Env env, const Options &from, qe_options &options)
    {
        Napi::Value source = from.get("source");
        uint32_t unit, scope;

        if (!source.IsExternal()) {
            refuse(source, from.name("source"), "what a queue gives");
        }
        // Places are the numbers of the units, by which a host tells of them.
        for (uint32_t i = 0; i < qe_plan_count(loop_->plan); i++) {
            if (qe_plan_place(loop_->plan, i, &unit, &scope) != 0 || unit != i) {
                raise(env, QE_EINVAL);
            }
        }
        source_ = Napi::Persistent(source.As<Napi::External<const qe_source>>());
        options.source = source_.Value().Data();
        options.own_retries = !loop_->commands;
        loop_->elsewhere = from.count("retriesElsewhere", 0, 0, MOST_RETRIES);
    }

    // What the run does is told to other processes (qe_live.h).
    void publish(Napi::Env env, const Options &from)
    {
        std::string folder = from.text("folder");
        std::string about = from.text("about");
        std::vector<const char *> names;
        std::vector<std::string> texts;

        if (given(from.get("names"))) {
            texts = texts_of(from.get("names"), from.name("names"));
        }
        for (const std::string &text : texts) {
            names.push_back(text.c_str());
        }
        check(env, qe_session_publish(loop_->session, folder.c_str(), about.c_str(),
                                      names.data(), names.size()));
    }

    // From now on up to so many of the workers run.
    void grow(const Napi::CallbackInfo &info)
    {
        loop_->grow = count_of(info[0], "workers", 1, MOST_WORKERS);
    }

    // (at once, seconds between two starts): of commands.
    void limit(const Napi::CallbackInfo &info)
    {
        uint32_t running = count_of(info[0], "running", 1, MOST_WORKERS);
        uint64_t throttle_ns = ns_of(info[1], "throttle");
        std::lock_guard<std::mutex> lock(loop_->mutex);

        loop_->limits = true;
        loop_->running = running;
        loop_->throttle_ns = throttle_ns;
    }

    // (unit, attempt, outcome, whether another attempt is of use): under options.asks.
    void settle(const Napi::CallbackInfo &info)
    {
        Verdict verdict = {count_of(info[0], "unit"), count_of(info[1], "attempt"),
                           (enum qe_outcome) count_of(info[2], "outcome", 0, QE_FLAKY),
                           flag_of(info[3], "retryable")};
        std::lock_guard<std::mutex> lock(loop_->mutex);

        loop_->verdicts.push_back(verdict);
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

    // (whether): commands are held, or go on.
    void pause(const Napi::CallbackInfo &info)
    {
        loop_->pause = flag_of(info[0], "on");
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
    Napi::Reference<Napi::External<const qe_source>> source_; // the core calls it
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
