/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_qp - quoted-printable: any octets decoded and encoded, whole, in place and in pieces
 *
 * The first octet chooses how to split and what to escape. What a strict decoder takes, a lenient
 * one must read in the same way; what is encoded must come back.
 */
#include "ringpost/base.h"
#include "ringpost/codec/quoted_printable.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_decoder(const char *text, size_t len, size_t piece, enum codec_qp_mode mode,
                          const char *whole, struct codec_result result)
{
    struct codec_qp_decoder decoder;
    char out[2 * CODEC_ROOM_MIN];
    size_t taken = 0, written = 0;
    codec_qp_decoder_init(&decoder, mode);
    while (taken < len) {
        const struct codec_progress done = codec_qp_decoder_feed(
            &decoder, text + taken, MIN(piece, len - taken), out, sizeof(out));
        ASSERT(done.taken > 0 || done.written > 0);
        ASSERT(written + done.written <= result.written);
        ASSERT(memcmp(out, whole + written, done.written) == 0);
        taken += done.taken;
        written += done.written;
    }
    const size_t last = codec_qp_decoder_finish(&decoder, out);
    ASSERT(written + last == result.written && memcmp(out, whole + written, last) == 0);
    ASSERT(decoder.error == result.error);
}

static void check_decode(const char *text, size_t len, size_t piece)
{
    char *strict = malloc(len + 1), *lenient = malloc(len + 1);
    ASSERT(strict != NULL && lenient != NULL);
    const struct codec_result a = codec_qp_decode(text, len, strict, CODEC_QP_STRICT);
    check_decoder(text, len, piece, CODEC_QP_STRICT, strict, a);
    ASSERT(a.error == CODEC_NO_ERROR || a.error <= len);
    const struct codec_result b = codec_qp_decode(text, len, lenient, CODEC_QP_LENIENT);
    check_decoder(text, len, piece, CODEC_QP_LENIENT, lenient, b);
    ASSERT(b.error == CODEC_NO_ERROR && b.written <= len);
    ASSERT(b.written >= a.written || a.error != CODEC_NO_ERROR);
    if (a.error == CODEC_NO_ERROR)
        ASSERT(a.written == b.written && memcmp(strict, lenient, a.written) == 0);

    memcpy(strict, text, len);
    const struct codec_result c = codec_qp_decode(strict, len, strict, CODEC_QP_LENIENT);
    ASSERT(c.written == b.written && memcmp(strict, lenient, c.written) == 0);
    free(strict);
    free(lenient);
}

static void check_encode(const char *src, size_t len, size_t piece, unsigned flags)
{
    char *whole = malloc(codec_qp_encoded_max(len)), *back = malloc(codec_qp_encoded_max(len));
    char out[2 * CODEC_ROOM_MIN];
    ASSERT(whole != NULL && back != NULL);
    const size_t encoded = codec_qp_encode(src, len, whole, flags);
    const struct codec_result result = codec_qp_decode(whole, encoded, back, CODEC_QP_STRICT);
    ASSERT(result.error == CODEC_NO_ERROR && result.written == len);
    ASSERT(len == 0 || memcmp(back, src, len) == 0);

    struct codec_qp_encoder encoder;
    size_t taken = 0, written = 0;
    codec_qp_encoder_init(&encoder, flags);
    while (taken < len) {
        const struct codec_progress done =
            codec_qp_encoder_feed(&encoder, src + taken, MIN(piece, len - taken), out, sizeof(out));
        ASSERT(done.taken > 0 && written + done.written <= encoded);
        ASSERT(memcmp(out, whole + written, done.written) == 0);
        taken += done.taken;
        written += done.written;
    }
    const size_t last = codec_qp_encoder_finish(&encoder, out);
    ASSERT(written + last == encoded && memcmp(out, whole + written, last) == 0);
    free(whole);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const char *text = (const char *)data + 1;
    const size_t piece = (size_t)(data[0] >> 3) * 9 + 1;
    check_decode(text, size - 1, piece);
    check_encode(text, size - 1, piece, data[0] & 7);
    return 0;
}
