/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8 - well-formedness of UTF-8 (RFC 3629 section 4)
 *
 *   00..7F
 *   C2..DF 80..BF
 *   E0     A0..BF 80..BF          E1..EC, EE..EF 80..BF 80..BF     ED 80..9F 80..BF
 *   F0     90..BF 80..BF 80..BF   F1..F3 80..BF 80..BF 80..BF      F4 80..8F 80..BF 80..BF
 *
 * Addresses and parameters are short: plain C is fast enough.
 */
#include "ringpost/scan.h"

/* Octets of the sequence that this one begins, and the bounds of its second; 0 = none begins so. */
static size_t sequence_len(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;
    if (first < 0xe0) return 2;
    if (first < 0xf0) return 3;
    return first < 0xf5 ? 4 : 0;
}

bool scan_utf8_is_valid(const char *data, size_t len)
{
    const unsigned char *octets = (const unsigned char *)data;
    for (size_t at = 0; at < len;) {
        unsigned char low, high;
        const size_t sequence = sequence_len(octets[at], &low, &high);
        if (sequence == 0 || sequence > len - at) return false;
        if (sequence > 1 && (octets[at + 1] < low || octets[at + 1] > high)) return false;
        for (size_t i = 2; i < sequence; i++) {
            if (octets[at + i] < 0x80 || octets[at + i] > 0xbf) return false;
        }
        at += sequence;
    }
    return true;
}
