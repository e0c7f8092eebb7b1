/*
 * The statistics of flaky tests: what so many passes and failures say, and how
 * sure one may be of it. Part of qe.h, which includes it.
 *
 * Conventions, beside those of qe.h
 *   - All is pure: no clock, no files, no random generator but from a seed that
 *     is given. Any thread may call anything.
 *   - Counts are at most QE_STATS_MOST, larger ones QE_ETOOBIG. A negative
 *     count, a rate outside of what the call takes, a NaN, or a NULL where
 *     something is to be read or written is QE_EINVAL. No result is ever a NaN.
 *   - Rates are failures by runs, from 0 to 1. `alpha` is the chance of being
 *     wrong that one accepts (.05: "95 % sure"), from 1e-12 to 1 - 1e-12.
 *   - `ln_` is the natural logarithm: the numbers themselves overflow.
 *   - Results of runs are as in qe_flakiness_of, the oldest first: 1 passed, 0
 *     failed, anything else is jumped over.
 *
 * Which one? A rate with its error from a number of runs that was fixed before:
 * an interval. From runs that were stopped because of what they showed: the
 * confidence sequence. "Run until it is decided": SPRT. "Which of these
 * thousand tests are flaky?": evidence, then e-BH.
 */
#ifndef QE_STATS_H
#define QE_STATS_H

#include "qe.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QE_STATS_MOST INT64_C(1000000000)

/* --------------------------------------------------------------- intervals */

/* Where the failure rate lies. */
typedef struct qe_interval {
    double low, high;
} qe_interval;

/* For a number of runs that was fixed before the first: the interval holds the
 * true rate with about 1 - alpha. QE_EINVAL where there was no run.
 *
 * Jeffreys: the quantiles of Beta(f + 1/2, s + 1/2); right on average over the
 * rates. Clamped, for display: from 0 where nothing failed, to 1 where all did.
 * Source: Brown, Cai, DasGupta 2001, Statistical Science 16, section 3.1.3. */
QE_API int qe_interval_jeffreys(int64_t failures, int64_t passes, double alpha,
                                qe_interval *out);
QE_API int qe_interval_jeffreys_clamped(int64_t failures, int64_t passes,
                                        double alpha, qe_interval *out);
/* Never less sure than 1 - alpha, at the price of being wide.
 * Source: Clopper, Pearson 1934, Biometrika 26; quantiles of Beta(f, s + 1) and
 * Beta(f + 1, s). */
QE_API int qe_interval_clopper_pearson(int64_t failures, int64_t passes,
                                       double alpha, qe_interval *out);
/* In closed form. Source: Wilson 1927, JASA 22, without correction. */
QE_API int qe_interval_wilson(int64_t failures, int64_t passes, double alpha,
                              qe_interval *out);
/* Right at all times at once: holds the true rate after every run of the
 * sequence with at least 1 - alpha, so one may look after each run and stop
 * when one likes. It is {p : ln B(f+1/2, s+1/2) - ln B(1/2, 1/2) - f ln p
 * - s ln(1-p) < ln(1/alpha)}.
 * Source: Robbins 1970, Annals of Mathematical Statistics 41 (the mixture);
 * Ville's inequality. */
QE_API int qe_interval_sequence(int64_t failures, int64_t passes, double alpha,
                                qe_interval *out);

/* ------------------------------------------------------------------ budget */

/* How many runs it takes that one fails with 1 - alpha, for a test that fails
 * with `rate` (above 0, at most 1), each run on its own: ceil(ln alpha /
 * ln(1 - rate)). QE_ETOOBIG where that is more than QE_STATS_MOST. */
QE_API int qe_runs_to_see(double rate, double alpha, int64_t *runs);
/* The chance that so many runs show a failure: 1 - (1 - rate)^runs. `rate` and
 * `runs` may be 0. */
QE_API int qe_power_of_runs(double rate, int64_t runs, double *power);
/* The smallest rate of which `runs` (at least 1), that all passed, would have
 * shown a failure with 1 - alpha: 1 - alpha^(1 / runs). */
QE_API int qe_rate_seen(int64_t runs, double alpha, double *rate);

/* -------------------------------------------------------------- sequential */

/* Wald's sequential probability ratio test between a healthy rate and a flaky
 * one. Source: Wald 1945, Annals of Mathematical Statistics 16. */
enum qe_sprt_verdict { QE_SPRT_OPEN, QE_SPRT_STABLE, QE_SPRT_FLAKY };

typedef struct qe_sprt {
    double on_failure, on_pass; /* what a run adds to ln_ratio */
    double flaky_at, stable_at; /* decided at or past these */
    double ln_ratio;            /* ln of P(runs | rate1) / P(runs | rate0) */
    int64_t failures, passes;   /* up to the decision */
    enum qe_sprt_verdict verdict;
} qe_sprt;

#define QE_SPRT_RATE0 0.001
#define QE_SPRT_RATE1 0.05
#define QE_SPRT_ALPHA 0.05
#define QE_SPRT_BETA 0.05

