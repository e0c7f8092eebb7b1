#include "session_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

/* ---------------------------------------------------------------- processes */

uint64_t world_patience_ns(void)
{
    return (scratch_slow() ? 200 : 40) * UINT64_C(1000000000);
}

void world_pause(void)
{
    (void) poll(NULL, 0, 1);
}

/* State letter and parent of a process; false if there is none. */
static bool look(pid_t pid, char *state, pid_t *parent)
{
    char path[40], text[512];
    const char *at;
    ssize_t n;
    int fd;
    int up;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1, " %c %d", state, &up) != 2)
        return false;
    *parent = up;
    return true;
}

bool world_runs(pid_t pid)
{
    char state;
    pid_t parent;

    return look(pid, &state, &parent) && state != 'Z' && state != 'X';
}

pid_t world_parent(pid_t pid)
{
    char state;
    pid_t parent;

    return look(pid, &state, &parent) ? parent : 0;
}

static pid_t known_worker(const struct world *w)
{
    for (uint32_t i = 0; i < 2 * WORLD_WORKERS; i++)
        if (w->pid[i] > 0 && world_runs(w->pid[i]))
            return w->pid[i];
    return 0;
}

pid_t world_supervisor(const struct world *w)
{
    pid_t worker = known_worker(w);
    pid_t parent = worker > 0 ? world_parent(worker) : 0;

    /* One that has just lost its parent was handed to us. */
    return parent > 1 && parent != getpid() ? parent : 0;
}

pid_t world_standby(const struct world *w)
{
    pid_t super = world_supervisor(w);
    char path[64], text[8192];
    char *at = text;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) super,
             (int) super);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (super == 0 || fd < 0)
        return 0;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    for (long pid = strtol(at, &at, 10); pid > 0; pid = strtol(at, &at, 10)) {
        bool worker = false;

        for (uint32_t i = 0; i < 2 * WORLD_WORKERS; i++)
            worker = worker || w->pid[i] == pid;
        if (!worker)
            return (pid_t) pid;
    }
    return 0;
}

size_t world_open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

bool world_reap_all(uint64_t limit_ns)
{
    uint64_t until = qe_now_ns() + limit_ns;

    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0 && errno == ECHILD)
            return true;
        if (pid == 0 && qe_now_ns() > until)
            return false;
        if (pid == 0)
            world_pause();
    }
}

/* ----------------------------------------------------------------- fixtures */

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    uv_loop_t loop;

    /* The first loop of a process opens descriptors that stay open. */
    if (uv_loop_init(&loop) != 0 || uv_loop_close(&loop) != 0)
        return -1;
    if (w == NULL || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return -1;
    w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w->shared == MAP_FAILED || qe_plan_new(&w->plan) != 0)
        return -1;
    w->options.workers = 1;
    w->options.max_restarts = UINT32_MAX;
    w->body = body_passes;
    w->retryable = true;
    w->host = getpid();
    w->open_before = world_open_descriptors();
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    bool alone, closed;
    int wrong = atomic_load(&w->shared->wrong);

    qe_session_close(w->session);
    alone = world_reap_all(4 * world_patience_ns() / 10);
    closed = world_open_descriptors() == w->open_before;
    qe_plan_free(w->plan);
    munmap(w->shared, sizeof(*w->shared));
    free(w);
    if (!alone)
        print_error("a process of the run is left\n");
    if (!closed)
        print_error("a descriptor of the run is open\n");
    if (wrong != 0)
        print_error("a worker's note failed at line %d\n", wrong);
    return alone && closed && wrong == 0 ? 0 : -1;
}

uint32_t world_add(struct world *w, const char *scope, uint32_t flags,
                   uint32_t retries, uint64_t timeout_ns)
{
    char id[32];
    qe_unit unit = {.id = id,
                    .scope = scope,
                    .item = w->units * 3,
                    .flags = flags,
                    .retries = retries,
                    .timeout_ns = timeout_ns};

    assert_true(w->units < WORLD_UNITS);
    snprintf(id, sizeof(id), "unit %u", w->units);
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    w->unit[w->units].flags = flags;
    w->unit[w->units].retries = retries;
    return w->units++;
}

void world_add_many(struct world *w, uint32_t n, uint32_t units_a_scope,
                    uint32_t flags, uint32_t retries)
{
    uint32_t first = w->units;
    char scope[48];

    for (uint32_t i = 0; i < n; i++) {
        snprintf(scope, sizeof(scope), "scope %u of %u", i / units_a_scope,
                 first);
        world_add(w, scope, flags, retries, 0);
    }
}

/* ------------------------------------------------------------------- workers */

