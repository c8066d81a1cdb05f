/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_avx2 - quoted-printable with AVX2 and BMI
 *
 * Sets of octets are recognised by one shuffle: a table gives, for the low four bits of an octet,
 * the one member of the set that has them; the octet is in the set if it equals that. An octet over
 * 127 gives 0, and so must a place of the table that has no member, but place 0.
 */
#include "qp_ops.h"
#include <immintrin.h>

static inline __m256i load(const char *src)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)src);
}
static inline void store(char *dst, __m256i octets)
{
    _mm256_storeu_si256((__m256i *)(void *)dst, octets);
}
static inline uint64_t join(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}
static inline __m256i equal(__m256i octets, char octet)
{
    return _mm256_cmpeq_epi8(octets, _mm256_set1_epi8(octet));
}
static inline __m256i table(char o0, char o9, char o10, char o13)
{
    return _mm256_setr_epi8(o0, 0, 0, 0, 0, 0, 0, 0, 0, o9, o10, 0, 0, o13, 0, 0, /* each half */
                            o0, 0, 0, 0, 0, 0, 0, 0, 0, o9, o10, 0, 0, o13, 0, 0);
}
static inline __m256i in_set(__m256i octets, __m256i set)
{
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(set, octets), octets);
}
/* Octets of lowest to lowest + range, without sign. */
static inline __m256i in_range(__m256i octets, __m256i lowest, __m256i range)
{
    const __m256i above = _mm256_sub_epi8(octets, lowest);
    return _mm256_cmpeq_epi8(_mm256_min_epu8(above, range), above);
}

/* ---- decode ------------------------------------------------------------------------------------
 */

struct qp_block {
    __m256i octets[2], values[2];
};

/* Space or tab, with CR or LF behind it; at the last place of a block with anything from tab to
 * space behind it: then only the next block knows. */
static inline __m256i trailing(__m256i octets, __m256i next, bool last)
{
    const char from = last ? 9 : 10, range = last ? 32 - 9 : 13 - 10;
    const __m256i ends =
        in_range(next,
                 _mm256_setr_epi8(10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
                                  10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, from),
                 _mm256_setr_epi8(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
                                  3, 3, 3, 3, 3, 3, 3, 3, 3, range));
    return _mm256_and_si256(in_set(octets, table(' ', '\t', 0, 0)), ends);
}

/* Strict: not allowed at all, or a bare CR or LF. A LF at the first place is the matter of the
 * block before. */
static inline __m256i wrong(__m256i octets, __m256i next)
{
    const __m256i good =
        _mm256_or_si256(in_range(octets, _mm256_set1_epi8(' '), _mm256_set1_epi8('~' - ' ')),
                        in_set(octets, table(1, '\t', '\n', '\r')));
    const __m256i bare = _mm256_xor_si256(equal(octets, '\r'), equal(next, '\n'));
    return _mm256_or_si256(bare, _mm256_xor_si256(good, _mm256_set1_epi8(-1)));
}

static inline __m256i needs_a_look(const char *src, bool strict, bool last)
{
    const __m256i octets = load(src), next = load(src + 1);
    const __m256i look = _mm256_or_si256(equal(octets, '='), trailing(octets, next, last));
    return strict ? _mm256_or_si256(look, wrong(octets, next)) : look;
}

static inline bool blocks_are_plain(const char *src, bool strict)
{
    const __m256i low =
        _mm256_or_si256(needs_a_look(src, strict, false), needs_a_look(src + 32, strict, true));
    const __m256i high = _mm256_or_si256(needs_a_look(src + 64, strict, false),
                                         needs_a_look(src + 96, strict, true));
    const __m256i any = _mm256_or_si256(low, high);
    return _mm256_testz_si256(any, any);
}

static inline void blocks_copy(char *dst, const char *src)
{
    const __m256i a = load(src), b = load(src + 32), c = load(src + 64), d = load(src + 96);
    store(dst, a);
    store(dst + 32, b);
    store(dst + 64, c);
    store(dst + 96, d);
}

