/* SPDX-License-Identifier: Apache-2.0
 *
 * convert - writes a converted message: carries out the edits of a plan, piece by piece
 */
#include "ringpost/mime/convert.h"

enum { DECODED_MAX = 4096 };

void mime_converter_init(struct mime_converter *converter, const struct mime_conversion *conversion)
{
    *converter = (struct mime_converter){.conversion = conversion};
}

/* ---- the content ------------------------------------------------------------------------------
 */

/* What is left of the present piece, as far as the edit goes; empty only when the edit has all. */
static struct bytes source_peek(struct mime_converter *converter)
{
    const struct mime_conversion *conversion = converter->conversion;
    if (converter->left == 0) return (struct bytes){"", 0};
    while (converter->piece_at == conversion->pieces[converter->piece].len) {
        converter->piece += 1;
        converter->piece_at = 0;
        ASSERT(converter->piece < conversion->piece_count);
    }
    const struct bytes piece =
        bytes_skip(conversion->pieces[converter->piece], converter->piece_at);
    return (struct bytes){piece.data, MIN(piece.len, converter->left)};
}

static void source_take(struct mime_converter *converter, size_t n)
{
    converter->piece_at += n;
    converter->left -= n;
}

/* ---- edits: each writes what fits, and tells when it is through ---------------------------------
 */

struct output {
    char *dst;
    size_t len, cap;
};
static char *output_at(const struct output *out)
{
    return out->dst + out->len;
}
static size_t output_room(const struct output *out)
{
    return out->cap - out->len;
}

static bool copy(struct mime_converter *converter, struct output *out)
{
    while (converter->left > 0 && output_room(out) > 0) {
        const struct bytes source = source_peek(converter);
        const size_t n = MIN(source.len, output_room(out));
        memcpy(output_at(out), source.data, n);
        out->len += n;
        source_take(converter, n);
    }
    return converter->left == 0;
}

static bool drop(struct mime_converter *converter, struct output *out)
{
    (void)out;
    while (converter->left > 0)
        source_take(converter, source_peek(converter).len);
    return true;
}

static bool say(struct mime_converter *converter, struct output *out)
{
    const char *text = converter->conversion->edits[converter->edit].say + converter->edit_said;
    const size_t len = strlen(text), n = MIN(len, output_room(out));
    memcpy(output_at(out), text, n);
    out->len += n;
    converter->edit_said += (uint32_t)n;
    return n == len;
}

static bool encode_qp(struct mime_converter *converter, struct output *out)
{
    if (!converter->begun) codec_qp_encoder_init(&converter->qp, CODEC_QP_ESCAPE_FROM);
    while (converter->left > 0 && output_room(out) >= CODEC_ROOM_MIN) {
        const struct bytes source = source_peek(converter);
        const struct codec_progress done = codec_qp_encoder_feed(
            &converter->qp, source.data, source.len, output_at(out), output_room(out));
        source_take(converter, done.taken);
        out->len += done.written;
    }
    if (converter->left > 0 || output_room(out) < CODEC_ROOM_MIN) return false;
    out->len += codec_qp_encoder_finish(&converter->qp, output_at(out));
    return true;
}

static bool encode_base64(struct mime_converter *converter, struct output *out)
{
    if (!converter->begun) codec_base64_encoder_init(&converter->base64, CODEC_BASE64_LINE);
    while (converter->left > 0 && output_room(out) >= CODEC_ROOM_MIN) {
        const struct bytes source = source_peek(converter);
        const struct codec_progress done = codec_base64_encoder_feed(
            &converter->base64, source.data, source.len, output_at(out), output_room(out));
        source_take(converter, done.taken);
        out->len += done.written;
    }
    if (converter->left > 0 || output_room(out) < CODEC_ROOM_MIN) return false;
    out->len += codec_base64_encoder_finish(&converter->base64, output_at(out));
    return true;
}

/* So many decoded octets that the encoder takes them all: it writes at most three for one and a
 * soft break in 24, and stops only when less than CODEC_ROOM_MIN is left. */
static size_t decoded_max(const struct output *out)
{
    const size_t room = output_room(out);
    if (room < MIME_CONVERT_ROOM_MIN) return 0;
    return MIN((room - 2 * CODEC_ROOM_MIN) / 4, (size_t)DECODED_MAX);
}

