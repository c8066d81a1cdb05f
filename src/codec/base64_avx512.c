/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_avx512 - 48 octets and 64 characters a register (AVX-512 F, BW, VL, VBMI, VBMI2)
 *
 * After W. Muła and D. Lemire, "Base64 encoding and decoding at almost the speed of a memory copy"
 * (Software: Practice and Experience 50, 2020): two permutations and a shift to encode, a look-up
 * in 128 entries, two multiplications and a permutation to decode. On top of that: four lines of 76
 * at a time, whose ends are part of the permutations, and white space that is compressed out in
 * registers. Stores are whole and, in long texts, aligned: that is what the memory's speed needs.
 */
#include "base64_ops.h"
#include <immintrin.h>

enum {
    OCTETS = 48, /* of a step */
    CHARACTERS = 64,
    /* From how many octets, or characters, on it pays to align the stores. */
    ENCODE_ALIGN_MIN = 768,
    DECODE_ALIGN_MIN = 4096,
    /* From how many octets on text and data are not both in the first-level cache, and how far
     * ahead of the stores their lines are then asked for, see asks_ahead(). The lines of the loads
     * are asked for by the CPU itself. */
    PREFETCH_MIN = 20480,
    PREFETCH = 512,
    /* Lines of 76 are done so many at a time. */
    GROUP = 4,
    GROUP_OCTETS = GROUP * BASE64_LINE_OCTETS,
    GROUP_CHARACTERS = GROUP * BASE64_LINE_END,
};

#define ALWAYS_INLINE inline __attribute__((always_inline)) /* for arguments that are constants */

/* Tables are written as functions of their index. */
#define ROW8(f, i)                                                                                 \
    f(i), f((i) + 1), f((i) + 2), f((i) + 3), f((i) + 4), f((i) + 5), f((i) + 6), f((i) + 7)
#define ROW32(f, i) ROW8(f, i), ROW8(f, (i) + 8), ROW8(f, (i) + 16), ROW8(f, (i) + 24)
#define ROW64(f, i) ROW32(f, i), ROW32(f, (i) + 32)
#define TABLE64(f, i)                                                                              \
    {                                                                                              \
        ROW64(f, i)                                                                                \
    }
#define TABLE128(f)                                                                                \
    {                                                                                              \
        ROW64(f, 0), ROW64(f, 64)                                                                  \
    }
#define TABLE static const _Alignas(64) uint8_t

static inline __m512i load64(const void *src)
{
    return _mm512_loadu_si512(src);
}
/* Computed here, and once: the compiler may neither move nor repeat it. */
static inline __m512i here(__m512i octets)
{
#ifdef __AVX512F__ /* not where it is emulated */
    __asm__("" : "+v"(octets));
#endif
    return octets;
}
/* For what is used twice: the compiler would read it twice, to save the copy of a register, which
 * is free; a second load that crosses a line of the cache is not. */
static inline __m512i load64_once(const void *src)
{
    return here(load64(src));
}
static inline void store64(void *dst, __m512i octets)
{
    _mm512_storeu_si512(dst, octets);
}
static ALWAYS_INLINE void prefetch(const void *from, size_t lines)
{
    for (size_t i = 0; i < lines; i++)
        __builtin_prefetch((const char *)from + 64 * i);
}
/* On Intel a store waits for its line. AMD does not read a line that is written as a whole, unless
 * it was asked for: then all of them are read, which on Zen 5 is a quarter of the time at 8 MB. */
static inline bool asks_ahead(size_t len)
{
    if (len < PREFETCH_MIN) return false;
#ifdef __AVX512F__ /* not where it is emulated: so that these loops are tested on every machine */
    if (__builtin_cpu_is("amd")) return false;
#endif
    return true;
}
static inline __mmask64 low_bits(size_t n) /* n <= 64 */
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* ---- which way to go ---------------------------------------------------------------------------
 *
 * A load waits for a store before it, not yet in the cache, whose address has the same last 12
 * bits: the CPU looks at those first. The stores of the last some 30 groups are such, and lie
 * behind the place that is written now. Text and data go through all distances, so a good third of
 * the loads meet them. If a run of groups is done from its end, they lie before that place: so the
 * distance decides. Only in text up to base64_near_max: from other caches octets do not come so
 * well backwards.
 */
enum {
    SAME_STORE = 4096,
    DISTANCE_STEP = GROUP_CHARACTERS - GROUP_OCTETS,
    RUNS_FROM = 2048, /* fewer characters hardly meet one */
};

static inline bool goes_in_runs(size_t characters)
{
    return characters >= RUNS_FROM && characters <= base64_near_max;
}

struct run {
    size_t groups;
    bool backwards;
};

