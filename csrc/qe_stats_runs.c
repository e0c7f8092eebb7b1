/* Does the order of the results matter? The runs test, and how the next result
 * depends on the last. */
#include <math.h>

#include "qe_special.h"

#define NEGLIGIBLE 1e-18

/* The law of the number of runs of f failures and s passes, n in all:
 * P(2k) = 2 C(f-1, k-1) C(s-1, k-1) / C(n, f), and by the ratios of those
 * binomials P(2k+1) = P(2k) (n - 2k) / 2k, P(2k+2) = P(2k) (f-k)(s-k) / k^2. */
struct runs_law {
    double f, s, n, most; /* k is at most the smaller of f and s */
};

static double even(const struct runs_law *law, double k)
{
    return exp(M_LN2 + qe__lchoose(law->f - 1, k - 1) +
               qe__lchoose(law->s - 1, k - 1) - qe__lchoose(law->n, law->f));
}

static double odd_by_even(const struct runs_law *law, double k)
{
    return (law->n - 2 * k) / (2 * k);
}

static double next_by_even(const struct runs_law *law, double k)
{
    return (law->f - k) * (law->s - k) / (k * k);
}

static double exactly(const struct runs_law *law, double k, bool odd)
{
    return even(law, k) * (odd ? odd_by_even(law, k) : 1);
}

/* P(R <= runs), summed downwards from 2k or 2k + 1 runs. */
static double few(const struct runs_law *law, double k, bool odd)
{
    double term = 1, sum = odd ? 1 + odd_by_even(law, k) : 1;
    double first = even(law, k);

    for (k--; k >= 1 && term > NEGLIGIBLE * sum; k--) {
        term /= next_by_even(law, k);
        sum += term * (1 + odd_by_even(law, k));
    }
    return fmin(1, first * sum);
}

/* P(R >= runs), upwards. */
static double many(const struct runs_law *law, double k, bool odd)
{
    double term = 1, sum = odd_by_even(law, k) + (odd ? 0 : 1);
    double first = even(law, k);

    for (; k < law->most && (term > NEGLIGIBLE * sum || sum == 0); k++) {
        term *= next_by_even(law, k);
        sum += term * (1 + odd_by_even(law, k + 1));
    }
    return fmin(1, first * sum);
}

QE_API int qe_runs_test(int64_t failures, int64_t passes, int64_t runs,
                        double *p_few, double *p_many)
{
    struct runs_law law = {(double) failures, (double) passes,
                           (double) failures + (double) passes, 0};
    int64_t least = failures < passes ? failures : passes;
    int rc = qe__check_counts(failures, passes);
    int64_t half = runs / 2;
    double k = (double) half;
    bool odd = runs % 2 != 0;

    if (rc != QE_OK)
        return rc;
    if (p_few == NULL || p_many == NULL)
        return QE_EINVAL;
    if (least == 0) {
        if (runs != 1)
            return QE_EINVAL;
        *p_few = *p_many = 1;
        return QE_OK;
    }
    if (runs < 2 || runs > 2 * least + (failures != passes))
        return QE_EINVAL;
    law.most = (double) least;
    /* Summed away from the mean, where terms fall; the other tail is what is
     * left, and this number of runs itself, which is part of both. */
    if ((double) runs <= 1 + 2 * law.f * law.s / law.n) {
        *p_few = few(&law, k, odd);
        *p_many = fmin(1, 1 - *p_few + exactly(&law, k, odd));
    } else {
        *p_many = many(&law, k, odd);
        *p_few = fmin(1, 1 - *p_many + exactly(&law, k, odd));
    }
    return QE_OK;
}

/* How often which result follows which; 0 failed, 1 passed. */
struct pairs {
    double after[2][2];
    double of[2];
};

static int count_pairs(const uint8_t *results, size_t n, struct pairs *p)
{
    int last = -1;
    size_t i;

    if (results == NULL && n > 0)
        return QE_EINVAL;
    for (i = 0; i < n; i++) {
        if (results[i] > 1)
            continue;
        p->of[results[i]]++;
        if (last >= 0)
            p->after[last][results[i]]++;
        last = results[i];
    }
    if (p->of[0] + p->of[1] > (double) QE_STATS_MOST)
        return QE_ETOOBIG;
    return QE_OK;
}

QE_API int qe_markov_of(const uint8_t *results, size_t n, qe_markov *out)
{
    struct pairs p = {0};
    int rc = count_pairs(results, n, &p);
    double row[2], column[2], all, rate, ln = 0;
    int i, j;

    if (rc != QE_OK)
        return rc;
    for (i = 0; i < 2; i++) {
        row[i] = p.after[i][0] + p.after[i][1];
        column[i] = p.after[0][i] + p.after[1][i];
    }
    if (out == NULL || row[0] == 0 || row[1] == 0)
        return QE_EINVAL;
    all = row[0] + row[1];
    for (i = 0; i < 2; i++)
        for (j = 0; j < 2; j++)
            if (p.after[i][j] > 0)
                ln += p.after[i][j] *
                      log(p.after[i][j] * all / (row[i] * column[j]));
    rate = p.of[0] / (p.of[0] + p.of[1]);
    out->after_failure = p.after[0][0] / row[0];
    out->after_pass = p.after[1][0] / row[1];
    out->lambda = out->after_failure - out->after_pass;
    out->lag1 = (p.after[0][0] * (1 - rate) * (1 - rate) -
                 (p.after[0][1] + p.after[1][0]) * rate * (1 - rate) +
                 p.after[1][1] * rate * rate) /
                ((p.of[0] + p.of[1]) * rate * (1 - rate));
    out->g2 = fmax(0, 2 * ln); /* rounding may leave a little below 0 */
    out->p = qe__chi1_upper(out->g2);
    return QE_OK;
}
