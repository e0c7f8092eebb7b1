/*
 * What of some layers starts when. The state of each category is one word; whoever asks is
 * told the first thing that is to be done, until there is none.
 *
 * A category starts when what it needs has passed, what its layer needs has succeeded, and
 * what it takes is free, the first in the order first. Where that one does not fit, others
 * may go before it, but only a few times: then everything waits for it, so that small ones
 * cannot keep a large one out for ever.
 */
#include "qe_stage.h"

#include <stdlib.h>
#include <string.h>

#define OVERTAKEN_MAX 4
#define NS 1e9

static const char *const why_names[] = {
    [QE_STAGE_NO_REASON] = "",      [QE_STAGE_DEPENDENCY] = "dependency",
    [QE_STAGE_LAYER] = "layer",     [QE_STAGE_FAIL_FAST] = "fail_fast",
    [QE_STAGE_LIMIT] = "limit",     [QE_STAGE_CANCELLED] = "cancelled",
    [QE_STAGE_SERVICE] = "service",
};

const char *qe_stage_why_name(enum qe_stage_why why)
{
    return (unsigned) why < sizeof(why_names) / sizeof(why_names[0])
               ? why_names[why]
               : "";
}

static bool has_ended(const qe__stage_category *c)
{
    return c->spot == QE__SPOT_PASSED || c->spot == QE__SPOT_FAILED ||
           c->spot == QE__SPOT_SKIPPED;
}

bool qe__stage_layer_over(const qe_stage *s, uint32_t layer)
{
    const qe__layer *in = &s->l->layer[layer];

    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        if (!has_ended(&s->category[i])) {
            return false;
        }
    }
    return true;
}

bool qe_stage_succeeded(const qe_stage *s, uint32_t layer, double *rate)
{
    const qe__layer *in;
    double passed = 0, failed = 0;
    bool all = true, known, unknown = false;

    if (layer >= s->l->layers || !s->layer[layer].present ||
        !qe__stage_layer_over(s, layer)) {
        return false;
    }
    in = &s->l->layer[layer];
    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        const qe__stage_category *c = &s->category[i];

        passed += (double) c->passed;
        failed += (double) c->failed;
        all = all && c->spot == QE__SPOT_PASSED;
    }
    if (rate != NULL) {
        *rate = passed + failed > 0 ? 100 * passed / (passed + failed) : -1;
    }
    if (!in->judged) {
        return all;
    }
    for (uint32_t i = 0; i < in->required.count; i++) {
        if (s->category[in->required.at[i]].spot != QE__SPOT_PASSED) {
            return false;
        }
    }
    known = passed + failed > 0;
    if (in->min_rate < 0 && in->max_failures < 0) {
        return true; /* required categories are all that it asks for */
    }
    /* One whose tests are not known, or that failed though none of them did, as it crashed or
     * never began, counts itself: it must not be as if it had nothing. */
    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        const qe__stage_category *c = &s->category[i];

        if (c->spot != QE__SPOT_PASSED) {
            failed += c->failed == 0;
            unknown = unknown || c->failed == 0;
        } else {
            passed += c->passed + c->failed == 0;
        }
    }
    if (in->max_failures >= 0 && failed > in->max_failures) {
        return false;
    }
    if (in->min_rate >= 0 && known && unknown) {
        return false; /* of how many tests that would have been is not known */
    }
    return in->min_rate < 0 || 100 * passed >= in->min_rate * (passed + failed);
}

/* ---------------------------------------------------------------------- reasons */

static void skip(qe_stage *s, uint32_t category, enum qe_stage_why why,
                 uint32_t of)
{
    qe__stage_category *c = &s->category[category];

    c->spot = QE__SPOT_SKIPPED;
    c->why = why;
    c->of = of;
}

/* Skips all of a layer that has not begun. */
static void skip_rest(qe_stage *s, uint32_t layer, enum qe_stage_why why,
                      uint32_t of)
{
    const qe__layer *in = &s->l->layer[layer];

    for (uint32_t i = in->first; i < in->first + in->count; i++) {
        if (s->category[i].spot == QE__SPOT_READY) {
            skip(s, i, why, of);
        }
    }
}

static bool over_time(const qe_stage *s, uint32_t layer, uint64_t now,
                      uint64_t *wake)
{
    const qe__stage_layer *at = &s->layer[layer];
    double limit_s = s->l->layer[layer].limit_s * at->multiplier;
    uint64_t end;

    if (limit_s <= 0 || !at->begun) {
        return false;
    }
    end = at->begun_ns + (uint64_t) (limit_s < 1e9 ? limit_s * NS : 1e18);
    if (now >= end) {
        return true;
    }
    if (!qe__stage_layer_over(s, layer) && end < *wake) {
        *wake = end;
    }
    return false;
}

