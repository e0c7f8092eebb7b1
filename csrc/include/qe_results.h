/*
 * What happened in a run, and what is remembered of runs: the record, which reports are
 * made from, and the history, an SQLite database. Part of qe.h, which includes it.
 */
#ifndef QE_RESULTS_H
#define QE_RESULTS_H

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ record */

/* One attempt, as remembered and reported. */
typedef struct qe_attempt {
    uint32_t item; /* index into the record's tests */
    uint32_t pass, attempt, worker;
    enum qe_outcome outcome;
    double start_s, duration_s, cpu_s;
    uint64_t peak_bytes;
    int status;          /* wait status where the process died, else 0 */
    const char *message; /* one line, NULL for none; copied */
} qe_attempt;

/* Flakiness of one test in the compatible terms. */
enum qe_pattern { QE_STABLE_PASS, QE_STABLE_FAIL, QE_INTERMITTENT, QE_RANDOM };
QE_API const char *qe_pattern_name(enum qe_pattern pattern);

typedef struct qe_flakiness {
    uint32_t passes, failures;
    double score;  /* 2*min(p,f)/n, 0 where n = 0 */
    bool is_flaky; /* 0 < p < n */
    enum qe_pattern pattern;
} qe_flakiness;

/* Counts, then judges, a sequence of results (1: passed, 0: failed, anything
 * else: not counted). INTERMITTENT: more than 70 % of neighbouring results are
 * equal, otherwise RANDOM. QE_EINVAL if nothing counts. */
QE_API int qe_flakiness_of(const uint8_t *results, size_t n, qe_flakiness *out);

/* What happened in a run, by test. The one source of history and reports. */
typedef struct qe_record qe_record;

QE_API int qe_record_new(qe_record **out);
QE_API void qe_record_free(qe_record *r);
/* Adds a test; its item number is the count of those added before. */
QE_API int qe_record_add_test(qe_record *r, const char *id);
QE_API int qe_record_add_attempt(qe_record *r, const qe_attempt *attempt);
/* The test's outcome, and what failed in it (NULL: nothing), for the report. */
QE_API int qe_record_set_outcome(qe_record *r, uint32_t item,
                                 enum qe_outcome outcome, const char *message);
/* What was tested: the code's revision and branch. NULL: unknown; copied. */
QE_API int qe_record_set_code(qe_record *r, const char *revision,
                              const char *branch);
/* The condition of a pass: its name ("shuffled", ...), copied, and the seed
 * that repeats it. */
QE_API int qe_record_add_pass(qe_record *r, uint32_t pass, const char *name,
                              uint64_t seed);
/* The test's failures are known, and do not fail the run. */
QE_API int qe_record_set_quarantined(qe_record *r, uint32_t item);
/* The names of the test's marks, one a line (NULL: none); copied. */
QE_API int qe_record_set_marks(qe_record *r, uint32_t item, const char *marks);
/* How long the history knew an attempt at the test to take, before this run. */
QE_API int qe_record_set_expected(qe_record *r, uint32_t item,
                                  double expected_s);
/* What an attempt left for people to read: how it failed (a traceback), named by the
 * phase, or what it printed, named by where. */
enum qe_text_kind { QE_TEXT_FAILURE, QE_TEXT_OUTPUT, QE_TEXT_KINDS };
/* Adds a text to an attempt that was added; both strings are copied. They appear in the
 * order in which they are added. QE_ENOTFOUND where there is no such attempt. */
QE_API int qe_record_add_text(qe_record *r, uint32_t item, uint32_t pass,
                              uint32_t attempt, enum qe_text_kind kind,
                              const char *name, const char *text);
/* The test's flakiness over the final attempt of each pass. */
QE_API int qe_record_flakiness(const qe_record *r, uint32_t item,
                               qe_flakiness *out);
/* Writes the JSON result (docs/result.schema.json) to `path`, atomically: a
 * temporary file beside it, then a rename. `run_json` is a JSON object of the
 * host's (seed, shard, versions, ...), set as "run"; NULL for {}. With
 * `flaky`, each test gets its flakiness. */
