/* SPDX-License-Identifier: Apache-2.0
 *
 * tickets - the keys that session tickets are sealed with (RFC 5077 section 4, RFC 8446 4.6.1)
 *
 * A chain of secrets, one for each epoch in which there was a handshake: the next one is a hash of
 * the last one, so what is gone stays gone. From a secret come the three parts of a key.
 *
 *      generation     g - 1      g        g + 1
 *      slot           stale   previous   current      (number of the generation modulo three)
 *
 * Whoever meets a new epoch first writes the stale slot and then publishes its number; all others
 * go on with what they see, so nobody waits. Readers of the current and the previous slot are safe
 * until two more epochs have passed, which takes longer than any handshake.
 */
#include "internal.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum { SLOTS = 3, IV_LEN = 16 /* a block of AES */ };

struct tls_tickets {
    struct tls_ticket_key slots[SLOTS];
    _Atomic uint32_t generation; /* of the current key */
    atomic_flag busy;            /* somebody makes the next one, and owns the secret */
    EVP_CIPHER *cipher;          /* fetched once: to look for it takes longer than to use it */
    uint8_t secret[SHA256_DIGEST_LENGTH];
};

static uint64_t epoch_of(wall_ms now)
{
    return now > 0 ? (uint64_t)now / TLS_TICKETS_EPOCH_MS : 0;
}

/* SHA-512 over a secret of full length and a label is a pseudo-random function of the label. */
static void derive(const uint8_t *secret, const char label[4], uint8_t out[SHA512_DIGEST_LENGTH])
{
    uint8_t text[SHA256_DIGEST_LENGTH + 4];
    memcpy(text, secret, SHA256_DIGEST_LENGTH);
    memcpy(text + SHA256_DIGEST_LENGTH, label, 4);
    SHA512(text, sizeof(text), out);
    OPENSSL_cleanse(text, sizeof(text));
}

static void fill(struct tls_ticket_key *key, const uint8_t *secret, uint64_t epoch)
{
    uint8_t octets[SHA512_DIGEST_LENGTH];
    static_assert(2 * TLS_TICKET_KEY_LEN <= SHA512_DIGEST_LENGTH, "two keys of one hash");
    key->epoch = epoch;
    derive(secret, "name", octets);
    memcpy(key->name, octets, sizeof(key->name));
    derive(secret, "keys", octets);
    memcpy(key->cipher, octets, sizeof(key->cipher));
    memcpy(key->mac, octets + TLS_TICKET_KEY_LEN, sizeof(key->mac));
    OPENSSL_cleanse(octets, sizeof(octets));
}

struct tls_tickets *tls_tickets_create(const uint8_t seed[TLS_TICKETS_SEED_LEN], wall_ms now)
{
    struct tls_tickets *tickets = base_alloc(sizeof(*tickets));
    SHA256(seed, TLS_TICKETS_SEED_LEN, tickets->secret);
    fill(&tickets->slots[0], tickets->secret, epoch_of(now));
    atomic_flag_clear(&tickets->busy);
    tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return tickets;
}

void tls_tickets_free(struct tls_tickets **tickets)
{
    if (*tickets == NULL) return;
    EVP_CIPHER_free((*tickets)->cipher);
    OPENSSL_cleanse(*tickets, sizeof(**tickets));
    base_free(*tickets);
    *tickets = NULL;
}

static struct tls_ticket_key *slot(struct tls_tickets *tickets, uint32_t generation)
{
    return &tickets->slots[generation % SLOTS];
}

/* To the epoch of now; a clock that goes back changes nothing. Returns the current generation. */
static uint32_t advance(struct tls_tickets *tickets, uint64_t epoch)
{
    uint32_t generation = atomic_load_explicit(&tickets->generation, memory_order_acquire);
    if (LIKELY(slot(tickets, generation)->epoch >= epoch)) return generation;
    if (atomic_flag_test_and_set_explicit(&tickets->busy, memory_order_acquire)) return generation;
    generation = atomic_load_explicit(&tickets->generation, memory_order_relaxed);
    if (slot(tickets, generation)->epoch < epoch) {
        uint8_t next[SHA512_DIGEST_LENGTH];
        derive(tickets->secret, "next", next);
        memcpy(tickets->secret, next, sizeof(tickets->secret));
        OPENSSL_cleanse(next, sizeof(next));
        generation += 1;
        fill(slot(tickets, generation), tickets->secret, epoch);
        atomic_store_explicit(&tickets->generation, generation, memory_order_release);
    }
    atomic_flag_clear_explicit(&tickets->busy, memory_order_release);
    return generation;
}

const struct tls_ticket_key *tls_tickets_current(struct tls_tickets *tickets, wall_ms now)
{
    return slot(tickets, advance(tickets, epoch_of(now)));
}

const struct tls_ticket_key *tls_tickets_find(struct tls_tickets *tickets, const uint8_t *name,
                                              wall_ms now)
{
    const uint32_t generation = advance(tickets, epoch_of(now));
    const struct tls_ticket_key *current = slot(tickets, generation);
    if (memcmp(current->name, name, TLS_TICKET_NAME_LEN) == 0) return current;
    if (generation == 0) return NULL;
    const struct tls_ticket_key *previous = slot(tickets, generation - 1);
    if (previous->epoch + 1 < current->epoch) return NULL; /* nobody came for a while */
    return memcmp(previous->name, name, TLS_TICKET_NAME_LEN) == 0 ? previous : NULL;
}

/* Nobody may foresee it, but it is no secret: so many are drawn at once, for each draw costs
 * OpenSSL a system call. */
static bool make_iv(unsigned char iv[IV_LEN])
{
    static _Thread_local uint8_t drawn[32 * IV_LEN];
    static _Thread_local size_t left;
    if (left == 0) {
        if (RAND_bytes(drawn, sizeof(drawn)) != 1) return false;
        left = sizeof(drawn);
    }
    left -= IV_LEN;
    memcpy(iv, drawn + left, IV_LEN);
    return true;
}

/* Returns what OpenSSL wants: -1 failure, 0 no such key (a full handshake), 1 use it, 2 use it and
 * give out a new ticket. */
int tls_tickets_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int encrypt)
{
    struct tls *tls = SSL_get_app_data(ssl);
    struct tls_tickets *tickets = tls->server->tickets;
    const struct tls_ticket_key *current = tls_tickets_current(tickets, tls->now), *key = current;
    if (encrypt) {
        memcpy(name, key->name, sizeof(key->name));
        if (!make_iv(iv)) return -1;
    } else {
        key = tls_tickets_find(tickets, name, tls->now);
        if (key == NULL) return 0;
    }
    if (EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key->cipher, iv, encrypt) != 1) return -1;
    uint8_t mac_key[TLS_TICKET_KEY_LEN];
    char digest[] = "SHA256";
    memcpy(mac_key, key->mac, sizeof(mac_key));
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, sizeof(mac_key)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const int set = EVP_MAC_CTX_set_params(mac, parameters);
    OPENSSL_cleanse(mac_key, sizeof(mac_key));
    if (set != 1) return -1;
    return encrypt || key == current ? 1 : 2;
}
