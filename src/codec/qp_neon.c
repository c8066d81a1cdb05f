/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_neon - quoted-printable with AArch64 Advanced SIMD
 */
#include "qp_ops.h"
#include <arm_neon.h>

struct four {
    uint8x16_t at[4]; /* 64 octets, or a mask of them */
};

static inline uint8x16_t load(const char *src)
{
    return vld1q_u8((const uint8_t *)src);
}
static inline void store(char *dst, uint8x16_t octets)
{
    vst1q_u8((uint8_t *)dst, octets);
}
static inline uint8x16_t equal(uint8x16_t octets, char octet)
{
    return vceqq_u8(octets, vdupq_n_u8((uint8_t)octet));
}
/* Octets of lowest to lowest + range. */
static inline uint8x16_t in_range(uint8x16_t octets, uint8_t lowest, uint8_t range)
{
    return vcleq_u8(vsubq_u8(octets, vdupq_n_u8(lowest)), vdupq_n_u8(range));
}
static inline uint8x16_t is_space(uint8x16_t octets)
{
    return vorrq_u8(equal(octets, ' '), equal(octets, '\t'));
}
/* A bit an octet: each octet of a mask keeps its own bit of 8, then neighbours are added up. */
static inline uint64_t join(const struct four *masks)
{
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    const uint8x16_t low = vpaddq_u8(vandq_u8(masks->at[0], bits), vandq_u8(masks->at[1], bits));
    const uint8x16_t high = vpaddq_u8(vandq_u8(masks->at[2], bits), vandq_u8(masks->at[3], bits));
    const uint8x16_t sums = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

/* ---- decode ------------------------------------------------------------------------------------
 */

struct qp_block {
    struct four merged;
};

/* Space or tab, with CR or LF behind it; at the last place of a block with anything from tab to
 * space behind it: then only the next block knows. */
static inline uint8x16_t trailing(uint8x16_t octets, uint8x16_t next, bool last)
{
    static const uint8_t last_only[16] = {[15] = 255};
    uint8x16_t ends = in_range(next, '\n', '\r' - '\n');
    if (last)
        ends = vorrq_u8(ends, vandq_u8(in_range(next, '\t', ' ' - '\t'), vld1q_u8(last_only)));
    return vandq_u8(is_space(octets), ends);
}

/* Strict: not allowed at all, or a bare CR or LF. A LF at the first place is the matter of the
 * block before. */
static inline uint8x16_t wrong(uint8x16_t octets, uint8x16_t next)
{
    const uint8x16_t cr = equal(octets, '\r');
    const uint8x16_t controls = vorrq_u8(vorrq_u8(cr, equal(octets, '\n')), equal(octets, '\t'));
    const uint8x16_t good = vorrq_u8(in_range(octets, ' ', '~' - ' '), controls);
    return vornq_u8(veorq_u8(cr, equal(next, '\n')), good);
}

static inline uint8x16_t needs_a_look(const char *src, bool strict, bool last)
{
    const uint8x16_t octets = load(src), next = load(src + 1);
    const uint8x16_t look = vorrq_u8(equal(octets, '='), trailing(octets, next, last));
    return strict ? vorrq_u8(look, wrong(octets, next)) : look;
}

static inline bool blocks_are_plain(const char *src, bool strict)
{
    uint8x16_t any = vdupq_n_u8(0);
    for (unsigned i = 0; i < 8; i++)
        any = vorrq_u8(any, needs_a_look(src + i * 16, strict, i % 4 == 3));
    return vmaxvq_u8(any) == 0;
}

static inline void blocks_copy(char *dst, const char *src)
{
    uint8x16_t octets[8];
    for (unsigned i = 0; i < 8; i++)
        octets[i] = load(src + i * 16);
    for (unsigned i = 0; i < 8; i++)
        store(dst + i * 16, octets[i]);
}

static inline uint64_t block_lf(const char *src)
{
    struct four masks;
    for (unsigned i = 0; i < 4; i++)
        masks.at[i] = equal(load(src + i * 16), '\n');
    return join(&masks);
}

/* The value of each digit; *good has all bits set where there is one. */
static inline uint8x16_t digits(uint8x16_t octets, bool strict, uint8x16_t *good)
{
    const uint8x16_t decimal = in_range(octets, '0', 9);
    const uint8x16_t folded = strict ? octets : vandq_u8(octets, vdupq_n_u8(0xdf));
    const uint8x16_t letter = in_range(folded, 'A', 5);
    const uint8x16_t low_bits = vandq_u8(octets, vdupq_n_u8(15));
    *good = vorrq_u8(decimal, letter);
    return vaddq_u8(low_bits, vandq_u8(letter, vdupq_n_u8(9)));
}

static inline struct qp_marks block_read(struct qp_block *block, const char *src, bool strict)
{
    struct four escapes, breaks, unknown, odd, lf;
    for (unsigned i = 0; i < 4; i++) {
        const char *from = src + i * 16;
        const uint8x16_t octets = load(from), next = load(from + 1), second = load(from + 2);
        const uint8x16_t equals = equal(octets, '='), none = vdupq_n_u8(0);
        uint8x16_t good_high, good_low;
        const uint8x16_t high = digits(next, strict, &good_high);
        const uint8x16_t low = digits(second, strict, &good_low);
        escapes.at[i] = vandq_u8(equals, vandq_u8(good_high, good_low));
        breaks.at[i] = vandq_u8(equals, vandq_u8(equal(next, '\r'), equal(second, '\n')));
        lf.at[i] = strict ? equal(octets, '\n') : none;
        unknown.at[i] = vbicq_u8(equals, vorrq_u8(escapes.at[i], breaks.at[i]));
        odd.at[i] = trailing(octets, next, i == 3);
        if (strict) odd.at[i] = vorrq_u8(odd.at[i], wrong(octets, next));
        /* Each "=" that is kept is an escape. */
        block->merged.at[i] = vbslq_u8(equals, vsliq_n_u8(low, high, 4), octets);
    }
    return (struct qp_marks){
        .escapes = join(&escapes),
        .breaks = join(&breaks),
        .unknown = join(&unknown),
        .odd = join(&odd),
        .lf = strict ? join(&lf) : 0,
    };
}

/* Of 8 octets those kept; returns where the next ones go. */
static inline char *write_8(char *dst, uint8x8_t octets, uint64_t kept)
{
    const uint8x8_t order = vcreate_u8(qp_kept[kept & 255]);
    vst1_u8((uint8_t *)dst, vtbl1_u8(octets, order));
    return dst + __builtin_popcountll(kept & 255);
}

static inline void block_write(char *dst, const struct qp_block *block, uint64_t kept)
{
    for (unsigned i = 0; i < 4; i++, kept >>= 16) {
        dst = write_8(dst, vget_low_u8(block->merged.at[i]), kept);
        dst = write_8(dst, vget_high_u8(block->merged.at[i]), kept >> 8);
    }
}

#include "qp_decode_bulk.h"

/* ---- encode ------------------------------------------------------------------------------------
 */

enum { QP_GROUP = 16 };

static inline struct qp_octets marks_read(const char *src)
{
    struct four other, space, cr, lf;
    for (unsigned i = 0; i < 4; i++) {
        const uint8x16_t octets = load(src + i * 16);
        other.at[i] = vornq_u8(equal(octets, '='), in_range(octets, '!', '~' - '!'));
        space.at[i] = is_space(octets);
        cr.at[i] = equal(octets, '\r');
        lf.at[i] = equal(octets, '\n');
    }
    return (struct qp_octets){
        .other = join(&other),
        .space = join(&space),
        .cr = join(&cr),
        .lf = join(&lf),
    };
}

static inline void copy_80(char *dst, const char *src)
{
    for (unsigned i = 0; i < 80; i += 16)
        store(dst + i, load(src + i));
}

static inline char *put_forms(char *dst, uint32x4_t four, uint32_t escapes)
{
    const uint8x16_t order = vld1q_u8(qp_forms[escapes & 15]);
    store(dst, vqtbl1q_u8(vreinterpretq_u8_u32(four), order));
    return dst + 4 + 2 * __builtin_popcount(escapes & 15);
}

static inline void expand(char *dst, const char *src, uint32_t escapes)
{
    const uint8x16_t hex = load("0123456789ABCDEF"), octets = load(src);
    const uint32x4_t plain = vreinterpretq_u32_u8(octets);
    const uint32x4_t high = vreinterpretq_u32_u8(vqtbl1q_u8(hex, vshrq_n_u8(octets, 4)));
    const uint32x4_t low = vreinterpretq_u32_u8(vqtbl1q_u8(hex, vandq_u8(octets, vdupq_n_u8(15))));
    const uint32x4_t equals = vreinterpretq_u32_u8(vdupq_n_u8('='));
    /* As qp_forms has it: 4 literals, their high digits, their low digits, "=". */
    const uint64x2_t a = vreinterpretq_u64_u32(vzip1q_u32(plain, high));
    const uint64x2_t b = vreinterpretq_u64_u32(vzip1q_u32(low, equals));
    const uint64x2_t c = vreinterpretq_u64_u32(vzip2q_u32(plain, high));
    const uint64x2_t d = vreinterpretq_u64_u32(vzip2q_u32(low, equals));
    dst = put_forms(dst, vreinterpretq_u32_u64(vzip1q_u64(a, b)), escapes);
    dst = put_forms(dst, vreinterpretq_u32_u64(vzip2q_u64(a, b)), escapes >> 4);
    dst = put_forms(dst, vreinterpretq_u32_u64(vzip1q_u64(c, d)), escapes >> 8);
    put_forms(dst, vreinterpretq_u32_u64(vzip2q_u64(c, d)), escapes >> 12);
}

#include "qp_encode_bulk.h"

const struct qp_ops qp_ops_neon = {.decode = decode, .encode = encode};
