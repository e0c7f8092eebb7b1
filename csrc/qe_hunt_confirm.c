/* What is known of a test, and which runs confirm a suspect. */
#include <math.h>
#include <stdlib.h>

#include "qe_hunting.h"
#include "qe_util.h"

#define MOST_OF_REST 0.7   /* that repeating one pass may take */
#define ENOUGH_FAILURES 2u /* alone without a pass, to look for one elsewhere */
#define ENOUGH_PASSES 3u   /* alone without a failure: likewise */

QE_API const char *qe_verdict_name(enum qe_verdict verdict)
{
    static const char *const names[] = {
        [QE_UNTRIED] = "untried",          [QE_CLEAR] = "clear",
        [QE_STABLE_FAILS] = "stable-fail", [QE_SUSPECT] = "suspect",
        [QE_CONFIRMED] = "confirmed",
    };

    return (unsigned) verdict < QE__COUNT(names) ? names[verdict] : "unknown";
}

static double evidence(const qe__hunted *t)
{
    double ln_e = 0;

    (void) qe_evidence_flaky(t->fresh_failures, t->fresh_passes, QE_EVIDENCE_A,
                             QE_EVIDENCE_B, QE_EVIDENCE_RATE0, &ln_e);
    return ln_e;
}

/* The least evidence that confirms a suspect by now; infinite if none is. */
static int threshold(const qe_hunt *h, double *least)
{
    double *ln_e = malloc(qe__mul((size_t) h->n + 1, sizeof(*ln_e)));
    bool *confirmed = malloc((size_t) h->n + 1);
    size_t n = 0, count = 0;
    int status;

    *least = INFINITY;
    if (ln_e == NULL || confirmed == NULL) {
        free(ln_e);
        free(confirmed);
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        if (qe__hunt_is_suspect(&h->test[i])) {
            ln_e[n++] = evidence(&h->test[i]);
        }
    }
    status =
        n > 0 ? qe_ebh(ln_e, n, n, h->options.alpha, confirmed, &count) : 0;
    for (size_t i = 0; i < n && status == 0 && count > 0; i++) {
        if (confirmed[i] && ln_e[i] < *least) {
            *least = ln_e[i];
        }
    }
    free(ln_e);
    free(confirmed);
    return status;
}

static bool is_confirmed(const qe__hunted *t, double least)
{
    return qe__hunt_is_suspect(t) && evidence(t) >= least;
}

static bool wants_fresh(const qe__hunted *t, double least)
{
    return qe__hunt_is_suspect(t) && !is_confirmed(t, least) &&
           t->asked < QE_HUNT_MOST_FRESH;
}

/* Whether a pass shows again what a suspect did in it first: that it fails; or that
 * it passes, where it does not alone. */
static bool shows(const qe__hunted *t, uint32_t pass)
{
    return t->failed_in == pass ||
           (t->passed_in == pass && t->fresh_passes == 0 &&
            t->fresh_failures >= ENOUGH_FAILURES);
}

/* How far a pass has to be repeated for what it shows of suspects, and of how many
 * it does. */
static size_t prefix_of(const qe_hunt *h, const qe__hunt_pass *p, double least,
                        uint32_t *suspects)
{
    size_t n = 0;

    *suspects = 0;
    for (size_t i = 0; i < p->told.n; i++) {
        const qe__hunted *t = &h->test[p->items[i]];

        if (wants_fresh(t, least) && shows(t, p->told.number)) {
            n = i + 1;
            *suspects += 1;
        }
    }
    return n;
}

/* The pass of which a repetition is worth most, if there is one that costs at most
 * `limit`. */
