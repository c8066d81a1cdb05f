/* SPDX-License-Identifier: Apache-2.0
 *
 * tool_tls - TLS of the bench programs: OpenSSL between octets received and octets to send
 */
#include "tool_tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_SIZE 16384u /* plaintext of one record at most */

struct tool_tls_context {
    struct tool_tls_options options;
    struct tool_tls_stats stats;
    SSL_CTX *openssl;
    BIO_METHOD *method;
    SSL_SESSION *session; /* a client's latest ticket, offered by each new connection */
};

struct tool_tls {
    struct tool_tls_context *context;
    SSL *ssl;
    const char *in;
    size_t in_left;
    char *out;
    size_t out_used;
    size_t out_size;
};

static _Noreturn void die(const char *what)
{
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    tool_die("TLS: %s: %s", what, text);
}

/* ---- a BIO over struct tool_tls ------------------------------------------------------------- */

static int bio_read(BIO *bio, char *out, int size)
{
    struct tool_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->in_left == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const size_t take = (size_t)size < tls->in_left ? (size_t)size : tls->in_left;
    memcpy(out, tls->in, take);
    tls->in += take;
    tls->in_left -= take;
    return (int)take;
}

static int bio_write(BIO *bio, const char *data, int length)
{
    struct tool_tls *tls = BIO_get_data(bio);
    const size_t end = tls->out_used + (size_t)length;
    if (end > tls->out_size) {
        tls->out_size = end * 2 + 1024;
        tls->out = tool_grow(tls->out, tls->out_size);
    }
    memcpy(tls->out + tls->out_used, data, (size_t)length);
    tls->out_used = end;
    return length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method_open(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bench");
    if (method == NULL || !BIO_meth_set_read(method, bio_read) ||
        !BIO_meth_set_write(method, bio_write) || !BIO_meth_set_ctrl(method, bio_control)) {
        die("BIO");
    }
    return method;
}

/* ---- the program's context ------------------------------------------------------------------ */

int tool_tls_version(const char *option, const char *text)
{
    if (strcmp(text, "1.2") == 0) return TLS1_2_VERSION;
    if (strcmp(text, "1.3") == 0) return TLS1_3_VERSION;
    tool_die("%s %s: 1.2 or 1.3", option, text);
}

/* P-256, signed by itself, good for a day. */
static void certificate_make(SSL_CTX *openssl, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    if (key == NULL || certificate == NULL) die("certificate");
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    if (!X509_sign(certificate, key, EVP_sha256()) ||
        SSL_CTX_use_certificate(openssl, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(openssl, key) != 1) {
        die("certificate");
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void server_init(struct tool_tls_context *context)
{
    const struct tool_tls_options *options = &context->options;
    SSL_CTX_set_session_cache_mode(context->openssl, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_num_tickets(context->openssl, options->no_reuse ? 0 : 1);
    if (options->no_reuse) SSL_CTX_set_options(context->openssl, SSL_OP_NO_TICKET);
    if (options->certificate == NULL) {
        certificate_make(context->openssl, options->name);
        return;
    }
    if (SSL_CTX_use_certificate_chain_file(context->openssl, options->certificate) != 1) {
        die(options->certificate);
    }
    const char *key = options->key != NULL ? options->key : options->certificate;
    if (SSL_CTX_use_PrivateKey_file(context->openssl, key, SSL_FILETYPE_PEM) != 1) die(key);
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tool_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    /* Of several connections that resumed one session, the first new ticket makes it unusable, and
     * with it the tickets of the others. */
    if (!SSL_SESSION_is_resumable(session)) return 0;
    SSL_SESSION_free(context->session);
    context->session = session;
    return 1; /* the reference is ours now */
}

static void client_init(struct tool_tls_context *context)
{
    SSL_CTX_set_verify(context->openssl, SSL_VERIFY_NONE, NULL);
    if (context->options.no_reuse) {
        SSL_CTX_set_session_cache_mode(context->openssl, SSL_SESS_CACHE_OFF);
        return;
    }
    SSL_CTX_set_session_cache_mode(context->openssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->openssl, on_new_session);
}

struct tool_tls_context *tool_tls_context_open(const struct tool_tls_options *options)
{
    struct tool_tls_context *context = tool_alloc(sizeof *context);
    context->options = *options;
    context->openssl = SSL_CTX_new(options->is_server ? TLS_server_method() : TLS_client_method());
    if (context->openssl == NULL) die("context");
    context->method = method_open();
    SSL_CTX_set_app_data(context->openssl, context);
    SSL_CTX_set_min_proto_version(context->openssl,
                                  options->version != 0 ? options->version : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context->openssl, options->version);
    if (options->is_server) {
        server_init(context);
    } else {
        client_init(context);
    }
    return context;
}

const struct tool_tls_stats *tool_tls_stats(const struct tool_tls_context *context)
{
    return &context->stats;
}

void tool_tls_json(FILE *out, const struct tool_tls_context *context)
{
    const struct tool_tls_stats *stats = &context->stats;
    fprintf(out,
            "\"tls\": {\"handshakes\": %llu, \"resumed\": %llu, \"failed\": %llu, "
            "\"version\": \"%s\", \"cipher\": \"%s\"}",
            (unsigned long long)stats->handshakes, (unsigned long long)stats->resumed,
            (unsigned long long)stats->failed, stats->version != NULL ? stats->version : "",
            stats->cipher != NULL ? stats->cipher : "");
}

/* ---- a connection --------------------------------------------------------------------------- */

struct tool_tls *tool_tls_open(struct tool_tls_context *context)
{
    struct tool_tls *tls = tool_alloc(sizeof *tls);
    BIO *bio = BIO_new(context->method);
    tls->context = context;
    tls->ssl = SSL_new(context->openssl);
    if (bio == NULL || tls->ssl == NULL) die("connection");
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    if (context->options.is_server) {
        SSL_set_accept_state(tls->ssl);
        return tls;
    }
    SSL_set_connect_state(tls->ssl);
    /* OpenSSL copies it, and does not say const */
    const uintptr_t name = (uintptr_t)context->options.name;
    if (name != 0) SSL_set_tlsext_host_name(tls->ssl, (char *)name);
    if (context->session != NULL) SSL_set_session(tls->ssl, context->session);
    return tls;
}

void tool_tls_close(struct tool_tls *tls)
{
    if (tls == NULL) return;
    /* else OpenSSL takes the end for a break, and what was resumable no longer is */
    SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    free(tls->out);
    free(tls);
}

void tool_tls_feed(struct tool_tls *tls, const char *data, size_t length)
{
    tls->in = data;
    tls->in_left = length;
}

enum tool_tls_step tool_tls_handshake(struct tool_tls *tls)
{
    struct tool_tls_stats *stats = &tls->context->stats;
    ERR_clear_error();
    const int result = SSL_do_handshake(tls->ssl);
    if (result != 1) {
        if (SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ) return TOOL_TLS_MORE;
        stats->failed += 1;
        return TOOL_TLS_FAILED;
    }
    stats->handshakes += 1;
    stats->resumed += SSL_session_reused(tls->ssl) != 0;
    stats->version = SSL_get_version(tls->ssl);
    stats->cipher = SSL_get_cipher_name(tls->ssl);
    return TOOL_TLS_DONE;
}

bool tool_tls_is_secure(const struct tool_tls *tls)
{
    return SSL_is_init_finished(tls->ssl);
}

ssize_t tool_tls_read(struct tool_tls *tls, char *out, size_t size)
{
    size_t got = 0;
    ERR_clear_error();
    if (SSL_read_ex(tls->ssl, out, size, &got) == 1) return (ssize_t)got;
    return SSL_get_error(tls->ssl, 0) == SSL_ERROR_WANT_READ ? 0 : -1;
}

void tool_tls_write(struct tool_tls *tls, const char *data, size_t length)
{
    while (length > 0) {
        const size_t part = length < RECORD_SIZE ? length : RECORD_SIZE;
        size_t put = 0;
        /* Our BIO takes all; this fails only after a fatal alert, which reading reports. */
        if (SSL_write_ex(tls->ssl, data, part, &put) != 1) return;
        data += put;
        length -= put;
    }
}

void tool_tls_notify(struct tool_tls *tls)
{
    if (tool_tls_is_secure(tls)) SSL_shutdown(tls->ssl);
}

bool tool_tls_take(struct tool_tls *tls, char **data, size_t *size, size_t *used)
{
    if (tls->out_used == 0) return false;
    char *swap = *data;
    const size_t swap_size = *size;
    *data = tls->out;
    *size = tls->out_size;
    *used = tls->out_used;
    tls->out = swap;
    tls->out_size = swap_size;
    tls->out_used = 0;
    return true;
}
