// What the files of the addon for queues share.
#ifndef QE_ADDON_QUEUE_H
#define QE_ADDON_QUEUE_H

#include "addon.h"

#include <functional>
#include <memory>

namespace qe {

// The error of a call: `text` says what went wrong, its `code` is the name.
Napi::Error queue_error(Napi::Env env, int code, const std::string &text);

// What a call is of: it is there as long as the call, or anything else that holds it.
struct Busy {
    bool busy = false; // a call that may block is under way

    virtual ~Busy() = default;
};

// A call that may block, on a thread of libuv's, while no other one of the same is under way.
// `work` gives a code, and sets a line about it; it calls nothing of the host's. `made` makes
// what the promise is resolved with.
class Task : public Napi::AsyncWorker {
  public:
    using Work = std::function<int(std::string &text)>;
    using Made = std::function<Napi::Value(Napi::Env)>;

    static Napi::Value start(Napi::Env env, const std::shared_ptr<Busy> &owner, Work work,
                             Made made);
    // Throws where one is under way.
    static void check_free(Napi::Env env, const Busy &owner);

  private:
    Task(Napi::Env env, std::shared_ptr<Busy> owner, Work work, Made made);
    void Execute() override;
    void OnOK() override;
    void OnError(const Napi::Error &error) override;

    Napi::Promise::Deferred deferred_;
    std::shared_ptr<Busy> owner_;
    Work work_;
    Made made_;
    std::string text_;
    int status_ = 0;
};

void add_log(Napi::Env env, Napi::Object exports);
void add_queue_reader(Napi::Env env, Napi::Object exports);

} // namespace qe

#endif
