/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_neon - blocks of 64 octets in four registers (AArch64 Advanced SIMD)
 *
 * There is no instruction that makes a mask: three pairwise additions of weighted octets do.
 */
#include "utf8_tables.h"
#include <arm_neon.h>
#include <stdbool.h>
#include <string.h>

struct block {
    uint8x16_t part[4];
};

static inline uint8x16_t load(const char *data)
{
    return vld1q_u8((const uint8_t *)data);
}
static inline void store(char *dst, uint8x16_t octets)
{
    vst1q_u8((uint8_t *)dst, octets);
}
static inline uint8x16_t equal(uint8x16_t octets, char octet)
{
    return vceqq_u8(octets, vdupq_n_u8((uint8_t)octet));
}
static inline uint64_t join_masks(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weights = vld1q_u8(bits);
    const uint8x16_t ab = vpaddq_u8(vandq_u8(a, weights), vandq_u8(b, weights));
    const uint8x16_t cd = vpaddq_u8(vandq_u8(c, weights), vandq_u8(d, weights));
    const uint8x16_t fours = vpaddq_u8(ab, cd);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)), 0);
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

static inline struct block block_load(const char *data)
{
    return (struct block){{load(data), load(data + 16), load(data + 32), load(data + 48)}};
}
static inline struct block block_load_part(const char *data, unsigned long n)
{
    char copy[64] = {0};
    memcpy(copy, data, n);
    return block_load(copy);
}
static inline void block_store(char *dst, const struct block *block)
{
    for (int i = 0; i < 4; i++)
        store(dst + 16 * i, block->part[i]);
}
static inline void block_store_part(char *dst, const char *src, const struct block *block,
                                    unsigned long n)
{
    (void)block;
    memcpy(dst, src, n);
}
static inline uint64_t block_equal(const struct block *block, char octet)
{
    return join_masks(equal(block->part[0], octet), equal(block->part[1], octet),
                      equal(block->part[2], octet), equal(block->part[3], octet));
}
static inline uint8x16_t high(uint8x16_t octets)
{
    return vcltzq_s8(vreinterpretq_s8_u8(octets));
}
static inline uint64_t block_high(const struct block *block)
{
    return join_masks(high(block->part[0]), high(block->part[1]), high(block->part[2]),
                      high(block->part[3]));
}
static inline uint64_t zeros_below(uint64_t mask)
{
    return mask != 0 ? (uint64_t)__builtin_ctzll(mask) : 64; /* RBIT, CLZ */
}
static inline uint64_t zeros_above(uint64_t mask)
{
    return mask != 0 ? (uint64_t)__builtin_clzll(mask) : 64;
}
static inline uint64_t mask_without(uint64_t mask, uint64_t drop)
{
    while (drop != 0) { /* the highest first: those below keep their places */
        const uint64_t below = ((uint64_t)1 << (63 - __builtin_clzll(drop))) - 1;
        mask = (mask & below) | (mask >> 1 & ~below);
        drop &= below;
    }
    return mask;
}

