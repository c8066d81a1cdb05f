/* SPDX-License-Identifier: Apache-2.0
 *
 * prop - a small frame for property tests, without a library, so that they also run cross-compiled
 * (NEON under qemu-user) and with emulated instruction sets
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/simd.h"

NORETURN void prop_fail(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);
#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (UNLIKELY(!(x))) prop_fail(__FILE__, __LINE__, "%s", #x);                               \
    } while (0)
#define CHECK_EQUAL(a, b)     prop_equal((uint64_t)(a), (uint64_t)(b), #a, #b, __FILE__, __LINE__)
#define CHECK_SAME(a, b, len) prop_same(a, b, len, #a, #b, __FILE__, __LINE__)
void prop_equal(uint64_t a, uint64_t b, const char *a_is, const char *b_is, const char *file,
                int line);
void prop_same(const void *a, const void *b, size_t len, const char *a_is, const char *b_is,
               const char *file, int line); /* prints both around the first difference */

/* Memory of exactly len octets (at most PROP_GUARDED_MAX) between two pages that nobody may touch.
 * It ends where the second begins, or begins where the first ends: the other side has up to a page
 * of slack, which prop_guarded_check() looks at. Slots: 0..PROP_SLOTS-1, each one piece of memory.
 */
enum { PROP_SLOTS = 4, PROP_GUARDED_MAX = 1 << 16 };
char *prop_guarded_end(unsigned slot, size_t len);
char *prop_guarded_start(unsigned slot, size_t len);
void prop_guarded_check(unsigned slot); /* nothing beside the len octets was written */

struct prop_test {
    const char *name;
    void (*run)(enum simd_level level); /* level has been selected; run() may select others */
    bool once;                          /* scalar only: the specification against a model */
};
/* Runs each test for each level of this CPU but scalar, or once; prints a line each. Arguments:
 * names of tests. Returns main()'s status. */
int prop_main(int argc, char **argv, const struct prop_test *tests, size_t count);
