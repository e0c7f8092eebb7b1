/* The file that says what a run is doing. Internal. */
#ifndef QE_LIVE_FILE_H
#define QE_LIVE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "qe.h"

typedef struct qe__live {
    char *folder;    /* NULL: nothing is published */
    char *path;      /* of the file, in that folder; */
    char *temporary; /* where it is written first */
    char *about;
    char **names; /* of items */
    size_t name_count;
    pid_t owner;
    uint64_t pid_start; /* in ticks since the boot */
    char boot[40];
    double started_s;
    uint64_t due_ns; /* when it is to be written next */
    bool prepared;   /* the folder is there, and what was old in it is not */
    bool there;      /* the file is */
} qe__live;

/* Nothing is written before the first qe__live_write. Starts as zeroes. */
int qe__live_open(qe__live *live, const char *folder, const char *about_json,
                  const char *const *names, size_t n, uint64_t now_ns);
/* Replaces what the file says. Where it cannot be written it is gone, or says
 * what it has said before. */
void qe__live_write(qe__live *live, const char *text);
/* Removes the file, and frees; in a fork of the owner the file stays. */
void qe__live_close(qe__live *live);

#endif
