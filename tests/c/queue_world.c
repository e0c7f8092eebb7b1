#include "queue_world.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "qe_redis.h"

struct todo {
    uint32_t place, attempt;
    bool alone;
    uint64_t end_ns; /* running: when it ends */
};

/* What a session has. */
struct session {
    struct queue_node *n;
    const qe_source *source;
    struct todo *todo; /* claimed, and not begun */
    uint32_t count;
    struct todo running[64];
    uint32_t busy;
    bool stopped, over, trouble;
};

void queue_nap_ms(uint64_t ms)
{
    struct timespec t = {(time_t) (ms / 1000), (long) (ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static void *shared(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    return at;
}

struct queue_world *queue_world_open(struct redis_world *server, uint32_t count,
                                     uint64_t expected_ns)
{
    struct queue_world *w = shared(sizeof(*w));

    assert_true(count <= QW_UNITS_MAX);
    w->server = server;
    w->count = count;
    w->lease_ns = QW_S;
    w->patience_ns = 60 * QW_S;
    w->units = calloc(count + 1, sizeof(*w->units));
    assert_non_null(w->units);
    for (uint32_t i = 0; i < count; i++) {
        char *id = malloc(32);

        assert_non_null(id);
        snprintf(id, 32, "test_%u", i);
        w->units[i].id = id;
        w->units[i].scope = i / 4;
        w->units[i].expected_ns = expected_ns;
    }
    return w;
}

void queue_world_close(struct queue_world *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        free((void *) w->units[i].id);
    free(w->units);
    if (w->nodes != NULL)
        munmap(w->nodes, w->node_count * sizeof(*w->nodes));
    munmap(w, sizeof(*w));
}

/* ------------------------------------------------------------------ a session */

static bool has(const struct session *s, uint32_t place)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->todo[i].place == place)
            return true;
    for (uint32_t i = 0; i < s->busy; i++)
        if (s->running[i].place == place)
            return true;
    return false;
}

static void gain(struct session *s, const qe_source_news *news)
{
    for (uint32_t i = news->first; i < news->first + news->count; i++) {
        if (!has(s, i))
            s->todo[s->count++] =
                (struct todo){i, news->attempt, news->alone, 0};
    }
}

static void lose(struct session *s, const qe_source_news *news)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->count; i++)
        if (s->todo[i].place - news->first >= news->count)
            s->todo[kept++] = s->todo[i];
    s->count = kept;
}

static void give(struct session *s, uint32_t most)
{
    for (; most > 0 && s->count > 0; most--) {
        s->source->back(s->source->ctx, s->todo[--s->count].place, 1);
        s->n->backs++;
    }
    s->source->back(s->source->ctx, 0, 0);
}

static void hear(struct session *s)
{
    qe_source_news news;

    for (;;) {
        s->source->take(s->source->ctx, &news);
        switch (news.kind) {
        case QE_SOURCE_NONE:
            return;
        case QE_SOURCE_CLAIM:
            gain(s, &news);
            break;
        case QE_SOURCE_LOST:
            lose(s, &news);
            break;
        case QE_SOURCE_WANTED:
            give(s, news.count);
            break;
        case QE_SOURCE_STOPPED:
            s->stopped = true;
            s->n->stopped_ns = qe_now_ns();
            break;
        case QE_SOURCE_OVER:
            s->over = true;
            s->n->over_ns = qe_now_ns();
            break;
        case QE_SOURCE_TROUBLE:
            s->trouble = s->n->troubled = true;
            s->n->trouble_ns = qe_now_ns();
            break;
        }
    }
}

static void begin(struct session *s)
{
    struct queue_node *n = s->n;
    struct queue_world *w = n->w;

    while (!s->stopped && !s->over && s->count > 0 && s->busy < n->workers) {
        struct todo t = s->todo[0];

        memmove(s->todo, s->todo + 1, --s->count * sizeof(t));
        t.end_ns =
            qe_now_ns() + (w->takes != NULL ? w->takes(n, t.place, t.attempt)
                                            : w->units[t.place].expected_ns);
        s->running[s->busy++] = t;
        atomic_fetch_add(&w->begun[t.place], 1);
        atomic_fetch_add(&w->begun_all, 1);
        atomic_store(&w->last_on[t.place], n->number);
        atomic_fetch_add(&n->began, 1);
        if (atomic_fetch_add(&w->running, 1) > 0 &&
            (t.alone || atomic_load(&w->running_alone) > 0))
            atomic_fetch_add(&w->together, 1);
        if (t.alone)
            atomic_fetch_add(&w->running_alone, 1);
    }
}

