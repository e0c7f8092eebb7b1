/* A connection to a Redis or Valkey server: commands go out, replies come in, with a limit
 * of time for each wait and of size for each reply. Encoding and decoding are hiredis's;
 * the bytes go by a socket of ours, or by OpenSSL over it, so that any hiredis from 0.14 on
 * will do (its own TLS came with 1.0). Internal. */
#ifndef QE_REDIS_H
#define QE_REDIS_H

#include <hiredis/hiredis.h>

#include "qe.h"

#define QE__REDIS_TEXT 256u /* bytes of a message, NUL included */

typedef struct qe__haste qe__haste; /* see qe_haste.h */

/* Where the server is, and who we are there. */
typedef struct qe__redis_address {
    char host[256];
    char port[8];
    char user[128];     /* "": the default one */
    char password[512]; /* "": none; never printed */
    uint32_t database;
    bool tls;
    const char
        *ca_file; /* who vouches for the server; NULL: the system's list */
    const qe__haste
        *haste; /* of whoever connects; NULL: waits end in their time */
} qe__redis_address;

/* Reads redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], or rediss:// for TLS, with
 * %XX in user and password, and [::1] for IPv6. QE_EINVAL with what is wrong in `text`
 * (QE__REDIS_TEXT bytes), which never holds any of the password. */
int qe__redis_parse(const char *url, qe__redis_address *out, char *text);

typedef struct qe__redis qe__redis;

/* Connects, and logs in. QE_EGONE where nobody answers in time, QE_EUNSUPPORTED where
 * the server will not have us as we come (no TLS, a wrong password, a certificate that
 * nobody vouches for), QE_ENOMEM; `text` says it in a line. */
int qe__redis_open(qe__redis **out, const qe__redis_address *address,
                   uint64_t timeout_ns, char *text);
void qe__redis_close(qe__redis *r);
/* What to poll for replies. */
int qe__redis_fd(const qe__redis *r);

/* Puts a command behind those that have not been sent yet. `lengths` NULL: strings. */
int qe__redis_add(qe__redis *r, int argc, const char *const *argv,
                  const size_t *lengths);
/* Sends what there is to be sent, and takes in one reply, freed by freeReplyObject: 0;
 * QE_EBUSY: none came by `until_ns`, and one may still come; QE_EGONE: the connection has
 * ended; QE_ETOOBIG: the reply is larger than any of ours can be; QE_EFORMAT: it is none.
 * After the last three only qe__redis_close is of use. */
int qe__redis_reply(qe__redis *r, uint64_t until_ns, redisReply **out);
/* What went wrong last, in a line; an error that the server replied with. */
const char *qe__redis_text(const qe__redis *r);

#endif
