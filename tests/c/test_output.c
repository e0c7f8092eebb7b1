/* A report appears whole or not at all, wherever it is to go. */
#include "scratch.h"

#include "qe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

/* 0, or what went wrong with errno in the upper bits. */
static int write_record(const char *path, size_t tests)
{
    qe_record *r = NULL;
    size_t i;
    int rc = qe_record_new(&r);

    for (i = 0; i < tests && rc == QE_OK; i++)
        rc = qe_record_add_test(r, "tests/test_module.py::test");
    if (rc == QE_OK)
        rc = qe_record_write_json(r, path, NULL, false);
    if (rc == QE_ESYS)
        rc = errno;
    qe_record_free(r);
    return rc;
}

static void an_old_result_is_replaced(void **state)
{
    struct scratch *s = *state;
    char *text;

    scratch_write(s->path, "old", 3);
    assert_int_equal(write_record(s->path, 1), 0);
    assert_int_equal(scratch_count(s), 1);
    text = scratch_read(s->path, NULL);
    assert_int_equal(strncmp(text, "{\"schema\":1", 11), 0);
    free(text);
}

static void
a_leftover_of_a_killed_process_is_replaced_not_followed(void **state)
{
    struct scratch *s = *state;
    char temporary[256], victim[256];
    char *text;

    snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", s->path,
             (long) getpid());
    snprintf(victim, sizeof(victim), "%s/victim", s->dir);
    scratch_write(victim, "mine", 4);
    assert_int_equal(symlink(victim, temporary), 0);
    assert_int_equal(write_record(s->path, 1), 0);
    assert_false(scratch_exists(temporary));
    text = scratch_read(victim, NULL);
    assert_string_equal(text, "mine");
    free(text);
}

static void a_symbolic_link_stays_one(void **state)
{
    struct scratch *s = *state;
    char target[256];
    struct stat st;
    char *text;

    snprintf(target, sizeof(target), "%s/target", s->dir);
    scratch_write(target, "old", 3);
    assert_int_equal(symlink("target", s->path), 0);
    assert_int_equal(write_record(s->path, 1), 0);
    assert_int_equal(lstat(s->path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    text = scratch_read(target, NULL);
    assert_int_equal(text[0], '{');
    free(text);
    assert_int_equal(scratch_count(s), 2);
}

static void a_device_is_written_and_not_replaced(void **state)
{
    struct stat st;

    (void) state;
    assert_int_equal(write_record("/dev/null", 1), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(write_record("/dev/full", 1), ENOSPC);
    assert_int_equal(write_record("/dev/full", 10000), ENOSPC);
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

static void a_path_that_cannot_be_is_an_error_with_errno(void **state)
{
    struct scratch *s = *state;
    char path[256];

    snprintf(path, sizeof(path), "%s/none/file", s->dir);
    assert_int_equal(write_record(path, 1), ENOENT);
    scratch_write(s->path, "", 0);
    snprintf(path, sizeof(path), "%s/file", s->path);
    assert_int_equal(write_record(path, 1), ENOTDIR);
    assert_int_equal(write_record(s->dir, 1), EISDIR);
    assert_int_equal(write_record("", 1), ENOENT);
    assert_int_equal(scratch_count(s), 1);
}

static int fill_the_disk(void *path)
{
    struct rlimit limit = {200000, 200000};

    /* A limit on the file's size stands in for a full disk. */
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    return write_record(path, 10000) == EFBIG ? 0 : 2;
}

static void a_full_disk_leaves_the_old_result_and_nothing_else(void **state)
{
    struct scratch *s = *state;
    char *text;

    scratch_write(s->path, "old", 3);
    scratch_in_child(fill_the_disk, s->path);
    assert_int_equal(scratch_count(s), 1);
    text = scratch_read(s->path, NULL);
    assert_string_equal(text, "old");
    free(text);
}

static int write_as_nobody(void *path)
{
    if (!scratch_become_nobody())
        return 1;
    return write_record(path, 1) == EACCES ? 0 : 2;
}

static void a_read_only_directory_is_an_error(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(chmod(s->dir, 0555), 0);
    scratch_in_child(write_as_nobody, s->path);
    assert_int_equal(scratch_count(s), 0);
}

static int write_for_ever(void *path)
{
    while (write_record(path, 300) == 0)
        ;
    return 1;
}

static void a_kill_leaves_a_whole_result(void **state)
{
    struct scratch *s = *state;
    size_t i, tries;

    for (i = 0; i < 20; i++) {
        pid_t pid = scratch_fork(write_for_ever, s->path);
        size_t n;
        char *text;
        for (tries = 0; !scratch_exists(s->path); tries++) {
            assert_true(tries < 100000);
            usleep(100);
        }
        usleep((useconds_t) (i * 137 % 1000));
        kill(pid, SIGKILL);
        assert_true(WIFSIGNALED(scratch_wait(pid)));
        text = scratch_read(s->path, &n);
        assert_true(n > 4);
        assert_string_equal(text + n - 4, "\n]}\n");
        free(text);
    }
}

static void any_text_is_written_in_the_same_way(void **state)
{
    struct scratch *s = *state;
    char *text;

    scratch_write(s->path, "old", 3);
    assert_int_equal(qe_write_file(s->path, "new\n"), QE_OK);
    assert_int_equal(scratch_count(s), 1);
    text = scratch_read(s->path, NULL);
    assert_string_equal(text, "new\n");
    free(text);
    assert_int_equal(qe_write_file("/nonexistent/x", ""), QE_ESYS);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(qe_write_file(NULL, ""), QE_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(an_old_result_is_replaced),
        T(a_leftover_of_a_killed_process_is_replaced_not_followed),
        T(a_symbolic_link_stays_one),
        T(a_device_is_written_and_not_replaced),
        T(a_path_that_cannot_be_is_an_error_with_errno),
        T(a_full_disk_leaves_the_old_result_and_nothing_else),
        T(a_read_only_directory_is_an_error),
        T(a_kill_leaves_a_whole_result),
        T(any_text_is_written_in_the_same_way),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
