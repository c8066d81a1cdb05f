/* SPDX-License-Identifier: Apache-2.0
 *
 * scan - passes calls on to the kernels in force
 */
#include "scan_ops.h"

static const struct scan_ops *const by_level[SIMD_LEVEL_COUNT] = {
    [SIMD_SCALAR] = &scan_ops_scalar,
#ifdef __aarch64__
    [SIMD_NEON] = &scan_ops_neon,
#endif
#ifdef __x86_64__
    [SIMD_AVX2] = &scan_ops_avx2,
    [SIMD_AVX512] = &scan_ops_avx512,
#endif
};
#define ops (by_level[simd_in_force])

size_t scan_find_crlf(const char *data, size_t len)
{
    return ops->find_crlf(data, len);
}

bool scan_has_8bit(const char *data, size_t len)
{
    return ops->has_8bit(data, len);
}

uint32_t scan_crc32c(uint32_t seed, const void *data, size_t len)
{
    return ops->crc32c(seed, data, len);
}

struct scan_progress scan_read(struct scan_reader *reader, const char *src, size_t len, char *dst,
                               size_t cap)
{
    return ops->read(reader, src, len, dst, cap);
}

size_t scan_stuff(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst)
{
    return ops->stuff(stuffer, src, len, dst);
}

size_t scan_utf8_valid_len(const char *data, size_t len)
{
    const size_t good = ops->utf8_pass(data, len);
    return good == len ? len : good + scan_utf8_plain_len(data + good, len - good);
}

bool scan_utf8_is_valid(const char *data, size_t len)
{
    return scan_utf8_valid_len(data, len) == len;
}

void scan_reader_init(struct scan_reader *reader, bool dots)
{
    *reader = (struct scan_reader){.state = SCAN_LINE_START, .dots = dots};
}

void scan_reader_finish(struct scan_reader *reader)
{
    ASSERT(reader->dots == (reader->state == SCAN_END));
    if (reader->state == SCAN_AFTER_CR) {
        reader->classes |= SCAN_BARE_CR;
        reader->state = SCAN_IN_LINE;
    }
    reader->line_max = MAX(reader->line_max, reader->line);
}
