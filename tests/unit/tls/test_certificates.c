/* SPDX-License-Identifier: Apache-2.0
 *
 * test_certificates - files, choice by name, verification
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"

#include "internal.h"
#include <sys/stat.h>

enum { DAY_MS = 86400 * 1000 };

/* ---- files ------------------------------------------------------------------------------------
 */

static void expect_refused(const char *certificate, const char *key, const char *first,
                           const char *second)
{
    char why[256] = "";
    const char *option = NULL;
    const struct tls_certificate pair = {certificate, key};
    const struct tls_server_options options = {.certificates = &pair, .certificate_count = 1};
    struct tls_server *server = tls_server_create(&options, &option, why, sizeof(why));
    assert_null(server);
    assert_string_equal(option, "certificate");
    if (strstr(why, first) != why || strstr(why, second) == NULL) fail_msg("why: %s", why);
}

static void bad_files_are_named(void **state)
{
    const char *mx = authority_path("mx", "-cert.pem"), *other = authority_path("star", "-key.pem");
    const char *none = authority_path("none", ".pem"), *empty = authority_path("empty", ".pem");
    (void)state;
    fclose(fopen(empty, "w"));
    expect_refused(none, NULL, none, "No such file or directory");
    expect_refused(empty, NULL, empty, "no certificate in it");
    expect_refused(mx, NULL, mx, "cannot use the key");
    expect_refused(mx, none, none, "No such file or directory");
    expect_refused(mx, empty, empty, "cannot use the key");
    expect_refused(mx, other, other, "does not belong to the certificate");
    expect_refused(authority_folder, NULL, authority_folder, "");
}

/* Nobody is there to be asked for a phrase. */
static void a_key_with_a_phrase_is_refused(void **state)
{
    const char *path = authority_path("locked", "-key.pem");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(path, "w");
    (void)state;
    PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL,
                         NULL);
    fclose(file);
    EVP_PKEY_free(key);
    expect_refused(authority_path("mx", "-cert.pem"), path, path, "cannot use the key");
}

static void bad_settings_are_told(void **state)
{
    char why[256] = "";
    const char *option = NULL;
    const struct tls_certificate mx = {authority_path("mx", ".pem"), NULL};
    struct tls_server_options options = {
        .certificates = &mx, .certificate_count = 1, .ciphers = "ROT13"};
    (void)state;
    assert_null(tls_server_create(&options, &option, why, sizeof(why)));
    assert_string_equal(why, "no cipher match");
    assert_string_equal(option, "ciphers");
    options.ciphers = NULL;
    options.ciphersuites = "ROT13";
    assert_null(tls_server_create(&options, &option, why, sizeof(why)));
    assert_string_equal(why, "no cipher match");
    assert_string_equal(option, "ciphersuites");
    options.ciphersuites = NULL;
    options.groups = "P-0";
    assert_null(tls_server_create(&options, &option, why, sizeof(why)));
    assert_string_equal(option, "groups");
    const struct tls_client_options rot13 = {.ciphers = "ROT13"};
    assert_null(tls_client_create(&rot13, why, sizeof(why)));
    assert_string_equal(why, "TLS ciphers: no cipher match");
    const struct tls_client_options no_trust = {.trust_file = authority_path("none", ".pem")};
    assert_null(tls_client_create(&no_trust, why, sizeof(why)));
    assert_non_null(strstr(why, "none.pem: no trusted certificates: "));
}

static void certificates_are_described(void **state)
{
    const char *const files[] = {"mx", "rsa"};
    struct tls_server *server = pair_server(files, 2, NULL);
    (void)state;
    assert_int_equal(tls_server_certificates(server), 2);
    const struct tls_certificate_info *info = tls_server_certificate(server, 0);
    assert_string_equal(info->name, "mx.test");
    assert_string_equal(info->key, "EC 256");
    assert_string_equal(info->path, authority_path("mx", ".pem"));
    assert_true(info->expires > pair_now() + 9LL * DAY_MS);
    assert_true(info->expires < pair_now() + 11LL * DAY_MS);
    assert_true(info->starts < pair_now());
    assert_string_equal(tls_server_certificate(server, 1)->key, "RSA 2048");
    tls_server_free(&server);
    assert_null(server);
}

