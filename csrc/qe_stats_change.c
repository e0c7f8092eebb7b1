/* Did the failure rate change once? */
#include "qe_change.h"

#include <math.h>

#include "qe_hyper.h"
#include "qe_special.h"
#include "qe_util.h"

int qe__cuts_of(const uint8_t *results, size_t n, qe__cuts *out)
{
    int64_t seen = 0, failed = 0;
    bool exact;
    size_t i;

    if (results == NULL && n > 0)
        return QE_EINVAL;
    out->n = out->failures = 0;
    out->count = 0;
    for (i = 0; i < n; i++) {
        out->n += results[i] <= 1;
        out->failures += results[i] == 0;
    }
    if (out->n < (int64_t) 2 * QE_CHANGE_LEAST)
        return QE_EINVAL;
    if (out->n > QE_STATS_MOST)
        return QE_ETOOBIG;
    exact = out->n <= QE_CHANGE_EXACT;
    for (i = 0; i < n; i++) {
        int64_t next = exact ? (int64_t) out->count + QE_CHANGE_LEAST
                             : (out->count + 1) * out->n / QE_CHANGE_CUTS;

        if (results[i] > 1)
            continue;
        if (seen == next && seen <= out->n - QE_CHANGE_LEAST) {
            out->cut[out->count].at = seen;
            out->cut[out->count++].failed = failed;
        }
        seen++;
        failed += results[i] == 0;
    }
    return QE_OK;
}

/* The greatest log-likelihood of f failures in n results. */
static double likelihood(int64_t f, int64_t n)
{
    double fd = (double) f, nd = (double) n;

    return qe__xlny(fd, fd / nd) + qe__xlny(nd - fd, (nd - fd) / nd);
}

double qe__change_statistic(int64_t n, int64_t failures, int64_t at,
                            int64_t failed)
{
    return fmax(0, 2 * (likelihood(failed, at) +
                        likelihood(failures - failed, n - at) -
                        likelihood(failures, n)));
}

static double statistic(const qe__cuts *c, int64_t at, int64_t failed)
{
    return qe__change_statistic(c->n, c->failures, at, failed);
}

/* ------------------------------------------------- shuffles of some thousands */

#define WORDS ((QE_CHANGE_EXACT + 63) / 64)

/* Where the rarer of both results is. Only that many places need be drawn, and
 * the statistic looked at beside them: between two of them it is convex in the
 * place of the cut, so that it is greatest at an end. */
struct places {
    int64_t n, marked;
    uint64_t bits[WORDS];
    double xlnx[QE_CHANGE_EXACT + 1];
};

static void places_init(struct places *p, const qe__cuts *c)
{
    int64_t i;

    p->n = c->n;
    p->marked =
        c->failures < c->n - c->failures ? c->failures : c->n - c->failures;
    for (i = 0; i <= c->n; i++)
        p->xlnx[i] = qe__xlny((double) i, (double) i);
}

/* A set of places, all equally likely: Floyd's algorithm (Bentley, Floyd 1987,
 * Communications of the ACM 30). */
static void draw_places(struct places *p, uint64_t *state)
{
    int64_t j;
    size_t i;

    for (i = 0; i < WORDS; i++)
        p->bits[i] = 0;
    for (j = p->n - p->marked; j < p->n; j++) {
        uint64_t t = ((qe__random(state) >> 32) * (uint64_t) (j + 1)) >> 32;
        uint64_t bit = UINT64_C(1) << (t % 64);

        if (p->bits[t / 64] & bit) {
            t = (uint64_t) j;
            bit = UINT64_C(1) << (t % 64);
        }
        p->bits[t / 64] |= bit;
    }
}

/* What changes of the statistic with the cut: x ln x of the four counts, less
 * that of both lengths. */
static double cut_at(const struct places *p, int64_t at, int64_t marked)
{
    const double *t = p->xlnx;
    int64_t rest = p->n - at, more = p->marked - marked;

    return t[marked] + t[at - marked] - t[at] + t[more] + t[rest - more] -
           t[rest];
}

