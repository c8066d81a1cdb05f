/* SPDX-License-Identifier: Apache-2.0
 *
 * uuencode_avx512 - a whole line in one register (AVX-512 VBMI)
 *
 * Encoding: lane i of the line is character i - 1. The eight lanes of a quadword q hold characters
 * 8q - 1 .. 8q + 6, whose 48 bits lie in the seven octets 6q - 1 .. 6q + 5. One permutation brings
 * them there, last octet lowest; vpmultishiftqb takes for lane j the bits from 48 - 6j on (after
 * Muła and Lemire, "Base64 encoding and decoding at almost the speed of a memory copy", 2019). The
 * length, CR and LF come in with the constants of the last two steps.
 */
#include "uuencode_ops.h"
#include <immintrin.h>

#define ALL_OCTETS (((__mmask64)1 << CODEC_UU_LINE) - 1)
#define ALL_LANES  (((__mmask64)1 << UU_LINE_ENCODED) - 1)

/* Each constant for 64 lanes. q: the octet that lane 0 of the quadword has. */
#define OCTETS(q) q, q - 1, q - 2, q - 3, q - 4, q - 5, q - 6, 0
static const unsigned char octet_order[64] = {
    5,          4,          3,          2,          1,          0,          0,         0,
    OCTETS(11), OCTETS(17), OCTETS(23), OCTETS(29), OCTETS(35), OCTETS(41), OCTETS(47)};
static const unsigned char bit_order[64] = {
    48, 42, 36, 30, 24, 18, 12, 6,  48, 42, 36, 30, 24, 18, 12, 6,  48, 42, 36, 30, 24, 18,
    12, 6,  48, 42, 36, 30, 24, 18, 12, 6,  48, 42, 36, 30, 24, 18, 12, 6,  48, 42, 36, 30,
    24, 18, 12, 6,  48, 42, 36, 30, 24, 18, 12, 6,  48, 42, 36, 30, 24, 18, 12, 6};

static inline __m512i constant(const unsigned char *lanes)
{
    return _mm512_loadu_si512(lanes);
}

static void encode_lines(const unsigned char *src, size_t lines, char *dst)
{
    unsigned char masks[64], bases[64];
    memset(masks, 63, sizeof(masks));
    memset(bases, '!', sizeof(bases));
    masks[0] = masks[1 + UU_CHARACTERS] = masks[2 + UU_CHARACTERS] = 0;
    bases[0] = UU_LENGTH;
    bases[1 + UU_CHARACTERS] = '\r';
    bases[2 + UU_CHARACTERS] = '\n';
    const __m512i octets = constant(octet_order), bits = constant(bit_order);
    const __m512i mask = constant(masks), base = constant(bases), one = _mm512_set1_epi8(1);
    for (size_t i = 0; i < lines; i++) {
        const __m512i data = _mm512_maskz_loadu_epi8(ALL_OCTETS, src + i * CODEC_UU_LINE);
        const __m512i groups = _mm512_permutexvar_epi8(octets, data);
        const __m512i six = _mm512_multishift_epi64_epi8(bits, groups);
        /* 1..63 follow the space; 0 becomes "`", one behind the last. */
        const __m512i less = _mm512_and_si512(_mm512_sub_epi8(six, one), mask);
        const __m512i line = _mm512_add_epi8(less, base);
        if (i + 1 < lines) { /* the lane that is too much is the next line's first */
            _mm512_storeu_si512(dst + i * UU_LINE_ENCODED, line);
        } else {
            _mm512_mask_storeu_epi8(dst + i * UU_LINE_ENCODED, ALL_LANES, line);
        }
    }
}

/* ---- decode ---------------------------------------------------------------------------------- */

/* What the lanes behind the "M" must be: less base at most limit. */
struct layout {
    __m512i base, limit;
    size_t stride;
};

static inline struct layout layout_of(size_t end)
{
    unsigned char bases[64], limits[64];
    memset(bases, ' ', sizeof(bases));
    memset(limits, 64, sizeof(limits));
    memset(limits + UU_CHARACTERS, 255, 64 - UU_CHARACTERS);
    memcpy(bases + UU_CHARACTERS, end == 2 ? "\r\n" : "\n", end);
    memset(limits + UU_CHARACTERS, 0, end);
    return (struct layout){constant(bases), constant(limits), 1 + UU_CHARACTERS + end};
}

