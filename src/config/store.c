/* SPDX-License-Identifier: Apache-2.0
 *
 * store - one setting's words into its field, with what can be checked of it alone
 */
#include "config_private.h"
#include <stdio.h>

static void store_unsigned(void *field, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(uint8_t *)field = (uint8_t)value;
        return;
    case 2:
        *(uint16_t *)field = (uint16_t)value;
        return;
    case 4:
        *(uint32_t *)field = (uint32_t)value;
        return;
    case 8:
        *(uint64_t *)field = value;
        return;
    }
    UNREACHABLE("config: a field of a strange size");
}

static uint64_t largest(const struct setting *setting)
{
    const uint64_t fits = setting->size >= 8 ? INT64_MAX : (1ull << (8 * setting->size)) - 1;
    return setting->max == 0 ? fits : MIN(setting->max, fits);
}

static const char *print_bound(const struct setting *setting, uint64_t value, char *out, size_t cap)
{
    struct text text;
    text_init(&text, out, cap);
    if (setting->kind == SETTING_SIZE) {
        config_print_size(value, &text);
    } else if (setting->kind == SETTING_DURATION || setting->kind == SETTING_DURATIONS) {
        config_print_duration(value * setting->unit, &text);
    } else {
        text_printf(&text, "%llu", (unsigned long long)value);
    }
    return out;
}

/* A size, count or duration in the field's unit; false when it was not one (and was reported). */
static bool read_number(struct loader *loader, const struct setting *setting,
                        const struct config_word *word, uint64_t *value)
{
    const char *wrong = NULL;
    char low[32], high[32];
    if (setting->kind == SETTING_COUNT) {
        if (!bytes_to_u64(word->text, INT64_MAX, value)) wrong = "is not a whole number";
    } else if (setting->kind == SETTING_SIZE) {
        wrong = config_parse_size(word->text, value);
    } else {
        wrong = config_parse_duration(word->text, value);
        if (wrong == NULL && *value % setting->unit != 0) wrong = "must be in whole seconds";
        if (wrong == NULL) *value /= setting->unit;
    }
    if (wrong == NULL && *value >= setting->min && *value <= largest(setting)) return true;
    if (wrong != NULL) {
        config_error(loader, word->line, "%s: \"%.*s\" %s", setting->name, BYTES_FMT(word->text),
                     wrong);
    } else if (*value < setting->min && largest(setting) >= UINT32_MAX && setting->max == 0) {
        config_error(loader, word->line, "%s: \"%.*s\" is less than %s", setting->name,
                     BYTES_FMT(word->text), print_bound(setting, setting->min, low, sizeof(low)));
    } else {
        config_error(loader, word->line, "%s: \"%.*s\" is not between %s and %s", setting->name,
                     BYTES_FMT(word->text), print_bound(setting, setting->min, low, sizeof(low)),
                     print_bound(setting, largest(setting), high, sizeof(high)));
    }
    return false;
}

static void store_number(struct loader *loader, const struct setting *setting,
                         const struct config_word *word, void *field)
{
    uint64_t value;
    if (read_number(loader, setting, word, &value)) store_unsigned(field, setting->size, value);
}

/* Nothing that could begin a new line in a protocol or a log may come in by a setting. */
static bool is_clean(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f) return false;
    }
    return true;
}

static void store_text(struct loader *loader, const struct setting *setting,
                       const struct config_word *word, char *field)
{
    if (!is_clean(word->text)) {
        config_error(loader, word->line, "%s: there are control characters in it", setting->name);
    } else if (word->text.len >= setting->size) {
        config_error(loader, word->line, "%s: longer than %u characters", setting->name,
                     setting->size - 1u);
    } else {
        memcpy(field, word->text.data, word->text.len);
        field[word->text.len] = '\0';
    }
}

bool config_is_host(struct bytes name)
{
    struct address address;
    if (name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']') {
        name = (struct bytes){name.data + 1, name.len - 2};
        if (bytes_starts_with_nocase(name, BYTES("IPv6:"))) name = bytes_skip(name, 5);
        return address_parse_ip(name, &address);
    }
    bool label_start = true;
    for (size_t i = 0; i < name.len; i++) {
        const char c = ascii_lower(name.data[i]);
        const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (c == '.' ? label_start : !letter && (c != '-' || label_start)) return false;
        label_start = c == '.';
    }
    return name.len > 0 && name.len <= DNS_NAME_MAX && !label_start;
}

static void store_host(struct loader *loader, const struct setting *setting,
                       const struct config_word *word, char *field)
{
    if (!config_is_host(word->text)) {
        config_error(loader, word->line, "%s: \"%.*s\" is not a host name", setting->name,
                     BYTES_FMT(word->text));
        return;
    }
    store_text(loader, setting, word, field);
}

static void store_bytes(struct loader *loader, const struct setting *setting,
                        const struct config_word *word, struct bytes *field)
{
    if (!is_clean(word->text)) {
        config_error(loader, word->line, "%s: there are control characters in it", setting->name);
        return;
    }
    *field = config_keep_bytes(loader->config, word->text);
}

