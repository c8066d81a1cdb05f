/* SPDX-License-Identifier: Apache-2.0
 *
 * base - failed assertions, bytes, memory
 */
#include "ringpost/base.h"
#include <stdio.h>
#include <stdlib.h>

void base_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "ringpost: BUG at %s:%d: %s\n", file, line, expression);
    abort();
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) return false;
    }
    return true;
}

bool bytes_starts_with_nocase(struct bytes text, struct bytes prefix)
{
    if (text.len < prefix.len) return false;
    return bytes_equal_nocase((struct bytes){text.data, prefix.len}, prefix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct bytes bytes_trim(struct bytes text)
{
    while (text.len > 0 && is_blank(text.data[0]))
        text = bytes_skip(text, 1);
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len -= 1;
    return text;
}

bool bytes_to_u64(struct bytes text, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;
    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        const unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10) return false;
        sum = sum * 10 + digit;
        if (sum > max) return false;
    }
    *value = sum;
    return true;
}

static NORETURN void out_of_memory(size_t size)
{
    fprintf(stderr, "ringpost: out of memory (%zu bytes wanted)\n", size);
    abort();
}

void *base_alloc(size_t size)
{
    void *ptr = calloc(1, size > 0 ? size : 1);
    if (ptr == NULL) out_of_memory(size);
    return ptr;
}

void *base_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, size > 0 ? size : 1);
    if (moved == NULL) out_of_memory(size);
    return moved;
}

void base_free(void *ptr)
{
    free(ptr);
}

void base_free_secret(void *ptr, size_t size)
{
    if (ptr != NULL) explicit_bzero(ptr, size);
    free(ptr);
}
