/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256_lanes - SHA-256 of four streams in the lanes of a vector, for CPUs without instructions
 * for it
 *
 * The compiler's own vectors of four words: SSE2 on x86, Advanced SIMD on ARM. One or two streams
 * by themselves are left to the scalar kernel; with three the fourth lane computes for nothing.
 */
#include <stdint.h>

typedef uint32_t words __attribute__((vector_size(16)));

static inline words turn(words word, unsigned right)
{
    return word >> right | word << (32 - right);
}
#define xor3(a, b, c)     ((a) ^ (b) ^ (c))
#define choice(e, f, g)   ((g) ^ ((e) & ((f) ^ (g))))
#define majority(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))
#define in_order(sum)     (sum) /* there is more to compute than to wait for */

#include "lanes.h"

enum { LANES = 4, WORTH_IT = 3 };

static inline uint32_t load_be(const uint8_t *octets)
{
    uint32_t word;
    memcpy(&word, octets, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static void block_of(const uint8_t *const data[LANES], words state[8])
{
    words w[16];
    for (int t = 0; t < 16; t++) {
        w[t] = (words){load_be(data[0] + 4 * t), load_be(data[1] + 4 * t), load_be(data[2] + 4 * t),
                       load_be(data[3] + 4 * t)};
    }
    struct sums s = rounds_of(w, sums_of(state), 0);
    for (int quarter = 1; quarter < 4; quarter++)
        s = rounds_of(w, s, quarter);
    add_sums(state, s);
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

const struct digest_ops digest_ops_lanes = {.blocks = blocks_lanes, .lanes = LANES};
