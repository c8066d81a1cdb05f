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
    /* Octets of whole well-formed characters at the beginning, fewer than there are or all: the
     * length if the text is well-formed. */
    size_t (*utf8_pass)(const char *data, size_t len);
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

size_t scan_utf8_plain_len(const char *data, size_t len);
uint32_t scan_crc32c_scalar(uint32_t seed, const void *data, size_t len);
