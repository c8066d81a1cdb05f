// SPDX-License-Identifier: Apache-2.0
//
// handshake - full handshakes of TLS 1.3, and records, between two ends in memory: the server's
// part of the CPU
//
// What a server cannot do without: OpenSSL's object for the connection, the handshake, one ticket,
// and the end. No socket, no thread, no SMTP. The client's part runs in between and is not counted.
#include "bench.h"
#include "ours.h"
#include <cstdio>
#include <openssl/bio.h>
#include <openssl/pem.h>
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
    SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256"); // as ours chooses
    certify(context.get(), make_key(kind).get());
    return context;
}

Context client()
{
    const Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    return context;
}

// A client in memory: what the server said goes in, what is for the server comes out.
class Client
{
  public:
    explicit Client(SSL_CTX *context)
        : ssl(SSL_new(context)), in(BIO_new(BIO_s_mem())), out(BIO_new(BIO_s_mem()))
    {
        SSL_set_bio(ssl, in, out);
        SSL_set_connect_state(ssl);
    }
    Client(const Client &) = delete;
    ~Client()
    {
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(ssl);
    }
    std::string_view step(std::string_view said)
    {
        BIO_write(in, said.data(), int(said.size()));
        SSL_do_handshake(ssl);
        return said_now();
    }
    // Hears what came and says text; what goes to the wire.
    std::string_view talk(std::string_view came, std::string_view text)
    {
        char plain[16384];
        BIO_write(in, came.data(), int(came.size()));
        while (SSL_read(ssl, plain, sizeof plain) > 0) {
        }
        SSL_write(ssl, text.data(), int(text.size()));
        return said_now();
    }

  private:
    std::string_view said_now()
    {
        const int got = BIO_read(out, answer, sizeof answer);
        return {answer, size_t(got > 0 ? got : 0)};
    }

    SSL *ssl;
    BIO *in, *out;
    char answer[32768];
};

class Bare
{
  public:
    explicit Bare(SSL_CTX *context)
        : ssl(SSL_new(context)), in(BIO_new(BIO_s_mem())), out(BIO_new(BIO_s_mem()))
    {
        SSL_set_bio(ssl, in, out);
        SSL_set_accept_state(ssl);
    }
    Bare(const Bare &) = delete;
    ~Bare()
    {
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(ssl);
    }
    bool step(std::string_view said, char *answer, size_t size, size_t &used)
    {
        BIO_write(in, said.data(), int(said.size()));
        const bool done = SSL_do_handshake(ssl) == 1;
        const int got = BIO_read(out, answer, int(size));
        used = size_t(got > 0 ? got : 0);
        return done;
    }
    void exchange(std::string_view came, std::string_view text, char *answer, size_t size,
                  size_t &used)
    {
        char plain[16384];
        BIO_write(in, came.data(), int(came.size()));
        while (SSL_read(ssl, plain, sizeof plain) > 0) {
        }
        SSL_write(ssl, text.data(), int(text.size()));
        used = size_t(BIO_read(out, answer, int(size)));
    }

  private:
    SSL *ssl;
    BIO *in, *out;
};

class Ours
{
  public:
    explicit Ours(struct tls_server *server) : tls(ours_accept(server)) {}
    Ours(const Ours &) = delete;
    ~Ours() { ours_tls_free(tls); }
    bool step(std::string_view said, char *answer, size_t size, size_t &used)
    {
        return ours_handshake(tls, said.data(), said.size(), answer, size, &used);
    }
    void exchange(std::string_view came, std::string_view text, char *answer, size_t size,
                  size_t &used)
    {
        ours_exchange(tls, came.data(), came.size(), text.data(), text.size(), answer, size, &used);
    }

  private:
    struct tls *tls;
};

template <class Server, class Context> double server_seconds(Context *context, SSL_CTX *connecting)
{
    char answer[16384];
    size_t used = 0;
    Client client(connecting);
    std::string_view said = client.step({});
    double start = thread_cpu_seconds(), seconds = 0;
    {
        Server server(context);
        for (bool done = false; !done;) {
            done = server.step(said, answer, sizeof answer, used);
            if (done) break;
            seconds += thread_cpu_seconds() - start;
            said = client.step({answer, used});
            if (said.empty()) openssl_failed("handshake");
            start = thread_cpu_seconds();
        }
    }
    return seconds + thread_cpu_seconds() - start;
}

template <class Server, class Context>
void add_full(const std::string &who, const std::string &kind, std::shared_ptr<Context> context)
{
    const auto connecting = client();
    const std::string name = "handshake/" + who + "/" + kind;
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) {
        for (auto _ : state)
            state.SetIterationTime(server_seconds<Server>(context.get(), connecting.get()));
    })->UseManualTime();
}

// A record is heard and one is said; many in a row, for reading the clock costs as much as a small
// one.
template <class Server, class Context>
double exchange_seconds(Context *context, SSL_CTX *connecting, size_t size)
{
    constexpr int count = 64;
    static char answer[32768];
    const std::string text(size, 'x');
    size_t used = 0;
    Client client(connecting);
    Server server(context);
    std::string_view said = client.step({});
    while (!server.step(said, answer, sizeof answer, used))
        said = client.step({answer, used});
    std::vector<std::string> records;
    for (int i = 0; i < count; i++) {
        records.emplace_back(client.talk({answer, used}, text));
        used = 0;
    }
    const double start = thread_cpu_seconds();
    for (const std::string &record : records)
        server.exchange(record, text, answer, sizeof answer, used);
    return (thread_cpu_seconds() - start) / count;
}

template <class Server, class Context>
void add_exchange(const std::string &who, size_t size, std::shared_ptr<Context> context)
{
    const auto connecting = client();
    const std::string name = "records/" + who + "/" + std::to_string(size);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=](benchmark::State &state) {
                                     for (auto _ : state)
                                         state.SetIterationTime(exchange_seconds<Server>(
                                             context.get(), connecting.get(), size));
                                 })
        ->UseManualTime()
        ->Iterations(300);
}

// Ringpost reads PEM files.
class File
{
  public:
    File() : stream(std::tmpfile()), path("/dev/fd/" + std::to_string(fileno(stream))) {}
    File(const File &) = delete;
    ~File() { std::fclose(stream); }
    FILE *const stream;
    const std::string path;
};

std::shared_ptr<struct tls_server> our_server(SSL_CTX *context)
{
    const File certificate, key;
    PEM_write_X509(certificate.stream, SSL_CTX_get0_certificate(context));
    PEM_write_PrivateKey(key.stream, SSL_CTX_get0_privatekey(context), nullptr, nullptr, 0, nullptr,
                         nullptr);
    std::fflush(certificate.stream);
    std::fflush(key.stream);
    // for the life of the program
    return {ours_server(certificate.path.c_str(), key.path.c_str()), [](struct tls_server *) {}};
}

} // namespace

void add_handshake()
{
    for (const char *kind : {"p256", "rsa-2048"}) {
        const Context context = server(kind);
        add_full<Bare>("openssl", kind, context);
        add_full<Ours>("ringpost", kind, our_server(context.get()));
    }
    const Context context = server("p256");
    for (size_t size : {size_t(40), size_t(4096)}) {
        add_exchange<Bare>("openssl", size, context);
        add_exchange<Ours>("ringpost", size, our_server(context.get()));
    }
}

} // namespace bench
