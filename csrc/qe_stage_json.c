/* What a stage has to run, as JSON. */
#include "qe_stage.h"

#include <math.h>
#include <stdio.h>

#include "qe_json_add.h"

static bool add_name(cJSON *list, const char *name)
{
    cJSON *text = cJSON_CreateString(name);

    return text != NULL && cJSON_AddItemToArray(list, text);
}

static bool add_category(const qe_stage *s, cJSON *list, uint32_t category)
{
    const qe__category *c = &s->l->category[category];
    cJSON *object = cJSON_CreateObject();
    cJSON *needs, *exclusive;
    bool good;

    if (object == NULL || !cJSON_AddItemToArray(list, object)) {
        cJSON_Delete(object);
        return false;
    }
    needs = cJSON_AddArrayToObject(object, "depends_on");
    exclusive = cJSON_AddArrayToObject(object, "exclusive");
    good =
        needs != NULL && exclusive != NULL &&
        qe__json_add_number(object, "category", category) &&
        cJSON_AddStringToObject(object, "name", c->name) != NULL &&
        qe__json_add_number(object, "attempts", c->retries + 1) &&
        qe__json_add_number(object, "timeout_s",
                            c->timeout_s * s->layer[c->layer].multiplier) &&
        qe__json_add_number(object, "expected_s",
                            s->category[category].expected_s) &&
        cJSON_AddBoolToObject(object, "known", s->category[category].known) !=
            NULL &&
        qe__json_add_number(object, "path_s", s->category[category].path_s) &&
        qe__json_add_number(object, "memory", (double) c->room.memory_bytes) &&
        qe__json_add_number(object, "cpu", c->room.cpu_milli / 1000.0) &&
        qe__json_add_number(object, "instances", c->room.instances);
    for (uint32_t i = 0; good && i < c->needs.count; i++) {
        const qe__category *other = &s->l->category[c->needs.at[i]];
        char name[600];

        (void) snprintf(name, sizeof(name), "%.256s/%.256s",
                        s->l->layer[other->layer].id, other->name);
        good = add_name(needs, name);
    }
    for (uint32_t i = 0; good && i < c->exclusive.count; i++) {
        good = add_name(exclusive, s->l->name[c->exclusive.at[i]]);
    }
    return good;
}

static bool add_stage_layer(const qe_stage *s, cJSON *list, uint32_t layer)
{
    const qe__layer *in = &s->l->layer[layer];
    const qe__stage_layer *at = &s->layer[layer];
    cJSON *object = cJSON_CreateObject();
    cJSON *gates, *categories;
    bool good;

    if (object == NULL || !cJSON_AddItemToArray(list, object)) {
        cJSON_Delete(object);
        return false;
    }
    gates = cJSON_AddArrayToObject(object, "after");
    good =
        gates != NULL && qe__json_add_number(object, "layer", layer) &&
        cJSON_AddStringToObject(object, "id", in->id) != NULL &&
        cJSON_AddStringToObject(object, "strategy", qe__mode_name(at->mode)) !=
            NULL &&
        cJSON_AddBoolToObject(object, "background", in->background) != NULL &&
        cJSON_AddBoolToObject(object, "fail_fast", at->fail_fast) != NULL &&
        qe__json_add_number(object, "limit_s", in->limit_s * at->multiplier) &&
        qe__json_add_number(object, "max_parallel", at->most);
    for (uint32_t i = 0; good && i < at->gates.count; i++) {
        if (s->layer[at->gates.at[i]].present) {
            good = add_name(gates, s->l->layer[at->gates.at[i]].id);
        }
    }
    categories = good ? cJSON_AddArrayToObject(object, "categories") : NULL;
    good = categories != NULL;
    for (uint32_t i = 0; good && i < s->count; i++) {
        if (s->l->category[s->order[i]].layer == layer) {
            good = add_category(s, categories, s->order[i]);
        }
    }
    return good;
}

char *qe_stage_plan(const qe_stage *s)
{
    cJSON *plan = cJSON_CreateObject();
    cJSON *layers = cJSON_AddArrayToObject(plan, "layers");
    double longest = 0;
    char *text = NULL;
    bool good = layers != NULL;

    for (uint32_t i = 0; i < s->count; i++) {
        longest = fmax(longest, s->category[s->order[i]].path_s);
    }
    for (uint32_t i = 0; good && i < s->layers.count; i++) {
        good = add_stage_layer(s, layers, s->layers.at[i]);
    }
    if (good && qe__json_add_number(plan, "critical_path_s", longest)) {
        text = cJSON_PrintUnformatted(plan);
    }
    cJSON_Delete(plan);
    return text;
}
