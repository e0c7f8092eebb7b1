/*
 * A history that several machines share: a server keeps a log of runs, and each machine a history
 * of its own that follows it, a replica. What is asked, is asked of the replica. Here are the runs as
 * bytes, and where in the log a replica is; who talks to the server is csrc/queue/qe_log.h.
 * Part of qe.h, which includes it.
 */
#ifndef QE_REPLICA_H
#define QE_REPLICA_H

#ifdef __cplusplus
extern "C" {
#endif

#define QE_LOG_NAME 33u /* bytes of a run's name, NUL included: 32 hex digits */
#define QE_LOG_BORN 33u /* of a log's */
#define QE_LOG_ENTRY 48u /* of an entry's: two numbers with a - between them */
#define QE_LOG_RUN ((size_t) 16 << 20) /* bytes of a run, at most */

/* Makes the history a replica, for good: each run that is saved from now on gets a name that no other
 * run has, and is to be appended to the log. Does nothing to one that is a replica. */
QE_API int qe_history_follow(qe_history *h);
/* Where it is: the log's name, and the last entry that was taken ("": none yet). QE_ESTATE where it is
 * no replica. */
QE_API int qe_history_followed(qe_history *h, char born[QE_LOG_BORN],
                               char entry[QE_LOG_ENTRY]);
/* Calls `visit` for each run that was saved here and is not known to be in the log, oldest first. Where
 * `visit` returns other than 0, that ends it and is returned. `visit` may use the history. */
QE_API int qe_history_unsent(qe_history *h,
                             int (*visit)(void *arg, const char *name,
                                          int64_t run),
                             void *arg);
/* A run as bytes, freed by qe_free, and how many tests it has. QE_ETOOBIG: it has more than a log takes
 * (QE_LOG_RUN, and a million attempts), QE_ENOTFOUND: there is no such run. */
QE_API int qe_history_export(qe_history *h, int64_t run, void **bytes,
                             size_t *size, uint32_t *tests);
/* A run of this name is in the log. */
QE_API int qe_history_sent(qe_history *h, const char *name);

/* An entry of a log, as a server gave it: nothing of it is trusted. */
typedef struct qe_log_entry {
    const char *entry, *name;
    const void *bytes;
    size_t size;
} qe_log_entry;

/* Takes runs in, in their order, and remembers the last entry as taken: all of it, or nothing. A run whose
 * name is known is not taken twice. `taken`: how many were new; `odd`: how many are no runs of ours, and
 * were passed over. QE_EINVAL for what is no name of a log or of an entry. */
QE_API int qe_history_take(qe_history *h, const char *born,
                           const qe_log_entry *entries, size_t n,
                           uint32_t *taken, uint32_t *odd);

#ifdef __cplusplus
}
#endif

#endif
