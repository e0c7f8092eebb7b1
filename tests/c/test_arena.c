#include "arena_help.h"

static uint32_t must_claim(struct arena_fixture *f, uint32_t slot)
{
    uint32_t unit = UINT32_MAX, attempt = 0;
    uint64_t word;

    assert_true(qe__arena_claim(&f->arena, slot, &unit, &attempt));
    word = atomic_load(&f->arena.units[unit].state);
    assert_int_equal(qe__state_of(word), QE__UNIT_CLAIMED);
    assert_int_equal(qe__state_slot(word), slot);
    assert_int_equal(attempt, 1);
    return unit;
}

static bool cannot_claim(struct arena_fixture *f, uint32_t slot)
{
    uint32_t unit, attempt;

    return !qe__arena_claim(&f->arena, slot, &unit, &attempt);
}

static void words_hold_what_was_put_in(void **state)
{
    uint64_t word = qe__state(QE__UNIT_RUNNING, 0xffffff, UINT32_MAX);

    (void) state;
    assert_int_equal(qe__state_of(word), QE__UNIT_RUNNING);
    assert_int_equal(qe__state_attempt(word), 0xffffff);
    assert_int_equal(qe__state_slot(word), UINT32_MAX);
    word = qe__running((1u << 26) - 1, 0xffff, QE_PHASE_SESSION);
    assert_int_equal(qe__running_unit(word), (1u << 26) - 1);
    assert_int_equal(qe__running_attempt(word), 0xffff);
    assert_int_equal(qe__running_phase(word), QE_PHASE_SESSION);
    assert_int_equal(qe__running_unit(0), QE__NONE);
    assert_int_not_equal(qe__running(0, 0, QE_PHASE_NONE), 0);
}

static void a_new_arena_gives_nothing_out(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 3, 0);
    arena_scope(&f, 2, QE_UNIT_TOGETHER);
    arena_make(&f, 2);
    assert_int_equal(f.arena.head->units, 5);
    assert_int_equal(f.arena.head->scopes, 2);
    assert_int_equal(atomic_load(&f.arena.head->open), 5);
    for (uint32_t u = 0; u < 5; u++) {
        assert_int_equal(arena_state(&f, u), QE__UNIT_PENDING);
        assert_int_equal(f.arena.units[u].item, u + 100);
        assert_int_equal(f.arena.order[f.arena.units[u].place], u);
    }
    assert_false(f.arena.scopes[0].together);
    assert_true(f.arena.scopes[1].together);
    assert_false(qe__arena_any_ready(&f.arena, QE__NONE));
    assert_true(cannot_claim(&f, 0));
    assert_true(cannot_claim(&f, 1));
    arena_end(&f);
}

static void an_arena_without_units_is_one(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    arena_make(&f, 1);
    assert_true(cannot_claim(&f, 0));
    assert_int_equal(qe__arena_held(&f.arena, 0, 0), QE__NONE);
    arena_end(&f);
}

static void a_queue_is_claimed_in_its_order(void **state)
{
    struct arena_fixture f;
    uint32_t unit;

    (void) state;
    arena_begin(&f, 0);
    for (int i = 0; i < 5; i++)
        arena_scope(&f, 4, 0);
    arena_make(&f, 1);
    arena_fill(&f, 0, 0, 20);
    for (uint32_t u = 0; u < 20; u++) {
        assert_true(qe__arena_peek(&f.arena, 0, &unit));
        assert_int_equal(unit, u);
        assert_int_equal(arena_state(&f, u), QE__UNIT_READY);
        assert_int_equal(must_claim(&f, 0), u);
    }
    assert_false(qe__arena_peek(&f.arena, 0, &unit));
    assert_true(cannot_claim(&f, 0));
    arena_end(&f);
}

static void a_thief_takes_whole_scopes_from_the_end_in_order(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    for (int i = 0; i < 4; i++)
        arena_scope(&f, 5, 0);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 20);
    arena_fill(&f, 1, 20, 20);
    assert_int_equal(must_claim(&f, 0), 0);
    for (uint32_t u = 10; u < 20; u++)
        assert_int_equal(must_claim(&f, 1), u);
    for (uint32_t u = 1; u < 10; u++)
        assert_int_equal(must_claim(&f, 0), u);
    assert_true(cannot_claim(&f, 0));
    assert_true(cannot_claim(&f, 1));
    arena_end(&f);
}

