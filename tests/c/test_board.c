/* The board of a run, on a real server. */
#include "board_world.h"

static void one_node_does_it_all(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e[4];
    char *ids[8];
    uint32_t got;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 3, 2, 0);
    assert_int_equal(a.news.state, QE__BOARD_OPEN);
    assert_int_equal(a.news.left, 6);
    assert_int_equal(a.news.open, 3);
    assert_int_equal(a.news.workers, 2);
    assert_int_equal(qe__board_ids(a.board, 4, 8, ids, &got), 0);
    assert_int_equal(got, 2);
    assert_string_equal(ids[1], "id 5");
    free(ids[0]);
    free(ids[1]);
    assert_int_equal(claim(&a, 2, e), 2);
    assert_int_equal(e[1].first, 2);
    assert_int_equal(e[1].count, 2);
    assert_int_equal(e[1].attempt, 1);
    assert_int_equal(a.news.open, 1);
    assert_int_equal(claim(&a, 4, e + 2), 1);
    assert_int_equal(claim(&a, 4, e + 3), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(tell(&a, &e[i], 2 * i, QE_PASSED, false));
        assert_false(tell(&a, &e[i], 2 * i, QE_FAILED, false));
        assert_true(tell(&a, &e[i], 2 * i + 1, QE_FAILED, true));
    }
    assert_int_equal(a.news.left, 0);
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
}

static void an_empty_plan_is_over(void **state)
{
    struct redis_world *w = *state;
    struct node a;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 0, 0, 0);
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
}

static void another_plan_is_seen(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 1, 0);
    assert_int_equal(qe__board_join(b.board, "d", 2, &b.news), 0);
    assert_int_equal(b.news.state, QE__BOARD_OPEN);
    assert_int_equal(b.news.workers, 4);
    assert_int_equal(qe__board_join(b.board, "other", 2, &b.news), QE_EFORMAT);
    assert_int_equal(qe__board_join(b.board, "d", 3, &b.news), QE_EFORMAT);
    leave(&a);
    leave(&b);
}

static void who_dies_laying_is_replaced(void **state)
{
    struct redis_world *w = *state;
    const char *ids[] = {"x", "y"};
    struct node a, b;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(a.board, "d", 2, &a.news), 0);
    assert_int_equal(a.news.state, QE__BOARD_NONE);
    assert_int_equal(qe__board_join(b.board, "d", 2, &b.news), 0);
    assert_int_equal(b.news.state, QE__BOARD_LAYING);
    nap_ms(LEASE_MS + 50);
    lay(&b, 2, 1, 0);
    /* The first was only slow. */
    assert_int_equal(qe__board_lay(a.board, ids, 2, NULL, 0, 0, &a.news),
                     QE_ESTATE);
    assert_int_equal(b.news.left, 2);
    leave(&a);
    leave(&b);
}

static void who_leaves_laying_is_not_waited_for(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(a.board, "d", 2, &a.news), 0);
    assert_int_equal(qe__board_leave(a.board, &a.news), 0);
    lay(&b, 2, 1, 0);
    assert_int_equal(b.news.workers, 2);
    leave(&a);
    leave(&b);
}

