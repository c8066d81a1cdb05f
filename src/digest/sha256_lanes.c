/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256_lanes - SHA-256 of four streams in the lanes of a vector, for CPUs without instructions
 * for it
 *
 * The compiler's own vectors of four words: SSE2 on x86, Advanced SIMD on ARM. One or two streams
 * by themselves are left to the scalar kernel; with three the fourth lane computes for nothing.
 */
#include "internal.h"

typedef uint32_t words __attribute__((vector_size(16)));

enum { LANES = 4, WORTH_IT = 3 };
static_assert((int)LANES == (int)DIGEST_LANES, "a lane for each stream");

static inline words turn(words word, unsigned right)
{
    return word >> right | word << (32 - right);
}

static inline uint32_t load_be(const uint8_t *octets)
{
    uint32_t word;
    memcpy(&word, octets, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

struct sums { /* FIPS 180-4 section 6.2.2, with its names */
    words a, b, c, d, e, f, g, h;
};

static inline struct sums round_of(struct sums s, words w, uint32_t constant)
{
    const words sum1 = turn(s.e, 6) ^ turn(s.e, 11) ^ turn(s.e, 25);
    const words sum0 = turn(s.a, 2) ^ turn(s.a, 13) ^ turn(s.a, 22);
    const words t1 = s.h + sum1 + (s.g ^ (s.e & (s.f ^ s.g))) + constant + w;
    const words t2 = sum0 + ((s.a & s.b) | (s.c & (s.a | s.b)));
    return (struct sums){t1 + t2, s.a, s.b, s.c, s.d + t1, s.e, s.f, s.g};
}

static inline words schedule(const words w[16], int t)
{
    const words w15 = w[(t + 1) & 15], w2 = w[(t + 14) & 15];
    const words s0 = turn(w15, 7) ^ turn(w15, 18) ^ w15 >> 3;
    const words s1 = turn(w2, 17) ^ turn(w2, 19) ^ w2 >> 10;
    return w[t & 15] + s0 + w[(t + 9) & 15] + s1;
}

static void block_of(const uint8_t *const data[LANES], words state[8])
{
    words w[16];
    struct sums s = {state[0], state[1], state[2], state[3],
                     state[4], state[5], state[6], state[7]};
    for (int t = 0; t < 16; t++) {
        w[t] = (words){load_be(data[0] + 4 * t), load_be(data[1] + 4 * t), load_be(data[2] + 4 * t),
                       load_be(data[3] + 4 * t)};
        s = round_of(s, w[t], digest_round_constants[t]);
    }
    for (int t = 16; t < 64; t++) {
        w[t & 15] = schedule(w, t);
        s = round_of(s, w[t & 15], digest_round_constants[t]);
    }
    state[0] += s.a, state[1] += s.b, state[2] += s.c, state[3] += s.d;
    state[4] += s.e, state[5] += s.f, state[6] += s.g, state[7] += s.h;
}

static void blocks_lanes(const struct digest_lane *lanes, size_t count, size_t blocks)
{
    const uint8_t *data[LANES];
    words state[8];
    if (count < WORTH_IT) {
        digest_ops_scalar.blocks(lanes, count, blocks);
        return;
    }
    for (size_t i = 0; i < LANES; i++) {
        const struct digest_lane *lane = &lanes[MIN(i, count - 1)];
        data[i] = lane->data;
        for (int k = 0; k < 8; k++)
            state[k][i] = lane->state[k];
    }
    for (size_t at = 0; at < blocks; at++) {
        block_of(data, state);
        for (size_t i = 0; i < LANES; i++)
            data[i] += DIGEST_SHA256_BLOCK;
    }
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 8; k++)
            lanes[i].state[k] = state[k][i];
    }
}

const struct digest_ops digest_ops_lanes = {.blocks = blocks_lanes};
