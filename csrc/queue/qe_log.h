/* What machines remember together: the log of a project's runs on a server, and its quarantine. A run is
 * bytes here, of the history's (qe_replica.h). Nothing of what a server answers is trusted: it is
 * bounded, and names of logs and entries are checked. Calls block, each at most as long as the reader is
 * given for one. Internal.
 *
 * Keys: PREFIX:{PROJECT/}:history, a stream with a name and a run in each entry, :history-names, which of them
 * it has or had lately, :history-born, the log's own name, and :quarantine, a hash. All of them live for
 * QE__LOG_KEPT_S after they were last used. */
#ifndef QE_LOG_H
#define QE_LOG_H

#include "qe_board_read.h"

#define QE__LOG_KEPT_S 7776000u /* 90 days */
#define QE__LOG_PIECE                                                          \
    ((size_t) 2 << 20)        /* bytes of runs at once, and one run more */
#define QE__LOG_ENTRIES 64u   /* at once */
#define QE__HELD_MAX 10000u   /* entries of a quarantine */
#define QE__HELD_BYTES 40000u /* of one */

/* Appends a run of this name, if the log has none, and lets it keep `keep` runs. *added: whether it had none.
 * May be called again where the answer was lost. */
int qe__log_append(qe__reader *r, const char *name, const void *bytes,
                   size_t size, uint32_t keep, bool *added);
/* Calls `visit` for entries behind the one that was taken last, a piece of them; from the start, where the log
 * is not the one of that name. `born` is set to its name: "", where there is none. Where `visit` returns
 * other than 0, that ends it and is returned. */
int qe__log_read(qe__reader *r, char born[QE_LOG_BORN], const char *after,
                 int (*visit)(void *arg, const qe_log_entry *entry), void *arg);

/* Calls `visit` for each entry of the quarantine, in no order: an id, and what is said of it. */
int qe__log_held(qe__reader *r,
                 int (*visit)(void *arg, const void *id, size_t id_size,
                              const void *value, size_t size),
                 void *arg);
/* Adds an entry. QE_ESTATE: there is one of this id, or there are too many. */
int qe__log_hold(qe__reader *r, const char *id, const char *value);
/* Takes an entry away; *gone: whether it was there. */
int qe__log_release(qe__reader *r, const char *id, bool *gone);

#endif
