/* A run as bytes, for a log that machines share. Internal. */
#ifndef QE_HISTORY_PACK_H
#define QE_HISTORY_PACK_H

#include "qe_record.h"

/* Bytes that grow; starts as zeroes, and free(bytes) ends it. */
typedef struct qe__bytes {
    unsigned char *bytes;
    size_t size, capacity;
    bool full; /* there was no memory */
} qe__bytes;

void qe__pack_number(qe__bytes *out, uint64_t value);
void qe__pack_signed(qe__bytes *out, int64_t value);
/* NULL is told from "". What is too long for a log is cut, between two letters. */
void qe__pack_text(qe__bytes *out, const char *text);
/* An attempt's, which may be that of its test. */
void qe__pack_message(qe__bytes *out, const char *message, const char *known);
void qe__pack_bytes(qe__bytes *out, const void *bytes, size_t size);
/* Seconds as nanoseconds; what is no duration is 0. */
uint64_t qe__pack_ns(double seconds);
/* A test's name, told by what it shares with the one before. */
void qe__pack_name(qe__bytes *out, const char *before, const char *name);

#define QE__PACK_HEAD "QEr\1" /* with the version */
#define QE__PACK_NAME 65535u  /* bytes of a test's name, at most */
#define QE__PACK_NAMES ((size_t) 128 << 20) /* of all names of a run */
#define QE__PACK_TESTS 1000000u
#define QE__PACK_ATTEMPTS 1000000u

typedef struct qe__packed_run {
    double started_s, wall_s;
    uint32_t workers;
} qe__packed_run;

/* Reads what the history has made of a run. QE_EFORMAT: it has not; then, and where there is no
 * memory, there is no record. */
int qe__unpack(const void *bytes, size_t size, qe__packed_run *run,
               qe_record **out);

#endif
