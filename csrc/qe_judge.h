/* Judging: attempts of one unit in, an outcome or "again, not before t" out.
 * Pure. Internal. */
#ifndef QE_JUDGE_H
#define QE_JUDGE_H

#include "qe.h"

typedef struct qe__verdict {
    bool again;
    enum qe_outcome outcome; /* where not again */
    uint64_t not_before_ns;  /* where again */
} qe__verdict;

/* Whether this outcome is one that a retry could mend. */
bool qe__judge_failed(enum qe_outcome outcome);

/* `attempt` (from 1) of a unit that may be retried `retries` times ended with
 * `outcome`. A pass after a failed attempt is FLAKY. */
int qe__judge(uint32_t attempt, uint32_t retries, enum qe_outcome outcome,
              bool retryable, uint64_t now_ns, uint64_t delay_ns,
              qe__verdict *out);

/* What a wait is before it is jittered: `base_ns`, doubled with each attempt, at
 * most an hour. */
uint64_t qe__retry_base_ns(uint64_t base_ns, uint32_t attempt);
/* qe_retry.c: the delay after failed attempt `attempt` (from 1): base doubled
 * for every attempt after the first, at most one hour, times a jitter in
 * [0.5, 1.5) that depends on seed, unit and attempt alone. base 0 gives 0. */
uint64_t qe__retry_delay_ns(uint64_t base_ns, uint32_t attempt, uint32_t unit,
                            uint64_t seed);

#endif
