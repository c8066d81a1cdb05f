// SPDX-License-Identifier: Apache-2.0
//
// quoted_printable - RFC 2045 section 6.7: text of four kinds, both ways
//
// Size is that of the text before it is encoded; the rate counts the encoded octets.
#include "bench.h"

namespace bench
{

static void add_decode(const std::string &kind, size_t size, const std::string &operation,
                       enum codec_qp_mode mode)
{
    const Buffer plain = text(kind, size);
    const Buffer encoded = buffer(codec_qp_encoded_max(size)), back = buffer(size * 3 + 256);
    const size_t length = codec_qp_encode(plain->data(), size, encoded->data(), 0);
    encoded->resize(length);
    encoded->shrink_to_fit();
    add_levels(operation, kind, size, length, [=] {
        benchmark::DoNotOptimize(codec_qp_decode(encoded->data(), length, back->data(), mode));
    });
}

static void add_encode(const std::string &kind, size_t size)
{
    const Buffer plain = text(kind, size), encoded = buffer(codec_qp_encoded_max(size));
    const size_t length = codec_qp_encode(plain->data(), size, encoded->data(), 0);
    add_levels("qp_encode", kind, size, length, [=] {
        benchmark::DoNotOptimize(codec_qp_encode(plain->data(), size, encoded->data(), 0));
    });
}

void add_quoted_printable()
{
    for (const char *kind : {"ascii", "latin", "cyrillic", "html"}) {
        for (const size_t size : sizes) {
            add_encode(kind, size);
            add_decode(kind, size, "qp_decode", CODEC_QP_LENIENT);
            add_decode(kind, size, "qp_decode_strict", CODEC_QP_STRICT);
        }
    }
}

} // namespace bench
