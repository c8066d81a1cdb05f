/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_decode_bulk - decoding by blocks of 64 octets, for any instruction set that gives masks
 *
 * The including file first defines struct qp_block and
 *     blocks_are_plain(src, strict)   of 128 octets: nothing needs a look (below)
 *     blocks_copy(dst, src)           128 octets; all are read before one is written
 *     block_lf(src)                   bit i: octet i is LF
 *     block_read(block, src, strict)  loads 64 octets and says what is in them: struct qp_marks
 *     block_write(dst, block, kept)   writes the octets kept, of each "=" the value of its digits,
 *                                     and then anything up to 64 octets
 * of which block_read() and blocks_are_plain() look at up to two octets more than they tell of.
 *
 * A token ("=XX", "=" CRLF) belongs to the block where it begins: what it has in the next one is
 * carried there as a mask of octets to skip. So the source advances by whole blocks, and no load
 * waits for the block before. Everything that is out of the ordinary is left to the scalar decoder,
 * a block at a time: malformed "=", white space that may end a line and, if strict, errors.
 *
 * In place: a block is written where it or an earlier one was read, never beyond its end. So the
 * octets that the next blocks need are still there.
 */
#pragma once
#include "qp_ops.h"

enum { QP_BLOCK = 64, QP_AHEAD = 2 };

/* strict is known at each call: no kernel tests it. */
#define QP_ALWAYS static inline __attribute__((always_inline))

struct qp_run {
    size_t taken, written;
    uint64_t skip;   /* octets of the next block that belong to a token before it */
    uint32_t column; /* strict: octets since the last LF, also a CR */
};

/* A strict line has at most 76 characters, and so 77 octets before its LF. Where a block without a
 * LF comes near that, its last octet may be the CR, and no "=XX" may reach into the next one. */
static inline bool column_fits(uint32_t *column, const char *src, uint64_t lf, uint64_t escapes)
{
    if (lf == 0) {
        *column += QP_BLOCK;
        if (LIKELY(*column <= CODEC_QP_LINE - 2)) return true;
        return *column <= CODEC_QP_LINE + (unsigned)(src[QP_BLOCK] == '\n') && escapes >> 62 == 0;
    }
    const uint32_t first = (uint32_t)__builtin_ctzll(lf);
    const bool fits = *column + first <= CODEC_QP_LINE + 1;
    *column = (uint32_t)__builtin_clzll(lf);
    return fits;
}

/* Two blocks at once: the choice between copying and decoding is then easier to foresee. */
QP_ALWAYS bool take_plain(struct qp_run *run, const char *src, char *dst, bool strict)
{
    if (run->skip != 0 || !blocks_are_plain(src, strict)) return false;
    if (strict) {
        uint32_t column = run->column;
        if (!column_fits(&column, src, block_lf(src), 0)) return false;
        if (!column_fits(&column, src + QP_BLOCK, block_lf(src + QP_BLOCK), 0)) return false;
        run->column = column;
    }
    blocks_copy(dst, src);
    run->taken += 2 * QP_BLOCK;
    run->written += 2 * QP_BLOCK;
    return true;
}

/* What the "=" that are neither escapes nor CRLF breaks are: lenient, they may be soft breaks with
 * a bare LF. False if the scalar decoder must see the block. */
QP_ALWAYS bool short_breaks(const struct qp_marks *marks, const char *src, bool strict,
                            uint64_t *breaks)
{
    *breaks = 0;
    if (LIKELY((marks->unknown | marks->odd) == 0)) return true;
    if (strict || marks->odd != 0) return false;
    *breaks = marks->unknown & block_lf(src + 1);
    return *breaks == marks->unknown;
}

/* Everything of a token but the "=" of an escape, which its value takes the place of. */
static inline uint64_t dropped(const struct qp_marks *marks, uint64_t shorts, uint64_t skip)
{
    const uint64_t pairs = marks->escapes | marks->breaks; /* two more octets belong to them */
    return skip | marks->breaks | pairs << 1 | pairs << 2 | shorts | shorts << 1;
}

QP_ALWAYS bool take_block(struct qp_run *run, const char *src, char *dst, bool strict)
{
    struct qp_block block;
    const struct qp_marks marks = block_read(&block, src, strict);
    uint32_t column = run->column;
    uint64_t shorts;
    if (UNLIKELY(!short_breaks(&marks, src, strict, &shorts))) return false;
    if (strict && !column_fits(&column, src, marks.lf, marks.escapes)) return false;

    const uint64_t drop = dropped(&marks, shorts, run->skip);
    const uint64_t pairs = marks.escapes | marks.breaks;
    block_write(dst, &block, ~drop);
    run->skip = pairs >> 63 | pairs >> 62 | shorts >> 63;
    run->column = column;
    run->taken += QP_BLOCK;
    run->written += QP_BLOCK - (size_t)__builtin_popcountll(drop);
    return true;
}

