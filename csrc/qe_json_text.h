/* JSON text where cJSON does not serve: bytes that are no UTF-8, and a host's
 * object that must arrive unchanged. Internal. */
#ifndef QE_JSON_TEXT_H
#define QE_JSON_TEXT_H

#include "qe.h"

/* How many bytes the well-formed UTF-8 sequence at `s` has (1 to 4); 0 where
 * there is none. `s` ends with a NUL, which counts as a sequence of 1. */
size_t qe__utf8_length(const char *s);
bool qe__utf8_valid(const char *s);

/* A JSON string literal, quotes and all. Each byte that is not part of
 * well-formed UTF-8 becomes an escaped lone surrogate, \udc80 to \udcff: Python
 * (PEP 383) turns these back into the same bytes. NULL: out of memory; free
 * with qe_free. */
char *qe__json_quote(const char *s);

/* Whether `text` is one JSON object (RFC 8259) in well-formed UTF-8, nested at
 * most 128 deep, and nothing else. */
bool qe__json_is_object(const char *text);

#endif
