/* The JSON result of a run (docs/result.schema.json), the one source of every
 * other report. Tests are written one by one, so that a run of a million needs
 * memory for one. */
#include "qe_json_add.h"
#include "qe_json_text.h"
#include "qe_output.h"
#include "qe_record.h"
#include "qe_util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SCHEMA_VERSION 1

/* sigabbrev_np would say so, but came with glibc 2.32 only. */
static void signal_name(int number, char *out, size_t size)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {SIGABRT, "SIGABRT"},     {SIGALRM, "SIGALRM"}, {SIGBUS, "SIGBUS"},
        {SIGFPE, "SIGFPE"},       {SIGHUP, "SIGHUP"},   {SIGILL, "SIGILL"},
        {SIGINT, "SIGINT"},       {SIGIO, "SIGIO"},     {SIGKILL, "SIGKILL"},
        {SIGPIPE, "SIGPIPE"},     {SIGPROF, "SIGPROF"}, {SIGPWR, "SIGPWR"},
        {SIGQUIT, "SIGQUIT"},     {SIGSEGV, "SIGSEGV"}, {SIGSYS, "SIGSYS"},
        {SIGTERM, "SIGTERM"},     {SIGTRAP, "SIGTRAP"}, {SIGUSR1, "SIGUSR1"},
        {SIGUSR2, "SIGUSR2"},     {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
        {SIGVTALRM, "SIGVTALRM"},
    };
    size_t i;

    for (i = 0; i < QE__COUNT(names); i++) {
        if (names[i].number == number) {
            snprintf(out, size, "%s", names[i].name);
            return;
        }
    }
    if (number >= SIGRTMIN && number <= SIGRTMAX)
        snprintf(out, size, "SIGRTMIN+%d", number - SIGRTMIN);
    else
        snprintf(out, size, "SIG%d", number);
}

/* How the process of this attempt died, if it did. A process that left by
 * exit(0) in the middle of a test has status 0, like none at all; the outcome
 * tells them apart. */
static bool add_death(cJSON *object, const qe_attempt *a)
{
    char name[24];

    if (a->status == 0 && a->outcome != QE_CRASHED)
        return true;
    if (WIFSIGNALED(a->status)) {
        signal_name(WTERMSIG(a->status), name, sizeof(name));
        return qe__json_add_string(object, "signal", name);
    }
    if (WIFEXITED(a->status))
        return qe__json_add_number(object, "exit_status",
                                   WEXITSTATUS(a->status));
    return true;
}

/* What the attempt left for people to read. */
static bool add_texts(cJSON *object, const qe__text *text)
{
    cJSON *list;

    if (text == NULL)
        return true;
    list = cJSON_AddArrayToObject(object, "texts");
    if (list == NULL)
        return false;
    for (; text != NULL; text = text->next) {
        cJSON *entry = cJSON_CreateObject();

        if (entry == NULL)
            return false;
        cJSON_AddItemToArray(list, entry);
        if (!qe__json_add_string(entry, "kind",
                                 text->kind == QE_TEXT_FAILURE ? "failure"
                                                               : "output") ||
            !qe__json_add_string(entry, "name", text->name) ||
            !qe__json_add_string(entry, "text", text->text))
            return false;
    }
    return true;
}

/* The names in `marks`, one a line. */
static bool add_marks(cJSON *object, const char *marks)
{
    cJSON *list;
    char *copy, *name, *rest = NULL;
    bool good = true;

    if (marks == NULL)
        return true;
    list = cJSON_AddArrayToObject(object, "marks");
    copy = strdup(marks);
    if (list == NULL || copy == NULL) {
        free(copy);
        return false;
    }
    for (name = strtok_r(copy, "\n", &rest); name != NULL && good;
         name = strtok_r(NULL, "\n", &rest)) {
        cJSON *item = qe__json_string(name);

        good = item != NULL && cJSON_AddItemToArray(list, item);
        if (!good)
            cJSON_Delete(item);
    }
    free(copy);
    return good;
}

static bool add_attempt(cJSON *attempts, const qe_attempt *a, bool flaky)
{
    const qe__attempt *entry = (const qe__attempt *) a; /* its first member */
    cJSON *object = cJSON_CreateObject();
    char worker[16];

    if (object == NULL)
        return false;
    cJSON_AddItemToArray(attempts, object);
    snprintf(worker, sizeof(worker), "gw%u", (unsigned) a->worker);
    return qe__json_add_string(object, "outcome",
                               qe_outcome_name(a->outcome)) &&
           qe__json_add_number(object, "attempt", a->attempt) &&
           (!flaky || qe__json_add_number(object, "pass", a->pass)) &&
           qe__json_add_number(object, "start", a->start_s) &&
           qe__json_add_number(object, "duration", a->duration_s) &&
           qe__json_add_string(object, "worker", worker) &&
           qe__json_add_number(object, "cpu", a->cpu_s) &&
           qe__json_add_number(object, "peak_memory", (double) a->peak_bytes) &&
           add_death(object, a) &&
           (a->message == NULL ||
            qe__json_add_string(object, "message", a->message)) &&
           add_texts(object, entry->texts);
}

