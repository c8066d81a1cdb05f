/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_bulk - the kernels over blocks of 64 octets, for any instruction set
 *
 * The including file first defines struct block and
 *     block_load(data)             64 octets
 *     block_load_part(data, n)     n < 64 octets; the others read as anything
 *     block_store(dst, block)      64 octets
 *     block_store_part(dst, src, block, n)   the first n < 64 octets
 *     block_store_without(dst, src, block, drop)   64 octets less those whose bits are set, of
 * which there are at most 22; may read src up to PAST octets beyond the block and write all 64 at
 * dst block_equal(block, octet)    bit i: octet i equals block_high(block)            bit i: octet
 * i is over 127 mask_without(mask, drop)     the bits of mask that are not in drop, moved together
 *     zeros_below(mask), zeros_above(mask)   64 if there is no bit; without a branch
 * then, to gather evidence in vector registers and look at it once for several blocks,
 *     struct kinds, kinds_begin(), kinds_add(kinds, block), kinds_nul(kinds), kinds_high(kinds)
 *     struct calm, calm_begin(), calm_ends(calm, src, dst), calm_broken(calm), calm_odd(calm)
 *                                  calm_ends() copies a block, may read src[-1] to src[64], and
 *                                  returns where the LFs are. Broken: a CR and a LF that are not
 *                                  each other's, or LF "." (of which
 *                                  either may lie outside the block); odd: an octet that is
 * not 1..127 calm_copy(calm, src, dst)    copies a block, may read src[-1]; broken: LF "." only
 *     calm_find(calm, src)         may read src[-1]; broken: CRLF
 *     calm_ascii(calm, src), calm_high(calm)   an octet over 127
 * and for one block
 *     calm_stuffed(block, src, &ends, &stuffed)   the block at src, not copied; may read src[-1] to
 *                                  src[64]. Where the LFs are, and each "." behind a LF. False:
 *                                  broken as above, but LF "." only if CR follows
 *     struct wrong, wrong_begin(), wrong_add(wrong, data), wrong_any(wrong)   a block of UTF-8 with
 *                                  the three octets before it has faults
 */
#pragma once
#include "scan_ops.h"
#include "scan_step.h"

enum {
    BLOCK = 64,
    PAST = 32,
    GROUP_BLOCKS = 4, /* evidence is looked at once a group */
    GROUP = GROUP_BLOCKS * BLOCK,
};

static inline uint64_t low_bits(size_t n) /* n <= 64 */
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}
static inline size_t first_bit(uint64_t mask) /* mask != 0 */
{
    return (size_t)__builtin_ctzll(mask);
}

#include "scan_bulk_read.h"
#include "scan_bulk_search.h"
#include "scan_bulk_stuff.h"
#include "scan_bulk_utf8.h"
