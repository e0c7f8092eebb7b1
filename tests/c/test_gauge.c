/* How loaded the machine is, by a tree of the test's own files. */
#include "qe_gauge.h"

#include "alloc_fault.h"
#include "qe_cgroup.h"
#include "scratch.h"

#define S UINT64_C(1000000000)

struct tree {
    struct scratch *files;
    qe_gauge *gauge;
    uint64_t now_ns;
};

static int setup(void **state)
{
    struct tree *t = calloc(1, sizeof(*t));
    void *files;

    if (t == NULL || scratch_setup(&files) != 0)
        return -1;
    t->files = files;
    t->now_ns = 1000 * S;
    *state = t;
    return qe__gauge_new(&t->gauge, t->files->dir);
}

static int teardown(void **state)
{
    struct tree *t = *state;
    void *files = t->files;

    qe_gauge_free(t->gauge);
    free(t);
    return scratch_teardown(&files);
}

static void put(struct tree *t, const char *name, const char *text)
{
    scratch_tree_file(t->files, name, text);
}

static void put_stalls(struct tree *t, const char *what, uint64_t us)
{
    char name[64], text[256];

    snprintf(name, sizeof(name), "/proc/pressure/%s", what);
    snprintf(text, sizeof(text),
             "some avg10=1.00 avg60=2.00 avg300=3.00 total=%llu\n"
             "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
             (unsigned long long) us);
    put(t, name, text);
}

/* A look, so many seconds after the one before. */
static qe_pressure look(struct tree *t, double after_s)
{
    qe_pressure p;

    t->now_ns += (uint64_t) (after_s * 1e9);
    memset(&p, 0x7f, sizeof(p));
    qe_gauge_read(t->gauge, t->now_ns, &p);
    return p;
}

static void near(double found, double wanted)
{
    if (!(found > wanted - 1e-9 && found < wanted + 1e-9))
        fail_msg("%.17g, not %.17g", found, wanted);
}

static void without_files_nothing_is_known(void **state)
{
    for (int i = 0; i < 3; i++) {
        qe_pressure p = look(*state, 1);

        near(p.cpu, -1);
        near(p.memory, -1);
        near(p.free_memory, -1);
        near(p.load, -1);
    }
}

static void stalls_are_those_since_the_last_look(void **state)
{
    struct tree *t = *state;
    qe_pressure p;

    put_stalls(t, "cpu", 5000000);
    put_stalls(t, "memory", 100);
    p = look(t, 1);
    near(p.cpu, -1); /* since when? */
    near(p.memory, -1);
    put_stalls(t, "cpu", 5500000);
    put_stalls(t, "memory", 100);
    p = look(t, 2);
    near(p.cpu, 0.25);
    near(p.memory, 0);
    put_stalls(t, "cpu", 9000000); /* more than there was time */
    p = look(t, 1);
    near(p.cpu, 1);
    put_stalls(t, "cpu", 20); /* it began anew */
    near(look(t, 1).cpu, -1);
    put_stalls(t, "cpu", 100020);
    near(look(t, 1).cpu, 0.1);
    near(look(t, 0).cpu, -1); /* no time has passed */
}

static void a_file_that_comes_later_begins_then(void **state)
{
    struct tree *t = *state;

    near(look(t, 1).cpu, -1);
    put_stalls(t, "cpu", UINT64_C(1) << 50);
    near(look(t, 1).cpu, -1);
    put_stalls(t, "cpu", (UINT64_C(1) << 50) + 500000);
    near(look(t, 1).cpu, 0.5);
}

static void free_memory_is_the_machines(void **state)
{
    struct tree *t = *state;

    put(t, "/proc/meminfo",
        "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   250 kB\n");
    near(look(t, 1).free_memory, 0.25);
    put(t, "/proc/meminfo", "MemTotal:  1000 kB\nMemAvailable: 2000 kB\n");
    near(look(t, 1).free_memory, 1);
    put(t, "/proc/meminfo", "MemTotal:  0 kB\nMemAvailable: 2000 kB\n");
    near(look(t, 1).free_memory, -1);
    put(t, "/proc/meminfo", "MemTotal:  1000 kB\n");
    near(look(t, 1).free_memory, -1);
}

