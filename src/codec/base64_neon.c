/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_neon - 48 octets and 64 characters at a time (AArch64 Advanced SIMD)
 *
 * Loads and stores that deal octets out to three or four registers leave nothing but shifts between
 * them; the alphabet and its inverse are look-ups in 64 octets. What is left of a text or a line is
 * done in single registers of 12 octets and 16 characters.
 */
#include "base64_keep.h"
#include "base64_ops.h"
#include <arm_neon.h>

enum { OCTETS = 48, CHARACTERS = 64 };

static inline uint8x16x4_t load_table(const void *table)
{
    return vld1q_u8_x4(table);
}
static inline void store12(uint8_t *dst, uint8x16_t octets)
{
    const uint32_t last = vgetq_lane_u32(vreinterpretq_u32_u8(octets), 2);
    vst1_u8(dst, vget_low_u8(octets));
    memcpy(dst + 8, &last, sizeof(last));
}

/* ---- encode ---------------------------------------------------------------------------------- */

static inline void encode48(const uint8_t *src, uint8_t *dst, uint8x16x4_t alphabet)
{
    const uint8x16_t low = vdupq_n_u8(63);
    const uint8x16x3_t in = vld3q_u8(src);
    const uint8x16_t b = vsliq_n_u8(vshrq_n_u8(in.val[1], 4), in.val[0], 4);
    const uint8x16_t c = vsliq_n_u8(vshrq_n_u8(in.val[2], 6), in.val[1], 2);
    const uint8x16x4_t out = {{
        vqtbl4q_u8(alphabet, vshrq_n_u8(in.val[0], 2)),
        vqtbl4q_u8(alphabet, vandq_u8(b, low)),
        vqtbl4q_u8(alphabet, vandq_u8(c, low)),
        vqtbl4q_u8(alphabet, vandq_u8(in.val[2], low)),
    }};
    vst4q_u8(dst, out);
}

/* 12 octets from octet `from` of the register; what is behind it counts as zeros. Of each quantum
 * a b c the words a b and b c have two characters' bits each, to be shifted down. */
static inline uint8x16_t encode12(uint8x16_t in, uint8_t from, uint8x16x4_t alphabet)
{
    static const uint8_t order[16] = {1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10};
    static const int16_t firsts[8] = {-10, -6, -10, -6, -10, -6, -10, -6};
    static const int16_t seconds[8] = {-4, 0, -4, 0, -4, 0, -4, 0};
    const uint8x16_t places = vaddq_u8(vld1q_u8(order), vdupq_n_u8(from));
    const uint16x8_t words = vreinterpretq_u16_u8(vqtbl1q_u8(in, places));
    const uint16x8_t first = vshlq_u16(words, vld1q_s16(firsts));
    const uint16x8_t second = vshlq_u16(words, vld1q_s16(seconds));
    const uint8x16_t values = vreinterpretq_u8_u16(vsliq_n_u16(first, second, 8));
    return vqtbl4q_u8(alphabet, vandq_u8(values, vdupq_n_u8(63)));
}

static void encode(const uint8_t *src, size_t len, char *dst)
{
    const uint8x16x4_t alphabet = load_table(base64_alphabet);
    uint8_t *out = (uint8_t *)dst;
    for (; len >= OCTETS; src += OCTETS, len -= OCTETS, out += CHARACTERS)
        encode48(src, out, alphabet);
    for (; len >= 16; src += 12, len -= 12, out += 16)
        vst1q_u8(out, encode12(vld1q_u8(src), 0, alphabet));
    for (; len > 0; src += 3, len -= 3, out += 4)
        base64_encode_quantum(src, (char *)out);
}

/* A line of 76: 48 + 9 octets. Two octets behind it are written, unless exact. */
static inline void encode_usual_line(const uint8_t *src, uint8_t *dst, uint8x16x4_t alphabet,
                                     bool exact)
{
    encode48(src, dst, alphabet);
    const uint8x16_t characters = encode12(vld1q_u8(src + 41), 7, alphabet);
    const uint16x8_t end = vsetq_lane_u16(0x0a0d, vreinterpretq_u16_u8(characters), 6);
    if (!exact) {
        vst1q_u8(dst + 64, vreinterpretq_u8_u16(end));
        return;
    }
    const uint16_t crlf = 0x0a0d;
    store12(dst + 64, vreinterpretq_u8_u16(end));
    memcpy(dst + 76, &crlf, sizeof(crlf));
}

