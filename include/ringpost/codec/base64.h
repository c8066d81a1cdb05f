/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/base64 - RFC 4648 section 4, and its MIME form, RFC 2045 section 6.8
 *
 * Plain: one run of characters, padded. MIME: lines of characters that CRLF ends, the last one too
 * (nothing at all for no octets); decoding skips line breaks and white space.
 */
#pragma once
#include "ringpost/codec/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CODEC_BASE64_LINE = 76,      /* characters in a line, RFC 2045 section 6.8: "no more than" */
    CODEC_BASE64_LINE_MAX = 996, /* RFC 5322 section 2.1.1, and a multiple of 4 */
};

/* ---- encode ---------------------------------------------------------------------------------- */

/* Characters that len octets take, CRLFs included. line: characters in a line, a multiple of 4 up
 * to CODEC_BASE64_LINE_MAX; 0: plain. */
static inline size_t codec_base64_encoded_len(size_t len, size_t line)
{
    const size_t characters = (len + 2) / 3 * 4;
    return characters + (line == 0 ? 0 : (characters + line - 1) / line * 2);
}
/* dst has room for codec_base64_encoded_len(); returns that. No overlap. Nothing can fail. */
size_t codec_base64_encode(const void *src, size_t len, char *dst);
/* line 0: the same as codec_base64_encode(). */
size_t codec_base64_encode_lines(const void *src, size_t len, char *dst, size_t line);

/* Streams: see common.h. feed() stops early only when fewer than 6 octets of room are left. */
struct codec_base64_encoder {
    uint16_t line;   /* characters in a line; 0: plain */
    uint16_t column; /* characters in the unfinished line */
    uint8_t held[3]; /* octets that do not make a quantum yet */
    uint8_t held_count;
};
void codec_base64_encoder_init(struct codec_base64_encoder *encoder, size_t line);
struct codec_progress codec_base64_encoder_feed(struct codec_base64_encoder *encoder,
                                                const void *src, size_t len, char *dst, size_t cap);
/* The padded quantum and the last CRLF: at most 6 octets. */
size_t codec_base64_encoder_finish(struct codec_base64_encoder *encoder, char *dst);

/* ---- decode ---------------------------------------------------------------------------------- */

enum codec_base64_mode {
    /* RFC 4648 section 3.3: the alphabet and the padding that belongs there, nothing else. */
    CODEC_BASE64_PLAIN,
    /* Also CR, LF, space and tab, anywhere. Any other character is an error, as is padding that is
     * missing, too early or follows bits that are not zero (section 3.5; the offset is that of the
     * "="), and anything behind it. */
    CODEC_BASE64_STRICT,
    /* RFC 2045 section 6.8: characters outside the alphabet are ignored. Padding ends the data;
     * what follows is ignored. A quantum that is cut short gives the octets that it has. Never an
     * error. */
    CODEC_BASE64_LENIENT,
};
/* Room that is enough to decode len characters, whatever they are. */
static inline size_t codec_base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 3;
}
/* dst has room for codec_base64_decoded_max(len), or is src itself (in place, then what was there
 * is lost, even with an error); otherwise no overlap. With an error, ->written counts the octets of
 * the whole quanta before it; what is behind them in dst's room is not defined. */
struct codec_result codec_base64_decode(const char *src, size_t len, void *dst,
                                        enum codec_base64_mode mode);

struct codec_base64_decoder {
    uint8_t mode;       /* enum codec_base64_mode */
    uint8_t held_count; /* characters of the unfinished quantum */
    uint8_t padding;    /* how many "=" have come */
    uint32_t held;      /* their bits */
    uint64_t offset;    /* characters taken so far */
    uint64_t error;     /* offset of the first wrong character; CODEC_NO_ERROR */
};
void codec_base64_decoder_init(struct codec_base64_decoder *decoder, enum codec_base64_mode mode);
/* After an error nothing is written, and all of the source is taken. dst may be src, if no
 * character of an earlier piece is held (->held_count is 0). Stops early only when fewer than 3
 * octets of room are left. */
struct codec_progress codec_base64_decoder_feed(struct codec_base64_decoder *decoder,
                                                const char *src, size_t len, void *dst, size_t cap);
/* Lenient: up to 2 octets of a quantum that was cut short. Otherwise nothing is written, and such a
 * quantum is an error at the end of the text. */
size_t codec_base64_decoder_finish(struct codec_base64_decoder *decoder, void *dst);

#ifdef __cplusplus
}
#endif
