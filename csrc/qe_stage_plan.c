/* A stage before anything starts: which layers, in which order, with how much room. */
#include "qe_stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ON_THE_WAY (-2.0)
#define UNKNOWN_S 1.0 /* where nothing is known of any category */

static double number(const cJSON *options, const char *key, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(options, key);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

/* ---------------------------------------------------------------- the layers */

static bool add_layer(qe_stage *s, uint32_t layer)
{
    if (layer == UINT32_MAX) {
        return false;
    }
    if (!s->layer[layer].present && !qe__list_add(&s->layers, layer)) {
        return false;
    }
    s->layer[layer].present = true;
    return true;
}

static int choose(qe_stage *s, const cJSON *options)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(options, "layers");
    const cJSON *item;

    if (list == NULL || cJSON_IsNull(list)) {
        for (uint32_t i = 0; i < s->l->layers; i++) {
            if (!add_layer(s, i)) {
                return QE_ENOMEM;
            }
        }
        return 0;
    }
    if (!cJSON_IsArray(list) || list->child == NULL) {
        return QE_EINVAL;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) ||
            !add_layer(s, qe__layer_find(s->l, item->valuestring))) {
            return QE_EINVAL;
        }
    }
    return 0;
}

static bool is_in(const qe__list *list, uint32_t number)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->at[i] == number) {
            return true;
        }
    }
    return false;
}

/* Whether anything of a layer needs another one, or anything of that. */
static bool needs_layer(const qe_layers *l, uint32_t layer, uint32_t other)
{
    const qe__layer *in = &l->layer[layer];

    if (is_in(&in->needs, other)) {
        return true;
    }
    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        const qe__list *needs = &l->category[i].needs;

        for (uint32_t k = 0; k < needs->count; k++) {
            if (layer != other && l->category[needs->at[k]].layer == other) {
                return true;
            }
        }
    }
    return false;
}

/* What others need comes first; otherwise they stay as they were given. */
static void sort_layers(qe_stage *s)
{
    uint32_t *at = s->layers.at, n = s->layers.count;

    for (uint32_t placed = 0; placed < n; placed++) {
        uint32_t next = placed;

        for (uint32_t i = placed; i < n; i++) {
            bool free_of_all = true;

            for (uint32_t k = placed; k < n && free_of_all; k++) {
                free_of_all = k == i || !needs_layer(s->l, at[i], at[k]);
            }
            if (free_of_all) {
                next = i;
                break;
            }
        }
        for (uint32_t chosen = at[next]; next > placed; next--) {
            at[next] = at[next - 1];
            at[next - 1] = chosen;
        }
    }
}

static bool add_gates(qe_stage *s, bool all_before)
{
    for (uint32_t i = 0; i < s->layers.count; i++) {
        uint32_t layer = s->layers.at[i];
        const qe__list *needs = &s->l->layer[layer].needs;
        qe__list *gates = &s->layer[layer].gates;

        for (uint32_t k = 0; k < needs->count; k++) {
            if (!qe__list_add(gates, needs->at[k])) {
                return false;
            }
        }
        for (uint32_t k = 0; all_before && k < i; k++) {
            if (!s->l->layer[s->layers.at[k]].background &&
                !qe__list_add(gates, s->layers.at[k])) {
                return false;
            }
        }
    }
    return true;
}

