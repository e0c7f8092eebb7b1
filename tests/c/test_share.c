/* How a run is shared: what its plan is cut into, what a node asks for and gives back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fault.h"
#include "qe_share.h"
#include "qe_util.h"

#define UNITS_MAX 4096u

struct laid {
    qe_queue_unit units[UNITS_MAX];
    uint32_t count;
    qe__share_piece *pieces;
    uint32_t n;
};

/* Words as "a3T:10": scope a, three units of it, TOGETHER, each expected to take 10 ms (without: unknown).
 * Flags: S(erial), T(ogether), F(resh), B(efore others). A scope of '-' is its unit's own. */
static void units_of(struct laid *l, const char *words)
{
    uint32_t own = 1000;

    memset(l, 0, sizeof(*l));
    for (const char *at = words; *at != '\0';) {
        char *end;
        char scope = *at++;
        unsigned long n = strtoul(at, &end, 10);
        qe_queue_unit unit = {.id = "x"};

        for (at = end; *at >= 'A' && *at <= 'Z'; at++) {
            unit.flags |= *at == 'S'   ? QE_UNIT_SERIAL
                          : *at == 'T' ? QE_UNIT_TOGETHER
                          : *at == 'B' ? QE_UNIT_FIRST
                                       : QE_UNIT_FRESH;
        }
        if (*at == ':') {
            unit.expected_ns = strtoul(at + 1, &end, 10) * QE__MS;
            at = end;
        }
        for (; n > 0; n--) {
            unit.scope = scope == '-' ? own++ : (uint32_t) scope;
            assert_true(l->count < UNITS_MAX);
            l->units[l->count++] = unit;
        }
        at += *at == ' ';
    }
}

static struct laid *laid(const char *words)
{
    static struct laid l;

    units_of(&l, words);
    assert_int_equal(qe__share_lay(l.units, l.count, &l.pieces, &l.n), 0);
    return &l;
}

/* The first pieces as text, as many as are wanted: "first+count", '!' behind one that is alone. */
static void expect_pieces(const char *words, const char *wanted)
{
    struct laid *l = laid(words);
    char got[512] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < l->n && used < strlen(wanted); i++) {
        used += (size_t) snprintf(got + used, sizeof(got) - used, "%s%u+%u%s",
                                  i > 0 ? " " : "", l->pieces[i].first,
                                  l->pieces[i].count,
                                  l->pieces[i].alone ? "!" : "");
    }
    assert_string_equal(got, wanted);
    free(l->pieces);
}

static void scopes_are_whole_and_the_longest_come_first(void **state)
{
    (void) state;
    expect_pieces("-400:10 a4:10 b4:20 c3:30 d2:46", "411+2 408+3 404+4 400+4");
    expect_pieces("-400:10 a4:10 b4:10", "400+4 404+4"); /* ties: as they lie */
}

static void what_is_before_others_is_laid_before_them(void **state)
{
    (void) state;
    expect_pieces("-400:10 a4:10 b2B:1", "404+2 400+4");
}

static void a_long_scope_is_cut(void **state)
{
    (void) state;
    /* 1600 ms in all: 200 at once, and what is longer than 50 is by itself. */
    expect_pieces("a20:20 -120:10", "0+10 10+10 20+1");
    expect_pieces("a2:20 a1:90 a18:20 -111:10", "3+10 13+8 2+1 0+2 21+1");
}

/* Long is what takes longer than the setup of a scope, whatever else there is. */
static void a_long_unit_is_by_itself(void **state)
{
    (void) state;
    expect_pieces("a2:100 a1:4001 a3:100 c400T:1000", "6+400 2+1 3+3 0+2");
    expect_pieces("a2:100 a1:4000 a3:100 c400T:1000", "6+400 0+6");
}

static void what_stays_together_is_never_cut(void **state)
{
    (void) state;
    expect_pieces("a10T:20 a10:20 -10:10", "0+20");
    expect_pieces("a10:20 a10F:20 -10:10", "0+20");
}

