/* The log of runs and the quarantine that machines share, on a real server. */
#include "redis_world.h"

#include <stdarg.h>

#include "qe_log.h"

#define S UINT64_C(1000000000)
#define NAMES "qe:{p/}:"

struct world {
    struct redis_world *w;
    qe__redis *redis; /* of somebody else, who may do anything */
    qe__reader *reader;
};

static struct world begin(struct redis_world *w)
{
    struct world x = {.w = w};
    char text[QE__REDIS_TEXT];

    redis_start(w);
    assert_int_equal(redis_open(w, redis_url(w, false, ""), &x.redis, text), 0);
    x.reader = redis_reader(w, "p");
    return x;
}

static void end(struct world *x)
{
    qe__reader_close(x->reader);
    qe__redis_close(x->redis);
}

/* A command of words; its reply's number. */
static long long order(struct world *x, const char *first, ...)
{
    const char *words[16] = {first};
    redisReply *reply;
    long long number;
    va_list list;
    int n = 1;

    va_start(list, first);
    while ((words[n] = va_arg(list, const char *)) != NULL)
        n++;
    va_end(list);
    assert_int_equal(qe__redis_add(x->redis, n, words, NULL), 0);
    assert_int_equal(qe__redis_reply(x->redis, qe_now_ns() + 60 * S, &reply),
                     0);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", first, reply->str);
    number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static const char *name_of(int n)
{
    static char name[QE_LOG_NAME];

    snprintf(name, sizeof(name), "%032x", n);
    return name;
}

static bool append(struct world *x, int n, const void *bytes, size_t size,
                   uint32_t keep)
{
    bool added;

    assert_int_equal(
        qe__log_append(x->reader, name_of(n), bytes, size, keep, &added), 0);
    return added;
}

/* What was read, one after another: "<name's number>:<size>;". */
struct seen {
    char text[8192], born[QE_LOG_BORN], after[QE_LOG_ENTRY];
    int n;
    const char *bytes; /* that each is to have; NULL: any */
};

static int see(void *arg, const qe_log_entry *entry)
{
    struct seen *seen = arg;
    size_t at = strlen(seen->text);

    snprintf(seen->text + at, sizeof(seen->text) - at, "%lx:%zu;",
             entry->name[0] == '\0' ? 0xffff : strtoul(entry->name, NULL, 16),
             entry->size);
    snprintf(seen->after, sizeof(seen->after), "%s", entry->entry);
    if (seen->bytes != NULL)
        assert_memory_equal(entry->bytes, seen->bytes, entry->size);
    seen->n++;
    return 0;
}

static int pull(qe__reader *r, struct seen *seen)
{
    seen->text[0] = '\0';
    seen->n = 0;
    return qe__log_read(r, seen->born, seen->after, see, seen);
}

static void runs_come_as_they_were_appended_and_once(void **state)
{
    struct world x = begin(*state);
    struct seen seen = {.bytes = "a\0b\xff"};

    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "");
    assert_string_equal(seen.born, "");
    assert_true(append(&x, 1, "a\0b\xff", 4, 9));
    assert_true(append(&x, 2, "a\0b", 3, 9));
    assert_false(append(&x, 1, "a\0b\xff", 4, 9));
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "1:4;2:3;");
    assert_true(append(&x, 3, "", 0, 9));
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "3:0;");
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "");
    end(&x);
}

static void the_log_keeps_so_many_and_all_of_it_has_an_end(void **state)
{
    static const char *const keys[] = {"history", "history-names",
                                       "history-born", "quarantine"};
    struct world x = begin(*state);
    struct seen seen = {0};
    char key[64];

    for (int i = 1; i <= 5; i++)
        assert_true(append(&x, i, "run", 3, 3));
    assert_false(append(&x, 1, "run", 3, 3)); /* gone, and not forgotten */
    assert_int_equal(qe__log_hold(x.reader, "t", "{}"), 0);
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "3:3;4:3;5:3;");
    for (size_t i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), NAMES "%s", keys[i]);
        assert_in_range(order(&x, "TTL", key, NULL), QE__LOG_KEPT_S - 60,
                        QE__LOG_KEPT_S);
        order(&x, "EXPIRE", key, "100", NULL);
    }
    assert_int_equal(pull(x.reader, &seen), 0); /* is a use, too */
    for (size_t i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), NAMES "%s", keys[i]);
        assert_true(order(&x, "TTL", key, NULL) > 1000);
    }
    end(&x);
}

static void another_log_is_read_from_its_start(void **state)
{
    struct world x = begin(*state);
    struct seen seen = {0};

    assert_true(append(&x, 1, "run", 3, 9));
    assert_int_equal(pull(x.reader, &seen), 0);
    order(&x, "FLUSHALL", NULL);
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "");
    assert_true(append(&x, 2, "run", 3, 9));
    /* Whatever the clock of the new server says. */
    snprintf(seen.after, sizeof(seen.after), "99999999999999999-0");
    snprintf(seen.born, sizeof(seen.born), "%s", name_of(1));
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "2:3;");
    assert_string_equal(seen.born, name_of(2));
    end(&x);
}

static void much_comes_in_pieces(void **state)
{
    struct world x = begin(*state);
    struct seen seen = {0};
    size_t size = QE__LOG_PIECE / 2 + 1;
    char *bytes = calloc(1, size);
    int pieces = 0, all = 0;

    for (int i = 1; i <= 5; i++)
        assert_true(append(&x, i, bytes, size, 200));
    for (int i = 6; i <= 105; i++)
        assert_true(append(&x, i, "run", 3, 200));
    do {
        assert_int_equal(pull(x.reader, &seen), 0);
        assert_true(seen.n <= (int) QE__LOG_ENTRIES);
        all += seen.n;
        pieces++;
    } while (seen.n > 0);
    assert_int_equal(all, 105);
    assert_int_equal(pieces, 5); /* 2, 2, 64, 37, none */
    free(bytes);
    end(&x);
}

