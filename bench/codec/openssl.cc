// SPDX-License-Identifier: Apache-2.0
//
// openssl - EVP's base64: a block at once, and its own lines of 64 characters with LF
#include "bench.h"
#include <openssl/evp.h>

namespace bench
{

namespace
{

using Context = std::shared_ptr<EVP_ENCODE_CTX>;

Context context()
{
    return {EVP_ENCODE_CTX_new(), EVP_ENCODE_CTX_free};
}

unsigned char *octets_of(const Buffer &buffer)
{
    return reinterpret_cast<unsigned char *>(buffer->data());
}

void add_encode(size_t size)
{
    const Buffer source = random_octets(size), target = scratch(size / 3 * 4 + size / 32 + 128);
    add("base64-encode", "openssl", "plain", size, codec_base64_encoded_len(size, 0), [=] {
        benchmark::DoNotOptimize(EVP_EncodeBlock(octets_of(target), octets_of(source), int(size)));
    });
    const Context encoder = context();
    add("base64-encode", "openssl", "lines-64", size, codec_base64_encoded_len(size, 64), [=] {
        int written = 0, rest = 0;
        EVP_EncodeInit(encoder.get());
        EVP_EncodeUpdate(encoder.get(), octets_of(target), &written, octets_of(source), int(size));
        EVP_EncodeFinal(encoder.get(), octets_of(target) + written, &rest);
        benchmark::DoNotOptimize(written + rest);
    });
}

void add_decode_plain(size_t size)
{
    const Buffer source = base64_text(random_octets(size), "plain"), target = scratch(size + 128);
    add("base64-decode", "openssl", "plain", size, source->size(), [=] {
        benchmark::DoNotOptimize(
            EVP_DecodeBlock(octets_of(target), octets_of(source), int(source->size())));
    });
}

void add_decode_lines(const std::string &layout, size_t size)
{
    const Buffer source = base64_text(random_octets(size), layout), target = scratch(size + 128);
    const Context decoder = context();
    add("base64-decode", "openssl", layout, size, source->size(), [=] {
        int written = 0, rest = 0;
        EVP_DecodeInit(decoder.get());
        EVP_DecodeUpdate(decoder.get(), octets_of(target), &written, octets_of(source),
                         int(source->size()));
        EVP_DecodeFinal(decoder.get(), octets_of(target) + written, &rest);
        benchmark::DoNotOptimize(written + rest);
    });
}

} // namespace

void add_openssl()
{
    for (size_t size : sizes) {
        add_encode(size);
        add_decode_plain(size);
        for (const char *layout : {"crlf-76", "crlf-64", "lf-76"})
            add_decode_lines(layout, size);
    }
}

} // namespace bench
