/* SPDX-License-Identifier: Apache-2.0
 *
 * qp - quoted-printable: one-shot calls and streams, on the kernels in force
 */
#include "qp_ops.h"
#include "ringpost/simd.h"

static const struct qp_ops *const by_level[SIMD_LEVEL_COUNT] = {
    [SIMD_SCALAR] = &qp_ops_scalar,
#ifdef __x86_64__
    [SIMD_AVX2] = &qp_ops_avx2,
    [SIMD_AVX512] = &qp_ops_avx512,
#endif
#ifdef __aarch64__
    [SIMD_NEON] = &qp_ops_neon,
#endif
};
#define ops (by_level[simd_in_force])

/* ---- encode ------------------------------------------------------------------------------------
 */

void codec_qp_encoder_init(struct codec_qp_encoder *encoder, unsigned flags)
{
    *encoder = (struct codec_qp_encoder){.flags = (uint8_t)flags};
}

/* The kernels want up to CODEC_ROOM_MIN octets of room for a step: codec_qp_encoded_max() has them
 * on top of the longest form. A line that ends in a soft break has 73 to 75 characters before it.
 * If all of them are escapes it holds 25 octets in 78; with t octets of which one at least is a
 * literal it has at most 3 t + 1, and t >= 25: both are within 3 t + 3 t / 24. */
size_t codec_qp_encode(const void *src, size_t len, char *dst, unsigned flags)
{
    struct codec_qp_encoder encoder;
    if (len == 0) return 0;
    codec_qp_encoder_init(&encoder, flags);
    const struct codec_progress done =
        ops->encode(&encoder, src, len, true, dst, codec_qp_encoded_max(len));
    ASSERT(done.taken == len);
    return done.written;
}

/* Encodes what is held, with as much of src behind it as that needs; returns what was taken of
 * src. */
static struct codec_progress encode_held(struct codec_qp_encoder *encoder, const char *src,
                                         size_t len, char *dst, size_t cap)
{
    char joined[2 * QP_LOOKAHEAD];
    const size_t held = encoder->held_count, more = MIN(len, (size_t)QP_LOOKAHEAD);
    memcpy(joined, encoder->held, held);
    memcpy(joined + held, src, more);
    struct codec_progress done = ops->encode(encoder, joined, held + more, false, dst, cap);
    if (done.taken >= held) {
        encoder->held_count = 0;
        done.taken -= held;
    } else { /* the source is shorter than what is needed */
        encoder->held_count = (uint8_t)(held + more - done.taken);
        memcpy(encoder->held, joined + done.taken, encoder->held_count);
        done.taken = more;
    }
    return done;
}

struct codec_progress codec_qp_encoder_feed(struct codec_qp_encoder *encoder, const void *src,
                                            size_t len, char *dst, size_t cap)
{
    struct codec_progress done = {0, 0};
    const char *text = src;
    if (cap < CODEC_ROOM_MIN || len == 0) return done;
    if (encoder->held_count > 0) {
        done = encode_held(encoder, text, len, dst, cap);
        if (encoder->held_count > 0 || done.taken == len) return done;
    }
    const struct codec_progress rest = ops->encode(encoder, text + done.taken, len - done.taken,
                                                   false, dst + done.written, cap - done.written);
    done.taken += rest.taken;
    done.written += rest.written;
    if (len - done.taken <= QP_LOOKAHEAD) {
        encoder->held_count = (uint8_t)(len - done.taken);
        memcpy(encoder->held, text + done.taken, encoder->held_count);
        done.taken = len;
    }
    return done;
}

size_t codec_qp_encoder_finish(struct codec_qp_encoder *encoder, char *dst)
{
    const struct codec_progress done = ops->encode(encoder, (const char *)encoder->held,
                                                   encoder->held_count, true, dst, CODEC_ROOM_MIN);
    ASSERT(done.taken == encoder->held_count); /* 4 octets need far less room */
    codec_qp_encoder_init(encoder, encoder->flags);
    return done.written;
}

/* ---- decode ------------------------------------------------------------------------------------
 */

void codec_qp_decoder_init(struct codec_qp_decoder *decoder, enum codec_qp_mode mode)
{
    *decoder = (struct codec_qp_decoder){.mode = (uint8_t)mode, .error = CODEC_NO_ERROR};
}

struct codec_progress codec_qp_decoder_feed(struct codec_qp_decoder *decoder, const char *src,
                                            size_t len, void *dst, size_t cap)
{
    if (len == 0 || decoder->error != CODEC_NO_ERROR) return (struct codec_progress){len, 0};
    struct codec_progress done = ops->decode(decoder, src, len, dst, cap);
    if (decoder->error != CODEC_NO_ERROR) done.taken = len;
    return done;
}

size_t codec_qp_decoder_finish(struct codec_qp_decoder *decoder, void *dst)
{
    char *out = dst;
    if (decoder->error != CODEC_NO_ERROR) return 0;
    if (decoder->mode == CODEC_QP_STRICT) {
        if (decoder->state != QP_TEXT || decoder->space_count > 0) decoder->error = decoder->offset;
        return 0;
    }
    switch ((enum qp_state)decoder->state) { /* white space goes; "=" stays (6.7, note 3) */
    case QP_TEXT:
    case QP_CR:
        break;
    case QP_EQUALS:
        *out++ = '=';
        break;
    case QP_DIGIT:
        *out++ = '=';
        *out++ = (char)decoder->first;
        break;
    case QP_EQUALS_CR:
        *out++ = '=';
        *out++ = '\r';
        break;
    }
    decoder->state = QP_TEXT;
    decoder->space_count = 0;
    return (size_t)(out - (char *)dst);
}

struct codec_result codec_qp_decode(const char *src, size_t len, void *dst, enum codec_qp_mode mode)
{
    struct codec_qp_decoder decoder;
    if (len == 0) return (struct codec_result){0, CODEC_NO_ERROR};
    codec_qp_decoder_init(&decoder, mode);
    struct codec_progress done = codec_qp_decoder_feed(&decoder, src, len, dst, len);
    ASSERT(done.taken == len);
    /* What is held back was taken and not written: there is room for it. */
    done.written += codec_qp_decoder_finish(&decoder, (char *)dst + done.written);
    return (struct codec_result){done.written, decoder.error};
}
