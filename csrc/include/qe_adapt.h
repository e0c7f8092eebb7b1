/*
 * How loaded the machine is, and how many commands are to run at once by that. Part of
 * qe.h, which includes it.
 */
#ifndef QE_ADAPT_H
#define QE_ADAPT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Since the last look; shares from 0 to 1, negative where the system does not say. */
typedef struct qe_pressure {
    double cpu;    /* of the time in which somebody waited for a processor */
    double memory; /* likewise, for memory */
    double free_memory; /* what is left of the machine's, or of what a control
                            group of this process may have, whichever is less */
    double load;        /* tasks that ran or waited, a processor; not a share */
} qe_pressure;

/* Reads /proc/pressure (pressure stall information), /proc/meminfo, /proc/loadavg, and the memory
 * limits of this process's control groups. */
typedef struct qe_gauge qe_gauge;
QE_API int qe_gauge_new(qe_gauge **out);
QE_API void qe_gauge_free(qe_gauge *g);
/* The first look knows no stalls: cpu and memory are then negative. */
QE_API void qe_gauge_read(qe_gauge *g, uint64_t now_ns, qe_pressure *out);

enum qe_adapt_why {
    QE_ADAPT_KEPT = 0,
    QE_ADAPT_ROOM,  /* more may run: nothing is short */
    QE_ADAPT_CPU,   /* fewer: processors are short */
    QE_ADAPT_MEMORY /* fewer: memory is short */
};

/* How many at once, and how far apart. `running` and `throttle_ns` are to be set by the
 * host at first; then only qe_adapt_next changes them. */
typedef struct qe_adapt {
    uint32_t running;           /* at least 1 */
    uint32_t most;              /* ... and at most so many */
    uint32_t processors;        /* no fewer for want of processors */
    uint64_t throttle_ns;       /* between two starts */
    uint64_t first_throttle_ns; /* ... at most four times as much, or 20 ms */
    bool met;      /* something was short before: growth is slow from then on */
    uint32_t rest; /* looks to come before processors count again */
} qe_adapt;

/* To be asked a few times a second. `full`: as many run as may. Growth is by half at
 * first, then one at a time; want of processors takes a quarter, and then nothing
 * changes for some looks, as what runs goes on; of memory half (after the additive
 * increase and multiplicative decrease of Chiu and Jain, 1989). */
QE_API enum qe_adapt_why qe_adapt_next(qe_adapt *a, const qe_pressure *p,
                                       bool full);
/* "kept", "room", "cpu", "memory". */
QE_API const char *qe_adapt_name(enum qe_adapt_why why);

#ifdef __cplusplus
}
#endif

#endif
