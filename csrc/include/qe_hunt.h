/*
 * The strategy of a flaky hunt: which tests run next, in which order, until what
 * may be spent is spent. Part of qe.h, which includes it.
 *
 * Pure: a hunt runs nothing. It says what the next pass is (qe_hunt_next), hears
 * what came of it (qe_hunt_result, qe_hunt_over), and says what is known of a test
 * (qe_hunt_test_of). Several passes may be under way at once.
 *
 * 1. Screening. All tests run in orders that differ: as defined, and
 *    each beside itself, reversed, each twice in a row, then shuffled; under hash seeds that differ;
 *    with files of their own, but for one that has those of another. Executions that differ find more than the same
 *    one repeated: what order, or a second run, breaks shows in no number of
 *    repetitions. A test that has failed and passed is a suspect, one that has
 *    failed QE_HUNT_STABLE times and never passed fails stably: neither is screened
 *    any further.
 * 2. Confirming. A pass in which suspects failed runs once more up to the last of
 *    them; then each runs alone, in turn, again and again. Of these fresh runs, which
 *    had no part in making it a suspect, comes the evidence (qe_evidence_flaky), and
 *    e-BH says which are confirmed (qe_ebh): of those, at most alpha are healthy.
 *    A suspect that is confirmed, or has had QE_HUNT_MOST_FRESH fresh runs, is left.
 * 3. What is left of the budget goes to more shuffles of the tests that are open.
 *
 * With a budget of seconds a pass after the first takes those tests of which one
 * more run shows most a second: the chance is that of a law of failure rates, after the
 * runs so far and those known from before: Beta(0.53, 51.7), which 94 measured flaky
 * tests fit, or one that the project's own history does (qe_rates_fit).
 */
#ifndef QE_HUNT_H
#define QE_HUNT_H

#include "qe.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QE_HUNT_STABLE 3u
#define QE_HUNT_MOST_FRESH 30u

enum qe_condition {
    QE_AS_DEFINED,
    QE_REVERSED,
    QE_TWICE,    /* each test twice in a row */
    QE_BESIDE,   /* as defined, while a first pass does the same */
    QE_SHUFFLED, /* groups, and the tests in them, by the pass's seed */
    QE_REPEATED, /* an earlier pass once more, as far as its suspects */
    QE_ALONE     /* one test in a process of its own, once or twice */
};
/* "defined", "reversed", "twice", "beside", "shuffled", "repeated", "alone". */
QE_API const char *qe_condition_name(enum qe_condition condition);

enum qe_verdict {
    QE_UNTRIED,      /* no run of it counted */
    QE_CLEAR,        /* it only passed */
    QE_STABLE_FAILS, /* it only failed */
    QE_SUSPECT,      /* it failed and passed */
    QE_CONFIRMED     /* and its fresh runs alone show that it does */
};
/* "untried", "clear", "stable-fail", "suspect", "confirmed". */
QE_API const char *qe_verdict_name(enum qe_verdict verdict);

typedef struct qe_hunt_options {
    double executions; /* of a test, on average; at least 1 */
    double seconds;    /* of tests' time in all, instead; 0: no such limit */
    double alpha;      /* as in qe_stats.h */
    uint64_t seed;     /* of the first pass; each has another one */
    double rates_a, rates_b; /* the law of failure rates, Beta(a, b); 0, 0: that
                                of many measured flaky tests */
    uint32_t servers; /* hash seeds beside the run's own, numbered from 1 */
    bool pairs;       /* two passes can run at once */
    bool
        apart; /* passes run on machines that share no files, so none has those of
                         another; and all that screen are told before any is over */
} qe_hunt_options;

typedef struct qe_hunt_pass {
    uint32_t number; /* from 0 */
    enum qe_condition condition;
    uint64_t seed;    /* for random generators; that of the pass it repeats */
    uint32_t repeats; /* REPEATED: which pass; otherwise UINT32_MAX */
    uint32_t server;  /* whose hash seed it has; 0: the run's own */
    uint32_t
        files; /* the pass whose files it has, often itself; UINT32_MAX: the
                           user's */
    uint32_t
        partner; /* the first of two that begin each test together, in both of
                           them; otherwise UINT32_MAX */
    const uint32_t *items; /* in the order to run; until qe_hunt_over */
    size_t n;
} qe_hunt_pass;

typedef struct qe_hunt_test {
    enum qe_verdict verdict;
    uint32_t failures, passes; /* of the hunt's own runs */
    uint32_t fresh_failures,
        fresh_passes;   /* of those that confirm; inquiries', too */
    double ln_evidence; /* of the fresh runs */
    uint32_t failed_in; /* the first pass that it failed in, or UINT32_MAX */
} qe_hunt_test;

typedef struct qe_hunt qe_hunt;

/* `groups[n]`: tests of one group (a module) stay together in every order; equal
 * numbers stand for one group. `seconds[n]`: how long each takes, as far as that is
 * known (0: it is not), or NULL. */
QE_API int qe_hunt_new(qe_hunt **out, const uint32_t *groups,
                       const double *seconds, size_t n,
                       const qe_hunt_options *options);
QE_API void qe_hunt_free(qe_hunt *h);
/* What is known of a test from runs before, to be said before the first pass. One that
 * has failed and passed is run alone as suspects are, behind them; that alone makes no
 * suspect of it. */
QE_API int qe_hunt_known(qe_hunt *h, uint32_t item, uint64_t failures,
                         uint64_t passes);
/* The law of failure rates that counts of many tests follow best: a and b of Beta(a, b),
 * by maximal likelihood of the beta-binomial law. QE_ENOTFOUND where they are too few to
 * tell: less than 3 tests that failed and passed, or 1,000 runs.
 * Source: Skellam 1948, JRSS B 10. */
QE_API int qe_rates_fit(const uint64_t *failures, const uint64_t *passes,
                        size_t n, double *a, double *b);
/* The next pass: 1 and *out. 0: none before a pass that is under way is over.
 * QE_EGONE: the hunt is over. */
QE_API int qe_hunt_next(qe_hunt *h, qe_hunt_pass *out);
/* An execution of a test in a pass: 1 passed, 0 failed, anything else is neither (it
 * was skipped, say). QE_EINVAL for a pass that is not under way, or an item that
 * there is not. */
QE_API int qe_hunt_result(qe_hunt *h, uint32_t pass, uint32_t item, int result,
                          double seconds);
/* The pass is over; what it has not run counts for nothing. `beside`: the seconds that
 * workers spent beside tests since the pass before was over, each told once. */
QE_API int qe_hunt_over(qe_hunt *h, uint32_t pass, double beside);
/* An execution that an inquiry has made (qe_cause.h), under no change but of order,
 * seeds, files and neighbours: 1 passed, 0 failed. For a suspect it is evidence that it
 * is flaky; not of how often it fails, as what is known to make it fail is tried again. */
QE_API int qe_hunt_more(qe_hunt *h, uint32_t item, int result);
QE_API int qe_hunt_test_of(const qe_hunt *h, uint32_t item, qe_hunt_test *out);
/* How many executions were asked for so far. */
QE_API uint64_t qe_hunt_spent(const qe_hunt *h);

#ifdef __cplusplus
}
#endif

#endif