QE_API int qe_record_write_json(const qe_record *r, const char *path,
                                const char *run_json, bool flaky);

/* Writes the attempts as a trace for Perfetto and chrome://tracing, in the same way: a
 * thread a worker, a slice an attempt, in microseconds since `started_s`. (Format:
 * "Trace Event Format", complete events.) */
QE_API int qe_record_write_trace(const qe_record *r, const char *path,
                                 double started_s);

/* Writes a text to `path` in the same way: whole, or not at all. */
QE_API int qe_write_file(const char *path, const char *text);

/* ----------------------------------------------------------------- history */

typedef struct qe_history qe_history;

/* Opens or makes the database. A corrupt file, or another program's, is
 * QE_ECORRUPT, one of a newer version of QE QE_EUNSUPPORTED, one that another
 * process holds for more than 2 s QE_EBUSY, one that cannot be made or written
 * QE_EREADONLY, a full disk QE_ESYS with errno; nothing is changed then.
 * Several processes may hold one open. */
QE_API int qe_history_open(qe_history **out, const char *path);
/* As qe_history_open, for who only reads: nothing is made, and nothing written but
 * what a killed process has left unfinished, or an older version of QE; a medium that
 * cannot be written will do. What writes is QE_EREADONLY then. QE_ENOTFOUND where there
 * is no file, or nothing in it. */
QE_API int qe_history_open_to_read(qe_history **out, const char *path);
QE_API void qe_history_close(qe_history *h);
/* Saves a run with its attempts and outcomes, whole or not at all. */
QE_API int qe_history_save(qe_history *h, const qe_record *r, double started_s,
                           double wall_s, uint32_t workers, int64_t *run_id);
/* Expected durations: the median of the last (at most 5) passed attempts of
 * each id, 0 where unknown. */
QE_API int qe_history_durations(qe_history *h, const char *const *ids, size_t n,
                                uint64_t *out_ns);
/* Executions that each id has passed since it last failed; 0 where unknown. A
 * pass on a retry is no evidence, since a failure came before it: only first
 * attempts count. The counts outlive the runs that qe_history_gc drops. */
QE_API int qe_history_clean(qe_history *h, const char *const *ids, size_t n,
                            uint64_t *out);
/* Calls `visit` for each known id that begins with `prefix`, in order. The id
 * is valid during the call. Where `visit` returns other than 0, that ends it
 * and is returned. `visit` must not use the history. */
QE_API int qe_history_names(qe_history *h, const char *prefix,
                            int (*visit)(void *arg, const char *id), void *arg);

/* A test's executions that have one label: all of a day (local time), of one
 * revision, of one branch, or of one condition. */
enum qe_history_by { QE_BY_DAY, QE_BY_REVISION, QE_BY_BRANCH, QE_BY_CONDITION };
typedef struct qe_history_row {
    const char *label;         /* "" where unknown */
    uint64_t failures, passes; /* of first attempts */
    uint64_t recovered;        /* passes on a retry, at the same code */
    double first_s, last_s;    /* when its runs began */
    double mean_s, longest_s;  /* that its passes took; 0: there are none */
} qe_history_row;
/* Calls `visit` for each test with how often it has failed and passed, in first
 * attempts; otherwise as qe_history_names, but in no order. */
QE_API int qe_history_counts(qe_history *h,
                             int (*visit)(void *arg, const char *id,
                                          uint64_t failures, uint64_t passes),
                             void *arg);
/* Calls `visit` for each label of a test, oldest first; otherwise as
 * qe_history_names. A test that is not known has none. */
QE_API int qe_history_rates(qe_history *h, const char *id,
                            enum qe_history_by by,
                            int (*visit)(void *arg, const qe_history_row *row),
                            void *arg);
/* A run that is remembered. */
typedef struct qe_history_run {
    int64_t id;
    double started_s, wall_s; /* since the epoch; how long it took */
    uint32_t workers;
    const char *revision, *branch;       /* "" where unknown */
    uint64_t outcomes[QE_OUTCOME_COUNT]; /* tests, by enum qe_outcome */
} qe_history_run;
/* Calls `visit` for the newest runs, at most `most`, newest first; otherwise as
 * qe_history_names. */
