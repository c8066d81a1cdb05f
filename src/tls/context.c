/* SPDX-License-Identifier: Apache-2.0
 *
 * context - the rules that servers and clients share
 */
#include "internal.h"
#include <openssl/err.h>

/* What is not for us at all: see the contract. */
static const uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
/* Buffers of a connection are given back while it is idle: most are. Our output never blocks, so a
 * write is whole or has failed. */
static const long modes = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN;

/* The shorter key first, as most have it: SHA-256 in place of SHA-384 alone takes a tenth off a
 * handshake. */
static const char default_ciphersuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static bool set_up(SSL_CTX *context, const struct tls_settings *settings, const char **option)
{
    const int lowest = settings->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    const char *groups = settings->groups != NULL ? settings->groups : "X25519:P-256:P-384";
    SSL_CTX_set_options(context, options);
    SSL_CTX_set_mode(context, modes);
    *option = "min_version";
    if (SSL_CTX_set_min_proto_version(context, lowest) != 1) return false;
    if (SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1) return false;
    *option = "ciphers";
    if (SSL_CTX_set_cipher_list(context, settings->ciphers) != 1) return false;
    *option = "ciphersuites";
    const char *suites =
        settings->ciphersuites != NULL ? settings->ciphersuites : default_ciphersuites;
    if (SSL_CTX_set_ciphersuites(context, suites) != 1) return false;
    *option = "groups";
    return SSL_CTX_set1_groups_list(context, TLS_UNCONST(groups)) == 1;
}

SSL_CTX *tls_context_create(const SSL_METHOD *method, const struct tls_settings *settings,
                            const char **option, char *why, size_t why_size)
{
    struct text out;
    text_init(&out, why, why_size);
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(method);
    if (context != NULL && set_up(context, settings, option)) return context;
    tls_explain(&out);
    SSL_CTX_free(context);
    return NULL;
}
