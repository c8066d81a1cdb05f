/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/body - the octets that a leaf's body stands for
 *
 * Decodes as a reader of mail has to: whatever is wrong with the encoding is skipped or passes, and
 * is never an error (codec's lenient modes). 7bit, 8bit, binary and what is unknown stay as they
 * are. Of uuencode the first "begin" to "end" is decoded, and all else left out.
 */
#pragma once
#include "ringpost/codec.h"
#include "ringpost/mime/field.h"

struct mime_body {    /* the decoder's own */
    uint8_t encoding; /* enum mime_encoding */
    uint8_t state;
    uint16_t line_len;
    union {
        struct codec_base64_decoder base64;
        struct codec_qp_decoder quoted_printable;
        struct codec_uu_decoder uuencode;
        char line[1000]; /* so far, of what may be the line "begin" of uuencode */
    };
};
void mime_body_init(struct mime_body *body, enum mime_encoding encoding);
/* A stream as in codec/common.h. dst does not overlap src. */
struct codec_progress mime_body_feed(struct mime_body *body, const char *src, size_t len, char *dst,
                                     size_t cap);
/* dst has room for CODEC_ROOM_MIN octets. */
size_t mime_body_finish(struct mime_body *body, char *dst);
