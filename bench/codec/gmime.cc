// SPDX-License-Identifier: Apache-2.0
//
// gmime - GMime's encodings, dot-stuffing and encoded-words. Its lines end in LF, and its quoted-
// printable decoder leaves white space at the end of a line.
#include "bench.h"
#include <gmime/gmime.h>

namespace bench
{

namespace
{

size_t encode(GMimeContentEncoding encoding, const Buffer &source, size_t size,
              const Buffer &target)
{
    GMimeEncoding state;
    g_mime_encoding_init_encode(&state, encoding);
    return g_mime_encoding_flush(&state, source->data(), size, target->data());
}

void add_encode(const std::string &operation, GMimeContentEncoding encoding,
                const std::string &input, const Buffer &source, size_t text_octets)
{
    const size_t size = source->size();
    const Buffer target = scratch(size * 4 + 1024);
    add(operation, "gmime", input, size, text_octets,
        [=] { benchmark::DoNotOptimize(encode(encoding, source, size, target)); });
}

void add_decode(const std::string &operation, GMimeContentEncoding encoding,
                const std::string &input, size_t size, const Buffer &source, size_t len)
{
    const Buffer target = scratch(len + 1024);
    add(operation, "gmime", input, size, len, [=] {
        GMimeEncoding state;
        g_mime_encoding_init_decode(&state, encoding);
        benchmark::DoNotOptimize(g_mime_encoding_step(&state, source->data(), len, target->data()));
    });
}

void add_base64(size_t size)
{
    const Buffer octets = random_octets(size);
    add_encode("base64-encode", GMIME_CONTENT_ENCODING_BASE64, "lines-76", octets,
               codec_base64_encoded_len(size, 76));
    for (const char *layout : {"plain", "crlf-76", "crlf-64", "lf-76"}) {
        const Buffer lines = base64_text(octets, layout);
        add_decode("base64-decode", GMIME_CONTENT_ENCODING_BASE64, layout, size, lines,
                   lines->size());
    }
}

void add_quoted_printable(const std::string &input, size_t size)
{
    const auto pieces = qp_pieces(input, size);
    const Buffer plain = text(input, spanned(size)), target = scratch(size * 4 + 1024);
    add("qp_encode", "gmime", input, size, pieces->mean(), [=](size_t at) {
        GMimeEncoding state;
        g_mime_encoding_init_encode(&state, GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
        benchmark::DoNotOptimize(
            g_mime_encoding_flush(&state, plain->data() + at, size, target->data()));
    });
    add("qp_decode", "gmime", input, size, pieces->mean(), [=](size_t at) {
        const std::string_view piece = pieces->at(at);
        GMimeEncoding state;
        g_mime_encoding_init_decode(&state, GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
        benchmark::DoNotOptimize(
            g_mime_encoding_step(&state, piece.data(), piece.size(), target->data()));
    });
}

void add_uuencode(size_t size)
{
    const Buffer octets = random_octets(size), lines = buffer(codec_uu_encoded_max(size));
    const size_t len = codec_uu_encode(octets->data(), size, lines->data());
    add_encode("uu_encode", GMIME_CONTENT_ENCODING_UUENCODE, "crlf", octets, len);
    add_decode("uu_decode", GMIME_CONTENT_ENCODING_UUENCODE, "crlf", size, lines, len);
}

void add_stuffing(const std::string &input, size_t size)
{
    const Buffer source = text(input, spanned(size));
    const std::shared_ptr<GMimeFilter> filter(g_mime_filter_smtp_data_new(), g_object_unref);
    add("scan_stuff", "gmime", input, size, size, [=](size_t at) {
        char *out = nullptr;
        size_t len = 0, before = 0;
        g_mime_filter_reset(filter.get());
        g_mime_filter_filter(filter.get(), source->data() + at, size, 0, &out, &len, &before);
        benchmark::DoNotOptimize(out);
    });
}

// One header field after the other; each result is a string of its own.
template <class Run>
void add_fields(const std::string &operation, const std::string &kind,
                const std::vector<std::string> &fields, size_t text_octets, Run run)
{
    size_t next = 0;
    add(operation, "gmime", kind, SUBJECT, text_octets / fields.size(), [=]() mutable {
        char *const result = run(fields[next].c_str());
        benchmark::DoNotOptimize(result);
        g_free(result);
        next = next + 1 == fields.size() ? 0 : next + 1;
    });
}

void add_words(const std::string &kind)
{
    const std::vector<std::string> plain = subjects(kind);
    std::vector<std::string> encoded;
    size_t octets = 0;
    for (const std::string &subject : plain) {
        std::string field(codec_word_encoded_max(subject.size()), '\0');
        field.resize(codec_word_encode(subject.data(), subject.size(), &field[0], 9,
                                       CODEC_WORD_TEXT, CODEC_WORD_AUTO));
        octets += field.size();
        encoded.push_back(field);
    }
    add_fields("word_encode", kind, plain, octets, [](const char *text) {
        return g_mime_utils_header_encode_text(nullptr, text, "utf-8");
    });
    add_fields("word_decode", kind, encoded, octets,
               [](const char *text) { return g_mime_utils_header_decode_text(nullptr, text); });
}

} // namespace

void add_gmime()
{
    g_mime_init();
    for (const char *kind : {"latin", "cyrillic"})
        add_words(kind);
    for (size_t size : sizes) {
        add_base64(size);
        add_uuencode(size);
        for (const char *input : {"ascii", "latin", "cyrillic", "html"})
            add_quoted_printable(input, size);
        for (const char *input : {"ascii", "base64", "dots"})
            add_stuffing(input, size);
    }
}

} // namespace bench