static void a_lease_that_ended_is_lost(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine[2], its[2];
    bool lost[2];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 2, 0);
    assert_int_equal(claim(&a, 2, mine), 2);
    for (int i = 0; i < 4; i++) { /* renewed: it stays */
        nap_ms(LEASE_MS / 2);
        assert_int_equal(
            qe__board_beat(a.board, mine, 2, false, 0, lost, &a.news), 0);
        assert_false(lost[0] || lost[1]);
        assert_int_equal(claim(&b, 2, its), 0);
    }
    assert_int_equal(qe__board_beat(a.board, mine, 1, false, 0, lost, &a.news),
                     0);
    nap_ms(LEASE_MS * 6 / 10);
    assert_int_equal(qe__board_beat(a.board, mine, 1, false, 0, lost, &a.news),
                     0);
    nap_ms(LEASE_MS * 6 / 10);
    assert_int_equal(claim(&b, 2, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_int_equal(qe__board_beat(a.board, mine, 2, false, 0, lost, &a.news),
                     0);
    assert_false(lost[0]);
    assert_true(lost[1]);
    /* Late, and the first: it counts, once. */
    assert_true(tell(&a, &mine[1], 2, QE_PASSED, false));
    assert_false(tell(&b, &its[0], 2, QE_FAILED, false));
    /* Late, and to run again: that is the other's to say. */
    assert_false(tell(&a, &mine[1], 3, QE_NONE, true));
    assert_true(tell(&b, &its[0], 3, QE_PASSED, true));
    assert_true(tell(&a, &mine[0], 0, QE_PASSED, false));
    assert_true(tell(&a, &mine[0], 1, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    assert_int_equal(a.news.open, 0);
    leave(&a);
    leave(&b);
}

/* The answer to a claim was lost, or a node of the same name died. */
static void what_we_do_not_know_of_is_anybodys(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine[3], its[3];
    bool lost[2];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 3, 2, 0);
    assert_int_equal(claim(&a, 3, mine), 3);
    assert_int_equal(qe__board_beat(a.board, mine, 1, true, 0, lost, &a.news),
                     0);
    assert_false(lost[0]);
    assert_int_equal(claim(&b, 1, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_int_equal(claim(&a, 3, its), 1);
    assert_string_equal(its[0].id, mine[2].id);
    leave(&a);
    leave(&b);
}

static void what_runs_again_does_so_elsewhere(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 1, 1, 0);
    assert_int_equal(claim(&a, 1, &e), 1);
    assert_false(tell(&a, &e, 0, QE_NONE, true));
    assert_int_equal(claim(&a, 1, &e), 1); /* nobody else is there */
    assert_int_equal(e.attempt, 2);
    assert_string_equal(e.not_on, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(b.board, "d", 1, &b.news), 0);
    assert_false(tell(&a, &e, 0, QE_NONE, true));
    assert_int_equal(claim(&a, 1, &e), 0);
    assert_int_equal(claim(&b, 1, &e), 1);
    assert_int_equal(e.attempt, 3);
    assert_true(tell(&b, &e, 0, QE_FLAKY, true));
    assert_int_equal(b.news.state, QE__BOARD_OVER);
    leave(&a);
    leave(&b);
}

static void failures_stop_all(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 5, 1, 2);
    assert_int_equal(claim(&a, 2, e), 2);
    assert_int_equal(claim(&b, 1, e + 2), 1);
    assert_true(tell(&a, &e[0], 0, QE_FAILED, true));
    assert_int_equal(a.news.state, QE__BOARD_OPEN);
    assert_true(tell(&b, &e[2], 2, QE_CRASHED, true));
    assert_int_equal(b.news.state, QE__BOARD_STOPPED);
    assert_int_equal(claim(&a, 1, e), 0);
    assert_true(tell(&a, &e[1], 1, QE_PASSED, true));
    assert_int_equal(a.news.left, 2);
    leave(&a);
    leave(&b);
}

static void what_was_not_begun_is_given_back(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine, its[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 1, 10, 0);
    assert_int_equal(claim(&a, 1, &mine), 1);
    assert_true(back(&a, &mine, 6, 4, false));
    assert_true(back(&a, &mine, 6, 4, false)); /* again: nothing happens */
    assert_true(back(&a, &mine, 2, 1, false));
    assert_int_equal(a.news.open, 2);
    assert_int_equal(claim(&b, 3, its), 2);
    assert_int_equal(its[0].first, 6);
    assert_int_equal(its[0].count, 4);
    assert_true(its[0].expected_ns == 4 * S);
    assert_null(its[0].gone);
    assert_int_equal(its[1].first, 2);
    assert_int_equal(its[1].count, 1);
    assert_true(tell(&a, &mine, 0, QE_PASSED, false));
    assert_false(tell(&a, &mine, 1, QE_NONE, false));
    /* And what is kept is no more than that for who comes after us. */
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 1, its), 1);
    assert_int_equal(its[0].first, 0);
    assert_int_equal(its[0].count, 10);
    assert_string_equal(its[0].gone, "1110001111");
    free(its[0].gone);
    assert_false(back(&a, &mine, 3, 1, false));
    assert_true(back(&b, &its[0], 3, 3, true));
    assert_false(back(&b, &its[0], 3, 3, true));
    leave(&a);
    leave(&b);
}

/* What was told by one that died is not claimed, and what is all told is finished. */
static void what_was_told_is_not_claimed_again(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine[2], its[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 2, 2, 0);
    assert_int_equal(claim(&a, 2, mine), 2);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(tell(&a, &mine[i / 2], i, QE_PASSED, false));
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 3, its), 1);
    assert_string_equal(its[0].id, mine[1].id);
    assert_string_equal(its[0].gone, "10");
    free(its[0].gone);
    /* Given back, and then told late by the first: nobody runs it. */
    assert_true(back(&b, &its[0], 3, 1, true));
    assert_true(tell(&a, &mine[1], 3, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
    leave(&b);
}

static void what_was_told_late_is_not_claimed(void **state)
{
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry mine, its[3];

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    lay(&a, 1, 2, 0);
    assert_int_equal(claim(&a, 1, &mine), 1);
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&b, 1, its), 1);
    assert_null(its[0].gone);
    assert_true(back(&b, &its[0], 0, 2, true));
    assert_true(tell(&a, &mine, 0, QE_PASSED, false));
    assert_int_equal(claim(&b, 1, its), 1);
    assert_string_equal(its[0].gone, "10");
    free(its[0].gone);
    leave(&a);
    leave(&b);
}

