/* How a worker finds its next unit: its job, its scope, its own queue, then
 * what others have. Everything here may be killed between any two
 * instructions, by design: only the state word decides. */
#include "qe_arena.h"

/* Whether `slot` may take units of this scope now; takes ownership if `take`.
 * A scope that is not kept together only remembers who started it. */
static bool own_scope(const qe__arena *a, uint32_t slot, uint32_t scope,
                      bool take)
{
    qe__arena_scope *s = &a->scopes[scope];
    uint32_t owner = atomic_load(&s->owner);

    if (owner == slot + 1) {
        return true;
    }
    if (owner == 0) {
        if (!take ||
            atomic_compare_exchange_strong(&s->owner, &owner, slot + 1)) {
            return true;
        }
    }
    return !s->together;
}

static bool is_ready(const qe__arena *a, uint32_t unit)
{
    return qe__state_of(atomic_load(&a->units[unit].state)) == QE__UNIT_READY;
}

/* The claim itself. `from` is the state that the unit must be in. */
static bool take(qe__arena *a, uint32_t slot, uint32_t unit,
                 enum qe__unit_state from, uint32_t *attempt)
{
    qe__arena_unit *u = &a->units[unit];
    uint64_t word = atomic_load(&u->state);

    if (qe__state_of(word) != from ||
        (from == QE__UNIT_READY && !own_scope(a, slot, u->scope, true))) {
        return false;
    }
    qe__fault_point(1);
    if (!atomic_compare_exchange_strong(
            &u->state, &word,
            qe__state(QE__UNIT_CLAIMED, qe__state_attempt(word), slot))) {
        return false;
    }
    qe__fault_point(2);
    *attempt = qe__state_attempt(word);
    return true;
}

/* First READY unit of the scope that this slot works through. What becomes
 * READY again behind the cursor is found by the sweep. */
static bool scope_next(const qe__arena *a, uint32_t slot, uint32_t scope,
                       uint32_t *unit)
{
    const qe__arena_scope *s = &a->scopes[scope];
    uint32_t at =
        atomic_load_explicit(&a->slots[slot].scope_at, memory_order_relaxed);

    for (; at < s->count; at++) {
        uint32_t u = a->order[s->first + at];

        if (is_ready(a, u)) {
            atomic_store_explicit(&a->slots[slot].scope_at, at,
                                  memory_order_relaxed);
            *unit = u;
            return true;
        }
    }
    return false;
}

static void set_scope(qe__arena *a, uint32_t slot, uint32_t scope)
{
    qe__arena_slot *s = &a->slots[slot];

    if (atomic_load_explicit(&s->scope, memory_order_relaxed) != scope + 1) {
        atomic_store_explicit(&s->scope_at, 0, memory_order_relaxed);
        atomic_store_explicit(&s->scope, scope + 1, memory_order_relaxed);
    }
}

/* Finds what comes next in the slot's own queue, moving its head past what is
 * no longer to be had. */
static bool queue_next(qe__arena *a, uint32_t slot, uint32_t *unit)
{
    qe__arena_slot *s = &a->slots[slot];
    uint32_t base = atomic_load(&s->queue);
    uint32_t at = atomic_load(&s->head);

    for (; at < atomic_load(&s->tail); at++) {
        uint32_t u = a->queue[base + at];

        if (is_ready(a, u) && own_scope(a, slot, a->units[u].scope, false)) {
            atomic_store(&s->head, at);
            *unit = u;
            return true;
        }
    }
    return false;
}

/* The slot, but for the one just tried, whose queue holds most expected work
 * that is not taken. */
static uint32_t fullest(const qe__arena *a, uint32_t slot, uint32_t tried)
{
    uint32_t best = QE__NONE;
    uint64_t most = 0;

    for (uint32_t i = 0; i < a->head->slots; i++) {
        const qe__arena_slot *s = &a->slots[i];
        uint64_t load = atomic_load(&s->load_ns);

        if (i != slot && i != tried &&
            atomic_load(&s->head) < atomic_load(&s->tail) &&
            (best == QE__NONE || load > most)) {
            best = i;
            most = load;
        }
    }
    return best;
}

/* A slot's queue is a window of the shared array. Another worker may move it
 * while it is read: then the hints are wrong, but never out of bounds. */
typedef struct window {
    uint32_t base, head, tail;
} window;

