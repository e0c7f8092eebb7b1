/* What is to run again, on a real server: before what nobody has had, and on another node. */
#include "board_world.h"

/* Two nodes of a run of so many units, which the first has laid. */
static void meet(struct redis_world *w, struct node *a, struct node *b,
                 uint32_t units)
{
    redis_start(w);
    *a = come(w, "a");
    *b = come(w, "b");
    lay(a, units, 1, 0);
    assert_int_equal(qe__board_join(b->board, "d", units, &b->news), 0);
}

/* All of a plan's entries, each told to run again. */
static void fail_all(struct node *n, uint32_t entries)
{
    qe__entry e;

    for (uint32_t i = 0; i < entries; i++) {
        assert_int_equal(claim(n, 1, &e), 1);
        assert_false(tell(n, &e, e.first, QE_NONE, true));
    }
}

static void it_comes_before_what_nobody_has_had(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e[4];

    meet(w, &a, &b, 4);
    fail_all(&a, 2);
    assert_int_equal(a.news.open, 4);
    /* Not where it failed, while another is there. */
    assert_int_equal(claim(&a, 1, e), 1);
    assert_int_equal(e[0].first, 2);
    assert_int_equal(e[0].attempt, 1);
    assert_int_equal(claim(&b, 3, e + 1), 3);
    assert_int_equal(e[1].first, 0);
    assert_int_equal(e[1].attempt, 2);
    assert_string_equal(e[1].not_on, "a");
    assert_true(e[1].expected_ns == S);
    assert_int_equal(e[2].first, 1);
    assert_int_equal(e[3].first, 3);
    assert_int_equal(e[3].attempt, 1);
    assert_int_equal(b.news.open, 0);
    assert_true(tell(&b, &e[1], 0, QE_FLAKY, true));
    assert_false(tell(&b, &e[2], 1, QE_NONE, true)); /* and a third time */
    assert_true(tell(&b, &e[3], 3, QE_PASSED, true));
    assert_int_equal(claim(&b, 1, e + 1), 0);
    assert_int_equal(claim(&a, 1, e + 1), 1);
    assert_int_equal(e[1].attempt, 3);
    assert_true(tell(&a, &e[1], 1, QE_FAILED, true));
    assert_true(tell(&a, &e[0], 2, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
    leave(&b);
}

/* However many of them a node has failed itself, it finds the rest. */
static void what_failed_here_is_not_in_the_way(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e[200];
    uint32_t got, all = 0;

    meet(w, &a, &b, 101);
    fail_all(&a, 100);
    assert_int_equal(claim(&a, 200, e), 1);
    assert_int_equal(e[0].first, 100);
    assert_int_equal(claim(&a, 200, e), 0);
    while ((got = claim(&b, 200, e + all)) > 0)
        all += got;
    assert_int_equal(all, 100);
    for (uint32_t i = 0; i < all; i++) { /* in their order */
        assert_int_equal(e[i].first, i);
        assert_int_equal(e[i].attempt, 2);
    }
    leave(&a);
    leave(&b);
}

static void who_is_alone_takes_its_own_last(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e;

    meet(w, &a, &b, 3);
    fail_all(&a, 2);
    assert_int_equal(qe__board_leave(b.board, &b.news), 0);
    /* Last of all, as another may still come. */
    assert_int_equal(claim(&a, 1, &e), 1);
    assert_int_equal(e.first, 2);
    assert_int_equal(claim(&a, 1, &e), 1);
    assert_int_equal(e.first, 0);
    assert_int_equal(e.attempt, 2);
    assert_int_equal(qe__board_join(b.board, "d", 3, &b.news), 0);
    assert_int_equal(claim(&a, 1, &e), 0);
    assert_int_equal(claim(&b, 1, &e), 1);
    assert_int_equal(e.first, 1);
    leave(&a);
    leave(&b);
}

/* It is held, renewed, lost and given back as any entry is. */
static void it_has_a_lease_of_its_own(void **state)
{
    struct redis_world *w = *state;
    struct node a, b, c;
    qe__entry mine, its, first;
    bool lost;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    c = come(w, "c");
    lay(&a, 2, 1, 0);
    assert_int_equal(qe__board_join(c.board, "d", 2, &c.news), 0);
    fail_all(&a, 1);
    assert_int_equal(claim(&b, 1, &mine), 1);
    assert_int_equal(mine.attempt, 2);
    for (int i = 0; i < 3; i++) {
        nap_ms(LEASE_MS / 2);
        assert_int_equal(
            qe__board_beat(b.board, &mine, 1, true, 0, &lost, &b.news), 0);
        assert_false(lost);
    }
    assert_true(back(&b, &mine, 0, 1, true));
    assert_false(back(&b, &mine, 0, 1, true));
    assert_int_equal(b.news.open, 2);
    assert_int_equal(claim(&b, 1, &mine), 1); /* it comes first again */
    assert_int_equal(mine.first, 0);
    assert_int_equal(mine.attempt, 2);
    assert_string_equal(mine.not_on, "a");
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&c, 1, &its), 1);
    assert_string_equal(its.id, mine.id);
    assert_int_equal(
        qe__board_beat(b.board, &mine, 1, false, 0, &lost, &b.news), 0);
    assert_true(lost);
    /* The answer that gave it was lost. */
    assert_int_equal(qe__board_beat(c.board, NULL, 0, true, 0, NULL, &c.news),
                     0);
    assert_int_equal(claim(&b, 1, &mine), 1);
    assert_string_equal(its.id, mine.id);
    assert_true(tell(&b, &mine, 0, QE_FLAKY, true));
    assert_int_equal(claim(&b, 1, &first), 1);
    assert_int_equal(first.first, 1);
    assert_int_equal(first.attempt, 1);
    leave(&a);
    leave(&b);
    leave(&c);
}

