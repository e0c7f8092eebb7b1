// Record and History: what happened, and what happened before.
#include "addon.h"

namespace qe {

namespace {

// Tells a record from any other wrapped object.
const napi_type_tag RECORD = {0x9be1f5d27c0a4e36, 0xa2d8417be60c93f5};

class Record : public Napi::ObjectWrap<Record> {
  public:
    explicit Record(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Record>(info)
    {
        check(info.Env(), qe_record_new(&record));
        info.This().As<Napi::Object>().TypeTag(&RECORD);
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
                               InstanceMethod<&Record::add_text>("addText"),
                               InstanceMethod<&Record::set_outcome>("setOutcome"),
                               InstanceMethod<&Record::set_expected>("setExpected"),
                               InstanceMethod<&Record::set_marks>("setMarks"),
                               InstanceMethod<&Record::set_quarantined>("setQuarantined"),
                               InstanceMethod<&Record::set_code>("setCode"),
                               InstanceMethod<&Record::add_pass>("addPass"),
                               InstanceMethod<&Record::write_json>("writeJson"),
                               InstanceMethod<&Record::write_trace>("writeTrace"),
                           });
    }

    qe_record *record = nullptr;

  private:
    uint32_t item_of(const Napi::Value &value, const std::string &name)
    {
        if (tests_ == 0) {
            refuse(value, name, "the number of a test, and none has been added");
        }
        return count_of(value, name, 0, tests_ - 1);
    }

    Napi::Value add_test(const Napi::CallbackInfo &info)
    {
        check(info.Env(), qe_record_add_test(record, result_text_of(info[0], "id").c_str()));
        return Napi::Number::New(info.Env(), tests_++);
    }

    void add_attempt(const Napi::CallbackInfo &info)
    {
        Options from(info[0], "attempt");
        std::string message;
        qe_attempt attempt = {};

        attempt.item = item_of(from.get("item"), from.name("item"));
        attempt.pass = from.count("pass", 0);
        attempt.attempt = from.count("attempt", 1);
        attempt.worker = from.count("worker", 0);
        attempt.outcome = (enum qe_outcome) from.count("outcome", QE_NONE, 0, QE_OUTCOME_COUNT - 1);
        attempt.start_s = from.real("start", -MOST_SECONDS * 1000, MOST_SECONDS * 1000);
        // Of a clock that was set back the core makes 0.
        attempt.duration_s = from.real("duration", -MOST_SECONDS * 1000, MOST_SECONDS * 1000);
        attempt.cpu_s = from.real("cpu", -MOST_SECONDS, MOST_SECONDS);
        attempt.peak_bytes = (uint64_t) from.real("peakBytes", 0, MOST_BYTES);
        attempt.status = (int) from.count("status", 0, 0, INT32_MAX);
        if (from.result_text("message", message)) {
            attempt.message = message.c_str();
        }
        check(info.Env(), qe_record_add_attempt(record, &attempt));
    }

    // What an attempt that was added left for people to read.
    void add_text(const Napi::CallbackInfo &info)
    {
        Options from(info[0], "text");
        std::string name;
        std::string text;
        uint32_t item = item_of(from.get("item"), from.name("item"));
        uint32_t pass = from.count("pass", 0);
        uint32_t attempt = from.count("attempt", 1);
        uint32_t kind = from.count("kind", QE_TEXT_FAILURE, 0, QE_TEXT_KINDS - 1);

        from.result_text("name", name);
        from.result_bytes("text", text);
        check(info.Env(),
              qe_record_add_text(record, item, pass, attempt, (enum qe_text_kind) kind,
                                 name.c_str(), text.c_str()));
    }

    // (item, outcome, message)
    void set_outcome(const Napi::CallbackInfo &info)
    {
        uint32_t item = item_of(info[0], "item");
        uint32_t outcome = count_of(info[1], "outcome", 0, QE_OUTCOME_COUNT - 1);
        std::string message = given(info[2]) ? result_text_of(info[2], "message") : "";

        check(info.Env(), qe_record_set_outcome(record, item, (enum qe_outcome) outcome,
                                                given(info[2]) ? message.c_str() : nullptr));
    }

    // (item, seconds by the history, before this run)
    void set_expected(const Napi::CallbackInfo &info)
    {
        uint32_t item = item_of(info[0], "item");

        check(info.Env(), qe_record_set_expected(record, item, info[1].ToNumber().DoubleValue()));
    }

    // (item, the names of its marks)
    void set_marks(const Napi::CallbackInfo &info)
    {
        uint32_t item = item_of(info[0], "item");
        Napi::Array marks = array_of(info[1], "marks");
        std::string lines;

        for (uint32_t i = 0; i < marks.Length(); i++) {
            std::string mark = result_text_of(marks.Get(i), "marks");

            for (char &c : mark) {
                c = c == '\n' ? ' ' : c;
            }
            lines += (i > 0 ? "\n" : "") + mark;
        }
        check(info.Env(), qe_record_set_marks(record, item, lines.c_str()));
    }

