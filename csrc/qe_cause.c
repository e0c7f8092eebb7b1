/* What an inquiry concludes; see qe_cause.h for the way it goes. */
#include <math.h>

#include "qe_inquiry.h"
#include "qe_util.h"

#define LOOK 8u  /* runs of each side before a contrast is judged, */
#define LOOKS 3u /* up to so many times as many */
#define FIRST 6u /* runs alone, to begin with */
#define FEW 3u   /* runs that tell whether something is always so */
#define PAIR 2u
#define CONTRASTS 12u /* that a test may be put to, at the most */
#define DRAWS_MORE 8u
#define HOPELESS 0.3 /* p of a contrast that is not looked at again */
/* How many draws for each failure that is to be expected: 98 % see one. */
#define DRAWS_OF_RATE 4.0

QE_API const char *qe_cause_name(enum qe_cause cause)
{
    static const char *const names[] = {
        [QE_CAUSE_UNKNOWN] = "unknown", [QE_CAUSE_ORDER] = "order",
        [QE_CAUSE_BRITTLE] = "brittle", [QE_CAUSE_SELF] = "self",
        [QE_CAUSE_FILES] = "files",     [QE_CAUSE_HASH] = "hash",
        [QE_CAUSE_RANDOM] = "random",   [QE_CAUSE_TIME] = "time",
        [QE_CAUSE_TIMING] = "timing",   [QE_CAUSE_NEIGHBOURS] = "neighbours",
        [QE_CAUSE_NETWORK] = "network", [QE_CAUSE_RESOURCES] = "resources",
        [QE_CAUSE_LOCALE] = "locale",
    };

    return (unsigned) cause < QE__COUNT(names) ? names[cause] : names[0];
}

/* ----------------------------------------------------------------- contrasts */

static double p_of(const qe_inquiry *q, uint32_t with, uint32_t without)
{
    const qe__arm *a = &q->arm[with], *b = &q->arm[without];
    qe_fisher f;

    if (qe_fisher_exact(a->failed, a->passed, b->failed, b->passed, &f) != 0) {
        return 1;
    }
    return f.p_two;
}

static bool fails_more(const qe__arm *a, const qe__arm *b)
{
    return (uint64_t) a->failed * qe__runs(b) >
           (uint64_t) b->failed * qe__runs(a);
}

/* For all that are tried, and all looks at them. */
static double adjusted(double p)
{
    return fmin(1, p * CONTRASTS * LOOKS);
}

/* More runs of both, until they differ or nearly surely do not. */
static enum qe__answer differ(qe_inquiry *q, uint32_t with, uint32_t without)
{
    for (uint32_t look = 1; look <= LOOKS; look++) {
        bool ready = qe__need(q, with, look * LOOK);
        double p;

        ready &= qe__need(q, without, look * LOOK);
        if (!ready) {
            return QE__ASK;
        }
        p = p_of(q, with, without);
        if (adjusted(p) <= q->options.alpha) {
            return QE__YES;
        }
        if (p > HOPELESS) {
            return QE__NO;
        }
    }
    return QE__NO;
}

/* Reports a contrast as the cause; `proof` is the arm that made it fail. */
static enum qe__answer conclude(qe_inquiry *q, enum qe_cause cause,
                                uint32_t with, uint32_t without, uint32_t proof)
{
    qe_finding *f = &q->finding;

    f->cause = cause;
    f->p = adjusted(p_of(q, with, without));
    f->with = qe__arm_name(with);
    f->without = qe__arm_name(without);
    f->with_failed = q->arm[with].failed;
    f->with_passed = q->arm[with].passed;
    f->without_failed = q->arm[without].failed;
    f->without_passed = q->arm[without].passed;
    q->proof_arm = proof;
    return QE__YES;
}

/* Whether it fails more often with than without; then it is this cause. */
static enum qe__answer settle(qe_inquiry *q, enum qe_cause cause, uint32_t with,
                              uint32_t without, uint32_t proof)
{
    enum qe__answer answer = differ(q, with, without);

    if (answer != QE__YES) {
        return answer;
    }
    return fails_more(&q->arm[with], &q->arm[without])
               ? conclude(q, cause, with, without, proof)
               : QE__NO;
}

/* ------------------------------------------------------- what is always so */

/* Culprits, as the search has left them. */
static void name_culprits(qe_inquiry *q)
{
    q->finding.culprits = q->delta.left.items;
    q->finding.culprits_n = q->delta.left.n;
}

