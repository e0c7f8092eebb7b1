/* The session's side of keepers: workers wait for theirs, and it leaves when
 * they have. One holds fixtures, for all workers; the others are servers, for the
 * passes that name them. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "qe_plan.h"
#include "qe_session.h"

#define STARTS_MAX 3u
#define SERVERS_MAX 1024u
#define FIXTURES 0u /* the number of the keeper that holds them */

bool qe__session_sound_servers(const qe_options *options)
{
    if (options->servers == 0) {
        return true;
    }
    if (options->servers > SERVERS_MAX || options->start == QE_START_COMMAND ||
        options->spawn_argv == NULL || options->server_env == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < options->servers; i++) {
        char *const *words = options->server_env[i];

        for (; words != NULL && *words != NULL; words++) {
            if (strcspn(*words, "=") == 0) {
                return false;
            }
        }
    }
    return true;
}

int qe__session_keepers_new(qe_session *s, uint32_t count)
{
    s->keepers = calloc((size_t) count + 1, sizeof(s->keepers[0]));
    s->held = count > 1 ? calloc(qe__plan_most_passes(s->plan) + 1,
                                 sizeof(s->held[0]))
                        : NULL;
    return s->keepers == NULL || (count > 1 && s->held == NULL) ? QE_ENOMEM : 0;
}

/* Their slots are behind those of the workers and of their guests. */
static uint32_t slot_of(const qe_session *s, uint32_t keeper)
{
    return s->homes * 2 + keeper;
}

uint32_t qe__session_keeper_of(const qe_session *s, uint32_t slot)
{
    return slot < s->homes * 2 ? QE__NONE : slot - s->homes * 2;
}

uint32_t qe__session_workers(const qe_session *s)
{
    uint32_t workers = s->alive;

    for (uint32_t i = 0; i < s->exec.keepers; i++) {
        workers -= s->slots[slot_of(s, i)].alive;
    }
    return workers;
}

/* It is done without, if it is not there any more. */
static int start(qe_session *s, uint32_t keeper)
{
    qe__session_keeper *k = &s->keepers[keeper];
    int status = QE_ESTATE;

    k->error = 0;
    if (!s->stopping && k->starts++ < STARTS_MAX) {
        k->state = QE__KEEPER_STARTING;
        status = qe__session_launch(s, slot_of(s, keeper),
                                    keeper == FIXTURES ? QE__JOB_KEEPER
                                                       : QE__JOB_SERVER,
                                    keeper, 0, 0, 0);
    }
    if (status != 0) {
        k->state = QE__KEEPER_NONE;
        k->gone = keeper != FIXTURES && !s->stopping;
    }
    return status;
}

int qe__session_keep(qe_session *s)
{
    return s->options.keeper ? start(s, FIXTURES) : 0;
}

bool qe__session_server_gone(qe_session *s, qe_event *out)
{
    for (uint32_t i = FIXTURES + 1; i < s->exec.keepers; i++) {
        qe__session_keeper *k = &s->keepers[i];

        if (k->gone) {
            k->gone = false;
            memset(out, 0, sizeof(*out));
            out->kind = QE_EV_SERVER;
            out->unit = QE__NONE;
            out->slot = slot_of(s, i);
            out->server = i;
            out->error = k->error;
            out->status = s->slots[slot_of(s, i)].exit.value;
            return true;
        }
    }
    return false;
}

/* The keeper that forks the worker of a slot; where its server is done without, as
 * any other. */
static uint32_t parent_of(const qe_session *s, uint32_t slot)
{
    uint32_t server = s->exec.arena.slots[slot].job_server;

    return server < s->exec.keepers &&
                   s->keepers[server].state != QE__KEEPER_NONE
               ? server
               : FIXTURES;
}

static bool is_awaited(const qe_session *s, uint32_t slot)
{
    return s->keepers[parent_of(s, slot)].state == QE__KEEPER_STARTING;
}

int qe__session_order_start(qe_session *s, uint32_t slot)
{
    qe__session_slot *w = &s->slots[slot];
    bool is_keeper = qe__session_keeper_of(s, slot) != QE__NONE;
    uint32_t parent = parent_of(s, slot);
    bool ready = s->keepers[parent].state == QE__KEEPER_READY;
    int status;

    w->waiting = !is_keeper && is_awaited(s, slot);
    if (w->waiting) {
        return 0;
    }
    status = qe__exec_order(&s->exec, QE__ORDER_START, slot,
                            !is_keeper && ready ? (int32_t) parent + 1 : 0);
    if (status == QE_EGONE && s->exec.control >= 0) {
        /* The supervisor's death was not taken in yet. When it is, this worker
         * counts as one that died with it. */
        s->control_readable = true;
        status = 0;
    }
    return status;
}

