/* Reading runs without being a node of them, on a real server. */
#include "redis_world.h"

#include <stdarg.h>

#include "qe_board_read.h"

#define S UINT64_C(1000000000)
#define MEBIBYTE ((size_t) 1 << 20)

struct world {
    struct redis_world *w;
    qe__redis *redis;
    qe__board *board;
    qe__board_news news;
    qe__reader *reader;
};

static qe__board *board_of(struct world *x, const char *project,
                           const char *run, const char *node)
{
    qe__board_options options = {.prefix = "qe",
                                 .project = project,
                                 .run = run,
                                 .node = node,
                                 .workers = 3,
                                 .lease_ms = 60000,
                                 .kept_s = 3600,
                                 .timeout_ns = 60 * S};
    qe__board *b;

    assert_int_equal(qe__board_open(&b, &options), 0);
    qe__board_use(b, x->redis);
    return b;
}

/* A plan of `entries` entries of `each` units, open to all. */
static void lay(qe__board *b, uint32_t entries, uint32_t each)
{
    uint32_t count = entries * each;
    const char **ids = calloc(count + 1, sizeof(*ids));
    qe__entry *all = calloc(entries + 1, sizeof(*all));
    qe__board_news news;

    for (uint32_t i = 0; i < count; i++) {
        char *id = malloc(16);

        snprintf(id, 16, "id %u", i);
        ids[i] = id;
    }
    for (uint32_t i = 0; i < entries; i++) {
        all[i].first = i * each;
        all[i].count = each;
    }
    assert_int_equal(qe__board_join(b, "d", count, &news), 0);
    assert_int_equal(qe__board_lay(b, ids, count, all, entries, 0, &news), 0);
    for (uint32_t i = 0; i < count; i++)
        free((void *) ids[i]);
    free(ids);
    free(all);
}

static struct world begin(struct redis_world *w)
{
    struct world x = {.w = w};
    char text[QE__REDIS_TEXT];

    redis_start(w);
    assert_int_equal(redis_open(w, redis_url(w, false, ""), &x.redis, text), 0);
    x.board = board_of(&x, "p", "1", "a");
    x.reader = redis_reader(w, "p");
    return x;
}

static void end(struct world *x)
{
    qe__reader_close(x->reader);
    qe__board_close(x->board);
    qe__redis_close(x->redis);
}

/* A command of words, as somebody else might send it. */
static void order(struct world *x, const char *first, ...)
{
    const char *words[16] = {first};
    redisReply *reply;
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
    freeReplyObject(reply);
}

static void claim(struct world *x, qe__board *b, uint32_t waiting,
                  qe__entry *out)
{
    qe__share_want want = {.entries = 1};
    uint32_t got;

    assert_int_equal(qe__board_claim(b, &want, waiting, out, &got, &x->news),
                     0);
    assert_int_equal(got, 1);
}

static void tell_all(struct world *x, qe__told *told, uint32_t n)
{
    static uint64_t number;

    assert_int_equal(
        qe__board_tell(x->board, "abc", ++number, told, n, &x->news), 0);
}

static void tell(struct world *x, const qe__entry *e, uint32_t unit,
                 enum qe_outcome outcome, const char *payload)
{
    qe__told told = {.entry = e->id,
                     .unit = unit,
                     .attempt = e->attempt,
                     .outcome = outcome,
                     .failed = outcome == QE_FAILED,
                     .payload = payload,
                     .size = payload == NULL ? 0 : strlen(payload)};

    tell_all(x, &told, 1);
}

