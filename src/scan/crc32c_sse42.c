/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c_sse42 - CRC-32C by the crc32 instruction (SSE4.2) with carry-less multiplication
 *
 * The instruction takes three cycles but can begin each cycle: three lanes side by side keep it
 * busy. A lane's result is then moved over the octets of the lanes behind it, that is multiplied by
 * x^(8 n) modulo the polynomial: one carry-less multiplication by x^(8 n - 33), whose 64 bits the
 * crc32 instruction reduces (it multiplies by x^32; bit reflection gives the last factor x).
 */
#include "scan_ops.h"
#include <nmmintrin.h>
#include <wmmintrin.h>

enum { LONG_LANE = 1024, SHORT_LANE = 128 };

/* x^(8 n - 33) mod P, bits reversed, for n = one lane and two lanes. */
struct shifts {
    uint32_t one, two;
};
static const struct shifts long_shifts = {0x170076fau, 0xa51b6135u};
static const struct shifts short_shifts = {0x0d3b6092u, 0xb9e02b86u};

static inline uint64_t load_u64(const unsigned char *octets)
{
    uint64_t value;
    memcpy(&value, octets, sizeof(value));
    return value;
}

static inline uint64_t shift(uint64_t crc, uint32_t factor)
{
    const __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128((int)factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Three lanes of lane octets each, lane a multiple of 8. */
static inline uint64_t three_lanes(uint64_t crc, const unsigned char *octets, size_t lane,
                                   struct shifts shifts)
{
    uint64_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < lane; i += 8) {
        a = _mm_crc32_u64(a, load_u64(octets + i));
        b = _mm_crc32_u64(b, load_u64(octets + lane + i));
        c = _mm_crc32_u64(c, load_u64(octets + 2 * lane + i));
    }
    return shift(a, shifts.two) ^ shift(b, shifts.one) ^ c;
}

uint32_t scan_crc32c_sse42(uint32_t seed, const void *data, size_t len)
{
    const unsigned char *octets = data;
    uint64_t crc = ~seed;
    for (; len >= 3 * LONG_LANE; len -= 3 * LONG_LANE, octets += 3 * LONG_LANE)
        crc = three_lanes(crc, octets, LONG_LANE, long_shifts);
    for (; len >= 3 * SHORT_LANE; len -= 3 * SHORT_LANE, octets += 3 * SHORT_LANE)
        crc = three_lanes(crc, octets, SHORT_LANE, short_shifts);
    for (; len >= 8; len -= 8, octets += 8)
        crc = _mm_crc32_u64(crc, load_u64(octets));
    for (; len > 0; len--, octets++)
        crc = _mm_crc32_u8((uint32_t)crc, *octets);
    return ~(uint32_t)crc;
}
