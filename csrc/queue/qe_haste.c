/* Waits that somebody may want to be over sooner; see qe_haste.h. */
#include <poll.h>
#include <unistd.h>

#include "qe_haste.h"
#include "qe_util.h"

#define LONGEST_NS (3600000 * QE__MS)

static void ring(const qe__haste *h)
{
    const uint64_t one = 1;

    (void) !write(h->fd, &one, sizeof(one));
}

void qe__haste_now(qe__haste *h)
{
    uint64_t never = 0;

    (void) atomic_compare_exchange_strong(&h->asked_ns, &never, qe_now_ns());
    ring(h);
}

void qe__haste_from(qe__haste *h, uint64_t grace_ns)
{
    atomic_store(&h->grace_ns, grace_ns);
    atomic_store(&h->since_ns, qe_now_ns());
    ring(h);
}

uint64_t qe__haste_until(const qe__haste *h, uint64_t until_ns)
{
    uint64_t asked, since, last;

    if (h == NULL) {
        return until_ns;
    }
    asked = atomic_load(&h->asked_ns);
    since = atomic_load(&h->since_ns);
    if (asked == 0 || since == 0) {
        return until_ns;
    }
    last = (asked > since ? asked : since) + atomic_load(&h->grace_ns);
    return last < until_ns ? last : until_ns;
}

int qe__haste_poll(const qe__haste *h, int fd, short events, uint64_t until_ns)
{
    struct pollfd p[2] = {{.fd = fd, .events = events},
                          {.fd = h != NULL ? h->fd : -1, .events = POLLIN}};
    uint64_t until = qe__haste_until(h, until_ns), now = qe_now_ns(), rung;
    uint64_t ns = until > now ? until - now : 0;
    struct timespec t;

    ns = ns < LONGEST_NS ? ns : LONGEST_NS;
    t.tv_sec = (time_t) (ns / 1000000000u);
    t.tv_nsec = (long) (ns % 1000000000u);
    if (ppoll(p, 2, &t, NULL) <= 0) {
        return 0;
    }
    if (p[1].revents != 0) {
        (void) !read(h->fd, &rung, sizeof(rung));
    }
    return p[0].revents != 0;
}
