/*
 * The supervisor: a process that never runs a test and never waits for the
 * controller. It forks workers from the state that collection left, enforces
 * their deadlines by what the arena says, reaps them, and takes everything
 * down when the controller is gone. A standby, forked from it while it was
 * still pristine, takes its place if it is killed.
 *
 * It runs without the host's lock; fork(2) alone is wrapped in the host's
 * hooks. After its start it allocates nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qe_proc.h"
#include "qe_super.h"

#define SWEEP_LIMIT_NS (5000 * QE__MS)

/* ------------------------------------------------------------------ notices */

static void flush(qe__super_state *st)
{
    size_t sent = 0;

    while (sent < st->queued) {
        ssize_t n = send(st->super->control, &st->queue[sent],
                         sizeof(st->queue[0]), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            break;
        }
        sent++; /* sent, or nobody is there to take it */
    }
    st->queued -= sent;
    memmove(st->queue, st->queue + sent, st->queued * sizeof(st->queue[0]));
}

void qe__super_notify(qe__super_state *st, const qe__notice *notice)
{
    /* A slot has at most two notices under way for each order, and the
     * controller gives one order a slot at a time, so this never fills. */
    if (st->queued < st->queue_capacity) {
        st->queue[st->queued++] = *notice;
    }
    flush(st);
}

