/* SPDX-License-Identifier: Apache-2.0
 *
 * table_text - columns for a terminal, sizes and spans of time in few characters
 */
#include "command.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { WIDTH_MAX = 48 }; /* of a column but the last: what is longer pushes its row to the right */

void table_text_add(struct table_text *table, const char *format, ...)
{
    char cell[512];
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof(cell), format, args);
    va_end(args);
    if (table->count == table->cap) {
        table->cap = table->cap ? 2 * table->cap : 64;
        table->cells = base_realloc(table->cells, table->cap * sizeof(*table->cells));
    }
    const size_t size = strlen(cell) + 1;
    table->cells[table->count] = base_alloc(size);
    memcpy(table->cells[table->count++], cell, size);
}

void table_text_deinit(struct table_text *table)
{
    for (size_t i = 0; i < table->count; i++)
        base_free(table->cells[i]);
    base_free(table->cells);
    table->cells = NULL;
    table->count = table->cap = 0;
}

/* Characters, where octets are UTF-8. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void print_clean(const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        const bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
        putchar(c < 0x20 || c == 0x7f || c1 ? '?' : c);
        text += c1;
    }
}

static void print_row(const struct table_text *table, char *const *cells, const size_t *widths)
{
    for (size_t i = 0; i < table->columns; i++) {
        const size_t width = width_of(cells[i]);
        const int gap = width < widths[i] ? (int)(widths[i] - width) : 0;
        const bool last = i + 1 == table->columns;
        if (table->right[i]) printf("%*s", gap, "");
        print_clean(cells[i]);
        if (!table->right[i] && !last) printf("%*s", gap, "");
        if (!last) fputs("  ", stdout);
    }
    putchar('\n');
}

void table_text_print(const struct table_text *table)
{
    size_t widths[TABLE_COLUMNS_MAX];
    char *titles[TABLE_COLUMNS_MAX];
    if (table->count == 0) return;
    for (size_t i = 0; i < table->columns; i++) {
        titles[i] = (char *)(uintptr_t)table->titles[i]; /* only read */
        widths[i] = width_of(table->titles[i]);
    }
    for (size_t i = 0; i < table->count; i++) {
        const size_t width = MIN(width_of(table->cells[i]), (size_t)WIDTH_MAX);
        widths[i % table->columns] = MAX(widths[i % table->columns], width);
    }
    print_row(table, titles, widths);
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
        print_row(table, table->cells + i, widths);
}

const char *span_print(int64_t ms, char *out)
{
    const int64_t s = ms > 0 ? ms / 1000 : 0;
    if (s < 120) {
        snprintf(out, SPAN_TEXT_MAX, "%" PRId64 "s", s);
    } else if (s < 7200) {
        snprintf(out, SPAN_TEXT_MAX, "%" PRId64 "m", s / 60);
    } else if (s < 2 * 86400) {
        snprintf(out, SPAN_TEXT_MAX, "%" PRId64 "h", s / 3600);
    } else {
        snprintf(out, SPAN_TEXT_MAX, "%" PRId64 "d", s / 86400);
    }
    return out;
}

const char *octets_print(uint64_t n, char *out)
{
    static const char units[] = "KMGTPE";
    size_t unit = 0;
    double value = (double)n / 1024;
    if (n < 1024) {
        snprintf(out, SPAN_TEXT_MAX, "%" PRIu64, n);
        return out;
    }
    while (value >= 1024 && unit + 1 < sizeof(units) - 1) {
        value /= 1024;
        unit += 1;
    }
    snprintf(out, SPAN_TEXT_MAX, "%.1f%c", value, units[unit]);
    return out;
}
