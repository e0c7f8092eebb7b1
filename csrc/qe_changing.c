/* What is changed around a worker: all that its pass asks for, and attempt by
 * attempt. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "qe_util.h"
#include "qe_worker.h"

#define MEET_NS UINT64_C(300000000)
#define MEET_LOOK_NS UINT64_C(20000000)
#define FEW_FILES 8
#define SMALL_FILE_BYTES 16384
#define LITTLE_MEMORY_BYTES ((rlim_t) 32 << 20)

int qe_worker_around(qe_worker *w, const qe_places *places, uint32_t *refused)
{
    qe__changing *c = &w->changing;
    const qe_around *around;
    qe_job job;

    *refused = 0;
    if (getpid() != w->pid || w->running || w->now.unit != QE__NONE ||
        c->begun) {
        return QE_ESTATE;
    }
    c->begun = true;
    qe_worker_job(w, &job);
    around = &job.around;
    if ((around->flags & (QE_FILES | QE_NO_NETWORK)) != 0) {
        *refused |= qe__changing_spaces(c, around, places);
    }
    if ((around->flags & QE_CLOCK) != 0) {
        *refused |= qe__changing_clock();
        c->clock_s = around->clock_s;
    }
    *refused |= qe__changing_cpu(around->flags);
    if ((around->flags & QE_SMALL_FILES) != 0) {
        (void) signal(SIGXFSZ, SIG_IGN); /* then write(2) says EFBIG */
    }
    c->done = around->flags & ~*refused;
    return 0;
}

int qe_worker_lift(qe_worker *w)
{
    if (getpid() != w->pid) {
        return QE_ESTATE;
    }
    qe__changing_lift(&w->changing);
    return 0;
}

double qe_worker_ahead_s(const qe_worker *w)
{
    return (w->changing.done & QE_CLOCK) != 0 ? qe__changing_ahead_s() : 0;
}

/* ---------------------------------------------------------- attempt by attempt */

/* Whether nothing of the partner is to come any more. */
static bool has_left(const qe__arena *a, uint32_t scope, uint32_t arrived)
{
    return atomic_load(&a->head->stop) != QE__STOP_NO ||
           (arrived > 0 && atomic_load(&a->scopes[scope].owner) == 0);
}

void qe__changing_meet(qe_worker *w)
{
    qe__changing *c = &w->changing;
    qe__arena *a = w->arena;
    qe__arena_pass *mine, *other;
    uint64_t until = qe_now_ns() + MEET_NS;
    uint32_t turn, partner, arrived;

    if ((c->done & QE_PARTNER) == 0) {
        return;
    }
    mine = qe__arena_pass_of(a, w->slot->job_scope);
    turn = atomic_fetch_add(&mine->arrived, 1) + 1;
    qe__futex_wake(&mine->arrived);
    partner = atomic_load(&mine->partner);
    if (partner == 0 || turn > a->scopes[partner - 1].count) {
        return;
    }
    other = qe__arena_pass_of(a, partner - 1);
    while ((arrived = atomic_load(&other->arrived)) < turn &&
           !has_left(a, partner - 1, arrived)) {
        uint64_t now = qe_now_ns();

        if (now >= until || (c->alone && arrived == 0)) {
            break;
        }
        qe__futex_wait(&other->arrived, arrived,
                       until - now < MEET_LOOK_NS ? until - now : MEET_LOOK_NS);
    }
    /* One that has never come is not waited for again. */
    c->alone = arrived == 0;
}

void qe__changing_start(qe_worker *w)
{
    if ((w->changing.done & QE_CLOCK) != 0) {
        qe__changing_set_clock(w->changing.clock_s);
    }
}

/* ---------------------------------------------------------------------- limits */

/* Below which number there are `n` descriptors that are free. */
static rlim_t room_for(int n)
{
    int fd = 0;

    for (; n > 0; fd++) {
        n -= fcntl(fd, F_GETFD) < 0;
    }
    return (rlim_t) fd;
}

/* The address space in use; 0 where that is unknown. */
static rlim_t used_bytes(void)
{
    char text[64];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    if (fd >= 0) {
        (void) close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return (rlim_t) strtoull(text, NULL, 10) * (rlim_t) sysconf(_SC_PAGESIZE);
}

/* Only ever lowers it. */
static void lay(__rlimit_resource_t what, rlim_t most, qe__laid *laid)
{
    struct rlimit limit;

    if (getrlimit(what, &laid->before) != 0) {
        laid->now = laid->before.rlim_cur = laid->before.rlim_max =
            RLIM_INFINITY;
        return;
    }
    limit = laid->before;
    limit.rlim_cur = most < limit.rlim_cur ? most : limit.rlim_cur;
    (void) setrlimit(what, &limit);
    laid->now = limit.rlim_cur;
}

void qe__changing_limit(qe__changing *c)
{
    rlim_t used;

    if ((c->done & (QE_FEW_FILES | QE_SMALL_FILES | QE_LITTLE_MEMORY)) == 0 ||
        c->limits) {
        return;
    }
    c->limits = true;
    if ((c->done & QE_LITTLE_MEMORY) != 0) {
        used = used_bytes();
        lay(RLIMIT_AS, used == 0 ? RLIM_INFINITY : used + LITTLE_MEMORY_BYTES,
            &c->memory);
    }
    if ((c->done & QE_SMALL_FILES) != 0) {
        lay(RLIMIT_FSIZE, SMALL_FILE_BYTES, &c->file_size);
    }
    if ((c->done & QE_FEW_FILES) != 0) {
        lay(RLIMIT_NOFILE, room_for(FEW_FILES), &c->files);
    }
}

/* What a test has set itself stays, as it would without ours. */
static void take_back(__rlimit_resource_t what, const qe__laid *laid)
{
    struct rlimit limit;

    if (getrlimit(what, &limit) == 0 && limit.rlim_cur == laid->now &&
        limit.rlim_max >= laid->before.rlim_cur) {
        limit.rlim_cur = laid->before.rlim_cur;
        (void) setrlimit(what, &limit);
    }
}

void qe__changing_lift(qe__changing *c)
{
    if (!c->limits) {
        return;
    }
    c->limits = false;
    if ((c->done & QE_FEW_FILES) != 0) {
        take_back(RLIMIT_NOFILE, &c->files);
    }
    if ((c->done & QE_SMALL_FILES) != 0) {
        take_back(RLIMIT_FSIZE, &c->file_size);
    }
    if ((c->done & QE_LITTLE_MEMORY) != 0) {
        take_back(RLIMIT_AS, &c->memory);
    }
}