/* The next one, of so many groups of lines that are left. */
static inline struct run next_run(const void *from, const void *to, size_t groups, bool encodes)
{
    const size_t distance = ((uintptr_t)to - (uintptr_t)from) % SAME_STORE, half = SAME_STORE / 2;
    const size_t left = encodes ? half - distance % half : distance % half + 1;
    return (struct run){MIN(groups, (left + DISTANCE_STEP - 1) / DISTANCE_STEP), distance < half};
}

/* ---- encode ----------------------------------------------------------------------------------
 *
 * Two characters have 12 bits of two octets: of a b for the first two of a quantum, of b c for the
 * last two. The first permutation puts these octets into a 16-bit word, the second of them lower.
 * Then each character's bits are brought into the low end of its octet, in one of two ways: by a
 * shift within 64 bits that is different for each octet, or by a multiplication for the even and
 * one for the odd characters. What is above the six bits does not matter: the last permutation, the
 * alphabet, does not look at it. The shift competes with the permutations for the same unit (on
 * Intel; 3 operations a register), the multiplications do not, but are more (2, and 3 of any unit),
 * and many of them make the CPU lower its clock: half of the registers by the one, half by the
 * other is best.
 *
 * A row is a register's worth of the characters of four lines, CRLFs included:
 *
 *     characters   0        64       128      192   248 ... 312 = 4 * 78
 *     octets from  0        48       93       141   164 ... 228 = 4 * 57
 *
 * Ends of lines are at even places, so pairs of characters stay in their words, and no row has more
 * than 48 octets and one CRLF. The last row begins so that it ends where the lines end; its octets
 * are read so that nothing behind them is.
 */

/* The octet that goes to place c of a line, and what brings the bits down; c is not CR or LF. */
#define OCTET(c)       ((c) / 4 * 3 + ((c)&2) / 2 + !((c)&1))
#define SHIFT(c, i)    (((i)&7) / 2 * 16 + ((c)&2 ? 6 : 10) - ((c)&1 ? 6 : 0))
#define EVEN_FACTOR(c) ((c)&1 ? ((c)&2 ? 0x04 : 0) : ((c)&2 ? 0 : 0x40)) /* 0x400 or 0x40 */
#define ODD_FACTOR(c)  ((c)&1 ? ((c)&2 ? 0x01 : 0) : ((c)&2 ? 0 : 0x10)) /* 0x100 or 0x10 */

#define LAST_OCTET(i)  (OCTET(i) + 16)
#define REST_OCTET(i)  (OCTET(i) + 48)
#define PLAIN_SHIFT(i) SHIFT(i, i)
#define LINES_OCTET(i) ((i) / 78 * 57 + OCTET((i) % 78))
#define LINES_SHIFT(i) SHIFT((i) % 78, i)
#define LINES_EVEN(i)  EVEN_FACTOR((i) % 78)
#define LINES_ODD(i)   ODD_FACTOR((i) % 78)
#define LATE_OCTET(i)  (OCTET(i) + 64 - BASE64_LINE_OCTETS)
#define ROW1_OCTET(i)  (LINES_OCTET(i) - 48)
#define ROW2_OCTET(i)  (LINES_OCTET(i) - 93)
#define ROW3_OCTET(i)  (LINES_OCTET(i) - 141)
#define ROW4_OCTET(i)  (LINES_OCTET(i) - 164)

static_assert(GROUP_OCTETS == 164 + 64 && GROUP_CHARACTERS == 248 + 64, "as drawn above");

TABLE plain_order[64] = TABLE64(OCTET, 0);
TABLE plain_order_last[64] = TABLE64(LAST_OCTET, 0);
TABLE plain_order_rest[64] = TABLE64(REST_OCTET, 0);
TABLE plain_shifts[64] = TABLE64(PLAIN_SHIFT, 0);
TABLE plain_even[64] = TABLE64(EVEN_FACTOR, 0);
TABLE plain_odd[64] = TABLE64(ODD_FACTOR, 0);
TABLE row0_order_last[64] = TABLE64(LATE_OCTET, 0);
TABLE row1_order[64] = TABLE64(ROW1_OCTET, 64);
TABLE row1_shifts[64] = TABLE64(LINES_SHIFT, 64);
TABLE row2_order[64] = TABLE64(ROW2_OCTET, 128);
TABLE row2_even[64] = TABLE64(LINES_EVEN, 128);
TABLE row2_odd[64] = TABLE64(LINES_ODD, 128);
TABLE row3_order[64] = TABLE64(ROW3_OCTET, 192);
TABLE row3_shifts[64] = TABLE64(LINES_SHIFT, 192);
TABLE row4_order[64] = TABLE64(ROW4_OCTET, 248);
TABLE row4_even[64] = TABLE64(LINES_EVEN, 248);
TABLE row4_odd[64] = TABLE64(LINES_ODD, 248);

