/* Changes around a pass by name, and what an attempt draws its numbers by. */
#include <math.h>
#include <string.h>

#include "qe_changing.h"
#include "qe_util.h"

#define FIRST_FOUND QE_TMP_BY_NAME /* from here on none is asked for */
#define LAST_CLOCK_S 9e9           /* the year 2255: nanoseconds have 63 bits */

static const struct {
    uint32_t flag;
    const char *name;
} names[] = {
#define QE_X(name, bit, text) {QE_##name, text},
    QE_AROUND_LIST(QE_X)
#undef QE_X
};

const char *qe_around_name(uint32_t flag)
{
    for (size_t i = 0; i < QE__COUNT(names); i++) {
        if (names[i].flag == flag) {
            return names[i].name;
        }
    }
    return NULL;
}

uint32_t qe_around_flag(const char *name)
{
    for (size_t i = 0; i < QE__COUNT(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].flag < FIRST_FOUND ? names[i].flag : 0;
        }
    }
    return 0;
}

bool qe__around_is_sound(const qe_around *around)
{
    return around == NULL ||
           (around->flags < FIRST_FOUND &&
            ((around->flags & QE_CLOCK) == 0 ||
             (isfinite(around->clock_s) && around->clock_s >= 0 &&
              around->clock_s < LAST_CLOCK_S)));
}

uint64_t qe_attempt_seed(uint64_t pass_seed, uint32_t key, uint32_t nth)
{
    uint64_t mix = pass_seed + nth;

    mix = qe__random(&mix) ^ key;
    return qe__random(&mix);
}
