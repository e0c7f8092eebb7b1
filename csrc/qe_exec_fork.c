/* The controller's end of a run: it lays out what is shared, forks the
 * supervisor, and talks to it in small datagrams. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_exec.h"
#include "qe_proc.h"
#include "qe_util.h"

#define CLOSE_LIMIT_MS 8000

static void close_files(qe__exec *x)
{
    for (uint32_t i = 0; x->files != NULL && i < x->slots; i++) {
        int fds[] = {x->files[i].capture[0], x->files[i].capture[1],
                     x->files[i].stack};

        for (size_t j = 0; j < QE__COUNT(fds); j++) {
            if (fds[j] >= 0) {
                (void) close(fds[j]);
            }
        }
    }
    free(x->files);
    x->files = NULL;
    if (x->bell >= 0) {
        (void) close(x->bell);
        x->bell = -1;
    }
}

static int open_files(qe__exec *x)
{
    x->files = calloc(x->slots, sizeof(x->files[0]));
    if (x->files == NULL) {
        return QE_ENOMEM;
    }
    memset(x->files, 0xff, x->slots * sizeof(x->files[0])); /* all -1 */
    x->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (x->bell < 0) {
        return QE_ESYS;
    }
    for (uint32_t i = 0; i < x->slots; i++) {
        qe__slot_files *f = &x->files[i];

        f->capture[0] = memfd_create("qe-stdout", MFD_CLOEXEC);
        f->capture[1] = memfd_create("qe-stderr", MFD_CLOEXEC);
        f->stack = memfd_create("qe-stack", MFD_CLOEXEC);
        if (f->capture[0] < 0 || f->capture[1] < 0 || f->stack < 0) {
            return QE_ESYS;
        }
        x->arena.slots[i].files[0] = f->capture[0];
        x->arena.slots[i].files[1] = f->capture[1];
        x->arena.slots[i].files[2] = f->stack;
    }
    return 0;
}

int qe__exec_open(qe__exec *x, const qe_plan *plan, const qe_options *options,
                  uint32_t slots, uint32_t keepers, const qe_fork_hooks *hooks,
                  uint32_t *slot)
{
    const qe_fork_hooks *h = options->start == QE_START_FORK ? hooks : NULL;
    qe__super super;
    int pair[2];
    int status, saved;
    pid_t pid;

    memset(x, 0, sizeof(*x));
    x->control = x->standby = x->keeper = x->bell = -1;
    x->slots = slots;
    x->keepers = keepers;
    x->options = *options;
    status = qe__arena_new(&x->arena, plan, options, slots);
    if (status != 0) {
        return status;
    }
    status = open_files(x);
    if (status != 0) {
        goto fail;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        status = QE_ESYS;
        goto fail;
    }
    memset(&super, 0, sizeof(super));
    super.arena = &x->arena;
    super.files = x->files;
    super.slots = slots;
    super.keepers = keepers;
    super.control = pair[1];
    super.bell = x->bell;
    super.foreign = pair[0];
    super.controller = getpid();
    super.plan = plan;
    super.options = &x->options;
    super.hooks = hooks;
    super.keeper = -1;

    if (h != NULL && h->before != NULL) {
        h->before(h->ctx);
    }
    pid = fork();
    saved = errno;
    if (pid == 0) {
        if (h != NULL && h->child != NULL) {
            h->child(h->ctx);
        }
        *slot = qe__super_run(&super);
        x->keeper = super.keeper;
        x->parent = super.parent;
        return 1;
    }
    if (h != NULL && h->parent != NULL) {
        h->parent(h->ctx);
    }
    (void) close(pair[1]);
    if (pid < 0) {
        (void) close(pair[0]);
        errno = saved;
        status = QE_ESYS;
        goto fail;
    }
    (void) setpgid(pid, pid);
    x->super = x->office = pid;
    x->control = pair[0];
    return 0;

fail:
    saved = errno;
    close_files(x);
    qe__arena_close(&x->arena);
    errno = saved;
    return status;
}

