/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim_avx512 - relaxed white space, a block a register (AVX-512 F, BW, VBMI2)
 */
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline __m512i load(const char *data)
{
    return _mm512_loadu_epi8(data);
}
static inline __mmask64 equal(__m512i octets, char octet)
{
    return _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8(octet));
}

/* Zero where an octet is a tab, or a space before one up to 32; gathered in vector registers, for
 * masks have few ports. */
static inline __m512i quiet_block(const char *src, char *dst)
{
    const __m512i octets = load(src), space = _mm512_set1_epi8(' ');
    const __m512i above = _mm512_subs_epu8(load(src + 1), space);
    const __m512i spaces = _mm512_ternarylogic_epi64(above, octets, space, 0xf6); /* a | (b ^ c) */
    _mm512_storeu_epi8(dst, octets);
    return _mm512_min_epu8(spaces, _mm512_xor_si512(octets, _mm512_set1_epi8('\t')));
}

static inline bool copy_quiet(const char *src, char *dst)
{
    const __m512i a = _mm512_min_epu8(quiet_block(src, dst), quiet_block(src + 64, dst + 64));
    const __m512i b =
        _mm512_min_epu8(quiet_block(src + 128, dst + 128), quiet_block(src + 192, dst + 192));
    const __m512i least = _mm512_min_epu8(a, b);
    return _mm512_testn_epi8_mask(least, least) == 0;
}

/* What remains of the octets that count; behind, further: the octets one and two after each. */
static inline __m512i relax_octets(__m512i octets, __m512i behind, __m512i further, uint64_t valid,
                                   size_t *written)
{
    const __mmask64 wsp = _kor_mask64(equal(octets, ' '), equal(octets, '\t'));
    const __mmask64 more = _kor_mask64(equal(behind, ' '), equal(behind, '\t'));
    const __mmask64 ends =
        _mm512_mask_cmpeq_epi8_mask(equal(behind, '\r'), further, _mm512_set1_epi8('\n'));
    const __mmask64 drop = _kand_mask64(wsp, _kor_mask64(more, ends));
    const uint64_t keep = ~(uint64_t)drop & valid;
    const __m512i spaced = _mm512_mask_blend_epi8(wsp, octets, _mm512_set1_epi8(' '));
    *written = (size_t)__builtin_popcountll(keep);
    /* Into a register: compressing into memory is slow on Zen 4. */
    return _mm512_maskz_compress_epi8(keep, spaced);
}

static inline size_t relax_block(const char *src, char *dst, uint64_t valid)
{
    size_t written;
    const __m512i kept = relax_octets(load(src), load(src + 1), load(src + 2), valid, &written);
    _mm512_storeu_epi8(dst, kept);
    return written;
}

/* As many octets, at most a block; zeros behind them. */
static inline uint64_t first(size_t n)
{
    return _bzhi_u64(UINT64_MAX, (unsigned)(n < 64 ? n : 64));
}

/* Masks do what padding does elsewhere; nothing is read back that was just written. */
#define OWN_REST
static inline size_t relax_rest(const char *src, size_t len, char *dst)
{
    size_t all = 0;
    for (;;) {
        const uint64_t valid = first(len);
        const __m512i octets = _mm512_maskz_loadu_epi8(valid, src);
        const __m512i behind = _mm512_maskz_loadu_epi8(first(len - 1), src + 1);
        const __m512i further = _mm512_maskz_loadu_epi8(first(len < 2 ? 0 : len - 2), src + 2);
        size_t written;
        const __m512i kept = relax_octets(octets, behind, further, valid, &written);
        _mm512_mask_storeu_epi8(dst + all, first(written), kept);
        all += written;
        if (len <= 64) return all;
        src += 64;
        len -= 64;
    }
}

#include "dkim_bulk.h"

const struct dkim_ops dkim_ops_avx512 = {.relax = relax};
