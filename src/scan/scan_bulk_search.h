/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_bulk_search - the search for CRLF and for octets over 127, over blocks
 */
#pragma once

/* Octets in whole groups that hold no CRLF that ends in them. data[-1] can be read. */
static inline size_t skip_without_crlf(const char *data, size_t len)
{
    size_t at = 0;
    for (; len - at >= GROUP; at += GROUP) {
        struct calm calm = calm_begin();
        for (size_t i = 0; i < GROUP_BLOCKS; i++)
            calm_find(&calm, data + at + i * BLOCK);
        if (calm_broken(&calm)) break;
    }
    return at;
}

static size_t find_crlf(const char *data, size_t len)
{
    uint64_t follows = 0;
    size_t at = 0;
    while (at < len) {
        const size_t n = MIN(len - at, (size_t)BLOCK);
        const struct block block =
            n == BLOCK ? block_load(data + at) : block_load_part(data + at, n);
        const uint64_t cr = block_equal(&block, '\r');
        const uint64_t ends = block_equal(&block, '\n') & (cr << 1 | follows) & low_bits(n);
        if (ends != 0) return at + first_bit(ends) - 1;
        at += n;
        at += skip_without_crlf(data + at, len - at);
        follows = data[at - 1] == '\r';
    }
    return len;
}

static bool has_8bit(const char *data, size_t len)
{
    size_t at = 0;
    for (; len - at >= GROUP; at += GROUP) {
        struct calm calm = calm_begin();
        for (size_t i = 0; i < GROUP_BLOCKS; i++)
            calm_ascii(&calm, data + at + i * BLOCK);
        if (calm_high(&calm)) return true;
    }
    for (; at < len; at += BLOCK) {
        const size_t n = MIN(len - at, (size_t)BLOCK);
        const struct block block =
            n == BLOCK ? block_load(data + at) : block_load_part(data + at, n);
        if ((block_high(&block) & low_bits(n)) != 0) return true;
    }
    return false;
}