    // (item): its failures are known
    void set_quarantined(const Napi::CallbackInfo &info)
    {
        uint32_t item = item_of(info[0], "item");

        check(info.Env(), qe_record_set_quarantined(record, item));
    }

    // (revision, branch): null where unknown
    void set_code(const Napi::CallbackInfo &info)
    {
        std::string revision = given(info[0]) ? text_of(info[0], "revision") : "";
        std::string branch = given(info[1]) ? text_of(info[1], "branch") : "";

        check(info.Env(), qe_record_set_code(record, given(info[0]) ? revision.c_str() : nullptr,
                                             given(info[1]) ? branch.c_str() : nullptr));
    }

    // (pass, the name of its condition, the seed that repeats it)
    void add_pass(const Napi::CallbackInfo &info)
    {
        uint32_t pass = count_of(info[0], "pass");
        std::string condition = text_of(info[1], "condition");
        double seed = real_of(info[2], "seed", -MOST_BYTES, MOST_BYTES);

        check(info.Env(),
              qe_record_add_pass(record, pass, condition.c_str(), (uint64_t) (int64_t) seed));
    }

    // (path, run: JSON text, flaky)
    void write_json(const Napi::CallbackInfo &info)
    {
        std::string path = text_of(info[0], "path");
        std::string run = given(info[1]) ? text_of(info[1], "run") : "{}";
        bool flaky = given(info[2]) && flag_of(info[2], "flaky");

        check(info.Env(), qe_record_write_json(record, path.c_str(), run.c_str(), flaky));
    }

    // (path, started: seconds since the epoch)
    void write_trace(const Napi::CallbackInfo &info)
    {
        std::string path = text_of(info[0], "path");
        double started = real_of(info[1], "started", 0, MOST_BYTES);

        check(info.Env(), qe_record_write_trace(record, path.c_str(), started));
    }

