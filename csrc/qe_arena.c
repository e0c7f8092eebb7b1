#include "qe_arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qe_plan.h"
#include "qe_util.h"

#define QE__ARENA_MAGIC 0x41454551u /* "QEEA" */
#define QE__ARENA_VERSION 6u

static uint64_t align_up(uint64_t at, uint64_t to)
{
    return (at + to - 1) / to * to;
}

static void set_pointers(qe__arena *a)
{
    char *base = (char *) a->head;

    a->units = (qe__arena_unit *) (void *) (base + a->head->units_at);
    a->scopes = (qe__arena_scope *) (void *) (base + a->head->scopes_at);
    a->passes = (qe__arena_pass *) (void *) (base + a->head->passes_at);
    a->order = (uint32_t *) (void *) (base + a->head->order_at);
    a->queue = (uint32_t *) (void *) (base + a->head->queue_at);
    a->slots = (qe__arena_slot *) (void *) (base + a->head->slots_at);
    a->rings = (qe__ring *) (void *) (base + a->head->rings_at);
}

/* Where everything is follows from the counts. */
static void lay_head(qe__arena_head *head)
{
    uint64_t units = head->units;

    head->magic = QE__ARENA_MAGIC;
    head->version = QE__ARENA_VERSION;
    head->units_at = align_up(sizeof(*head), 128);
    head->scopes_at = head->units_at + units * sizeof(qe__arena_unit);
    head->passes_at =
        head->scopes_at + (uint64_t) head->scopes * sizeof(qe__arena_scope);
    head->order_at =
        head->passes_at + (uint64_t) head->passes * sizeof(qe__arena_pass);
    head->queue_at = head->order_at + units * sizeof(uint32_t);
    head->slots_at = align_up(head->queue_at + units * sizeof(uint32_t), 128);
    head->rings_at =
        head->slots_at + (uint64_t) head->slots * sizeof(qe__arena_slot);
    head->size_bytes =
        head->rings_at + (uint64_t) head->slots * sizeof(qe__ring);
}

/* Whether a head of unknown origin is one that lay_head made, for a mapping
 * of `size` bytes. */
static bool is_sound(const qe__arena_head *head, uint64_t size)
{
    qe__arena_head sound;

    memset(&sound, 0, sizeof(sound));
    sound.units = head->units;
    sound.scopes = head->scopes;
    sound.slots = head->slots;
    sound.passes = head->passes;
    lay_head(&sound);
    return head->magic == sound.magic && head->version == sound.version &&
           head->size_bytes == size && sound.size_bytes == size &&
           head->units_at == sound.units_at && head->passes <= head->scopes &&
           head->scopes_at == sound.scopes_at &&
           head->passes_at == sound.passes_at &&
           head->order_at == sound.order_at &&
           head->queue_at == sound.queue_at &&
           head->slots_at == sound.slots_at && head->rings_at == sound.rings_at;
}

/* Lays out one scope, from `place` on; returns where the next one begins. */
static uint32_t lay_scope(qe__arena *a, const qe_plan *plan, uint32_t s,
                          uint32_t place)
{
    qe__arena_scope *scope = &a->scopes[s];
    uint32_t flags = qe__plan_scope_flags(plan, s);
    const uint32_t *units = qe__plan_scope_units(plan, s, &scope->count);
    qe_unit unit;

    scope->first = place;
    scope->together = (flags & (QE_UNIT_TOGETHER | QE_UNIT_FRESH)) != 0 ||
                      a->head->steal_scopes;
    for (uint32_t i = 0; i < scope->count; i++) {
        qe__arena_unit *u = &a->units[units[i]];

        (void) qe_plan_get(plan, units[i], &unit);
        u->timeout_ns = unit.timeout_ns;
        u->expected_ns = unit.expected_ns ? unit.expected_ns : 1000000;
        u->scope = s;
        u->item = unit.item;
        u->pass = unit.pass;
        u->place = place;
        atomic_store_explicit(&u->state, qe__state(QE__UNIT_PENDING, 1, 0),
                              memory_order_relaxed);
        a->order[place++] = units[i];
        if (unit.timeout_ns != 0 &&
            (a->head->min_timeout_ns == 0 ||
             unit.timeout_ns < a->head->min_timeout_ns)) {
            a->head->min_timeout_ns = unit.timeout_ns;
        }
    }
    return place;
}

