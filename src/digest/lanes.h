/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes - rounds of SHA-256 of as many streams as a vector has words
 *
 * The including file defines
 *     words                  a vector of 32-bit words: one word of each stream
 *     turn(word, right)      turned to the right
 *     xor3(a, b, c), choice(e, f, g), majority(a, b, c)
 *     in_order(sum)          the same; the compiler may not add up in another order
 */
#pragma once
#include "internal.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

struct sums { /* FIPS 180-4 section 6.2.2, with its names */
    words a, b, c, d, e, f, g, h;
};

/* What comes late is added last. The next round waits for e, and then for a, by three operations
 * each: with the sums of the standard (a = T1 + T2) it would be four. */
ALWAYS_INLINE struct sums round_of(struct sums s, words w, uint32_t constant)
{
    const words sum1 = xor3(turn(s.e, 6), turn(s.e, 11), turn(s.e, 25));
    const words sum0 = xor3(turn(s.a, 2), turn(s.a, 13), turn(s.a, 22));
    const words known = in_order(s.d + (s.h + (w + constant)));
    const words e = in_order(known + choice(s.e, s.f, s.g)) + sum1;
    const words a = in_order(in_order(e - s.d) + majority(s.a, s.b, s.c)) + sum0;
    return (struct sums){a, s.a, s.b, s.c, e, s.e, s.f, s.g};
}

ALWAYS_INLINE words schedule(const words w[16], int t)
{
    const words w15 = w[(t + 1) & 15], w2 = w[(t + 14) & 15];
    const words s0 = xor3(turn(w15, 7), turn(w15, 18), w15 >> 3);
    const words s1 = xor3(turn(w2, 17), turn(w2, 19), w2 >> 10);
    return w[t & 15] + w[(t + 9) & 15] + s0 + s1;
}

/* A quarter of the rounds, 0 to 3. Unrolled: sums and words stay where they are and change names.
 */
ALWAYS_INLINE struct sums rounds_of(words w[16], struct sums s, int quarter)
{
    const uint32_t *constants = digest_round_constants + 16 * quarter;
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) {
        if (quarter > 0) w[t] = schedule(w, t);
        s = round_of(s, w[t], constants[t]);
    }
    return s;
}

ALWAYS_INLINE struct sums sums_of(const words state[8])
{
    return (struct sums){state[0], state[1], state[2], state[3],
                         state[4], state[5], state[6], state[7]};
}

ALWAYS_INLINE void add_sums(words state[8], struct sums s)
{
    state[0] += s.a, state[1] += s.b, state[2] += s.c, state[3] += s.d;
    state[4] += s.e, state[5] += s.f, state[6] += s.g, state[7] += s.h;
}
