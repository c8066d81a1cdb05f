/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_encode_bulk - encoding in two passes, for any instruction set that gives masks
 *
 * The including file first defines
 *     QP_GROUP                   how many octets expand() does: at most 21
 *     marks_read(src)            of 64 octets, as masks: struct qp_octets
 *     copy_80(dst, src)
 *     expand(dst, src, escapes)  the forms of QP_GROUP octets, of which those in the mask are
 *                                escaped; it may read 32 of src and write 80 of dst
 *     QP_FIT                     perhaps, a better form of how_many_fit()
 *
 * The first pass makes a map of some thousand octets: which are escaped, where lines end. Nothing
 * in it depends on where the output's lines begin. The second goes by output lines, which do depend
 * on each other, but only by a few bits of the map: octets that need no escape are copied at once,
 * the others in groups, until a group does not fit. Its first forms that do are kept (what is
 * behind them is written over).
 */
#pragma once
#include "qp_ops.h"

enum {
    QP_MAP = 4096,   /* octets of the source in a map */
    QP_SOURCE = 128, /* what the second pass may look at, from the start of an output line */
    QP_ROOM = CODEC_ROOM_MIN,
};

struct qp_map { /* bit i % 64 of [i / 64]: octet i; there is room to look further than the end */
    uint64_t escapes[QP_MAP / 64 + 2];
    uint64_t ends[QP_MAP / 64 + 2]; /* the CR of a CRLF that ends a line */
};

/* src has 64 * blocks octets and 2 more. The CR and the LF that end a line may be in ->escapes too:
 * nobody asks about those. */
static inline void make_map(struct qp_map *map, const char *src, size_t blocks, bool text)
{
    for (size_t i = 0; i < blocks; i++) {
        const struct qp_octets octets = marks_read(src + 64 * i);
        const char *behind = src + 64 * i + 64;
        const uint64_t lf_behind = behind[0] == '\n';
        const uint64_t end_behind = behind[0] == '\r' && behind[1] == '\n';
        const uint64_t ends = text ? octets.cr & (octets.lf >> 1 | lf_behind << 63) : 0;
        const uint64_t trailing = text ? octets.space & (ends >> 1 | end_behind << 63) : 0;
        map->escapes[i] = (octets.other & ~octets.space) | trailing;
        map->ends[i] = ends;
    }
}

/* At least 57 bits from there on. */
static inline uint64_t bits_at(const uint64_t *bits, size_t at)
{
    uint64_t word;
    memcpy(&word, (const char *)bits + at / 8, sizeof(word));
    return word >> at % 8;
}

static inline uint32_t low_bits(unsigned n) /* n < 32 */
{
    return ((uint32_t)1 << n) - 1;
}

static inline unsigned width_of(uint32_t escapes, unsigned n)
{
    return n + 2 * (unsigned)__builtin_popcount(escapes & low_bits(n));
}

/* How many of the first n octets have forms that fit into room characters together: not all do. */
#ifdef QP_FIT
#define how_many_fit QP_FIT
#else
static inline unsigned how_many_fit(uint32_t escapes, unsigned n, unsigned room)
{
    n = MIN(n, room);
    for (unsigned width; (width = width_of(escapes, n)) > room;)
        n -= (width - room + 2) / 3; /* at least so many must go: each has 3 characters at most */
    return n;
}
#endif

struct qp_cursor {
    const char *src; /* of the map's first octet */
    char *dst;
    size_t at;       /* in the map */
    unsigned column; /* of the output line */
    unsigned flags;
};

static inline void advance(struct qp_cursor *cursor, unsigned octets, unsigned chars)
{
    cursor->at += octets;
    cursor->dst += chars;
    cursor->column += chars;
}

static inline void soft_break(struct qp_cursor *cursor)
{
    memcpy(cursor->dst, "=\r\n", 4);
    cursor->dst += 3;
    cursor->column = 0;
}

static inline void hard_break(struct qp_cursor *cursor)
{
    memcpy(cursor->dst, "\r\n", 2);
    cursor->at += 2;
    cursor->dst += 2;
    cursor->column = 0;
}

/* RFC 2049 section 3, at the start of an output line. */
static inline void mark_special(const struct qp_cursor *cursor, struct qp_map *map)
{
    const char *src = cursor->src + cursor->at;
    if ((cursor->flags & CODEC_QP_ESCAPE_DOT && *src == '.') ||
        (cursor->flags & CODEC_QP_ESCAPE_FROM && memcmp(src, "From ", 5) == 0)) {
        map->escapes[cursor->at / 64] |= (uint64_t)1 << cursor->at % 64;
    }
}

/* Octets that need no escape, up to one that does. True if that ends the output line. */
static inline bool take_literals(struct qp_cursor *cursor, const struct qp_map *map)
{
    const size_t at = cursor->at; /* the first that is no literal, among at least 48 + 57 */
    const uint64_t near = bits_at(map->escapes, at) | bits_at(map->ends, at);
    const uint64_t far =
        bits_at(map->escapes, at + 48) | bits_at(map->ends, at + 48) | (uint64_t)1 << 56;
    const unsigned literals =
        (unsigned)(near != 0 ? __builtin_ctzll(near) : 48 + __builtin_ctzll(far));
    const unsigned filled = cursor->column + literals;
    copy_80(cursor->dst, cursor->src + at);
    if (filled <= CODEC_QP_LINE && bits_at(map->ends, at + literals) & 1) {
        advance(cursor, literals, literals);
        hard_break(cursor);
        return true;
    }
    if (filled >= CODEC_QP_LINE - 1) { /* what comes next does not fit, or is too many */
        const unsigned fit = CODEC_QP_LINE - 1 - cursor->column;
        advance(cursor, fit, fit);
        soft_break(cursor);
        return true;
    }
    advance(cursor, literals, literals);
    return false;
}