/* Whether a category may start, but for room: 1 it may, 0 not yet, -1 never, and why. */
static int may_start(const qe_stage *s, uint32_t category,
                     enum qe_stage_why *why, uint32_t *of)
{
    const qe__category *c = &s->l->category[category];
    const qe__stage_layer *layer = &s->layer[c->layer];
    int may = 1;

    for (uint32_t i = 0; i < c->needs.count; i++) {
        const qe__stage_category *other = &s->category[c->needs.at[i]];

        if (other->spot == QE__SPOT_FAILED || other->spot == QE__SPOT_SKIPPED) {
            *why = QE_STAGE_DEPENDENCY;
            *of = c->needs.at[i];
            return -1;
        }
        if (other->spot != QE__SPOT_ABSENT && other->spot != QE__SPOT_PASSED) {
            may = 0;
        }
    }
    for (uint32_t i = 0; i < layer->gates.count; i++) {
        uint32_t gate = layer->gates.at[i];

        if (!s->layer[gate].present) {
            continue;
        }
        if (!qe__stage_layer_over(s, gate)) {
            may = 0;
        } else if (!qe_stage_succeeded(s, gate, NULL)) {
            *why = QE_STAGE_LAYER;
            *of = gate;
            return -1;
        }
    }
    return may;
}

/* -------------------------------------------------------------------------- next */

static void tell(const qe_stage *s, qe_stage_step *out, enum qe_stage_kind kind,
                 uint32_t category)
{
    const qe__stage_category *c = &s->category[category];

    out->kind = kind;
    out->category = category;
    out->layer = s->l->category[category].layer;
    out->attempt = c->attempt;
    out->why = c->why;
    out->of = c->of;
}

/* Those that are over their time, or that nobody wants any more. */
static void judge_layers(qe_stage *s, uint64_t now, uint64_t *wake)
{
    for (uint32_t i = 0; i < s->l->layers; i++) {
        const qe__layer *in = &s->l->layer[i];
        bool late;

        if (!s->layer[i].present) {
            continue;
        }
        late = over_time(s, i, now, wake);
        if (!late && !s->cancelled) {
            continue;
        }
        skip_rest(s, i, s->cancelled ? QE_STAGE_CANCELLED : QE_STAGE_LIMIT, 0);
        for (uint32_t k = in->first; k < in->first + in->count; k++) {
            if (s->category[k].spot == QE__SPOT_RUNNING &&
                s->category[k].why == QE_STAGE_NO_REASON) {
                s->category[k].why =
                    s->cancelled ? QE_STAGE_CANCELLED : QE_STAGE_LIMIT;
            }
        }
    }
}

/* The first thing that has not been told: a stop, or a skip. */
static bool tell_ends(qe_stage *s, qe_stage_step *out)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t category = s->order[i];
        qe__stage_category *c = &s->category[category];

        if (c->spot == QE__SPOT_RUNNING && c->why != QE_STAGE_NO_REASON &&
            !c->stopped) {
            c->stopped = true;
            tell(s, out, QE_STAGE_STOP, category);
            return true;
        }
        if (c->spot == QE__SPOT_SKIPPED && !c->told) {
            c->told = true;
            tell(s, out, QE_STAGE_SKIP, category);
            return true;
        }
    }
    return false;
}

/* Whether a category could begin now, but for room. */
static bool is_due(const qe_stage *s, uint32_t category, uint64_t now)
{
    const qe__stage_category *c = &s->category[category];
    enum qe_stage_why why;
    uint32_t of;

    return c->spot == QE__SPOT_READY && c->not_before <= now &&
           may_start(s, category, &why, &of) == 1;
}

static void start(qe_stage *s, uint32_t category, uint64_t now)
{
    qe__stage_category *c = &s->category[category];
    qe__stage_layer *layer = &s->layer[s->l->category[category].layer];

    qe__stage_reserve(s, category);
    if (!layer->begun) {
        layer->begun = true;
        layer->begun_ns = now;
    }
    c->spot = QE__SPOT_RUNNING;
    c->attempt++;
}

