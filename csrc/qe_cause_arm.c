/* What an inquiry runs: for each arm how a run of it is made. */
#include <stdlib.h>
#include <string.h>

#include "qe_inquiry.h"
#include "qe_util.h"

const qe__change qe__changes[QE__CHANGES] = {
    {QE_CAUSE_TIMING, QE_SLOW_THREADS, "slow threads"},
    {QE_CAUSE_TIMING, QE_SLOW_MAIN, "slow main thread"},
    {QE_CAUSE_RESOURCES, QE_FEW_FILES, "few open files"},
    {QE_CAUSE_RESOURCES, QE_SMALL_FILES, "small files"},
    {QE_CAUSE_RESOURCES, QE_LITTLE_MEMORY, "little memory"},
    {QE_CAUSE_NETWORK, QE_NO_NETWORK, "no network"},
    {QE_CAUSE_LOCALE, QE_C_LOCALE, "C locale"},
    {QE_CAUSE_TIME, QE_ZONE, "another time zone"},
    {QE_CAUSE_TIMING, QE_JITTER, "held now and then"},
    {QE_CAUSE_TIMING, QE_ONE_CPU | QE_IDLE | QE_BUSY, "a busy CPU"},
    {QE_CAUSE_TIMING, QE_ONE_CPU, "one CPU"},
};

const char *qe__arm_name(uint32_t arm)
{
    static const char *const names[] = {
        [QE__ARM_ALONE] = "alone",
        [QE__ARM_AGAIN] = "as it failed",
        [QE__ARM_SEED_ALONE] = "alone, seeded as it failed",
        [QE__ARM_LEFT_FILES] = "files as they were left",
        [QE__ARM_PAIR] = "twice",
        [QE__ARM_TWO] = "twice, in two processes",
        [QE__ARM_PASSED_AGAIN] = "as it passed",
        [QE__ARM_PASSED_ALONE] = "alone, seeded as it passed",
        [QE__ARM_SEARCH] = "behind some",
        [QE__ARM_MINIMAL] = "behind it",
        [QE__ARM_APART] = "behind it, in another process",
        [QE__ARM_DRAWS] = "other random numbers",
        [QE__ARM_BAD_DRAW] = "random numbers with which it failed",
        [QE__ARM_GOOD_DRAW] = "random numbers with which it passed",
        [QE__ARM_EXCLUSIVE] = "nothing beside it",
        [QE__ARM_TWIN] = "beside itself",
        [QE__ARM_BAD_TIME] = "at the time it failed",
        [QE__ARM_GOOD_TIME] = "at the time it passed",
    };

    if (arm < QE__COUNT(names)) {
        return names[arm];
    }
    if (arm >= QE__ARM_PROOF) {
        return "proof";
    }
    if (arm >= QE__ARM_CHANGE) {
        return qe__changes[arm - QE__ARM_CHANGE].name;
    }
    if (arm >= QE__ARM_HASH) {
        return "one hash seed";
    }
    return arm >= QE__ARM_BESIDE ? "beside a neighbour" : "at a time";
}

bool qe__need(qe_inquiry *q, uint32_t arm, uint32_t runs)
{
    const qe__arm *a = &q->arm[arm];

    if (a->failed + a->passed + a->other >= runs) {
        return true;
    }
    if (q->wanted < 0 && a->asked < runs) {
        q->wanted = (int) arm;
    }
    return false;
}

/* The seed of an arm's run: what is drawn differs from run to run. */
static uint64_t seed_of(const qe_inquiry *q, uint32_t arm, uint32_t run)
{
    uint64_t state = q->options.seed ^ ((uint64_t) arm << 32 | run);

    (void) qe__random(&state);
    return qe__random(&state);
}

/* The random numbers with which it fails: as it did first, if they were why, or as it
 * was drawn since. */
static uint64_t bad_seed(const qe_inquiry *q)
{
    return qe__always(&q->arm[QE__ARM_SEED_ALONE])
               ? q->options.failed.seed + q->before
               : seed_of(q, QE__ARM_DRAWS, q->arm[QE__ARM_DRAWS].first_failed);
}

static void copy(uint32_t *to, const qe__set *set, qe_probe *out)
{
    if (set->n > 0) {
        memcpy(to, set->items, set->n * sizeof(*to));
    }
    out->n = set->n;
}

/* In another process, with the same files, before the test alone; in the room
 * behind that of the test. */
