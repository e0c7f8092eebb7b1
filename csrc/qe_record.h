/* The record of a run, as the reports and the history read it. Internal. */
#ifndef QE_RECORD_H
#define QE_RECORD_H

#include "qe.h"

#define QE__NO_ATTEMPT UINT32_MAX

typedef struct qe__test {
    const char *id;
    const char *message; /* NULL: none */
    enum qe_outcome outcome;
    bool quarantined;
    uint32_t first, last; /* attempts, or QE__NO_ATTEMPT */
    const char *marks;    /* one a line; NULL: none */
    double expected_s;    /* by the history; 0: not known */
} qe__test;

/* What an attempt left, the first first. */
typedef struct qe__text {
    struct qe__text *next;
    enum qe_text_kind kind;
    const char *name, *text;
} qe__text;

/* The attempts of a test form a list in the order in which they were added:
 * those of different tests arrive mixed, and every reader goes by test. */
typedef struct qe__attempt {
    qe_attempt data;
    uint32_t next; /* of the same test, or QE__NO_ATTEMPT */
    qe__text *texts;
} qe__attempt;

typedef struct qe__pass {
    uint32_t pass;
    uint64_t seed;
    const char *name;
} qe__pass;

struct qe_record {
    qe__test *tests;
    size_t test_count, test_capacity;
    qe__attempt *attempts;
    size_t attempt_count, attempt_capacity;
    qe__pass *passes;
    size_t pass_count, pass_capacity;
    const char *revision, *branch; /* NULL: unknown */
    struct qe__chunk *chunks;      /* the strings' bytes, newest chunk first */
};

/* A list of attempts that a reader fills again and again, test by test. Starts
 * as zeroes; qe_free(list.at) ends it. */
typedef struct qe__attempts {
    const qe_attempt **at;
    size_t count, capacity;
} qe__attempts;

/* Fills `list` with the attempts of a test, by pass, then attempt, then the
 * order in which they were added. 0 or QE_ENOMEM. */
int qe__record_attempts(const qe_record *r, uint32_t item, qe__attempts *list);

/* qe_stats.c: flakiness over the final attempt of each pass in such a list. */
int qe__flakiness_of_attempts(const qe__attempts *list, qe_flakiness *out);

#endif
