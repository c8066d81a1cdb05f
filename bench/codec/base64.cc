// SPDX-License-Identifier: Apache-2.0
//
// base64 - encode and decode, plain and MIME, lines as they should be and as they are
//
// Others' functions for base64 are in the files of their libraries.
#include "bench.h"

namespace bench
{
namespace
{

// Characters of a line and what ends it; the last line ends, too.
Buffer lay_out(const std::vector<char> &plain, size_t line, const char *end, bool irregular)
{
    auto text = buffer(0);
    size_t column = 0, wanted = line, seed = 1;
    for (size_t i = 0; i < plain.size(); i++) {
        text->push_back(plain[i]);
        if (++column < wanted && i + 1 < plain.size()) continue;
        for (const char *c = end; *c != 0; c++)
            text->push_back(*c);
        column = 0;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (irregular) wanted = 1 + (seed >> 33) % (2 * line);
    }
    return text;
}

std::vector<char> encoded(const std::vector<char> &octets)
{
    std::vector<char> text(codec_base64_encoded_len(octets.size(), 0));
    codec_base64_encode(octets.data(), octets.size(), text.data());
    return text;
}

void add_encode(size_t size)
{
    const Buffer src = random_octets(size);
    for (const size_t line : {size_t(0), size_t(76), size_t(64)}) {
        const size_t len = codec_base64_encoded_len(size, line);
        const Buffer dst = scratch(len);
        const std::string input = line == 0 ? "plain" : "lines-" + std::to_string(line);
        add_levels("base64-encode", input, size, len, [=] {
            benchmark::DoNotOptimize(
                codec_base64_encode_lines(src->data(), size, dst->data(), line));
        });
    }
}

void add_decode(const std::string &input, size_t size, const Buffer &text,
                enum codec_base64_mode mode)
{
    const Buffer dst = scratch(codec_base64_decoded_max(text->size()));
    add_levels("base64-decode", input, size, text->size(), [=] {
        benchmark::DoNotOptimize(
            codec_base64_decode(text->data(), text->size(), dst->data(), mode));
    });
}

} // namespace

void add_base64()
{
    for (const size_t size : sizes) {
        const std::vector<char> plain = encoded(*random_octets(size));
        add_encode(size);
        add_decode("plain", size, std::make_shared<std::vector<char>>(plain), CODEC_BASE64_PLAIN);
        add_decode("crlf-76", size, lay_out(plain, 76, "\r\n", false), CODEC_BASE64_STRICT);
        add_decode("lf-76", size, lay_out(plain, 76, "\n", false), CODEC_BASE64_STRICT);
        add_decode("crlf-64", size, lay_out(plain, 64, "\r\n", false), CODEC_BASE64_STRICT);
        add_decode("irregular", size, lay_out(plain, 76, "\r\n", true), CODEC_BASE64_STRICT);
        add_decode("lenient", size, lay_out(plain, 76, "\r\n", true), CODEC_BASE64_LENIENT);
    }
}

} // namespace bench