static inline uint64_t block_lf(const char *src)
{
    return join(equal(load(src), '\n'), equal(load(src + 32), '\n'));
}

/* The value of each digit; *good has bits set where there is one. A table by the high four bits
 * names the kind (1: 0 to 9, 2: letters), one by the low four the kinds that have them. */
static inline __m256i digits(__m256i octets, bool strict, __m256i *good)
{
    const char lower = strict ? 0 : 2;
    const __m256i low_bits = _mm256_set1_epi8(15);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(octets, 4), low_bits);
    const __m256i kind = _mm256_shuffle_epi8(
        _mm256_setr_epi8(0, 0, 0, 1, 2, 0, lower, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* each half */
                         0, 0, 0, 1, 2, 0, lower, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        high);
    const __m256i kinds = _mm256_shuffle_epi8(
        _mm256_setr_epi8(1, 3, 3, 3, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0, 0, 0, /* each half */
                         1, 3, 3, 3, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0, 0, 0),
        octets);
    *good = _mm256_and_si256(kind, kinds);
    const __m256i nine =
        _mm256_and_si256(_mm256_cmpgt_epi8(octets, _mm256_set1_epi8('9')), _mm256_set1_epi8(9));
    return _mm256_add_epi8(_mm256_and_si256(octets, low_bits), nine);
}

struct qp_half {
    __m256i escapes, breaks, unknown, odd, lf;
};

static inline struct qp_half read_half(const char *src, bool strict, bool last, __m256i *value)
{
    const __m256i octets = load(src), next = load(src + 1), second = load(src + 2);
    const __m256i equals = equal(octets, '=');
    __m256i good_high, good_low;
    const __m256i high = digits(next, strict, &good_high);
    const __m256i low = digits(second, strict, &good_low);
    const __m256i bad =
        _mm256_cmpeq_epi8(_mm256_min_epu8(good_high, good_low), _mm256_setzero_si256());
    const __m256i shifted = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(15)), 4);
    *value = _mm256_or_si256(shifted, low);
    struct qp_half half = {
        .escapes = _mm256_andnot_si256(bad, equals),
        .breaks =
            _mm256_and_si256(equals, _mm256_and_si256(equal(next, '\r'), equal(second, '\n'))),
        .lf = strict ? equal(octets, '\n') : _mm256_setzero_si256(),
    };
    half.unknown = _mm256_andnot_si256(_mm256_or_si256(half.escapes, half.breaks), equals);
    half.odd = trailing(octets, next, last);
    if (strict) half.odd = _mm256_or_si256(half.odd, wrong(octets, next));
    return half;
}

static inline struct qp_marks block_read(struct qp_block *block, const char *src, bool strict)
{
    block->octets[0] = load(src);
    block->octets[1] = load(src + 32);
    const struct qp_half a = read_half(src, strict, false, &block->values[0]);
    const struct qp_half b = read_half(src + 32, strict, true, &block->values[1]);
    return (struct qp_marks){
        .escapes = join(a.escapes, b.escapes),
        .breaks = join(a.breaks, b.breaks),
        .unknown = join(a.unknown, b.unknown),
        .odd = join(a.odd, b.odd),
        .lf = join(a.lf, b.lf),
    };
}

/* Of 8 octets those kept; returns where the next ones go. */
static inline char *write_8(char *dst, __m128i octets, uint64_t kept)
{
    const __m128i order = _mm_loadl_epi64((const __m128i *)(const void *)&qp_kept[kept & 255]);
    _mm_storel_epi64((__m128i *)(void *)dst, _mm_shuffle_epi8(octets, order));
    return dst + __builtin_popcountll(kept & 255);
}

