/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx2 - blocks of 64 octets in two registers (AVX2, BMI)
 */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

struct block {
    __m256i low, high;
};

static inline struct block block_load(const char *data)
{
    return (struct block){_mm256_loadu_si256((const __m256i *)(const void *)data),
                          _mm256_loadu_si256((const __m256i *)(const void *)(data + 32))};
}
static inline struct block block_load_part(const char *data, unsigned long n)
{
    char copy[64] = {0}; /* AVX2 has no load that leaves single octets alone */
    memcpy(copy, data, n);
    return block_load(copy);
}
static inline void block_store(char *dst, const struct block *block)
{
    _mm256_storeu_si256((__m256i *)(void *)dst, block->low);
    _mm256_storeu_si256((__m256i *)(void *)(dst + 32), block->high);
}
static inline void block_store_part(char *dst, const char *src, const struct block *block,
                                    unsigned long n)
{
    (void)block;
    memcpy(dst, src, n);
}
static inline uint64_t join_masks(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}
static inline uint64_t block_equal(const struct block *block, char octet)
{
    const __m256i wanted = _mm256_set1_epi8(octet);
    return join_masks(_mm256_cmpeq_epi8(block->low, wanted),
                      _mm256_cmpeq_epi8(block->high, wanted));
}
static inline uint64_t block_high(const struct block *block)
{
    return join_masks(block->low, block->high);
}

#include "scan_bulk.h"

const struct scan_ops scan_ops_avx2 = {
    .find_crlf = find_crlf,
    .has_8bit = has_8bit,
    .crc32c = scan_crc32c_sse42,
    .read = read_content,
    .stuff = stuff,
};
