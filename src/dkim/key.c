/* SPDX-License-Identifier: Apache-2.0
 *
 * key - private keys: read, made, written, and signed with
 *
 * OpenSSL guards a key that threads share by locks, and makes up a second blinding for every thread
 * but the first. So each worker gets a copy of its own with its first signature, and in it all that
 * can be prepared; the copy is touched by that worker only.
 */
#include "internal.h"
#include "ringpost/worker.h"
#include <openssl/bio.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>

struct prepared { /* one worker's */
    EVP_PKEY *key;
    EVP_PKEY_CTX *rsa;   /* for RSA */
    EVP_MD_CTX *ed25519; /* for Ed25519 */
};
struct dkim_key {
    atomic_uint refs;
    enum dkim_algorithm algorithm;
    uint32_t bits;
    EVP_PKEY *key;
    struct prepared *prepared[WORKERS_MAX]; /* each slot is its worker's */
};

/* ---- life ---------------------------------------------------------------------------------------
 */

struct dkim_key *dkim_key_ref(struct dkim_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

static void prepared_free(struct prepared *prepared)
{
    if (prepared == NULL) return;
    EVP_PKEY_CTX_free(prepared->rsa);
    EVP_MD_CTX_free(prepared->ed25519);
    EVP_PKEY_free(prepared->key);
    base_free(prepared);
}

void dkim_key_unref(struct dkim_key *key)
{
    if (atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) > 1) return;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        prepared_free(key->prepared[i]);
    EVP_PKEY_free(key->key);
    base_free(key);
}

