/* SPDX-License-Identifier: Apache-2.0
 *
 * address_print - names and addresses in their plain form, and back into a field's body
 */
#include "address_private.h"
#include "line.h"
#include "ringpost/codec/word.h"
#include "ringpost/scan.h"

enum {
    LINE_WANTED = 76, /* 78 by RFC 5322 section 2.1.1, less what may follow: ",", ":;" */
    RAW_NAME_MAX = 4 * MIME_NAME_MAX,
    SPEC_MAX = 1000,
};

/* ---- plain forms ----------------------------------------------------------------------------- */

static void put_char(struct text *out, char c)
{
    text_put(out, (struct bytes){&c, 1});
}

/* Without quotes, backslashes and line ends. */
static void put_quoted_content(struct bytes quoted, struct text *out)
{
    for (size_t i = 0; i < quoted.len; i++) {
        char c = quoted.data[i];
        if (c == '"' || c == '\r' || c == '\n') continue;
        if (c == '\\' && i + 1 < quoted.len) c = quoted.data[++i];
        put_char(out, c);
    }
}

static void put_name(struct bytes name, struct text *out)
{
    while (name.len > 0) {
        const struct bytes token = {name.data, mime_address_token_len(name)};
        if (mime_cfws_len(token) > 0) {
            put_char(out, ' ');
        } else if (token.data[0] == '"') {
            put_quoted_content(token, out);
        } else {
            text_put(out, token);
        }
        name = bytes_skip(name, token.len);
    }
}

size_t mime_address_name(const struct mime_address *address, char *out, size_t cap)
{
    char raw[RAW_NAME_MAX];
    struct text text;
    text_init(&text, raw, sizeof(raw));
    if (address->name.len > 0) {
        put_name(address->name, &text);
    } else {
        put_quoted_content(bytes_trim(address->comment), &text);
    }
    if (cap == 0) return 0;
    size_t len = codec_word_decode(text.data, text.len, out, cap);
    if (len <= cap) return len;
    len = cap;
    while (len > 0 && out[len - 1] == '\0') /* it was cut at a character */
        len--;
    return len;
}

static bool is_dot_atom(struct bytes text)
{
    bool dot = true;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '.' ? dot : !mime_is_atom_char(text.data[i])) return false;
        dot = text.data[i] == '.';
    }
    return !dot;
}

/* A tab there is white space like any other (RFC 5322 section 3.2.4). */
static void put_quoted(struct bytes content, struct text *out)
{
    put_char(out, '"');
    for (size_t i = 0; i < content.len; i++) {
        const char c = content.data[i];
        if (c == '"' || c == '\\') put_char(out, '\\');
        put_char(out, c == '\t' ? ' ' : c);
    }
    put_char(out, '"');
}

/* Without CFWS. A word in quotes that need not be there is the same word (RFC 5321 section 4.1.2).
 */
static void put_words(struct bytes words, struct text *out)
{
    while (words.len > 0) {
        const struct bytes token = {words.data, mime_address_token_len(words)};
        if (token.data[0] == '"') {
            put_quoted_content(token, out);
        } else if (mime_cfws_len(token) == 0) {
            text_put(out, token);
        }
        words = bytes_skip(words, token.len);
    }
}

void mime_address_spec(const struct mime_address *address, struct text *out)
{
    char content[SPEC_MAX];
    struct text local;
    text_init(&local, content, sizeof(content));
    put_words(address->local, &local);
    if (is_dot_atom(text_bytes(&local))) {
        text_put(out, text_bytes(&local));
    } else {
        put_quoted(text_bytes(&local), out);
    }
    out->cut |= local.cut;
    put_char(out, '@');
    for (struct bytes rest = address->domain; rest.len > 0;) {
        const struct bytes token = {rest.data, mime_address_token_len(rest)};
        for (size_t i = 0; i < token.len && mime_cfws_len(token) == 0; i++) {
            if (!mime_is_space(token.data[i])) put_char(out, token.data[i]);
        }
        rest = bytes_skip(rest, token.len);
    }
}

bool mime_address_spec_is_valid(struct bytes spec)
{
    struct mime_address address;
    if (spec.len == 0 || spec.len > SPEC_MAX - 100) return false;
    for (size_t i = 0; i < spec.len; i++) {
        const unsigned char c = (unsigned char)spec.data[i];
        if (c < ' ' || c == 127) return false;
    }
    for (struct bytes rest = spec; rest.len > 0;) {
        const size_t len = mime_address_token_len(rest);
        if (mime_cfws_len(rest) > 0) return false;
        if (rest.data[0] == '[' && memchr(rest.data, ' ', len) != NULL) return false;
        rest = bytes_skip(rest, len);
    }
    return mime_address_read_spec(spec, &address) && scan_utf8_is_valid(spec.data, spec.len);
}

/* ---- printing -------------------------------------------------------------------------------- */

void mime_address_printer_init(struct mime_address_printer *printer, struct text *out,
                               size_t column, bool seven_bit)
{
    *printer = (struct mime_address_printer){
        .out = out,
        .column = column,
        .seven_bit = seven_bit,
    };
}

