/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_tables - orders of octets for the instructions that permute within 16 octets
 */
#include "qp_ops.h"

#define X 0x80 /* a place that nobody reads: the next store covers it */

_Alignas(16) const uint8_t qp_forms[16][16] = {
    {0, 1, 2, 3, X, X, X, X, X, X, X, X, X, X, X, X},
    {12, 4, 8, 1, 2, 3, X, X, X, X, X, X, X, X, X, X},
    {0, 12, 5, 9, 2, 3, X, X, X, X, X, X, X, X, X, X},
    {12, 4, 8, 12, 5, 9, 2, 3, X, X, X, X, X, X, X, X},
    {0, 1, 12, 6, 10, 3, X, X, X, X, X, X, X, X, X, X},
    {12, 4, 8, 1, 12, 6, 10, 3, X, X, X, X, X, X, X, X},
    {0, 12, 5, 9, 12, 6, 10, 3, X, X, X, X, X, X, X, X},
    {12, 4, 8, 12, 5, 9, 12, 6, 10, 3, X, X, X, X, X, X},
    {0, 1, 2, 12, 7, 11, X, X, X, X, X, X, X, X, X, X},
    {12, 4, 8, 1, 2, 12, 7, 11, X, X, X, X, X, X, X, X},
    {0, 12, 5, 9, 2, 12, 7, 11, X, X, X, X, X, X, X, X},
    {12, 4, 8, 12, 5, 9, 2, 12, 7, 11, X, X, X, X, X, X},
    {0, 1, 12, 6, 10, 12, 7, 11, X, X, X, X, X, X, X, X},
    {12, 4, 8, 1, 12, 6, 10, 12, 7, 11, X, X, X, X, X, X},
    {0, 12, 5, 9, 12, 6, 10, 12, 7, 11, X, X, X, X, X, X},
    {12, 4, 8, 12, 5, 9, 12, 6, 10, 12, 7, 11, X, X, X, X},
};

/* Octet i moves down over those before it that do not stay. */
#define PLACE(set, i)                                                                              \
    ((uint64_t)((set) >> (i)&1) * (i) << 8 * __builtin_popcount((set) & ((1u << (i)) - 1)))
#define KEPT(set)                                                                                  \
    (PLACE(set, 1) | PLACE(set, 2) | PLACE(set, 3) | PLACE(set, 4) | PLACE(set, 5) |               \
     PLACE(set, 6) | PLACE(set, 7))
#define KEPT4(set)  KEPT(set), KEPT((set) + 1), KEPT((set) + 2), KEPT((set) + 3)
#define KEPT16(set) KEPT4(set), KEPT4((set) + 4), KEPT4((set) + 8), KEPT4((set) + 12)
#define KEPT64(set) KEPT16(set), KEPT16((set) + 16), KEPT16((set) + 32), KEPT16((set) + 48)

const uint64_t qp_kept[256] = {KEPT64(0u), KEPT64(64u), KEPT64(128u), KEPT64(192u)};
