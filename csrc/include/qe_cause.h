/*
 * Why a test is flaky: an inquiry changes one thing at a time. Part of qe.h, which
 * includes it.
 *
 * Pure, as a hunt is: it runs nothing, but says which run it wants next
 * (qe_inquiry_next), hears what came of it (qe_inquiry_result), and in the end what it
 * has found (qe_inquiry_finding).
 *
 * What is always so is looked at first. A test that fails each time in the order in
 * which it failed, and never alone, is the victim of a test before it, or of its own
 * first run, or of files; one that always fails alone lacks what another sets up. Who
 * that is, delta debugging finds (Zeller, Hildebrandt 2002, IEEE Transactions on
 * Software Engineering 28). What fails now and then is run where one thing is held (the
 * hash seed, the random seed, the time of day) or changed (a neighbour, slow threads,
 * less of a resource). Each cause needs a contrast with and without it, in runs of their
 * own: Fisher's exact test, p adjusted for all contrasts and looks at them (Bonferroni).
 *
 * A failure counts only where it is the same as the one that is asked about: what a
 * change itself breaks is told apart (result 2).
 */
#ifndef QE_CAUSE_H
#define QE_CAUSE_H

#include "qe.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QE_INQUIRY_MOST 1500u    /* probes that are enough for most tests */
#define QE_INQUIRY_PROOFS 10u    /* runs of what is to be a proof */
#define QE_INQUIRY_NEIGHBOURS 8u /* tried at the most */
#define QE_INQUIRY_SERVERS 8u    /* hash seeds: likewise */

enum qe_cause {
    QE_CAUSE_UNKNOWN,
    QE_CAUSE_ORDER,      /* the victim of a polluter that ran before it */
    QE_CAUSE_BRITTLE,    /* it needs a setter that ran before it */
    QE_CAUSE_SELF,       /* its first run makes its second fail */
    QE_CAUSE_FILES,      /* files that an earlier process left */
    QE_CAUSE_HASH,       /* the order of sets: PYTHONHASHSEED */
    QE_CAUSE_RANDOM,     /* random numbers */
    QE_CAUSE_TIME,       /* the time of day, the date, the zone */
    QE_CAUSE_TIMING,     /* how fast its threads and processes are */
    QE_CAUSE_NEIGHBOURS, /* what runs at the same time */
    QE_CAUSE_NETWORK,
    QE_CAUSE_RESOURCES, /* open files, size of files, memory */
    QE_CAUSE_LOCALE,
    QE_CAUSE_COUNT
};
/* "unknown", "order", "brittle", "self", "files", "hash", "random", "time", "timing",
 * "neighbours", "network", "resources", "locale". */
QE_API const char *qe_cause_name(enum qe_cause cause);

/* A pass in which the test failed, or passed. */
typedef struct qe_context {
    const uint32_t *items; /* what it ran, up to the test; copied */
    size_t n;              /* 0: there is none */
    uint64_t seed;         /* of the pass */
    uint32_t server;       /* its hash seed: 0 is the run's own */
    double started_s;      /* when the test began there; 0: unknown */
} qe_context;

typedef struct qe_inquiry_options {
    uint32_t test;
    qe_context failed, passed;
    const uint32_t *all; /* the tests in their order; copied */
    size_t all_n;
    const uint32_t *neighbours; /* that ran while it failed; copied */
    size_t neighbours_n;        /* more than QE_INQUIRY_NEIGHBOURS: the first */
    uint32_t servers;           /* hash seeds beside the run's own, from 1 on */
    uint32_t forbidden;         /* qe_around_flag: what cannot be done here */
    double rate;  /* how often it fails, as far as that is known */
    double alpha; /* how often a healthy contrast may be called a cause */
    uint64_t seed;
    uint32_t most; /* probes, before it gives up */
} qe_inquiry_options;

enum qe_beside {
    QE_NOTHING_BESIDE,
    QE_THEN,      /* `others` run, end, and then `items` run with their files */
    QE_MEANWHILE, /* both run at once, and begin each test together */
    QE_EXCLUSIVE  /* nothing else runs meanwhile */
};

/* One run that an inquiry wants. Its files are its own (QE_FILES), unless
 * `left_files` says that they are those of the pass that it failed in, as that left
 * them. */
typedef struct qe_probe {
    uint32_t number;       /* from 0 */
    const char *name;      /* of the contrast's side: "alone", "slow threads" */
    const uint32_t *items; /* the last is the test; until the next call */
    size_t n;
    enum qe_beside beside;
    const uint32_t *others;
    size_t others_n;
    uint64_t seed;
    uint32_t server;
    uint32_t around; /* of qe_around_flag */
    double clock_s;  /* with QE_CLOCK */
    bool left_files;
} qe_probe;

typedef struct qe_finding {
    enum qe_cause cause;
    double p;         /* of the contrast, adjusted; 1 where there is none */
    const char *with; /* its two sides by name, and what they did; NULL: none */
    const char *without;
    uint32_t with_failed, with_passed, without_failed, without_passed;
    const uint32_t *culprits; /* polluters, setters, or the neighbour; until
                                   qe_inquiry_free */
    size_t culprits_n;
    bool has_proof;
    qe_probe proof; /* how to make it fail; items until qe_inquiry_free */
    uint32_t proof_failed, proof_runs;
    uint32_t probes; /* spent */
} qe_finding;

typedef struct qe_inquiry qe_inquiry;

QE_API int qe_inquiry_new(qe_inquiry **out, const qe_inquiry_options *options);
/* One of known order-dependence: looks for the polluter or setter alone. */
QE_API int qe_inquiry_of_order(qe_inquiry **out,
                               const qe_inquiry_options *options);
QE_API void qe_inquiry_free(qe_inquiry *q);
/* The next run: 1 and *out. 0: none before a result is there. QE_EGONE: it is over. */
QE_API int qe_inquiry_next(qe_inquiry *q, qe_probe *out);
/* What the test did: 1 passed, 0 failed in the way that is asked about, anything else
 * neither (another failure, say, or what was to be changed could not be). `started_s`:
 * when it began, 0 where unknown. QE_EINVAL for a probe that is not under way. */
QE_API int qe_inquiry_result(qe_inquiry *q, uint32_t probe, int result,
                             double started_s);
/* What is known by now. */
QE_API int qe_inquiry_finding(const qe_inquiry *q, qe_finding *out);

/* Turns: which of several inquiries is asked for its next run. Some have begun at a time,
 * so that the first are soon clear; one that has had many runs goes behind the others, so
 * that what is soon clear does not wait for what is not. */
typedef struct qe_turns qe_turns;

/* `n` inquiries, the most important first, and so many runs at once. */
QE_API int qe_turns_new(qe_turns **out, uint32_t n, uint32_t workers);
QE_API void qe_turns_free(qe_turns *t);
/* The inquiry to ask now: 1 and *which, and qe_turns_said is to follow. 0: none before a
 * result is there. QE_EGONE: all are over. */
QE_API int qe_turns_next(qe_turns *t, uint32_t *which);
/* What it said: 1, 0 or QE_EGONE as of qe_inquiry_next. QE_EINVAL where that one was not
 * to be asked. */
QE_API int qe_turns_said(qe_turns *t, uint32_t which, int status);
/* No more begin; those that have are asked until each is over. */
QE_API void qe_turns_stop(qe_turns *t);
/* How many have begun: the first so many. */
QE_API uint32_t qe_turns_begun(const qe_turns *t);

#ifdef __cplusplus
}
#endif

#endif
