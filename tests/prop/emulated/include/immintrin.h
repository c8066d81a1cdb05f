/* SPDX-License-Identifier: Apache-2.0
 *
 * immintrin - AVX-512 by SIMDe's plain C, so that its kernels are tested on every machine
 *
 * What SIMDe 0.7 of Debian 12 lacks is written out here, from Intel's description.
 */
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

typedef uint64_t __mmask64;
typedef uint32_t __mmask32;
typedef uint16_t __mmask16;
typedef uint8_t __mmask8;

static inline simde__m512i emulated_compress_epi8(simde__m512i src, uint64_t mask, simde__m512i a)
{
    simde__m512i_private in = simde__m512i_to_private(a), out = simde__m512i_to_private(src);
    int to = 0;
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) out.i8[to++] = in.i8[i];
    }
    return simde__m512i_from_private(out);
}
#define _mm512_maskz_compress_epi8(mask, a)                                                        \
    emulated_compress_epi8(simde_mm512_setzero_si512(), mask, a)
#define _mm512_mask_compress_epi8(src, mask, a) emulated_compress_epi8(src, mask, a)

static inline simde__m512i emulated_expand_epi8(simde__m512i src, uint64_t mask, simde__m512i a)
{
    simde__m512i_private in = simde__m512i_to_private(a), out = simde__m512i_to_private(src);
    int from = 0;
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) out.i8[i] = in.i8[from++];
    }
    return simde__m512i_from_private(out);
}
#define _mm512_maskz_expand_epi8(mask, a)     emulated_expand_epi8(simde_mm512_setzero_si512(), mask, a)
#define _mm512_mask_expand_epi8(src, mask, a) emulated_expand_epi8(src, mask, a)

/* Octets that are masked out are not touched, as in the instruction. */
static inline simde__m512i emulated_load_epi8(simde__m512i src, uint64_t mask, const void *from)
{
    simde__m512i_private out = simde__m512i_to_private(src);
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) out.i8[i] = ((const int8_t *)from)[i];
    }
    return simde__m512i_from_private(out);
}
#undef _mm512_maskz_loadu_epi8
#define _mm512_maskz_loadu_epi8(mask, from)                                                        \
    emulated_load_epi8(simde_mm512_setzero_si512(), mask, from)
#undef _mm512_mask_loadu_epi8
#define _mm512_mask_loadu_epi8(src, mask, from) emulated_load_epi8(src, mask, from)

static inline void emulated_store_epi8(void *to, uint64_t mask, simde__m512i a)
{
    simde__m512i_private in = simde__m512i_to_private(a);
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) ((int8_t *)to)[i] = in.i8[i];
    }
}
#undef _mm512_mask_storeu_epi8
#define _mm512_mask_storeu_epi8(to, mask, a) emulated_store_epi8(to, mask, a)

#define _kor_mask64(a, b)         ((uint64_t)(a) | (uint64_t)(b))
#define _kxor_mask64(a, b)        ((uint64_t)(a) ^ (uint64_t)(b))
#define _kortestz_mask64_u8(a, b) ((unsigned char)(((uint64_t)(a) | (uint64_t)(b)) == 0))
static inline uint64_t emulated_pext_u64(uint64_t from, uint64_t mask)
{
    uint64_t out = 0;
    for (int to = 0; mask != 0; mask &= mask - 1, to++)
        out |= (from >> __builtin_ctzll(mask) & 1) << to;
    return out;
}
#define _pext_u64(from, mask) emulated_pext_u64(from, mask)
#define _tzcnt_u64(value)     ((value) != 0 ? (uint64_t)__builtin_ctzll(value) : 64)
#define _lzcnt_u64(value)     ((value) != 0 ? (uint64_t)__builtin_clzll(value) : 64)
#define _kand_mask64(a, b)    ((uint64_t)(a) & (uint64_t)(b))
/* SIMDe 0.7.4 gives this one an argument too many. */
#undef _mm512_mask_cmple_epu8_mask
#define _mm512_mask_cmple_epu8_mask(of, a, b)                                                      \
    ((uint64_t)(of) & (uint64_t)simde_mm512_cmple_epu8_mask(a, b))
