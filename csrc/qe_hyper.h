/* The hypergeometric law: draws without replacement. Internal. */
#ifndef QE_HYPER_H
#define QE_HYPER_H

#include "qe.h"

/* Of n things of which k are marked, m are drawn: x of those are marked. */
typedef struct qe__hyper {
    int64_t n, k, m;
    int64_t low, high, mode; /* of x; the mode is the likeliest */
} qe__hyper;
qe__hyper qe__hyper_of(int64_t n, int64_t k, int64_t m);
/* ln P(X = x). */
double qe__hyper_ln(const qe__hyper *h, int64_t x);
/* P(x + 1) / P(x). */
double qe__hyper_ratio(const qe__hyper *h, int64_t x);
/* P(X <= x) and P(X >= x). */
double qe__hyper_lower(const qe__hyper *h, int64_t x);
double qe__hyper_upper(const qe__hyper *h, int64_t x);
/* One draw; *state is that of qe__random. */
int64_t qe__hyper_draw(const qe__hyper *h, uint64_t *state);

#endif
