/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256_scalar - SHA-256 as FIPS 180-4 writes it
 */
#include "internal.h"

_Alignas(16) const uint32_t digest_round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t turn(uint32_t word, unsigned right)
{
    return word >> right | word << (32 - right);
}

static inline uint32_t load_be(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
}

/* FIPS 180-4 section 6.2.2, with its names. */
static void block(uint32_t state[8], const uint8_t *data)
{
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 16; t++)
        w[t] = load_be(data + 4 * t);
    for (int t = 16; t < 64; t++) {
        const uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
        const uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    for (int t = 0; t < 64; t++) {
        const uint32_t sum1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
        const uint32_t sum0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
        const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + digest_round_constants[t] + w[t];
        const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void blocks_scalar(const struct digest_lane *lanes, size_t count, size_t blocks)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < blocks; at++)
            block(lanes[i].state, lanes[i].data + at * DIGEST_SHA256_BLOCK);
    }
}

const struct digest_ops digest_ops_scalar = {.blocks = blocks_scalar, .lanes = DIGEST_LANES};
