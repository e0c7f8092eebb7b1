// Runs as people and reports see them (qe_board_read.h). Each call is a promise.
#include "queue.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

extern "C" {
#include "qe_board_read.h"
}

namespace qe {

namespace {

constexpr uint64_t TIMEOUT_NS = 5000000000; // of a command

struct Held : Busy {
    qe__reader *reader = nullptr;
    qe__redis_address address = {};
    std::string ca_file, prefix, project;
    uint64_t timeout_ns = 0;

    ~Held() override
    {
        close();
    }

    void close()
    {
        qe__reader_close(reader);
        reader = nullptr;
        explicit_bzero(&address, sizeof(address));
    }
};

// What is visited comes on libuv's thread, where nothing of the host's can be made; and no
// exception may go through the core.
template <class One, class... From> int keep(void *list, From &&...from)
{
    try {
        static_cast<std::vector<One> *>(list)->push_back({std::forward<From>(from)...});
        return 0;
    } catch (const std::exception &) {
        return QE_ENOMEM;
    }
}

struct Unit {
    std::string id;
    enum qe_outcome outcome;
};

int keep_unit(void *list, uint32_t, const char *id, size_t size, enum qe_outcome outcome)
{
    return keep<Unit>(list, std::string(id, size), outcome);
}

struct Try {
    qe__try one;
    std::string payload;
};

int keep_try(void *list, const qe__try *one)
{
    return keep<Try>(list, *one, std::string(one->payload ? one->payload : "", one->size));
}

Napi::Value bytes(Napi::Env env, const std::string &from)
{
    return Napi::Buffer<char>::Copy(env, from.data(), from.size());
}

const char *const STATES[] = {"none", "laying", "open", "stopped", "over"}; // of the board

Napi::Value status_object(Napi::Env env, const qe__run_status &from)
{
    Napi::Object found = Napi::Object::New(env);
    Napi::Array nodes = Napi::Array::New(env, from.node_count);

    for (uint32_t i = 0; i < from.node_count; i++) {
        const qe__run_node &node = from.nodes[i];
        Napi::Object one = Napi::Object::New(env);

        one.Set("name", node.name);
        one.Set("age_s", node.known ? Napi::Number::New(env, (double) node.age_ms / 1000)
                                    : env.Null());
        one.Set("workers", node.workers);
        one.Set("waiting", node.waiting);
        one.Set("claimed", (double) node.claimed);
        nodes.Set(i, one);
    }
    found.Set("state", STATES[from.state]);
    found.Set("units", from.units);
    found.Set("left", (double) from.left);
    found.Set("failures", (double) from.failures);
    found.Set("maxfail", (double) from.maxfail);
    found.Set("open", (double) from.open);
    found.Set("claimed", (double) from.claimed);
    found.Set("attempts", (double) from.attempts);
    found.Set("age_s", (double) from.age_ms / 1000);
    found.Set("idle_s", (double) from.idle_ms / 1000);
    found.Set("laid_by", from.laid_by);
    found.Set("nodes", nodes);
    return found;
}

class Reader : public Napi::ObjectWrap<Reader> {
  public:
    // ({url, user, password, caFile, prefix, project, timeout}): nothing is connected to yet.
    explicit Reader(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Reader>(info)
    {
        Options from(info[0], "options");
        std::string url = from.text("url"), user, password;
        char text[QE__REDIS_TEXT] = "";
        Held &held = *held_;

        held.project = from.text("project");
        held.prefix = "qe";
        from.text("prefix", held.prefix);
        held.timeout_ns = given(from.get("timeout")) ? from.ns("timeout") : TIMEOUT_NS;
        if (qe__redis_parse(url.c_str(), &held.address, text) != 0) {
            throw wrong_address(info.Env(), text);
        }
        from.text("user", user);
        from.text("password", password);
        if (user.size() >= sizeof(held.address.user) ||
            password.size() >= sizeof(held.address.password)) {
            throw wrong_address(info.Env(), "the user or the password is too long");
        }
        if (!user.empty()) {
            std::snprintf(held.address.user, sizeof(held.address.user), "%s", user.c_str());
        }
        if (!password.empty()) {
            std::snprintf(held.address.password, sizeof(held.address.password), "%s",
                          password.c_str());
        }
        if (from.text("caFile", held.ca_file)) {
            held.address.ca_file = held.ca_file.c_str();
        }
    }

    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Reader",
                           {
                               InstanceMethod<&Reader::open>("open"),
                               InstanceMethod<&Reader::close>("close"),
                               InstanceMethod<&Reader::status>("status"),
                               InstanceMethod<&Reader::outcomes>("outcomes"),
                               InstanceMethod<&Reader::units>("units"),
                               InstanceMethod<&Reader::tries>("tries"),
                               InstanceMethod<&Reader::runs>("runs"),
                               InstanceMethod<&Reader::stop>("stop"),
                               InstanceMethod<&Reader::remove>("delete"),
                           });
    }

