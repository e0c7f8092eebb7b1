/* What tests need of qe_gauge.c beyond qe.h. Internal. */
#ifndef QE_GAUGE_H
#define QE_GAUGE_H

#include "qe.h"

/* As qe_gauge_new; `root` (copied) is prepended to /proc and /sys. */
int qe__gauge_new(qe_gauge **out, const char *root);

#endif
