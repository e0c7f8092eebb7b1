// The core's loop, on a thread of its own, and what the host tells it.
#ifndef QE_ADDON_LOOP_H
#define QE_ADDON_LOOP_H

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "command.h"

namespace qe {

struct Batch {
    std::vector<Event> events;
    bool end = false;
};

// Judged by the host, which has looked at what the attempt left behind.
struct Verdict {
    uint32_t unit, attempt;
    enum qe_outcome outcome;
    bool retryable;
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
    bool asks = false;     // the host settles each attempt; until then the next one waits
    uint32_t elsewhere = 0; // what fails is released, of claims for attempts up to this
    Words argv;
    std::atomic<bool> stop{false}, interrupt{false}, kill{false}, quit{false};
    std::atomic<bool> pause{false};  // what runs is to be held
    std::atomic<uint32_t> grow{0}; // so many workers are wanted now
    std::atomic<bool> no_more{false}; // passes
    std::vector<Pass> passes; // that the core is to be told of; with the mutex
    std::vector<Verdict> verdicts; // likewise
    bool limits = false;           // likewise:
    uint32_t running = 0;
    uint64_t throttle_ns = 0;
    bool paused = false; // the core has been told so; of the loop's thread
    size_t asked = 0;  // verdicts that are still to come
    bool over = false; // the core has told all
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

// The thread: until the end, or until it is told to quit.
void run(Loop *loop, Channel channel);
// Batches may still be on their way when the session itself is gone.
void let_go(Napi::Env, std::shared_ptr<Loop> *loop, Loop *);

} // namespace qe

#endif