static void what_is_alone_waits_for_it(void **state)
{
    static const char *const ids[] = {"x", "y"};
    const qe__entry all[] = {{.first = 0, .count = 1},
                             {.first = 1, .count = 1, .alone = true}};
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e, f;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(a.board, "d", 2, &a.news), 0);
    assert_int_equal(qe__board_lay(a.board, ids, 2, all, 2, 0, &a.news), 0);
    assert_int_equal(qe__board_join(b.board, "d", 2, &b.news), 0);
    fail_all(&a, 1);
    assert_int_equal(claim(&a, 1, &e), 0); /* it is put up */
    assert_int_equal(claim(&b, 1, &e), 1);
    assert_false(e.alone);
    assert_int_equal(claim(&a, 1, &f), 0); /* somebody has it */
    assert_true(tell(&b, &e, 0, QE_PASSED, true));
    assert_int_equal(claim(&a, 1, &f), 1);
    assert_true(f.alone);
    leave(&a);
    leave(&b);
}

static void a_reader_counts_it(void **state)
{
    struct redis_world *w = *state;
    qe__run_status status;
    qe__reader *r;
    struct node a, b;
    qe__entry e[2];

    meet(w, &a, &b, 5);
    fail_all(&a, 2);
    assert_int_equal(claim(&a, 1, e), 1);
    assert_int_equal(claim(&b, 1, e), 1);
    assert_int_equal(e[0].attempt, 2);
    r = redis_reader(w, "p");
    assert_int_equal(qe__reader_status(r, "1", &status), 0);
    assert_int_equal(status.open, 3);
    assert_int_equal(status.claimed, 2);
    for (uint32_t i = 0; i < status.node_count; i++)
        assert_int_equal(status.nodes[i].claimed, 1);
    qe__run_status_free(&status);
    qe__reader_close(r);
    /* It is gone a while after the run was last used, as all of it is. */
    assert_true(length(&a, "TTL", "qe:{p/1}:again") > 0);
    assert_true(length(&a, "TTL", "qe:{p/1}:rework") > 0);
    leave(&a);
    leave(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BOARD_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        BOARD_TEST(it_comes_before_what_nobody_has_had),
        BOARD_TEST(what_failed_here_is_not_in_the_way),
        BOARD_TEST(who_is_alone_takes_its_own_last),
        BOARD_TEST(it_has_a_lease_of_its_own),
        BOARD_TEST(what_is_alone_waits_for_it),
        BOARD_TEST(a_reader_counts_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
