// Arguments of the host: each is checked where it is converted, and a wrong one is a
// TypeError that names it.
#include "addon.h"

#include <cmath>
#include <cstdio>

namespace qe {

namespace {

std::string shown(const Napi::Value &value)
{
    switch (value.Type()) {
    case napi_undefined:
        return "undefined";
    case napi_null:
        return "null";
    case napi_boolean:
        return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number:
        return value.ToString().Utf8Value();
    case napi_string:
        return "a string";
    case napi_symbol:
        return "a symbol";
    case napi_function:
        return "a function";
    case napi_bigint:
        return "a BigInt";
    default:
        return value.IsArray() ? "an array" : "an object";
    }
}

std::string shown(double number)
{
    char text[32];

    std::snprintf(text, sizeof(text), "%.15g", number);
    return text;
}

double number(const Napi::Value &value, const std::string &name, const char *what, double least,
              double most, bool whole)
{
    double found = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;

    if (!(found >= least && found <= most) || (whole && found != std::floor(found))) {
        refuse(value, name, std::string(what) + " from " + shown(least) + " to " + shown(most));
    }
    return found;
}

} // namespace

void refuse(const Napi::Value &value, const std::string &name, const std::string &wanted)
{
    Napi::TypeError error = Napi::TypeError::New(
        value.Env(), name + ": takes " + wanted + ", not " + shown(value));

    error.Set("code", Napi::String::New(value.Env(), "QE_EINVAL"));
    throw error;
}

bool given(const Napi::Value &value)
{
    return !value.IsUndefined() && !value.IsNull();
}

std::string text_of(const Napi::Value &value, const std::string &name)
{
    std::string found;

    if (!value.IsString()) {
        refuse(value, name, "a string");
    }
    found = value.As<Napi::String>().Utf8Value();
    if (found.find('\0') != std::string::npos) {
        refuse(value, name, "a string without a NUL character");
    }
    return found;
}

// The core's texts end where a NUL is.
static std::string without_nul(const std::string &from)
{
    std::string found;

    found.reserve(from.size());
    for (char c : from) {
        if (c == '\0') {
            found += "\xEF\xBF\xBD"; // U+FFFD
        } else {
            found += c;
        }
    }
    return found;
}

std::string result_text_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsString()) {
        refuse(value, name, "a string");
    }
    return without_nul(value.As<Napi::String>().Utf8Value());
}

std::string result_bytes_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsBuffer()) {
        return result_text_of(value, name);
    }
    Napi::Buffer<char> bytes = value.As<Napi::Buffer<char>>();
    return without_nul(std::string(bytes.Data(), bytes.Length()));
}

std::string bytes_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsBuffer()) {
        refuse(value, name, "a Buffer");
    }
    Napi::Buffer<char> bytes = value.As<Napi::Buffer<char>>();
    return std::string(bytes.Data(), bytes.Length());
}

Napi::Array array_from(Napi::Env env, const uint32_t *numbers, size_t n)
{
    Napi::Array out = Napi::Array::New(env, n);

    for (size_t i = 0; i < n; i++) {
        out.Set((uint32_t) i, numbers[i]);
    }
    return out;
}

uint32_t count_of(const Napi::Value &value, const std::string &name, uint32_t least,
                  uint32_t most)
{
    return (uint32_t) number(value, name, "a whole number", least, most, true);
}

double whole_of(const Napi::Value &value, const std::string &name, double least, double most)
{
    return number(value, name, "a whole number", least, most, true);
}

double real_of(const Napi::Value &value, const std::string &name, double least, double most)
{
    return number(value, name, "a number", least, most, false);
}

uint64_t ns_of(const Napi::Value &value, const std::string &name)
{
    return (uint64_t) std::llround(number(value, name, "seconds", 0, MOST_SECONDS, false) * 1e9);
}

bool flag_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsBoolean()) {
        refuse(value, name, "true or false");
    }
    return value.As<Napi::Boolean>().Value();
}

Napi::Object object_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsObject() || value.IsArray() || value.IsFunction()) {
        refuse(value, name, "an object");
    }
    return value.As<Napi::Object>();
}

Napi::Array array_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsArray()) {
        refuse(value, name, "an array");
    }
    return value.As<Napi::Array>();
}

Napi::Function function_of(const Napi::Value &value, const std::string &name)
{
    if (!value.IsFunction()) {
        refuse(value, name, "a function");
    }
    return value.As<Napi::Function>();
}

std::vector<std::string> texts_of(const Napi::Value &value, const std::string &name)
{
    Napi::Array from = array_of(value, name);
    std::vector<std::string> found;

    for (uint32_t i = 0; i < from.Length(); i++) {
        found.push_back(text_of(from.Get(i), name + "[" + std::to_string(i) + "]"));
    }
    return found;
}

std::vector<std::string> environment_of(const Napi::Value &value, const std::string &name)
{
    Napi::Object from = object_of(value, name);
    Napi::Array keys = from.GetPropertyNames();
    std::vector<std::string> found;

    for (uint32_t i = 0; i < keys.Length(); i++) {
        std::string key = keys.Get(i).ToString().Utf8Value();
        Napi::Value text = from.Get(key);

        if (key.empty() || key.find_first_of(std::string("=\0", 2)) != std::string::npos) {
            refuse(value, name, "names without = and NUL");
        }
        if (text.IsNull()) {
            found.push_back(key);
        } else if (!text.IsUndefined()) {
            found.push_back(key + "=" + text_of(text, name + "." + key));
        }
    }
    return found;
}

Napi::Value Options::get(const char *key) const
{
    return from_.Get(key);
}

std::string Options::name(const char *key) const
{
    return name_ + "." + key;
}

std::string Options::text(const char *key) const
{
    return text_of(get(key), name(key));
}

bool Options::text(const char *key, std::string &found) const
{
    Napi::Value value = get(key);

    if (!given(value)) {
        return false;
    }
    found = text_of(value, name(key));
    return true;
}

bool Options::result_bytes(const char *key, std::string &found) const
{
    Napi::Value value = get(key);

    if (!given(value)) {
        return false;
    }
    found = result_bytes_of(value, name(key));
    return true;
}

bool Options::result_text(const char *key, std::string &found) const
{
    Napi::Value value = get(key);

    if (!given(value)) {
        return false;
    }
    found = result_text_of(value, name(key));
    return true;
}

uint32_t Options::count(const char *key, uint32_t otherwise, uint32_t least, uint32_t most) const
{
    Napi::Value value = get(key);

    return given(value) ? count_of(value, name(key), least, most) : otherwise;
}

double Options::real(const char *key, double least, double most) const
{
    Napi::Value value = get(key);

    return given(value) ? real_of(value, name(key), least, most) : 0;
}

double Options::whole(const char *key, double least, double most) const
{
    Napi::Value value = get(key);
    bool none = !given(value) || (value.IsNumber() && value.As<Napi::Number>().DoubleValue() == 0);

    return none ? 0 : whole_of(value, name(key), least, most);
}

uint64_t Options::ns(const char *key) const
{
    Napi::Value value = get(key);

    return given(value) ? ns_of(value, name(key)) : 0;
}

bool Options::flag(const char *key) const
{
    Napi::Value value = get(key);

    return given(value) && flag_of(value, name(key));
}

} // namespace qe
