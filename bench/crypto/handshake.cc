// SPDX-License-Identifier: Apache-2.0
//
// handshake - full handshakes of TLS 1.3 between two ends in memory: the server's part of the CPU
//
// What a server cannot do without: OpenSSL's object for the connection, the handshake, one ticket,
// and the end. No socket, no thread, no SMTP. The client's part runs in between and is not counted.
#include "bench.h"
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace bench
{
namespace
{

using Context = std::shared_ptr<SSL_CTX>;

void certify(SSL_CTX *context, EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char *>("relay.test"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    if (X509_sign(certificate, key, EVP_sha256()) == 0 ||
        SSL_CTX_use_certificate(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, key) != 1) {
        openssl_failed("certificate");
    }
    X509_free(certificate);
}

Context server(const std::string &kind)
{
    const Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    certify(context.get(), make_key(kind).get());
    return context;
}

Context client()
{
    const Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    return context;
}

// The end that may read what the other writes, and the other way round.
SSL *end_of(SSL_CTX *context, BIO *in, BIO *out)
{
    SSL *const ssl = SSL_new(context);
    BIO_up_ref(in);
    BIO_up_ref(out);
    SSL_set_bio(ssl, in, out);
    return ssl;
}

double server_seconds(SSL_CTX *server_context, SSL_CTX *client_context)
{
    const double before = thread_cpu_seconds();
    BIO *const up = BIO_new(BIO_s_mem()), *const down = BIO_new(BIO_s_mem());
    SSL *const accepting = end_of(server_context, up, down);
    SSL_set_accept_state(accepting);
    double seconds = thread_cpu_seconds() - before;

    SSL *const connecting = end_of(client_context, down, up);
    SSL_set_connect_state(connecting);
    bool done = false;
    while (!done) {
        const int client_result = SSL_do_handshake(connecting);
        const double start = thread_cpu_seconds();
        done = SSL_do_handshake(accepting) == 1 && client_result == 1;
        seconds += thread_cpu_seconds() - start;
        if (!done && (BIO_pending(up) > 0 || BIO_pending(down) == 0)) openssl_failed("handshake");
    }
    SSL_set_shutdown(connecting, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(connecting);

    const double start = thread_cpu_seconds();
    SSL_set_shutdown(accepting, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(accepting);
    BIO_free(up);
    BIO_free(down);
    return seconds + thread_cpu_seconds() - start;
}

void add_full(const std::string &kind)
{
    const Context accepting = server(kind), connecting = client();
    const std::string name = "handshake/openssl/" + kind;
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) {
        for (auto _ : state)
            state.SetIterationTime(server_seconds(accepting.get(), connecting.get()));
    })->UseManualTime();
}

} // namespace

void add_handshake()
{
    add_full("p256");
    add_full("rsa-2048");
}

} // namespace bench
