/* A history that follows a log of runs: what goes out, comes in the same elsewhere, once; what is
 * none of ours changes nothing. */
#include "history_help.h"

#define LOG "00112233445566778899aabbccddeeff"
#define NAME "ffeeddccbbaa99887766554433221100"

struct bytes {
    void *at;
    size_t size;
    uint32_t tests;
};

static qe_history *open_at(const struct scratch *s, const char *name)
{
    char path[256];
    qe_history *h = NULL;

    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    assert_int_equal(qe_history_open(&h, path), QE_OK);
    assert_int_equal(qe_history_follow(h), QE_OK);
    return h;
}

/* A run with all that a history keeps of one. */
static qe_record *rich_record(void)
{
    qe_record *r;
    const qe_attempt attempts[] = {
        {0, 0, 1, 3, QE_FAILED, 1.7e9 + 1.25, 0.5, 0.25, 1 << 20, 0, "no"},
        {0, 0, 2, 4, QE_PASSED, 1.7e9 + 2, 0.0625, 0, 4096, 0, NULL},
        {1, 3, 1, 0, QE_CRASHED, 1.7e9 - 5, 1e-9, 0, 0, -11, "signal 11"},
    };

    assert_int_equal(qe_record_new(&r), QE_OK);
    assert_int_equal(qe_record_add_test(r, "a.py::test_one"), QE_OK);
    assert_int_equal(qe_record_add_test(r, "a.py::test_on\xff"), QE_OK);
    assert_int_equal(qe_record_add_test(r, "a.py::test"), QE_OK);
    assert_int_equal(qe_record_add_test(r, "not run"), QE_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(qe_record_add_attempt(r, &attempts[i]), QE_OK);
    assert_int_equal(qe_record_set_outcome(r, 0, QE_FLAKY, "no"), QE_OK);
    assert_int_equal(qe_record_set_outcome(r, 1, QE_CRASHED, NULL), QE_OK);
    assert_int_equal(qe_record_set_outcome(r, 2, QE_SKIPPED, ""), QE_OK);
    assert_int_equal(qe_record_set_code(r, "abc", NULL), QE_OK);
    assert_int_equal(qe_record_add_pass(r, 3, "random order", UINT64_MAX),
                     QE_OK);
    return r;
}

static int note_unsent(void *arg, const char *name, int64_t run)
{
    char *out = arg;

    (void) run;
    assert_int_equal(strlen(name), QE_LOG_NAME - 1);
    strcat(out, name);
    return 0;
}

static size_t unsent(qe_history *h, char *names)
{
    names[0] = '\0';
    assert_int_equal(qe_history_unsent(h, note_unsent, names), QE_OK);
    return strlen(names) / (QE_LOG_NAME - 1);
}

/* Saves a run and gives its bytes. */
static struct bytes saved(qe_history *h, qe_record *r)
{
    struct bytes out = {0};
    int64_t run;

    assert_int_equal(qe_history_save(h, r, 1.7e9, 12.5, 7, &run), QE_OK);
    assert_int_equal(qe_history_export(h, run, &out.at, &out.size, &out.tests),
                     QE_OK);
    qe_record_free(r);
    return out;
}

static int take(qe_history *h, const char *entry, const char *name,
                const void *bytes, size_t size, uint32_t *taken, uint32_t *odd)
{
    qe_log_entry one = {entry, name, bytes, size};

    return qe_history_take(h, LOG, &one, 1, taken, odd);
}

/* All that is in a file, as a text: what two files have in common when it is the same. */
static char *told(const struct scratch *s, const char *name)
{
    char command[512];
    char *out = calloc(1, 1 << 16);
    sqlite3 *db;
    sqlite3_stmt *stmt;
    static const char sql[] =
        "SELECT 'run', started, wall, workers, revision, branch, '' FROM run"
        " UNION ALL SELECT 'pass', pass, hex(name), seed, '', '', ''"
        " FROM condition UNION ALL SELECT 'test', hex(name), clean, '', '',"
        " '', '' FROM test UNION ALL SELECT 'outcome', hex(name), outcome,"
        " quote(message), '', '', '' FROM outcome JOIN test ON id = test"
        " UNION ALL SELECT 'attempt', seq || hex(name), pass || '/' ||"
        " attempt || '/' || worker, outcome, round(start, 6) || '+' ||"
        " duration, round(cpu, 6) || '/' || peak || '/' || status,"
        " quote(message) FROM attempt JOIN test ON id = test ORDER BY 1, 2, 3";

    snprintf(command, sizeof(command), "%s/%s", s->dir, name);
    assert_int_equal(sqlite3_open(command, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < 7; i++) {
            const char *cell = (const char *) sqlite3_column_text(stmt, i);

            snprintf(out + strlen(out), (1 << 16) - strlen(out), "%s|",
                     cell == NULL ? "NULL" : cell);
        }
        strcat(out, "\n");
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return out;
}

static void a_run_is_the_same_on_the_other_machine(void **state)
{
    const struct scratch *s = *state;
    qe_history *a = open_at(s, "a"), *b = open_at(s, "b");
    struct bytes run = saved(a, rich_record());
    char *here, *there;
    uint32_t taken, odd;

    assert_int_equal(run.tests, 3);
    assert_int_equal(take(b, "5-0", NAME, run.at, run.size, &taken, &odd), 0);
    assert_int_equal(taken, 1);
    assert_int_equal(odd, 0);
    here = told(s, "a");
    there = told(s, "b");
    assert_string_equal(here, there);
    assert_non_null(strstr(here, "|72616E646F6D206F72646572|")); /* its pass */
    assert_non_null(strstr(here, "signal 11"));
    assert_int_equal(duration_of(b, "a.py::test_one"), 62500000);
    free(here);
    free(there);
    qe_free(run.at);
    qe_history_close(a);
    qe_history_close(b);
}

static void what_is_saved_here_is_unsent_until_it_is_said_to_be(void **state)
{
    const struct scratch *s = *state;
    qe_history *h = open_at(s, "a");
    char names[256], first[QE_LOG_NAME] = "";
    char born[QE_LOG_BORN], entry[QE_LOG_ENTRY];

    assert_int_equal(unsent(h, names), 0);
    qe_free(saved(h, sample_record(3, 1)).at);
    qe_free(saved(h, sample_record(3, 1)).at);
    qe_history_close(h);
    h = open_at(s, "a");
    assert_int_equal(unsent(h, names), 2);
    assert_memory_not_equal(names, names + QE_LOG_NAME - 1, QE_LOG_NAME - 1);
    memcpy(first, names, QE_LOG_NAME - 1);
    assert_int_equal(qe_history_sent(h, first), QE_OK);
    assert_int_equal(unsent(h, names), 1);
    assert_int_equal(qe_history_followed(h, born, entry), QE_OK);
    assert_string_equal(born, "");
    assert_string_equal(entry, "");
    /* What goes, because there are too many, is not to be sent any more. */
    qe_free(saved(h, sample_record(3, 1)).at);
    assert_int_equal(qe_history_gc(h, 1), QE_OK);
    assert_int_equal(unsent(h, names), 1);
    qe_history_close(h);
}

static void a_run_is_taken_once_and_the_place_is_kept(void **state)
{
    const struct scratch *s = *state;
    qe_history *a = open_at(s, "a"), *b = open_at(s, "b");
    struct bytes run = saved(a, sample_record(20, 1));
    char born[QE_LOG_BORN], entry[QE_LOG_ENTRY], names[256];
    uint32_t taken, odd;

    assert_int_equal(unsent(a, names), 1);
    assert_int_equal(take(b, "5-0", names, run.at, run.size, &taken, &odd), 0);
    assert_int_equal(take(b, "7-1", names, run.at, run.size, &taken, &odd), 0);
    assert_int_equal(taken + odd, 0);
    /* Its own comes back to who has sent it. */
    assert_int_equal(take(a, "7-1", names, run.at, run.size, &taken, &odd), 0);
    assert_int_equal(taken + odd, 0);
    qe_history_close(b);
    b = open_at(s, "b");
    assert_int_equal(qe_history_followed(b, born, entry), QE_OK);
    assert_string_equal(born, LOG);
    assert_string_equal(entry, "7-1");
    assert_int_equal(unsent(b, names), 0);
    qe_history_close(a);
    qe_history_close(b);
    qe_free(run.at);
}

static void a_history_that_follows_none_has_nothing_of_it(void **state)
{
    const struct scratch *s = *state;
    qe_history *h = must_open(s);
    char born[QE_LOG_BORN], entry[QE_LOG_ENTRY], names[64];
    uint32_t taken, odd;

    qe_free(saved(h, sample_record(3, 1)).at);
    assert_int_equal(qe_history_followed(h, born, entry), QE_ESTATE);
    assert_int_equal(qe_history_unsent(h, note_unsent, names), QE_ESTATE);
    assert_int_equal(take(h, "1-1", NAME, "", 0, &taken, &odd), QE_ESTATE);
    assert_int_equal(qe_history_sent(h, NAME), QE_ESTATE);
    assert_int_equal(qe_history_gc(h, 1), QE_OK);
    qe_history_close(h);
    assert_int_equal(peek(s, "SELECT count(*) FROM sqlite_schema"
                             " WHERE name IN ('shared', 'followed')"),
                     0);
}

static void places_that_are_none_are_refused(void **state)
{
    const struct scratch *s = *state;
    qe_history *h = open_at(s, "a");
    static const char *const places[] = {
        "", "5", "5-", "-0", "5-0 ", "5-0-1", "x-1", "111111111111111111111-0"};
    uint32_t taken, odd;

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
        assert_int_equal(take(h, places[i], NAME, "", 0, &taken, &odd),
                         QE_EINVAL);
    assert_int_equal(qe_history_take(h, "short", NULL, 0, &taken, &odd),
                     QE_EINVAL);
    qe_history_close(h);
}

static void an_entry_that_is_no_run_is_passed_over(void **state)
{
    const struct scratch *s = *state;
    qe_history *a = open_at(s, "a"), *b = open_at(s, "b");
    struct bytes run = saved(a, rich_record());
    unsigned char *copy = malloc(run.size + 1);
    char born[QE_LOG_BORN], entry[QE_LOG_ENTRY];
    uint32_t taken, odd;

    assert_int_equal(take(b, "1-0", "no name", run.at, run.size, &taken, &odd),
                     0);
    assert_int_equal(odd, 1);
    for (size_t n = 0; n < run.size; n++) { /* cut short */
        char *cut = malloc(n + 1);

        memcpy(cut, run.at, n);
        assert_int_equal(take(b, "2-0", NAME, cut, n, &taken, &odd), 0);
        assert_int_equal(odd, 1);
        free(cut);
    }
    memcpy(copy, run.at, run.size); /* with more behind it */
    copy[run.size] = 0;
    assert_int_equal(take(b, "3-0", NAME, copy, run.size + 1, &taken, &odd), 0);
    assert_int_equal(odd, 1);
    assert_int_equal(qe_history_followed(b, born, entry), QE_OK);
    assert_string_equal(entry, "3-0");
    assert_int_equal(take(b, "4-0", NAME, run.at, run.size, &taken, &odd), 0);
    assert_int_equal(taken, 1);
    free(copy);
    qe_free(run.at);
    qe_history_close(a);
    qe_history_close(b);
}

/* Whatever the bytes are, they are a run or none, and the file stays whole. */
static void damaged_runs_do_no_harm(void **state)
{
    const struct scratch *s = *state;
    qe_history *a = open_at(s, "a"), *b = open_at(s, "b");
    struct bytes run = saved(a, rich_record());
    unsigned char *copy = malloc(run.size);
    uint64_t seed = 7;
    uint32_t taken, odd, good = 0;
    char name[QE_LOG_NAME];

    for (uint32_t i = 0; i < scratch_scaled(2000); i++) {
        memcpy(copy, run.at, run.size);
        for (int k = 0; k < 1 + (int) (i % 3); k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            copy[(seed >> 33) % run.size] ^= (unsigned char) (seed >> 20);
        }
        snprintf(name, sizeof(name), "%032x", i);
        assert_int_equal(take(b, "1-0", name, copy, run.size, &taken, &odd), 0);
        assert_int_equal(taken + odd, 1);
        good += taken;
    }
    print_message("%u of the damaged runs are runs\n", good);
    qe_history_close(b);
    free(copy);
    qe_free(run.at);
    qe_history_close(a);
}

/* A name that repeats a long one costs three bytes: that must have an end. */
static void names_that_would_fill_the_memory_are_refused(void **state)
{
    static const unsigned char head[] = {'Q', 'E', 'r', 1, 1, 1, 1, 0, 0, 0};
    const struct scratch *s = *state;
    qe_history *h = open_at(s, "a");
    size_t size, most = 1 << 20, tests = 10000;
    unsigned char *bytes = malloc(most);
    uint32_t taken, odd;

    memcpy(bytes, head, sizeof(head));
    size = sizeof(head);
    bytes[size++] = (unsigned char) (tests & 0x7f) | 0x80;
    bytes[size++] = (unsigned char) (tests >> 7);
    /* The first: 60,000 letters; each next has all but one of them. */
    bytes[size++] = 0;
    bytes[size++] = 0xe0;
    bytes[size++] = 0xd4;
    bytes[size++] = 0x03;
    memset(bytes + size, 'x', 60000);
    size += 60000;
    for (size_t i = 0; i < tests; i++) {
        if (i > 0) {
            memcpy(bytes + size, "\xdf\xd4\x03\x01y", 5);
            size += 5;
        }
        memcpy(bytes + size, "\1\0\0", 3);
        size += 3;
    }
    assert_int_equal(take(h, "1-0", NAME, bytes, size, &taken, &odd), 0);
    assert_int_equal(odd, 1);
    free(bytes);
    qe_history_close(h);
}

static void long_messages_are_cut_between_letters(void **state)
{
    const struct scratch *s = *state;
    qe_history *a = open_at(s, "a"), *b = open_at(s, "b");
    qe_record *r = sample_record(1, 1);
    char *text = malloc(10001);
    struct bytes run;
    uint32_t taken, odd;

    text[0] = 'x';
    for (size_t i = 1; i < 9999; i += 2)
        memcpy(text + i, "\xc3\xa4", 2); /* a letter of two bytes */
    text[9999] = '\0';
    assert_int_equal(qe_record_set_outcome(r, 0, QE_FAILED, text), QE_OK);
    run = saved(a, r);
    assert_true(run.size < 5000);
    assert_int_equal(take(b, "1-0", NAME, run.at, run.size, &taken, &odd), 0);
    assert_int_equal(taken, 1);
    qe_history_close(b);
    qe_history_close(a);
    {
        char path[256];
        struct scratch at = *s;

        snprintf(path, sizeof(path), "%s/b", s->dir);
        memcpy(at.path, path, sizeof(at.path));
        assert_int_equal(peek(&at, "SELECT length(CAST(message AS BLOB))"
                                   " FROM outcome"),
                         4095);
        assert_int_equal(
            peek(&at, "SELECT typeof(message) = 'text' FROM outcome"), 1);
    }
    free(text);
    qe_free(run.at);
}

static void a_run_that_is_not_there_is_not_found(void **state)
{
    const struct scratch *s = *state;
    qe_history *h = open_at(s, "a");
    struct bytes out;

    assert_int_equal(qe_history_export(h, 9, &out.at, &out.size, &out.tests),
                     QE_ENOTFOUND);
    qe_history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        T(a_run_is_the_same_on_the_other_machine),
        T(what_is_saved_here_is_unsent_until_it_is_said_to_be),
        T(a_run_is_taken_once_and_the_place_is_kept),
        T(a_history_that_follows_none_has_nothing_of_it),
        T(places_that_are_none_are_refused),
        T(an_entry_that_is_no_run_is_passed_over),
        T(damaged_runs_do_no_harm),
        T(names_that_would_fill_the_memory_are_refused),
        T(long_messages_are_cut_between_letters),
        T(a_run_that_is_not_there_is_not_found),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