static inline simde__m512i emulated_madd_epi16(simde__m512i a, simde__m512i b)
{
    simde__m512i_private left = simde__m512i_to_private(a), right = simde__m512i_to_private(b), out;
    for (int i = 0; i < 16; i++) {
        out.i32[i] =
            left.i16[2 * i] * right.i16[2 * i] + left.i16[2 * i + 1] * right.i16[2 * i + 1];
    }
    return simde__m512i_from_private(out);
}
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) emulated_madd_epi16(a, b)

static inline uint64_t emulated_testn_epi8(uint64_t mask, simde__m512i a, simde__m512i b)
{
    simde__m512i_private left = simde__m512i_to_private(a), right = simde__m512i_to_private(b);
    uint64_t zero = 0;
    for (int i = 0; i < 64; i++) {
        zero |= (uint64_t)((left.i8[i] & right.i8[i]) == 0) << i;
    }
    return zero & mask;
}
#undef _mm512_testn_epi8_mask
#define _mm512_testn_epi8_mask(a, b) emulated_testn_epi8(UINT64_MAX, a, b)
#undef _mm512_mask_testn_epi8_mask
#define _mm512_mask_testn_epi8_mask(mask, a, b) emulated_testn_epi8(mask, a, b)

static inline simde__m512i emulated_mulhi_epu16(simde__m512i a, simde__m512i b)
{
    simde__m512i_private left = simde__m512i_to_private(a), right = simde__m512i_to_private(b);
    for (int i = 0; i < 32; i++) {
        left.u16[i] = (uint16_t)((uint32_t)left.u16[i] * right.u16[i] >> 16);
    }
    return simde__m512i_from_private(left);
}
#undef _mm512_mulhi_epu16
#define _mm512_mulhi_epu16(a, b) emulated_mulhi_epu16(a, b)
/* SIMDe has these with another number of arguments, or only without mask. */
#undef _mm512_mask_cmple_epu8_mask
#define _mm512_mask_cmple_epu8_mask(k, a, b) ((k)&simde_mm512_cmple_epu8_mask(a, b))
#undef _mm512_mask_cmpneq_epi8_mask
#define _mm512_mask_cmpneq_epi8_mask(k, a, b) ((k) & ~simde_mm512_cmpeq_epi8_mask(a, b))
#undef _mm512_testn_epi8_mask
#define _mm512_testn_epi8_mask(a, b) (~simde_mm512_test_epi8_mask(a, b))
#undef _mm512_mask_testn_epi8_mask
#define _mm512_mask_testn_epi8_mask(k, a, b) ((k) & ~simde_mm512_test_epi8_mask(a, b))

static inline uint64_t emulated_pdep(uint64_t from, uint64_t mask)
{
    uint64_t to = 0;
    for (; mask != 0; mask &= mask - 1, from >>= 1) {
        if (from & 1) to |= mask & -mask;
    }
    return to;
}
#define _pdep_u64(from, mask) emulated_pdep(from, mask)

static inline uint64_t emulated_pext(uint64_t from, uint64_t mask)
{
    uint64_t to = 0, bit = 1;
    for (; mask != 0; mask &= mask - 1, bit <<= 1) {
        if (from & mask & -mask) to |= bit;
    }
    return to;
}
#define _pext_u64(from, mask) emulated_pext(from, mask)
#define _bzhi_u64(from, n)    ((n) < 64 ? (from) & (((uint64_t)1 << (n)) - 1) : (from))
#undef _mm512_madd_epi16 /* SIMDe's alias has the arguments of the masked one */
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

/* SIMDe shifts by 64 where a control is 0. */
static inline simde__m512i emulated_multishift(simde__m512i controls, simde__m512i a)
{
    simde__m512i_private by = simde__m512i_to_private(controls), in = simde__m512i_to_private(a),
                         out;
    for (int i = 0; i < 64; i++) {
        const unsigned shift = by.u8[i] & 63;
        const uint64_t word = in.u64[i / 8];
        out.u8[i] = (uint8_t)(word >> shift | word << (64 - shift) % 64);
    }
    return simde__m512i_from_private(out);
}
#undef _mm512_multishift_epi64_epi8
#define _mm512_multishift_epi64_epi8(controls, a) emulated_multishift(controls, a)
