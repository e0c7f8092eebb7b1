/* The supervisor's side of the keeper: asking it for workers, and taking in
 * what it says of them. A worker of it is the supervisor's child, since the
 * child that forked it has left by the time it begins. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qe_proc.h"
#include "qe_super.h"

void qe__super_drop_keeper(qe__super_state *st)
{
    if (st->keeper >= 0) {
        (void) close(st->keeper);
        st->keeper = -1;
    }
}

bool qe__super_ask_keeper(qe__super_state *st, uint32_t slot, int *error)
{
    qe__birth birth = {.slot = slot};
    int tries = 0;
    ssize_t n;

    *error = QE__NO_KEEPER;

    if (st->keeper < 0) {
        return false;
    }
    do {
        n = send(st->keeper, &birth, sizeof(birth),
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            /* Hundreds of requests at once: it takes them one by one. */
            struct pollfd p = {.fd = st->keeper, .events = POLLOUT};

            (void) poll(&p, 1, 100);
        }
    } while (n < 0 && (errno == EINTR || (errno == EAGAIN && tries++ < 50)));
    *error = n < 0 && errno == EAGAIN ? EAGAIN : QE__NO_KEEPER;
    st->slots[slot].asked = n == (ssize_t) sizeof(birth);
    return st->slots[slot].asked;
}

void qe__super_dismiss_keeper(qe__super_state *st)
{
    qe__birth birth = {.slot = QE__NONE};

    if (st->keeper >= 0) {
        (void) send(st->keeper, &birth, sizeof(birth),
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void qe__super_take_births(qe__super_state *st)
{
    qe__birth birth;

    while (st->keeper >= 0 && recv(st->keeper, &birth, sizeof(birth),
                                   MSG_DONTWAIT) == (ssize_t) sizeof(birth)) {
        qe__notice notice = {.kind = QE__NOTICE_STARTED, .slot = birth.slot};

        if (birth.slot >= st->super->slots || !st->slots[birth.slot].asked) {
            continue;
        }
        if (birth.pid > 0) {
            (void) setpgid(birth.pid, birth.pid);
            memset(&st->slots[birth.slot], 0, sizeof(st->slots[0]));
            st->slots[birth.slot].pid = birth.pid;
            notice.pid = birth.pid;
        } else {
            st->slots[birth.slot].asked = false;
            notice.kind = QE__NOTICE_FAILED;
            notice.value = birth.error;
        }
        qe__super_notify(st, &notice);
    }
}

void qe__super_keeper_died(qe__super_state *st)
{
    qe__super_take_births(st);
    qe__super_drop_keeper(st);
    for (uint32_t i = 0; i < st->super->slots; i++) {
        if (st->slots[i].asked) {
            qe__notice notice = {
                .kind = QE__NOTICE_FAILED, .slot = i, .value = QE__NO_KEEPER};

            st->slots[i].asked = false;
            qe__super_notify(st, &notice);
        }
    }
}