static inline uint64_t first_bits(size_t n) /* n <= 64 */
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* The last octets, if no white space is open at their end: from a copy with "x" behind them, by way
 * of a copy of what comes out. A token that is open shows, since no token goes on with "x". */
QP_ALWAYS void take_rest(struct qp_run *run, const char *src, size_t n, char *dst, bool strict)
{
    struct qp_block block;
    char from[QP_BLOCK + QP_AHEAD], to[QP_BLOCK];
    if (src[n - 1] == ' ' || src[n - 1] == '\t') return;
    memset(from, 'x', sizeof(from));
    memcpy(from, src, n);
    const struct qp_marks marks = block_read(&block, from, strict);
    uint64_t shorts;
    if (!short_breaks(&marks, from, strict, &shorts)) return;
    if (strict) {
        const uint32_t octets = (uint32_t)n;
        const uint64_t lf = marks.lf;
        const uint32_t line = lf != 0 ? (uint32_t)__builtin_ctzll(lf) - 1 : octets; /* no CR */
        if (run->column + line > CODEC_QP_LINE) return;
        run->column =
            lf != 0 ? octets - QP_BLOCK + (uint32_t)__builtin_clzll(lf) : run->column + octets;
    }
    const uint64_t drop = dropped(&marks, shorts, run->skip);
    const size_t written = (size_t)__builtin_popcountll(~drop & first_bits(n));
    block_write(to, &block, ~drop);
    memcpy(dst, to, written);
    run->skip = 0;
    run->taken += n;
    run->written += written;
}

/* As far as blocks go. Only in QP_TEXT and with no white space held. */
QP_ALWAYS struct codec_progress decode_blocks(struct codec_qp_decoder *decoder, const char *src,
                                              size_t len, char *dst, size_t cap, const bool strict)
{
    struct qp_run run = {.column = decoder->column};
    bool good = true, plain = true;
    if (len == 0 || (strict && *src == '\n')) return (struct codec_progress){0, 0};
    while (good && len - run.taken >= 2 * QP_BLOCK + QP_AHEAD &&
           cap - run.written >= 2 * QP_BLOCK) {
        if (plain && take_plain(&run, src + run.taken, dst + run.written, strict)) continue;
        const size_t written = run.written;
        good = take_block(&run, src + run.taken, dst + run.written, strict) &&
               take_block(&run, src + run.taken, dst + run.written, strict);
        plain = run.written - written == 2 * QP_BLOCK;
    }
    while (good && len - run.taken >= QP_BLOCK + QP_AHEAD && cap - run.written >= QP_BLOCK)
        good = take_block(&run, src + run.taken, dst + run.written, strict);
    const size_t left = len - run.taken;
    if (good && left >= QP_AHEAD && left <= QP_BLOCK && cap - run.written >= left)
        take_rest(&run, src + run.taken, left, dst + run.written, strict);
    if (run.taken == 0) return (struct codec_progress){0, 0};

    decoder->column = run.column;
    if (strict && run.skip == 0 && run.taken < len && src[run.taken] == '\n')
        decoder->state = QP_CR; /* no LF in these blocks is bare: the last octet was its CR */
    for (; run.skip != 0; run.skip >>= 1, run.taken++) /* digits, or the end of a soft break */
        decoder->column = src[run.taken] == '\n' ? 0 : decoder->column + 1;
    decoder->offset += run.taken;
    return (struct codec_progress){run.taken, run.written};
}

static struct codec_progress decode(struct codec_qp_decoder *decoder, const char *src, size_t len,
                                    char *dst, size_t cap)
{
    struct codec_progress done = {0, 0};
    for (;;) {
        struct codec_progress part = {0, 0};
        if (decoder->state == QP_TEXT && decoder->space_count == 0) {
            part = decoder->mode == CODEC_QP_STRICT
                       ? decode_blocks(decoder, src + done.taken, len - done.taken,
                                       dst + done.written, cap - done.written, true)
                       : decode_blocks(decoder, src + done.taken, len - done.taken,
                                       dst + done.written, cap - done.written, false);
            done.taken += part.taken;
            done.written += part.written;
        }
        const size_t left = len - done.taken, room = cap - done.written;
        if (part.taken > 0 && room < CODEC_ROOM_MIN && room < left) return done;
        const size_t at_least = left > 2 * QP_BLOCK ? QP_BLOCK : SIZE_MAX;
        part = qp_decode_steps(decoder, src + done.taken, left, dst + done.written, room, at_least);
        done.taken += part.taken;
        done.written += part.written;
        if (part.taken < at_least || decoder->error != CODEC_NO_ERROR) return done;
    }
}