static void lay_units(qe__arena *a, const qe_plan *plan)
{
    uint32_t place = 0;
    uint32_t scopes = (uint32_t) qe__plan_scope_count(plan);

    for (uint32_t s = 0; s < scopes; s++) {
        place = lay_scope(a, plan, s, place);
    }
}

qe__arena_pass *qe__arena_pass_of(const qe__arena *a, uint32_t scope)
{
    uint32_t first = a->head->scopes - a->head->passes;

    return scope >= first && scope < a->head->scopes ? &a->passes[scope - first]
                                                     : NULL;
}

/* Units of one item behind each other, in their order. */
static int by_item(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *) left, b = *(const uint64_t *) right;

    return (a > b) - (a < b);
}

/* How often each unit's item comes before it in the pass. Without memory for that each
 * counts as the first: they draw the same then, but they run. */
static void count_items(qe__arena *a, const uint32_t *units, uint32_t n)
{
    uint64_t *sorted = malloc(qe__mul(n, sizeof(*sorted)));

    for (uint32_t i = 0; sorted != NULL && i < n; i++) {
        sorted[i] = (uint64_t) a->units[units[i]].item << 32 | i;
    }
    if (sorted != NULL) {
        qsort(sorted, n, sizeof(*sorted), by_item);
    }
    for (uint32_t i = 1; sorted != NULL && i < n; i++) {
        if (sorted[i] >> 32 == sorted[i - 1] >> 32) {
            a->units[units[(uint32_t) sorted[i]]].nth =
                a->units[units[(uint32_t) sorted[i - 1]]].nth + 1;
        }
    }
    free(sorted);
}

/* The partner of a pass is the last one before it that wants this number and has
 * none. */
static void find_partner(qe__arena *a, uint32_t scope)
{
    qe__arena_pass *mine = qe__arena_pass_of(a, scope);

    for (uint32_t s = scope; s > a->head->scopes - a->head->passes; s--) {
        qe__arena_pass *other = qe__arena_pass_of(a, s - 1);

        if ((other->around.flags & QE_PARTNER) != 0 &&
            other->around.partner == mine->around.partner) {
            if (atomic_load(&other->partner) == 0) {
                atomic_store(&mine->partner, s);
                atomic_store(&other->partner, scope + 1);
            }
            return;
        }
    }
}

/* Its units lie at the beginning of what was spare: their places are known. No
 * worker looks at them before the scope is opened. */
void qe__arena_lay_pass(qe__arena *a, const qe_plan *plan, uint32_t scope,
                        const qe_pass *pass)
{
    uint32_t count;
    const uint32_t *units = qe__plan_scope_units(plan, scope, &count);
    const qe__arena_unit *first = &a->units[units[0]];

    a->scopes[first->scope].first = first->place + count;
    a->scopes[first->scope].count -= count;
    (void) lay_scope(a, plan, scope, first->place);
    a->scopes[scope].seed = pass->seed;
    a->scopes[scope].server = pass->server;
    count_items(a, units, count);
    if (pass->around != NULL) {
        qe__arena_pass_of(a, scope)->around = *pass->around;
        if ((pass->around->flags & QE_PARTNER) != 0) {
            find_partner(a, scope);
        }
    }
    atomic_fetch_add(&a->head->open, count);
}

