/* How many runs the sequential test takes, beside a fixed number of runs that is as sure.
 *
 * Prints a table: for tests of several failure rates how often each calls them flaky, and
 * how many runs that took on average. The fixed plan is the shortest of those that call a
 * test flaky from some number of failures on and keep to both error rates. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "qe.h"
#include "qe_util.h"

#define TIMES 100000
#define MOST_RUNS 1000

/* The chance of `least` failures and more in n runs. */
static double at_least(int least, int n, double rate)
{
    double term = pow(1 - rate, n), below = 0;

    for (int i = 0; i < least; i++) {
        below += term;
        term *= (n - i) / (i + 1.0) * rate / (1 - rate);
    }
    return 1 - below;
}

/* Failures from which on it calls a test flaky, and the runs. */
static int fixed(int *runs)
{
    for (int n = 1; n < MOST_RUNS; n++)
        for (int least = 1; least <= n; least++) {
            if (at_least(least, n, QE_SPRT_RATE0) <= QE_SPRT_ALPHA &&
                at_least(least, n, QE_SPRT_RATE1) >= 1 - QE_SPRT_BETA) {
                *runs = n;
                return least;
            }
        }
    (void) fprintf(stderr, "sprt: no plan of %d runs is as sure\n", MOST_RUNS);
    exit(1);
}

/* How often it calls such tests flaky; *runs is what that took. */
static double sequential(double rate, uint64_t *seed, double *runs)
{
    int64_t all = 0;
    int flaky = 0;

    for (int i = 0; i < TIMES; i++) {
        qe_sprt s;
        int verdict;

        if (qe_sprt_init(&s, QE_SPRT_RATE0, QE_SPRT_RATE1, QE_SPRT_ALPHA,
                         QE_SPRT_BETA) != QE_OK)
            exit(1);
        do {
            double drawn = (double) (qe__random(seed) >> 11) * 0x1p-53;

            verdict = qe_sprt_step(&s, drawn < rate);
        } while (verdict == QE_SPRT_OPEN);
        flaky += verdict == QE_SPRT_FLAKY;
        all += s.failures + s.passes;
    }
    *runs = (double) all / TIMES;
    return (double) flaky / TIMES;
}

int main(void)
{
    static const double rates[] = {0, QE_SPRT_RATE0 / 10, QE_SPRT_RATE0,
                                   0.003,  0.01,
                                   0.02,   QE_SPRT_RATE1,
                                   0.1,    0.3};
    int n, least = fixed(&n);
    uint64_t seed = 2024;

    printf("Healthy is a rate of %g, flaky one of %g, either wrong with %g %% "
           "at most; a fixed plan as sure: %d failures in %d runs.\n\n",
           QE_SPRT_RATE0, QE_SPRT_RATE1, 100 * QE_SPRT_ALPHA, least, n);
    printf("| fails with | called flaky, sequential | fixed | runs, sequential "
           "| fixed | fewer |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < QE__COUNT(rates); i++) {
        double runs, flaky = sequential(rates[i], &seed, &runs);

        printf("| %g %% | %.1f %% | %.1f %% | %.1f | %d | %.0f %% |\n",
               100 * rates[i], 100 * flaky, 100 * at_least(least, n, rates[i]),
               runs, n, 100 * (1 - runs / n));
    }
    return 0;
}
