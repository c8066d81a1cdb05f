// SPDX-License-Identifier: Apache-2.0
//
// memory - all that the benchmarks allocate begins at a cache line
#include <cstdlib>
#include <new>

void *operator new(size_t size)
{
    void *const memory = std::aligned_alloc(64, (size + 63) / 64 * 64);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

void operator delete(void *memory) noexcept
{
    std::free(memory);
}

void operator delete(void *memory, size_t) noexcept
{
    std::free(memory);
}