    uint32_t tests_ = 0;
};

struct Count {
    std::string id;
    uint64_t failures, passes;
};

// Called by the core, through which no exception may go.
int append(void *list, const char *id, uint64_t failures, uint64_t passes)
{
    try {
        static_cast<std::vector<Count> *>(list)->push_back({id, failures, passes});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

struct Key {
    std::string key;
    double expires_s;
};

// Called by the core, through which no exception may go.
int append_key(void *list, const char *key, double expires_s)
{
    try {
        static_cast<std::vector<Key> *>(list)->push_back({key, expires_s});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

struct Row {
    std::string label;
    qe_history_row core;
};

// Called by the core, through which no exception may go.
int append_row(void *list, const qe_history_row *row)
{
    try {
        static_cast<std::vector<Row> *>(list)->push_back({row->label, *row});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

const char *const BY[] = {"day", "commit", "branch", "condition"}; // as enum qe_history_by

enum qe_history_by by_of(const Napi::Value &value, const std::string &name)
{
    std::string found = text_of(value, name);

    for (size_t i = 0; i < std::size(BY); i++) {
        if (found == BY[i]) {
            return (enum qe_history_by) i;
        }
    }
    refuse(value, name, "one of day, commit, branch, condition");
}

class History : public Napi::ObjectWrap<History> {
  public:
    explicit History(const Napi::CallbackInfo &info) : Napi::ObjectWrap<History>(info)
    {
        check(info.Env(), qe_history_open(&history_, text_of(info[0], "path").c_str()));
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
                               InstanceMethod<&History::counts>("counts"),
                               InstanceMethod<&History::rates>("rates"),
                               InstanceMethod<&History::runs>("runs"),
                               InstanceMethod<&History::attempts>("attempts"),
                               InstanceMethod<&History::save>("save"),
                               InstanceMethod<&History::gc>("gc"),
                               InstanceMethod<&History::put>("put"),
                               InstanceMethod<&History::get>("get"),
                               InstanceMethod<&History::remove>("delete"),
                               InstanceMethod<&History::keys>("keys"),
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
        std::vector<std::string> ids = texts_of(info[0], "ids");
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

    // How often each test has failed and passed: [[id, failures, passes], ...].
    Napi::Value counts(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::vector<Count> found;

        open(env);
        check(env, qe_history_counts(history_, append, &found));
        Napi::Array result = Napi::Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) {
            Napi::Array one = Napi::Array::New(env, 3);

            one.Set(0u, found[i].id);
            one.Set(1u, (double) found[i].failures);
            one.Set(2u, (double) found[i].passes);
            result.Set((uint32_t) i, one);
        }
        return result;
    }

    // (id, a name of BY): of each label, the oldest first, how often the test has failed and
    // passed, when (seconds since the epoch), and how long its passes took (seconds).
    Napi::Value rates(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::string id = text_of(info[0], "id");
        enum qe_history_by by = by_of(info[1], "by");
        std::vector<Row> found;

        open(env);
        check(env, qe_history_rates(history_, id.c_str(), by, append_row, &found));
        Napi::Array result = Napi::Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) {
            const qe_history_row &row = found[i].core;
            Napi::Object one = Napi::Object::New(env);

            one.Set("label", found[i].label);
            one.Set("failures", (double) row.failures);
            one.Set("passes", (double) row.passes);
            one.Set("recovered", (double) row.recovered);
            one.Set("first", row.first_s);
            one.Set("last", row.last_s);
            one.Set("mean", row.mean_s);
            one.Set("longest", row.longest_s);
            result.Set((uint32_t) i, one);
        }
        return result;
    }

    // (most: how many): the newest first
    Napi::Value runs(const Napi::CallbackInfo &info)
    {
        uint32_t most = count_of(info[0], "most");

        open(info.Env());
        return runs_of(info.Env(), history_, most);
    }

    // (run: its id)
    Napi::Value attempts(const Napi::CallbackInfo &info)
    {
        double run = whole_of(info[0], "run", 0, MOST_BYTES);

        open(info.Env());
        return attempts_of(info.Env(), history_, (int64_t) run);
    }

    // (record, started, wall, workers): seconds
    void save(const Napi::CallbackInfo &info)
    {
        if (!info[0].IsObject() || !info[0].As<Napi::Object>().CheckTypeTag(&RECORD)) {
            refuse(info[0], "record", "a Record");
        }
        Record *record = Napi::ObjectWrap<Record>::Unwrap(info[0].As<Napi::Object>());
        double started = real_of(info[1], "started", 0, MOST_SECONDS * 1000);
        double wall = real_of(info[2], "wall", -MOST_SECONDS * 1000, MOST_SECONDS * 1000);
        uint32_t workers = count_of(info[3], "workers");

        open(info.Env());
        check(info.Env(),
              qe_history_save(history_, record->record, started, wall, workers, nullptr));
    }

    // (keep: how many runs)
    void gc(const Napi::CallbackInfo &info)
    {
        uint32_t keep = count_of(info[0], "keep");

        open(info.Env());
        check(info.Env(), qe_history_gc(history_, keep));
    }

    // (key, value, seconds to live; none or 0: for ever)
    void put(const Napi::CallbackInfo &info)
    {
        std::string key = text_of(info[0], "key");
        std::string value = text_of(info[1], "value");
        double ttl = given(info[2]) ? real_of(info[2], "ttl", 0, MOST_SECONDS) : 0;

        open(info.Env());
        check(info.Env(), qe_history_put(history_, key.c_str(), value.c_str(), ttl));
    }

    // The value of a key; null where there is none.
    Napi::Value get(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::string key = text_of(info[0], "key");
        char *value = nullptr;
        int status;

        open(env);
        status = qe_history_get(history_, key.c_str(), &value);
        if (status == QE_ENOTFOUND) {
            return env.Null();
        }
        check(env, status);
        Napi::String found = Napi::String::New(env, value);
        qe_free(value);
        return found;
    }

    // Whether there was such a key.
    Napi::Value remove(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::string key = text_of(info[0], "key");
        int status;

        open(env);
        status = qe_history_delete(history_, key.c_str());
        if (status != QE_ENOTFOUND) {
            check(env, status);
        }
        return Napi::Boolean::New(env, status == 0);
    }

    // The keys that match a pattern: [[key, seconds since the epoch, 0 for never], ...].
    Napi::Value keys(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        std::string pattern = text_of(info[0], "pattern");
        std::vector<Key> found;

        open(env);
        check(env, qe_history_keys(history_, pattern.c_str(), append_key, &found));
        Napi::Array result = Napi::Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) {
            Napi::Array one = Napi::Array::New(env, 2);

            one.Set(0u, found[i].key);
            one.Set(1u, found[i].expires_s);
            result.Set((uint32_t) i, one);
        }
        return result;
    }

    void close(const Napi::CallbackInfo &)
    {
        qe_history_close(history_);
        history_ = nullptr;
    }

    qe_history *history_ = nullptr;
};

// How flaky a sequence of results is (true: passed, false: failed, else not counted).
Napi::Value flakiness(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    Napi::Array from = array_of(info[0], "outcomes");
    std::vector<uint8_t> results;
    qe_flakiness found;

    for (uint32_t i = 0; i < from.Length(); i++) {
        Napi::Value value = from.Get(i);

        results.push_back(value.IsBoolean() ? value.ToBoolean().Value() : 2);
    }
    check(env, qe_flakiness_of(results.data(), results.size(), &found));
    return flakiness_object(env, found);
}

} // namespace

Napi::Object flakiness_object(Napi::Env env, const qe_flakiness &found)
{
    Napi::Object out = Napi::Object::New(env);

    out.Set("passes", found.passes);
    out.Set("failures", found.failures);
    out.Set("score", found.score);
    out.Set("isFlaky", found.is_flaky);
    out.Set("pattern", qe_pattern_name(found.pattern));
    return out;
}

void add_record(Napi::Env env, Napi::Object exports)
{
    exports.Set("Record", Record::define(env));
    exports.Set("History", History::define(env));
    exports.Set("flakiness", Napi::Function::New(env, flakiness, "flakiness"));
}

} // namespace qe
