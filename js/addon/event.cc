// What the core tells of a run, as the host sees it.
#include "addon.h"

namespace qe {

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
        o.Set("claim", c.claim);
    }
    o.Set("phase", (int) c.phase);
    o.Set("outcome", (int) c.outcome);
    o.Set("status", c.status);
    o.Set("start", c.start_s);
    o.Set("duration", c.duration_s);
    o.Set("cpu", c.cpu_s);
    o.Set("peakBytes", (double) c.peak_bytes);
    o.Set("dataKind", c.data_kind);
    o.Set("asks", e.asks);
    o.Set("again", e.again);
    o.Set("elsewhere", e.elsewhere);
    o.Set("final", (int) e.final);
    o.Set("error", c.error);
    o.Set("stdoutBytes", (double) c.stdout_bytes);
    o.Set("data", Napi::Buffer<char>::Copy(env, e.data.data(), e.data.size()));
    return o;
}

} // namespace qe
