/* Many verdicts at once: e-BH, Holm, Benjamini-Hochberg. */
#include <math.h>
#include <stdlib.h>

#include "qe_special.h"
#include "qe_util.h"

struct ranked {
    double value;
    size_t place;
};

static int ascending(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;

    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* The values from the smallest to the greatest, for the caller to free. */
static int rank(const double *values, size_t n, struct ranked **out)
{
    struct ranked *list = malloc(qe__mul(n, sizeof(*list)));
    size_t i;

    if (list == NULL)
        return QE_ENOMEM;
    for (i = 0; i < n; i++)
        list[i] = (struct ranked){values[i], i};
    qsort(list, n, sizeof(*list), ascending);
    *out = list;
    return QE_OK;
}

/* How many of the greatest are confirmed: the largest k that meets its bound.
 * A bound met but for the rounding of the logarithms is met. */
static size_t confirmed_of(const struct ranked *list, size_t n, size_t tests,
                           double alpha)
{
    size_t k;

    for (k = n; k > 0; k--) {
        double bound = log((double) tests) - log(alpha) - log((double) k);

        if (list[n - k].value >= bound - 1e-12)
            return k;
    }
    return 0;
}

QE_API int qe_ebh(const double *ln_e, size_t n, size_t tests, double alpha,
                  bool *confirmed, size_t *count)
{
    struct ranked *list;
    size_t i, k;
    int rc;

    if ((ln_e == NULL && n > 0) || tests < n || !qe__is_alpha(alpha))
        return QE_EINVAL;
    for (i = 0; i < n; i++)
        if (isnan(ln_e[i]))
            return QE_EINVAL;
    if (n == 0) {
        if (count != NULL)
            *count = 0;
        return QE_OK;
    }
    rc = rank(ln_e, n, &list);
    if (rc != QE_OK)
        return rc;
    k = confirmed_of(list, n, tests, alpha);
    for (i = 0; i < n && confirmed != NULL; i++)
        confirmed[list[i].place] = i >= n - k;
    if (count != NULL)
        *count = k;
    free(list);
    return QE_OK;
}

/* Checks p-values, and ranks them; NULL where there are none. */
static int rank_p(const double *p, size_t n, const double *adjusted,
                  struct ranked **out)
{
    size_t i;

    *out = NULL;
    if (n > 0 && (p == NULL || adjusted == NULL))
        return QE_EINVAL;
    for (i = 0; i < n; i++)
        if (!qe__is_rate(p[i]))
            return QE_EINVAL;
    return n > 0 ? rank(p, n, out) : QE_OK;
}

QE_API int qe_holm(const double *p, size_t n, double *adjusted)
{
    struct ranked *list;
    double greatest = 0;
    size_t i;
    int rc = rank_p(p, n, adjusted, &list);

    if (rc != QE_OK)
        return rc;
    for (i = 0; i < n; i++) {
        greatest = fmax(greatest, list[i].value * (double) (n - i));
        adjusted[list[i].place] = fmin(1, greatest);
    }
    free(list);
    return QE_OK;
}

QE_API int qe_benjamini_hochberg(const double *p, size_t n, double *adjusted)
{
    struct ranked *list;
    double smallest = 1;
    size_t i;
    int rc = rank_p(p, n, adjusted, &list);

    if (rc != QE_OK)
        return rc;
    for (i = n; i-- > 0;) {
        smallest =
            fmin(smallest, list[i].value * (double) n / (double) (i + 1));
        adjusted[list[i].place] = smallest;
    }
    free(list);
    return QE_OK;
}
