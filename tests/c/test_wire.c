#include "qe_wire.h"

#include "alloc_fault.h"

#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

struct line {
    qe__ring *ring;
    qe__reader reader;
};

static void line_open(struct line *l)
{
    l->ring = aligned_alloc(64, sizeof(*l->ring));
    assert_non_null(l->ring);
    memset(l->ring, 0, sizeof(*l->ring));
    /* Close to its end, so that what is put wraps around. */
    atomic_store(&l->ring->written, 3 * QE__RING_BYTES - 100);
    atomic_store(&l->ring->taken, 3 * QE__RING_BYTES - 100);
    qe__reader_init(&l->reader, l->ring);
}

static void line_close(struct line *l)
{
    qe__reader_free(&l->reader);
    free(l->ring);
}

/* Puts what fits, as the worker does. */
static size_t put_some(struct line *l, const void *data, size_t n)
{
    qe__part parts[2] = {{data, n / 3},
                         {(const char *) data + n / 3, n - n / 3}};

    return qe__ring_put(l->ring, parts, 0);
}

static void put(struct line *l, const void *data, size_t n)
{
    assert_int_equal(put_some(l, data, n), n);
}

static size_t fill(struct line *l)
{
    size_t got = 0;

    assert_int_equal(qe__reader_fill(&l->reader, SIZE_MAX, &got), 0);
    return got;
}

static qe__frame frame_of(uint32_t unit, uint32_t size)
{
    qe__frame frame;

    memset(&frame, 0, sizeof(frame));
    frame.magic = QE__WIRE_MAGIC;
    frame.size = size;
    frame.pid = 1234;
    frame.unit = unit;
    frame.attempt = 2;
    frame.type = QE__FRAME_DATA;
    frame.phase = QE_PHASE_CALL;
    frame.outcome = QE_SKIPPED;
    frame.last = 1;
    frame.kind = 99;
    frame.start_s = 0.5;
    frame.duration_s = 1e-9;
    frame.cpu_s = 3;
    frame.peak_bytes = UINT64_MAX;
    return frame;
}

/* A frame and its payload, which depends on the unit. */
static size_t encode(char *to, uint32_t unit, uint32_t size)
{
    qe__frame frame = frame_of(unit, size);

    memcpy(to, &frame, sizeof(frame));
    for (uint32_t i = 0; i < size; i++)
        to[sizeof(frame) + i] = (char) (unit + i * 7);
    return sizeof(frame) + size;
}

static void must_get(struct line *l, uint32_t unit, uint32_t size)
{
    qe__frame frame, wanted = frame_of(unit, size);
    const void *data = NULL;
    const char *bytes;

    assert_int_equal(qe__reader_next(&l->reader, &frame, &data), 1);
    assert_memory_equal(&frame, &wanted, sizeof(frame));
    bytes = data;
    for (uint32_t i = 0; i < size; i++)
        if (bytes[i] != (char) (unit + i * 7))
            fail_msg("byte %u of unit %u", i, unit);
}

static void must_get_none(struct line *l)
{
    qe__frame frame;
    const void *data;

    assert_int_equal(qe__reader_next(&l->reader, &frame, &data), 0);
}

static void a_head_has_no_holes(void **state)
{
    (void) state;
    /* One could carry memory from one process to another. */
    assert_int_equal(sizeof(qe__frame), 64);
}

static void an_empty_ring_gives_nothing(void **state)
{
    struct line l;

    (void) state;
    line_open(&l);
    must_get_none(&l);
    assert_int_equal(fill(&l), 0);
    must_get_none(&l);
    assert_int_equal(qe__reader_drop(&l.reader), 0);
    line_close(&l);
}

static void whole_frames_come_in_order(void **state)
{
    struct line l;
    char bytes[400];
    size_t n = 0;

    (void) state;
    line_open(&l);
    n += encode(bytes + n, 1, 0);
    n += encode(bytes + n, 2, 100);
    n += encode(bytes + n, 3, 0);
    put(&l, bytes, n);
    assert_int_equal(fill(&l), n);
    must_get(&l, 1, 0);
    must_get(&l, 2, 100);
    must_get(&l, 3, 0);
    must_get_none(&l);
    assert_int_equal(qe__reader_drop(&l.reader), 0);
    line_close(&l);
}

static void a_frame_may_come_in_two_parts_anywhere(void **state)
{
    char bytes[400];
    size_t n = encode(bytes, 5, 37);

    (void) state;
    n += encode(bytes + n, 6, 0);
    for (size_t cut = 0; cut <= n; cut++) {
        struct line l;
        uint32_t got = 0;
        qe__frame frame;
        const void *data;

        line_open(&l);
        put(&l, bytes, cut);
        (void) fill(&l);
        while (qe__reader_next(&l.reader, &frame, &data) == 1)
            assert_int_equal(frame.unit, 5 + got++);
        assert_int_equal(got, (cut >= sizeof(frame) + 37) + (cut == n));
        put(&l, bytes + cut, n - cut);
        (void) fill(&l);
        while (got < 2)
            must_get(&l, 5 + got, got == 0 ? 37 : 0), got++;
        must_get_none(&l);
        line_close(&l);
    }
}

