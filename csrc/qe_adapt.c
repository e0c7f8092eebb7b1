/* How many commands run at once, by what the system is short of. Pure. */
#include "qe.h"
#include "qe_util.h"

#define CPU_SHORT 0.9  /* share of the time that somebody waited */
#define CPU_ROOM 0.7   /* below, more may run */
#define LOAD_SHORT 4.0 /* tasks a processor, where stalls are not told */
#define LOAD_ROOM 1.5
#define MEMORY_SHORT 0.05 /* share of the time */
#define FREE_SHORT 0.08   /* share of the memory */
#define FREE_ROOM 0.2
#define REST_LOOKS                                                             \
    4 /* about a second, in which what was begun before goes on */
#define THROTTLE_LEAST (5 * QE__MS)
#define THROTTLE_TIMES 4 /* the first, or the above where that is more */

static bool is_memory_short(const qe_pressure *p)
{
    return p->memory > MEMORY_SHORT ||
           (p->free_memory >= 0 && p->free_memory < FREE_SHORT);
}

static bool is_cpu_short(const qe_pressure *p)
{
    return p->cpu >= 0 ? p->cpu > CPU_SHORT : p->load > LOAD_SHORT;
}

static bool has_room(const qe_pressure *p)
{
    return (p->cpu >= 0 ? p->cpu < CPU_ROOM : p->load < LOAD_ROOM) &&
           (p->free_memory < 0 || p->free_memory > FREE_ROOM);
}

static uint64_t times(uint64_t ns, uint64_t n)
{
    return ns < UINT64_MAX / n ? ns * n : UINT64_MAX;
}

static void shrink(qe_adapt *a, uint32_t to)
{
    uint64_t first = a->first_throttle_ns;
    uint64_t most =
        times(first > THROTTLE_LEAST ? first : THROTTLE_LEAST, THROTTLE_TIMES);
    uint64_t twice = times(a->throttle_ns, 2);

    a->met = true;
    a->running = to > 1 ? to : 1;
    a->throttle_ns = twice < THROTTLE_LEAST ? THROTTLE_LEAST
                     : twice < most         ? twice
                                            : most;
}

enum qe_adapt_why qe_adapt_next(qe_adapt *a, const qe_pressure *p, bool full)
{
    uint32_t more;

    if (a->running > a->most) {
        a->running = a->most;
    }
    if (a->running < 1) {
        a->running = 1;
    }
    more = a->met ? 1 : a->running / 2 + 1;
    if (is_memory_short(p)) {
        shrink(a, a->running / 2);
        return QE_ADAPT_MEMORY;
    }
    if (a->rest > 0) {
        a->rest--;
        return QE_ADAPT_KEPT;
    }
    if (is_cpu_short(p)) {
        uint32_t less = a->running - a->running / 4 - (a->running % 4 != 0);

        if (a->running > a->processors && a->running > 1) {
            shrink(a, less > a->processors ? less : a->processors);
            a->rest = REST_LOOKS;
            return QE_ADAPT_CPU;
        }
        return QE_ADAPT_KEPT;
    }
    if (!has_room(p) || !full || a->running >= a->most) {
        return QE_ADAPT_KEPT;
    }
    a->running = more < a->most - a->running ? a->running + more : a->most;
    a->throttle_ns /= 2;
    if (a->throttle_ns < THROTTLE_LEAST) {
        a->throttle_ns = a->first_throttle_ns < THROTTLE_LEAST
                             ? a->first_throttle_ns
                             : THROTTLE_LEAST;
    }
    return QE_ADAPT_ROOM;
}

const char *qe_adapt_name(enum qe_adapt_why why)
{
    static const char *const names[] = {"kept", "room", "cpu", "memory"};

    return (size_t) why < QE__COUNT(names) ? names[why] : "kept";
}
