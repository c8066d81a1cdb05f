// SPDX-License-Identifier: Apache-2.0
//
// simdjson - its validation of UTF-8
#include "bench.h"
#include <simdjson.h>

namespace bench
{

void add_simdjson()
{
    for (size_t size : sizes) {
        for (const char *input : {"ascii", "latin", "cyrillic", "html"}) {
            Buffer source = text(input, spanned(size));
            add("scan_utf8", "simdjson", input, size, size, [=](size_t at) {
                const std::string_view piece = characters(source, at, size);
                benchmark::DoNotOptimize(simdjson::validate_utf8(piece.data(), piece.size()));
            });
        }
    }
}

} // namespace bench
