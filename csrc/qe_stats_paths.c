/* Of all orders of so many failures and passes, how many change as much as these
 * results do? An order is a path: how many failures there were after so many
 * results. For each cut the counts of failures that change less are a range,
 * so that what is wanted is the chance that a path leaves the ranges anywhere.
 *
 * The paths are those of independent results with the rate seen, which, given
 * their end, are all equally likely. Their weights are carried from cut to cut,
 * each count apart; what leaves is added up, times the chance to end where the
 * results do. Nothing is subtracted, so that small chances are right by their
 * own measure.
 * Source: Worsley 1983, Biometrika 70 (the iteration, given the sum). */
#include "qe_change.h"

#include <math.h>
#include <string.h>

#include "qe_special.h"

/* Counts in a range: the statistic of a path d failures off its mean is at
 * least 16 d^2 / n (Pinsker's inequality, of both parts), and below
 * QE_CHANGE_MOST, so that d < sqrt(5 n), to both sides. A step of up to 4,097
 * results has up to some 600 taps that are not negligible. */
#define MOST_PLACES 4600
#define MOST_TAPS 1024
#define NEGLIGIBLE 1e-24
/* How many taps are added at once; weights have so many zeros at both ends. */
#define AT_ONCE 4

/* Weights of the counts from `low` to `high`, which are at `of`. */
struct weights {
    int64_t low, high;
    double *of;
    double space[MOST_PLACES + MOST_TAPS + 2 * AT_ONCE];
};

/* The law of the failures between two cuts, from `low` on. */
struct step {
    int64_t results, low;
    int taps; /* a multiple of AT_ONCE */
    double tap[MOST_TAPS];
};

struct paths {
    int64_t n, marked; /* the rarer of both results is what is counted */
    double most;       /* what is in the ranges has a statistic of less */
    double rate, rest, odds, ln_rate, ln_rest;
    double ln_end;            /* of the chance to end where the results do */
    double end_low, end_high; /* of the last range, in standard deviations */
    struct step step;
    struct weights weights[2], *now, *next;
    double xlnx[QE_CHANGE_EXACT + 1], ln_factorial[QE_CHANGE_EXACT + 1];
};

static double ln_choose(const struct paths *p, int64_t n, int64_t k)
{
    if (n > QE_CHANGE_EXACT)
        return qe__lchoose((double) n, (double) k);
    return p->ln_factorial[n] - p->ln_factorial[k] - p->ln_factorial[n - k];
}

/* ln of the chance of k failures in n independent results. */
static double ln_binomial(const struct paths *p, int64_t n, int64_t k)
{
    return ln_choose(p, n, k) + (double) k * p->ln_rate +
           (double) (n - k) * p->ln_rest;
}

static void init(struct paths *p, const qe__cuts *c, double most)
{
    int64_t passes = c->n - c->failures, i;
    int64_t table = c->n < QE_CHANGE_EXACT ? c->n : QE_CHANGE_EXACT;

    p->n = c->n;
    p->marked = c->failures < passes ? c->failures : passes;
    p->most = most;
    p->rate = (double) p->marked / (double) p->n;
    p->rest = (double) (p->n - p->marked) / (double) p->n;
    p->ln_rate = log(p->rate);
    p->ln_rest = log(p->rest);
    p->odds = p->rest / p->rate;
    p->end_low = p->end_high = 0;
    p->step.results = 0;
    p->xlnx[0] = p->ln_factorial[0] = 0;
    for (i = 1; i <= table; i++) {
        double ln = log((double) i);

        p->xlnx[i] = (double) i * ln;
        p->ln_factorial[i] = p->ln_factorial[i - 1] + ln;
    }
    p->ln_end = ln_binomial(p, p->n, p->marked);
    p->now = &p->weights[0];
    p->next = &p->weights[1];
    p->now->low = p->now->high = 0;
    p->now->of = &p->now->space[AT_ONCE];
    p->now->of[0] = 1;
}

