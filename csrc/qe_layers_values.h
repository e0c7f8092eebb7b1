/* Reading values of a configuration of layers: what is not as it should be is a mistake, and
 * gives what would be there without it. Internal. */
#ifndef QE_LAYERS_VALUES_H
#define QE_LAYERS_VALUES_H

#include "qe_layering.h"

/* Where we are, so that a mistake can say it. */
typedef struct qe__reader {
    qe_layers *l;
    char path[QE__PATH_BYTES];
} qe__reader;

/* A mistake at a key ("": here). */
void qe__read_wrong(qe__reader *r, const char *key, const char *message);
/* NULL where there is none, or null. */
const cJSON *qe__read_get(const cJSON *object, const char *key);
double qe__read_number(qe__reader *r, const cJSON *object, const char *key,
                       double least, double otherwise);
double qe__read_whole(qe__reader *r, const cJSON *object, const char *key,
                      double least, double most, double otherwise);
/* More than none. */
double qe__read_positive(qe__reader *r, const cJSON *object, const char *key,
                         double otherwise);
bool qe__read_flag(qe__reader *r, const cJSON *object, const char *key);
/* Bytes: a number, or text such as "512M". */
uint64_t qe__read_size(qe__reader *r, const cJSON *object, const char *key);
/* Memory, processors, and instances by the key of that name. */
void qe__read_room(qe__reader *r, const cJSON *object, const char *key,
                   const char *instances, qe__room *room);
/* The first of a list of texts, with the next ones behind it; NULL: there is none. */
const cJSON *qe__read_texts(qe__reader *r, const cJSON *object,
                            const char *key);

#endif
