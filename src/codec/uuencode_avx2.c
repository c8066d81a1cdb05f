/* SPDX-License-Identifier: Apache-2.0
 *
 * uuencode_avx2 - a line in two halves of 32 characters, which share four
 *
 *     octets       0..23                characters  0..31
 *                       21..44                          28..59
 *
 * The bits are moved as in Muła and Lemire, "Faster Base64 Encoding and Decoding Using AVX2
 * Instructions" (2018); a line is never left, so the last one is like the others.
 */
#include "uuencode_ops.h"
#include <immintrin.h>

enum { SECOND_OCTET = 21, SECOND_CHARACTER = 28 };

static inline __m128i load_16(const void *from)
{
    return _mm_loadu_si128(from);
}

/* Octets 0..11 of the low and 4..15 of the high half, as characters. Each group of three octets a,
 * b, c becomes the 16-bit numbers b:a and c:b, high octet first; products with powers of two shift
 * each six bits to their octet. */
static inline __m256i encode_24(__m128i low, __m128i high)
{
    const __m256i octets = _mm256_set_m128i(high, low);
    const __m256i order =
        _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, /* low: from 0 */
                         5, 4, 6, 5, 8, 7, 9, 8, 11, 10, 12, 11, 14, 13, 15, 14);
    const __m256i groups = _mm256_shuffle_epi8(octets, order);
    const __m256i first = _mm256_mulhi_epu16(
        _mm256_and_si256(groups, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
    const __m256i second = _mm256_mullo_epi16(
        _mm256_and_si256(groups, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
    const __m256i six = _mm256_or_si256(first, second);
    /* 1..63 follow the space; 0 becomes "`", one behind the last. */
    const __m256i less =
        _mm256_and_si256(_mm256_sub_epi8(six, _mm256_set1_epi8(1)), _mm256_set1_epi8(63));
    return _mm256_add_epi8(less, _mm256_set1_epi8('!'));
}

static void encode_lines(const unsigned char *src, size_t lines, char *dst)
{
    for (; lines > 0; lines--) {
        const __m256i first = encode_24(load_16(src), load_16(src + 8));
        const __m256i second =
            encode_24(load_16(src + SECOND_OCTET), load_16(src + SECOND_OCTET + 8));
        dst[0] = UU_LENGTH;
        _mm256_storeu_si256((void *)(dst + 1), first);
        _mm256_storeu_si256((void *)(dst + 1 + SECOND_CHARACTER), second);
        memcpy(dst + 1 + UU_CHARACTERS, "\r\n", 2);
        src += CODEC_UU_LINE;
        dst += UU_LINE_ENCODED;
    }
}

/* What is over 64 when the space is 0, shows in bad. */
static inline __m256i check_32(const char *src, __m256i *bad)
{
    const __m256i characters = _mm256_loadu_si256((const void *)src);
    const __m256i values = _mm256_sub_epi8(characters, _mm256_set1_epi8(' '));
    *bad = _mm256_or_si256(*bad, _mm256_subs_epu8(values, _mm256_set1_epi8(64)));
    return _mm256_and_si256(values, _mm256_set1_epi8(63));
}

/* 24 octets, and 8 of nothing. */
static inline __m256i pack_24(__m256i six)
{
    const __m256i pairs = _mm256_maddubs_epi16(six, _mm256_set1_epi32(0x01400140));
    const __m256i quanta = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m256i order =
        _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, /* 12 octets */
                         2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(quanta, order),
                                       _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
}

static size_t decode_lines(const char *src, size_t len, unsigned char *dst, size_t room,
                           size_t *taken)
{
    size_t lines = 0, at = 0;
    while (len - at > UU_CHARACTERS && src[at] == UU_LENGTH &&
           room - lines * CODEC_UU_LINE >= UU_LINE_ROOM) {
        const size_t end = uu_line_end(src + at, len - at);
        __m256i bad = _mm256_setzero_si256();
        const __m256i first = check_32(src + at + 1, &bad);
        const __m256i second = check_32(src + at + 1 + SECOND_CHARACTER, &bad);
        if (end == 0 || !_mm256_testz_si256(bad, bad)) break;
        unsigned char *to = dst + lines * CODEC_UU_LINE;
        _mm256_storeu_si256((void *)to, pack_24(first));
        _mm256_storeu_si256((void *)(to + SECOND_OCTET), pack_24(second));
        at += 1 + UU_CHARACTERS + end;
        lines += 1;
    }
    *taken = at;
    return lines;
}
static_assert(SECOND_OCTET + 32 == UU_LINE_ROOM, "what a line may write");

const struct uuencode_ops uuencode_ops_avx2 = {
    .encode_lines = encode_lines,
    .decode_lines = decode_lines,
};
