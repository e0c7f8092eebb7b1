/* What of a configuration of layers makes no sense: names that there are not, those that
 * there are twice, and dependencies that go round in a circle. */
#include "qe_layering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define CYCLE_BYTES 600

static const cJSON *layer_json(const qe_layers *l, uint32_t layer)
{
    return cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(l->config, "layers"),
        l->layer[layer].id);
}

static void unknown_name(qe_layers *l, const char *path, const char *what,
                         const char *name, cJSON *known)
{
    char text[128];

    (void) snprintf(text, sizeof(text), "there is no %s of that name", what);
    if (!qe__mistake(l->errors, path, text, name, known)) {
        l->out_of_memory = true;
    }
}

static void mistake(qe_layers *l, const char *path, const char *message)
{
    if (!qe__mistake(l->errors, path, message, NULL, NULL)) {
        l->out_of_memory = true;
    }
}

static cJSON *layer_names(const qe_layers *l)
{
    cJSON *names = cJSON_CreateArray();

    for (uint32_t i = 0; i < l->layers; i++) {
        (void) cJSON_AddItemToArray(names, cJSON_CreateString(l->layer[i].id));
    }
    return names;
}

static cJSON *category_names(const qe_layers *l, uint32_t layer)
{
    cJSON *names = cJSON_CreateArray();
    const qe__layer *in = &l->layer[layer];

    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        (void) cJSON_AddItemToArray(names,
                                    cJSON_CreateString(l->category[i].name));
    }
    return names;
}

static cJSON *service_names(const qe_layers *l)
{
    const cJSON *services =
        cJSON_GetObjectItemCaseSensitive(l->config, "services");
    cJSON *names = cJSON_CreateArray();
    const cJSON *item;

    cJSON_ArrayForEach(item, services)
    {
        (void) cJSON_AddItemToArray(names, cJSON_CreateString(item->string));
    }
    return names;
}

static void add(qe_layers *l, qe__list *list, uint32_t number)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->at[i] == number) {
            return; /* said twice is said */
        }
    }
    if (!qe__list_add(list, number)) {
        l->out_of_memory = true;
    }
}

/* A category, as another of `layer` names it: by its name, or by layer/name. */
static void needed(qe_layers *l, uint32_t self, const char *name,
                   const char *path)
{
    uint32_t layer = l->category[self].layer;
    const char *slash = strchr(name, '/');
    uint32_t found;

    if (slash != NULL) {
        char id[256];

        (void) snprintf(id, sizeof(id), "%.*s", (int) (slash - name), name);
        layer = qe__layer_find(l, id);
        if (layer == UINT32_MAX) {
            unknown_name(l, path, "layer", id, layer_names(l));
            return;
        }
        name = slash + 1;
    }
    found = qe__category_find(l, layer, name);
    if (found == UINT32_MAX) {
        unknown_name(l, path, "category", name, category_names(l, layer));
    } else if (found == self) {
        mistake(l, path, "a category cannot depend on itself");
    } else if (layer != l->category[self].layer && l->layer[layer].background) {
        mistake(l, path,
                "a layer that runs in the background cannot be waited for");
    } else {
        add(l, &l->category[self].needs, found);
    }
}

static void check_category(qe_layers *l, uint32_t self, const cJSON *json,
                           const char *at)
{
    const cJSON *item;
    uint32_t i = 0;
    char path[QE__PATH_BYTES + 64];

    cJSON_ArrayForEach(item,
                       cJSON_GetObjectItemCaseSensitive(json, "depends_on"))
    {
        (void) snprintf(path, sizeof(path), "%s.depends_on[%u]", at, i++);
        if (cJSON_IsString(item)) {
            needed(l, self, item->valuestring, path);
        } else {
            mistake(l, path, "takes the name of a category");
        }
    }
}

