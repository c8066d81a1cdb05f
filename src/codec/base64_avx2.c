/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_avx2 - 24 octets and 32 characters a register (AVX2, BMI)
 *
 * After W. Muła and D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions" (ACM
 * Transactions on the Web 12, 2018): each half of a register holds 12 octets or 16 characters. On
 * top of that: the end of a line as part of a store, lines at known places, and white space that is
 * taken out of registers by shuffles.
 */
#include "base64_keep.h"
#include "base64_ops.h"
#include <immintrin.h>

enum { OCTETS = 24, CHARACTERS = 32 }; /* of a step */

#define ALWAYS_INLINE inline __attribute__((always_inline)) /* its last argument is a constant */

/* The same 16 octets in both halves. */
#define TWICE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

static inline __m128i load16(const uint8_t *src)
{
    return _mm_loadu_si128((const __m128i *)src);
}
static inline __m256i load32(const uint8_t *src)
{
    return _mm256_loadu_si256((const __m256i *)src);
}
static inline __m256i load16_16(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(low)), load16(high), 1);
}
static inline void store16(void *dst, __m128i octets)
{
    _mm_storeu_si128((__m128i *)dst, octets);
}
static inline void store32(void *dst, __m256i octets)
{
    _mm256_storeu_si256((__m256i *)dst, octets);
}
/* The first 12 octets, and nothing else. */
static inline void store12(uint8_t *dst, __m128i octets)
{
    const uint32_t last = (uint32_t)_mm_extract_epi32(octets, 2);
    _mm_storel_epi64((__m128i *)dst, octets);
    memcpy(dst + 8, &last, sizeof(last));
}

/* ---- encode ----------------------------------------------------------------------------------
 *
 * Each quantum of octets a b c is spread to b a c b, so that both 16-bit words have their two
 * characters' bits in one piece; multiplications shift them into the places of their octets.
 */