static void what_is_common_is_taken_in_order_scope_by_scope(void **state)
{
    struct arena_fixture f;
    uint32_t unit;

    (void) state;
    arena_begin(&f, 0);
    for (int i = 0; i < 4; i++)
        arena_scope(&f, 2, 0);
    arena_make(&f, 2);
    arena_fill_common(&f);
    assert_false(qe__arena_peek(&f.arena, 0, &unit));
    assert_int_equal(must_claim(&f, 0), 0);
    assert_int_equal(must_claim(&f, 1), 2);
    assert_int_equal(must_claim(&f, 1), 3);
    assert_int_equal(must_claim(&f, 1), 4);
    assert_int_equal(must_claim(&f, 0), 1);
    assert_int_equal(must_claim(&f, 0), 6);
    assert_int_equal(must_claim(&f, 1), 5);
    assert_int_equal(must_claim(&f, 1), 7); /* stolen: nothing else is left */
    assert_true(cannot_claim(&f, 0));
    assert_true(cannot_claim(&f, 1));
    arena_end(&f);
}

static void peeking_never_steals(void **state)
{
    struct arena_fixture f;
    uint32_t unit;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 5, 0);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 5);
    arena_fill(&f, 1, 5, 5);
    assert_false(qe__arena_peek(&f.arena, 1, &unit));
    arena_end(&f);
}

static void what_was_stolen_can_be_stolen_again(void **state)
{
    struct arena_fixture f;
    bool seen[64] = {false};

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 64, 0);
    arena_make(&f, 4);
    arena_fill(&f, 0, 0, 64);
    for (uint32_t i = 1; i < 4; i++)
        arena_fill(&f, i, 64, 64);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t u = must_claim(&f, (i * 7 + i / 5) % 4);

        assert_false(seen[u]);
        seen[u] = true;
    }
    for (uint32_t i = 0; i < 4; i++)
        assert_true(cannot_claim(&f, i));
    arena_end(&f);
}

static void a_scope_kept_together_is_its_owners(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 6, QE_UNIT_TOGETHER);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 6);
    arena_fill(&f, 1, 6, 6);
    assert_int_equal(must_claim(&f, 0), 0);
    assert_true(cannot_claim(&f, 1));
    assert_int_equal(must_claim(&f, 0), 1);
    /* Its owner dies, and its slot is made ready for the next worker. */
    qe__arena_disown(&f.arena, 0);
    atomic_store(&f.arena.slots[0].scope, 0);
    assert_int_equal(must_claim(&f, 1), 2);
    assert_true(cannot_claim(&f, 0));
    for (uint32_t u = 3; u < 6; u++)
        assert_int_equal(must_claim(&f, 1), u);
    arena_end(&f);
}

static void a_scope_not_begun_may_be_stolen_whole(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    for (int i = 0; i < 2; i++)
        arena_scope(&f, 4, QE_UNIT_TOGETHER);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 8);
    arena_fill(&f, 1, 8, 8);
    assert_int_equal(must_claim(&f, 0), 0);
    for (uint32_t u = 4; u < 8; u++)
        assert_int_equal(must_claim(&f, 1), u);
    assert_true(cannot_claim(&f, 1));
    for (uint32_t u = 1; u < 4; u++)
        assert_int_equal(must_claim(&f, 0), u);
    arena_end(&f);
}

static void steal_scopes_keeps_all_together(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    f.options.steal_scopes = true;
    arena_scope(&f, 4, 0);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 4);
    arena_fill(&f, 1, 4, 4);
    assert_int_equal(must_claim(&f, 0), 0);
    assert_true(cannot_claim(&f, 1));
    arena_end(&f);
}

