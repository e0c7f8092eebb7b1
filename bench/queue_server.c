#include "queue_server.h"

#include <stdlib.h>
#include <string.h>

static void append(struct server *s, uint32_t **list, size_t *room, size_t *n,
                   uint32_t entry)
{
    if (qe__grow(list, room, *n + 1, sizeof(**list)) != 0) {
        s->status = QE_ENOMEM;
        return;
    }
    (*list)[(*n)++] = entry;
}

bool server_needs(const struct server *s, uint32_t entry, uint32_t unit)
{
    return s->entries[entry].attempt == 1 ? s->done[unit] == 0
                                          : (s->done[unit] & 1) == 0;
}

/* So many of what is to run again are looked at for one that the node may have. */
#define LOOKED_AT 64u

static void offer(struct server *s, uint32_t entry)
{
    if (s->entries[entry].attempt > 1) {
        append(s, &s->again, &s->again_room, &s->again_count, entry);
    } else {
        append(s, &s->queue, &s->queue_room, &s->tail, entry);
    }
}

static void put(struct server *s, struct entry e)
{
    if (qe__grow(&s->entries, &s->room, s->count + 1, sizeof(*s->entries)) !=
        0) {
        s->status = QE_ENOMEM;
        return;
    }
    e.owner = NOBODY;
    s->entries[s->count] = e;
    offer(s, (uint32_t) s->count++);
}

int server_open(struct server *s, const struct load *l,
                const struct run_kind *kind, struct run_result *result)
{
    qe__share_piece *pieces;
    uint32_t n;

    memset(s, 0, sizeof(*s));
    s->done = calloc(l->count, 1);
    s->peers = calloc(kind->nodes, sizeof(*s->peers));
    if (s->done == NULL || s->peers == NULL ||
        qe__share_lay(l->units, l->count, &pieces, &n) != 0) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        put(s, (struct entry){.first = pieces[i].first,
                              .count = pieces[i].count,
                              .attempt = 1,
                              .expected_ns = pieces[i].expected_ns,
                              .not_on = NOBODY});
    }
    free(pieces);
    s->nodes = kind->nodes;
    s->workers = kind->workers;
    s->lease_ns = kind->lease_ns;
    s->left = l->count;
    s->look_ns = UINT64_MAX;
    s->result = result;
    result->entries = n;
    return s->status;
}

void server_close(struct server *s)
{
    free(s->entries);
    free(s->queue);
    free(s->again);
    free(s->orphans);
    free(s->done);
    free(s->peers);
    memset(s, 0, sizeof(*s));
}

/* Nodes that have not beaten within a lease do not count. */
static void look(struct server *s, uint64_t now)
{
    s->all = s->waiting = s->alive = 0;
    s->look_ns = UINT64_MAX;
    for (uint32_t i = 0; i < s->nodes; i++) {
        struct peer *p = &s->peers[i];

        p->alive = p->alive && now - p->heard_ns <= s->lease_ns;
        if (p->alive) {
            uint64_t end = p->heard_ns + s->lease_ns + 1;

            s->all += s->workers;
            s->waiting += p->waiting;
            s->alive++;
            s->look_ns = end < s->look_ns ? end : s->look_ns;
        }
    }
}

void server_hears(struct server *s, uint32_t node, uint32_t waiting,
                  uint64_t now)
{
    struct peer *p = &s->peers[node];

    if (p->alive) {
        s->waiting -= p->waiting;
    } else {
        s->all += s->workers;
        s->alive++;
    }
    s->waiting += waiting;
    p->heard_ns = now;
    p->waiting = waiting;
    p->alive = true;
    if (now >= s->look_ns || s->look_ns == UINT64_MAX) {
        look(s, now);
    }
}

struct news server_news(const struct server *s)
{
    return (struct news){.left = s->left,
                         .open = s->tail - s->head + s->again_count,
                         .all = s->all,
                         .waiting = s->waiting};
}

