/* A file that appears whole or not at all. */
#include "qe_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "." and a long and ".tmp" */
#define TEMPORARY_BYTES 32

/* A copy of `text`, with room for `more` bytes. */
static char *copy(const char *text, size_t more)
{
    size_t n = strlen(text) + 1;
    char *out = malloc(n + more);

    return out != NULL ? memcpy(out, text, n) : NULL;
}

/* Where `path` really leads, and whether that can be replaced. A symbolic link
 * must stay one: /dev/stdout is one, and so may be a link into a directory of
 * artefacts. A link that leads nowhere is replaced. */
static int resolve(const char *path, char **target, bool *replace)
{
    struct stat st;

    *replace = true;
    *target = NULL;
    if (stat(path, &st) == 0) {
        *replace = S_ISREG(st.st_mode);
        if (*replace && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
            *target = realpath(path, NULL);
            if (*target == NULL)
                return errno == ENOMEM ? QE_ENOMEM : QE_ESYS;
        }
    }
    if (*target == NULL)
        *target = copy(path, 0);
    return *target != NULL ? QE_OK : QE_ENOMEM;
}

/* Never follows or truncates what is there already: a leftover of a process
 * that was killed, and had this process id, goes first. */
static int open_temporary(const char *path)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(path, flags, 0666);

    if (fd < 0 && errno == EEXIST && unlink(path) == 0)
        fd = open(path, flags, 0666);
    return fd;
}

static void release(qe__output *o)
{
    free(o->target);
    free(o->temporary);
    *o = (qe__output){0};
}

int qe__output_open(qe__output *o, const char *path)
{
    bool replace;
    int fd;
    int rc;

    *o = (qe__output){0};
    rc = resolve(path, &o->target, &replace);
    if (rc != QE_OK)
        return rc;
    if (replace) {
        o->temporary = copy(o->target, TEMPORARY_BYTES);
        if (o->temporary == NULL) {
            release(o);
            return QE_ENOMEM;
        }
        sprintf(strchr(o->temporary, '\0'), ".%ld.tmp", (long) getpid());
        fd = open_temporary(o->temporary);
    } else {
        fd = open(o->target, O_WRONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        int error = errno;
        release(o);
        errno = error;
        return QE_ESYS;
    }
    o->file = fdopen(fd, "w");
    if (o->file == NULL) {
        close(fd);
        qe__output_abort(o);
        return QE_ENOMEM;
    }
    return QE_OK;
}

int qe__output_write(qe__output *o, const char *text)
{
    if (fputs(text, o->file) >= 0)
        return QE_OK;
    /* The caller frees this and that before it aborts, and free may change
     * errno before glibc 2.33. */
    if (o->error == 0)
        o->error = errno;
    return QE_ESYS;
}

int qe__output_commit(qe__output *o)
{
    FILE *file = o->file;
    bool good = fflush(file) == 0;

    if (good && o->temporary != NULL)
        good = fsync(fileno(file)) == 0;
    if (good) {
        o->file = NULL;
        good = fclose(file) == 0;
    }
    if (good && o->temporary != NULL)
        good = rename(o->temporary, o->target) == 0;
    if (!good) {
        qe__output_abort(o);
        return QE_ESYS;
    }
    release(o);
    return QE_OK;
}

void qe__output_abort(qe__output *o)
{
    int error = o->error != 0 ? o->error : errno;

    if (o->file != NULL)
        fclose(o->file);
    if (o->temporary != NULL)
        unlink(o->temporary);
    release(o);
    errno = error;
}

QE_API int qe_write_file(const char *path, const char *text)
{
    qe__output output;
    int rc;

    if (path == NULL || text == NULL)
        return QE_EINVAL;
    rc = qe__output_open(&output, path);
    if (rc != QE_OK)
        return rc;
    rc = qe__output_write(&output, text);
    if (rc != QE_OK) {
        qe__output_abort(&output);
        return rc;
    }
    return qe__output_commit(&output);
}
