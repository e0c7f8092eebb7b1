/* The session's side of the keeper: workers wait for it, and it leaves when
 * they have. */
#include <errno.h>
#include <string.h>

#include "qe_session.h"

#define KEEPERS_MAX 3u

/* Its slot: behind those of the workers and their guests. */
static uint32_t keeper_of(const qe_session *s)
{
    return s->homes * 2;
}

uint32_t qe__session_workers(const qe_session *s)
{
    bool keeper = s->options.keeper && s->slots[keeper_of(s)].alive;

    return s->alive - (keeper ? 1u : 0u);
}

int qe__session_keep(qe_session *s)
{
    int status;

    if (!s->options.keeper || s->stopping || s->keepers++ >= KEEPERS_MAX) {
        s->keeper = QE__KEEPER_NONE;
        return 0;
    }
    s->keeper = QE__KEEPER_STARTING;
    status = qe__session_launch(s, keeper_of(s), QE__JOB_KEEPER, 0, 0, 0, 0);
    if (status != 0) {
        s->keeper = QE__KEEPER_NONE;
    }
    return status;
}

int qe__session_order_start(qe_session *s, uint32_t slot)
{
    qe__session_slot *w = &s->slots[slot];
    bool is_keeper = slot == keeper_of(s);
    int status;

    w->waiting = !is_keeper && s->keeper == QE__KEEPER_STARTING;
    if (w->waiting) {
        return 0;
    }
    status = qe__exec_order(&s->exec, QE__ORDER_START, slot,
                            !is_keeper && s->keeper == QE__KEEPER_READY);
    if (status == QE_EGONE && s->exec.control >= 0) {
        /* The supervisor's death was not taken in yet. When it is, this worker
         * counts as one that died with it. */
        s->control_readable = true;
        status = 0;
    }
    return status;
}

void qe__session_release(qe_session *s)
{
    for (uint32_t i = 0; i < s->exec.slots; i++) {
        if (!s->slots[i].waiting || s->keeper == QE__KEEPER_STARTING) {
            continue;
        }
        s->slots[i].waiting = false;
        if (s->stopping || s->draining) {
            qe__session_never(s, i);
        } else if (qe__session_order_start(s, i) != 0) {
            qe__session_refused(s, i, EPIPE);
        }
    }
}

void qe__session_keeper_ready(qe_session *s)
{
    if (s->keeper == QE__KEEPER_STARTING) {
        s->keeper = QE__KEEPER_READY;
        qe__session_release(s);
    }
}

void qe__session_no_keeper(qe_session *s, uint32_t slot)
{
    s->slots[slot].waiting = true;
    /* Its end is known here, and being handled; or else another was started. */
    if (!s->slots[keeper_of(s)].exited) {
        qe__session_release(s);
    }
}

void qe__session_keeper_left(qe_session *s)
{
    const qe__session_slot *w = &s->slots[keeper_of(s)];
    /* One that was ready did its set-up well: what ended it came from outside. */
    bool again = w->is_void || (s->keeper == QE__KEEPER_READY && !w->bye);

    s->keeper = QE__KEEPER_NONE;
    if (again && qe__session_keep(s) != 0) {
        s->keeper = QE__KEEPER_NONE;
    }
    qe__session_release(s);
}

bool qe__session_dismiss_keeper(qe_session *s)
{
    if (s->keeper != QE__KEEPER_READY || qe__session_workers(s) > 0) {
        return false;
    }
    s->keeper = QE__KEEPER_LEAVING;
    (void) qe__exec_order(&s->exec, QE__ORDER_DISMISS, keeper_of(s), 0);
    return true;
}
