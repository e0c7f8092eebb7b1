/* What of some layers starts when: what its files share. Internal. */
#ifndef QE_STAGE_H
#define QE_STAGE_H

#include "qe_layering.h"

enum qe__spot {
    QE__SPOT_ABSENT, /* not of these layers */
    QE__SPOT_READY,  /* has not begun, or is to begin again */
    QE__SPOT_RUNNING,
    QE__SPOT_PASSED,
    QE__SPOT_FAILED,
    QE__SPOT_SKIPPED
};

typedef struct qe__stage_category {
    enum qe__spot spot;
    uint32_t attempt;    /* that runs, or ran last; 0: none has */
    uint32_t overtaken;  /* by others, for want of room */
    uint64_t not_before; /* ns; after a refusal */
    bool stopped, told;  /* that it is to stop, that it is skipped */
    enum qe_stage_why why;
    uint32_t of;
    bool known;                /* how long it takes */
    double expected_s, path_s; /* path: with the longest of what needs it */
    uint64_t passed, failed;   /* tests of the last attempt */
} qe__stage_category;

typedef struct qe__stage_layer {
    bool present, begun, dropped;
    enum qe__mode mode;
    bool fail_fast;
    double multiplier;
    uint32_t most; /* categories at once; 0: any number */
    uint32_t running;
    qe__room used;
    uint64_t begun_ns;
    qe__list gates; /* layers that it needs, present or not */
} qe__stage_layer;

struct qe_stage {
    const qe_layers *l;
    qe__stage_category *category;
    qe__stage_layer *layer;
    uint32_t *order; /* categories, the first to begin first */
    uint32_t count;  /* of these */
    qe__list layers; /* in the order given */
    bool *taken;     /* what is exclusive */
    qe__room machine, used;
    uint32_t running;
    bool cancelled;
    cJSON *errors;
    char *error_text;
};

/* Whether all of it has ended. */
bool qe__stage_layer_over(const qe_stage *s, uint32_t layer);

bool qe__stage_has_room(const qe_stage *s, uint32_t category);
void qe__stage_reserve(qe_stage *s, uint32_t category);
void qe__stage_release(qe_stage *s, uint32_t category);
/* Whether `first`, which waits for room, would wait longer if `other` began before it.
 * What holds a name that it waits for gives its room back with that. */
bool qe__stage_delays(const qe_stage *s, uint32_t other, uint32_t first);

#endif
