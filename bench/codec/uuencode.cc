// SPDX-License-Identifier: Apache-2.0
//
// uuencode - full lines, with CRLF and with LF
#include "bench.h"

namespace bench
{
namespace
{

void add_decode(const std::string &input, size_t size, const Buffer &lines)
{
    const Buffer octets = scratch(lines->size());
    add_levels("uu_decode", input, size, lines->size(), [=] {
        benchmark::DoNotOptimize(
            codec_uu_decode(lines->data(), lines->size(), octets->data(), nullptr));
    });
}

} // namespace

void add_uuencode()
{
    for (size_t size : sizes) {
        const Buffer octets = random_octets(size), lines = buffer(codec_uu_encoded_max(size));
        const size_t len = codec_uu_encode(octets->data(), size, lines->data());
        lines->resize(len);
        const Buffer target = scratch(codec_uu_encoded_max(size));
        add_levels("uu_encode", "crlf", size, len, [=] {
            benchmark::DoNotOptimize(codec_uu_encode(octets->data(), size, target->data()));
        });
        add_decode("crlf", size, lines);
        const Buffer lf = buffer(0);
        for (char c : *lines) {
            if (c != '\r') lf->push_back(c);
        }
        add_decode("lf", size, lf);
    }
}

} // namespace bench
