/* What the writers of JSON share: members of objects, false where memory is short.
 * Internal. */
#ifndef QE_JSON_ADD_H
#define QE_JSON_ADD_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* A string, of any bytes: those that are no UTF-8 become lone surrogates, as of
 * qe__json_quote. NULL: out of memory. */
cJSON *qe__json_string(const char *value);
bool qe__json_add_string(cJSON *object, const char *key, const char *value);
bool qe__json_add_number(cJSON *object, const char *key, double value);

#endif
