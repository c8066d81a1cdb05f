// SPDX-License-Identifier: Apache-2.0
//
// glib - GLib's base64 and UTF-8
#include "bench.h"
#include <glib.h>

namespace bench
{

namespace
{

const auto *octets_of(const Buffer &buffer)
{
    return reinterpret_cast<const guchar *>(buffer->data());
}

// Lines: of 76 characters, with LF.
size_t encode(const Buffer &source, size_t size, const Buffer &target, bool lines)
{
    gint state = 0, save = 0;
    const size_t written =
        g_base64_encode_step(octets_of(source), size, lines, target->data(), &state, &save);
    return written + g_base64_encode_close(lines, target->data() + written, &state, &save);
}

void add_encode(size_t size)
{
    const Buffer source = random_octets(size), target = scratch(size / 3 * 4 + size / 32 + 64);
    for (const bool lines : {false, true}) {
        add("base64-encode", "glib", lines ? "lines-76" : "plain", size,
            codec_base64_encoded_len(size, lines ? 76 : 0),
            [=] { benchmark::DoNotOptimize(encode(source, size, target, lines)); });
    }
}

void add_decode(const std::string &layout, size_t size)
{
    const Buffer source = base64_text(random_octets(size), layout), target = scratch(size + 64);
    add("base64-decode", "glib", layout, size, source->size(), [=] {
        gint state = 0;
        guint save = 0;
        benchmark::DoNotOptimize(g_base64_decode_step(source->data(), source->size(),
                                                      reinterpret_cast<guchar *>(target->data()),
                                                      &state, &save));
    });
}

} // namespace

void add_glib()
{
    for (size_t size : sizes) {
        add_encode(size);
        for (const char *layout : {"plain", "crlf-76", "crlf-64", "lf-76"})
            add_decode(layout, size);
        for (const char *input : {"ascii", "latin", "cyrillic", "html"}) {
            Buffer source = text(input, spanned(size));
            add("scan_utf8", "glib", input, size, size, [=](size_t at) {
                const std::string_view piece = characters(source, at, size);
                benchmark::DoNotOptimize(g_utf8_validate_len(piece.data(), piece.size(), nullptr));
            });
        }
    }
}

} // namespace bench
