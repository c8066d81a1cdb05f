/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_scalar - the specification of the kernels, and what they do where there is no SIMD
 */
#include "base64_ops.h"

/* RFC 4648 section 4, table 1 */
const char base64_alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define X BASE64_OTHER
#define S BASE64_SPACE
#define P BASE64_PAD
/* clang-format off */
const uint8_t base64_values[256] = {
    X, X, X, X, X, X, X, X, X, S, S, X, X, S, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    S, X, X, X, X, X, X, X, X, X, X, 62, X, X, X, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X, X, X, P, X, X,
    X, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X, X, X, X, X,
    X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
};
/* clang-format on */

static void encode(const uint8_t *src, size_t len, char *dst)
{
    for (; len > 0; src += 3, len -= 3, dst += 4)
        base64_encode_quantum(src, dst);
}

static void encode_lines(const uint8_t *src, size_t count, char *dst, size_t line)
{
    for (; count > 0; count--) {
        encode(src, line / 4 * 3, dst);
        src += line / 4 * 3;
        dst += line;
        *dst++ = '\r';
        *dst++ = '\n';
    }
}

static size_t decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    size_t taken = 0;
    while (len - taken >= 4 && cap - taken / 4 * 3 >= 3 &&
           base64_decode_quantum(src + taken, dst + taken / 4 * 3))
        taken += 4;
    return taken;
}

static size_t decode_lines(const uint8_t *src, size_t len, uint8_t *dst, size_t cap, size_t line,
                           size_t end)
{
    const size_t octets = line / 4 * 3;
    size_t lines = 0;
    for (; len >= line + end && cap >= octets && base64_is_line_end(src + line, end); lines++) {
        uint8_t
            whole[BASE64_REGULAR_MAX]; /* in place, a line that breaks off has to be there still */
        if (decode(src, line, whole, sizeof(whole)) != line) break;
        memcpy(dst, whole, octets);
        src += line + end;
        len -= line + end;
        dst += octets;
        cap -= octets;
    }
    return lines;
}

static size_t squeeze(const uint8_t *src, size_t len, uint8_t *values, bool skip_all)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        const uint8_t value = base64_values[src[i]];
        if (value == BASE64_SPACE || (skip_all && value == BASE64_OTHER)) continue;
        if (value >= BASE64_SPACE) return BASE64_BAD;
        values[count++] = value;
    }
    return count;
}

static void pack(const uint8_t *values, size_t len, uint8_t *dst)
{
    for (; len > 0; values += 4, len -= 4, dst += 3) {
        base64_pack_quantum((uint32_t)values[0] << 18 | (uint32_t)values[1] << 12 |
                                (uint32_t)values[2] << 6 | values[3],
                            dst);
    }
}

const struct base64_ops base64_ops_scalar = {
    .encode = encode,
    .encode_lines = encode_lines,
    .decode = decode,
    .decode_lines = decode_lines,
    .squeeze = squeeze,
    .pack = pack,
};
