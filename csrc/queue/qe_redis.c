/* A connection to a Redis or Valkey server; see qe_redis.h. */
#include "qe_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qe_haste.h"
#include "qe_util.h"

#define REPLY_MAX ((size_t) 64 << 20)
#define LINE_MAX_BYTES ((size_t) 64 << 10)
#define PIECE ((size_t) 16 << 10)
/* Elements of a reply: they are allocated before they come. */
#define ARRAY_MAX 1000000

struct qe__redis {
    redisReplyObjectFunctions functions;
    const redisReplyObjectFunctions *own; /* hiredis's */
    const qe__haste *haste;
    int fd;
    SSL_CTX *context;
    SSL *ssl; /* NULL: without TLS */
    redisReader *reader;
    char *out; /* what is to be sent: [sent, filled) */
    size_t sent, filled, capacity;
    size_t taken; /* bytes since the last whole reply */
    char text[QE__REDIS_TEXT];
};

__attribute__((format(printf, 3, 4))) static int fail(qe__redis *r, int code,
                                                      const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void) vsnprintf(r->text, sizeof(r->text), format, list);
    va_end(list);
    /* A line, whatever the server has put into it. */
    for (char *c = r->text; *c != '\0'; c++) {
        *c = (unsigned char) *c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    return code;
}

const char *qe__redis_text(const qe__redis *r)
{
    return r->text;
}

int qe__redis_fd(const qe__redis *r)
{
    return r->fd;
}

/* ----------------------------------------------------------------- transport */

/* Waits until the socket is ready for it: 0, or QE_EBUSY at `until_ns`. */
static int await(const qe__redis *r, short events, uint64_t until_ns)
{
    for (;;) {
        if (qe__haste_poll(r->haste, r->fd, events, until_ns) > 0) {
            return 0;
        }
        if (qe_now_ns() >= qe__haste_until(r->haste, until_ns)) {
            return QE_EBUSY;
        }
    }
}

/* The reason of a TLS call that failed, in words. */
static int fail_tls(qe__redis *r, const char *what)
{
    unsigned long error = ERR_peek_last_error();
    long verified = SSL_get_verify_result(r->ssl);
    const char *reason = ERR_reason_error_string(error);

    ERR_clear_error();
    if (verified != X509_V_OK) {
        return fail(r, QE_EUNSUPPORTED, "%s: its certificate: %s", what,
                    X509_verify_cert_error_string(verified));
    }
    return fail(r, QE_EUNSUPPORTED, "%s: TLS: %s", what,
                reason != NULL ? reason : "the server ended the connection");
}

