/* Values of a configuration of layers, each looked at. */
#include "qe_layers_values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1e15 /* of any number: exact in a double */

void qe__read_wrong(qe__reader *r, const char *key, const char *message)
{
    char path[QE__PATH_BYTES + 128];

    (void) snprintf(path, sizeof(path), "%s%s%s", r->path,
                    key[0] != '\0' && r->path[0] != '\0' ? "." : "", key);
    if (!qe__mistake(r->l->errors, path, message, NULL, NULL)) {
        r->l->out_of_memory = true;
    }
}

const cJSON *qe__read_get(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNull(item) ? NULL : item;
}

double qe__read_number(qe__reader *r, const cJSON *object, const char *key,
                       double least, double otherwise)
{
    const cJSON *item = qe__read_get(object, key);
    char text[80];

    if (item == NULL) {
        return otherwise;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least) ||
        item->valuedouble > MOST) {
        (void) snprintf(text, sizeof(text), "takes a number of at least %g",
                        least);
        qe__read_wrong(r, key, text);
        return otherwise;
    }
    return item->valuedouble;
}

double qe__read_whole(qe__reader *r, const cJSON *object, const char *key,
                      double least, double most, double otherwise)
{
    const cJSON *item = qe__read_get(object, key);
    char text[80];

    if (item == NULL) {
        return otherwise;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least) ||
        item->valuedouble > most ||
        floor(item->valuedouble) != item->valuedouble) {
        (void) snprintf(text, sizeof(text),
                        "takes a whole number from %g to %g", least, most);
        qe__read_wrong(r, key, text);
        return otherwise;
    }
    return item->valuedouble;
}

/* More than none. */
double qe__read_positive(qe__reader *r, const cJSON *object, const char *key,
                         double otherwise)
{
    double found = qe__read_number(r, object, key, 0, otherwise);

    if (found == 0 && qe__read_get(object, key) != NULL) {
        qe__read_wrong(r, key, "takes a number greater than 0");
        return otherwise;
    }
    return found;
}

bool qe__read_flag(qe__reader *r, const cJSON *object, const char *key)
{
    const cJSON *item = qe__read_get(object, key);

    if (item != NULL && !cJSON_IsBool(item)) {
        qe__read_wrong(r, key, "takes true or false");
    }
    return cJSON_IsTrue(item);
}

/* Bytes: a number, or such as "512M", "2 GiB": K, M, G and T are powers of 1024. */
static bool parse_size(const char *text, double *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    const char *unit;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    *bytes = strtod(text, &end);
    while (*end == ' ') {
        end++;
    }
    unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (unit != NULL) {
        *bytes = ldexp(*bytes, 10 * (int) (unit - units + 1));
        end += end[1] == 'i' ? 2 : 1;
    }
    end += *end == 'B';
    return *end == '\0' && *bytes >= 1 && *bytes <= MOST;
}

uint64_t qe__read_size(qe__reader *r, const cJSON *object, const char *key)
{
    const cJSON *item = qe__read_get(object, key);
    double bytes = 0;

    if (item == NULL) {
        return 0;
    }
    if (cJSON_IsNumber(item)) {
        bytes = item->valuedouble;
    } else if (!cJSON_IsString(item) ||
               !parse_size(item->valuestring, &bytes)) {
        bytes = 0;
    }
    if (!(bytes >= 1 && bytes <= MOST)) {
        qe__read_wrong(r, key,
                       "takes a number of bytes, or one such as 512M or 2G");
        return 0;
    }
    return (uint64_t) bytes;
}

void qe__read_room(qe__reader *r, const cJSON *object, const char *key,
                   const char *instances, qe__room *room)
{
    const cJSON *item = qe__read_get(object, key);
    size_t n = strlen(r->path);

    if (item == NULL) {
        return;
    }
    if (!cJSON_IsObject(item)) {
        qe__read_wrong(r, key, "takes keys");
        return;
    }
    (void) snprintf(r->path + n, sizeof(r->path) - n, ".%s", key);
    room->memory_bytes = qe__read_size(r, item, "memory");
    room->cpu_milli =
        (uint32_t) ceil(fmin(qe__read_positive(r, item, "cpu", 0), 1e6) * 1000);
    room->instances =
        (uint32_t) qe__read_whole(r, item, instances, 1, 1e6, room->instances);
    r->path[n] = '\0';
}

/* Each text of a list, in turn; NULL behind the last, and where it is none. */
const cJSON *qe__read_texts(qe__reader *r, const cJSON *object, const char *key)
{
    const cJSON *list = qe__read_get(object, key), *item;

    if (list == NULL) {
        return NULL;
    }
    if (!cJSON_IsArray(list)) {
        qe__read_wrong(r, key, "takes a list");
        return NULL;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item)) {
            qe__read_wrong(r, key, "takes a list of names");
            return NULL;
        }
    }
    return list->child;
}
