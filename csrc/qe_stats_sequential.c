/* What may be looked at after every run: SPRT, and evidence. */
#include <math.h>

#include "qe_special.h"

QE_API int qe_sprt_init(qe_sprt *s, double rate0, double rate1, double alpha,
                        double beta)
{
    /* Written so that a NaN is refused. */
    if (s == NULL || !(rate0 > 0 && rate0 < rate1 && rate1 < 1) ||
        !qe__is_alpha(alpha) || !qe__is_alpha(beta) || !(alpha + beta < 1))
        return QE_EINVAL;
    *s = (qe_sprt){
        .on_failure = log(rate1 / rate0),
        .on_pass = log1p(-rate1) - log1p(-rate0),
        .flaky_at = log((1 - beta) / alpha),
        .stable_at = log(beta / (1 - alpha)),
        .verdict = QE_SPRT_OPEN,
    };
    return QE_OK;
}

QE_API int qe_sprt_step(qe_sprt *s, bool failed)
{
    if (s == NULL || s->failures < 0 || s->passes < 0)
        return QE_EINVAL;
    if (s->verdict != QE_SPRT_OPEN)
        return (int) s->verdict;
    if (s->failures >= QE_STATS_MOST || s->passes >= QE_STATS_MOST)
        return QE_ETOOBIG;
    if (failed)
        s->failures++;
    else
        s->passes++;
    /* By the counts, so that no error adds up over many runs. */
    s->ln_ratio =
        (double) s->failures * s->on_failure + (double) s->passes * s->on_pass;
    if (s->ln_ratio >= s->flaky_at)
        s->verdict = QE_SPRT_FLAKY;
    else if (s->ln_ratio <= s->stable_at)
        s->verdict = QE_SPRT_STABLE;
    return (int) s->verdict;
}

static int check(int64_t failures, int64_t passes, double a, double b,
                 double rate0, const double *ln_e)
{
    int rc;

    if (ln_e == NULL || !(rate0 > 0 && rate0 < 1) || !(a > 0 && a <= 1e9) ||
        !(b > 0 && b <= 1e9))
        return QE_EINVAL;
    if (failures == 0 && passes == 0)
        return QE_OK; /* no run is no evidence, not an error */
    rc = qe__check_counts(failures, passes);
    return rc;
}

static double evidence(double f, double s, double a, double b, double rate0)
{
    double q;

    if (f + s == 0)
        return 0;
    q = fmin(f / (f + s), rate0);
    return qe__lbeta(a + f, b + s) - qe__lbeta(a, b) -
           (f == 0 ? 0 : f * log(q)) - (s == 0 ? 0 : s * log1p(-q));
}

QE_API int qe_evidence(int64_t failures, int64_t passes, double a, double b,
                       double rate0, double *ln_e)
{
    int rc = check(failures, passes, a, b, rate0, ln_e);

    if (rc == QE_OK)
        *ln_e = evidence((double) failures, (double) passes, a, b, rate0);
    return rc;
}

QE_API int qe_evidence_flaky(int64_t failures, int64_t passes, double a,
                             double b, double rate0, double *ln_e)
{
    int rc = check(failures, passes, a, b, rate0, ln_e);
    double f = (double) failures, s = (double) passes;

    if (rc == QE_OK)
        *ln_e = fmin(evidence(f, s, a, b, rate0), evidence(s, f, a, b, rate0));
    return rc;
}
