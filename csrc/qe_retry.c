/* How long to wait before the next attempt. */
#include "qe_judge.h"
#include "qe_util.h"

#define HOUR_NS (UINT64_C(3600) * UINT64_C(1000000000))
#define JITTER_BITS 21

uint64_t qe__retry_base_ns(uint64_t base_ns, uint32_t attempt)
{
    uint64_t delay = base_ns < HOUR_NS ? base_ns : HOUR_NS;
    uint32_t i;

    if (delay == 0)
        return 0;
    /* At most 42 rounds, for a base of 1 ns: then the hour is reached. */
    for (i = 1; i < attempt && delay < HOUR_NS; i++)
        delay = delay < HOUR_NS / 2 ? delay * 2 : HOUR_NS;
    return delay;
}

uint64_t qe__retry_delay_ns(uint64_t base_ns, uint32_t attempt, uint32_t unit,
                            uint64_t seed)
{
    uint64_t delay = qe__retry_base_ns(base_ns, attempt);
    uint64_t state = seed;
    uint64_t jitter;

    if (delay == 0)
        return 0;
    state = qe__random(&state);
    state ^= ((uint64_t) unit << 32) | attempt;
    jitter = qe__random(&state) >> (64 - JITTER_BITS);
    /* An hour has 42 bits, so the product has 63. Half the delay is rounded
     * up and the product down: the sum stays within [0.5, 1.5) of the delay,
     * and a delay that was asked for is never 0. */
    return (delay - delay / 2) + ((delay * jitter) >> JITTER_BITS);
}
