/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_bulk_read - the content reader over blocks
 *
 * Most of what comes is calm: each CR has its LF, each LF its CR, and no line begins with a dot. A
 * group of blocks is copied and gathers evidence of the contrary. If there is none, the LFs are the
 * ends of lines, and only their places are still needed. If there is some, the group is done again
 * by the masks of each block (bit i = octet i):
 *
 *     follows = CR << 1 | carried     the octet follows a CR
 *     ends    = LF & follows          the LF of a CRLF
 *     starts  = ends << 1 | carried   the octet begins a line
 *
 * so a bare LF is LF & ~follows, and a bare CR shows as follows & ~LF one octet later. A dot where
 * a line starts was put there by the sender, unless a CR follows: then the block is cut before the
 * dot, and the specification decides octet by octet.
 */
#pragma once

/* A line between two ends of one block has at most 61 octets: most messages have a longer one early
 * on, and from then on only the first end of a block matters. */
enum { INSIDE_MAX = 61 };
/* Calm blocks in a row before groups are tried again. */
enum { CALM_BLOCKS = 4 };

/* The reader's state in registers. */
struct run {
    uint64_t follows, starts; /* 0 or 1, carried into the next block */
    uint64_t line, line_max;
    uint64_t high, nul, bare_cr, bare_lf, dots; /* masks gather evidence for the classes */
    struct kinds kinds;
    unsigned unrest; /* blocks to be done one by one */
};

static inline struct run run_begin(const struct scan_reader *reader)
{
    return (struct run){
        .follows = reader->state == SCAN_AFTER_CR,
        .starts = reader->state == SCAN_LINE_START,
        .line = reader->line,
        .line_max = reader->line_max,
        .kinds = kinds_begin(),
        .unrest = 1, /* a group looks at the octet before it: there is none yet */
    };
}

static inline void run_end(const struct run *run, struct scan_reader *reader, size_t written)
{
    const bool high = run->high != 0 || kinds_high(&run->kinds);
    const bool nul = run->nul != 0 || kinds_nul(&run->kinds);
    reader->state = run->starts ? SCAN_LINE_START : run->follows ? SCAN_AFTER_CR : SCAN_IN_LINE;
    reader->line = run->line;
    reader->line_max = run->line_max;
    reader->octets += written;
    reader->classes |=
        (uint8_t)((high ? SCAN_8BIT : 0) | (nul ? SCAN_NUL : 0) |
                  (run->bare_cr ? SCAN_BARE_CR : 0) | (run->bare_lf ? SCAN_BARE_LF : 0) |
                  (run->dots ? SCAN_LEADING_DOT : 0));
}

/* ---- lengths of lines -------------------------------------------------------------------------
 */

/* Between the ends: bits further apart than line_max + 2, that is longer lines. Each end is smeared
 * over the line_max + 2 octets behind it; an end that is not reached stands behind a longer line.
 */
static inline bool longer_inside(uint64_t ends, uint64_t line_max)
{
    const uint64_t reach = line_max + 2, first = MIN(reach, (uint64_t)32); /* reach <= 62 */
    uint64_t smeared = ends;
    if (LIKELY(reach >= 16)) {
        for (unsigned by = 1; by < 16; by *= 2)
            smeared |= smeared << by;
        smeared |= smeared << (first - 16);
        smeared |= smeared << (reach - first);
    } else {
        for (uint64_t width = 1; width < reach; width *= 2)
            smeared |= smeared << MIN(width, reach - width);
    }
    return (ends & (ends - 1) & ~(smeared << 1)) != 0;
}

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

static inline void run_inside(struct run *run, uint64_t ends)
{
    if (run->line_max < INSIDE_MAX && UNLIKELY(longer_inside(ends, run->line_max))) {
        run->line_max = longest_inside(ends, run->line_max);
    }
}

/* The line that ends first, and the one that begins last, in n octets. No branch on whether a line
 * ends in this block: nobody could foretell that. */
static inline void run_lines(struct run *run, uint64_t ends, size_t n)
{
    const uint64_t before = zeros_below(ends), none = 0 - (before >> 6); /* all bits, or no bit */
    const uint64_t finished = (run->line + before - 1) & ~none;
    run->line_max = MAX(run->line_max, finished);
    run->line = (run->line & none) + zeros_above(ends) + n - 64;
}

/* ---- calm groups ------------------------------------------------------------------------------
 */

