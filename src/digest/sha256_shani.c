/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256_shani - SHA-256 by the SHA instructions of x86, one to four streams side by side
 *
 * Two rounds are one instruction, whose result the next one waits for; meanwhile those of other
 * streams run. A state lies in two registers as the instruction wants it: ABEF and CDGH. The
 * message words of several streams do not fit the sixteen registers: the compiler keeps the rest on
 * the stack, which costs less than waiting.
 */
#include "internal.h"
#include <immintrin.h>

enum { LANES = 4 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE __m128i load(const void *data)
{
    return _mm_loadu_si128((const __m128i *)data);
}
ALWAYS_INLINE void store(void *data, __m128i words)
{
    _mm_storeu_si128((__m128i *)data, words);
}

struct halves {
    __m128i abef, cdgh;
};

ALWAYS_INLINE struct halves halves_load(const uint32_t state[8])
{
    const __m128i cdab = _mm_shuffle_epi32(load(state), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1b);
    return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}
ALWAYS_INLINE void halves_store(struct halves halves, uint32_t state[8])
{
    const __m128i feba = _mm_shuffle_epi32(halves.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(halves.cdgh, 0xb1);
    store(state, _mm_blend_epi16(feba, dchg, 0xf0));
    store(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

/* Four words of the schedule from the sixteen before them; w is a ring of four registers. */
ALWAYS_INLINE __m128i schedule(const __m128i w[4], int step)
{
    const __m128i last = w[(step + 3) & 3];
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[step & 3], w[(step + 1) & 3]),
                                      _mm_alignr_epi8(last, w[(step + 2) & 3], 4));
    return _mm_sha256msg2_epu32(sum, last);
}

ALWAYS_INLINE void blocks_of(const struct digest_lane *lanes, const int count, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    struct halves now[LANES];
    for (int i = 0; i < count; i++)
        now[i] = halves_load(lanes[i].state);
    for (size_t at = 0; at < blocks * DIGEST_SHA256_BLOCK; at += DIGEST_SHA256_BLOCK) {
        __m128i w[LANES][4];
        struct halves before[LANES];
        for (int i = 0; i < count; i++)
            before[i] = now[i];
#pragma GCC unroll 16
        for (int step = 0; step < 16; step++) {
            const __m128i constants = load(digest_round_constants + 4 * step);
#pragma GCC unroll 4
            for (int i = 0; i < count; i++) {
                __m128i *words = &w[i][step & 3];
                *words = step < 4 ? _mm_shuffle_epi8(load(lanes[i].data + at + 16 * step), swap)
                                  : schedule(w[i], step);
                const __m128i sum = _mm_add_epi32(*words, constants);
                now[i].cdgh = _mm_sha256rnds2_epu32(now[i].cdgh, now[i].abef, sum);
                now[i].abef =
                    _mm_sha256rnds2_epu32(now[i].abef, now[i].cdgh, _mm_shuffle_epi32(sum, 0x0e));
            }
        }
        for (int i = 0; i < count; i++) {
            now[i].abef = _mm_add_epi32(now[i].abef, before[i].abef);
            now[i].cdgh = _mm_add_epi32(now[i].cdgh, before[i].cdgh);
        }
    }
    for (int i = 0; i < count; i++)
        halves_store(now[i], lanes[i].state);
}

static void blocks_shani(const struct digest_lane *lanes, size_t count, size_t blocks)
{
    switch (count) {
    case 1:
        blocks_of(lanes, 1, blocks);
        return;
    case 2:
        blocks_of(lanes, 2, blocks);
        return;
    case 3:
        blocks_of(lanes, 3, blocks);
        return;
    case 4:
        blocks_of(lanes, 4, blocks);
        return;
    default:
        UNREACHABLE("digest: more lanes than there are");
    }
}

const struct digest_ops digest_ops_shani = {.blocks = blocks_shani, .lanes = LANES};