static bool add_flakiness(cJSON *test, const qe_flakiness *f)
{
    cJSON *object = cJSON_AddObjectToObject(test, "flakiness");

    return object != NULL && qe__json_add_number(object, "passes", f->passes) &&
           qe__json_add_number(object, "failures", f->failures) &&
           qe__json_add_number(object, "flakiness_score", f->score) &&
           cJSON_AddBoolToObject(object, "is_flaky", f->is_flaky) != NULL &&
           qe__json_add_string(object, "pattern", qe_pattern_name(f->pattern));
}

static bool fill_test(cJSON *object, const qe__test *test,
                      const qe__attempts *list, bool flaky)
{
    qe_flakiness flakiness;
    cJSON *attempts;
    size_t i;

    if (!qe__json_add_string(object, "id", test->id) ||
        !qe__json_add_string(object, "outcome", qe_outcome_name(test->outcome)))
        return false;
    if (test->message != NULL &&
        !qe__json_add_string(object, "message", test->message))
        return false;
    if (test->quarantined &&
        cJSON_AddBoolToObject(object, "quarantined", true) == NULL)
        return false;
    if (!add_marks(object, test->marks))
        return false;
    if (test->expected_s > 0 &&
        !qe__json_add_number(object, "expected", test->expected_s))
        return false;
    attempts = cJSON_AddArrayToObject(object, "attempts");
    if (attempts == NULL)
        return false;
    for (i = 0; i < list->count; i++)
        if (!add_attempt(attempts, list->at[i], flaky))
            return false;
    /* A test that neither passed nor failed in any pass has no flakiness. */
    if (flaky && qe__flakiness_of_attempts(list, &flakiness) == QE_OK)
        return add_flakiness(object, &flakiness);
    return true;
}

/* Prints `object`, which it frees, after `before`. */
static int write_object(qe__output *o, const char *before, cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    int rc;

    cJSON_Delete(object);
    if (text == NULL)
        return QE_ENOMEM;
    rc = qe__output_write(o, before);
    if (rc == QE_OK)
        rc = qe__output_write(o, text);
    cJSON_free(text);
    return rc;
}

static int write_tests(qe__output *o, const qe_record *r, bool flaky)
{
    qe__attempts list = {0};
    int rc = QE_OK;
    size_t i;

    for (i = 0; i < r->test_count && rc == QE_OK; i++) {
        cJSON *object;
        rc = qe__record_attempts(r, (uint32_t) i, &list);
        if (rc != QE_OK)
            break;
        object = cJSON_CreateObject();
        if (object == NULL || !fill_test(object, &r->tests[i], &list, flaky)) {
            cJSON_Delete(object);
            rc = QE_ENOMEM;
            break;
        }
        rc = write_object(o, i == 0 ? "\n" : ",\n", object);
    }
    free(list.at);
    return rc;
}

static int write_summary(qe__output *o, const qe_record *r)
{
    size_t counts[QE_OUTCOME_COUNT] = {0};
    cJSON *summary = cJSON_CreateObject();
    bool good;
    size_t i;

    for (i = 0; i < r->test_count; i++)
        counts[r->tests[i].outcome]++;
    good = summary != NULL &&
           qe__json_add_number(summary, "total", (double) r->test_count);
    for (i = 0; i < QE_OUTCOME_COUNT && good; i++)
        good = qe__json_add_number(
            summary, qe_outcome_name((enum qe_outcome) i), (double) counts[i]);
    if (!good) {
        cJSON_Delete(summary);
        return QE_ENOMEM;
    }
    return write_object(o, ",\n\"summary\":", summary);
}

static int write_all(qe__output *o, const qe_record *r, const char *run_json,
                     bool flaky)
{
    char head[64];
    int rc;

    snprintf(head, sizeof(head),
             "{\"schema\":%d,\"version\":\"%s\",\n\"run\":", SCHEMA_VERSION,
             QE_VERSION);
    rc = qe__output_write(o, head);
    if (rc == QE_OK)
        rc = qe__output_write(o, run_json);
    if (rc == QE_OK)
        rc = write_summary(o, r);
    if (rc == QE_OK)
        rc = qe__output_write(o, ",\n\"tests\":[");
    if (rc == QE_OK)
        rc = write_tests(o, r, flaky);
    if (rc == QE_OK)
        rc = qe__output_write(o, "\n]}\n");
    return rc;
}

QE_API int qe_record_write_json(const qe_record *r, const char *path,
                                const char *run_json, bool flaky)
{
    qe__output output;
    int rc;

    if (r == NULL || path == NULL)
        return QE_EINVAL;
    if (run_json == NULL)
        run_json = "{}";
    else if (!qe__json_is_object(run_json))
        return QE_EFORMAT;
    rc = qe__output_open(&output, path);
    if (rc != QE_OK)
        return rc;
    rc = write_all(&output, r, run_json, flaky);
    if (rc != QE_OK) {
        qe__output_abort(&output);
        return rc;
    }
    return qe__output_commit(&output);
}
