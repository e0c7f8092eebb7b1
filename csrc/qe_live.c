/* The file that says what a run is doing: whole at any time, and gone with its run.
 * It is not synced to the disk: nobody asks for it after a loss of power. */
#include "qe_live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "qe_cgroup.h"
#include "qe_json_text.h"
#include "qe_util.h"

#define FOLDER "/live"
#define NAME_BYTES 48u /* "/<pid>-<n>.json.tmp" */
#define KEPT_S (24 * 3600)
#define LOOK_AT_MAX 10000u /* files, when old ones are looked for */
#define FIRST_NS (500 * QE__MS)

/* Field 22 of proc(5)'s stat: the name in field 2 may hold anything. */
static uint64_t start_of_process(void)
{
    char text[1024];
    char *at = qe__cgroup_read("/proc/self", "stat", text, sizeof(text))
                   ? strrchr(text, ')')
                   : NULL;

    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static int copy_names(qe__live *live, const char *const *names, size_t n)
{
    live->names = calloc(n + 1, sizeof(live->names[0]));
    if (live->names == NULL) {
        return QE_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        live->names[i] = strdup(names[i]);
        if (live->names[i] == NULL) {
            return QE_ENOMEM;
        }
        live->name_count++;
    }
    return 0;
}

static int make_paths(qe__live *live, const char *folder)
{
    static _Atomic uint32_t made;
    unsigned number = atomic_fetch_add(&made, 1) + 1;
    size_t n = strlen(folder) + sizeof(FOLDER);

    live->folder = malloc(n);
    live->path = malloc(n + NAME_BYTES);
    live->temporary = malloc(n + NAME_BYTES);
    if (live->folder == NULL || live->path == NULL || live->temporary == NULL) {
        return QE_ENOMEM;
    }
    (void) snprintf(live->folder, n, "%s" FOLDER, folder);
    (void) snprintf(live->path, n + NAME_BYTES, "%s/%ld-%u.json", live->folder,
                    (long) live->owner, number);
    (void) snprintf(live->temporary, n + NAME_BYTES, "%s.tmp", live->path);
    return 0;
}

int qe__live_open(qe__live *live, const char *folder, const char *about_json,
                  const char *const *names, size_t n, uint64_t now_ns)
{
    int status;

    if (!qe__json_is_object(about_json)) {
        return QE_EINVAL;
    }
    live->owner = getpid();
    live->pid_start = start_of_process();
    if (!qe__cgroup_read("/proc/sys/kernel/random", "boot_id", live->boot,
                         sizeof(live->boot))) {
        live->boot[0] = '\0';
    }
    live->boot[strcspn(live->boot, "\n")] = '\0';
    live->started_s = qe_wall_s();
    live->due_ns = now_ns + FIRST_NS;
    live->about = strdup(about_json);
    status = live->about == NULL ? QE_ENOMEM : copy_names(live, names, n);
    if (status == 0) {
        status = make_paths(live, folder);
    }
    if (status != 0) {
        qe__live_close(live);
    }
    return status;
}

/* "<pid>-<n>.json", or with ".tmp" behind it. */
static bool is_ours(const char *name)
{
    long pid;
    unsigned number;
    int used = 0;

    return sscanf(name, "%ld-%u.json%n", &pid, &number, &used) == 2 &&
           used > 0 && (name[used] == '\0' || strcmp(name + used, ".tmp") == 0);
}

/* Runs that were killed leave their files; those of a day ago are of no more use. */
static void clear_old(const char *folder)
{
    /* Not what a link leads to: files that are called so need not be ours there. */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    time_t now = time(NULL);
    struct dirent *entry;

    for (uint32_t i = 0; dir != NULL && i < LOOK_AT_MAX; i++) {
        struct stat st;

        entry = readdir(dir);
        if (entry == NULL) {
            break;
        }
        if (is_ours(entry->d_name) &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && now - st.st_mtime > KEPT_S) {
            (void) unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        (void) closedir(dir);
    } else if (fd >= 0) {
        (void) close(fd);
    }
}

static bool write_all(int fd, const char *text)
{
    size_t n = strlen(text);

    while (n > 0) {
        ssize_t got = write(fd, text, n);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        text += got;
        n -= (size_t) got;
    }
    return true;
}

/* A leftover of a process that was killed, and had this number, goes first. */
static int open_temporary(const char *path)
{
    (void) unlink(path);
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                0600);
}

void qe__live_write(qe__live *live, const char *text)
{
    bool good;
    int fd;

    if (!live->prepared) {
        live->prepared = true;
        if (mkdir(live->folder, 0700) != 0 && errno == EEXIST) {
            clear_old(live->folder);
        }
    }
    fd = open_temporary(live->temporary);
    if (fd < 0) {
        return;
    }
    good = write_all(fd, text);
    good = close(fd) == 0 && good && rename(live->temporary, live->path) == 0;
    live->there |= good;
    if (!good) {
        (void) unlink(live->temporary);
    }
}

void qe__live_close(qe__live *live)
{
    if (live->there && live->owner == getpid()) {
        (void) unlink(live->path);
    }
    for (size_t i = 0; i < live->name_count; i++) {
        free(live->names[i]);
    }
    free(live->names);
    free(live->about);
    free(live->temporary);
    free(live->path);
    free(live->folder);
    *live = (qe__live){0};
}
