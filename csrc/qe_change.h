/* The places where a sequence of results may be cut in two, and the parts of
 * qe_shape_of. Internal. */
#ifndef QE_CHANGE_H
#define QE_CHANGE_H

#include "qe.h"

typedef struct qe__cuts {
    int64_t n, failures;
    int count;
    struct {
        int64_t at;     /* results before the cut */
        int64_t failed; /* and failures among them */
    } cut[QE_CHANGE_EXACT];
} qe__cuts;

/* QE_EINVAL where too few results count for two parts. */
int qe__cuts_of(const uint8_t *results, size_t n, qe__cuts *out);

/* Statistics this close are equal: they differ by rounding. */
#define QE__CHANGE_EQUAL 1e-9

/* The likelihood ratio of a cut of n results, of which so many failed, before
 * and after it. Passes may be counted in place of failures. */
double qe__change_statistic(int64_t n, int64_t failures, int64_t at,
                            int64_t failed);

/* qe_change_point, of what is cut already. */
#define QE__CHANGE_MOST_SHUFFLES 1000000u
void qe__change_of(const qe__cuts *c, uint64_t seed, uint32_t permutations,
                   qe_change *out);

/* qe_stats_paths.c: the chance that the results, in any order, have a cut of at
 * least this statistic. Of at most QE_CHANGE_COUNTED results. */
double qe__change_chance(const qe__cuts *c, double statistic);

/* qe_stats_pattern.c: what a verdict begins as, and its counts. QE_ETOOBIG. */
#define QE__SHAPE_NOTHING                                                      \
    {                                                                          \
        .p_few = 1, .p_many = 1, .p_change = 1, .p_least = 1, .change = {      \
            .p = 1                                                             \
        }                                                                      \
    }
int qe__shape_count(const uint8_t *results, size_t n, qe_shape_verdict *out);
/* The smallest p that so many failures and passes can have, in any order; 1
 * where they are too few to be typed. Depends on these counts alone. */
int qe__shape_least(int64_t failures, int64_t passes, double *out);
/* Types results that are counted in *out; p_least is that of qe__shape_least. */
int qe__shape_type(const uint8_t *results, size_t n, double alpha,
                   uint64_t seed, uint32_t permutations, double p_least,
                   qe_shape_verdict *out);

#endif