/* The 12 octets of each half begin at octet `from` of it. */
static inline __m256i spread(__m256i in, __m256i from)
{
    const __m256i order = TWICE(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    return _mm256_shuffle_epi8(in, _mm256_add_epi8(order, from));
}

static inline __m256i to_values(__m256i spread)
{
    const __m256i even = _mm256_mulhi_epu16(_mm256_and_si256(spread, _mm256_set1_epi32(0x0fc0fc00)),
                                            _mm256_set1_epi32(0x04000040));
    const __m256i odd = _mm256_mullo_epi16(_mm256_and_si256(spread, _mm256_set1_epi32(0x003f03f0)),
                                           _mm256_set1_epi32(0x01000010));
    return _mm256_or_si256(even, odd);
}

/* What to add to a value depends on the range that it is in: number 0 for A-Z, 1 for a-z, 2 to 11
 * for the digits, 12 and 13 for "+" and "/". */
static inline __m256i to_characters(__m256i values)
{
    const __m256i distance =
        TWICE('A', 'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
              '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 0, 0);
    const __m256i above_upper = _mm256_cmpgt_epi8(values, _mm256_set1_epi8(25)); /* -1 if so */
    const __m256i above_lower = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
    const __m256i range = _mm256_sub_epi8(above_lower, above_upper);
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(distance, range));
}

static inline __m256i encode_halves(__m256i in, __m256i from)
{
    return to_characters(to_values(spread(in, from)));
}
/* Reads 4 octets more than it needs. */
static inline __m256i encode24(const uint8_t *src)
{
    return encode_halves(load16_16(src, src + 12), _mm256_setzero_si256());
}
/* Reads 4 octets before those that it needs, and none behind. */
static inline __m256i encode24_last(const uint8_t *src)
{
    return encode_halves(load16_16(src - 4, src + 8), _mm256_set1_epi8(4));
}

/* 18 to 27 octets: the first 12, the last 12, and a quantum that may be between them. */
static void encode_short(const uint8_t *src, size_t len, char *dst)
{
    const __m256i from = _mm256_setr_m128i(_mm_setzero_si128(), _mm_set1_epi8(4));
    const __m256i both = encode_halves(load16_16(src, src + len - 16), from);
    if (len > OCTETS) base64_encode_quantum(src + 12, dst + 16);
    store16(dst, _mm256_castsi256_si128(both));
    store16(dst + len / 3 * 4 - 16, _mm256_extracti128_si256(both, 1));
}

/* Registers from the begin, and one from the end: some characters perhaps for the second time. */
static inline void encode_long(const uint8_t *src, size_t len, char *dst)
{
    const uint8_t *last = src + len - OCTETS;
    char *last_dst = dst + len / 3 * 4 - CHARACTERS;
    while ((size_t)(last - src) >= 4 * OCTETS) {
        const __m256i a = encode24(src), b = encode24(src + 24);
        const __m256i c = encode24(src + 48), d = encode24(src + 72);
        store32(dst, a);
        store32(dst + 32, b);
        store32(dst + 64, c);
        store32(dst + 96, d);
        src += 4 * OCTETS;
        dst += 4 * CHARACTERS;
    }
    for (; last - src >= 4; src += OCTETS, dst += CHARACTERS)
        store32(dst, encode24(src));
    if (src < last) base64_encode_quantum(src, dst); /* 3 octets: too few for encode24() */
    store32(last_dst, encode24_last(last));
}

static void encode(const uint8_t *src, size_t len, char *dst)
{
    if (len >= OCTETS + 4) {
        encode_long(src, len, dst);
    } else if (len >= 16) {
        encode_short(src, len, dst);
    } else {
        for (; len > 0; src += 3, len -= 3, dst += 4)
            base64_encode_quantum(src, dst);
    }
}

/* In each half 12 characters, CRLF and two octets that do not count: from 9 octets at its end. */
static inline __m256i encode_ends(__m256i in)
{
    const __m256i ends = encode_halves(in, _mm256_set1_epi8(7));
    return _mm256_blend_epi16(ends, _mm256_set1_epi16(0x0a0d), 0x40);
}
static inline void store_end_exactly(char *dst, __m128i end)
{
    const uint32_t middle = (uint32_t)_mm_extract_epi32(end, 2);
    const uint16_t last = (uint16_t)_mm_extract_epi16(end, 6);
    _mm_storel_epi64((__m128i *)dst, end);
    memcpy(dst + 8, &middle, sizeof(middle));
    memcpy(dst + 12, &last, sizeof(last));
}

/* Two lines of 76: 2 x (24 + 24 + 9) octets. exact: nothing is written behind them. */
static inline void encode_pair(const uint8_t *src, char *dst, bool exact)
{
    const uint8_t *second = src + BASE64_LINE_OCTETS;
    char *second_dst = dst + BASE64_LINE_END;
    const __m256i a = encode24(src), b = encode24(src + 24);
    const __m256i c = encode24(second), d = encode24(second + 24);
    const __m256i ends = encode_ends(load16_16(src + 41, second + 41));
    store32(dst, a);
    store32(dst + 32, b);
    store16(dst + 64, _mm256_castsi256_si128(ends));
    store32(second_dst, c);
    store32(second_dst + 32, d);
    if (exact) {
        store_end_exactly(second_dst + 64, _mm256_extracti128_si256(ends, 1));
    } else {
        store16(second_dst + 64, _mm256_extracti128_si256(ends, 1));
    }
}

static size_t encode_pairs(const uint8_t *src, size_t count, char *dst)
{
    size_t done = 0;
    for (; count - done > 2; done += 2) {
        encode_pair(src, dst, false);
        src += 2 * BASE64_LINE_OCTETS;
        dst += 2 * BASE64_LINE_END;
    }
    if (count - done == 2) {
        encode_pair(src, dst, true);
        done += 2;
    }
    return done;
}

/* A line of 32 characters or more: registers from its begin, the last one from its end. 4 octets
 * behind its octets are read. */
static inline void encode_line(const uint8_t *src, char *dst, size_t line)
{
    const size_t last = line - CHARACTERS;
    for (size_t i = 0; i < last; i += CHARACTERS)
        store32(dst + i, encode24(src + i / 4 * 3));
    store32(dst + last, encode24(src + last / 4 * 3));
    memcpy(dst + line, "\r\n", 2);
}

static void encode_lines(const uint8_t *src, size_t count, char *dst, size_t line)
{
    const size_t octets = line / 4 * 3;
    size_t done = line == CODEC_BASE64_LINE ? encode_pairs(src, count, dst) : 0;
    for (; done < count; done++) {
        const uint8_t *from = src + done * octets;
        char *to = dst + done * (line + 2);
        if (line >= CHARACTERS && count - done > 1) { /* 24 octets follow */
            encode_line(from, to, line);
        } else {
            encode(from, octets, to);
            memcpy(to + line, "\r\n", 2);
        }
    }
}

/* ---- decode ----------------------------------------------------------------------------------
 *
 * The two halves of an octet choose a set of bits each; a character is in the alphabet when they
 * have none in common. Bits, by the high half: 1 for 2x, 2 for 3x, 4 for 4x and 6x, 8 for 5x and
 * 7x, 16 for the others. The low half has the bits of those rows in which it is not in the
 * alphabet.
 */

struct characters {
    __m256i raw, high, wrong; /* wrong: not 0 where the character is not in the alphabet */
};

static inline struct characters classify(__m256i raw)
{
    const __m256i by_low = TWICE(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13,
                                 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
    const __m256i by_high = TWICE(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16);
    const __m256i mask = _mm256_set1_epi8(0x0f);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(raw, 4), mask);
    const __m256i low = _mm256_and_si256(raw, mask);
    const __m256i wrong =
        _mm256_and_si256(_mm256_shuffle_epi8(by_low, low), _mm256_shuffle_epi8(by_high, high));
    return (struct characters){raw, high, wrong};
}

/* What to add to a character of the alphabet: by its high half, where "/" takes the place of 1x. */
static inline __m256i values_of(struct characters in)
{
    const __m256i distance = TWICE(0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a',
                                   0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i slash = _mm256_cmpeq_epi8(in.raw, _mm256_set1_epi8('/'));
    return _mm256_add_epi8(in.raw, _mm256_shuffle_epi8(distance, _mm256_add_epi8(slash, in.high)));
}

/* 12 octets at the begin of each half. */
static inline __m256i pack_halves(__m256i values)
{
    const __m256i order = TWICE(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    const __m256i quanta = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    return _mm256_shuffle_epi8(quanta, order);
}
/* 24 octets. */
static inline __m256i pack24(__m256i values)
{
    return _mm256_permutevar8x32_epi32(pack_halves(values),
                                       _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
}
static inline __m256i either(__m256i a, __m256i b)
{
    return _mm256_or_si256(a, b);
}
static inline bool is_zero(__m256i a)
{
    return _mm256_testz_si256(a, a);
}

/* 128 characters to 96 octets and 8 that do not count; false, and nothing written, if one of them
 * is not in the alphabet. */
static inline bool decode128(const uint8_t *src, uint8_t *dst)
{
    const struct characters a = classify(load32(src)), b = classify(load32(src + 32));
    const struct characters c = classify(load32(src + 64)), d = classify(load32(src + 96));
    if (!is_zero(either(either(a.wrong, b.wrong), either(c.wrong, d.wrong)))) return false;
    store32(dst, pack24(values_of(a)));
    store32(dst + 24, pack24(values_of(b)));
    store32(dst + 48, pack24(values_of(c)));
    store32(dst + 72, pack24(values_of(d)));
    return true;
}

static size_t decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    const uint8_t *begin = src, *end = src + len;
    const uint8_t *limit = dst + cap;
    while (end - src >= 128 && limit - dst >= 96 + 8) {
        if (!decode128(src, dst)) break;
        src += 128;
        dst += 96;
    }
    while (end - src >= CHARACTERS && limit - dst >= CHARACTERS) {
        const struct characters in = classify(load32(src));
        if (!is_zero(in.wrong)) break;
        store32(dst, pack24(values_of(in)));
        src += CHARACTERS;
        dst += OCTETS;
    }
    while (end - src >= 16 && limit - dst >= 12) {
        const struct characters in = classify(_mm256_broadcastsi128_si256(load16(src)));
        if (!is_zero(in.wrong)) break;
        store12(dst, _mm256_castsi256_si128(pack_halves(values_of(in))));
        src += 16;
        dst += 12;
    }
    while (end - src >= 4 && limit - dst >= 3 && base64_decode_quantum(src, dst)) {
        src += 4;
        dst += 3;
    }
    return (size_t)(src - begin);
}

/* ---- decode lines of 76 ---------------------------------------------------------------------- */

/* Two lines at once: the last 12 characters of both share a register. */
enum {
    PAIR = 2 * BASE64_LINE_END,
    PAIR_READ = PAIR + 2, /* the register with the ends has two more octets in each half */
    PAIR_OCTETS = 2 * BASE64_LINE_OCTETS,
    PAIR_WRITTEN = PAIR_OCTETS + 16 - 9,
};

static inline bool decode_pair(const uint8_t *src, uint8_t *dst)
{
    const uint8_t *second = src + BASE64_LINE_END;
    uint8_t *second_dst = dst + BASE64_LINE_OCTETS;
    const __m256i raw_ends = load16_16(src + 64, second + 64);
    const __m256i crlf = _mm256_cmpeq_epi16(raw_ends, _mm256_set1_epi16(0x0a0d));
    const struct characters a = classify(load32(src)), b = classify(load32(src + 32));
    const struct characters c = classify(load32(second)), d = classify(load32(second + 32));
    const struct characters ends =
        classify(_mm256_blend_epi16(raw_ends, _mm256_set1_epi8('A'), 0xc0));
    const __m256i no_crlf =
        _mm256_andnot_si256(crlf, TWICE(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 0, 0));
    const __m256i wrong = either(either(either(a.wrong, b.wrong), either(c.wrong, d.wrong)),
                                 either(ends.wrong, no_crlf));
    if (!is_zero(wrong)) return false;
    const __m256i last = pack_halves(values_of(ends));
    store32(dst, pack24(values_of(a)));
    store32(dst + 24, pack24(values_of(b)));
    store16(dst + 48, _mm256_castsi256_si128(last));
    store32(second_dst, pack24(values_of(c)));
    store32(second_dst + 24, pack24(values_of(d)));
    store16(second_dst + 48, _mm256_extracti128_si256(last, 1));
    return true;
}

static size_t decode_pairs(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    size_t pairs = 0;
    while (len - pairs * PAIR >= PAIR_READ && cap - pairs * PAIR_OCTETS >= PAIR_WRITTEN) {
        if (!decode_pair(src + pairs * PAIR, dst + pairs * PAIR_OCTETS)) break;
        pairs += 1;
    }
    return pairs * 2;
}

/* Registers from the begin of the line, the last one from its end: they overlap. All are read
 * before any is written; 8 octets behind the line's are written. */
static ALWAYS_INLINE bool decode_line(const uint8_t *src, uint8_t *dst, size_t line, size_t end,
                                      unsigned registers)
{
    const uint8_t *last = src + line - CHARACTERS;
    struct characters in[BASE64_REGULAR_MAX / CHARACTERS];
    __m256i wrong = _mm256_setzero_si256();
    for (unsigned i = 0; i < registers; i++) {
        in[i] = classify(load32(i + 1 < registers ? src + i * CHARACTERS : last));
        wrong = either(wrong, in[i].wrong);
    }
    if (!base64_is_line_end(src + line, end) || !is_zero(wrong)) return false;
    for (unsigned i = 0; i + 1 < registers; i++)
        store32(dst + i * OCTETS, pack24(values_of(in[i])));
    store32(dst + line / 4 * 3 - OCTETS, pack24(values_of(in[registers - 1])));
    return true;
}

/* The number of registers is a constant, so that the loops above unroll. */
static ALWAYS_INLINE size_t decode_lines_of(const uint8_t *src, size_t len, uint8_t *dst,
                                            size_t cap, size_t line, size_t end, unsigned registers)
{
    const size_t octets = line / 4 * 3;
    size_t lines = 0;
    while (len - lines * (line + end) >= line + end && cap - lines * octets >= octets + 8 &&
           decode_line(src + lines * (line + end), dst + lines * octets, line, end, registers))
        lines += 1;
    return lines;
}

static size_t decode_lines(const uint8_t *src, size_t len, uint8_t *dst, size_t cap, size_t line,
                           size_t end)
{
    if (line == CODEC_BASE64_LINE && end == 2) return decode_pairs(src, len, dst, cap);
    switch ((line + CHARACTERS - 1) / CHARACTERS) {
    case 1:
        return decode_lines_of(src, len, dst, cap, line, end, 1);
    case 2:
        return decode_lines_of(src, len, dst, cap, line, end, 2);
    case 3:
        return decode_lines_of(src, len, dst, cap, line, end, 3);
    case 4:
        return decode_lines_of(src, len, dst, cap, line, end, 4);
    default:
        UNREACHABLE("base64: a line longer than BASE64_REGULAR_MAX");
    }
}

/* ---- decode anything --------------------------------------------------------------------------
 */

/* Keeps those of the 32 octets whose bit is set: returns how many. All 32 may be written. */
static inline size_t keep_some(uint8_t *dst, __m256i octets, uint32_t kept)
{
    uint8_t *out = dst;
    for (unsigned half = 0; half < 2; half++, kept >>= 16) {
        const __m128i in =
            half == 0 ? _mm256_castsi256_si128(octets) : _mm256_extracti128_si256(octets, 1);
        const uint8_t low = (uint8_t)kept, high = (uint8_t)(kept >> 8);
        const __m128i low_order = _mm_cvtsi64_si128((long long)base64_keep[low]);
        const __m128i high_order = _mm_cvtsi64_si128((long long)base64_keep[high]);
        _mm_storel_epi64((__m128i *)out, _mm_shuffle_epi8(in, low_order));
        out += __builtin_popcount(low);
        _mm_storel_epi64((__m128i *)out, _mm_shuffle_epi8(_mm_bsrli_si128(in, 8), high_order));
        out += __builtin_popcount(high);
    }
    return (size_t)(out - dst);
}

/* Of 32 characters those whose bit is set: wrong gathers what may not be. */
static ALWAYS_INLINE size_t squeeze32(__m256i raw, uint32_t wanted, uint8_t *values, bool skip_all,
                                      __m256i *wrong)
{
    const __m256i spaces =
        TWICE(' ', -1, -1, -1, -1, -1, -1, -1, -1, '\t', '\n', -1, -1, '\r', -1, 0);
    const struct characters in = classify(raw);
    __m256i skipped;
    if (skip_all) {
        const __m256i pad = _mm256_cmpeq_epi8(raw, _mm256_set1_epi8('='));
        const __m256i fine = _mm256_cmpeq_epi8(in.wrong, _mm256_setzero_si256());
        skipped = _mm256_xor_si256(fine, _mm256_set1_epi8(-1));
        *wrong = either(*wrong, pad);
    } else {
        /* Equal to the one white space that has its low half. */
        skipped = _mm256_cmpeq_epi8(raw, _mm256_shuffle_epi8(spaces, raw));
        *wrong = either(*wrong, _mm256_andnot_si256(skipped, in.wrong));
    }
    const uint32_t kept = wanted & ~(uint32_t)_mm256_movemask_epi8(skipped);
    return keep_some(values, values_of(in), kept);
}

static ALWAYS_INLINE size_t squeeze_as(const uint8_t *src, size_t len, uint8_t *values,
                                       bool skip_all)
{
    __m256i wrong = _mm256_setzero_si256();
    uint8_t *out = values;
    const uint8_t *begin = src, *end = src + len;
    for (; end - src >= CHARACTERS; src += CHARACTERS)
        out += squeeze32(load32(src), UINT32_MAX, out, skip_all, &wrong);
    const size_t rest = (size_t)(end - src);
    if (rest > 0 && src > begin) { /* the last 32, without those that have been */
        out += squeeze32(load32(end - CHARACTERS), UINT32_MAX << (CHARACTERS - rest), out, skip_all,
                         &wrong);
    } else if (rest > 0) {
        uint8_t last[CHARACTERS];
        memset(last, ' ', sizeof(last));
        memcpy(last, src, rest);
        out += squeeze32(load32(last), UINT32_MAX, out, skip_all, &wrong);
    }
    return is_zero(wrong) ? (size_t)(out - values) : BASE64_BAD;
}

static size_t squeeze(const uint8_t *src, size_t len, uint8_t *values, bool skip_all)
{
    return skip_all ? squeeze_as(src, len, values, true) : squeeze_as(src, len, values, false);
}

static void pack(const uint8_t *values, size_t len, uint8_t *dst)
{
    for (; len >= CHARACTERS + 12; len -= CHARACTERS) {
        store32(dst, pack24(load32(values)));
        values += CHARACTERS;
        dst += OCTETS;
    }
    for (; len >= 16; len -= 16) {
        store12(dst, _mm256_castsi256_si128(pack_halves(load32(values))));
        values += 16;
        dst += 12;
    }
    base64_ops_scalar.pack(values, len, dst);
}

const struct base64_ops base64_ops_avx2 = {
    .encode = encode,
    .encode_lines = encode_lines,
    .decode = decode,
    .decode_lines = decode_lines,
    .squeeze = squeeze,
    .pack = pack,
};
