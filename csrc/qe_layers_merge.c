/* Overrides: a configuration over another, key by key. */
#include <string.h>

#include "qe_layering.h"
#include "qe_util.h"

static const char *name_of(const cJSON *item)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
}

/* Categories, say: each has a name. */
static bool is_named_list(const cJSON *list)
{
    const cJSON *item;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0) {
        return false;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsObject(item) || name_of(item) == NULL) {
            return false;
        }
    }
    return true;
}

static cJSON *named(cJSON *list, const char *name)
{
    cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (strcmp(name_of(item), name) == 0) {
            return item;
        }
    }
    return NULL;
}

static bool merge_list(cJSON *list, const cJSON *over)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, over)
    {
        cJSON *at = named(list, name_of(item));
        cJSON *copy;

        if (at != NULL) {
            if (!qe__layers_merge(at, item)) {
                return false;
            }
            continue;
        }
        copy = cJSON_Duplicate(item, true);
        if (copy == NULL || !cJSON_AddItemToArray(list, copy)) {
            cJSON_Delete(copy);
            return false;
        }
    }
    return true;
}

/* Where one thing is said in place of another: a category's command of its framework, a
 * service's port of its address. */
static void drop_others(cJSON *config, const cJSON *over)
{
    static const struct {
        const char *key, *drops[6];
    } rules[] = {
        {"command", {"tcp", "http", "framework", "paths", "markers", "args"}},
        {"framework", {"command"}},
        {"tcp", {"http", "command"}},
        {"http", {"tcp", "command"}},
    };

    /* Items of lists have no key; others are names that somebody gave. */
    if (config->string != NULL && strcmp(config->string, "check") != 0) {
        return;
    }
    for (size_t i = 0; i < QE__COUNT(rules); i++) {
        if (cJSON_GetObjectItemCaseSensitive(over, rules[i].key) == NULL) {
            continue;
        }
        for (size_t k = 0; k < QE__COUNT(rules[i].drops); k++) {
            const char *other = rules[i].drops[k];

            if (other != NULL &&
                cJSON_GetObjectItemCaseSensitive(over, other) == NULL) {
                cJSON_DeleteItemFromObjectCaseSensitive(config, other);
            }
        }
    }
}

bool qe__layers_merge(cJSON *config, const cJSON *over)
{
    const cJSON *item;

    drop_others(config, over);
    cJSON_ArrayForEach(item, over)
    {
        cJSON *at = cJSON_GetObjectItemCaseSensitive(config, item->string);
        cJSON *copy;

        if (cJSON_IsObject(at) && cJSON_IsObject(item)) {
            if (!qe__layers_merge(at, item)) {
                return false;
            }
            continue;
        }
        if (is_named_list(at) && is_named_list(item)) {
            if (!merge_list(at, item)) {
                return false;
            }
            continue;
        }
        copy = cJSON_Duplicate(item, true);
        if (copy == NULL) {
            return false;
        }
        if (at != NULL ? !cJSON_ReplaceItemViaPointer(config, at, copy)
                       : !cJSON_AddItemToObject(config, item->string, copy)) {
            cJSON_Delete(copy);
            return false;
        }
    }
    return true;
}
