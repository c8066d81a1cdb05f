/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8 - one character at a time, also of text that is not quite UTF-8 (RFC 3629 section 4)
 *
 * What is ill-formed is taken in the pieces that Unicode 15.0 section 3.9 recommends to replace by
 * one U+FFFD each: the longest start of a character, or a single octet.
 */
#pragma once
#include "ringpost/base.h"

enum utf8_kind {
    UTF8_WHOLE, /* a character of len octets */
    UTF8_BAD,   /* len octets that are none */
    UTF8_SHORT, /* the start of one, but the text ends */
};
struct utf8_unit {
    enum utf8_kind kind;
    size_t len;
};
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* len > 0 */
static inline struct utf8_unit utf8_look(const char *text, size_t len)
{
    const struct utf8_char found = utf8_char(text, len);
    if (found.len == 0) return (struct utf8_unit){UTF8_BAD, 1};
    if (found.good == found.len) return (struct utf8_unit){UTF8_WHOLE, found.len};
    return (struct utf8_unit){found.good == len ? UTF8_SHORT : UTF8_BAD, found.good};
}

/* The next character of text: what it is written as, and how many octets of text that was. */
static inline struct bytes utf8_next(const char *text, size_t len, size_t *taken)
{
    const struct utf8_unit unit = utf8_look(text, len);
    *taken = unit.len;
    return unit.kind == UTF8_WHOLE ? (struct bytes){text, unit.len} : BYTES(UTF8_REPLACEMENT);
}
