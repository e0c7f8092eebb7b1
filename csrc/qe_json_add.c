#include "qe_json_add.h"

#include <stdlib.h>

#include "qe_json_text.h"

/* cJSON writes the bytes of a string as they are; what is no UTF-8 is handed
 * to it as text that is escaped already. */
cJSON *qe__json_string(const char *value)
{
    cJSON *string;
    char *quoted;

    if (qe__utf8_valid(value)) {
        return cJSON_CreateString(value);
    }
    quoted = qe__json_quote(value);
    if (quoted == NULL) {
        return NULL;
    }
    string = cJSON_CreateRaw(quoted);
    free(quoted);
    return string;
}

bool qe__json_add_string(cJSON *object, const char *key, const char *value)
{
    cJSON *string = qe__json_string(value);

    if (string == NULL) {
        return false;
    }
    if (!cJSON_AddItemToObject(object, key, string)) {
        cJSON_Delete(string);
        return false;
    }
    return true;
}

bool qe__json_add_number(cJSON *object, const char *key, double value)
{
    return cJSON_AddNumberToObject(object, key, value) != NULL;
}