/* What a stranger writes into a certificate must not make lines of its own. */
static void names_are_cleaned(void **state)
{
    const char *const files[] = {"dirty"};
    struct tls_server *server = pair_server(files, 1, NULL);
    (void)state;
    assert_string_equal(tls_server_certificate(server, 0)->name, "a?b???Received:?x?");
    tls_server_free(&server);
}

/* ---- choice by name ---------------------------------------------------------------------------
 */

static struct tls_info shake(struct pair *pair, struct tls_server *server,
                             struct tls_client *client, const char *name, bool verify, wall_ms now)
{
    struct tls_info info = {0};
    const struct tls_connect_options options = {
        .sni = name, .names = &name, .name_count = name != NULL, .verify = verify, .now = now};
    *pair =
        (struct pair){.server = tls_accept(server, now), .client = tls_connect(client, &options)};
    pair_shake(pair);
    if (tls_status(pair->client) == TLS_OPEN) tls_get_info(pair->client, &info);
    return info;
}

static void sni_chooses_the_certificate(void **state)
{
    static const struct {
        const char *sni, *peer_name;
        bool verified;
    } cases[] = {
        {"mx.test", "mx.test", true},
        {"MX.test", "mx.test", true},
        {"second.test", "mx.test", true},
        {"a.star.test", "*.star.test", true},
        {"own.star.test", "own.star.test", true}, /* the name itself before the wildcard */
        {"a.b.star.test", "mx.test", false},      /* one label only */
        {"star.test", "mx.test", false},
        {"other.test", "mx.test", false}, /* the first one serves the rest */
        {"x", "mx.test", false},
        {NULL, "mx.test", true},
    };
    const char *const files[] = {"mx", "star", "own"};
    struct tls_server *server = pair_server(files, 3, NULL);
    struct tls_client *client = pair_client("ca");
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct pair pair;
        const struct tls_info info = shake(&pair, server, client, cases[i].sni, false, pair_now());
        pair_both_open(&pair);
        assert_string_equal(info.peer_name, cases[i].peer_name);
        assert_int_equal(info.verified, cases[i].verified);
        if (!info.verified) assert_string_equal(info.reason, "hostname mismatch");
        pair_free(&pair);
    }
    tls_server_free(&server);
    tls_client_free(&client);
}

static void two_kinds_of_key_share_a_name(void **state)
{
    const char *const files[] = {"mx", "rsa"};
    struct tls_server *server = pair_server(files, 2, NULL);
    (void)state;
    assert_int_equal(server->context_count, 1);
    static const char *const ciphers[] = {"ECDHE-RSA-AES128-GCM-SHA256",
                                          "ECDHE-ECDSA-AES128-GCM-SHA256"};
    for (size_t i = 0; i < 2; i++) {
        /* TLS 1.2, since only there the cipher says what key it wants. */
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
        SSL_CTX_set_cipher_list(context, ciphers[i]);
        struct tls *tls = tls_accept(server, pair_now());
        SSL *ssl = SSL_new(context);
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl);
        for (int round = 0; round < 4; round++) {
            char octets[8192];
            struct bytes piece;
            SSL_do_handshake(ssl);
            const int len = BIO_read(SSL_get_wbio(ssl), octets, sizeof(octets));
            tls_feed(tls, (struct bytes){octets, len > 0 ? (size_t)len : 0});
            tls_handshake(tls);
            while (tls_output(tls, &piece, 1) > 0) {
                BIO_write(SSL_get_rbio(ssl), piece.data, (int)piece.len);
                tls_output_sent(tls, piece.len);
            }
        }
        assert_true(SSL_is_init_finished(ssl));
        assert_string_equal(SSL_get_cipher_name(ssl), ciphers[i]);
        SSL_free(ssl);
        tls_free(&tls);
        SSL_CTX_free(context);
    }
    tls_server_free(&server);
}

/* ---- verification -----------------------------------------------------------------------------
 */