static int settle(qe_stage *s, const cJSON *options)
{
    const cJSON *strategy =
        cJSON_GetObjectItemCaseSensitive(options, "strategy");
    const cJSON *fail_fast =
        cJSON_GetObjectItemCaseSensitive(options, "fail_fast");
    double most = number(options, "max_parallel", 0);
    double multiplier = number(options, "timeout_multiplier", 1);

    if (!(most >= 0 && most <= 1e6) || !(multiplier > 0 && multiplier <= 1e9)) {
        return QE_EINVAL;
    }
    for (uint32_t i = 0; i < s->layers.count; i++) {
        const qe__layer *in = &s->l->layer[s->layers.at[i]];
        qe__stage_layer *layer = &s->layer[s->layers.at[i]];

        layer->mode = in->mode;
        if (cJSON_IsString(strategy) &&
            !qe__mode_of(strategy->valuestring, &layer->mode)) {
            return QE_EINVAL;
        }
        layer->fail_fast =
            cJSON_IsBool(fail_fast) ? cJSON_IsTrue(fail_fast) : in->fail_fast;
        layer->multiplier = in->multiplier * multiplier;
        layer->most = (uint32_t) most;
        if (layer->mode == QE__MODE_SEQUENTIAL) {
            layer->most = 1;
        } else if (layer->mode == QE__MODE_LIMITED && layer->most == 0) {
            layer->most = in->room.instances;
            if (layer->most == 0) {
                layer->most = (s->machine.cpu_milli + 999) / 1000;
            }
            layer->most = layer->most == 0 ? 1 : layer->most;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------- the order */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static int expect(qe_stage *s, const cJSON *options)
{
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(options, "expected");
    double *known = calloc(s->count + 1, sizeof(known[0]));
    uint32_t n = 0;
    double usual;

    if (known == NULL) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        const qe__category *c = &s->l->category[s->order[i]];
        char key[600];
        const cJSON *item;

        (void) snprintf(key, sizeof(key), "%.256s/%.256s",
                        s->l->layer[c->layer].id, c->name);
        item = cJSON_GetObjectItemCaseSensitive(all, key);
        s->category[s->order[i]].expected_s = -1;
        if (cJSON_IsNumber(item) && item->valuedouble >= 0 &&
            item->valuedouble < 1e9) {
            s->category[s->order[i]].expected_s = item->valuedouble;
            s->category[s->order[i]].known = true;
            known[n++] = item->valuedouble;
        }
    }
    qsort(known, n, sizeof(known[0]), by_size);
    usual = n > 0 ? known[n / 2] : UNKNOWN_S;
    free(known);
    for (uint32_t i = 0; i < s->count; i++) {
        qe__stage_category *c = &s->category[s->order[i]];

        c->path_s = -1;
        if (c->expected_s < 0) {
            c->expected_s = usual;
        }
    }
    return 0;
}

/* The longest way from the start of a category to the end of what waits for it; infinite
 * where that is itself. */
static double path(qe_stage *s, uint32_t category)
{
    qe__stage_category *c = &s->category[category];
    double longest = 0;

    if (c->path_s >= 0) {
        return c->path_s;
    }
    if (c->path_s == ON_THE_WAY) {
        return INFINITY;
    }
    c->path_s = ON_THE_WAY;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t other = s->order[i];
        const qe__category *o = &s->l->category[other];

        if (is_in(&o->needs, category) ||
            is_in(&s->layer[o->layer].gates, s->l->category[category].layer)) {
            longest = fmax(longest, path(s, other));
        }
    }
    c->path_s = c->expected_s + longest;
    return c->path_s;
}

/* A key by which whatever is less goes first. */
typedef struct rank {
    double by[3];
    uint32_t category;
} rank;

static int by_rank(const void *a, const void *b)
{
    const rank *x = a, *y = b;

    for (int i = 0; i < 3; i++) {
        if (x->by[i] != y->by[i]) {
            return x->by[i] < y->by[i] ? -1 : 1;
        }
    }
    return (x->category > y->category) - (x->category < y->category);
}

static int sort(qe_stage *s, bool all_hybrid)
{
    rank *ranks = calloc(s->count + 1, sizeof(ranks[0]));
    uint32_t n = 0;

    if (ranks == NULL) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < s->layers.count; i++) {
        const qe__layer *in = &s->l->layer[s->layers.at[i]];
        bool hybrid = s->layer[s->layers.at[i]].mode == QE__MODE_HYBRID;

        for (uint32_t k = in->first; k < in->first + in->count; k++) {
            rank *r = &ranks[n++];

            r->category = k;
            r->by[0] = all_hybrid ? 0 : i;
            r->by[1] = hybrid ? -path(s, k) : s->l->category[k].priority;
            r->by[2] = hybrid ? s->l->category[k].priority : 0;
        }
    }
    qsort(ranks, n, sizeof(ranks[0]), by_rank);
    for (uint32_t i = 0; i < n; i++) {
        s->order[i] = ranks[i].category;
    }
    free(ranks);
    return 0;
}

/* ------------------------------------------------------------- what never fits */

static bool too_much(qe_stage *s, uint32_t category, const char *key,
                     const char *message)
{
    const qe__category *c = &s->l->category[category];
    const qe__layer *in = &s->l->layer[c->layer];
    char at[QE__PATH_BYTES];

    (void) snprintf(at, sizeof(at), "layers.%.200s.categories[%u].resources.%s",
                    in->id, category - in->first, key);
    return qe__mistake(s->errors, at, message, NULL, NULL);
}

