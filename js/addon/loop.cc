// The core's loop: events come to the host in batches, through a thread-safe function.
#include "loop.h"

#include <chrono>
#include <thread>

namespace qe {

namespace {

constexpr int TICK_MS = 20; // the longest that a stop or a kill waits
constexpr int ASKED_MS = 1; // ... and a verdict of the host's
constexpr size_t MOST_IN_BATCH = 256;
constexpr size_t MOST_BATCHES = 16; // beyond, workers wait for the host

// Whether another attempt is asked for: by a worker, whose last data begin with "R" then.
bool wants_again(const Loop &loop, const Event &e)
{
    return loop.commands || e.core.kind == QE_EV_LOST || (!e.data.empty() && e.data[0] == 'R');
}

// Whether a whole run of a unit has failed, by a worker whose last data begin with "E", and
// was released to run again by another claim.
bool is_released(const Loop &loop, const Event &e)
{
    return e.core.kind == QE_EV_FINISH && e.core.claim > 0 && e.core.claim <= loop.elsewhere &&
           !e.data.empty() && e.data[0] == 'E' &&
           qe_session_release(loop.session, e.core.unit) == 0;
}

// One event of the core's, judged where it must be. False at the end.
bool take(Loop &loop, int timeout_ms, Batch &batch)
{
    Event e;

    if (loop.over || qe_session_next(loop.session, timeout_ms, &e.core) != 0) {
        e.core.kind = QE_EV_DONE;
    }
    if (e.core.kind == QE_EV_DONE && loop.asked > 0) {
        // A run that is being stopped ends without them; the host is still to hear.
        loop.over = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(timeout_ms));
        return false;
    }
    if (e.core.kind == QE_EV_NONE) {
        return false;
    }
    if (e.core.data != nullptr) {
        e.data.assign((const char *) e.core.data, e.core.data_size);
    }
    bool settles = (e.core.kind == QE_EV_FINISH && !e.core.settled) ||
                   (e.core.kind == QE_EV_LOST && e.core.outcome != QE_NONE);
    if (settles && loop.asks) {
        e.asks = true;
        loop.asked++;
    } else if (settles && is_released(loop, e)) {
        e.elsewhere = true;
    } else if (settles) {
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

// What the host has judged; it is told what follows.
void settle(Loop &loop, Batch &batch)
{
    std::vector<Verdict> verdicts;

    {
        std::lock_guard<std::mutex> lock(loop.mutex);
        verdicts.swap(loop.verdicts);
    }
    for (const Verdict &each : verdicts) {
        Event e;

        e.core = {};
        e.core.kind = QE_EV_NONE;
        e.core.unit = each.unit;
        e.core.attempt = each.attempt;
        e.core.outcome = each.outcome;
        loop.asked -= loop.asked > 0;
        if (qe_session_settle(loop.session, each.unit, each.attempt, each.outcome,
                              each.retryable, &e.again, &e.final) == 0) {
            batch.events.push_back(std::move(e));
        }
    }
}

void limit(Loop &loop)
{
    bool limits;
    uint32_t running;
    uint64_t throttle_ns;

    {
        std::lock_guard<std::mutex> lock(loop.mutex);
        limits = loop.limits;
        loop.limits = false;
        running = loop.running;
        throttle_ns = loop.throttle_ns;
    }
    if (limits) {
        (void) qe_session_grow(loop.session, running); // without: fewer are enough
        (void) qe_session_limit(loop.session, running, throttle_ns);
    }
}

void obey(Loop &loop, Batch &batch)
{
    give_passes(loop);
    limit(loop);
    settle(loop, batch);
    if (uint32_t workers = loop.grow.exchange(0)) {
        (void) qe_session_grow(loop.session, workers); // without: fewer are enough
    }
    if (bool pause = loop.pause; pause != loop.paused) {
        loop.paused = pause;
        (void) qe_session_pause(loop.session, pause);
    }
    if (loop.stop.exchange(false)) {
        (void) qe_session_stop(loop.session, loop.interrupt);
    }
    if (loop.kill.exchange(false)) {
        (void) qe_session_kill(loop.session);
    }
}

} // namespace

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

void let_go(Napi::Env, std::shared_ptr<Loop> *loop, Loop *)
{
    delete loop;
}

void run(Loop *loop, Channel channel)
{
    bool end = false;

    while (!end && !loop->quit) {
        auto batch = std::make_unique<Batch>();

        obey(*loop, *batch);
        for (int wait = !batch->events.empty() ? 0 : loop->asked > 0 ? ASKED_MS : TICK_MS;
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

} // namespace qe
