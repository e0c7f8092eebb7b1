/* Special functions that the statistics share. Internal; arguments are checked
 * by those who call. */
#ifndef QE_SPECIAL_H
#define QE_SPECIAL_H

#include "qe.h"

/* A chance of being wrong, or its counterpart: within what the functions below
 * resolve. False for a NaN. */
bool qe__is_alpha(double alpha);
/* 0 <= p <= 1, and no NaN. */
bool qe__is_rate(double p);
/* QE_OK, QE_EINVAL (negative, or no run at all) or QE_ETOOBIG. */
int qe__check_counts(int64_t failures, int64_t passes);

/* x ln x and the like: k ln p, with 0 ln 0 = 0. */
double qe__xlny(double k, double p);
/* ln of the beta function; a, b > 0. */
double qe__lbeta(double a, double b);
/* ln of the binomial coefficient; 0 <= k <= n. */
double qe__lchoose(double n, double k);
/* The x at which the regularised incomplete beta function I_x(a, b) is p;
 * *rest is 1 - x, which near 1 says more than x. 0 < p < 1. */
double qe__beta_quantile(double p, double a, double b, double *rest);
/* The regularised incomplete beta function; y is 1 - x. */
double qe__beta_cdf(double x, double y, double a, double b);
/* The z that a standard normal exceeds with chance q, 0 < q <= 1/2. */
double qe__normal_upper(double q);
/* The chance that a chi-square of 1 degree of freedom exceeds x >= 0. */
double qe__chi1_upper(double x);

#endif