#define CRLF_AT(place) (~((uint64_t)3 << (place))) /* the places where characters are */

static inline __m512i shift_to_values(__m512i octets, const uint8_t *order, const uint8_t *shifts)
{
    return _mm512_multishift_epi64_epi8(load64(shifts),
                                        _mm512_permutexvar_epi8(load64(order), octets));
}
static inline __m512i multiply_to_values(__m512i octets, const uint8_t *order,
                                         const uint8_t *even_factors, const uint8_t *odd_factors)
{
    const __m512i words = _mm512_permutexvar_epi8(load64(order), octets);
    const __m512i even = _mm512_mulhi_epu16(words, load64(even_factors));
    const __m512i odd = _mm512_mullo_epi16(words, load64(odd_factors));
    return _mm512_ternarylogic_epi64(even, odd, _mm512_set1_epi16(0x00ff), 0xe4); /* c ? a : b */
}
static inline __m512i to_characters(__m512i values)
{
    return _mm512_permutexvar_epi8(values, load64(base64_alphabet));
}
/* Characters where kept has a bit, CRLF elsewhere. */
static inline __m512i to_characters_crlf(__m512i values, __mmask64 kept)
{
    return _mm512_mask_permutexvar_epi8(_mm512_set1_epi16(0x0a0d), kept, values,
                                        load64(base64_alphabet));
}
static inline __m512i encode48(__m512i octets)
{
    return to_characters(multiply_to_values(octets, plain_order, plain_even, plain_odd));
}
static inline __m512i encode48_by_shift(__m512i octets)
{
    return to_characters(shift_to_values(octets, plain_order, plain_shifts));
}

/* Fewer than 64 octets: nothing read or written beyond. By shifts: they need fewer constants. */
static inline void encode_few(const uint8_t *src, size_t len, char *dst)
{
    const __m512i octets = _mm512_maskz_loadu_epi8(low_bits(len), src);
    const __m512i first = encode48_by_shift(octets);
    if (len <= OCTETS) {
        _mm512_mask_storeu_epi8(dst, low_bits(len / 3 * 4), first);
        return;
    }
    store64(dst, first);
    const __m512i rest = shift_to_values(octets, plain_order_rest, plain_shifts);
    _mm512_mask_storeu_epi8(dst + CHARACTERS, low_bits((len - OCTETS) / 3 * 4),
                            to_characters(rest));
}

/* The last 48 octets of at least 64. */
static inline void encode_last(const uint8_t *end, char *dst_end)
{
    const __m512i octets = load64(end - 64);
    store64(dst_end - CHARACTERS,
            to_characters(shift_to_values(octets, plain_order_last, plain_shifts)));
}

/* Four registers, to places that far apart, with CRLF where there is room for it. The last is read
 * 16 octets early: nothing behind the octets is, and of octets from the begin of a cache line one
 * load less crosses a line. */
static ALWAYS_INLINE void encode192(const uint8_t *src, char *dst, size_t stride)
{
    const __m512i a = encode48(load64(src)), b = encode48_by_shift(load64(src + 48));
    const __m512i c = encode48(load64(src + 96));
    const __m512i d = shift_to_values(load64(src + 128), plain_order_last, plain_shifts);
    store64(dst, a);
    store64(dst + stride, b);
    store64(dst + 2 * stride, c);
    store64(dst + 3 * stride, to_characters(d));
    if (stride > CHARACTERS) {
        memcpy(dst + CHARACTERS, "\r\n", 2);
        memcpy(dst + stride + CHARACTERS, "\r\n", 2);
        memcpy(dst + 2 * stride + CHARACTERS, "\r\n", 2);
        memcpy(dst + 3 * stride + CHARACTERS, "\r\n", 2);
    }
}

/* All but the last 1 to 192 octets. */
static ALWAYS_INLINE void encode_most(const uint8_t **src, const uint8_t *end, char **dst,
                                      size_t stride)
{
    const uint8_t *from = *src;
    char *to = *dst;
    if (asks_ahead((size_t)(end - from))) {
        for (; end - from > PREFETCH + 4 * OCTETS; from += 4 * OCTETS, to += 4 * stride) {
            prefetch(to + PREFETCH, (4 * stride + 63) / 64);
            encode192(from, to, stride);
        }
    }
    for (; end - from > 4 * OCTETS; from += 4 * OCTETS, to += 4 * stride)
        encode192(from, to, stride);
    *src = from;
    *dst = to;
}

