/*
 * A set of folders for temporary files and home, private to the passes that share it.
 *
 * Paths may have been computed long before, so the set is mounted over the real places:
 * an empty folder over that of temporary files, and over home an overlay of it, whose
 * changes go to the set. What has to stay what it is lies on top of that again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qe_changing.h"

#define MOST_KEPT 96

/* A folder that is mounted over, or that stays. */
typedef struct place {
    char *path;
    int fd;        /* what it is before anything is mounted */
    uint32_t flag; /* TMP_BY_NAME or HOME_BY_NAME; 0: it stays */
    bool mounted;
} place;

typedef struct places {
    place of[MOST_KEPT + 4];
    size_t n;
} places;

/* ------------------------------------------------------------------ the set */

static bool make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool name(char *out, size_t size, const char *folder, const char *last)
{
    return (size_t) snprintf(out, size, "%s/%s", folder, last) < size;
}

int qe__set_make(qe__set *set, const qe_places *places, uint32_t number)
{
    struct stat real;
    char text[16];

    (void) snprintf(text, sizeof(text), "%u", number);
    if (!name(set->root, sizeof(set->root), places->folder, text) ||
        !name(set->tmp, sizeof(set->tmp), set->root, "tmp") ||
        !name(set->home, sizeof(set->home), set->root, "home") ||
        !name(set->upper, sizeof(set->upper), set->root, "upper") ||
        !name(set->work, sizeof(set->work), set->root, "work")) {
        errno = ENAMETOOLONG;
        return QE_ESYS;
    }
    if (!make_folder(places->folder) || !make_folder(set->root) ||
        !make_folder(set->tmp) || !make_folder(set->home) ||
        !make_folder(set->upper) || !make_folder(set->work)) {
        return QE_ESYS;
    }
    if (places->tmp != NULL && stat(places->tmp, &real) == 0) {
        (void) chmod(set->tmp, real.st_mode & 07777);
    }
    if (places->home != NULL && stat(places->home, &real) == 0) {
        (void) chmod(set->upper, real.st_mode & 07777);
    }
    return 0;
}

void qe__set_link(const qe__set *set, const char *home)
{
    DIR *dir = opendir(home);
    struct dirent *entry;
    char from[2 * PATH_MAX], to[2 * PATH_MAX];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 &&
            name(from, sizeof(from), home, entry->d_name) &&
            name(to, sizeof(to), set->home, entry->d_name)) {
            (void) !symlink(from, to); /* another pass may have made it */
        }
    }
    if (dir != NULL) {
        (void) closedir(dir);
    }
}

/* ------------------------------------------------------------------- mounts */

static void add(places *all, const char *path, uint32_t flag)
{
    place *p = &all->of[all->n];

    if (path == NULL || all->n == sizeof(all->of) / sizeof(all->of[0])) {
        return;
    }
    p->path = realpath(path, NULL);
    p->fd =
        p->path == NULL ? -1 : open(p->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    p->flag = flag;
    p->mounted = false;
    if (p->fd < 0) {
        free(p->path);
        return;
    }
    all->n++;
}

/* What contains another has the shorter path; what is mounted goes before what stays
 * where both are one. */
static int by_depth(const void *left, const void *right)
{
    const place *a = left, *b = right;
    size_t n = strlen(a->path), m = strlen(b->path);

    return n != m ? (n > m) - (n < m) : (a->flag == 0) - (b->flag == 0);
}

static bool is_inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && (path[n] == '/' || n == 1) &&
           path[n] != '\0';
}

static bool has_kept(const places *all, const char *path)
{
    for (size_t i = 0; i < all->n; i++) {
        if (all->of[i].flag == 0 && strcmp(all->of[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* What is mounted over the folder, and hides it. */
static place *hider(places *all, const place *kept)
{
    place *found = NULL;

    for (size_t i = 0; i < all->n; i++) {
        if (all->of[i].mounted && is_inside(kept->path, all->of[i].path)) {
            found = &all->of[i];
        }
    }
    return found;
}

static bool make_path(const char *path)
{
    char text[PATH_MAX];

    (void) snprintf(text, sizeof(text), "%s", path);
    for (char *at = strchr(text + 1, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        (void) mkdir(text, 0755);
        *at = '/';
    }
    return mkdir(text, 0755) == 0 || errno == EEXIST;
}

static bool bind_fd(int fd, const char *path)
{
    char from[40];

    (void) snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    return mount(from, path, NULL, MS_BIND | MS_REC, NULL) == 0;
}

static bool mount_overlay(const place *p, int upper, int work)
{
    /* Without privileges attributes of its own name are all that it may write. */
    static const char *const ends[] = {"", ",userxattr"};
    char options[160];

    for (size_t i = 0; i < 2; i++) {
        (void) snprintf(options, sizeof(options),
                        "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,"
                        "workdir=/proc/self/fd/%d%s",
                        p->fd, upper, work, ends[i]);
        if (mount("overlay", p->path, "overlay", 0, options) == 0) {
            return true;
        }
    }
    return false;
}

/* A folder that stays shows again, or what hides it goes. */
static void keep(places *all, const place *kept)
{
    place *over = hider(all, kept);
    struct stat before, now;

    if (over == NULL ||
        (fstat(kept->fd, &before) == 0 && stat(kept->path, &now) == 0 &&
         before.st_dev == now.st_dev && before.st_ino == now.st_ino) ||
        (make_path(kept->path) && bind_fd(kept->fd, kept->path))) {
        return;
    }
    (void) umount2(over->path, MNT_DETACH);
    over->mounted = false;
}

static int open_folder(const char *path)
{
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

uint32_t qe__set_mount(const qe__set *set, const qe_places *where, bool overlay)
{
    int tmp = open_folder(set->tmp), upper = open_folder(set->upper);
    int work = open_folder(set->work);
    char *current = getcwd(NULL, 0);
    uint32_t left = QE_TMP_BY_NAME | QE_HOME_BY_NAME;
    places all = {.n = 0};

    add(&all, where->tmp, QE_TMP_BY_NAME);
    add(&all, where->home, QE_HOME_BY_NAME);
    add(&all, where->folder, 0);
    add(&all, current, 0);
    for (size_t i = 0; where->keep != NULL && where->keep[i] != NULL; i++) {
        add(&all, where->keep[i], 0);
    }
    qsort(all.of, all.n, sizeof(all.of[0]), by_depth);
    for (size_t i = 0; i < all.n; i++) {
        place *p = &all.of[i];

        if (p->flag == 0) {
            keep(&all, p);
        } else if (!has_kept(&all, p->path)) {
            p->mounted = p->flag == QE_TMP_BY_NAME
                             ? bind_fd(tmp, p->path)
                             : overlay && mount_overlay(p, upper, work);
        }
    }
    /* By its path, as it may lie under what was mounted. */
    if (current != NULL) {
        (void) !chdir(current);
    }
    for (size_t i = 0; i < all.n; i++) {
        left &= all.of[i].mounted ? ~all.of[i].flag : UINT32_MAX;
        (void) close(all.of[i].fd);
        free(all.of[i].path);
    }
    free(current);
    (void) close(tmp);
    (void) close(upper);
    (void) close(work);
    return left;
}