int qe__arena_new(qe__arena *a, const qe_plan *plan, const qe_options *options,
                  uint32_t slots)
{
    qe__arena_head head;
    uint64_t size;
    void *map;
    int saved;

    memset(&head, 0, sizeof(head));
    head.units = (uint32_t) qe_plan_count(plan);
    head.passes = (uint32_t) qe__plan_most_passes(plan);
    head.scopes = (uint32_t) qe__plan_scope_count(plan) + head.passes;
    head.slots = slots;
    lay_head(&head);
    size = head.size_bytes;
    /* A memfd has no name that could be left behind, and an address space of
     * its own, unlike /dev/shm, which containers keep small. */
    a->fd = memfd_create("qe-arena", MFD_CLOEXEC);
    if (a->fd < 0) {
        return QE_ESYS;
    }
    if (ftruncate(a->fd, (off_t) size) != 0) {
        goto fail;
    }
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    if (map == MAP_FAILED) {
        goto fail;
    }
    a->size_bytes = size;
    a->head = map;
    memcpy(map, &head, sizeof(head));
    a->head->maxfail = options->maxfail;
    atomic_store(&a->head->throttle_ns, options->throttle_ns);
    a->head->func_only = options->func_only;
    a->head->peak_memory = options->peak_memory;
    a->head->steal_scopes = options->steal_scopes;
    a->head->session_timeout_ns = options->session_timeout_ns;
    a->head->min_timeout_ns = options->session_timeout_ns;
    atomic_store(&a->head->open, head.units - (uint32_t) qe__plan_spares(plan));
    atomic_store(&a->head->sweep, head.units);
    set_pointers(a);
    lay_units(a, plan);
    return 0;

fail:
    saved = errno;
    (void) close(a->fd);
    errno = saved;
    return QE_ESYS;
}

int qe__arena_attach(qe__arena *a, int fd)
{
    struct stat st;
    qe__arena_head *head;
    uint64_t size;

    if (fstat(fd, &st) != 0) {
        return QE_ESYS;
    }
    size = (uint64_t) st.st_size;
    if (size < sizeof(*head)) {
        return QE_EFORMAT;
    }
    head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (head == MAP_FAILED) {
        return QE_ESYS;
    }
    if (!is_sound(head, size)) {
        (void) munmap(head, size);
        return QE_EFORMAT;
    }
    a->fd = fd;
    a->size_bytes = size;
    a->head = head;
    set_pointers(a);
    return 0;
}

void qe__arena_close(qe__arena *a)
{
    if (a->head != NULL) {
        (void) munmap(a->head, a->size_bytes);
        (void) close(a->fd);
        a->head = NULL;
    }
}

/* ---------------------------------------------------------- the controller */

static void make_ready(qe__arena *a, uint32_t unit)
{
    uint64_t word = atomic_load(&a->units[unit].state);

    atomic_store(&a->units[unit].state,
                 qe__state(QE__UNIT_READY, qe__state_attempt(word), 0));
}

void qe__arena_fill(qe__arena *a, uint32_t slot, const uint32_t *units,
                    size_t n, uint32_t *used)
{
    qe__arena_slot *s = &a->slots[slot];
    uint64_t load = 0;

    atomic_store(&s->queue, *used);
    for (size_t i = 0; i < n; i++) {
        a->queue[*used + i] = units[i];
        load += a->units[units[i]].expected_ns;
        make_ready(a, units[i]);
    }
    *used += (uint32_t) n;
    atomic_store(&s->load_ns, load);
    atomic_store(&s->head, 0);
    atomic_store(&s->tail, (uint32_t) n);
}

void qe__arena_fill_common(qe__arena *a, const uint32_t *units, size_t n,
                           uint32_t *used)
{
    for (size_t i = 0; i < n; i++) {
        a->queue[*used + i] = units[i];
        make_ready(a, units[i]);
    }
    atomic_store(&a->head->common, *used);
    *used += (uint32_t) n;
    atomic_store(&a->head->common_end, *used);
}

