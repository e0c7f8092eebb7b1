#include "qe_warm.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_util.h"

#define START_MS 5000 /* until it says that it has forked */
#define REAP_MS 5000
#define LINE_BYTES 128

/* Waits for a line that begins with this letter, and gives what is behind it. Lines are
 * short, and each is waited for: what a read gives is one, or its beginning. */
static bool hear(int server, char letter, char line[LINE_BYTES], int wait_ms)
{
    uint64_t until_ns = qe_now_ns() + (uint64_t) wait_ms * QE__MS;
    size_t n = 0;

    for (;;) {
        struct pollfd p = {.fd = server, .events = POLLIN};
        uint64_t now = qe_now_ns();
        ssize_t got;

        if (now > until_ns ||
            (poll(&p, 1, (int) ((until_ns - now) / QE__MS) + 1) < 0 &&
             errno != EINTR)) {
            return false;
        }
        got = recv(server, line + n, 1, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return false;
        }
        if (got == 1 && line[n] == '\n') {
            line[n] = '\0';
            return line[0] == letter;
        }
        n += got == 1;
        if (n == LINE_BYTES) {
            return false;
        }
    }
}

/* Only a process of ours is given what a command is to see. */
static bool is_ours(int server)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           peer.uid == geteuid();
}

static int reach(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    /* One that is stopped takes nothing any more, not even a connection. */
    struct timeval patience = {.tv_sec = START_MS / 1000};
    size_t n = strlen(name);
    int server;

    if (n == 0 || n > sizeof(address.sun_path) - 1) {
        return -1;
    }
    memcpy(address.sun_path + 1, name, n); /* behind the NUL: abstract */
    server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server >= 0 &&
        (setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience,
                    sizeof(patience)) != 0 ||
         connect(server, (struct sockaddr *) &address,
                 (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 +
                              n)) != 0 ||
         !is_ours(server))) {
        (void) close(server);
        server = -1;
    }
    return server;
}

static bool send_all(int server, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(server, bytes, n, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR) {
            return false;
        }
        if (sent > 0) {
            bytes += sent;
            n -= (size_t) sent;
        }
    }
    return true;
}

/* The first line, with the descriptors. */
static bool send_head(int server, size_t bytes, const int writes[2])
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = {.room = {0}};
    char line[LINE_BYTES];
    struct iovec text = {.iov_base = line};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    text.iov_len = (size_t) snprintf(line, sizeof(line), "QE1 %zu\n", bytes);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(part), writes, 2 * sizeof(int));
    do {
        sent = sendmsg(server, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent > 0 &&
           send_all(server, line + sent, text.iov_len - (size_t) sent);
}

static size_t count(char *const *words, size_t *bytes)
{
    size_t n = 0;

    for (; words[n] != NULL; n++) {
        *bytes += strlen(words[n]) + 1;
    }
    return n;
}

static char *add(char *at, const char *word)
{
    size_t n = strlen(word) + 1;

    return (char *) memcpy(at, word, n) + n;
}

static bool ask(int server, const qe__command *command, char *const *env,
                const int writes[2])
{
    const qe_limits *limits = &command->limits;
    char own[PATH_MAX];
    const char *cwd =
        command->cwd != NULL ? command->cwd : getcwd(own, sizeof(own));
    size_t bytes = 5 * 24 + (cwd != NULL ? strlen(cwd) : 0) + 1;
    size_t args = count(command->argv, &bytes), variables = count(env, &bytes);
    uint64_t numbers[] = {args, variables, limits->memory_bytes, limits->cpu_s,
                          limits->files};
    char *text = malloc(bytes), *at = text;
    bool sent;

    if (text == NULL || cwd == NULL) {
        free(text);
        return false;
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        at += snprintf(at, 24, "%" PRIu64, numbers[i]) + 1;
    }
    at = add(at, cwd);
    for (size_t i = 0; i < args; i++) {
        at = add(at, command->argv[i]);
    }
    for (size_t i = 0; i < variables; i++) {
        at = add(at, env[i]);
    }
    sent = send_head(server, (size_t) (at - text), writes) &&
           send_all(server, text, (size_t) (at - text));
    free(text);
    return sent;
}

/* A signal to what it names must reach a group that is a command's alone. */
static pid_t parse_group(const char *text)
{
    char *end;
    long pid;

    errno = 0;
    pid = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && pid > 1 &&
                   pid <= INT_MAX && pid != getpgrp() && pid != getppid() &&
                   getpgid((pid_t) pid) == pid
               ? (pid_t) pid
               : 0;
}

pid_t qe__warm_start(int *out, const qe__command *command, char *const *env,
                     const int writes[2])
{
    char line[LINE_BYTES];
    int server = reach(command->warm);
    pid_t pid;

    *out = -1;
    if (server < 0) {
        return 0;
    }
    if (ask(server, command, env, writes) &&
        hear(server, 'P', line, START_MS)) {
        pid = parse_group(line + 1);
        if (pid > 0) {
            *out = server;
            return pid;
        }
    }
    (void) close(server); /* by which one that it may have started ends */
    return 0;
}

bool qe__warm_ended(int server)
{
    char letter;
    ssize_t n = recv(server, &letter, 1, MSG_DONTWAIT | MSG_PEEK);

    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

bool qe__warm_reap(int server, int *status, qe__usage *usage)
{
    char line[LINE_BYTES];
    uint64_t cpu_us, peak_kib;

    if (hear(server, 'E', line, REAP_MS) && send_all(server, "A\n", 2) &&
        hear(server, 'S', line, REAP_MS) &&
        sscanf(line + 1, "%d %" SCNu64 " %" SCNu64, status, &cpu_us,
               &peak_kib) == 3 &&
        (WIFEXITED(*status) || WIFSIGNALED(*status))) {
        usage->cpu_s = (double) cpu_us / 1e6;
        usage->peak_bytes = peak_kib * 1024;
        return true;
    }
    *status = SIGKILL;
    usage->cpu_s = 0;
    usage->peak_bytes = 0;
    return false;
}
