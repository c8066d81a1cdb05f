/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx512 - blocks of 64 octets in one register (AVX-512 F, BW, VL; BMI, BMI2)
 */
#include <immintrin.h>
#include <stdint.h>

struct block {
    __m512i octets;
};

static inline struct block block_load(const char *data)
{
    return (struct block){_mm512_loadu_si512(data)};
}
static inline struct block block_load_part(const char *data, unsigned long n)
{
    const __mmask64 mask = ((uint64_t)1 << n) - 1; /* octets that are masked out are not touched */
    return (struct block){_mm512_maskz_loadu_epi8(mask, data)};
}
static inline void block_store(char *dst, const struct block *block)
{
    _mm512_storeu_si512(dst, block->octets);
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
    return _mm512_cmpeq_epi8_mask(block->octets, _mm512_set1_epi8(octet));
}
static inline uint64_t block_high(const struct block *block)
{
    return (uint64_t)_mm512_movepi8_mask(block->octets);
}

#include "scan_bulk.h"

const struct scan_ops scan_ops_avx512 = {
    .find_crlf = find_crlf,
    .has_8bit = has_8bit,
    .crc32c = scan_crc32c_sse42,
    .read = read_content,
    .stuff = stuff,
};
