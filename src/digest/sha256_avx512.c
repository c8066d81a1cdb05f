/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256_avx512 - SHA-256 of sixteen streams in the lanes of a vector (AVX-512 F, BW)
 *
 * To turn words and any function of three words are one instruction each. A block of each stream is
 * loaded as it lies; then sixteen vectors of a block each are made sixteen of a word of each. With
 * less than sixteen streams the other lanes compute for nothing, and it takes as long.
 */
#include <immintrin.h>
#include <stdint.h>

typedef uint32_t words __attribute__((vector_size(64)));

#define turn(word, right) ((words)_mm512_ror_epi32((__m512i)(word), right))
#define of_three(a, b, c, table)                                                                   \
    ((words)_mm512_ternarylogic_epi32((__m512i)(a), (__m512i)(b), (__m512i)(c), table))
#define xor3(a, b, c)     of_three(a, b, c, 0x96)
#define choice(e, f, g)   of_three(e, f, g, 0xca)
#define majority(a, b, c) of_three(a, b, c, 0xe8)

static inline __attribute__((always_inline)) words in_order(words sum)
{
    __asm__("" : "+v"(sum));
    return sum;
}

#include "lanes.h"

enum { LANES = 16 };
static_assert((int)LANES == (int)DIGEST_LANES, "a lane for each stream");

/* Four rows of four columns each become four of four, in each quarter by itself. */
ALWAYS_INLINE void turn_quarters(__m512i rows[4])
{
    const __m512i a = _mm512_unpacklo_epi32(rows[0], rows[1]);
    const __m512i b = _mm512_unpackhi_epi32(rows[0], rows[1]);
    const __m512i c = _mm512_unpacklo_epi32(rows[2], rows[3]);
    const __m512i d = _mm512_unpackhi_epi32(rows[2], rows[3]);
    rows[0] = _mm512_unpacklo_epi64(a, c);
    rows[1] = _mm512_unpackhi_epi64(a, c);
    rows[2] = _mm512_unpacklo_epi64(b, d);
    rows[3] = _mm512_unpackhi_epi64(b, d);
}

ALWAYS_INLINE void load_rows(const uint8_t *const data[4], size_t at, __m512i rows[4])
{
    const __m512i swap =
        _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        rows[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[i] + at), swap);
    turn_quarters(rows);
}

/* Quarter q of rows[4 * i + k] has word 4 * q + k of the streams from 4 * i. */
ALWAYS_INLINE void words_of(const __m512i rows[LANES], words w[16])
{
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        const __m512i a = _mm512_shuffle_i32x4(rows[k], rows[4 + k], 0x88);
        const __m512i b = _mm512_shuffle_i32x4(rows[k], rows[4 + k], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(rows[8 + k], rows[12 + k], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(rows[8 + k], rows[12 + k], 0xdd);
        w[k] = (words)_mm512_shuffle_i32x4(a, c, 0x88);
        w[4 + k] = (words)_mm512_shuffle_i32x4(b, d, 0x88);
        w[8 + k] = (words)_mm512_shuffle_i32x4(a, c, 0xdd);
        w[12 + k] = (words)_mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

/* Of two vectors: their quarters 0 and 2 in turns, and 1 and 3. Twice it is as before. */
#define QUARTERS_02 _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0)
#define QUARTERS_13 _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2)

/* Row i: the states of streams i and i + 8. */
ALWAYS_INLINE void load_states(uint32_t *const states[LANES], words state[8])
{
    __m512i rows[8];
    for (int i = 0; i < 8; i++) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)states[i]);
        const __m256i high = _mm256_loadu_si256((const __m256i *)states[i + 8]);
        rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    turn_quarters(rows);
    turn_quarters(rows + 4);
    for (int k = 0; k < 4; k++) {
        state[k] = (words)_mm512_permutex2var_epi64(rows[k], QUARTERS_02, rows[k + 4]);
        state[k + 4] = (words)_mm512_permutex2var_epi64(rows[k], QUARTERS_13, rows[k + 4]);
    }
}

ALWAYS_INLINE void store_states(const words state[8], uint32_t *const states[LANES], size_t count)
{
    __m512i rows[8];
    for (int k = 0; k < 4; k++) {
        const __m512i low = (__m512i)state[k], high = (__m512i)state[k + 4];
        rows[k] = _mm512_permutex2var_epi64(low, QUARTERS_02, high);
        rows[k + 4] = _mm512_permutex2var_epi64(low, QUARTERS_13, high);
    }
    turn_quarters(rows);
    turn_quarters(rows + 4);
    for (size_t i = 0; i < 8 && i < count; i++)
        _mm256_storeu_si256((__m256i *)states[i], _mm512_castsi512_si256(rows[i]));
    for (size_t i = 8; i < count; i++)
        _mm256_storeu_si256((__m256i *)states[i], _mm512_extracti64x4_epi64(rows[i - 8], 1));
}

static void blocks_avx512(const struct digest_lane *lanes, size_t count, size_t blocks)
{
    const uint8_t *data[LANES];
    uint32_t *states[LANES];
    words state[8], w[16];
    __m512i rows[LANES];
    for (size_t i = 0; i < LANES; i++) {
        const struct digest_lane *lane = &lanes[MIN(i, count - 1)];
        data[i] = lane->data;
        states[i] = lane->state;
    }
    if (blocks == 0) return;
    load_states(states, state);
    for (int i = 0; i < LANES; i += 4)
        load_rows(data + i, 0, rows + i);
    const size_t last = (blocks - 1) * DIGEST_SHA256_BLOCK;
    for (size_t at = 0; at <= last; at += DIGEST_SHA256_BLOCK) {
        /* Rounds leave units idle: the next block is loaded meanwhile. Behind the last one the last
         * one again, for there may be nothing. */
        const size_t next = MIN(at + DIGEST_SHA256_BLOCK, last);
        struct sums s = sums_of(state);
        words_of(rows, w);
#pragma GCC unroll 4
        for (int quarter = 0; quarter < 4; quarter++) {
            load_rows(data + 4 * quarter, next, rows + 4 * quarter);
            s = rounds_of(w, s, quarter);
        }
        add_sums(state, s);
    }
    store_states(state, states, count);
}

const struct digest_ops digest_ops_avx512 = {.blocks = blocks_avx512, .lanes = LANES};