/* Begins with the white space that a fold may stand before. */
static void put_segment(struct mime_address_printer *printer, struct bytes segment)
{
    if (printer->column > 1 && printer->column + segment.len > LINE_WANTED) {
        text_put(printer->out, BYTES("\r\n"));
        printer->column = 0;
    }
    text_put(printer->out, segment);
    printer->column += segment.len;
}

/* Text that begins with a space and does not end with one, folded before spaces. */
static void put_segments(struct mime_address_printer *printer, struct bytes text)
{
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && text.data[len] == ' ')
            len++;
        while (len < text.len && text.data[len] != ' ')
            len++;
        put_segment(printer, (struct bytes){text.data, len});
        text = bytes_skip(text, len);
    }
}

static void put_comma(struct mime_address_printer *printer)
{
    if (!printer->comma) return;
    text_put(printer->out, BYTES(","));
    printer->column += 1;
}

/* Nothing that could end the line or the field; not longer than MIME_NAME_MAX. */
static struct bytes clean_name(struct bytes name, char *out)
{
    size_t len = MIN(name.len, (size_t)MIME_NAME_MAX);
    while (len > 0 && len < name.len && ((unsigned char)name.data[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)name.data[i];
        out[i] = c < ' ' || c == 127 ? ' ' : name.data[i];
    }
    return bytes_trim((struct bytes){out, len});
}

static bool is_phrase(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == ' ' ? i > 0 && name.data[i - 1] == ' '
                                : !mime_is_atom_char(name.data[i]))
            return false;
    }
    return true;
}

static bool has_long_word(struct bytes text)
{
    size_t len = 0, longest = 0;
    for (size_t i = 0; i < text.len; i++) {
        len = text.data[i] == ' ' ? 0 : len + 1;
        longest = MAX(longest, len);
    }
    return longest >= LINE_WANTED;
}

static void put_encoded(struct mime_address_printer *printer, struct bytes name)
{
    enum { SHORTEST = 30 }; /* a word with less room would be all charset */
    char encoded[MIME_NAME_MAX * 12 + 64];
    ASSERT(codec_word_encoded_max(name.len) <= sizeof(encoded));
    if (printer->column + SHORTEST > LINE_WANTED) {
        text_put(printer->out, BYTES("\r\n"));
        printer->column = 0;
    }
    text_put(printer->out, BYTES(" "));
    const size_t len = codec_word_encode(name.data, name.len, encoded, printer->column + 1,
                                         CODEC_WORD_PHRASE, CODEC_WORD_AUTO);
    const char *line = memrchr(encoded, '\n', len);
    text_put(printer->out, (struct bytes){encoded, len});
    printer->column = line == NULL ? printer->column + 1 + len : len - (size_t)(line + 1 - encoded);
}

/* RFC 2047 section 5 (3), RFC 5322 section 3.2.5. What cannot be folded is encoded, too. */
static void put_display_name(struct mime_address_printer *printer, struct bytes name)
{
    char line[2 * MIME_NAME_MAX + 4];
    struct text text;
    text_init(&text, line, sizeof(line));
    put_char(&text, ' ');
    if (is_phrase(name)) {
        text_put(&text, name);
    } else {
        put_quoted(name, &text);
    }
    const bool needed = codec_word_needed(name.data, name.len);
    if (has_long_word(text_bytes(&text)) ||
        (needed && (printer->seven_bit || memmem(name.data, name.len, "=?", 2) != NULL ||
                    !scan_utf8_is_valid(name.data, name.len)))) {
        put_encoded(printer, name);
    } else {
        put_segments(printer, text_bytes(&text));
    }
}

bool mime_address_print(struct mime_address_printer *printer, struct bytes name, struct bytes spec)
{
    char clean[MIME_NAME_MAX], line[SPEC_MAX + 4];
    struct text text;
    if (!mime_address_spec_is_valid(spec)) return false;
    if (printer->seven_bit && scan_has_8bit(spec.data, spec.len)) return false;
    name = clean_name(name, clean);
    put_comma(printer);
    if (name.len > 0) put_display_name(printer, name);
    text_init(&text, line, sizeof(line));
    text_put(&text, name.len > 0 ? BYTES(" <") : BYTES(" "));
    text_put(&text, spec);
    if (name.len > 0) text_put(&text, BYTES(">"));
    put_segment(printer, text_bytes(&text));
    printer->comma = true;
    return true;
}

void mime_address_print_group(struct mime_address_printer *printer, struct bytes name)
{
    char clean[MIME_NAME_MAX];
    name = clean_name(name, clean);
    put_comma(printer);
    if (name.len > 0) {
        put_display_name(printer, name);
    } else {
        put_segment(printer, BYTES(" \"\"")); /* a group must have a name */
    }
    text_put(printer->out, BYTES(":"));
    printer->column += 1;
    printer->comma = false;
}

void mime_address_print_group_end(struct mime_address_printer *printer)
{
    text_put(printer->out, BYTES(";"));
    printer->column += 1;
    printer->comma = true;
}