/* Who among `set` makes it do `wanted`, which it does not alone. */
static enum qe__answer search(qe_inquiry *q, const qe__set *set, bool apart,
                              int wanted)
{
    const qe__arm *minimal = &q->arm[QE__ARM_MINIMAL];
    const qe__arm *across = &q->arm[QE__ARM_APART];
    enum qe_cause cause = wanted == 0 ? QE_CAUSE_ORDER : QE_CAUSE_BRITTLE;
    uint32_t proof = wanted == 0 ? QE__ARM_MINIMAL : QE__ARM_ALONE;
    enum qe__answer answer;

    if (!q->delta.begun && qe__delta_begin(q, set, apart, wanted) != 0) {
        q->no_memory = true;
        return QE__ASK;
    }
    if (!qe__delta_found(q)) {
        return QE__ASK;
    }
    if (!qe__need(q, QE__ARM_MINIMAL, FEW)) {
        return QE__ASK;
    }
    if (!(wanted == 0 ? qe__always(minimal) : qe__never(minimal))) {
        return QE__NO;
    }
    answer = differ(q, QE__ARM_MINIMAL, QE__ARM_ALONE);
    if (answer != QE__YES) {
        return answer;
    }
    if (!apart) {
        if (!qe__need(q, QE__ARM_APART, FEW)) {
            return QE__ASK;
        }
        if (wanted == 0 ? qe__always(across) : qe__never(across)) {
            cause = QE_CAUSE_FILES; /* it reaches other processes, too */
        }
    } else {
        cause = QE_CAUSE_FILES;
    }
    name_culprits(q);
    return conclude(q, cause, QE__ARM_MINIMAL, QE__ARM_ALONE, proof);
}

/* It fails each time that it runs again in one process. */
static enum qe__answer by_itself(qe_inquiry *q)
{
    enum qe__answer answer;

    if (!qe__need(q, QE__ARM_PAIR, FEW)) {
        return QE__ASK;
    }
    if (!qe__always(&q->arm[QE__ARM_PAIR])) {
        return QE__NO;
    }
    answer = differ(q, QE__ARM_PAIR, QE__ARM_ALONE);
    if (answer != QE__YES) {
        return answer;
    }
    if (!qe__need(q, QE__ARM_TWO, FEW)) {
        return QE__ASK;
    }
    return conclude(
        q, qe__always(&q->arm[QE__ARM_TWO]) ? QE_CAUSE_FILES : QE_CAUSE_SELF,
        QE__ARM_PAIR, QE__ARM_ALONE, QE__ARM_PAIR);
}

/* It fails where it failed, and not alone: because of what ran before it there, or
 * of how it was seeded. */
static enum qe__answer in_context(qe_inquiry *q)
{
    const qe__arm *seeded = &q->arm[QE__ARM_SEED_ALONE];
    enum qe__answer answer = QE__NO;

    if (!q->order_only) {
        if (!qe__need(q, QE__ARM_SEED_ALONE, FEW)) {
            return QE__ASK;
        }
        if (!qe__never(seeded)) {
            return QE__NO;
        }
    }
    if (q->before > 0 && !q->delta.begun) {
        answer = by_itself(q);
    }
    return answer == QE__NO ? search(q, &q->failed, false, 0) : answer;
}

/* It always fails alone: it lacks something that it had where it passed. */
static enum qe__answer lacking(qe_inquiry *q)
{
    if (q->options.passed.n == 0) {
        return QE__NO;
    }
    if (!qe__need(q, QE__ARM_PASSED_AGAIN, FEW)) {
        return QE__ASK;
    }
    if (!qe__never(&q->arm[QE__ARM_PASSED_AGAIN])) {
        return QE__NO;
    }
    if (!qe__need(q, QE__ARM_PASSED_ALONE, FEW)) {
        return QE__ASK;
    }
    if (!qe__always(&q->arm[QE__ARM_PASSED_ALONE])) {
        return QE__NO; /* it is the seed, or the hash seed */
    }
    return search(q, &q->passed, false, 1);
}

/* It passes alone, as long as its files are new. */
static enum qe__answer left_files(qe_inquiry *q)
{
    enum qe__answer answer;

