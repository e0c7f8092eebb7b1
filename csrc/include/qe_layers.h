/*
 * Layers of tests: a configuration, what is wrong with it, and what of it starts when. Part
 * of qe.h, which includes it.
 *
 * Pure: hosts read files, look at services, execute commands and tell the time.
 */
#ifndef QE_LAYERS_H
#define QE_LAYERS_H

#ifdef __cplusplus
extern "C" {
#endif

/* A configuration. Immutable. */
typedef struct qe_layers qe_layers;

/* Reads a configuration, a JSON object as docs/layers.md describes it, lays what
 * `environment_overrides` has for `environment` (NULL: nothing) over it, key by key
 * (categories by their name), and checks it. QE_EINVAL: it is no JSON object, QE_ENOMEM.
 * Other mistakes are told by qe_layers_errors. */
QE_API int qe_layers_new(qe_layers **out, const char *json,
                         const char *environment);
QE_API void qe_layers_free(qe_layers *l);
/* What is wrong with it, as a JSON array, empty if nothing is: objects with `path`
 * ("layers.unit.categories[0].depends_on[1]"), `message` (a line), and where a name is not
 * known `unknown` and `known` (those there are). */
QE_API const char *qe_layers_errors(const qe_layers *l);
/* The configuration with the overrides in it, as JSON; free with qe_free. NULL: out of
 * memory. */
QE_API char *qe_layers_merged(const qe_layers *l);

/* What starts when, of some layers of a configuration: the scheduler of their
 * categories, which are numbered from 0 as qe_stage_plan has them. */
typedef struct qe_stage qe_stage;

enum qe_stage_kind {
    QE_STAGE_START, /* an attempt of a category; its room is reserved */
    QE_STAGE_STOP,  /* it runs, and is to be ended: of why; once */
    QE_STAGE_SKIP,  /* it will not run: of why; once */
    QE_STAGE_WAIT,  /* for an end, or until wake_ns (UINT64_MAX: none) */
    QE_STAGE_DONE   /* every category has ended or is skipped */
};

enum qe_stage_why {
    QE_STAGE_NO_REASON = 0,
    QE_STAGE_DEPENDENCY, /* category `of`, which it needs, did not pass */
    QE_STAGE_LAYER,     /* layer `of`, which its layer needs, did not succeed */
    QE_STAGE_FAIL_FAST, /* category `of` failed, and its layer is to stop then */
    QE_STAGE_LIMIT,     /* the time of its layer is over */
    QE_STAGE_CANCELLED,
    QE_STAGE_SERVICE /* a service that its layer needs is not there */
};

typedef struct qe_stage_step {
    enum qe_stage_kind kind;
    enum qe_stage_why why;
    uint32_t category, layer;
    uint32_t attempt; /* from 1 */
    uint32_t of;      /* a category, or a layer */
    uint64_t wake_ns;
} qe_stage_step;

/* Takes a configuration without mistakes, which must outlive it, and `options`, a JSON
 * object:
 *   layers              ids, in the order in which they are to run; absent: all
 *   strategy            of all of them: sequential, parallel_unlimited, parallel_limited,
 *                       hybrid_smart; absent: by their execution modes
 *   max_parallel        categories at once; 0 or absent: as the layers say
 *   timeout_multiplier  beside that of the layer; absent: 1
 *   fail_fast           of all of them; absent: as the layers say
 *   gates               each layer needs those before it, but for those in the background
 *   machine             memory (bytes) and cpu (processors) that there are; absent: enough
 *   expected            seconds by "layer/category", such as the last ones
 * QE_EINVAL: not such an object, a layer that there is not, or a configuration with
 * mistakes. A category whose needs can never be met is told by qe_stage_errors. */
QE_API int qe_stage_new(qe_stage **out, const qe_layers *l,
                        const char *options);
QE_API void qe_stage_free(qe_stage *s);
/* As qe_layers_errors: what can never run. Nothing starts where there is any. */
QE_API const char *qe_stage_errors(const qe_stage *s);
/* What there is to run, as JSON: layers with their categories, in the order in which they
 * would begin, with limits in seconds, needs, and the critical path. Free with qe_free. */
QE_API char *qe_stage_plan(const qe_stage *s);

/* What is to be done now. To be called again until it says WAIT or DONE. */
QE_API int qe_stage_next(qe_stage *s, uint64_t now_ns, qe_stage_step *out);
/* An attempt has ended, with so many tests that passed and failed (0, 0: not known). Its
 * room is free; where it failed and has retries left it will start again: *again. */
QE_API int qe_stage_ended(qe_stage *s, uint32_t category, bool passed,
                          uint64_t tests_passed, uint64_t tests_failed,
                          bool *again);
/* What was to start cannot yet: somebody else has what it needs for itself. Its room is
 * free, and it starts, as the same attempt, not before `again_ns`. */
QE_API int qe_stage_refused(qe_stage *s, uint32_t category, uint64_t again_ns);
/* None of a layer's categories will start any more. */
QE_API int qe_stage_drop(qe_stage *s, uint32_t layer, enum qe_stage_why why);
/* Nothing starts any more, and what runs is to be ended. */
QE_API void qe_stage_cancel(qe_stage *s);
/* Whether a layer has succeeded by its criteria: all its categories passed, where it has
 * none. False as long as any has not ended. *rate: tests that passed, in percent, negative
 * where it is not known. */
QE_API bool qe_stage_succeeded(const qe_stage *s, uint32_t layer, double *rate);
/* "dependency", "layer", ...; "" for none. */
QE_API const char *qe_stage_why_name(enum qe_stage_why why);

#ifdef __cplusplus
}
#endif

#endif
