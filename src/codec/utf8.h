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
    const unsigned char *octets = (const unsigned char *)text;
    const unsigned char first = octets[0];
    if (first < 0x80) return (struct utf8_unit){UTF8_WHOLE, 1};
    const size_t all = first < 0xc2   ? 0
                       : first < 0xe0 ? 2
                       : first < 0xf0 ? 3
                       : first < 0xf5 ? 4
                                      : 0;
    if (all == 0) return (struct utf8_unit){UTF8_BAD, 1};
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < all; i++) {
        if (i == len) return (struct utf8_unit){UTF8_SHORT, i};
        if (octets[i] < low || octets[i] > high) return (struct utf8_unit){UTF8_BAD, i};
        low = 0x80;
        high = 0xbf;
    }
    return (struct utf8_unit){UTF8_WHOLE, all};
}

/* The next character of text: what it is written as, and how many octets of text that was. */
static inline struct bytes utf8_next(const char *text, size_t len, size_t *taken)
{
    const struct utf8_unit unit = utf8_look(text, len);
    *taken = unit.len;
    return unit.kind == UTF8_WHOLE ? (struct bytes){text, unit.len} : BYTES(UTF8_REPLACEMENT);
}
