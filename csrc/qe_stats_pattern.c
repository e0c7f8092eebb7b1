/* What kind of sequence the results of a test make. */
#include "qe_change.h"

#include <math.h>

#include "qe_special.h"
#include "qe_util.h"

QE_API const char *qe_shape_name(enum qe_shape shape)
{
    static const char *const names[] = {
        [QE_SHAPE_UNTYPED] = "UNTYPED",
        [QE_SHAPE_NONE] = "NO_PATTERN",
        [QE_SHAPE_RANDOM] = "RANDOM",
        [QE_SHAPE_ALTERNATING] = "ALTERNATING",
        [QE_SHAPE_BURSTS] = "INTERMITTENT",
        [QE_SHAPE_DEGRADING] = "DEGRADING",
        [QE_SHAPE_IMPROVING] = "IMPROVING",
    };

    return (unsigned) shape < QE__COUNT(names) ? names[shape] : "UNKNOWN";
}

/* ln of the marginal likelihood of f failures and s passes, in this order, with
 * the prior Beta(1/2, 1/2). */
static double marginal(double f, double s)
{
    return qe__lbeta(0.5 + f, 0.5 + s) - qe__lbeta(0.5, 0.5);
}

/* Bursts: a chain whose rate after a failure is another than after a pass. The
 * first result has no result before it, and both are as likely. */
static double markov_marginal(const uint8_t *results, size_t n)
{
    double after[2][2] = {{0}};
    int last = -1;
    size_t i;

    for (i = 0; i < n; i++) {
        if (results[i] > 1)
            continue;
        if (last >= 0)
            after[last][results[i]]++;
        last = results[i];
    }
    return -M_LN2 + marginal(after[0][0], after[0][1]) +
           marginal(after[1][0], after[1][1]);
}

/* One change, at each cut as likely as at any other: the mean of the marginal
 * likelihoods, summed beside their greatest, as each alone is too small. */
static double change_marginal(const qe__cuts *c)
{
    double most = -INFINITY, sum = 0;
    int i;

    for (i = 0; i < c->count; i++) {
        double f = (double) c->cut[i].failed, n = (double) c->cut[i].at;
        double more = (double) c->failures - f, rest = (double) c->n - n;
        double value = marginal(f, n - f) + marginal(more, rest - more);

        if (value > most) {
            sum = sum * exp(most - value) + 1;
            most = value;
        } else {
            sum += exp(value - most);
        }
    }
    return most + log(sum / c->count);
}

int qe__shape_count(const uint8_t *results, size_t n, qe_shape_verdict *out)
{
    int last = -1;
    size_t i;

    for (i = 0; i < n; i++) {
        if (results[i] > 1)
            continue;
        out->failures += results[i] == 0;
        out->passes += results[i] == 1;
        out->runs += results[i] != last;
        last = results[i];
    }
    return out->failures > QE_STATS_MOST || out->passes > QE_STATS_MOST
               ? QE_ETOOBIG
               : QE_OK;
}

/* The smallest p that any order of so many results could have: all failures in
 * a row, or as many runs as there can be. The change point has its smallest
 * where the runs have: one cut parts all failures from all passes. */
int qe__shape_least(int64_t failures, int64_t passes, double *out)
{
    int64_t least = failures < passes ? failures : passes;
    double few, many, other;
    int rc;

    *out = 1;
    if (least < QE_SHAPE_LEAST)
        return QE_OK;
    rc = qe_runs_test(failures, passes, 2, &few, &other);
    if (rc == QE_OK)
        rc = qe_runs_test(failures, passes, 2 * least + (failures != passes),
                          &other, &many);
    if (rc == QE_OK)
        *out = fmin(few, many);
    return rc;
}

static enum qe_shape shape_of(const qe_shape_verdict *v, double alpha)
{
    double clustered = fmin(v->p_few, v->p_change);

    if (v->p_least > alpha / 3)
        return QE_SHAPE_NONE;
    if (v->p_many <= alpha && v->p_many <= clustered)
        return QE_SHAPE_ALTERNATING;
    if (clustered > alpha)
        return QE_SHAPE_RANDOM;
    if (v->ln_markov >= v->ln_change)
        return QE_SHAPE_BURSTS;
    return v->change.after > v->change.before ? QE_SHAPE_DEGRADING
                                              : QE_SHAPE_IMPROVING;
}

int qe__shape_type(const uint8_t *results, size_t n, double alpha,
                   uint64_t seed, uint32_t permutations, double p_least,
                   qe_shape_verdict *v)
{
    qe__cuts cuts;
    double p[3];
    int rc;

    if (v->failures < QE_SHAPE_LEAST || v->passes < QE_SHAPE_LEAST)
        return QE_OK;
    v->p_least = p_least;
    rc = qe__cuts_of(results, n, &cuts);
    if (rc == QE_OK)
        rc = qe_runs_test(v->failures, v->passes, v->runs, &p[0], &p[1]);
    if (rc != QE_OK)
        return rc;
    qe__change_of(&cuts, seed, permutations, &v->change);
    p[2] = v->change.p;
    rc = qe_holm(p, 3, p);
    if (rc != QE_OK)
        return rc;
    v->p_few = p[0];
    v->p_many = p[1];
    v->p_change = p[2];
    if (fmin(p[0], p[2]) <= alpha) {
        v->ln_markov = markov_marginal(results, n);
        v->ln_change = change_marginal(&cuts);
    }
    v->shape = shape_of(v, alpha);
    return QE_OK;
}

QE_API int qe_shape_of(const uint8_t *results, size_t n, double alpha,
                       uint64_t seed, uint32_t permutations,
                       qe_shape_verdict *out)
{
    qe_shape_verdict v = QE__SHAPE_NOTHING;
    double p_least;
    int rc;

    if ((results == NULL && n > 0) || out == NULL || !qe__is_alpha(alpha))
        return QE_EINVAL;
    if (permutations > QE__CHANGE_MOST_SHUFFLES)
        return QE_ETOOBIG;
    rc = qe__shape_count(results, n, &v);
    if (rc == QE_OK)
        rc = qe__check_counts(v.failures, v.passes);
    if (rc == QE_OK)
        rc = qe__shape_least(v.failures, v.passes, &p_least);
    if (rc == QE_OK)
        rc = qe__shape_type(results, n, alpha, seed, permutations, p_least, &v);
    if (rc == QE_OK)
        *out = v;
    return rc;
}