static double greatest_cut(const struct places *p)
{
    int64_t first = QE_CHANGE_LEAST, last = p->n - QE_CHANGE_LEAST;
    int64_t before = 0, at_first = 0, at_last = 0;
    double most = -INFINITY;
    size_t i;

    for (i = 0; i < WORDS; i++) {
        uint64_t word = p->bits[i];

        for (; word != 0; word &= word - 1) {
            int64_t place = (int64_t) i * 64 + (int64_t) __builtin_ctzll(word);

            at_first += place < first;
            at_last += place < last;
            if (place >= first && place <= last)
                most = fmax(most, cut_at(p, place, before));
            before++;
            if (place + 1 >= first && place + 1 <= last)
                most = fmax(most, cut_at(p, place + 1, before));
        }
    }
    most = fmax(most, cut_at(p, first, at_first));
    return fmax(most, cut_at(p, last, at_last));
}

static uint32_t reached_exact(const qe__cuts *c, double seen, uint64_t seed,
                              uint32_t permutations)
{
    struct places p;
    uint32_t i, reached = 0;
    double n = (double) c->n, f = (double) c->failures;
    double whole = qe__xlny(f, f) + qe__xlny(n - f, n - f) - qe__xlny(n, n);

    places_init(&p, c);
    for (i = 0; i < permutations; i++) {
        draw_places(&p, &seed);
        reached += 2 * (greatest_cut(&p) - whole) >= seen - QE__CHANGE_EQUAL;
    }
    return reached;
}

/* ---------------------------------------------------------- and of many more */

/* A shuffle, seen at the cuts alone: how many failures are in each part is a
 * draw without replacement from those that are left. */
static double shuffled_at_cuts(const qe__cuts *c, uint64_t *state)
{
    int64_t failed = 0, at = 0;
    double most = 0;
    int i;

    for (i = 0; i < c->count; i++) {
        qe__hyper h =
            qe__hyper_of(c->n - at, c->failures - failed, c->cut[i].at - at);

        failed += qe__hyper_draw(&h, state);
        at = c->cut[i].at;
        most = fmax(most, statistic(c, at, failed));
    }
    return most;
}

static uint32_t reached_at_cuts(const qe__cuts *c, double seen, uint64_t seed,
                                uint32_t permutations)
{
    uint32_t i, reached = 0;

    for (i = 0; i < permutations; i++)
        reached += shuffled_at_cuts(c, &seed) >= seen - QE__CHANGE_EQUAL;
    return reached;
}

void qe__change_of(const qe__cuts *c, uint64_t seed, uint32_t permutations,
                   qe_change *out)
{
    int best = 0, i;
    double most = -1;
    uint32_t reached;

    for (i = 0; i < c->count; i++) {
        double value = statistic(c, c->cut[i].at, c->cut[i].failed);

        if (value > most + QE__CHANGE_EQUAL) {
            most = value;
            best = i;
        }
    }
    out->statistic = most;
    out->at = c->cut[best].at;
    out->before = (double) c->cut[best].failed / (double) out->at;
    out->after = (double) (c->failures - c->cut[best].failed) /
                 (double) (c->n - out->at);
    if (permutations == QE_CHANGE_ALL && c->n <= QE_CHANGE_COUNTED) {
        out->p = qe__change_chance(c, most);
        return;
    }
    if (permutations == QE_CHANGE_ALL)
        permutations = QE_CHANGE_PERMUTATIONS;
    reached = c->n <= QE_CHANGE_EXACT
                  ? reached_exact(c, most, seed, permutations)
                  : reached_at_cuts(c, most, seed, permutations);
    out->p = ((double) reached + 1) / ((double) permutations + 1);
}

QE_API int qe_change_point(const uint8_t *results, size_t n, uint64_t seed,
                           uint32_t permutations, qe_change *out)
{
    qe__cuts cuts;
    int rc;

    if (out == NULL)
        return QE_EINVAL;
    if (permutations > QE__CHANGE_MOST_SHUFFLES)
        return QE_ETOOBIG;
    rc = qe__cuts_of(results, n, &cuts);
    if (rc == QE_OK)
        qe__change_of(&cuts, seed, permutations, out);
    return rc;
}
