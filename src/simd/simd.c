/* SPDX-License-Identifier: Apache-2.0
 *
 * simd - asks the CPU, once, before main()
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

enum simd_level simd_in_force = SIMD_SCALAR;

static const char *const names[SIMD_LEVEL_COUNT] = {
    [SIMD_SCALAR] = "scalar",
    [SIMD_NEON] = "neon",
    [SIMD_AVX2] = "avx2",
    [SIMD_AVX512] = "avx512",
};

enum simd_level simd_level(void)
{
    return simd_in_force;
}

const char *simd_name(enum simd_level level)
{
    return names[level];
}

bool simd_available(enum simd_level level)
{
    return level == SIMD_SCALAR || simd_cpu_has(level);
}

bool simd_select(enum simd_level level)
{
    if (!simd_available(level)) return false;
    simd_in_force = level;
    return true;
}

static __attribute__((constructor)) void choose(void)
{
    const char *wanted = getenv("RINGPOST_SIMD");
    for (int level = SIMD_LEVEL_COUNT - 1; level >= 0; level--) {
        if (wanted != NULL && strcmp(wanted, names[level]) == 0 &&
            simd_select((enum simd_level)level))
            return;
    }
    for (int level = SIMD_LEVEL_COUNT - 1; level >= 0; level--) {
        if (simd_select((enum simd_level)level)) return;
    }
}
