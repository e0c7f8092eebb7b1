/* Pure policy: see qe_share.h. The numbers below are what the simulation (bench/queue_sim.c) found
 * to serve from 2 to 256 nodes; docs/queue-design.md has the reasons. */
#include "qe_share.h"
#include "qe_util.h"

#include <stdlib.h>

/* What takes longer than the setup of any scope is worth a piece of its own, whatever is set up once
 * more for it; but a plan of seconds is cut by its parts, and one of days has no more pieces than
 * are good for the server. So each limit is a time, between two parts of the whole plan. */
typedef struct limit {
    uint64_t ns;
    uint32_t most;  /* never above this part of the plan, */
    uint32_t least; /* nor below this one */
} limit;

static const limit scope_limit = {60000 * QE__MS, 8, 1024}; /* is cut */
static const limit unit_limit = {4000 * QE__MS, 32, 2048};  /* is by itself */
/* Scopes that are shorter may be claimed together. */
static const limit join_limit = {100 * QE__MS, 512, 4096};

/* So much work is to be had on a node, in round trips; but at least STOCK_NS. */
#define STOCK_TRIPS 4u
#define STOCK_NS (50 * QE__MS)
#define PAUSE_NS (20 * QE__MS)
#define PAUSE_MAX_NS (500 * QE__MS)
/* Those who wait ask 2000 times a second together. */
#define PAUSE_EACH_NS (QE__MS / 2)

static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ------------------------------------------------------------------- asking */

/* Workers of other nodes that wait. */
static uint64_t others(const qe__share_view *v)
{
    return v->waiting > v->idle ? v->waiting - v->idle : 0;
}

/* For how long work is to be had here: the next claim has come by then. */
static uint64_t stock_ns(const qe__share_view *v)
{
    return most(times(v->trip_ns, STOCK_TRIPS), STOCK_NS);
}

/* What one more entry is likely to take: the next is hardly longer than the last was. 0: unknown. */
static uint64_t entry_ns(const qe__share_view *v)
{
    if (v->entry_ns > 0) {
        return v->entry_ns;
    }
    return v->open > 0 ? times(v->unit_ns, most(v->left / v->open, 1)) : 0;
}

/* Half of what would be ours if all workers got the same. */
static uint64_t part_of(const qe__share_view *v, uint64_t all)
{
    return times(all, v->workers) / most((uint64_t) v->all * 2, v->workers);
}

qe__share_want qe__share_ask(const qe__share_view *v)
{
    uint64_t wanted = times(stock_ns(v), v->workers);
    uint64_t lack_ns = wanted > v->held_ns ? wanted - v->held_ns : 0;
    uint64_t lack = v->idle > v->units ? v->idle - v->units : 0;
    uint64_t share, one = entry_ns(v), entries;
    qe__share_want want = {0};

    want.pause_ns = most(times(PAUSE_EACH_NS, v->waiting), PAUSE_NS);
    want.pause_ns = least(most(want.pause_ns, v->trip_ns), PAUSE_MAX_NS);
    if (add(v->left, v->waiting) <= v->all) {
        want.pause_ns = PAUSE_MAX_NS; /* what is left has begun */
    }
    if (lack == 0) {
        /* Near the end it is theirs who wait. */
        if (lack_ns == 0 || v->open <= others(v)) {
            return want;
        }
        if (v->held_ns == 0 && v->units >= v->workers) {
            return want; /* nothing is known of them: they are enough */
        }
    }
    entries = one > 0 ? lack_ns / one + (lack_ns % one > 0) : 1;
    share = most(part_of(v, v->open), 1);
    entries = most(least(entries, share), most(lack, 1));
    want.entries = (uint32_t) least(entries, UINT32_MAX);
    share = part_of(v, v->left);
    want.units = (uint32_t) least(most(share, entries), UINT32_MAX);
    want.expected_ns = most(lack_ns, 1);
    return want;
}

uint32_t qe__share_back(const qe__share_view *v)
{
    /* What runs may go on for as long as nothing has begun. */
    uint64_t begun_ns = add(v->quiet_ns, v->held_ns / most(v->workers, 1));

    if (v->units == 0 || v->idle > 0 || v->open >= others(v)) {
        return 0;
    }
    if (v->held_ns > 0 && begun_ns < times(v->trip_ns, 2)) {
        return 0; /* they begin here before they could elsewhere */
    }
    return v->units - v->units / 2;
}

/* ------------------------------------------------------------------- laying */

typedef struct draft {
    qe__share_piece piece;
    uint32_t flags; /* of its scope */
} draft;

typedef struct plan {
    const qe_queue_unit *units;
    uint32_t count;
    uint64_t unknown; /* what a unit counts of which nothing is known */
    uint64_t total;
    bool blind; /* nothing is known of any: units are counted, not their time */
    draft *drafts;
    uint32_t n;
} plan;

typedef struct scope {
    uint32_t first, end;
    uint32_t flags; /* of any of its units */
} scope;

static int by_time(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *) left, b = *(const uint64_t *) right;

    return a < b ? -1 : a > b;
}

static uint64_t time_of(const plan *p, uint32_t unit)
{
    return p->units[unit].expected_ns > 0 ? p->units[unit].expected_ns
                                          : p->unknown;
}

