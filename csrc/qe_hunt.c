/* What a flaky hunt runs next; see qe_hunt.h for the strategy. */
#include "qe_hunting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qe_special.h"
#include "qe_util.h"

/* The law of failure rates: Beta(A, B), fitted to 94 tests with 4,000 runs each. */
#define RATES_A 0.53
#define RATES_B 51.7
#define UNKNOWN_S 0.001  /* how long a test takes of which nothing is known */
#define LEAST_S 1e-4     /* what any execution costs beside the test itself */
#define RESERVE 0.1      /* of the budget, for confirming */
#define RESERVE_FROM 5.0 /* executions: fewer are all needed for screening */
#define STEPS 30         /* of a bisection */
#define PASS_S 0.01      /* what a process costs, before that is known */
#define PAIR_FROM 4.0    /* executions: of fewer none is spared for a partner */
#define MOST_KNOWN 200.0 /* runs from before that count */
#define BORROWS 5u       /* passes that screen before one with others' files */
#define SHARE 0.25       /* of all seconds so far, that may confirm */

QE_API const char *qe_condition_name(enum qe_condition condition)
{
    static const char *const names[] = {
        [QE_AS_DEFINED] = "defined", [QE_REVERSED] = "reversed",
        [QE_TWICE] = "twice",        [QE_BESIDE] = "beside",
        [QE_SHUFFLED] = "shuffled",  [QE_REPEATED] = "repeated",
        [QE_ALONE] = "alone",
    };

    return (unsigned) condition < QE__COUNT(names) ? names[condition]
                                                   : "unknown";
}

int qe_hunt_new(qe_hunt **out, const uint32_t *groups, const double *seconds,
                size_t n, const qe_hunt_options *options)
{
    qe_hunt *h;

    if (out == NULL || groups == NULL || options == NULL ||
        !(options->executions >= 1) || !(options->seconds >= 0) ||
        !qe__is_alpha(options->alpha)) {
        return QE_EINVAL;
    }
    if (n > UINT32_MAX / 2) {
        return QE_ETOOBIG;
    }
    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return QE_ENOMEM;
    }
    h->options = *options;
    if (!(options->rates_a > 0) || !(options->rates_b > 0)) {
        h->options.rates_a = RATES_A;
        h->options.rates_b = RATES_B;
    }
    h->n = (uint32_t) n;
    h->beside = PASS_S;
    h->partner = h->lender = QE__NO_PASS;
    h->test = calloc(n + 1, sizeof(*h->test));
    h->room = malloc(qe__mul(n + 1, sizeof(*h->room)));
    if (h->test == NULL || h->room == NULL) {
        qe_hunt_free(h);
        return QE_ENOMEM;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        double known = seconds != NULL ? seconds[i] : 0;

        h->test[i].group = groups[i];
        h->test[i].failed_in = h->test[i].passed_in = QE__NO_PASS;
        h->test[i].seconds = known > 0 ? known : UNKNOWN_S;
        h->blind |= !(known > 0);
    }
    *out = h;
    return 0;
}

void qe_hunt_free(qe_hunt *h)
{
    if (h == NULL) {
        return;
    }
    for (uint32_t i = 0; i < h->passes; i++) {
        free(h->pass[i].items);
    }
    free(h->pass);
    free(h->test);
    free(h->room);
    free(h);
}

/* ------------------------------------------------------------------- a test */

static bool is_open(const qe__hunted *t)
{
    return t->failures == 0 || (t->passes == 0 && t->failures < QE_HUNT_STABLE);
}

/* --------------------------------------------------------------- what it costs */

static double budget(const qe_hunt *h)
{
    return h->options.seconds > 0 ? h->options.seconds
                                  : h->options.executions * h->n;
}

double qe__hunt_cost(const qe_hunt *h, uint32_t item)
{
    return h->options.seconds > 0 ? h->test[item].seconds + LEAST_S : 1;
}

