#include "alloc_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qe_plan.h"
#include "qe_util.h"

static qe_plan *plan_of(const qe_unit *units, size_t n)
{
    qe_plan *plan;
    size_t i;

    assert_int_equal(qe_plan_new(&plan), 0);
    for (i = 0; i < n; i++)
        assert_int_equal(qe_plan_add(plan, &units[i]), 0);
    return plan;
}

static void a_unit_comes_back_as_it_was_added(void **state)
{
    char id[] = "test_a.py::test_x[\xff\x01]";
    char scope[] = "test_a.py";
    qe_unit in = {.id = id,
                  .scope = scope,
                  .item = 7,
                  .pass = 3,
                  .flags = QE_UNIT_SERIAL | QE_UNIT_TOGETHER,
                  .retries = 65535,
                  .timeout_ns = UINT64_MAX,
                  .expected_ns = 12345678901};
    qe_plan *plan = plan_of(&in, 1);
    qe_unit out;

    (void) state;
    /* What the caller passed is his again. */
    id[0] = scope[0] = '!';
    assert_int_equal(qe_plan_count(plan), 1);
    assert_int_equal(qe_plan_get(plan, 0, &out), 0);
    assert_string_equal(out.id, "test_a.py::test_x[\xff\x01]");
    assert_string_equal(out.scope, "test_a.py");
    assert_int_equal(out.item, 7);
    assert_int_equal(out.pass, 3);
    assert_int_equal(out.flags, QE_UNIT_SERIAL | QE_UNIT_TOGETHER);
    assert_int_equal(out.retries, 65535);
    assert_true(out.timeout_ns == UINT64_MAX);
    assert_true(out.expected_ns == 12345678901);
    qe_plan_free(plan);
}

static void nonsense_is_refused_and_adds_nothing(void **state)
{
    qe_unit good = {.id = "a"};
    qe_unit no_id = {.id = NULL};
    qe_unit bad_flag = {.id = "a", .flags = 8};
    qe_unit bad_retries = {.id = "a", .retries = 65536};
    qe_plan *plan = plan_of(NULL, 0);
    qe_unit out;

    (void) state;
    assert_int_equal(qe_plan_new(NULL), QE_EINVAL);
    assert_int_equal(qe_plan_add(NULL, &good), QE_EINVAL);
    assert_int_equal(qe_plan_add(plan, NULL), QE_EINVAL);
    assert_int_equal(qe_plan_add(plan, &no_id), QE_EINVAL);
    assert_int_equal(qe_plan_add(plan, &bad_flag), QE_EINVAL);
    assert_int_equal(qe_plan_add(plan, &bad_retries), QE_ETOOBIG);
    assert_int_equal(qe_plan_count(plan), 0);
    assert_int_equal(qe_plan_get(plan, 0, &out), QE_EINVAL);
    assert_int_equal(qe_plan_get(plan, SIZE_MAX, &out), QE_EINVAL);
    assert_int_equal(qe_plan_get(NULL, 0, &out), QE_EINVAL);
    assert_int_equal(qe_plan_seal(NULL), QE_EINVAL);
    assert_int_equal(qe_plan_count(NULL), 0);
    qe_plan_free(plan);
    qe_plan_free(NULL);
}

static void a_sealed_plan_takes_no_more(void **state)
{
    qe_unit unit = {.id = "a"};
    qe_plan *plan = plan_of(&unit, 1);

    (void) state;
    assert_int_equal(qe_plan_seal(plan), 0);
    assert_int_equal(qe_plan_add(plan, &unit), QE_ESTATE);
    assert_int_equal(qe_plan_seal(plan), QE_ESTATE);
    assert_int_equal(qe_plan_count(plan), 1);
    qe_plan_free(plan);
}

static void an_empty_plan_can_be_sealed(void **state)
{
    qe_plan *plan = plan_of(NULL, 0);

    (void) state;
    assert_int_equal(qe_plan_seal(plan), 0);
    assert_int_equal(qe__plan_scope_count(plan), 0);
    assert_int_equal(qe_plan_seal(plan), QE_ESTATE);
    qe_plan_free(plan);
}