void world_open(struct world *w, uint32_t gate)
{
    atomic_store(&w->shared->gate[gate], 1);
}

bool world_wait_gate(struct world *w, uint32_t gate)
{
    uint64_t until = qe_now_ns() + world_patience_ns();

    while (atomic_load(&w->shared->gate[gate]) == 0) {
        if (qe_now_ns() > until)
            return false;
        world_pause();
    }
    return true;
}

enum qe_outcome body_passes(struct world *w, qe_worker *worker,
                            const qe_claim *claim)
{
    (void) w;
    (void) claim;
    (void) qe_worker_passed(worker, QE_PHASE_CALL, 1.5, 0.25);
    return QE_PASSED;
}

static void work_on(struct world *w, qe_worker *worker, const qe_job *job,
                    const qe_claim *claim)
{
    struct shared *s = w->shared;
    uint32_t u = claim->unit;
    uint32_t many, most;
    enum qe_outcome outcome;

    if (qe_worker_start(worker, claim) != 0)
        return;
    many = atomic_fetch_add(&s->at_once, 1) + 1;
    most = atomic_load(&s->most_at_once);
    while (many > most &&
           !atomic_compare_exchange_weak(&s->most_at_once, &most, many)) {}
    atomic_store(&s->slot[u], job->slot + 1);
    atomic_store(&s->epoch[u], job->epoch);
    atomic_store(&s->pid[u], getpid());
    atomic_store(&s->sequence[u], atomic_fetch_add(&s->all_starts, 1) + 1);
    atomic_store(&s->begin_ns[u], qe_now_ns());
    atomic_fetch_add(&s->starts[u], 1);
    (void) qe_worker_phase(worker, QE_PHASE_SETUP);
    (void) qe_worker_phase(worker, QE_PHASE_CALL);
    outcome = w->body(w, worker, claim);
    atomic_store(&s->end_ns[u], qe_now_ns());
    atomic_fetch_sub(&s->at_once, 1);
    if (outcome == QE_NONE)
        return;
    (void) qe_worker_phase(worker, QE_PHASE_TEARDOWN);
    if (qe_worker_finish(worker, outcome, false, NULL, 0) == 0)
        atomic_fetch_add(&s->finishes[u], 1);
}

void world_work(struct world *w, qe_worker *worker)
{
    qe_claim claim;
    qe_job job;

    qe_worker_job(worker, &job);
    if (w->begin != NULL)
        w->begin(w, worker);
    while (qe_worker_claim(worker, true, &claim) == 1)
        work_on(w, worker, &job, &claim);
    if (w->end != NULL) {
        (void) qe_worker_phase(worker, QE_PHASE_SESSION);
        w->end(w, worker);
    }
    (void) qe_worker_bye(worker);
    _exit(0);
}

/* ---------------------------------------------------------------------- host */

void world_start(struct world *w)
{
    qe_worker *worker = NULL;
    int status;

    assert_int_equal(qe_plan_seal(w->plan), 0);
    fflush(NULL);
    status =
        qe_session_start(&w->session, &worker, w->plan, &w->options, w->hooks);
    if (status == 1)
        world_work(w, worker);
    /* A worker that could not be made must not go on as a second host. */
    if (status < 0 && getpid() != w->host)
        _exit(99);
    assert_int_equal(status, 0);
    assert_non_null(w->session);
}

static void settle(struct world *w, const qe_event *e)
{
    struct world_unit *u = &w->unit[e->unit];
    enum qe_outcome final = e->outcome;
    bool again = false;

    if (!e->settled)
        assert_int_equal(qe_session_settle(w->session, e->unit, e->attempt,
                                           e->outcome, w->retryable, &again,
                                           &final),
                         0);
    if (again) {
        assert_int_equal(final, QE_NONE);
        assert_true(e->attempt <= u->retries);
        return;
    }
    u->finals++;
    u->outcome = final;
    if (u->finals != 1)
        fail_msg("unit %u came to %u outcomes (seed %llu)", e->unit, u->finals,
                 (unsigned long long) w->seed);
}

/* What a spare unit became is the test's to know. */
static void check_item(const struct world_unit *u, const qe_event *e)
{
    if ((u->flags & QE_UNIT_SPARE) == 0)
        assert_int_equal(e->item, e->unit * 3);
}