double qe__hunt_cost_of(const qe_hunt *h, const uint32_t *items, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += qe__hunt_cost(h, items[i]);
    }
    return sum;
}

/* How many executions of a test screen, so that what they find can be confirmed by
 * the others, and by those that tests do not need any more. */
static double screening(const qe_hunt *h)
{
    double all = h->options.executions;

    if (h->options.seconds > 0) {
        return INFINITY;
    }
    return all < RESERVE_FROM ? all : all - fmax(1, all * RESERVE);
}

/* ----------------------------------------------------------------- a new pass */

/* The seed of a pass: far from its neighbours'. */
static uint64_t seed_of(const qe_hunt *h, uint32_t number)
{
    uint64_t state = h->options.seed + number;

    return qe__random(&state);
}

/* Whose hash seed a pass has. */
static uint32_t server_of(const qe_hunt *h, const qe_hunt_pass *p)
{
    if (p->repeats != QE__NO_PASS) {
        return h->pass[p->repeats].told.server;
    }
    if (h->options.servers == 0 || p->condition == QE_AS_DEFINED ||
        p->condition == QE_BESIDE) {
        return 0;
    }
    /* One that is alone has had others, or will have. */
    return p->condition == QE_ALONE
               ? h->test[p->items[0]].asked % (h->options.servers + 1)
               : 1 + p->number % h->options.servers;
}

/* Whether the next pass that screens is to have the files of another. */
static bool borrows(const qe_hunt *h)
{
    return !h->options.apart && h->lender == QE__NO_PASS &&
           h->screened >= BORROWS;
}

/* Whose files a pass has. */
static uint32_t files_of(qe_hunt *h, const qe_hunt_pass *p)
{
    if (p->condition != QE_SHUFFLED || !borrows(h)) {
        return p->number;
    }
    for (uint32_t i = 0; i < p->number; i++) {
        if (h->pass[i].over && h->pass[i].told.condition < QE_REPEATED) {
            return h->lender = i;
        }
    }
    return p->number;
}

int qe__hunt_begin(qe_hunt *h, enum qe_condition condition, uint32_t repeats,
                   const uint32_t *items, size_t n, qe_hunt_pass *out)
{
    qe__hunt_pass *p;
    uint32_t *order;

    if (qe__grow(&h->pass, &h->pass_capacity, (size_t) h->passes + 1,
                 sizeof(*h->pass)) != 0) {
        return QE_ENOMEM;
    }
    order = malloc(qe__mul(2 * n + 1, sizeof(*order)));
    if (order == NULL) {
        return QE_ENOMEM;
    }
    p = &h->pass[h->passes];
    memset(p, 0, sizeof(*p));
    p->told.number = h->passes;
    p->told.condition = condition;
    p->told.repeats = repeats;
    p->told.seed = repeats != QE__NO_PASS ? h->pass[repeats].told.seed
                                          : seed_of(h, h->passes);
    p->told.items = p->items = order;
    p->told.n = qe__hunt_order(h, condition, p->told.seed, items, n, order);
    if (p->told.n == 0) {
        free(order);
        return QE_ENOMEM;
    }
    p->told.server = server_of(h, &p->told);
    p->told.files = files_of(h, &p->told);
    p->told.partner = h->partner;
    h->partner = QE__NO_PASS;
    h->passes++;
    h->under_way++;
    h->executions += p->told.n;
    p->cost = qe__hunt_cost_of(h, order, p->told.n) +
              (h->options.seconds > 0 ? h->beside : 0);
    h->spent += p->cost;
    h->confirming += condition >= QE_REPEATED ? p->cost : 0;
    *out = p->told;
    return 1;
}

/* -------------------------------------------------------------------- screening */

/* How many more runs a test should get where the next run of any is to show at least
 * `level` a second: the chance that it does falls with each that shows nothing. */