static void expect_verdict(const char *file, const char *name, long days, const char *reason)
{
    struct tls_server *server = pair_server(&file, 1, NULL);
    struct tls_client *client = pair_client("ca");
    const wall_ms now = pair_now() + days * DAY_MS;
    struct pair pair;
    struct tls_info info = shake(&pair, server, client, name, false, now);
    pair_both_open(&pair); /* it is only told */
    assert_int_equal(info.verified, reason == NULL);
    assert_string_equal(info.reason, reason != NULL ? reason : "");
    pair_free(&pair);
    info = shake(&pair, server, client, name, true, now);
    if (reason == NULL) {
        pair_both_open(&pair);
        assert_true(info.verified);
    } else {
        const char *error = tls_error(pair.client), *before = "certificate verify failed: ";
        assert_int_equal(tls_status(pair.client), TLS_FAILED);
        assert_memory_equal(error, before, strlen(before));
        assert_string_equal(error + strlen(before), reason);
        assert_int_equal(tls_status(pair.server), TLS_FAILED); /* by our alert */
        assert_non_null(strstr(tls_error(pair.server), "the peer refuses: "));
    }
    pair_free(&pair);
    tls_server_free(&server);
    tls_client_free(&client);
}

static void verification(void **state)
{
    (void)state;
    expect_verdict("mx", "mx.test", 0, NULL);
    expect_verdict("mx", "second.test", 0, NULL);
    expect_verdict("mx", "wrong.test", 0, "hostname mismatch");
    expect_verdict("star", "a.star.test", 0, NULL);
    expect_verdict("star", "a.b.star.test", 0, "hostname mismatch");
    expect_verdict("mx", "192.0.2.1", 0, NULL);
    expect_verdict("mx", "192.0.2.2", 0, "IP address mismatch");
    expect_verdict("mx", "mx.test", 20, "certificate has expired");
    expect_verdict("mx", "mx.test", -20, "certificate is not yet valid");
    expect_verdict("expired", "mx.test", 0, "certificate has expired");
    expect_verdict("selfmade", "mx.test", 0, "self-signed certificate");
    expect_verdict("stranger", "mx.test", 0, "self-signed certificate in certificate chain");
    expect_verdict("common", "mx.test", 0,
                   NULL); /* RFC 6125 section 6.4.4: only without DNS names */
}

/* A certificate that the operator put into the trust store is trusted, whoever signed it. */
static void a_certificate_of_the_trust_store_is_trusted(void **state)
{
    static const char *const trusted[] = {"selfmade", "mx"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_server *server = pair_server(&trusted[i], 1, NULL);
        struct tls_client *client = pair_client(trusted[i]);
        struct pair pair;
        assert_true(shake(&pair, server, client, "mx.test", true, pair_now()).verified);
        pair_free(&pair);
        tls_server_free(&server);
        tls_client_free(&client);
    }
}

static void the_system_is_trusted_by_default(void **state)
{
    char why[256] = "";
    struct tls_client *client =
        tls_client_create(&(struct tls_client_options){0}, why, sizeof(why));
    (void)state;
    if (client == NULL) fail_msg("%s", why);
    assert_null(tls_client_certificate(client));
    tls_client_free(&client);
}

/* What the server says of a client that has this certificate; of "" it has none. Twice: the second
 * time the session is resumed, if the server gives tickets. */
static void expect_client(const char *own, const char *name, const char *reason)
{
    const char *ca = authority_path("ca", "-cert.pem"), *mx = authority_path("mx", ".pem");
    const uint8_t seed[TLS_TICKETS_SEED_LEN] = {1};
    struct tls_tickets *tickets = tls_tickets_create(seed, pair_now());
    const struct tls_certificate certificate = {mx, NULL};
    const struct tls_server_options asking = {.certificates = &certificate,
                                              .certificate_count = 1,
                                              .tickets = tickets,
                                              .client_trust = ca};
    const struct tls_client_options options = {
        .trust_file = ca, .certificate = own[0] != '\0' ? authority_path(own, ".pem") : NULL};
    const char *const names[] = {"mx.test"};
    char why[256];
    const char *option = NULL;
    struct tls_server *server = tls_server_create(&asking, &option, why, sizeof(why));
    struct tls_client *client = tls_client_create(&options, why, sizeof(why));
    struct tls_session *session = NULL;
    assert_non_null(server);
    assert_non_null(client);
    for (int i = 0; i < 2; i++) {
        const struct tls_connect_options connect = {
            .names = names, .name_count = 1, .session = session, .now = pair_now()};
        struct pair pair = {.server = tls_accept(server, pair_now()),
                            .client = tls_connect(client, &connect)};
        struct tls_info info;
        pair_shake(&pair);
        pair_both_open(&pair);
        tls_get_info(pair.server, &info);
        assert_string_equal(info.peer_name, name);
        assert_int_equal(info.verified, reason == NULL);
        assert_string_equal(info.reason, reason != NULL ? reason : "");
        assert_int_equal(info.resumed, i > 0);
        if (session == NULL) session = tls_session_take(pair.client);
        assert_non_null(session);
        pair_free(&pair);
    }
    tls_session_free(&session);
    tls_server_free(&server);
    tls_client_free(&client);
    tls_tickets_free(&tickets);
}