static void encode_lines(const uint8_t *src, size_t count, char *dst, size_t line)
{
    const uint8x16x4_t alphabet = load_table(base64_alphabet);
    for (; count > 0; count--) {
        if (line == CODEC_BASE64_LINE) {
            encode_usual_line(src, (uint8_t *)dst, alphabet, count == 1);
        } else {
            encode(src, line / 4 * 3, dst);
            dst[line] = '\r';
            dst[line + 1] = '\n';
        }
        src += line / 4 * 3;
        dst += line + 2;
    }
}

/* ---- decode ---------------------------------------------------------------------------------- */

struct tables {
    uint8x16x4_t low, high; /* base64_values of the octets 0..63 and 64..127 */
};

static inline struct tables load_tables(void)
{
    return (struct tables){load_table(base64_values), load_table(base64_values + 64)};
}
/* Octets over 127 give 0: look at the octet itself, too. */
static inline uint8x16_t look_up(uint8x16_t raw, const struct tables *tables)
{
    const uint8x16_t found = vqtbl4q_u8(tables->low, raw);
    return vqtbx4q_u8(found, tables->high, vsubq_u8(raw, vdupq_n_u8(64)));
}
static inline bool all_right(uint8x16_t raw, uint8x16_t values)
{
    return vmaxvq_u8(vorrq_u8(values, vshrq_n_u8(vandq_u8(raw, vdupq_n_u8(0x80)), 1))) < 64;
}

static inline void pack64(uint8x16x4_t values, uint8_t *dst)
{
    const uint8x16x3_t out = {{
        vsliq_n_u8(vshrq_n_u8(values.val[1], 4), values.val[0], 2),
        vsliq_n_u8(vshrq_n_u8(values.val[2], 2), values.val[1], 4),
        vsliq_n_u8(values.val[3], values.val[2], 6),
    }};
    vst3q_u8(dst, out);
}

static inline bool decode64(const uint8_t *src, uint8_t *dst, const struct tables *tables)
{
    const uint8x16x4_t raw = vld4q_u8(src);
    uint8x16x4_t values;
    for (int i = 0; i < 4; i++)
        values.val[i] = look_up(raw.val[i], tables);
    const uint8x16_t all_raw =
        vorrq_u8(vorrq_u8(raw.val[0], raw.val[1]), vorrq_u8(raw.val[2], raw.val[3]));
    const uint8x16_t all_values =
        vorrq_u8(vorrq_u8(values.val[0], values.val[1]), vorrq_u8(values.val[2], values.val[3]));
    if (!all_right(all_raw, all_values)) return false;
    pack64(values, dst);
    return true;
}

/* 12 octets; the others are 0. */
static inline uint8x16_t pack16(uint8x16_t values)
{
    static const uint8_t order[16] = {2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 255, 255, 255, 255};
    const uint16x8_t words = vreinterpretq_u16_u8(values);
    const uint16x8_t pairs =
        vorrq_u16(vshrq_n_u16(words, 8), vshrq_n_u16(vshlq_n_u16(words, 8), 2));
    const uint32x4_t halves = vreinterpretq_u32_u16(pairs);
    const uint32x4_t quanta =
        vorrq_u32(vshrq_n_u32(halves, 16), vshrq_n_u32(vshlq_n_u32(halves, 16), 4));
    return vqtbl1q_u8(vreinterpretq_u8_u32(quanta), vld1q_u8(order));
}

static size_t decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    const struct tables tables = load_tables();
    const uint8_t *begin = src, *end = src + len, *limit = dst + cap;
    while (end - src >= CHARACTERS && limit - dst >= OCTETS && decode64(src, dst, &tables)) {
        src += CHARACTERS;
        dst += OCTETS;
    }
    while (end - src >= 16 && limit - dst >= 12) {
        const uint8x16_t raw = vld1q_u8(src), values = look_up(raw, &tables);
        if (!all_right(raw, values)) break;
        store12(dst, pack16(values));
        src += 16;
        dst += 12;
    }
    while (end - src >= 4 && limit - dst >= 3 && base64_decode_quantum(src, dst)) {
        src += 4;
        dst += 3;
    }
    return (size_t)(src - begin);
}

