/* How long all statistics of a million attempts take, on one processor.
 *
 * Prints a table, each line the median of some rounds: suites from one test to
 * a hundred thousand, of tests that fail at random, that change (which takes
 * longest), or of which few are flaky. Checks that they are typed as what they
 * are, where they are long enough to be. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "qe.h"
#include "qe_util.h"

#define ATTEMPTS 1000000
#define ROUNDS 5

enum kind { RANDOM, CHANGING, HEALTHY, KINDS };

static const char *const names[KINDS] = {
    [RANDOM] = "fail at random, each at a rate of its own",
    [CHANGING] = "change from 5 % to 60 %",
    [HEALTHY] = "pass, but for 1 in 100, which fails with 30 %",
};

static double uniform(uint64_t *state)
{
    return (double) (qe__random(state) >> 11) * 0x1p-53;
}

static void fill(uint8_t *results, size_t tests, enum kind kind)
{
    size_t n = ATTEMPTS / tests, test, i;
    uint64_t seed = 2024;

    for (test = 0; test < tests; test++) {
        double rate = 0.02 + 0.96 * uniform(&seed);

        if (kind == HEALTHY)
            rate = test % 100 == 0 ? 0.3 : 0;
        for (i = 0; i < n; i++) {
            if (kind == CHANGING)
                rate = i < n / 2 ? 0.05 : 0.6;
            results[test * n + i] = uniform(&seed) >= rate;
        }
    }
}

/* Of this process, so that what else runs counts little. */
static double cpu_s(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

/* Of 100 flaky tests and more, with a thousand attempts at least, most are what
 * they were made; of a single one chance may tell otherwise. */
static bool typed(const qe_analysis *found, size_t tests, enum kind kind)
{
    enum qe_shape wanted =
        kind == CHANGING ? QE_SHAPE_DEGRADING : QE_SHAPE_RANDOM;
    size_t i, right = 0, flaky = 0;

    for (i = 0; i < tests; i++) {
        right += found[i].shape.shape == wanted;
        flaky += found[i].flakiness.is_flaky;
    }
    return tests > 1000 || flaky < 100 || right * 10 >= flaky * 8;
}

static double seconds(const uint8_t *results, size_t tests, enum kind kind,
                      qe_analysis *found)
{
    size_t *counts = malloc(tests * sizeof(*counts)), i;
    double took[ROUNDS];

    if (counts == NULL)
        exit(1);
    for (i = 0; i < tests; i++)
        counts[i] = ATTEMPTS / tests;
    for (i = 0; i < ROUNDS; i++) {
        double began = cpu_s();
        int status = qe_stats_analyse(results, counts, tests, 0.05, found);

        took[i] = cpu_s() - began;
        if (status < 0 || !typed(found, tests, kind)) {
            (void) fprintf(stderr, "stats: %s\n",
                           status < 0 ? qe_strerror(status) : "typed wrongly");
            exit(1);
        }
    }
    free(counts);
    qsort(took, ROUNDS, sizeof(took[0]), compare);
    return took[ROUNDS / 2];
}

int main(void)
{
    static const size_t tests[] = {1, 10, 250, 1000, 10000, 100000};
    uint8_t *results = malloc(ATTEMPTS);
    qe_analysis *found = malloc(100000 * sizeof(*found));

    if (results == NULL || found == NULL)
        return 1;
    printf("| tests x attempts | which | cpu s | million attempts a second |\n"
           "| ---: | --- | ---: | ---: |\n");
    for (size_t i = 0; i < QE__COUNT(tests); i++)
        for (enum kind kind = RANDOM; kind < KINDS; kind++) {
            double took;

            fill(results, tests[i], kind);
            took = seconds(results, tests[i], kind, found);
            printf("| %zu x %zu | %s | %.3f | %.1f |\n", tests[i],
                   ATTEMPTS / tests[i], names[kind], took,
                   ATTEMPTS / took / 1e6);
        }
    free(found);
    free(results);
    return 0;
}
