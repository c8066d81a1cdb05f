/* SPDX-License-Identifier: Apache-2.0
 *
 * charset - see charset.h
 */
#include "charset.h"
#include "utf8.h"
#include <errno.h>

/* ---- the sink ---------------------------------------------------------------------------------
 */

void codec_sink_put(struct codec_sink *sink, const char *character, size_t len)
{
    sink->total += len;
    if (sink->full || len > sink->cap - sink->written) {
        sink->full = true; /* a shorter one must not follow the gap */
        return;
    }
    memcpy(sink->data + sink->written, character, len);
    sink->written += len;
}

void codec_sink_put_text(struct codec_sink *sink, const char *text, size_t len)
{
    if (!sink->full && len <= sink->cap - sink->written) {
        if (len > 0) memcpy(sink->data + sink->written, text, len);
        sink->written += len;
        sink->total += len;
        return;
    }
    for (size_t at = 0, n; at < len; at += n) {
        n = utf8_look(text + at, len - at).len;
        codec_sink_put(sink, text + at, n);
    }
}

void codec_sink_close(struct codec_sink *sink)
{
    if (sink->full && sink->written < sink->cap)
        memset(sink->data + sink->written, 0, sink->cap - sink->written);
}

static void put_bad(struct codec_sink *sink)
{
    codec_sink_put(sink, UTF8_REPLACEMENT, 3);
}

/* Below U+10000, and no surrogate. */
static void put_code_point(struct codec_sink *sink, unsigned code)
{
    const char octets[3] = {(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3f)),
                            (char)(0x80 | (code & 0x3f))};
    const char two[2] = {(char)(0xc0 | code >> 6), octets[2]};
    const char one = (char)code;
    if (code < 0x80)
        codec_sink_put(sink, &one, 1);
    else if (code < 0x800)
        codec_sink_put(sink, two, 2);
    else
        codec_sink_put(sink, octets, 3);
}

/* ---- UTF-8 ------------------------------------------------------------------------------------
 */

/* Returns how many octets at the end are the start of a character. */
static size_t put_utf8(struct codec_sink *sink, const char *text, size_t len)
{
    size_t from = 0, at = 0; /* well-formed in between */
    while (at < len) {
        const struct utf8_unit unit = utf8_look(text + at, len - at);
        if (unit.kind != UTF8_WHOLE) {
            codec_sink_put_text(sink, text + from, at - from);
            if (unit.kind == UTF8_SHORT) return unit.len;
            put_bad(sink);
            from = at + unit.len;
        }
        at += unit.len;
    }
    codec_sink_put_text(sink, text + from, at - from);
    return 0;
}

void codec_sink_put_utf8(struct codec_sink *sink, const char *text, size_t len)
{
    if (put_utf8(sink, text, len) > 0) put_bad(sink);
}

static void feed_utf8(struct conversion *conversion, const char *octets, size_t len)
{
    size_t at = 0;
    while (conversion->held_count > 0 && at < len) {
        char *held = conversion->held;
        held[conversion->held_count++] = octets[at++];
        const struct utf8_unit unit = utf8_look(held, conversion->held_count);
        if (unit.kind == UTF8_SHORT) continue;
        if (unit.kind == UTF8_WHOLE)
            codec_sink_put(conversion->sink, held, unit.len);
        else
            put_bad(conversion->sink);
        /* What was held is a good start: only the octet that came last can be too much. */
        at -= conversion->held_count - unit.len;
        conversion->held_count = 0;
    }
    if (at == len) return;
    const size_t left = put_utf8(conversion->sink, octets + at, len - at);
    memcpy(conversion->held, octets + len - left, left);
    conversion->held_count = left;
}

/* ---- one octet, one character -----------------------------------------------------------------
 */

/* 80..9F of windows-1252; 0: undefined. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static void feed_latin(struct conversion *conversion, const char *octets, size_t len)
{
    const bool windows = conversion->charset->kind == CHARSET_WINDOWS_1252;
    for (size_t i = 0; i < len; i++) {
        unsigned code = (unsigned char)octets[i];
        if (windows && code >= 0x80 && code < 0xa0) code = windows_1252[code - 0x80];
        if (code == 0 && octets[i] != 0)
            put_bad(conversion->sink);
        else
            put_code_point(conversion->sink, code);
    }
}

/* ---- iconv(3) ---------------------------------------------------------------------------------
 */

