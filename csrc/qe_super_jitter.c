/*
 * Workers that are held now and then, so that what a test leaves to chance comes out
 * otherwise. It is the supervisor that holds them, as it never waits for them; no
 * deadline comes nearer, and what ends the supervisor ends them.
 */
#include <math.h>
#include <signal.h>
#include <unistd.h>

#include "qe_super.h"
#include "qe_util.h"

#define SHORTEST_NS (1 * QE__MS)
#define LONGEST_NS (200 * QE__MS)
#define LOOK_NS (1 * QE__MS)   /* whether an attempt has begun */
#define SOON_NS (3 * QE__MS)   /* the first hold of an attempt, at the latest */
#define SPARE_NS (60 * QE__MS) /* what may be held before any has run */
/* Held time a unit of time that it runs: a fifth of both together. */
#define DUTY_DIVISOR 4

static bool has_jitter(const qe__super_state *st, uint32_t slot)
{
    const qe__arena *a = st->super->arena;
    const qe__arena_slot *s = &a->slots[slot];
    const qe__arena_pass *pass =
        s->job == QE__JOB_SCOPE ? qe__arena_pass_of(a, s->job_scope) : NULL;

    return pass != NULL && (pass->around.flags & QE_JITTER) != 0;
}

/* From 1 to 200 ms, as likely between 1 and 2 as between 100 and 200. */
static uint64_t any_length(qe__jitter *j)
{
    double at = (double) (qe__random(&j->random) >> 11) * 0x1p-53;

    return (uint64_t) (SHORTEST_NS *
                       pow((double) LONGEST_NS / SHORTEST_NS, at));
}

void qe__super_let_go(qe__super_state *st, uint32_t slot, uint64_t now)
{
    qe__jitter *j = &st->slots[slot].jitter;
    uint64_t held = now - j->held_ns;

    if (j->held_ns == 0) {
        return;
    }
    j->held_ns = 0;
    j->spare_ns -= held < j->spare_ns ? held : j->spare_ns;
    j->looked_ns = now;
    j->next_ns = now + any_length(j);
    qe__super_shift(st, slot, held);
    qe__super_signal_group(st, slot, SIGCONT);
}

/* Whether there is something to hold: *soon says that it has just begun. */
static bool runs(qe__super_state *st, uint32_t slot, bool *soon)
{
    qe__jitter *j = &st->slots[slot].jitter;
    uint64_t running = atomic_load(&st->super->arena->slots[slot].running);

    running -= qe__running_phase(running);
    *soon = running != 0 && running != j->running;
    j->running = running;
    return running != 0;
}

uint64_t qe__super_jitter(qe__super_state *st, uint32_t slot, uint64_t now)
{
    qe__jitter *j = &st->slots[slot].jitter;
    bool soon;

    if (j->held_ns != 0) {
        if (now < j->until_ns) {
            return j->until_ns;
        }
        qe__super_let_go(st, slot, now);
        return now + LOOK_NS;
    }
    if (!has_jitter(st, slot)) {
        return UINT64_MAX;
    }
    if (j->looked_ns == 0) {
        j->random = st->super->arena->slots[slot].job_seed;
        j->spare_ns = SPARE_NS;
    } else {
        j->spare_ns += (now - j->looked_ns) / DUTY_DIVISOR;
        j->spare_ns = j->spare_ns < LONGEST_NS ? j->spare_ns : LONGEST_NS;
    }
    j->looked_ns = now;
    if (!runs(st, slot, &soon)) {
        return now + LOOK_NS;
    }
    if (soon) {
        j->next_ns = now + qe__random(&j->random) % SOON_NS;
    }
    if (now >= j->next_ns && j->spare_ns >= SHORTEST_NS) {
        uint64_t length = any_length(j);

        j->held_ns = now;
        j->until_ns = now + (length < j->spare_ns ? length : j->spare_ns);
        qe__super_signal_group(st, slot, SIGSTOP);
        return j->until_ns;
    }
    return now + LOOK_NS;
}
