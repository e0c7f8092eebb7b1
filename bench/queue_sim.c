/*
 * How long a run takes that nodes share by a queue, in virtual time, against the best that any
 * schedule could do: the larger of all time by all nodes and the longest unit. Beside it one machine
 * with as many workers (the core's scheduler), and fixed shards by count and by time. Nothing is
 * judged here; tests/c/test_share_model.c does.
 *
 *   queue_sim [--csv] [--units=N] [--seed=N] [--quick]
 *
 * Nodes have one worker, but where it says otherwise. The same numbers come out at each run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_model.h"

#define LEASE_NS (10000 * QE__MS)

static const uint32_t node_counts[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
static const uint32_t medians_ms[] = {10, 100, 1000};
static const uint32_t trips_ms[] = {1, 10, 50};
static const char *const shapes[] = {"lognormal", "pareto"};
static const char *const knowns[] = {"exact", "noisy", "unknown"};

/* What befalls the nodes. */
static const struct fate {
    const char *name;
    struct run_kind kind;
    double fails, together;
    bool all; /* with all loads, and beside others */
} fates[] = {
    {"steady", {.workers = 1}, 0, 0, true},
    {"lost", {.workers = 1, .lost = 0.2}, 0, 0, false},
    {"late", {.workers = 1, .late = 0.5}, 0, 0, false},
    {"speeds", {.workers = 1, .speeds = 0.2}, 0, 0, false},
    {"retried", {.workers = 1}, 0.01, 0.1, false},
    {"4 workers", {.workers = 4}, 0, 0, false},
};

static struct options {
    bool csv, quick;
    uint32_t units;
    uint64_t seed;
} options = {.units = 100000, .seed = 4};

static void must(int status)
{
    if (status != 0) {
        fprintf(stderr, "queue_sim: %s\n", qe_strerror(status));
        exit(1);
    }
}

/* A line of the table, or several of the CSV. */
struct row {
    const struct load_kind *load;
    const char *fate, *how;
    uint32_t trip_ms;
};

static void start_row(const struct row *r)
{
    if (!options.csv) {
        printf("| %-9s | %4u | %-7s | %-9s | %-15s | %4u |",
               shapes[r->load->shape], (unsigned) (r->load->median_ns / QE__MS),
               knowns[r->load->known], r->fate, r->how, r->trip_ms);
    }
}

static void cell(const struct row *r, uint32_t nodes, uint32_t workers,
                 uint64_t end_ns, uint64_t bound_ns,
                 const struct run_result *more)
{
    double ratio = (double) end_ns / (double) bound_ns;

    if (!options.csv) {
        printf(" %6.3f |", ratio);
        return;
    }
    printf("%s,%u,%s,%s,%s,%u,%u,%u,%.6f,%.6f,%.4f", shapes[r->load->shape],
           (unsigned) (r->load->median_ns / QE__MS), knowns[r->load->known],
           r->fate, r->how, r->trip_ms, nodes, workers, (double) end_ns / 1e9,
           (double) bound_ns / 1e9, ratio);
    if (more != NULL) {
        printf(",%llu,%llu,%llu,%llu\n", (unsigned long long) more->calls,
               (unsigned long long) more->entries,
               (unsigned long long) more->given,
               (unsigned long long) more->setups);
    } else {
        printf(",,,,\n");
    }
}

static void end_row(void)
{
    if (!options.csv) {
        printf("\n");
    }
    fflush(stdout);
}

/* What the others do with the same tests on the same nodes. */
static void print_others(const struct load *l, const struct load_kind *kind,
                         const struct fate *fate, const uint64_t *bounds,
                         uint64_t *const *lost)
{
    static const char *const how[] = {"one machine", "shards by count",
                                      "shards by time"};

    for (uint32_t i = 0; i < QE__COUNT(how); i++) {
        struct row row = {kind, fate->name, how[i], 0};

        if (i == 0 && !fate->all) {
            continue;
        }
        start_row(&row);
        for (uint32_t n = 0; n < QE__COUNT(node_counts); n++) {
            uint32_t of = node_counts[n];
            uint64_t end = i == 0   ? one_machine(l, of)
                           : i == 1 ? shards_by_count(l, of, lost[n])
                                    : shards_by_time(l, of, lost[n]);

            must(end == 0 ? QE_ENOMEM : 0);
            cell(&row, of, 1, end, bounds[n], NULL);
        }
        end_row();
    }
}

