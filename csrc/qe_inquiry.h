/* An inquiry's state, shared by qe_inquiry.c (its life), qe_cause.c (what is concluded),
 * qe_cause_arm.c (what is run for it) and qe_cause_delta.c (who the culprit is).
 * Internal. */
#ifndef QE_INQUIRY_H
#define QE_INQUIRY_H

#include "qe.h"

#define QE__DRAWS 160u /* random seeds that are tried */
#define QE__TIMES 5u   /* at which it failed, that are kept */
#define QE__CHANGES 11u

/* What is run, and counted apart. */
enum qe__arm_kind {
    QE__ARM_ALONE,      /* each run with a seed of its own */
    QE__ARM_AGAIN,      /* as it failed first */
    QE__ARM_SEED_ALONE, /* alone, seeded as there */
    QE__ARM_LEFT_FILES, /* alone, with files as they were left */
    QE__ARM_PAIR,       /* twice in one process */
    QE__ARM_TWO,        /* in two processes that share files */
    QE__ARM_PASSED_AGAIN,
    QE__ARM_PASSED_ALONE,
    QE__ARM_SEARCH,  /* behind what the search tries; each run is another one */
    QE__ARM_MINIMAL, /* behind what it found */
    QE__ARM_APART,   /* likewise, in two processes that share files */
    QE__ARM_DRAWS,   /* each run with other random numbers */
    QE__ARM_BAD_DRAW, /* those of a run that failed */
    QE__ARM_GOOD_DRAW,
    QE__ARM_EXCLUSIVE, /* alone, and nothing else runs */
    QE__ARM_TWIN,      /* beside itself */
    QE__ARM_BAD_TIME,  /* at the time of a run that failed */
    QE__ARM_GOOD_TIME,
    QE__ARM_TIMES,                              /* one for each such time */
    QE__ARM_BESIDE = QE__ARM_TIMES + QE__TIMES, /* one for each neighbour */
    QE__ARM_HASH = QE__ARM_BESIDE + QE_INQUIRY_NEIGHBOURS, /* each hash seed */
    QE__ARM_CHANGE = QE__ARM_HASH + QE_INQUIRY_SERVERS + 1,
    QE__ARM_PROOF = QE__ARM_CHANGE + QE__CHANGES,
    QE__ARM_COUNT
};

typedef struct qe__arm {
    uint32_t asked, failed, passed, other;
    uint32_t first_failed, first_passed; /* runs; UINT32_MAX: none yet */
} qe__arm;

/* What runs before the test, and whether that is in a process of its own. */
typedef struct qe__set {
    uint32_t *items;
    size_t n;
} qe__set;

/* Delta debugging: the smallest part of `left` behind which the test does `wanted`. */
typedef struct qe__delta {
    bool begun, over;
    bool apart; /* in a process of its own, before the test's */
    int wanted; /* the result that it looks for */
    qe__set left;
    uint32_t parts, at; /* how many there are, and which is tried */
    bool complement;    /* all but that one */
    uint32_t tried;     /* runs */
} qe__delta;

typedef struct qe__probe {
    uint32_t arm, run; /* which of the arm's runs */
    bool over;
} qe__probe;

struct qe_inquiry {
    qe_inquiry_options options;
    qe__set failed, passed, all; /* the tests before it, without itself */
    uint32_t before;             /* how often it ran itself, before it failed */
    uint32_t *neighbours;
    bool order_only;
    qe__arm arm[QE__ARM_COUNT];
    qe__delta delta;
    qe__probe *probe;
    size_t probe_capacity;
    uint32_t probes, under_way;
    uint32_t *room; /* for the items of a probe */
    int wanted;     /* the arm of which a run is wanted next, or -1 */
    double failed_s[QE__TIMES], passed_s; /* when it did */
    uint32_t failed_times;
    double bad_s;
    bool no_memory; /* for what it was about to do */
    bool concluded;
    uint32_t proof_arm, proof_run; /* what is run again as a proof */
    bool has_proof;
    qe_finding finding;
};

static inline bool qe__never(const qe__arm *a)
{
    return a->failed == 0 && a->passed > 0;
}
static inline bool qe__always(const qe__arm *a)
{
    return a->passed == 0 && a->failed > 0;
}
static inline uint32_t qe__runs(const qe__arm *a)
{
    return a->failed + a->passed;
}

/* What is changed around the test in one of the arms from QE__ARM_CHANGE on. */
typedef struct qe__change {
    enum qe_cause cause;
    uint32_t around;
    const char *name;
} qe__change;
extern const qe__change qe__changes[QE__CHANGES];

enum qe__answer { QE__ASK, QE__NO, QE__YES };

/* The cause, as far as the runs so far tell; if they do not, one more is wanted, or is
 * under way. */
enum qe__answer qe__inquire(qe_inquiry *q);
/* Whether so many runs of an arm are over; otherwise one is wanted, or under way. */
bool qe__need(qe_inquiry *q, uint32_t arm, uint32_t runs);
/* The probe of the next run of an arm. */
void qe__probe_of(qe_inquiry *q, uint32_t arm, uint32_t run, qe_probe *out);
const char *qe__arm_name(uint32_t arm);

/* Begins to look for who makes the test do `wanted`, among these. */
int qe__delta_begin(qe_inquiry *q, const qe__set *among, bool apart,
                    int wanted);
/* Whether it is found, as far as it will be; otherwise a run is wanted. */
bool qe__delta_found(qe_inquiry *q);
/* What is to be tried now, into `to`; how many. */
size_t qe__delta_items(const qe_inquiry *q, uint32_t *to);
void qe__delta_heard(qe_inquiry *q, int result);

#endif
