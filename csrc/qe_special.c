/* Special functions that the statistics share. All in logarithms where the
 * numbers themselves overflow, so that counts of millions work. */
#include "qe_special.h"

#include <float.h>
#include <math.h>

/* Steps after which an iteration is left. Continued fractions take about
 * the square root of the larger count; what remains is then below 1e-15. */
#define MOST_STEPS 200000
#define MOST_NEWTON 200

bool qe__is_alpha(double alpha)
{
    return alpha >= 1e-12 && alpha <= 1 - 1e-12;
}

bool qe__is_rate(double p)
{
    return p >= 0 && p <= 1;
}

int qe__check_counts(int64_t failures, int64_t passes)
{
    if (failures < 0 || passes < 0)
        return QE_EINVAL;
    if (failures > QE_STATS_MOST || passes > QE_STATS_MOST)
        return QE_ETOOBIG;
    return failures + passes == 0 ? QE_EINVAL : QE_OK;
}

double qe__xlny(double k, double p)
{
    return k == 0 ? 0 : k * log(p);
}

static double ln_gamma(double x)
{
    int sign; /* lgamma() keeps it in a global, which threads would share. */

    return lgamma_r(x, &sign);
}

/* What Stirling's formula lacks: ln G(x) - [(x - 1/2) ln x - x + ln(2 pi) / 2].
 * For large x it is a series (DLMF 5.11.1), as the difference of two large
 * numbers would lose it. */
static double stirling_rest(double x)
{
    double r = 1 / x, q = r * r;

    if (x < 10)
        return ln_gamma(x) - ((x - 0.5) * log(x) - x + 0.5 * log(2 * M_PI));
    return r *
           (1.0 / 12 -
            q * (1.0 / 360 -
                 q * (1.0 / 1260 -
                      q * (1.0 / 1680 - q * (1.0 / 1188 - q * (691.0 / 360360 -
                                                               q / 156))))));
}

/* ln B(a, b) = ln G(a) + ln G(b) - ln G(a + b), with the large parts of both
 * sides taken out by Stirling's formula before they are subtracted. */
double qe__lbeta(double a, double b)
{
    double large = a > b ? a : b, small = a > b ? b : a;
    double rest;

    if (large < 10)
        return ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    rest = stirling_rest(large) - stirling_rest(large + small);
    if (small < 10)
        return ln_gamma(small) + rest + small - small * log(large) -
               (large + small - 0.5) * log1p(small / large);
    return rest + stirling_rest(small) + 0.5 * log(2 * M_PI) -
           0.5 * log(large) + (small - 0.5) * log(small / (large + small)) -
           large * log1p(small / large);
}

double qe__lchoose(double n, double k)
{
    return k == 0 || k == n ? 0 : -log1p(n) - qe__lbeta(k + 1, n - k + 1);
}

/* The continued fraction of DLMF 8.17.22 by the method of Lentz, which wants
 * no value near 0. */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    double f;
    int m;

    d = 1 / (fabs(d) < tiny ? tiny : d);
    f = d;
    for (m = 1; m < MOST_STEPS; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd =
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step;

        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= c * d;
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        step = c * d;
        f *= step;
        if (fabs(step - 1) < 4 * DBL_EPSILON)
            break;
    }
    return f;
}

/* ln I_x(a, b) for x below about its mean, where the fraction is quick. */
static double ln_beta_lower(double x, double y, double a, double b)
{
    return a * log(x) + b * log(y) - qe__lbeta(a, b) - log(a) +
           log(beta_fraction(x, a, b));
}

double qe__beta_cdf(double x, double y, double a, double b)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    if (x < (a + 1) / (a + b + 2))
        return exp(ln_beta_lower(x, y, a, b));
    return -expm1(ln_beta_lower(y, x, b, a));
}

static double ln_beta_cdf(double x, double y, double a, double b)
{
    if (x < (a + 1) / (a + b + 2))
        return ln_beta_lower(x, y, a, b);
    return log1p(-exp(ln_beta_lower(y, x, b, a)));
}

/* Newton's method on ln I_x = ln p as a function of u = ln(x / (1 - x)). That
 * function is concave, and nearly straight where x is small, so that from
 * anywhere the second step is on the left of the root and the others go up to
 * it; the bracket is for what rounding does. */
static double lower_quantile(double p, double a, double b, double *rest)
{
    double low = -700, high = 700;
    double u = log(a / b), wanted = log(p);
    double x = 0.5, y = 0.5;
    int i;

    for (i = 0; i < MOST_NEWTON; i++) {
        double ln_cdf, next;

        x = u < 0 ? exp(u) / (1 + exp(u)) : 1 / (1 + exp(-u));
        y = u < 0 ? 1 / (1 + exp(u)) : exp(-u) / (1 + exp(-u));
        ln_cdf = ln_beta_cdf(x, y, a, b);
        if (ln_cdf < wanted)
            low = u;
        else
            high = u;
        /* d(ln I)/du = x^a y^b / (B I) */
        next = u - (ln_cdf - wanted) /
                       exp(a * log(x) + b * log(y) - qe__lbeta(a, b) - ln_cdf);
        if (!(next >= low && next <= high))
            next = (low + high) / 2;
        if (fabs(next - u) <= 1e-15 * (1 + fabs(u)))
            break;
        u = next;
    }
    *rest = y;
    return x;
}

double qe__beta_quantile(double p, double a, double b, double *rest)
{
    double other;

    if (p <= 0.5)
        return lower_quantile(p, a, b, rest);
    *rest = lower_quantile(1 - p, b, a, &other);
    return other;
}

/* Newton's method on ln Q(z) = ln q, which is concave. The start is past the
 * root, as Q(z) <= exp(-z^2 / 2) / 2, so that every step goes towards it. */
double qe__normal_upper(double q)
{
    double z = sqrt(-2 * log(2 * q));
    int i;

    for (i = 0; i < MOST_NEWTON; i++) {
        double tail = 0.5 * erfc(z / M_SQRT2);
        double slope = exp(-0.5 * z * z) / sqrt(2 * M_PI) / tail;
        double step = log(tail / q) / slope;

        z += step;
        if (fabs(step) <= 1e-15 * (1 + z))
            break;
    }
    return z;
}

double qe__chi1_upper(double x)
{
    return erfc(sqrt(x / 2));
}
