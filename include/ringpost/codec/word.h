/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/word - encoded-words, RFC 2047 (and the language tag of RFC 2231 section 5)
 */
#pragma once
#include "ringpost/codec/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CODEC_WORD_MAX = 75,      /* characters of one encoded-word, RFC 2047 section 2 */
    CODEC_WORD_LINE_MAX = 76, /* of a line that has one */
};
enum codec_word_encoding {
    CODEC_WORD_AUTO, /* whichever is shorter */
    CODEC_WORD_B,
    CODEC_WORD_Q,
};
enum codec_word_place {
    CODEC_WORD_TEXT,    /* unstructured: Subject, Comments */
    CODEC_WORD_PHRASE,  /* a display name: only letters, digits and !*+-/ stay (section 5 (3)) */
    CODEC_WORD_COMMENT, /* inside "(" ")": those and "\" are encoded too */
};

/* ---- encode ---------------------------------------------------------------------------------- */

/* Room that is enough for len octets, whatever they are: an octet that is no UTF-8 takes 9
 * characters as "=EF=BF=BD"; a word has 15 around at least 52 of them, but for the first and the
 * last one: 9 * (1 + 15 / 52) < 12. */
static inline size_t codec_word_encoded_max(size_t len)
{
    return len * 12 + 64;
}
/* Does the text need encoded-words: octets over 127, controls other than tab, or "=?". */
bool codec_word_needed(const char *text, size_t len);
/* Writes the whole text (UTF-8; octets that are none become U+FFFD) as encoded-words with charset
 * UTF-8, CRLF SP between them. No character is split; lines have at most 76 characters, of which
 * the first has column already: where nothing fits behind them CRLF SP comes first. dst has room
 * for codec_word_encoded_max(len). Returns what was written, 0 for no text. */
size_t codec_word_encode(const char *text, size_t len, char *dst, size_t column,
                         enum codec_word_place place, enum codec_word_encoding encoding);

/* ---- decode ---------------------------------------------------------------------------------- */

/* One piece of a field's body: plain text, or one encoded-word. White space between two adjacent
 * encoded-words belongs to neither (section 6.2). More is taken for a word than section 2 allows,
 * because it is met: any length, any neighbours, space and tab in Q. */
struct codec_word {
    bool encoded;
    char encoding;       /* 'B' or 'Q' */
    const char *charset; /* encoded: inside the text, not terminated; without the language tag */
    size_t charset_len;
    const char *language; /* RFC 2231 section 5; len 0: none */
    size_t language_len;
    const char *text; /* still encoded, or plain and still folded */
    size_t text_len;
};
struct codec_word_reader {
    const char *text;
    size_t len, at;
    bool after_word;
};
void codec_word_reader_init(struct codec_word_reader *reader, const char *text, size_t len);
bool codec_word_next(struct codec_word_reader *reader,
                     struct codec_word *word); /* false: no more */
/* The octets of one encoded word, in its charset. dst has room for text_len octets. Never an error:
 * in B what is not in the alphabet is skipped, in Q "=" without two digits stays. */
size_t codec_word_octets(const struct codec_word *word, char *dst);

/* The whole body as UTF-8: UTF-8, US-ASCII (as UTF-8), ISO-8859-1 and windows-1252 by itself, the
 * other charsets of mail (a list in charset_names.c) by iconv(3), which may allocate; what cannot
 * be converted becomes U+FFFD; a word in a charset nobody knows, or behind the 16th of iconv(3) in
 * one body, stays as it was written. Folding (a line end before white space) goes. Returns what the
 * whole takes; no more than cap is written, cut at a character, and then the up to 3 octets that
 * are left of cap are NUL. Adjacent words of one charset are joined first, so that a character that
 * others have split is whole again. Words may hold any octets, also CR, LF and NUL: look at what is
 * to be shown or written into a header. */
size_t codec_word_decode(const char *text, size_t len, char *dst, size_t cap);

#ifdef __cplusplus
}
#endif
