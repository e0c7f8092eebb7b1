/*
 * Reads a configuration of layers. A host's schema says more of how it is written; here
 * everything that is read is looked at nevertheless, as nothing else stands before it.
 */
#include "qe_layers_values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define RETRIES_MAX 20 /* of a category */
#define LAYERS_MAX 1000
#define CATEGORIES_MAX 2000

static const struct {
    const char *name, *strategy;
    enum qe__mode mode;
    bool background;
} modes[] = {
    {"sequential", "sequential", QE__MODE_SEQUENTIAL, false},
    {"parallel", "parallel_unlimited", QE__MODE_UNLIMITED, false},
    {"parallel_limited", "parallel_limited", QE__MODE_LIMITED, false},
    {"hybrid", "hybrid_smart", QE__MODE_HYBRID, false},
    {"background", NULL, QE__MODE_HYBRID, true},
};

bool qe__mode_of(const char *name, enum qe__mode *mode)
{
    for (size_t i = 0; i < QE__COUNT(modes); i++) {
        if (modes[i].strategy != NULL && strcmp(modes[i].strategy, name) == 0) {
            *mode = modes[i].mode;
            return true;
        }
    }
    return false;
}

const char *qe__mode_name(enum qe__mode mode)
{
    return modes[mode].strategy;
}

bool qe__list_add(qe__list *list, uint32_t number)
{
    if (qe__grow(&list->at, &list->capacity, list->count + 1,
                 sizeof(list->at[0])) != 0) {
        return false;
    }
    list->at[list->count++] = number;
    return true;
}

bool qe__mistake(cJSON *errors, const char *path, const char *message,
                 const char *unknown, cJSON *known)
{
    cJSON *one = cJSON_CreateObject();
    bool good = one != NULL &&
                cJSON_AddStringToObject(one, "path", path) != NULL &&
                cJSON_AddStringToObject(one, "message", message) != NULL &&
                (unknown == NULL ||
                 cJSON_AddStringToObject(one, "unknown", unknown) != NULL);

    if (good && known != NULL) {
        good = cJSON_AddItemToObject(one, "known", known);
        known = good ? NULL : known;
    }
    good = good && cJSON_AddItemToArray(errors, one);
    if (!good) {
        cJSON_Delete(one);
    }
    cJSON_Delete(known);
    return good;
}

/* ------------------------------------------------------------ what it is made of */

static uint32_t exclusive(qe_layers *l, const char *name)
{
    for (uint32_t i = 0; i < l->names; i++) {
        if (strcmp(l->name[i], name) == 0) {
            return i;
        }
    }
    if (qe__grow(&l->name, &l->name_capacity, l->names + 1,
                 sizeof(l->name[0])) != 0) {
        l->out_of_memory = true;
        return 0;
    }
    l->name[l->names] = name;
    return l->names++;
}

static void read_category(qe__reader *r, const cJSON *item, uint32_t layer)
{
    qe_layers *l = r->l;
    qe__category *c = &l->category[l->categories++];
    const cJSON *needs = qe__read_get(item, "resources");

    c->layer = layer;
    c->name = cJSON_GetStringValue(qe__read_get(item, "name"));
    if (c->name == NULL || c->name[0] == '\0' || strchr(c->name, '/') != NULL) {
        qe__read_wrong(r, "name", "takes a name without a slash");
        c->name = "";
    }
    c->timeout_s = qe__read_positive(r, item, "timeout_seconds", QE__TIMEOUT_S);
    c->priority = qe__read_whole(r, item, "priority_order", -1e9, 1e9, 0);
    c->retries =
        (uint32_t) qe__read_whole(r, item, "retries", 0, RETRIES_MAX, 0);
    c->room.instances = 1;
    qe__read_room(r, item, "resources", "instances", &c->room);
    if (cJSON_IsObject(needs)) {
        const cJSON *name = qe__read_texts(r, needs, "exclusive");

        for (; name != NULL; name = name->next) {
            if (!qe__list_add(&c->exclusive, exclusive(l, name->valuestring))) {
                l->out_of_memory = true;
            }
        }
    }
}

