/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_avx2 - blocks of 64 octets in two registers (AVX2, BMI, BMI2, LZCNT)
 */
#include "ringpost/base.h"
#include "utf8_tables.h"
#include <immintrin.h>
#include <stdint.h>

struct block {
    __m256i low, high;
};

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
static inline uint64_t join_masks(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

static inline struct block block_load(const char *data)
{
    return (struct block){load(data), load(data + 32)};
}
static inline struct block block_load_part(const char *data, unsigned long n)
{
    char copy[64] = {0}; /* AVX2 has no load that leaves single octets alone */
    memcpy(copy, data, n);
    return block_load(copy);
}
static inline void block_store(char *dst, const struct block *block)
{
    store(dst, block->low);
    store(dst + 32, block->high);
}
static inline void block_store_part(char *dst, const char *src, const struct block *block,
                                    unsigned long n)
{
    (void)block;
    memcpy(dst, src, n);
}
static inline uint64_t block_equal(const struct block *block, char octet)
{
    return join_masks(equal(block->low, octet), equal(block->high, octet));
}
static inline uint64_t block_high(const struct block *block)
{
    return join_masks(block->low, block->high);
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

/* Octets from place on are those of a load one further. */
static inline void drop_one(struct block *block, const char *further, int place)
{
    const __m256i low_places =
        _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                         21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    const __m256i high_places = _mm256_add_epi8(low_places, _mm256_set1_epi8(32));
    const __m256i before = _mm256_set1_epi8((char)(place - 1));
    block->low =
        _mm256_blendv_epi8(block->low, load(further), _mm256_cmpgt_epi8(low_places, before));
    block->high =
        _mm256_blendv_epi8(block->high, load(further + 32), _mm256_cmpgt_epi8(high_places, before));
}
static inline void block_store_without(char *dst, const char *src, const struct block *block,
                                       uint64_t drop)
{
    struct block out = *block;
    const int count = (int)_mm_popcnt_u64(drop);
    /* Four without a branch, for how many there are cannot be foretold. Places of bits that are not
     * there (64 - count) lie behind all that counts. */
    for (int i = 0; i < 4; i++) {
        drop_one(&out, src + i + 1, (int)_tzcnt_u64(drop) - MIN(i, count));
        drop = _blsr_u64(drop);
    }
    for (int i = 4; drop != 0; i++) {
        drop_one(&out, src + i + 1, (int)_tzcnt_u64(drop) - i);
        drop = _blsr_u64(drop);
    }
    block_store(dst, &out);
}

/* ---- evidence ----------------------------------------------------------------------------------
 */

struct kinds {
    __m256i all, least; /* octets ORed; the smallest */
};
static inline struct kinds kinds_begin(void)
{
    return (struct kinds){_mm256_setzero_si256(), _mm256_set1_epi8(-1)};
}
static inline void kinds_add(struct kinds *kinds, const struct block *block)
{
    kinds->all = _mm256_or_si256(kinds->all, _mm256_or_si256(block->low, block->high));
    kinds->least = _mm256_min_epu8(kinds->least, _mm256_min_epu8(block->low, block->high));
}
static inline int kinds_high(const struct kinds *kinds)
{
    return _mm256_movemask_epi8(kinds->all) != 0;
}
static inline int kinds_nul(const struct kinds *kinds)
{
    return _mm256_movemask_epi8(equal(kinds->least, '\0')) != 0;
}

struct calm {
    __m256i broken, least; /* any bit; the smallest octet as a signed number */
};
static inline struct calm calm_begin(void)
{
    return (struct calm){_mm256_setzero_si256(), _mm256_set1_epi8(127)};
}
static inline uint32_t calm_ends_half(struct calm *calm, const char *src, char *dst)
{
    const __m256i octets = load(src);
    const __m256i lf = equal(octets, '\n'), behind_cr = equal(load(src - 1), '\r');
    const __m256i before_dot = equal(load(src + 1), '.');
    calm->broken = _mm256_or_si256(calm->broken, _mm256_or_si256(_mm256_xor_si256(lf, behind_cr),
                                                                 _mm256_and_si256(lf, before_dot)));
    calm->least = _mm256_min_epi8(calm->least, octets);
    store(dst, octets);
    return (uint32_t)_mm256_movemask_epi8(lf);
}
static inline uint64_t calm_ends(struct calm *calm, const char *src, char *dst)
{
    const uint64_t low = calm_ends_half(calm, src, dst);
    return low | (uint64_t)calm_ends_half(calm, src + 32, dst + 32) << 32;
}
struct stuffed_half {
    __m256i lf, dot, broken;
};
static inline struct stuffed_half calm_stuffed_half(__m256i octets, const char *src)
{
    const __m256i before = load(src - 1), lf = equal(octets, '\n');
    const __m256i dot = _mm256_and_si256(equal(before, '\n'), equal(octets, '.'));
    const __m256i perhaps_end = _mm256_and_si256(dot, equal(load(src + 1), '\r'));
    const __m256i alone = _mm256_xor_si256(lf, equal(before, '\r'));
    return (struct stuffed_half){lf, dot, _mm256_or_si256(alone, perhaps_end)};
}
static inline bool calm_stuffed(const struct block *block, const char *src, uint64_t *ends,
                                uint64_t *stuffed)
{
    const struct stuffed_half low = calm_stuffed_half(block->low, src);
    const struct stuffed_half high = calm_stuffed_half(block->high, src + 32);
    const __m256i broken = _mm256_or_si256(low.broken, high.broken);
    *ends = join_masks(low.lf, high.lf);
    *stuffed = join_masks(low.dot, high.dot);
    return _mm256_testz_si256(broken, broken);
}
static inline void calm_copy(struct calm *calm, const char *src, char *dst)
{
    for (int i = 0; i < 64; i += 32) {
        const __m256i octets = load(src + i);
        const __m256i behind_lf = equal(load(src + i - 1), '\n');
        calm->broken =
            _mm256_or_si256(calm->broken, _mm256_and_si256(equal(octets, '.'), behind_lf));
        store(dst + i, octets);
    }
}
static inline void calm_find(struct calm *calm, const char *src)
{
    for (int i = 0; i < 64; i += 32) {
        const __m256i behind_cr = equal(load(src + i - 1), '\r');
        calm->broken =
            _mm256_or_si256(calm->broken, _mm256_and_si256(equal(load(src + i), '\n'), behind_cr));
    }
}
static inline void calm_ascii(struct calm *calm, const char *src)
{
    calm->least = _mm256_min_epi8(calm->least, _mm256_min_epi8(load(src), load(src + 32)));
}
static inline int calm_broken(const struct calm *calm)
{
    return _mm256_movemask_epi8(calm->broken) != 0;
}
static inline int calm_high(const struct calm *calm)
{
    return _mm256_movemask_epi8(calm->least) != 0;
}
static inline int calm_odd(const struct calm *calm)
{
    return _mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_set1_epi8(1), calm->least)) != 0;
}