static void a_status_says_what_there_is_and_who_has_it(void **state)
{
    struct world x = begin(*state);
    qe__run_status s;
    qe__board *b = board_of(&x, "p", "1", "b");
    qe__entry e[2];
    uint64_t counts[QE_OUTCOME_COUNT], odd;

    lay(x.board, 3, 2);
    claim(&x, b, 2, e);
    claim(&x, x.board, 0, e);
    tell(&x, e, e->first, QE_PASSED, "{}");
    tell(&x, e, e->first + 1, QE_FAILED, "{}");
    assert_int_equal(qe__reader_status(x.reader, "1", &s), 0);
    assert_int_equal(s.state, QE__BOARD_OPEN);
    assert_int_equal(s.units, 6);
    assert_int_equal(s.left, 4);
    assert_int_equal(s.failures, 1);
    assert_int_equal(s.open, 1);
    assert_int_equal(s.claimed, 2);
    assert_int_equal(s.attempts, 2);
    assert_string_equal(s.laid_by, "a");
    assert_int_equal(s.node_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const qe__run_node *n = &s.nodes[i];

        assert_true(n->known);
        assert_int_equal(n->workers, 3);
        assert_int_equal(n->claimed, 1);
        assert_int_equal(n->waiting, strcmp(n->name, "b") == 0 ? 2 : 0);
        assert_true(n->age_ms < 60000);
    }
    qe__run_status_free(&s);
    assert_int_equal(qe__reader_outcomes(x.reader, "1", 6, counts, &odd), 0);
    assert_int_equal(counts[QE_PASSED], 1);
    assert_int_equal(counts[QE_FAILED], 1);
    assert_int_equal(counts[QE_NONE], 4);
    assert_int_equal(odd, 0);
    assert_true(s.idle_ms < 60000);
    /* Looking is no beat: there are no more nodes than before. */
    assert_int_equal(qe__reader_status(x.reader, "1", &s), 0);
    assert_int_equal(s.node_count, 2);
    qe__run_status_free(&s);
    qe__board_close(b);
    end(&x);
}

struct seen {
    uint32_t count, next;
    size_t bytes;
    char first[64], last[64];
    uint32_t outcomes[QE_OUTCOME_COUNT];
    bool late;
};

static int see_unit(void *arg, uint32_t place, const char *id, size_t size,
                    enum qe_outcome outcome)
{
    struct seen *s = arg;

    assert_int_equal(place, s->next++);
    snprintf(s->count == 0 ? s->first : s->last, 64, "%.*s", (int) size, id);
    s->outcomes[outcome]++;
    s->count++;
    return 0;
}

static int see_try(void *arg, const qe__try *one)
{
    struct seen *s = arg;

    assert_string_equal(one->node, "a");
    assert_int_equal(one->unit, s->next++);
    s->count++;
    s->bytes += one->size;
    s->late = one->late;
    s->outcomes[one->outcome]++;
    return 0;
}

static void units_come_in_pieces_with_their_outcomes(void **state)
{
    struct world x = begin(*state);
    struct seen s = {0};
    qe__entry e[1];
    uint32_t got;

    lay(x.board, 1, 25);
    claim(&x, x.board, 0, e);
    tell(&x, e, 3, QE_SKIPPED, NULL);
    tell(&x, e, 24, QE_TIMEOUT, NULL);
    assert_int_equal(qe__reader_units(x.reader, "1", 0, 10, see_unit, &s, &got),
                     0);
    assert_int_equal(got, 10);
    assert_string_equal(s.first, "id 0");
    assert_int_equal(s.outcomes[QE_SKIPPED], 1);
    assert_int_equal(
        qe__reader_units(x.reader, "1", 10, 10000, see_unit, &s, &got), 0);
    assert_int_equal(got, 15);
    assert_string_equal(s.last, "id 24");
    assert_int_equal(s.outcomes[QE_TIMEOUT], 1);
    assert_int_equal(s.outcomes[QE_NONE], 23);
    assert_int_equal(
        qe__reader_units(x.reader, "1", 25, 10, see_unit, &s, &got), 0);
    assert_int_equal(got, 0);
    end(&x);
}

static void attempts_come_in_pieces_however_large_they_are(void **state)
{
    enum { SMALL = 3000, LARGE = 80 };
    struct world x = begin(*state);
    struct seen s = {0};
    char *payload = malloc(MEBIBYTE + 1);
    char after[QE__ENTRY_ID] = "";
    uint32_t pieces = 0, got;
    qe__entry e[1];

    memset(payload, 'x', MEBIBYTE);
    payload[MEBIBYTE] = '\0';
    lay(x.board, 1, SMALL + LARGE);
    claim(&x, x.board, 0, e);
    for (uint32_t at = 0; at < SMALL; at += 500) {
        static qe__told told[500];

        for (uint32_t i = 0; i < 500; i++)
            told[i] = (qe__told){.entry = e->id,
                                 .unit = at + i,
                                 .attempt = 1,
                                 .outcome = QE_PASSED,
                                 .payload = "{}",
                                 .size = 2};
        tell_all(&x, told, 500);
    }
    for (uint32_t i = 0; i < LARGE; i++)
        tell(&x, e, SMALL + i, QE_PASSED, payload);
    do {
        assert_int_equal(qe__reader_tries(x.reader, "1", SMALL + LARGE, after,
                                          see_try, &s, &got),
                         0);
        pieces++;
    } while (got > 0);
    assert_int_equal(s.count, SMALL + LARGE);
    assert_int_equal(s.bytes, 2 * SMALL + LARGE * MEBIBYTE);
    assert_false(s.late);
    assert_true(pieces > 3 && pieces < 100);
    free(payload);
    end(&x);
}

