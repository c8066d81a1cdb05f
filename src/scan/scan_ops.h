/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_ops - what each instruction set provides; one table is in force for the whole process
 */
#pragma once
#include "ringpost/scan.h"

struct scan_ops {
    const char *name;
    size_t (*find_crlf)(const char *data, size_t len);
    bool (*has_8bit)(const char *data, size_t len);
    uint32_t (*crc32c)(uint32_t seed, const void *data, size_t len);
    struct scan_progress (*read)(struct scan_reader *reader, const char *src, size_t len, char *dst,
                                 size_t cap);
    size_t (*stuff)(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst);
};

extern const struct scan_ops scan_ops_scalar;
#ifdef SCAN_X86
extern const struct scan_ops scan_ops_avx2;
extern const struct scan_ops scan_ops_avx512;
uint32_t scan_crc32c_sse42(uint32_t seed, const void *data, size_t len);
#endif

void scan_crc32c_tables_init(void); /* once, before anything else runs */
uint32_t scan_crc32c_scalar(uint32_t seed, const void *data, size_t len);
