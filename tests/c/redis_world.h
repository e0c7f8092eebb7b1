/* A real redis-server for tests: its own folder, a loopback port, and an end with the
 * test. */
#ifndef REDIS_WORLD_H
#define REDIS_WORLD_H

#include "scratch.h"

#include "qe_board_read.h"
#include "qe_redis.h"

struct redis_world {
    struct scratch *scratch;
    pid_t pid;    /* 0: none runs */
    int port;     /* without TLS; 0: it has none */
    int tls_port; /* 0: it has none */
    char ca[192]; /* of the certificate, where there is TLS */
    bool with_tls, only_tls;
    const char *password; /* NULL: none */
    const char *more[12]; /* further options, then NULL */
};

int redis_setup(void **state);
int redis_teardown(void **state);
/* Starts it as the world says, and waits until it answers. */
void redis_start(struct redis_world *w);
/* The same, with an append-only file: after redis_kill and redis_start it has everything again. */
void redis_start_lasting(struct redis_world *w);
/* Ends it at once. */
void redis_kill(struct redis_world *w);
/* redis://127.0.0.1:PORT, or rediss://localhost:PORT, with `user` ("" or "x:y@") in it. */
const char *redis_url(const struct redis_world *w, bool tls, const char *user);
/* Connects: what qe__redis_open returns. */
int redis_open(const struct redis_world *w, const char *url, qe__redis **out,
               char *text);
/* Who reads the runs of a project; closed by the test. */
qe__reader *redis_reader(const struct redis_world *w, const char *project);

#endif