/* 60 characters as 45 octets; bad: lanes that are not what they must be. */
static inline __m512i decode_60(const char *src, const struct layout *layout, __m512i *bad)
{
    const __m512i values = _mm512_sub_epi8(_mm512_loadu_si512(src), layout->base);
    *bad = _mm512_or_si512(*bad, _mm512_subs_epu8(values, layout->limit));
    const __m512i six = _mm512_and_si512(values, _mm512_set1_epi8(63));
    const __m512i pairs = _mm512_maddubs_epi16(six, _mm512_set1_epi32(0x01400140));
    return _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
}

#define QUANTA(i) 4 * i + 2, 4 * i + 1, 4 * i, 4 * i + 6, 4 * i + 5, 4 * i + 4
static const unsigned char quantum_order[64] = {
    QUANTA(0), QUANTA(2), QUANTA(4), QUANTA(6), QUANTA(8), QUANTA(10), QUANTA(12), 58, 57, 56};

/* Two stores of 48 octets: one of 64 could reach beyond the line when it is decoded in place. */
static inline void store_45(unsigned char *dst, __m512i quanta, __m512i order)
{
    const __m512i octets = _mm512_permutexvar_epi8(order, quanta);
    _mm256_storeu_si256((void *)dst, _mm512_castsi512_si256(octets));
    _mm_storeu_si128((void *)(dst + 32), _mm512_extracti32x4_epi32(octets, 2));
}

enum { GROUP = 4, LOAD = 1 + 64 };

/* Lines of one layout in groups, so that the masks are asked once a group. */
static size_t decode_groups(const char *src, size_t len, unsigned char *dst, size_t room,
                            const struct layout *layout)
{
    const __m512i order = constant(quantum_order);
    const size_t stride = layout->stride;
    size_t lines = 0, at = 0;
    while (len - at >= (GROUP - 1) * stride + LOAD &&
           room - lines * CODEC_UU_LINE >= (GROUP - 1) * CODEC_UU_LINE + UU_LINE_ROOM) {
        const char *from = src + at;
        unsigned char *to = dst + lines * CODEC_UU_LINE;
        __m512i bad = _mm512_setzero_si512();
        const __m512i first = decode_60(from + 1, layout, &bad);
        const __m512i second = decode_60(from + stride + 1, layout, &bad);
        const __m512i third = decode_60(from + 2 * stride + 1, layout, &bad);
        const __m512i fourth = decode_60(from + 3 * stride + 1, layout, &bad);
        const bool lengths = (from[0] == UU_LENGTH) & (from[stride] == UU_LENGTH) &
                             (from[2 * stride] == UU_LENGTH) & (from[3 * stride] == UU_LENGTH);
        if (!lengths || _mm512_test_epi8_mask(bad, bad) != 0) break;
        store_45(to, first, order);
        store_45(to + CODEC_UU_LINE, second, order);
        store_45(to + 2 * CODEC_UU_LINE, third, order);
        store_45(to + 3 * CODEC_UU_LINE, fourth, order);
        at += GROUP * stride;
        lines += GROUP;
    }
    return lines;
}

static size_t decode_lines(const char *src, size_t len, unsigned char *dst, size_t room,
                           size_t *taken)
{
    const size_t end = len > UU_CHARACTERS && src[0] == UU_LENGTH ? uu_line_end(src, len) : 0;
    *taken = 0;
    if (end == 0) return 0;
    const struct layout layout = layout_of(end);
    const __m512i order = constant(quantum_order);
    size_t lines = decode_groups(src, len, dst, room, &layout), at = lines * layout.stride;
    while (len - at >= LOAD && room - lines * CODEC_UU_LINE >= UU_LINE_ROOM &&
           src[at] == UU_LENGTH) {
        __m512i bad = _mm512_setzero_si512();
        const __m512i quanta = decode_60(src + at + 1, &layout, &bad);
        if (_mm512_test_epi8_mask(bad, bad) != 0) break;
        store_45(dst + lines * CODEC_UU_LINE, quanta, order);
        at += layout.stride;
        lines += 1;
    }
    *taken = at;
    return lines;
}

const struct uuencode_ops uuencode_ops_avx512 = {
    .encode_lines = encode_lines,
    .decode_lines = decode_lines,
};
