/* The places where a sequence of results may be cut in two. Internal. */
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

#endif
