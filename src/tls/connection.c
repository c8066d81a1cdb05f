/* SPDX-License-Identifier: Apache-2.0
 *
 * connection - handshake, reading, writing and closing of one connection
 *
 * OpenSSL's queue of errors is one a thread and must be empty before each call whose result is
 * looked at.
 */
#include "internal.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { RECORD_MAX = 16384 }; /* RFC 8446 section 5.1 */

/* ---- failing ----------------------------------------------------------------------------------
 */

/* To clear the queue costs a tenth of a small record; it is empty nearly always. */
static void forget_errors(void)
{
    if (UNLIKELY(ERR_peek_error() != 0)) ERR_clear_error();
}

static void fail(struct tls *tls)
{
    const long verdict = tls->ssl != NULL ? SSL_get_verify_result(tls->ssl) : X509_V_OK;
    const bool of_certificate = ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    struct text out;
    text_init(&out, tls->error, sizeof(tls->error));
    tls_explain(&out);
    if (of_certificate && verdict != X509_V_OK)
        text_printf(&out, ": %s", X509_verify_cert_error_string(verdict));
    tls->status = TLS_FAILED;
    tls->input = (struct bytes){0};
}

static void fail_for(struct tls *tls, const char *what, const char *why)
{
    struct text out;
    text_init(&out, tls->error, sizeof(tls->error));
    text_printf(&out, "%s%s", what, why);
    tls->status = TLS_FAILED;
    tls->input = (struct bytes){0};
}

/* After a call that gave nothing: is it the end, or a lack of input? */
static void look_at_result(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        ASSERT(tls->input.len == 0);
        return;
    case SSL_ERROR_ZERO_RETURN:
        tls->status = TLS_CLOSED;
        tls->input = (struct bytes){0};
        return;
    default:
        fail(tls);
    }
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static struct tls *create(SSL_CTX *context, wall_ms now)
{
    struct tls *tls = base_alloc(sizeof(*tls));
    buf_chain_init(&tls->output);
    tls->now = now;
    forget_errors();
    tls->ssl = SSL_new(context);
    BIO *bio = tls->ssl != NULL ? tls_bio_create(tls) : NULL;
    if (bio == NULL || SSL_set_app_data(tls->ssl, tls) != 1) {
        fail(tls);
        return tls;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    return tls;
}

struct tls *tls_accept(struct tls_server *server, wall_ms now)
{
    struct tls *tls = create(server->context, now);
    atomic_fetch_add_explicit(&server->users, 1, memory_order_relaxed);
    tls->server = server;
    if (tls->status == TLS_FAILED) return tls;
    SSL_set_accept_state(tls->ssl);
    if (server->asks) X509_VERIFY_PARAM_set_time(SSL_get0_param(tls->ssl), (time_t)(now / 1000));
    return tls;
}

static bool is_address(const char *name)
{
    struct address address;
    return address_parse_ip(bytes_of(name), &address);
}

static void keep_names(struct tls *tls, const struct tls_connect_options *options)
{
    for (size_t i = 0; i < options->name_count; i++) {
        const size_t len = strlen(options->names[i]) + 1;
        tls->names = base_realloc(tls->names, tls->names_len + len);
        memcpy(tls->names + tls->names_len, options->names[i], len);
        tls->names_len += len;
    }
}

static bool set_expectations(struct tls *tls, const struct tls_connect_options *options)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(tls->ssl);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set_time(rules, (time_t)(options->now / 1000));
    for (size_t i = 0; i < options->name_count; i++) {
        const char *name = options->names[i];
        const int set = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(rules, name)
                                         : X509_VERIFY_PARAM_add1_host(rules, name, 0);
        if (set != 1) return false;
    }
    return true;
}