/* At least 64 octets. At both ends of the loops registers overlap: some characters are written for
 * the second time. */
static inline void encode_many(const uint8_t *src, size_t len, char *dst)
{
    const uint8_t *end = src + len;
    char *dst_end = dst + len / 3 * 4;
    const size_t ahead = -(uintptr_t)dst % 64;
    if (len >= ENCODE_ALIGN_MIN && ahead % 4 == 0 && ahead > 0) {
        store64(dst, encode48(load64(src)));
        src += ahead / 4 * 3;
        dst += ahead;
    }
    encode_most(&src, end, &dst, CHARACTERS);
    for (; end - src >= 64; src += OCTETS, dst += CHARACTERS)
        store64(dst, encode48(load64(src)));
    if (end - src > OCTETS) /* there are 96: else there would be 64 */
        store64(dst_end - 2 * CHARACTERS, encode48_by_shift(load64(end - 2 * OCTETS)));
    encode_last(end, dst_end);
}

static void encode(const uint8_t *src, size_t len, char *dst)
{
    if (len >= 64) {
        encode_many(src, len, dst);
    } else {
        encode_few(src, len, dst);
    }
}

static inline void encode_group(const uint8_t *src, char *dst)
{
    const __m512i a = multiply_to_values(load64(src), plain_order, plain_even, plain_odd);
    const __m512i b = shift_to_values(load64(src + 48), row1_order, row1_shifts);
    const __m512i c = multiply_to_values(load64(src + 93), row2_order, row2_even, row2_odd);
    const __m512i d = shift_to_values(load64(src + 141), row3_order, row3_shifts);
    const __m512i e = multiply_to_values(load64(src + 164), row4_order, row4_even, row4_odd);
    store64(dst, to_characters(a));
    store64(dst + 64, to_characters_crlf(b, CRLF_AT(76 - 64)));
    store64(dst + 128, to_characters_crlf(c, CRLF_AT(154 - 128)));
    store64(dst + 192, to_characters_crlf(d, CRLF_AT(232 - 192)));
    store64(dst + 248, to_characters_crlf(e, CRLF_AT(310 - 248)));
}

/* A line of any length. Up to 64 octets behind it are read, up to 64 characters are written. */
static inline void encode_line(const uint8_t *src, char *dst, size_t line)
{
    for (; line >= CHARACTERS; line -= CHARACTERS, src += OCTETS, dst += CHARACTERS)
        store64(dst, encode48(load64(src)));
    if (line > 0) {
        const __m512i values = shift_to_values(load64(src), plain_order, plain_shifts);
        store64(dst, to_characters_crlf(values, CRLF_AT(line)));
    } else {
        memcpy(dst, "\r\n", 2);
    }
}

/* A line of 76 behind others: 64 octets up to its end have all of it. */
static inline void encode_last_line(const uint8_t *src, char *dst)
{
    const __m512i octets = load64(src + BASE64_LINE_OCTETS - 64);
    const __m512i first = multiply_to_values(octets, row0_order_last, plain_even, plain_odd);
    const __m512i last = multiply_to_values(octets, row4_order, row4_even, row4_odd);
    store64(dst, to_characters(first));
    store64(dst + BASE64_LINE_END - 64, to_characters_crlf(last, CRLF_AT(310 - 248)));
}

static void encode_near_groups(const uint8_t *src, size_t groups, char *dst)
{
    while (groups > 0) {
        const struct run run = next_run(src, dst, groups, true);
        for (size_t i = 0; i < run.groups; i++) {
            const size_t group = run.backwards ? run.groups - 1 - i : i;
            encode_group(src + group * GROUP_OCTETS, dst + group * GROUP_CHARACTERS);
        }
        src += run.groups * GROUP_OCTETS;
        dst += run.groups * GROUP_CHARACTERS;
        groups -= run.groups;
    }
}

/* At least four lines of 76. */
static void encode_groups(const uint8_t *src, size_t count, char *dst)
{
    const uint8_t *const end = src + count * BASE64_LINE_OCTETS;
    if (asks_ahead(count * BASE64_LINE_OCTETS)) {
        const uint8_t *const last = end - PREFETCH - GROUP_OCTETS;
        for (; src < last; src += GROUP_OCTETS, dst += GROUP_CHARACTERS) {
            prefetch(dst + PREFETCH, 5);
            encode_group(src, dst);
        }
    }
    if (goes_in_runs(count * BASE64_LINE_END)) {
        encode_near_groups(src, count / GROUP, dst);
        dst += count / GROUP * GROUP_CHARACTERS;
        src += count / GROUP * GROUP_OCTETS;
    }
    const uint8_t *const last = end - GROUP_OCTETS;
    for (; src <= last; src += GROUP_OCTETS, dst += GROUP_CHARACTERS)
        encode_group(src, dst);
    for (; src < end; src += BASE64_LINE_OCTETS, dst += BASE64_LINE_END)
        encode_last_line(src, dst);
}