/* ---- UTF-8 -------------------------------------------------------------------------------------
 */

struct wrong {
    __m256i faults;
};
static inline struct wrong wrong_begin(void)
{
    return (struct wrong){_mm256_setzero_si256()};
}
static inline __m256i look_up(const uint8_t *table, __m256i nibbles)
{
    const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), nibbles);
}
static inline __m256i utf8_faults(const char *data)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i octets = load(data), first = load(data - 1);
    const __m256i first_high = _mm256_and_si256(_mm256_srli_epi16(first, 4), nibble);
    const __m256i second_high = _mm256_and_si256(_mm256_srli_epi16(octets, 4), nibble);
    const __m256i pair =
        _mm256_and_si256(_mm256_and_si256(look_up(utf8_first_high, first_high),
                                          look_up(utf8_first_low, _mm256_and_si256(first, nibble))),
                         look_up(utf8_second_high, second_high));
    /* Bit 7 where the third octet of a character stands, or the fourth: TWICE belongs there. */
    const __m256i third = _mm256_subs_epu8(load(data - 2), _mm256_set1_epi8(0xe0 - 0x80));
    const __m256i fourth = _mm256_subs_epu8(load(data - 3), _mm256_set1_epi8(0xf0 - 0x80));
    const __m256i twice =
        _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(pair, twice);
}
/* One half after the other: side by side they need too many registers, and gcc 12 loads twice. */
static inline void wrong_add(struct wrong *wrong, const char *data)
{
    wrong->faults = _mm256_or_si256(wrong->faults, utf8_faults(data));
    __asm__("" : "+r"(data), "+x"(wrong->faults));
    wrong->faults = _mm256_or_si256(wrong->faults, utf8_faults(data + 32));
}
static inline int wrong_any(const struct wrong *wrong)
{
    return !_mm256_testz_si256(wrong->faults, wrong->faults);
}

#include "scan_bulk.h"

const struct scan_ops scan_ops_avx2 = {
    .find_crlf = find_crlf,
    .has_8bit = has_8bit,
    .crc32c = scan_crc32c_sse42,
    .read = read_content,
    .stuff = stuff,
    .utf8_pass = utf8_pass,
};