/* rate0: what is still called healthy; rate1: what must not be missed; above it
 * and below 1. alpha: the chance to call rate0 flaky; beta: to call rate1
 * stable; alpha + beta < 1. */
QE_API int qe_sprt_init(qe_sprt *s, double rate0, double rate1, double alpha,
                        double beta);
/* Counts one run and returns the verdict by now, or a code. Once decided, more
 * runs change nothing: the error rates are those of the first decision. */
QE_API int qe_sprt_step(qe_sprt *s, bool failed);

/* Evidence that a failure rate is above rate0: an e-value, of which the mean is
 * at most 1 where it is not, whenever one stops. ln E = ln B(a + f, b + s)
 * - ln B(a, b) - [f ln q + s ln(1 - q)], q = min(f / n, rate0); E = 1 at n = 0.
 * a and b > 0 say which rates are looked for.
 * Source: Grunwald, de Heide, Koolen 2024, JRSS B 86 (safe testing); Beta
 * mixture over the largest likelihood of the rates up to rate0. */
#define QE_EVIDENCE_A 0.5
#define QE_EVIDENCE_B 5.0
#define QE_EVIDENCE_RATE0 0.001
QE_API int qe_evidence(int64_t failures, int64_t passes, double a, double b,
                       double rate0, double *ln_e);
/* Evidence that a test is flaky: that it fails more often than rate0, and that
 * it passes more often than rate0. The smaller of both; otherwise a test that
 * always fails would be called flaky. */
QE_API int qe_evidence_flaky(int64_t failures, int64_t passes, double a,
                             double b, double rate0, double *ln_e);

/* ---------------------------------------------------------------- multiple */

/* e-BH: which of `tests` tests are confirmed, so that of those confirmed at
 * most alpha are so wrongly on average, also where tests fail together.
 * ln_e[n] is the evidence of some of them, each frozen where its runs stopped;
 * those of the other tests - n are counted as nothing. `tests` counts all
 * tests where the screening runs are part of the evidence, and the suspects
 * alone where the evidence is of fresh runs. Confirms the k greatest, k being
 * the largest with E_(k) >= tests / (alpha k). confirmed[n], or NULL; *count,
 * or NULL. ln_e may be infinite.
 * Source: Wang, Ramdas 2022, JRSS B 84. */
QE_API int qe_ebh(const double *ln_e, size_t n, size_t tests, double alpha,
                  bool *confirmed, size_t *count);
/* Adjusted p-values: those at most alpha are to be rejected. adjusted[n] may be
 * p[n] itself. n may be 0.
 * Holm, so that with 1 - alpha none is rejected wrongly, however they depend on
 * each other. Source: Holm 1979, Scandinavian Journal of Statistics 6. */
QE_API int qe_holm(const double *p, size_t n, double *adjusted);
/* Benjamini-Hochberg, so that of those rejected at most alpha are so wrongly on
 * average. Source: Benjamini, Hochberg 1995, JRSS B 57. */
QE_API int qe_benjamini_hochberg(const double *p, size_t n, double *adjusted);

/* ---------------------------------------------------------------- contrast */

/* Do two conditions fail at different rates? Fisher's exact test. p_two sums
 * all tables with these margins that are at most as likely as this one (as R
 * and scipy do); p_more is for the second condition failing more often, p_less
 * for less often. QE_EINVAL where a condition was not run.
 * Source: Fisher 1935, JRSS 98. */
typedef struct qe_fisher {
    double p_two, p_more, p_less;
} qe_fisher;
QE_API int qe_fisher_exact(int64_t failures1, int64_t passes1,
                           int64_t failures2, int64_t passes2, qe_fisher *out);

/* ---------------------------------------------------------------- patterns */

/* Are the results in an order that chance alone would make? The exact test of
 * Wald and Wolfowitz on the number of runs, of equal results in a row.
 * p_few: the chance of so few or fewer (clusters); p_many: of so many or more
 * (it alternates). 1 where there is one kind of result alone.
 * Source: Wald, Wolfowitz 1940, Annals of Mathematical Statistics 11. */
QE_API int qe_runs_test(int64_t failures, int64_t passes, int64_t runs,
                        double *p_few, double *p_many);

/* How far the next result depends on the last one. */
typedef struct qe_markov {
    double after_failure; /* rate of failures right after a failure */
    double after_pass;    /* and right after a pass */
    double lambda;        /* their difference: above 0, failures cluster */
    double lag1;          /* autocorrelation of neighbours */
    double g2, p;         /* likelihood ratio of both rates against one; p by
                             the chi-square law with 1 degree of freedom */
} qe_markov;
/* QE_EINVAL unless some result follows a failure, and some a pass.
 * Source: Anderson, Goodman 1957, Annals of Mathematical Statistics 28. */
QE_API int qe_markov_of(const uint8_t *results, size_t n, qe_markov *out);