/* What a call of OpenSSL that did not succeed has to wait for: 0 once that is there. */
static int await_tls(qe__redis *r, int result, uint64_t until_ns)
{
    switch (SSL_get_error(r->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return await(r, POLLIN, until_ns);
    case SSL_ERROR_WANT_WRITE:
        return await(r, POLLOUT, until_ns);
    default:
        return QE_EGONE;
    }
}

static int gone(qe__redis *r)
{
    return fail(r, QE_EGONE, "the connection to the server has ended");
}

/* Sends some: 0; QE_EBUSY where there is no room by then. */
static int send_some(qe__redis *r, uint64_t until_ns)
{
    size_t n = r->filled - r->sent;
    ssize_t got;
    int status;

    if (r->ssl != NULL) {
        ERR_clear_error();
        got = SSL_write(r->ssl, r->out + r->sent,
                        (int) (n < (1u << 20) ? n : 1u << 20));
        if (got <= 0) {
            status = await_tls(r, (int) got, until_ns);
            return status == QE_EGONE ? gone(r) : status;
        }
    } else {
        got = send(r->fd, r->out + r->sent, n, MSG_NOSIGNAL);
        if (got < 0) {
            return errno == EAGAIN || errno == EINTR
                       ? await(r, POLLOUT, until_ns)
                       : gone(r);
        }
    }
    r->sent += (size_t) got;
    if (r->sent == r->filled) {
        r->sent = r->filled = 0;
    }
    return 0;
}

/* Everything begins with a line, and hiredis looks for its end from its beginning
 * whenever there is more of it. */
static bool has_endless_line(const redisReader *reader)
{
    size_t n = reader->len - reader->pos;

    return n > LINE_MAX_BYTES &&
           memchr(reader->buf + reader->pos, '\n', LINE_MAX_BYTES) == NULL;
}

/* Takes some in; the same. */
static int receive_some(qe__redis *r, uint64_t until_ns)
{
    char piece[PIECE];
    ssize_t got;
    int status;

    if (r->ssl != NULL) {
        ERR_clear_error();
        got = SSL_read(r->ssl, piece, (int) sizeof(piece));
        if (got <= 0) {
            status = await_tls(r, (int) got, until_ns);
            return status == QE_EGONE ? gone(r) : status;
        }
    } else {
        got = recv(r->fd, piece, sizeof(piece), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return await(r, POLLIN, until_ns);
        }
        if (got <= 0) {
            return gone(r);
        }
    }
    r->taken += (size_t) got;
    if (r->taken > REPLY_MAX) {
        return fail(r, QE_ETOOBIG,
                    "a reply of the server is larger than %zu MiB",
                    REPLY_MAX >> 20);
    }
    if (redisReaderFeed(r->reader, piece, (size_t) got) != REDIS_OK ||
        has_endless_line(r->reader)) {
        return fail(r, QE_EFORMAT, "what the server replied is no reply");
    }
    return 0;
}

/* ------------------------------------------------------------------ commands */

int qe__redis_add(qe__redis *r, int argc, const char *const *argv,
                  const size_t *lengths)
{
    char *text;
    int n = redisFormatCommandArgv(&text, argc, (const char **) argv, lengths);
    int status;

    if (n < 0) {
        return fail(r, QE_ENOMEM, "out of memory");
    }
    if (r->sent > 0) {
        memmove(r->out, r->out + r->sent, r->filled - r->sent);
        r->filled -= r->sent;
        r->sent = 0;
    }
    status = qe__grow(&r->out, &r->capacity, r->filled + (size_t) n, 1);
    if (status == 0) {
        memcpy(r->out + r->filled, text, (size_t) n);
        r->filled += (size_t) n;
    }
    redisFreeCommand(text);
    return status;
}

int qe__redis_reply(qe__redis *r, uint64_t until_ns, redisReply **out)
{
    void *found = NULL;
    int status = 0;

    *out = NULL;
    while (status == 0 && r->filled > 0) {
        status = send_some(r, until_ns);
    }
    while (status == 0) {
        if (redisReaderGetReply(r->reader, &found) != REDIS_OK) {
            return fail(r, QE_EFORMAT, "what the server replied is no reply");
        }
        if (found != NULL) {
            r->taken = 0;
            *out = found;
            if ((*out)->type == REDIS_REPLY_ERROR) {
                (void) fail(r, 0, "%.200s", (*out)->str);
            }
            return 0;
        }
        status = receive_some(r, until_ns);
    }
    if (status == QE_EBUSY) {
        (void) fail(r, 0, "the server does not answer");
    }
    return status;
}

/* --------------------------------------------------------------------- start */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* hiredis's own would take an array of any size. */
static void *make_array(const redisReadTask *task, array_size n)
{
    const qe__redis *r = task->privdata;

    return n > ARRAY_MAX ? NULL : r->own->createArray(task, n);
}

static int make_reader(qe__redis *r)
{
    r->reader = redisReaderCreate();
    if (r->reader == NULL) {
        return fail(r, QE_ENOMEM, "out of memory");
    }
    r->own = r->reader->fn;
    r->functions = *r->own;
    r->functions.createArray = make_array;
    r->reader->fn = &r->functions;
    r->reader->privdata = r;
    return 0;
}

static int connect_one(qe__redis *r, const struct addrinfo *to,
                       uint64_t until_ns)
{
    int one = 1, error = 0;
    socklen_t n = sizeof(error);

    r->fd =
        socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
               to->ai_protocol);
    if (r->fd < 0) {
        return errno;
    }
    (void) setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void) setsockopt(r->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    if (connect(r->fd, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
            error = errno;
        } else if (await(r, POLLOUT, until_ns) != 0) {
            error = ETIMEDOUT;
        } else if (getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) {
            error = errno;
        }
    }
    if (error != 0) {
        (void) close(r->fd);
        r->fd = -1;
    }
    return error;
}

static int connect_any(qe__redis *r, const qe__redis_address *a,
                       uint64_t until_ns)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(a->host, a->port, &hints, &list);

    if (error != 0) {
        return fail(r, QE_EGONE, "%s: %s", a->host, gai_strerror(error));
    }
    error = EHOSTUNREACH;
    for (const struct addrinfo *to = list; to != NULL && r->fd < 0;
         to = to->ai_next) {
        error = connect_one(r, to, until_ns);
    }
    freeaddrinfo(list);
    return r->fd >= 0 ? 0
                      : fail(r, QE_EGONE, "%s:%s: %s", a->host, a->port,
                             strerror(error));
}

