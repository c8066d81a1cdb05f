// SPDX-License-Identifier: Apache-2.0
//
// dkim - canonicalisation of bodies, relaxed and simple
#include "bench.h"

namespace bench
{
namespace
{

void add_body(const std::string &operation, enum codec_dkim_mode mode, const std::string &input,
              size_t size)
{
    Buffer source = text(input, spanned(size)), target = scratch(size + 2);
    add_levels(operation, input, size, size, [=](size_t at) {
        benchmark::DoNotOptimize(
            codec_dkim_canonical(source->data() + at, size, target->data(), mode));
    });
}

} // namespace

void add_dkim()
{
    for (size_t size : sizes) {
        for (const char *input : {"ascii", "latin", "cyrillic", "html", "base64"}) {
            add_body("dkim_relaxed", CODEC_DKIM_RELAXED, input, size);
            add_body("dkim_simple", CODEC_DKIM_SIMPLE, input, size);
        }
    }
}

} // namespace bench