static void serial_units_come_last_one_by_one(void **state)
{
    (void) state;
    expect_pieces("a2S:900 b1:5 b1S:5 b2T:5 c1:5",
                  "4+2 2+1 6+1 0+1! 1+1! 3+1!");
    expect_pieces("a2S:900 b1:5", "2+1 0+1! 1+1!");
}

static void a_fresh_scope_with_a_serial_unit_is_alone_as_a_whole(void **state)
{
    (void) state;
    expect_pieces("a2F:10 a1S:10 b1:1", "3+1 0+3!");
}

static void short_scopes_are_claimed_together(void **state)
{
    (void) state;
    /* 51.2 s in all: up to 100 ms at once. */
    expect_pieces("c1:47200 -400:10", "0+1 1+10 11+10 21+10");
    /* Not those that stay together, nor with those that come before others. */
    expect_pieces("c1:47200 -4T:10 -396:10", "0+1 5+10");
    expect_pieces("c1:47200 -4B:10 -396:10", "1+4 0+1 5+10");
    expect_pieces("c1:47200 -4:10 a1S:10 -395:10", "0+1 6+10");
}

static void an_unknown_unit_counts_as_the_median(void **state)
{
    struct laid *l = laid("a1:10 -1 b1:30 c1:1000 -1 -1:20");

    (void) state;
    assert_int_equal(l->n, 6);
    assert_int_equal(l->pieces[0].first, 3);
    assert_int_equal(l->pieces[1].first, 2);
    assert_int_equal(l->pieces[2].first, 1);
    assert_int_equal(l->pieces[2].expected_ns, 25 * QE__MS);
    assert_int_equal(l->pieces[3].first, 4);
    free(l->pieces);
}

static void without_durations_units_are_counted(void **state)
{
    struct laid *l = laid("-100 a6 b3 -55");

    (void) state;
    assert_int_equal(l->pieces[0].first, 100);
    assert_int_equal(l->pieces[0].count, 6);
    assert_int_equal(l->pieces[0].expected_ns, 0);
    assert_int_equal(l->pieces[1].count, 3);
    free(l->pieces);
}

static void an_empty_plan_has_no_pieces(void **state)
{
    struct laid *l = laid("");

    (void) state;
    assert_int_equal(l->n, 0);
    assert_null(l->pieces);
}

/* Durations come from a server: whatever they say, each unit is in one piece, whole scopes in one. */
static void every_unit_is_in_one_piece(void **state)
{
    static struct laid l;
    static uint8_t seen[UNITS_MAX];

    (void) state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed;
        uint32_t scope = 0;

        memset(&l, 0, sizeof(l));
        memset(seen, 0, sizeof(seen));
        l.count = (uint32_t) (qe__random(&random) % 300);
        for (uint32_t i = 0; i < l.count; i++) {
            uint64_t kind = qe__random(&random) % 64;

            scope += qe__random(&random) % (1 + seed % 20) == 0;
            l.units[i].scope = scope;
            l.units[i].flags = kind < 5 ? 1u << kind : 0;
            l.units[i].expected_ns = kind % 4 == 0 ? 0
                                     : kind == 63
                                         ? UINT64_MAX
                                         : qe__random(&random) >> (kind % 60);
        }
        assert_int_equal(qe__share_lay(l.units, l.count, &l.pieces, &l.n), 0);
        for (uint32_t i = 0; i < l.n; i++) {
            const qe__share_piece *p = &l.pieces[i];

            assert_true(p->count > 0 && p->first < l.count &&
                        p->count <= l.count - p->first);
            assert_true(i == 0 || p->alone || !l.pieces[i - 1].alone);
            for (uint32_t u = p->first; u < p->first + p->count; u++) {
                assert_int_equal(seen[u]++, 0);
            }
        }
        for (uint32_t u = 0; u < l.count; u++) {
            assert_int_equal(seen[u], 1);
        }
        free(l.pieces);
    }
}

static int lay_once(void *context)
{
    struct laid *l = context;
    int status = qe__share_lay(l->units, l->count, &l->pieces, &l->n);

    free(l->pieces);
    return status;
}