/* Whether the node has it now; otherwise it is offered once more, or nothing is left of it. */
static bool take(struct server *s, uint32_t node, uint32_t entry, uint64_t now)
{
    struct entry *e = &s->entries[entry];

    if (e->not_on == node && s->alive > 1) {
        offer(s, entry);
        return false;
    }
    e->owner = node;
    e->renewed_ns = now;
    e->untold = 0;
    for (uint32_t u = e->first; u < e->first + e->count; u++) {
        e->untold += server_needs(s, entry, u);
    }
    return e->untold > 0;
}

/* What has been found for a claim. */
struct found {
    const qe__share_want *want;
    uint32_t *out;
    uint32_t got;
    uint64_t units, takes_ns;
};

static bool enough(const struct found *f)
{
    return f->got >= f->want->entries || f->units >= f->want->units ||
           (f->got > 0 && f->takes_ns >= f->want->expected_ns);
}

static void find(struct server *s, struct found *f, uint32_t node,
                 uint32_t entry, uint64_t now)
{
    if (take(s, node, entry, now)) {
        const struct entry *e = &s->entries[entry];

        f->out[f->got++] = entry;
        f->units += e->untold;
        f->takes_ns += e->expected_ns / e->count * e->untold;
    }
}

/* `own`: also what failed on the node itself. */
static void find_again(struct server *s, struct found *f, uint32_t node,
                       uint64_t now, bool own)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->again_count; i++) {
        uint32_t entry = s->again[i];

        if (i < LOOKED_AT && !enough(f) &&
            (own || s->entries[entry].not_on != node)) {
            find(s, f, node, entry, now);
        } else {
            s->again[kept++] = entry;
        }
    }
    s->again_count = kept;
}

uint32_t server_claim(struct server *s, uint32_t node,
                      const qe__share_want *want, uint64_t now, uint32_t *out)
{
    struct found f = {.want = want, .out = out};
    size_t kept = 0, end = s->tail;

    for (size_t i = 0; i < s->orphan_count; i++) {
        uint32_t entry = s->orphans[i];

        if (!enough(&f) && now - s->entries[entry].renewed_ns > s->lease_ns) {
            find(s, &f, node, entry, now);
        } else {
            s->orphans[kept++] = entry;
        }
    }
    s->orphan_count = kept;
    find_again(s, &f, node, now, false);
    while (s->head < end && !enough(&f)) {
        find(s, &f, node, s->queue[s->head++], now);
    }
    if (s->alive <= 1) {
        find_again(s, &f, node, now, true);
    }
    return f.got;
}

void server_tell(struct server *s, uint32_t node, const struct told *told,
                 uint32_t n, uint64_t now)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct told *t = &told[i];
        struct entry e = s->entries[t->entry];

        s->entries[t->entry].untold--;
        if (t->again) {
            s->done[t->unit] |= 2;
            put(s, (struct entry){.first = t->unit,
                                  .count = 1,
                                  .attempt = t->attempt + 1,
                                  .expected_ns = e.expected_ns / e.count,
                                  .not_on = node});
        } else if (s->done[t->unit] & 1) {
            s->result->doubled++;
        } else {
            s->done[t->unit] |= 1;
            s->result->outcomes++;
            if (--s->left == 0) {
                s->end_ns = now;
            }
        }
    }
}

void server_back(struct server *s, uint32_t entry, uint32_t first, uint32_t n)
{
    struct entry e = s->entries[entry];

    s->entries[entry].untold -= n;
    s->result->given++;
    e.first = first;
    e.expected_ns = e.expected_ns / e.count * n;
    e.count = n;
    put(s, e);
}

void server_loses(struct server *s, uint32_t node)
{
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = &s->entries[i];

        if (e->owner != node || e->untold == 0) {
            continue;
        }
        if (e->renewed_ns < s->peers[node].renewed_ns) {
            e->renewed_ns = s->peers[node].renewed_ns;
        }
        append(s, &s->orphans, &s->orphan_room, &s->orphan_count, (uint32_t) i);
    }
}
