/* The history among processes: locks, kills, full disks, and directories that
 * cannot be written. */
#include "history_help.h"

#include "qe_util.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

/* A process that holds a lock from when this returns until its pipe closes. */
struct holder {
    pid_t pid;
    int pipe;
};

static struct holder hold(const struct scratch *s, const char *sql)
{
    struct holder holder;
    int ready[2], done[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    fflush(NULL);
    holder.pid = fork();
    assert_true(holder.pid >= 0);
    if (holder.pid == 0) {
        sqlite3 *db = NULL;
        close(done[1]);
        if (sqlite3_open(s->path, &db) != SQLITE_OK ||
            sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK ||
            write(ready[1], "", 1) != 1)
            _exit(1);
        _exit(read(done[0], &byte, 1) == 0 ? 0 : 2);
    }
    close(ready[1]);
    close(done[0]);
    holder.pipe = done[1];
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return holder;
}

static void release(struct holder holder)
{
    close(holder.pipe);
    assert_int_equal(scratch_wait(holder.pid), 0);
}

static void a_lock_that_stays_is_busy_after_two_seconds(void **state)
{
    struct scratch *s = *state;
    struct holder holder;
    qe_history *h = NULL;
    uint64_t began, took;

    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    holder = hold(s, "BEGIN EXCLUSIVE");
    began = qe_now_ns();
    assert_int_equal(qe_history_open(&h, s->path), QE_EBUSY);
    took = qe_now_ns() - began;
    assert_null(h);
    assert_true(took >= UINT64_C(1900000000));
    assert_true(took < UINT64_C(10000000000));
    release(holder);
    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    assert_runs_of(s, 3);
}

static void
a_reader_that_stays_makes_a_save_busy_and_saves_nothing(void **state)
{
    struct scratch *s = *state;
    qe_record *r = sample_record(3, 0.5);
    struct holder holder;
    qe_history *h;
    int64_t run = 77;

    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    holder = hold(s, "BEGIN; SELECT * FROM run");
    h = must_open(s);
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, &run), QE_EBUSY);
    assert_int_equal(run, 77);
    assert_true(duration_of(h, "test 0") == 500000000);
    release(holder);
    assert_int_equal(qe_history_save(h, r, 1.7e9, 1, 1, &run), QE_OK);
    assert_int_equal(run, 2);
    qe_history_close(h);
    qe_record_free(r);
    assert_runs_of(s, 3);
}

static int save_five(void *path)
{
    int i;

    for (i = 0; i < 5; i++)
        if (save_sample(path, scratch_scaled(300), 0.5) != QE_OK)
            return 1;
    return 0;
}

static void processes_that_save_at_once_all_save(void **state)
{
    struct scratch *s = *state;
    pid_t pids[3];
    size_t i;

    /* They also make the file at once. */
    for (i = 0; i < 3; i++)
        pids[i] = scratch_fork(save_five, s->path);
    for (i = 0; i < 3; i++)
        assert_int_equal(scratch_wait(pids[i]), 0);
    assert_int_equal(peek(s, "SELECT count(*) FROM run"), 15);
    assert_int_equal(peek(s, "SELECT count(*) FROM test"), scratch_scaled(300));
    assert_runs_of(s, scratch_scaled(300));
}

static int save_for_ever(void *path)
{
    while (save_sample(path, 1000, 0.5) == QE_OK)
        ;
    return 1;
}

static void a_kill_in_the_middle_of_a_save_leaves_whole_runs(void **state)
{
    struct scratch *s = *state;
    size_t rounds = scratch_scaled(60);
    uint64_t random = 42;
    size_t i, journals = 0;
    char journal[256];

    snprintf(journal, sizeof(journal), "%s-journal", s->path);
    assert_int_equal(save_sample(s->path, 1000, 0.5), QE_OK);
    for (i = 0; i < rounds; i++) {
        pid_t pid = scratch_fork(save_for_ever, s->path);
        usleep((useconds_t) (qe__random(&random) % 40000));
        kill(pid, SIGKILL);
        assert_true(WIFSIGNALED(scratch_wait(pid)));
        journals += scratch_exists(journal);
        qe_history_close(must_open(s));
        assert_false(scratch_exists(journal));
        assert_runs_of(s, 1000);
    }
    print_message("%zu of %zu kills hit a transaction\n", journals, i);
}

