/* The arena among threads and mappings: waiting and waking, and attaching to
 * one that another process made. */
#include "arena_help.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG_NS UINT64_C(60000000000)

struct waiter {
    struct arena_fixture *f;
    uint32_t slot, claimed;
    _Atomic uint32_t ready;
};

static void *wait_and_claim(void *argument)
{
    struct waiter *w = argument;
    qe__arena *a = &w->f->arena;
    uint32_t unit, attempt;

    for (;;) {
        uint32_t epoch = atomic_load(&a->head->epoch);

        if (qe__arena_claim(a, w->slot, &unit, &attempt)) {
            w->claimed++;
            atomic_store(&a->units[unit].state,
                         qe__state(QE__UNIT_DONE, attempt, w->slot));
            atomic_fetch_sub(&a->head->open, 1);
        } else if (atomic_load(&a->head->stop) != QE__STOP_NO) {
            return NULL;
        } else {
            atomic_store(&w->ready, 1);
            qe__arena_wait(a, epoch, LONG_NS);
        }
    }
}

/* Whoever has seen the old epoch does not sleep over what came since, however
 * the two meet: this test would take minutes if one did. */
static void workers_that_wait_get_what_is_given_back(void **state)
{
    struct arena_fixture f;
    struct waiter w[3];
    pthread_t thread[3];
    uint32_t claimed = 0;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 200, 0);
    arena_make(&f, 3);
    for (uint32_t i = 0; i < 3; i++) {
        w[i] = (struct waiter){.f = &f, .slot = i};
        assert_int_equal(
            pthread_create(&thread[i], NULL, wait_and_claim, &w[i]), 0);
    }
    for (uint32_t i = 0; i < 3; i++)
        while (atomic_load(&w[i].ready) == 0)
            (void) usleep(100);
    for (uint32_t u = 0; u < 200; u++) {
        qe__arena_ready(&f.arena, u);
        if (u % 10 == 0)
            while (arena_state(&f, u) != QE__UNIT_DONE)
                (void) usleep(10);
    }
    while (atomic_load(&f.arena.head->open) > 0)
        (void) usleep(100);
    qe__arena_stop(&f.arena, QE__STOP_DRAIN);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        claimed += w[i].claimed;
    }
    assert_int_equal(claimed, 200);
    arena_end(&f);
}

static void waiting_for_the_past_or_too_long_ends(void **state)
{
    struct arena_fixture f;
    uint32_t epoch;
    uint64_t since;

    (void) state;
    arena_begin(&f, 0);
    arena_make(&f, 1);
    epoch = atomic_load(&f.arena.head->epoch);
    qe__arena_wake(&f.arena);
    since = qe_now_ns();
    qe__arena_wait(&f.arena, epoch, LONG_NS);
    qe__arena_wait(&f.arena, epoch + 1, 20000000);
    assert_true(qe_now_ns() - since >= 20000000);
    assert_true(qe_now_ns() - since < LONG_NS / 2);
    arena_end(&f);
}

/* -------------------------------------------------------------------- attach */

static void an_arena_can_be_mapped_twice(void **state)
{
    struct arena_fixture f;
    qe__arena other;
    uint32_t unit, attempt;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 2, 0);
    arena_make(&f, 2);
    arena_fill(&f, 0, 0, 2);
    assert_int_equal(qe__arena_attach(&other, dup(f.arena.fd)), 0);
    assert_true(qe__arena_claim(&other, 1, &unit, &attempt));
    assert_int_equal(arena_state(&f, unit), QE__UNIT_CLAIMED);
    assert_int_equal(other.units[1].item, 101);
    qe__arena_close(&other);
    qe__arena_close(&other); /* again does nothing */
    arena_end(&f);
}

static void a_damaged_head_is_refused(void **state)
{
    struct arena_fixture f;
    qe__arena_head sound;
    qe__arena other = {.fd = -1};
    struct {
        size_t at, bytes;
    } const fields[] = {
#define FIELD(name) {offsetof(qe__arena_head, name), sizeof(sound.name)}
        FIELD(magic),    FIELD(version),  FIELD(size_bytes), FIELD(units),
        FIELD(scopes),   FIELD(slots),    FIELD(units_at),   FIELD(scopes_at),
        FIELD(order_at), FIELD(queue_at), FIELD(slots_at),
#undef FIELD
    };
    char *head;

    (void) state;
    arena_begin(&f, 0);
    arena_scope(&f, 20, 0);
    arena_make(&f, 2);
    head = (char *) f.arena.head;
    memcpy(&sound, head, sizeof(sound));
    for (size_t i = 0; i < QE__COUNT(fields); i++) {
        for (uint32_t bit = 0; bit < 8 * fields[i].bytes; bit++) {
            head[fields[i].at + bit / 8] ^= (char) (1 << bit % 8);
            assert_int_equal(qe__arena_attach(&other, f.arena.fd), QE_EFORMAT);
            memcpy(head, &sound, sizeof(sound));
        }
    }
    assert_int_equal(other.fd, -1);
    arena_end(&f);
}

static void what_is_no_arena_is_refused(void **state)
{
    struct arena_fixture f;
    qe__arena other = {.fd = -1};
    int fd = memfd_create("short", MFD_CLOEXEC);
    off_t size;

    (void) state;
    errno = 0;
    assert_int_equal(qe__arena_attach(&other, -1), QE_ESYS);
    assert_int_equal(errno, EBADF);
    assert_int_equal(qe__arena_attach(&other, fd), QE_EFORMAT);
    close(fd);
    fd = open("/dev/null", O_RDWR);
    assert_int_equal(qe__arena_attach(&other, fd), QE_EFORMAT);
    close(fd);
    arena_begin(&f, 0);
    arena_scope(&f, 20, 0);
    arena_make(&f, 2);
    size = (off_t) f.arena.size_bytes;
    assert_int_equal(ftruncate(f.arena.fd, size + 1), 0);
    assert_int_equal(qe__arena_attach(&other, f.arena.fd), QE_EFORMAT);
    assert_int_equal(ftruncate(f.arena.fd, size - 1), 0);
    assert_int_equal(qe__arena_attach(&other, f.arena.fd), QE_EFORMAT);
    assert_int_equal(ftruncate(f.arena.fd, size), 0);
    arena_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_that_wait_get_what_is_given_back),
        cmocka_unit_test(waiting_for_the_past_or_too_long_ends),
        cmocka_unit_test(an_arena_can_be_mapped_twice),
        cmocka_unit_test(a_damaged_head_is_refused),
        cmocka_unit_test(what_is_no_arena_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
