// Shards, and the digests by which they are verified.
#include "addon.h"

#include <cinttypes>
#include <cstdio>

namespace qe {

namespace {

// shardAssign(keys, seconds or null, of): the shard of each key, from 0.
Napi::Value shard_assign(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    std::vector<std::string> keys = texts_of(info[0], "keys");
    uint32_t of = count_of(info[2], "of", 1);
    std::vector<const char *> pointers;
    std::vector<uint64_t> durations;
    std::vector<uint32_t> shards(keys.size());

    if (given(info[1])) {
        Napi::Array seconds = array_of(info[1], "seconds");
        if (seconds.Length() != keys.size()) {
            refuse(info[1], "seconds", "as many as there are keys");
        }
        for (uint32_t i = 0; i < seconds.Length(); i++) {
            durations.push_back(ns_of(seconds.Get(i), "seconds[" + std::to_string(i) + "]"));
        }
    }
    for (const std::string &key : keys) {
        pointers.push_back(key.c_str());
    }
    check(env, qe_shard_assign(pointers.data(), durations.empty() ? nullptr : durations.data(),
                               keys.size(), of, shards.data()));
    Napi::Array found = Napi::Array::New(env, shards.size());
    for (uint32_t i = 0; i < shards.size(); i++) {
        found.Set(i, Napi::Number::New(env, shards[i]));
    }
    return found;
}

// digest(texts): of all of them in their order, 16 hexadecimal digits.
Napi::Value digest(const Napi::CallbackInfo &info)
{
    uint64_t value = QE_DIGEST_INIT;
    char text[17];

    for (const std::string &each : texts_of(info[0], "texts")) {
        value = qe_digest(value, each.c_str(), each.size() + 1);
    }
    std::snprintf(text, sizeof(text), "%016" PRIx64, value);
    return Napi::String::New(info.Env(), text);
}

} // namespace

void add_shard(Napi::Env env, Napi::Object exports)
{
    exports.Set("shardAssign", Napi::Function::New(env, shard_assign, "shardAssign"));
    exports.Set("digest", Napi::Function::New(env, digest, "digest"));
}

} // namespace qe
