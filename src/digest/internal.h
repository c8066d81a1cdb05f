/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what each instruction set provides for SHA-256; the scalar one is the specification
 */
#pragma once
#include "ringpost/digest.h"

struct digest_lane { /* one stream: whole blocks of it go into its state */
    uint32_t *state;
    const uint8_t *data;
};
struct digest_ops {
    /* As many blocks of each of the first `count` lanes; 1 <= count <= lanes. */
    void (*blocks)(const struct digest_lane *lanes, size_t count, size_t blocks);
    size_t lanes; /* at most DIGEST_LANES */
};
extern const uint32_t digest_round_constants[64]; /* FIPS 180-4 section 4.2.2 */
extern const struct digest_ops digest_ops_scalar, digest_ops_lanes;
#ifdef __x86_64__
extern const struct digest_ops digest_ops_shani;
extern const struct digest_ops digest_ops_avx512; /* of the level SIMD_AVX512 */
bool digest_has_shani(void);                      /* this CPU */
#endif

/* What is best on this CPU, decided before main(). Tests put others here. */
struct digest_choice {
    const struct digest_ops *few;  /* any number of streams */
    const struct digest_ops *many; /* from so many at hand; NULL: never */
    size_t many_from;
};
extern struct digest_choice digest_choice;
