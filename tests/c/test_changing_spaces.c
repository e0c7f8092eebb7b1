/* Spaces of a worker's own: network and folders, and where they are refused. */
#include "around_fault.h" /* whose calls the program is linked with */
#include "changing_help.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

/* ------------------------------------------------------------------- network */

static bool is_up(const char *name, bool others)
{
    struct ifaddrs *all;
    bool found = false;

    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if ((strcmp(i->ifa_name, name) == 0) != others &&
            (i->ifa_flags & IFF_UP) != 0) {
            found = true;
        }
    }
    freeifaddrs(all);
    return found;
}

static enum qe_outcome body_loopback(struct world *w, qe_worker *worker,
                                     const qe_claim *claim)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);

    (void) worker;
    (void) claim;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    NOTE(w, is_up("lo", false));
    NOTE(w, !is_up("lo", true));
    NOTE(w, bind(server, (struct sockaddr *) &address, size) == 0);
    NOTE(w, getsockname(server, (struct sockaddr *) &address, &size) == 0);
    NOTE(w, listen(server, 1) == 0);
    NOTE(w, connect(client, (struct sockaddr *) &address, size) == 0);
    address.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, nobody's */
    close(client);
    client = socket(AF_INET, SOCK_STREAM, 0);
    NOTE(w, connect(client, (struct sockaddr *) &address, size) == -1 &&
                errno == ENETUNREACH);
    close(client);
    close(server);
    return QE_PASSED;
}

/* Whether this machine lets anybody have such a space, asked in a child. */
static bool spaces_are_allowed(int flags)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(__real_unshare(flags | CLONE_NEWUSER) != 0);
    }
    assert_true(waitpid(pid, &status, 0) == pid);
    return status == 0;
}

static void without_network_there_is_loopback(void **state)
{
    qe_around around = {.flags = QE_NO_NETWORK};

    if (!spaces_are_allowed(CLONE_NEWNET)) {
        print_message("user spaces are not allowed here: skipped\n");
        skip();
    }
    assert_int_equal(run(*state, &around, 2, body_loopback), 0);
}

/* As for a user without privileges; who that is stays the same. */
static enum qe_outcome body_same_user(struct world *w, qe_worker *worker,
                                      const qe_claim *claim)
{
    NOTE(w, geteuid() == (uid_t) atomic_load(&w->shared->word[1]));
    return body_loopback(w, worker, claim);
}

static void a_user_space_serves_where_privileges_are_missing(void **state)
{
    qe_around around = {.flags = QE_NO_NETWORK};
    struct world *w = *state;

    if (!spaces_are_allowed(CLONE_NEWNET)) {
        print_message("user spaces are not allowed here: skipped\n");
        skip();
    }
    around_fault.spaces = CLONE_NEWNET;
    atomic_store(&w->shared->word[1], geteuid());
    assert_int_equal(run(w, &around, 1, body_same_user), 0);
}

static void a_network_that_stays_is_told(void **state)
{
    qe_around around = {.flags = QE_NO_NETWORK};

    around_fault.spaces = CLONE_NEWNET;
    around_fault.user_space = true;
    assert_int_equal(run(*state, &around, 1, body_passes), QE_NO_NETWORK);
}

/* Whoever may not read a file may not read it in a space of its own, and ends with
 * its parent there, too. */
