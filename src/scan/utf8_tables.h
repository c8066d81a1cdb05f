/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8_tables - what is wrong with two octets side by side (Keiser and Lemire, "Validating UTF-8 in
 * less than one instruction per byte", 2021, section 6)
 *
 * Each of three nibbles - both of the first octet, the higher one of the second - says which faults
 * it allows: a fault that all three allow is there. That sees all there is to see in two octets,
 * and calls two continuation octets side by side a fault: they are none where the third or fourth
 * octet of a character stands, which the octets two and three places before tell.
 */
#pragma once
#include <stdint.h>

enum {
    SHORT = 1 << 0,                 /* a character begins, and no continuation follows */
    LONG = 1 << 1,                  /* ASCII, and a continuation follows */
    OVERLONG3 = 1 << 2,             /* E0 80..9F */
    LARGE = 1 << 3,                 /* F4 90..BF, F5..FF 90..BF */
    SURROGATE = 1 << 4,             /* ED A0..BF */
    OVERLONG2 = 1 << 5,             /* C0, C1 */
    EDGE4 = 1 << 6,                 /* F0 80..8F (overlong), F5..FF 80..8F (too large) */
    TWICE = 1 << 7,                 /* a continuation after a continuation */
    ANY_LOW = SHORT | LONG | TWICE, /* the lower nibble does not matter */
    BEGINS_F = SHORT | LARGE | EDGE4,
    LARGE_LOW = ANY_LOW | LARGE | EDGE4,
    BEHIND = LONG | OVERLONG2 | TWICE, /* the second octet is a continuation */
};

static const uint8_t utf8_first_high[16] = {
    LONG,
    LONG,
    LONG,
    LONG,
    LONG,
    LONG,
    LONG,
    LONG, /* ASCII */
    TWICE,
    TWICE,
    TWICE,
    TWICE,
    SHORT | OVERLONG2,
    SHORT,
    SHORT | OVERLONG3 | SURROGATE,
    BEGINS_F,
};
static const uint8_t utf8_first_low[16] = {
    ANY_LOW | OVERLONG3 | OVERLONG2 | EDGE4, /* E0, C0, F0 */
    ANY_LOW | OVERLONG2,                     /* C1 */
    ANY_LOW,
    ANY_LOW,
    ANY_LOW | LARGE, /* F4 */
    LARGE_LOW,       /* F5 and so on */
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW | SURROGATE, /* ED */
    LARGE_LOW,
    LARGE_LOW,
};
static const uint8_t utf8_second_high[16] = {
    SHORT,
    SHORT,
    SHORT,
    SHORT,
    SHORT,
    SHORT,
    SHORT,
    SHORT, /* ASCII */
    BEHIND | OVERLONG3 | EDGE4,
    BEHIND | OVERLONG3 | LARGE,
    BEHIND | SURROGATE | LARGE,
    BEHIND | SURROGATE | LARGE,
    SHORT,
    SHORT,
    SHORT,
    SHORT,
};