static void print_fate(const struct load *l, const struct load_kind *kind,
                       const struct fate *fate)
{
    uint64_t bounds[QE__COUNT(node_counts)];
    uint64_t *lost[QE__COUNT(node_counts)];

    for (uint32_t n = 0; n < QE__COUNT(node_counts); n++) {
        lost[n] = calloc(node_counts[n], sizeof(*lost[n]));
        must(lost[n] == NULL ? QE_ENOMEM : 0);
    }
    for (uint32_t t = 0; t < QE__COUNT(trips_ms); t++) {
        struct row row = {kind, fate->name, "queue", trips_ms[t]};

        if (fate->kind.lost == 0 &&
            (fate->all ? trips_ms[t] == 10 && kind->median_ns != 100 * QE__MS
                       : trips_ms[t] != 10)) {
            continue;
        }
        start_row(&row);
        for (uint32_t n = 0; n < QE__COUNT(node_counts); n++) {
            struct run_kind run = fate->kind;
            struct run_result result;

            run.nodes = node_counts[n];
            run.trip_ns = trips_ms[t] * QE__MS;
            run.lease_ns = LEASE_NS;
            run.seed = options.seed;
            must(run_queue(l, &run, &result, lost[n]));
            bounds[n] = result.bound_ns;
            cell(&row, run.nodes, run.workers, result.end_ns, result.bound_ns,
                 &result);
        }
        end_row();
    }
    if (fate->all || fate->kind.lost > 0) {
        print_others(l, kind, fate, bounds, lost);
    }
    for (uint32_t n = 0; n < QE__COUNT(node_counts); n++) {
        free(lost[n]);
    }
}

static void print_load(enum load_shape shape, uint32_t median_ms,
                       enum load_known known)
{
    for (uint32_t f = 0; f < QE__COUNT(fates); f++) {
        struct load_kind kind = {.shape = shape,
                                 .known = known,
                                 .units = options.units,
                                 .scope_units = 10,
                                 .median_ns = median_ms * QE__MS,
                                 .fails = fates[f].fails,
                                 .together = fates[f].together,
                                 .seed = options.seed};
        struct load l;

        if (!fates[f].all && (known != LOAD_NOISY || median_ms != 100)) {
            continue;
        }
        must(load_make(&l, &kind));
        print_fate(&l, &kind, &fates[f]);
        load_free(&l);
    }
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--csv") == 0) {
            options.csv = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
        } else if (strncmp(argv[i], "--units=", 8) == 0) {
            options.units = (uint32_t) strtoul(argv[i] + 8, NULL, 10);
        } else if (strncmp(argv[i], "--seed=", 7) == 0) {
            options.seed = strtoull(argv[i] + 7, NULL, 10);
        } else {
            fprintf(stderr,
                    "usage: %s [--csv] [--units=N] [--seed=N] "
                    "[--quick]\n",
                    argv[0]);
            exit(2);
        }
    }
    if (options.units == 0) {
        fprintf(stderr, "queue_sim: --units must be a number above 0\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    if (options.csv) {
        printf("shape,median_ms,known,fate,how,trip_ms,nodes,workers,end_s,"
               "bound_s,ratio,calls,entries,given,setups\n");
    } else {
        printf("%u tests; how much longer than the best possible, by nodes\n\n"
               "| durations | ms   | known   | nodes     | how             | "
               "trip |",
               options.units);
        for (uint32_t n = 0; n < QE__COUNT(node_counts); n++) {
            printf(" %6u |", node_counts[n]);
        }
        printf("\n|-----------|-----:|---------|-----------|-----------------|"
               "-----:|");
        for (uint32_t n = 0; n < QE__COUNT(node_counts); n++) {
            printf("-------:|");
        }
        printf("\n");
    }
    for (uint32_t shape = 0; shape < QE__COUNT(shapes); shape++) {
        for (uint32_t m = 0; m < QE__COUNT(medians_ms); m++) {
            if (options.quick && medians_ms[m] != 100) {
                continue;
            }
            print_load(shape, medians_ms[m], LOAD_NOISY);
            print_load(shape, medians_ms[m], LOAD_UNKNOWN);
        }
    }
    return 0;
}
