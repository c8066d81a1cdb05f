/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim - signs messages: RFC 6376 with rsa-sha256 (RFC 8301) and ed25519-sha256 (RFC 8463)
 *
 * Job     keys; which signatures a message gets; the hash of its body, many bodies at a time; the
 *         DKIM-Signature field and its signature; the DNS record that belongs to a key. It verifies
 *         nothing.
 * Way     dkim_header_add() for each piece of the header, dkim_choose(), dkim_bodies_add() while
 *         content arrives, dkim_body_end(), then for each signature dkim_field_write(),
 *         dkim_field_sign() (the dear step: on any worker's core) and dkim_field_finish(); the last
 *         two are what a desk does (dkim/desk.h).
 * Owner   keys and sets of signers are immutable and counted; all workers share them. What makes an
 *         operation with a key fast is prepared for each worker, so there are no locks. The rest
 *         belongs to the caller.
 * Errors  in words, for people: an unusable key where it is read; a message that is not to be
 *         signed by `why` of the choice.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/codec/dkim.h"
#include "ringpost/digest.h"
#include "ringpost/mime/field.h"

enum {
    DKIM_SIGNATURES_MAX = 4,          /* on one message */
    DKIM_FIELD_MAX = 4096,            /* octets of a DKIM-Signature field, with its CRLF */
    DKIM_HEADER_MAX = 1 << 20,        /* octets of a header: a longer one is not signed */
    DKIM_FIELDS_MAX = 10000,          /* of a header: one with more is not signed */
    DKIM_RSA_BITS_MIN = 1024,         /* RFC 8301 section 3.2: MUST */
    DKIM_RSA_BITS_RECOMMENDED = 2048, /* ... SHOULD */
    DKIM_RSA_BITS_MAX = 4096,         /* verifiers need take no more */
    DKIM_SIGNATURE_MAX = DKIM_RSA_BITS_MAX / 8,
    DKIM_NAME_MAX = 253,   /* of d= and s=, and both together with "._domainkey." */
    DKIM_RECORD_MAX = 1024 /* octets of a record that we print */
};

/* ---- keys -------------------------------------------------------------------------------------
 */

enum dkim_algorithm { DKIM_RSA_SHA256 = 0, DKIM_ED25519_SHA256 };
struct dkim_key;
struct dkim_key_reader;

/* Reads keys: what OpenSSL has to look up before its first one takes ten times as long as a key. Of
 * one thread. */
struct dkim_key_reader *dkim_key_reader_create(void);
void dkim_key_reader_free(struct dkim_key_reader **reader);
/* From PEM: PKCS#8 or, for RSA, PKCS#1. NULL: why ("is a public key", "has only 768 bits: ..."). */
struct dkim_key *dkim_key_read(struct dkim_key_reader *reader, struct bytes pem, char *why,
                               size_t why_size);
/* bits: of an RSA key only. NULL: why. */
struct dkim_key *dkim_key_generate(enum dkim_algorithm algorithm, uint32_t bits, char *why,
                                   size_t why_size);
struct dkim_key *dkim_key_ref(struct dkim_key *key); /* any thread; so is unref */
void dkim_key_unref(struct dkim_key *key);
enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key);
uint32_t dkim_key_bits(const struct dkim_key *key);
/* Microseconds of one signature, as a rule: what it is worth to do it elsewhere. */
uint32_t dkim_key_cost_us(const struct dkim_key *key);
MUST_USE bool dkim_key_write(const struct dkim_key *key, struct text *pem); /* PKCS#8, secret */

/* The TXT record: "v=DKIM1; k=rsa; p=...". out has room for DKIM_RECORD_MAX. */
void dkim_record_print(const struct dkim_key *key, struct text *out);
/* Is what was found under selector._domainkey.domain (strings put together) the key's? NULL: yes;
 * else what is wrong with it ("is revoked: p= is empty"). */
const char *dkim_record_compare(const struct dkim_key *key, struct bytes record);

/* ---- signers ------------------------------------------------------------------------------------
 */

struct dkim_signer {
    struct bytes domain;   /* d=, A-labels in lower case */
    struct bytes selector; /* s= */
    struct dkim_key *key;
    uint8_t header_mode, body_mode; /* enum codec_dkim_mode */
    bool all;                       /* also signs mail that is not From the domain */
    bool subdomains;                /* mail From the domain's subdomains is its own, too */
    /* Names of fields. Signed: all there are in the message. Oversigned: also that there is no
     * further one. From, List-Unsubscribe and List-Unsubscribe-Post always are both. */
    const struct bytes *headers, *oversign;
    size_t header_count, oversign_count;
    uint32_t expire_s; /* x= so long after t=; 0 = no x= */
};
/* The default lists. */
extern const struct bytes dkim_headers_default[], dkim_oversign_default[];
extern const size_t dkim_headers_default_count, dkim_oversign_default_count;
/* NULL, or why a field of that name cannot be among those to be signed ("changes on its way"). */
const char *dkim_header_fault(struct bytes name);