static double wanted(const qe_hunt *h, uint32_t item, double level)
{
    const qe__hunted *t = &h->test[item];

    return (h->options.rates_a + t->known_failures) /
               (level * qe__hunt_cost(h, item)) -
           h->options.rates_a - h->options.rates_b - t->known_failures -
           t->known_passes - (double) t->passes - (double) t->failures;
}

/* Of the open tests in `room` those that should run once more, so that `limit` seconds
 * show most in the end; returns how many stay. The level is that of water in vessels:
 * all seconds are spent at it. */
static size_t densest(qe_hunt *h, size_t n, double limit)
{
    double low = -25, high = 15; /* ln of the level */
    size_t kept = 0;

    for (int step = 0; step < STEPS; step++) {
        double middle = (low + high) / 2, level = exp(middle), sum = 0;

        for (size_t i = 0; i < n; i++) {
            double runs = wanted(h, h->room[i], level);

            sum += runs > 0 ? runs * qe__hunt_cost(h, h->room[i]) : 0;
        }
        if (sum > limit) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high = exp(high);
    for (size_t i = 0; i < n; i++) {
        /* One that failed is either flaky or not, which is soon known. */
        if (h->test[h->room[i]].failures > 0 ||
            wanted(h, h->room[i], high) >= 1) {
            h->room[kept++] = h->room[i];
        }
    }
    return kept;
}

/* The condition of the next pass that screens. */
static enum qe_condition condition_of(const qe_hunt *h)
{
    static const enum qe_condition first[] = {QE_AS_DEFINED, QE_REVERSED,
                                              QE_TWICE};

    return h->screened < QE__COUNT(first) ? first[h->screened] : QE_SHUFFLED;
}

/* A pass over what is open, if it costs at most `limit`, and a test gets at most
 * `most` executions of all that screen. */
static int screen(qe_hunt *h, double limit, double most, qe_hunt_pass *out)
{
    enum qe_condition condition = condition_of(h);
    uint32_t times = condition == QE_TWICE ? 2 : 1;
    size_t n = 0;
    double all;
    int status;

    for (uint32_t i = 0; i < h->n; i++) {
        if (is_open(&h->test[i])) {
            h->room[n++] = i;
        }
    }
    if (h->screened > 0) { /* the first is run whatever it costs */
        if (h->options.seconds > 0) {
            n = densest(h, n, limit);
        }
        all = qe__hunt_cost_of(h, h->room, n);
        if (times * all > limit || h->times + times > most) {
            condition = QE_SHUFFLED;
            times = 1;
        }
        if (all > limit || h->times + times > most) {
            return 0;
        }
    }
    /* One that has another's files comes behind that one. */
    if (n == 0 || (borrows(h) && h->ended_passes == 0 && h->under_way > 0)) {
        return 0;
    }
    status = qe__hunt_begin(h, condition, QE__NO_PASS, h->room, n, out);
    h->screened += status == 1;
    h->times += status == 1 ? times : 0;
    if (status == 1 && condition == QE_AS_DEFINED && h->options.pairs &&
        (h->options.seconds > 0 || h->options.executions >= PAIR_FROM)) {
        h->partner = out->number;
        h->pass[out->number].told.partner = out->partner = out->number;
        h->times++;
    }
    return status;
}

int qe_hunt_next(qe_hunt *h, qe_hunt_pass *out)
{
    double left;
    int status = 0;

    if (h == NULL || out == NULL) {
        return QE_EINVAL;
    }
    if (h->ended || h->n == 0) {
        return QE_EGONE;
    }
    if (h->blind && h->options.seconds > 0 && h->passes > 0) {
        return 0; /* the first pass tells how long tests take */
    }
    if (h->partner != QE__NO_PASS) {
        const qe_hunt_pass *first = &h->pass[h->partner].told;

        return qe__hunt_begin(h, QE_BESIDE, QE__NO_PASS, first->items, first->n,
                              out);
    }
    left = budget(h) - h->spent;
    /* Of seconds nobody knows how far they will go: suspects do not wait. */
    if (h->options.seconds > 0 && h->confirming <= SHARE * h->spent) {
        status = qe__hunt_confirm(h, left, out);
    }
    if (status == 0) {
        status = screen(h, left, screening(h), out);
    }
    if (status == 0) {
        status = qe__hunt_confirm(h, left, out);
    }
    /* What is under way may make suspects, for which the rest is kept. */
    if (status != 0 || h->under_way > 0) {
        return status;
    }
    status = screen(h, left, INFINITY, out);
    h->ended = status == 0;
    return status == 0 ? QE_EGONE : status;
}

/* ---------------------------------------------------------------------- results */

int qe_hunt_result(qe_hunt *h, uint32_t pass, uint32_t item, int result,
                   double seconds)
{
    bool failed = result == 0, fresh;
    qe__hunt_pass *p;
    qe__hunted *t;

    if (h == NULL || pass >= h->passes || h->pass[pass].over || item >= h->n ||
        isnan(seconds)) {
        return QE_EINVAL;
    }
    p = &h->pass[pass];
    p->actual += h->options.seconds > 0 ? seconds + LEAST_S : 1;
    if (result != 0 && result != 1) {
        return 0;
    }
    t = &h->test[item];
    fresh = p->told.condition >= QE_REPEATED &&
            (qe__hunt_is_suspect(t) || qe__hunt_is_known(t));
    t->timed++;
    t->seconds = t->timed == 1 ? seconds
                               : t->seconds + (seconds - t->seconds) / t->timed;
    t->failures += failed;
    t->passes += !failed;
    if (fresh) {
        t->fresh_failures += failed;
        t->fresh_passes += !failed;
    }
    p->failures += failed;
    if (failed && t->failed_in == QE__NO_PASS) {
        t->failed_in = pass;
    }
    if (!failed && t->passed_in == QE__NO_PASS) {
        t->passed_in = pass;
    }
    return 0;
}

int qe_hunt_known(qe_hunt *h, uint32_t item, uint64_t failures, uint64_t passes)
{
    double all = (double) failures + (double) passes, part;

    if (h == NULL || item >= h->n) {
        return QE_EINVAL;
    }
    if (h->passes > 0) {
        return QE_ESTATE;
    }
    /* Old runs are of old code: more of them than this count no more. */
    part = all > MOST_KNOWN ? MOST_KNOWN / all : 1;
    h->test[item].known_failures = part * (double) failures;
    h->test[item].known_passes = part * (double) passes;
    return 0;
}

int qe_hunt_more(qe_hunt *h, uint32_t item, int result)
{
    qe__hunted *t;

    if (h == NULL || item >= h->n || (result != 0 && result != 1)) {
        return QE_EINVAL;
    }
    t = &h->test[item];
    if (qe__hunt_is_suspect(t)) {
        t->fresh_failures += result == 0;
        t->fresh_passes += result == 1;
    }
    return 0;
}

int qe_hunt_over(qe_hunt *h, uint32_t pass, double beside)
{
    qe__hunt_pass *p;

    if (h == NULL || pass >= h->passes || h->pass[pass].over ||
        !(beside >= 0)) {
        return QE_EINVAL;
    }
    p = &h->pass[pass];
    p->over = true;
    h->under_way--;
    h->ended_passes++;
    h->blind = false;
    if (h->options.seconds > 0) {
        h->spent += p->actual + beside - p->cost;
        h->beside += (beside - h->beside) / (h->ended_passes + 1);
    }
    if (pass > 0 && pass != h->partner &&
        (p->failures == 0 || p->told.condition >= QE_REPEATED)) {
        free(p->items);
        p->items = NULL;
    }
    return 0;
}

uint64_t qe_hunt_spent(const qe_hunt *h)
{
    return h != NULL ? h->executions : 0;
}