/* A group, of which some are escaped. True if that ends the output line. */
static inline bool take_group(struct qp_cursor *cursor, const struct qp_map *map)
{
    const uint32_t escapes = (uint32_t)bits_at(map->escapes, cursor->at);
    const uint32_t ends = (uint32_t)bits_at(map->ends, cursor->at) & low_bits(QP_GROUP + 1);
    const unsigned n = ends != 0 ? (unsigned)__builtin_ctz(ends) : QP_GROUP;
    const unsigned width = width_of(escapes, n);
    const unsigned room = CODEC_QP_LINE - 1 - cursor->column; /* and one more for "=" */
    expand(cursor->dst, cursor->src + cursor->at, escapes);
    if (width <= room + (ends != 0)) {
        advance(cursor, n, width);
        if (ends == 0) return false;
        hard_break(cursor);
        return true;
    }
    const unsigned fit = how_many_fit(escapes, n, room);
    advance(cursor, fit, width_of(escapes, fit));
    soft_break(cursor);
    return true;
}

/* One output line, or what is left of it. */
static inline void take_line(struct qp_cursor *cursor, struct qp_map *map)
{
    if (cursor->column == 0 && cursor->flags & (CODEC_QP_ESCAPE_DOT | CODEC_QP_ESCAPE_FROM))
        mark_special(cursor, map);
    bool ended = take_literals(cursor, map);
    while (!ended) /* looking for literals again would make each group wait for the one before */
        ended = take_group(cursor, map);
}

/* As many lines as maps of whole blocks tell of. */
static struct codec_progress encode_maps(struct codec_qp_encoder *encoder, const char *src,
                                         size_t len, char *dst, size_t cap)
{
    struct qp_map map;
    struct qp_cursor cursor = {src, dst, 0, encoder->column, encoder->flags};
    const bool text = !(encoder->flags & CODEC_QP_BINARY);
    size_t left = len;
    while (left >= QP_SOURCE + 2 && cap - (size_t)(cursor.dst - dst) >= QP_ROOM) {
        /* Not much more than there is room for: an octet takes a character at least. */
        const size_t useful = MIN(left - 2, cap - (size_t)(cursor.dst - dst) + QP_SOURCE);
        const size_t blocks = MIN(useful / 64, (size_t)QP_MAP / 64);
        make_map(&map, cursor.src, blocks, text);
        map.escapes[blocks] = map.ends[blocks] = 0;
        map.escapes[blocks + 1] = map.ends[blocks + 1] = 0;
        while (cursor.at + QP_SOURCE <= 64 * blocks && cap - (size_t)(cursor.dst - dst) >= QP_ROOM)
            take_line(&cursor, &map);
        cursor.src += cursor.at;
        left -= cursor.at;
        cursor.at = 0;
    }
    encoder->column = (uint8_t)cursor.column;
    return (struct codec_progress){len - left, (size_t)(cursor.dst - dst)};
}

/* The last octets of all, from a copy behind which one may read. Its end ends a line, as far as
 * spaces and the last column are concerned. There is room for everything (qp.c). */
static size_t encode_last(struct codec_qp_encoder *encoder, const char *src, size_t len, char *dst)
{
    struct qp_map map;
    char copy[3 * QP_SOURCE + 2];
    struct qp_cursor cursor = {copy, dst, 0, encoder->column, encoder->flags};
    ASSERT(len < QP_SOURCE + 2); /* encode_maps() leaves no more, having room */
    memcpy(copy, src, len);
    memset(copy + len, 0, sizeof(copy) - len);
    make_map(&map, copy, sizeof(copy) / 64, !(encoder->flags & CODEC_QP_BINARY));
    map.ends[len / 64] |= (uint64_t)1 << len % 64;
    if (len > 0 && (copy[len - 1] == ' ' || copy[len - 1] == '\t'))
        map.escapes[(len - 1) / 64] |= (uint64_t)1 << (len - 1) % 64;
    while (cursor.at <= len)
        take_line(&cursor, &map);
    encoder->column = 0;
    return (size_t)(cursor.dst - dst) - 2; /* the CRLF that the text does not have */
}

static struct codec_progress encode(struct codec_qp_encoder *encoder, const char *src, size_t len,
                                    bool last, char *dst, size_t cap)
{
    struct codec_progress done = encode_maps(encoder, src, len, dst, cap);
    const size_t left = len - done.taken, room = cap - done.written;
    if (done.taken > 0 && room < QP_ROOM) return done;
    struct codec_progress rest;
    if (last && left > 0 && room >= codec_qp_encoded_max(left)) {
        rest = (struct codec_progress){
            left, encode_last(encoder, src + done.taken, left, dst + done.written)};
    } else {
        rest =
            qp_ops_scalar.encode(encoder, src + done.taken, left, last, dst + done.written, room);
    }
    done.taken += rest.taken;
    done.written += rest.written;
    return done;
}
