/* SPDX-License-Identifier: Apache-2.0
 *
 * client - the trust store, our own certificate, sessions to resume
 */
#include "internal.h"
#include <openssl/err.h>
#include <openssl/x509.h>

/* Old ciphers too: where TLS is optional the alternative is clear text. */
static const char default_ciphers[] = "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:"
                                      "ECDHE+AES:DHE+AES:AESGCM:AES:!aNULL:!eNULL:!DSS:!PSK";

/* Bundles of well-known systems. Read whole at start, where OpenSSL's default would look into a
 * folder of files in the middle of a handshake. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

static bool trust_system(SSL_CTX *context)
{
    for (size_t i = 0; i < ARRAY_COUNT(bundles); i++) {
        if (SSL_CTX_load_verify_file(context, bundles[i]) == 1) return true;
    }
    ERR_clear_error();
    return SSL_CTX_set_default_verify_paths(context) == 1;
}

static bool set_trust(SSL_CTX *context, const struct tls_client_options *options, char *why,
                      size_t why_size)
{
    const char *file = options->trust_file, *folder = options->trust_folder;
    struct text out;
    text_init(&out, why, why_size);
    if (file != NULL && SSL_CTX_load_verify_file(context, file) != 1) {
        text_printf(&out, "%s: no trusted certificates: ", file);
    } else if (folder != NULL && SSL_CTX_load_verify_dir(context, folder) != 1) {
        text_printf(&out, "%s: no folder of trusted certificates: ", folder);
    } else if (file == NULL && folder == NULL && !trust_system(context)) {
        text_put(&out, BYTES("the system's trusted certificates: "));
    } else {
        /* What the operator put there is trusted, also where the issuer is not. */
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
        return true;
    }
    tls_explain(&out);
    return false;
}

static bool set_certificate(struct tls_client *client, const struct tls_client_options *options,
                            char *why, size_t why_size)
{
    const struct tls_certificate certificate = {options->certificate, options->key};
    if (options->certificate == NULL) return true;
    client->has_identity = true;
    return tls_identity_read(&client->identity, options->certificate, why, why_size) &&
           tls_identity_use(client->context, &certificate, why, why_size);
}

static SSL_CTX *create_context(const struct tls_settings *settings, char *why, size_t why_size)
{
    char words[256];
    const char *option;
    struct text out;
    SSL_CTX *context =
        tls_context_create(TLS_client_method(), settings, &option, words, sizeof(words));
    if (context != NULL) return context;
    text_init(&out, why, why_size);
    text_printf(&out, "TLS %s: %s", option, words);
    return NULL;
}

struct tls_client *tls_client_create(const struct tls_client_options *options, char *why,
                                     size_t why_size)
{
    const struct tls_settings settings = {
        .min_version = options->min_version,
        .ciphers = options->ciphers != NULL ? options->ciphers : default_ciphers,
        .ciphersuites = options->ciphersuites,
        .groups = options->groups,
    };
    struct tls_client *client = base_alloc(sizeof(*client));
    atomic_init(&client->users, 1);
    client->context = create_context(&settings, why, why_size);
    if (client->context == NULL || !set_trust(client->context, options, why, why_size) ||
        !set_certificate(client, options, why, why_size)) {
        tls_client_free(&client);
        return NULL;
    }
    /* With its cache on, OpenSSL lets a session be resumed once; ours are used by all connections
     * to a host. */
    SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_OFF);
    return client;
}

void tls_client_release(struct tls_client *client)
{
    if (atomic_fetch_sub_explicit(&client->users, 1, memory_order_acq_rel) > 1) return;
    SSL_CTX_free(client->context);
    tls_identity_deinit(&client->identity);
    base_free(client);
}

void tls_client_free(struct tls_client **client)
{
    if (*client == NULL) return;
    tls_client_release(*client);
    *client = NULL;
}

const struct tls_certificate_info *tls_client_certificate(const struct tls_client *client)
{
    return client->has_identity ? &client->identity.info : NULL;
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

/* A tls_session is OpenSSL's object under another name. A new one takes the place of the old one in
 * the connection when its ticket arrives. */
struct tls_session *tls_session_take(struct tls *tls)
{
    SSL_SESSION *session = tls->status == TLS_FAILED ? NULL : SSL_get0_session(tls->ssl);
    if (session == NULL || session == tls->session_known || !SSL_SESSION_is_resumable(session))
        return NULL;
    tls->session_known = session;
    SSL_SESSION_up_ref(session);
    return (struct tls_session *)session;
}

void tls_session_free(struct tls_session **session)
{
    SSL_SESSION_free((SSL_SESSION *)*session);
    *session = NULL;
}