/* At least two lines of 64. */
static void encode_lines_of_64(const uint8_t *src, size_t count, char *dst)
{
    const uint8_t *const end = src + count * OCTETS;
    encode_most(&src, end, &dst, CHARACTERS + 2);
    for (; src < end; src += OCTETS, dst += CHARACTERS + 2) {
        if (end - src > OCTETS) {
            store64(dst, encode48(load64(src)));
        } else {
            encode_last(end, dst + CHARACTERS);
        }
        memcpy(dst + CHARACTERS, "\r\n", 2);
    }
}

static __attribute__((noinline)) void encode_other_lines(const uint8_t *src, size_t count,
                                                         char *dst, size_t line)
{
    const size_t octets = line / 4 * 3;
    for (; count > 0; count--) {
        if ((count - 1) * octets >= 64) {
            encode_line(src, dst, line);
        } else {
            encode(src, octets, dst);
            memcpy(dst + line, "\r\n", 2);
        }
        src += octets;
        dst += line + 2;
    }
}

static void encode_lines(const uint8_t *src, size_t count, char *dst, size_t line)
{
    if (line == CODEC_BASE64_LINE && count >= GROUP) {
        encode_groups(src, count, dst);
    } else if (line == CHARACTERS && count >= 2) {
        encode_lines_of_64(src, count, dst);
    } else {
        encode_other_lines(src, count, dst, line);
    }
}

/* ---- decode: values to octets -----------------------------------------------------------------
 *
 * Two multiplications bring the four values of a quantum together in a 32-bit word, whose three
 * octets are in the wrong order, with a gap behind them. Octet n of the text is there:
 */
#define PACKED(n) ((n) / 3 * 4 + 2 - (n) % 3)
/* For the four registers of store192(): 48 octets, and 16 that do not count, each time rotated. */
#define PACKED_FIRST(n)  PACKED(n)
#define PACKED_SECOND(n) PACKED(((n) + 16) % 64)
#define PACKED_THIRD(n)  PACKED(((n) + 32) % 64)
#define PACKED_FOURTH(n) PACKED(((n) + 48) % 64)
#define INVALID          0x80
#define SKIPPED          0x40
#define IN_ALPHABET(c, other)                                                                      \
    ((c) >= 'A' && (c) <= 'Z'   ? (c) - 'A'                                                        \
     : (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                                   \
     : (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                                   \
     : (c) == '+'               ? 62                                                               \
     : (c) == '/'               ? 63                                                               \
                                : (other))
#define PLAIN_VALUE(c) IN_ALPHABET(c, INVALID)
#define STRICT_VALUE(c)                                                                            \
    IN_ALPHABET(c, (c) == '\r' || (c) == '\n' || (c) == ' ' || (c) == '\t' ? SKIPPED : INVALID)
#define LENIENT_VALUE(c) IN_ALPHABET(c, (c) == '=' ? INVALID : SKIPPED)

TABLE first_order[64] = TABLE64(PACKED_FIRST, 0);
TABLE second_order[64] = TABLE64(PACKED_SECOND, 0);
TABLE third_order[64] = TABLE64(PACKED_THIRD, 0);
TABLE fourth_order[64] = TABLE64(PACKED_FOURTH, 0);
TABLE plain_values[128] = TABLE128(PLAIN_VALUE);
TABLE strict_values[128] = TABLE128(STRICT_VALUE);
TABLE lenient_values[128] = TABLE128(LENIENT_VALUE);

/* Of octets over 127, that of the octet 128 less: look at the octet itself, too. */
static inline __m512i look_up(__m512i raw, const uint8_t *values)
{
    return _mm512_permutex2var_epi8(load64(values), raw, load64(values + 64));
}
static inline __m512i join(__m512i values)
{
    const __m512i pairs = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x01400140));
    return _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
}
/* 48 octets, and 16 that do not count. */
static inline __m512i pack48(__m512i values)
{
    return _mm512_permutexvar_epi8(load64(first_order), join(values));
}
/* 192 octets in three stores. Each register is permuted once, so that what belongs to one store and
 * what belongs to the next are where they have to be: a permutation of two registers is three
 * operations on Intel. */
