/* SPDX-License-Identifier: Apache-2.0
 *
 * cpu - in the place of src/simd/cpu.c: AVX-512 is there, because its intrinsics are emulated
 */
#include "../../../src/simd/internal.h"

bool simd_cpu_has(enum simd_level level)
{
    return level == SIMD_SCALAR || level == SIMD_AVX512;
}
