/* SPDX-License-Identifier: Apache-2.0
 *
 * tls - Transport Layer Security without a socket (a seam; RFC 8446, RFC 5246, RFC 3207)
 *
 * Job     turns plaintext into ciphertext and back, in memory. stream carries the ciphertext; the
 *         simulator links another implementation of this header. Only this folder (and dkim) knows
 *         OpenSSL.
 * Drive   tls_feed() what has arrived, then tls_handshake() until it is done, then tls_read() until
 *         it gives nothing; tls_write() what is to be said; send what tls_output() shows. Nothing
 *         waits, calls back or reads a clock: the time is an argument where it matters.
 * Owner   struct tls_server and struct tls_client are immutable and shared by all threads; each
 *         connection holds on to its own, so the maker may free it while connections live on. A
 *         struct tls belongs to one core. struct tls_tickets outlives all servers made with it.
 * Errors  making a server or client: NULL, and why in words (the file's name first). A connection
 *         that fails is in TLS_FAILED for ever and tls_error() says why; an alert for the peer may
 *         then wait in tls_output(). Nothing is decrypted or encrypted after a failure.
 * Sizes   an idle connection keeps no buffer (about 15 KB of state; a client that saw a
 *         chain of certificates about 35); while a record is incomplete
 *         17 KB more, and the output not yet sent.
 *
 * Fixed: TLS 1.1 and older, renegotiation, compression, early data and the session-id cache do not
 * exist here. ALPN is ignored.
 */
#pragma once
#include "ringpost/base.h"

enum tls_version {
    TLS_VERSION_DEFAULT = 0, /* 1.2 */
    TLS_VERSION_1_2,
    TLS_VERSION_1_3,
};

/* ---- tickets: the keys of session resumption (RFC 8446 section 4.6.1, RFC 5077) ---------------
 *
 * One set of keys for all workers, and across reloads. A key serves for an hour, and is accepted
 * for one hour more; the next one is derived from it one way, so a key that is gone cannot be
 * computed again. Workers read and advance it without waiting for each other. */

struct tls_tickets;
enum { TLS_TICKETS_SEED_LEN = 32, TLS_TICKETS_EPOCH_MS = 60 * 60 * 1000 };
struct tls_tickets *tls_tickets_create(const uint8_t seed[TLS_TICKETS_SEED_LEN], wall_ms now);
void tls_tickets_free(struct tls_tickets **tickets);

/* ---- server side ----------------------------------------------------------------------------- */

struct tls_certificate {
    const char *certificate; /* PEM file: the certificate, then its chain */
    const char *key;         /* PEM file, not encrypted; NULL: it is in the same file */
};
struct tls_server_options {
    /* The client's SNI name chooses among them by their DNS names ("*" stands for one leftmost
     * label, RFC 6125 section 6.4.3); the first one serves all others. Two with the same first name
     * and different kinds of key (RSA, ECDSA) stand in for each other by what the client can. */
    const struct tls_certificate *certificates;
    size_t certificate_count; /* at least 1 */
    enum tls_version min_version;
    const char *ciphers;         /* of TLS 1.2, in OpenSSL's words; NULL: ECDHE with AEAD */
    const char *ciphersuites;    /* of TLS 1.3; NULL: AES-128-GCM, AES-256-GCM, ChaCha20 */
    const char *groups;          /* "X25519:P-256"; NULL: X25519, P-256, P-384 */
    struct tls_tickets *tickets; /* NULL: no resumption */
    /* PEM bundle: clients are asked for a certificate of these authorities. Who has none, or one
     * that is no good, is let in all the same; tls_info tells. NULL: they are not asked. */
    const char *client_trust;
};
struct tls_server;
/* Reads the files: for start and reload, not for a worker's turn. NULL: why, and with which option:
 * "certificate", "client_trust", "ciphers", "ciphersuites", "groups". */
struct tls_server *tls_server_create(const struct tls_server_options *options, const char **option,
                                     char *why, size_t why_size);
void tls_server_free(struct tls_server **server);
/* One more owner, who frees it as well; from any thread. */
struct tls_server *tls_server_share(struct tls_server *server);

struct tls_certificate_info {
    const char *path; /* of the certificate */
    const char *name; /* its first DNS name, else its common name: fit for logs */
    const char *key;  /* "RSA 2048", "EC 256", ... */
    wall_ms starts, expires;
};
size_t tls_server_certificates(const struct tls_server *server);
/* Lives as long as the server. */
const struct tls_certificate_info *tls_server_certificate(const struct tls_server *server,
                                                          size_t index);