    if (!qe__need(q, QE__ARM_LEFT_FILES, FEW)) {
        return QE__ASK;
    }
    if (!qe__always(&q->arm[QE__ARM_LEFT_FILES])) {
        return QE__NO;
    }
    answer = differ(q, QE__ARM_LEFT_FILES, QE__ARM_ALONE);
    if (answer != QE__YES) {
        return answer;
    }
    if (!q->delta.begun) {
        if (!qe__need(q, QE__ARM_TWO, FEW)) {
            return QE__ASK;
        }
        if (qe__always(&q->arm[QE__ARM_TWO])) {
            return conclude(q, QE_CAUSE_FILES, QE__ARM_LEFT_FILES,
                            QE__ARM_ALONE, QE__ARM_TWO);
        }
    }
    answer = search(q, &q->all, true, 0);
    return answer == QE__NO ? conclude(q, QE_CAUSE_FILES, QE__ARM_LEFT_FILES,
                                       QE__ARM_ALONE, QE__ARM_LEFT_FILES)
                            : answer;
}

/* ------------------------------------------------------- what is so at a rate */

/* Constant with one hash seed, different with another. */
static enum qe__answer by_hash(qe_inquiry *q)
{
    uint32_t bad = QE__ARM_COUNT, good = QE__ARM_COUNT;
    bool ready = true;

    if (q->options.servers == 0) {
        return QE__NO;
    }
    for (uint32_t i = 0; i <= q->options.servers; i++) {
        ready &= qe__need(q, QE__ARM_HASH + i, PAIR);
    }
    if (!ready) {
        return QE__ASK;
    }
    for (uint32_t i = 0; i <= q->options.servers; i++) {
        const qe__arm *a = &q->arm[QE__ARM_HASH + i];

        /* A proof needs a seed that can be told: the run's own cannot. */
        if (qe__always(a) && (bad == QE__ARM_COUNT || bad == QE__ARM_HASH)) {
            bad = QE__ARM_HASH + i;
        } else if (qe__never(a) && good == QE__ARM_COUNT) {
            good = QE__ARM_HASH + i;
        } else if (a->failed > 0 && a->passed > 0) {
            return QE__NO;
        }
    }
    if (bad == QE__ARM_COUNT || good == QE__ARM_COUNT) {
        return QE__NO;
    }
    return settle(q, QE_CAUSE_HASH, bad, good, bad);
}

/* Constant with the same random numbers, different with others. */
static enum qe__answer by_draw(qe_inquiry *q)
{
    const qe__arm *draws = &q->arm[QE__ARM_DRAWS];
    double rate = fmax(q->options.rate, 1.0 / QE__DRAWS);
    uint32_t most = (uint32_t) fmin(QE__DRAWS, 16 + DRAWS_OF_RATE / rate);
    bool fails = qe__always(&q->arm[QE__ARM_SEED_ALONE]), ready;

    if ((q->options.forbidden & QE_ENTROPY) != 0) {
        return QE__NO;
    }
    for (uint32_t n = DRAWS_MORE; n < most + DRAWS_MORE; n += DRAWS_MORE) {
        if (!qe__need(q, QE__ARM_DRAWS, n)) {
            return QE__ASK;
        }
        if (draws->passed > 0 && (draws->failed > 0 || fails)) {
            break;
        }
    }
    if (draws->passed == 0 || (draws->failed == 0 && !fails)) {
        return QE__NO;
    }
    ready = qe__need(q, QE__ARM_BAD_DRAW, FEW);
    ready &= qe__need(q, QE__ARM_GOOD_DRAW, FEW);
    if (!ready) {
        return QE__ASK;
    }
    if (!qe__always(&q->arm[QE__ARM_BAD_DRAW]) ||
        !qe__never(&q->arm[QE__ARM_GOOD_DRAW])) {
        return QE__NO;
    }
    return settle(q, QE_CAUSE_RANDOM, QE__ARM_BAD_DRAW, QE__ARM_GOOD_DRAW,
                  QE__ARM_BAD_DRAW);
}

/* Beside itself, or beside one of those that ran while it failed. */
static enum qe__answer by_neighbour(qe_inquiry *q)
{
    uint32_t with = QE__ARM_COUNT;
    enum qe__answer answer;