static void encode_decoded_qp(struct mime_converter *converter, struct output *out,
                              const char *decoded, size_t len)
{
    const struct codec_progress done =
        codec_qp_encoder_feed(&converter->qp, decoded, len, output_at(out), output_room(out));
    ASSERT(done.taken == len);
    out->len += done.written;
}

static bool qp_again(struct mime_converter *converter, struct output *out)
{
    char decoded[DECODED_MAX];
    if (!converter->begun) {
        codec_qp_decoder_init(&converter->qp_decoder, CODEC_QP_LENIENT);
        codec_qp_encoder_init(&converter->qp, CODEC_QP_ESCAPE_FROM);
    }
    for (size_t cap; (cap = decoded_max(out)) > 0;) {
        if (converter->left == 0) {
            const size_t last = codec_qp_decoder_finish(&converter->qp_decoder, decoded);
            encode_decoded_qp(converter, out, decoded, last);
            out->len += codec_qp_encoder_finish(&converter->qp, output_at(out));
            return true;
        }
        const struct bytes source = source_peek(converter);
        const struct codec_progress done =
            codec_qp_decoder_feed(&converter->qp_decoder, source.data, source.len, decoded, cap);
        source_take(converter, done.taken);
        encode_decoded_qp(converter, out, decoded, done.written);
    }
    return false;
}

static void encode_decoded_base64(struct mime_converter *converter, struct output *out,
                                  const char *decoded, size_t len)
{
    const struct codec_progress done = codec_base64_encoder_feed(&converter->base64, decoded, len,
                                                                 output_at(out), output_room(out));
    ASSERT(done.taken == len);
    out->len += done.written;
}

static bool base64_again(struct mime_converter *converter, struct output *out)
{
    char decoded[DECODED_MAX];
    if (!converter->begun) {
        codec_base64_decoder_init(&converter->base64_decoder, CODEC_BASE64_LENIENT);
        codec_base64_encoder_init(&converter->base64, CODEC_BASE64_LINE);
    }
    for (size_t cap; (cap = decoded_max(out)) > 0;) {
        if (converter->left == 0) {
            const size_t last = codec_base64_decoder_finish(&converter->base64_decoder, decoded);
            encode_decoded_base64(converter, out, decoded, last);
            out->len += codec_base64_encoder_finish(&converter->base64, output_at(out));
            return true;
        }
        const struct bytes source = source_peek(converter);
        const struct codec_progress done = codec_base64_decoder_feed(
            &converter->base64_decoder, source.data, source.len, decoded, cap);
        source_take(converter, done.taken);
        encode_decoded_base64(converter, out, decoded, done.written);
    }
    return false;
}

/* False: there is no room for more of it. */
static bool carry_out(struct mime_converter *converter, enum mime_edit_what what,
                      struct output *out)
{
    switch (what) {
    case MIME_EDIT_COPY:
        return copy(converter, out);
    case MIME_EDIT_DROP:
        return drop(converter, out);
    case MIME_EDIT_QP:
        return encode_qp(converter, out);
    case MIME_EDIT_BASE64:
        return encode_base64(converter, out);
    case MIME_EDIT_QP_AGAIN:
        return qp_again(converter, out);
    case MIME_EDIT_BASE64_AGAIN:
        return base64_again(converter, out);
    case MIME_EDIT_SAY:
        return say(converter, out);
    }
    UNREACHABLE("mime: no such edit");
}

size_t mime_convert_next(struct mime_converter *converter, char *dst, size_t cap)
{
    const struct mime_conversion *conversion = converter->conversion;
    struct output out = {.dst = dst, .cap = cap};
    ASSERT(cap >= MIME_CONVERT_ROOM_MIN);
    while (converter->edit < conversion->edit_count) {
        const struct mime_edit *edit = &conversion->edits[converter->edit];
        if (!converter->begun) {
            converter->left = edit->len;
            converter->edit_said = 0;
        }
        const bool through = carry_out(converter, (enum mime_edit_what)edit->what, &out);
        converter->begun = !through;
        if (!through) break;
        converter->edit += 1;
    }
    return out.len;
}
