/* SPDX-License-Identifier: Apache-2.0
 *
 * simd - which instruction set the kernels of scan and codec use
 *
 * Chosen once, before main(), by the features of the CPU; afterwards only read, by any thread. The
 * environment variable RINGPOST_SIMD (scalar, neon, avx2, avx512) asks for one; what the CPU lacks
 * is never taken, and then the best one is in force.
 */
#pragma once
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum simd_level {
    SIMD_SCALAR = 0,
    SIMD_NEON,   /* AArch64 Advanced SIMD: every such CPU has it */
    SIMD_AVX2,   /* with BMI, BMI2, SSE4.2, PCLMUL: Haswell, Zen and later */
    SIMD_AVX512, /* F, BW, VL, VBMI, VBMI2 on top of that: Ice Lake, Zen 4 and later */
    SIMD_LEVEL_COUNT,
};

enum simd_level simd_level(void);
extern enum simd_level simd_in_force;         /* the same, for the kernels of the library itself */
const char *simd_name(enum simd_level level); /* "scalar", "neon", "avx2", "avx512" */
bool simd_available(enum simd_level level); /* this CPU has it, and this library was built for it */
/* For tests and benchmarks, while no other thread calls a kernel: false (and no change) if the CPU
 * lacks it. */
bool simd_select(enum simd_level level);

#ifdef __cplusplus
}
#endif