static void units_are_grouped_by_scope_in_their_order(void **state)
{
    static const qe_unit units[] = {
        {.id = "0", .scope = "b"},
        {.id = "1", .scope = "a", .flags = QE_UNIT_FRESH},
        {.id = "2", .scope = "b", .flags = QE_UNIT_TOGETHER},
        {.id = "3", .scope = NULL, .flags = QE_UNIT_SERIAL},
        {.id = "4", .scope = "a"},
        {.id = "5", .scope = NULL},
        {.id = "6", .scope = ""},
        {.id = "7", .scope = "b", .flags = QE_UNIT_SERIAL},
        {.id = "8", .scope = ""},
    };
    static const uint32_t scope_of[] = {0, 1, 0, 2, 1, 3, 4, 0, 4};
    static const uint32_t b[] = {0, 2, 7};
    static const uint32_t a[] = {1, 4};
    qe_plan *plan = plan_of(units, QE__COUNT(units));
    const uint32_t *got;
    uint32_t n, i;

    (void) state;
    assert_int_equal(qe_plan_seal(plan), 0);
    assert_int_equal(qe__plan_scope_count(plan), 5);
    for (i = 0; i < QE__COUNT(units); i++) {
        qe_unit out;

        assert_int_equal(qe__plan_unit_scope(plan, i), scope_of[i]);
        assert_int_equal(qe_plan_get(plan, i, &out), 0);
        assert_int_equal(out.scope == NULL, units[i].scope == NULL);
        /* Its own flags, not those of its scope. */
        assert_int_equal(out.flags, units[i].flags);
    }
    got = qe__plan_scope_units(plan, 0, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(got, b, sizeof b);
    got = qe__plan_scope_units(plan, 1, &n);
    assert_int_equal(n, 2);
    assert_memory_equal(got, a, sizeof a);
    assert_int_equal(qe__plan_scope_flags(plan, 0),
                     QE_UNIT_TOGETHER | QE_UNIT_SERIAL);
    assert_int_equal(qe__plan_scope_flags(plan, 1), QE_UNIT_FRESH);
    assert_int_equal(qe__plan_scope_flags(plan, 4), 0);
    qe_plan_free(plan);
}

static void strings_stay_where_they_are(void **state)
{
    qe_plan *plan = plan_of(NULL, 0);
    qe_unit first = {0}, unit = {0};
    char id[64];
    uint32_t i;

    (void) state;
    for (i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "test_%u", i);
        unit.id = id;
        unit.scope = i % 2 ? "odd" : "even";
        assert_int_equal(qe_plan_add(plan, &unit), 0);
        if (i == 0)
            assert_int_equal(qe_plan_get(plan, 0, &first), 0);
    }
    assert_int_equal(qe_plan_seal(plan), 0);
    assert_int_equal(qe_plan_get(plan, 0, &unit), 0);
    assert_ptr_equal(unit.id, first.id);
    assert_ptr_equal(unit.scope, first.scope);
    assert_string_equal(unit.id, "test_0");
    qe_plan_free(plan);
}

static void an_id_may_be_very_long(void **state)
{
    size_t size = (size_t) 3 << 20;
    char *id = malloc(size);
    qe_unit unit = {.id = id, .scope = id}, out;
    qe_plan *plan = plan_of(NULL, 0);

    (void) state;
    assert_non_null(id);
    memset(id, 'x', size - 1);
    id[size - 1] = '\0';
    assert_int_equal(qe_plan_add(plan, &unit), 0);
    assert_int_equal(qe_plan_add(plan, &unit), 0);
    assert_int_equal(qe_plan_get(plan, 1, &out), 0);
    assert_string_equal(out.id, id);
    assert_string_equal(out.scope, id);
    assert_int_equal(qe_plan_seal(plan), 0);
    assert_int_equal(qe__plan_scope_count(plan), 1);
    qe_plan_free(plan);
    free(id);
}

