/* SPDX-License-Identifier: Apache-2.0
 *
 * server - certificates by name, ticket keys, one context a name
 *
 * A context of OpenSSL holds one certificate of each kind of key. A connection begins with the
 * first context and changes to another one when the client's SNI name is found.
 */
#include "internal.h"
#include <openssl/err.h>

static const char default_ciphers[] = "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20";
/* So that a session of one listener is known at another one with the same ticket keys. */
static const unsigned char session_context[] = "ringpost";

static bool has_name(const void *item, const void *key)
{
    const struct tls_server_name *entry = item;
    return bytes_equal_nocase(bytes_of(entry->name), *(const struct bytes *)key);
}

static struct tls_server_name *find_name(const struct tls_server *server, struct bytes name)
{
    return table_find(&server->by_name, hash_bytes_nocase(0, name), has_name, &name);
}

/* The name itself, else "*" for its leftmost label (RFC 6125 section 6.4.3). */
static SSL_CTX *choose(const struct tls_server *server, struct bytes name)
{
    char wild[2 + 255];
    const struct tls_server_name *entry = find_name(server, name);
    const char *dot = memchr(name.data, '.', name.len);
    if (entry == NULL && dot != NULL && dot != name.data) {
        const struct bytes domain = bytes_skip(name, (size_t)(dot - name.data));
        if (domain.len > sizeof(wild) - 2) return NULL;
        wild[0] = '*';
        memcpy(wild + 1, domain.data, domain.len);
        entry = find_name(server, (struct bytes){wild, 1 + domain.len});
    }
    return entry != NULL ? entry->context : NULL;
}

static int on_server_name(SSL *ssl, int *alert, void *context)
{
    const struct tls_server *server = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (name == NULL) return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *found = choose(server, bytes_of(name));
    if (found != NULL && found != server->context) SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
}

/* Every certificate will do: what is wrong with it is kept by OpenSSL, and told. */
static int let_in(int good, X509_STORE_CTX *verification)
{
    (void)good, (void)verification;
    return 1;
}

static bool ask_for_certificate(SSL_CTX *context, const char *trust, char *why, size_t why_size)
{
    ERR_clear_error();
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(trust);
    if (names == NULL || SSL_CTX_load_verify_file(context, trust) != 1) {
        struct text out;
        text_init(&out, why, why_size);
        text_printf(&out, "%s: no trusted certificates: ", trust);
        tls_explain(&out);
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return false;
    }
    SSL_CTX_set_client_CA_list(context, names);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, let_in);
    return true;
}

/* ---- making one -------------------------------------------------------------------------------
 */

static SSL_CTX *add_context(struct tls_server *server, const struct tls_server_options *options,
                            const char **option, char *why, size_t why_size)
{
    const struct tls_settings settings = {
        .min_version = options->min_version,
        .ciphers = options->ciphers != NULL ? options->ciphers : default_ciphers,
        .ciphersuites = options->ciphersuites,
        .groups = options->groups,
    };
    SSL_CTX *context = tls_context_create(TLS_server_method(), &settings, option, why, why_size);
    if (context == NULL) return NULL;
    *option = "client_trust";
    if (options->client_trust != NULL &&
        !ask_for_certificate(context, options->client_trust, why, why_size)) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context) - 1);
    if (options->tickets != NULL) {
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_tickets_on_ticket);
        SSL_CTX_set_timeout(context, TLS_TICKETS_EPOCH_MS / 1000);
        SSL_CTX_set_num_tickets(context, 1); /* each costs as much as a small record */
    } else {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    }
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, server);
    server->contexts =
        base_realloc(server->contexts, (server->context_count + 1) * sizeof(*server->contexts));
    server->contexts[server->context_count++] = context;
    return context;
}

/* The context that has this name's other kind of key, or NULL. */
static SSL_CTX *twin(const struct tls_server *server, const struct tls_identity *identity)
{
    const struct tls_server_name *entry = find_name(server, bytes_of(identity->names[0]));
    if (entry == NULL) return NULL;
    for (size_t i = 0; i < server->identity_count; i++) {
        const struct tls_identity *other = &server->identities[i];
        if (other == identity || strcmp(other->names[0], identity->names[0]) != 0) continue;
        if (other->key_type == identity->key_type) return NULL;
    }
    return entry->context;
}

static void add_names(struct tls_server *server, const struct tls_identity *identity,
                      SSL_CTX *context)
{
    for (size_t i = 0; i < identity->name_count; i++) {
        const struct bytes name = bytes_of(identity->names[i]);
        if (find_name(server, name) != NULL) continue; /* the first one has it */
        struct tls_server_name *entry = base_alloc(sizeof(*entry));
        *entry = (struct tls_server_name){.name = identity->names[i], .context = context};
        table_add(&server->by_name, hash_bytes_nocase(0, name), entry);
    }
}

static bool add_certificate(struct tls_server *server, const struct tls_server_options *options,
                            size_t index, const char **option, char *why, size_t why_size)
{
    const struct tls_certificate *certificate = &options->certificates[index];
    struct tls_identity *identity = &server->identities[index];
    *option = "certificate";
    if (!tls_identity_read(identity, certificate->certificate, why, why_size)) return false;
    server->identity_count = index + 1;
    SSL_CTX *context = twin(server, identity);
    if (context == NULL) context = add_context(server, options, option, why, why_size);
    if (context == NULL) return false;
    *option = "certificate";
    if (!tls_identity_use(context, certificate, why, why_size)) return false;
    if (server->context == NULL) server->context = context;
    add_names(server, identity, context);
    return true;
}

struct tls_server *tls_server_create(const struct tls_server_options *options, const char **option,
                                     char *why, size_t why_size)
{
    ASSERT(options->certificate_count > 0);
    struct tls_server *server = base_alloc(sizeof(*server));
    atomic_init(&server->users, 1);
    server->tickets = options->tickets;
    server->asks = options->client_trust != NULL;
    table_init(&server->by_name);
    server->identities = base_alloc(options->certificate_count * sizeof(*server->identities));
    for (size_t i = 0; i < options->certificate_count; i++) {
        if (!add_certificate(server, options, i, option, why, why_size)) {
            tls_server_free(&server);
            return NULL;
        }
    }
    return server;
}

struct tls_server *tls_server_share(struct tls_server *server)
{
    atomic_fetch_add_explicit(&server->users, 1, memory_order_relaxed);
    return server;
}

void tls_server_release(struct tls_server *server)
{
    if (atomic_fetch_sub_explicit(&server->users, 1, memory_order_acq_rel) > 1) return;
    uint32_t cursor = 0;
    struct tls_server_name *entry;
    while ((entry = table_next(&server->by_name, &cursor)) != NULL)
        base_free(entry);
    table_deinit(&server->by_name);
    for (size_t i = 0; i < server->context_count; i++)
        SSL_CTX_free(server->contexts[i]);
    base_free(server->contexts);
    for (size_t i = 0; i < server->identity_count; i++)
        tls_identity_deinit(&server->identities[i]);
    base_free(server->identities);
    base_free(server);
}

void tls_server_free(struct tls_server **server)
{
    if (*server == NULL) return;
    tls_server_release(*server);
    *server = NULL;
}

size_t tls_server_certificates(const struct tls_server *server)
{
    return server->identity_count;
}

const struct tls_certificate_info *tls_server_certificate(const struct tls_server *server,
                                                          size_t index)
{
    ASSERT(index < server->identity_count);
    return &server->identities[index].info;
}
