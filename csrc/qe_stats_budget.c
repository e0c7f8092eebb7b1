/* What a number of runs can see. */
#include <math.h>

#include "qe_special.h"

QE_API int qe_runs_to_see(double rate, double alpha, int64_t *runs)
{
    double n;

    if (!qe__is_rate(rate) || rate == 0 || !qe__is_alpha(alpha) || runs == NULL)
        return QE_EINVAL;
    n = fmax(1, ceil(log(alpha) / log1p(-rate))); /* 0 where every run fails */
    if (n > (double) QE_STATS_MOST)
        return QE_ETOOBIG;
    *runs = (int64_t) n;
    return QE_OK;
}

QE_API int qe_power_of_runs(double rate, int64_t runs, double *power)
{
    if (!qe__is_rate(rate) || runs < 0 || power == NULL)
        return QE_EINVAL;
    if (runs > QE_STATS_MOST)
        return QE_ETOOBIG;
    /* 0 runs of a test that always fails: 0 times an infinity is no number. */
    *power = runs == 0 ? 0 : -expm1((double) runs * log1p(-rate));
    return QE_OK;
}

QE_API int qe_rate_seen(int64_t runs, double alpha, double *rate)
{
    if (runs < 1 || !qe__is_alpha(alpha) || rate == NULL)
        return QE_EINVAL;
    if (runs > QE_STATS_MOST)
        return QE_ETOOBIG;
    *rate = -expm1(log(alpha) / (double) runs);
    return QE_OK;
}