/* ------------------------------------------------------------------- ranges */

/* Does a cut with so many failures before it show less of a change? */
static bool inside(const struct paths *p, int64_t at, int64_t failed)
{
    const double *t = p->xlnx;
    int64_t rest = p->n - at, more = p->marked - failed;

    if (p->n > QE_CHANGE_EXACT)
        return qe__change_statistic(p->n, p->marked, at, failed) < p->most;
    return 2 * (t[failed] + t[at - failed] - t[at] + t[more] + t[rest - more] -
                t[rest] - (t[p->marked] + t[p->n - p->marked] - t[p->n])) <
           p->most;
}

/* The last count inside on the way from `first` to `end`, beyond which all are
 * outside; the one before `first` where that is outside, too. Looks at `guess`,
 * from there by steps that double, and then by halving. */
static int64_t last_inside(const struct paths *p, int64_t at, int64_t first,
                           int64_t end, int way, int64_t guess)
{
    int64_t in = -1, out = (end - first) * way + 1, last = out - 1, by = 1;
    int64_t look = (guess - first) * way;

    while (out - in > 1) {
        look = look <= in ? in + 1 : look >= out ? out - 1 : look;
        if (inside(p, at, first + look * way)) {
            in = look;
            look = out <= last ? in + (out - in) / 2 : in + by;
        } else {
            out = look;
            look = in >= 0 ? in + (out - in) / 2 : out - by;
        }
        by *= 2;
    }
    return first + in * way;
}

static void range_of(struct paths *p, int64_t at, int64_t *low, int64_t *high)
{
    int64_t rest = p->n - at;
    int64_t least = p->marked > rest ? p->marked - rest : 0;
    int64_t most = p->marked < at ? p->marked : at;
    int64_t whole = at * p->marked / p->n;
    bool between = at * p->marked % p->n != 0;
    double mean = (double) at * p->rate;
    double sd = sqrt(mean * p->rest * (double) rest / (double) p->n);

    /* The range is about as wide as the last one, by its own measure. */
    *low = last_inside(p, at, whole, least, -1,
                       (int64_t) floor(mean + p->end_low * sd));
    *high = last_inside(p, at, whole + between, most, 1,
                        (int64_t) ceil(mean + p->end_high * sd));
    p->end_low = ((double) *low - mean) / sd;
    p->end_high = ((double) *high - mean) / sd;
}

/* -------------------------------------------------------------------- steps */

/* A binomial law, from its mode outwards by the ratios of its terms. */
static void make_step(struct paths *p, int64_t results)
{
    struct step *s = &p->step;
    double m = (double) results, first, term;
    int64_t mode = (int64_t) ((m + 1) * p->rate), low, high, k;

    s->results = results;
    first = exp(ln_binomial(p, results, mode));
    for (low = mode, term = 1; low > 0 && term > NEGLIGIBLE; low--)
        term *= (double) low / (m - (double) low + 1) * p->odds;
    for (high = mode, term = 1; high < results && term > NEGLIGIBLE; high++)
        term *= (m - (double) high) / ((double) high + 1) / p->odds;
    if (high - low > MOST_TAPS - AT_ONCE)
        high = low + MOST_TAPS - AT_ONCE;
    s->low = low;
    s->taps = (int) ((high - low + AT_ONCE) / AT_ONCE) * AT_ONCE;
    memset(s->tap, 0, (size_t) s->taps * sizeof(s->tap[0]));
    s->tap[mode - low] = first;
    for (k = mode, term = first; k > low; k--)
        s->tap[k - 1 - low] = term *=
            (double) k / (m - (double) k + 1) * p->odds;
    for (k = mode, term = first; k < high; k++)
        s->tap[k + 1 - low] = term *=
            (m - (double) k) / ((double) k + 1) / p->odds;
}

