// SPDX-License-Identifier: Apache-2.0
//
// memcpy - what a copy of the same octets costs: the measure of all others
#include "bench.h"
#include <cstring>

namespace bench
{

void add_memcpy()
{
    for (size_t size : sizes) {
        Buffer source = random_octets(size), target = scratch(size);
        add("memcpy", "libc", "random", size, size, [=] {
            std::memcpy(target->data(), source->data(), size);
            benchmark::DoNotOptimize(target->data());
        });
    }
}

} // namespace bench