static bool check_room(qe_stage *s, uint32_t category)
{
    const qe__category *c = &s->l->category[category];
    const qe__room *need = &c->room;
    const qe__room *limits[] = {&s->l->layer[c->layer].room, &s->machine};
    static const char *const whose[] = {"its layer's resource_limits allow",
                                        "the machine has"};
    char text[200];
    bool good = true;

    for (int i = 0; i < 2; i++) {
        const qe__room *most = limits[i];

        if (most->memory_bytes != 0 &&
            need->memory_bytes > most->memory_bytes) {
            (void) snprintf(text, sizeof(text),
                            "can never run: it takes %.0f MiB of memory, %s "
                            "%.0f MiB",
                            (double) need->memory_bytes / 1048576, whose[i],
                            (double) most->memory_bytes / 1048576);
            good = too_much(s, category, "memory", text) && good;
        }
        if (most->cpu_milli != 0 && need->cpu_milli > most->cpu_milli) {
            (void) snprintf(text, sizeof(text),
                            "can never run: it takes %g processors, %s %g",
                            need->cpu_milli / 1000.0, whose[i],
                            most->cpu_milli / 1000.0);
            good = too_much(s, category, "cpu", text) && good;
        }
        if (most->instances != 0 && need->instances > most->instances) {
            (void) snprintf(text, sizeof(text),
                            "can never run: it takes %u instances, %s %u",
                            need->instances, whose[i], most->instances);
            good = too_much(s, category, "instances", text) && good;
        }
    }
    return good;
}

/* --------------------------------------------------------------- its beginning */

static int prepare(qe_stage *s, const cJSON *options)
{
    const cJSON *machine = cJSON_GetObjectItemCaseSensitive(options, "machine");
    const cJSON *strategy =
        cJSON_GetObjectItemCaseSensitive(options, "strategy");
    double memory = number(machine, "memory", 0),
           cpu = number(machine, "cpu", 0);
    int status = choose(s, options);

    if (status != 0 || !(memory >= 0 && memory < 1e18) ||
        !(cpu >= 0 && cpu < 1e6)) {
        return status != 0 ? status : QE_EINVAL;
    }
    s->machine.memory_bytes = (uint64_t) memory;
    s->machine.cpu_milli = (uint32_t) (cpu * 1000);
    sort_layers(s);
    status = settle(s, options);
    if (status != 0) {
        return status;
    }
    if (!add_gates(s, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
                          options, "gates")))) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < s->layers.count; i++) {
        const qe__layer *in = &s->l->layer[s->layers.at[i]];

        for (uint32_t k = in->first; k < in->first + in->count; k++) {
            s->order[s->count++] = k;
            s->category[k].spot = QE__SPOT_READY;
            if (!check_room(s, k)) {
                return QE_ENOMEM;
            }
        }
    }
    status = expect(s, options);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (isinf(path(s, s->order[i]))) {
            /* No circle of theirs, but one with the gates between layers. */
            const qe__category *c = &s->l->category[s->order[i]];
            char at[QE__PATH_BYTES];

            (void) snprintf(at, sizeof(at), "layers.%.200s",
                            s->l->layer[c->layer].id);
            if (!qe__mistake(s->errors, at,
                             "cannot run layer by layer: it needs categories "
                             "of a layer that needs some of it",
                             NULL, NULL)) {
                return QE_ENOMEM;
            }
            break;
        }
    }
    return sort(s, cJSON_IsString(strategy) &&
                       strcmp(strategy->valuestring, "hybrid_smart") == 0);
}

int qe_stage_new(qe_stage **out, const qe_layers *l, const char *options)
{
    qe_stage *s;
    cJSON *given;
    int status;

    if (out == NULL || l == NULL || options == NULL ||
        cJSON_GetArraySize(l->errors) > 0) {
        return QE_EINVAL;
    }
    *out = NULL;
    given = cJSON_ParseWithOpts(options, NULL, true);
    if (!cJSON_IsObject(given)) {
        cJSON_Delete(given);
        return QE_EINVAL;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        cJSON_Delete(given);
        return QE_ENOMEM;
    }
    s->l = l;
    s->category = calloc(l->categories + 1, sizeof(s->category[0]));
    s->layer = calloc(l->layers, sizeof(s->layer[0]));
    s->order = calloc(l->categories + 1, sizeof(s->order[0]));
    s->taken = calloc(l->names + 1, sizeof(s->taken[0]));
    s->errors = cJSON_CreateArray();
    status = s->category != NULL && s->layer != NULL && s->order != NULL &&
                     s->taken != NULL && s->errors != NULL
                 ? prepare(s, given)
                 : QE_ENOMEM;
    cJSON_Delete(given);
    if (status == 0) {
        s->error_text = cJSON_PrintUnformatted(s->errors);
        status = s->error_text != NULL ? 0 : QE_ENOMEM;
    }
    if (status != 0) {
        qe_stage_free(s);
        return status;
    }
    *out = s;
    return 0;
}

void qe_stage_free(qe_stage *s)
{
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; s->layer != NULL && i < s->l->layers; i++) {
        free(s->layer[i].gates.at);
    }
    free(s->layers.at);
    free(s->category);
    free(s->layer);
    free(s->order);
    free(s->taken);
    cJSON_free(s->error_text);
    cJSON_Delete(s->errors);
    free(s);
}