static inline void store192(uint8_t *dst, __m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i pb = _mm512_permutexvar_epi8(load64(second_order), join(b));
    const __m512i pc = _mm512_permutexvar_epi8(load64(third_order), join(c));
    const __m512i second = here(_mm512_mask_blend_epi64(0xf0, pb, pc));
    store64(dst, _mm512_mask_permutexvar_epi8(pb, low_bits(48), load64(first_order), join(a)));
    /* In this order: stores that are not aligned have lines in common. */
    __asm__("" ::: "memory");
    store64(dst + 64, second);
    __asm__("" ::: "memory");
    store64(dst + 128,
            _mm512_mask_permutexvar_epi8(pc, ~low_bits(16), load64(fourth_order), join(d)));
}
static inline __m512i either3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0xfe);
}
static inline bool has_invalid(__m512i gathered)
{
    static_assert(INVALID == 0x80, "the sign");
    return _mm512_movepi8_mask(gathered) != 0;
}

/* ---- decode plain ---------------------------------------------------------------------------- */

static inline bool decode256(const uint8_t *src, uint8_t *dst)
{
    const __m512i a = load64_once(src), b = load64_once(src + 64);
    const __m512i c = load64_once(src + 128), d = load64_once(src + 192);
    /* What is wanted of the characters themselves comes first: then they are looked up in their own
     * registers, not in copies. */
    const __m512i raw = here(either3(_mm512_or_si512(a, b), c, d));
    const __m512i va = look_up(a, plain_values), vb = look_up(b, plain_values);
    const __m512i vc = look_up(c, plain_values), vd = look_up(d, plain_values);
    if (UNLIKELY(has_invalid(either3(either3(raw, va, vb), vc, vd)))) return false;
    store192(dst, va, vb, vc, vd);
    return true;
}

/* len is a multiple of 4. A register at a time, nothing read or written beyond. */
static inline size_t decode_few(const uint8_t *src, size_t len, uint8_t *dst)
{
    size_t taken = 0;
    while (taken < len) {
        const size_t n = MIN(len - taken, (size_t)CHARACTERS);
        const __m512i raw = _mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), low_bits(n), src + taken);
        const __m512i values = look_up(raw, plain_values);
        if (UNLIKELY(has_invalid(_mm512_or_si512(raw, values)))) break;
        _mm512_mask_storeu_epi8(dst + taken / 4 * 3, low_bits(n / 4 * 3), pack48(values));
        taken += n;
    }
    return taken;
}

static inline bool decode64(const uint8_t *src, uint8_t *dst)
{
    const __m512i raw = load64_once(src), values = look_up(raw, plain_values);
    if (UNLIKELY(has_invalid(_mm512_or_si512(raw, values)))) return false;
    store64(dst, pack48(values));
    return true;
}

/* 64 characters and `more`, which are fewer than 64: one look whether all is well. */
static inline bool decode_end(const uint8_t *src, size_t more, uint8_t *dst)
{
    const __m512i a = load64_once(src);
    const __m512i b =
        _mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), low_bits(more), src + CHARACTERS);
    const __m512i va = look_up(a, plain_values), vb = look_up(b, plain_values);
    if (UNLIKELY(has_invalid(_mm512_or_si512(either3(a, b, va), vb)))) return false;
    store64(dst, pack48(va));
    _mm512_mask_storeu_epi8(dst + OCTETS, low_bits(more / 4 * 3), pack48(vb));
    return true;
}

static size_t decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    const size_t whole = (len / 4 * 3 <= cap ? len / 4 : cap / 3) * 4;
    size_t taken = 0;
    if (whole >= DECODE_ALIGN_MIN) {
        /* 3 octets a quantum: how many of them to a multiple of 64? 3 * 43 = 2 * 64 + 1. */
        const size_t ahead = -(uintptr_t)dst * 43 % 64 * 4;
        taken = decode_few(src, ahead, dst);
        if (taken < ahead) return taken;
    }
    while (whole - taken >= 256 && decode256(src + taken, dst + taken / 4 * 3))
        taken += 256;
    while (whole - taken >= 2 * CHARACTERS && decode64(src + taken, dst + taken / 4 * 3))
        taken += CHARACTERS;
    if (whole - taken > CHARACTERS && cap - taken / 4 * 3 >= 64 &&
        decode_end(src + taken, whole - taken - CHARACTERS, dst + taken / 4 * 3))
        return whole;
    return taken + decode_few(src + taken, whole - taken, dst + taken / 4 * 3);
}

/* ---- decode lines of 76 -----------------------------------------------------------------------
 *
 * Four lines, read in five registers. All but the first have 60 characters and a CRLF that their
 * permutation leaves out; the last is read two characters early, so that it ends with the lines.
 *
 *     characters from   0       64            126           188           248
 *     that count        64      12, 48        28, 32        44, 16        2 before, 60
 *     octets to         0       48            93            138           183 ... 228
 */
