/* SPDX-License-Identifier: Apache-2.0
 *
 * uuencode_ops - what each instruction set provides; a table for each level of simd.h
 *
 * A full line, 45 octets in 60 characters:
 *
 *     M  characters  CR LF        encoded: always; decoded: LF alone, too
 *     0  1        60  61 62
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/codec/uuencode.h"
#include "ringpost/simd.h"

enum {
    UU_LINE_MAX = 63,                /* octets: six bits of length */
    UU_LENGTH = ' ' + CODEC_UU_LINE, /* "M" */
    UU_CHARACTERS = CODEC_UU_LINE / 3 * 4,
    UU_LINE_ENCODED = 1 + UU_CHARACTERS + 2,
    /* What a kernel may write for a line: less than was read for it, so in place is fine. */
    UU_LINE_ROOM = 53,
};
static_assert(UU_LINE_ROOM < 1 + UU_CHARACTERS, "the next line is still there to be read");

struct uuencode_ops {
    /* Reads exactly 45 octets a line, writes exactly 63. */
    void (*encode_lines)(const unsigned char *src, size_t lines, char *dst);
    /* From a line start: full lines as long as they come and the room goes on, at least
     * UU_LINE_ROOM for each. Returns the lines, *taken the octets of src. Fewer than could be is no
     * error. */
    size_t (*decode_lines)(const char *src, size_t len, unsigned char *dst, size_t room,
                           size_t *taken);
};
extern const struct uuencode_ops uuencode_ops_scalar;
#ifdef __x86_64__
extern const struct uuencode_ops uuencode_ops_avx2, uuencode_ops_avx512;
#endif
#ifdef __aarch64__
extern const struct uuencode_ops uuencode_ops_neon;
#endif

/* Any line, up to 63 octets: the specification. Returns the characters written. */
size_t uu_encode_line(const unsigned char *src, size_t len, char *dst);

/* Any line that has all its characters, no more, and ends behind them. Returns what was taken, 0 if
 * it is not like that or has length zero; writes ->written octets, no others. */
size_t uu_decode_line(const char *src, size_t len, unsigned char *dst, size_t room,
                      size_t *written);

/* The characters of a line, 45 octets of data behind the "M" at src: how long the line end is that
 * follows them; 0: none, or the text ends. */
static inline size_t uu_line_end(const char *src, size_t len)
{
    if (len > 1 + UU_CHARACTERS && src[1 + UU_CHARACTERS] == '\n') return 1;
    return len > 2 + UU_CHARACTERS && src[1 + UU_CHARACTERS] == '\r' &&
                   src[2 + UU_CHARACTERS] == '\n'
               ? 2
               : 0;
}
