/* Deadlines and the kill: first all stacks, then SIGKILL to the group. */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qe_proc.h"
#include "qe_super.h"

#define DUMP_LIMIT_NS (150 * QE__MS) /* a stack dump that takes longer is cut */
/* A command's worker, which waits for its end, is killed only if it is stuck. */
#define STUCK_NS (5000 * QE__MS)
#define DUMP_STABLE_NS (4 * QE__MS) /* no growth for so long: it is complete */

void qe__super_kill(qe__super_state *st, uint32_t slot)
{
    pid_t pid = st->slots[slot].pid;

    if (pid > 0) {
        st->slots[slot].phase = QE__KILL_SENT;
        qe__proc_kill(pid);
    }
}

void qe__super_kill_orphans(qe__super_state *st, uint32_t slot, pid_t ended)
{
    bool by_command = st->super->options->start == QE_START_COMMAND;

    for (uint32_t i = 0; by_command && i < st->super->slots; i++) {
        _Atomic uint32_t *group = &st->super->arena->slots[i].group;
        uint32_t pid = atomic_load(group);

        if (pid != 0 && (i == slot || pid == (uint32_t) ended) &&
            atomic_compare_exchange_strong(group, &pid, 0)) {
            qe__proc_kill((pid_t) pid);
        }
    }
    if (by_command) {
        atomic_store(&st->super->arena->slots[slot].turn, 0);
    }
}

static void begin_kill(qe__super_state *st, uint32_t slot, uint64_t now)
{
    static const char no_stack[] = "no stack: signal blocked\n";
    qe__super_slot *s = &st->slots[slot];
    int sig = qe__stack_signal();
    bool blocked;

    s->timed_out = true;
    if (st->super->options->start == QE_START_COMMAND) {
        /* The worker, whose child it is, ends the command. */
        s->phase = QE__KILL_ASKED;
        s->dump_since_ns = now;
        (void) kill(s->pid, SIGTERM);
        return;
    }
    if (qe__proc_takes_signal(s->pid, sig, &blocked) &&
        kill(s->pid, sig) == 0) {
        s->phase = QE__KILL_DUMPING;
        s->dump_since_ns = s->grown_ns = now;
        s->dump_size = 0;
        return;
    }
    if (blocked) {
        (void) !pwrite(st->super->files[slot].stack, no_stack,
                       sizeof(no_stack) - 1, 0);
    }
    qe__super_kill(st, slot);
}

/* Moves a deadline that is running by `ns`. A worker that is blocked on its pipe
 * moves it, too, by all the time until it goes on: that errs on the safe side. */
static void postpone(_Atomic uint64_t *deadline_ns, uint64_t ns)
{
    uint64_t deadline = atomic_load(deadline_ns);

    while (
        deadline != 0 && deadline != QE__DEADLINE_KILLED &&
        !atomic_compare_exchange_weak(deadline_ns, &deadline, deadline + ns)) {}
}

void qe__super_shift(qe__super_state *st, uint32_t slot, uint64_t ns)
{
    st->slots[slot].resumed_ns = qe_now_ns();
    st->slots[slot].held_ns = ns;
    postpone(&st->super->arena->slots[slot].deadline_ns, ns);
    st->slots[slot].dump_since_ns += ns;
    st->slots[slot].grown_ns += ns;
}

void qe__super_signal_group(qe__super_state *st, uint32_t slot, int sig)
{
    pid_t pid = st->slots[slot].pid;
    pid_t group = (pid_t) atomic_load(&st->super->arena->slots[slot].group);

    /* The leader is not reaped yet, so the group is still its own, even if a test
     * has taken the leader to another one. */
    (void) kill(-pid, sig);
    (void) kill(pid, sig);
    if (group > 0) {
        (void) kill(-group, sig);
    }
}

void qe__super_pause(qe__super_state *st, bool on)
{
    uint64_t now = qe_now_ns();
    uint64_t held_ns = now - st->paused_ns;

    if (on == (st->paused_ns != 0)) {
        return;
    }
    st->paused_ns = on ? now : 0;
    for (uint32_t i = 0; i < st->super->slots; i++) {
        if (st->slots[i].pid <= 0) {
            continue;
        }
        if (on) {
            /* Held for another reason from now on, and for longer. */
            qe__super_let_go(st, i, now);
        } else {
            qe__super_shift(st, i, held_ns);
        }
        qe__super_signal_group(st, i, on ? SIGSTOP : SIGCONT);
    }
}

uint64_t qe__super_deadlines(qe__super_state *st, uint64_t now)
{
    uint64_t wake = UINT64_MAX;
    uint64_t shortest = st->super->arena->head->min_timeout_ns;

    if (st->paused_ns != 0) {
        return UINT64_MAX;
    }
    for (uint32_t i = 0; i < st->super->slots; i++) {
        qe__super_slot *s = &st->slots[i];
        qe__arena_slot *a = &st->super->arena->slots[i];
        uint64_t deadline;
        struct stat file;

        if (s->pid == 0 || s->phase == QE__KILL_SENT) {
            continue;
        }
        if (s->phase == QE__KILL_NO) {
            uint64_t look = qe__super_jitter(st, i, now);

            wake = look < wake ? look : wake;
            if (s->jitter.held_ns != 0) {
                continue; /* its deadline stands still */
            }
        }
        if (s->phase == QE__KILL_DUMPING) {
            if (fstat(st->super->files[i].stack, &file) == 0 &&
                file.st_size != s->dump_size) {
                s->dump_size = file.st_size;
                s->grown_ns = now;
            }
            if ((s->dump_size > 0 && now - s->grown_ns >= DUMP_STABLE_NS) ||
                now - s->dump_since_ns >= DUMP_LIMIT_NS) {
                qe__super_kill(st, i);
            } else if (now + QE__MS < wake) {
                wake = now + QE__MS;
            }
            continue;
        }
        if (s->phase == QE__KILL_ASKED) {
            if (atomic_load(&a->deadline_ns) != QE__DEADLINE_KILLED) {
                s->phase = QE__KILL_NO; /* that command is gone */
                s->timed_out = false;
            } else if (now - s->dump_since_ns >=
                       st->super->options->grace_ns + STUCK_NS) {
                qe__super_kill(st, i);
                continue;
            } else {
                wake = now + STUCK_NS < wake ? now + STUCK_NS : wake;
            }
        }
        /* A test that starts after this look cannot be due before now plus
         * the shortest limit of all. */
        if (shortest != 0 && now + shortest < wake) {
            wake = now + shortest;
        }
        deadline = atomic_load(&a->deadline_ns);
        if (deadline == 0 || deadline == QE__DEADLINE_KILLED) {
            continue;
        }
        if (atomic_load(&a->blocked_ns) != 0) {
            wake = now + 10 * QE__MS < wake ? now + 10 * QE__MS : wake;
        } else if (deadline > now) {
            wake = deadline < wake ? deadline : wake;
        } else if (deadline < s->resumed_ns) {
            /* The hold came between the worker's look at the clock and its word. */
            postpone(&a->deadline_ns, s->held_ns);
            wake = now;
        } else if (atomic_compare_exchange_strong(&a->deadline_ns, &deadline,
                                                  QE__DEADLINE_KILLED)) {
            begin_kill(st, i, now);
            wake = now + QE__MS;
        }
    }
    return wake;
}
