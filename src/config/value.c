/* SPDX-License-Identifier: Apache-2.0
 *
 * value - words of the configuration to numbers and back: sizes, durations, switches
 *
 * Pure functions over bytes. Each returns NULL, or what is wrong in words that end a sentence
 * beginning with the setting's name.
 */
#include "config_private.h"

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit size_units[] = {
    {"B", 1},
    {"K", 1ull << 10},
    {"KB", 1ull << 10},
    {"KiB", 1ull << 10},
    {"M", 1ull << 20},
    {"MB", 1ull << 20},
    {"MiB", 1ull << 20},
    {"G", 1ull << 30},
    {"GB", 1ull << 30},
    {"GiB", 1ull << 30},
    {"T", 1ull << 40},
    {"TB", 1ull << 40},
    {"TiB", 1ull << 40},
};
static const struct unit duration_units[] = {
    {"ms", DURATION_MS(1)},    {"s", DURATION_S(1)},    {"m", DURATION_S(60)},
    {"min", DURATION_S(60)},   {"h", DURATION_S(3600)}, {"d", DURATION_S(86400)},
    {"w", DURATION_S(604800)},
};

static size_t digits(struct bytes text)
{
    size_t count = 0;
    while (count < text.len && text.data[count] >= '0' && text.data[count] <= '9')
        count += 1;
    return count;
}

static bool is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static const struct unit *find_unit(const struct unit *units, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(bytes_of(units[i].name), name)) return &units[i];
    }
    return NULL;
}

const char *config_parse_size(struct bytes text, uint64_t *size)
{
    static const char wrong[] = "is not a size: write it like 64K, 50M or 10G";
    const size_t count = digits(text);
    uint64_t number;
    if (!bytes_to_u64((struct bytes){text.data, count}, UINT64_MAX, &number)) return wrong;
    const struct bytes name = bytes_trim(bytes_skip(text, count));
    uint64_t factor = 1;
    if (name.len > 0) {
        const struct unit *unit = find_unit(size_units, ARRAY_COUNT(size_units), name);
        if (unit == NULL) return wrong;
        factor = unit->factor;
    }
    if (number > INT64_MAX / factor) return "is too large";
    *size = number * factor;
    return NULL;
}

/* "90" is 90 seconds; else parts of a number and a unit, the larger first: "1h30m". */
const char *config_parse_duration(struct bytes text, duration *span)
{
    static const char wrong[] = "is not a duration: write it like 500ms, 30s, 5m, 1h30m or 5d";
    uint64_t sum = 0, last_factor = UINT64_MAX;
    text = bytes_trim(text);
    if (text.len == 0) return wrong;
    while (text.len > 0) {
        const size_t count = digits(text);
        uint64_t number;
        if (!bytes_to_u64((struct bytes){text.data, count}, UINT64_MAX, &number)) return wrong;
        text = bytes_skip(text, count);
        struct bytes name = {text.data, 0};
        while (name.len < text.len && is_letter(text.data[name.len]))
            name.len += 1;
        uint64_t factor = DURATION_S(1);
        if (name.len > 0 || sum > 0 || last_factor != UINT64_MAX) {
            const struct unit *unit = find_unit(duration_units, ARRAY_COUNT(duration_units), name);
            if (unit == NULL) return wrong;
            factor = unit->factor;
        }
        if (factor >= last_factor) return wrong;
        last_factor = factor;
        text = bytes_trim(bytes_skip(text, name.len));
        if (number > (INT64_MAX - sum) / factor) return "is too long";
        sum += number * factor;
    }
    *span = sum;
    return NULL;
}

const char *config_parse_bool(struct bytes text, bool *value)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (bytes_equal_nocase(text, bytes_of(yes[i]))) return *value = true, NULL;
        if (bytes_equal_nocase(text, bytes_of(no[i]))) return *value = false, NULL;
    }
    return "is neither true nor false";
}

/* "20", "0.5": thousandths come out. */
const char *config_parse_milli(struct bytes text, uint64_t *milli)
{
    static const char wrong[] = "is not a number: write it like 20 or 0.5";
    const size_t count = digits(text);
    struct bytes rest = bytes_skip(text, count);
    uint64_t whole, part = 0;
    if (!bytes_to_u64((struct bytes){text.data, count}, UINT32_MAX, &whole)) return wrong;
    if (rest.len > 0) {
        if (rest.data[0] != '.' || rest.len > 4) return wrong;
        rest = bytes_skip(rest, 1);
        if (!bytes_to_u64(rest, 999, &part)) return wrong;
        for (size_t i = rest.len; i < 3; i++)
            part *= 10;
    }
    *milli = whole * 1000 + part;
    return NULL;
}

static void print_units(uint64_t value, const struct unit *units, size_t count, struct text *out)
{
    const struct unit *best = &units[0];
    for (size_t i = 0; i < count; i++) {
        const bool divides = value % units[i].factor == 0 && value >= units[i].factor;
        if (divides && units[i].factor > best->factor) best = &units[i];
    }
    text_printf(out, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

void config_print_size(uint64_t size, struct text *out)
{
    print_units(size, size_units, ARRAY_COUNT(size_units), out);
}

void config_print_duration(duration span, struct text *out)
{
    print_units(span, duration_units, ARRAY_COUNT(duration_units), out);
}

/* ---- the nearest name ------------------------------------------------------------------------ */

enum { NAME_MAX = 40 };

/* Edits (insert, drop, change, swap neighbours) from a to b: optimal string alignment, three rows
 * of the table at a time. */
static size_t edit_distance(struct bytes a, struct bytes b)
{
    size_t rows[3][NAME_MAX + 1];
    for (size_t k = 0; k <= b.len; k++)
        rows[0][k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            const bool same = ascii_lower(a.data[i - 1]) == ascii_lower(b.data[k - 1]);
            row[k] = MIN(above[k - 1] + !same, MIN(above[k], row[k - 1]) + 1);
            const bool swapped =
                i > 1 && k > 1 && a.data[i - 1] == b.data[k - 2] && a.data[i - 2] == b.data[k - 1];
            if (swapped) row[k] = MIN(row[k], before[k - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

/* Small enough to be a slip: a third of the letters, at least one. */
bool config_is_near(struct bytes typed, struct bytes name, size_t *distance)
{
    if (typed.len > NAME_MAX || name.len > NAME_MAX || typed.len == 0) return false;
    *distance = edit_distance(typed, name);
    return *distance <= MAX(MAX(typed.len, name.len) / 3, 1u);
}
