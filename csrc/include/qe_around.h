/*
 * What is changed around a pass, so that a failure can be seen with a change and
 * without it: surroundings of its worker, by name. Part of qe.h, which includes it.
 *
 * Nothing here needs root, and nothing of it outlives the worker, whatever ends that.
 * Those of the first list are done by the core (qe_worker_around); those of the second
 * by the host, in its own language, as they are about its own library.
 */
#ifndef QE_AROUND_H
#define QE_AROUND_H

#define QE_AROUND_LIST(X)                                                      \
    /* By the core. */                                                         \
    X(ONE_CPU, 0, "one_cpu") /* one processor of those allowed */              \
    X(IDLE, 1, "idle")       /* runs where nothing else wants to */            \
    X(BUSY, 2, "busy")       /* processes beside it that compute, in bursts */ \
    X(JITTER, 3, "jitter")   /* is held now and then, for up to 200 ms */      \
    X(NO_NETWORK, 4, "no_network")       /* loopback alone */                  \
    X(FEW_FILES, 5, "few_files")         /* room for 8 more descriptors */     \
    X(SMALL_FILES, 6, "small_files")     /* no file grows beyond 16 KiB */     \
    X(LITTLE_MEMORY, 7, "little_memory") /* 32 MiB more address space */       \
    X(FILES, 8, "files")      /* a set of folders of its own, see qe_places */ \
    X(CLOCK, 9, "clock")      /* each attempt begins at one wall clock time */ \
    X(PARTNER, 10, "partner") /* begins together with another pass */          \
    /* By the host. */                                                         \
    X(ENTROPY, 11, "entropy") /* what is random comes from the seed, too */    \
    X(SLOW_THREADS, 12, "slow_threads") /* delays in threads but the main */   \
    X(SLOW_MAIN, 13, "slow_main")       /* delays in the main thread */        \
    X(C_LOCALE, 14, "c_locale")                                                \
    X(ZONE, 15, "zone") /* a time zone far from UTC */                         \
    /* Never asked for: how FILES was done, where the system refused it. */    \
    X(TMP_BY_NAME, 16, "tmp_by_name")   /* by TMPDIR alone */                  \
    X(HOME_BY_NAME, 17, "home_by_name") /* by HOME alone */

enum qe_around_flag {
#define QE_X(name, bit, text) QE_##name = 1 << (bit),
    QE_AROUND_LIST(QE_X)
#undef QE_X
};

/* "one_cpu", ...; NULL for what is not one of the flags. */
QE_API const char *qe_around_name(uint32_t flag);
/* The flag of such a name; 0 for others, and for those that cannot be asked for. */
QE_API uint32_t qe_around_flag(const char *name);

/* What is changed around a pass. */
typedef struct qe_around {
    uint32_t flags;
    uint32_t files;   /* FILES: number of the set; passes of a run with equal
                         numbers share one, and no other does */
    uint32_t partner; /* PARTNER: two passes with equal numbers are partners */
    double clock_s;   /* CLOCK: what the clock shows when an attempt begins */
} qe_around;

/* What FILES needs to know. All absolute; nothing is kept after the call. */
typedef struct qe_places {
    const char
        *folder;     /* the sets of the run lie in it, and go with it: set N has
                           "N/tmp" and "N/home". Made where it is missing, in a
                           folder that is the user's own; NULL: FILES is refused */
    const char *tmp; /* the folder of temporary files; NULL: it stays shared */
    const char *home; /* the user's; NULL: likewise */
    const char *const
        *keep; /* folders that stay what they are wherever they lie
                                (the project, what the host itself writes to), then
                                NULL; NULL: none. The current one is kept, too */
} qe_places;

/* The seed of an attempt: that of its pass, a key of its test, which stays where others
 * come and go (a hash of its name, say), and how often that test ran in this pass before.
 * What draws by it draws the same whatever ran before; and the second run of a test
 * draws as the first of a pass whose seed is one higher. */
QE_API uint64_t qe_attempt_seed(uint64_t pass_seed, uint32_t key, uint32_t nth);

#endif