void qe__session_take_pass(qe_session *s, uint32_t scope)
{
    uint32_t server = s->exec.arena.scopes[scope].server;

    /* Only servers that are forked from are keepers. */
    if (server != 0 && server < s->exec.keepers) {
        const qe__session_keeper *k = &s->keepers[server];

        if (k->starts == 0) {
            (void) start(s, server);
        }
        if (k->state == QE__KEEPER_STARTING) {
            qe__sched_hold_pass(s->sched, scope);
            s->held[s->held_count++] = scope;
            return;
        }
    }
    qe__sched_pass(s->sched, scope);
}

/* Passes whose server has become ready, or is done without. */
static void let_passes(qe_session *s)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < s->held_count; i++) {
        uint32_t scope = s->held[i];
        uint32_t server = s->exec.arena.scopes[scope].server;

        if (s->keepers[server].state == QE__KEEPER_STARTING) {
            s->held[left++] = scope;
        } else {
            qe__sched_let_pass(s->sched, scope);
        }
    }
    s->held_count = left;
}

void qe__session_release(qe_session *s)
{
    bool over = s->stopping || s->draining;

    let_passes(s);
    for (uint32_t i = 0; i < s->homes * 2; i++) {
        if (!s->slots[i].waiting || (!over && is_awaited(s, i))) {
            continue;
        }
        s->slots[i].waiting = false;
        if (over) {
            qe__session_never(s, i);
        } else if (qe__session_order_start(s, i) != 0) {
            qe__session_refused(s, i, EPIPE);
        }
    }
}

bool qe__session_keeper_ready(qe_session *s, uint32_t slot)
{
    uint32_t keeper = qe__session_keeper_of(s, slot);

    if (keeper != QE__NONE && s->keepers[keeper].state == QE__KEEPER_STARTING) {
        s->keepers[keeper].state = QE__KEEPER_READY;
        qe__session_release(s);
    }
    return keeper != QE__NONE;
}

void qe__session_no_keeper(qe_session *s, uint32_t slot)
{
    uint32_t parent = parent_of(s, slot);

    s->slots[slot].waiting = true;
    /* Its end is known here, and being handled; or else another was started. */
    if (!s->slots[slot_of(s, parent)].exited) {
        qe__session_release(s);
    }
}

void qe__session_keepers_lost(qe_session *s)
{
    for (uint32_t i = 0; i < s->exec.keepers; i++) {
        if (s->keepers[i].state == QE__KEEPER_READY) {
            /* When its end is handled. */
            s->keepers[i].state = QE__KEEPER_STARTING;
        }
    }
}

void qe__session_keeper_left(qe_session *s, uint32_t keeper)
{
    const qe__session_slot *w = &s->slots[slot_of(s, keeper)];
    qe__session_keeper *k = &s->keepers[keeper];
    /* One that was ready did its set-up well: what ended it came from outside. */
    bool again = w->is_void || (k->state == QE__KEEPER_READY && !w->bye);
    bool needed = keeper == FIXTURES || !(s->stopping || s->draining);

    k->state = QE__KEEPER_NONE;
    k->gone = keeper != FIXTURES && needed && !again;
    if (again && needed) {
        (void) start(s, keeper);
    }
    qe__session_release(s);
}

void qe__session_spare_servers(qe_session *s)
{
    for (uint32_t i = FIXTURES + 1; i < s->exec.keepers; i++) {
        qe__session_keeper *k = &s->keepers[i];

        if (s->slots[slot_of(s, i)].alive && !k->asked_to_end) {
            k->asked_to_end = true;
            k->starts = STARTS_MAX;
            (void) qe__exec_order(&s->exec, QE__ORDER_KILL, slot_of(s, i), 0);
        }
    }
}

bool qe__session_dismiss_keepers(qe_session *s)
{
    bool told = false;

    if (s->exec.keepers == 0) {
        return false;
    }
    qe__session_release(s);
    for (uint32_t i = 0; i < s->exec.keepers; i++) {
        qe__session_keeper *k = &s->keepers[i];

        if (qe__session_workers(s) > 0) {
            return told;
        }
        if (k->state == QE__KEEPER_READY) {
            k->state = QE__KEEPER_LEAVING;
            (void) qe__exec_order(&s->exec, QE__ORDER_DISMISS, slot_of(s, i),
                                  0);
            told = true;
        } else if (i != FIXTURES && k->state == QE__KEEPER_STARTING &&
                   !k->asked_to_end) {
            /* Nobody waits for it any more, and it has nothing to take down. */
            k->asked_to_end = true;
            (void) qe__exec_order(&s->exec, QE__ORDER_SIGNAL, slot_of(s, i),
                                  SIGINT);
            told = true;
        }
    }
    return told;
}