static void memory_may_run_out(void **state)
{
    static struct laid l;

    (void) state;
    units_of(&l, "a3:10 -4 b2S:1");
    assert_true(alloc_fault_sweep(lay_once, &l) > 0);
}

/* ------------------------------------------------------------------- asking */

/* One worker of eight, in the middle of a run. */
static qe__share_view view(void)
{
    return (qe__share_view){.workers = 1,
                            .trip_ns = 5 * QE__MS,
                            .unit_ns = 100 * QE__MS,
                            .entry_ns = 200 * QE__MS,
                            .left = 10000,
                            .open = 1000,
                            .all = 8};
}

static void a_node_with_enough_asks_for_nothing(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.units = 3;
    v.held_ns = 300 * QE__MS;
    assert_int_equal(qe__share_ask(&v).entries, 0);
    v.held_ns = 40 * QE__MS;
    assert_int_equal(qe__share_ask(&v).entries, 1);
    v.trip_ns = 200 * QE__MS;
    v.held_ns = 790 * QE__MS;
    assert_int_equal(qe__share_ask(&v).entries, 1);
    v.held_ns = 810 * QE__MS;
    assert_int_equal(qe__share_ask(&v).entries, 0);
}

static void short_entries_are_claimed_several_at_once(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.entry_ns = v.unit_ns = QE__MS;
    v.trip_ns = 50 * QE__MS;
    assert_int_equal(qe__share_ask(&v).entries, 62); /* its share, not 200 */
    v.open = 10000;
    assert_int_equal(qe__share_ask(&v).entries, 200);
    v.held_ns = 60 * QE__MS;
    v.units = 60;
    assert_int_equal(qe__share_ask(&v).entries, 140);
}

static void the_chunks_fall_towards_one(void **state)
{
    qe__share_view v = view();
    uint32_t last = UINT32_MAX;

    (void) state;
    v.entry_ns = v.unit_ns = QE__MS;
    v.trip_ns = 500 * QE__MS;
    for (v.open = v.left = 4096; v.open > 0; v.open /= 2, v.left /= 2) {
        qe__share_want want = qe__share_ask(&v);

        assert_true(want.entries >= 1 && want.entries <= last);
        assert_true(want.units >= want.entries);
        last = want.entries;
    }
    assert_int_equal(last, 1);
}

static void idle_workers_ask_whatever_is_known(void **state)
{
    qe__share_view v = {.workers = 4, .idle = 4};
    qe__share_want want = qe__share_ask(&v);

    (void) state;
    assert_int_equal(want.entries, 4);
    assert_true(want.units >= 4);
    assert_true(want.pause_ns > 0);
    v.units = 3; /* about to begin */
    v.all = 64;
    assert_int_equal(qe__share_ask(&v).entries, 1);
}

static void what_others_wait_for_is_theirs(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.open = 3;
    v.waiting = 2;
    assert_int_equal(qe__share_ask(&v).entries, 1);
    v.waiting = 3;
    assert_int_equal(qe__share_ask(&v).entries, 0);
    v.open = 0;
    v.waiting = 0;
    assert_int_equal(qe__share_ask(&v).entries, 0);
    v.idle = 1;
    assert_int_equal(qe__share_ask(&v).entries, 1);
}

static void many_who_wait_ask_less_often(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.idle = v.waiting = 1;
    assert_int_equal(qe__share_ask(&v).pause_ns, 20 * QE__MS);
    v.left =
        v.all - v.waiting; /* one for each who is busy: nothing to wait for */
    assert_int_equal(qe__share_ask(&v).pause_ns, 500 * QE__MS);
    v.left = 1000;
    v.waiting = 256;
    v.all = 300;
    assert_int_equal(qe__share_ask(&v).pause_ns, 128 * QE__MS);
    v.waiting = UINT32_MAX;
    assert_int_equal(qe__share_ask(&v).pause_ns, 500 * QE__MS);
}

/* ------------------------------------------------------------- giving back */

