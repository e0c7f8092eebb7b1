/* The hypergeometric law. One term comes from logarithms and the others from
 * their ratios, so that sums are exact and counts of millions take as many
 * steps as the law is wide. */
#include "qe_hyper.h"

#include <math.h>

#include "qe_special.h"
#include "qe_util.h"

/* Terms this much smaller than their sum change nothing in a double. */
#define NEGLIGIBLE 1e-18

qe__hyper qe__hyper_of(int64_t n, int64_t k, int64_t m)
{
    qe__hyper h = {.n = n, .k = k, .m = m};

    h.low = k + m > n ? k + m - n : 0;
    h.high = k < m ? k : m;
    h.mode = (int64_t) (((double) k + 1) * ((double) m + 1) / ((double) n + 2));
    if (h.mode < h.low)
        h.mode = h.low;
    if (h.mode > h.high)
        h.mode = h.high;
    return h;
}

double qe__hyper_ln(const qe__hyper *h, int64_t x)
{
    double n = (double) h->n, k = (double) h->k, m = (double) h->m;

    return qe__lchoose(k, (double) x) + qe__lchoose(n - k, m - (double) x) -
           qe__lchoose(n, m);
}

double qe__hyper_ratio(const qe__hyper *h, int64_t x)
{
    return (double) (h->k - x) * (double) (h->m - x) /
           ((double) (x + 1) * (double) (h->n - h->k - h->m + x + 1));
}

/* Sums away from the mode, where every term is smaller than the one before. */
static double sum_down(const qe__hyper *h, int64_t x)
{
    double sum = 1, term = 1;
    int64_t i;

    for (i = x; i > h->low && term > NEGLIGIBLE * sum; i--) {
        term /= qe__hyper_ratio(h, i - 1);
        sum += term;
    }
    return fmin(1, exp(qe__hyper_ln(h, x)) * sum);
}

static double sum_up(const qe__hyper *h, int64_t x)
{
    double sum = 1, term = 1;
    int64_t i;

    for (i = x; i < h->high && term > NEGLIGIBLE * sum; i++) {
        term *= qe__hyper_ratio(h, i);
        sum += term;
    }
    return fmin(1, exp(qe__hyper_ln(h, x)) * sum);
}

double qe__hyper_lower(const qe__hyper *h, int64_t x)
{
    if (x < h->low)
        return 0;
    if (x >= h->high)
        return 1;
    return x <= h->mode ? sum_down(h, x) : 1 - sum_up(h, x + 1);
}

double qe__hyper_upper(const qe__hyper *h, int64_t x)
{
    if (x > h->high)
        return 0;
    if (x <= h->low)
        return 1;
    return x >= h->mode ? sum_up(h, x) : 1 - sum_down(h, x - 1);
}

/* By inversion, from the mode outwards: about as many steps as the law is
 * wide, which is little for the small draws that shuffles are made of. */
int64_t qe__hyper_draw(const qe__hyper *h, uint64_t *state)
{
    double u = (double) (qe__random(state) >> 11) * 0x1p-53;
    int64_t down = h->mode, up = h->mode;
    double p_down, p_up;

    if (h->low == h->high)
        return h->low;
    p_down = p_up = exp(qe__hyper_ln(h, h->mode));
    u -= p_up;
    while (u >= 0 && (down > h->low || up < h->high)) {
        if (up < h->high) {
            p_up *= qe__hyper_ratio(h, up);
            up++;
            u -= p_up;
            if (u < 0)
                return up;
        }
        if (down > h->low) {
            down--;
            p_down /= qe__hyper_ratio(h, down);
            u -= p_down;
            if (u < 0)
                return down;
        }
    }
    return h->mode; /* also for what rounding leaves of u */
}
