/* The control groups of a process, in a tree of the test's own files. */
#include "qe_cgroup.h"

#include "scratch.h"

/* What was visited: "version:directory" below the root, a space behind each. */
struct visits {
    const struct scratch *tree;
    char text[4096];
    size_t longest;
};

static void visit(void *arg, const char *directory, int version)
{
    struct visits *v = arg;
    size_t root = strlen(v->tree->dir), used = strlen(v->text);

    assert_memory_equal(directory, v->tree->dir, root);
    if (strlen(directory) > v->longest)
        v->longest = strlen(directory);
    snprintf(v->text + used, sizeof(v->text) - used, "%d:%s ", version,
             directory + root);
}

static const char *walk(struct visits *v, const struct scratch *tree,
                        const char *controller)
{
    memset(v, 0, sizeof(*v));
    v->tree = tree;
    qe__cgroup_each(tree->dir, controller, visit, v);
    return v->text;
}

static void without_the_file_nothing_is_visited(void **state)
{
    struct visits v;

    assert_string_equal(walk(&v, *state, "memory"), "");
    scratch_tree_file(*state, "/proc/self/cgroup", "");
    assert_string_equal(walk(&v, *state, "memory"), "");
}

static void each_group_above_is_visited(void **state)
{
    struct visits v;

    scratch_tree_file(*state, "/proc/self/cgroup", "0::/a/b c/d\n");
    assert_string_equal(
        walk(&v, *state, "memory"),
        "2:/sys/fs/cgroup/a/b c/d 2:/sys/fs/cgroup/a/b c 2:/sys/fs/cgroup/a "
        "2:/sys/fs/cgroup ");
}

static void of_version_1_only_its_controller_counts(void **state)
{
    struct visits v;

    scratch_tree_file(*state, "/proc/self/cgroup",
                      "12:memoryx:/x\n9:hugetlb,memory:/m\n"
                      "4:cpu,cpuacct:/c\n1:name=systemd:/s\n");
    assert_string_equal(walk(&v, *state, "memory"),
                        "1:/sys/fs/cgroup/memory/m 1:/sys/fs/cgroup/memory ");
    assert_string_equal(
        walk(&v, *state, "cpu"),
        "1:/sys/fs/cgroup/cpu/c 1:/sys/fs/cgroup/cpu "
        "1:/sys/fs/cgroup/cpu,cpuacct/c 1:/sys/fs/cgroup/cpu,cpuacct ");
    assert_string_equal(walk(&v, *state, "pids"), "");
}

static void outside_its_namespace_the_mount_is_all(void **state)
{
    struct visits v;

    scratch_tree_file(*state, "/proc/self/cgroup", "0::/../../elsewhere\n");
    assert_string_equal(walk(&v, *state, "memory"), "2:/sys/fs/cgroup ");
}

static void beside_version_1_it_has_a_folder_of_its_own(void **state)
{
    struct visits v;

    scratch_tree_file(*state, "/proc/self/cgroup", "0::/a\n");
    scratch_tree_file(*state, "/sys/fs/cgroup/unified/cgroup.controllers", "");
    assert_string_equal(walk(&v, *state, "memory"),
                        "2:/sys/fs/cgroup/unified/a 2:/sys/fs/cgroup/unified ");
}

static void garbage_visits_nothing_else(void **state)
{
    static char longest[16384];
    struct visits v;

    scratch_tree_file(*state, "/proc/self/cgroup",
                      "\n:\n0:\nno colon\n7:,,:/x\n0");
    assert_string_equal(walk(&v, *state, "memory"), "");
    /* A group whose path is too long for any file: the mount still counts. */
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "0::/", 4);
    longest[6000] = '\0';
    scratch_tree_file(*state, "/proc/self/cgroup", longest);
    assert_string_equal(walk(&v, *state, "memory"), "2:/sys/fs/cgroup ");
    /* As long as one may be: no visit is longer. */
    longest[4000] = '\0';
    scratch_tree_file(*state, "/proc/self/cgroup", longest);
    (void) walk(&v, *state, "memory");
    assert_true(v.longest > 4000 && v.longest < PATH_MAX);
    /* More groups than anyone has: the file is not believed. */
    for (size_t i = 0; i + 8 < sizeof(longest); i += 8)
        memcpy(longest + i, "0::/abc\n", 8);
    longest[sizeof(longest) - 8] = '\0';
    scratch_tree_file(*state, "/proc/self/cgroup", longest);
    assert_string_equal(walk(&v, *state, "memory"), "");
}

static void a_root_that_is_too_long_is_none(void **state)
{
    static char root[PATH_MAX + 100];
    struct visits v = {.tree = *state};

    memset(root, '/', sizeof(root) - 1);
    qe__cgroup_each(root, "memory", visit, &v);
    root[PATH_MAX - 8] = '\0';
    qe__cgroup_each(root, "memory", visit, &v);
    assert_string_equal(v.text, "");
}

static void small_files_are_read_whole_or_not_at_all(void **state)
{
    struct scratch *tree = *state;
    static char name[PATH_MAX + 100];
    char text[8];

    assert_false(qe__cgroup_read(tree->dir, "missing", text, sizeof(text)));
    scratch_tree_file(tree, "/f", "");
    assert_false(qe__cgroup_read(tree->dir, "f", text, sizeof(text)));
    scratch_tree_file(tree, "/f", "123456");
    assert_true(qe__cgroup_read(tree->dir, "f", text, sizeof(text)));
    assert_string_equal(text, "123456");
    scratch_tree_file(tree, "/f", "1234567"); /* may go on */
    assert_false(qe__cgroup_read(tree->dir, "f", text, sizeof(text)));
    scratch_tree_file(tree, "/d/f", "x");
    assert_false(qe__cgroup_read(tree->dir, "d", text, sizeof(text)));
    memset(name, 'n', sizeof(name) - 1);
    assert_false(qe__cgroup_read(tree->dir, name, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(without_the_file_nothing_is_visited),
        T(each_group_above_is_visited),
        T(of_version_1_only_its_controller_counts),
        T(outside_its_namespace_the_mount_is_all),
        T(beside_version_1_it_has_a_folder_of_its_own),
        T(garbage_visits_nothing_else),
        T(a_root_that_is_too_long_is_none),
        T(small_files_are_read_whole_or_not_at_all),
#undef T
    };

    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
