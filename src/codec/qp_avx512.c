/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_avx512 - quoted-printable with AVX-512 F, BW, VL, VBMI and VBMI2
 *
 * Nothing is compressed into memory, only into a register (Zen 4 takes 167 cycles for the former).
 * The masks that decide whether 128 octets are plain stay in mask registers.
 */
#include "qp_ops.h"
#include <immintrin.h>

static inline __m512i load(const char *src)
{
    return _mm512_loadu_si512((const void *)src);
}
static inline void store(char *dst, __m512i octets)
{
    _mm512_storeu_si512((void *)dst, octets);
}
static inline __mmask64 equal(__m512i octets, char octet)
{
    return _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8(octet));
}
static inline __m512i table(char o0, char o9, char o10, char o13)
{
    return _mm512_broadcast_i32x4(
        _mm_setr_epi8(o0, 0, 0, 0, 0, 0, 0, 0, 0, o9, o10, 0, 0, o13, 0, 0));
}

/* ---- decode ------------------------------------------------------------------------------------
 */

struct qp_block {
    __m512i octets, values;
    __mmask64 equals;
};

/* Space or tab, with CR or LF behind it; at the last place of the block with anything from tab to
 * space behind it: then only the next block knows. An octet has 0 where that is so.
 *
 * A table gives, for the low four bits of an octet, the one member of the set that has them: they
 * differ in nothing if the octet is in the set. What is behind is in its range if nothing is left
 * when the range is taken off, down to 0. */
static inline __m512i not_trailing(__m512i octets, __m512i next)
{
    const __mmask64 last = (__mmask64)1 << 63;
    const __m512i from = _mm512_mask_blend_epi8(last, _mm512_set1_epi8(10), _mm512_set1_epi8(9));
    const __m512i range =
        _mm512_mask_blend_epi8(last, _mm512_set1_epi8(13 - 10), _mm512_set1_epi8(32 - 9));
    const __m512i spaces = _mm512_shuffle_epi8(table(' ', '\t', 0, 0), octets);
    const __m512i beyond = _mm512_subs_epu8(_mm512_sub_epi8(next, from), range);
    return _mm512_ternarylogic_epi32(spaces, octets, beyond, 0xbe); /* (a ^ b) | c: 10111110 */
}

static inline __mmask64 zeros(__m512i octets)
{
    return _mm512_testn_epi8_mask(octets, octets);
}

/* Strict: not allowed at all, or a bare CR or LF. A LF at the first place is the matter of the
 * block before. */
static inline __mmask64 wrong(__m512i octets, __m512i next)
{
    const __mmask64 far = _mm512_cmpgt_epu8_mask(_mm512_sub_epi8(octets, _mm512_set1_epi8(' ')),
                                                 _mm512_set1_epi8('~' - ' '));
    const __m512i controls = _mm512_shuffle_epi8(table(1, '\t', '\n', '\r'), octets);
    return _mm512_mask_cmpneq_epi8_mask(far, controls, octets) |
           (equal(octets, '\r') ^ equal(next, '\n'));
}

/* An octet has 0 where there is "=" or a space that may end a line. */
static inline __m512i plain(const char *src)
{
    const __m512i octets = load(src), next = load(src + 1);
    return _mm512_min_epu8(_mm512_xor_si512(octets, _mm512_set1_epi8('=')),
                           not_trailing(octets, next));
}

static inline bool blocks_are_plain(const char *src, bool strict)
{
    const __mmask64 odd = zeros(_mm512_min_epu8(plain(src), plain(src + 64)));
    if (!strict) return odd == 0;
    return (odd | wrong(load(src), load(src + 1)) | wrong(load(src + 64), load(src + 65))) == 0;
}

static inline void blocks_copy(char *dst, const char *src)
{
    const __m512i a = load(src), b = load(src + 64);
    store(dst, a);
    store(dst + 64, b);
}

static inline uint64_t block_lf(const char *src)
{
    return equal(load(src), '\n');
}

/* Values of digits by their octet, 128 for what is none. */
static inline __m512i digits(__m512i octets, bool strict)
{
#define NO      (char)128
#define FOUR(x) x, x, x, x
#define LETTERS NO, 10, 11, 12, 13, 14, 15, NO, FOUR(NO), FOUR(NO)
    static const _Alignas(64) char values[2][128] = {
        {FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO),
         FOUR(NO), FOUR(NO), FOUR(NO), 0,        1,        2,        3,        4,        5,
         6,        7,        8,        9,        NO,       NO,       FOUR(NO), LETTERS,  FOUR(NO),
         FOUR(NO), FOUR(NO), FOUR(NO), LETTERS,  FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO)},
        {FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO),
         FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), 0,        1,        2,        3,
         4,        5,        6,        7,        8,        9,        NO,       NO,
         FOUR(NO), LETTERS,  FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO),
         FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO), FOUR(NO)},
    };
    const char *from = values[strict];
    return _mm512_permutex2var_epi8(load(from), octets, load(from + 64));
}

