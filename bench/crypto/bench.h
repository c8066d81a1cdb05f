// SPDX-License-Identifier: Apache-2.0
//
// bench - how a benchmark of hashing, signing and handshakes is registered
//
// A name is operation/who/what, for hashes also /size. What is hashed reports octets a second; all
// else seconds of CPU for one.
#pragma once
#include "../codec/bench.h"
#include <ctime>
#include <openssl/evp.h>
#include <string>

namespace bench
{

// A message as relays see them, a newsletter, a large one, a very large one.
inline constexpr size_t message_sizes[] = {1 << 10, 4 << 10, 64 << 10, 1 << 20, 8 << 20};
// Several at a time: what the SHA instructions interleave, what AVX-512 has lanes for, and more.
struct Streams {
    const char *name;
    size_t count;
};
inline constexpr Streams several[] = {{"four", 4}, {"sixteen", 16}, {"thirty-two", 32}};

using Key = std::shared_ptr<EVP_PKEY>;
Key make_key(const std::string &kind); // "rsa-2048", "p256", "ed25519"

inline double thread_cpu_seconds()
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + double(now.tv_nsec) / 1e9;
}

[[noreturn]] void openssl_failed(const char *what);

void add_hash();
void add_sign();
void add_handshake();

} // namespace bench