/* blocks is a constant. False: what is there is not calm, and nothing has happened. */
static inline bool run_group(struct run *run, const char *src, char *dst, const size_t blocks)
{
    struct calm calm = calm_begin();
    uint64_t ends[GROUP_BLOCKS];
    for (size_t i = 0; i < blocks; i++)
        ends[i] = calm_ends(&calm, src + i * BLOCK, dst + i * BLOCK);
    if (UNLIKELY(calm_broken(&calm))) return false;
    if (UNLIKELY(calm_odd(&calm))) {
        for (size_t i = 0; i < blocks; i++) {
            const struct block block = block_load(src + i * BLOCK);
            kinds_add(&run->kinds, &block);
        }
    }
    for (size_t i = 0; i < blocks; i++)
        run_lines(run, ends[i], BLOCK);
    if (run->line_max < INSIDE_MAX) {
        for (size_t i = 0; i < blocks; i++)
            run_inside(run, ends[i]);
    }
    return true;
}

/* Takes whole groups and blocks while all is calm: returns how many octets. src[-1] can be read. */
static inline size_t run_calm(struct run *run, const char *src, char *dst, size_t n)
{
    size_t at = 0;
    if (run->starts && src[0] == '.') return 0;
    for (; n - at > GROUP; at += GROUP) {
        if (UNLIKELY(!run_group(run, src + at, dst + at, GROUP_BLOCKS))) break;
    }
    for (; n - at > BLOCK; at += BLOCK) {
        if (UNLIKELY(!run_group(run, src + at, dst + at, 1))) break;
    }
    if (at > 0) { /* each CR has its LF, and the other way round */
        run->follows = src[at - 1] == '\r';
        run->starts = src[at - 1] == '\n';
    }
    return at;
}

/* ---- blocks that are calm but for stuffed dots ------------------------------------------------
 */

/* Until nothing is stuffed any more, or something else is not calm. Of src and dst are n octets
 * left, src[-1] can be read. What is seen of the next block will be taken in this call: the room
 * for it is there. */
static inline struct scan_progress run_stuffed(struct run *run, const char *src, char *dst,
                                               size_t n)
{
    struct scan_progress done = {0, 0};
    if (src[-1] == '\n' && !run->starts) return done; /* bare, and the blocks do not look so far */
    while (run->unrest > 0 && n - done.taken >= BLOCK + PAST) {
        const char *at = src + done.taken;
        const struct block block = block_load(at);
        uint64_t ends, stuffed;
        if (UNLIKELY(!calm_stuffed(&block, at, &ends, &stuffed))) break;
        if (UNLIKELY(run->dots == 0)) { /* until the first line that begins with a dot */
            __asm__ volatile("");       /* gcc would do it for each block, to have no branch */
            const struct block behind = block_load(at + 1);
            run->dots = stuffed & block_equal(&behind, '.');
        }
        kinds_add(&run->kinds, &block);
        const size_t written = BLOCK - (size_t)__builtin_popcountll(stuffed);
        block_store_without(dst + done.written, at, &block, stuffed);
        const uint64_t ends_written = mask_without(ends, stuffed);
        run_lines(run, ends_written, written);
        run_inside(run, ends_written);
        done.taken += BLOCK;
        done.written += written;
        run->unrest = stuffed != 0 ? CALM_BLOCKS : run->unrest - 1;
    }
    if (done.taken > 0) { /* each CR has its LF, and the other way round */
        run->follows = src[done.taken - 1] == '\r';
        run->starts = src[done.taken - 1] == '\n';
    }
    return done;
}

/* ---- a block that may hold anything -----------------------------------------------------------
 */

/* Copies n octets without those in drop. full: 64 octets fit at dst. */
static inline void store_without(char *dst, const char *src, const struct block *block,
                                 uint64_t drop, size_t n, bool full, bool past)
{
    if (drop == 0) {
        if (full) {
            block_store(dst, block);
        } else {
            block_store_part(dst, src, block, n);
        }
    } else if (full && past) {
        block_store_without(dst, src, block, drop);
    } else {
        for (size_t i = 0; i < n; i++) {
            *dst = src[i];
            dst += !(drop >> i & 1);
        }
    }
}

/* The dots that begin lines. DATA: they go, and the block is cut (*n) before one that a CR follows,
 * or for which it cannot be seen. Returns what to drop. */
