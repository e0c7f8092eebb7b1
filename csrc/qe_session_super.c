/* What the session hears of the supervisor: its notices, and its death. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "qe_proc.h"
#include "qe_session.h"

static void on_control(uv_poll_t *handle, int status, int events)
{
    (void) status;
    (void) events;
    ((qe_session *) handle->data)->control_readable = true;
}

int qe__session_uv_code(int status)
{
    if (status == 0) {
        return 0;
    }
    errno = -status;
    return QE_ESYS;
}

int qe__session_watch(qe_session *s)
{
    int status = uv_poll_init(&s->loop, &s->control, s->exec.control);

    if (status != 0) {
        return qe__session_uv_code(status);
    }
    s->control.data = s;
    return qe__session_uv_code(
        uv_poll_start(&s->control, UV_READABLE | UV_DISCONNECT, on_control));
}

/* The supervisor was killed, and its workers with it by the kernel: at once,
 * but not before the end of its socket, which has told us. */
static void supervisor_died(qe_session *s)
{
    qe__exec_await_super(&s->exec);
    uv_close((uv_handle_t *) &s->control, NULL);
    s->control.data = NULL;
    (void) uv_run(&s->loop, UV_RUN_NOWAIT);
    for (uint32_t i = 0; i < s->exec.slots; i++) {
        qe__session_slot *w = &s->slots[i];
        uint32_t pid = atomic_load(&s->exec.arena.slots[i].pid);
        int32_t group;

        if (!w->alive || w->exited) {
            continue;
        }
        if (w->pid == 0) {
            w->pid = (int32_t) pid;
        }
        if (w->pid > 0) {
            qe__proc_await(w->pid, 2000);
            /* What its test had started and left in its group. */
            (void) kill(-w->pid, SIGKILL);
        }
        group = (int32_t) atomic_load(&s->exec.arena.slots[i].group);
        if (group > 0) {
            (void) kill(-group, SIGKILL);
        }
        atomic_store(&s->exec.arena.slots[i].turn, 0);
        w->exited = w->is_void = true;
        w->exit = (qe__notice){.kind = QE__NOTICE_EXITED, .value = 9};
    }
    qe__session_keepers_lost(s);
    if (s->exec.standby < 0 || qe__exec_take_over(&s->exec) != 0 ||
        qe__session_watch(s) != 0) {
        s->trouble = QE_EGONE;
    }
}

bool qe__session_notice(qe_session *s, qe_event *out)
{
    qe__notice n;
    int status;

    s->control_readable = false;
    while ((status = qe__exec_notice(&s->exec, &n)) == 1) {
        qe__session_slot *w;

        if (n.slot >= s->exec.slots || !s->slots[n.slot].alive) {
            continue;
        }
        w = &s->slots[n.slot];
        if (n.kind == QE__NOTICE_EXITED) {
            w->exit = n;
            w->exited = true;
        } else if (n.kind == QE__NOTICE_STARTED) {
            w->pid = n.pid;
            s->refusals = 0;
            memset(out, 0, sizeof(*out));
            out->kind = QE_EV_WORKER;
            out->slot = n.slot;
            out->epoch = s->exec.arena.slots[n.slot].epoch;
            out->pid = n.pid;
            out->unit = QE__NONE;
            s->control_readable = true; /* there may be more */
            return true;
        } else if (n.kind == QE__NOTICE_FAILED &&
                   qe__session_keeper_of(s, n.slot) != QE__NONE) {
            s->keepers[qe__session_keeper_of(s, n.slot)].error = n.value;
            w->exit =
                (qe__notice){.kind = QE__NOTICE_EXITED, .value = 127 << 8};
            w->exited = true;
        } else if (n.kind == QE__NOTICE_FAILED && n.value == QE__NO_KEEPER) {
            qe__session_no_keeper(s, n.slot);
        } else if (n.kind == QE__NOTICE_FAILED) {
            qe__session_refused(s, n.slot, n.value);
        }
    }
    if (status == QE_EGONE && s->exec.control >= 0 && s->trouble == 0) {
        supervisor_died(s);
    }
    return false;
}