static int repeat(qe_hunt *h, double least, double limit, qe_hunt_pass *out)
{
    uint32_t best = QE__NO_PASS;
    size_t best_n = 0;
    double best_worth = 0;
    int status;

    for (uint32_t i = 0; i < h->passes; i++) {
        const qe__hunt_pass *p = &h->pass[i];
        uint32_t suspects;
        double own;
        size_t n;

        if (!p->over || p->repeated || p->items == NULL ||
            p->told.condition == QE_BESIDE) {
            continue; /* without its partner it would be another one */
        }
        n = prefix_of(h, p, least, &suspects);
        own = n > 0 ? qe__hunt_cost_of(h, p->items, n) : 0;
        if (n > 0 && own <= limit && suspects / own > best_worth) {
            best = i;
            best_n = n;
            best_worth = suspects / own;
        }
    }
    if (best == QE__NO_PASS) {
        return 0;
    }
    status =
        qe__hunt_begin(h, QE_REPEATED, best, h->pass[best].items, best_n, out);
    if (status == 1) {
        h->pass[best].repeated = true;
        for (size_t i = 0; i < best_n; i++) {
            h->test[h->pass[best].items[i]].asked++;
        }
    }
    return status;
}

/* Whether more runs alone would show but what they have shown. */
static bool is_one_sided(const qe__hunted *t)
{
    return t->fresh_passes == 0
               ? t->fresh_failures > ENOUGH_FAILURES
               : t->fresh_failures == 0 && t->fresh_passes >= ENOUGH_PASSES;
}

static bool is_to_confirm(const qe__hunted *t, double least)
{
    return wants_fresh(t, least) && !is_one_sided(t);
}

/* One that failed in runs before and has not in this hunt. */
static bool is_to_see(const qe__hunted *t, double least)
{
    (void) least;
    return qe__hunt_is_known(t) && t->failures == 0 &&
           t->asked < QE_HUNT_MOST_FRESH;
}

/* Of those that want it the one that has had the fewest fresh runs, alone. */
static int alone(qe_hunt *h, double least, double limit,
                 bool (*wants)(const qe__hunted *t, double least),
                 qe_hunt_pass *out)
{
    uint32_t best = UINT32_MAX, pair[2];
    bool twice;
    int status;

    for (uint32_t i = 0; i < h->n; i++) {
        const qe__hunted *t = &h->test[i];

        if (wants(t, least) && qe__hunt_cost(h, i) <= limit &&
            (best == UINT32_MAX || t->asked < h->test[best].asked)) {
            best = i;
        }
    }
    if (best == UINT32_MAX) {
        return 0;
    }
    pair[0] = pair[1] = best;
    /* What fails when it runs twice fails so alone, too. */
    twice = h->test[best].failed_in != QE__NO_PASS &&
            h->pass[h->test[best].failed_in].told.condition == QE_TWICE &&
            2 * qe__hunt_cost(h, best) <= limit;
    status = qe__hunt_begin(h, QE_ALONE, QE__NO_PASS, pair, twice ? 2 : 1, out);
    h->test[best].asked += status == 1 ? (uint32_t) twice + 1 : 0;
    return status;
}

int qe__hunt_confirm(qe_hunt *h, double limit, qe_hunt_pass *out)
{
    double least;
    int status = threshold(h, &least);

    if (status == 0) {
        status = repeat(h, least, limit * MOST_OF_REST, out);
    }
    if (status == 0) {
        status = alone(h, least, limit, is_to_confirm, out);
    }
    if (status == 0) {
        status = repeat(h, least, limit, out);
    }
    if (status == 0) {
        status = alone(h, least, limit, is_to_see, out);
    }
    return status == 0 ? alone(h, least, limit, wants_fresh, out) : status;
}

int qe_hunt_test_of(const qe_hunt *h, uint32_t item, qe_hunt_test *out)
{
    const qe__hunted *t;
    double least;
    int status;

    if (h == NULL || out == NULL || item >= h->n) {
        return QE_EINVAL;
    }
    t = &h->test[item];
    status = qe__hunt_is_suspect(t) ? threshold(h, &least) : 0;
    if (status != 0) {
        return status;
    }
    out->failures = t->failures;
    out->passes = t->passes;
    out->fresh_failures = t->fresh_failures;
    out->fresh_passes = t->fresh_passes;
    out->failed_in = t->failed_in;
    out->ln_evidence = evidence(t);
    if (qe__hunt_is_suspect(t)) {
        out->verdict = is_confirmed(t, least) ? QE_CONFIRMED : QE_SUSPECT;
    } else if (t->failures > 0) {
        out->verdict = QE_STABLE_FAILS;
    } else {
        out->verdict = t->passes > 0 ? QE_CLEAR : QE_UNTRIED;
    }
    return 0;
}
