/* Names of codes and outcomes, and the one way to free what we hand out. */
#include <stdlib.h>

#include "qe_util.h"

const char *qe_strerror(int code)
{
    switch (code) {
    case QE_OK:
        return "success";
#define QE_X(name, number, text)                                               \
    case QE_E##name:                                                           \
        return text;
        QE_ERROR_LIST(QE_X)
#undef QE_X
    default:
        return "unknown error";
    }
}

const char *qe_outcome_name(enum qe_outcome outcome)
{
    static const char *const names[QE_OUTCOME_COUNT] = {
        [QE_NONE] = "none",       [QE_PASSED] = "passed",
        [QE_FAILED] = "failed",   [QE_SKIPPED] = "skipped",
        [QE_ERROR] = "error",     [QE_TIMEOUT] = "timeout",
        [QE_CRASHED] = "crashed", [QE_FLAKY] = "flaky",
    };

    /* Hosts cast what they were given, so the value can be anything. */
    if ((unsigned) outcome >= QE_OUTCOME_COUNT)
        return "none";
    return names[outcome];
}

void qe_free(void *p)
{
    free(p);
}
