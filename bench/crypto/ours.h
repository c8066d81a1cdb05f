/* SPDX-License-Identifier: Apache-2.0
 *
 * ours - what is measured of Ringpost, in words that C++ understands
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void ours_sha256(const char *data, size_t size, uint8_t out[32]);
/* count pieces of that size, one after the other in memory, hashed side by side. */
void ours_sha256_many(const char *data, size_t size, size_t count, uint8_t out[32]);
/* The same of bodies in relaxed form (RFC 6376 section 3.4.4). */
void ours_body(const char *data, size_t size, uint8_t out[32]);
void ours_body_many(const char *data, size_t size, size_t count, uint8_t out[32]);

#ifdef __cplusplus
}
#endif
