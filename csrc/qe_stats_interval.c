/* Where a failure rate lies, by so many failures and passes. */
#include <math.h>

#include "qe_special.h"

/* With an alpha near 1 both ends are the median, and rounding may cross them. */
static void order(qe_interval *ends)
{
    double low = ends->low;

    if (low > ends->high) {
        ends->low = ends->high;
        ends->high = low;
    }
}

/* More halvings than a double has digits, also next to 0. */
#define HALVINGS 1100

static int check(int64_t failures, int64_t passes, double alpha,
                 const qe_interval *out)
{
    if (out == NULL || !qe__is_alpha(alpha))
        return QE_EINVAL;
    return qe__check_counts(failures, passes);
}

QE_API int qe_interval_jeffreys(int64_t failures, int64_t passes, double alpha,
                                qe_interval *out)
{
    int rc = check(failures, passes, alpha, out);
    double a = (double) failures + 0.5, b = (double) passes + 0.5, rest;

    if (rc != QE_OK)
        return rc;
    out->low = qe__beta_quantile(alpha / 2, a, b, &rest);
    /* By the other tail: 1 - alpha / 2 would lose a small alpha. */
    (void) qe__beta_quantile(alpha / 2, b, a, &out->high);
    order(out);
    return QE_OK;
}

QE_API int qe_interval_jeffreys_clamped(int64_t failures, int64_t passes,
                                        double alpha, qe_interval *out)
{
    int rc = qe_interval_jeffreys(failures, passes, alpha, out);

    if (rc == QE_OK && failures == 0)
        out->low = 0;
    if (rc == QE_OK && passes == 0)
        out->high = 1;
    return rc;
}

/* The lower end for so many failures; the upper one is that of the passes,
 * seen from 1. */
static double clopper_pearson_low(int64_t failures, int64_t passes,
                                  double alpha, double *rest)
{
    *rest = 1;
    if (failures == 0)
        return 0;
    return qe__beta_quantile(alpha / 2, (double) failures, (double) passes + 1,
                             rest);
}

QE_API int qe_interval_clopper_pearson(int64_t failures, int64_t passes,
                                       double alpha, qe_interval *out)
{
    int rc = check(failures, passes, alpha, out);
    double rest;

    if (rc != QE_OK)
        return rc;
    out->low = clopper_pearson_low(failures, passes, alpha, &rest);
    (void) clopper_pearson_low(passes, failures, alpha, &out->high);
    order(out);
    return QE_OK;
}

QE_API int qe_interval_wilson(int64_t failures, int64_t passes, double alpha,
                              qe_interval *out)
{
    int rc = check(failures, passes, alpha, out);
    double f = (double) failures, s = (double) passes, n = f + s;
    double z, middle, half;

    if (rc != QE_OK)
        return rc;
    z = qe__normal_upper(alpha / 2);
    middle = (f + z * z / 2) / (n + z * z);
    half = z / (n + z * z) * sqrt(f * s / n + z * z / 4);
    out->low = failures == 0 ? 0 : fmax(0, middle - half);
    out->high = passes == 0 ? 1 : fmin(1, middle + half);
    return QE_OK;
}

/* The lower end of the confidence sequence, by bisection: its left side is
 * infinite at p = 0, falls up to p = f / n, and is below ln(1 / alpha) there. */
static double sequence_low(double f, double s, double alpha)
{
    double ratio = qe__lbeta(0.5 + f, 0.5 + s) - qe__lbeta(0.5, 0.5);
    double low = 0, high = f / (f + s);
    int i;

    if (f == 0)
        return 0;
    for (i = 0; i < HALVINGS; i++) {
        double p = (low + high) / 2;

        if (p <= low || p >= high)
            break;
        if (ratio - f * log(p) - (s == 0 ? 0 : s * log1p(-p)) < -log(alpha))
            high = p;
        else
            low = p;
    }
    return low;
}

QE_API int qe_interval_sequence(int64_t failures, int64_t passes, double alpha,
                                qe_interval *out)
{
    int rc = check(failures, passes, alpha, out);

    if (rc != QE_OK)
        return rc;
    out->low = sequence_low((double) failures, (double) passes, alpha);
    out->high = 1 - sequence_low((double) passes, (double) failures, alpha);
    order(out);
    return QE_OK;
}