    if ((q->options.forbidden & QE_PARTNER) != 0) {
        return QE__NO;
    }
    if (!qe__need(q, QE__ARM_TWIN, FEW)) {
        return QE__ASK;
    }
    if (q->arm[QE__ARM_TWIN].failed >= PAIR) {
        with = QE__ARM_TWIN;
    }
    for (uint32_t i = 0; with == QE__ARM_COUNT && i < q->options.neighbours_n;
         i++) {
        if (!qe__need(q, QE__ARM_BESIDE + i, PAIR)) {
            return QE__ASK;
        }
        if (qe__always(&q->arm[QE__ARM_BESIDE + i])) {
            with = QE__ARM_BESIDE + i;
        }
    }
    if (with == QE__ARM_COUNT) {
        return QE__NO;
    }
    answer = settle(q, QE_CAUSE_NEIGHBOURS, with, QE__ARM_EXCLUSIVE, with);
    if (answer == QE__YES) {
        q->finding.culprits = with == QE__ARM_TWIN
                                  ? &q->options.test
                                  : &q->neighbours[with - QE__ARM_BESIDE];
        q->finding.culprits_n = 1;
    }
    return answer;
}

/* At the time of day at which it failed, against another. */
static enum qe__answer by_time(qe_inquiry *q)
{
    uint32_t best = 0;

    if ((q->options.forbidden & QE_CLOCK) != 0 || q->passed_s <= 0) {
        return QE__NO;
    }
    /* What fails in a thousandth of a second does so now and then only, as no run
     * takes as long as another. */
    for (uint32_t i = 0; i < q->failed_times && q->bad_s <= 0; i++) {
        const qe__arm *a = &q->arm[QE__ARM_TIMES + i];

        if (!qe__need(q, QE__ARM_TIMES + i, PAIR)) {
            return QE__ASK;
        }
        if (qe__always(a)) {
            q->bad_s = q->failed_s[i];
        } else if (a->failed > q->arm[QE__ARM_TIMES + best].failed) {
            best = i;
        }
    }
    if (q->bad_s <= 0 && q->arm[QE__ARM_TIMES + best].failed > 0) {
        q->bad_s = q->failed_s[best];
    }
    return q->bad_s > 0 ? settle(q, QE_CAUSE_TIME, QE__ARM_BAD_TIME,
                                 QE__ARM_GOOD_TIME, QE__ARM_BAD_TIME)
                        : QE__NO;
}

/* With one thing changed, against nothing. */
static enum qe__answer by_change(qe_inquiry *q, uint32_t change)
{
    const qe__change *c = &qe__changes[change];
    const qe__arm *a = &q->arm[QE__ARM_CHANGE + change];
    const qe__arm *alone = &q->arm[QE__ARM_ALONE];
    uint32_t with = QE__ARM_CHANGE + change;
    enum qe__answer answer;

    if ((q->options.forbidden & c->around) != 0) {
        return QE__NO;
    }
    if (!qe__need(q, with, FEW)) {
        return QE__ASK;
    }
    /* What it breaks itself is no answer, nor is what it leaves as it was. */
    if (qe__runs(a) <= a->other ||
        (a->failed == 0 && 3 * alone->failed < qe__runs(alone))) {
        return QE__NO;
    }
    answer = differ(q, with, QE__ARM_ALONE);
    if (answer != QE__YES) {
        return answer;
    }
    /* Where the change makes it pass, it fails without. */
    return conclude(q, c->cause, with, QE__ARM_ALONE,
                    fails_more(a, alone) ? with : QE__ARM_ALONE);
}

static enum qe__answer at_a_rate(qe_inquiry *q)
{
    enum qe__answer answer = by_hash(q);

    answer = answer == QE__NO ? by_draw(q) : answer;
    answer = answer == QE__NO ? by_time(q) : answer;
    answer = answer == QE__NO ? by_neighbour(q) : answer;
    for (uint32_t i = 0; i < QE__CHANGES && answer == QE__NO; i++) {
        answer = by_change(q, i);
    }
    return answer;
}

/* ------------------------------------------------------------------ the inquiry */

enum qe__answer qe__inquire(qe_inquiry *q)
{
    const qe__arm *alone = &q->arm[QE__ARM_ALONE];
    const qe__arm *again = &q->arm[QE__ARM_AGAIN];
    bool ready = qe__need(q, QE__ARM_ALONE, FIRST);
    enum qe__answer answer = QE__NO;

    ready &= qe__need(q, QE__ARM_AGAIN, FEW);
    if (!ready) {
        return QE__ASK;
    }
    if (qe__always(again) && !qe__always(alone)) {
        answer = in_context(q);
    } else if (qe__always(alone)) {
        answer = lacking(q);
    }
    if (q->order_only) {
        return answer;
    }
    if (answer == QE__NO && !qe__always(again) && qe__never(alone)) {
        answer = left_files(q);
    }
    return answer == QE__NO ? at_a_rate(q) : answer;
}
