/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_avx512_encode - octets to characters, plain and in lines
 */
#include "base64_avx512.h"

enum {
    STEP_OCTETS = 4 * OCTETS,
    PAGE_STEPS = PAGE / (4 * CHARACTERS),
    /* From how many octets on it pays to align the stores. */
    ALIGN_MIN = 768,
    /* From how many octets on text and data are not both in the first-level cache, and how far
     * ahead of the stores their lines are then asked for. */
    LINES_AHEAD_MIN = 20480,
    LINES_AHEAD = 512,
};

/* ---- encode ----------------------------------------------------------------------------------
 *
 * Two characters have 12 bits of two octets: of a b for the first two of a quantum, of b c for the
 * last two. The first permutation puts these octets into a 16-bit word, the second of them lower.
 * Then each character's bits are brought into the low end of its octet, in one of two ways: by a
 * shift within 64 bits that is different for each octet, or by a multiplication for the even and
 * one for the odd characters. What is above the six bits does not matter: the last permutation, the
 * alphabet, does not look at it. On Intel the shift competes with the permutations for the same
 * unit (3 operations a register), the multiplications do not, but are more (2, and 3 of any unit),
 * and many of them make the CPU lower its clock: half of the registers by the one, half by the
 * other is best. On AMD multiplications and permutations have a unit in common: all by the shift.
 *
 * A row is a register's worth of the characters of four lines, CRLFs included:
 *
 *     characters   0        64       128      192   248 ... 312 = 4 * 78
 *     octets from  0        48       93       141   164 ... 228 = 4 * 57
 *
 * Ends of lines are at even places, so pairs of characters stay in their words, and no row has more
 * than 48 octets and one CRLF. The last row begins so that it ends where the lines end. Octets are
 * read from 0, 64, 128, and 164 on, so that nothing behind them is; see encode_step() for rows that
 * need some of two registers.
 */

/* The octet that goes to place c of a line, and what brings the bits down; c is not CR or LF. */
#define OCTET(c)       ((c) / 4 * 3 + ((c)&2) / 2 + !((c)&1))
#define SHIFT(c, i)    (((i)&7) / 2 * 16 + ((c)&2 ? 6 : 10) - ((c)&1 ? 6 : 0))
#define EVEN_FACTOR(c) ((c)&1 ? ((c)&2 ? 0x04 : 0) : ((c)&2 ? 0 : 0x40)) /* 0x400 or 0x40 */
#define ODD_FACTOR(c)  ((c)&1 ? ((c)&2 ? 0x01 : 0) : ((c)&2 ? 0 : 0x10)) /* 0x100 or 0x10 */

#define LAST_OCTET(i)   (OCTET(i) + 16)
#define REST_OCTET(i)   (OCTET(i) + 48)
#define PLAIN_SHIFT(i)  SHIFT(i, i)
#define FROM48_OCTET(i) ((OCTET(i) + 48) % 64)
#define FROM96_OCTET(i) ((OCTET(i) + 96) % 64)
#define LINES_OCTET(i)  ((i) / 78 * 57 + OCTET((i) % 78))
#define LINES_SHIFT(i)  SHIFT((i) % 78, i)
#define LINES_EVEN(i)   EVEN_FACTOR((i) % 78)
#define LINES_ODD(i)    ODD_FACTOR((i) % 78)
#define LATE_OCTET(i)   (OCTET(i) + 64 - BASE64_LINE_OCTETS)
#define ROW1_OCTET(i)   (LINES_OCTET(i) % 64)
#define ROW2_OCTET(i)   (LINES_OCTET(i) % 64)
#define ROW3_OCTET(i)   (LINES_OCTET(i) - 128)
#define ROW4_OCTET(i)   (LINES_OCTET(i) - 164)

static_assert(GROUP_OCTETS == 164 + 64 && GROUP_CHARACTERS == 248 + 64, "as drawn above");

TABLE plain_order[64] = TABLE64(OCTET, 0);
TABLE plain_order_last[64] = TABLE64(LAST_OCTET, 0);
TABLE plain_order_from48[64] = TABLE64(FROM48_OCTET, 0);
TABLE plain_order_from96[64] = TABLE64(FROM96_OCTET, 0);
TABLE plain_order_rest[64] = TABLE64(REST_OCTET, 0);
TABLE plain_shifts[64] = TABLE64(PLAIN_SHIFT, 0);
TABLE plain_even[64] = TABLE64(EVEN_FACTOR, 0);
TABLE plain_odd[64] = TABLE64(ODD_FACTOR, 0);
TABLE row0_order_last[64] = TABLE64(LATE_OCTET, 0);
TABLE row1_order[64] = TABLE64(ROW1_OCTET, 64);
TABLE row1_shifts[64] = TABLE64(LINES_SHIFT, 64);
TABLE row2_order[64] = TABLE64(ROW2_OCTET, 128);
TABLE row2_shifts[64] = TABLE64(LINES_SHIFT, 128);
TABLE row2_even[64] = TABLE64(LINES_EVEN, 128);
TABLE row2_odd[64] = TABLE64(LINES_ODD, 128);
TABLE row3_order[64] = TABLE64(ROW3_OCTET, 192);
TABLE row3_shifts[64] = TABLE64(LINES_SHIFT, 192);
TABLE row4_order[64] = TABLE64(ROW4_OCTET, 248);
TABLE row4_shifts[64] = TABLE64(LINES_SHIFT, 248);
TABLE row4_even[64] = TABLE64(LINES_EVEN, 248);
TABLE row4_odd[64] = TABLE64(LINES_ODD, 248);