static void entries_that_are_none_are_told_as_such(void **state)
{
    struct world x = begin(*state);
    struct seen seen = {0};
    char key[] = NAMES "history";
    char *big = malloc(QE_LOG_RUN + 2);

    memset(big, 'x', QE_LOG_RUN + 1);
    big[QE_LOG_RUN + 1] = '\0';
    assert_true(append(&x, 1, "run", 3, 9));
    order(&x, "XADD", key, "*", "what", "ever", NULL);
    order(&x, "XADD", key, "*", "n", "short", "r", "run", NULL);
    order(&x, "XADD", key, "*", "n", name_of(9), "r", big, NULL);
    order(&x, "XADD", key, "*", "n", "GG000000000000000000000000000000", "r",
          "run", NULL);
    assert_true(append(&x, 2, "run", 3, 9));
    assert_int_equal(pull(x.reader, &seen), 0);
    assert_string_equal(seen.text, "1:3;ffff:0;ffff:0;ffff:0;ffff:3;2:3;");
    free(big);
    end(&x);
}

static void keys_of_another_kind_are_a_line(void **state)
{
    struct world x = begin(*state);
    struct seen seen = {0};
    bool added;

    order(&x, "SET", NAMES "history-names", "x", NULL);
    /* As the server words it: newer ones say that it was in a script. */
    assert_int_not_equal(
        qe__log_append(x.reader, name_of(1), "run", 3, 9, &added), 0);
    assert_true(qe__reader_text(x.reader)[0] != '\0');
    order(&x, "SET", NAMES "history-born", "no name", NULL);
    assert_int_equal(pull(x.reader, &seen), QE_EFORMAT);
    order(&x, "FLUSHALL", NULL);
    order(&x, "SET", NAMES "quarantine", "x", NULL);
    assert_int_not_equal(qe__log_held(x.reader, NULL, NULL), 0);
    end(&x);
}

static int see_held(void *arg, const void *id, size_t id_size,
                    const void *value, size_t size)
{
    char *out = arg;

    snprintf(out + strlen(out), 200, "%.*s=%.*s;", (int) id_size,
             (const char *) id, (int) size, (const char *) value);
    return 0;
}

static void a_quarantine_is_changed_entry_by_entry(void **state)
{
    struct world x = begin(*state);
    char text[1024] = "";
    bool gone;

    assert_int_equal(qe__log_hold(x.reader, "a", "1"), 0);
    assert_int_equal(qe__log_hold(x.reader, "a", "2"), QE_ESTATE);
    assert_int_equal(qe__log_hold(x.reader, "b", "3"), 0);
    assert_int_equal(qe__log_release(x.reader, "b", &gone), 0);
    assert_true(gone);
    assert_int_equal(qe__log_release(x.reader, "b", &gone), 0);
    assert_false(gone);
    assert_int_equal(qe__log_held(x.reader, see_held, text), 0);
    assert_string_equal(text, "a=1;");
    end(&x);
}

static void a_quarantine_is_bounded(void **state)
{
    static const char fill[] =
        "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], i, 'x') end";
    struct world x = begin(*state);
    char *big = malloc(QE__HELD_BYTES + 2), text[1024] = "";

    memset(big, 'x', QE__HELD_BYTES + 1);
    big[QE__HELD_BYTES + 1] = '\0';
    assert_int_equal(qe__log_hold(x.reader, "a", big), QE_EINVAL);
    order(&x, "HSET", NAMES "quarantine", "big", big, NULL);
    assert_int_equal(qe__log_held(x.reader, see_held, text), 0);
    assert_string_equal(text, "");
    order(&x, "EVAL", fill, "1", NAMES "quarantine", "10000", NULL);
    assert_int_equal(qe__log_hold(x.reader, "one more", "1"), QE_ESTATE);
    assert_int_equal(qe__log_held(x.reader, see_held, text), QE_EFORMAT);
    free(big);
    end(&x);
}

static void another_project_has_a_log_of_its_own(void **state)
{
    struct world x = begin(*state);
    qe__reader *other = redis_reader(x.w, "q");
    struct seen seen = {0};

    assert_true(append(&x, 1, "run", 3, 9));
    assert_int_equal(qe__log_hold(x.reader, "a", "1"), 0);
    assert_int_equal(pull(other, &seen), 0);
    assert_string_equal(seen.text, "");
    qe__reader_close(other);
    end(&x);
}

static void a_server_that_has_gone_is_gone(void **state)
{
    struct world x = begin(*state);
    struct seen seen = {0};

    redis_kill(x.w);
    assert_int_equal(pull(x.reader, &seen), QE_EGONE);
    assert_true(qe__reader_text(x.reader)[0] != '\0');
    end(&x);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_come_as_they_were_appended_and_once),
        TEST(the_log_keeps_so_many_and_all_of_it_has_an_end),
        TEST(another_log_is_read_from_its_start),
        TEST(much_comes_in_pieces),
        TEST(entries_that_are_none_are_told_as_such),
        TEST(keys_of_another_kind_are_a_line),
        TEST(a_quarantine_is_changed_entry_by_entry),
        TEST(a_quarantine_is_bounded),
        TEST(another_project_has_a_log_of_its_own),
        TEST(a_server_that_has_gone_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
