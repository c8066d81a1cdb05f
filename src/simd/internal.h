/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - the seam between the choice and the CPU: a test that emulates an instruction set links
 * another simd_cpu_has()
 */
#pragma once
#include "ringpost/simd.h"

bool simd_cpu_has(enum simd_level level);
