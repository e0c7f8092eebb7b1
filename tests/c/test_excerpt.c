/* What is kept of a text, however it comes. */
#include "qe_excerpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text_of(const qe__excerpt *e)
{
    size_t n = qe__excerpt_size(e);
    char *text = malloc(n + 1);

    assert_non_null(text);
    qe__excerpt_copy(e, text);
    text[n] = '\0';
    return text;
}

static void expect(const qe__excerpt *e, const char *expected)
{
    char *text = text_of(e);

    assert_string_equal(text, expected);
    free(text);
}

static void what_fits_is_kept_whole(void **state)
{
    qe__excerpt e;

    (void) state;
    assert_int_equal(qe__excerpt_init(&e, 10), 0);
    expect(&e, "");
    qe__excerpt_add(&e, "abc", 3);
    expect(&e, "abc");
    qe__excerpt_add(&e, "defghij", 7);
    expect(&e, "abcdefghij");
    qe__excerpt_clear(&e);
    expect(&e, "");
    qe__excerpt_add(&e, "x", 1);
    expect(&e, "x");
    qe__excerpt_free(&e);
}

static void of_more_both_ends_are_kept_and_it_says_so(void **state)
{
    qe__excerpt e;

    (void) state;
    assert_int_equal(qe__excerpt_init(&e, 10), 0);
    qe__excerpt_add(&e, "abcdefghijk", 11);
    expect(&e, "abcde\n[qe: 1 bytes were left out here; 10 are kept of each "
               "stream]\nghijk");
    qe__excerpt_add(&e, "lm", 2);
    expect(&e, "abcde\n[qe: 3 bytes were left out here; 10 are kept of each "
               "stream]\nijklm");
    qe__excerpt_free(&e);
}

/* Every bound, every size of what comes at once: the same text as in one go. */
static void it_is_the_same_however_it_comes(void **state)
{
    char all[97];

    (void) state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char) ('!' + i % 90);
    for (size_t bound = 2; bound < 40; bound++) {
        for (size_t step = 1; step <= sizeof(all); step++) {
            qe__excerpt e;
            char *text;
            size_t n;

            assert_int_equal(qe__excerpt_init(&e, bound), 0);
            for (size_t at = 0; at < sizeof(all); at += step)
                qe__excerpt_add(&e, all + at,
                                sizeof(all) - at < step ? sizeof(all) - at
                                                        : step);
            text = text_of(&e);
            n = strlen(text);
            assert_memory_equal(text, all, bound / 2);
            assert_memory_equal(text + n - (bound - bound / 2),
                                all + sizeof(all) - (bound - bound / 2),
                                bound - bound / 2);
            free(text);
            qe__excerpt_free(&e);
        }
    }
}

static void a_bound_that_has_no_two_ends_is_refused(void **state)
{
    qe__excerpt e;

    (void) state;
    assert_int_equal(qe__excerpt_init(&e, 0), QE_EINVAL);
    assert_int_equal(qe__excerpt_init(&e, 1), QE_EINVAL);
    assert_null(e.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_kept_whole),
        cmocka_unit_test(of_more_both_ends_are_kept_and_it_says_so),
        cmocka_unit_test(it_is_the_same_however_it_comes),
        cmocka_unit_test(a_bound_that_has_no_two_ends_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
