/* What is run in the model, and how others would share it. */
#include "queue_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_heap.h"
#include "qe_plan.h"
#include "qe_sched.h"

#define SIGMA 1.5       /* of lognormal durations */
#define ALPHA 1.5       /* of Pareto's */
#define SCOPE_SIGMA 0.5 /* scopes are slow or fast as a whole */
#define SIZE_SIGMA 1.2  /* of how many units a scope has */
#define NOISE_SIGMA 0.3 /* of what is expected */
#define NEW 0.01

double model_uniform(uint64_t *random)
{
    return ((double) (qe__random(random) >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller. */
static double normal(uint64_t *random)
{
    double r = sqrt(-2 * log(model_uniform(random)));

    return r * cos(6.283185307179586 * model_uniform(random));
}

static uint64_t duration(const struct load_kind *k, double scope,
                         uint64_t *random)
{
    double x = k->shape == LOAD_LOGNORMAL
                   ? exp(SIGMA * normal(random))
                   : pow(2 * model_uniform(random), -1 / ALPHA);

    return 1 + (uint64_t) (x * scope * (double) k->median_ns);
}

int load_make(struct load *l, const struct load_kind *kind)
{
    uint64_t random = kind->seed;
    uint64_t noise = ~kind->seed; /* apart: the same tests, known or not */
    uint32_t left = 0, flags = 0;
    double scope = 1;

    memset(l, 0, sizeof(*l));
    l->count = kind->units;
    l->units = calloc(l->count, sizeof(*l->units));
    l->real_ns = calloc(l->count, sizeof(*l->real_ns));
    l->fails = calloc(l->count, sizeof(*l->fails));
    if (l->units == NULL || l->real_ns == NULL || l->fails == NULL) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        qe_queue_unit *u = &l->units[i];
        uint64_t all;

        if (left == 0) {
            left = 1 + (uint32_t) (exp(SIZE_SIGMA * normal(&random)) *
                                   (double) kind->scope_units);
            scope = exp(SCOPE_SIGMA * normal(&random));
            flags =
                model_uniform(&random) < kind->together ? QE_UNIT_TOGETHER : 0;
            l->scopes++;
        }
        left--;
        l->real_ns[i] = duration(kind, scope, &random);
        l->fails[i] = model_uniform(&random) < kind->fails;
        *u = (qe_queue_unit){.id = "", .scope = l->scopes - 1, .flags = flags};
        if (kind->known == LOAD_EXACT) {
            u->expected_ns = l->real_ns[i];
        } else if (kind->known == LOAD_NOISY && model_uniform(&noise) >= NEW) {
            u->expected_ns = 1 + (uint64_t) ((double) l->real_ns[i] *
                                             exp(NOISE_SIGMA * normal(&noise)));
        }
        all = l->real_ns[i] * (l->fails[i] ? 2 : 1);
        l->total_ns += all;
        l->longest_ns = all > l->longest_ns ? all : l->longest_ns;
    }
    return 0;
}

void load_free(struct load *l)
{
    free(l->units);
    free(l->real_ns);
    free(l->fails);
    memset(l, 0, sizeof(*l));
}

/* ------------------------------------------------------------------- shards */

static uint64_t slowest(const struct load *l, const uint32_t *shard,
                        uint32_t of, const uint64_t *lost_ns)
{
    uint64_t *sum = calloc(of, sizeof(*sum));
    uint64_t worst = 0;

    if (sum == NULL) {
        return 0;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        sum[shard[i]] += l->real_ns[i] * (l->fails[i] ? 2 : 1);
    }
    for (uint32_t s = 0; s < of; s++) {
        if (lost_ns != NULL && lost_ns[s] < sum[s]) {
            sum[s] += lost_ns[s];
        }
        worst = sum[s] > worst ? sum[s] : worst;
    }
    free(sum);
    return worst;
}

struct hashed {
    uint64_t digest;
    uint32_t scope;
};

static int by_digest(const void *left, const void *right)
{
    const struct hashed *a = left, *b = right;

    return a->digest < b->digest ? -1 : a->digest > b->digest;
}

uint64_t shards_by_count(const struct load *l, uint32_t of,
                         const uint64_t *lost_ns)
{
    struct hashed *order = calloc(l->scopes, sizeof(*order));
    uint32_t *shard = calloc(l->count, sizeof(*shard));
    uint32_t *of_scope = calloc(l->scopes, sizeof(*of_scope));
    uint64_t worst = 0;

    if (order != NULL && shard != NULL && of_scope != NULL) {
        for (uint32_t s = 0; s < l->scopes; s++) {
            uint64_t random = s;

            order[s] = (struct hashed){qe__random(&random), s};
        }
        qsort(order, l->scopes, sizeof(*order), by_digest);
        for (uint32_t s = 0; s < l->scopes; s++) {
            of_scope[order[s].scope] =
                (uint32_t) ((uint64_t) s * of / l->scopes);
        }
        for (uint32_t i = 0; i < l->count; i++) {
            shard[i] = of_scope[l->units[i].scope];
        }
        worst = slowest(l, shard, of, lost_ns);
    }
    free(order);
    free(shard);
    free(of_scope);
    return worst;
}

uint64_t shards_by_time(const struct load *l, uint32_t of,
                        const uint64_t *lost_ns)
{
    const char **keys = calloc(l->count, sizeof(*keys));
    char(*ids)[12] = calloc(l->count, sizeof(*ids));
    uint64_t *expected = calloc(l->count, sizeof(*expected));
    uint32_t *shard = calloc(l->count, sizeof(*shard));
    uint64_t worst = 0;
    bool known = false;

    if (keys != NULL && ids != NULL && expected != NULL && shard != NULL) {
        for (uint32_t i = 0; i < l->count; i++) {
            snprintf(ids[i], sizeof(ids[i]), "%u", i);
            keys[i] = ids[i];
            expected[i] = l->units[i].expected_ns;
            known = known || expected[i] > 0;
        }
        if (qe_shard_assign(keys, known ? expected : NULL, l->count, of,
                            shard) == 0) {
            worst = slowest(l, shard, of, lost_ns);
        }
    }
    free(keys);
    free(ids);
    free(expected);
    free(shard);
    return worst;
}

/* -------------------------------------------------------------- one machine */

static qe_plan *plan_of(const struct load *l)
{
    qe_plan *plan = NULL;
    int status = qe_plan_new(&plan);

    for (uint32_t i = 0; i < l->count && status == 0; i++) {
        char id[16], scope[16];
        qe_unit unit = {.id = id,
                        .scope = scope,
                        .flags = l->units[i].flags,
                        .retries = 1,
                        .expected_ns = l->units[i].expected_ns};

        snprintf(id, sizeof(id), "%u", i);
        snprintf(scope, sizeof(scope), "s%u", l->units[i].scope);
        status = qe_plan_add(plan, &unit);
    }
    if (status == 0 && qe_plan_seal(plan) == 0) {
        return plan;
    }
    qe_plan_free(plan);
    return NULL;
}

/* Every attempt is given by the scheduler, slot by slot. */
static uint64_t drive(const struct load *l, qe_sched *sched, qe__heap *busy,
                      qe__step *runs)
{
    uint64_t now = 0;

    for (;;) {
        qe__step step;
        qe__key key;
        uint32_t slot;

        if (qe__sched_next(sched, now, &step) != 0) {
            return 0;
        }
        if (step.kind == QE__STEP_DONE) {
            return now;
        }
        if (step.kind == QE__STEP_START) {
            runs[step.slot] = step;
            qe__heap_set(busy, step.slot,
                         (qe__key){now + l->real_ns[step.unit], step.slot});
            continue;
        }
        if (!qe__heap_top(busy, &slot, &key)) {
            return 0;
        }
        now = key.major;
        qe__heap_remove(busy, slot);
        step = runs[slot];
        if (l->fails[step.unit] && step.attempt == 1) {
            (void) qe__sched_retry(sched, step.unit, 2, now);
        } else {
            (void) qe__sched_settled(sched, step.unit);
        }
        qe__sched_slot_free(sched, slot);
    }
}

uint64_t one_machine(const struct load *l, uint32_t workers)
{
    qe__sched_options options = {.slots = workers};
    qe__step *runs = calloc(workers, sizeof(*runs));
    qe_plan *plan = plan_of(l);
    qe_sched *sched = NULL;
    qe__heap busy = {0};
    uint64_t end = 0;

    if (plan != NULL && runs != NULL &&
        qe__sched_new(&sched, plan, &options) == 0 &&
        qe__heap_reserve(&busy, workers) == 0) {
        end = drive(l, sched, &busy, runs);
    }
    qe__heap_free(&busy);
    qe__sched_free(sched);
    qe_plan_free(plan);
    free(runs);
    return end;
}