static void frames_may_come_byte_by_byte(void **state)
{
    struct line l;
    char bytes[200];
    size_t n = encode(bytes, 7, 50);

    (void) state;
    line_open(&l);
    for (size_t i = 0; i < n; i++) {
        must_get_none(&l);
        put(&l, bytes + i, 1);
        assert_int_equal(fill(&l), 1);
    }
    must_get(&l, 7, 50);
    line_close(&l);
}

static void a_torn_frame_is_dropped_and_the_next_writer_read(void **state)
{
    char bytes[400];
    size_t whole = encode(bytes, 8, 0);
    size_t n = whole + encode(bytes + whole, 9, 60);

    (void) state;
    for (size_t cut = whole; cut < n; cut++) {
        struct line l;
        char next[64];

        line_open(&l);
        put(&l, bytes, cut);
        (void) fill(&l);
        must_get(&l, 8, 0);
        must_get_none(&l);
        assert_int_equal(qe__reader_drop(&l.reader), cut - whole);
        put(&l, next, encode(next, 10, 0));
        (void) fill(&l);
        must_get(&l, 10, 0);
        line_close(&l);
    }
}

static void garbage_is_no_frame_and_is_noticed(void **state)
{
    struct line l;
    char bytes[300];

    (void) state;
    line_open(&l);
    put(&l, bytes, encode(bytes, 11, 0));
    memset(bytes, 'x', sizeof(bytes));
    put(&l, bytes, sizeof(bytes));
    put(&l, bytes, encode(bytes, 12, 0));
    (void) fill(&l);
    must_get(&l, 11, 0);
    assert_false(l.reader.broken);
    must_get_none(&l);
    assert_true(l.reader.broken);
    must_get_none(&l); /* and stays so, whatever follows */
    put(&l, bytes, encode(bytes, 13, 0));
    (void) fill(&l);
    must_get_none(&l);
    assert_int_equal(qe__reader_drop(&l.reader), 300 + 2 * sizeof(qe__frame));
    assert_false(l.reader.broken);
    put(&l, bytes, encode(bytes, 14, 0));
    (void) fill(&l);
    must_get(&l, 14, 0);
    line_close(&l);
}

static void every_wrong_magic_is_noticed(void **state)
{
    (void) state;
    for (uint32_t bit = 0; bit < 32; bit++) {
        qe__frame frame = frame_of(1, 0);
        struct line l;

        line_open(&l);
        frame.magic ^= UINT32_C(1) << bit;
        put(&l, &frame, sizeof(frame));
        (void) fill(&l);
        must_get_none(&l);
        assert_true(l.reader.broken);
        line_close(&l);
    }
}

static void a_frame_beyond_the_bound_is_refused(void **state)
{
    static const struct {
        uint32_t size;
        bool broken;
    } cases[] = {{QE__WIRE_MAX_BYTES, false},
                 {QE__WIRE_MAX_BYTES + 1, true},
                 {UINT32_MAX, true}};

    (void) state;
    for (size_t i = 0; i < QE__COUNT(cases); i++) {
        qe__frame frame = frame_of(1, cases[i].size);
        struct line l;

        line_open(&l);
        put(&l, &frame, sizeof(frame));
        (void) fill(&l);
        must_get_none(&l);
        assert_int_equal(l.reader.broken, cases[i].broken);
        line_close(&l);
    }
}

static void random_bytes_never_harm(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        uint64_t random = seed;
        char bytes[500];
        struct line l;
        qe__frame frame;
        const void *data;

        line_open(&l);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char) qe__random(&random);
        if (seed % 2 == 0) { /* a good beginning with a size of any kind */
            qe__frame head = frame_of(1, (uint32_t) (random % 600));

            memcpy(bytes, &head, sizeof(head));
        }
        put(&l, bytes, sizeof(bytes));
        (void) fill(&l);
        while (qe__reader_next(&l.reader, &frame, &data) == 1)
            if ((const char *) data < l.reader.bytes ||
                (const char *) data + frame.size >
                    l.reader.bytes + l.reader.end)
                fail_msg("seed %llu: out of bounds", (unsigned long long) seed);
        line_close(&l);
    }
}

static void the_reader_grows_with_what_comes(void **state)
{
    uint32_t size = 3 << 20;
    char *bytes = malloc(sizeof(qe__frame) + size);
    size_t n, at = 0;
    struct line l;

    (void) state;
    assert_non_null(bytes);
    n = encode(bytes, 21, size);
    line_open(&l);
    for (int round = 0; round < 3; round++) {
        for (at = 0; at < n;) {
            at += put_some(&l, bytes + at, n - at);
            (void) fill(&l);
        }
        must_get(&l, 21, size);
        must_get_none(&l);
    }
    /* What was read once is not kept for ever. */
    assert_true(l.reader.capacity < 4 * n);
    line_close(&l);
    free(bytes);
}

