/* A control group of one's own: where it is made, what it limits, and that it goes. */
#include "qe_cgroup.h"

#include <signal.h>
#include <sys/file.h>

#include "scratch.h"

#define MIB ((uint64_t) 1 << 20)

static const qe_cgroup_limits none, memory = {64 * MIB, 0},
                                    both = {64 * MIB, 500};

/* In a tree of the test's own there are no files in a new folder: it can be made there,
 * but not entered. */
static void assert_refused(const struct scratch *tree,
                           const qe_cgroup_limits *limits, int error)
{
    qe_cgroup *group;

    errno = 0;
    assert_int_equal(qe__cgroup_new(&group, tree->dir, limits), QE_ESYS);
    assert_int_equal(errno, error);
    assert_null(group);
}

static void where_there_is_none_it_is_refused(void **state)
{
    assert_refused(*state, &memory, EOPNOTSUPP);
    scratch_tree_file(*state, "/proc/self/cgroup", "4:memory:/a\n");
    scratch_tree_file(*state, "/sys/fs/cgroup/memory/a/cgroup.procs", "");
    assert_refused(*state, &memory, EOPNOTSUPP); /* version 1 */
    scratch_tree_file(*state, "/proc/self/cgroup", "0::/a/b\n");
    scratch_tree_file(*state, "/sys/fs/cgroup/a/cgroup.subtree_control",
                      "cpu pids\n");
    assert_refused(*state, &memory, EOPNOTSUPP);
}

static void it_is_made_beside_our_own(void **state)
{
    const struct scratch *tree = *state;
    char path[PATH_MAX];

    scratch_tree_file(tree, "/proc/self/cgroup", "0::/a/b\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cgroup.subtree_control",
                      "cpu memory pids\n");
    assert_refused(tree, &memory, EACCES);
    assert_refused(tree, &both, EACCES);
    /* Nothing is left of the trial. */
    snprintf(path, sizeof(path), "%s/sys/fs/cgroup/a/qe-run-%d-0", tree->dir,
             (int) getpid());
    assert_false(scratch_exists(path));
}

static void it_is_no_way_out_of_limits(void **state)
{
    static const char *const files[] = {"memory.max", "memory.high", "cpu.max"};
    const struct scratch *tree = *state;

    scratch_tree_file(tree, "/proc/self/cgroup", "0::/a/b\n");
    scratch_tree_file(tree, "/sys/fs/cgroup/a/cgroup.subtree_control",
                      "cpu memory\n");
    for (size_t i = 0; i < 3; i++) {
        char name[128];

        snprintf(name, sizeof(name), "/sys/fs/cgroup/a/b/%s", files[i]);
        scratch_tree_file(tree, name, "max 100000\n");
        assert_refused(tree, &memory, EACCES);
        scratch_tree_file(tree, name, "100000 100000\n");
        assert_refused(tree, &memory, EOPNOTSUPP);
        scratch_tree_file(tree, name, "max\n");
    }
    assert_refused(tree, &memory, EACCES);
}

static void a_hundredth_of_a_processor_is_the_least(void **state)
{
    const qe_cgroup_limits wrong = {0, 9};
    qe_cgroup *group;

    (void) state;
    assert_int_equal(qe_cgroup_new(&group, &wrong), QE_EINVAL);
}

/* ------------------------------------------------------------------ real ones */

static qe_cgroup *real(const qe_cgroup_limits *limits)
{
    qe_cgroup *group;
    int status = qe_cgroup_new(&group, limits);

    if (status != 0) {
        print_message("there is no control group (version 2) with such limits "
                      "that this user may make: %s\n",
                      strerror(errno));
        skip();
    }
    return group;
}

static int enter_and_sleep(void *procs)
{
    FILE *file = fopen(procs, "w");
    pid_t pid;

    if (file == NULL || fputs("0", file) < 0 || fclose(file) != 0)
        return 1;
    pid = fork();
    (void) setsid(); /* whatever it does, it stays in the group */
    for (;;)
        pause();
    return pid < 0;
}

