/* What tests share that work on files: a directory of their own, and children
 * that do one thing. */
#ifndef QE_TEST_SCRATCH_H
#define QE_TEST_SCRATCH_H

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

struct scratch {
    char dir[128];
    char path[192]; /* of the file that the test is about */
};

static inline int scratch_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    const char *tmp = getenv("TMPDIR");

    if (s == NULL)
        return -1;
    snprintf(s->dir, sizeof(s->dir), "%s/qe-test-XXXXXX",
             tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    if (mkdtemp(s->dir) == NULL) {
        free(s);
        return -1;
    }
    snprintf(s->path, sizeof(s->path), "%s/file", s->dir);
    *state = s;
    return 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *st,
                                     int type, struct FTW *walk)
{
    (void) st;
    (void) type;
    (void) walk;
    return remove(path);
}

static inline int scratch_teardown(void **state)
{
    struct scratch *s = *state;

    chmod(s->dir, 0700);
    nftw(s->dir, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(s);
    return 0;
}

static inline bool scratch_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* How many files the directory holds. */
static inline size_t scratch_count(const struct scratch *s)
{
    DIR *dir = opendir(s->dir);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 2; /* "." and ".." */
}

static inline void scratch_write(const char *path, const void *data, size_t n)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Writes a file below the directory, which stands for the root, and makes the
 * directories above it. */
static inline void scratch_tree_file(const struct scratch *tree,
                                     const char *name, const char *text)
{
    char path[PATH_MAX];
    char *slash;

    snprintf(path, sizeof(path), "%s%s", tree->dir, name);
    for (slash = strchr(path + strlen(tree->dir) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    scratch_write(path, text, strlen(text));
}

/* All of a file, with a NUL behind it; the caller frees it. */
static inline char *scratch_read(const char *path, size_t *n_out)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    char *data;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    data = malloc((size_t) st.st_size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t) st.st_size, file), st.st_size);
    data[st.st_size] = '\0';
    fclose(file);
    if (n_out != NULL)
        *n_out = (size_t) st.st_size;
    return data;
}

/* Runs `body` in a child. The body says 0 where all is well and a number of its
 * own where not: cmocka's assertions belong to the parent. */
static inline pid_t scratch_fork(int (*body)(void *), void *argument)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(argument));
    return pid;
}

static inline int scratch_wait(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

static inline void scratch_in_child(int (*body)(void *), void *argument)
{
    assert_int_equal(scratch_wait(scratch_fork(body, argument)), 0);
}

/* In a child: permissions do not bind root. */
static inline bool scratch_become_nobody(void)
{
    return geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* Valgrind runs about thirty times slower. */
static inline bool scratch_slow(void)
{
    return getenv("QE_TEST_VALGRIND") != NULL;
}

static inline size_t scratch_scaled(size_t n)
{
    return scratch_slow() ? n / 20 + 1 : n;
}

#endif
