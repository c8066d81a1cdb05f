// SPDX-License-Identifier: Apache-2.0
//
// hash - SHA-256 alone, and of a body as DKIM wants it: canonical
#include "bench.h"
#include "ours.h"
#include <openssl/evp.h>

namespace bench
{
namespace
{

using Digest = std::shared_ptr<EVP_MD_CTX>;

void add_alone(size_t size)
{
    const Buffer source = text("ascii", size * OURS_STREAMS_MAX);
    const auto digest = Digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const auto sha256 =
        std::shared_ptr<EVP_MD>(EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free);
    add("sha256", "openssl", "one", size, size, [=] {
        unsigned char out[32];
        EVP_DigestInit_ex2(digest.get(), sha256.get(), nullptr);
        EVP_DigestUpdate(digest.get(), source->data(), size);
        EVP_DigestFinal_ex(digest.get(), out, nullptr);
        benchmark::DoNotOptimize(out);
    });
    add("sha256", "ringpost", "one", size, size, [=] {
        uint8_t out[32];
        ours_sha256(source->data(), size, out);
        benchmark::DoNotOptimize(out);
    });
    for (const Streams &streams : several) {
        add("sha256", "ringpost", streams.name, size, size * streams.count, [=] {
            uint8_t out[32];
            ours_sha256_many(source->data(), size, streams.count, out);
            benchmark::DoNotOptimize(out);
        });
    }
}

void add_body(size_t size)
{
    const Buffer source = text("ascii", size * OURS_STREAMS_MAX);
    add("body", "ringpost", "one", size, size, [=] {
        uint8_t out[32];
        ours_body_many(source->data(), size, 1, out);
        benchmark::DoNotOptimize(out);
    });
    for (const Streams &streams : several) {
        add("body", "ringpost", streams.name, size, size * streams.count, [=] {
            uint8_t out[32];
            ours_body_many(source->data(), size, streams.count, out);
            benchmark::DoNotOptimize(out);
        });
    }
}

} // namespace

void add_hash()
{
    for (size_t size : message_sizes) {
        add_alone(size);
        add_body(size);
    }
}

} // namespace bench
