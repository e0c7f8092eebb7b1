/* Nodes of the model: each has workers, which take what was claimed in its order and steal from each
 * other, and a thread that talks to the server, one call after the other, as csrc/queue/qe_queue.c does. */
#include "queue_server.h"

#include <stdlib.h>
#include <string.h>

#include "qe_heap.h"

#define TELL_NS (20 * QE__MS)  /* results are told so late at most, together */
#define BEAT_NS (500 * QE__MS) /* a node is heard of so often at least */

enum call { CALL_NONE, CALL_CLAIM, CALL_TELL, CALL_BACK, CALL_BEAT };
enum phase {
    FREE,
    SENT,
    HEARD
}; /* what its next event is: a call begins, is done there, is answered */

struct segment {
    uint32_t entry, at, end;
};

struct worker {
    bool busy;
    uint32_t unit, entry, scope;
    uint64_t began_ns;
    struct segment own; /* what it has taken, and not begun */
};

struct node {
    bool here;
    uint64_t join_ns, loss_ns;
    double slow;
    struct worker *workers;
    uint32_t idle;
    /* What has been claimed and not begun. */
    struct segment *segments;
    size_t segment_room, head, tail;
    uint32_t units, unknown; /* `unknown` of them nothing is expected */
    uint64_t held_ns;        /* the others */
    /* What has ended and was not told; the first `sent` are in a call. */
    struct told *told;
    size_t told_room, told_count, sent;
    uint64_t told_since_ns;
    uint64_t spent_ns, ended, entry_ns, begin_ns, trip_ns;
    struct news news;
    /* The thread. */
    enum phase phase;
    enum call call, last;
    uint32_t want, got_count, back;
    uint32_t *got;
    size_t got_room;
    uint32_t back_entry;
    uint64_t call_ns, ask_ns, renew_ns, look_ns;
    struct news answer;
};

struct run {
    const struct load *l;
    const struct run_kind *kind;
    struct server server;
    struct node *nodes;
    qe__heap events;
    uint64_t random, now;
    uint64_t *known_ns; /* by place: what is expected of those before it */
    uint32_t *unknown;  /* likewise how many have no time */
    struct run_result *result;
    int status;
};

static uint32_t member_of(const struct run *r, const struct node *n)
{
    return (uint32_t) (n - r->nodes) * (r->kind->workers + 1);
}

static void event(struct run *r, uint32_t member, uint64_t at)
{
    qe__heap_set(&r->events, member, (qe__key){at, member});
}

/* ------------------------------------------------------------------ workers */

static uint64_t mean_ns(const struct node *n)
{
    return n->ended > 0 ? n->spent_ns / n->ended : 0;
}

/* Units that are held, or no longer. */
static void holds(struct run *r, struct node *n, uint32_t first, uint32_t end,
                  int sign)
{
    uint32_t unknown = r->unknown[end] - r->unknown[first];
    uint64_t known = r->known_ns[end] - r->known_ns[first];

    if (sign > 0) {
        n->units += end - first;
        n->unknown += unknown;
        n->held_ns += known;
    } else {
        n->units -= end - first;
        n->unknown -= unknown;
        n->held_ns -= known;
    }
}

static bool together(const struct run *r, const struct segment *s)
{
    return r->l->units[s->at].flags & QE_UNIT_TOGETHER;
}

/* What has most left of what workers have taken and may be parted with; `last`: it is the end of its
 * entry, which alone can be given back. */
static struct segment *fullest(const struct run *r, const struct node *n,
                               bool last)
{
    struct segment *best = NULL;

    for (uint32_t i = 0; i < r->kind->workers; i++) {
        struct segment *s = &n->workers[i].own;
        const struct entry *e = &r->server.entries[s->entry];

        if (s->at < s->end && (!last || s->end == e->first + e->count) &&
            !together(r, s) &&
            (best == NULL || s->end - s->at > best->end - best->at)) {
            best = s;
        }
    }
    return best;
}

/* As csrc/qe_arena_claim.c: the next of what was claimed, or half of what another worker has. */
static bool refill(struct run *r, struct node *n, struct worker *w)
{
    struct segment *from;

    if (n->head < n->tail) {
        w->own = n->segments[n->head++];
        if (n->head == n->tail) {
            n->head = n->tail = 0;
        }
        return true;
    }
    from = fullest(r, n, false);
    if (from == NULL) {
        return false;
    }
    w->own = *from;
    w->own.at += (from->end - from->at) / 2;
    from->end = w->own.at;
    return true;
}

