// SPDX-License-Identifier: Apache-2.0
//
// bench - how a benchmark of the codecs is registered
//
// A name is operation/who/input/size. who: a level of simd.h, or a library we compare with. size:
// octets on the binary side (what is not encoded). The rate that counts is octets of text (the
// encoded side) a second; its ratio is to memcpy of the same size in the same run.
#pragma once
#include "ringpost/codec.h"
#include "ringpost/scan.h"
#include "ringpost/simd.h"
#include <benchmark/benchmark.h>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace bench
{

inline constexpr size_t sizes[] = {64, 1 << 10, 16 << 10, 256 << 10, 8 << 20};

// At the start of a cache line (memory.cc): where malloc() happens to put it must not be a result.
using Buffer = std::shared_ptr<std::vector<char>>;
inline Buffer buffer(size_t size)
{
    return std::make_shared<std::vector<char>>(size);
}
// Where results go that nobody looks at: the same memory for all, at least that large.
Buffer scratch(size_t size);

// Inputs that do not repeat within 256 KB, the same in every run.
Buffer random_octets(size_t size);
// Kinds: "ascii" (English prose), "latin" (Western European in UTF-8), "cyrillic", "html",
// "base64" (lines of 76), "dots" (short lines, most with a stuffed dot). CRLF ends the lines; size
// octets, cut anywhere.
Buffer text(const std::string &kind, size_t size);
// Header fields of about SUBJECT octets in whole characters, cut from such a text.
enum { SUBJECT = 60 };
std::vector<std::string> subjects(const std::string &kind);
// Those octets in base64 as others have laid it out: "plain", "crlf-76", "crlf-64", "lf-76".
Buffer base64_text(const Buffer &octets, const std::string &layout);

// run() works on all of its input each time. run(at) works on size octets at that offset of an
// input of spanned(size): small pieces of a large text, one after the other, so that no branch
// predictor knows them by heart.
inline constexpr size_t span = 256 << 10;
inline size_t spanned(size_t size)
{
    return size < span ? span : size;
}

// Those octets, without a character that was cut at their beginning.
inline std::string_view characters(const Buffer &source, size_t at, size_t size)
{
    std::string_view piece(source->data() + at, size);
    while (!piece.empty() && (piece[0] & 0xc0) == 0x80)
        piece.remove_prefix(1);
    return piece;
}

// The pieces of spanned(size) octets of a text, each encoded as quoted-printable by itself.
struct QpPieces {
    std::vector<char> encoded;
    std::vector<size_t> begins; // of each piece, and the end
    size_t size;                // of a piece before
    // The piece that is at that offset of the text.
    std::string_view at(size_t offset) const
    {
        const size_t begin = begins[offset / size];
        return {encoded.data() + begin, begins[offset / size + 1] - begin};
    }
    size_t mean() const { return encoded.size() / (begins.size() - 1); }
};
std::shared_ptr<const QpPieces> qp_pieces(const std::string &kind, size_t size);

template <class Run> void repeat(benchmark::State &state, Run &run, size_t size, size_t text_octets)
{
    if constexpr (std::is_invocable_v<Run, size_t>) {
        const size_t last = spanned(size) - size;
        size_t at = 0;
        for (auto _ : state) {
            run(at);
            benchmark::ClobberMemory();
            at = at + size <= last ? at + size : 0;
        }
    } else {
        for (auto _ : state) {
            run();
            benchmark::ClobberMemory();
        }
    }
    state.SetBytesProcessed(int64_t(state.iterations()) * int64_t(text_octets));
}

template <class Run>
void add(const std::string &operation, const std::string &who, const std::string &input,
         size_t size, size_t text_octets, Run run)
{
    const std::string name = operation + "/" + who + "/" + input + "/" + std::to_string(size);
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) mutable {
        repeat(state, run, size, text_octets);
    });
}

// The same for every level that this CPU has.
template <class Run>
void add_levels(const std::string &operation, const std::string &input, size_t size,
                size_t text_octets, Run run)
{
    for (int number = 0; number < SIMD_LEVEL_COUNT; number++) {
        const auto level = static_cast<enum simd_level>(number);
        if (!simd_available(level)) continue;
        const std::string name =
            operation + "/" + simd_name(level) + "/" + input + "/" + std::to_string(size);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) mutable {
            simd_select(level);
            repeat(state, run, size, text_octets);
        });
    }
}

// Each family's file: registers what it has. Called by main.cc.
void add_memcpy();
void add_base64();
void add_quoted_printable();
void add_scan();
void add_dkim();
void add_uuencode();
void add_words();

// What we are compared with; a library that is not installed is left out.
void add_loops();
[[gnu::weak]] void add_openssl();
[[gnu::weak]] void add_glib();
[[gnu::weak]] void add_gmime();
[[gnu::weak]] void add_simdjson();

} // namespace bench