static bool start_one(qe_stage *s, uint64_t now, qe_stage_step *out,
                      uint64_t *wake)
{
    uint32_t patient = UINT32_MAX; /* has been overtaken often enough */
    uint32_t waiting = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t category = s->order[i];
        qe__stage_category *c = &s->category[category];

        if (c->spot == QE__SPOT_READY && c->not_before > now) {
            *wake = c->not_before < *wake ? c->not_before : *wake;
        }
        if (!is_due(s, category, now)) {
            continue;
        }
        if (!qe__stage_has_room(s, category) ||
            (patient != UINT32_MAX && qe__stage_delays(s, category, patient))) {
            if (patient == UINT32_MAX && c->overtaken >= OVERTAKEN_MAX) {
                patient = category;
            }
            waiting++;
            continue;
        }
        for (uint32_t k = 0; k < i && waiting > 0; k++) {
            if (is_due(s, s->order[k], now)) {
                s->category[s->order[k]].overtaken++;
            }
        }
        start(s, category, now);
        tell(s, out, QE_STAGE_START, category);
        return true;
    }
    return false;
}

/* Whatever needs what has not passed is skipped, and what needs that. */
static void skip_dependents(qe_stage *s)
{
    bool more = true;

    while (more) {
        more = false;
        for (uint32_t i = 0; i < s->count; i++) {
            qe__stage_category *c = &s->category[s->order[i]];
            enum qe_stage_why why = QE_STAGE_NO_REASON;
            uint32_t of = 0;

            if (c->spot == QE__SPOT_READY &&
                may_start(s, s->order[i], &why, &of) == -1) {
                skip(s, s->order[i], why, of);
                more = true;
            }
        }
    }
}

int qe_stage_next(qe_stage *s, uint64_t now_ns, qe_stage_step *out)
{
    uint64_t wake = UINT64_MAX;

    if (s == NULL || out == NULL || cJSON_GetArraySize(s->errors) > 0) {
        return QE_EINVAL;
    }
    memset(out, 0, sizeof(*out));
    judge_layers(s, now_ns, &wake);
    skip_dependents(s);
    if (tell_ends(s, out) || start_one(s, now_ns, out, &wake)) {
        return 0;
    }
    out->kind = QE_STAGE_DONE;
    out->wake_ns = wake;
    for (uint32_t i = 0; i < s->count; i++) {
        if (!has_ended(&s->category[s->order[i]])) {
            out->kind = QE_STAGE_WAIT;
        }
    }
    return 0;
}

int qe_stage_ended(qe_stage *s, uint32_t category, bool passed,
                   uint64_t tests_passed, uint64_t tests_failed, bool *again)
{
    qe__stage_category *c;
    const qe__category *about;

    if (s == NULL || category >= s->l->categories || again == NULL) {
        return QE_EINVAL;
    }
    c = &s->category[category];
    about = &s->l->category[category];
    if (c->spot != QE__SPOT_RUNNING) {
        return QE_ESTATE;
    }
    qe__stage_release(s, category);
    c->passed = tests_passed;
    c->failed = tests_failed;
    *again =
        !passed && c->attempt <= about->retries && c->why == QE_STAGE_NO_REASON;
    if (*again) {
        c->spot = QE__SPOT_READY;
        return 0;
    }
    c->spot = passed ? QE__SPOT_PASSED : QE__SPOT_FAILED;
    if (!passed && s->layer[about->layer].fail_fast) {
        skip_rest(s, about->layer, QE_STAGE_FAIL_FAST, category);
    }
    return 0;
}

int qe_stage_refused(qe_stage *s, uint32_t category, uint64_t again_ns)
{
    qe__stage_category *c;

    if (s == NULL || category >= s->l->categories) {
        return QE_EINVAL;
    }
    c = &s->category[category];
    if (c->spot != QE__SPOT_RUNNING) {
        return QE_ESTATE;
    }
    qe__stage_release(s, category);
    c->attempt--;
    c->not_before = again_ns;
    c->spot = QE__SPOT_READY;
    if (c->why != QE_STAGE_NO_REASON) { /* it was to be stopped meanwhile */
        skip(s, category, c->why, c->of);
    }
    return 0;
}

int qe_stage_drop(qe_stage *s, uint32_t layer, enum qe_stage_why why)
{
    if (s == NULL || layer >= s->l->layers || !s->layer[layer].present ||
        why == QE_STAGE_NO_REASON || qe_stage_why_name(why)[0] == '\0') {
        return QE_EINVAL;
    }
    skip_rest(s, layer, why, 0);
    return 0;
}

void qe_stage_cancel(qe_stage *s)
{
    s->cancelled = true;
}

const char *qe_stage_errors(const qe_stage *s)
{
    return s->error_text;
}
