// Units that are commands: what the core is told of them.
#ifndef QE_ADDON_COMMAND_H
#define QE_ADDON_COMMAND_H

#include "addon.h"

namespace qe {

// Words as the core takes them: an array of pointers that ends with NULL.
struct Words {
    std::vector<std::string> words;
    std::vector<char *> pointers;

    char *const *get()
    {
        pointers.clear();
        for (std::string &word : words) {
            pointers.push_back(word.data());
        }
        pointers.push_back(nullptr);
        return pointers.data();
    }
};

// A unit's own command; what the unit has is valid as long as this is.
struct Command {
    Words argv, env;
    std::string cwd, warm;

    void read(const Options &from, qe_unit &unit);
    // That of a unit, or of the options.
    static std::vector<std::string> argv_of(const Options &from);
    // Of a unit of a run that has a program of its own.
    static void refuse_any(const Options &from);
};

} // namespace qe

#endif