void qe__arena_add_common(qe__arena *a, uint32_t unit)
{
    uint32_t end = atomic_load(&a->head->common_end);

    if (end == a->head->units) {
        /* It has been there before: the sweep finds it. */
        qe__arena_ready(a, unit);
        return;
    }
    a->queue[end] = unit;
    make_ready(a, unit);
    atomic_store(&a->head->common_end, end + 1);
}

bool qe__arena_withdraw(qe__arena *a, uint32_t unit)
{
    uint64_t word = atomic_load(&a->units[unit].state);

    return qe__state_of(word) == QE__UNIT_READY &&
           atomic_compare_exchange_strong(
               &a->units[unit].state, &word,
               qe__state(QE__UNIT_PENDING, qe__state_attempt(word), 0));
}

void qe__arena_open_scope(qe__arena *a, uint32_t scope)
{
    const qe__arena_scope *s = &a->scopes[scope];

    for (uint32_t i = 0; i < s->count; i++) {
        make_ready(a, a->order[s->first + i]);
    }
}

void qe__arena_ready(qe__arena *a, uint32_t unit)
{
    make_ready(a, unit);
    /* A worker that lowers the sweep looks at the epoch afterwards, so it undoes
     * that if it began before this line; if it did so earlier, the next line
     * does. */
    atomic_fetch_add(&a->head->epoch, 1);
    atomic_store(&a->head->sweep, a->head->units);
    qe__arena_wake(a);
}

void qe__arena_done(qe__arena *a, uint32_t unit)
{
    uint64_t word = atomic_load(&a->units[unit].state);

    if (qe__state_of(word) != QE__UNIT_DONE) {
        atomic_store(&a->units[unit].state,
                     qe__state(QE__UNIT_DONE, qe__state_attempt(word), 0));
        atomic_fetch_sub(&a->head->open, 1);
    }
}

uint32_t qe__arena_held(const qe__arena *a, uint32_t slot, uint32_t from)
{
    for (uint32_t u = from; u < a->head->units; u++) {
        uint64_t word = atomic_load(&a->units[u].state);
        enum qe__unit_state state = qe__state_of(word);

        if ((state == QE__UNIT_CLAIMED || state == QE__UNIT_RUNNING) &&
            qe__state_slot(word) == slot) {
            return u;
        }
    }
    return QE__NONE;
}

bool qe__arena_any_ready(const qe__arena *a, uint32_t scope)
{
    uint32_t first = 0;
    uint32_t end = a->head->units;

    if (scope != QE__NONE) {
        first = a->scopes[scope].first;
        end = first + a->scopes[scope].count;
    }
    for (uint32_t i = first; i < end; i++) {
        if (qe__state_of(atomic_load(&a->units[a->order[i]].state)) ==
            QE__UNIT_READY) {
            return true;
        }
    }
    return false;
}

void qe__arena_disown(qe__arena *a, uint32_t slot)
{
    for (uint32_t s = 0; s < a->head->scopes; s++) {
        uint32_t owner = slot + 1;

        (void) atomic_compare_exchange_strong(&a->scopes[s].owner, &owner, 0);
    }
}

/* ------------------------------------------------------------------ anyone */

void qe__arena_wake(qe__arena *a)
{
    atomic_fetch_add(&a->head->epoch, 1);
    qe__futex_wake(&a->head->epoch);
}

void qe__arena_wait(qe__arena *a, uint32_t seen, uint64_t ns)
{
    /* Bounded, so that a wake lost with a killed process costs a moment. */
    qe__futex_wait(&a->head->epoch, seen, ns);
}

void qe__arena_stop(qe__arena *a, enum qe__stop stop)
{
    uint32_t now = atomic_load(&a->head->stop);

    while (
        now < (uint32_t) stop &&
        !atomic_compare_exchange_weak(&a->head->stop, &now, (uint32_t) stop)) {}
    qe__arena_wake(a);
}
