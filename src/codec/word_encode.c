/* SPDX-License-Identifier: Apache-2.0
 *
 * word_encode - UTF-8 as encoded-words, RFC 2047 sections 2 to 5
 *
 * Each word is filled with whole characters (section 5: none may be split) as far as the line goes.
 */
#include "ringpost/base.h"
#include "ringpost/codec/word.h"
#include "utf8.h"

/* "=?UTF-8?B?" and "?=" */
enum { HEAD = 10, AROUND = 12 };

struct text_writer {
    char *dst;
    size_t len;
    size_t column; /* characters in the unfinished line */
    enum codec_word_place place;
    bool base64;
};

/* ---- characters -------------------------------------------------------------------------------
 */

/* Bit 1 << place: the octet may stand for itself in Q, by section 4.2 (3) in text, by section 5 (3)
 * in a phrase, which has letters, digits and !*+-/ only, by section 5 (2) in a comment. */
static const uint8_t plain_in[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 7, 1, 5, 5, 5, 5, 5, 1, 1, 7, 7, 5, 7, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 5, 5, 5, 0, 5, 0,
    5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 5, 1, 5, 5, 0,
    5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 5, 5, 5, 5, 0};

static bool is_plain(unsigned char c, enum codec_word_place place)
{
    return c < 128 && (plain_in[c] >> place & 1) != 0;
}

static size_t cost_in_q(struct bytes character, enum codec_word_place place)
{
    if (character.len > 1) return 3 * character.len;
    const unsigned char c = (unsigned char)character.data[0];
    return c == ' ' || is_plain(c, place) ? 1 : 3;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void put(struct text_writer *writer, const char *text, size_t len)
{
    memcpy(writer->dst + writer->len, text, len);
    writer->len += len;
    writer->column += len;
}

static void put_fold(struct text_writer *writer)
{
    put(writer, "\r\n ", 3);
    writer->column = 1;
}

static void put_q(struct text_writer *writer, struct bytes octets)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < octets.len; i++) {
        const unsigned char c = (unsigned char)octets.data[i];
        const char escaped[3] = {'=', digits[c >> 4], digits[c & 15]};
        if (c == ' ')
            put(writer, "_", 1); /* section 4.2 (2) */
        else if (is_plain(c, writer->place))
            put(writer, octets.data + i, 1);
        else
            put(writer, escaped, 3);
    }
}

static void put_base64(struct text_writer *writer, const unsigned char *octets, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        const uint32_t bits = (uint32_t)octets[i] << 16 |
                              (i + 1 < len ? (uint32_t)octets[i + 1] << 8 : 0) |
                              (i + 2 < len ? octets[i + 2] : 0);
        const char quantum[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
                                 i + 1 < len ? alphabet[bits >> 6 & 63] : '=',
                                 i + 2 < len ? alphabet[bits & 63] : '='};
        put(writer, quantum, 4);
    }
}

/* One word with as many characters as fit into limit; returns the octets of text taken, 0 if not
 * even one fits. */
static size_t put_word(struct text_writer *writer, const char *text, size_t len, size_t limit)
{
    unsigned char octets[CODEC_WORD_MAX]; /* B: what goes in */
    size_t count = 0, cost = 0, taken = 0;
    const size_t start = writer->len, column = writer->column;
    const size_t room = limit > AROUND ? limit - AROUND : 0;
    put(writer, writer->base64 ? "=?UTF-8?B?" : "=?UTF-8?Q?", HEAD);
    while (taken < len) {
        size_t n;
        const struct bytes character = utf8_next(text + taken, len - taken, &n);
        if (writer->base64) {
            if (count + character.len > room / 4 * 3) break;
            memcpy(octets + count, character.data, character.len);
            count += character.len;
        } else {
            cost += cost_in_q(character, writer->place);
            if (cost > room) break;
            put_q(writer, character);
        }
        taken += n;
    }
    if (taken == 0) {
        writer->len = start;
        writer->column = column;
        return 0;
    }
    put_base64(writer, octets, count);
    put(writer, "?=", 2);
    return taken;
}

/* ---- the whole text -----------------------------------------------------------------------------
 */

static bool is_shorter_in_base64(const char *text, size_t len, enum codec_word_place place)
{
    size_t octets = 0, q = 0;
    for (size_t at = 0, n; at < len; at += n) {
        const struct bytes character = utf8_next(text + at, len - at, &n);
        octets += character.len;
        q += cost_in_q(character, place);
    }
    return (octets + 2) / 3 * 4 < q; /* equal: Q, which people can read */
}

bool codec_word_needed(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c >= 127) return true;
        if (c == '=' && i + 1 < len && text[i + 1] == '?') return true;
    }
    return false;
}

size_t codec_word_encode(const char *text, size_t len, char *dst, size_t column,
                         enum codec_word_place place, enum codec_word_encoding encoding)
{
    struct text_writer writer = {.dst = dst, .column = column, .place = place};
    writer.base64 = encoding == CODEC_WORD_B ||
                    (encoding == CODEC_WORD_AUTO && is_shorter_in_base64(text, len, place));
    for (size_t at = 0; at < len;) {
        if (at > 0) put_fold(&writer);
        const size_t left = CODEC_WORD_LINE_MAX - MIN(writer.column, (size_t)CODEC_WORD_LINE_MAX);
        size_t n = put_word(&writer, text + at, len - at, MIN(left, (size_t)CODEC_WORD_MAX));
        if (n == 0) { /* only on the first line: 75 have room for each character */
            put_fold(&writer);
            n = put_word(&writer, text + at, len - at, CODEC_WORD_MAX);
        }
        at += n;
    }
    return writer.len;
}