void qe__exec_job(qe__exec *x, uint32_t slot, enum qe__job_kind kind,
                  uint32_t unit, uint32_t attempt, uint32_t scope)
{
    qe__arena_slot *s = &x->arena.slots[slot];
    uint64_t mix = x->options.seed;

    s->epoch++;
    s->job = kind;
    s->job_unit = unit;
    s->job_attempt = attempt;
    s->job_scope = scope;
    s->job_server = kind == QE__JOB_SERVER  ? unit
                    : kind == QE__JOB_SCOPE ? x->arena.scopes[scope].server
                    : kind == QE__JOB_SINGLE
                        ? x->arena.scopes[x->arena.units[unit].scope].server
                        : 0;
    /* What the seed depends on is what a rerun can state again: a fresh
     * worker's by what it runs, a pool worker's by its slot. */
    mix += kind == QE__JOB_SINGLE  ? (uint64_t) unit << 32 | attempt
           : kind == QE__JOB_SCOPE ? (uint64_t) scope << 32 | 0x80000000u
                                   : (uint64_t) slot << 32 | 0xc0000000u;
    s->job_seed = qe__random(&mix);
    if (kind == QE__JOB_SCOPE && x->arena.scopes[scope].seed != 0) {
        s->job_seed = x->arena.scopes[scope].seed;
    }
    atomic_store(&s->scope, 0);
    atomic_store(&s->scope_at, 0);
    atomic_store(&s->running, 0);
    atomic_store(&s->pid, 0);
}

int qe__exec_order(qe__exec *x, enum qe__order_kind kind, uint32_t slot,
                   int32_t value)
{
    qe__order order = {(uint32_t) kind, slot, value};
    ssize_t n;

    if (x->control < 0) {
        return QE_EGONE;
    }
    for (;;) {
        struct pollfd p = {.fd = x->control, .events = POLLOUT};

        n = send(x->control, &order, sizeof(order), MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            /* Hundreds of orders at once; the supervisor takes them in without
             * waiting for us. */
            (void) poll(&p, 1, -1);
        } else if (n >= 0 || errno != EINTR) {
            return n < 0 ? QE_EGONE : 0;
        }
    }
}

int qe__exec_notice(qe__exec *x, qe__notice *out)
{
    struct iovec part = {.iov_base = out, .iov_len = sizeof(*out)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;

    while (x->control >= 0) {
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        ssize_t n =
            recvmsg(x->control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *c;

        /* ECONNRESET: it died with orders unread. It is told once, ahead of
         * the notices that are still there. */
        if (n < 0 && (errno == EINTR || errno == ECONNRESET)) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return 0;
        }
        if (n != (ssize_t) sizeof(*out)) {
            return QE_EGONE;
        }
        c = CMSG_FIRSTHDR(&message);
        if (out->kind != QE__NOTICE_STANDBY) {
            return 1;
        }
        if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
            if (x->standby >= 0) {
                (void) close(x->standby);
            }
            memcpy(&x->standby, CMSG_DATA(c), sizeof(int));
            x->standby_pid = out->pid;
        }
    }
    return QE_EGONE;
}

static void reap_super(qe__exec *x, int options)
{
    if (x->super > 0 &&
        (waitpid(x->super, NULL, options) == x->super || errno == ECHILD)) {
        x->super = 0;
    }
}

void qe__exec_await_super(qe__exec *x)
{
    if (x->super > 0 && x->super == x->office) {
        reap_super(x, 0);
    } else if (x->office > 0) {
        qe__proc_await(x->office, 2000);
    }
}

int qe__exec_take_over(qe__exec *x)
{
    if (x->control >= 0) {
        (void) close(x->control);
    }
    x->control = x->standby;
    x->standby = -1;
    x->office = x->standby_pid;
    x->standby_pid = 0;
    return qe__exec_order(x, QE__ORDER_TAKE_OVER, QE__NONE, 0);
}

void qe__exec_close(qe__exec *x)
{
    if (x->control >= 0) {
        uint64_t until = qe_now_ns() + CLOSE_LIMIT_MS * UINT64_C(1000000);
        qe__notice notice;

        (void) qe__exec_order(x, QE__ORDER_QUIT, QE__NONE, 0);
        /* The end of the socket is the end of the supervisor. */
        while (qe_now_ns() < until) {
            struct pollfd p = {.fd = x->control, .events = POLLIN};

            (void) poll(&p, 1, 100);
            if (qe__exec_notice(x, &notice) == QE_EGONE) {
                break;
            }
        }
        (void) close(x->control);
        x->control = -1;
    }
    if (x->standby >= 0) {
        (void) close(x->standby);
        x->standby = -1;
    }
    if (x->super > 0) {
        (void) kill(x->super, SIGKILL);
        reap_super(x, 0);
    }
    close_files(x);
    qe__arena_close(&x->arena);
}