static void clients_are_asked_for_a_certificate(void **state)
{
    (void)state;
    expect_client("own", "own.star.test", NULL);
    expect_client("", "", "no certificate");
    expect_client("selfmade", "mx.test", "self-signed certificate");
    expect_client("expired", "mx.test", "certificate has expired");
}

static void authorities_of_clients_are_read(void **state)
{
    const char *mx = authority_path("mx", ".pem"), *none = authority_path("none", ".pem");
    const struct tls_certificate certificate = {mx, NULL};
    const struct tls_server_options options = {
        .certificates = &certificate, .certificate_count = 1, .client_trust = none};
    char why[256] = "";
    const char *option = NULL;
    (void)state;
    assert_null(tls_server_create(&options, &option, why, sizeof(why)));
    assert_memory_equal(why, none, strlen(none));
    assert_string_equal(option, "client_trust");
}

/* A reload frees the server while connections live on. */
static void a_server_may_go_before_its_connections(void **state)
{
    const char *const files[] = {"mx", "star"};
    struct tls_server *server = pair_server(files, 2, NULL);
    struct tls_client *client = pair_client("ca");
    const struct tls_connect_options options = {.sni = "a.star.test", .now = pair_now()};
    struct pair pair = {.server = tls_accept(server, pair_now()),
                        .client = tls_connect(client, &options)};
    (void)state;
    tls_server_free(&server);
    tls_client_free(&client);
    pair_shake(&pair);
    pair_both_open(&pair);
    struct tls_info info;
    tls_get_info(pair.client, &info);
    assert_string_equal(info.peer_name, "*.star.test");
    pair_free(&pair);
}

static int make_certificates(void **state)
{
    static const struct authority_wish wishes[] = {
        {.file = "ca", .is_authority = true},
        {.file = "evil", .is_authority = true},
        {.file = "mx", .names = "DNS:mx.test,DNS:second.test,IP:192.0.2.1", .issuer = "ca"},
        {.file = "rsa", .names = "DNS:mx.test", .issuer = "ca", .rsa = true},
        {.file = "star", .names = "DNS:*.star.test", .issuer = "ca"},
        {.file = "own", .names = "DNS:own.star.test", .issuer = "ca"},
        {.file = "expired", .names = "DNS:mx.test", .issuer = "ca", .from_days = -9, .to_days = -2},
        {.file = "selfmade", .names = "DNS:mx.test"},
        {.file = "stranger", .names = "DNS:mx.test", .issuer = "evil"},
        {.file = "common", .common = "mx.test", .issuer = "ca"},
        {.file = "dirty", .common = "a b\r\n\tReceived:\\x(", .issuer = "ca"},
    };
    (void)state;
    authority_begin();
    for (size_t i = 0; i < ARRAY_COUNT(wishes); i++)
        authority_make(&wishes[i]);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    authority_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(a_key_with_a_phrase_is_refused),
        cmocka_unit_test(bad_settings_are_told),
        cmocka_unit_test(certificates_are_described),
        cmocka_unit_test(names_are_cleaned),
        cmocka_unit_test(sni_chooses_the_certificate),
        cmocka_unit_test(two_kinds_of_key_share_a_name),
        cmocka_unit_test(verification),
        cmocka_unit_test(a_certificate_of_the_trust_store_is_trusted),
        cmocka_unit_test(the_system_is_trusted_by_default),
        cmocka_unit_test(clients_are_asked_for_a_certificate),
        cmocka_unit_test(authorities_of_clients_are_read),
        cmocka_unit_test(a_server_may_go_before_its_connections),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
