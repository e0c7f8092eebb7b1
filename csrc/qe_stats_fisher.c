/* Do two conditions fail at different rates? Fisher's exact test. */
#include <math.h>

#include "qe_hyper.h"
#include "qe_special.h"

/* Tables as likely as this one count, also where rounding makes them seem a
 * little likelier; R takes the same bound. */
#define AS_LIKELY 1e-7

/* The sum over the other side of the mode of all that is at most so likely.
 * Chances fall away from the mode, so the first of them is found by halving. */
static double other_side(const qe__hyper *h, int64_t x, double ln_most)
{
    bool up = x < h->mode;
    int64_t inside = h->mode, outside = up ? h->high : h->low;

    if (qe__hyper_ln(h, outside) > ln_most)
        return 0;
    while (inside + 1 < outside || outside + 1 < inside) {
        int64_t middle = inside + (outside - inside) / 2;

        if (qe__hyper_ln(h, middle) > ln_most)
            inside = middle;
        else
            outside = middle;
    }
    return up ? qe__hyper_upper(h, outside) : qe__hyper_lower(h, outside);
}

QE_API int qe_fisher_exact(int64_t failures1, int64_t passes1,
                           int64_t failures2, int64_t passes2, qe_fisher *out)
{
    qe__hyper h;
    double ln_most, two;
    int rc;

    if (out == NULL)
        return QE_EINVAL;
    rc = qe__check_counts(failures1, passes1);
    if (rc == QE_OK)
        rc = qe__check_counts(failures2, passes2);
    if (rc != QE_OK)
        return rc;
    /* Given the margins, the failures of the second condition are a draw. */
    h = qe__hyper_of(failures1 + passes1 + failures2 + passes2,
                     failures1 + failures2, failures2 + passes2);
    ln_most = qe__hyper_ln(&h, failures2) + AS_LIKELY;
    out->p_more = qe__hyper_upper(&h, failures2);
    out->p_less = qe__hyper_lower(&h, failures2);
    if (qe__hyper_ln(&h, h.mode) <= ln_most)
        two = 1;
    else if (failures2 < h.mode)
        two = out->p_less + other_side(&h, failures2, ln_most);
    else
        two = out->p_more + other_side(&h, failures2, ln_most);
    out->p_two = fmin(1, two);
    return QE_OK;
}
