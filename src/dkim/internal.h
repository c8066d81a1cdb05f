/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of dkim share
 */
#pragma once
#include "ringpost/dkim.h"

/* ---- signers.c ----------------------------------------------------------------------------------
 */

struct dkim_entry {
    struct dkim_signer signer;
    struct dkim_entry *next;     /* of the same domain */
    struct dkim_entry *next_all; /* of those that sign all mail */
    bool *oversigned;            /* of each of signer.headers */
};

/* ---- header.c: canonical fields (RFC 6376 sections 3.4.1 and 3.4.2) into a hash ----------------
 */

struct dkim_sink {
    struct digest_sha256 *digest;
    uint32_t used;
    char room[512];
};
void dkim_sink_init(struct dkim_sink *sink, struct digest_sha256 *digest);
void dkim_sink_end(struct dkim_sink *sink);
/* with_end: its CRLF, too, which the signature's own field does not have. */
void dkim_canonical_field(struct dkim_sink *sink, const struct mime_field *field,
                          enum codec_dkim_mode mode, bool with_end);

/* ---- desk.c -------------------------------------------------------------------------------------
 */

struct worker;
/* Who is to do a job of that cost: the worker with the least to do, if the job is back from there
 * before this one would even begin with it; else NULL. */
struct worker *desk_helper(const struct worker *worker, uint32_t cost_us);

/* ---- key.c --------------------------------------------------------------------------------------
 */

uint32_t dkim_key_signature_len(const struct dkim_key *key);
/* out has room for DKIM_SIGNATURE_MAX. */
MUST_USE bool dkim_key_sign(struct dkim_key *key, uint32_t slot,
                            const uint8_t hash[DIGEST_SHA256_LEN], uint8_t *out);
/* What stands in p=, before base64; out has room for DKIM_PUBLIC_MAX. Its length. */
enum { DKIM_PUBLIC_MAX = 700 };
size_t dkim_key_public(const struct dkim_key *key, uint8_t *out);