/* Takes the key over. */
static struct dkim_key *key_of(EVP_PKEY *openssl_key, char *why, size_t why_size)
{
    const int bits = EVP_PKEY_get_bits(openssl_key);
    const bool rsa = EVP_PKEY_is_a(openssl_key, "RSA") == 1;
    const bool ed25519 = EVP_PKEY_is_a(openssl_key, "ED25519") == 1;
    if (!rsa && !ed25519) {
        const char *type = EVP_PKEY_get0_type_name(openssl_key);
        snprintf(why, why_size, "is a key for %.40s: DKIM has RSA and Ed25519 only",
                 type != NULL ? type : "something else");
    } else if (rsa && bits < DKIM_RSA_BITS_MIN) {
        snprintf(why, why_size, "is an RSA key of only %d bits: verifiers refuse less than %d",
                 bits, DKIM_RSA_BITS_MIN);
    } else if (rsa && bits > DKIM_RSA_BITS_MAX) {
        snprintf(why, why_size, "is an RSA key of %d bits: verifiers need not take more than %d",
                 bits, DKIM_RSA_BITS_MAX);
    } else {
        struct dkim_key *key = base_alloc(sizeof(*key));
        atomic_init(&key->refs, 1);
        key->algorithm = rsa ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
        key->bits = (uint32_t)bits;
        key->key = openssl_key;
        return key;
    }
    EVP_PKEY_free(openssl_key);
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

struct dkim_key_reader {
    OSSL_DECODER_CTX *decoder; /* NULL: no key was read yet */
    EVP_PKEY *key;             /* where it puts the key */
    bool encrypted;            /* it wanted a pass phrase */
};

struct dkim_key_reader *dkim_key_reader_create(void)
{
    return base_alloc(sizeof(struct dkim_key_reader));
}

void dkim_key_reader_free(struct dkim_key_reader **reader)
{
    if (*reader != NULL) OSSL_DECODER_CTX_free((*reader)->decoder);
    base_free(*reader);
    *reader = NULL;
}

/* No terminal is asked for the pass phrase of a key. */
static int no_pass_phrase(char *out, int size, int writing, void *context)
{
    (void)out, (void)size, (void)writing;
    *(bool *)context = true;
    return -1;
}

static bool have_decoder(struct dkim_key_reader *reader)
{
    if (reader->decoder != NULL) return true;
    reader->decoder = OSSL_DECODER_CTX_new_for_pkey(&reader->key, "PEM", NULL, NULL,
                                                    EVP_PKEY_KEYPAIR, NULL, NULL);
    return reader->decoder != NULL && OSSL_DECODER_CTX_set_pem_password_cb(
                                          reader->decoder, no_pass_phrase, &reader->encrypted) == 1;
}

/* The first private key of all that stands there: a certificate, say, is passed over. */
static EVP_PKEY *decode(struct dkim_key_reader *reader, struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.len > 0 ? pem.data : "", (int)MIN(pem.len, 1u << 20));
    reader->key = NULL;
    reader->encrypted = false;
    if (bio != NULL && have_decoder(reader)) {
        size_t left = BIO_ctrl_pending(bio), before = SIZE_MAX;
        for (; reader->key == NULL && left > 0 && left < before; left = BIO_ctrl_pending(bio)) {
            before = left;
            (void)OSSL_DECODER_from_bio(reader->decoder, bio);
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    return reader->key;
}

static bool contains(struct bytes text, const char *what)
{
    return text.data != NULL && memmem(text.data, text.len, what, strlen(what)) != NULL;
}

struct dkim_key *dkim_key_read(struct dkim_key_reader *reader, struct bytes pem, char *why,
                               size_t why_size)
{
    EVP_PKEY *key = decode(reader, pem);
    if (key != NULL) return key_of(key, why, why_size);
    if (reader->encrypted) {
        snprintf(why, why_size, "is encrypted: nobody is there to give the pass phrase");
    } else if (contains(pem, "BEGIN PUBLIC KEY") || contains(pem, "BEGIN RSA PUBLIC KEY")) {
        snprintf(why, why_size, "is a public key: the private one is needed");
    } else if (contains(pem, "BEGIN CERTIFICATE")) {
        snprintf(why, why_size, "is a certificate: the private key is needed");
    } else if (contains(pem, "PRIVATE KEY-----")) {
        snprintf(why, why_size, "is damaged: its private key cannot be read");
    } else {
        snprintf(why, why_size, "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
    }
    return NULL;
}

/* ---- making -------------------------------------------------------------------------------------
 */

struct dkim_key *dkim_key_generate(enum dkim_algorithm algorithm, uint32_t bits, char *why,
                                   size_t why_size)
{
    EVP_PKEY *key =
        algorithm == DKIM_RSA_SHA256 ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (key != NULL) return key_of(key, why, why_size);
    snprintf(why, why_size, "OpenSSL cannot make it: %s",
             ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    return NULL;
}

/* ---- what it is ---------------------------------------------------------------------------------
 */

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key)
{
    return key->algorithm;
}

uint32_t dkim_key_bits(const struct dkim_key *key)
{
    return key->bits;
}

/* Measured with OpenSSL 3.0; RSA grows with the cube of its length. */
uint32_t dkim_key_cost_us(const struct dkim_key *key)
{
    if (key->algorithm == DKIM_ED25519_SHA256) return 40;
    const uint64_t kilobits = key->bits / 1024;
    return (uint32_t)(35 * kilobits * kilobits * kilobits);
}

uint32_t dkim_key_signature_len(const struct dkim_key *key)
{
    return key->algorithm == DKIM_ED25519_SHA256 ? 64 : (key->bits + 7) / 8;
}

bool dkim_key_write(const struct dkim_key *key, struct text *pem)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_secmem());
    const bool written =
        bio != NULL && PEM_write_bio_PrivateKey(bio, key->key, NULL, NULL, 0, NULL, NULL) == 1;
    if (written) {
        const long len = BIO_get_mem_data(bio, &data);
        text_put(pem, (struct bytes){data, (size_t)len});
    }
    BIO_free(bio);
    ERR_clear_error();
    return written && !pem->cut;
}

/* RSA: SubjectPublicKeyInfo, which is what p= holds in practice (RFC 6376 section 3.6.1, erratum
 * 3017). Ed25519: the 32 octets alone (RFC 8463 section 4.2). */
size_t dkim_key_public(const struct dkim_key *key, uint8_t *out)
{
    size_t len = DKIM_PUBLIC_MAX;
    if (key->algorithm == DKIM_ED25519_SHA256) {
        ASSERT(EVP_PKEY_get_raw_public_key(key->key, out, &len) == 1);
        return len;
    }
    const int der_len = i2d_PUBKEY(key->key, NULL);
    ASSERT(der_len > 0 && der_len <= DKIM_PUBLIC_MAX);
    return (size_t)i2d_PUBKEY(key->key, &out);
}

/* ---- signing ------------------------------------------------------------------------------------
 */

static bool prepare_rsa(struct prepared *prepared)
{
    prepared->rsa = EVP_PKEY_CTX_new(prepared->key, NULL);
    return prepared->rsa != NULL && EVP_PKEY_sign_init(prepared->rsa) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(prepared->rsa, RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(prepared->rsa, EVP_sha256()) == 1;
}

static struct prepared *prepare(struct dkim_key *key, uint32_t slot)
{
    struct prepared *prepared = base_alloc(sizeof(*prepared));
    prepared->key = EVP_PKEY_dup(key->key);
    bool good = prepared->key != NULL;
    if (good && key->algorithm == DKIM_RSA_SHA256) {
        good = prepare_rsa(prepared);
    } else if (good) {
        prepared->ed25519 = EVP_MD_CTX_new();
        good = prepared->ed25519 != NULL;
    }
    if (!good) {
        prepared_free(prepared);
        return NULL;
    }
    return key->prepared[slot] = prepared;
}

/* RFC 6376 section 3.3.1: PKCS #1 v1.5 over the hash. RFC 8463 section 3: Ed25519 over the octets
 * of the hash, as if they were the message. */
bool dkim_key_sign(struct dkim_key *key, uint32_t slot, const uint8_t hash[DIGEST_SHA256_LEN],
                   uint8_t *out)
{
    ASSERT(slot < WORKERS_MAX);
    struct prepared *prepared = key->prepared[slot];
    size_t len = DKIM_SIGNATURE_MAX;
    if (prepared == NULL) prepared = prepare(key, slot);
    bool good = prepared != NULL;
    if (good && key->algorithm == DKIM_RSA_SHA256) {
        good = EVP_PKEY_sign(prepared->rsa, out, &len, hash, DIGEST_SHA256_LEN) == 1;
    } else if (good) {
        good = EVP_DigestSignInit(prepared->ed25519, NULL, NULL, NULL, prepared->key) == 1 &&
               EVP_DigestSign(prepared->ed25519, out, &len, hash, DIGEST_SHA256_LEN) == 1;
    }
    if (!good) ERR_clear_error();
    return good && len == dkim_key_signature_len(key);
}
