/* A worker's handle, shared by qe_worker.c (its life) and qe_worker_new.c (how
 * it comes to be). Internal. */
#ifndef QE_WORKER_H
#define QE_WORKER_H

#include "qe_changing.h"
#include "qe_exec.h"
#include "qe_proc.h"

struct qe_worker {
    qe__arena *arena;
    qe__arena own; /* where this process attached to it by itself */
    qe__arena_slot *slot;
    uint32_t number;
    pid_t pid;
    int bell; /* the controller's eventfd */
    int capture[2];
    int stack;
    bool single_done;
    bool running;
    bool unlimited; /* what runs has no limit any more */
    qe_claim now;
    qe__changing changing; /* what is changed around it */
    double cpu_before_s;
    int clear_refs; /* /proc/self/clear_refs, or -1 */
    /* Of a keeper alone: */
    int control; /* the supervisor's requests, or -1 */
    pid_t super;
    const qe__slot_files *files; /* of all slots */
    uint32_t slots;
    bool told; /* that it is ready */
};

/* How a command ended. */
typedef struct qe__ending {
    enum qe_outcome outcome;
    int status;
    qe__usage usage;
    uint32_t stdout_bytes;
    const void *data;
    size_t size;
} qe__ending;

/* Likewise qe_worker_finish, for a command. */
int qe__worker_end(qe_worker *w, const qe__ending *end);

/* The keeper is ready: lifts the limit, and says so once. */
int qe__worker_idle(qe_worker *w);

#endif