  private:
    static Napi::Error wrong_address(Napi::Env env, const std::string &text)
    {
        return queue_error(env, QE_EINVAL, "the queue's address: " + text);
    }

    // `work` has the open reader; a code of it is told with the reader's own words.
    Napi::Value ask(Napi::Env env, std::function<int(qe__reader *)> work, Task::Made made)
    {
        Task::check_free(env, *held_);
        if (held_->reader == nullptr) {
            throw queue_error(env, QE_ESTATE, "it is closed");
        }
        qe__reader *reader = held_->reader; // as long as the task holds what has it
        auto run = [reader, work = std::move(work)](std::string &text) {
            int status = work(reader);

            text = qe__reader_text(reader);
            return status;
        };
        return Task::start(env, held_, run, std::move(made));
    }

    // Connects.
    Napi::Value open(const Napi::CallbackInfo &info)
    {
        Held *held = held_.get();
        auto run = [held](std::string &text) {
            char line[QE__READER_TEXT] = "";
            int status = held->reader != nullptr
                             ? QE_ESTATE
                             : qe__reader_open(&held->reader, &held->address,
                                               held->prefix.c_str(), held->project.c_str(),
                                               held->timeout_ns, line);

            text = line;
            return status;
        };
        return Task::start(info.Env(), held_, run, [](Napi::Env env) { return env.Undefined(); });
    }

    void close(const Napi::CallbackInfo &info)
    {
        Task::check_free(info.Env(), *held_);
        held_->close();
    }

    // (run): an object, with the names that pytest's side has.
    Napi::Value status(const Napi::CallbackInfo &info)
    {
        std::string run = text_of(info[0], "run");
        std::shared_ptr<qe__run_status> found(new qe__run_status(), [](qe__run_status *status) {
            qe__run_status_free(status);
            delete status;
        });

        return ask(
            info.Env(),
            [run, found](qe__reader *r) { return qe__reader_status(r, run.c_str(), found.get()); },
            [found](Napi::Env env) { return status_object(env, *found); });
    }

    // (run, how many units): [how many of each outcome, how many of other units]
    Napi::Value outcomes(const Napi::CallbackInfo &info)
    {
        std::string run = text_of(info[0], "run");
        uint32_t units = count_of(info[1], "units");
        struct Counts {
            std::array<uint64_t, QE_OUTCOME_COUNT> each = {};
            uint64_t odd = 0;
        };
        auto found = std::make_shared<Counts>();

        return ask(
            info.Env(),
            [run, units, found](qe__reader *r) {
                return qe__reader_outcomes(r, run.c_str(), units, found->each.data(),
                                           &found->odd);
            },
            [found](Napi::Env env) {
                Napi::Array both = Napi::Array::New(env, 2), each = Napi::Array::New(env);

                for (uint32_t i = 0; i < QE_OUTCOME_COUNT; i++) {
                    each.Set(i, (double) found->each[i]);
                }
                both.Set(0u, each);
                both.Set(1u, (double) found->odd);
                return both;
            });
    }

    // (run, from, how many): [[id: Buffer, outcome], ...]
    Napi::Value units(const Napi::CallbackInfo &info)
    {
        std::string run = text_of(info[0], "run");
        uint32_t from = count_of(info[1], "from"), n = count_of(info[2], "n");
        auto found = std::make_shared<std::vector<Unit>>();

        return ask(
            info.Env(),
            [run, from, n, found](qe__reader *r) {
                uint32_t got;

                return qe__reader_units(r, run.c_str(), from, n, keep_unit, found.get(), &got);
            },
            [found](Napi::Env env) {
                Napi::Array list = Napi::Array::New(env, found->size());

                for (uint32_t i = 0; i < found->size(); i++) {
                    Napi::HandleScope scope(env);
                    Napi::Array one = Napi::Array::New(env, 2);

                    one.Set(0u, bytes(env, (*found)[i].id));
                    one.Set(1u, (int) (*found)[i].outcome);
                    list.Set(i, one);
                }
                return list;
            });
    }

