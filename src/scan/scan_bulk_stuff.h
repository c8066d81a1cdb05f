/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_bulk_stuff - dot-stuffing over blocks
 *
 * Groups without LF "." are copied as they are. Elsewhere a block is stored once, and once more one
 * octet further for each dot that begins a line, from that dot on. Bound: this stays below twice
 * the source while two blocks are left of it: with at octets taken, at most 2 at are written, the
 * last store begins at most 63 + 22 octets behind and ends 64 later, and 149 <= 2 * 128.
 */
#pragma once

/* The reader's state in registers. */
struct stuffing {
    uint64_t follows, starts; /* 0 or 1, carried into the next block */
};

/* blocks is a constant. False: something is to be doubled, and nothing has happened. */
static inline bool copy_group(const char *src, char *dst, const size_t blocks)
{
    struct calm calm = calm_begin();
    for (size_t i = 0; i < blocks; i++)
        calm_copy(&calm, src + i * BLOCK, dst + i * BLOCK);
    return !calm_broken(&calm);
}

/* Copies whole groups and blocks in which nothing is to be doubled. src[-1] can be read. */
static inline size_t copy_groups(const char *src, size_t len, char *dst)
{
    size_t at = 0;
    for (; len - at >= GROUP; at += GROUP) {
        if (UNLIKELY(!copy_group(src + at, dst + at, GROUP_BLOCKS))) return at;
    }
    for (; len - at >= BLOCK; at += BLOCK) {
        if (UNLIKELY(!copy_group(src + at, dst + at, 1))) return at;
    }
    return at;
}

/* One block of which n octets count; fewer only at the end of the source. Returns the octets
 * written. */
static inline size_t stuff_block(struct stuffing *stuffing, const char *src, size_t n, char *dst,
                                 bool roomy)
{
    const struct block block = n == BLOCK ? block_load(src) : block_load_part(src, n);
    const uint64_t cr = block_equal(&block, '\r');
    const uint64_t ends = block_equal(&block, '\n') & (cr << 1 | stuffing->follows);
    uint64_t leading = block_equal(&block, '.') & (ends << 1 | stuffing->starts) & low_bits(n);
    size_t more = 0;
    if (leading == 0 && n < BLOCK) {
        block_store_part(dst, src, &block, n);
    } else if (leading == 0 || roomy) {
        block_store(dst, &block);
        for (; leading != 0; leading &= leading - 1) {
            const size_t dot = first_bit(leading);
            const struct block rest = block_load(src + dot);
            more += 1;
            block_store(dst + dot + more, &rest);
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            dst[i + more] = src[i];
            more += leading >> i & 1;
            dst[i + more] = src[i];
        }
    }
    stuffing->follows = cr >> (n - 1) & 1;
    stuffing->starts = ends >> (n - 1) & 1;
    return n + more;
}

static size_t stuff(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst)
{
    struct stuffing stuffing = {
        .follows = stuffer->state == SCAN_AFTER_CR,
        .starts = stuffer->state == SCAN_LINE_START,
    };
    size_t taken = 0, written = 0;
    unsigned unrest = 1; /* blocks to be done one by one */
    while (taken < len) {
        const size_t left = len - taken, n = MIN(left, (size_t)BLOCK);
        written += stuff_block(&stuffing, src + taken, n, dst + written, left >= (size_t)2 * BLOCK);
        taken += n;
        unrest -= 1;
        if (unrest > 0) continue;
        const size_t copied = copy_groups(src + taken, len - taken, dst + written);
        unrest = GROUP_BLOCKS;
        if (copied == 0) continue;
        taken += copied;
        written += copied;
        stuffing.follows = src[taken - 1] == '\r';
        /* Two octets before: there were at least BLOCK. */
        stuffing.starts = src[taken - 1] == '\n' && src[taken - 2] == '\r';
    }
    stuffer->state = stuffing.starts    ? SCAN_LINE_START
                     : stuffing.follows ? SCAN_AFTER_CR
                                        : SCAN_IN_LINE;
    return written;
}
