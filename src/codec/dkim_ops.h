/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim_ops - what each instruction set provides for canonical bodies; a table for each level
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/codec/dkim.h"
#include "ringpost/simd.h"

struct dkim_ops {
    /* White space of a piece of text whose last octet is neither space nor tab: runs of it become
     * one space, and those before CRLF go. What follows the piece is not CRLF's LF. Returns the
     * octets written; all of [dst, dst + len) may be written to. */
    size_t (*relax)(const char *src, size_t len, char *dst);
};

extern const struct dkim_ops dkim_ops_scalar;
#ifdef __x86_64__
extern const struct dkim_ops dkim_ops_avx2;
extern const struct dkim_ops dkim_ops_avx512;
#endif
#ifdef __aarch64__
extern const struct dkim_ops dkim_ops_neon;
#endif

/* For instruction sets without a compressing one: the places of the bits of each octet, in order.
 */
extern uint8_t dkim_places[256][8];