#define SKIP_AFTER(run, i)                                                                         \
    ((i) >= 60 ? 0 : (i) < (run) ? (i) : (i) + 2) /* behind 60: as the first */
#define SKIP_12(i) SKIP_AFTER(12, i)
#define SKIP_28(i) SKIP_AFTER(28, i)
#define SKIP_44(i) SKIP_AFTER(44, i)
#define SKIP_2(i)  ((i) >= 60 ? 2 : (i) + 2)
TABLE skip_12[64] = TABLE64(SKIP_12, 0);
TABLE skip_28[64] = TABLE64(SKIP_28, 0);
TABLE skip_44[64] = TABLE64(SKIP_44, 0);
TABLE skip_2[64] = TABLE64(SKIP_2, 0);

enum { GROUP_WRITTEN = 183 + 64 };

static inline bool is_crlf(const uint8_t *src)
{
    uint16_t end;
    memcpy(&end, src, sizeof(end));
    return end == 0x0a0d;
}
static inline __m512i load_without(const uint8_t *src, const uint8_t *order)
{
    return _mm512_permutexvar_epi8(load64(order), load64(src));
}

/* Behind the octets 19 more are written, or are not. */
static ALWAYS_INLINE bool decode_group(const uint8_t *src, uint8_t *dst, bool exactly)
{
    /* A comparison and a branch each: gathering them takes more operations. */
    if (UNLIKELY(!is_crlf(src + 76) || !is_crlf(src + 154) || !is_crlf(src + 232) ||
                 !is_crlf(src + 310)))
        return false;
    const __m512i a = load64_once(src), b = load_without(src + 64, skip_12);
    const __m512i c = load_without(src + 126, skip_28), d = load_without(src + 188, skip_44);
    const __m512i e = load_without(src + 248, skip_2);
    const __m512i raw = here(either3(_mm512_or_si512(a, b), c, d));
    const __m512i va = look_up(a, plain_values), vb = look_up(b, plain_values);
    const __m512i vc = look_up(c, plain_values), vd = look_up(d, plain_values);
    const __m512i ve = look_up(e, plain_values);
    const __m512i all = either3(either3(either3(raw, e, va), vb, vc), vd, ve);
    if (UNLIKELY(has_invalid(all))) return false;
    store64(dst, pack48(va));
    store64(dst + 48, pack48(vb));
    store64(dst + 93, pack48(vc));
    store64(dst + 138, pack48(vd));
    if (exactly)
        _mm512_mask_storeu_epi8(dst + 183, low_bits(GROUP_OCTETS - 183), pack48(ve));
    else
        store64(dst + 183, pack48(ve));
    return true;
}

/* From the first on; returns how many there were before one that is not like that. */
static inline size_t decode_run(const uint8_t *src, size_t groups, uint8_t *dst)
{
    size_t done = 0;
    while (done < groups &&
           decode_group(src + done * GROUP_CHARACTERS, dst + done * GROUP_OCTETS, false))
        done += 1;
    return done;
}

/* From the last on; all of them, or false. */
static inline bool decode_run_backwards(const uint8_t *src, size_t groups, uint8_t *dst)
{
    for (size_t i = groups; i-- > 0;) {
        if (!decode_group(src + i * GROUP_CHARACTERS, dst + i * GROUP_OCTETS, true)) return false;
    }
    return true;
}

/* Not in place. */
static size_t decode_near_groups(const uint8_t *src, size_t groups, uint8_t *dst)
{
    size_t all = 0;
    while (all < groups) {
        const uint8_t *from = src + all * GROUP_CHARACTERS;
        uint8_t *to = dst + all * GROUP_OCTETS;
        const struct run run = next_run(from, to, groups - all, false);
        if (run.backwards && decode_run_backwards(from, run.groups, to)) {
            all += run.groups;
            continue;
        }
        const size_t done = decode_run(from, run.groups, to);
        all += done;
        if (done < run.groups) break;
    }
    return all;
}

static size_t decode_groups(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    const size_t fit = cap >= GROUP_WRITTEN ? (cap - GROUP_WRITTEN) / GROUP_OCTETS + 1 : 0;
    const size_t most = MIN(len / GROUP_CHARACTERS, fit);
    const bool apart =
        (uintptr_t)src - (uintptr_t)dst >= cap && (uintptr_t)dst - (uintptr_t)src >= len;
    if (goes_in_runs(len) && apart) return GROUP * decode_near_groups(src, most, dst);
    return GROUP * decode_run(src, most, dst);
}

