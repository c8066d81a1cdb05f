/* SPDX-License-Identifier: Apache-2.0
 *
 * ours - what is measured of Ringpost, in words that C++ understands
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { OURS_STREAMS_MAX = 32 };

void ours_sha256(const char *data, size_t size, uint8_t out[32]);
/* count pieces of that size, one after the other in memory, hashed side by side. */
void ours_sha256_many(const char *data, size_t size, size_t count, uint8_t out[32]);
/* The same of bodies in relaxed form (RFC 6376 section 3.4.4). */
void ours_body_many(const char *data, size_t size, size_t count, uint8_t out[32]);
/* All there is to sign a newsletter but the hash of its body: its header read, the signature
 * chosen, written, made. False: it cannot be signed. */
struct ours_signer *ours_signer_create(bool rsa); /* else Ed25519 */
bool ours_sign(struct ours_signer *ours, char *out, size_t size);

/* A listener's TLS with tickets, of PEM files; ends the program if it cannot be made. */
struct tls_server *ours_server(const char *certificate, const char *key);
struct tls *ours_accept(struct tls_server *server);
/* Gives it all that came; what it answers is in out, *used octets. True: the handshake is done. */
bool ours_handshake(struct tls *tls, const char *in, size_t len, char *out, size_t size,
                    size_t *used);
/* Reads all that came, says an answer, of which the octets on the wire are given as above. */
void ours_exchange(struct tls *tls, const char *in, size_t len, const char *answer, size_t size,
                   char *out, size_t out_size, size_t *used);
void ours_tls_free(struct tls *tls);

#ifdef __cplusplus
}
#endif
