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

/* Finds the next line "begin MODE NAME", MODE of 3 to 5 octal digits. */
struct codec_uu_begin {
    size_t offset;    /* of the line; len of the text if there is none */
    size_t data;      /* of the first line of data; len if there is none */
    unsigned mode;    /* permissions, octal in the text */
    const char *name; /* inside the text, not terminated */
    size_t name_len;
};
struct codec_uu_begin codec_uu_find(const char *text, size_t len);

/* Lines of data up to the one of length zero (or empty: its space was lost), with the "end" that
 * may follow, or up to "end". Line ends are CRLF or LF. Lines may be shorter than their length
 * says, because trailing spaces were lost: what is missing reads as zero, as long as no more is
 * written than was read; else the line ends too early. Characters behind those that the length asks
 * for are ignored. A length or character outside the alphabet is an error. dst has room for len
 * octets, or is src itself; otherwise no overlap. *taken (may be NULL): the offset behind the last
 * line that belongs to the data, "end" included. */
struct codec_result codec_uu_decode(const char *src, size_t len, void *dst, size_t *taken);

struct codec_uu_decoder {
    uint8_t state;    /* enum of the codec's own */
    uint8_t left;     /* octets that the line still owes */
    uint8_t held;     /* characters of the unfinished quantum */
    uint8_t bits;     /* what they have that is not written yet */
    uint8_t matched;  /* of "end" */
    bool closed;      /* the line of length zero has come */
    uint64_t line;    /* offset of the line */
    uint64_t offset;  /* characters taken so far */
    uint64_t written; /* octets so far */
    uint64_t end;     /* offset behind the last line that belongs to the data */
    uint64_t error;   /* offset of the first wrong character; CODEC_NO_ERROR */
};
void codec_uu_decoder_init(struct codec_uu_decoder *decoder);
/* Behind the end and after an error nothing is written, and all of the source is taken. */
struct codec_progress codec_uu_decoder_feed(struct codec_uu_decoder *decoder, const char *src,
                                            size_t len, void *dst, size_t cap);
bool codec_uu_decoder_ended(const struct codec_uu_decoder *decoder);
/* No more comes: sets ->error if the data has not ended. */
void codec_uu_decoder_finish(struct codec_uu_decoder *decoder);

#ifdef __cplusplus
}
#endif