static void wait_for_two(const char *procs)
{
    for (;;) {
        size_t lines = 0;
        char text[256];
        FILE *file = fopen(procs, "r");

        assert_non_null(file);
        while (fgets(text, sizeof(text), file) != NULL)
            lines++;
        fclose(file);
        if (lines == 2)
            return;
        usleep(1000);
    }
}

static void what_is_in_it_ends_with_it(void **state)
{
    qe_cgroup *group = real(&none);
    char *procs = strdup(qe_cgroup_procs(group));
    qe_cgroup_end end;
    pid_t child;
    int status;

    (void) state;
    assert_false(qe_cgroup_limits_memory(group));
    child = scratch_fork(enter_and_sleep, procs);
    wait_for_two(procs);
    qe_cgroup_free(group, &end);
    status = scratch_wait(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(scratch_exists(procs));
    assert_int_equal(end.oom_kills, 0);
    free(procs);
}

static int make_and_die(void *pipe_end)
{
    qe_cgroup *group;

    if (qe_cgroup_new(&group, &none) != 0)
        return 1;
    if (write(*(int *) pipe_end, qe_cgroup_procs(group), PATH_MAX / 2) < 0)
        return 2;
    kill(getpid(), SIGKILL);
    return 3;
}

static void what_a_killed_one_left_is_cleared(void **state)
{
    qe_cgroup *other = real(&none), *group;
    char *kept = strdup(qe_cgroup_procs(other)), left[PATH_MAX];
    int ends[2];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    scratch_wait(scratch_fork(make_and_die, &ends[1]));
    assert_true(read(ends[0], left, sizeof(left)) > 0);
    assert_true(scratch_exists(left));
    group = real(&none);
    assert_false(scratch_exists(left));
    assert_true(scratch_exists(kept)); /* its maker lives */
    qe_cgroup_free(group, NULL);
    qe_cgroup_free(other, NULL);
    close(ends[0]);
    close(ends[1]);
    free(kept);
}

static int enter_and_grow(void *procs)
{
    FILE *file = fopen(procs, "w");
    char *pages;

    if (file == NULL || fputs("0", file) < 0 || fclose(file) != 0)
        return 1;
    pages = malloc(128 * MIB);
    if (pages == NULL)
        return 2;
    memset(pages, 1, 128 * MIB);
    return pages[128 * MIB - 1] == 1 ? 0 : 3;
}

static void beyond_its_memory_processes_are_killed(void **state)
{
    qe_cgroup *group = real(&memory);
    qe_cgroup_end end;
    int status = scratch_wait(
        scratch_fork(enter_and_grow, (void *) qe_cgroup_procs(group)));

    (void) state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    qe_cgroup_free(group, &end);
    assert_true(end.oom_kills > 0);
    assert_true(end.peak_bytes == 0 || end.peak_bytes <= 64 * MIB);
}

static void of_processors_it_has_its_part(void **state)
{
    const qe_cgroup_limits half = {0, 500};
    qe_cgroup *group = real(&half);
    char path[PATH_MAX], text[64];

    (void) state;
    assert_true(qe_cgroup_limits_cpu(group));
    snprintf(path, sizeof(path), "%s", qe_cgroup_procs(group));
    *strrchr(path, '/') = '\0';
    assert_true(qe__cgroup_read(path, "cpu.max", text, sizeof(text)));
    assert_string_equal(text, "50000 100000\n");
    qe_cgroup_free(group, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(where_there_is_none_it_is_refused),
        TEST(it_is_made_beside_our_own),
        TEST(it_is_no_way_out_of_limits),
        TEST(a_hundredth_of_a_processor_is_the_least),
        TEST(what_is_in_it_ends_with_it),
        TEST(what_a_killed_one_left_is_cleared),
        TEST(beyond_its_memory_processes_are_killed),
        TEST(of_processors_it_has_its_part),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
