/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_bulk - the kernels over blocks of 64 octets, for any instruction set that gives masks
 *
 * The including file first defines struct block and
 *     block_load(data)             64 octets
 *     block_load_part(data, n)     n < 64 octets; the others read as anything
 *     block_store(dst, block)      64 octets
 *     block_store_part(dst, src, block, n)   the first n < 64 octets
 *     block_equal(block, octet)    bit i: octet i equals
 *     block_high(block)            bit i: octet i is over 127
 *
 * Within a block, with bit i for octet i:
 *
 *     follows = CR << 1 | carried     the octet follows a CR
 *     ends    = LF & follows          the LF of a CRLF
 *     starts  = ends << 1 | carried   the octet begins a line
 *
 * so a bare LF is LF & ~follows and a bare CR shows as follows & ~LF one octet later. Only a dot
 * where a line starts needs a decision octet by octet, by the specification in scan_step.h: the
 * block is cut before it.
 */
#pragma once
#include "scan_ops.h"
#include "scan_step.h"

enum { BLOCK = 64 };

static inline uint64_t low_bits(size_t n) /* n <= 64 */
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}
static inline size_t first_bit(uint64_t mask) /* mask != 0 */
{
    return (size_t)__builtin_ctzll(mask);
}
static inline size_t last_bit(uint64_t mask) /* mask != 0 */
{
    return 63 - (size_t)__builtin_clzll(mask);
}

/* The reader's state in registers; the masks gather evidence for the classes. */
struct run {
    uint64_t follows, starts; /* 0 or 1, carried into the next block */
    uint64_t line, line_max;
    uint64_t high, nul, bare_cr, bare_lf, dots;
};

static inline struct run run_begin(const struct scan_reader *reader)
{
    return (struct run){
        .follows = reader->state == SCAN_AFTER_CR,
        .starts = reader->state == SCAN_LINE_START,
        .line = reader->line,
        .line_max = reader->line_max,
    };
}

static inline void run_end(const struct run *run, struct scan_reader *reader, size_t written)
{
    reader->state = run->starts ? SCAN_LINE_START : run->follows ? SCAN_AFTER_CR : SCAN_IN_LINE;
    reader->line = run->line;
    reader->line_max = run->line_max;
    reader->octets += written;
    reader->classes |=
        (uint8_t)((run->high ? SCAN_8BIT : 0) | (run->nul ? SCAN_NUL : 0) |
                  (run->bare_cr ? SCAN_BARE_CR : 0) | (run->bare_lf ? SCAN_BARE_LF : 0) |
                  (run->dots ? SCAN_LEADING_DOT : 0));
}

/* A line between two ends in one block has at most 61 octets: most messages have a longer one
 * early on, and then this is not called any more. */
static __attribute__((noinline)) uint64_t longest_inside(uint64_t ends, uint64_t line_max)
{
    size_t from = first_bit(ends);
    for (ends &= ends - 1; ends != 0; ends &= ends - 1) {
        const size_t to = first_bit(ends);
        line_max = MAX(line_max, (uint64_t)(to - from - 2));
        from = to;
    }
    return line_max;
}

static inline void run_lines(struct run *run, uint64_t ends, size_t n)
{
    if (ends == 0) {
        run->line += n;
        return;
    }
    run->line_max = MAX(run->line_max, run->line + first_bit(ends) - 1);
    if (UNLIKELY(run->line_max < 61) && (ends & (ends - 1)) != 0) {
        run->line_max = longest_inside(ends, run->line_max);
    }
    run->line = n - 1 - last_bit(ends);
}

/* Takes the first n octets of the block into account, or up to the first stuffed dot: returns how
 * many. dots: look for stuffed dots (DATA). */
static inline size_t run_block(struct run *run, const struct block *block, size_t n, bool dots)
{
    const uint64_t cr = block_equal(block, '\r'), lf = block_equal(block, '\n');
    const uint64_t follows = cr << 1 | run->follows;
    const uint64_t ends = lf & follows;
    const uint64_t leading = block_equal(block, '.') & (ends << 1 | run->starts) & low_bits(n);
    if (UNLIKELY(leading != 0)) {
        if (dots) {
            n = first_bit(leading);
            if (n == 0) return 0;
        } else {
            run->dots |= leading;
        }
    }
    const uint64_t valid = low_bits(n);
    run->high |= block_high(block) & valid;
    run->nul |= block_equal(block, '\0') & valid;
    run->bare_lf |= lf & ~follows & valid;
    run->bare_cr |= follows & ~lf & valid;
    run_lines(run, ends & valid, n);
    run->follows = cr >> (n - 1) & 1;
    run->starts = ends >> (n - 1) & 1;
    return n;
}

/* The dot at src and what follows, until it is known what it was. */
static __attribute__((noinline)) struct scan_progress read_dot(struct scan_reader *reader,
                                                               const char *src, size_t len,
                                                               char *dst, size_t cap)
{
    struct scan_progress done = {0, 0};
    do {
        const struct scan_progress step = scan_step(reader, src[done.taken], dst + done.written);
        done.taken += step.taken;
        done.written += step.written;
    } while (reader->state > SCAN_AFTER_CR && reader->state != SCAN_END && done.taken < len &&
             done.written < cap);
    return done;
}

