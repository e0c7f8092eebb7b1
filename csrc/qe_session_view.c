/* Looking at a run without changing it. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qe_plan.h"
#include "qe_session.h"

static int longest_first(const void *a, const void *b)
{
    double x = ((const qe_event *) a)->duration_s;
    double y = ((const qe_event *) b)->duration_s;

    return (x < y) - (x > y);
}

size_t qe_session_running(qe_session *s, qe_event *out, size_t n)
{
    uint64_t now = qe_now_ns();
    size_t count = 0;

    for (uint32_t i = 0; i < s->exec.slots && count < n; i++) {
        qe__arena_slot *a = &s->exec.arena.slots[i];
        uint64_t running = atomic_load(&a->running);
        uint64_t start = atomic_load(&a->start_ns);
        uint32_t unit = qe__running_unit(running);
        qe_event *e = &out[count];

        if (!s->slots[i].alive || unit >= s->exec.arena.head->units) {
            continue;
        }
        memset(e, 0, sizeof(*e));
        e->slot = i;
        e->unit = unit;
        e->item = s->exec.arena.units[unit].item;
        e->pass = s->exec.arena.units[unit].pass;
        e->attempt = qe__running_attempt(running);
        e->phase = qe__running_phase(running);
        e->duration_s = now > start ? (double) (now - start) / 1e9 : 0;
        count++;
    }
    qsort(out, count, sizeof(*out), longest_first);
    return count;
}

void qe_session_progress(const qe_session *s, size_t *done, size_t *all)
{
    *done = qe__sched_settled_count(s->sched);
    *all = qe_plan_count(s->plan) - qe__plan_spare(s->plan);
}

size_t qe_session_captured(qe_session *s, uint32_t slot, int stream,
                           char *buffer, size_t n)
{
    struct stat st;
    off_t from;
    ssize_t got;
    int fd;

    if (slot >= s->exec.slots || stream < 0 || stream > 1) {
        return 0;
    }
    fd = s->exec.files[slot].capture[stream];
    if (fstat(fd, &st) != 0 || st.st_size <= 0) {
        return 0;
    }
    from = (size_t) st.st_size > n ? st.st_size - (off_t) n : 0;
    got = pread(fd, buffer, n, from);
    return got > 0 ? (size_t) got : 0;
}
