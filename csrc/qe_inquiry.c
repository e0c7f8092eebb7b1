/* The life of an inquiry: it asks for runs, hears of them, and keeps what they say. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qe_inquiry.h"
#include "qe_special.h"
#include "qe_util.h"

/* The arm that has made it fail most often, where no cause was found. */
static void best_proof(qe_inquiry *q)
{
    double best = 0;

    for (uint32_t i = 0; i < QE__ARM_PROOF; i++) {
        const qe__arm *a = &q->arm[i];
        double rate;

        if (i == QE__ARM_SEARCH || i == QE__ARM_MINIMAL || i == QE__ARM_APART ||
            qe__runs(a) == 0) {
            continue;
        }
        rate = (a->failed + 0.0) / (qe__runs(a) + 1.0);
        if (a->failed > 0 && rate > best) {
            best = rate;
            q->proof_arm = i;
        }
    }
    q->has_proof = best > 0;
}

/* What is proven by is kept, as arms may be asked no more. */
static int keep_proof(qe_inquiry *q)
{
    qe_probe *p = &q->finding.proof;
    uint32_t *items;

    q->proof_run = q->arm[q->proof_arm].first_failed;
    /* What an earlier pass has left is gone when the run is. */
    if (q->proof_run == UINT32_MAX || q->proof_arm == QE__ARM_LEFT_FILES) {
        q->has_proof = false;
        return 0;
    }
    qe__probe_of(q, q->proof_arm, q->proof_run, p);
    items = malloc(qe__mul(p->n + p->others_n + 1, sizeof(*items)));
    if (items == NULL) {
        return QE_ENOMEM;
    }
    memcpy(items, p->items, p->n * sizeof(*items));
    if (p->others_n > 0) {
        memcpy(items + p->n, p->others, p->others_n * sizeof(*items));
    }
    p->items = items;
    p->others = items + p->n;
    q->finding.has_proof = true;
    return 0;
}

/* Nothing has explained it. */
static void give_up(qe_inquiry *q)
{
    q->finding.cause = QE_CAUSE_UNKNOWN;
    q->finding.p = 1;
    q->finding.with = q->finding.without = NULL;
    q->finding.culprits = NULL;
    q->finding.culprits_n = 0;
    best_proof(q);
}

/* Concludes, if that can be done by now; otherwise a run is wanted, or under way. */
static int conclude(qe_inquiry *q)
{
    enum qe__answer answer =
        q->probes < q->options.most ? qe__inquire(q) : QE__NO;
    int status;

    if (q->no_memory) {
        q->no_memory = false;
        return QE_ENOMEM;
    }
    /* What was asked for may still change the counts. */
    if (answer == QE__ASK || q->under_way > 0) {
        return 0;
    }
    q->has_proof = answer == QE__YES;
    if (answer == QE__NO) {
        give_up(q);
    }
    status = q->has_proof ? keep_proof(q) : 0;
    q->concluded = status == 0;
    return status;
}

int qe_inquiry_next(qe_inquiry *q, qe_probe *out)
{
    uint32_t arm;
    int status = 0;

    if (q == NULL || out == NULL) {
        return QE_EINVAL;
    }
    q->wanted = -1;
    if (!q->concluded) {
        status = conclude(q);
    }
    if (status == 0 && q->concluded &&
        (!q->has_proof || qe__need(q, QE__ARM_PROOF, QE_INQUIRY_PROOFS))) {
        return QE_EGONE;
    }
    if (status != 0 || q->wanted < 0) {
        return status;
    }
    arm = (uint32_t) q->wanted;
    if (qe__grow(&q->probe, &q->probe_capacity, (size_t) q->probes + 1,
                 sizeof(*q->probe)) != 0) {
        return QE_ENOMEM;
    }
    qe__probe_of(q, arm, q->arm[arm].asked, out);
    q->probe[q->probes] = (qe__probe){.arm = arm, .run = q->arm[arm].asked++};
    out->number = q->probes++;
    q->under_way++;
    return 1;
}

/* What later contrasts hold: when it failed, and when it passed. */
static void remember(qe_inquiry *q, uint32_t arm, int result, double started_s)
{
    bool as_it_is = arm == QE__ARM_ALONE || arm == QE__ARM_DRAWS;

    if (!as_it_is || started_s <= 0) {
        return;
    }
    if (result == 0 && q->failed_times < QE__TIMES) {
        q->failed_s[q->failed_times++] = started_s;
    } else if (result == 1 && q->passed_s <= 0) {
        q->passed_s = started_s;
    }
}

