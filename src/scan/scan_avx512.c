/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx512 - blocks of 64 octets in one register (AVX-512 F, BW, VL, VBMI2; BMI, BMI2, LZCNT)
 *
 * Masks stay in mask registers as long as they can: each way to a general register goes through the
 * one unit that stores also need (Zen 4). Of a calm block one mask takes it, that of the LFs.
 */
#include "utf8_tables.h"
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

struct block {
    __m512i octets;
};

static inline __mmask64 equal(__m512i octets, char octet)
{
    return _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8(octet));
}

static inline __mmask64 equal_of(__mmask64 of, __m512i octets, char octet)
{
    return _mm512_mask_cmpeq_epi8_mask(of, octets, _mm512_set1_epi8(octet));
}
/* Once: gcc 12 moves the mask again for each use. */
static inline uint64_t to_general(__mmask64 mask)
{
    uint64_t general = mask;
    __asm__("" : "+r"(general));
    return general;
}
/* Loads and stores of octets: with others gcc 12 loads twice what is both compared and stored. */
static inline __m512i load(const char *data)
{
    return _mm512_loadu_epi8(data);
}
static inline void store(char *dst, __m512i octets)
{
    _mm512_storeu_epi8(dst, octets);
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

static inline struct block block_load(const char *data)
{
    return (struct block){load(data)};
}
static inline struct block block_load_part(const char *data, unsigned long n)
{
    const __mmask64 mask = ((uint64_t)1 << n) - 1; /* octets that are masked out are not touched */
    return (struct block){_mm512_maskz_loadu_epi8(mask, data)};
}
static inline void block_store(char *dst, const struct block *block)
{
    store(dst, block->octets);
}
static inline void block_store_part(char *dst, const char *src, const struct block *block,
                                    unsigned long n)
{
    const __mmask64 mask = ((uint64_t)1 << n) - 1;
    (void)src;
    _mm512_mask_storeu_epi8(dst, mask, block->octets);
}
static inline uint64_t block_equal(const struct block *block, char octet)
{
    return equal(block->octets, octet);
}
static inline uint64_t block_high(const struct block *block)
{
    return (uint64_t)_mm512_movepi8_mask(block->octets);
}
static inline uint64_t zeros_below(uint64_t mask)
{
    return _tzcnt_u64(mask);
}
static inline uint64_t zeros_above(uint64_t mask)
{
    return _lzcnt_u64(mask);
}
static inline uint64_t mask_without(uint64_t mask, uint64_t drop)
{
    return _pext_u64(mask, ~drop);
}
static inline void block_store_without(char *dst, const char *src, const struct block *block,
                                       uint64_t drop)
{
    (void)src;
    /* Into a register first: compressing into memory is slow on Zen 4. */
    store(dst, _mm512_maskz_compress_epi8(~drop, block->octets));
}

/* ---- evidence ----------------------------------------------------------------------------------
 */

struct kinds {
    __m512i all, least; /* octets ORed; the smallest */
};
static inline struct kinds kinds_begin(void)
{
    return (struct kinds){_mm512_setzero_si512(), _mm512_set1_epi8(-1)};
}
static inline void kinds_add(struct kinds *kinds, const struct block *block)
{
    kinds->all = _mm512_or_si512(kinds->all, block->octets);
    kinds->least = _mm512_min_epu8(kinds->least, block->octets);
}
static inline int kinds_high(const struct kinds *kinds)
{
    return _mm512_movepi8_mask(kinds->all) != 0;
}
static inline int kinds_nul(const struct kinds *kinds)
{
    return equal(kinds->least, '\0') != 0;
}

struct calm {
    __mmask64 broken;
    __m512i least; /* the smallest octet as a signed number */
};
static inline struct calm calm_begin(void)
{
    return (struct calm){0, _mm512_set1_epi8(127)};
}
static inline uint64_t calm_ends(struct calm *calm, const char *src, char *dst)
{
    const __m512i octets = load(src), before = load(src - 1);
    const __mmask64 lf = equal(octets, '\n'), behind_cr = equal(before, '\r');
    const __mmask64 dot = equal_of(equal(before, '\n'), octets, '.');
    calm->broken = _kor_mask64(calm->broken, _kor_mask64(_kxor_mask64(lf, behind_cr), dot));
    calm->least = _mm512_min_epi8(calm->least, octets);
    store(dst, octets);
    return to_general(lf);
}
static inline bool calm_stuffed(const struct block *block, const char *src, uint64_t *ends,
                                uint64_t *stuffed)
{
    const __m512i before = load(src - 1);
    const __mmask64 lf = equal(block->octets, '\n');
    const __mmask64 dot = equal_of(equal(before, '\n'), block->octets, '.');
    const __mmask64 perhaps_end = equal_of(dot, load(src + 1), '\r');
    *ends = to_general(lf);
    *stuffed = to_general(dot);
    return _kortestz_mask64_u8(_kxor_mask64(lf, equal(before, '\r')), perhaps_end);
}
static inline void calm_copy(struct calm *calm, const char *src, char *dst)
{
    const __m512i octets = load(src);
    const __mmask64 behind_lf = equal(load(src - 1), '\n');
    const __mmask64 doubled = equal_of(behind_lf, octets, '.');
    calm->broken = _kor_mask64(calm->broken, doubled);
    store(dst, octets);
}
static inline void calm_find(struct calm *calm, const char *src)
{
    const __mmask64 behind_cr = equal(load(src - 1), '\r');
    const __mmask64 ends = equal_of(behind_cr, load(src), '\n');
    calm->broken = _kor_mask64(calm->broken, ends);
}
static inline void calm_ascii(struct calm *calm, const char *src)
{
    calm->least = _mm512_min_epi8(calm->least, load(src));
}
static inline int calm_broken(const struct calm *calm)
{
    return !_kortestz_mask64_u8(calm->broken, calm->broken);
}
static inline int calm_high(const struct calm *calm)
{
    return _mm512_movepi8_mask(calm->least) != 0;
}
static inline int calm_odd(const struct calm *calm)
{
    return _mm512_cmplt_epi8_mask(calm->least, _mm512_set1_epi8(1)) != 0;
}

/* ---- UTF-8 -------------------------------------------------------------------------------------
 */

struct wrong {
    __m512i faults;
};
static inline struct wrong wrong_begin(void)
{
    return (struct wrong){_mm512_setzero_si512()};
}
static inline __m512i look_up(const uint8_t *table, __m512i nibbles)
{
    const __m128i quarter = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(quarter), nibbles);
}
static inline void wrong_add(struct wrong *wrong, const char *data)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i octets = load(data), first = load(data - 1);
    const __m512i first_high = _mm512_and_si512(_mm512_srli_epi16(first, 4), nibble);
    const __m512i second_high = _mm512_and_si512(_mm512_srli_epi16(octets, 4), nibble);
    const __m512i pair =
        _mm512_and_si512(_mm512_and_si512(look_up(utf8_first_high, first_high),
                                          look_up(utf8_first_low, _mm512_and_si512(first, nibble))),
                         look_up(utf8_second_high, second_high));
    /* Bit 7 where the third octet of a character stands, or the fourth: TWICE belongs there. */
    const __m512i third = _mm512_subs_epu8(load(data - 2), _mm512_set1_epi8(0xe0 - 0x80));
    const __m512i fourth = _mm512_subs_epu8(load(data - 3), _mm512_set1_epi8(0xf0 - 0x80));
    const __m512i twice =
        _mm512_and_si512(_mm512_or_si512(third, fourth), _mm512_set1_epi8((char)0x80));
    wrong->faults = _mm512_or_si512(wrong->faults, _mm512_xor_si512(pair, twice));
}
static inline int wrong_any(const struct wrong *wrong)
{
    return _mm512_test_epi8_mask(wrong->faults, wrong->faults) != 0;
}

#include "scan_bulk.h"

const struct scan_ops scan_ops_avx512 = {
    .find_crlf = find_crlf,
    .has_8bit = has_8bit,
    .crc32c = scan_crc32c_sse42,
    .read = read_content,
    .stuff = stuff,
    .utf8_pass = utf8_pass,
};
