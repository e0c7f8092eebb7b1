/* Spaces of this process's own, for the network and for what is mounted. They end with
 * it and with what it has started. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "qe_changing.h"

/* What becomes another in a user space of one's own, and is put back. */
typedef struct self {
    uid_t uid;
    gid_t gid;
    pid_t parent;
    int death_signal, dumpable;
    bool changed; /* this process is in such a space */
    struct __user_cap_data_struct may[2];
} self;

static struct __user_cap_header_struct header(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};

    return h;
}

static void remember(self *s)
{
    struct __user_cap_header_struct h = header();

    memset(s, 0, sizeof(*s));
    s->uid = geteuid();
    s->gid = getegid();
    s->parent = getppid();
    (void) prctl(PR_GET_PDEATHSIG, &s->death_signal, 0, 0, 0);
    s->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    (void) syscall(SYS_capget, &h, s->may);
}

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done =
        fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

    if (fd >= 0) {
        (void) close(fd);
    }
    return done;
}

/* Everybody stays who they are. */
static bool map_ids(const self *s)
{
    char users[64], groups[64];

    (void) snprintf(users, sizeof(users), "%u %u 1", s->uid, s->uid);
    (void) snprintf(groups, sizeof(groups), "%u %u 1", s->gid, s->gid);
    return put("/proc/self/uid_map", users) &&
           put("/proc/self/setgroups", "deny") &&
           put("/proc/self/gid_map", groups);
}

/* Another thread would stay where it is: half a process sees what it should not. */
static bool is_alone(void)
{
    DIR *dir = opendir("/proc/self/task");
    size_t entries = 0;

    while (dir != NULL && readdir(dir) != NULL) {
        entries++;
    }
    if (dir != NULL) {
        (void) closedir(dir);
    }
    return entries == 3; /* itself, and two that are no thread */
}

/* Takes this process into a space of its own: with privileges there is no need for
 * a user space, in which they would count for less. `as_user`: it may take one. */
static bool enter(self *s, int space, bool as_user)
{
    if (!is_alone()) {
        return false;
    }
    if (unshare(space) == 0) {
        return true;
    }
    if (s->changed || !as_user || errno != EPERM ||
        unshare(CLONE_NEWUSER | space) != 0) {
        return false;
    }
    s->changed = true;
    return map_ids(s);
}

/* Nobody may do more than before: a user space gives its first process all
 * capabilities, and a test that may not read a file would then read it. */
static void put_back(const self *s)
{
    struct __user_cap_header_struct h = header();

    if (!s->changed) {
        return;
    }
    (void) syscall(SYS_capset, &h, s->may);
    (void) prctl(PR_SET_DUMPABLE, s->dumpable, 0, 0, 0);
    /* The kernel forgets it where a process's rights change. */
    (void) prctl(PR_SET_PDEATHSIG, s->death_signal, 0, 0, 0);
    if (s->death_signal != 0 && getppid() != s->parent) {
        _exit(127);
    }
}

static bool bring_up_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;

    request.ifr_flags |= IFF_UP;
    up = up && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0) {
        (void) close(fd);
    }
    return up;
}

/* One worker at a time may have a set's home mounted: two overlays with one upper
 * folder see what is not there. */
static bool lock_set(qe__changing *c, const qe__set *set)
{
    int fd = open(set->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (fd >= 0) {
            (void) close(fd);
        }
        return false;
    }
    c->set = fd + 1;
    return true;
}

static uint32_t files(qe__changing *c, self *s, const qe_around *around,
                      const qe_places *places)
{
    uint32_t left =
        (places == NULL || places->tmp == NULL ? 0
                                               : (uint32_t) QE_TMP_BY_NAME) |
        (places == NULL || places->home == NULL ? 0
                                                : (uint32_t) QE_HOME_BY_NAME);
    qe__set set;

    if (left == 0 || places->folder == NULL ||
        qe__set_make(&set, places, around->files) != 0) {
        return QE_FILES;
    }
    /* In a user space root may do less than before, which tests would see. */
    if (enter(s, CLONE_NEWNS, s->uid != 0) &&
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
        left &= qe__set_mount(&set, places, lock_set(c, &set));
    }
    if ((left & QE_HOME_BY_NAME) != 0) {
        qe__set_link(&set, places->home);
    }
    return left;
}

uint32_t qe__changing_spaces(qe__changing *c, const qe_around *around,
                             const qe_places *places)
{
    uint32_t refused = 0;
    self s;

    remember(&s);
    if ((around->flags & QE_NO_NETWORK) != 0 &&
        !(enter(&s, CLONE_NEWNET, true) && bring_up_loopback())) {
        refused |= QE_NO_NETWORK;
    }
    if ((around->flags & QE_FILES) != 0) {
        refused |= files(c, &s, around, places);
    }
    put_back(&s);
    return refused;
}
