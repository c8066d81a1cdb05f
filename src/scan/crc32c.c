/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c - CRC-32C in plain C: eight octets a step by eight tables (RFC 3720 appendix B.4)
 */
#include "scan_ops.h"

enum { SLICES = 8 };
#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41 with its bits reversed */

static uint32_t tables[SLICES][256]; /* [k][b]: octet b, then k octets 0 */

/* Before main(), so that no thread ever sees them half made. */
static __attribute__((constructor)) void tables_init(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t crc = octet;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][octet] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++) {
        for (uint32_t octet = 0; octet < 256; octet++) {
            const uint32_t before = tables[slice - 1][octet];
            tables[slice][octet] = before >> 8 ^ tables[0][before & 255];
        }
    }
}

uint32_t scan_crc32c_scalar(uint32_t seed, const void *data, size_t len)
{
    const unsigned char *octets = data;
    uint32_t crc = ~seed;
    for (; len >= SLICES; len -= SLICES, octets += SLICES) {
        const uint32_t first = crc ^ ((uint32_t)octets[0] | (uint32_t)octets[1] << 8 |
                                      (uint32_t)octets[2] << 16 | (uint32_t)octets[3] << 24);
        crc = tables[7][first & 255] ^ tables[6][first >> 8 & 255] ^ tables[5][first >> 16 & 255] ^
              tables[4][first >> 24] ^ tables[3][octets[4]] ^ tables[2][octets[5]] ^
              tables[1][octets[6]] ^ tables[0][octets[7]];
    }
    for (; len > 0; len--, octets++)
        crc = crc >> 8 ^ tables[0][(crc ^ *octets) & 255];
    return ~crc;
}