static void read_mode(qe__reader *r, const cJSON *item, qe__layer *layer)
{
    const char *name =
        cJSON_GetStringValue(qe__read_get(item, "execution_mode"));

    layer->mode = QE__MODE_SEQUENTIAL;
    if (qe__read_get(item, "execution_mode") == NULL) {
        return;
    }
    for (size_t i = 0; name != NULL && i < QE__COUNT(modes); i++) {
        if (strcmp(modes[i].name, name) == 0) {
            layer->mode = modes[i].mode;
            layer->background = modes[i].background;
            return;
        }
    }
    qe__read_wrong(
        r, "execution_mode",
        "takes sequential, parallel, parallel_limited, hybrid or background");
}

static void read_criteria(qe__reader *r, const cJSON *item, qe__layer *layer)
{
    const cJSON *criteria = qe__read_get(item, "success_criteria");
    size_t n = strlen(r->path);

    layer->min_rate = layer->max_failures = -1;
    if (criteria == NULL) {
        return;
    }
    if (!cJSON_IsObject(criteria)) {
        qe__read_wrong(r, "success_criteria", "takes keys");
        return;
    }
    (void) snprintf(r->path + n, sizeof(r->path) - n, ".success_criteria");
    layer->judged = criteria->child != NULL;
    layer->min_rate = qe__read_number(r, criteria, "min_pass_rate", 0, -1);
    if (layer->min_rate > 100) {
        qe__read_wrong(r, "min_pass_rate", "takes percent, from 0 to 100");
    }
    layer->max_failures =
        qe__read_whole(r, criteria, "max_failures", 0, 1e9, -1);
    r->path[n] = '\0';
}

static void read_layer(qe__reader *r, const cJSON *item)
{
    qe_layers *l = r->l;
    uint32_t number_of = l->layers;
    qe__layer *layer = &l->layer[l->layers++];
    const cJSON *list = qe__read_get(item, "categories"), *one;
    uint32_t i = 0;

    layer->id = item->string;
    layer->first = l->categories;
    layer->multiplier = 1;
    layer->min_rate = layer->max_failures = -1;
    (void) snprintf(r->path, sizeof(r->path), "layers.%.200s", item->string);
    if (!cJSON_IsObject(item)) {
        qe__read_wrong(r, "", "takes keys, such as categories");
        return;
    }
    read_mode(r, item, layer);
    layer->limit_s = 60 * qe__read_positive(r, item, "max_duration_minutes", 0);
    layer->multiplier = qe__read_positive(r, item, "timeout_multiplier", 1);
    layer->fail_fast = qe__read_flag(r, item, "fail_fast");
    qe__read_room(r, item, "resource_limits", "parallel_instances",
                  &layer->room);
    read_criteria(r, item, layer);
    if (!cJSON_IsArray(list) || list->child == NULL) {
        qe__read_wrong(r, "categories",
                       "takes a list of at least one category");
        return;
    }
    cJSON_ArrayForEach(one, list)
    {
        (void) snprintf(r->path, sizeof(r->path),
                        "layers.%.200s.categories[%u]", item->string, i++);
        if (l->categories == CATEGORIES_MAX) {
            qe__read_wrong(
                r, "", "there are too many categories: at most 2000 in all");
            break;
        }
        if (!cJSON_IsObject(one)) {
            qe__read_wrong(r, "", "takes keys, such as name");
            continue;
        }
        read_category(r, one, number_of);
    }
    layer->count = l->categories - layer->first;
}

/* How many categories there are in all, so that their array never moves. */
static uint32_t count_categories(const cJSON *layers)
{
    const cJSON *item;
    double n = 0;

    cJSON_ArrayForEach(item, layers)
    {
        n += cJSON_GetArraySize(qe__read_get(item, "categories"));
    }
    return n < CATEGORIES_MAX ? (uint32_t) n : CATEGORIES_MAX;
}