static void the_mailbox_comes_first_and_once(void **state)
{
    struct arena_fixture f;
    uint32_t unit;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 3, 0);
    arena_scope(&f, 1, QE_UNIT_SERIAL);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 3);
    atomic_store(&f.arena.slots[0].mailbox, 3 + 1);
    assert_true(qe__arena_peek(&f.arena, 0, &unit));
    assert_int_equal(unit, 3);
    /* It is nobody else's. */
    for (uint32_t u = 0; u < 3; u++)
        assert_true(must_claim(&f, 1) < 3);
    assert_true(cannot_claim(&f, 1));
    assert_int_equal(must_claim(&f, 0), 3);
    assert_int_equal(atomic_load(&f.arena.slots[0].mailbox), 0);
    assert_true(cannot_claim(&f, 0));
    /* What was claimed already is not claimed again. */
    atomic_store(&f.arena.slots[0].mailbox, 3 + 1);
    assert_true(cannot_claim(&f, 0));
    assert_int_equal(atomic_load(&f.arena.slots[0].mailbox), 0);
    arena_end(&f);
}

static void a_scope_job_keeps_to_its_scope(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 3, 0);
    arena_scope(&f, 3, QE_UNIT_FRESH);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 3);
    f.arena.slots[1].job = QE__JOB_SCOPE;
    f.arena.slots[1].job_scope = 1;
    atomic_store(&f.arena.scopes[1].owner, 1 + 1);
    qe__arena_open_scope(&f.arena, 1);
    assert_true(qe__arena_any_ready(&f.arena, 1));
    for (uint32_t u = 3; u < 6; u++)
        assert_int_equal(must_claim(&f, 1), u);
    assert_false(qe__arena_any_ready(&f.arena, 1));
    assert_true(qe__arena_any_ready(&f.arena, 0));
    assert_true(cannot_claim(&f, 1));
    arena_end(&f);
}

static void what_a_dead_worker_held_is_found(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 4, 0);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 4);
    assert_int_equal(must_claim(&f, 0), 0);
    assert_int_equal(must_claim(&f, 0), 1);
    atomic_store(&f.arena.units[1].state, qe__state(QE__UNIT_RUNNING, 1, 0));
    assert_int_equal(qe__arena_held(&f.arena, 0, 0), 0);
    assert_int_equal(qe__arena_held(&f.arena, 0, 1), 1);
    assert_int_equal(qe__arena_held(&f.arena, 0, 2), QE__NONE);
    assert_int_equal(qe__arena_held(&f.arena, 1, 0), QE__NONE);
    qe__arena_done(&f.arena, 1);
    qe__arena_done(&f.arena, 1); /* counts once */
    assert_int_equal(atomic_load(&f.arena.head->open), 3);
    qe__arena_ready(&f.arena, 0);
    assert_int_equal(qe__arena_held(&f.arena, 0, 0), QE__NONE);
    arena_end(&f);
}

static void what_is_ready_again_is_claimed_again(void **state)
{
    struct arena_fixture f;
    uint32_t unit, attempt;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 9, 0);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 9);
    for (int i = 0; i < 9; i++)
        (void) must_claim(&f, 0);
    assert_true(cannot_claim(&f, 0)); /* and all hints say so */
    assert_true(cannot_claim(&f, 1));
    atomic_store(&f.arena.units[4].state, qe__state(QE__UNIT_CLAIMED, 3, 0));
    qe__arena_ready(&f.arena, 4);
    assert_true(qe__arena_claim(&f.arena, 1, &unit, &attempt));
    assert_int_equal(unit, 4);
    assert_int_equal(attempt, 3);
    arena_end(&f);
}

static void a_scope_kept_together_begins_with_its_first_unit(void **state)
{
    struct arena_fixture f;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 3, 0);
    arena_scope(&f, 4, QE_UNIT_TOGETHER);
    arena_make(&f, 2);
    /* No queue has them: only a look at everything finds them. */
    for (uint32_t u = 0; u < 7; u++)
        qe__arena_ready(&f.arena, u);
    for (uint32_t u = 3; u < 7; u++)
        assert_int_equal(must_claim(&f, 1), u);
    assert_true(must_claim(&f, 0) < 3);
    arena_end(&f);
}

static void the_stop_word_never_falls(void **state)
{
    struct arena_fixture f;
    uint32_t epoch;

    (void) state;
    arena_begin(&f, 0);
    arena_make(&f, 1);
    epoch = atomic_load(&f.arena.head->epoch);
    qe__arena_stop(&f.arena, QE__STOP_DRAIN);
    assert_int_equal(atomic_load(&f.arena.head->stop), QE__STOP_DRAIN);
    assert_int_not_equal(atomic_load(&f.arena.head->epoch), epoch);
    qe__arena_stop(&f.arena, QE__STOP_NOW);
    qe__arena_stop(&f.arena, QE__STOP_DRAIN);
    qe__arena_stop(&f.arena, QE__STOP_NO);
    assert_int_equal(atomic_load(&f.arena.head->stop), QE__STOP_NOW);
    arena_end(&f);
}