/* Fewer than 64 characters: nothing read or written beyond. */
static inline bool decode_short_line(const uint8_t *src, uint8_t *dst, size_t line, size_t end)
{
    const __m512i raw = _mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), low_bits(line), src);
    const __m512i values = look_up(raw, plain_values);
    if (!base64_is_line_end(src + line, end)) return false;
    if (UNLIKELY(has_invalid(_mm512_or_si512(raw, values)))) return false;
    _mm512_mask_storeu_epi8(dst, low_bits(line / 4 * 3), pack48(values));
    return true;
}
/* 64 from the begin of the line, 64 up to its end: they overlap. 16 octets more are written. */
static inline bool decode_long_line(const uint8_t *src, uint8_t *dst, size_t line, size_t end)
{
    const __m512i a = load64_once(src), b = load64_once(src + line - CHARACTERS);
    const __m512i va = look_up(a, plain_values), vb = look_up(b, plain_values);
    if (!base64_is_line_end(src + line, end)) return false;
    if (UNLIKELY(has_invalid(_mm512_or_si512(either3(a, b, va), vb)))) return false;
    store64(dst, pack48(va));
    store64(dst + line / 4 * 3 - OCTETS, pack48(vb));
    return true;
}

static inline bool decode_line(const uint8_t *src, uint8_t *dst, size_t line, size_t end)
{
    if (line < CHARACTERS) return decode_short_line(src, dst, line, end);
    if (line > CHARACTERS) return decode_long_line(src, dst, line, end);
    return base64_is_line_end(src + CHARACTERS, end) && decode64(src, dst);
}

static size_t decode_lines(const uint8_t *src, size_t len, uint8_t *dst, size_t cap, size_t line,
                           size_t end)
{
    const size_t octets = line / 4 * 3;
    size_t lines = 0;
    if (line == CODEC_BASE64_LINE && end == 2) lines = decode_groups(src, len, dst, cap);
    while (len - lines * (line + end) >= line + end && cap - lines * octets >= octets + 16 &&
           decode_line(src + lines * (line + end), dst + lines * octets, line, end))
        lines += 1;
    return lines;
}

/* ---- decode anything --------------------------------------------------------------------------
 */

/* Returns how many values have been kept; wrong gathers what may not be. */
static ALWAYS_INLINE size_t squeeze64(__m512i raw, uint8_t *values, bool skip_all, __m512i *wrong)
{
    const __m512i found = look_up(raw, skip_all ? lenient_values : strict_values);
    const __m512i skipped = _mm512_set1_epi8(SKIPPED);
    __mmask64 kept;
    if (skip_all) {
        const __mmask64 ascii = _mm512_testn_epi8_mask(raw, _mm512_set1_epi8((char)0x80));
        kept = _mm512_mask_testn_epi8_mask(ascii, found, skipped);
        *wrong = _mm512_ternarylogic_epi64(*wrong, found, raw, 0xf4); /* wrong | (found & ~raw) */
    } else {
        kept = _mm512_testn_epi8_mask(found, skipped);
        *wrong = either3(*wrong, found, raw);
    }
    store64(values, _mm512_maskz_compress_epi8(kept, found));
    return (size_t)__builtin_popcountll(kept);
}

static ALWAYS_INLINE size_t squeeze_as(const uint8_t *src, size_t len, uint8_t *values,
                                       bool skip_all)
{
    __m512i wrong = _mm512_setzero_si512();
    uint8_t *out = values;
    for (; len >= CHARACTERS; src += CHARACTERS, len -= CHARACTERS)
        out += squeeze64(load64_once(src), out, skip_all, &wrong);
    if (len > 0) {
        const __m512i raw = _mm512_mask_loadu_epi8(_mm512_set1_epi8(' '), low_bits(len), src);
        out += squeeze64(raw, out, skip_all, &wrong);
    }
    return has_invalid(wrong) ? BASE64_BAD : (size_t)(out - values);
}

static size_t squeeze(const uint8_t *src, size_t len, uint8_t *values, bool skip_all)
{
    return skip_all ? squeeze_as(src, len, values, true) : squeeze_as(src, len, values, false);
}

static void pack(const uint8_t *values, size_t len, uint8_t *dst)
{
    for (; len >= 256; len -= 256) {
        store192(dst, load64(values), load64(values + 64), load64(values + 128),
                 load64(values + 192));
        values += 256;
        dst += 192;
    }
    while (len > 0) {
        const size_t n = MIN(len, (size_t)CHARACTERS);
        _mm512_mask_storeu_epi8(dst, low_bits(n / 4 * 3), pack48(load64(values)));
        values += n;
        len -= n;
        dst += n / 4 * 3;
    }
}

const struct base64_ops base64_ops_avx512 = {
    .encode = encode,
    .encode_lines = encode_lines,
    .decode = decode,
    .decode_lines = decode_lines,
    .squeeze = squeeze,
    .pack = pack,
};
