/*
 * Prints what planning and scheduling cost per unit as plans grow, to show
 * that the growth is that of O(log n). Not a test: nothing is judged.
 *
 *   cc -O2 -std=c11 -D_GNU_SOURCE -Icsrc -Icsrc/include bench/sched_curve.c \
 *       csrc/qe_{clock,util,heap,plan,sched,sched_queue,sched_layout,sched_wait}.c
 *
 * Each size runs in a process of its own, so that its peak memory is its own.
 * Of the units, 1 in 20 fails once and runs again after a pause, 1 in 1000 is
 * SERIAL, 1 in 8 scopes is TOGETHER, and 1 unit in 10 has a scope of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_plan.h"
#include "qe_sched.h"
#include "qe_util.h"

#define MAX_SLOTS 64

struct result {
    double plan_ns, start_ns, run_ns; /* per unit */
    double bytes;                     /* likewise, at the peak */
};

static void must(int err)
{
    if (err != 0) {
        fprintf(stderr, "sched_curve: %s\n", qe_strerror(err));
        _exit(1);
    }
}

static uint64_t peak_bytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t) usage.ru_maxrss * 1024;
}

static qe_plan *make_plan(uint32_t n)
{
    uint64_t random = 1;
    qe_plan *plan;
    uint32_t i, file = 0;

    must(qe_plan_new(&plan));
    for (i = 0; i < n; i++) {
        char id[80], scope[48];
        qe_unit unit = {.id = id, .scope = scope, .item = i, .retries = 1};

        if (qe__random(&random) % 16 == 0)
            file++;
        if (file % 8 == 0)
            unit.flags = QE_UNIT_TOGETHER;
        if (qe__random(&random) % 1000 == 0)
            unit.flags |= QE_UNIT_SERIAL;
        unit.expected_ns = qe__random(&random) % 1000000;
        snprintf(scope, sizeof scope, "tests/unit/test_%u.py", file);
        snprintf(id, sizeof id, "%s::test_%u", scope, i);
        if (i % 10 == 0)
            unit.scope = NULL;
        must(qe_plan_add(plan, &unit));
    }
    must(qe_plan_seal(plan));
    return plan;
}

/* Runs everything; every attempt takes as long as history says. */
static void run(qe_sched *sched, const qe_plan *plan, uint32_t slots)
{
    uint64_t end_ns[MAX_SLOTS], now_ns = 0, random = 2;
    uint32_t unit[MAX_SLOTS], attempt[MAX_SLOTS];
    bool busy[MAX_SLOTS] = {false};

    for (;;) {
        uint32_t i, first = slots;
        qe__step step;
        qe_unit u;

        must(qe__sched_next(sched, now_ns, &step));
        if (step.kind == QE__STEP_DONE)
            return;
        if (step.kind == QE__STEP_START) {
            must(qe_plan_get(plan, step.unit, &u));
            busy[step.slot] = true;
            unit[step.slot] = step.unit;
            attempt[step.slot] = step.attempt;
            end_ns[step.slot] = now_ns + u.expected_ns + 1;
            continue;
        }
        for (i = 0; i < slots; i++) {
            if (busy[i] && (first == slots || end_ns[i] < end_ns[first]))
                first = i;
        }
        if (first == slots || end_ns[first] > step.wake_ns) {
            now_ns = step.wake_ns;
            continue;
        }
        now_ns = end_ns[first];
        busy[first] = false;
        if (attempt[first] == 1 && qe__random(&random) % 20 == 0)
            must(qe__sched_retry(sched, unit[first], 2,
                                 now_ns + qe__random(&random) % 100000000));
        else
            must(qe__sched_settled(sched, unit[first]));
        qe__sched_slot_free(sched, first);
    }
}

static struct result measure(uint32_t n, uint32_t slots)
{
    struct result result;
    qe__sched_options options = {.slots = slots};
    uint64_t before = peak_bytes();
    uint64_t t0, t1, t2, t3;
    qe_plan *plan;
    qe_sched *sched;

    t0 = qe_now_ns();
    plan = make_plan(n);
    t1 = qe_now_ns();
    must(qe__sched_new(&sched, plan, &options));
    t2 = qe_now_ns();
    run(sched, plan, slots);
    t3 = qe_now_ns();
    result.plan_ns = (double) (t1 - t0) / n;
    result.start_ns = (double) (t2 - t1) / n;
    result.run_ns = (double) (t3 - t2) / n;
    result.bytes = (double) (peak_bytes() - before) / n;
    qe__sched_free(sched);
    qe_plan_free(plan);
    return result;
}

static struct result measure_apart(uint32_t n, uint32_t slots)
{
    struct result result;
    int fds[2], status;
    pid_t pid;

    if (pipe(fds) != 0 || (pid = fork()) < 0) {
        perror("sched_curve");
        exit(1);
    }
    if (pid == 0) {
        result = measure(n, slots);
        _exit(write(fds[1], &result, sizeof result) != sizeof result);
    }
    close(fds[1]);
    if (read(fds[0], &result, sizeof result) != sizeof result) {
        fprintf(stderr, "sched_curve: the measurement failed\n");
        exit(1);
    }
    close(fds[0]);
    waitpid(pid, &status, 0);
    return result;
}

int main(void)
{
    static const uint32_t slots[] = {2, MAX_SLOTS};
    size_t i;
    uint32_t n;

    printf("%8s %5s | %8s %8s %8s %8s %6s | %10s\n", "units", "slots",
           "plan ns", "start ns", "run ns", "sum ns", "ratio", "bytes/unit");
    for (i = 0; i < QE__COUNT(slots); i++) {
        double last = 0;

        for (n = 1000; n <= 1000000; n *= 10) {
            struct result r = measure_apart(n, slots[i]);
            double sum = r.plan_ns + r.start_ns + r.run_ns;

            printf("%8u %5u | %8.0f %8.0f %8.0f %8.0f ", n, slots[i], r.plan_ns,
                   r.start_ns, r.run_ns, sum);
            if (last > 0)
                printf("%6.2f", sum / last);
            else
                printf("%6s", "-");
            printf(" | %10.0f\n", r.bytes);
            fflush(stdout);
            last = sum;
        }
    }
    return 0;
}
