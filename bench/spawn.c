/* How many commands a second: the core against `xargs -P`, on /bin/true.
 *
 * Rounds of both are interleaved, as a machine is seldom as fast as a moment
 * ago. Prints a table: medians, and the median of the rounds' own ratios. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe.h"

#define COMMANDS 2000
#define AT_ONCE 2
#define ROUNDS 5

struct cost {
    double wall_s, cpu_s;
};

static double cpu_of(int who)
{
    struct rusage usage;

    memset(&usage, 0, sizeof(usage));
    (void) getrusage(who, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* So far: by the clock, and of this process and all that it waited for. */
static struct cost so_far(void)
{
    return (struct cost){(double) qe_now_ns() / 1e9,
                         cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN)};
}

static struct cost since(struct cost begin)
{
    struct cost end = so_far();

    return (struct cost){end.wall_s - begin.wall_s, end.cpu_s - begin.cpu_s};
}

static void check(int status)
{
    if (status < 0) {
        (void) fprintf(stderr, "spawn: %s\n", qe_strerror(status));
        exit(1);
    }
}

static struct cost run_core(void)
{
    static char *const argv[] = {"/bin/true", NULL};
    qe_options options = {.workers = AT_ONCE, .start = QE_START_COMMAND};
    qe_session *session;
    qe_worker *worker;
    qe_plan *plan;
    qe_event event;
    unsigned passed = 0;
    struct cost begin = so_far(), took;

    check(qe_plan_new(&plan));
    for (int i = 0; i < COMMANDS; i++) {
        char id[16];
        qe_unit unit = {.id = id, .argv = argv};

        (void) snprintf(id, sizeof(id), "%d", i);
        check(qe_plan_add(plan, &unit));
    }
    check(qe_plan_seal(plan));
    check(qe_session_start(&session, &worker, plan, &options, NULL));
    do {
        check(qe_session_next(session, 1000, &event));
        passed += event.kind == QE_EV_FINISH && event.outcome == QE_PASSED;
    } while (event.kind != QE_EV_DONE);
    qe_session_close(session);
    qe_plan_free(plan);
    took = since(begin);
    if (passed != COMMANDS) {
        (void) fprintf(stderr, "spawn: only %u commands passed\n", passed);
        exit(1);
    }
    return took;
}

static struct cost run_xargs(void)
{
    char command[128];
    struct cost begin = so_far();

    (void) snprintf(command, sizeof(command),
                    "seq %d | xargs -P %d -n 1 /bin/true", COMMANDS, AT_ONCE);
    if (system(command) != 0) {
        (void) fprintf(stderr, "spawn: xargs failed\n");
        exit(1);
    }
    return since(begin);
}

static unsigned count_descriptors(void)
{
    DIR *all = opendir("/proc/self/fd");
    unsigned n = 0;

    while (all != NULL && readdir(all) != NULL) {
        n++;
    }
    if (all != NULL) {
        (void) closedir(all);
    }
    return n;
}

/* Nothing may be left of so many commands: no descriptor, and no process, not even one
 * that waits to be reaped. */
static void check_left(unsigned before)
{
    unsigned after = count_descriptors();

    errno = 0;
    if (after != before || waitpid(-1, NULL, WNOHANG) != -1 ||
        errno != ECHILD) {
        (void) fprintf(stderr, "spawn: %u descriptors before, %u after, %s\n",
                       before, after, strerror(errno));
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static double median(const double *values)
{
    double sorted[ROUNDS];

    memcpy(sorted, values, sizeof(sorted));
    qsort(sorted, ROUNDS, sizeof(sorted[0]), compare);
    return sorted[ROUNDS / 2];
}

int main(void)
{
    double core[2][ROUNDS], xargs[2][ROUNDS], ratio[2][ROUNDS];
    unsigned descriptors;

    (void) run_core(); /* libuv keeps two descriptors, once a process */
    descriptors = count_descriptors();
    for (int i = 0; i < ROUNDS; i++) {
        struct cost a = run_core(), b = run_xargs();

        core[0][i] = a.wall_s;
        core[1][i] = a.cpu_s;
        xargs[0][i] = b.wall_s;
        xargs[1][i] = b.cpu_s;
        ratio[0][i] = a.wall_s / b.wall_s;
        ratio[1][i] = a.cpu_s / b.cpu_s;
    }
    check_left(descriptors);
    printf("| %d commands, %d at once | wall s | ratio | cpu s | ratio |\n"
           "| --- | ---: | ---: | ---: | ---: |\n"
           "| qe's core | %.2f | %.2f | %.2f | %.2f |\n"
           "| xargs -P %d | %.2f | 1.00 | %.2f | 1.00 |\n",
           COMMANDS, AT_ONCE, median(core[0]), median(ratio[0]),
           median(core[1]), median(ratio[1]), AT_ONCE, median(xargs[0]),
           median(xargs[1]));
    printf("\nAfter %d commands of the core no descriptor and no process is "
           "left.\n",
           COMMANDS * (ROUNDS + 1));
    return 0;
}
