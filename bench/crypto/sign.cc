// SPDX-License-Identifier: Apache-2.0
//
// sign - the bare signature of 32 octets, with all prepared that can be; and all of a DKIM
// signature
#include "bench.h"
#include "ours.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

namespace bench
{

void openssl_failed(const char *what)
{
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    fprintf(stderr, "%s: %s\n", what, text);
    exit(1);
}

Key make_key(const std::string &kind)
{
    EVP_PKEY *key = kind == "rsa-2048" ? EVP_RSA_gen(2048)
                    : kind == "p256"   ? EVP_EC_gen("P-256")
                                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    if (key == nullptr) openssl_failed(kind.c_str());
    return {key, EVP_PKEY_free};
}

namespace
{

template <class Run> void add_timed(const std::string &name, Run run)
{
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) mutable {
        for (auto _ : state)
            run();
    });
}

void add_rsa()
{
    const Key key = make_key("rsa-2048");
    const auto context =
        std::shared_ptr<EVP_PKEY_CTX>(EVP_PKEY_CTX_new(key.get(), nullptr), EVP_PKEY_CTX_free);
    if (EVP_PKEY_sign_init(context.get()) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) <= 0 ||
        EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) <= 0) {
        openssl_failed("RSA");
    }
    add_timed("sign/openssl/rsa-2048", [=] {
        unsigned char hash[32] = {1}, out[256];
        size_t length = sizeof out;
        if (EVP_PKEY_sign(context.get(), out, &length, hash, sizeof hash) <= 0) {
            openssl_failed("RSA");
        }
        benchmark::DoNotOptimize(out);
    });
}

void add_ed25519()
{
    const Key key = make_key("ed25519");
    const auto context = std::shared_ptr<EVP_MD_CTX>(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    add_timed("sign/openssl/ed25519", [=] {
        unsigned char hash[32] = {1}, out[64];
        size_t length = sizeof out;
        // OpenSSL 3.0 wants the context of a pure signature anew for each.
        if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) <= 0 ||
            EVP_DigestSign(context.get(), out, &length, hash, sizeof hash) <= 0) {
            openssl_failed("Ed25519");
        }
        EVP_MD_CTX_reset(context.get());
        benchmark::DoNotOptimize(out);
    });
}

void add_ours(const std::string &kind)
{
    struct ours_signer *const ours = ours_signer_create(kind == "rsa-2048");
    add_timed("sign/ringpost/" + kind, [=] {
        char out[8192];
        if (!ours_sign(ours, out, sizeof out)) openssl_failed("DKIM");
        benchmark::DoNotOptimize(out);
    });
}

} // namespace

void add_sign()
{
    add_rsa();
    add_ours("rsa-2048");
    add_ed25519();
    add_ours("ed25519");
}

} // namespace bench
