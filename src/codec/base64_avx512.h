/* SPDX-License-Identifier: Apache-2.0
 *
 * base64_avx512 - what encoding and decoding with AVX-512 have in common: 48 octets and 64
 * characters a register (F, BW, VL, VBMI, VBMI2)
 *
 * After W. Muła and D. Lemire, "Base64 encoding and decoding at almost the speed of a memory copy"
 * (Software: Practice and Experience 50, 2020): two permutations and a shift to encode, a look-up
 * in 128 entries, two multiplications and a permutation to decode. On top of that: four lines of 76
 * at a time, whose ends are part of the permutations, and white space that is compressed out in
 * registers. Stores are whole and, in long texts, aligned: that is what the memory's speed needs.
 */
#pragma once
#include "base64_ops.h"
#include <immintrin.h>

void base64_encode_avx512(const uint8_t *src, size_t len, char *dst);
void base64_encode_lines_avx512(const uint8_t *src, size_t count, char *dst, size_t line);

enum {
    OCTETS = 48, /* of a register */
    CHARACTERS = 64,
    PAGE = 4096,
    /* Lines of 76 are done so many at a time. */
    GROUP = 4,
    GROUP_OCTETS = GROUP * BASE64_LINE_OCTETS,
    GROUP_CHARACTERS = GROUP * BASE64_LINE_END,
    PAGE_GROUPS = PAGE / GROUP_CHARACTERS,
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
/* Computed here, after all that was in turn before. */
static inline __m512i in_turn(__m512i octets)
{
#ifdef __AVX512F__
    __asm__ volatile("" : "+v"(octets));
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
static inline __mmask64 low_bits(size_t n) /* n <= 64 */
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* ---- what is asked for ahead --------------------------------------------------------------------
 *
 * On Intel a store waits for its line, so the lines of the stores are asked for; those of the loads
 * the CPU asks for itself. AMD does not read a line that is written as a whole, unless it was asked
 * for: then all of them are read, which on Zen 5 is a quarter of the time at 8 MB. But where text
 * and data are larger than what the CPU has translations for, each page begins with a walk through
 * the page tables, longer still in a virtual machine: so one line of each next page is asked for.
 */

static ALWAYS_INLINE void prefetch_lines(const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch((const char *)from + 64 * i);
}

static inline bool is_far(size_t characters)
{
    return base64_cpu.is_amd && characters >= base64_cpu.far_min;
}
static inline void prefetch_pages(const void *from, const void *to)
{
    __builtin_prefetch((const char *)from + PAGE);
    __builtin_prefetch((const char *)to + PAGE);
}

/* ---- which way to go ---------------------------------------------------------------------------
 *
 * A load waits for a store before it, not yet in the cache, whose address has the same last 12
 * bits: the CPU looks at those first. The stores of the last some 30 groups are such, and lie
 * behind the place that is written now. Text and data go through all distances, so a good third of
 * the loads meet them. If a run of groups is done from its end, they lie before that place: so the
 * distance decides. Only in text that is near: from other caches octets do not come so well
 * backwards.
 */
enum {
    SAME_STORE = 4096,
    DISTANCE_STEP = GROUP_CHARACTERS - GROUP_OCTETS,
    RUNS_FROM = 2048, /* fewer characters hardly meet one */
};

static inline bool goes_in_runs(size_t characters)
{
    return characters >= RUNS_FROM && characters <= base64_cpu.near_max;
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