struct tls *tls_connect(struct tls_client *client, const struct tls_connect_options *options)
{
    struct tls *tls = create(client->context, options->now);
    atomic_fetch_add_explicit(&client->users, 1, memory_order_relaxed);
    tls->client = client;
    tls->verify = options->verify;
    if (tls->status == TLS_FAILED) return tls;
    SSL_set_connect_state(tls->ssl);
    SSL_set_verify(tls->ssl, tls->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (!tls->verify) SSL_set_security_level(tls->ssl, 1); /* anybody may read it anyway */
    keep_names(tls, options);
    if (!set_expectations(tls, options)) {
        fail(tls);
        return tls;
    }
    if (options->sni != NULL && !is_address(options->sni))
        SSL_set_tlsext_host_name(tls->ssl, TLS_UNCONST(options->sni));
    if (options->session != NULL) {
        tls->session_known = (const SSL_SESSION *)options->session;
        SSL_set_session(tls->ssl, TLS_UNCONST(options->session));
    }
    return tls;
}

void tls_free(struct tls **tls)
{
    struct tls *mine = *tls;
    *tls = NULL;
    if (mine == NULL) return;
    if (mine->ssl != NULL) {
        /* OpenSSL would take a connection without close_notify for one whose session is spoilt;
         * with SMTP's own ends there is no truncation to fear (RFC 5246 section 7.2.1). */
        if (mine->status != TLS_FAILED)
            SSL_set_shutdown(mine->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(mine->ssl); /* and its BIO */
    }
    if (mine->server != NULL) tls_server_release(mine->server);
    if (mine->client != NULL) tls_client_release(mine->client);
    buf_chain_deinit(&mine->output);
    base_free(mine->names);
    base_free(mine->sni);
    base_free(mine->peer_name);
    base_free(mine);
}

enum tls_status tls_status(const struct tls *tls)
{
    return (enum tls_status)tls->status;
}

const char *tls_error(const struct tls *tls)
{
    return tls->error;
}

/* ---- handshake --------------------------------------------------------------------------------
 */

static bool has_expected_name(const struct tls *tls)
{
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate == NULL) return false;
    for (size_t at = 0; at < tls->names_len; at += strlen(tls->names + at) + 1) {
        const char *name = tls->names + at;
        const int found =
            is_address(name)
                ? X509_check_ip_asc(certificate, name, 0)
                : X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL);
        if (found == 1) return true;
    }
    return tls->names_len == 0;
}

/* The peer's certificate is not seen again when a session is resumed: what was found then counts,
 * and the names are those of now. */
static const char *objection(const struct tls *tls)
{
    const long verdict = SSL_get_verify_result(tls->ssl);
    if (SSL_get0_peer_certificate(tls->ssl) == NULL) return "no certificate";
    if (verdict != X509_V_OK) return X509_verify_cert_error_string(verdict);
    if (tls->client != NULL && SSL_session_reused(tls->ssl) && !has_expected_name(tls))
        return X509_verify_cert_error_string(X509_V_ERR_HOSTNAME_MISMATCH);
    return NULL;
}

enum tls_status tls_handshake(struct tls *tls)
{
    if (tls->status != TLS_HANDSHAKE) return tls_status(tls);
    forget_errors();
    const int result = SSL_do_handshake(tls->ssl);
    if (result != 1) {
        look_at_result(tls, result);
        if (tls->status == TLS_CLOSED) fail_for(tls, "the peer gives the handshake up", "");
        return tls_status(tls);
    }
    tls->status = TLS_OPEN;
    if (tls->verify && objection(tls) != NULL)
        fail_for(tls, "certificate verify failed: ", objection(tls));
    return tls_status(tls);
}

/* ---- plaintext --------------------------------------------------------------------------------
 */

void tls_feed(struct tls *tls, struct bytes ciphertext)
{
    ASSERT(tls->input.len == 0); /* of the last one all was taken */
    if (tls->status == TLS_HANDSHAKE || tls->status == TLS_OPEN) tls->input = ciphertext;
}

size_t tls_read(struct tls *tls, char *plain, size_t size)
{
    size_t len = 0;
    forget_errors();
    while (tls->status == TLS_OPEN && len < size) {
        /* OpenSSL holds at most the rest of one record, and half of another: to find that out costs
         * as much as a small record. */
        if (tls->input.len == 0 && SSL_pending(tls->ssl) == 0) break;
        size_t got = 0;
        const int result = SSL_read_ex(tls->ssl, plain + len, size - len, &got);
        if (result != 1) {
            look_at_result(tls, result);
            break;
        }
        len += got;
    }
    return len;
}