static void half_goes_to_those_who_wait(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.open = 0;
    v.waiting = 1;
    v.units = 10;
    v.held_ns = 1000 * QE__MS;
    assert_int_equal(qe__share_back(&v), 5);
    v.units = 1;
    assert_int_equal(qe__share_back(&v), 1);
    v.units = 0;
    v.held_ns = 0;
    assert_int_equal(qe__share_back(&v), 0);
}

static void nothing_goes_back_where_nobody_needs_it(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.open = 0;
    v.units = 10;
    v.held_ns = 1000 * QE__MS;
    assert_int_equal(qe__share_back(&v), 0);
    v.waiting = 2;
    v.open = 2; /* they will find these */
    assert_int_equal(qe__share_back(&v), 0);
    v.open = 1;
    assert_int_equal(qe__share_back(&v), 5);
    v.idle = 2; /* who waits are we */
    assert_int_equal(qe__share_back(&v), 0);
}

static void what_begins_here_sooner_stays(void **state)
{
    qe__share_view v = view();

    (void) state;
    v.open = 0;
    v.waiting = 1;
    v.units = 2;
    v.held_ns = 8 * QE__MS;
    assert_int_equal(qe__share_back(&v), 0);
    v.quiet_ns = 30 * QE__MS; /* behind a unit that is long */
    assert_int_equal(qe__share_back(&v), 1);
    v.quiet_ns = 0;
    v.held_ns = 0; /* who knows */
    assert_int_equal(qe__share_back(&v), 1);
}

static void numbers_of_a_server_may_be_anything(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        uint64_t random = seed;
        qe__share_view v = {0};
        qe__share_want want;

        v.workers = 1 + (uint32_t) (qe__random(&random) % 300);
        v.idle = (uint32_t) (qe__random(&random) % (v.workers + 1));
        v.units = (uint32_t) (qe__random(&random) >> (32 + seed % 32));
        v.held_ns = qe__random(&random) >> (seed % 64);
        v.trip_ns = qe__random(&random) >> (seed % 63);
        v.unit_ns = qe__random(&random) >> (seed % 61);
        v.entry_ns = qe__random(&random) >> (seed % 59);
        v.quiet_ns = qe__random(&random) >> (seed % 57);
        v.left = qe__random(&random) >> (seed % 53);
        v.open = qe__random(&random) >> (seed % 51);
        v.all = (uint32_t) (qe__random(&random) >> (32 + seed % 31));
        v.waiting = (uint32_t) (qe__random(&random) >> (32 + seed % 29));
        want = qe__share_ask(&v);
        assert_true(want.entries > 0 || v.idle <= v.units);
        assert_true(want.pause_ns > 0 && want.pause_ns <= 500 * QE__MS);
        assert_true(qe__share_back(&v) <= v.units);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_are_whole_and_the_longest_come_first),
        cmocka_unit_test(what_is_before_others_is_laid_before_them),
        cmocka_unit_test(a_long_scope_is_cut),
        cmocka_unit_test(a_long_unit_is_by_itself),
        cmocka_unit_test(what_stays_together_is_never_cut),
        cmocka_unit_test(serial_units_come_last_one_by_one),
        cmocka_unit_test(a_fresh_scope_with_a_serial_unit_is_alone_as_a_whole),
        cmocka_unit_test(short_scopes_are_claimed_together),
        cmocka_unit_test(an_unknown_unit_counts_as_the_median),
        cmocka_unit_test(without_durations_units_are_counted),
        cmocka_unit_test(an_empty_plan_has_no_pieces),
        cmocka_unit_test(every_unit_is_in_one_piece),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(a_node_with_enough_asks_for_nothing),
        cmocka_unit_test(short_entries_are_claimed_several_at_once),
        cmocka_unit_test(the_chunks_fall_towards_one),
        cmocka_unit_test(idle_workers_ask_whatever_is_known),
        cmocka_unit_test(what_others_wait_for_is_theirs),
        cmocka_unit_test(many_who_wait_ask_less_often),
        cmocka_unit_test(half_goes_to_those_who_wait),
        cmocka_unit_test(nothing_goes_back_where_nobody_needs_it),
        cmocka_unit_test(what_begins_here_sooner_stays),
        cmocka_unit_test(numbers_of_a_server_may_be_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