enum { PIECE = 240, ROOM = 1024 };

/* Converts all it can of len octets; returns how many are left: the start of a character. */
static size_t run_iconv(struct conversion *conversion, char *octets, size_t len)
{
    char *in = octets;
    while (len > 0) {
        char room[ROOM], *out = room;
        size_t left = sizeof(room);
        const size_t before = len;
        const size_t status = iconv(conversion->iconv, &in, &len, &out, &left);
        const int reason = status == (size_t)-1 ? errno : 0;
        /* Not each converter of each libc is to be trusted with what it makes of garbage. */
        codec_sink_put_utf8(conversion->sink, room, (size_t)(out - room));
        if (reason == 0 || reason == EINVAL) break;
        const bool moved = before != len || out != room;
        if (reason == E2BIG && moved) continue;
        put_bad(conversion->sink);
        in += 1;
        len -= 1;
    }
    if (len > 0) memmove(octets, in, len);
    return len;
}

static void feed_iconv(struct conversion *conversion, const char *octets, size_t len)
{
    char piece[sizeof(conversion->held) + PIECE];
    while (len > 0) {
        const size_t held = conversion->held_count, n = MIN(len, (size_t)PIECE);
        memcpy(piece, conversion->held, held);
        memcpy(piece + held, octets, n);
        size_t left = run_iconv(conversion, piece, held + n);
        if (left > sizeof(conversion->held)) { /* no charset has characters that long */
            put_bad(conversion->sink);
            left = 0;
        }
        memcpy(conversion->held, piece, left);
        conversion->held_count = left;
        octets += n;
        len -= n;
    }
}

/* Some converters keep a character until they know that nothing combines with it. Afterwards the
 * descriptor is as if it had just been opened. */
static void close_iconv(struct conversion *conversion)
{
    char room[ROOM], *out = room;
    size_t left = sizeof(room);
    (void)!iconv(conversion->iconv, NULL, NULL, &out, &left);
    codec_sink_put_utf8(conversion->sink, room, (size_t)(out - room));
}

/* ---- a conversion ------------------------------------------------------------------------------
 */

void charset_pool_init(struct charset_pool *pool, size_t limit)
{
    pool->count = 0;
    pool->limit = MIN(limit, (size_t)CHARSET_OPEN_MAX);
}

void charset_pool_deinit(struct charset_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        if (pool->open[i].iconv != (iconv_t)-1) iconv_close(pool->open[i].iconv);
    }
    pool->count = 0;
}

static iconv_t open_in_pool(struct charset_pool *pool, const struct charset *charset)
{
    /* glibc's UTF-16 keeps the order of octets that a byte order mark has set, also when it is told
     * to begin anew. */
    const bool again = strcmp(charset->iconv, "UTF-16") != 0;
    for (size_t i = 0; i < pool->count && again; i++) {
        if (strcmp(pool->open[i].charset->iconv, charset->iconv) == 0) return pool->open[i].iconv;
    }
    if (pool->count == pool->limit) return (iconv_t)-1;
    const iconv_t iconv = iconv_open("UTF-8", charset->iconv);
    pool->open[pool->count].charset = charset;
    pool->open[pool->count].iconv = iconv;
    pool->count += 1;
    return iconv;
}

bool conversion_open(struct conversion *conversion, const struct charset *charset,
                     struct codec_sink *sink, struct charset_pool *pool)
{
    *conversion = (struct conversion){.charset = charset, .sink = sink};
    if (charset->kind != CHARSET_ICONV) return true;
    conversion->iconv = open_in_pool(pool, charset);
    return conversion->iconv != (iconv_t)-1;
}

void conversion_feed(struct conversion *conversion, const char *octets, size_t len)
{
    switch (conversion->charset->kind) {
    case CHARSET_UTF8:
        feed_utf8(conversion, octets, len);
        return;
    case CHARSET_LATIN1:
    case CHARSET_WINDOWS_1252:
        feed_latin(conversion, octets, len);
        return;
    case CHARSET_ICONV:
        feed_iconv(conversion, octets, len);
        return;
    }
}

void conversion_close(struct conversion *conversion)
{
    if (conversion->charset->kind == CHARSET_ICONV) close_iconv(conversion);
    if (conversion->held_count > 0) put_bad(conversion->sink);
}
