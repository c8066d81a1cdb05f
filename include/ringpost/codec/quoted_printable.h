/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/quoted_printable - RFC 2045 section 6.7
 *
 * Lines of at most 76 characters without their CRLF; a soft break ("=" CRLF) continues a line. The
 * encoder's output is fixed by the source: a line takes the next octet's form as long as it has
 * room for it and for the "=" of a soft break behind it; the form that ends a line of the source
 * needs no "=" behind it and may end at column 76. "=XX" is never cut. Digits are upper case.
 */
#pragma once
#include "ringpost/codec/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CODEC_QP_LINE = 76 };
enum codec_qp_flags {
    /* CR and LF are data (=0D=0A); without it CRLF ends a line, and only a bare CR or LF is data.
     */
    CODEC_QP_BINARY = 1 << 0,
    /* "From " at the start of an output line, also behind a soft break, becomes "=46rom " (RFC
     * 2049 section 3). */
    CODEC_QP_ESCAPE_FROM = 1 << 1,
    /* "." at the start of an output line, also behind a soft break, becomes "=2E". */
    CODEC_QP_ESCAPE_DOT = 1 << 2,
};

/* ---- encode ---------------------------------------------------------------------------------- */

/* Room that is enough for len octets, whatever they are. */
static inline size_t codec_qp_encoded_max(size_t len)
{
    return len * 3 + (len / 24 + 1) * 3 + CODEC_ROOM_MIN;
}
/* dst has room for codec_qp_encoded_max(len); returns what was written. No overlap. Space and tab
 * at the end of a line or of the text are escaped. */
size_t codec_qp_encode(const void *src, size_t len, char *dst, unsigned flags);

struct codec_qp_encoder {
    uint8_t flags;   /* enum codec_qp_flags */
    uint8_t column;  /* characters in the unfinished line */
    uint8_t held[8]; /* the last octets, at most 4: their form depends on what follows */
    uint8_t held_count;
};
void codec_qp_encoder_init(struct codec_qp_encoder *encoder, unsigned flags);
struct codec_progress codec_qp_encoder_feed(struct codec_qp_encoder *encoder, const void *src,
                                            size_t len, char *dst, size_t cap);
size_t codec_qp_encoder_finish(struct codec_qp_encoder *encoder, char *dst);

/* ---- decode ---------------------------------------------------------------------------------- */

enum codec_qp_mode {
    /* Everything that section 6.7 forbids is an error: octets other than 33 to 126, space, tab and
     * CRLF; "=" before anything but two digits (0-9, A-F) or white space and CRLF; more than 76
     * characters in a line; white space before CRLF (without "=") or at the end of the text; an
     * end behind "=". The offset of an error is that of the first octet that no valid text can
     * have at this place: of "=4g" it is the "g", of " " CRLF the CR, of CR "x" the "x". What
     * was still open there is not written: "=" and a digit, white space that may end the line. */
    CODEC_QP_STRICT,
    /* What section 6.7's notes tell a robust decoder to do: lower-case digits are taken, "=" that
     * neither two digits nor a line's end follows stays as it is, octets that should have been
     * encoded pass, lines of any length, a bare LF ends a line (and stays one). Never an error.
     * White space before CR or LF and at the end of the text goes: the last CODEC_QP_SPACE_MAX
     * octets of it, which is more than a line of SMTP can have. */
    CODEC_QP_LENIENT,
};
enum { CODEC_QP_SPACE_MAX = 1024 };

/* dst has room for len octets, or is src itself (in place); otherwise no overlap. */
struct codec_result codec_qp_decode(const char *src, size_t len, void *dst,
                                    enum codec_qp_mode mode);

struct codec_qp_decoder {
    uint8_t mode;         /* enum codec_qp_mode */
    uint8_t state;        /* what was held back: the codec's own */
    uint8_t first;        /* of "=" and two digits: the first digit */
    uint16_t space_from;  /* white space that may turn out to end a line: a ring, */
    uint16_t space_count; /* its octets from here on, and how many; */
    uint64_t space_tabs[CODEC_QP_SPACE_MAX / 64]; /* bit i % 64 of [i / 64]: octet i is a tab */
    uint32_t column;                              /* strict: characters in the unfinished line */
    uint64_t offset;                              /* characters taken so far */
    uint64_t error; /* offset of the first wrong character; CODEC_NO_ERROR */
};
void codec_qp_decoder_init(struct codec_qp_decoder *decoder, enum codec_qp_mode mode);
/* After an error nothing is written, and all of the source is taken. */
struct codec_progress codec_qp_decoder_feed(struct codec_qp_decoder *decoder, const char *src,
                                            size_t len, void *dst, size_t cap);
/* An end that comes too early is an error (strict) at ->offset. */
size_t codec_qp_decoder_finish(struct codec_qp_decoder *decoder, void *dst);

#ifdef __cplusplus
}
#endif
