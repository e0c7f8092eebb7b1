#include "scratch.h"

#include <limits.h>
#include <sched.h>
#include <time.h>

#include "qe_clock.h"
#include "qe_util.h"

static void the_monotonic_clock_does_not_go_back(void **state)
{
    uint64_t last = qe_now_ns();
    int i;

    (void) state;
    assert_true(last > 0);
    for (i = 0; i < 1000; i++) {
        uint64_t now = qe_now_ns();

        assert_true(now >= last);
        last = now;
    }
}

static void the_wall_clock_is_that_of_time(void **state)
{
    double before = (double) time(NULL) - 1;
    double now = qe_wall_s();

    (void) state;
    assert_true(now >= before);
    assert_true(now <= (double) time(NULL) + 1);
}

static void the_count_follows_the_affinity_mask(void **state)
{
    cpu_set_t before, one;
    unsigned all = qe_cpu_count();
    int cpu = 0;

    (void) state;
    assert_true(all >= 1);
    if (sched_getaffinity(0, sizeof before, &before) != 0)
        skip();
    assert_true(all <= (unsigned) CPU_COUNT(&before));
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        skip();
    assert_int_equal(qe_cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(qe_cpu_count(), all);
}

static void nothing_readable_means_no_quota(void **state)
{
    struct scratch *tree = *state;

    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
    scratch_tree_file(tree, "/proc/self/cgroup", "0::/a\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
}

static void a_quota_of_version_2_is_rounded_up(void **state)
{
    struct scratch *tree = *state;

    scratch_tree_file(tree, "/proc/self/cgroup", "0::/a\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 2);
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cpu.max", "200001 100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 3);
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cpu.max", "1000 100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 1);
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
}

static void the_least_quota_on_the_way_up_counts(void **state)
{
    struct scratch *tree = *state;

    scratch_tree_file(tree, "/proc/self/cgroup", "0::/a/b/c\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cpu.max", "500000 100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 3);
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 1);
}

static void a_path_only_the_host_sees_ends_at_the_mount(void **state)
{
    struct scratch *tree = *state;

    scratch_tree_file(tree, "/sys/fs/cgroup/cpu.max", "400000 100000\n");
    scratch_tree_file(tree, "/proc/self/cgroup", "0::/docker/0123\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 4);
    scratch_tree_file(tree, "/proc/self/cgroup", "0::/../../elsewhere\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 4);
    scratch_tree_file(tree, "/proc/self/cgroup", "0::/\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 4);
}

static void quotas_of_version_1_count_too(void **state)
{
    struct scratch *tree = *state;

    scratch_tree_file(tree, "/proc/self/cgroup",
                      "9:cpuset:/\n3:cpuacct,cpu:/a\n0::/\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us",
                      "250000\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us",
                      "100000\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), 3);
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
}

static void garbage_is_no_quota(void **state)
{
    struct scratch *tree = *state;
    char *longest = malloc(20000);

    assert_non_null(longest);
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu.max", "5 0\n");
    scratch_tree_file(tree, "/proc/self/cgroup",
                      "\n:\n0:\n::\n0::/x\nno colon");
    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu.max", "many few\n");
    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
    memset(longest, '/', 19999);
    longest[19999] = '\0';
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu.max", longest);
    assert_int_equal(qe__cgroup_cpus(tree->dir), UINT_MAX);
    /* A group whose path is too long for any file: the mount still counts. */
    scratch_tree_file(tree, "/sys/fs/cgroup/cpu.max", "100000 100000\n");
    memcpy(longest, "0::", 3);
    longest[6000] = '\0';
    scratch_tree_file(tree, "/proc/self/cgroup", longest);
    assert_int_equal(qe__cgroup_cpus(tree->dir), 1);
    free(longest);
}

#define WITH_TREE(test)                                                        \
    cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
        cmocka_unit_test(the_wall_clock_is_that_of_time),
        cmocka_unit_test(the_count_follows_the_affinity_mask),
        WITH_TREE(nothing_readable_means_no_quota),
        WITH_TREE(a_quota_of_version_2_is_rounded_up),
        WITH_TREE(the_least_quota_on_the_way_up_counts),
        WITH_TREE(a_path_only_the_host_sees_ends_at_the_mount),
        WITH_TREE(quotas_of_version_1_count_too),
        WITH_TREE(garbage_is_no_quota),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
