/* What a run is doing, as text for those who look at it from another process. */
#include <stdio.h>
#include <stdlib.h>

#include "qe_json_add.h"
#include "qe_plan.h"
#include "qe_session.h"
#include "qe_util.h"

#define RUNNING_MAX 64u
#define EVERY_NS (500 * QE__MS)
#define NS 1e9
#define NAME_BYTES 24u

static const char *name_of(const qe_session *s, const qe_event *e, char *buffer)
{
    qe_unit unit;

    if (e->item < s->live.name_count) {
        return s->live.names[e->item];
    }
    if (qe_plan_get(s->plan, e->unit, &unit) == 0 && unit.id[0] != '\0') {
        return unit.id;
    }
    (void) snprintf(buffer, NAME_BYTES, "pass %u", e->pass + 1);
    return buffer;
}

static const char *phase_of(enum qe_phase phase)
{
    static const char *const names[] = {
        [QE_PHASE_NONE] = "start",      [QE_PHASE_SETUP] = "setup",
        [QE_PHASE_CALL] = "call",       [QE_PHASE_TEARDOWN] = "teardown",
        [QE_PHASE_SESSION] = "session",
    };

    return (size_t) phase < QE__COUNT(names) ? names[phase] : "";
}

/* Seconds, or null. */
static bool add_known(cJSON *object, const char *key, double value, bool known)
{
    return known ? qe__json_add_number(object, key, value)
                 : cJSON_AddNullToObject(object, key) != NULL;
}

static double expected_of(const qe_session *s, uint32_t unit)
{
    qe_unit u;

    return qe_plan_get(s->plan, unit, &u) == 0 ? (double) u.expected_ns / NS
                                               : 0;
}

static bool add_running(const qe_session *s, cJSON *list, const qe_event *e)
{
    cJSON *one = cJSON_CreateObject();
    double expected = expected_of(s, e->unit);
    char name[NAME_BYTES];

    if (one == NULL || !cJSON_AddItemToArray(list, one)) {
        cJSON_Delete(one);
        return false;
    }
    return qe__json_add_string(one, "id", name_of(s, e, name)) &&
           qe__json_add_number(one, "worker", e->slot % s->homes) &&
           qe__json_add_number(one, "pid", s->slots[e->slot].pid) &&
           qe__json_add_number(one, "pass", e->pass) &&
           qe__json_add_number(one, "attempt", e->attempt) &&
           qe__json_add_string(one, "phase", phase_of(e->phase)) &&
           qe__json_add_number(one, "seconds", e->duration_s) &&
           add_known(one, "expected_s", expected, expected > 0);
}

/* Until the end: what is open, divided by the workers, but no less than the longest of
 * it takes. A unit that nobody knows takes as long as the known ones do on average. */
static bool left_of(const qe_session *s, const qe_event *running, size_t n,
                    double *out)
{
    size_t all = qe_plan_count(s->plan) - qe__plan_spare(s->plan);
    size_t known = 0, open = 0, unknown = 0;
    double sum = 0, total = 0, longest = 0;

    for (size_t unit = 0; unit < all; unit++) {
        double expected = expected_of(s, (uint32_t) unit);

        known += expected > 0;
        sum += expected;
        if (!s->units[unit].settled) {
            open++;
            unknown += expected <= 0;
            total += expected;
            longest = expected > longest ? expected : longest;
        }
    }
    if (known == 0) {
        return false;
    }
    total += (double) unknown * (sum / (double) known);
    for (size_t i = 0; i < n; i++) {
        double expected = expected_of(s, running[i].unit);
        double done = running[i].duration_s;

        total -= done < expected ? done : expected;
        if (expected >= longest && longest > 0) {
            longest -= done < expected ? done : expected;
        }
    }
    total /= open > 0 && open < s->homes ? (double) open : (double) s->homes;
    total = total > longest ? total : longest;
    *out = total > 0 ? total : 0;
    return true;
}

static bool add_outcomes(const qe_session *s, cJSON *outcomes)
{
    for (int i = 1; i < QE_OUTCOME_COUNT; i++) {
        if (s->outcomes[i] > 0 &&
            !qe__json_add_number(outcomes, qe_outcome_name((enum qe_outcome) i),
                                 s->outcomes[i])) {
            return false;
        }
    }
    return true;
}

static bool fill(qe_session *s, cJSON *root)
{
    const qe__live *live = &s->live;
    qe_event running[RUNNING_MAX];
    size_t n = qe_session_running(s, running, RUNNING_MAX);
    cJSON *list, *outcomes;
    double left = 0;
    size_t done, all;
    bool known = left_of(s, running, n, &left);

    qe_session_progress(s, &done, &all);
    if (!qe__json_add_number(root, "version", 1) ||
        cJSON_AddRawToObject(root, "about", live->about) == NULL ||
        !qe__json_add_number(root, "pid", live->owner) ||
        !qe__json_add_number(root, "pid_start", (double) live->pid_start) ||
        !qe__json_add_string(root, "boot", live->boot) ||
        !qe__json_add_number(root, "started_at", live->started_s) ||
        !qe__json_add_number(root, "told_at", qe_wall_s()) ||
        !qe__json_add_number(root, "workers", s->homes) ||
        !qe__json_add_number(root, "done", (double) done) ||
        !qe__json_add_number(root, "all", (double) all) ||
        !add_known(root, "left_s", left, known)) {
        return false;
    }
    outcomes = cJSON_AddObjectToObject(root, "outcomes");
    list = cJSON_AddArrayToObject(root, "running");
    if (outcomes == NULL || list == NULL || !add_outcomes(s, outcomes)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!add_running(s, list, &running[i])) {
            return false;
        }
    }
    return true;
}

void qe__session_tell(qe_session *s, uint64_t now_ns)
{
    cJSON *root;
    char *text;

    s->live.due_ns = now_ns + EVERY_NS;
    root = cJSON_CreateObject();
    text = root != NULL && fill(s, root) ? cJSON_PrintUnformatted(root) : NULL;
    if (text != NULL) {
        qe__live_write(&s->live, text);
    }
    cJSON_free(text);
    cJSON_Delete(root);
}

int qe_session_publish(qe_session *s, const char *folder,
                       const char *about_json, const char *const *names,
                       size_t n)
{
    return s->live.folder != NULL ? QE_ESTATE
                                  : qe__live_open(&s->live, folder, about_json,
                                                  names, n, qe_now_ns());
}
