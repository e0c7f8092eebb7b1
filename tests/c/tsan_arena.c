/* Threads over one arena, for ThreadSanitizer, which sees no processes: what
 * workers do to each other, in a hurry. */
#include "arena_help.h"

#include <pthread.h>
#include <sched.h>

#define UNITS_MAX 4096u

struct race {
    struct arena_fixture f;
    uint32_t threads;
    _Atomic uint32_t claims[UNITS_MAX];
    _Atomic uint32_t owner[UNITS_MAX]; /* by scope: slot + 1 */
    _Atomic uint32_t split, disorder;  /* of scopes kept together */
    /* Units that are left CLAIMED the first time they are claimed, as by a
     * worker that died; the controller makes them READY again. */
    _Atomic uint32_t given_back[UNITS_MAX];
    _Atomic uint32_t given, taken_back;
    uint32_t one_in; /* how many are; 0: none */
};

struct racer {
    struct race *race;
    uint32_t slot;
    uint64_t random;
};

static void note_owner(struct race *r, uint32_t slot, uint32_t unit)
{
    uint32_t scope = r->f.arena.units[unit].scope;
    uint32_t nobody = 0;

    if (r->f.arena.scopes[scope].together &&
        !atomic_compare_exchange_strong(&r->owner[scope], &nobody, slot + 1) &&
        nobody != slot + 1)
        atomic_fetch_add(&r->split, 1);
    /* Units of one scope have neighbouring numbers. */
    if (r->f.arena.scopes[scope].together && r->one_in == 0 &&
        unit != r->f.arena.scopes[scope].first &&
        atomic_load(&r->claims[unit - 1]) == 0)
        atomic_fetch_add(&r->disorder, 1);
}

static void *run_slot(void *argument)
{
    struct racer *me = argument;
    struct race *r = me->race;
    qe__arena *a = &r->f.arena;
    uint32_t unit, attempt;

    while (atomic_load(&a->head->stop) == QE__STOP_NO) {
        uint32_t epoch = atomic_load(&a->head->epoch);

        if (!qe__arena_claim(a, me->slot, &unit, &attempt)) {
            if (atomic_load(&a->head->open) == 0)
                break;
            qe__arena_wait(a, epoch, 2000000);
            continue;
        }
        note_owner(r, me->slot, unit);
        if (atomic_fetch_add(&r->claims[unit], 1) == 0 && r->one_in != 0 &&
            unit % r->one_in == 0) {
            uint32_t at = atomic_fetch_add(&r->given, 1);

            atomic_store(&r->given_back[at], unit + 1);
            continue;
        }
        if (qe__random(&me->random) % 8 == 0)
            (void) sched_yield();
        atomic_store(&a->units[unit].state,
                     qe__state(QE__UNIT_DONE, attempt, me->slot));
        atomic_fetch_sub(&a->head->open, 1);
    }
    return NULL;
}

static void *run_controller(void *argument)
{
    struct race *r = argument;
    qe__arena *a = &r->f.arena;
    uint32_t at = 0;

    while (atomic_load(&a->head->open) > 0) {
        uint32_t unit = atomic_load(&r->given_back[at]);

        if (unit == 0) {
            (void) sched_yield();
            continue;
        }
        at++;
        qe__arena_ready(a, unit - 1);
    }
    qe__arena_stop(a, QE__STOP_DRAIN);
    return NULL;
}

/* Some slots get much, some nothing, so that windows move between all. */
static void lay(struct race *r, uint64_t seed, uint32_t flags_of_a_third)
{
    struct arena_fixture *f = &r->f;
    uint32_t first = 0;

    arena_begin(f, seed);
    f->options.steal_scopes = seed % 5 == 4;
    while (f->units < 600) {
        uint32_t n = 1 + (uint32_t) (qe__random(&f->random) % 20);

        arena_scope(f, n, f->scopes % 3 == 0 ? flags_of_a_third : 0);
    }
    r->threads = 2 + (uint32_t) (seed % 4);
    arena_make(f, r->threads);
    if (seed % 3 == 0) {
        arena_fill_common(f);
        first = f->units;
    }
    for (uint32_t i = 0; i < r->threads; i++) {
        uint32_t end = first == f->units         ? f->units
                       : i == 0 && seed % 2 == 0 ? f->units
                       : i + 1 == r->threads     ? f->units
                                                 : first + f->units / 7;

        end = end < first ? first : end > f->units ? f->units : end;
        /* Queues are laid out of whole scopes. */
        while (end < f->units && end > first &&
               f->arena.units[end].scope == f->arena.units[end - 1].scope)
            end++;
        arena_fill(f, i, first, end);
        first = end;
    }
}

static void run(uint64_t seed, uint32_t flags, uint32_t one_in)
{
    struct race *r = calloc(1, sizeof(*r));
    struct racer racer[ARENA_SLOTS];
    pthread_t thread[ARENA_SLOTS], controller;

    assert_non_null(r);
    lay(r, seed, flags);
    r->one_in = one_in;
    for (uint32_t i = 0; i < r->threads; i++) {
        racer[i] = (struct racer){r, i, seed * 31 + i};
        assert_int_equal(pthread_create(&thread[i], NULL, run_slot, &racer[i]),
                         0);
    }
    assert_int_equal(pthread_create(&controller, NULL, run_controller, r), 0);
    for (uint32_t i = 0; i < r->threads; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(pthread_join(controller, NULL), 0);
    for (uint32_t u = 0; u < r->f.units; u++) {
        uint32_t wanted = one_in != 0 && u % one_in == 0 ? 2 : 1;

        ARENA_CHECK(&r->f, atomic_load(&r->claims[u]) == wanted);
        ARENA_CHECK(&r->f, arena_state(&r->f, u) == QE__UNIT_DONE);
    }
    ARENA_CHECK(&r->f, atomic_load(&r->split) == 0);
    ARENA_CHECK(&r->f, atomic_load(&r->disorder) == 0);
    ARENA_CHECK(&r->f, atomic_load(&r->f.arena.head->open) == 0);
    arena_end(&r->f);
    free(r);
}

static void scopes_that_may_be_split(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(seed, 0, 0);
}

static void scopes_kept_together_among_others(void **state)
{
    (void) state;
    for (uint64_t seed = 100; seed < 140; seed++)
        run(seed, QE_UNIT_TOGETHER, 0);
}

static void units_given_back_while_others_look(void **state)
{
    (void) state;
    for (uint64_t seed = 200; seed < 240; seed++)
        run(seed, 0, 3);
}

static void units_of_kept_scopes_given_back(void **state)
{
    (void) state;
    for (uint64_t seed = 300; seed < 340; seed++)
        run(seed, QE_UNIT_TOGETHER, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_that_may_be_split),
        cmocka_unit_test(scopes_kept_together_among_others),
        cmocka_unit_test(units_given_back_while_others_look),
        cmocka_unit_test(units_of_kept_scopes_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