#define CRLF_AT(place) (~((uint64_t)3 << (place))) /* the places where characters are */

static inline __m512i shift_to_values(__m512i octets, const uint8_t *order, const uint8_t *shifts)
{
    return _mm512_multishift_epi64_epi8(load64(shifts),
                                        _mm512_permutexvar_epi8(load64(order), octets));
}
static inline __m512i multiply_to_values(__m512i octets, const uint8_t *order,
                                         const uint8_t *even_factors, const uint8_t *odd_factors)
{
    const __m512i words = _mm512_permutexvar_epi8(load64(order), octets);
    const __m512i even = _mm512_mulhi_epu16(words, load64(even_factors));
    const __m512i odd = _mm512_mullo_epi16(words, load64(odd_factors));
    return _mm512_ternarylogic_epi64(even, odd, _mm512_set1_epi16(0x00ff), 0xe4); /* c ? a : b */
}
static inline __m512i to_characters(__m512i values)
{
    return _mm512_permutexvar_epi8(values, load64(base64_alphabet));
}
/* Characters where kept has a bit, CRLF elsewhere. */
static inline __m512i to_characters_crlf(__m512i values, __mmask64 kept)
{
    return _mm512_mask_permutexvar_epi8(_mm512_set1_epi16(0x0a0d), kept, values,
                                        load64(base64_alphabet));
}
/* 48 octets, from where the order says. */
static ALWAYS_INLINE __m512i encode48(__m512i octets, const uint8_t *order, bool by_shift)
{
    return to_characters(by_shift ? shift_to_values(octets, order, plain_shifts)
                                  : multiply_to_values(octets, order, plain_even, plain_odd));
}

/* Fewer than 64 octets: nothing read or written beyond. By shifts: they need fewer constants. */
static inline void encode_few(const uint8_t *src, size_t len, char *dst)
{
    const __m512i octets = _mm512_maskz_loadu_epi8(low_bits(len), src);
    const __m512i first = encode48(octets, plain_order, true);
    if (len <= OCTETS) {
        _mm512_mask_storeu_epi8(dst, low_bits(len / 3 * 4), first);
        return;
    }
    store64(dst, first);
    _mm512_mask_storeu_epi8(dst + CHARACTERS, low_bits((len - OCTETS) / 3 * 4),
                            encode48(octets, plain_order_rest, true));
}

/* The last 48 octets of at least 64. */
static inline void encode_last(const uint8_t *end, char *dst_end)
{
    store64(dst_end - CHARACTERS, encode48(load64(end - 64), plain_order_last, true));
}

/* Three registers of octets, four of characters, to places that far apart, with CRLF where there is
 * room for it. What the second and the third of these need is in two registers, and there not at
 * the same places: so it is put together without being moved. Other than with a load each, no line
 * of the cache is read twice. */
static ALWAYS_INLINE void encode_step(const uint8_t *src, char *dst, size_t stride, bool by_shift)
{
    const __m512i first = load64_once(src), second = load64_once(src + 64);
    const __m512i third = load64_once(src + 128);
    const __m512i from48 = here(_mm512_mask_blend_epi64(0xc0, second, first));
    const __m512i from96 = here(_mm512_mask_blend_epi64(0xf0, third, second));
    store64(dst, encode48(first, plain_order, by_shift));
    store64(dst + stride, encode48(from48, plain_order_from48, true));
    store64(dst + 2 * stride, encode48(from96, plain_order_from96, by_shift));
    store64(dst + 3 * stride, encode48(third, plain_order_last, true));
    if (stride > CHARACTERS) {
        memcpy(dst + CHARACTERS, "\r\n", 2);
        memcpy(dst + stride + CHARACTERS, "\r\n", 2);
        memcpy(dst + 2 * stride + CHARACTERS, "\r\n", 2);
        memcpy(dst + 3 * stride + CHARACTERS, "\r\n", 2);
    }
}