/* -------------------------------------------------------------------- random */

/* Slots claim in any order; each unit comes out once, whatever is stolen. */
static void run_at_random(uint64_t seed)
{
    struct arena_fixture f;
    uint32_t slots, first = 0, claimed = 0, stuck = 0;
    uint32_t owner[64];
    bool seen[512] = {false};

    arena_begin(&f, seed);
    f.options.steal_scopes = qe__random(&f.random) % 4 == 0;
    slots = 1 + (uint32_t) (qe__random(&f.random) % ARENA_SLOTS);
    while (f.scopes < 1 + seed % 60)
        arena_scope(&f, 1 + (uint32_t) (qe__random(&f.random) % 8),
                    qe__random(&f.random) % 3 == 0 ? QE_UNIT_TOGETHER : 0);
    arena_make(&f, slots);
    memset(owner, 0xff, sizeof(owner));
    if (seed % 3 == 0) {
        arena_fill_common(&f);
        first = f.units;
    }
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t left = f.units - first;
        uint32_t end = first;

        if (i + 1 == slots)
            end = f.units;
        else if (left > 0)
            end += (uint32_t) (qe__random(&f.random) % (left + 1));
        /* Queues are laid out of whole scopes. */
        while (end < f.units && end > first &&
               f.arena.units[end].scope == f.arena.units[end - 1].scope)
            end++;
        arena_fill(&f, i, first, end);
        first = end;
    }
    while (claimed < f.units && stuck < 2000) {
        uint32_t slot = (uint32_t) (qe__random(&f.random) % slots);
        uint32_t unit, attempt, scope;

        if (!qe__arena_claim(&f.arena, slot, &unit, &attempt)) {
            stuck++;
            continue;
        }
        stuck = 0;
        claimed++;
        ARENA_CHECK(&f, !seen[unit]);
        seen[unit] = true;
        scope = f.arena.units[unit].scope;
        if (f.arena.scopes[scope].together) {
            ARENA_CHECK(&f, owner[scope] == UINT32_MAX || owner[scope] == slot);
            owner[scope] = slot;
            /* In order: a unit's number is its place in its scope here. */
            ARENA_CHECK(&f,
                        unit == f.arena.scopes[scope].first || seen[unit - 1]);
        }
    }
    ARENA_CHECK(&f, claimed == f.units);
    ARENA_CHECK(&f, !qe__arena_any_ready(&f.arena, QE__NONE));
    arena_end(&f);
}

static void every_unit_is_claimed_once_whatever_the_order(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_at_random(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_hold_what_was_put_in),
        cmocka_unit_test(a_new_arena_gives_nothing_out),
        cmocka_unit_test(an_arena_without_units_is_one),
        cmocka_unit_test(a_queue_is_claimed_in_its_order),
        cmocka_unit_test(a_thief_takes_whole_scopes_from_the_end_in_order),
        cmocka_unit_test(what_is_common_is_taken_in_order_scope_by_scope),
        cmocka_unit_test(peeking_never_steals),
        cmocka_unit_test(what_was_stolen_can_be_stolen_again),
        cmocka_unit_test(a_scope_kept_together_is_its_owners),
        cmocka_unit_test(a_scope_not_begun_may_be_stolen_whole),
        cmocka_unit_test(steal_scopes_keeps_all_together),
        cmocka_unit_test(the_mailbox_comes_first_and_once),
        cmocka_unit_test(a_scope_job_keeps_to_its_scope),
        cmocka_unit_test(what_a_dead_worker_held_is_found),
        cmocka_unit_test(what_is_ready_again_is_claimed_again),
        cmocka_unit_test(a_scope_kept_together_begins_with_its_first_unit),
        cmocka_unit_test(the_stop_word_never_falls),
        cmocka_unit_test(every_unit_is_claimed_once_whatever_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
