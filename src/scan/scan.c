/* SPDX-License-Identifier: Apache-2.0
 *
 * scan - chooses the kernels, once, and passes calls on to them
 *
 * The choice is made by a constructor, before main() and before any thread: afterwards the table
 * is only read.
 */
#include "scan_ops.h"
#include <stdlib.h>

static const struct scan_ops *ops = &scan_ops_scalar;

/* The best first. */
static const struct scan_ops *const kernels[] = {
#ifdef SCAN_X86
    &scan_ops_avx512,
    &scan_ops_avx2,
#endif
    &scan_ops_scalar,
};

static bool cpu_has(const struct scan_ops *kernel)
{
#ifdef SCAN_X86
    const bool crc = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    const bool avx2 = crc && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
    if (kernel == &scan_ops_avx2) return avx2;
    if (kernel == &scan_ops_avx512) {
        return avx2 && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    }
#endif
    return kernel == &scan_ops_scalar;
}

bool scan_select(const char *kernel)
{
    for (size_t i = 0; i < ARRAY_COUNT(kernels); i++) {
        if (strcmp(kernel, kernels[i]->name) == 0 && cpu_has(kernels[i])) {
            ops = kernels[i];
            return true;
        }
    }
    return false;
}

static __attribute__((constructor)) void choose_kernel(void)
{
    const char *wanted = getenv("RINGPOST_SIMD");
    size_t best = 0;
#ifdef SCAN_X86
    __builtin_cpu_init();
#endif
    scan_crc32c_tables_init();
    if (wanted != NULL && scan_select(wanted)) return;
    while (!cpu_has(kernels[best]))
        best += 1; /* the scalar one is always there */
    ops = kernels[best];
}

const char *scan_kernel(void)
{
    return ops->name;
}

size_t scan_find_crlf(const char *data, size_t len)
{
    return ops->find_crlf(data, len);
}

bool scan_has_8bit(const char *data, size_t len)
{
    return ops->has_8bit(data, len);
}

uint32_t scan_crc32c(uint32_t seed, const void *data, size_t len)
{
    return ops->crc32c(seed, data, len);
}

struct scan_progress scan_read(struct scan_reader *reader, const char *src, size_t len, char *dst,
                               size_t cap)
{
    return ops->read(reader, src, len, dst, cap);
}

size_t scan_stuff(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst)
{
    return ops->stuff(stuffer, src, len, dst);
}

void scan_reader_finish(struct scan_reader *reader)
{
    ASSERT(reader->dots == (reader->state == SCAN_END));
    if (reader->state == SCAN_AFTER_CR) {
        reader->classes |= SCAN_BARE_CR;
        reader->state = SCAN_IN_LINE;
    }
    reader->line_max = MAX(reader->line_max, reader->line);
}