static int fill_the_disk(void *path)
{
    struct rlimit limit = {300000, 300000};
    qe_record *small = sample_record(100, 0.5);
    qe_record *large = sample_record(10000, 0.5);
    const char *id = "test 0";
    qe_history *h = NULL;
    uint64_t ns = 0;

    /* A limit on the file's size stands in for a full disk. */
    if (small == NULL || large == NULL || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (qe_history_open(&h, path) != QE_OK)
        return 2;
    errno = 0;
    if (qe_history_save(h, large, 1.7e9, 1, 1, NULL) != QE_ESYS ||
        errno != EFBIG)
        return 3;
    /* The handle is still good, for reading and for what fits. */
    if (qe_history_durations(h, &id, 1, &ns) != QE_OK || ns != 500000000)
        return 4;
    if (qe_history_save(h, small, 1.7e9, 1, 1, NULL) != QE_OK)
        return 5;
    qe_history_close(h);
    qe_record_free(small);
    qe_record_free(large);
    return 0;
}

static void a_full_disk_leaves_whole_runs(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(save_sample(s->path, 100, 0.5), QE_OK);
    scratch_in_child(fill_the_disk, s->path);
    assert_int_equal(peek(s, "SELECT count(*) FROM run"), 2);
    assert_runs_of(s, 100);
    assert_int_equal(scratch_count(s), 1);
}

static int make_on_a_full_disk(void *path)
{
    struct rlimit limit = {5000, 5000};
    qe_history *h = NULL;

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    return qe_history_open(&h, path) == QE_ESYS && h == NULL ? 0 : 2;
}

static void
a_file_that_cannot_be_made_for_want_of_room_can_be_later(void **state)
{
    struct scratch *s = *state;

    scratch_in_child(make_on_a_full_disk, s->path);
    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    assert_runs_of(s, 3);
}

static void a_path_that_cannot_be_is_read_only(void **state)
{
    struct scratch *s = *state;
    qe_history *h = NULL;
    char path[256];

    scratch_write(s->path, "", 0);
    snprintf(path, sizeof(path), "%s/under-a-file", s->path);
    assert_int_equal(qe_history_open(&h, path), QE_EREADONLY);
    snprintf(path, sizeof(path), "%s/none/history.db", s->dir);
    assert_int_equal(qe_history_open(&h, path), QE_EREADONLY);
    assert_int_equal(qe_history_open(&h, s->dir), QE_EREADONLY);
    assert_int_equal(qe_history_open(&h, "/proc/qe.db"), QE_EREADONLY);
    assert_null(h);
    assert_int_equal(scratch_count(s), 1);
}

static int open_as_nobody(void *path)
{
    qe_history *h = NULL;

    if (!scratch_become_nobody())
        return 1;
    return qe_history_open(&h, path) == QE_EREADONLY && h == NULL ? 0 : 2;
}

static void what_permissions_forbid_is_read_only(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(chmod(s->dir, 0555), 0);
    scratch_in_child(open_as_nobody, s->path);
    assert_int_equal(scratch_count(s), 0);
    assert_int_equal(chmod(s->dir, 0777), 0);
    assert_int_equal(save_sample(s->path, 3, 0.5), QE_OK);
    /* A file that cannot be written, where a journal could be made. */
    assert_int_equal(chmod(s->path, 0444), 0);
    scratch_in_child(open_as_nobody, s->path);
    /* A file that can be, where no journal can. */
    assert_int_equal(chmod(s->path, 0666), 0);
    assert_int_equal(chmod(s->dir, 0555), 0);
    scratch_in_child(open_as_nobody, s->path);
    assert_int_equal(scratch_count(s), 1);
    assert_runs_of(s, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(a_lock_that_stays_is_busy_after_two_seconds),
        T(a_reader_that_stays_makes_a_save_busy_and_saves_nothing),
        T(processes_that_save_at_once_all_save),
        T(a_kill_in_the_middle_of_a_save_leaves_whole_runs),
        T(a_full_disk_leaves_whole_runs),
        T(a_file_that_cannot_be_made_for_want_of_room_can_be_later),
        T(a_path_that_cannot_be_is_read_only),
        T(what_permissions_forbid_is_read_only),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
