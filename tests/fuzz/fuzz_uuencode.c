/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_uuencode - any octets as lines of uuencode, and as what is to be encoded
 *
 * Decoding gives the same whole, in place and in pieces, from every kernel; what was encoded comes
 * back.
 */
#include "ringpost/base.h"
#include "ringpost/codec/uuencode.h"
#include "ringpost/simd.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *exact(size_t len)
{
    char *memory = malloc(len ? len : 1);
    ASSERT(memory != NULL);
    return memory;
}

static void check_pieces(const char *text, size_t len, size_t piece, const char *wanted,
                         const struct codec_result *result)
{
    struct codec_uu_decoder decoder;
    size_t taken = 0, written = 0;
    codec_uu_decoder_init(&decoder);
    while (taken < len) {
        char room[CODEC_ROOM_MIN];
        const struct codec_progress done = codec_uu_decoder_feed(
            &decoder, text + taken, MIN(piece, len - taken), room, sizeof(room));
        ASSERT(done.taken > 0 && done.written <= result->written - written);
        ASSERT(memcmp(room, wanted + written, done.written) == 0);
        taken += done.taken;
        written += done.written;
    }
    codec_uu_decoder_finish(&decoder);
    ASSERT(written == result->written && decoder.error == result->error);
}

static void check_decode(const char *text, size_t len, size_t piece)
{
    size_t wanted_taken;
    char *wanted = exact(len);
    ASSERT(simd_select(SIMD_SCALAR));
    const struct codec_result result = codec_uu_decode(text, len, wanted, &wanted_taken);
    ASSERT(result.written <= len && wanted_taken <= len);
    for (int level = SIMD_SCALAR; level < SIMD_LEVEL_COUNT; level++) {
        size_t taken;
        if (!simd_select((enum simd_level)level)) continue;
        char *place = exact(len);
        if (len > 0) memcpy(place, text, len);
        const struct codec_result again = codec_uu_decode(place, len, place, &taken);
        ASSERT(again.written == result.written && again.error == result.error);
        ASSERT(taken == wanted_taken && memcmp(place, wanted, again.written) == 0);
        check_pieces(text, len, piece, wanted, &result);
        free(place);
    }
    free(wanted);
}

static void check_encode(const char *data, size_t len)
{
    char *text = exact(codec_uu_encoded_max(len));
    const size_t n = codec_uu_encode(data, len, text);
    ASSERT(n <= codec_uu_encoded_max(len));
    const struct codec_result result = codec_uu_decode(text, n, text, NULL);
    ASSERT(result.error == CODEC_NO_ERROR && result.written == len);
    ASSERT(len == 0 || memcmp(text, data, len) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const struct codec_uu_begin begin = codec_uu_find(text, size);
    ASSERT(begin.offset <= begin.data && begin.data <= size);
    if (begin.offset < size) {
        ASSERT(begin.name > text && begin.name + begin.name_len <= text + begin.data);
        check_decode(text + begin.data, size - begin.data, 1 + size % 80);
    }
    check_decode(text, size, 1 + size % 80);
    check_encode(text, size);
    return 0;
}