struct reader { /* of pieces */
    const struct bytes *pieces;
    size_t count;
    struct bytes now; /* what is left of the one before pieces */
};

static void next_piece(struct reader *reader)
{
    while (reader->now.len == 0 && reader->count > 0) {
        reader->now = *reader->pieces++;
        reader->count -= 1;
    }
}

/* Up to max octets in one place: where they lie if that fills a record or is all there is, else
 * gathered in space. */
static struct bytes next_record(struct reader *reader, char *space, size_t max)
{
    next_piece(reader);
    struct bytes record = {reader->now.data, MIN(reader->now.len, max)};
    reader->now = bytes_skip(reader->now, record.len);
    if (record.len == max) return record;
    next_piece(reader);
    if (reader->now.len == 0) return record;
    memcpy(space, record.data, record.len);
    record.data = space;
    while (record.len < max) {
        const size_t len = MIN(reader->now.len, max - record.len);
        if (len == 0) break;
        memcpy(space + record.len, reader->now.data, len);
        record.len += len;
        reader->now = bytes_skip(reader->now, len);
        next_piece(reader);
    }
    return record;
}

size_t tls_write(struct tls *tls, const struct bytes *pieces, size_t count, size_t max)
{
    char space[RECORD_MAX];
    struct reader reader = {.pieces = pieces, .count = count};
    size_t done = 0;
    if (tls->closing) return 0;
    forget_errors();
    while (done < max && (tls->status == TLS_OPEN || tls->status == TLS_CLOSED)) {
        const struct bytes record = next_record(&reader, space, MIN(max - done, RECORD_MAX));
        size_t written = 0;
        if (record.len == 0) break;
        if (SSL_write_ex(tls->ssl, record.data, record.len, &written) != 1) {
            fail(tls);
            break;
        }
        ASSERT(written == record.len); /* no partial writes: the mode is off */
        done += written;
    }
    return done;
}

void tls_close(struct tls *tls)
{
    if (tls->closing || (tls->status != TLS_OPEN && tls->status != TLS_CLOSED)) return;
    tls->closing = true;
    forget_errors();
    (void)SSL_shutdown(tls->ssl); /* whether the peer has said it too does not matter */
    forget_errors();
}

/* ---- ciphertext -------------------------------------------------------------------------------
 */

size_t tls_output(const struct tls *tls, struct bytes *pieces, size_t max)
{
    return buf_chain_pieces(&tls->output, pieces, max);
}

size_t tls_output_len(const struct tls *tls)
{
    return tls->output.len;
}

void tls_output_sent(struct tls *tls, size_t len)
{
    buf_chain_consume(&tls->output, len);
}

/* ---- telling ----------------------------------------------------------------------------------
 */

/* Asked for with each message, and it does not change. */
static void find_info(struct tls *tls)
{
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    const char *sni = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    const bool asked = tls->client != NULL || tls->server->asks;
    const char *why = asked ? objection(tls) : "no certificate was asked for";
    tls->sni = tls_clean_copy(sni, sni != NULL ? strlen(sni) : 0);
    if (certificate != NULL) tls->peer_name = tls_certificate_name(certificate);
    tls->info = (struct tls_info){
        .version = SSL_get_version(tls->ssl),
        .cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(tls->ssl)),
        .sni = tls->sni,
        .peer_name = tls->peer_name != NULL ? tls->peer_name : "",
        .verified = why == NULL,
        .reason = why != NULL ? why : "",
        .resumed = SSL_session_reused(tls->ssl) == 1,
    };
}

void tls_get_info(struct tls *tls, struct tls_info *info)
{
    *info = (struct tls_info){"", "", "", "", false, "", false};
    if (tls->status == TLS_HANDSHAKE || tls->ssl == NULL) return;
    if (tls->info.version == NULL) find_info(tls);
    *info = tls->info;
}
