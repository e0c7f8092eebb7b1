#include "alloc_fault.h"

#include <stdlib.h>

#include "qe_heap.h"

#define MEMBERS 64u

static void an_empty_heap_has_no_top(void **state)
{
    qe__heap heap = {0};
    uint32_t member;

    (void) state;
    assert_false(qe__heap_top(&heap, &member, NULL));
    assert_false(qe__heap_has(&heap, 0));
    qe__heap_remove(&heap, 5);
    qe__heap_free(&heap);
}

static void minor_breaks_ties_of_major(void **state)
{
    qe__heap heap = {0};
    uint32_t member;
    qe__key key;

    (void) state;
    assert_int_equal(qe__heap_reserve(&heap, 3), 0);
    qe__heap_set(&heap, 0, (qe__key){5, 2});
    qe__heap_set(&heap, 1, (qe__key){5, 1});
    qe__heap_set(&heap, 2, (qe__key){6, 0});
    assert_true(qe__heap_top(&heap, &member, &key));
    assert_int_equal(member, 1);
    assert_int_equal(key.major, 5);
    assert_int_equal(key.minor, 1);
    qe__heap_free(&heap);
}

static void reserving_more_keeps_what_is_in(void **state)
{
    qe__heap heap = {0};
    uint32_t member;

    (void) state;
    assert_int_equal(qe__heap_reserve(&heap, 1), 0);
    qe__heap_set(&heap, 0, (qe__key){9, 0});
    assert_int_equal(qe__heap_reserve(&heap, 1000), 0);
    assert_false(qe__heap_has(&heap, 999));
    assert_true(qe__heap_top(&heap, &member, NULL));
    assert_int_equal(member, 0);
    qe__heap_free(&heap);
}

/* Random changes, checked against a plain array. */
static void the_top_is_always_the_least(uint64_t seed)
{
    qe__heap heap = {0};
    qe__key key[MEMBERS];
    bool in[MEMBERS] = {false};
    uint64_t random = seed;
    uint32_t step, i;

    assert_int_equal(qe__heap_reserve(&heap, MEMBERS), 0);
    for (step = 0; step < 2000; step++) {
        uint32_t member = (uint32_t) (qe__random(&random) % MEMBERS);
        uint32_t least = MEMBERS, count = 0, top;
        qe__key got;

        if (qe__random(&random) % 3 == 0) {
            qe__heap_remove(&heap, member);
            in[member] = false;
        } else {
            key[member] = (qe__key){qe__random(&random) % 20, member};
            qe__heap_set(&heap, member, key[member]);
            in[member] = true;
        }
        for (i = 0; i < MEMBERS; i++) {
            count += in[i];
            if (in[i] != qe__heap_has(&heap, i))
                fail_msg("seed %llu", (unsigned long long) seed);
            if (in[i] && (least == MEMBERS || key[i].major < key[least].major))
                least = i;
        }
        if (heap.count != count ||
            qe__heap_top(&heap, &top, &got) != (count > 0) ||
            (count > 0 && (top != least || got.major != key[least].major)))
            fail_msg("seed %llu", (unsigned long long) seed);
    }
    qe__heap_free(&heap);
}

static void the_top_is_always_the_least_of_random_changes(void **state)
{
    uint64_t seed;

    (void) state;
    for (seed = 1; seed <= 20; seed++)
        the_top_is_always_the_least(seed);
}

static void members_come_out_sorted(void **state)
{
    qe__heap heap = {0};
    uint64_t random = 7, last = 0;
    uint32_t i, member;
    qe__key key;

    (void) state;
    assert_int_equal(qe__heap_reserve(&heap, 5000), 0);
    for (i = 0; i < 5000; i++)
        qe__heap_set(&heap, i, (qe__key){qe__random(&random), i});
    for (i = 0; i < 5000; i++) {
        assert_true(qe__heap_top(&heap, &member, &key));
        assert_true(key.major >= last);
        last = key.major;
        qe__heap_remove(&heap, member);
    }
    assert_false(qe__heap_top(&heap, &member, NULL));
    qe__heap_free(&heap);
}

static int reserve_100(void *context)
{
    return qe__heap_reserve(context, 100);
}

static void a_failed_reserve_changes_nothing(void **state)
{
    qe__heap heap = {0};
    uint32_t member;

    (void) state;
    assert_int_equal(qe__heap_reserve(&heap, 2), 0);
    qe__heap_set(&heap, 1, (qe__key){1, 1});
    assert_int_equal(alloc_fault_sweep(reserve_100, &heap), 2);
    assert_true(qe__heap_top(&heap, &member, NULL));
    assert_int_equal(member, 1);
    qe__heap_set(&heap, 99, (qe__key){0, 0});
    assert_true(qe__heap_top(&heap, &member, NULL));
    assert_int_equal(member, 99);
    qe__heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_top),
        cmocka_unit_test(minor_breaks_ties_of_major),
        cmocka_unit_test(reserving_more_keeps_what_is_in),
        cmocka_unit_test(the_top_is_always_the_least_of_random_changes),
        cmocka_unit_test(members_come_out_sorted),
        cmocka_unit_test(a_failed_reserve_changes_nothing),
    };

    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