static enum qe_outcome body_no_more_rights(struct world *w, qe_worker *worker,
                                           const qe_claim *claim)
{
    char path[40];
    int fd = memfd_create("test", 0);
    int death = 0;

    (void) worker;
    (void) claim;
    NOTE(w, geteuid() == NOBODY && is_up("lo", false) && !is_up("lo", true));
    NOTE(w, fchmod(fd, 0) == 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    NOTE(w, open(path, O_RDWR) == -1 && errno == EACCES);
    NOTE(w, prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0) == 0 && death == SIGKILL);
    NOTE(w, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
    return QE_PASSED;
}

static void begin_as_nobody(struct world *w, qe_worker *worker)
{
    NOTE(w, scratch_become_nobody());
    /* As of a process that began as that user. */
    NOTE(w, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
    NOTE(w, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
    begin(w, worker);
}

static void nobody_may_do_more_than_before(void **state)
{
    qe_around around = {.flags = QE_NO_NETWORK};
    struct world *w = *state;

    if (!spaces_are_allowed(CLONE_NEWNET)) {
        print_message("user spaces are not allowed here: skipped\n");
        skip();
    }
    if (geteuid() != 0) {
        print_message("the worker is to become another user: needs root\n");
        skip();
    }
    w->begin = begin_as_nobody;
    start(w, body_no_more_rights, 1);
    give(w, 0, &around, 1);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    world_check(w);
    assert_int_equal(atomic_load(&w->shared->word[0]), 0);
}

/* ------------------------------------------------------------------- folders */

static char root[512], texts[4][600];

/* <root>/tmp, with the project in it, and <root>/home, with a file; the sets lie in
 * tmp, too, as pytest's folders do. */
static void lay_folders(void)
{
    snprintf(root, sizeof(root), "%s/qe-test-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(root));
    snprintf(texts[0], sizeof(texts[0]), "%s/tmp", root);
    snprintf(texts[1], sizeof(texts[1]), "%s/home", root);
    snprintf(texts[2], sizeof(texts[2]), "%s/tmp/project", root);
    snprintf(texts[3], sizeof(texts[3]), "%s/tmp/sets", root);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mkdir(texts[i], 0700), 0);
    }
    paths.tmp = texts[0];
    paths.home = texts[1];
    paths.kept = texts[2];
    paths.folder = texts[3];
}

static void touch(const char *folder, const char *name)
{
    char path[800];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) {
        close(fd);
    }
}

static bool there_is(const char *folder, const char *name)
{
    char path[800];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* Bit 0: mine is in tmp; 1: in home; 2: the real ones are seen. */
static unsigned look_and_touch(void)
{
    unsigned found = (there_is(paths.tmp, "mine") ? 1u : 0) |
                     (there_is(paths.home, "mine") ? 2u : 0) |
                     (there_is(paths.tmp, "real") ? 4u : 0);

    touch(paths.tmp, "mine");
    touch(paths.home, "mine");
    touch(paths.kept, "made");
    return found;
}

static enum qe_outcome body_first(struct world *w, qe_worker *worker,
                                  const qe_claim *claim)
{
    (void) worker;
    NOTE(w, look_and_touch() == (claim->unit % 2 == 0 ? 0 : 3));
    NOTE(w, there_is(paths.home, "real"));
    NOTE(w, there_is(paths.kept, "kept"));
    return QE_PASSED;
}

static void check_folders(bool private)
{
    assert_true(there_is(paths.tmp, "mine") != private);
    assert_true(there_is(paths.home, "mine") != private);
    assert_true(there_is(paths.kept, "made"));
    assert_true(there_is(paths.tmp, "real"));
}

static void private_folders(struct world *w)
{
    qe_around one = {.flags = QE_FILES, .files = 1};
    qe_around two = {.flags = QE_FILES, .files = 2};

    lay_folders();
    touch(paths.tmp, "real");
    touch(paths.home, "real");
    touch(paths.kept, "kept");
    if (w->begin == begin_as_nobody) {
        char command[600];

        snprintf(command, sizeof(command), "chown -R %d '%s'", NOBODY, root);
        assert_int_equal(system(command), 0);
    }
    start(w, body_first, 4);
    give(w, 0, &one, 1);
    give(w, 1, &one, 1); /* finds what the first has left */
    give(w, 2, &two, 2);
    (void) qe_session_no_more(w->session);
    world_finish(w);
    world_check(w);
    check_folders(true);
    assert_int_equal(atomic_load(&w->shared->word[0]), 0);
}

static void folders_of_a_set_are_private_to_it(void **state)
{
    if (!spaces_are_allowed(CLONE_NEWNS)) {
        print_message("user spaces are not allowed here: skipped\n");
        skip();
    }
    private_folders(*state);
}

static void so_they_are_without_privileges(void **state)
{
    if (!spaces_are_allowed(CLONE_NEWNS)) {
        print_message("user spaces are not allowed here: skipped\n");
        skip();
    }
    if (geteuid() != 0) {
        private_folders(*state);
        return;
    }
    around_fault.spaces = CLONE_NEWNS;
    ((struct world *) *state)->begin = begin_as_nobody;
    private_folders(*state);
}

static enum qe_outcome body_by_name(struct world *w, qe_worker *worker,
                                    const qe_claim *claim)
{
    char set[700], home[720], link[800], text[800];
    ssize_t n;

    (void) worker;
    (void) claim;
    (void) look_and_touch();
    snprintf(set, sizeof(set), "%s/7", paths.folder);
    snprintf(home, sizeof(home), "%s/home", set);
    snprintf(link, sizeof(link), "%s/real", home);
    n = readlink(link, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    NOTE(w, there_is(set, "tmp"));
    NOTE(w, strncmp(text, paths.home, strlen(paths.home)) == 0);
    return QE_PASSED;
}

static void by_name(struct world *w, bool home_alone)
{
    qe_around around = {.flags = QE_FILES, .files = 7};

    lay_folders();
    touch(paths.tmp, "real");
    touch(paths.home, "real");
    assert_int_equal(run(w, &around, 1, body_by_name),
                     home_alone ? (uint32_t) QE_HOME_BY_NAME
                                : (QE_TMP_BY_NAME | QE_HOME_BY_NAME));
    if (!home_alone) {
        check_folders(false);
    }
}

static void without_spaces_the_host_names_the_folders(void **state)
{
    around_fault.spaces = CLONE_NEWNS;
    around_fault.user_space = true;
    by_name(*state, false);
}

static void where_nothing_can_be_mounted_it_names_them(void **state)
{
    around_fault.bind = around_fault.overlay = true;
    by_name(*state, false);
}

static void where_home_cannot_be_laid_over_it_names_that(void **state)
{
    if (!spaces_are_allowed(CLONE_NEWNS)) {
        print_message("user spaces are not allowed here: skipped\n");
        skip();
    }
    around_fault.overlay = true;
    by_name(*state, true);
}

static void without_a_place_folders_are_refused(void **state)
{
    qe_around around = {.flags = QE_FILES, .files = 7};

    assert_int_equal(run(*state, &around, 1, body_passes), QE_FILES);
}

/* ---------------------------------------------------------------------- main */

static int set_up(void **state)
{
    root[0] = '\0';
    return changing_setup(state);
}

static int tear_down(void **state)
{
    char command[600];

    if (root[0] != '\0') {
        snprintf(command, sizeof(command), "rm -rf '%s'", root);
        assert_int_equal(system(command), 0);
    }
    return world_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_network_there_is_loopback),
        TEST(a_user_space_serves_where_privileges_are_missing),
        TEST(a_network_that_stays_is_told),
        TEST(nobody_may_do_more_than_before),
        TEST(folders_of_a_set_are_private_to_it),
        TEST(so_they_are_without_privileges),
        TEST(without_spaces_the_host_names_the_folders),
        TEST(where_nothing_can_be_mounted_it_names_them),
        TEST(where_home_cannot_be_laid_over_it_names_that),
        TEST(without_a_place_folders_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