/* Only in the states up to SCAN_AFTER_CR. Stops at a stuffed dot. */
static inline size_t read_run(struct scan_reader *reader, const char *src, char *dst, size_t n)
{
    struct run run = run_begin(reader);
    const bool dots = reader->dots;
    size_t at = 0;
    while (n - at >= BLOCK) {
        /* The whole block is stored, then perhaps cut: what is beyond gets overwritten. */
        const struct block block = block_load(src + at);
        block_store(dst + at, &block);
        const size_t used = run_block(&run, &block, BLOCK, dots);
        at += used;
        if (UNLIKELY(used < BLOCK)) {
            run_end(&run, reader, at);
            return at;
        }
    }
    if (at < n) {
        const struct block block = block_load_part(src + at, n - at);
        const size_t used = run_block(&run, &block, n - at, dots);
        block_store_part(dst + at, src + at, &block, used);
        at += used;
    }
    run_end(&run, reader, at);
    return at;
}

static struct scan_progress read_content(struct scan_reader *reader, const char *src, size_t len,
                                         char *dst, size_t cap)
{
    struct scan_progress done = {0, 0};
    while (done.taken < len && done.written < cap && reader->state != SCAN_END) {
        const size_t room = MIN(len - done.taken, cap - done.written);
        if (reader->state <= SCAN_AFTER_CR) {
            const size_t n = read_run(reader, src + done.taken, dst + done.written, room);
            done.taken += n;
            done.written += n;
            if (n == room) continue;
        }
        const struct scan_progress dot = read_dot(reader, src + done.taken, len - done.taken,
                                                  dst + done.written, cap - done.written);
        done.taken += dot.taken;
        done.written += dot.written;
    }
    return done;
}

/* ---- stuffing ---------------------------------------------------------------------------------
 */

/* Copies up to the first dot that begins a line, or all. */
static inline size_t stuff_run(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst)
{
    uint64_t follows_before = stuffer->state == SCAN_AFTER_CR;
    uint64_t starts_before = stuffer->state == SCAN_LINE_START;
    size_t at = 0;
    while (at < len) {
        size_t n = MIN(len - at, (size_t)BLOCK);
        const struct block block = n == BLOCK ? block_load(src + at) : block_load_part(src + at, n);
        const uint64_t cr = block_equal(&block, '\r');
        const uint64_t ends = block_equal(&block, '\n') & (cr << 1 | follows_before);
        const uint64_t starts = ends << 1 | starts_before;
        const uint64_t leading = block_equal(&block, '.') & starts & low_bits(n);
        if (n == BLOCK) {
            block_store(dst + at, &block); /* dst has room for twice the source */
        } else {
            block_store_part(dst + at, src + at, &block, n);
        }
        const size_t used = leading != 0 ? first_bit(leading) : n;
        if (used > 0) {
            follows_before = cr >> (used - 1) & 1;
            starts_before = ends >> (used - 1) & 1;
        }
        at += used;
        if (leading != 0) break;
    }
    stuffer->state = starts_before    ? SCAN_LINE_START
                     : follows_before ? SCAN_AFTER_CR
                                      : SCAN_IN_LINE;
    return at;
}

static size_t stuff(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst)
{
    size_t taken = 0, written = 0;
    while (taken < len) {
        const size_t n = stuff_run(stuffer, src + taken, len - taken, dst + written);
        taken += n;
        written += n;
        if (taken < len) {
            written += scan_stuff_octet(stuffer, src[taken], dst + written);
            taken += 1;
        }
    }
    return written;
}

/* ---- searching --------------------------------------------------------------------------------
 */

static size_t find_crlf(const char *data, size_t len)
{
    uint64_t follows = 0;
    for (size_t at = 0; at < len; at += BLOCK) {
        const size_t n = MIN(len - at, (size_t)BLOCK);
        const struct block block =
            n == BLOCK ? block_load(data + at) : block_load_part(data + at, n);
        const uint64_t cr = block_equal(&block, '\r');
        const uint64_t ends = block_equal(&block, '\n') & (cr << 1 | follows) & low_bits(n);
        if (ends != 0) return at + first_bit(ends) - 1;
        follows = cr >> 63;
    }
    return len;
}

static bool has_8bit(const char *data, size_t len)
{
    size_t at = 0;
    uint64_t high = 0;
    for (; len - at >= BLOCK && high == 0; at += BLOCK) {
        const struct block block = block_load(data + at);
        high = block_high(&block);
    }
    if (at < len && high == 0) {
        const size_t n = MIN(len - at, (size_t)BLOCK - 1);
        const struct block block = block_load_part(data + at, n);
        high = block_high(&block) & low_bits(n);
    }
    return high != 0;
}