/* A single result: in place, from above. */
static void walk_one(struct weights *w, double fail, double pass)
{
    double *of = w->of;
    int64_t i, n = w->high - w->low + 1;

    of[n] = of[n - 1] * fail;
    for (i = n - 1; i > 0; i--)
        of[i] = of[i] * pass + of[i - 1] * fail;
    of[0] *= pass;
    w->high++;
}

/* Many results: some taps at once, as memory is slower than arithmetic. */
static void walk_many(struct paths *p)
{
    const struct step *s = &p->step;
    struct weights *from = p->now, *to = p->next;
    int64_t n = from->high - from->low + 1, i;
    double *f = from->of;
    int k;

    for (i = 0; i < AT_ONCE; i++)
        f[-1 - i] = f[n + i] = 0;
    to->low = from->low + s->low;
    to->high = from->high + s->low + s->taps - 1;
    to->of = &to->space[AT_ONCE];
    memset(to->of, 0, (size_t) (n + s->taps) * sizeof(to->of[0]));
    for (k = 0; k < s->taps; k += AT_ONCE) {
        double a = s->tap[k], b = s->tap[k + 1], c = s->tap[k + 2],
               d = s->tap[k + 3];
        double *out = &to->of[k];

        for (i = 0; i < n + AT_ONCE - 1; i++)
            out[i] += (a * f[i] + b * f[i - 1]) + (c * f[i - 2] + d * f[i - 3]);
    }
    p->now = to;
    p->next = from;
}

static void walk(struct paths *p, int64_t results)
{
    if (results == 1) {
        walk_one(p->now, p->rate, p->rest);
        return;
    }
    if (results != p->step.results)
        make_step(p, results);
    walk_many(p);
}

/* ------------------------------------------------------------------ leaving */

/* What is from `first` to `end`, times the chance to end, from there, where the
 * results do. */
static double leave(const struct paths *p, int64_t at, int64_t first,
                    int64_t end, int way)
{
    const struct weights *w = p->now;
    int64_t n = p->n - at, k = p->marked - first, j;
    double sum = 0, chance;

    if ((end - first) * way < 0)
        return 0;
    chance = exp(ln_binomial(p, n, k) - p->ln_end);
    for (j = first;; j += way) {
        sum += w->of[j - w->low] * chance;
        if (j == end)
            return sum;
        if (way > 0) {
            chance *= (double) k / (double) (n - k + 1) * p->odds;
            k--;
        } else {
            chance *= (double) (n - k) / (double) (k + 1) / p->odds;
            k++;
        }
    }
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Ends the paths that leave the range at a cut; returns their chance. */
static double cut(struct paths *p, int64_t at)
{
    struct weights *w = p->now;
    int64_t rest = p->n - at, low, high, least, most;
    double left;

    range_of(p, at, &low, &high);
    /* Beyond these no path ends where the results do. */
    least = most_of(w->low, p->marked - rest);
    most = -most_of(-w->high, -p->marked);
    left = leave(p, at, most_of(high + 1, least), most, 1) +
           leave(p, at, -most_of(-(low - 1), -most), least, -1);
    low = most_of(low, w->low);
    w->of += low - w->low;
    w->low = low;
    w->high = -most_of(-high, -w->high);
    return left;
}

double qe__change_chance(const qe__cuts *c, double statistic)
{
    double chance = 0;
    struct paths p;
    int64_t at = 0;
    int i;

    /* No order changes less, or none can be cut. */
    if (!(statistic > QE__CHANGE_EQUAL) || c->n < 2 * (int64_t) QE_CHANGE_LEAST)
        return 1;
    init(&p, c, fmin(statistic, QE_CHANGE_MOST) - QE__CHANGE_EQUAL);
    for (i = 0; i < c->count && p.now->low <= p.now->high; i++) {
        walk(&p, c->cut[i].at - at);
        at = c->cut[i].at;
        chance += cut(&p, at);
    }
    return fmin(1, chance);
}