static bool next_unit(struct run *r, struct node *n, struct worker *w)
{
    for (;;) {
        if (w->own.at == w->own.end && !refill(r, n, w)) {
            return false;
        }
        w->unit = w->own.at++;
        w->entry = w->own.entry;
        holds(r, n, w->unit, w->unit + 1, -1);
        if (server_needs(&r->server, w->entry, w->unit)) {
            return true;
        }
    }
}

static void begin(struct run *r, struct node *n)
{
    for (uint32_t i = 0; i < r->kind->workers && n->units > 0; i++) {
        struct worker *w = &n->workers[i];
        uint32_t scope;

        if (w->busy || !next_unit(r, n, w)) {
            continue;
        }
        scope = r->l->units[w->unit].scope;
        r->result->setups += w->scope != scope;
        r->result->begun++;
        w->scope = scope;
        w->busy = true;
        w->began_ns = n->begin_ns = r->now;
        n->idle--;
        event(r, member_of(r, n) + 1 + i,
              r->now + (uint64_t) ((double) r->l->real_ns[w->unit] * n->slow));
    }
}

static void ends(struct run *r, struct node *n, struct worker *w)
{
    uint32_t attempt = r->server.entries[w->entry].attempt;

    if (qe__grow(&n->told, &n->told_room, n->told_count + 1,
                 sizeof(*n->told)) != 0) {
        r->status = QE_ENOMEM;
        return;
    }
    if (n->told_count == n->sent) {
        n->told_since_ns = r->now;
    }
    n->told[n->told_count++] =
        (struct told){.unit = w->unit,
                      .entry = w->entry,
                      .attempt = attempt,
                      .again = attempt == 1 && r->l->fails[w->unit]};
    n->ended++;
    n->spent_ns += r->now - w->began_ns;
    w->busy = false;
    n->idle++;
    begin(r, n);
    if (n->idle > 0) {
        n->ask_ns = r->now;
    }
}

/* --------------------------------------------------------------- the thread */

static qe__share_view view_of(const struct run *r, const struct node *n)
{
    qe__share_view v = {.workers = r->kind->workers,
                        .idle = n->idle,
                        .units = n->units,
                        .held_ns = n->held_ns + n->unknown * mean_ns(n),
                        .trip_ns = n->trip_ns,
                        .unit_ns = mean_ns(n),
                        .entry_ns = n->entry_ns,
                        .rest_ns = UINT64_MAX,
                        .quiet_ns = r->now - n->begin_ns,
                        .left = n->news.left,
                        .open = n->news.open,
                        .all = n->news.all,
                        .waiting = n->news.waiting};

    for (uint32_t i = 0; i < r->kind->workers; i++) {
        const struct worker *w = &n->workers[i];
        uint64_t end = w->began_ns + r->l->units[w->unit].expected_ns;

        if (w->busy) {
            end = end > r->now ? end - r->now : 0;
            v.rest_ns = end < v.rest_ns ? end : v.rest_ns;
        }
    }
    v.rest_ns = v.rest_ns == UINT64_MAX ? 0 : v.rest_ns;
    return v;
}

static void call(struct run *r, struct node *n, enum call which)
{
    double jitter = 0.5 + model_uniform(&r->random);
    uint64_t trip = 1 + (uint64_t) ((double) r->kind->trip_ns * jitter);

    r->result->calls++;
    n->call = n->last = which;
    n->phase = SENT;
    n->call_ns = r->now;
    event(r, member_of(r, n), r->now + trip / 2);
}

/* Of what was claimed last; what is in a call begins no more. */
static bool give_back(struct run *r, struct node *n, uint32_t units)
{
    bool queued = n->tail > n->head;
    struct segment *s =
        queued ? &n->segments[n->tail - 1] : fullest(r, n, true);
    uint32_t has = s != NULL ? s->end - s->at : 0;

    if (has == 0) {
        return false;
    }
    if (units > has || together(r, s)) {
        units = has;
    }
    s->end -= units;
    holds(r, n, s->end, s->end + units, -1);
    n->back = units;
    n->back_entry = s->entry;
    n->tail -= queued && s->at == s->end;
    return true;
}

/* Of those that are to be told the ones of one entry come first. */
static void gather(struct node *n)
{
    uint32_t entry = n->told[0].entry;

    for (size_t i = 0; i < n->told_count; i++) {
        if (n->told[i].entry == entry) {
            struct told t = n->told[i];

            n->told[i] = n->told[n->sent];
            n->told[n->sent++] = t;
        }
    }
}

