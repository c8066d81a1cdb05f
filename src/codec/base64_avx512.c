/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_avx512 - characters to octets: plain, lines of 76, other lines, anything
 */
#include "base64_avx512.h"

enum { ALIGN_MIN = 4096 }; /* from how many characters on it pays to align the stores */

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
    const __m512i pairs = in_turn(_mm512_maddubs_epi16(values, _mm512_set1_epi32(0x01400140)));
    return in_turn(_mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000)));
}
/* 48 octets, and 16 that do not count. */
static inline __m512i pack48(__m512i values)
{
    return _mm512_permutexvar_epi8(load64(first_order), join(values));
}
/* 192 octets in three stores. Each register is permuted once, so that what belongs to one store and
 * what belongs to the next are where they have to be: a permutation of two registers is three
 * operations on Intel, and on AMD waits for what stores read. */
static ALWAYS_INLINE void store192(uint8_t *dst, __m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i pb = in_turn(_mm512_permutexvar_epi8(load64(second_order), b));
    const __m512i pc = in_turn(_mm512_permutexvar_epi8(load64(third_order), c));
    const __m512i second = in_turn(_mm512_mask_blend_epi64(0xf0, pb, pc));
    const __m512i first =
        in_turn(_mm512_mask_permutexvar_epi8(pb, low_bits(48), load64(first_order), a));
    const __m512i third =
        in_turn(_mm512_mask_permutexvar_epi8(pc, ~low_bits(16), load64(fourth_order), d));
    store64(dst, first);
    /* In this order: stores that are not aligned have lines in common. */
    __asm__("" ::: "memory");
    store64(dst + 64, second);
    __asm__("" ::: "memory");
    store64(dst + 128, third);
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

/* What may not be gathers in four registers: on one, each operation would wait for the one before.
 */
struct wrong {
    __m512i a, b, c, d;
};

static inline struct wrong nothing_wrong(void)
{
    const __m512i zero = _mm512_setzero_si512();
    return (struct wrong){zero, zero, zero, zero};
}
static inline bool is_wrong(const struct wrong *wrong)
{
    return has_invalid(either3(_mm512_or_si512(wrong->a, wrong->b), wrong->c, wrong->d));
}

struct values256 {
    __m512i a, b, c, d;
};

/* Joined. What is wanted of the characters themselves comes first: then they are looked up in their
 * own registers, not in copies. Permutations and multiplications are mixed: a CPU that keeps a
 * queue for some of its units decides early which one gets an operation. */
static ALWAYS_INLINE struct values256 values256(const uint8_t *src, struct wrong *wrong)
{
    const __m512i a = in_turn(load64(src)), b = in_turn(load64(src + 64));
    wrong->a = in_turn(either3(wrong->a, a, b));
    const __m512i va = in_turn(look_up(a, plain_values)), vb = in_turn(look_up(b, plain_values));
    const __m512i c = in_turn(load64(src + 128)), d = in_turn(load64(src + 192));
    wrong->b = in_turn(either3(wrong->b, c, d));
    const __m512i vc = in_turn(look_up(c, plain_values)), vd = in_turn(look_up(d, plain_values));
    wrong->c = in_turn(either3(wrong->c, va, vb));
    const __m512i ja = join(va), jb = join(vb);
    wrong->d = in_turn(either3(wrong->d, vc, vd));
    return (struct values256){ja, jb, join(vc), join(vd)};
}

static inline bool decode256(const uint8_t *src, uint8_t *dst)
{
    struct wrong wrong = nothing_wrong();
    const struct values256 values = values256(src, &wrong);
    if (UNLIKELY(is_wrong(&wrong))) return false;
    store192(dst, values.a, values.b, values.c, values.d);
    return true;
}

static ALWAYS_INLINE void decode_step(const uint8_t *src, uint8_t *dst, struct wrong *wrong)
{
    const struct values256 values = values256(src, wrong);
    store192(dst, values.a, values.b, values.c, values.d);
}

/* At least 256, a multiple of 4. All of them, or false: then some octets have been written. One
 * look for all whether all is well: each costs an eighth of a step. The last step may overlap. */
static __attribute__((noinline)) bool decode_all(const uint8_t *src, size_t len, uint8_t *dst)
{
    struct wrong wrong = nothing_wrong();
    const uint8_t *const last = src + len - 256;
    uint8_t *const last_dst = dst + len / 4 * 3 - 192;
    for (; src < last; src += 256, dst += 192)
        decode_step(src, dst, &wrong);
    decode_step(last, last_dst, &wrong);
    return !is_wrong(&wrong);
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

/* Octets go where no characters are. */
static inline bool are_apart(const uint8_t *src, size_t len, const uint8_t *dst, size_t cap)
{
    return (uintptr_t)src - (uintptr_t)dst >= cap && (uintptr_t)dst - (uintptr_t)src >= len;
}

/* Most of a text of many pages: memory takes longer than to look in each step. */
static __attribute__((noinline)) size_t decode_far(const uint8_t *src, size_t len, uint8_t *dst)
{
    size_t taken = 0;
    while (len - taken >= PAGE) {
        prefetch_pages(src + taken, dst + taken / 4 * 3);
        for (unsigned i = 0; i < PAGE / 256; i++) {
            if (!decode256(src + taken, dst + taken / 4 * 3)) return taken;
            taken += 256;
        }
    }
    return taken;
}

/* Fewer than 128 characters. */
static inline size_t decode_short(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    if (len > CHARACTERS && cap >= 64 && decode_end(src, len - CHARACTERS, dst)) return len;
    return decode_few(src, len, dst);
}

/* len is a multiple of 4. Apart, so that short ones have less to keep. */
static __attribute__((noinline)) size_t decode_long(const uint8_t *src, size_t len, uint8_t *dst,
                                                    size_t cap)
{
    size_t taken = 0;
    if (len >= ALIGN_MIN) {
        /* 3 octets a quantum: how many of them to a multiple of 64? 3 * 43 = 2 * 64 + 1. */
        const size_t ahead = -(uintptr_t)dst * 43 % 64 * 4;
        taken = decode_few(src, ahead, dst);
        if (taken < ahead) return taken;
        const uint8_t *const from = src + taken;
        uint8_t *const to = dst + taken / 4 * 3;
        /* Not in place: octets that turn out to be wrong would stand where the characters were. */
        const bool at_once = !is_far(len) && are_apart(src, len, dst, cap);
        if (at_once && decode_all(from, len - taken, to)) return len;
        if (is_far(len)) taken += decode_far(from, len - taken, to);
    }
    while (len - taken >= 256 && decode256(src + taken, dst + taken / 4 * 3))
        taken += 256;
    while (len - taken >= 2 * CHARACTERS && decode64(src + taken, dst + taken / 4 * 3))
        taken += CHARACTERS;
    const size_t written = taken / 4 * 3;
    if (len - taken >= 2 * CHARACTERS) return taken;
    return taken + decode_short(src + taken, len - taken, dst + written, cap - written);
}

static size_t decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    const size_t whole = (len / 4 * 3 <= cap ? len / 4 : cap / 3) * 4;
    if (whole >= 2 * CHARACTERS) return decode_long(src, whole, dst, cap);
    return decode_short(src, whole, dst, cap);
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

enum {
    GROUP_WRITTEN = 183 + 64,
    MANY_GROUPS = 16, /* fewer are not worth two ways */
};

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

/* A comparison and a branch each: gathering them takes more operations. */
static inline bool has_line_ends(const uint8_t *src)
{
    return is_crlf(src + 76) && is_crlf(src + 154) && is_crlf(src + 232) && is_crlf(src + 310);
}

struct values_of_group {
    __m512i a, b, c, d, e;
};

static ALWAYS_INLINE struct values_of_group look_up_group(const uint8_t *src, struct wrong *wrong)
{
    const __m512i a = load64_once(src), b = load_without(src + 64, skip_12);
    const __m512i c = load_without(src + 126, skip_28), d = load_without(src + 188, skip_44);
    const __m512i e = load_without(src + 248, skip_2);
    wrong->a = here(either3(wrong->a, a, b));
    wrong->b = here(either3(wrong->b, c, d));
    const struct values_of_group values = {look_up(a, plain_values), look_up(b, plain_values),
                                           look_up(c, plain_values), look_up(d, plain_values),
                                           look_up(e, plain_values)};
    wrong->c = either3(wrong->c, e, values.a);
    wrong->d = either3(wrong->d, values.b, values.c);
    wrong->a = either3(wrong->a, values.d, values.e);
    return values;
}
/* Behind the octets 19 more are written, or are not. */
static ALWAYS_INLINE void store_group(uint8_t *dst, struct values_of_group values, bool exactly)
{
    store64(dst, pack48(values.a));
    store64(dst + 48, pack48(values.b));
    store64(dst + 93, pack48(values.c));
    store64(dst + 138, pack48(values.d));
    if (exactly)
        _mm512_mask_storeu_epi8(dst + 183, low_bits(GROUP_OCTETS - 183), pack48(values.e));
    else
        store64(dst + 183, pack48(values.e));
}

/* How many there are before one that is not like that. */
static size_t decode_groups_one_by_one(const uint8_t *src, size_t groups, uint8_t *dst)
{
    for (size_t done = 0; done < groups; done++) {
        const uint8_t *from = src + done * GROUP_CHARACTERS;
        struct wrong wrong = nothing_wrong();
        if (UNLIKELY(!has_line_ends(from))) return done;
        const struct values_of_group values = look_up_group(from, &wrong);
        if (UNLIKELY(is_wrong(&wrong))) return done;
        store_group(dst + done * GROUP_OCTETS, values, false);
    }
    return groups;
}

/* Those before one whose lines end elsewhere; backwards all, or none. None at all if any character
 * is wrong, and then some octets have been written: one look for all, as in decode_all(). */
static ALWAYS_INLINE size_t decode_run(const uint8_t *src, size_t groups, uint8_t *dst,
                                       bool backwards)
{
    struct wrong wrong = nothing_wrong();
    size_t done = 0;
    for (; done < groups; done++) {
        const size_t group = backwards ? groups - 1 - done : done;
        const uint8_t *from = src + group * GROUP_CHARACTERS;
        if (UNLIKELY(!has_line_ends(from))) break;
        store_group(dst + group * GROUP_OCTETS, look_up_group(from, &wrong), backwards);
    }
    return is_wrong(&wrong) || (backwards && done < groups) ? 0 : done;
}

/* Not in place. A page at a time, also where it is not far: callers come again behind what is
 * wrong, for ever new lines, and all that was done before the look is done twice. */
static size_t decode_groups_apart(const uint8_t *src, size_t groups, uint8_t *dst, size_t len)
{
    const bool in_runs = goes_in_runs(len), far = is_far(len);
    size_t all = 0;
    while (all < groups) {
        const uint8_t *from = src + all * GROUP_CHARACTERS;
        uint8_t *to = dst + all * GROUP_OCTETS;
        struct run run = {MIN(groups - all, (size_t)PAGE_GROUPS), false};
        if (in_runs) run = next_run(from, to, groups - all, false);
        if (far) prefetch_pages(from, to);
        const size_t done = run.backwards ? decode_run(from, run.groups, to, true)
                                          : decode_run(from, run.groups, to, false);
        all += done;
        if (done < run.groups) break;
    }
    return all;
}

static size_t decode_groups(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    const size_t fit = cap >= GROUP_WRITTEN ? (cap - GROUP_WRITTEN) / GROUP_OCTETS + 1 : 0;
    const size_t most = MIN(len / GROUP_CHARACTERS, fit);
    const size_t done = most >= MANY_GROUPS && are_apart(src, len, dst, cap)
                            ? decode_groups_apart(src, most, dst, len)
                            : 0;
    src += done * GROUP_CHARACTERS;
    dst += done * GROUP_OCTETS;
    return GROUP * (done + decode_groups_one_by_one(src, most - done, dst));
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
        store192(dst, join(load64(values)), join(load64(values + 64)), join(load64(values + 128)),
                 join(load64(values + 192)));
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
    .encode = base64_encode_avx512,
    .encode_lines = base64_encode_lines_avx512,
    .decode = decode,
    .decode_lines = decode_lines,
    .squeeze = squeeze,
    .pack = pack,
};