static ALWAYS_INLINE void encode_steps(const uint8_t *src, size_t steps, char *dst, size_t stride,
                                       bool by_shift, size_t lines_ahead)
{
    for (size_t i = 0; i < steps; i++) {
        char *to = dst + i * 4 * stride;
        prefetch_lines(to + LINES_AHEAD, lines_ahead);
        encode_step(src + i * STEP_OCTETS, to, stride, by_shift);
    }
}

/* All but the last 1 to 192 octets; returns how many steps that are. */
static ALWAYS_INLINE size_t encode_most(const uint8_t *src, size_t len, char *dst, size_t stride)
{
    const size_t steps = (len - 1) / STEP_OCTETS;
    const bool far = is_far(steps * 4 * CHARACTERS);
    size_t left = steps;
    if (base64_cpu.is_amd) {
        for (; far && left >= PAGE_STEPS; left -= PAGE_STEPS) {
            prefetch_pages(src, dst);
            encode_steps(src, PAGE_STEPS, dst, stride, true, 0);
            src += PAGE_STEPS * STEP_OCTETS;
            dst += PAGE_STEPS * 4 * stride;
        }
        encode_steps(src, left, dst, stride, true, 0);
    } else if (len >= LINES_AHEAD_MIN) {
        encode_steps(src, steps, dst, stride, false, (4 * stride + 63) / 64);
    } else {
        encode_steps(src, steps, dst, stride, false, 0);
    }
    return steps;
}

/* At least 64 octets. At both ends of the loops registers overlap: some characters are written for
 * the second time. */
static __attribute__((noinline)) void encode_many(const uint8_t *src, size_t len, char *dst)
{
    const uint8_t *end = src + len;
    char *dst_end = dst + len / 3 * 4;
    const size_t ahead = -(uintptr_t)dst % 64;
    if (len >= ALIGN_MIN && ahead % 4 == 0 && ahead > 0) {
        store64(dst, encode48(load64(src), plain_order, true));
        src += ahead / 4 * 3;
        dst += ahead;
    }
    const size_t steps = encode_most(src, (size_t)(end - src), dst, CHARACTERS);
    src += steps * STEP_OCTETS;
    dst += steps * 4 * CHARACTERS;
    for (; end - src >= 64; src += OCTETS, dst += CHARACTERS)
        store64(dst, encode48(load64(src), plain_order, true));
    if (end - src > OCTETS) /* there are 96: else there would be 64 */
        store64(dst_end - 2 * CHARACTERS, encode48(load64(end - 2 * OCTETS), plain_order, true));
    encode_last(end, dst_end);
}

void base64_encode_avx512(const uint8_t *src, size_t len, char *dst)
{
    if (len >= 64) {
        encode_many(src, len, dst);
    } else {
        encode_few(src, len, dst);
    }
}

static ALWAYS_INLINE void encode_group(const uint8_t *src, char *dst, bool by_shift)
{
    const __m512i first = load64_once(src), second = load64_once(src + 64);
    const __m512i third = load64_once(src + 128), last = load64(src + 164);
    const __m512i from48 = here(_mm512_mask_blend_epi64(0xc0, second, first));
    const __m512i from93 = here(_mm512_mask_blend_epi64(0xf8, third, second));
    const __m512i a = by_shift ? shift_to_values(first, plain_order, plain_shifts)
                               : multiply_to_values(first, plain_order, plain_even, plain_odd);
    const __m512i b = shift_to_values(from48, row1_order, row1_shifts);
    const __m512i c = by_shift ? shift_to_values(from93, row2_order, row2_shifts)
                               : multiply_to_values(from93, row2_order, row2_even, row2_odd);
    const __m512i d = shift_to_values(third, row3_order, row3_shifts);
    const __m512i e = by_shift ? shift_to_values(last, row4_order, row4_shifts)
                               : multiply_to_values(last, row4_order, row4_even, row4_odd);
    store64(dst, to_characters(a));
    store64(dst + 64, to_characters_crlf(b, CRLF_AT(76 - 64)));
    store64(dst + 128, to_characters_crlf(c, CRLF_AT(154 - 128)));
    store64(dst + 192, to_characters_crlf(d, CRLF_AT(232 - 192)));
    store64(dst + 248, to_characters_crlf(e, CRLF_AT(310 - 248)));
}

/* A line of any length. Up to 64 octets behind it are read, up to 64 characters are written. */
static inline void encode_line(const uint8_t *src, char *dst, size_t line)
{
    for (; line >= CHARACTERS; line -= CHARACTERS, src += OCTETS, dst += CHARACTERS)
        store64(dst, encode48(load64(src), plain_order, true));
    if (line > 0) {
        const __m512i values = shift_to_values(load64(src), plain_order, plain_shifts);
        store64(dst, to_characters_crlf(values, CRLF_AT(line)));
    } else {
        memcpy(dst, "\r\n", 2);
    }
}

