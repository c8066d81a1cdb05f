/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8_char - one character of UTF-8 (RFC 3629 section 4): the specification of what is well-formed
 *
 *   00..7F
 *   C2..DF 80..BF
 *   E0     A0..BF 80..BF          E1..EC, EE..EF 80..BF 80..BF     ED 80..9F 80..BF
 *   F0     90..BF 80..BF 80..BF   F1..F3 80..BF 80..BF 80..BF      F4 80..8F 80..BF 80..BF
 */
#pragma once
#include "ringpost/base.h"

struct utf8_char {
    size_t len;  /* of the whole character; 0: none begins so */
    size_t good; /* octets that are well-formed as far as they go; len if it is whole */
};

/* len > 0 octets are there; more than four do not matter. */
static inline struct utf8_char utf8_char(const char *data, size_t len)
{
    const unsigned char *octets = (const unsigned char *)data;
    const unsigned char first = octets[0];
    const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    struct utf8_char found = {first < 0x80 ? 1 : first < 0xc2 ? 0 : 2, 1};
    if (first >= 0xe0) found.len = first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (found.len == 0) return (struct utf8_char){0, 0};
    while (found.good < MIN(found.len, len)) {
        const unsigned char octet = octets[found.good];
        if (octet < (found.good == 1 ? low : 0x80)) break;
        if (octet > (found.good == 1 ? high : 0xbf)) break;
        found.good += 1;
    }
    return found;
}

/* Octets of the first character; 0 if it is not well-formed or cut off. */
static inline size_t utf8_char_len(const char *data, size_t len)
{
    const struct utf8_char found = utf8_char(data, len);
    return found.good == found.len ? found.len : 0;
}