static void account(struct world *w, const qe_event *e)
{
    struct world_unit *u = e->unit < w->units ? &w->unit[e->unit] : NULL;

    w->events++;
    switch (e->kind) {
    case QE_EV_WORKER:
        w->workers++;
        assert_true(e->pid > 0);
        assert_true(e->epoch > w->epoch[e->slot]);
        w->pid[e->slot] = e->pid;
        w->epoch[e->slot] = e->epoch;
        break;
    case QE_EV_START:
        assert_non_null(u);
        check_item(u, e);
        assert_int_equal(u->finals, 0);
        u->attempt = e->attempt;
        u->starts++;
        break;
    case QE_EV_PLAIN:
        assert_non_null(u);
        check_item(u, e);
        u->attempt = e->attempt;
        u->starts++;
        settle(w, e);
        break;
    case QE_EV_FINISH:
        assert_non_null(u);
        assert_int_equal(e->attempt, u->attempt);
        settle(w, e);
        break;
    case QE_EV_LOST:
        assert_non_null(u);
        assert_int_equal(u->finals, 0);
        u->status = e->status;
        u->phase = e->phase;
        if (e->outcome == QE_NONE) {
            u->voids++;
        } else {
            u->losses++;
            settle(w, e);
        }
        break;
    case QE_EV_EXIT:
        w->exits++;
        w->pid[e->slot] = 0;
        w->session_losses +=
            e->phase == QE_PHASE_SESSION && e->outcome != QE_NONE;
        break;
    case QE_EV_GIVE_UP:
        w->give_ups++;
        w->give_up_error = e->error;
        break;
    case QE_EV_NONE:
    case QE_EV_PASSED:
    case QE_EV_DATA:
    case QE_EV_REFUSED:
    case QE_EV_SERVER:
    case QE_EV_SOURCE:
    case QE_EV_DONE:
        break;
    }
}

static void complain(const struct world *w)
{
    size_t done, all;

    qe_session_progress(w->session, &done, &all);
    for (uint32_t u = 0; u < w->units; u++) {
        uint64_t word = atomic_load(&w->session->exec.arena.units[u].state);

        if (w->unit[u].finals == 0)
            print_error("unit %u: state %u attempt %u slot %u, %u starts\n", u,
                        (unsigned) qe__state_of(word), qe__state_attempt(word),
                        qe__state_slot(word), w->unit[u].starts);
    }
    for (uint32_t i = 0; i < w->session->exec.slots; i++) {
        const qe__session_slot *s = &w->session->slots[i];
        const qe__arena_slot *a = &w->session->exec.arena.slots[i];

        if (s->alive)
            print_error("slot %u: pid %d, job %u, idle %d, park %u, box %u\n",
                        i, s->pid, a->job, s->idle, atomic_load(&a->park),
                        atomic_load(&a->mailbox));
    }
    fail_msg("nothing happens any more: %zu of %zu done, %u workers alive "
             "(seed %llu)",
             done, all, w->session->alive, (unsigned long long) w->seed);
}

static void take(struct world *w, const qe_event *event)
{
    assert_false(w->done); /* there is nothing after the end */
    w->done = event->kind == QE_EV_DONE;
    account(w, event);
    if (w->on_event != NULL)
        w->on_event(w, event);
}

void world_next(struct world *w, qe_event *event)
{
    uint64_t until = qe_now_ns() + world_patience_ns();

    do {
        assert_int_equal(qe_session_next(w->session, 1000, event), 0);
        if (event->kind == QE_EV_NONE && qe_now_ns() > until)
            complain(w);
    } while (event->kind == QE_EV_NONE);
    take(w, event);
}

void world_poll(struct world *w, qe_event *event)
{
    assert_int_equal(qe_session_next(w->session, 10, event), 0);
    if (event->kind != QE_EV_NONE)
        take(w, event);
}

void world_until(struct world *w, enum qe_event_kind kind, uint32_t unit,
                 qe_event *event)
{
    do {
        world_next(w, event);
    } while (event->kind != kind || (unit != QE__NONE && event->unit != unit));
}

void world_finish(struct world *w)
{
    qe_event event;

    world_until(w, QE_EV_DONE, QE__NONE, &event);
    assert_int_equal(w->session->alive, 0);
}

void world_check(struct world *w)
{
    size_t done, all;

    for (uint32_t u = 0; u < w->units; u++) {
        if (w->unit[u].finals != 1)
            fail_msg("unit %u came to %u outcomes (seed %llu)", u,
                     w->unit[u].finals, (unsigned long long) w->seed);
    }
    qe_session_progress(w->session, &done, &all);
    assert_int_equal(all, w->units);
    assert_int_equal(done, w->units);
    if (atomic_load(&w->shared->wrong) != 0)
        fail_msg("a worker's note failed at line %d",
                 atomic_load(&w->shared->wrong));
}

void world_run(struct world *w)
{
    world_start(w);
    world_finish(w);
    world_check(w);
}