/* Did the rate change once? The greatest likelihood ratio 2 [l1 + l2 - l] over
 * all ways to cut the results in two parts of at least QE_CHANGE_LEAST, and p,
 * the chance that so many failures and passes reach it in any order. Of more
 * than QE_CHANGE_EXACT results QE_CHANGE_CUTS - 1 evenly spread cuts are tried,
 * in the results as in their orders, so that a million take little longer than
 * some thousands.
 *
 * With QE_CHANGE_ALL for permutations all orders are counted, and p is exact, to
 * 9 digits; of a statistic above QE_CHANGE_MOST it is that of QE_CHANGE_MOST, so
 * never too small, and below 1e-13. `seed` is then used only for more than
 * QE_CHANGE_COUNTED results, of which QE_CHANGE_PERMUTATIONS orders are drawn.
 * With another number so many shuffles are drawn, from `seed`, of which b reach
 * it: p = (b + 1) / (permutations + 1). That takes longer and says less; it is
 * for figures that are to be those of other programs.
 * Source: Worsley 1983, Biometrika 70 (the count); Phipson, Smyth 2010,
 * Statistical Applications in Genetics and Molecular Biology 9 (b + 1). */
#define QE_CHANGE_LEAST 3
#define QE_CHANGE_EXACT 4096
#define QE_CHANGE_CUTS 256
#define QE_CHANGE_ALL 0
#define QE_CHANGE_COUNTED 1048576
#define QE_CHANGE_MOST 80.0
#define QE_CHANGE_PERMUTATIONS 999
typedef struct qe_change {
    double statistic, p;
    int64_t at;           /* results before the cut; the first, of equal ones */
    double before, after; /* failure rates */
} qe_change;
/* QE_EINVAL where less than 2 * QE_CHANGE_LEAST results count; QE_ETOOBIG where
 * permutations is above 1000000. */
QE_API int qe_change_point(const uint8_t *results, size_t n, uint64_t seed,
                           uint32_t permutations, qe_change *out);

/* What kind of sequence it is, of the runs of one test in one condition: over
 * passes of different order it would mirror the schedule. */
enum qe_shape {
    QE_SHAPE_UNTYPED,     /* less than QE_SHAPE_LEAST passes or failures */
    QE_SHAPE_NONE,        /* no pattern seen, and so few results show none */
    QE_SHAPE_RANDOM,      /* independent, as far as one sees */
    QE_SHAPE_ALTERNATING, /* passes and failures take turns */
    QE_SHAPE_BURSTS,      /* failures come in bursts, again and again */
    QE_SHAPE_DEGRADING,   /* from some point on it fails more often */
    QE_SHAPE_IMPROVING    /* from some point on it fails less often */
};
#define QE_SHAPE_LEAST 3
/* "UNTYPED", "NO_PATTERN", "RANDOM", "ALTERNATING", "INTERMITTENT",
 * "DEGRADING", "IMPROVING"; "UNKNOWN" for anything else. */
QE_API const char *qe_shape_name(enum qe_shape shape);

typedef struct qe_shape_verdict {
    enum qe_shape shape;
    int64_t failures, passes, runs;
    /* By Holm over these three, 1 where untyped. */
    double p_few, p_many, p_change;
    double p_least; /* below which the three cannot come with so few results */
    qe_change change;
    double ln_markov, ln_change; /* marginal likelihoods of both kinds of
                                    clusters, 0 where it is none */
} qe_shape_verdict;

/* Types a sequence: both tails of the runs test and the change point, each by
 * Holm over the three, at `alpha`. Of a cluster the larger marginal likelihood,
 * all priors Beta(1/2, 1/2), tells bursts (a Markov chain) from a change.
 * NO_PATTERN where the smallest p that so few results can have is above
 * alpha / 3. QE_EINVAL where no result counts. Permutations and seed are as in
 * qe_change_point. */
QE_API int qe_shape_of(const uint8_t *results, size_t n, double alpha,
                       uint64_t seed, uint32_t permutations,
                       qe_shape_verdict *out);

/* ----------------------------------------------------------------- a suite */

/* All of the above that results of one test say. */
typedef struct qe_analysis {
    qe_flakiness flakiness; /* the compatible score, flag and pattern */
    /* 1 - alpha; the first is qe_interval_jeffreys_clamped. */
    qe_interval jeffreys, clopper_pearson, wilson, sequence;
    double ln_e;            /* qe_evidence_flaky, by its default settings */
    bool confirmed;         /* qe_ebh, over all tests of the call */
    qe_shape_verdict shape; /* qe_shape_of, by QE_CHANGE_ALL with seed 0 */
} qe_analysis;

/* Analyses many tests: results has those of the first test, counts[0] of them,
 * then those of the second, and so on. out[tests] is filled in the same order;
 * on failure what it holds means nothing. A test without a result that counts
 * is no error: its score and ln_e are 0, its intervals from 0 to 1, its shape
 * UNTYPED, and it counts as one of the tests of which e-BH confirms some. What
 * depends on counts alone is computed once for tests with equal counts: a million
 * results are analysed in under a second, of one test or of a hundred thousand.
 * QE_ENOMEM. */
QE_API int qe_stats_analyse(const uint8_t *results, const size_t *counts,
                            size_t tests, double alpha, qe_analysis *out);

#ifdef __cplusplus
}
#endif
#endif
