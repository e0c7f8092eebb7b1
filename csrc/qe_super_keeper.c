/* The supervisor's side of keepers: asking them for workers, and taking in
 * what they say of them. A worker of one is the supervisor's child, since the
 * child that forked it has left by the time it begins. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qe_proc.h"
#include "qe_super.h"

static void drop(qe__super_state *st, uint32_t keeper)
{
    if (st->keepers[keeper] >= 0) {
        (void) close(st->keepers[keeper]);
        st->keepers[keeper] = -1;
    }
}

void qe__super_drop_keepers(qe__super_state *st)
{
    for (uint32_t i = 0; i < st->super->keepers; i++) {
        drop(st, i);
    }
}

uint32_t qe__super_keeper_of(const qe__super_state *st, uint32_t slot)
{
    uint32_t workers = st->super->slots - st->super->keepers;

    return slot < workers ? QE__NONE : slot - workers;
}

void qe__super_open_keeper(qe__super_state *st, uint32_t keeper)
{
    int pair[2];

    drop(st, keeper);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        st->keepers[keeper] = pair[0];
        st->super->keeper = pair[1];
    }
}

bool qe__super_ask_keeper(qe__super_state *st, uint32_t keeper, uint32_t slot,
                          int *error)
{
    qe__birth birth = {.slot = slot};
    int tries = 0;
    int socket;
    ssize_t n;

    *error = QE__NO_KEEPER;
    if (keeper >= st->super->keepers || st->keepers[keeper] < 0) {
        return false;
    }
    socket = st->keepers[keeper];
    do {
        n = send(socket, &birth, sizeof(birth), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            /* Hundreds of requests at once: it takes them one by one. */
            struct pollfd p = {.fd = socket, .events = POLLOUT};

            (void) poll(&p, 1, 100);
        }
    } while (n < 0 && (errno == EINTR || (errno == EAGAIN && tries++ < 50)));
    *error = n < 0 && errno == EAGAIN ? EAGAIN : QE__NO_KEEPER;
    if (n != (ssize_t) sizeof(birth)) {
        return false;
    }
    st->slots[slot].asked = keeper + 1;
    return true;
}

void qe__super_dismiss_keeper(qe__super_state *st, uint32_t keeper)
{
    qe__birth birth = {.slot = QE__NONE};

    if (keeper < st->super->keepers && st->keepers[keeper] >= 0) {
        (void) send(st->keepers[keeper], &birth, sizeof(birth),
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void take_births(qe__super_state *st, uint32_t keeper)
{
    int socket = st->keepers[keeper];
    qe__birth birth;

    while (socket >= 0 && recv(socket, &birth, sizeof(birth), MSG_DONTWAIT) ==
                              (ssize_t) sizeof(birth)) {
        qe__notice notice = {.kind = QE__NOTICE_STARTED, .slot = birth.slot};

        if (birth.slot >= st->super->slots ||
            st->slots[birth.slot].asked != keeper + 1) {
            continue;
        }
        if (birth.pid > 0) {
            (void) setpgid(birth.pid, birth.pid);
            memset(&st->slots[birth.slot], 0, sizeof(st->slots[0]));
            st->slots[birth.slot].pid = birth.pid;
            notice.pid = birth.pid;
            if (st->paused_ns != 0) {
                (void) kill(-birth.pid, SIGSTOP);
            }
        } else {
            st->slots[birth.slot].asked = 0;
            notice.kind = QE__NOTICE_FAILED;
            notice.value = birth.error;
        }
        qe__super_notify(st, &notice);
    }
}

void qe__super_take_births(qe__super_state *st)
{
    for (uint32_t i = 0; i < st->super->keepers; i++) {
        take_births(st, i);
    }
}

void qe__super_keeper_died(qe__super_state *st, uint32_t keeper)
{
    take_births(st, keeper);
    drop(st, keeper);
    for (uint32_t i = 0; i < st->super->slots; i++) {
        if (st->slots[i].asked == keeper + 1) {
            qe__notice notice = {
                .kind = QE__NOTICE_FAILED, .slot = i, .value = QE__NO_KEEPER};

            st->slots[i].asked = 0;
            qe__super_notify(st, &notice);
        }
    }
}
