/* A run as a trace: which worker ran what, when. An event is written at a time, so that
 * a run of a million attempts needs memory for one. */
#include "qe_json_add.h"
#include "qe_json_text.h"
#include "qe_output.h"
#include "qe_record.h"
#include "qe_util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US 1e6
#define PROCESS 1      /* all workers are threads of one, side by side */
#define NAMED_MAX 4096 /* workers; more have their numbers */

/* How its outcome is coloured (names of the trace viewer's). */
static const char *colour_of(enum qe_outcome outcome)
{
    switch (outcome) {
    case QE_PASSED:
        return "good";
    case QE_SKIPPED:
        return "grey";
    case QE_FLAKY:
        return "bad";
    default:
        return "terrible";
    }
}

/* Readers of traces refuse what is no UTF-8 (the JSON result has it all): each byte of it
 * becomes U+FFFD. */
static bool add_text(cJSON *object, const char *key, const char *value)
{
    static const char unknown[] = "\xef\xbf\xbd";
    size_t n = strlen(value), used = 0;
    char *text;
    bool good;

    if (qe__utf8_valid(value)) {
        return qe__json_add_string(object, key, value);
    }
    text = malloc(qe__mul(n, 3) + 1);
    if (text == NULL) {
        return false;
    }
    while (*value != '\0') {
        size_t bytes = qe__utf8_length(value);
        const char *from = bytes > 0 ? value : unknown;
        size_t length = bytes > 0 ? bytes : strlen(unknown);

        memcpy(text + used, from, length);
        used += length;
        value += bytes > 0 ? bytes : 1;
    }
    text[used] = '\0';
    good = qe__json_add_string(object, key, text);
    free(text);
    return good;
}

/* Whole microseconds: a double has all of those of a year. */
static double us_of(double seconds)
{
    return floor(seconds * US + 0.5);
}

static bool fill_slice(cJSON *event, const qe_record *r, const qe_attempt *a,
                       double started_s)
{
    const char *outcome = qe_outcome_name(a->outcome);
    double since = a->start_s > started_s ? a->start_s - started_s : 0;
    cJSON *args;

    if (!add_text(event, "name", r->tests[a->item].id) ||
        !qe__json_add_string(event, "cat", outcome) ||
        !qe__json_add_string(event, "ph", "X") ||
        !qe__json_add_number(event, "ts", us_of(since)) ||
        !qe__json_add_number(event, "dur", us_of(a->duration_s)) ||
        !qe__json_add_number(event, "pid", PROCESS) ||
        !qe__json_add_number(event, "tid", a->worker) ||
        !qe__json_add_string(event, "cname", colour_of(a->outcome))) {
        return false;
    }
    args = cJSON_AddObjectToObject(event, "args");
    return args != NULL && qe__json_add_string(args, "outcome", outcome) &&
           qe__json_add_number(args, "attempt", a->attempt) &&
           qe__json_add_number(args, "pass", a->pass) &&
           qe__json_add_number(args, "cpu", a->cpu_s) &&
           qe__json_add_number(args, "peak_memory", (double) a->peak_bytes) &&
           (a->message == NULL || add_text(args, "message", a->message));
}

static bool fill_name(cJSON *event, const char *what, uint32_t thread,
                      const char *name)
{
    cJSON *args;

    if (!qe__json_add_string(event, "name", what) ||
        !qe__json_add_string(event, "ph", "M") ||
        !qe__json_add_number(event, "pid", PROCESS) ||
        !qe__json_add_number(event, "tid", thread)) {
        return false;
    }
    args = cJSON_AddObjectToObject(event, "args");
    return args != NULL && qe__json_add_string(args, "name", name);
}

/* Writes an event, which it frees; `filled`: it is whole. */
static int put(qe__output *o, cJSON *event, bool filled, bool *first)
{
    char *text = filled ? cJSON_PrintUnformatted(event) : NULL;
    int status;

    cJSON_Delete(event);
    if (text == NULL) {
        return QE_ENOMEM;
    }
    status = qe__output_write(o, *first ? "\n" : ",\n");
    *first = false;
    if (status == QE_OK) {
        status = qe__output_write(o, text);
    }
    cJSON_free(text);
    return status;
}

static int put_name(qe__output *o, const char *what, uint32_t thread,
                    const char *name, bool *first)
{
    cJSON *event = cJSON_CreateObject();

    return put(o, event, event != NULL && fill_name(event, what, thread, name),
               first);
}

static int put_threads(qe__output *o, const qe_record *r, bool *first)
{
    bool seen[NAMED_MAX] = {false};
    int status = QE_OK;

    for (size_t i = 0; i < r->attempt_count; i++) {
        if (r->attempts[i].data.worker < NAMED_MAX) {
            seen[r->attempts[i].data.worker] = true;
        }
    }
    for (uint32_t worker = 0; worker < NAMED_MAX && status == QE_OK; worker++) {
        char name[16];

        (void) snprintf(name, sizeof(name), "gw%u", (unsigned) worker);
        if (seen[worker]) {
            status = put_name(o, "thread_name", worker, name, first);
        }
    }
    return status;
}

static int put_all(qe__output *o, const qe_record *r, double started_s)
{
    bool first = true;
    int status = qe__output_write(o, "{\"displayTimeUnit\":\"ms\","
                                     "\"traceEvents\":[");

    if (status == QE_OK) {
        status = put_name(o, "process_name", 0, "tests", &first);
    }
    if (status == QE_OK) {
        status = put_threads(o, r, &first);
    }
    for (size_t i = 0; i < r->attempt_count && status == QE_OK; i++) {
        cJSON *event = cJSON_CreateObject();
        bool filled = event != NULL &&
                      fill_slice(event, r, &r->attempts[i].data, started_s);

        status = put(o, event, filled, &first);
    }
    return status == QE_OK ? qe__output_write(o, "\n]}\n") : status;
}

QE_API int qe_record_write_trace(const qe_record *r, const char *path,
                                 double started_s)
{
    qe__output output;
    int status;

    if (r == NULL || path == NULL || !isfinite(started_s)) {
        return QE_EINVAL;
    }
    status = qe__output_open(&output, path);
    if (status != QE_OK) {
        return status;
    }
    status = put_all(&output, r, started_s);
    if (status != QE_OK) {
        qe__output_abort(&output);
        return status;
    }
    return qe__output_commit(&output);
}
