/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_ops - what each instruction set provides; a table for each level of simd.h
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/scan.h"
#include "ringpost/simd.h"

struct scan_ops {
    size_t (*find_crlf)(const char *data, size_t len);
    bool (*has_8bit)(const char *data, size_t len);
    uint32_t (*crc32c)(uint32_t seed, const void *data, size_t len);
    struct scan_progress (*read)(struct scan_reader *reader, const char *src, size_t len, char *dst,
                                 size_t cap);
    size_t (*stuff)(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst);
};

extern const struct scan_ops scan_ops_scalar;
#ifdef __x86_64__
extern const struct scan_ops scan_ops_avx2;
extern const struct scan_ops scan_ops_avx512;
uint32_t scan_crc32c_sse42(uint32_t seed, const void *data, size_t len);
#endif
#ifdef __aarch64__
extern const struct scan_ops scan_ops_neon;
uint32_t scan_crc32c_neon(uint32_t seed, const void *data, size_t len);
#endif

uint32_t scan_crc32c_scalar(uint32_t seed, const void *data, size_t len);