static void or_that_of_the_least_group(void **state)
{
    struct tree *t = *state;

    put(t, "/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 900 kB\n");
    put(t, "/proc/self/cgroup", "0::/a/b\n");
    put(t, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    put(t, "/sys/fs/cgroup/a/b/memory.current", "1000\n");
    near(look(t, 1).free_memory, 0.9);
    put(t, "/sys/fs/cgroup/a/memory.max", "1000000\n");
    put(t, "/sys/fs/cgroup/a/memory.current", "800000\n");
    near(look(t, 1).free_memory, 0.2);
    /* What files fill can be had back. */
    put(t, "/sys/fs/cgroup/a/memory.stat",
        "anon 1\ninactive_anon 500000\ninactive_file 300000\nfile 7\n");
    near(look(t, 1).free_memory, 0.5);
    put(t, "/sys/fs/cgroup/a/memory.stat", "inactive_file 900000\n");
    near(look(t, 1).free_memory, 0.9);
    put(t, "/sys/fs/cgroup/a/memory.stat", "anon 1\n");
    put(t, "/sys/fs/cgroup/a/memory.current", "2000000\n");
    near(look(t, 1).free_memory, 0);
}

static void groups_of_version_1_count_too(void **state)
{
    struct tree *t = *state;

    put(t, "/proc/self/cgroup", "5:memory:/a\n0::/\n");
    put(t, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000\n");
    put(t, "/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "400\n");
    /* What version 1 says for none. */
    put(t, "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712\n");
    put(t, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "500\n");
    near(look(t, 1).free_memory, 0.6);
}

static void what_may_be_had_is_the_machines_or_the_least_groups(void **state)
{
    struct tree *t = *state;

    assert_true(qe__memory_bytes(t->files->dir) == 0);
    put(t, "/proc/meminfo", "MemTotal: 2048 kB\nMemAvailable: 10 kB\n");
    assert_true(qe__memory_bytes(t->files->dir) == 2048 * 1024);
    put(t, "/proc/self/cgroup", "5:memory:/a\n0::/b/c\n");
    put(t, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        "9223372036854771712\n");
    put(t, "/sys/fs/cgroup/b/c/memory.max", "max\n");
    assert_true(qe__memory_bytes(t->files->dir) == 2048 * 1024);
    put(t, "/sys/fs/cgroup/b/memory.max", "900000\n");
    assert_true(qe__memory_bytes(t->files->dir) == 900000);
    put(t, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "800000\n");
    assert_true(qe__memory_bytes(t->files->dir) == 800000);
    assert_true(qe_memory_bytes() > 0);
}

static void the_load_is_what_runs_now_a_processor(void **state)
{
    struct tree *t = *state;

    put(t, "/proc/loadavg", "9.00 8.00 7.00 6/500 12345\n");
    near(look(t, 1).load, 6.0 / qe_cpu_count());
    put(t, "/proc/loadavg", "9.00 8.00 7.00\n");
    near(look(t, 1).load, -1);
}

static void garbage_is_not_known(void **state)
{
    static const char *const files[] = {
        "/proc/pressure/cpu",
        "/proc/pressure/memory",
        "/proc/meminfo",
        "/proc/loadavg",
        "/sys/fs/cgroup/a/memory.max",
        "/sys/fs/cgroup/a/memory.current",
        "/sys/fs/cgroup/a/memory.stat",
    };
    static char longest[20000];
    const char *texts[] = {"",
                           "\n",
                           "total=\nMemTotal:MemAvailable:",
                           "some total=x",
                           "-1 -1 -1 -1/-1",
                           "\377\376",
                           "MemTotal: nan MemAvailable: nan",
                           longest};
    struct tree *t = *state;

    memset(longest, '9', sizeof(longest) - 1);
    put(t, "/proc/self/cgroup", "0::/a\n");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++)
            put(t, files[k], texts[i]);
        for (int n = 0; n < 2; n++) {
            qe_pressure p = look(t, 1);

            near(p.cpu, -1);
            near(p.memory, -1);
            near(p.free_memory, -1);
        }
    }
}

static void a_clock_that_stands_or_goes_back_is_survived(void **state)
{
    struct tree *t = *state;
    qe_pressure p;

    put_stalls(t, "cpu", 1000);
    (void) look(t, 1);
    put_stalls(t, "cpu", 2000);
    qe_gauge_read(t->gauge, t->now_ns - 5 * S, &p);
    near(p.cpu, -1);
    qe_gauge_read(t->gauge, 0, &p);
    near(p.cpu, -1);
}

static void this_machine_can_be_read(void **state)
{
    qe_gauge *g;
    qe_pressure p;

    (void) state;
    assert_int_equal(qe_gauge_new(&g), 0);
    qe_gauge_read(g, qe_now_ns(), &p);
    near(p.cpu, -1);
    qe_gauge_read(g, qe_now_ns(), &p);
    assert_true(p.cpu <= 1 && p.memory <= 1);
    assert_true(p.free_memory <= 1);
    assert_true(p.load > 0); /* this process runs */
    qe_gauge_free(g);
    qe_gauge_free(NULL);
}

static int make_one(void *unused)
{
    qe_gauge *g;
    int status = qe_gauge_new(&g);

    (void) unused;
    qe_gauge_free(g);
    return status;
}

static void out_of_memory_is_told(void **state)
{
    (void) state;
    assert_true(alloc_fault_sweep(make_one, NULL) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(without_files_nothing_is_known),
        T(stalls_are_those_since_the_last_look),
        T(a_file_that_comes_later_begins_then),
        T(free_memory_is_the_machines),
        T(or_that_of_the_least_group),
        T(groups_of_version_1_count_too),
        T(what_may_be_had_is_the_machines_or_the_least_groups),
        T(the_load_is_what_runs_now_a_processor),
        T(garbage_is_not_known),
        T(a_clock_that_stands_or_goes_back_is_survived),
        T(this_machine_can_be_read),
#undef T
        cmocka_unit_test(out_of_memory_is_told),
    };

    return cmocka_run_group_tests_name("gauge", tests, NULL, NULL);
}