static void many_frames_come_through_a_full_ring(void **state)
{
    uint64_t random = 5;
    uint32_t sent = 0, got = 0;
    char bytes[4096];
    size_t n = 0, at = 0;
    struct line l;
    uint32_t sizes[2000];

    (void) state;
    line_open(&l);
    while (got < 2000) {
        qe__frame frame;
        const void *data;

        if (at == n && sent < 2000) {
            sizes[sent] = (uint32_t) (qe__random(&random) % 3000);
            n = encode(bytes, sent, sizes[sent]);
            sent++;
            at = 0;
        }
        at += put_some(&l, bytes + at, n - at);
        if (qe__random(&random) % 100 == 0 || sent == 2000)
            (void) fill(&l);
        while (qe__reader_next(&l.reader, &frame, &data) == 1) {
            assert_int_equal(frame.unit, got);
            assert_int_equal(frame.size, sizes[got]);
            got++;
        }
    }
    must_get_none(&l);
    line_close(&l);
}

static void a_fill_stops_at_its_limit(void **state)
{
    struct line l;
    char bytes[60000] = "";
    size_t got = 0;

    (void) state;
    line_open(&l);
    put(&l, bytes, sizeof(bytes));
    put(&l, bytes, sizeof(bytes));
    assert_int_equal(qe__reader_fill(&l.reader, 70000, &got), 0);
    assert_int_equal(got, 70000);
    assert_int_equal(qe__reader_fill(&l.reader, 1, &got), 0);
    assert_int_equal(got, 1);
    assert_int_equal(fill(&l), 2 * sizeof(bytes) - 70001);
    assert_int_equal(fill(&l), 0);
    line_close(&l);
}

static void a_full_ring_takes_no_more(void **state)
{
    char *bytes = calloc(1, QE__RING_BYTES + 10);
    struct line l;

    (void) state;
    assert_non_null(bytes);
    line_open(&l);
    assert_false(qe__ring_filled(l.ring));
    assert_int_equal(put_some(&l, bytes, QE__RING_BYTES + 10), QE__RING_BYTES);
    assert_true(qe__ring_filled(l.ring));
    assert_int_equal(put_some(&l, bytes, 1), 0);
    assert_int_equal(fill(&l), QE__RING_BYTES);
    assert_int_equal(put_some(&l, bytes, 1), 1);
    qe__ring_reset(l.ring);
    assert_false(qe__ring_filled(l.ring));
    line_close(&l);
    free(bytes);
}

static void counters_that_make_no_sense_are_noticed(void **state)
{
    struct line l;
    size_t got = 77;

    (void) state;
    line_open(&l);
    atomic_fetch_add(&l.ring->written, QE__RING_BYTES + 1);
    assert_int_equal(qe__reader_fill(&l.reader, 100, &got), QE_EFORMAT);
    assert_int_equal(got, 0);
    assert_int_equal(put_some(&l, "x", 1), 0); /* and nothing is put over */
    line_close(&l);
}

static int fill_and_keep(void *context)
{
    struct line *l = context;
    size_t got;

    return qe__reader_fill(&l->reader, SIZE_MAX, &got);
}

static void without_memory_nothing_is_lost(void **state)
{
    uint32_t size = 200000;
    char *bytes = malloc(sizeof(qe__frame) + size);
    size_t n, at = 0;
    struct line l;

    (void) state;
    assert_non_null(bytes);
    n = encode(bytes, 31, size);
    line_open(&l);
    while (at < n) {
        at += put_some(&l, bytes + at, n - at);
        (void) alloc_fault_sweep(fill_and_keep, &l);
    }
    must_get(&l, 31, size);
    line_close(&l);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_has_no_holes),
        cmocka_unit_test(an_empty_ring_gives_nothing),
        cmocka_unit_test(whole_frames_come_in_order),
        cmocka_unit_test(a_frame_may_come_in_two_parts_anywhere),
        cmocka_unit_test(frames_may_come_byte_by_byte),
        cmocka_unit_test(a_torn_frame_is_dropped_and_the_next_writer_read),
        cmocka_unit_test(garbage_is_no_frame_and_is_noticed),
        cmocka_unit_test(every_wrong_magic_is_noticed),
        cmocka_unit_test(a_frame_beyond_the_bound_is_refused),
        cmocka_unit_test(random_bytes_never_harm),
        cmocka_unit_test(the_reader_grows_with_what_comes),
        cmocka_unit_test(many_frames_come_through_a_full_ring),
        cmocka_unit_test(a_fill_stops_at_its_limit),
        cmocka_unit_test(a_full_ring_takes_no_more),
        cmocka_unit_test(counters_that_make_no_sense_are_noticed),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
