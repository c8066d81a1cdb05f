/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim_neon - relaxed white space, a block in four registers (AArch64 Advanced SIMD)
 *
 * Nothing compresses here: eight octets at a time are looked up at the places that a table gives.
 */
#include "dkim_ops.h"
#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>

static inline uint8x16_t load(const char *data)
{
    return vld1q_u8((const uint8_t *)data);
}
static inline uint8x16_t equal(uint8x16_t octets, char octet)
{
    return vceqq_u8(octets, vdupq_n_u8((uint8_t)octet));
}
static inline uint8x16_t is_wsp(uint8x16_t octets)
{
    return vorrq_u8(equal(octets, ' '), equal(octets, '\t'));
}

static inline bool copy_quiet(const char *src, char *dst)
{
    uint8x16_t doubt = vdupq_n_u8(0);
    for (int i = 0; i < 256; i += 16) {
        const uint8x16_t octets = load(src + i);
        const uint8x16_t low = vcleq_u8(load(src + i + 1), vdupq_n_u8(' '));
        const uint8x16_t doubled = vandq_u8(equal(octets, ' '), low);
        doubt = vorrq_u8(doubt, vorrq_u8(doubled, equal(octets, '\t')));
        vst1q_u8((uint8_t *)dst + i, octets);
    }
    return vmaxvq_u8(doubt) == 0;
}

/* The octets whose bits are set; writes eight. */
static inline size_t store_kept(char *dst, uint8x8_t octets, unsigned keep)
{
    vst1_u8((uint8_t *)dst, vtbl1_u8(octets, vld1_u8(dkim_places[keep])));
    return (size_t)__builtin_popcount(keep);
}

static inline size_t relax_quarter(const char *src, char *dst, unsigned valid)
{
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t octets = load(src), behind = load(src + 1);
    const uint8x16_t wsp = is_wsp(octets);
    const uint8x16_t ends = vandq_u8(equal(behind, '\r'), equal(load(src + 2), '\n'));
    const uint8x16_t drop = vandq_u8(wsp, vorrq_u8(is_wsp(behind), ends));
    const uint8x16_t spaced = vbslq_u8(wsp, vdupq_n_u8(' '), octets);
    const uint8x8_t weights = vld1_u8(bits);
    const unsigned low = vaddv_u8(vbic_u8(weights, vget_low_u8(drop))) & valid;
    const unsigned high = vaddv_u8(vbic_u8(weights, vget_high_u8(drop))) & valid >> 8;
    const size_t written = store_kept(dst, vget_low_u8(spaced), low);
    return written + store_kept(dst + written, vget_high_u8(spaced), high);
}

static inline size_t relax_block(const char *src, char *dst, uint64_t valid)
{
    size_t written = 0;
    for (int i = 0; i < 64; i += 16)
        written += relax_quarter(src + i, dst + written, (unsigned)(valid >> i & 0xffff));
    return written;
}

#include "dkim_bulk.h"

const struct dkim_ops dkim_ops_neon = {.relax = relax};
