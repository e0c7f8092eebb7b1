// Units that are commands: what the core is told of them.
#include "command.h"

namespace qe {

namespace {

qe_limits limits_of(const Options &from)
{
    qe_limits limits = {};

    limits.memory_bytes = (uint64_t) from.whole("memoryBytes", 1, MOST_BYTES);
    limits.cpu_s = (uint64_t) from.whole("cpuSeconds", 1, MOST_SECONDS);
    limits.files = (uint64_t) from.whole("openFiles", 3, UINT32_MAX);
    return limits;
}

} // namespace

void Command::read(const Options &from, qe_unit &unit)
{
    argv.words = argv_of(from);
    unit.argv = argv.get();
    if (from.text("cwd", cwd)) {
        unit.cwd = cwd.c_str();
    }
    if (given(from.get("env"))) {
        env.words = environment_of(from.get("env"), from.name("env"));
        unit.env = env.get();
    }
    if (from.text("warm", warm) && !warm.empty()) {
        unit.warm = warm.c_str();
    }
    if (given(from.get("limits"))) {
        unit.limits = limits_of(Options(from.get("limits"), from.name("limits")));
    }
}

std::vector<std::string> Command::argv_of(const Options &from)
{
    std::vector<std::string> found = texts_of(from.get("argv"), from.name("argv"));

    if (found.empty() || found[0].empty()) {
        refuse(from.get("argv"), from.name("argv"), "an array of at least a program");
    }
    return found;
}

void Command::refuse_any(const Options &from)
{
    for (const char *key : {"argv", "cwd", "env", "limits", "warm"}) {
        if (given(from.get(key))) {
            refuse(from.get(key), from.name(key), "nothing beside options.argv");
        }
    }
}

} // namespace qe