static int make_context(qe__redis *r, const qe__redis_address *a)
{
    r->context = SSL_CTX_new(TLS_client_method());
    if (r->context == NULL) {
        return fail(r, QE_ENOMEM, "out of memory");
    }
    SSL_CTX_set_verify(r->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(r->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_min_proto_version(r->context, TLS1_2_VERSION) != 1 ||
        (a->ca_file != NULL
             ? SSL_CTX_load_verify_locations(r->context, a->ca_file, NULL)
             : SSL_CTX_set_default_verify_paths(r->context)) != 1) {
        ERR_clear_error();
        return fail(r, QE_EUNSUPPORTED, "%s: it holds no certificates",
                    a->ca_file != NULL ? a->ca_file : "the system's list");
    }
    return 0;
}

static int shake_hands(qe__redis *r, const qe__redis_address *a,
                       uint64_t until_ns)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(a->host);
    bool number = address != NULL;
    int status = make_context(r, a);

    ASN1_OCTET_STRING_free(address);
    if (status != 0) {
        return status;
    }
    r->ssl = SSL_new(r->context);
    if (r->ssl == NULL || SSL_set_fd(r->ssl, r->fd) != 1 ||
        (number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(r->ssl), a->host)
                : SSL_set1_host(r->ssl, a->host)) != 1 ||
        (!number && SSL_set_tlsext_host_name(r->ssl, a->host) != 1)) {
        return fail(r, QE_ENOMEM, "out of memory");
    }
    for (;;) {
        int got;

        ERR_clear_error();
        got = SSL_connect(r->ssl);
        if (got == 1) {
            return 0;
        }
        status = await_tls(r, got, until_ns);
        if (status == QE_EBUSY) {
            return fail(r, QE_EGONE, "%s:%s: no answer to TLS in time", a->host,
                        a->port);
        }
        if (status != 0) {
            char name[sizeof(a->host) + sizeof(a->port) + 1];

            (void) snprintf(name, sizeof(name), "%s:%s", a->host, a->port);
            return fail_tls(r, name);
        }
    }
}

/* One command of the login; the server's refusal is ours. */
static int order(qe__redis *r, const qe__redis_address *a, int argc,
                 const char *const *argv, uint64_t until_ns)
{
    redisReply *reply = NULL;
    int status = qe__redis_add(r, argc, argv, NULL);

    if (status == 0) {
        status = qe__redis_reply(r, until_ns, &reply);
    }
    if (status == QE_EGONE && !a->tls) {
        return fail(r, QE_EGONE,
                    "%s:%s: the server ended the connection: it may want TLS "
                    "(rediss://)",
                    a->host, a->port);
    }
    if (status == QE_EBUSY) {
        return fail(r, QE_EGONE, "%s:%s: the server does not answer", a->host,
                    a->port);
    }
    if (status == QE_EFORMAT) {
        return fail(r, status,
                    "%s:%s: this is no Redis server, or it wants TLS "
                    "(rediss://)",
                    a->host, a->port);
    }
    if (status == 0 && reply->type == REDIS_REPLY_ERROR) {
        /* One that is still starting may have us soon. */
        status =
            strncmp(reply->str, "LOADING", 7) == 0 ? QE_EGONE : QE_EUNSUPPORTED;
        (void) fail(r, status, "%s:%s: %.120s", a->host, a->port, reply->str);
    }
    freeReplyObject(reply);
    return status;
}

static int log_in(qe__redis *r, const qe__redis_address *a, uint64_t until_ns)
{
    const char *auth[3] = {"AUTH", a->user, a->password};
    const char *only[2] = {"AUTH", a->password};
    const char *ping[1] = {"PING"};
    char number[16];
    const char *choose[2] = {"SELECT", number};
    int status = 0;

    if (a->password[0] != '\0') {
        status = a->user[0] != '\0' ? order(r, a, 3, auth, until_ns)
                                    : order(r, a, 2, only, until_ns);
    }
    if (status == 0) {
        status = order(r, a, 1, ping, until_ns);
    }
    if (status == 0 && a->database != 0) {
        (void) snprintf(number, sizeof(number), "%u", a->database);
        status = order(r, a, 2, choose, until_ns);
    }
    return status;
}

int qe__redis_open(qe__redis **out, const qe__redis_address *address,
                   uint64_t timeout_ns, char *text)
{
    uint64_t until_ns = qe_now_ns() + timeout_ns;
    qe__redis *r = calloc(1, sizeof(*r));
    int status;

    *out = NULL;
    text[0] = '\0';
    if (r == NULL) {
        return QE_ENOMEM;
    }
    r->fd = -1;
    r->haste = address->haste;
    status = make_reader(r);
    if (status == 0) {
        status = connect_any(r, address, until_ns);
    }
    if (status == 0 && address->tls) {
        status = shake_hands(r, address, until_ns);
    }
    if (status == 0) {
        status = log_in(r, address, until_ns);
    }
    if (status != 0) {
        (void) snprintf(text, QE__REDIS_TEXT, "%s", r->text);
        qe__redis_close(r);
        return status;
    }
    *out = r;
    return 0;
}

void qe__redis_close(qe__redis *r)
{
    if (r == NULL) {
        return;
    }
    SSL_free(r->ssl);
    SSL_CTX_free(r->context);
    if (r->reader != NULL) {
        redisReaderFree(r->reader);
    }
    if (r->fd >= 0) {
        (void) close(r->fd);
    }
    free(r->out);
    free(r);
}