static int read_all(qe_layers *l)
{
    qe__reader r = {.l = l};
    const cJSON *layers = qe__read_get(l->config, "layers"), *item;
    int count = cJSON_GetArraySize(layers);

    if (!cJSON_IsObject(layers) || count == 0) {
        qe__read_wrong(&r, "layers", "takes layers by their ids, at least one");
        return 0;
    }
    if (count > LAYERS_MAX) {
        qe__read_wrong(&r, "layers", "takes at most 1000 layers");
        return 0;
    }
    l->layer = calloc((size_t) count, sizeof(l->layer[0]));
    l->category =
        calloc((size_t) count_categories(layers) + 1, sizeof(l->category[0]));
    if (l->layer == NULL || l->category == NULL) {
        return QE_ENOMEM;
    }
    cJSON_ArrayForEach(item, layers)
    {
        read_layer(&r, item);
    }
    r.path[0] = '\0';
    qe__layers_check(l);
    return 0;
}

static bool lay_over(qe_layers *l, const char *environment)
{
    cJSON *all = cJSON_DetachItemFromObjectCaseSensitive(
        l->config, "environment_overrides");
    const cJSON *over = NULL, *item;
    bool good = true;

    if (environment != NULL) {
        over = cJSON_GetObjectItemCaseSensitive(all, environment);
    }
    if (cJSON_IsObject(over)) {
        good = qe__layers_merge(l->config, over);
    } else if (environment != NULL) {
        /* The four that everybody has need not be there. */
        static const char *const usual[] = {"test", "development", "staging",
                                            "production"};
        cJSON *known = cJSON_CreateArray();
        bool is_usual = false;

        for (size_t i = 0; i < QE__COUNT(usual); i++) {
            is_usual = is_usual || strcmp(usual[i], environment) == 0;
            good = good &&
                   cJSON_AddItemToArray(known, cJSON_CreateString(usual[i]));
        }
        cJSON_ArrayForEach(item, all)
        {
            good = good && cJSON_AddItemToArray(
                               known, cJSON_CreateString(item->string));
        }
        if (!is_usual) {
            good = qe__mistake(l->errors, "environment_overrides",
                               "there is no such environment", environment,
                               known) &&
                   good;
        } else {
            cJSON_Delete(known);
        }
    }
    cJSON_Delete(all);
    return good;
}

int qe_layers_new(qe_layers **out, const char *json, const char *environment)
{
    qe_layers *l;
    int status = 0;

    if (out == NULL || json == NULL) {
        return QE_EINVAL;
    }
    *out = NULL;
    l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return QE_ENOMEM;
    }
    l->config = cJSON_ParseWithOpts(json, NULL, true);
    l->errors = cJSON_CreateArray();
    if (!cJSON_IsObject(l->config)) {
        status = QE_EINVAL;
    } else if (l->errors == NULL || !lay_over(l, environment)) {
        status = QE_ENOMEM;
    } else {
        status = read_all(l);
    }
    if (status == 0) {
        l->error_text = cJSON_PrintUnformatted(l->errors);
        if (l->error_text == NULL || l->out_of_memory) {
            status = QE_ENOMEM;
        }
    }
    if (status != 0) {
        qe_layers_free(l);
        return status;
    }
    *out = l;
    return 0;
}

void qe_layers_free(qe_layers *l)
{
    if (l == NULL) {
        return;
    }
    for (uint32_t i = 0; i < l->layers; i++) {
        free(l->layer[i].needs.at);
        free(l->layer[i].required.at);
    }
    for (uint32_t i = 0; i < l->categories; i++) {
        free(l->category[i].needs.at);
        free(l->category[i].exclusive.at);
    }
    free(l->layer);
    free(l->category);
    free(l->name);
    cJSON_free(l->error_text);
    cJSON_Delete(l->errors);
    cJSON_Delete(l->config);
    free(l);
}

const char *qe_layers_errors(const qe_layers *l)
{
    return l->error_text;
}

char *qe_layers_merged(const qe_layers *l)
{
    return cJSON_PrintUnformatted(l->config);
}

uint32_t qe__layer_find(const qe_layers *l, const char *id)
{
    for (uint32_t i = 0; i < l->layers; i++) {
        if (strcmp(l->layer[i].id, id) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

uint32_t qe__category_find(const qe_layers *l, uint32_t layer, const char *name)
{
    const qe__layer *in = &l->layer[layer];

    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        if (strcmp(l->category[i].name, name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}
