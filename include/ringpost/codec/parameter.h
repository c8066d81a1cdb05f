/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/parameter - parameters of Content-Type and Content-Disposition: RFC 2045 section 5.1 with
 * the charset, language and continuations of RFC 2231
 */
#pragma once
#include "ringpost/codec/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CODEC_PARAMETER_NAME_MAX = 32,      /* written; read: any length */
    CODEC_PARAMETER_SECTIONS_MAX = 256, /* read: parameters and continuations in one field */
};

/* ---- encode ---------------------------------------------------------------------------------- */

/* Room that is enough for a value of len octets, whatever they are: an octet that is no UTF-8 takes
 * 9 characters as "%EF%BF%BD"; with the longest name a section has at most 50 characters around at
 * least 18 of them, but for the last one: 9 * (1 + 50 / 18) = 34. */
static inline size_t codec_parameter_encoded_max(size_t len)
{
    return len * 34 + 160;
}
/* Writes ";" CRLF SP name "=" value: as a token or quoted string where it can be and fits in a
 * line, else as name*=UTF-8''... or with continuations (name*0*=...), a line each, at most 76
 * characters with the ";" that follows. value is UTF-8; octets that are none become U+FFFD. No
 * character is split. name is a token of at most CODEC_PARAMETER_NAME_MAX. Returns what was
 * written. */
size_t codec_parameter_encode(const char *name, const char *value, size_t len, char *dst);

/* ---- decode ---------------------------------------------------------------------------------- */

struct codec_parameter {
    const char *name; /* inside the text, without "*" and number; not terminated */
    size_t name_len;
    size_t value_len; /* octets that the whole value takes as UTF-8, also if more than cap */
    bool extended;    /* by RFC 2231: the one to believe if the same name is there without, too */
};
struct codec_parameter_section {
    const char *name, *value;
    size_t name_len, value_len;
    uint16_t number;
    uint8_t flags; /* the codec's own */
};
struct codec_parameter_reader {
    size_t count, at;
    size_t opened; /* charsets of iconv(3) so far */
    struct codec_parameter_section sections[CODEC_PARAMETER_SECTIONS_MAX];
};
/* text: what follows the type or disposition, from its first ";" on (what is before it is skipped);
 * comments and folding are skipped. The text must stay as long as the reader. A value without
 * quotes goes on to the next ";" or comment: many write spaces and "=?" there. */
void codec_parameter_reader_init(struct codec_parameter_reader *reader, const char *text,
                                 size_t len);
/* The next parameter, in the order of their first sections; its continuations are collected from
 * the whole text, in any order; those that are missing end it. Charsets become UTF-8 as in word.h;
 * encoded-words in a value, which RFC 2047 forbids and many write, are decoded too. No more than
 * cap octets are written to value, cut as in word.h. False: no more parameters. */
bool codec_parameter_next(struct codec_parameter_reader *reader, struct codec_parameter *parameter,
                          char *value, size_t cap);

#ifdef __cplusplus
}
#endif
