/* SPDX-License-Identifier: Apache-2.0
 *
 * parameter_decode - the parameters of a MIME field, RFC 2045 section 5.1 and RFC 2231
 *
 * The text is read once, into a table of sections: "name", "name*", "name*3" and "name*3*" are one
 * each. A parameter is then put together from the table, so continuations may come in any order,
 * and hostile numbers cost no more than a walk through the table.
 */
#include "ringpost/codec/parameter.h"
#include "word.h"

enum {
    QUOTED = 1 << 0,   /* value is what stood between the quotes */
    PERCENT = 1 << 1,  /* a "*" at the end of the name: %XX, and in the first one a charset */
    NUMBERED = 1 << 2, /* a continuation, or the first section of several */
};
enum { UNESCAPED_MAX = 1024, NUMBERED_NAME_MAX = 64 };

/* ---- reading the text
 * ------------------------------------------------------------------------------ */

struct cursor {
    const char *text;
    size_t len, at;
};

/* Over a comment that begins here, nested ones and quoted pairs too (RFC 5322 section 3.2.2). */
static void skip_comment(struct cursor *cursor)
{
    size_t depth = 0;
    for (; cursor->at < cursor->len; cursor->at++) {
        const char c = cursor->text[cursor->at];
        if (c == '\\')
            cursor->at += cursor->len - cursor->at > 1;
        else if (c == '(')
            depth += 1;
        else if (c == ')' && --depth == 0)
            break;
    }
    if (cursor->at < cursor->len) cursor->at += 1;
}

static void skip_blank(struct cursor *cursor)
{
    while (cursor->at < cursor->len) {
        if (is_blank(cursor->text[cursor->at]))
            cursor->at += 1;
        else if (cursor->text[cursor->at] == '(')
            skip_comment(cursor);
        else
            return;
    }
}

/* Up to one of the octets in stop, without white space at the end. */
static struct bytes read_until(struct cursor *cursor, const char *stop)
{
    const char *from = cursor->text + cursor->at;
    size_t n = 0, used = 0;
    for (; cursor->at < cursor->len; cursor->at++, n++) {
        const char c = from[n];
        if (c != '\0' && strchr(stop, c) != NULL) break;
        if (!is_blank(c)) used = n + 1;
    }
    return (struct bytes){from, used};
}

/* Behind the opening quote: up to the closing one, or all that is left. */
static struct bytes read_quoted(struct cursor *cursor)
{
    const char *from = cursor->text + cursor->at;
    while (cursor->at < cursor->len && cursor->text[cursor->at] != '"') {
        const size_t left = cursor->len - cursor->at;
        cursor->at += cursor->text[cursor->at] == '\\' && left > 1 ? 2 : 1;
    }
    const struct bytes quoted = {from, (size_t)(cursor->text + cursor->at - from)};
    if (cursor->at < cursor->len) cursor->at += 1;
    return quoted;
}

static void skip_to_semicolon(struct cursor *cursor)
{
    while (cursor->at < cursor->len && cursor->text[cursor->at] != ';') {
        if (cursor->text[cursor->at] == '(')
            skip_comment(cursor);
        else if (cursor->text[cursor->at++] == '"')
            read_quoted(cursor);
    }
}

/* Takes "*", "*3" or "*3*" off the name. What looks otherwise is left in it. RFC 2231 section 3:
 * "decimal values with no leading zeros". A longer name has no numbers, so that comparing names in
 * the table stays cheap. */
static void split_name(struct codec_parameter_section *section)
{
    size_t n = section->name_len;
    const char *name = section->name;
    const uint8_t percent = n > 1 && name[n - 1] == '*' ? PERCENT : 0;
    n -= percent != 0;
    size_t digits = 0;
    unsigned number = 0, weight = 1;
    while (digits < 3 && digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9') {
        number += weight * (unsigned)(name[n - 1 - digits] - '0');
        weight *= 10;
        digits += 1;
    }
    const bool numbered = digits > 0 && n > digits + 1 && n <= NUMBERED_NAME_MAX &&
                          name[n - digits - 1] == '*' && (digits == 1 || name[n - digits] != '0');
    section->flags |= (uint8_t)(percent | (numbered ? NUMBERED : 0));
    section->number = numbered ? (uint16_t)number : 0;
    section->name_len = numbered ? n - digits - 1 : n;
}

