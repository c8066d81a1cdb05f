/* SPDX-License-Identifier: Apache-2.0
 *
 * body - decodes the body of a leaf with the streams of codec
 */
#include "ringpost/mime/body.h"

enum uu_state {
    UU_BEFORE, /* "begin" has not come */
    UU_DATA,
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

/* ---- uuencode
 * ------------------------------------------------------------------------------------
 */

static bool is_begin(const struct mime_body *body)
{
    const struct codec_uu_begin begin = codec_uu_find(body->line, body->line_len);
    return begin.offset == 0 && begin.data > 0;
}

/* Lines up to "begin": what stands before it is text for people. */
static size_t skip_to_begin(struct mime_body *body, struct bytes src)
{
    size_t taken = 0;
    while (taken < src.len && body->state == UU_BEFORE) {
        const struct bytes rest = bytes_skip(src, taken);
        const char *lf = memchr(rest.data, '\n', rest.len);
        const size_t len = lf == NULL ? rest.len : (size_t)(lf - rest.data) + 1;
        const size_t kept = MIN(len, sizeof(body->line) - body->line_len);
        memcpy(body->line + body->line_len, rest.data, kept);
        body->line_len += (uint16_t)kept;
        taken += len;
        if (lf == NULL) break;
        if (is_begin(body)) {
            codec_uu_decoder_init(&body->uuencode);
            body->state = UU_DATA;
        }
        body->line_len = 0;
    }
    return taken;
}

static struct codec_progress feed_uu(struct mime_body *body, struct bytes src, char *dst,
                                     size_t cap)
{
    const size_t skipped = body->state == UU_BEFORE ? skip_to_begin(body, src) : 0;
    if (body->state == UU_BEFORE) return (struct codec_progress){skipped, 0};
    struct codec_progress progress =
        codec_uu_decoder_feed(&body->uuencode, src.data + skipped, src.len - skipped, dst, cap);
    progress.taken += skipped;
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
    case MIME_7BIT:
    case MIME_8BIT:
    case MIME_BINARY:
    case MIME_ENCODING_UNKNOWN:
        return 0;
    }
    UNREACHABLE("mime: an encoding that nobody knows");
}