/* A line of 76 behind others: 64 octets up to its end have all of it. */
static inline void encode_last_line(const uint8_t *src, char *dst)
{
    const __m512i octets = load64(src + BASE64_LINE_OCTETS - 64);
    const __m512i first = multiply_to_values(octets, row0_order_last, plain_even, plain_odd);
    const __m512i last = multiply_to_values(octets, row4_order, row4_even, row4_odd);
    store64(dst, to_characters(first));
    store64(dst + BASE64_LINE_END - 64, to_characters_crlf(last, CRLF_AT(310 - 248)));
}

static ALWAYS_INLINE void encode_run(const uint8_t *src, size_t groups, char *dst, bool backwards,
                                     bool by_shift, size_t lines_ahead)
{
    for (size_t i = 0; i < groups; i++) {
        const size_t group = backwards ? groups - 1 - i : i;
        char *to = dst + group * GROUP_CHARACTERS;
        prefetch_lines(to + LINES_AHEAD, lines_ahead);
        encode_group(src + group * GROUP_OCTETS, to, by_shift);
    }
}

static ALWAYS_INLINE void encode_near_groups(const uint8_t *src, size_t groups, char *dst,
                                             bool by_shift)
{
    while (groups > 0) {
        const struct run run = next_run(src, dst, groups, true);
        encode_run(src, run.groups, dst, run.backwards, by_shift, 0);
        src += run.groups * GROUP_OCTETS;
        dst += run.groups * GROUP_CHARACTERS;
        groups -= run.groups;
    }
}

static void encode_groups_amd(const uint8_t *src, size_t groups, char *dst)
{
    const size_t len = groups * GROUP_CHARACTERS;
    if (goes_in_runs(len)) {
        encode_near_groups(src, groups, dst, true);
        return;
    }
    for (; is_far(len) && groups >= PAGE_GROUPS; groups -= PAGE_GROUPS) {
        prefetch_pages(src, dst);
        encode_run(src, PAGE_GROUPS, dst, false, true, 0);
        src += PAGE_GROUPS * GROUP_OCTETS;
        dst += PAGE_GROUPS * GROUP_CHARACTERS;
    }
    encode_run(src, groups, dst, false, true, 0);
}

static void encode_groups_intel(const uint8_t *src, size_t groups, char *dst)
{
    if (goes_in_runs(groups * GROUP_CHARACTERS))
        encode_near_groups(src, groups, dst, false);
    else if (groups * GROUP_OCTETS >= LINES_AHEAD_MIN)
        encode_run(src, groups, dst, false, false, 5);
    else
        encode_run(src, groups, dst, false, false, 0);
}

/* At least four lines of 76. */
static void encode_groups(const uint8_t *src, size_t count, char *dst)
{
    const uint8_t *const end = src + count * BASE64_LINE_OCTETS;
    const size_t groups = count / GROUP;
    if (base64_cpu.is_amd)
        encode_groups_amd(src, groups, dst);
    else
        encode_groups_intel(src, groups, dst);
    src += groups * GROUP_OCTETS;
    dst += groups * GROUP_CHARACTERS;
    for (; src < end; src += BASE64_LINE_OCTETS, dst += BASE64_LINE_END)
        encode_last_line(src, dst);
}

/* At least two lines of 64. */
static void encode_lines_of_64(const uint8_t *src, size_t count, char *dst)
{
    const uint8_t *const end = src + count * OCTETS;
    const size_t steps = encode_most(src, count * OCTETS, dst, CHARACTERS + 2);
    src += steps * STEP_OCTETS;
    dst += steps * 4 * (CHARACTERS + 2);
    for (; src < end; src += OCTETS, dst += CHARACTERS + 2) {
        if (end - src > OCTETS) {
            store64(dst, encode48(load64(src), plain_order, true));
        } else {
            encode_last(end, dst + CHARACTERS);
        }
        memcpy(dst + CHARACTERS, "\r\n", 2);
    }
}

static __attribute__((noinline)) void encode_other_lines(const uint8_t *src, size_t count,
                                                         char *dst, size_t line)
{
    const size_t octets = line / 4 * 3;
    for (; count > 0; count--) {
        if ((count - 1) * octets >= 64) {
            encode_line(src, dst, line);
        } else {
            base64_encode_avx512(src, octets, dst);
            memcpy(dst + line, "\r\n", 2);
        }
        src += octets;
        dst += line + 2;
    }
}

void base64_encode_lines_avx512(const uint8_t *src, size_t count, char *dst, size_t line)
{
    if (line == CODEC_BASE64_LINE && count >= GROUP) {
        encode_groups(src, count, dst);
    } else if (line == CHARACTERS && count >= 2) {
        encode_lines_of_64(src, count, dst);
    } else {
        encode_other_lines(src, count, dst, line);
    }
}