/* One parameter behind its ";"; false: there was none. */
static bool read_section(struct cursor *cursor, struct codec_parameter_section *section)
{
    skip_blank(cursor);
    const struct bytes name = read_until(cursor, "=;(");
    skip_blank(cursor);
    if (name.len == 0 || cursor->at == cursor->len || cursor->text[cursor->at] != '=') return false;
    cursor->at += 1;
    skip_blank(cursor);
    *section = (struct codec_parameter_section){.name = name.data, .name_len = name.len};
    struct bytes value;
    if (cursor->at < cursor->len && cursor->text[cursor->at] == '"') {
        cursor->at += 1;
        value = read_quoted(cursor);
        section->flags = QUOTED;
    } else {
        value = read_until(cursor, ";(");
    }
    section->value = value.data;
    section->value_len = value.len;
    split_name(section);
    return true;
}

void codec_parameter_reader_init(struct codec_parameter_reader *reader, const char *text,
                                 size_t len)
{
    struct cursor cursor = {text, len, 0};
    reader->count = reader->at = reader->opened = 0;
    while (reader->count < CODEC_PARAMETER_SECTIONS_MAX) {
        skip_to_semicolon(&cursor);
        if (cursor.at == cursor.len) break;
        cursor.at += 1;
        if (read_section(&cursor, &reader->sections[reader->count])) reader->count += 1;
    }
}

/* ---- values
 * ---------------------------------------------------------------------------------------- */

static void feed_quoted(struct conversion *conversion, const char *value, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t run = at;
        while (run < len && value[run] != '\\' && value[run] != '\r' && value[run] != '\n')
            run += 1;
        if (run > at) conversion_feed(conversion, value + at, run - at);
        if (run < len && value[run] == '\\') { /* the octet behind it, whatever it is */
            run += 1;
            if (run < len) conversion_feed(conversion, value + run, 1);
        }
        at = run + 1; /* a line end is folding: white space follows it */
    }
}

static void feed_percent(struct conversion *conversion, const char *value, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t run = at;
        while (run < len && value[run] != '%')
            run += 1;
        if (run > at) conversion_feed(conversion, value + at, run - at);
        if (run == len) return;
        const bool digits =
            len - run > 2 && hex_value(value[run + 1]) >= 0 && hex_value(value[run + 2]) >= 0;
        const char octet =
            digits ? (char)(hex_value(value[run + 1]) << 4 | hex_value(value[run + 2])) : '%';
        conversion_feed(conversion, &octet, 1);
        at = run + (digits ? 3 : 1);
    }
}

static void feed_section(struct conversion *conversion,
                         const struct codec_parameter_section *section, size_t skip)
{
    const char *value = section->value + skip;
    const size_t len = section->value_len - skip;
    if (section->flags & PERCENT)
        feed_percent(conversion, value, len);
    else if (section->flags & QUOTED)
        feed_quoted(conversion, value, len);
    else
        conversion_feed(conversion, value, len);
}

static const struct codec_parameter_section *find_section(
    const struct codec_parameter_reader *reader, const struct codec_parameter_section *first,
    unsigned number)
{
    const struct bytes name = {first->name, first->name_len};
    for (size_t i = 0; i < reader->count; i++) {
        const struct codec_parameter_section *section = &reader->sections[i];
        if ((section->flags & NUMBERED) && section->number == number &&
            bytes_equal_nocase(name, (struct bytes){section->name, section->name_len})) {
            return section;
        }
    }
    return NULL;
}

