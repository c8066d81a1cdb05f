/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_ops - what an instruction set gives to base64.c
 *
 * Kernels do the bulk: whole quanta, whole lines. What begins or ends in the middle of one,
 * padding, and the exact place of an error are decided octet by octet in base64.c.
 *
 * Decoding reads a step's characters before it writes their octets, and never writes further than
 * it has read: dst may be src.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/codec/base64.h"
#include "ringpost/simd.h"

enum {
    BASE64_OTHER = 0x80, /* in base64_values: neither in the alphabet nor one of the following */
    BASE64_SPACE = 0x40, /* CR, LF, space, tab */
    BASE64_PAD = 0xc0,
    BASE64_NOT_VALUE = 0xc0,                 /* has one of these bits: no value */
    BASE64_LINE_END = CODEC_BASE64_LINE + 2, /* characters, with CRLF */
    BASE64_LINE_OCTETS = CODEC_BASE64_LINE / 4 * 3,
    BASE64_REGULAR_MIN = 32,
    BASE64_REGULAR_MAX = 128,
    BASE64_SQUEEZE_SLACK = 64,
};
#define BASE64_BAD SIZE_MAX

extern const uint8_t base64_values[256]; /* 0..63, or one of the above */
extern const char base64_alphabet[64];

/* What kernels take into account of the CPU: found out before main(), changed by tests only. */
struct base64_cpu {
    bool is_amd;
    size_t near_max; /* so many characters and their octets leave room in the first-level cache */
    size_t far_min;  /* so many, and they have more pages than the CPU has translations for */
};
extern struct base64_cpu base64_cpu;

struct base64_ops {
    /* len is a multiple of 3: writes len / 3 * 4 characters. */
    void (*encode)(const uint8_t *src, size_t len, char *dst);
    /* count lines of line / 4 * 3 octets: each becomes line characters and CRLF. */
    void (*encode_lines)(const uint8_t *src, size_t count, char *dst, size_t line);
    /* Whole quanta of the alphabet, as many as len and cap allow; stops somewhere before the first
     * other character, at most 256 characters before it. Returns the characters taken, a multiple
     * of 4; 3/4 of that has been written. */
    size_t (*decode)(const uint8_t *src, size_t len, uint8_t *dst, size_t cap);
    /* The same for lines of `line` characters (BASE64_REGULAR_MIN to _MAX, a multiple of 4) that
     * end in LF (end = 1) or CRLF (end = 2): returns the lines taken. May leave out the last few,
     * or all of them if it has nothing for lines of this length. */
    size_t (*decode_lines)(const uint8_t *src, size_t len, uint8_t *dst, size_t cap, size_t line,
                           size_t end);
    /* The values of all characters, without white space (skip_all: without what is neither in the
     * alphabet nor "="). Returns how many, or BASE64_BAD if any character is none of that. values
     * has room for len + BASE64_SQUEEZE_SLACK. */
    size_t (*squeeze)(const uint8_t *src, size_t len, uint8_t *values, bool skip_all);
    /* Values to octets: len is a multiple of 4, BASE64_SQUEEZE_SLACK more may be read. */
    void (*pack)(const uint8_t *values, size_t len, uint8_t *dst);
};
extern const struct base64_ops base64_ops_scalar;
#ifdef __x86_64__
extern const struct base64_ops base64_ops_avx2;
extern const struct base64_ops base64_ops_avx512;
#endif
#ifdef __aarch64__
extern const struct base64_ops base64_ops_neon;
#endif

static inline void base64_encode_quantum(const uint8_t *src, char *dst)
{
    const uint32_t bits = (uint32_t)src[0] << 16 | (uint32_t)src[1] << 8 | src[2];
    dst[0] = base64_alphabet[bits >> 18];
    dst[1] = base64_alphabet[bits >> 12 & 63];
    dst[2] = base64_alphabet[bits >> 6 & 63];
    dst[3] = base64_alphabet[bits & 63];
}
static inline void base64_pack_quantum(uint32_t bits, uint8_t *dst)
{
    dst[0] = (uint8_t)(bits >> 16);
    dst[1] = (uint8_t)(bits >> 8);
    dst[2] = (uint8_t)bits;
}
/* LF, or CRLF if end is 2. */
static inline bool base64_is_line_end(const uint8_t *src, size_t end)
{
    return src[0] == (end == 2 ? '\r' : '\n') && src[end - 1] == '\n';
}
/* False, and nothing is written, if a character is not in the alphabet. */
static inline bool base64_decode_quantum(const uint8_t *src, uint8_t *dst)
{
    const uint32_t a = base64_values[src[0]], b = base64_values[src[1]];
    const uint32_t c = base64_values[src[2]], d = base64_values[src[3]];
    if (((a | b | c | d) & BASE64_NOT_VALUE) != 0) return false;
    base64_pack_quantum(a << 18 | b << 12 | c << 6 | d, dst);
    return true;
}
