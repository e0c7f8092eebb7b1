/* All that is said of the tests of a suite, at once. */
#include <stdlib.h>

#include "qe_change.h"
#include "qe_special.h"
#include "qe_util.h"

/* What counts alone decide takes microseconds, and many tests of a suite have
 * the same counts: the last of each place is kept. */
#define PLACES 1024

struct kept {
    int64_t failures, passes; /* both 0: none */
    qe_interval jeffreys, clopper_pearson, wilson, sequence;
    double ln_e;
    double p_least;
};

static int by_counts(int64_t failures, int64_t passes, double alpha,
                     struct kept *out)
{
    int rc =
        qe_interval_jeffreys_clamped(failures, passes, alpha, &out->jeffreys);

    if (rc == QE_OK)
        rc = qe_interval_clopper_pearson(failures, passes, alpha,
                                         &out->clopper_pearson);
    if (rc == QE_OK)
        rc = qe_interval_wilson(failures, passes, alpha, &out->wilson);
    if (rc == QE_OK)
        rc = qe_interval_sequence(failures, passes, alpha, &out->sequence);
    if (rc == QE_OK)
        rc = qe_evidence_flaky(failures, passes, QE_EVIDENCE_A, QE_EVIDENCE_B,
                               QE_EVIDENCE_RATE0, &out->ln_e);
    if (rc == QE_OK)
        rc = qe__shape_least(failures, passes, &out->p_least);
    if (rc == QE_OK) {
        out->failures = failures;
        out->passes = passes;
    }
    return rc;
}

static int find(struct kept *kept, int64_t failures, int64_t passes,
                double alpha, const struct kept **out)
{
    uint64_t state = (uint64_t) failures << 32 ^ (uint64_t) passes;
    struct kept *place = &kept[qe__random(&state) % PLACES];

    *out = place;
    if (place->failures == failures && place->passes == passes)
        return QE_OK;
    place->failures = place->passes = 0; /* in case that this fails */
    return by_counts(failures, passes, alpha, place);
}

/* Of a test that was not run everything may be true, and nothing is seen. */
static const qe_analysis not_run = {
    .jeffreys = {0, 1},
    .clopper_pearson = {0, 1},
    .wilson = {0, 1},
    .sequence = {0, 1},
    .shape = QE__SHAPE_NOTHING,
};

static int analyse(const uint8_t *results, size_t n, double alpha,
                   struct kept *kept, qe_analysis *out)
{
    const struct kept *known;
    int rc = qe__shape_count(results, n, &out->shape);

    if (rc != QE_OK || out->shape.runs == 0)
        return rc;
    rc = qe_flakiness_of(results, n, &out->flakiness);
    if (rc == QE_OK)
        rc = find(kept, out->shape.failures, out->shape.passes, alpha, &known);
    if (rc != QE_OK)
        return rc;
    out->jeffreys = known->jeffreys;
    out->clopper_pearson = known->clopper_pearson;
    out->wilson = known->wilson;
    out->sequence = known->sequence;
    out->ln_e = known->ln_e;
    return qe__shape_type(results, n, alpha, 0, QE_CHANGE_ALL, known->p_least,
                          &out->shape);
}

static int analyse_all(const uint8_t *results, const size_t *counts,
                       size_t tests, double alpha, struct kept *kept,
                       qe_analysis *out)
{
    size_t at = 0, i;
    int rc = QE_OK;

    for (i = 0; i < tests && rc == QE_OK; i++) {
        out[i] = not_run;
        if (counts[i] > 0)
            rc = analyse(results + at, counts[i], alpha, kept, &out[i]);
        at += counts[i];
    }
    return rc;
}

static int confirm(size_t tests, double alpha, double *ln_e, bool *confirmed,
                   qe_analysis *out)
{
    size_t i;
    int rc;

    for (i = 0; i < tests; i++)
        ln_e[i] = out[i].ln_e;
    rc = qe_ebh(ln_e, tests, tests, alpha, confirmed, NULL);
    for (i = 0; i < tests && rc == QE_OK; i++)
        out[i].confirmed = confirmed[i];
    return rc;
}

static bool is_given(const uint8_t *results, const size_t *counts, size_t tests,
                     const qe_analysis *out)
{
    size_t i;

    if (tests == 0)
        return true;
    if (counts == NULL || out == NULL)
        return false;
    for (i = 0; i < tests && results == NULL; i++)
        if (counts[i] > 0)
            return false;
    return true;
}

QE_API int qe_stats_analyse(const uint8_t *results, const size_t *counts,
                            size_t tests, double alpha, qe_analysis *out)
{
    struct kept *kept;
    double *ln_e;
    bool *confirmed;
    int rc = QE_ENOMEM;

    if (!qe__is_alpha(alpha) || !is_given(results, counts, tests, out))
        return QE_EINVAL;
    if (tests == 0)
        return QE_OK;
    kept = calloc(PLACES, sizeof(*kept));
    ln_e = malloc(qe__mul(tests, sizeof(*ln_e)));
    confirmed = malloc(qe__mul(tests, sizeof(*confirmed)));
    if (kept != NULL && ln_e != NULL && confirmed != NULL)
        rc = analyse_all(results, counts, tests, alpha, kept, out);
    if (rc == QE_OK)
        rc = confirm(tests, alpha, ln_e, confirmed, out);
    free(confirmed);
    free(ln_e);
    free(kept);
    return rc;
}
