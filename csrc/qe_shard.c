/* Which of several machines runs which tests. */
#include "qe_util.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, 64 bits: Fowler, Noll, Vo, Eastlake, "The FNV Non-Cryptographic Hash
 * Algorithm" (draft-eastlake-fnv), section 2. */
QE_API uint64_t qe_digest(uint64_t digest, const void *data, size_t n)
{
    const unsigned char *bytes = data;
    size_t i;

    for (i = 0; i < n; i++) {
        digest ^= bytes[i];
        digest *= UINT64_C(0x100000001b3);
    }
    return digest;
}

/* The low bits of FNV-1a see only the low bits of the bytes: the lowest is
 * their parity, so that every `test_x.py::test_x`, where each letter of the
 * name comes twice, would land on the same one of two shards. A round of
 * splitmix64 spreads all 64 bits before the remainder is taken. */
static uint32_t shard_of(const char *key, uint32_t of)
{
    uint64_t digest = qe_digest(QE_DIGEST_INIT, key, strlen(key));

    return (uint32_t) (qe__random(&digest) % of);
}

struct job {
    const char *key;
    uint64_t duration_ns;
    size_t index;
};

/* Longest first; then by the key's bytes, so that the order in which a machine
 * found its tests does not matter. */
static int compare_jobs(const void *left, const void *right)
{
    const struct job *a = left, *b = right;
    int order;

    if (a->duration_ns != b->duration_ns)
        return a->duration_ns > b->duration_ns ? -1 : 1;
    order = strcmp(a->key, b->key);
    if (order != 0)
        return order;
    return a->index < b->index ? -1 : a->index > b->index;
}

struct shard {
    uint64_t load_ns;
    uint32_t number;
};

static bool lighter(const struct shard *a, const struct shard *b)
{
    if (a->load_ns != b->load_ns)
        return a->load_ns < b->load_ns;
    return a->number < b->number;
}

/* Restores the heap, lightest first, after the root became heavier. */
static void sift_down(struct shard *heap, size_t n)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        struct shard swap;
        if (child >= n)
            return;
        if (child + 1 < n && lighter(&heap[child + 1], &heap[child]))
            child++;
        if (!lighter(&heap[child], &heap[at]))
            return;
        swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/* The median of the known durations, given all sorted in falling order with
 * the unknown (0) last. */
static uint64_t median_known(const struct job *jobs, size_t known)
{
    uint64_t high = jobs[(known - 1) / 2].duration_ns;
    uint64_t low = jobs[known / 2].duration_ns;

    return low + (high - low) / 2;
}

/* Longest processing time first: Graham, "Bounds on Multiprocessing Timing
 * Anomalies" (1969): at most 4/3 - 1/(3m) of the best makespan. */
static int assign_longest_first(struct job *jobs, size_t n, uint32_t of,
                                uint32_t *shard_out)
{
    size_t shards = of < n ? of : n; /* More would stay empty. */
    struct shard *heap = calloc(shards, sizeof(*heap));
    size_t i;

    if (heap == NULL)
        return QE_ENOMEM;
    for (i = 0; i < shards; i++)
        heap[i].number = (uint32_t) i;
    for (i = 0; i < n; i++) {
        shard_out[jobs[i].index] = heap[0].number;
        if (__builtin_add_overflow(heap[0].load_ns, jobs[i].duration_ns,
                                   &heap[0].load_ns))
            heap[0].load_ns = UINT64_MAX;
        sift_down(heap, shards);
    }
    free(heap);
    return QE_OK;
}

static int assign_by_duration(const char *const *keys,
                              const uint64_t *durations_ns, size_t n,
                              size_t known, uint32_t of, uint32_t *shard_out)
{
    struct job *jobs = malloc(qe__mul(n, sizeof(*jobs)));
    uint64_t median;
    size_t i;
    int rc;

    if (jobs == NULL)
        return QE_ENOMEM;
    for (i = 0; i < n; i++)
        jobs[i] = (struct job){keys[i], durations_ns[i], i};
    qsort(jobs, n, sizeof(*jobs), compare_jobs);
    if (known < n) {
        median = median_known(jobs, known);
        for (i = known; i < n; i++)
            jobs[i].duration_ns = median;
        qsort(jobs, n, sizeof(*jobs), compare_jobs);
    }
    rc = assign_longest_first(jobs, n, of, shard_out);
    free(jobs);
    return rc;
}

QE_API int qe_shard_assign(const char *const *keys,
                           const uint64_t *durations_ns, size_t n, uint32_t of,
                           uint32_t *shard_out)
{
    size_t known = 0;
    size_t i;

    if (of == 0 || (n > 0 && (keys == NULL || shard_out == NULL)))
        return QE_EINVAL;
    for (i = 0; i < n; i++) {
        if (keys[i] == NULL)
            return QE_EINVAL;
        known += durations_ns != NULL && durations_ns[i] > 0;
    }
    if (known > 0)
        return assign_by_duration(keys, durations_ns, n, known, of, shard_out);
    /* Where nothing is known, a machine that has no history at all must agree
     * with one that has an empty one. */
    for (i = 0; i < n; i++)
        shard_out[i] = shard_of(keys[i], of);
    return QE_OK;
}
