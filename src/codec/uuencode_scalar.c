/* SPDX-License-Identifier: Apache-2.0
 *
 * uuencode_scalar - lines of uuencode, plainly: what the kernels must do
 */
#include "uuencode_ops.h"

/* Six bits as a character: 1..63 follow the space, zero is "`", 64 behind it. */
static char character(unsigned bits)
{
    return (char)((((bits & 63) - 1) & 63) + '!');
}

size_t uu_encode_line(const unsigned char *src, size_t len, char *dst)
{
    size_t written = 0;
    dst[written++] = character((unsigned)len);
    for (size_t i = 0; i < len; i += 3) {
        const unsigned second = i + 1 < len ? src[i + 1] : 0, third = i + 2 < len ? src[i + 2] : 0;
        dst[written++] = character(src[i] >> 2);
        dst[written++] = character((unsigned)src[i] << 4 | second >> 4);
        dst[written++] = character(second << 2 | third >> 6);
        dst[written++] = character(third);
    }
    dst[written++] = '\r';
    dst[written++] = '\n';
    return written;
}

static void encode_lines(const unsigned char *src, size_t lines, char *dst)
{
    for (; lines > 0; lines--) {
        dst += uu_encode_line(src, CODEC_UU_LINE, dst);
        src += CODEC_UU_LINE;
    }
}

static bool are_characters(const char *src, size_t len)
{
    bool good = true;
    for (size_t i = 0; i < len; i++)
        good &= (unsigned char)(src[i] - ' ') <= 64;
    return good;
}

static void decode_quanta(const char *src, size_t quanta, unsigned char *dst)
{
    for (size_t i = 0; i < 4 * quanta; i += 4, dst += 3) {
        const unsigned a = (unsigned)(src[i] - ' ') & 63, b = (unsigned)(src[i + 1] - ' ') & 63;
        const unsigned c = (unsigned)(src[i + 2] - ' ') & 63, d = (unsigned)(src[i + 3] - ' ') & 63;
        dst[0] = (unsigned char)(a << 2 | b >> 4);
        dst[1] = (unsigned char)(b << 4 | c >> 2);
        dst[2] = (unsigned char)(c << 6 | d);
    }
}

size_t uu_decode_line(const char *src, size_t len, unsigned char *dst, size_t room, size_t *written)
{
    const size_t n = len > 0 ? (size_t)(unsigned char)(src[0] - ' ') : 0;
    const size_t characters = (n + 2) / 3 * 4;
    *written = 0;
    if (n == 0 || n > UU_LINE_MAX || len < characters + 3 || room < n) return 0;
    const char *end = src + 1 + characters;
    const size_t end_len = *end == '\n' ? 1 : end[0] == '\r' && end[1] == '\n' ? 2 : 0;
    if (end_len == 0 || !are_characters(src + 1, characters)) return 0;
    const size_t whole = n / 3;
    decode_quanta(src + 1, whole, dst);
    if (n > 3 * whole) {
        unsigned char last[3];
        decode_quanta(src + 1 + 4 * whole, 1, last);
        memcpy(dst + 3 * whole, last, n - 3 * whole);
    }
    *written = n;
    return 1 + characters + end_len;
}

static size_t decode_lines(const char *src, size_t len, unsigned char *dst, size_t room,
                           size_t *taken)
{
    size_t lines = 0, at = 0;
    while (len - at > UU_CHARACTERS && src[at] == UU_LENGTH &&
           room - lines * CODEC_UU_LINE >= UU_LINE_ROOM) {
        const size_t end = uu_line_end(src + at, len - at);
        if (end == 0 || !are_characters(src + at + 1, UU_CHARACTERS)) break;
        decode_quanta(src + at + 1, UU_CHARACTERS / 4, dst + lines * CODEC_UU_LINE);
        at += 1 + UU_CHARACTERS + end;
        lines += 1;
    }
    *taken = at;
    return lines;
}

const struct uuencode_ops uuencode_ops_scalar = {
    .encode_lines = encode_lines,
    .decode_lines = decode_lines,
};