    // (run, how many units, after): {tries: [{unit, attempt, outcome, node, late, payload}],
    // after}: none at the end.
    Napi::Value tries(const Napi::CallbackInfo &info)
    {
        std::string run = text_of(info[0], "run"), from = text_of(info[2], "after");
        uint32_t units = count_of(info[1], "units");
        struct Piece {
            std::vector<Try> tries;
            char after[QE__ENTRY_ID] = "";
        };
        auto found = std::make_shared<Piece>();

        if (from.size() >= sizeof(found->after)) {
            throw queue_error(info.Env(), QE_EINVAL, "no attempt has such a name");
        }
        std::memcpy(found->after, from.c_str(), from.size() + 1);
        return ask(
            info.Env(),
            [run, units, found](qe__reader *r) {
                uint32_t got;

                return qe__reader_tries(r, run.c_str(), units, found->after, keep_try,
                                        &found->tries, &got);
            },
            [found](Napi::Env env) {
                Napi::Object piece = Napi::Object::New(env);
                Napi::Array list = Napi::Array::New(env, found->tries.size());

                for (uint32_t i = 0; i < found->tries.size(); i++) {
                    Napi::HandleScope scope(env);
                    const Try &from = found->tries[i];
                    Napi::Object one = Napi::Object::New(env);

                    one.Set("unit", from.one.unit);
                    one.Set("attempt", from.one.attempt);
                    one.Set("outcome", (int) from.one.outcome);
                    one.Set("late", from.one.late);
                    one.Set("node", from.one.node);
                    one.Set("payload", bytes(env, from.payload));
                    list.Set(i, one);
                }
                piece.Set("tries", list);
                piece.Set("after", found->after);
                return piece;
            });
    }

    // Names of all runs of the project, sorted.
    Napi::Value runs(const Napi::CallbackInfo &info)
    {
        struct Names {
            char **names = nullptr;
            uint32_t n = 0;

            ~Names()
            {
                qe__runs_free(names, n);
            }
        };
        auto found = std::make_shared<Names>();

        return ask(
            info.Env(),
            [found](qe__reader *r) { return qe__reader_runs(r, &found->names, &found->n); },
            [found](Napi::Env env) {
                Napi::Array list = Napi::Array::New(env);

                for (uint32_t i = 0; i < found->n; i++) {
                    std::string name = found->names[i];
                    Napi::String text = Napi::String::New(env, name);

                    // One that is no text has been made by nobody we know.
                    if (text.Utf8Value() == name) {
                        list.Set(list.Length(), text);
                    }
                }
                return list;
            });
    }

    // (run): nothing more is to start. Whether it could still have gone on.
    Napi::Value stop(const Napi::CallbackInfo &info)
    {
        std::string run = text_of(info[0], "run");
        auto was = std::make_shared<enum qe__board_state>(QE__BOARD_NONE);

        return ask(
            info.Env(),
            [run, was](qe__reader *r) { return qe__reader_stop(r, run.c_str(), was.get()); },
            [was](Napi::Env env) {
                return Napi::Boolean::New(env, *was == QE__BOARD_OPEN || *was == QE__BOARD_LAYING);
            });
    }

    // (runs): deletes all that there is of them. How many keys.
    Napi::Value remove(const Napi::CallbackInfo &info)
    {
        auto names = std::make_shared<std::vector<std::string>>(texts_of(info[0], "runs"));
        auto keys = std::make_shared<uint64_t>(0);

        std::sort(names->begin(), names->end()); // by their bytes, as strcmp sorts them
        return ask(
            info.Env(),
            [names, keys](qe__reader *r) {
                std::vector<const char *> words;

                for (const std::string &name : *names) {
                    words.push_back(name.c_str());
                }
                return qe__reader_delete(r, words.data(), (uint32_t) words.size(), keys.get());
            },
            [keys](Napi::Env env) { return Napi::Number::New(env, (double) *keys); });
    }

    std::shared_ptr<Held> held_ = std::make_shared<Held>();
};

} // namespace

void add_queue_reader(Napi::Env env, Napi::Object exports)
{
    exports.Set("Reader", Reader::define(env));
}

} // namespace qe
