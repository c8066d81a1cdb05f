/* SPDX-License-Identifier: Apache-2.0
 *
 * charset - octets in the charset of a stranger become UTF-8
 *
 * A conversion takes the octets in pieces, so that a character that was split between two
 * encoded-words or two sections of a parameter is whole again. Its output is well-formed UTF-8
 * whatever comes in: what is no character becomes U+FFFD.
 */
#pragma once
#include "ringpost/base.h"
#include <iconv.h>

/* Where UTF-8 goes: all of it is counted, as much as has room is kept, cut at a character. */
struct codec_sink {
    char *data;
    size_t cap, written;
    size_t total;
    bool full;
};
void codec_sink_put(struct codec_sink *sink, const char *character, size_t len);
/* Whatever was cut: the octets up to cap are NUL. */
void codec_sink_close(struct codec_sink *sink);
void codec_sink_put_text(struct codec_sink *sink, const char *text,
                         size_t len); /* well-formed UTF-8 */

enum charset_kind { CHARSET_UTF8, CHARSET_LATIN1, CHARSET_WINDOWS_1252, CHARSET_ICONV };
struct charset {
    const char *name; /* without case, "-", "_" and the like */
    enum charset_kind kind;
    const char *iconv; /* what iconv(3) calls it */
};
/* NULL: mail has no such charset. */
const struct charset *charset_find(const char *name, size_t len);

/* What is open of iconv(3): opening can cost as much as converting pages of text, and a stranger
 * who changes the charset from word to word must not make us do so again and again. */
enum { CHARSET_OPEN_MAX = 16 };
struct charset_pool {
    size_t count, limit;
    struct {
        const struct charset *charset;
        iconv_t iconv; /* (iconv_t)-1: this libc cannot */
    } open[CHARSET_OPEN_MAX];
};
void charset_pool_init(struct charset_pool *pool, size_t limit);
void charset_pool_deinit(struct charset_pool *pool);

struct conversion {
    const struct charset *charset;
    struct codec_sink *sink;
    iconv_t iconv;
    size_t held_count;
    char held[16]; /* the start of a character */
};
/* False: this libc cannot convert it, or the pool is exhausted; then nothing is open. */
bool conversion_open(struct conversion *conversion, const struct charset *charset,
                     struct codec_sink *sink, struct charset_pool *pool);
void conversion_feed(struct conversion *conversion, const char *octets, size_t len);
void conversion_close(struct conversion *conversion); /* a character that never ended: U+FFFD */
/* Octets that should be UTF-8, at once. */
void codec_sink_put_utf8(struct codec_sink *sink, const char *text, size_t len);