static void tell(struct session *s, const struct todo *t)
{
    struct queue_node *n = s->n;
    struct queue_world *w = n->w;
    enum qe_outcome outcome = QE_PASSED;
    bool again = false;
    char payload[32];

    if (w->ends != NULL)
        outcome = w->ends(n, t->place, t->attempt, &again);
    if (t->alone)
        atomic_fetch_sub(&w->running_alone, 1);
    atomic_fetch_sub(&w->running, 1);
    snprintf(payload, sizeof(payload), "%u on %u", t->place, n->number);
    queue_must(qe_queue_tell(n->queue, t->place, t->attempt, outcome, again,
                             outcome == QE_FAILED, payload,
                             strlen(payload)) == 0);
}

/* Ends what is over; returns when the next is. */
static uint64_t end(struct session *s, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < s->busy;) {
        struct todo t = s->running[i];

        if (t.end_ns <= now) {
            s->running[i] = s->running[--s->busy];
            tell(s, &t);
            continue;
        }
        next = t.end_ns < next ? t.end_ns : next;
        i++;
    }
    return next;
}

static void report(const struct session *s)
{
    qe_source_room room = {.units = s->count, .idle = s->n->workers - s->busy};

    for (uint32_t i = 0; i < s->count; i++)
        room.expected_ns += s->n->w->units[s->todo[i].place].expected_ns;
    s->source->room(s->source->ctx, &room);
}

/* What has begun is run to its end. */
static bool done(const struct session *s)
{
    return s->busy == 0 &&
           (s->over || s->stopped || (s->trouble && s->count == 0));
}

static void work(struct session *s)
{
    while (!atomic_load(&s->n->leave) && !done(s)) {
        struct pollfd p = {.fd = s->source->fd, .events = POLLIN};
        uint64_t now = qe_now_ns(), next = end(s, now);
        struct timespec t;

        begin(s);
        report(s);
        for (uint32_t i = 0; i < s->busy; i++)
            next = s->running[i].end_ns < next ? s->running[i].end_ns : next;
        now = qe_now_ns();
        next = next == UINT64_MAX ? 50 * QW_MS : next > now ? next - now : 0;
        t = (struct timespec){(time_t) (next / QW_S), (long) (next % QW_S)};
        (void) ppoll(&p, 1, &t, NULL);
        hear(s);
    }
}

int queue_node_join(struct queue_node *n)
{
    char name[32];
    const qe_queue_options options = {
        .url = redis_url(n->w->server, false,
                         n->w->user != NULL ? n->w->user : ""),
        .project = "p",
        .run = "r",
        .node = name,
        .workers = n->workers,
        .maxfail = n->w->maxfail,
        .lease_ns = n->lease_ns != 0 ? n->lease_ns : n->w->lease_ns,
        .timeout_ns = 2 * QW_S,
        .patience_ns = n->w->patience_ns,
    };
    int status;

    snprintf(name, sizeof(name), "node %u", n->number);
    status =
        qe_queue_open(&n->queue, &options, n->w->units, n->w->count, n->text);
    if (status == 0) {
        status = qe_queue_join(n->queue);
        snprintf(n->text, sizeof(n->text), "%s", qe_queue_text(n->queue));
    }
    return status;
}

void queue_node_run(struct queue_node *n)
{
    struct session s = {.n = n};

    n->status = queue_node_join(n);
    atomic_fetch_add(&n->w->joined, 1);
    while (atomic_load(&n->w->joined) < n->w->together_from)
        queue_nap_ms(1);
    if (n->status == 0)
        n->status = qe_queue_start(n->queue);
    if (n->status == 0) {
        s.todo = calloc(n->w->count + 1, sizeof(*s.todo));
        queue_must(s.todo != NULL);
        s.source = qe_queue_source(n->queue);
        work(&s);
        n->status = qe_queue_finish(n->queue, &n->end);
        snprintf(n->text, sizeof(n->text), "%s", qe_queue_text(n->queue));
        free(s.todo);
    }
    qe_queue_close(n->queue);
    n->queue = NULL;
}