int qe_inquiry_result(qe_inquiry *q, uint32_t probe, int result,
                      double started_s)
{
    qe__probe *p;
    qe__arm *a;

    if (q == NULL || probe >= q->probes || q->probe[probe].over ||
        isnan(started_s)) {
        return QE_EINVAL;
    }
    p = &q->probe[probe];
    p->over = true;
    q->under_way--;
    a = &q->arm[p->arm];
    if (result == 0) {
        a->failed++;
        a->first_failed = p->run < a->first_failed ? p->run : a->first_failed;
    } else if (result == 1) {
        a->passed++;
        a->first_passed = p->run < a->first_passed ? p->run : a->first_passed;
    } else {
        a->other++;
    }
    if (p->arm == QE__ARM_SEARCH) {
        qe__delta_heard(q, result);
    } else {
        remember(q, p->arm, result, started_s);
    }
    return 0;
}

int qe_inquiry_finding(const qe_inquiry *q, qe_finding *out)
{
    if (q == NULL || out == NULL) {
        return QE_EINVAL;
    }
    *out = q->finding;
    out->proof_failed = q->arm[QE__ARM_PROOF].failed;
    out->proof_runs =
        qe__runs(&q->arm[QE__ARM_PROOF]) + q->arm[QE__ARM_PROOF].other;
    out->probes = q->probes;
    return 0;
}

/* ------------------------------------------------------------------ its life */

static int keep_set(qe__set *set, const uint32_t *items, size_t n,
                    uint32_t test, bool without)
{
    set->items = malloc(qe__mul(n + 1, sizeof(*set->items)));
    if (set->items == NULL) {
        return QE_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        if (!without || items[i] != test) {
            set->items[set->n++] = items[i];
        }
    }
    return 0;
}

static bool is_context(const qe_context *c, uint32_t test)
{
    return c->n == 0 || (c->items != NULL && c->items[c->n - 1] == test);
}

static int inquiry_new(qe_inquiry **out, const qe_inquiry_options *o,
                       bool order_only)
{
    qe_inquiry *q;
    size_t most;

    if (out == NULL || o == NULL || !is_context(&o->failed, o->test) ||
        !is_context(&o->passed, o->test) || (o->all_n > 0 && o->all == NULL) ||
        (o->neighbours_n > 0 && o->neighbours == NULL) ||
        !qe__is_alpha(o->alpha) || !(o->rate >= 0 && o->rate <= 1)) {
        return QE_EINVAL;
    }
    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return QE_ENOMEM;
    }
    q->options = *o;
    q->order_only = order_only;
    q->finding.p = 1;
    if (q->options.neighbours_n > QE_INQUIRY_NEIGHBOURS) {
        q->options.neighbours_n = QE_INQUIRY_NEIGHBOURS;
    }
    if (q->options.servers > QE_INQUIRY_SERVERS) {
        q->options.servers = QE_INQUIRY_SERVERS;
    }
    for (uint32_t i = 0; i < QE__ARM_COUNT; i++) {
        q->arm[i].first_failed = q->arm[i].first_passed = UINT32_MAX;
    }
    if (o->failed.started_s > 0) {
        q->failed_s[q->failed_times++] = o->failed.started_s;
    }
    for (size_t i = 0; i + 1 < o->failed.n; i++) {
        q->before += o->failed.items[i] == o->test;
    }
    most = o->failed.n > o->passed.n ? o->failed.n : o->passed.n;
    most = most > o->all_n ? most : o->all_n;
    q->room = malloc(qe__mul(most + 4, sizeof(*q->room)));
    q->neighbours =
        malloc(qe__mul(q->options.neighbours_n + 1, sizeof(*q->neighbours)));
    if (q->room == NULL || q->neighbours == NULL ||
        keep_set(&q->failed, o->failed.items,
                 o->failed.n > 0 ? o->failed.n - 1 : 0, o->test, false) != 0 ||
        keep_set(&q->passed, o->passed.items,
                 o->passed.n > 0 ? o->passed.n - 1 : 0, o->test, false) != 0 ||
        keep_set(&q->all, o->all, o->all_n, o->test, true) != 0) {
        qe_inquiry_free(q);
        return QE_ENOMEM;
    }
    for (size_t i = 0; i < q->options.neighbours_n; i++) {
        q->neighbours[i] = o->neighbours[i];
    }
    q->options.failed.items = q->options.passed.items = NULL;
    q->options.all = q->options.neighbours = NULL;
    *out = q;
    return 0;
}

int qe_inquiry_new(qe_inquiry **out, const qe_inquiry_options *options)
{
    return inquiry_new(out, options, false);
}

int qe_inquiry_of_order(qe_inquiry **out, const qe_inquiry_options *options)
{
    return inquiry_new(out, options, true);
}

void qe_inquiry_free(qe_inquiry *q)
{
    if (q == NULL) {
        return;
    }
    if (q->finding.has_proof) {
        free((void *) (uintptr_t) q->finding.proof.items);
    }
    free(q->failed.items);
    free(q->passed.items);
    free(q->all.items);
    free(q->neighbours);
    free(q->delta.left.items);
    free(q->probe);
    free(q->room);
    free(q);
}
