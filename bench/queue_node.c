/* Nodes of the model: each has workers, which take what was claimed in its order and steal from each
 * other, and a thread that talks to the server, one call after the other, as csrc/queue/qe_queue.c does. */
#include "queue_node.h"

#include <stdlib.h>
#include <string.h>

/* Results are told so late at most, together, and so many at once. */
#define TELL_NS (20 * QE__MS)
#define BATCH 256u
/* A node is heard of so often at least, the second if it has what others may soon wait for. */
#define BEAT_NS (500 * QE__MS)
#define TAIL_NS (50 * QE__MS)

uint32_t node_member(const struct run *r, const struct node *n)
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

/* What has most left of what workers have taken and may be parted with. */
static struct segment *fullest(const struct run *r, const struct node *n)
{
    struct segment *best = NULL;

    for (uint32_t i = 0; i < r->kind->workers; i++) {
        struct segment *s = &n->workers[i].own;

        if (s->at < s->end && !together(r, s) &&
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
    from = fullest(r, n);
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
        event(r, node_member(r, n) + 1 + i,
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
}

/* --------------------------------------------------------------- the thread */

static qe__share_view view_of(const struct run *r, const struct node *n)
{
    return (qe__share_view){.workers = r->kind->workers,
                            .idle = n->idle,
                            .units = n->units,
                            .held_ns = n->held_ns + n->unknown * mean_ns(n),
                            .trip_ns = n->trip_ns,
                            .unit_ns = mean_ns(n),
                            .entry_ns = n->entry_ns,
                            .quiet_ns = r->now - n->begin_ns,
                            .left = n->news.left,
                            .open = n->news.open,
                            .all = n->news.all,
                            .waiting = n->news.waiting};
}

static void call(struct run *r, struct node *n, enum call which)
{
    double jitter = 0.5 + model_uniform(&r->random);
    uint64_t trip = 1 + (uint64_t) ((double) r->kind->trip_ns * jitter);

    r->result->calls++;
    n->call = which;
    n->phase = SENT;
    n->call_ns = r->now;
    event(r, node_member(r, n), r->now + trip / 2);
}

/* Of what was claimed last; what is in a call begins no more. */
static bool give_back(struct run *r, struct node *n, uint32_t units)
{
    bool queued = n->tail > n->head;
    struct segment *s = queued ? &n->segments[n->tail - 1] : fullest(r, n);
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
    n->back_first = s->end;
    n->tail -= queued && s->at == s->end;
    return true;
}

static void consider(struct run *r, struct node *n)
{
    qe__share_view view = view_of(r, n);
    qe__share_want want = qe__share_ask(&view);
    uint32_t back = qe__share_back(&view);
    bool told_all =
        n->told_count > 0 && n->units == 0 && n->idle == r->kind->workers;
    uint64_t tell = n->told_count == 0       ? UINT64_MAX
                    : n->told_count >= BATCH ? 0
                                             : n->told_since_ns + TELL_NS;
    uint64_t ask = want.entries > 0 ? n->ask_ns : UINT64_MAX;
    uint64_t renew = n->renew_ns + r->kind->lease_ns / 3, wake;

    if (r->now >= renew) {
        call(r, n, CALL_BEAT);
    } else if (told_all) {
        call(r, n, CALL_TELL);
    } else if (back > 0 && give_back(r, n, back)) {
        call(r, n, CALL_BACK);
    } else if (r->now >= ask) {
        n->want = want;
        call(r, n, CALL_CLAIM);
    } else if (r->now >= tell) {
        call(r, n, CALL_TELL);
    } else if (r->now >= n->beat_ns) {
        call(r, n, CALL_BEAT);
    } else {
        wake = renew < n->beat_ns ? renew : n->beat_ns;
        wake = ask < wake ? ask : wake;
        event(r, node_member(r, n), tell < wake ? tell : wake);
    }
    if (n->call == CALL_TELL && n->phase == SENT) {
        n->sent = n->told_count < BATCH ? n->told_count : BATCH;
    }
}

/* The call is at the server. */
static void arrives(struct run *r, struct node *n)
{
    struct server *s = &r->server;
    uint32_t who = (uint32_t) (n - r->nodes);

    server_hears(s, who, n->idle > n->units ? n->idle - n->units : 0, r->now);
    n->got_count = 0;
    switch (n->call) {
    case CALL_CLAIM:
        if (qe__grow(&n->got, &n->got_room, n->want.entries, sizeof(*n->got)) !=
            0) {
            r->status = QE_ENOMEM;
            return;
        }
        n->got_count = server_claim(s, who, &n->want, r->now, n->got);
        break;
    case CALL_TELL:
        server_tell(s, who, n->told, (uint32_t) n->sent, r->now);
        break;
    case CALL_BACK:
        server_back(s, n->back_entry, n->back_first, n->back);
        break;
    default:
        s->peers[who].renewed_ns = r->now;
        break;
    }
    n->answer = server_news(s);
    n->phase = HEARD;
    event(r, node_member(r, n), 2 * r->now - n->call_ns);
}

static void answered(struct run *r, struct node *n)
{
    uint64_t trip = r->now - n->call_ns;

    n->trip_ns = n->trip_ns == 0 ? trip : (7 * n->trip_ns + trip) / 8;
    if (n->news.open == 0 && n->answer.open > 0) {
        n->ask_ns = r->now;
    }
    n->news = n->answer;
    n->phase = FREE;
    if (n->call == CALL_TELL) {
        n->told_count -= n->sent;
        memmove(n->told, n->told + n->sent, n->told_count * sizeof(*n->told));
        n->sent = 0;
    } else if (n->call == CALL_BEAT) {
        n->renew_ns = r->now;
    } else if (n->call == CALL_CLAIM) {
        n->ask_ns = n->got_count > 0 ? r->now : r->now + n->want.pause_ns;
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
    n->beat_ns = r->now + (n->news.open == 0 && n->units > 0 &&
                                   n->news.all > r->kind->workers
                               ? TAIL_NS
                               : BEAT_NS);
    consider(r, n);
}

static void lose(struct run *r, struct node *n)
{
    n->here = false;
    for (uint32_t i = 0; i <= r->kind->workers; i++) {
        qe__heap_remove(&r->events, node_member(r, n) + i);
    }
    server_loses(&r->server, (uint32_t) (n - r->nodes));
}

void node_event(struct run *r, struct node *n, uint32_t which)
{
    if (r->now >= n->loss_ns) {
        lose(r, n);
    } else if (which > 0) {
        qe__heap_remove(&r->events, node_member(r, n) + which);
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
