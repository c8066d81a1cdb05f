/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_scan - the content reader, the stuffer and UTF-8, in pieces, by the kernels of this CPU
 *
 * The first two octets choose the pieces and the rooms. All must give what the scalar kernels give
 * for the whole text; what was stuffed must be read back as it was.
 */
#include "ringpost/base.h"
#include "ringpost/scan.h"
#include "ringpost/simd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TRIED_MAX = 4096 };

static char wanted_dst[2 * TRIED_MAX + 3], got_dst[2 * TRIED_MAX + 3];

static size_t read_in_pieces(struct scan_reader *reader, const char *src, size_t len, size_t piece,
                             size_t room, char *dst)
{
    size_t taken = 0, written = 0;
    while (taken < len && reader->state != SCAN_END) {
        const struct scan_progress done =
            scan_read(reader, src + taken, MIN(piece, len - taken), dst + written, room);
        ASSERT(done.taken + done.written > 0 && done.written <= room);
        taken += done.taken;
        written += done.written;
        ASSERT(written <= len);
    }
    ASSERT(reader->octets == written);
    return taken;
}

static void check_read(const char *src, size_t len, size_t piece, size_t room, bool dots)
{
    const enum simd_level level = simd_level();
    struct scan_reader wanted, got;
    ASSERT(simd_select(SIMD_SCALAR));
    scan_reader_init(&wanted, dots);
    const struct scan_progress done = scan_read(&wanted, src, len, wanted_dst, len + 1);
    ASSERT(simd_select(level));
    scan_reader_init(&got, dots);
    ASSERT(read_in_pieces(&got, src, len, piece, room, got_dst) == done.taken);
    ASSERT(got.octets == wanted.octets && memcmp(got_dst, wanted_dst, done.written) == 0);
    ASSERT(got.state == wanted.state && got.classes == wanted.classes);
    ASSERT(got.line == wanted.line && got.line_max == wanted.line_max);
}

static void check_stuff(const char *src, size_t len, size_t piece, size_t room)
{
    const enum simd_level level = simd_level();
    struct scan_stuffer wanted, got;
    size_t written = 0;
    ASSERT(simd_select(SIMD_SCALAR));
    scan_stuffer_init(&wanted);
    const size_t wanted_len = scan_stuff(&wanted, src, len, wanted_dst);
    ASSERT(simd_select(level));
    scan_stuffer_init(&got);
    for (size_t at = 0; at < len; at += piece)
        written += scan_stuff(&got, src + at, MIN(piece, len - at), got_dst + written);
    ASSERT(written == wanted_len && memcmp(got_dst, wanted_dst, written) == 0);
    ASSERT(got.state == wanted.state);
    if (!scan_stuffer_at_line_start(&got)) return;

    struct scan_reader reader;
    memcpy(got_dst + written, ".\r\n", 3);
    scan_reader_init(&reader, true);
    ASSERT(read_in_pieces(&reader, got_dst, written + 3, piece, room, wanted_dst) == written + 3);
    ASSERT(reader.state == SCAN_END && reader.octets == len);
    ASSERT(memcmp(wanted_dst, src, len) == 0);
}

static void check_utf8(const char *src, size_t len, size_t piece)
{
    const enum simd_level level = simd_level();
    struct scan_utf8 utf8;
    bool good = true;
    ASSERT(simd_select(SIMD_SCALAR));
    const size_t wanted = scan_utf8_valid_len(src, len);
    ASSERT(simd_select(level));
    ASSERT(scan_utf8_valid_len(src, len) == wanted);
    scan_utf8_init(&utf8);
    for (size_t at = 0; at < len; at += piece)
        good = scan_utf8_feed(&utf8, src + at, MIN(piece, len - at));
    ASSERT(utf8.valid == wanted && scan_utf8_finish(&utf8) == (wanted == len));
    ASSERT(good || wanted < len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > TRIED_MAX) return 0;
    const size_t piece = (size_t)data[0] * 4 + 1, room = (size_t)data[1] * 4 + 1, len = size - 2;
    const char *src = (const char *)data + 2;
    check_read(src, len, piece, room, true);
    check_read(src, len, piece, room, false);
    check_stuff(src, len, piece, room);
    check_utf8(src, len, piece);
    return 0;
}
