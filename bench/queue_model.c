/* A run of the model: its nodes come, and are lost; until the server has every outcome. */
#include <stdlib.h>
#include <string.h>

#include "queue_node.h"

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
        n->renew_ns = n->call_ns = n->ask_ns = n->join_ns;
        n->begin_ns = n->beat_ns = n->join_ns;
        qe__heap_set(&r->events, node_member(r, n),
                     (qe__key){n->join_ns, node_member(r, n)});
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
        node_event(&r, &r.nodes[member / (kind->workers + 1)],
                   member % (kind->workers + 1));
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
