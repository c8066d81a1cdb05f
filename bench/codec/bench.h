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
#include <vector>

namespace bench
{

inline constexpr size_t sizes[] = {64, 1 << 10, 16 << 10, 256 << 10, 8 << 20};

using Buffer = std::shared_ptr<std::vector<char>>;
inline Buffer buffer(size_t size)
{
    return std::make_shared<std::vector<char>>(size);
}

// Inputs that do not repeat within 256 KB, the same in every run.
Buffer random_octets(size_t size);
// Kinds: "ascii" (English prose), "latin" (Western European in UTF-8), "cyrillic", "html",
// "base64" (lines of 76), "dots" (short lines, most with a leading dot). CRLF ends the lines; size
// octets, cut anywhere.
Buffer text(const std::string &kind, size_t size);

template <class Run>
void add(const std::string &operation, const std::string &who, const std::string &input,
         size_t size, size_t text_octets, Run run)
{
    const std::string name = operation + "/" + who + "/" + input + "/" + std::to_string(size);
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) mutable {
        for (auto _ : state) {
            run();
            benchmark::ClobberMemory();
        }
        state.SetBytesProcessed(int64_t(state.iterations()) * int64_t(text_octets));
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
            for (auto _ : state) {
                run();
                benchmark::ClobberMemory();
            }
            state.SetBytesProcessed(int64_t(state.iterations()) * int64_t(text_octets));
        });
    }
}

// Each family's file: registers what it has. Called by main.cc.
void add_base64();
void add_quoted_printable();
void add_scan();
void add_dkim();
void add_uuencode();
void add_words();

} // namespace bench