static void check_categories(qe_layers *l, uint32_t layer)
{
    const qe__layer *in = &l->layer[layer];
    const cJSON *list =
        cJSON_GetObjectItemCaseSensitive(layer_json(l, layer), "categories");
    const cJSON *item;
    uint32_t i = 0, self = in->first;
    char path[QE__PATH_BYTES];

    cJSON_ArrayForEach(item, list)
    {
        (void) snprintf(path, sizeof(path), "layers.%.200s.categories[%u]",
                        in->id, i++);
        if (!cJSON_IsObject(item) || self >= in->first + in->count) {
            continue;
        }
        if (l->category[self].name[0] != '\0' &&
            qe__category_find(l, layer, l->category[self].name) != self) {
            (void) strncat(path, ".name", sizeof(path) - strlen(path) - 1);
            mistake(l, path, "another category of the layer has that name");
            path[strlen(path) - strlen(".name")] = '\0';
        }
        check_category(l, self, item, path);
        self++;
    }
}

static void check_lists(qe_layers *l, uint32_t layer)
{
    static const char *const keys[] = {"dependencies", "required_services"};
    const cJSON *json = layer_json(l, layer), *item;
    const cJSON *services =
        cJSON_GetObjectItemCaseSensitive(l->config, "services");
    const cJSON *criteria =
        cJSON_GetObjectItemCaseSensitive(json, "success_criteria");
    char path[QE__PATH_BYTES];

    for (int key = 0; key < 2; key++) {
        uint32_t i = 0;

        cJSON_ArrayForEach(item,
                           cJSON_GetObjectItemCaseSensitive(json, keys[key]))
        {
            uint32_t other;

            (void) snprintf(path, sizeof(path), "layers.%.200s.%s[%u]",
                            l->layer[layer].id, keys[key], i++);
            if (!cJSON_IsString(item)) {
                mistake(l, path, "takes a name");
                continue;
            }
            if (key == 1) {
                if (cJSON_GetObjectItemCaseSensitive(
                        services, item->valuestring) == NULL) {
                    unknown_name(l, path, "service", item->valuestring,
                                 service_names(l));
                }
                continue;
            }
            other = qe__layer_find(l, item->valuestring);
            if (other == UINT32_MAX) {
                unknown_name(l, path, "layer", item->valuestring,
                             layer_names(l));
            } else if (other == layer) {
                mistake(l, path, "a layer cannot depend on itself");
            } else if (l->layer[other].background) {
                mistake(l, path,
                        "a layer that runs in the background cannot be "
                        "waited for");
            } else {
                add(l, &l->layer[layer].needs, other);
            }
        }
    }
    {
        uint32_t i = 0;

        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(
                                     criteria, "required_categories"))
        {
            uint32_t found = UINT32_MAX;

            (void) snprintf(path, sizeof(path),
                            "layers.%.200s.success_criteria."
                            "required_categories[%u]",
                            l->layer[layer].id, i++);
            if (cJSON_IsString(item)) {
                found = qe__category_find(l, layer, item->valuestring);
            }
            if (found != UINT32_MAX) {
                add(l, &l->layer[layer].required, found);
            } else {
                unknown_name(l, path, "category",
                             cJSON_IsString(item) ? item->valuestring : "",
                             category_names(l, layer));
            }
        }
    }
}

/* ---------------------------------------------------------------------- cycles */

/* Layers and categories as one graph: a category needs what its layer needs, and a layer
 * has what its categories have. Node: categories, then layers. */
typedef struct walk {
    const qe_layers *l;
    unsigned char *seen; /* 1: on the way, 2: done */
    uint32_t *way;
    uint32_t depth;
    uint32_t circle; /* where on the way the circle begins that was found */
} walk;

/* Of a category, layer/name: names are unique within a layer alone. */
static void node_name(const qe_layers *l, uint32_t node, char text[140])
{
    if (node >= l->categories) {
        (void) snprintf(text, 140, "%.60s", l->layer[node - l->categories].id);
        return;
    }
    (void) snprintf(text, 140, "%.60s/%.60s",
                    l->layer[l->category[node].layer].id,
                    l->category[node].name);
}

static bool look(walk *w, uint32_t node, char text[CYCLE_BYTES]);

