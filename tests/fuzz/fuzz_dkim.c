/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dkim - canonical bodies, in pieces
 *
 * The first octet chooses the mode, the pieces and the room. What comes out must be what the whole
 * body gives at once with the scalar kernel, and be canonical: to do it again changes nothing.
 */
#include "ringpost/base.h"
#include "ringpost/codec/dkim.h"
#include "ringpost/simd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_TRIED = 4096, ROOM = SIZE_MAX_TRIED + 2 };

static size_t in_pieces(const char *src, size_t len, size_t piece, enum codec_dkim_mode mode,
                        char *dst)
{
    struct codec_dkim_body body;
    char room[2 * CODEC_ROOM_MIN];
    const size_t cap = CODEC_ROOM_MIN + piece % CODEC_ROOM_MIN;
    size_t taken = 0, written = 0;
    codec_dkim_body_init(&body, mode);
    while (taken < len) {
        const struct codec_progress done =
            codec_dkim_body_feed(&body, src + taken, MIN(piece, len - taken), room, cap);
        ASSERT(done.taken + done.written > 0 && done.written <= cap);
        ASSERT(written + done.written <= ROOM);
        memcpy(dst + written, room, done.written);
        taken += done.taken;
        written += done.written;
    }
    for (size_t n = 1; n > 0; written += n) {
        n = codec_dkim_body_finish(&body, room);
        ASSERT(n <= CODEC_ROOM_MIN && written + n <= ROOM);
        memcpy(dst + written, room, n);
    }
    ASSERT(body.written == written);
    return written;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole[ROOM], pieces[ROOM], again[ROOM + 2];
    if (size == 0 || size > SIZE_MAX_TRIED) return 0;
    const enum codec_dkim_mode mode = data[0] & 1 ? CODEC_DKIM_RELAXED : CODEC_DKIM_SIMPLE;
    const size_t piece = (size_t)(data[0] >> 1) * 3 + 1, len = size - 1;
    const char *src = (const char *)data + 1;
    const enum simd_level level = simd_level();

    ASSERT(simd_select(SIMD_SCALAR));
    const size_t whole_len = codec_dkim_canonical(src, len, whole, mode);
    ASSERT(simd_select(level));
    ASSERT(whole_len <= len + 2);
    ASSERT(in_pieces(src, len, piece, mode, pieces) == whole_len);
    ASSERT(memcmp(whole, pieces, whole_len) == 0);
    ASSERT(codec_dkim_canonical(whole, whole_len, again, mode) == whole_len);
    ASSERT(memcmp(whole, again, whole_len) == 0);
    return 0;
}