static window window_of(const qe__arena *a, uint32_t slot)
{
    const qe__arena_slot *s = &a->slots[slot];
    window w = {atomic_load(&s->queue), atomic_load(&s->head),
                atomic_load(&s->tail)};

    if (w.base > a->head->units) {
        w.base = a->head->units;
    }
    if (w.tail > a->head->units - w.base) {
        w.tail = a->head->units - w.base;
    }
    return w;
}

/* Where to cut a victim's window so that about half of the expected time goes
 * to the thief, in order: between two scopes if there is a place, so that
 * fixtures are set up once, otherwise inside a scope that may be split.
 * UINT32_MAX where nothing may be taken. */
static uint32_t cut_of(const qe__arena *a, uint32_t slot, const window *w)
{
    uint64_t total = 0, taken = 0;
    uint64_t best_gap = UINT64_MAX, split_gap = UINT64_MAX;
    uint32_t best = UINT32_MAX, split = UINT32_MAX;

    for (uint32_t at = w->head; at < w->tail; at++) {
        uint32_t u = a->queue[w->base + at];

        total += is_ready(a, u) ? a->units[u].expected_ns : 0;
    }
    for (uint32_t at = w->tail; at > w->head; at--) {
        uint32_t u = a->queue[w->base + at - 1];
        uint32_t scope = a->units[u].scope;
        uint64_t gap;

        taken += is_ready(a, u) ? a->units[u].expected_ns : 0;
        if (taken == 0) {
            continue;
        }
        gap = taken > total / 2 ? taken - total / 2 : total / 2 - taken;
        if (at - 1 > w->head &&
            a->units[a->queue[w->base + at - 2]].scope != scope) {
            if (gap < best_gap) {
                best_gap = gap;
                best = at - 1;
            }
        } else if (own_scope(a, slot, scope, false) && gap < split_gap &&
                   (!a->scopes[scope].together || at - 1 == w->head)) {
            split_gap = gap;
            split = at - 1;
        }
    }
    return best != UINT32_MAX ? best : split;
}

static void unload(qe__arena_slot *s, uint64_t spent_ns)
{
    uint64_t load = atomic_load(&s->load_ns);

    while (!atomic_compare_exchange_weak(
        &s->load_ns, &load, load > spent_ns ? load - spent_ns : 0)) {}
}

/* Gives a slot, whose window is empty, one of the shared array. */
static void set_window(qe__arena_slot *s, uint32_t base, uint32_t n,
                       uint64_t load_ns)
{
    atomic_store(&s->tail, 0);
    atomic_store(&s->head, 0);
    atomic_store(&s->queue, base);
    atomic_store(&s->load_ns, load_ns);
    atomic_store(&s->tail, n);
}

/* Takes the next scope of what belongs to nobody: the order that was asked for
 * is the order of these takes. */
static bool take_common(qe__arena *a, uint32_t slot)
{
    uint32_t end = atomic_load(&a->head->common_end);
    uint32_t at = atomic_load(&a->head->common);

    while (at < end) {
        uint32_t next = at;
        uint32_t scope = a->units[a->queue[at]].scope;
        uint64_t load = 0;

        while (next < end && a->units[a->queue[next]].scope == scope) {
            load += a->units[a->queue[next++]].expected_ns;
        }
        if (atomic_compare_exchange_strong(&a->head->common, &at, next)) {
            set_window(&a->slots[slot], at, next - at, load);
            return true;
        }
    }
    return false;
}

/* Takes a part of a victim's queue over: it becomes this slot's own window. */
static bool steal_from(qe__arena *a, uint32_t slot, uint32_t victim)
{
    qe__arena_slot *v = &a->slots[victim];
    qe__arena_slot *s = &a->slots[slot];
    window w = window_of(a, victim);
    uint32_t tail = w.tail;
    uint64_t moved = 0;
    uint32_t cut;

    while (w.tail > w.head && !is_ready(a, a->queue[w.base + w.tail - 1])) {
        w.tail--;
    }
    while (w.head < w.tail && !is_ready(a, a->queue[w.base + w.head])) {
        w.head++;
    }
    cut = cut_of(a, slot, &w);
    if (cut == UINT32_MAX) {
        if (w.head == w.tail) { /* nothing is left: do not look again */
            (void) atomic_compare_exchange_strong(&v->tail, &tail, 0);
        }
        return false;
    }
    if (!atomic_compare_exchange_strong(&v->tail, &tail, cut)) {
        return false;
    }
    for (uint32_t at = cut; at < w.tail; at++) {
        moved += a->units[a->queue[w.base + at]].expected_ns;
    }
    unload(v, moved);
    set_window(s, w.base + cut, w.tail - cut, moved);
    return true;
}

