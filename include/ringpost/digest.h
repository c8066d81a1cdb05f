/* SPDX-License-Identifier: Apache-2.0
 *
 * digest - SHA-256 (FIPS 180-4), many streams at a time; HMAC (RFC 2104) and PBKDF2 (RFC 8018) on
 * it
 *
 * Job     hashes octets, in pieces as they come. One stream is bound by the latency of the hashing
 *         instructions: the functions for many run up to DIGEST_LANES of them side by side on one
 *         core, so whoever has several messages at hand gives them at once.
 * Owner   the caller embeds struct digest_sha256; it holds no pointers and may be copied.
 * Errors  none. No allocation. Any thread.
 */
#pragma once
#include "ringpost/base.h"

enum { DIGEST_SHA256_LEN = 32, DIGEST_SHA256_BLOCK = 64, DIGEST_LANES = 16 };

struct digest_sha256 {
    uint32_t state[8];
    uint64_t len; /* octets so far; those behind the last whole block are kept: */
    uint8_t kept[DIGEST_SHA256_BLOCK];
};
void digest_sha256_init(struct digest_sha256 *digest);
void digest_sha256_add(struct digest_sha256 *digest, struct bytes octets);
void digest_sha256_end(struct digest_sha256 *digest, uint8_t out[DIGEST_SHA256_LEN]);
void digest_sha256_once(struct bytes octets, uint8_t out[DIGEST_SHA256_LEN]);

/* The same as digest_sha256_add(jobs[i].state, jobs[i].octets) for each i; the states differ. What
 * the jobs hold afterwards is not defined. */
struct digest_job {
    struct digest_sha256 *state;
    struct bytes octets;
};
void digest_sha256_add_many(struct digest_job *jobs, size_t count);

/* The same as digest_sha256_add(state, octets) and digest_sha256_end(state, out) for each; the
 * states differ, and what they hold afterwards is not defined. */
struct digest_end {
    struct digest_sha256 *state;
    struct bytes octets; /* the last ones, quickest if few */
    uint8_t *out;        /* DIGEST_SHA256_LEN */
};
void digest_sha256_end_many(const struct digest_end *ends, size_t count);

void digest_hmac_sha256(struct bytes key, struct bytes text, uint8_t out[DIGEST_SHA256_LEN]);
/* The first 32 octets, which is all that SCRAM asks for (RFC 5802 section 2.2: Hi()).
 * iterations > 0. Takes as long as two blocks of SHA-256 for each iteration. */
void digest_pbkdf2_sha256(struct bytes password, struct bytes salt, uint32_t iterations,
                          uint8_t out[DIGEST_SHA256_LEN]);

/* Takes as long wherever they differ. */
bool digest_equal(const void *a, const void *b, size_t len);
