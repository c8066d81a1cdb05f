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

enum { CODEC_PARAMETER_NAME_MAX = 60 };

/* ---- encode ---------------------------------------------------------------------------------- */

/* Room that is enough for a value of len octets. */
static inline size_t codec_parameter_encoded_max(size_t len)
{
    return len * 3 + (len / 4 + 2) * (CODEC_PARAMETER_NAME_MAX + 24);
}
/* Writes ";" CRLF SP name "=" value: as a token or quoted string where it can be and fits in a
 * line, else as name*=UTF-8''... with continuations (name*0*=...), a line each, at most 76
 * characters. value is UTF-8; octets that are none become U+FFFD. No character is split. name is a
 * token of at most CODEC_PARAMETER_NAME_MAX. Returns what was written. */
size_t codec_parameter_encode(const char *name, const char *value, size_t len, char *dst);

/* ---- decode ---------------------------------------------------------------------------------- */

struct codec_parameter {
    const char *name; /* inside the text, without "*" and number; not terminated */
    size_t name_len;
    size_t value_len; /* octets that the whole value takes as UTF-8, also if more than cap */
};
struct codec_parameter_reader {
    const char *text;
    size_t len, at;
};
/* text: what follows the type or disposition, from its first ";" on; comments and folding are
 * skipped. */
void codec_parameter_reader_init(struct codec_parameter_reader *reader, const char *text,
                                 size_t len);
/* The next parameter whose first section has not been given yet: its continuations are collected
 * from the rest of the text, in any order; those that are missing end it. Charsets become UTF-8 as
 * in word.h; encoded-words in a quoted string, which RFC 2047 forbids and many write, are decoded
 * too. No more than cap octets are written to value. False: no more parameters. Bounded: at most
 * 256 sections are looked at. */
bool codec_parameter_next(struct codec_parameter_reader *reader, struct codec_parameter *parameter,
                          char *value, size_t cap);

#ifdef __cplusplus
}
#endif