static inline uint64_t run_dots(struct run *run, uint64_t leading, uint64_t cr, uint64_t dot,
                                size_t *n, bool dots)
{
    if (!dots) {
        run->dots |= leading;
        return 0;
    }
    const uint64_t cut = leading & (cr >> 1 | (uint64_t)1 << (*n - 1));
    if (cut != 0) {
        *n = first_bit(cut);
        leading &= low_bits(*n);
    }
    run->dots |= leading & dot >> 1; /* below *n - 1: the octet behind is one that came */
    return leading;
}

/* Takes the first n octets, or fewer. At 0 stands a dot that the specification must look at.
 * past: PAST octets can be read beyond a whole block. */
static inline struct scan_progress run_block(struct run *run, const char *src, char *dst, size_t n,
                                             bool dots, bool past)
{
    const bool full = n == BLOCK;
    const struct block block = full ? block_load(src) : block_load_part(src, n);
    const uint64_t cr = block_equal(&block, '\r'), lf = block_equal(&block, '\n');
    const uint64_t dot = block_equal(&block, '.');
    const uint64_t follows = cr << 1 | run->follows;
    const uint64_t ends = lf & follows;
    const uint64_t leading = dot & (ends << 1 | run->starts) & low_bits(n);
    const uint64_t drop = leading != 0 ? run_dots(run, leading, cr, dot, &n, dots) : 0;
    if (n == 0) return (struct scan_progress){0, 0};

    const uint64_t valid = low_bits(n), bare = (lf ^ follows) & valid;
    if (n == BLOCK) {
        kinds_add(&run->kinds, &block);
    } else {
        run->high |= block_high(&block) & valid;
        run->nul |= block_equal(&block, '\0') & valid;
    }
    run->bare_lf |= bare & lf;
    run->bare_cr |= bare & follows;
    store_without(dst, src, &block, drop, n, full, past);
    const size_t written = n - (size_t)__builtin_popcountll(drop);
    const uint64_t ends_written = drop != 0 ? mask_without(ends & valid, drop) : ends & valid;
    run_lines(run, ends_written, written);
    run_inside(run, ends_written);
    run->follows = cr >> (n - 1) & 1;
    run->starts = ends >> (n - 1) & 1;
    run->unrest = (leading | bare) != 0 ? CALM_BLOCKS : run->unrest - (run->unrest > 0);
    return (struct scan_progress){n, written};
}

/* ---- the whole --------------------------------------------------------------------------------
 */

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

/* Only in the states up to SCAN_AFTER_CR. Stops at a dot that may be the end. */
static inline struct scan_progress read_run(struct scan_reader *reader, const char *src, size_t len,
                                            char *dst, size_t cap)
{
    struct run run = run_begin(reader);
    struct scan_progress done = {0, 0};
    const bool dots = reader->dots;
    while (done.taken < len && done.written < cap) {
        const size_t left = len - done.taken, room = MIN(left, cap - done.written);
        if (run.unrest == 0 && room > BLOCK) {
            const size_t n = run_calm(&run, src + done.taken, dst + done.written, room);
            done.taken += n;
            done.written += n;
            run.unrest = room - n > BLOCK ? CALM_BLOCKS : 0;
            if (n > 0) continue;
        } else if (dots && done.taken > 0 && room >= BLOCK + PAST) {
            const struct scan_progress step =
                run_stuffed(&run, src + done.taken, dst + done.written, room);
            done.taken += step.taken;
            done.written += step.written;
            if (step.taken > 0) continue;
        }
        const struct scan_progress step =
            run_block(&run, src + done.taken, dst + done.written, MIN(room, (size_t)BLOCK), dots,
                      left >= BLOCK + PAST);
        if (step.taken == 0) break;
        done.taken += step.taken;
        done.written += step.written;
    }
    run_end(&run, reader, done.written);
    return done;
}

static struct scan_progress read_content(struct scan_reader *reader, const char *src, size_t len,
                                         char *dst, size_t cap)
{
    struct scan_progress done = {0, 0};
    while (done.taken < len && done.written < cap && reader->state != SCAN_END) {
        if (reader->state <= SCAN_AFTER_CR) {
            const struct scan_progress run = read_run(reader, src + done.taken, len - done.taken,
                                                      dst + done.written, cap - done.written);
            done.taken += run.taken;
            done.written += run.written;
            if (done.taken == len || done.written == cap) break;
        }
        const struct scan_progress dot = read_dot(reader, src + done.taken, len - done.taken,
                                                  dst + done.written, cap - done.written);
        done.taken += dot.taken;
        done.written += dot.written;
    }
    return done;
}
