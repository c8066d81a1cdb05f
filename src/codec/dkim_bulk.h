/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim_bulk - relaxed white space over blocks of 64 octets, for any instruction set
 *
 * Most text has single spaces between its words and none at the ends of lines. The including file
 * defines three functions.
 *
 * copy_quiet(src, dst) copies GROUP octets and may read src[GROUP]. True if nothing would have to
 * change: no tab, and no space before an octet up to 32.
 *
 * relax_block(src, dst, valid): 64 octets of which those in the mask count. It may read src[65] and
 * write all 64 at dst. Returns the octets that remain.
 *
 * relax_rest(src, len, dst), only if it has a better one than that below, and then also OWN_REST.
 *
 * Bound: what is written is never longer than what was taken, so whole blocks may be stored while
 * whole blocks are left of the source.
 */
#pragma once
#include "dkim_ops.h"

enum {
    BLOCK = 64,
    AHEAD = 2, /* octets that decide about the last one of a block */
    GROUP_BLOCKS = 4,
    GROUP = GROUP_BLOCKS * BLOCK,
};

#ifndef OWN_REST
/* The last octets, up to a block and what would lie ahead of it. */
static inline size_t relax_rest(const char *src, size_t len, char *dst)
{
    char padded[2 * BLOCK + AHEAD] = {0}, out[2 * BLOCK];
    memcpy(padded, src, len);
    const size_t in_first = MIN(len, (size_t)BLOCK), in_second = len - in_first;
    const uint64_t first = in_first == BLOCK ? UINT64_MAX : ((uint64_t)1 << in_first) - 1;
    size_t written = relax_block(padded, out, first);
    if (in_second > 0) {
        const uint64_t second = ((uint64_t)1 << in_second) - 1;
        written += relax_block(padded + BLOCK, out + written, second);
    }
    memcpy(dst, out, written);
    return written;
}
#endif

/* Less than a group behind a quiet one: a group that begins within that one, and writes there what
 * stands there. The last octet is left out, for nothing lies ahead of it; it counts. dst: where the
 * octets go that src[0] and the following ones were copied to. */
static inline bool copy_quiet_rest(const char *src, size_t len, char *dst)
{
    const size_t last = len - 1;
    if (!copy_quiet(src + last - GROUP, dst + last - GROUP)) return false;
    dst[last] = src[last];
    return true;
}

static size_t relax(const char *src, size_t len, char *dst)
{
    size_t at = 0, written = 0;
    bool quiet = true; /* the text has been so: else the attempt is not worth it */
    bool copied = false;
    while (len - at >= GROUP + AHEAD) {
        copied = quiet && copy_quiet(src + at, dst + written);
        if (copied) {
            at += GROUP;
            written += GROUP;
            continue;
        }
        const size_t before = written;
        for (size_t i = 0; i < GROUP_BLOCKS; i++, at += BLOCK)
            written += relax_block(src + at, dst + written, UINT64_MAX);
        quiet = written - before == GROUP;
    }
    if (copied && copy_quiet_rest(src, len, dst + written - at)) return written + len - at;
    for (; len - at >= BLOCK + AHEAD; at += BLOCK)
        written += relax_block(src + at, dst + written, UINT64_MAX);
    if (at < len) written += relax_rest(src + at, len - at, dst + written);
    return written;
}
