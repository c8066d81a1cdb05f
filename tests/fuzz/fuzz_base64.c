/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_base64 - any text decoded in all modes, any octets encoded and decoded again
 *
 * Each kernel of this CPU against the scalar one, one-shot, in place and as a stream. The first
 * four octets of the input say how long lines are, how pieces are cut and how much room they get.
 */
#include "choices.h"
#include "ringpost/codec/base64.h"
#include "ringpost/simd.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum codec_base64_mode modes[] = {CODEC_BASE64_PLAIN, CODEC_BASE64_STRICT,
                                               CODEC_BASE64_LENIENT};

struct cuts {
    size_t piece, room; /* room beyond CODEC_ROOM_MIN */
};

static void *exactly(size_t len) /* so that a sanitizer sees what is beyond */
{
    void *memory = malloc(len > 0 ? len : 1);
    ASSERT(memory != NULL);
    return memory;
}

static void *copy_of(const void *data, size_t len)
{
    void *copy = exactly(len);
    memcpy(copy, data, len);
    return copy;
}

static struct codec_result decode_stream(const char *text, size_t len, char *octets,
                                         enum codec_base64_mode mode, const struct cuts *cuts)
{
    struct codec_base64_decoder decoder;
    struct codec_result result = {0, CODEC_NO_ERROR};
    const size_t cap = CODEC_ROOM_MIN + cuts->room;
    char *room = exactly(cap);
    size_t taken = 0;
    codec_base64_decoder_init(&decoder, mode);
    while (taken < len) {
        const size_t piece = MIN(cuts->piece, len - taken);
        const struct codec_progress done =
            codec_base64_decoder_feed(&decoder, text + taken, piece, room, cap);
        ASSERT(done.taken == piece || cap - done.written < CODEC_ROOM_MIN);
        memcpy(octets + result.written, room, done.written);
        taken += done.taken;
        result.written += done.written;
    }
    const size_t rest = codec_base64_decoder_finish(&decoder, room);
    memcpy(octets + result.written, room, rest);
    free(room);
    result.written += rest;
    result.error = decoder.error;
    return result;
}

static void assert_same(struct codec_result a, const char *a_octets, struct codec_result b,
                        const char *b_octets)
{
    ASSERT(a.written == b.written && a.error == b.error);
    ASSERT(memcmp(a_octets, b_octets, a.written) == 0);
}

static void check_decode(const char *text, size_t len, enum codec_base64_mode mode,
                         const struct cuts *cuts)
{
    const size_t room = codec_base64_decoded_max(len);
    char *wanted = exactly(room), *got = exactly(room);
    ASSERT(simd_select(SIMD_SCALAR));
    const struct codec_result result = codec_base64_decode(text, len, wanted, mode);
    ASSERT(result.written <= len / 4 * 3 + 2);
    ASSERT(result.error <= len || result.error == CODEC_NO_ERROR);
    for (int level = 0; level < SIMD_LEVEL_COUNT; level++) {
        if (!simd_select((enum simd_level)level)) continue;
        assert_same(result, wanted, codec_base64_decode(text, len, got, mode), got);
        assert_same(result, wanted, decode_stream(text, len, got, mode, cuts), got);
        char *both = copy_of(text, len);
        assert_same(result, wanted, codec_base64_decode(both, len, both, mode), both);
        free(both);
    }
    free(wanted);
    free(got);
}

static size_t encode_stream(const char *octets, size_t len, char *text, size_t line,
                            const struct cuts *cuts)
{
    struct codec_base64_encoder encoder;
    const size_t cap = CODEC_ROOM_MIN + cuts->room;
    char *room = exactly(cap);
    size_t taken = 0, written = 0;
    codec_base64_encoder_init(&encoder, line);
    while (taken < len) {
        const size_t piece = MIN(cuts->piece, len - taken);
        const struct codec_progress done =
            codec_base64_encoder_feed(&encoder, octets + taken, piece, room, cap);
        memcpy(text + written, room, done.written);
        taken += done.taken;
        written += done.written;
    }
    const size_t rest = codec_base64_encoder_finish(&encoder, room);
    memcpy(text + written, room, rest);
    free(room);
    return written + rest;
}

static void check_round_trip(const char *octets, size_t len, size_t line, const struct cuts *cuts)
{
    const size_t room = codec_base64_encoded_len(len, line);
    char *text = exactly(room), *again = exactly(room);
    char *back = exactly(codec_base64_decoded_max(room));
    for (int level = 0; level < SIMD_LEVEL_COUNT; level++) {
        if (!simd_select((enum simd_level)level)) continue;
        ASSERT(codec_base64_encode_lines(octets, len, text, line) == room);
        ASSERT(encode_stream(octets, len, again, line, cuts) == room);
        ASSERT(memcmp(text, again, room) == 0);
        const struct codec_result result = codec_base64_decode(
            text, room, back, line == 0 ? CODEC_BASE64_PLAIN : CODEC_BASE64_STRICT);
        ASSERT(result.error == CODEC_NO_ERROR && result.written == len);
        ASSERT(memcmp(back, octets, len) == 0);
    }
    free(text);
    free(again);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = {data, size};
    size_t line = 4 * (size_t)choose_octet(&choices);
    if (line > CODEC_BASE64_LINE_MAX) line = CODEC_BASE64_LINE;
    const size_t piece = 1 + choose_octet(&choices) + 16 * (size_t)choose_octet(&choices);
    const struct cuts cuts = {piece, choose_octet(&choices)};
    char *text = copy_of(choices.data, choices.left);
    for (unsigned i = 0; i < ARRAY_COUNT(modes); i++)
        check_decode(text, choices.left, modes[i], &cuts);
    check_round_trip(text, choices.left, line, &cuts);
    free(text);
    return 0;
}
