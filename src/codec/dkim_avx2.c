/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim_avx2 - relaxed white space, a block in two registers (AVX2)
 *
 * Nothing compresses here: eight octets at a time are shuffled to the places that a table gives.
 */
#include "dkim_ops.h"
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline __m256i load(const char *data)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}
static inline void store(char *dst, __m256i octets)
{
    _mm256_storeu_si256((__m256i *)(void *)dst, octets);
}
static inline __m256i equal(__m256i octets, char octet)
{
    return _mm256_cmpeq_epi8(octets, _mm256_set1_epi8(octet));
}
static inline __m256i is_wsp(__m256i octets)
{
    return _mm256_or_si256(equal(octets, ' '), equal(octets, '\t'));
}

/* What would have to change; copies 32 octets. */
static inline __m256i quiet_half(const char *src, char *dst)
{
    const __m256i octets = load(src), behind = load(src + 1), space = _mm256_set1_epi8(' ');
    const __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(behind, space), behind);
    store(dst, octets);
    return _mm256_or_si256(_mm256_and_si256(equal(octets, ' '), low), equal(octets, '\t'));
}

static inline bool copy_quiet(const char *src, char *dst)
{
    __m256i doubt = _mm256_setzero_si256();
    int left = 4;
    __asm__("" : "+r"(left)); /* a loop: unrolled by gcc 12 it spills most of its registers */
    for (; left > 0; left--, src += 64, dst += 64) {
        doubt = _mm256_or_si256(doubt, quiet_half(src, dst));
        doubt = _mm256_or_si256(doubt, quiet_half(src + 32, dst + 32));
    }
    return _mm256_testz_si256(doubt, doubt);
}

/* The octets of the low half of a register whose bits are set; writes eight. */
static inline size_t store_kept(char *dst, __m128i octets, uint32_t keep)
{
    const __m128i places = _mm_loadl_epi64((const __m128i *)(const void *)dkim_places[keep]);
    _mm_storel_epi64((__m128i *)(void *)dst, _mm_shuffle_epi8(octets, places));
    return (size_t)__builtin_popcount(keep);
}

static inline size_t relax_half(const char *src, char *dst, uint32_t valid)
{
    const __m256i octets = load(src), behind = load(src + 1);
    const __m256i wsp = is_wsp(octets);
    const __m256i ends = _mm256_and_si256(equal(behind, '\r'), equal(load(src + 2), '\n'));
    const __m256i drop = _mm256_and_si256(wsp, _mm256_or_si256(is_wsp(behind), ends));
    const __m256i spaced = _mm256_blendv_epi8(octets, _mm256_set1_epi8(' '), wsp);
    const uint32_t keep = ~(uint32_t)_mm256_movemask_epi8(drop) & valid;
    if (keep == UINT32_MAX) {
        store(dst, spaced);
        return 32;
    }
    const __m128i low = _mm256_castsi256_si128(spaced), high = _mm256_extracti128_si256(spaced, 1);
    size_t written = store_kept(dst, low, keep & 255);
    written += store_kept(dst + written, _mm_unpackhi_epi64(low, low), keep >> 8 & 255);
    written += store_kept(dst + written, high, keep >> 16 & 255);
    written += store_kept(dst + written, _mm_unpackhi_epi64(high, high), keep >> 24);
    return written;
}

static inline size_t relax_block(const char *src, char *dst, uint64_t valid)
{
    const size_t written = relax_half(src, dst, (uint32_t)valid);
    return written + relax_half(src + 32, dst + written, (uint32_t)(valid >> 32));
}

#include "dkim_bulk.h"

const struct dkim_ops dkim_ops_avx2 = {.relax = relax};