static void consider(struct run *r, struct node *n)
{
    qe__share_view view = view_of(r, n);
    qe__share_want want = qe__share_ask(&view);
    uint32_t back = qe__share_back(&view);
    bool asks = want.entries > 0 && r->now >= n->ask_ns;
    bool tells = n->told_count > 0 &&
                 (n->idle > 0 || r->now >= n->told_since_ns + TELL_NS);
    uint64_t third = r->kind->lease_ns / 3, wake;

    if (back > 0 && give_back(r, n, back)) {
        call(r, n, CALL_BACK);
    } else if (asks && (n->last != CALL_CLAIM || !tells)) {
        n->want = want.entries < 1024 ? want.entries : 1024;
        n->look_ns = want.pause_ns;
        call(r, n, CALL_CLAIM);
    } else if (tells) {
        gather(n);
        call(r, n, CALL_TELL);
    } else if (r->now >= n->call_ns + BEAT_NS ||
               r->now >= n->renew_ns + third) {
        call(r, n, CALL_BEAT);
    } else {
        wake = n->call_ns + BEAT_NS;
        wake = n->renew_ns + third < wake ? n->renew_ns + third : wake;
        if (n->told_count > 0 && n->told_since_ns + TELL_NS < wake) {
            wake = n->told_since_ns + TELL_NS;
        }
        if (want.entries > 0) {
            wake = n->ask_ns < wake ? n->ask_ns : wake;
        } else if (r->now + want.pause_ns < wake) {
            wake = r->now + want.pause_ns;
        }
        event(r, member_of(r, n), wake);
    }
}

/* The call is at the server. */
static void arrives(struct run *r, struct node *n)
{
    struct server *s = &r->server;
    uint32_t who = (uint32_t) (n - r->nodes);

    server_hears(s, who, n->idle, r->now);
    n->got_count = 0;
    switch (n->call) {
    case CALL_CLAIM:
        if (qe__grow(&n->got, &n->got_room, n->want, sizeof(*n->got)) != 0) {
            r->status = QE_ENOMEM;
            return;
        }
        n->got_count = server_claim(s, who, n->want, r->now, n->got);
        break;
    case CALL_TELL:
        server_tell(s, who, n->told, (uint32_t) n->sent, r->now);
        break;
    case CALL_BACK:
        server_back(s, n->back_entry, n->back);
        break;
    default:
        s->peers[who].renewed_ns = r->now;
        break;
    }
    n->answer = server_news(s);
    n->phase = HEARD;
    event(r, member_of(r, n), 2 * r->now - n->call_ns);
}

static void answered(struct run *r, struct node *n)
{
    uint64_t trip = r->now - n->call_ns;

    n->trip_ns = n->trip_ns == 0 ? trip : (7 * n->trip_ns + trip) / 8;
    n->news = n->answer;
    n->phase = FREE;
    if (n->call == CALL_TELL) {
        n->told_count -= n->sent;
        memmove(n->told, n->told + n->sent, n->told_count * sizeof(*n->told));
        n->sent = 0;
    } else if (n->call == CALL_BEAT) {
        n->renew_ns = r->now;
    } else if (n->call == CALL_CLAIM) {
        n->ask_ns = n->got_count > 0 ? r->now : r->now + n->look_ns;
    }
    for (uint32_t i = 0; i < n->got_count; i++) {
        const struct entry *e = &r->server.entries[n->got[i]];
        uint32_t end = e->first + e->count;

        if (qe__grow(&n->segments, &n->segment_room, n->tail + 1,
                     sizeof(*n->segments)) != 0) {
            r->status = QE_ENOMEM;
            return;
        }
        n->segments[n->tail++] = (struct segment){n->got[i], e->first, end};
        holds(r, n, e->first, end, 1);
        n->entry_ns = r->known_ns[end] - r->known_ns[e->first] +
                      (r->unknown[end] - r->unknown[e->first]) * mean_ns(n);
    }
    begin(r, n);
    consider(r, n);
}

static void lose(struct run *r, struct node *n)
{
    n->here = false;
    for (uint32_t i = 0; i <= r->kind->workers; i++) {
        qe__heap_remove(&r->events, member_of(r, n) + i);
    }
    server_loses(&r->server, (uint32_t) (n - r->nodes));
}

/* ------------------------------------------------------------------ the run */

static void step(struct run *r, uint32_t member)
{
    struct node *n = &r->nodes[member / (r->kind->workers + 1)];
    uint32_t which = member % (r->kind->workers + 1);

    if (r->now >= n->loss_ns) {
        lose(r, n);
    } else if (which > 0) {
        qe__heap_remove(&r->events, member);
        ends(r, n, &n->workers[which - 1]);
        if (n->phase == FREE) {
            consider(r, n);
        }
    } else if (n->phase == SENT) {
        arrives(r, n);
    } else if (n->phase == HEARD) {
        answered(r, n);
    } else {
        consider(r, n);
    }
}