/* ---- client side ----------------------------------------------------------------------------- */

struct tls_client_options {
    const char *trust_file;   /* PEM bundle; NULL and no folder: the system's */
    const char *trust_folder; /* hashed names (openssl rehash), read when first needed; or NULL */
    const char *certificate;  /* our own for peers that ask, or NULL */
    const char *key;          /* NULL: in the same file */
    enum tls_version min_version;
    const char *ciphers, *ciphersuites, *groups; /* as above; NULL: also older ciphers of TLS 1.2,
                                                    since the alternative is often clear text */
};
struct tls_client;
struct tls_client *tls_client_create(const struct tls_client_options *options, char *why,
                                     size_t why_size);
void tls_client_free(struct tls_client **client);
/* Our own certificate, or NULL. */
const struct tls_certificate_info *tls_client_certificate(const struct tls_client *client);

/* What a server gave us for next time. Opaque; one object serves any number of connections. */
struct tls_session;
void tls_session_free(struct tls_session **session);

struct tls_connect_options {
    const char *sni; /* host name sent to the server (RFC 6066); NULL or an address: none is sent */
    /* Names one of which the certificate must carry (RFC 6125), or addresses in text. Checked in
     * any case, so that tls_info can tell; copied. */
    const char *const *names;
    size_t name_count;
    bool verify; /* fail unless the chain leads to the trust store and a name matches */
    const struct tls_session
        *session; /* to resume; may be NULL; of the same host, client and verify */
    wall_ms now;  /* for the certificates' validity */
};

/* ---- one connection ---------------------------------------------------------------------------
 */

enum tls_status {
    TLS_HANDSHAKE = 0, /* not yet open */
    TLS_OPEN,
    TLS_CLOSED, /* the peer has said close_notify: no more plaintext; we may still write */
    TLS_FAILED, /* see tls_error() */
};
struct tls;
/* Never NULL. */
struct tls *tls_accept(struct tls_server *server, wall_ms now);
struct tls *tls_connect(struct tls_client *client, const struct tls_connect_options *options);
void tls_free(struct tls **tls); /* silently: see tls_close() */

enum tls_status tls_status(const struct tls *tls);
/* Why it failed, in words fit for logs ("certificate verify failed: certificate has expired"); ""
 * while it has not. */
const char *tls_error(const struct tls *tls);

/* Ciphertext that has arrived. It stays put until tls_handshake() says TLS_HANDSHAKE or tls_read()
 * gives 0: then all of it has been taken. Ignored when closed or failed. */
void tls_feed(struct tls *tls, struct bytes ciphertext);
/* Goes on with the handshake as far as the octets allow; a client begins by it. */
enum tls_status tls_handshake(struct tls *tls);
/* Decrypted octets, as many as fit. 0: no more until more is fed, or the end: see tls_status(). */
size_t tls_read(struct tls *tls, char *plain, size_t size);
/* Encrypts up to max octets from the front of the pieces, in records as large as possible. Returns
 * how many; less than there are only for max, or when not open (or failed: see tls_status()). */
size_t tls_write(struct tls *tls, const struct bytes *pieces, size_t count, size_t max);
/* close_notify: nothing can be written any more. Only the first call counts. */
void tls_close(struct tls *tls);

/* Ciphertext to be sent, up to max pieces from the front; they stay until reported as sent. */
size_t tls_output(const struct tls *tls, struct bytes *pieces, size_t max);
size_t tls_output_len(const struct tls *tls); /* octets in all */
void tls_output_sent(struct tls *tls, size_t len);

/* Valid once open; texts live as long as the connection and are fit for logs and header fields
 * (printable ASCII without space, quotes, parentheses and backslashes; "" when there is none). */
struct tls_info {
    const char *version;   /* "TLSv1.3" */
    const char *cipher;    /* "TLS_AES_128_GCM_SHA256" */
    const char *sni;       /* name asked for (server), sent (client) */
    const char *peer_name; /* first DNS name of the peer's certificate, else its common name */
    bool verified;         /* chain and name are good (of a client: its chain) */
    const char *reason;    /* why not verified: "self-signed certificate" (words, with spaces) */
    bool resumed;
};
void tls_get_info(struct tls *tls, struct tls_info *info);

/* The newest session the server gave us since the last call; NULL: none. With TLS 1.3 it comes with
 * the first octets read. The caller's to free. */
struct tls_session *tls_session_take(struct tls *tls);