/* Octets behind a place are those of a load one further, for each octet dropped. */
static inline void block_store_without(char *dst, const char *src, const struct block *block,
                                       uint64_t drop)
{
    static const uint8_t counting[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct block out = *block;
    for (int dropped = 0; drop != 0; drop &= drop - 1) {
        const uint8x16_t place = vdupq_n_u8((uint8_t)(__builtin_ctzll(drop) - dropped));
        dropped += 1;
        for (int i = 0; i < 4; i++) {
            const uint8x16_t places = vaddq_u8(vld1q_u8(counting), vdupq_n_u8((uint8_t)(16 * i)));
            out.part[i] =
                vbslq_u8(vcgeq_u8(places, place), load(src + 16 * i + dropped), out.part[i]);
        }
    }
    block_store(dst, &out);
}

/* ---- evidence ----------------------------------------------------------------------------------
 */

struct kinds {
    uint8x16_t all, least; /* octets ORed; the smallest */
};
static inline struct kinds kinds_begin(void)
{
    return (struct kinds){vdupq_n_u8(0), vdupq_n_u8(255)};
}
static inline void kinds_add(struct kinds *kinds, const struct block *block)
{
    for (int i = 0; i < 4; i++) {
        kinds->all = vorrq_u8(kinds->all, block->part[i]);
        kinds->least = vminq_u8(kinds->least, block->part[i]);
    }
}
static inline bool kinds_high(const struct kinds *kinds)
{
    return vmaxvq_u8(kinds->all) > 127;
}
static inline bool kinds_nul(const struct kinds *kinds)
{
    return vminvq_u8(kinds->least) == 0;
}

struct calm {
    uint8x16_t broken; /* any bit */
    int8x16_t least;   /* the smallest octet as a signed number */
};
static inline struct calm calm_begin(void)
{
    return (struct calm){vdupq_n_u8(0), vdupq_n_s8(127)};
}
static inline uint64_t calm_ends(struct calm *calm, const char *src, char *dst)
{
    uint8x16_t lf[4];
    for (int i = 0; i < 4; i++) {
        const uint8x16_t octets = load(src + 16 * i), before = load(src + 16 * i - 1);
        const uint8x16_t dot = vandq_u8(equal(before, '\n'), equal(octets, '.'));
        lf[i] = equal(octets, '\n');
        calm->broken = vorrq_u8(calm->broken, vorrq_u8(veorq_u8(lf[i], equal(before, '\r')), dot));
        calm->least = vminq_s8(calm->least, vreinterpretq_s8_u8(octets));
        store(dst + 16 * i, octets);
    }
    return join_masks(lf[0], lf[1], lf[2], lf[3]);
}
static inline bool calm_stuffed(const struct block *block, const char *src, uint64_t *ends,
                                uint64_t *stuffed)
{
    uint8x16_t lf[4], dot[4], broken = vdupq_n_u8(0);
    for (int i = 0; i < 4; i++) {
        const uint8x16_t before = load(src + 16 * i - 1);
        lf[i] = equal(block->part[i], '\n');
        dot[i] = vandq_u8(equal(before, '\n'), equal(block->part[i], '.'));
        const uint8x16_t perhaps_end = vandq_u8(dot[i], equal(load(src + 16 * i + 1), '\r'));
        const uint8x16_t alone = veorq_u8(lf[i], equal(before, '\r'));
        broken = vorrq_u8(broken, vorrq_u8(alone, perhaps_end));
    }
    *ends = join_masks(lf[0], lf[1], lf[2], lf[3]);
    *stuffed = join_masks(dot[0], dot[1], dot[2], dot[3]);
    return vmaxvq_u8(broken) == 0;
}
static inline void calm_copy(struct calm *calm, const char *src, char *dst)
{
    for (int i = 0; i < 64; i += 16) {
        const uint8x16_t octets = load(src + i), behind_lf = equal(load(src + i - 1), '\n');
        calm->broken = vorrq_u8(calm->broken, vandq_u8(behind_lf, equal(octets, '.')));
        store(dst + i, octets);
    }
}
static inline void calm_find(struct calm *calm, const char *src)
{
    for (int i = 0; i < 64; i += 16) {
        const uint8x16_t behind_cr = equal(load(src + i - 1), '\r');
        calm->broken = vorrq_u8(calm->broken, vandq_u8(behind_cr, equal(load(src + i), '\n')));
    }
}
static inline void calm_ascii(struct calm *calm, const char *src)
{
    for (int i = 0; i < 64; i += 16)
        calm->least = vminq_s8(calm->least, vreinterpretq_s8_u8(load(src + i)));
}
static inline bool calm_broken(const struct calm *calm)
{
    return vmaxvq_u8(calm->broken) != 0;
}
static inline bool calm_high(const struct calm *calm)
{
    return vminvq_s8(calm->least) < 0;
}
static inline bool calm_odd(const struct calm *calm)
{
    return vminvq_s8(calm->least) < 1;
}

/* ---- UTF-8 -------------------------------------------------------------------------------------
 */

struct wrong {
    uint8x16_t faults;
};
static inline struct wrong wrong_begin(void)
{
    return (struct wrong){vdupq_n_u8(0)};
}
static inline void wrong_add(struct wrong *wrong, const char *data)
{
    const uint8x16_t first_high = vld1q_u8(utf8_first_high), first_low = vld1q_u8(utf8_first_low);
    const uint8x16_t second_high = vld1q_u8(utf8_second_high);
    for (int i = 0; i < 64; i += 16) {
        const uint8x16_t octets = load(data + i), first = load(data + i - 1);
        const uint8x16_t high = vqtbl1q_u8(first_high, vshrq_n_u8(first, 4));
        const uint8x16_t low = vqtbl1q_u8(first_low, vandq_u8(first, vdupq_n_u8(15)));
        const uint8x16_t second = vqtbl1q_u8(second_high, vshrq_n_u8(octets, 4));
        /* Bit 7 where the third octet of a character stands, or the fourth: TWICE belongs there. */
        const uint8x16_t third = vcgeq_u8(load(data + i - 2), vdupq_n_u8(0xe0));
        const uint8x16_t fourth = vcgeq_u8(load(data + i - 3), vdupq_n_u8(0xf0));
        const uint8x16_t twice = vandq_u8(vorrq_u8(third, fourth), vdupq_n_u8(0x80));
        const uint8x16_t pair = vandq_u8(vandq_u8(high, low), second);
        wrong->faults = vorrq_u8(wrong->faults, veorq_u8(pair, twice));
    }
}
static inline bool wrong_any(const struct wrong *wrong)
{
    return vmaxvq_u8(wrong->faults) != 0;
}

#include "scan_bulk.h"

const struct scan_ops scan_ops_neon = {
    .find_crlf = find_crlf,
    .has_8bit = has_8bit,
    .crc32c = scan_crc32c_neon,
    .read = read_content,
    .stuff = stuff,
    .utf8_pass = utf8_pass,
};
