/* SPDX-License-Identifier: Apache-2.0
 *
 * prop - see prop.h
 */
#include "prop.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void prop_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s:%d: (%s) ", file, line, simd_name(simd_level()));
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    abort(); /* a debugger or a core shows the rest */
}

void prop_equal(uint64_t a, uint64_t b, const char *a_is, const char *b_is, const char *file,
                int line)
{
    if (a == b) return;
    prop_fail(file, line, "%s = %llu, %s = %llu", a_is, (unsigned long long)a, b_is,
              (unsigned long long)b);
}

static void print_around(const char *what, const unsigned char *octets, size_t len, size_t at)
{
    printf("%s:", what);
    for (size_t i = at < 16 ? 0 : at - 16; i < len && i < at + 16; i++)
        printf(i == at ? " [%02x]" : " %02x", octets[i]);
    printf("\n");
}

void prop_same(const void *a, const void *b, size_t len, const char *a_is, const char *b_is,
               const char *file, int line)
{
    if (len == 0 || memcmp(a, b, len) == 0) return;
    const unsigned char *left = a, *right = b;
    size_t at = 0;
    while (left[at] == right[at])
        at += 1;
    print_around(a_is, left, len, at);
    print_around(b_is, right, len, at);
    prop_fail(file, line, "%s and %s differ at %zu of %zu", a_is, b_is, at, len);
}

/* ---- guarded memory ---------------------------------------------------------------------------
 */

#define SLACK 0xa5

static struct slot {
    char *begin; /* PROP_GUARDED_MAX octets between two pages without access */
    char *data;
    size_t len;
} slots[PROP_SLOTS];

static char *place(unsigned number, size_t len, bool at_end)
{
    struct slot *slot = &slots[number];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(number < PROP_SLOTS && len <= PROP_GUARDED_MAX);
    if (slot->begin == NULL) {
        char *all =
            mmap(NULL, PROP_GUARDED_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(all != MAP_FAILED);
        CHECK(mprotect(all + page, PROP_GUARDED_MAX, PROT_READ | PROT_WRITE) == 0);
        slot->begin = all + page;
        memset(slot->begin, SLACK, PROP_GUARDED_MAX);
    } else {
        memset(slot->data, SLACK, slot->len);
    }
    slot->len = len;
    slot->data = at_end ? slot->begin + PROP_GUARDED_MAX - len : slot->begin;
    return slot->data;
}

char *prop_guarded_end(unsigned slot, size_t len)
{
    return place(slot, len, true);
}

char *prop_guarded_start(unsigned slot, size_t len)
{
    return place(slot, len, false);
}

void prop_guarded_check(unsigned number)
{
    const struct slot *slot = &slots[number];
    const char *end = slot->data + slot->len, *limit = slot->begin + PROP_GUARDED_MAX;
    const char *from = slot->data - MIN((size_t)(slot->data - slot->begin), (size_t)4096);
    const char *to = end + MIN((size_t)(limit - end), (size_t)4096);
    for (const char *at = from; at < slot->data; at++)
        CHECK((unsigned char)*at == SLACK);
    for (const char *at = end; at < to; at++)
        CHECK((unsigned char)*at == SLACK);
}

/* ---- main --------------------------------------------------------------------------------------
 */

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) return true;
    }
    return argc <= 1;
}

static void run(const struct prop_test *test, enum simd_level level)
{
    CHECK(simd_select(level));
    test->run(level);
    printf("ok %s (%s)\n", test->name, simd_name(level));
    fflush(stdout);
}

int prop_main(int argc, char **argv, const struct prop_test *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!wanted(tests[i].name, argc, argv)) continue;
        if (tests[i].once) run(&tests[i], SIMD_SCALAR);
        for (int level = SIMD_SCALAR + 1; level < SIMD_LEVEL_COUNT && !tests[i].once; level++) {
            if (simd_available((enum simd_level)level)) run(&tests[i], (enum simd_level)level);
        }
    }
    return 0;
}
