/* The beginning and the end of a text that may be longer than what is kept of
 * it. Internal. */
#ifndef QE_EXCERPT_H
#define QE_EXCERPT_H

#include "qe.h"

typedef struct qe__excerpt {
    char *bytes;    /* first the beginning, then a ring of what came last */
    size_t bound;   /* bytes kept */
    uint64_t given; /* bytes in all */
} qe__excerpt;

/* QE_EINVAL for a bound below 2. */
int qe__excerpt_init(qe__excerpt *e, size_t bound);
void qe__excerpt_free(qe__excerpt *e);
void qe__excerpt_clear(qe__excerpt *e);
void qe__excerpt_add(qe__excerpt *e, const char *bytes, size_t n);
/* How long the text is, with the line that says how much was left out. */
size_t qe__excerpt_size(const qe__excerpt *e);
/* Copies that many bytes. */
void qe__excerpt_copy(const qe__excerpt *e, char *to);

#endif