static void put_before(qe_inquiry *q, const qe__set *set, qe_probe *out)
{
    uint32_t *room = q->room + 1;
    size_t n = 0;

    if (set == NULL) {
        n = qe__delta_items(q, room);
    } else if (set->n > 0) {
        memcpy(room, set->items, set->n * sizeof(*room));
        n = set->n;
    }
    q->room[0] = q->options.test;
    out->items = q->room;
    out->n = 1;
    out->others = room;
    out->others_n = n;
    out->beside = QE_THEN;
}

/* As in a pass that was: its tests, seeds and hash seed. */
static void as_in(const qe_context *context, qe_probe *out)
{
    out->seed = context->seed;
    out->server = context->server;
}

void qe__probe_of(qe_inquiry *q, uint32_t arm, uint32_t run, qe_probe *out)
{
    const qe_inquiry_options *o = &q->options;
    const qe_context *context = q->delta.wanted == 1 ? &o->passed : &o->failed;
    uint32_t proof = q->proof_arm;

    if (arm == QE__ARM_PROOF) {
        qe__probe_of(q, proof, q->proof_run, out);
        out->name = qe__arm_name(arm);
        return;
    }
    memset(out, 0, sizeof(*out));
    out->name = qe__arm_name(arm);
    out->items = q->room;
    out->seed = seed_of(q, arm, run);
    switch ((enum qe__arm_kind) arm) {
    case QE__ARM_AGAIN:
        copy(q->room, &q->failed, out);
        as_in(&o->failed, out);
        break;
    case QE__ARM_SEED_ALONE:
        as_in(&o->failed, out);
        out->seed += q->before; /* what it drew as its last run there */
        break;
    case QE__ARM_LEFT_FILES:
        out->left_files = true;
        out->beside = QE_EXCLUSIVE; /* others ask for the same files */
        break;
    case QE__ARM_PAIR:
        q->room[out->n++] = o->test;
        break;
    case QE__ARM_TWO:
        put_before(q, &(qe__set){&q->options.test, 1}, out);
        return;
    case QE__ARM_PASSED_AGAIN:
        copy(q->room, &q->passed, out);
        as_in(&o->passed, out);
        break;
    case QE__ARM_PASSED_ALONE:
        as_in(&o->passed, out);
        break;
    case QE__ARM_SEARCH:
        as_in(context, out);
        if (q->delta.apart) {
            put_before(q, NULL, out);
            return;
        }
        out->n = qe__delta_items(q, q->room);
        break;
    case QE__ARM_MINIMAL:
        as_in(context, out);
        if (q->delta.apart) {
            put_before(q, &q->delta.left, out);
            return;
        }
        copy(q->room, &q->delta.left, out);
        break;
    case QE__ARM_APART:
        as_in(context, out);
        put_before(q, &q->delta.left, out);
        return;
    case QE__ARM_DRAWS:
        out->around = QE_ENTROPY;
        break;
    case QE__ARM_BAD_DRAW:
        out->around = QE_ENTROPY;
        out->seed = bad_seed(q);
        break;
    case QE__ARM_GOOD_DRAW:
        out->around = QE_ENTROPY;
        out->seed =
            seed_of(q, QE__ARM_DRAWS, q->arm[QE__ARM_DRAWS].first_passed);
        break;
    case QE__ARM_EXCLUSIVE:
        out->beside = QE_EXCLUSIVE;
        break;
    case QE__ARM_TWIN:
        out->beside = QE_MEANWHILE;
        out->others = q->room + 1;
        out->others_n = 1;
        q->room[1] = o->test;
        break;
    case QE__ARM_BAD_TIME:
    case QE__ARM_GOOD_TIME:
        out->around = QE_CLOCK;
        out->clock_s = arm == QE__ARM_BAD_TIME ? q->bad_s : q->passed_s;
        break;
    default:
        if (arm >= QE__ARM_CHANGE) {
            out->around = qe__changes[arm - QE__ARM_CHANGE].around;
        } else if (arm >= QE__ARM_HASH) {
            out->server = arm - QE__ARM_HASH;
        } else if (arm >= QE__ARM_BESIDE) {
            out->beside = QE_MEANWHILE;
            out->others = &q->neighbours[arm - QE__ARM_BESIDE];
            out->others_n = 1;
        } else if (arm >= QE__ARM_TIMES) {
            out->around = QE_CLOCK;
            out->clock_s = q->failed_s[arm - QE__ARM_TIMES];
        }
        break;
    }
    q->room[out->n++] = o->test;
}
