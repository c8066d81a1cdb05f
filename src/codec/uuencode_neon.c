/* SPDX-License-Identifier: Apache-2.0
 *
 * uuencode_neon - 48 octets and 64 characters at once (AArch64): a line, and what is around it
 *
 * The loads and stores that take every third or fourth octet do the moving. Lane 15 has what
 * follows the line: CR, LF and the next line's "M" when encoding.
 */
#include "uuencode_ops.h"
#include <arm_neon.h>

/* value, but in lane 15 that of last */
static inline uint8x16_t with_last(uint8_t value, uint8_t last)
{
    return vsetq_lane_u8(last, vdupq_n_u8(value), 15);
}

/* 1..63 follow the space; 0 becomes "`", one behind the last. last replaces lane 15. */
static inline uint8x16_t character(uint8x16_t bits, uint8_t last)
{
    const uint8x16_t less = vandq_u8(vsubq_u8(bits, vdupq_n_u8(1)), vdupq_n_u8(63));
    return vsetq_lane_u8(last, vaddq_u8(less, vdupq_n_u8('!')), 15);
}

static void encode_lines(const unsigned char *src, size_t lines, char *dst)
{
    if (lines == 0) return;
    dst[0] = UU_LENGTH;
    for (; lines > 1; lines--) {
        /* Three octets and two characters more than the line: they are the next line's. */
        const uint8x16x3_t octets = vld3q_u8(src);
        const uint8x16_t a = octets.val[0], b = octets.val[1], c = octets.val[2];
        uint8x16x4_t line;
        line.val[0] = character(vshrq_n_u8(a, 2), '\r');
        line.val[1] = character(vorrq_u8(vshlq_n_u8(a, 4), vshrq_n_u8(b, 4)), '\n');
        line.val[2] = character(vorrq_u8(vshlq_n_u8(b, 2), vshrq_n_u8(c, 6)), UU_LENGTH);
        line.val[3] = character(c, 0);
        vst4q_u8((uint8_t *)dst + 1, line);
        src += CODEC_UU_LINE;
        dst += UU_LINE_ENCODED;
    }
    uu_encode_line(src, CODEC_UU_LINE, dst);
}

static inline uint8x16_t over(uint8x16_t value, uint8_t last_limit)
{
    return vqsubq_u8(value, with_last(64, last_limit));
}

static size_t decode_lines(const char *src, size_t len, unsigned char *dst, size_t room,
                           size_t *taken)
{
    const size_t end = len > UU_CHARACTERS && src[0] == UU_LENGTH ? uu_line_end(src, len) : 0;
    const size_t stride = 1 + UU_CHARACTERS + end;
    const uint8x16_t first_base = with_last(' ', end == 2 ? '\r' : '\n');
    const uint8x16_t second_base = with_last(' ', '\n'), base = vdupq_n_u8(' ');
    const uint8_t second_limit = end == 2 ? 0 : 255;
    const uint8x16_t six = vdupq_n_u8(63);
    size_t lines = 0, at = 0;
    while (end > 0 && len - at >= 1 + 64 && src[at] == UU_LENGTH &&
           room - lines * CODEC_UU_LINE >= UU_LINE_ROOM) {
        const uint8x16x4_t line = vld4q_u8((const uint8_t *)src + at + 1);
        uint8x16_t a = vsubq_u8(line.val[0], first_base), b = vsubq_u8(line.val[1], second_base);
        uint8x16_t c = vsubq_u8(line.val[2], base), d = vsubq_u8(line.val[3], base);
        const uint8x16_t bad = vorrq_u8(vorrq_u8(over(a, 0), over(b, second_limit)),
                                        vorrq_u8(over(c, 255), over(d, 255)));
        if (vmaxvq_u8(bad) != 0) break;
        b = vandq_u8(b, six);
        c = vandq_u8(c, six);
        d = vandq_u8(d, six);
        uint8x16x3_t octets; /* 48 of them; the next line overwrites the last three */
        octets.val[0] = vorrq_u8(vshlq_n_u8(a, 2), vshrq_n_u8(b, 4));
        octets.val[1] = vorrq_u8(vshlq_n_u8(b, 4), vshrq_n_u8(c, 2));
        octets.val[2] = vorrq_u8(vshlq_n_u8(c, 6), d);
        vst3q_u8(dst + lines * CODEC_UU_LINE, octets);
        at += stride;
        lines += 1;
    }
    *taken = at;
    return lines;
}

const struct uuencode_ops uuencode_ops_neon = {
    .encode_lines = encode_lines,
    .decode_lines = decode_lines,
};
