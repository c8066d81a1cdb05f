/* SPDX-License-Identifier: Apache-2.0
 *
 * cpu - the features that each level needs
 */
#include "internal.h"

bool simd_cpu_has(enum simd_level level)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    /* LZCNT and POPCNT came before BMI2 on every CPU; clang 14 cannot ask for the former. */
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("sse4.2") &&
                      __builtin_cpu_supports("pclmul");
    if (level == SIMD_AVX2) return avx2;
    if (level == SIMD_AVX512) {
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
               __builtin_cpu_supports("avx512vbmi2");
    }
#elif defined(__aarch64__)
    if (level == SIMD_NEON) return true;
#endif
    return level == SIMD_SCALAR;
}
