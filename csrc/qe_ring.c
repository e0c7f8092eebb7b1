#include "qe_ring.h"

#include <string.h>

#include "qe_util.h"

static void copy_in(qe__ring *r, uint64_t to, const char *from, size_t n)
{
    size_t begin = (size_t) (to % QE__RING_BYTES);
    size_t first = QE__RING_BYTES - begin < n ? QE__RING_BYTES - begin : n;

    memcpy(r->bytes + begin, from, first);
    memcpy(r->bytes, from + first, n - first);
}

size_t qe__ring_put(qe__ring *r, const qe__part parts[2], size_t at)
{
    uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    uint64_t used = written - atomic_load(&r->taken);
    size_t room = used < QE__RING_BYTES ? QE__RING_BYTES - (size_t) used : 0;
    size_t put = 0;

    for (int i = 0; i < 2; i++) {
        size_t n;

        if (at >= parts[i].size) {
            at -= parts[i].size;
            continue;
        }
        n = parts[i].size - at < room ? parts[i].size - at : room;
        copy_in(r, written + put, (const char *) parts[i].bytes + at, n);
        at = 0;
        put += n;
        room -= n;
        if (room == 0) {
            break;
        }
    }
    /* Ordered before the look at whether the controller sleeps. */
    atomic_store(&r->written, written + put);
    return put;
}

void qe__ring_wait_room(qe__ring *r, uint64_t ns)
{
    uint32_t turn = atomic_load(&r->turn);

    atomic_store(&r->waiting, 1);
    if (atomic_load(&r->written) - atomic_load(&r->taken) >= QE__RING_BYTES) {
        qe__futex_wait(&r->turn, turn, ns);
    }
}

bool qe__ring_filled(const qe__ring *r)
{
    return atomic_load(&r->written) !=
           atomic_load_explicit(&r->taken, memory_order_relaxed);
}

int qe__ring_take(qe__ring *r, char *to, size_t size, size_t *got)
{
    uint64_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);
    uint64_t have = atomic_load(&r->written) - taken;
    size_t begin = (size_t) (taken % QE__RING_BYTES);
    size_t n = have < size ? (size_t) have : size;
    size_t first = QE__RING_BYTES - begin < n ? QE__RING_BYTES - begin : n;

    *got = 0;
    if (have > QE__RING_BYTES) {
        return QE_EFORMAT;
    }
    memcpy(to, r->bytes + begin, first);
    memcpy(to + first, r->bytes, n - first);
    atomic_store(&r->taken, taken + n);
    *got = n;
    if (n > 0 && atomic_load(&r->waiting) != 0) {
        atomic_store(&r->waiting, 0);
        atomic_fetch_add(&r->turn, 1);
        qe__futex_wake(&r->turn);
    }
    return 0;
}

void qe__ring_reset(qe__ring *r)
{
    atomic_store(&r->written, 0);
    atomic_store(&r->taken, 0);
    atomic_store(&r->waiting, 0);
}