static inline struct qp_marks block_read(struct qp_block *block, const char *src, bool strict)
{
    const __m512i octets = load(src), next = load(src + 1), second = load(src + 2);
    const __m512i high = digits(next, strict), low = digits(second, strict);
    /* The top bit is set where one of the two is no digit; 128 octets on the table repeats. */
    const __m512i bad = _mm512_or_si512(_mm512_ternarylogic_epi32(high, low, next, 0xfe), second);
    const __mmask64 equals = equal(octets, '=');
    struct qp_marks marks = {
        .escapes = _mm512_mask_testn_epi8_mask(equals, bad, _mm512_set1_epi8(NO)),
        .breaks = _mm512_mask_cmpeq_epi8_mask(
            _mm512_mask_cmpeq_epi8_mask(equals, next, _mm512_set1_epi8('\r')), second,
            _mm512_set1_epi8('\n')),
    };
    marks.unknown = equals & ~(marks.escapes | marks.breaks);
    marks.odd = zeros(not_trailing(octets, next));
    if (strict) {
        marks.lf = equal(octets, '\n');
        marks.odd |= wrong(octets, next);
    }
    block->octets = octets;
    block->equals = equals;
    /* (high << 4) | low: a digit's value has no bits that would reach the octet above. */
    block->values = _mm512_ternarylogic_epi32(_mm512_slli_epi16(high, 4),
                                              _mm512_set1_epi8((char)0xf0), low, 0xea);
    return marks;
}

static inline void block_write(char *dst, const struct qp_block *block, uint64_t kept)
{
    const __m512i merged = _mm512_mask_blend_epi8(block->equals, block->octets, block->values);
    store(dst, _mm512_maskz_compress_epi8(kept, merged));
}

#include "qp_decode_bulk.h"

/* ---- encode ------------------------------------------------------------------------------------
 */

enum { QP_GROUP = 21 };
#define EACH_THIRD 0x1249249249249249ull /* bits 0, 3, ... 60 */

static inline struct qp_octets marks_read(const char *src)
{
    const __m512i octets = load(src);
    const __m512i above = _mm512_sub_epi8(octets, _mm512_set1_epi8('!'));
    const __m512i spaces = _mm512_shuffle_epi8(table(' ', '\t', 0, 0), octets);
    return (struct qp_octets){
        .other = _mm512_cmpgt_epu8_mask(above, _mm512_set1_epi8('~' - '!')) | equal(octets, '='),
        .space = _mm512_cmpeq_epi8_mask(spaces, octets),
        .cr = equal(octets, '\r'),
        .lf = equal(octets, '\n'),
    };
}

static inline void copy_80(char *dst, const char *src)
{
    store(dst, load(src));
    memcpy(dst + 64, src + 64, 16);
}

/* Each octet three times: the first becomes "=" if it is escaped, the others its digits; then the
 * second and third of those that are not escaped go. */
static inline void expand(char *dst, const char *src, uint32_t escapes)
{
    const __m512i thirds =
        _mm512_set_epi8(21, 20, 20, 20, 19, 19, 19, 18, 18, 18, 17, 17, 17, 16, 16, 16, 15, 15, 15,
                        14, 14, 14, 13, 13, 13, 12, 12, 12, 11, 11, 11, 10, 10, 10, 9, 9, 9, 8, 8,
                        8, 7, 7, 7, 6, 6, 6, 5, 5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0);
    const __m512i hex = _mm512_broadcast_i32x4(_mm_setr_epi8(
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'));
    const __m512i octets = _mm512_permutexvar_epi8(
        thirds, _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)src)));
    const __m512i high = _mm512_srli_epi16(octets, 4);
    const __m512i nibbles = _mm512_and_si512(_mm512_mask_blend_epi8(EACH_THIRD << 1, octets, high),
                                             _mm512_set1_epi8(15));
    const uint64_t first = _pdep_u64(escapes & ((1u << QP_GROUP) - 1), EACH_THIRD);
    __m512i forms =
        _mm512_mask_shuffle_epi8(octets, EACH_THIRD << 1 | EACH_THIRD << 2, hex, nibbles);
    forms = _mm512_mask_blend_epi8(first, forms, _mm512_set1_epi8('='));
    store(dst, _mm512_maskz_compress_epi8(EACH_THIRD | first << 1 | first << 2, forms));
}

/* The last character of each form, where it is when the others are gone. */
static inline unsigned fit_by_bits(uint32_t escapes, unsigned n, unsigned room)
{
    const uint64_t first = _pdep_u64(escapes & ((1u << QP_GROUP) - 1), EACH_THIRD);
    const uint64_t forms = EACH_THIRD | first << 1 | first << 2;
    const uint64_t lasts = _pext_u64((EACH_THIRD & ~first) | first << 2, forms);
    (void)n; /* its forms do not fit: so nothing behind them does */
    return (unsigned)__builtin_popcountll(_bzhi_u64(lasts, room));
}
#define QP_FIT fit_by_bits

#include "qp_encode_bulk.h"

const struct qp_ops qp_ops_avx512 = {.decode = decode, .encode = encode};