/* The last resort, and the reason why queues may lose entries: any READY unit
 * anywhere, from the end, where nobody is working. */
static bool sweep(qe__arena *a, uint32_t slot, uint32_t *unit)
{
    uint32_t epoch = atomic_load(&a->head->epoch);
    uint32_t start = atomic_load(&a->head->sweep);
    uint32_t at = start;
    bool clear = true;

    for (; at > 0; at--) {
        uint32_t u = a->order[at - 1];

        if (!is_ready(a, u)) {
            continue;
        }
        if (own_scope(a, slot, a->units[u].scope, false)) {
            break;
        }
        clear = false;
    }
    if (clear && atomic_compare_exchange_strong(&a->head->sweep, &start, at) &&
        atomic_load(&a->head->epoch) != epoch) {
        /* Something became READY again meanwhile, see qe__arena_ready. */
        atomic_store(&a->head->sweep, a->head->units);
    }
    if (at == 0) {
        return false;
    }
    *unit = a->order[at - 1];
    if (a->scopes[a->units[*unit].scope].together) {
        /* In order, also if the rest of it was not begun. */
        const qe__arena_scope *s = &a->scopes[a->units[*unit].scope];

        for (uint32_t i = s->first; i < at - 1; i++) {
            if (is_ready(a, a->order[i])) {
                *unit = a->order[i];
                break;
            }
        }
    }
    return true;
}

static bool find(qe__arena *a, uint32_t slot, bool others, uint32_t *unit)
{
    qe__arena_slot *s = &a->slots[slot];
    uint32_t scope = atomic_load_explicit(&s->scope, memory_order_relaxed);
    uint32_t tried = QE__NONE;

    if (s->job == QE__JOB_SCOPE) {
        set_scope(a, slot, s->job_scope);
        return scope_next(a, slot, s->job_scope, unit);
    }
    if (scope != 0) {
        if (scope_next(a, slot, scope - 1, unit)) {
            return true;
        }
        atomic_store_explicit(&s->scope, 0, memory_order_relaxed);
    }
    if (queue_next(a, slot, unit)) {
        return true;
    }
    if (!others) {
        return false;
    }
    while (take_common(a, slot)) {
        if (queue_next(a, slot, unit)) {
            return true;
        }
    }
    for (uint32_t tries = 0; tries < a->head->slots; tries++) {
        uint32_t victim = fullest(a, slot, tried);

        if (victim == QE__NONE) {
            break;
        }
        if (steal_from(a, slot, victim) && queue_next(a, slot, unit)) {
            return true;
        }
        tried = victim;
    }
    return sweep(a, slot, unit);
}

bool qe__arena_peek(qe__arena *a, uint32_t slot, uint32_t *unit)
{
    uint32_t box = atomic_load(&a->slots[slot].mailbox);

    if (box != 0) {
        *unit = box - 1;
        return true;
    }
    return find(a, slot, false, unit);
}

bool qe__arena_claim(qe__arena *a, uint32_t slot, uint32_t *unit,
                     uint32_t *attempt)
{
    qe__arena_slot *s = &a->slots[slot];
    uint32_t box = atomic_load(&s->mailbox);

    if (box != 0) {
        *unit = box - 1;
        /* What comes by the mailbox is PENDING, so that no other worker's sweep
         * can have it. */
        bool taken = take(a, slot, *unit, QE__UNIT_PENDING, attempt);

        qe__fault_point(6);
        atomic_store(&s->mailbox, 0);
        if (taken) {
            return true;
        }
    }
    while (find(a, slot, true, unit)) {
        if (take(a, slot, *unit, QE__UNIT_READY, attempt)) {
            if (a->scopes[a->units[*unit].scope].together) {
                set_scope(a, slot, a->units[*unit].scope);
            }
            unload(s, a->units[*unit].expected_ns);
            return true;
        } /* else another worker was faster: look again */
    }
    return false;
}
