/* Addresses of servers. */
#include "qe_redis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE_MAX 65535ul

__attribute__((format(printf, 2, 3))) static int wrong(char *text,
                                                       const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void) vsnprintf(text, QE__REDIS_TEXT, format, list);
    va_end(list);
    return QE_EINVAL;
}

static int hex_of(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c | 0x20);

    return at == NULL ? -1 : (int) (at - digits);
}

/* Copies [from, to), with %XX decoded; false where it is too long, or no such thing. */
static bool decode(char *out, size_t n, const char *from, const char *to)
{
    size_t used = 0;

    while (from < to) {
        char c = *from++;

        if (c == '%') {
            int high = from < to ? hex_of(from[0]) : -1;
            int low = to - from > 1 ? hex_of(from[1]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            c = (char) (high * 16 + low);
            from += 2;
        }
        if (used + 1 >= n) {
            return false;
        }
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}

static int read_user(const char **at, const char *end, qe__redis_address *out,
                     char *text)
{
    const char *sign = NULL, *colon;

    for (const char *p = *at; p < end; p++) {
        sign = *p == '@' ? p : sign;
    }
    if (sign == NULL) {
        return 0;
    }
    colon = memchr(*at, ':', (size_t) (sign - *at));
    if (!decode(out->user, sizeof(out->user), *at,
                colon == NULL ? sign : colon)) {
        return wrong(text, "the user before @ is too long, or has a %% that is "
                           "not followed by two hexadecimal digits");
    }
    if (colon != NULL &&
        !decode(out->password, sizeof(out->password), colon + 1, sign)) {
        return wrong(text, "the password is too long, or has a %% that is not "
                           "followed by two hexadecimal digits");
    }
    *at = sign + 1;
    return 0;
}

/* HOST[:PORT] up to `end`. */
static int read_host(const char *at, const char *end, qe__redis_address *out,
                     char *text)
{
    const char *to, *port;
    unsigned long number;
    char *after;

    if (at < end && *at == '[') {
        to = memchr(at, ']', (size_t) (end - at));
        if (to == NULL) {
            return wrong(text, "the host begins with [ and has no ]");
        }
        at++;
        port = to + 1;
    } else {
        to = memchr(at, ':', (size_t) (end - at));
        to = to == NULL ? end : to;
        port = to;
    }
    if (to == at || (size_t) (to - at) >= sizeof(out->host)) {
        return wrong(text, "it names no host, or too long a one");
    }
    memcpy(out->host, at, (size_t) (to - at));
    out->host[to - at] = '\0';
    if (port == end) {
        return 0;
    }
    number = *port == ':' && port + 1 < end && port[1] >= '0' && port[1] <= '9'
                 ? strtoul(port + 1, &after, 10)
                 : 0;
    if (number < 1 || number > 65535 || after != end) {
        return wrong(text,
                     "behind the host comes : and a port from 1 to 65535");
    }
    (void) snprintf(out->port, sizeof(out->port), "%lu", number);
    return 0;
}

int qe__redis_parse(const char *url, qe__redis_address *out, char *text)
{
    const char *at, *end;
    char *after;
    unsigned long database;
    int status;

    memset(out, 0, sizeof(*out));
    (void) snprintf(out->port, sizeof(out->port), "6379");
    if (strncmp(url, "redis://", 8) == 0) {
        at = url + 8;
    } else if (strncmp(url, "rediss://", 9) == 0) {
        at = url + 9;
        out->tls = true;
    } else {
        return wrong(text, "it does not begin with redis:// or rediss://");
    }
    end = at + strcspn(at, "/?#");
    if (*end == '?' || *end == '#') {
        return wrong(text, "it takes nothing behind ? or #");
    }
    status = read_user(&at, end, out, text);
    if (status == 0) {
        status = read_host(at, end, out, text);
    }
    if (status != 0 || *end == '\0' || end[1] == '\0') {
        return status;
    }
    database = end[1] >= '0' && end[1] <= '9' ? strtoul(end + 1, &after, 10)
                                              : DATABASE_MAX + 1;
    if (database > DATABASE_MAX || *after != '\0') {
        return wrong(text,
                     "behind the host comes / and the number of a database");
    }
    out->database = (uint32_t) database;
    return 0;
}
