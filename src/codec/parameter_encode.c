/* SPDX-License-Identifier: Apache-2.0
 *
 * parameter_encode - one parameter of a MIME field, RFC 2045 section 5.1 and RFC 2231
 *
 * Lines have at most LINE characters, one less than 76: the ";" of the next parameter comes behind
 * them. With a name of 32 and a number of up to 10 digits, 1 + 32 + 1 + 10 + 2 + 1 = 47 are taken,
 * and each character, of at most 12, has room.
 */
#include "ringpost/base.h"
#include "ringpost/codec/parameter.h"
#include "ringpost/codec/word.h"
#include "utf8.h"
#include <stdio.h>

enum { LINE = CODEC_WORD_LINE_MAX - 1, NUMBER_MAX = 24 };

static const char charset[] = "UTF-8''"; /* no language */

static bool is_token(unsigned char c)
{
    return c > ' ' && c < 127 && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* RFC 2231 section 7: what needs no "%". */
static bool is_attribute(unsigned char c)
{
    return is_token(c) && c != '*' && c != '\'' && c != '%';
}

static size_t cost_of(struct bytes character)
{
    if (character.len > 1) return 3 * character.len;
    return is_attribute((unsigned char)character.data[0]) ? 1 : 3;
}

static size_t put(char *dst, const char *text, size_t len)
{
    memcpy(dst, text, len);
    return len;
}

static size_t put_percent(char *dst, struct bytes octets)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t written = 0;
    for (size_t i = 0; i < octets.len; i++) {
        const unsigned char c = (unsigned char)octets.data[i];
        const char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (is_attribute(c))
            dst[written++] = (char)c;
        else
            written += put(dst + written, escaped, 3);
    }
    return written;
}

/* ---- without RFC 2231
 * ---------------------------------------------------------------------------- */

/* What the value takes as a token or quoted string; 0: it can be neither, or a reader could take it
 * for encoded-words. */
static size_t plain_len(const char *value, size_t len, bool *quoted)
{
    size_t escapes = 0;
    *quoted = len == 0;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)value[i];
        if (c < ' ' || c >= 127) return 0;
        if (c == '=' && i + 1 < len && value[i + 1] == '?') return 0;
        /* Some readers look for RFC 2231 in tokens too. */
        if (!is_attribute(c)) *quoted = true;
        escapes += c == '"' || c == '\\';
    }
    return len + (*quoted ? escapes + 2 : 0);
}

static size_t put_quoted(char *dst, const char *value, size_t len)
{
    size_t written = 0;
    dst[written++] = '"';
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '"' || value[i] == '\\') dst[written++] = '\\';
        dst[written++] = value[i];
    }
    dst[written++] = '"';
    return written;
}

/* ---- with it
 * ------------------------------------------------------------------------------------- */

static size_t put_start(char *dst, struct bytes name)
{
    const size_t written = put(dst, ";\r\n ", 4);
    return written + put(dst + written, name.data, name.len);
}

/* As many characters as fit into room; *at moves on. */
static size_t put_characters(char *dst, const char *value, size_t len, size_t *at, size_t room)
{
    size_t written = 0;
    while (*at < len) {
        size_t n;
        const struct bytes character = utf8_next(value + *at, len - *at, &n);
        if (cost_of(character) > room - written) break;
        written += put_percent(dst + written, character);
        *at += n;
    }
    return written;
}

static bool fits_one_line(const char *value, size_t len, size_t room)
{
    size_t cost = 0;
    for (size_t at = 0, n; at < len && cost <= room; at += n) {
        const struct bytes character = utf8_next(value + at, len - at, &n);
        cost += cost_of(character);
    }
    return cost <= room;
}

static size_t put_sections(char *dst, struct bytes name, const char *value, size_t len)
{
    size_t written = 0, at = 0;
    for (unsigned long long number = 0; at < len; number++) {
        char middle[NUMBER_MAX + sizeof(charset)];
        const int n =
            snprintf(middle, sizeof(middle), "*%llu*=%s", number, number == 0 ? charset : "");
        const size_t before = 1 + name.len + (size_t)n; /* 1: the space */
        ASSERT(before + 12 <= LINE);                    /* a character has room: this ends */
        written += put_start(dst + written, name);
        written += put(dst + written, middle, (size_t)n);
        written += put_characters(dst + written, value, len, &at, LINE - before);
    }
    return written;
}

size_t codec_parameter_encode(const char *name, const char *value, size_t len, char *dst)
{
    const struct bytes attribute = bytes_of(name);
    bool quoted;
    ASSERT(attribute.len > 0 && attribute.len <= CODEC_PARAMETER_NAME_MAX);

    const size_t plain = plain_len(value, len, &quoted);
    if (plain > 0 && 1 + attribute.len + 1 + plain <= LINE) {
        size_t written = put_start(dst, attribute);
        dst[written++] = '=';
        if (quoted) return written + put_quoted(dst + written, value, len);
        return written + put(dst + written, value, len);
    }
    const size_t before = 1 + attribute.len + 2 + sizeof(charset) - 1;
    if (!fits_one_line(value, len, LINE - before)) {
        return put_sections(dst, attribute, value, len);
    }
    size_t written = put_start(dst, attribute), at = 0;
    written += put(dst + written, "*=", 2);
    written += put(dst + written, charset, sizeof(charset) - 1);
    return written + put_characters(dst + written, value, len, &at, LINE - before);
}