static int weigh(plan *p)
{
    uint64_t *known = malloc(qe__mul(p->count, sizeof(*known)));
    uint32_t n = 0;

    if (known == NULL) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->units[i].expected_ns > 0) {
            known[n++] = p->units[i].expected_ns;
        }
    }
    qsort(known, n, sizeof(*known), by_time);
    p->blind = n == 0;
    p->unknown = 1;
    if (!p->blind) {
        p->unknown = known[(n - 1) / 2];
        p->unknown += (known[n / 2] - p->unknown) / 2;
    }
    free(known);
    for (uint32_t i = 0; i < p->count; i++) {
        p->total = add(p->total, time_of(p, i));
    }
    return 0;
}

static uint64_t limit_of(const plan *p, const limit *l)
{
    uint64_t ns = least(l->ns, p->total / l->most);

    /* Nobody knows how long a unit is: they are counted. */
    ns = p->blind && l != &join_limit ? p->total / l->most : ns;
    return most(ns, p->total / l->least);
}

static void put(plan *p, const scope *s, uint32_t first, uint32_t end,
                bool alone)
{
    draft *d = &p->drafts[p->n++];

    d->piece =
        (qe__share_piece){.first = first, .count = end - first, .alone = alone};
    d->flags = s->flags;
    for (uint32_t i = first; i < end; i++) {
        d->piece.expected_ns = add(d->piece.expected_ns, time_of(p, i));
    }
}

/* A part of a scope that need not be kept whole. */
static void cut(plan *p, const scope *s, uint32_t first, uint32_t end)
{
    uint64_t part = limit_of(p, &scope_limit);
    uint64_t long_ns = limit_of(p, &unit_limit);
    uint32_t at;

    for (; first < end; first = at) {
        uint64_t sum = time_of(p, first);
        bool more = sum <= long_ns;

        at = first + 1;
        while (more && at < end && time_of(p, at) <= long_ns &&
               add(sum, time_of(p, at)) <= part) {
            sum += time_of(p, at++);
        }
        put(p, s, first, at, false);
    }
}

static void lay_scope(plan *p, const scope *s)
{
    uint32_t at;

    if (s->flags & QE_UNIT_FRESH) {
        put(p, s, s->first, s->end, s->flags & QE_UNIT_SERIAL);
        return;
    }
    for (uint32_t first = s->first; first < s->end; first = at) {
        at = first;
        while (at < s->end && !(p->units[at].flags & QE_UNIT_SERIAL)) {
            at++;
        }
        if (at == first) {
            put(p, s, first, ++at, true);
        } else if (s->flags & QE_UNIT_TOGETHER) {
            put(p, s, first, at, false);
        } else {
            cut(p, s, first, at);
        }
    }
}

/* Whether a piece may be claimed with the one behind it. */
static bool joins(const draft *a, const draft *b, uint64_t limit)
{
    uint32_t whole = QE_UNIT_TOGETHER | QE_UNIT_FRESH;

    return a->piece.first + a->piece.count == b->piece.first &&
           !a->piece.alone && !b->piece.alone &&
           !((a->flags | b->flags) & whole) &&
           !((a->flags ^ b->flags) & QE_UNIT_FIRST) &&
           add(a->piece.expected_ns, b->piece.expected_ns) <= limit;
}

static void join(plan *p)
{
    uint64_t limit = limit_of(p, &join_limit);
    uint32_t last = 0;

    for (uint32_t i = 1; i < p->n; i++) {
        draft *d = &p->drafts[last];

        if (joins(d, &p->drafts[i], limit)) {
            d->piece.count += p->drafts[i].piece.count;
            d->piece.expected_ns += p->drafts[i].piece.expected_ns;
        } else {
            p->drafts[++last] = p->drafts[i];
        }
    }
    p->n = last + 1;
}

static int by_turn(const void *left, const void *right)
{
    const draft *a = left, *b = right;
    bool first = a->flags & QE_UNIT_FIRST;

    if (a->piece.alone != b->piece.alone) {
        return a->piece.alone ? 1 : -1;
    }
    if (first != (bool) (b->flags & QE_UNIT_FIRST)) {
        return first ? -1 : 1;
    }
    if (a->piece.expected_ns != b->piece.expected_ns) {
        return a->piece.expected_ns > b->piece.expected_ns ? -1 : 1;
    }
    return a->piece.first < b->piece.first ? -1 : 1;
}

int qe__share_lay(const qe_queue_unit *units, uint32_t count,
                  qe__share_piece **out, uint32_t *n)
{
    plan p = {.units = units, .count = count};

    *out = NULL;
    *n = 0;
    if (count == 0) {
        return 0;
    }
    if (weigh(&p) != 0) {
        return QE_ENOMEM;
    }
    p.drafts = malloc(qe__mul(count, sizeof(*p.drafts)));
    if (p.drafts == NULL) {
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < count;) {
        scope s = {.first = i};

        for (; i < count && units[i].scope == units[s.first].scope; i++) {
            s.flags |= units[i].flags;
        }
        s.end = i;
        lay_scope(&p, &s);
    }
    join(&p);
    qsort(p.drafts, p.n, sizeof(*p.drafts), by_turn);
    *out = malloc(qe__mul(p.n, sizeof(**out)));
    if (*out != NULL) {
        for (uint32_t i = 0; i < p.n; i++) {
            (*out)[i] = p.drafts[i].piece;
            if (p.blind) {
                (*out)[i].expected_ns = 0;
            }
        }
        *n = p.n;
    }
    free(p.drafts);
    return *out != NULL ? 0 : QE_ENOMEM;
}
