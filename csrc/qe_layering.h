/* What a configuration of layers comes to. Internal. */
#ifndef QE_LAYERING_H
#define QE_LAYERING_H

#include <cjson/cJSON.h>

#include "qe.h"

#define QE__TIMEOUT_S 300 /* of a category that says nothing */

/* A set of numbers: of categories, layers or names. */
typedef struct qe__list {
    uint32_t *at;
    uint32_t count;
    size_t capacity;
} qe__list;

/* What a category takes while it runs, or a layer may take in all; 0: not said. */
typedef struct qe__room {
    uint64_t memory_bytes;
    uint32_t cpu_milli; /* thousandths of a processor */
    uint32_t instances;
} qe__room;

enum qe__mode {
    QE__MODE_SEQUENTIAL,
    QE__MODE_UNLIMITED,
    QE__MODE_LIMITED,
    QE__MODE_HYBRID
};

typedef struct qe__category {
    const char *name;
    double timeout_s;
    double priority; /* lower is earlier */
    uint32_t layer, retries;
    qe__room room;
    qe__list needs;     /* categories */
    qe__list exclusive; /* names */
} qe__category;

typedef struct qe__layer {
    const char *id;
    enum qe__mode mode;
    bool background, fail_fast;
    double limit_s, multiplier;    /* limit_s: 0: none */
    double min_rate, max_failures; /* negative: not said */
    bool judged;                   /* it has criteria */
    qe__room room;
    qe__list needs;    /* layers */
    qe__list required; /* categories */
    uint32_t first, count;
} qe__layer;

struct qe_layers {
    cJSON *config; /* with the overrides in it; strings below are its */
    cJSON *errors;
    char *error_text;
    qe__layer *layer;
    uint32_t layers;
    qe__category *category;
    uint32_t categories;
    const char **name; /* of what is exclusive */
    uint32_t names;
    size_t name_capacity;
    bool out_of_memory;
};

#define QE__PATH_BYTES 512

bool qe__list_add(qe__list *list, uint32_t number);

/* A mistake; `unknown` with the names that there are in `known` (an array that it
 * takes), or NULL. False: out of memory. */
bool qe__mistake(cJSON *errors, const char *path, const char *message,
                 const char *unknown, cJSON *known);
/* Lays `over` over `config`. */
bool qe__layers_merge(cJSON *config, const cJSON *over);
/* Names, numbers and cycles, once everything has been read. */
void qe__layers_check(qe_layers *l);
/* The layer or category of that name, or UINT32_MAX. */
uint32_t qe__layer_find(const qe_layers *l, const char *id);
uint32_t qe__category_find(const qe_layers *l, uint32_t layer,
                           const char *name);
/* A mode by the name of a strategy or of an execution mode. */
bool qe__mode_of(const char *name, enum qe__mode *mode);
const char *qe__mode_name(enum qe__mode mode);

#endif
