/* JSON text where cJSON does not serve. */
#include "qe_json_text.h"

#include "qe_util.h"

#include <stdlib.h>
#include <string.h>

static bool in_range(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

/* The Unicode Standard, table 3-7: well-formed UTF-8 byte sequences. Overlong
 * forms and encoded surrogates are not among them. A NUL ends every test, so
 * nothing past the end of the string is read. */
size_t qe__utf8_length(const char *s)
{
    const unsigned char *b = (const unsigned char *) s;
    unsigned char low = 0x80, high = 0xbf;

    if (b[0] < 0x80)
        return 1;
    if (in_range(b[0], 0xc2, 0xdf))
        return in_range(b[1], low, high) ? 2 : 0;
    if (in_range(b[0], 0xe0, 0xef)) {
        if (b[0] == 0xe0)
            low = 0xa0;
        if (b[0] == 0xed)
            high = 0x9f;
        if (!in_range(b[1], low, high))
            return 0;
        return in_range(b[2], 0x80, 0xbf) ? 3 : 0;
    }
    if (in_range(b[0], 0xf0, 0xf4)) {
        if (b[0] == 0xf0)
            low = 0x90;
        if (b[0] == 0xf4)
            high = 0x8f;
        if (!in_range(b[1], low, high) || !in_range(b[2], 0x80, 0xbf))
            return 0;
        return in_range(b[3], 0x80, 0xbf) ? 4 : 0;
    }
    return 0;
}

bool qe__utf8_valid(const char *s)
{
    while (*s != '\0') {
        size_t n = qe__utf8_length(s);
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

static char *hex_escape(char *out, const char *prefix, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";

    out = stpcpy(out, prefix);
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

char *qe__json_quote(const char *s)
{
    /* No byte needs more than the six of an escape. */
    size_t bound = qe__mul(strlen(s), 6);
    char *start, *out;

    if (bound > SIZE_MAX - 3)
        return NULL;
    start = out = malloc(bound + 3);
    if (start == NULL)
        return NULL;
    *out++ = '"';
    while (*s != '\0') {
        size_t n = qe__utf8_length(s);
        unsigned char byte = (unsigned char) *s;
        if (n == 0) {
            out = hex_escape(out, "\\udc", byte);
            s++;
        } else if (n == 1 && (byte < 0x20 || byte == 0x7f)) {
            out = hex_escape(out, "\\u00", byte);
            s++;
        } else {
            if (*s == '"' || *s == '\\')
                *out++ = '\\';
            while (n-- > 0)
                *out++ = *s++;
        }
    }
    *out++ = '"';
    *out = '\0';
    return start;
}

/* A reader that only checks. It does not build values, because a number that
 * passed through a double would lose its last digits (a 64-bit seed), and
 * because cJSON 1.7 refuses lone surrogates. Each function takes the text at
 * its construct and returns what follows, NULL where it is malformed. */
#define DEPTH_MAX 128

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t\n\r");
}

static const char *skip_digits(const char *s)
{
    size_t n = strspn(s, "0123456789");

    return n > 0 ? s + n : NULL;
}

static const char *skip_number(const char *s)
{
    if (*s == '-')
        s++;
    s = *s == '0' ? s + 1 : skip_digits(s);
    if (s != NULL && *s == '.')
        s = skip_digits(s + 1);
    if (s != NULL && (*s == 'e' || *s == 'E')) {
        s++;
        if (*s == '+' || *s == '-')
            s++;
        s = skip_digits(s);
    }
    return s;
}

static const char *skip_string(const char *s)
{
    if (*s++ != '"')
        return NULL;
    while (*s != '"') {
        size_t n = qe__utf8_length(s);
        if (n == 0 || (unsigned char) *s < 0x20)
            return NULL;
        if (*s != '\\') {
            s += n;
        } else if (s[1] == 'u') {
            if (strspn(s + 2, "0123456789abcdefABCDEF") < 4)
                return NULL;
            s += 6;
        } else {
            if (s[1] == '\0' || strchr("\"\\/bfnrt", s[1]) == NULL)
                return NULL;
            s += 2;
        }
    }
    return s + 1;
}

static const char *skip_word(const char *s, const char *word)
{
    size_t n = strlen(word);

    return strncmp(s, word, n) == 0 ? s + n : NULL;
}

static const char *skip_value(const char *s, unsigned depth);

/* The members of an object or the elements of an array, after its bracket. */
static const char *skip_members(const char *s, char end, unsigned depth)
{
    s = skip_space(s);
    if (*s == end)
        return s + 1;
    for (;;) {
        if (end == '}') {
            s = skip_string(skip_space(s));
            if (s == NULL)
                return NULL;
            s = skip_space(s);
            if (*s++ != ':')
                return NULL;
        }
        s = skip_value(skip_space(s), depth);
        if (s == NULL)
            return NULL;
        s = skip_space(s);
        if (*s == end)
            return s + 1;
        if (*s++ != ',')
            return NULL;
    }
}

static const char *skip_value(const char *s, unsigned depth)
{
    if (depth >= DEPTH_MAX)
        return NULL;
    switch (*s) {
    case '{':
        return skip_members(s + 1, '}', depth + 1);
    case '[':
        return skip_members(s + 1, ']', depth + 1);
    case '"':
        return skip_string(s);
    case 't':
        return skip_word(s, "true");
    case 'f':
        return skip_word(s, "false");
    case 'n':
        return skip_word(s, "null");
    default:
        return skip_number(s);
    }
}

bool qe__json_is_object(const char *text)
{
    text = skip_space(text);
    if (*text != '{')
        return false;
    text = skip_value(text, 0);
    return text != NULL && *skip_space(text) == '\0';
}