struct dkim_signers; /* a set, in the order in which their signatures stand on a message */
/* Copies all, counts the keys. */
struct dkim_signers *dkim_signers_create(const struct dkim_signer *signers, size_t count);
struct dkim_signers *dkim_signers_ref(struct dkim_signers *signers); /* any thread; so is unref */
void dkim_signers_unref(struct dkim_signers *signers);               /* NULL is fine */
size_t dkim_signers_count(const struct dkim_signers *signers);
const struct dkim_signer *dkim_signers_at(const struct dkim_signers *signers, size_t index);

/* ---- one message: header ------------------------------------------------------------------------
 */

/* Its fields in order; they point into the octets given. To be used again and again. */
struct dkim_header {
    struct mime_field *fields;
    uint32_t count, cap;
    const char *why; /* it cannot be signed */
};
void dkim_header_clear(struct dkim_header *header); /* also to begin with: of one with zeros */
void dkim_header_add(struct dkim_header *header, struct bytes octets); /* whole fields */
void dkim_header_deinit(struct dkim_header *header);

struct dkim_choice {
    const struct dkim_signer *signers[DKIM_SIGNATURES_MAX];
    uint32_t count;
    uint8_t body_modes; /* bit for each enum codec_dkim_mode that is needed */
    const char *why;    /* no signature though there may be a signer for it: "has two From fields";
                         * NULL when just nobody signs for its domain */
};
void dkim_choose(const struct dkim_signers *signers, const struct dkim_header *header,
                 struct dkim_choice *choice);

/* ---- one message: body --------------------------------------------------------------------------
 */

struct dkim_body {
    uint8_t modes; /* bits, as above */
    struct codec_dkim_body codecs[2];
    struct digest_sha256 digests[2];
};
struct dkim_hashes {
    uint8_t of[2][DIGEST_SHA256_LEN]; /* by enum codec_dkim_mode; only those asked for */
};
void dkim_body_init(struct dkim_body *body, uint8_t modes);
/* The next octets of several bodies, hashed side by side; the bodies differ. What the pieces hold
 * afterwards is not defined. */
struct dkim_piece {
    struct dkim_body *body;
    struct bytes octets;
};
void dkim_bodies_add(struct dkim_piece *pieces, size_t count);
/* Several bodies at once, as above, or one. */
struct dkim_end {
    struct dkim_body *body;
    struct dkim_hashes *hashes;
};
void dkim_bodies_end(const struct dkim_end *ends, size_t count);
void dkim_body_end(struct dkim_body *body, struct dkim_hashes *hashes);

/* ---- one message: signature ---------------------------------------------------------------------
 */

struct dkim_field { /* one DKIM-Signature field on its way */
    struct dkim_key *key;
    uint32_t hole; /* offset in the text where the signature goes */
    uint16_t len;  /* of the signature */
    uint8_t hash[DIGEST_SHA256_LEN];
    uint8_t signature[DKIM_SIGNATURE_MAX];
};
/* signer: of a set. Appends the field, with room for its signature, and its CRLF. out has
 * DKIM_FIELD_MAX to spare. now: wall clock, seconds. NULL, or why the message cannot be signed (out
 * is as before then). */
const char *dkim_field_write(const struct dkim_signer *signer, const struct dkim_header *header,
                             const struct dkim_hashes *body, uint64_t now_s, struct text *out,
                             struct dkim_field *field);
/* The operation with the key. slot: the worker whose core it is; only one thread a slot at a time.
 * False: OpenSSL failed. */
MUST_USE bool dkim_field_sign(struct dkim_field *field, uint32_t slot);
void dkim_field_finish(const struct dkim_field *field, char *text);

/* For a whole message of our own making: writes its signature fields, to be signed; out has
 * DKIM_SIGNATURES_MAX * DKIM_FIELD_MAX to spare. How many there are; 0 if nobody signs it. */
uint32_t dkim_whole_write(const struct dkim_signers *signers, struct bytes message, uint64_t now_s,
                          struct text *out, struct dkim_field fields[DKIM_SIGNATURES_MAX]);