static int refuse(void *arg, const qe__try *one)
{
    (void) one;
    ++*(int *) arg;
    return QE_EBUSY;
}

static void who_reads_may_end_it(void **state)
{
    struct world x = begin(*state);
    char after[QE__ENTRY_ID] = "";
    uint32_t got;
    int calls = 0;
    qe__entry e[1];

    lay(x.board, 1, 2);
    claim(&x, x.board, 0, e);
    tell(&x, e, 0, QE_PASSED, "{}");
    tell(&x, e, 1, QE_PASSED, "{}");
    assert_int_equal(
        qe__reader_tries(x.reader, "1", 2, after, refuse, &calls, &got),
        QE_EBUSY);
    assert_int_equal(calls, 1);
    end(&x);
}

static void a_run_that_there_is_not_is_not_found(void **state)
{
    struct world x = begin(*state);
    enum qe__board_state was;
    qe__run_status s;
    uint64_t keys;
    const char *runs[] = {"1"};

    assert_int_equal(qe__reader_status(x.reader, "1", &s), QE_ENOTFOUND);
    assert_string_equal(qe__reader_text(x.reader), "there is no run 1");
    assert_int_equal(qe__reader_stop(x.reader, "1", &was), QE_ENOTFOUND);
    assert_int_equal(qe__reader_delete(x.reader, runs, 1, &keys), 0);
    assert_int_equal(keys, 0);
    end(&x);
}

static void names_that_would_be_other_keys_are_refused(void **state)
{
    struct world x = begin(*state);
    char text[QE__READER_TEXT], name[400];
    qe__redis_address address;
    qe__run_status s;
    qe__reader *r;

    memset(name, 'x', sizeof(name));
    name[399] = '\0';
    assert_null(qe__board_names("qe", "p.q-r", "a/b c:1"));
    assert_non_null(qe__board_names("", "p", "1"));
    assert_non_null(qe__board_names("qe{", "p", "1"));
    assert_non_null(qe__board_names("qe", "p/q", "1"));
    assert_non_null(qe__board_names("qe", name, "1"));
    assert_non_null(qe__board_names("qe", "p", ""));
    assert_non_null(qe__board_names("qe", "p", "1}:plan"));
    assert_non_null(qe__board_names("qe", "p", "1\n"));
    assert_non_null(qe__board_names("qe", "p", name));
    assert_int_equal(qe__redis_parse(redis_url(x.w, false, ""), &address, text),
                     0);
    assert_int_equal(qe__reader_open(&r, &address, "qe", "p/q", 60 * S, text),
                     QE_EINVAL);
    assert_non_null(strstr(text, "slash"));
    assert_null(r);
    assert_int_equal(qe__reader_status(x.reader, "1}", &s), QE_EINVAL);
    end(&x);
}

