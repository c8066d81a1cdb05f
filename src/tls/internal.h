/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of tls share
 */
#pragma once
#include "ringpost/buf.h"
#include "ringpost/tls.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

/* OpenSSL's macros and counters take what they do not change without const. */
#define TLS_UNCONST(pointer) ((void *)(uintptr_t)(pointer))

/* ---- what servers and clients have in common (context.c, certificate.c, words.c) --------------
 */

struct tls_settings {
    enum tls_version min_version;
    const char *ciphers, *ciphersuites, *groups;
};
/* A context with our rules; NULL: why, and by which option. */
SSL_CTX *tls_context_create(const SSL_METHOD *method, const struct tls_settings *settings,
                            const char **option, char *why, size_t why_size);

/* A certificate as read for choosing and telling; owned texts. */
struct tls_identity {
    struct tls_certificate_info info;
    char *path, *name, *key;
    char **names; /* DNS names, lower case */
    size_t name_count;
    int key_type; /* EVP_PKEY_RSA, ... */
};
bool tls_identity_read(struct tls_identity *identity, const char *path, char *why, size_t why_size);
void tls_identity_deinit(struct tls_identity *identity);
/* Certificate, chain and key into the context. */
bool tls_identity_use(SSL_CTX *context, const struct tls_certificate *certificate, char *why,
                      size_t why_size);
/* The certificate's first DNS name, else its common name; to be freed. "" when it has none. */
char *tls_certificate_name(X509 *certificate);
/* Copies text from outside; what is not fit for logs and header fields becomes '?'. */
char *tls_clean_copy(const char *text, size_t len);

/* What OpenSSL has to say of the last failure on this thread; its queue is empty then. */
void tls_explain(struct text *out);

/* ---- tickets (tickets.c) ----------------------------------------------------------------------
 */

enum { TLS_TICKET_NAME_LEN = 16, TLS_TICKET_KEY_LEN = 32 };
struct tls_ticket_key {
    uint64_t epoch;
    uint8_t name[TLS_TICKET_NAME_LEN];
    uint8_t cipher[TLS_TICKET_KEY_LEN], mac[TLS_TICKET_KEY_LEN];
};
/* The key for new tickets. */
const struct tls_ticket_key *tls_tickets_current(struct tls_tickets *tickets, wall_ms now);
/* The key of that name, if it may still be used; NULL if not. */
const struct tls_ticket_key *tls_tickets_find(struct tls_tickets *tickets, const uint8_t *name,
                                              wall_ms now);
/* OpenSSL's callback. */
int tls_tickets_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int encrypt);

/* ---- server, client, connection ---------------------------------------------------------------
 */

struct tls_server {
    _Atomic uint32_t users; /* the maker and every connection */
    struct tls_tickets *tickets;
    struct table by_name; /* struct tls_server_name */
    SSL_CTX *context;     /* of the first certificate: connections begin with it */
    SSL_CTX **contexts;   /* all */
    size_t context_count;
    struct tls_identity *identities;
    size_t identity_count;
    bool asks; /* for the client's certificate */
};
struct tls_server_name {
    const char *name; /* an identity's */
    SSL_CTX *context;
};
void tls_server_release(struct tls_server *server);

struct tls_client {
    _Atomic uint32_t users;
    SSL_CTX *context;
    struct tls_identity identity;
    bool has_identity;
};
void tls_client_release(struct tls_client *client);

struct tls {
    SSL *ssl;
    struct bytes input;      /* fed, not yet taken */
    struct buf_chain output; /* ciphertext to be sent */
    struct tls_server *server;
    struct tls_client *client;
    const SSL_SESSION *session_known; /* to the user: given in, or given out */
    wall_ms now;                      /* at its beginning */
    uint8_t status;                   /* enum tls_status */
    bool verify, closing;
    char *sni, *peer_name;
    struct tls_info info; /* once asked for; version NULL: not yet */
    char *names;          /* that the peer's certificate must carry, each ended by NUL */
    size_t names_len;
    char error[120];
};
/* Octets that may wait in the output: far above what one send takes; a peer that makes us answer
 * and does not read ends there. */
enum { TLS_OUTPUT_MAX = 1024 * 1024 };
BIO *tls_bio_create(struct tls *tls);
