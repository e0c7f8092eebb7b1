/* The law of failure rates that a project's own tests follow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qe.h"
#include "qe_special.h"
#include "qe_util.h"

#define LEAST_FLAKY 3u
#define LEAST_RUNS 1000.0
#define ROUNDS 40
#define STEPS 40
/* Bounds of ln(mean) and ln(size), mean = a / (a + b), size = a + b. */
#define MEAN_LOW (-14.0)
#define MEAN_HIGH (-0.7)
#define SIZE_LOW 0.0
#define SIZE_HIGH 10.0

struct counts {
    uint64_t failures, passes;
    double times; /* tests that have these */
};

static int compare(const void *a, const void *b)
{
    const struct counts *x = a, *y = b;

    if (x->failures != y->failures) {
        return x->failures < y->failures ? -1 : 1;
    }
    return (x->passes > y->passes) - (x->passes < y->passes);
}

/* Equal counts once each: many tests have few. */
static size_t gather(struct counts *c, size_t n)
{
    size_t out = 0;

    qsort(c, n, sizeof(*c), compare);
    for (size_t i = 0; i < n; i++) {
        if (out > 0 && compare(&c[out - 1], &c[i]) == 0) {
            c[out - 1].times += c[i].times;
        } else {
            c[out++] = c[i];
        }
    }
    return out;
}

/* law[0] is ln(mean), law[1] ln(size). */
static double likelihood(const struct counts *c, size_t n, const double *law)
{
    double a = exp(law[0] + law[1]), b = exp(law[1]) - a;
    double base = qe__lbeta(a, b), sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += c[i].times * (qe__lbeta(a + (double) c[i].failures,
                                       b + (double) c[i].passes) -
                             base);
    }
    return sum;
}

/* The best value of one of both, by golden section (Kiefer 1953). */
static void improve(const struct counts *c, size_t n, double *law, int which,
                    double low, double high)
{
    const double golden = 0.6180339887498949;

    for (int step = 0; step < STEPS; step++) {
        double at[2];

        for (int side = 0; side < 2; side++) {
            law[which] = side == 0 ? high - golden * (high - low)
                                   : low + golden * (high - low);
            at[side] = likelihood(c, n, law);
        }
        if (at[0] > at[1]) {
            high = law[which];
        } else {
            low = high - golden * (high - low);
        }
    }
    law[which] = (low + high) / 2;
}

int qe_rates_fit(const uint64_t *failures, const uint64_t *passes, size_t n,
                 double *a, double *b)
{
    double law[2] = {-4.6, 4}, runs = 0;
    struct counts *c;
    size_t flaky = 0, kinds;

    if ((n > 0 && (failures == NULL || passes == NULL)) || a == NULL ||
        b == NULL) {
        return QE_EINVAL;
    }
    c = malloc(qe__mul(n + 1, sizeof(*c)));
    if (c == NULL) {
        return QE_ENOMEM;
    }
    kinds = 0;
    for (size_t i = 0; i < n; i++) {
        /* What only fails is broken, and says nothing of how flaky tests are. */
        if (passes[i] > 0) {
            flaky += failures[i] > 0;
            runs += (double) failures[i] + (double) passes[i];
            c[kinds++] = (struct counts){failures[i], passes[i], 1};
        }
    }
    if (flaky < LEAST_FLAKY || runs < LEAST_RUNS) {
        free(c);
        return QE_ENOTFOUND;
    }
    kinds = gather(c, kinds);
    for (int round = 0; round < ROUNDS; round++) {
        double mean = law[0], size = law[1];

        improve(c, kinds, law, 0, MEAN_LOW, MEAN_HIGH);
        improve(c, kinds, law, 1, SIZE_LOW, SIZE_HIGH);
        if (fabs(law[0] - mean) + fabs(law[1] - size) < 1e-6) {
            break;
        }
    }
    free(c);
    *a = exp(law[0] + law[1]);
    *b = exp(law[1]) - *a;
    return 0;
}
