/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c_neon - CRC-32C by the crc32c instructions, which Armv8.0 may lack (Armv8.1 has them)
 *
 * One lane: joining several needs a carry-less multiplication, which is yet another option.
 */
#include "scan_ops.h"
#include <arm_acle.h>
#include <sys/auxv.h>

#define HAS_CRC32 (1ul << 7) /* HWCAP_CRC32 of Linux */

static bool has_crc32;

static __attribute__((constructor)) void ask(void)
{
    has_crc32 = (getauxval(AT_HWCAP) & HAS_CRC32) != 0;
}

uint32_t scan_crc32c_neon(uint32_t seed, const void *data, size_t len)
{
    if (!has_crc32) return scan_crc32c_scalar(seed, data, len);
    const unsigned char *octets = data;
    uint32_t crc = ~seed;
    for (; len >= 8; len -= 8, octets += 8) {
        uint64_t value;
        memcpy(&value, octets, sizeof(value));
        crc = __crc32cd(crc, value);
    }
    for (; len > 0; len--, octets++)
        crc = __crc32cb(crc, *octets);
    return ~crc;
}
