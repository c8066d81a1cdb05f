/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/uuencode - the lines between "begin" and "end" of POSIX uuencode (historical algorithm)
 *
 * 45 octets a line: a length character, 60 characters of six bits each, a line end. Zero is written
 * as "`" and read as "`" or space.
 */
#pragma once
#include "ringpost/codec/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CODEC_UU_LINE = 45 }; /* octets in a full line */

/* ---- encode ---------------------------------------------------------------------------------- */

/* Characters that len octets take with CRLF line ends, the line of length zero that ends the data
 * included; "begin" and "end" are not. */
static inline size_t codec_uu_encoded_max(size_t len)
{
    return len / CODEC_UU_LINE * 63 + 64 + 3;
}
/* dst has room for codec_uu_encoded_max(len); returns what was written. No overlap. */
size_t codec_uu_encode(const void *src, size_t len, char *dst);

struct codec_uu_encoder {
    uint8_t held[CODEC_UU_LINE];
    uint8_t held_count;
};
void codec_uu_encoder_init(struct codec_uu_encoder *encoder);
struct codec_progress codec_uu_encoder_feed(struct codec_uu_encoder *encoder, const void *src,
                                            size_t len, char *dst, size_t cap);
size_t codec_uu_encoder_finish(struct codec_uu_encoder *encoder, char *dst);

/* ---- decode ---------------------------------------------------------------------------------- */

/* Finds the next line "begin MODE NAME": its offset, or len. */
struct codec_uu_begin {
    size_t offset;    /* of the line; len of the text if there is none */
    size_t data;      /* of the first line of data */
    unsigned mode;    /* permissions, octal in the text */
    const char *name; /* inside the text, not terminated */
    size_t name_len;
};
struct codec_uu_begin codec_uu_find(const char *text, size_t len);

/* Lines of data up to the one of length zero, or "end". Lines may be shorter than their length says
 * (trailing spaces were lost): what is missing reads as zero. A length or character outside the
 * alphabet is an error. Line ends are CRLF or LF. dst has room for len octets, or is src itself.
 * *taken (may be NULL): the offset behind the last line read, "end" included. */
struct codec_result codec_uu_decode(const char *src, size_t len, void *dst, size_t *taken);

#ifdef __cplusplus
}
#endif