static inline char *write_32(char *dst, __m256i octets, uint64_t kept)
{
    const __m128i low = _mm256_castsi256_si128(octets), high = _mm256_extracti128_si256(octets, 1);
    dst = write_8(dst, low, kept);
    dst = write_8(dst, _mm_unpackhi_epi64(low, low), kept >> 8);
    dst = write_8(dst, high, kept >> 16);
    return write_8(dst, _mm_unpackhi_epi64(high, high), kept >> 24);
}

static inline void block_write(char *dst, const struct qp_block *block, uint64_t kept)
{
    __m256i merged[2];
    for (int i = 0; i < 2; i++) { /* each "=" that is kept is an escape */
        const __m256i equals = equal(block->octets[i], '=');
        merged[i] = _mm256_blendv_epi8(block->octets[i], block->values[i], equals);
    }
    dst = write_32(dst, merged[0], kept);
    write_32(dst, merged[1], kept >> 32);
}

#include "qp_decode_bulk.h"

/* ---- encode ------------------------------------------------------------------------------------
 */

enum { QP_GROUP = 16 };

static inline struct qp_octets marks_read(const char *src)
{
    const __m256i half[2] = {load(src), load(src + 32)};
    __m256i other[2], space[2];
    for (int i = 0; i < 2; i++) {
        const __m256i printable =
            in_range(half[i], _mm256_set1_epi8('!'), _mm256_set1_epi8('~' - '!'));
        other[i] =
            _mm256_or_si256(equal(half[i], '='), _mm256_xor_si256(printable, _mm256_set1_epi8(-1)));
        space[i] = in_set(half[i], table(' ', '\t', 0, 0));
    }
    return (struct qp_octets){
        .other = join(other[0], other[1]),
        .space = join(space[0], space[1]),
        .cr = join(equal(half[0], '\r'), equal(half[1], '\r')),
        .lf = join(equal(half[0], '\n'), equal(half[1], '\n')),
    };
}

static inline void copy_80(char *dst, const char *src)
{
    store(dst, load(src));
    store(dst + 32, load(src + 32));
    memcpy(dst + 64, src + 64, 16);
}

static inline char *put_forms(char *dst, __m128i four, uint32_t escapes)
{
    const __m128i order = _mm_load_si128((const __m128i *)(const void *)qp_forms[escapes & 15]);
    _mm_storeu_si128((__m128i *)(void *)dst, _mm_shuffle_epi8(four, order));
    return dst + 4 + 2 * __builtin_popcount(escapes & 15);
}

static inline void expand(char *dst, const char *src, uint32_t escapes)
{
    const __m128i hex = _mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B',
                                      'C', 'D', 'E', 'F');
    const __m128i low_bits = _mm_set1_epi8(15);
    const __m128i octets = _mm_loadu_si128((const __m128i *)(const void *)src);
    const __m128i high = _mm_shuffle_epi8(hex, _mm_and_si128(_mm_srli_epi16(octets, 4), low_bits));
    const __m128i low = _mm_shuffle_epi8(hex, _mm_and_si128(octets, low_bits));
    const __m128i equals = _mm_set1_epi8('=');
    /* As qp_forms has it: 4 literals, their high digits, their low digits, "=". */
    const __m128i a = _mm_unpacklo_epi32(octets, high), b = _mm_unpacklo_epi32(low, equals);
    const __m128i c = _mm_unpackhi_epi32(octets, high), d = _mm_unpackhi_epi32(low, equals);
    dst = put_forms(dst, _mm_unpacklo_epi64(a, b), escapes);
    dst = put_forms(dst, _mm_unpackhi_epi64(a, b), escapes >> 4);
    dst = put_forms(dst, _mm_unpacklo_epi64(c, d), escapes >> 8);
    put_forms(dst, _mm_unpackhi_epi64(c, d), escapes >> 12);
}

#include "qp_encode_bulk.h"

const struct qp_ops qp_ops_avx2 = {.decode = decode, .encode = encode};