/* Lines of 64 to 80 characters: 64 from the begin, 16 up to the end; all are read before any octet
 * is written. */
static inline bool decode_line(const uint8_t *src, uint8_t *dst, size_t line, size_t end,
                               const struct tables *tables)
{
    const uint8x16_t raw = vld1q_u8(src + line - 16), values = look_up(raw, tables);
    if (!base64_is_line_end(src + line, end) || !all_right(raw, values)) return false;
    if (!decode64(src, dst, tables)) return false;
    store12(dst + line / 4 * 3 - 12, pack16(values));
    return true;
}

static size_t decode_lines(const uint8_t *src, size_t len, uint8_t *dst, size_t cap, size_t line,
                           size_t end)
{
    const struct tables tables = load_tables();
    const size_t octets = line / 4 * 3;
    size_t lines = 0;
    if (line < 64 || line > 80) return 0;
    while (len - lines * (line + end) >= line + end && cap - lines * octets >= octets &&
           decode_line(src + lines * (line + end), dst + lines * octets, line, end, &tables))
        lines += 1;
    return lines;
}

/* ---- decode anything --------------------------------------------------------------------------
 */

static inline size_t keep_some(uint8_t *dst, uint8x16_t octets, uint8x16_t kept)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t set = vandq_u8(kept, vld1q_u8(bits));
    const uint8_t low = vaddv_u8(vget_low_u8(set)), high = vaddv_u8(vget_high_u8(set));
    const size_t first = (size_t)__builtin_popcount(low);
    vst1_u8(dst, vtbl1_u8(vget_low_u8(octets), vcreate_u8(base64_keep[low])));
    vst1_u8(dst + first, vtbl1_u8(vget_high_u8(octets), vcreate_u8(base64_keep[high])));
    return first + (size_t)__builtin_popcount(high);
}

/* 16 characters: not 0 in wrong: it has what may not be. */
static inline size_t squeeze16(uint8x16_t raw, uint8_t *values, bool skip_all,
                               const struct tables *tables, uint8x16_t *wrong)
{
    const uint8x16_t found = look_up(raw, tables);
    const uint8x16_t high = vcgeq_u8(raw, vdupq_n_u8(0x80));
    uint8x16_t kept;
    if (skip_all) {
        kept = vbicq_u8(vcltq_u8(found, vdupq_n_u8(64)), high);
        *wrong = vorrq_u8(*wrong, vceqq_u8(raw, vdupq_n_u8('=')));
    } else {
        kept = vcltq_u8(found, vdupq_n_u8(64));
        const uint8x16_t other = vcgeq_u8(found, vdupq_n_u8(0x80));
        *wrong = vorrq_u8(*wrong, vorrq_u8(other, high));
    }
    if (vminvq_u8(kept) != 0) {
        vst1q_u8(values, found);
        return 16;
    }
    return keep_some(values, found, kept);
}

static size_t squeeze(const uint8_t *src, size_t len, uint8_t *values, bool skip_all)
{
    const struct tables tables = load_tables();
    uint8x16_t wrong = vdupq_n_u8(0);
    uint8_t *out = values;
    for (; len >= 16; src += 16, len -= 16)
        out += squeeze16(vld1q_u8(src), out, skip_all, &tables, &wrong);
    if (len > 0) {
        uint8_t last[16];
        memset(last, ' ', sizeof(last));
        memcpy(last, src, len);
        out += squeeze16(vld1q_u8(last), out, skip_all, &tables, &wrong);
    }
    return vmaxvq_u8(wrong) == 0 ? (size_t)(out - values) : BASE64_BAD;
}

static void pack(const uint8_t *values, size_t len, uint8_t *dst)
{
    for (; len >= CHARACTERS; values += CHARACTERS, len -= CHARACTERS, dst += OCTETS)
        pack64(vld4q_u8(values), dst);
    for (; len >= 16; values += 16, len -= 16, dst += 12)
        store12(dst, pack16(vld1q_u8(values)));
    base64_ops_scalar.pack(values, len, dst);
}

const struct base64_ops base64_ops_neon = {
    .encode = encode,
    .encode_lines = encode_lines,
    .decode = decode,
    .decode_lines = decode_lines,
    .squeeze = squeeze,
    .pack = pack,
};