/* Random scopes, checked against a plain array. */
static void scopes_hold_their_units(uint64_t seed)
{
    enum { UNITS = 3000, NAMES = 700 };
    static uint32_t name_of[UNITS], scope_of[NAMES];
    qe_plan *plan = plan_of(NULL, 0);
    uint64_t random = seed;
    uint32_t scopes = 0, i, seen = 0;

    memset(scope_of, 0xff, sizeof scope_of);
    for (i = 0; i < UNITS; i++) {
        char id[32], scope[32];
        qe_unit unit = {.id = id};

        name_of[i] = (uint32_t) (qe__random(&random) % (NAMES + 1));
        snprintf(id, sizeof id, "%u", i);
        snprintf(scope, sizeof scope, "scope %u", name_of[i]);
        unit.scope = name_of[i] < NAMES ? scope : NULL;
        if (name_of[i] == NAMES)
            scopes++;
        else if (scope_of[name_of[i]] == UINT32_MAX)
            scope_of[name_of[i]] = scopes++;
        assert_int_equal(qe_plan_add(plan, &unit), 0);
    }
    assert_int_equal(qe_plan_seal(plan), 0);
    if (qe__plan_scope_count(plan) != scopes)
        fail_msg("seed %llu", (unsigned long long) seed);
    for (i = 0; i < UNITS; i++) {
        uint32_t scope = qe__plan_unit_scope(plan, i);

        if (name_of[i] < NAMES && scope != scope_of[name_of[i]])
            fail_msg("seed %llu", (unsigned long long) seed);
    }
    for (i = 0; i < scopes; i++) {
        uint32_t n, j;
        const uint32_t *units = qe__plan_scope_units(plan, i, &n);

        for (j = 0; j < n; j++, seen++) {
            if (qe__plan_unit_scope(plan, units[j]) != i ||
                (j > 0 && units[j - 1] >= units[j]))
                fail_msg("seed %llu", (unsigned long long) seed);
        }
    }
    assert_int_equal(seen, UNITS);
    qe_plan_free(plan);
}

static void scopes_hold_their_units_of_random_plans(void **state)
{
    uint64_t seed;

    (void) state;
    for (seed = 1; seed <= 10; seed++)
        scopes_hold_their_units(seed);
}

static int make(void *context)
{
    return qe_plan_new(context);
}

struct add {
    qe_plan *plan;
    const qe_unit *unit;
};

static int add(void *context)
{
    struct add *a = context;
    size_t before = qe_plan_count(a->plan);
    int err = qe_plan_add(a->plan, a->unit);

    assert_int_equal(qe_plan_count(a->plan), before + (err == 0));
    return err;
}

static int seal(void *context)
{
    return qe_plan_seal(context);
}

static void out_of_memory_leaves_the_plan_usable(void **state)
{
    qe_plan *plan;
    size_t failures = 0;
    uint32_t i;

    (void) state;
    assert_int_equal(alloc_fault_sweep(make, &plan), 1);
    for (i = 0; i < 2000; i++) {
        char id[32], scope[32];
        qe_unit unit = {.id = id, .scope = i % 7 ? scope : NULL};
        struct add context = {plan, &unit};

        snprintf(id, sizeof id, "unit %u", i);
        snprintf(scope, sizeof scope, "scope %u", i / 3);
        failures += alloc_fault_sweep(add, &context);
    }
    /* Units, scopes, the table and the strings all grew several times. */
    assert_true(failures > 20);
    assert_int_equal(alloc_fault_sweep(seal, plan), 1);
    assert_int_equal(qe_plan_count(plan), 2000);
    for (i = 0; i < 2000; i++) {
        char id[32], scope[32];
        qe_unit unit;

        snprintf(id, sizeof id, "unit %u", i);
        snprintf(scope, sizeof scope, "scope %u", i / 3);
        assert_int_equal(qe_plan_get(plan, i, &unit), 0);
        assert_string_equal(unit.id, id);
        if (i % 7)
            assert_string_equal(unit.scope, scope);
        else
            assert_null(unit.scope);
    }
    qe_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_comes_back_as_it_was_added),
        cmocka_unit_test(nonsense_is_refused_and_adds_nothing),
        cmocka_unit_test(a_sealed_plan_takes_no_more),
        cmocka_unit_test(an_empty_plan_can_be_sealed),
        cmocka_unit_test(units_are_grouped_by_scope_in_their_order),
        cmocka_unit_test(strings_stay_where_they_are),
        cmocka_unit_test(an_id_may_be_very_long),
        cmocka_unit_test(scopes_hold_their_units_of_random_plans),
        cmocka_unit_test(out_of_memory_leaves_the_plan_usable),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