static void runs_of_other_projects_are_neither_seen_nor_deleted(void **state)
{
    struct world x = begin(*state);
    qe__board *more[] = {
        board_of(&x, "p", "10", "a"), board_of(&x, "p*", "1", "a"),
        board_of(&x, "other", "1", "a"), board_of(&x, "p", "z/1 x", "a")};
    qe__reader *star = redis_reader(x.w, "p*");
    const char *doomed[] = {"1", "z/1 x"};
    qe__run_status s;
    uint64_t keys;
    char **runs;
    uint32_t n;

    lay(x.board, 1, 1);
    for (size_t i = 0; i < 4; i++)
        lay(more[i], 1, 1);
    order(&x, "SET", "qe:{p/1}:name:db", "a", NULL);
    order(&x, "SET", "qe:{p/1}:name:x}:plan", "a", NULL);
    order(&x, "SET", "unrelated", "a", NULL);
    assert_int_equal(qe__reader_runs(x.reader, &runs, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(runs[0], "1");
    assert_string_equal(runs[1], "10");
    assert_string_equal(runs[2], "z/1 x");
    qe__runs_free(runs, n);
    assert_int_equal(qe__reader_runs(star, &runs, &n), 0);
    assert_int_equal(n, 1);
    qe__runs_free(runs, n);

    assert_int_equal(qe__reader_delete(x.reader, doomed, 2, &keys), 0);
    assert_true(keys >= 2 * 4 + 2);
    assert_int_equal(qe__reader_runs(x.reader, &runs, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(runs[0], "10");
    qe__runs_free(runs, n);
    assert_int_equal(qe__reader_status(star, "1", &s), 0);
    qe__run_status_free(&s);
    order(&x, "GET", "unrelated", NULL);
    for (size_t i = 0; i < 4; i++)
        qe__board_close(more[i]);
    qe__reader_close(star);
    end(&x);
}

static void an_abort_stops_what_is_open_and_nothing_else(void **state)
{
    struct world x = begin(*state);
    qe__share_want want = {.entries = 1};
    enum qe__board_state was;
    qe__entry e[1];
    uint32_t got;

    lay(x.board, 2, 1);
    assert_int_equal(qe__reader_stop(x.reader, "1", &was), 0);
    assert_int_equal(was, QE__BOARD_OPEN);
    assert_int_equal(qe__board_claim(x.board, &want, 0, e, &got, &x.news), 0);
    assert_int_equal(got, 0);
    assert_int_equal(x.news.state, QE__BOARD_STOPPED);
    order(&x, "HSET", "qe:{p/1}:plan", "state", "over", NULL);
    assert_int_equal(qe__reader_stop(x.reader, "1", &was), 0);
    assert_int_equal(was, QE__BOARD_OVER);
    assert_int_equal(qe__reader_stop(x.reader, "1", &was), 0);
    assert_int_equal(was, QE__BOARD_OVER);
    end(&x);
}

/* What each read says: the first that is not well. */
static int read_all(struct world *x)
{
    struct seen s = {0};
    qe__run_status status;
    char after[QE__ENTRY_ID] = "";
    uint64_t counts[QE_OUTCOME_COUNT], odd;
    uint32_t got, units;
    int found = qe__reader_status(x->reader, "1", &status);

    if (found != 0)
        return found;
    units = status.units;
    qe__run_status_free(&status);
    found = qe__reader_outcomes(x->reader, "1", units, counts, &odd);
    if (found == 0)
        found = qe__reader_units(x->reader, "1", 0, 100, see_unit, &s, &got);
    s.next = 0;
    return found != 0 ? found
                      : qe__reader_tries(x->reader, "1", units, after, see_try,
                                         &s, &got);
}

static void hostile_values_are_a_line_and_never_believed(void **state)
{
    static const char *const orders[][8] = {
        {"HSET", "qe:{p/1}:plan", "state", "gone"},
        {"HSET", "qe:{p/1}:plan", "state", "open\x1b[2J"},
        {"HSET", "qe:{p/1}:plan", "count", "-1"},
        {"HSET", "qe:{p/1}:plan", "count", "99999999999"},
        {"HSET", "qe:{p/1}:plan", "count", "2e9"},
        {"HSET", "qe:{p/1}:plan", "left", "7"},
        {"HSET", "qe:{p/1}:plan", "at", "99999999999999999999999"},
        {"HDEL", "qe:{p/1}:plan", "count"},
        {"HSET", "qe:{p/1}:plan", "by",
         "a name of a node that is far longer than any of ours could ever be"},
        {"HSET", "qe:{p/1}:plan", "failures", "many"},
        {"SET", "qe:{p/1}:plan", "a string"},
        {"SET", "qe:{p/1}:work", "a string"},
        {"SET", "qe:{p/1}:serial", "a string"},
        {"SET", "qe:{p/1}:nodes", "a string"},
        {"SET", "qe:{p/1}:out", "a string"},
        {"SET", "qe:{p/1}:ids", "a string"},
        {"SET", "qe:{p/1}:tries", "a string"},
        {"HSET", "qe:{p/1}:nodes", "x", "1 2"},
        {"HSET", "qe:{p/1}:nodes", "x", "1 2 -3"},
        {"HSET", "qe:{p/1}:nodes", "x", "1 2 3 4"},
        {"HSET", "qe:{p/1}:nodes", "x", "999999999999999999999 2 3"},
        {"HSET", "qe:{p/1}:nodes", "x\ny", "1 2 3"},
        {"HSET", "qe:{p/1}:out", "0", "0"},
        {"HSET", "qe:{p/1}:out", "0", "8"},
        {"HSET", "qe:{p/1}:out", "0", "passed"},
        {"XADD", "qe:{p/1}:tries", "*", "u", "0"},
        {"XADD", "qe:{p/1}:tries", "*", "of", "nothing", "we", "know"},
    };

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct world x;
        redisReply *reply;
        int n = 0;

        if (i > 0)
            redis_kill(*state);
        x = begin(*state);
        lay(x.board, 2, 2);
        while (n < 8 && orders[i][n] != NULL)
            n++;
        assert_int_equal(qe__redis_add(x.redis, n, orders[i], NULL), 0);
        assert_int_equal(qe__redis_reply(x.redis, qe_now_ns() + 60 * S, &reply),
                         0);
        assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
        freeReplyObject(reply);
        if (read_all(&x) != QE_EFORMAT)
            fail_msg("%s %s %s: believed", orders[i][0], orders[i][1],
                     orders[i][2]);
        assert_non_null(strstr(qe__reader_text(x.reader), "is no run of ours"));
        assert_null(strpbrk(qe__reader_text(x.reader), "\n\x1b"));
        end(&x);
    }
}

static void
attempts_of_other_units_or_with_odd_numbers_are_refused(void **state)
{
    static const char *const values[][4] = {
        {"4", "1", "1", "a"}, {"-1", "1", "1", "a"}, {"0", "99999", "1", "a"},
        {"0", "1", "8", "a"}, {"0", "1", "x", "a"},  {"0", "1", "1", "a\x07"},
        {"", "1", "1", "a"},  {"0", "1", "1", "a"},
    };
    struct world x = begin(*state);
    char after[QE__ENTRY_ID];
    uint32_t got;

    lay(x.board, 2, 2);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct seen s = {0};
        bool good = i == sizeof(values) / sizeof(values[0]) - 1;

        order(&x, "DEL", "qe:{p/1}:tries", NULL);
        order(&x, "XADD", "qe:{p/1}:tries", "*", "u", values[i][0], "a",
              values[i][1], "o", values[i][2], "n", values[i][3], "p", "",
              NULL);
        after[0] = '\0';
        assert_int_equal(
            qe__reader_tries(x.reader, "1", 4, after, see_try, &s, &got),
            good ? 0 : QE_EFORMAT);
    }
    end(&x);
}

static void outcomes_of_units_that_there_are_not_are_counted(void **state)
{
    struct world x = begin(*state);
    uint64_t counts[QE_OUTCOME_COUNT], odd;

    lay(x.board, 2, 2);
    order(&x, "HSET", "qe:{p/1}:out", "77", "1", "x", "1", "0", "1", NULL);
    assert_int_equal(qe__reader_outcomes(x.reader, "1", 4, counts, &odd), 0);
    assert_int_equal(odd, 2);
    assert_int_equal(counts[QE_PASSED], 1);
    end(&x);
}

static void what_the_server_forbids_is_its_own_words(void **state)
{
    struct world x = begin(*state);
    qe__redis_address address;
    qe__run_status s;
    qe__reader *r;
    char text[QE__READER_TEXT];

    lay(x.board, 1, 1);
    order(&x, "ACL", "SETUSER", "mine", "on", ">word", "+@all", "~qe:{mine/*",
          NULL);
    assert_int_equal(
        qe__redis_parse(redis_url(x.w, false, "mine:word@"), &address, text),
        0);
    assert_int_equal(qe__reader_open(&r, &address, "qe", "p", 60 * S, text), 0);
    assert_int_equal(qe__reader_status(r, "1", &s), QE_EUNSUPPORTED);
    assert_non_null(strstr(qe__reader_text(r), "NOPERM"));
    qe__reader_close(r);
    end(&x);
}

static void a_server_that_has_gone_is_gone(void **state)
{
    struct world x = begin(*state);
    qe__run_status s;
    char **runs;
    uint32_t n;

    redis_kill(x.w);
    assert_int_equal(qe__reader_status(x.reader, "1", &s), QE_EGONE);
    assert_int_equal(qe__reader_runs(x.reader, &runs, &n), QE_EGONE);
    assert_true(qe__reader_text(x.reader)[0] != '\0');
    end(&x);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_status_says_what_there_is_and_who_has_it),
        TEST(units_come_in_pieces_with_their_outcomes),
        TEST(attempts_come_in_pieces_however_large_they_are),
        TEST(who_reads_may_end_it),
        TEST(a_run_that_there_is_not_is_not_found),
        TEST(names_that_would_be_other_keys_are_refused),
        TEST(runs_of_other_projects_are_neither_seen_nor_deleted),
        TEST(an_abort_stops_what_is_open_and_nothing_else),
        TEST(hostile_values_are_a_line_and_never_believed),
        TEST(attempts_of_other_units_or_with_odd_numbers_are_refused),
        TEST(outcomes_of_units_that_there_are_not_are_counted),
        TEST(what_the_server_forbids_is_its_own_words),
        TEST(a_server_that_has_gone_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
