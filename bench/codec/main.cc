// SPDX-License-Identifier: Apache-2.0
//
// main - registers all benchmarks and runs them, as Google Benchmark's own options say; started by
// scripts/bench codec
#include "bench.h"

int main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::AddCustomContext("simd_level", simd_name(simd_level()));

    bench::add_memcpy();
    bench::add_base64();
    bench::add_quoted_printable();
    bench::add_scan();
    bench::add_dkim();
    bench::add_uuencode();
    bench::add_words();
    bench::add_loops();
    for (void (*add)() :
         {bench::add_openssl, bench::add_glib, bench::add_gmime, bench::add_simdjson}) {
        if (add != nullptr) add();
    }

    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