static bool look_on(walk *w, uint32_t node, char text[CYCLE_BYTES])
{
    const qe_layers *l = w->l;

    if (node < l->categories) {
        const qe__category *c = &l->category[node];

        for (uint32_t i = 0; i < c->needs.count; i++) {
            if (look(w, c->needs.at[i], text)) {
                return true;
            }
        }
        for (uint32_t i = 0; i < l->layer[c->layer].needs.count; i++) {
            if (look(w, l->categories + l->layer[c->layer].needs.at[i], text)) {
                return true;
            }
        }
        return false;
    }
    node -= l->categories;
    for (uint32_t i = 0; i < l->layer[node].needs.count; i++) {
        if (look(w, l->categories + l->layer[node].needs.at[i], text)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < l->layer[node].count; i++) {
        if (look(w, l->layer[node].first + i, text)) {
            return true;
        }
    }
    return false;
}

static bool look(walk *w, uint32_t node, char text[CYCLE_BYTES])
{
    char name[140];
    uint32_t from = 0;
    size_t n;

    if (w->seen[node] == 2) {
        return false;
    }
    if (w->seen[node] == 0) {
        w->seen[node] = 1;
        w->way[w->depth++] = node;
        if (look_on(w, node, text)) {
            return true;
        }
        w->depth--;
        w->seen[node] = 2;
        return false;
    }
    while (w->way[from] != node) {
        from++;
    }
    w->circle = from;
    n = (size_t) snprintf(text, CYCLE_BYTES, "depends on itself: ");
    for (; from < w->depth && n < CYCLE_BYTES - 2 * sizeof(name); from++) {
        node_name(w->l, w->way[from], name);
        n += (size_t) snprintf(text + n, CYCLE_BYTES - n, "%s -> ", name);
    }
    if (from < w->depth) {
        n += (size_t) snprintf(text + n, CYCLE_BYTES - n, "... -> ");
    }
    if (n < CYCLE_BYTES) {
        node_name(w->l, node, name);
        (void) snprintf(text + n, CYCLE_BYTES - n, "%s", name);
    }
    return true;
}

static bool is_needed(const qe__list *list, uint32_t number)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->at[i] == number) {
            return true;
        }
    }
    return false;
}

/* The key that leads from one node of a circle to the next; that a layer has its categories
 * no key says. */
static bool edge_path(const qe_layers *l, uint32_t node, uint32_t next,
                      char path[QE__PATH_BYTES])
{
    bool category = node < l->categories;
    uint32_t layer = category ? l->category[node].layer : node - l->categories;

    if (category && next < l->categories &&
        is_needed(&l->category[node].needs, next)) {
        (void) snprintf(path, QE__PATH_BYTES,
                        "layers.%.200s.categories[%u].depends_on",
                        l->layer[layer].id, node - l->layer[layer].first);
        return true;
    }
    if (next < l->categories) {
        return false;
    }
    (void) snprintf(path, QE__PATH_BYTES, "layers.%.200s.dependencies",
                    l->layer[layer].id);
    return true;
}

static void circle_path(const walk *w, char path[QE__PATH_BYTES])
{
    for (uint32_t i = w->circle; i < w->depth; i++) {
        uint32_t next = i + 1 < w->depth ? i + 1 : w->circle;

        if (edge_path(w->l, w->way[i], w->way[next], path)) {
            return;
        }
    }
    (void) snprintf(path, QE__PATH_BYTES, "layers"); /* never */
}

static void check_cycles(qe_layers *l)
{
    uint32_t nodes = l->categories + l->layers;
    walk w = {.l = l, .seen = calloc(nodes, 1)};
    char text[CYCLE_BYTES], path[QE__PATH_BYTES];

    w.way = calloc(nodes, sizeof(w.way[0]));
    if (w.seen == NULL || w.way == NULL) {
        l->out_of_memory = true;
    }
    for (uint32_t node = 0; node < nodes && !l->out_of_memory; node++) {
        w.depth = 0;
        if (!look(&w, node, text)) {
            continue;
        }
        circle_path(&w, path);
        mistake(l, path, text);
        break; /* others may be the same one */
    }
    free(w.seen);
    free(w.way);
}

void qe__layers_check(qe_layers *l)
{
    for (uint32_t i = 0; i < l->layers; i++) {
        check_lists(l, i);
        check_categories(l, i);
    }
    check_cycles(l);
}
