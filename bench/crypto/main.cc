// SPDX-License-Identifier: Apache-2.0
//
// main - registers all benchmarks and runs them, as Google Benchmark's own options say; started by
// scripts/bench crypto
#include "bench.h"

int main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::AddCustomContext("simd_level", simd_name(simd_level()));

    bench::add_hash();
    bench::add_sign();
    bench::add_handshake();

    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