static void store_bool(struct loader *loader, const struct setting *setting,
                       const struct config_word *word, bool *field)
{
    const char *wrong = config_parse_bool(word->text, field);
    if (wrong != NULL) {
        config_error(loader, word->line, "%s: \"%.*s\" %s", setting->name, BYTES_FMT(word->text),
                     wrong);
    }
}

static void store_word(struct loader *loader, const struct setting *setting,
                       const struct config_word *word, void *field)
{
    char list[128];
    struct text text;
    text_init(&text, list, sizeof(list));
    for (size_t i = 0; setting->words[i] != NULL; i++) {
        if (bytes_equal_nocase(word->text, bytes_of(setting->words[i]))) {
            store_unsigned(field, setting->size, i);
            return;
        }
        text_printf(&text, "%s%s", i > 0 ? ", " : "", setting->words[i]);
    }
    config_error(loader, word->line, "%s: \"%.*s\" is none of %s", setting->name,
                 BYTES_FMT(word->text), list);
}

static void store_rate(struct loader *loader, const struct setting *setting,
                       const struct config_word *word, duration *interval)
{
    uint64_t milli;
    const char *wrong = config_parse_milli(word->text, &milli);
    if (wrong == NULL && milli > 1000000000) wrong = "is more than a million a second";
    if (wrong != NULL) {
        config_error(loader, word->line, "%s: \"%.*s\" %s", setting->name, BYTES_FMT(word->text),
                     wrong);
        return;
    }
    *interval = milli == 0 ? 0 : DURATION_S(1000) / milli;
}

static void store_address(struct loader *loader, const struct setting *setting,
                          const struct config_word *word, struct address *field)
{
    struct address address;
    const uint8_t family = setting->kind == SETTING_IPV4 ? 4 : 6;
    if (!address_parse_ip(word->text, &address) || address.family != family) {
        config_error(loader, word->line, "%s: \"%.*s\" is not an IPv%d address", setting->name,
                     BYTES_FMT(word->text), family);
        return;
    }
    *field = address;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool read_list_item(struct loader *loader, const struct setting *setting,
                           const struct config_word *word, void *item)
{
    if (setting->kind == SETTING_NAMES) {
        store_bytes(loader, setting, word, item);
        return true;
    }
    if (setting->kind == SETTING_ADDRESSES) {
        struct address *address = item;
        if (address_parse(word->text, (uint16_t)setting->unit, address) && address->port != 0) {
            return true;
        }
        config_error(loader, word->line,
                     "%s: \"%.*s\" is not an address like 127.0.0.1:%u or [::1]", setting->name,
                     BYTES_FMT(word->text), (unsigned)setting->unit);
        return false;
    }
    if (address_parse_network(word->text, item)) return true;
    config_error(loader, word->line,
                 "%s: \"%.*s\" is not a network like 192.0.2.0/24 (no bits set behind the prefix)",
                 setting->name, BYTES_FMT(word->text));
    return false;
}

static void store_list(struct loader *loader, const struct setting *setting,
                       const struct config_word *words, size_t count, char *target)
{
    char *items = config_keep(loader->config, MAX(count, 1u) * setting->size);
    if (setting->items_max > 0 && count > setting->items_max) {
        config_error(loader, words[setting->items_max].line, "%s: more than %u", setting->name,
                     setting->items_max);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_list_item(loader, setting, &words[i], items + i * setting->size)) return;
    }
    memcpy(target + setting->offset, &items, sizeof(items));
    store_unsigned(target + setting->count_offset, setting->count_size, count);
}

static void store_durations(struct loader *loader, const struct setting *setting,
                            const struct config_word *words, size_t count, char *target)
{
    char *items = target + setting->offset;
    if (count == 0 || count > setting->items_max) {
        config_error(loader, words[0].line, "%s: a list of 1 to %u durations", setting->name,
                     setting->items_max);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        store_number(loader, setting, &words[i], items + i * setting->size);
    }
    store_unsigned(target + setting->count_offset, setting->count_size, count);
}

/* ---- all kinds ------------------------------------------------------------------------------- */

void config_store(struct loader *loader, const struct setting *setting,
                  const struct config_word *words, size_t count, void *target)
{
    char *const base = target;
    void *const field = base + setting->offset;
    switch ((enum setting_kind)setting->kind) {
    case SETTING_TEXT:
        store_text(loader, setting, words, field);
        return;
    case SETTING_HOST:
        store_host(loader, setting, words, field);
        return;
    case SETTING_BYTES:
        store_bytes(loader, setting, words, field);
        return;
    case SETTING_BOOL:
        store_bool(loader, setting, words, field);
        return;
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_DURATION:
        store_number(loader, setting, words, field);
        return;
    case SETTING_RATE:
        store_rate(loader, setting, words, field);
        return;
    case SETTING_WORD:
        store_word(loader, setting, words, field);
        return;
    case SETTING_IPV4:
    case SETTING_IPV6:
        store_address(loader, setting, words, field);
        return;
    case SETTING_ADDRESSES:
    case SETTING_NETWORKS:
    case SETTING_NAMES:
        store_list(loader, setting, words, count, base);
        return;
    case SETTING_DURATIONS:
        store_durations(loader, setting, words, count, base);
        return;
    }
    UNREACHABLE("config: a setting of no kind");
}
