/* Shards: every machine comes to the same answer without talking. */
#include "alloc_fault.h"
#include "scratch.h"

#include "qe_util.h"

static uint64_t digest(const char *text)
{
    return qe_digest(QE_DIGEST_INIT, text, strlen(text));
}

/* The vectors of the FNV authors (draft-eastlake-fnv, appendix). */
static void the_digest_is_fnv_1a(void **state)
{
    (void) state;
    assert_true(digest("") == UINT64_C(0xcbf29ce484222325));
    assert_true(digest("a") == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(digest("foobar") == UINT64_C(0x85944171f73967e8));
    assert_true(qe_digest(digest("foo"), "bar", 3) == digest("foobar"));
    assert_true(qe_digest(QE_DIGEST_INIT, NULL, 0) == QE_DIGEST_INIT);
}

/* These must never change: machines of one run may differ in version. */
static void a_key_has_its_shard_for_ever(void **state)
{
    static const char *const keys[] = {"", "a", "tests/test_a.py::test_a",
                                       "tests/test_b.py::test_b", "\xff\xfe"};
    static const uint32_t of_2[] = {0, 1, 0, 0, 0};
    static const uint32_t of_7[] = {4, 1, 2, 0, 4};
    uint32_t shards[5];
    size_t i;

    (void) state;
    assert_int_equal(qe_shard_assign(keys, NULL, 5, 2, shards), QE_OK);
    for (i = 0; i < 5; i++)
        assert_int_equal(shards[i], of_2[i]);
    assert_int_equal(qe_shard_assign(keys, NULL, 5, 7, shards), QE_OK);
    for (i = 0; i < 5; i++)
        assert_int_equal(shards[i], of_7[i]);
}

#define MANY 4000
struct keys {
    char text[MANY][48];
    const char *at[MANY];
    uint64_t ns[MANY];
    uint32_t shards[MANY];
    uint32_t again[MANY];
};

static int make_keys(void **state)
{
    struct keys *k = calloc(1, sizeof(*k));
    size_t i;

    if (k == NULL)
        return -1;
    for (i = 0; i < MANY; i++) {
        snprintf(k->text[i], sizeof(k->text[i]), "test_%zu.py::test_%zu", i, i);
        k->at[i] = k->text[i];
    }
    *state = k;
    return 0;
}

static int free_keys(void **state)
{
    free(*state);
    return 0;
}

static void shards_by_hash_are_even_though_names_repeat_themselves(void **state)
{
    struct keys *k = *state;
    uint32_t of;
    size_t i;

    for (of = 1; of <= 8; of++) {
        size_t count[8] = {0};
        assert_int_equal(qe_shard_assign(k->at, NULL, MANY, of, k->shards),
                         QE_OK);
        for (i = 0; i < MANY; i++) {
            assert_true(k->shards[i] < of);
            count[k->shards[i]]++;
        }
        for (i = 0; i < of; i++) {
            assert_true(count[i] * of > MANY * 8 / 10);
            assert_true(count[i] * of < MANY * 12 / 10);
        }
    }
}

static void a_shard_by_hash_does_not_depend_on_the_other_keys(void **state)
{
    struct keys *k = *state;
    uint32_t alone;
    size_t i;

    assert_int_equal(qe_shard_assign(k->at, NULL, MANY, 5, k->shards), QE_OK);
    for (i = 0; i < MANY; i++) {
        assert_int_equal(qe_shard_assign(&k->at[i], NULL, 1, 5, &alone), QE_OK);
        assert_int_equal(alone, k->shards[i]);
    }
}

static void unknown_durations_alone_are_none(void **state)
{
    struct keys *k = *state;

    assert_int_equal(qe_shard_assign(k->at, NULL, MANY, 3, k->shards), QE_OK);
    memset(k->ns, 0, sizeof(k->ns));
    assert_int_equal(qe_shard_assign(k->at, k->ns, MANY, 3, k->again), QE_OK);
    assert_memory_equal(k->shards, k->again, sizeof(k->shards));
}

static void the_longest_goes_first_to_the_least_loaded(void **state)
{
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f"};
    static const uint64_t ns[] = {2, 7, 3, 4, 6, 5};
    /* b(7)->0 e(6)->1 f(5)->2 d(4)->2 c(3)->1 a(2)->0 */
    static const uint32_t expected[] = {0, 0, 1, 2, 1, 2};
    uint32_t shards[6];

    (void) state;
    assert_int_equal(qe_shard_assign(keys, ns, 6, 3, shards), QE_OK);
    assert_memory_equal(shards, expected, sizeof(expected));
}

static void an_unknown_duration_counts_as_the_median(void **state)
{
    /* Known: 1, 4, 10. "x" counts as 4, after "b" by its key. */
    static const char *const keys[] = {"a", "b", "c", "x"};
    static const uint64_t ns[] = {10, 4, 1, 0};
    /* a(10)->0 b(4)->1 x(4)->1 c(1)->1 */
    static const uint32_t expected[] = {0, 1, 1, 1};
    uint32_t shards[4];

    (void) state;
    assert_int_equal(qe_shard_assign(keys, ns, 4, 2, shards), QE_OK);
    assert_memory_equal(shards, expected, sizeof(expected));
}

static void the_order_of_the_keys_does_not_matter(void **state)
{
    struct keys *k = *state;
    uint64_t random = 20240601;
    uint32_t shard_of[MANY];
    uint32_t order[MANY];
    const char *at[MANY];
    uint64_t ns[MANY];
    size_t i;

    for (i = 0; i < MANY; i++) {
        k->ns[i] = qe__random(&random) % 16; /* Many ties, some unknown. */
        order[i] = (uint32_t) i;
    }
    assert_int_equal(qe_shard_assign(k->at, k->ns, MANY, 6, k->shards), QE_OK);
    for (i = MANY - 1; i > 0; i--) {
        size_t j = qe__random(&random) % (i + 1);
        uint32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (i = 0; i < MANY; i++) {
        at[i] = k->at[order[i]];
        ns[i] = k->ns[order[i]];
    }
    assert_int_equal(qe_shard_assign(at, ns, MANY, 6, shard_of), QE_OK);
    for (i = 0; i < MANY; i++)
        assert_int_equal(shard_of[i], k->shards[order[i]]);
}

/* Graham's bound, with the mean load and the longest job as lower bounds. */
static void no_shard_is_loaded_past_grahams_bound(void **state)
{
    struct keys *k = *state;
    uint64_t random = 7;
    uint32_t of;
    size_t i;

    for (of = 2; of <= 64; of *= 2) {
        uint64_t load[64] = {0};
        uint64_t total = 0, longest = 0;
        for (i = 0; i < MANY; i++) {
            uint64_t x = qe__random(&random) % 1000 + 1;
            k->ns[i] = x * x * x; /* heavy tail */
            total += k->ns[i];
            if (k->ns[i] > longest)
                longest = k->ns[i];
        }
        if (longest < total / of)
            longest = total / of;
        assert_int_equal(qe_shard_assign(k->at, k->ns, MANY, of, k->shards),
                         QE_OK);
        for (i = 0; i < MANY; i++)
            load[k->shards[i]] += k->ns[i];
        for (i = 0; i < of; i++)
            assert_true(3 * load[i] <= 4 * longest + 3);
    }
}

static void extremes_are_no_trouble(void **state)
{
    static const char *const keys[] = {"a", "b", "c"};
    static const uint64_t ns[] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    static const char *const hole[] = {"a", NULL};
    uint32_t shards[3] = {9, 9, 9};

    (void) state;
    assert_int_equal(qe_shard_assign(keys, ns, 3, 2, shards), QE_OK);
    assert_true(shards[0] < 2 && shards[1] < 2 && shards[2] < 2);
    assert_int_equal(qe_shard_assign(keys, ns, 3, UINT32_MAX, shards), QE_OK);
    assert_int_equal(shards[0] + shards[1] + shards[2], 0 + 1 + 2);
    assert_int_equal(qe_shard_assign(keys, ns, 3, 1, shards), QE_OK);
    assert_int_equal(shards[0] + shards[1] + shards[2], 0);
    assert_int_equal(qe_shard_assign(NULL, NULL, 0, 1, NULL), QE_OK);
    assert_int_equal(qe_shard_assign(keys, NULL, 3, 0, shards), QE_EINVAL);
    assert_int_equal(qe_shard_assign(NULL, NULL, 3, 1, shards), QE_EINVAL);
    assert_int_equal(qe_shard_assign(hole, NULL, 2, 1, shards), QE_EINVAL);
}

static int assign_two(void *context)
{
    static const char *const keys[] = {"a", "b"};
    static const uint64_t ns[] = {1, 2};

    return qe_shard_assign(keys, ns, 2, 2, context);
}

static void out_of_memory_assigns_nothing(void **state)
{
    uint32_t shards[2] = {9, 9};

    (void) state;
    alloc_fault.countdown = 2;
    assert_int_equal(assign_two(shards), QE_ENOMEM);
    assert_int_equal(shards[0], 9);
    assert_int_equal(alloc_fault_sweep(assign_two, shards), 2);
    assert_int_equal(shards[0], 1);
    assert_int_equal(shards[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digest_is_fnv_1a),
        cmocka_unit_test(a_key_has_its_shard_for_ever),
        cmocka_unit_test(
            shards_by_hash_are_even_though_names_repeat_themselves),
        cmocka_unit_test(a_shard_by_hash_does_not_depend_on_the_other_keys),
        cmocka_unit_test(unknown_durations_alone_are_none),
        cmocka_unit_test(the_longest_goes_first_to_the_least_loaded),
        cmocka_unit_test(an_unknown_duration_counts_as_the_median),
        cmocka_unit_test(the_order_of_the_keys_does_not_matter),
        cmocka_unit_test(no_shard_is_loaded_past_grahams_bound),
        cmocka_unit_test(extremes_are_no_trouble),
        cmocka_unit_test(out_of_memory_assigns_nothing),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