QE_API int qe_history_runs(qe_history *h, uint32_t most,
                           int (*visit)(void *arg, const qe_history_run *run),
                           void *arg);
/* Calls `visit` for one run; otherwise as qe_history_names. QE_ENOTFOUND where there
 * is no such run. */
QE_API int qe_history_find_run(qe_history *h, int64_t run,
                               int (*visit)(void *arg,
                                            const qe_history_run *run),
                               void *arg);
/* Calls `visit` for each attempt of a run, in the order in which they began;
 * otherwise as qe_history_names. Its `item` says nothing. QE_ENOTFOUND where there
 * is no such run. */
QE_API int qe_history_attempts(qe_history *h, int64_t run,
                               int (*visit)(void *arg, const char *id,
                                            const qe_attempt *attempt),
                               void *arg);
/* Calls `visit` for each test of a run with what became of it (`message`: NULL, or
 * why), in no order; otherwise as qe_history_attempts. */
QE_API int qe_history_outcomes(qe_history *h, int64_t run,
                               int (*visit)(void *arg, const char *id,
                                            enum qe_outcome outcome,
                                            const char *message),
                               void *arg);
/* Calls `visit` for the last attempts of a test, at most `most`, newest first, each
 * with its run (without outcomes); otherwise as qe_history_attempts. A test that is
 * not known has none. */
QE_API int qe_history_executions(qe_history *h, const char *id, uint32_t most,
                                 int (*visit)(void *arg,
                                              const qe_history_run *run,
                                              const qe_attempt *attempt),
                                 void *arg);

/* A test over all runs that are remembered. */
typedef struct qe_history_test {
    const char *id;
    uint64_t failures, passes; /* of first attempts */
    double low, high;   /* 95 % interval of its failure rate (Jeffreys) */
    uint64_t median_ns; /* as qe_history_durations */
} qe_history_test;
enum qe_history_top {
    QE_TOP_FLAKIEST, /* failed and passed: the nearer to even, the flakier */
    QE_TOP_FAILING,  /* by failures */
    QE_TOP_SLOWEST   /* by their median */
};
/* Calls `visit` for the tests that stand out, at most `most`, the first most of
 * all; otherwise as qe_history_names. `known`: how many tests ever ran to their
 * end, `found`: how many of them there is something to say of. */
QE_API int qe_history_top(qe_history *h, enum qe_history_top by, uint32_t most,
                          uint64_t *known, uint64_t *found,
                          int (*visit)(void *arg, const qe_history_test *test),
                          void *arg);
/* Keyed results. ttl_s <= 0: kept for ever. An expired entry is QE_ENOTFOUND
 * at once; each put takes some that have expired off the disk, qe_history_gc
 * all. A put or delete that another process holds up for more than 2 s is
 * QE_EBUSY, and changes nothing. *value_out is freed by the caller with
 * qe_free. */
QE_API int qe_history_put(qe_history *h, const char *key, const char *value,
                          double ttl_s);
QE_API int qe_history_get(qe_history *h, const char *key, char **value_out);
/* QE_ENOTFOUND where there is nothing to delete. */
QE_API int qe_history_delete(qe_history *h, const char *key);
/* Calls `visit` for each key that is alive and matches `pattern`, in order: *
 * stands for any letters, ? for one, [a-z] for one of a set (SQLite's GLOB); at
 * most 4096 bytes, or QE_ETOOBIG. `expires_s`: seconds since the epoch, 0 for
 * never. Otherwise as qe_history_names. */
QE_API int qe_history_keys(qe_history *h, const char *pattern,
                           int (*visit)(void *arg, const char *key,
                                        double expires_s),
                           void *arg);
/* Drops expired entries, and runs but the newest `keep_runs`. */
QE_API int qe_history_gc(qe_history *h, uint32_t keep_runs);

#ifdef __cplusplus
}
#endif

#endif
