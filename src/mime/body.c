/* SPDX-License-Identifier: Apache-2.0
 *
 * body - decodes the body of a leaf with the streams of codec; uuencode line by line
 */
#include "ringpost/mime/body.h"

enum uu_state {
    UU_BEFORE, /* "begin" */
    UU_DATA,
    UU_DONE,
};

void mime_body_init(struct mime_body *body, enum mime_encoding encoding)
{
    memset(body, 0, offsetof(struct mime_body, line));
    body->encoding = (uint8_t)encoding;
    switch (encoding) {
    case MIME_BASE64:
        codec_base64_decoder_init(&body->base64, CODEC_BASE64_LENIENT);
        return;
    case MIME_QUOTED_PRINTABLE:
        codec_qp_decoder_init(&body->quoted_printable, CODEC_QP_LENIENT);
        return;
    case MIME_UUENCODE:
        body->state = UU_BEFORE;
        return;
    case MIME_7BIT:
    case MIME_8BIT:
    case MIME_BINARY:
    case MIME_ENCODING_UNKNOWN:
        return;
    }
}

/* ---- uuencode -------------------------------------------------------------------------------- */

/* A whole line is in ->line, but what is beyond its room. A line of data stands for at most 63
 * octets. */
static size_t decode_line(struct mime_body *body, char *dst)
{
    const size_t len = body->line_len;
    body->line_len = 0;
    if (body->state == UU_BEFORE) {
        if (codec_uu_find(body->line, len).offset == 0) body->state = UU_DATA;
        return 0;
    }
    /* A line of its own is too little data, unless it is the one that ends the data. */
    const struct codec_result result = codec_uu_decode(body->line, len, body->line, NULL);
    if (result.error == CODEC_NO_ERROR) body->state = UU_DONE;
    ASSERT(result.written <= 63);
    memcpy(dst, body->line, result.written);
    return result.written;
}

static struct codec_progress feed_uu(struct mime_body *body, struct bytes src, char *dst,
                                     size_t cap)
{
    struct codec_progress progress = {0, 0};
    while (src.len > 0 && body->state != UU_DONE && cap - progress.written >= CODEC_ROOM_MIN) {
        const char *lf = memchr(src.data, '\n', src.len);
        const size_t len = lf == NULL ? src.len : (size_t)(lf - src.data) + 1;
        const size_t kept = MIN(len, sizeof(body->line) - body->line_len);
        memcpy(body->line + body->line_len, src.data, kept);
        body->line_len += (uint16_t)kept;
        src = bytes_skip(src, len);
        progress.taken += len;
        if (lf != NULL && body->line_len > 0) {
            progress.written += decode_line(body, dst + progress.written);
        }
    }
    if (body->state == UU_DONE) progress.taken += src.len;
    return progress;
}

/* ---- all ------------------------------------------------------------------------------------- */

struct codec_progress mime_body_feed(struct mime_body *body, const char *src, size_t len, char *dst,
                                     size_t cap)
{
    size_t n;
    switch ((enum mime_encoding)body->encoding) {
    case MIME_BASE64:
        return codec_base64_decoder_feed(&body->base64, src, len, dst, cap);
    case MIME_QUOTED_PRINTABLE:
        return codec_qp_decoder_feed(&body->quoted_printable, src, len, dst, cap);
    case MIME_UUENCODE:
        return feed_uu(body, (struct bytes){src, len}, dst, cap);
    case MIME_7BIT:
    case MIME_8BIT:
    case MIME_BINARY:
    case MIME_ENCODING_UNKNOWN:
        n = MIN(len, cap);
        if (n > 0) memcpy(dst, src, n);
        return (struct codec_progress){n, n};
    }
    UNREACHABLE("mime: an encoding that nobody knows");
}

size_t mime_body_finish(struct mime_body *body, char *dst)
{
    switch ((enum mime_encoding)body->encoding) {
    case MIME_BASE64:
        return codec_base64_decoder_finish(&body->base64, dst);
    case MIME_QUOTED_PRINTABLE:
        return codec_qp_decoder_finish(&body->quoted_printable, dst);
    case MIME_UUENCODE:
        return body->state == UU_DATA && body->line_len > 0 ? decode_line(body, dst) : 0;
    case MIME_7BIT:
    case MIME_8BIT:
    case MIME_BINARY:
    case MIME_ENCODING_UNKNOWN:
        return 0;
    }
    UNREACHABLE("mime: an encoding that nobody knows");
}