/* When so much could be done if nobody ever waited. */
static uint64_t fluid_ns(const struct run *r)
{
    double low = 0, high = 1e18, fastest = 10;

    for (uint32_t i = 0; i < r->kind->nodes; i++) {
        fastest = r->nodes[i].slow < fastest ? r->nodes[i].slow : fastest;
    }
    for (uint32_t round = 0; round < 100; round++) {
        double t = (low + high) / 2, done = 0;

        for (uint32_t i = 0; i < r->kind->nodes; i++) {
            const struct node *n = &r->nodes[i];
            double end = (double) n->loss_ns < t ? (double) n->loss_ns : t;

            if (end > (double) n->join_ns) {
                done +=
                    (end - (double) n->join_ns) / n->slow * r->kind->workers;
            }
        }
        if (done < (double) r->l->total_ns) {
            low = t;
        } else {
            high = t;
        }
    }
    fastest *= (double) r->l->longest_ns;
    return (uint64_t) (high > fastest ? high : fastest);
}

static int people(struct run *r)
{
    const struct run_kind *k = r->kind;
    double ideal = (double) r->l->total_ns / ((double) k->nodes * k->workers);

    for (uint32_t i = 0; i < k->nodes; i++) {
        struct node *n = &r->nodes[i];

        n->workers = calloc(k->workers, sizeof(*n->workers));
        if (n->workers == NULL) {
            return QE_ENOMEM;
        }
        for (uint32_t w = 0; w < k->workers; w++) {
            n->workers[w].scope = UINT32_MAX;
        }
        n->here = true;
        n->idle = k->workers;
        n->loss_ns = UINT64_MAX;
        n->slow = 1 + k->speeds * (2 * model_uniform(&r->random) - 1);
        if (i > 0 && model_uniform(&r->random) < k->late) {
            n->join_ns = (uint64_t) (ideal * model_uniform(&r->random) / 3);
        }
        if (i > 0 && model_uniform(&r->random) < k->lost) {
            n->loss_ns =
                n->join_ns + (uint64_t) (ideal * model_uniform(&r->random));
        }
        n->renew_ns = n->call_ns = n->ask_ns = n->begin_ns = n->join_ns;
        event(r, member_of(r, n), n->join_ns);
    }
    return 0;
}

static int prepare(struct run *r)
{
    const struct load *l = r->l;

    r->nodes = calloc(r->kind->nodes, sizeof(*r->nodes));
    r->known_ns = calloc((size_t) l->count + 1, sizeof(*r->known_ns));
    r->unknown = calloc((size_t) l->count + 1, sizeof(*r->unknown));
    if (r->nodes == NULL || r->known_ns == NULL || r->unknown == NULL ||
        qe__heap_reserve(&r->events, r->kind->nodes * (r->kind->workers + 1)) !=
            0) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        uint64_t expected = l->units[i].expected_ns;

        r->known_ns[i + 1] = r->known_ns[i] + expected;
        r->unknown[i + 1] = r->unknown[i] + (expected == 0);
    }
    return server_open(&r->server, l, r->kind, r->result);
}

static void clear(struct run *r)
{
    for (uint32_t i = 0; r->nodes != NULL && i < r->kind->nodes; i++) {
        free(r->nodes[i].workers);
        free(r->nodes[i].segments);
        free(r->nodes[i].told);
        free(r->nodes[i].got);
    }
    free(r->nodes);
    free(r->known_ns);
    free(r->unknown);
    qe__heap_free(&r->events);
    server_close(&r->server);
}

int run_queue(const struct load *l, const struct run_kind *kind,
              struct run_result *out, uint64_t *lost_ns)
{
    struct run r = {.l = l, .kind = kind, .random = kind->seed, .result = out};
    uint32_t member;
    qe__key key;

    memset(out, 0, sizeof(*out));
    r.status = prepare(&r);
    if (r.status == 0) {
        r.status = people(&r);
    }
    while (r.status == 0 && r.server.status == 0 && r.server.left > 0) {
        if (!qe__heap_top(&r.events, &member, &key)) {
            r.status = QE_ESTATE;
            break;
        }
        r.now = key.major;
        step(&r, member);
    }
    if (r.status == 0) {
        r.status = r.server.status;
    }
    if (r.status == 0) {
        out->end_ns = r.server.end_ns;
        out->bound_ns = fluid_ns(&r);
        for (uint32_t i = 0; lost_ns != NULL && i < kind->nodes; i++) {
            lost_ns[i] = r.nodes[i].loss_ns;
        }
    }
    clear(&r);
    return r.status;
}