static int send_standby(int socket, int fd, pid_t pid)
{
    qe__notice notice = {.kind = QE__NOTICE_STANDBY, .pid = pid};
    struct iovec part = {.iov_base = &notice, .iov_len = sizeof(notice)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c;

    memset(&control, 0, sizeof(control));
    c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? QE_ESYS : 0;
}

/* ------------------------------------------------------------------ forking */

/* `goes_on`: the child runs the host's code, which has duties then. */
static pid_t fork_host(const qe__super_state *st, bool goes_on)
{
    const qe_fork_hooks *h = goes_on ? st->super->hooks : NULL;
    pid_t pid;
    int saved;

    if (h != NULL && h->before != NULL) {
        h->before(h->ctx);
    }
    pid = fork();
    saved = errno;
    if (pid == 0) {
        if (h != NULL && h->child != NULL) {
            h->child(h->ctx);
        }
    } else if (h != NULL && h->parent != NULL) {
        h->parent(h->ctx);
    }
    errno = saved;
    return pid;
}

static void leave_supervisor(qe__super_state *st)
{
    (void) close(st->super->control);
    (void) close(st->signals);
    qe__super_drop_keepers(st);
    if (st->controller >= 0) {
        (void) close(st->controller);
    }
}

/* Starts a worker, whose order says by whom; true in the worker itself. */
static bool start_worker(qe__super_state *st, const qe__order *order,
                         const qe__signals *saved)
{
    uint32_t slot = order->slot;
    uint32_t keeper = qe__super_keeper_of(st, slot);
    enum qe_start start = st->super->options->start;
    bool executed = start == QE_START_SPAWN ||
                    st->super->arena->slots[slot].job == QE__JOB_SERVER;
    qe__slot_files *files = &st->super->files[slot];
    qe__notice notice = {.kind = QE__NOTICE_STARTED, .slot = slot};
    pid_t pid;

    (void) !ftruncate(files->capture[0], 0);
    (void) !ftruncate(files->capture[1], 0);
    (void) !ftruncate(files->stack, 0);
    atomic_store(&st->super->arena->slots[slot].deadline_ns, 0);
    atomic_store(&st->super->arena->slots[slot].blocked_ns, 0);
    atomic_store(&st->super->arena->slots[slot].running, 0);
    atomic_store(&st->super->arena->slots[slot].group, 0);
    atomic_store(&st->super->arena->slots[slot].turn, 0);
    if (order->value > 0) {
        if (!qe__super_ask_keeper(st, (uint32_t) order->value - 1, slot,
                                  &notice.value)) {
            notice.kind = QE__NOTICE_FAILED;
            qe__super_notify(st, &notice);
        }
        return false;
    }
    if (keeper != QE__NONE) {
        qe__super_open_keeper(st, keeper);
    }
    pid = fork_host(st, start == QE_START_FORK && !executed);
    if (pid == 0) {
        st->super->parent = st->self;
        /* The kill reaches a worker whatever ends the supervisor; the second
         * look closes the gap before the first line. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != st->self) {
            _exit(127);
        }
        (void) setpgid(0, 0);
        leave_supervisor(st);
        qe__proc_null_stdin();
        qe__signals_restore(saved);
        if (start == QE_START_COMMAND) {
            qe__spawn_work(st->super, slot);
        }
        if (executed) {
            qe__pool_execute(st->super, slot);
        }
        return true;
    }
    if (st->super->keeper >= 0) {
        (void) close(st->super->keeper);
        st->super->keeper = -1;
    }
    if (pid < 0) {
        notice.kind = QE__NOTICE_FAILED;
        notice.value = errno;
    } else {
        (void) setpgid(pid, pid);
        memset(&st->slots[slot], 0, sizeof(st->slots[slot]));
        st->slots[slot].pid = pid;
        notice.pid = pid;
        if (st->paused_ns != 0) {
            (void) kill(-pid, SIGSTOP);
        }
    }
    qe__super_notify(st, &notice);
    return false;
}

/* ------------------------------------------------------------------ reaping */

static bool make_standby(qe__super_state *st, qe__signals *saved,
                         uint32_t *slot);

static uint32_t slot_of(const qe__super_state *st, pid_t pid)
{
    uint32_t slot = 0;

    while (slot < st->super->slots && st->slots[slot].pid != pid) {
        slot++;
    }
    return slot;
}

/* Reaps what has ended. A worker's group is killed before its leader is
 * reaped, while its process group id cannot be anyone else's. */
static void reap(qe__super_state *st, bool *standby_died)
{
    siginfo_t info;

    *standby_died = false;
    for (;;) {
        qe__usage usage;
        int status;
        pid_t pid;
        uint32_t slot;

        memset(&info, 0, sizeof(info));
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0) {
            return;
        }
        slot = slot_of(st, info.si_pid);
        if (slot == st->super->slots) {
            qe__super_take_births(st);
            slot = slot_of(st, info.si_pid);
        }
        if (slot < st->super->slots) {
            (void) kill(-info.si_pid, SIGKILL);
        }
        qe__super_kill_orphans(st, slot, info.si_pid);
        pid = qe__proc_reap(info.si_pid, &status, &usage);
        if (pid == st->standby) {
            *standby_died = true;
            st->standby = 0;
        }
        if (pid > 0 && slot < st->super->slots) {
            qe__notice notice = {.kind = QE__NOTICE_EXITED,
                                 .ended_ns = qe_now_ns(),
                                 .slot = slot,
                                 .pid = pid,
                                 .value = status,
                                 .timed_out = st->slots[slot].timed_out,
                                 .cpu_s = usage.cpu_s,
                                 .peak_bytes = usage.peak_bytes};

            st->slots[slot].pid = 0;
            qe__super_notify(st, &notice);
            if (qe__super_keeper_of(st, slot) != QE__NONE) {
                qe__super_keeper_died(st, qe__super_keeper_of(st, slot));
            }
        }
    }
}

static void sweep(const qe__super_state *st)
{
    for (uint32_t i = 0; i < st->super->slots; i++) {
        if (st->slots[i].pid > 0) {
            qe__proc_kill(st->slots[i].pid);
        }
    }
    qe__proc_sweep(SWEEP_LIMIT_NS);
}

/* ------------------------------------------------------------------ the loop */

/* One order. True in a new worker; *quit when it is time to leave. */
static bool obey(qe__super_state *st, const qe__order *order,
                 qe__signals *saved, bool *quit)
{
    uint32_t first = order->slot == QE__NONE ? 0 : order->slot;
    uint32_t end = order->slot == QE__NONE ? st->super->slots : order->slot + 1;

    if (order->kind == QE__ORDER_QUIT) {
        *quit = true;
        return false;
    }
    if (order->kind == QE__ORDER_PAUSE) {
        qe__super_pause(st, order->value != 0);
        return false;
    }
    if (end > st->super->slots) {
        return false;
    }
    if (order->kind == QE__ORDER_START) {
        return st->slots[order->slot].pid == 0 &&
               st->slots[order->slot].asked == 0 &&
               start_worker(st, order, saved);
    }
    if (order->kind == QE__ORDER_DISMISS) {
        qe__super_dismiss_keeper(st, qe__super_keeper_of(st, order->slot));
        return false;
    }
    for (uint32_t i = first; i < end; i++) {
        if (st->slots[i].pid <= 0) {
            continue;
        }
        if (order->kind == QE__ORDER_KILL) {
            qe__super_kill(st, i);
        } else if (order->kind == QE__ORDER_SIGNAL) {
            (void) kill(st->slots[i].pid, order->value);
        }
    }
    return false;
}

static int wait_ms(uint64_t now, uint64_t wake, bool have_pidfd)
{
    uint64_t ms = wake == UINT64_MAX ? UINT64_MAX
                  : wake <= now      ? 0
                                     : (wake - now + QE__MS - 1) / QE__MS;

    /* Without a pidfd the controller's life is looked at now and then. */
    if (!have_pidfd && ms > 200) {
        return 200;
    }
    return ms > 60000 ? 60000 : (int) ms;
}

/* Serves until told to quit or until the controller is gone. True in a new
 * worker, whose slot is *slot. */
static bool serve(qe__super_state *st, qe__signals *saved, uint32_t *slot)
{
    struct pollfd *p = st->polls;
    bool quit = false;

    while (!quit) {
        p[0] = (struct pollfd){.fd = st->super->control, .events = POLLIN};
        p[1] = (struct pollfd){.fd = st->signals, .events = POLLIN};
        p[2] = (struct pollfd){.fd = st->controller, .events = POLLIN};
        for (uint32_t i = 0; i < st->super->keepers; i++) {
            p[3 + i] = (struct pollfd){.fd = st->keepers[i], .events = POLLIN};
        }
        uint64_t now = qe_now_ns();
        uint64_t wake = qe__super_deadlines(st, now);
        bool standby_died;

        if (st->queued > 0) {
            p[0].events |= POLLOUT;
        }
        (void) poll(p, 3 + st->super->keepers,
                    wait_ms(now, wake, st->controller >= 0));
        if (p[2].revents != 0 ||
            (st->controller < 0 && !qe__proc_alive(st->super->controller))) {
            break;
        }
        if (p[1].revents != 0) {
            struct signalfd_siginfo skip[8];

            (void) !read(st->signals, skip, sizeof(skip));
        }
        qe__super_take_births(st);
        reap(st, &standby_died);
        if (standby_died && make_standby(st, saved, slot)) {
            return true;
        }
        if (st->queued > 0) {
            flush(st);
        }
        if ((p[0].revents & (POLLIN | POLLHUP)) != 0) {
            qe__order order;
            ssize_t n;

            while ((n = recv(st->super->control, &order, sizeof(order),
                             MSG_DONTWAIT)) == (ssize_t) sizeof(order)) {
                if (obey(st, &order, saved, &quit)) {
                    *slot = order.slot;
                    return true;
                }
            }
            quit = quit || n == 0;
        }
    }
    return false;
}

static int open_signals(void)
{
    sigset_t child;

    (void) sigemptyset(&child);
    (void) sigaddset(&child, SIGCHLD);
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The standby's life until it is needed: it only waits. */
static bool stand_by(qe__super_state *st)
{
    for (;;) {
        struct pollfd p[2] = {
            {.fd = st->super->control, .events = POLLIN},
            {.fd = st->controller, .events = POLLIN},
        };
        qe__order order;
        ssize_t n;

        (void) poll(p, 2, st->controller >= 0 ? 60000 : 200);
        if (p[1].revents != 0 ||
            (st->controller < 0 && !qe__proc_alive(st->super->controller))) {
            return false;
        }
        n = recv(st->super->control, &order, sizeof(order), MSG_DONTWAIT);
        if (n == 0) {
            return false;
        }
        if (n == (ssize_t) sizeof(order)) {
            return order.kind == QE__ORDER_TAKE_OVER;
        }
    }
}

/* Forks the standby. In the standby itself this returns only in a worker that
 * it forked after it took over: true, with that worker's slot. */
static bool make_standby(qe__super_state *st, qe__signals *saved,
                         uint32_t *slot)
{
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return false; /* then there is none: the run goes on without */
    }
    pid = fork_host(st, st->super->options->start == QE_START_FORK);
    if (pid == 0) {
        (void) close(pair[0]);
        (void) close(st->super->control);
        (void) close(st->signals);
        qe__super_drop_keepers(st);
        st->super->control = pair[1];
        st->self = getpid();
        st->standby = 0;
        st->queued = 0;
        st->paused_ns = 0; /* its workers are not the ones that are held */
        memset(st->slots, 0, st->super->slots * sizeof(st->slots[0]));
        (void) setpgid(0, 0);
        st->signals = open_signals();
        if (!stand_by(st)) {
            _exit(0);
        }
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        if (make_standby(st, saved, slot) || serve(st, saved, slot)) {
            return true;
        }
        sweep(st);
        _exit(0);
    }
    (void) close(pair[1]);
    if (pid > 0) {
        st->standby = pid;
        (void) send_standby(st->super->control, pair[0], pid);
    }
    (void) close(pair[0]);
    return false;
}

uint32_t qe__super_run(qe__super *super)
{
    qe__signals saved;
    qe__super_state st;
    uint32_t slot = 0;

    memset(&st, 0, sizeof(st));
    st.super = super;
    st.self = getpid();
    st.queue_capacity = (size_t) super->slots * 4 + 16;
    st.slots = calloc(super->slots, sizeof(st.slots[0]));
    st.queue = calloc(st.queue_capacity, sizeof(st.queue[0]));
    st.keepers = calloc(super->keepers + 1, sizeof(st.keepers[0]));
    st.polls = calloc(super->keepers + 3, sizeof(st.polls[0]));
    if (st.slots == NULL || st.queue == NULL || st.keepers == NULL ||
        st.polls == NULL) {
        _exit(1);
    }
    memset(st.keepers, 0xff, super->keepers * sizeof(st.keepers[0]));
    (void) close(super->foreign);
    (void) setpgid(0, 0);
    qe__signals_quiet(&saved);
    (void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    st.signals = open_signals();
    st.controller = qe__proc_pidfd(super->controller);
    if (make_standby(&st, &saved, &slot) || serve(&st, &saved, &slot)) {
        free(st.slots);
        free(st.queue);
        free(st.keepers);
        free(st.polls);
        return slot;
    }
    sweep(&st);
    _exit(0);
}