static void *in_thread(void *node)
{
    queue_node_run(node);
    return NULL;
}

void queue_node_start_thread(struct queue_node *n)
{
    assert_int_equal(pthread_create(&n->thread, NULL, in_thread, n), 0);
}

void queue_node_join_thread(struct queue_node *n)
{
    assert_int_equal(pthread_join(n->thread, NULL), 0);
}

struct queue_node *queue_nodes(struct queue_world *w, uint32_t n,
                               uint32_t workers)
{
    assert_null(w->nodes);
    w->nodes = shared(n * sizeof(*w->nodes));
    w->node_count = n;
    for (uint32_t i = 0; i < n; i++) {
        w->nodes[i].w = w;
        w->nodes[i].number = i + 1;
        w->nodes[i].workers = workers;
    }
    return w->nodes;
}

int queue_node_wait(struct queue_node *n)
{
    int status = scratch_wait(n->pid);

    n->pid = 0;
    return status;
}

void queue_node_fork(struct queue_node *n)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            queue_node_run(n);
        _exit(n->status == 0 ? 0 : 1);
    }
    n->pid = pid; /* which the child shares */
}

void queue_node_kill(const struct queue_node *n, int signal)
{
    assert_true(n->pid > 0);
    assert_int_equal(kill(n->pid, signal), 0);
}

void queue_start_threads(struct queue_node *nodes, uint32_t n)
{
    nodes[0].w->together_from = n;
    for (uint32_t i = 0; i < n; i++)
        queue_node_start_thread(&nodes[i]);
}

void queue_join_threads(struct queue_node *nodes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        queue_node_join_thread(&nodes[i]);
        if (nodes[i].status != 0)
            print_error("%s\n", nodes[i].text);
        assert_int_equal(nodes[i].status, 0);
    }
}

/* --------------------------------------------------------------------- checks */

static redisReply *ask(const struct queue_world *w, int argc,
                       const char *const *argv)
{
    char text[QE__REDIS_TEXT];
    redisReply *reply;
    qe__redis *r;

    assert_int_equal(
        redis_open(w->server, redis_url(w->server, false, ""), &r, text), 0);
    assert_int_equal(qe__redis_add(r, argc, argv, NULL), 0);
    assert_int_equal(qe__redis_reply(r, qe_now_ns() + 60 * QW_S, &reply), 0);
    qe__redis_close(r);
    return reply;
}

void queue_command(const struct queue_world *w, int argc,
                   const char *const *argv)
{
    redisReply *reply = ask(w, argc, argv);

    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s", reply->str);
    freeReplyObject(reply);
}

uint32_t queue_length(const struct queue_world *w, const char *command,
                      const char *key)
{
    char name[64];
    const char *argv[] = {command, name};
    redisReply *reply;
    uint32_t n;

    snprintf(name, sizeof(name), "qe:{p/r}:%s", key);
    reply = ask(w, 2, argv);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    n = (uint32_t) reply->integer;
    freeReplyObject(reply);
    return n;
}

void queue_await_begun(const struct queue_world *w, uint32_t count)
{
    while (atomic_load(&w->begun_all) < count)
        queue_nap_ms(1);
}

void queue_check_outcomes(const struct queue_world *w)
{
    assert_int_equal(queue_length(w, "HLEN", "out"), w->count);
    assert_int_equal(queue_length(w, "XLEN", "work"), 0);
    assert_int_equal(queue_length(w, "LLEN", "serial"), 0);
    for (uint32_t i = 0; i < w->count; i++)
        assert_true(atomic_load(&w->begun[i]) > 0);
}

void queue_check_all(const struct queue_world *w,
                     const struct queue_node *nodes, uint32_t n)
{
    uint32_t counted = 0, last = 0;

    for (uint32_t i = 0; i < n; i++) {
        counted += nodes[i].end.counted;
        last += nodes[i].end.last;
    }
    assert_int_equal(counted, w->count);
    assert_int_equal(last, 1);
    assert_int_equal(queue_length(w, "HLEN", "nodes"), 0);
    queue_check_outcomes(w);
}