/* A node whose connection ended before the answer came makes the call again. */
static void what_is_told_twice_happens_once(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e[3];
    qe__told told[3];

    redis_start(w);
    a = come(w, "a");
    lay(&a, 3, 1, 2);
    assert_int_equal(claim(&a, 3, e), 3);
    told[0] = told_of(&e[0], 0, QE_FAILED, true);
    told[1] = told_of(&e[1], 1, QE_NONE, true);
    told[2] = told_of(&e[0], 0, QE_PASSED, false); /* it has been finished */
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            told[j].counted = told[j].late = j == 1;
        assert_int_equal(qe__board_tell(a.board, "abc", 1, told, 3, &a.news),
                         0);
        assert_true(told[0].counted && !told[0].late && !told[0].last);
        assert_false(told[1].counted || told[1].late);
        assert_true(told[2].late && !told[2].counted);
        assert_int_equal(a.news.state, QE__BOARD_OPEN);
        assert_int_equal(a.news.left, 2);
        assert_int_equal(a.news.open, 1);
        assert_int_equal(length(&a, "XLEN", "qe:{p/1}:tries"), 3);
    }
    assert_int_equal(claim(&a, 3, e), 1);
    told[0] = told_of(&e[0], 1, QE_PASSED, true);
    told[1] = told_of(&e[2], 2, QE_PASSED, true);
    assert_int_equal(qe__board_tell(a.board, "abc", 2, told, 2, &a.news), 0);
    assert_false(told[0].last);
    assert_true(told[1].last);
    assert_int_equal(length(&a, "XLEN", "qe:{p/1}:tries"), 5);
    leave(&a);
}

static void claims_end_where_there_is_enough(void **state)
{
    struct redis_world *w = *state;
    struct node a;
    qe__entry e[8];
    qe__share_want want = {.entries = 8, .units = 5};
    uint32_t got;

    redis_start(w);
    a = come(w, "a");
    lay(&a, 12, 2, 0);
    assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news), 0);
    assert_int_equal(got, 3);
    want = (qe__share_want){.entries = 8, .expected_ns = 5 * S};
    assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news), 0);
    assert_int_equal(got, 3);
    want = (qe__share_want){.entries = 8, .units = 20, .expected_ns = 1};
    assert_int_equal(qe__board_claim(a.board, &want, 0, e, &got, &a.news), 0);
    assert_int_equal(got, 1);
    assert_true(e[0].expected_ns == 2 * S);
    assert_int_equal(claim(&a, 4, e), 4);
    assert_int_equal(claim(&a, 4, e), 1);
    leave(&a);
}

static void what_is_alone_is_alone(void **state)
{
    static const char *const ids[] = {"x", "y", "z"};
    const qe__entry all[] = {{.first = 1, .count = 1, .alone = true},
                             {.first = 0, .count = 1},
                             {.first = 2, .count = 1, .alone = true}};
    struct redis_world *w = *state;
    struct node a, b;
    qe__entry e, f;

    redis_start(w);
    a = come(w, "a");
    b = come(w, "b");
    assert_int_equal(qe__board_join(a.board, "d", 3, &a.news), 0);
    assert_int_equal(qe__board_lay(a.board, ids, 3, all, 3, 0, &a.news), 0);
    assert_int_equal(a.news.open, 1);
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_false(e.alone);
    assert_int_equal(claim(&b, 3, &f), 0);
    assert_true(tell(&a, &e, 0, QE_PASSED, true));
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_true(e.alone);
    assert_int_equal(e.first, 1);
    assert_int_equal(claim(&b, 3, &f), 0);
    assert_int_equal(claim(&a, 3, &f), 0);
    /* To run again: after what else is there, elsewhere, and still alone. */
    assert_false(tell(&a, &e, 1, QE_NONE, true));
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_int_equal(e.first, 2);
    assert_int_equal(claim(&b, 3, &f), 0);
    assert_true(back(&a, &e, 2, 1, true));
    assert_int_equal(claim(&b, 3, &f), 1);
    assert_int_equal(f.first, 1);
    assert_int_equal(f.attempt, 2);
    assert_true(f.alone);
    assert_int_equal(claim(&a, 3, &e), 0);
    assert_true(tell(&b, &f, 1, QE_PASSED, true));
    /* Whose lease ends while it is alone is replaced as anybody is. */
    assert_int_equal(claim(&b, 3, &f), 1);
    nap_ms(LEASE_MS + 50);
    assert_int_equal(claim(&a, 3, &e), 1);
    assert_string_equal(e.id, f.id);
    assert_true(e.alone);
    assert_true(tell(&a, &e, 2, QE_PASSED, true));
    assert_int_equal(a.news.state, QE__BOARD_OVER);
    leave(&a);
    leave(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BOARD_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, redis_setup, redis_teardown)
        BOARD_TEST(one_node_does_it_all),
        BOARD_TEST(an_empty_plan_is_over),
        BOARD_TEST(another_plan_is_seen),
        BOARD_TEST(who_dies_laying_is_replaced),
        BOARD_TEST(who_leaves_laying_is_not_waited_for),
        BOARD_TEST(a_lease_that_ended_is_lost),
        BOARD_TEST(what_we_do_not_know_of_is_anybodys),
        BOARD_TEST(what_runs_again_does_so_elsewhere),
        BOARD_TEST(failures_stop_all),
        BOARD_TEST(what_was_not_begun_is_given_back),
        BOARD_TEST(what_was_told_is_not_claimed_again),
        BOARD_TEST(what_was_told_late_is_not_claimed),
        BOARD_TEST(what_is_told_twice_happens_once),
        BOARD_TEST(claims_end_where_there_is_enough),
        BOARD_TEST(what_is_alone_is_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
