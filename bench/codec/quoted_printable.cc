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
    const auto pieces = qp_pieces(kind, size);
    const Buffer back = scratch(codec_qp_encoded_max(size));
    add_levels(operation, kind, size, pieces->mean(), [=](size_t at) {
        const std::string_view piece = pieces->at(at);
        benchmark::DoNotOptimize(codec_qp_decode(piece.data(), piece.size(), back->data(), mode));
    });
}

static void add_encode(const std::string &kind, size_t size)
{
    const Buffer plain = text(kind, spanned(size)), encoded = scratch(codec_qp_encoded_max(size));
    add_levels("qp_encode", kind, size, qp_pieces(kind, size)->mean(), [=](size_t at) {
        benchmark::DoNotOptimize(codec_qp_encode(plain->data() + at, size, encoded->data(), 0));
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