/* CHARSET'LANGUAGE' at the start of an extended value: how long it is; 0: it is not there. */
static size_t charset_prefix(const struct codec_parameter_section *first, size_t *charset_len)
{
    const char *value = first->value, *end = value + first->value_len;
    const char *one = (first->flags & PERCENT) && first->value_len > 0
                          ? memchr(value, '\'', first->value_len)
                          : NULL;
    const char *two = one != NULL ? memchr(one + 1, '\'', (size_t)(end - one) - 1) : NULL;
    if (two == NULL) return 0;
    *charset_len = (size_t)(one - value);
    return (size_t)(two - value) + 1;
}

static void decode_extended(const struct codec_parameter_reader *reader,
                            const struct codec_parameter_section *first, struct codec_sink *sink,
                            struct charset_pool *pool)
{
    struct conversion conversion;
    size_t charset_len = 0;
    const struct charset *utf8 = charset_find("utf-8", 5), *charset = NULL;
    const size_t prefix = charset_prefix(first, &charset_len);
    if (charset_len > 0) charset = charset_find(first->value, charset_len);
    /* Unknown or missing: what is ASCII or happens to be UTF-8 can still be read. */
    if (charset == NULL || !conversion_open(&conversion, charset, sink, pool)) {
        (void)conversion_open(&conversion, utf8, sink, pool);
    }
    feed_section(&conversion, first, prefix);
    for (unsigned number = 1; first->flags & NUMBERED; number++) {
        const struct codec_parameter_section *next = find_section(reader, first, number);
        if (next == NULL) break;
        feed_section(&conversion, next, 0);
    }
    conversion_close(&conversion);
}

/* Words with quoted pairs in them are rare, and rarely long: beyond UNESCAPED_MAX they stay. */
static void decode_plain(const struct codec_parameter_section *section, struct codec_sink *sink,
                         struct charset_pool *pool)
{
    const bool escapes = (section->flags & QUOTED) && section->value_len > 0 &&
                         memchr(section->value, '\\', section->value_len) != NULL;
    const bool words = memmem(section->value, section->value_len, "=?", 2) != NULL;
    char unescaped[UNESCAPED_MAX];
    size_t n = 0;
    if (!escapes) {
        word_decode(section->value, section->value_len, sink, pool);
    } else if (!words || section->value_len > sizeof(unescaped)) {
        struct conversion conversion;
        (void)conversion_open(&conversion, charset_find("utf-8", 5), sink, pool);
        feed_quoted(&conversion, section->value, section->value_len);
        conversion_close(&conversion);
    } else {
        for (size_t i = 0; i < section->value_len; i++) {
            if (section->value[i] == '\\' && ++i == section->value_len) break;
            unescaped[n++] = section->value[i];
        }
        word_decode(unescaped, n, sink, pool);
    }
}

bool codec_parameter_next(struct codec_parameter_reader *reader, struct codec_parameter *parameter,
                          char *value, size_t cap)
{
    while (reader->at < reader->count) {
        const struct codec_parameter_section *first = &reader->sections[reader->at++];
        const bool numbered = first->flags & NUMBERED;
        /* A section 0 that was there before has been given. */
        if (numbered && (first->number != 0 || find_section(reader, first, 0) != first)) continue;
        struct codec_sink sink = {.data = value, .cap = cap};
        struct charset_pool pool;
        charset_pool_init(&pool, CHARSET_OPEN_MAX - reader->opened);
        const bool extended = numbered || (first->flags & PERCENT);
        if (extended)
            decode_extended(reader, first, &sink, &pool);
        else
            decode_plain(first, &sink, &pool);
        codec_sink_close(&sink);
        reader->opened += pool.count;
        charset_pool_deinit(&pool);
        *parameter = (struct codec_parameter){.name = first->name,
                                              .name_len = first->name_len,
                                              .value_len = sink.total,
                                              .extended = extended};
        return true;
    }
    return false;
}
