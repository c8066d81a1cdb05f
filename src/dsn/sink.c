/* SPDX-License-Identifier: Apache-2.0
 *
 * sink - where the report goes: written or only counted, cleaned and folded
 *
 * Everything that a stranger wrote passes sink_clean(), sink_address() or sink_folded(). None of
 * them lets a CR, LF or other control character through.
 */
#include "internal.h"

void sink_put(struct sink *sink, struct bytes bytes)
{
    if (sink->out != NULL) text_put(sink->out, bytes);
    sink->total += bytes.len;
    sink->column += bytes.len;
}

void sink_text(struct sink *sink, const char *text)
{
    sink_put(sink, bytes_of(text));
}

void sink_crlf(struct sink *sink)
{
    sink_put(sink, BYTES("\r\n"));
    sink->column = 0;
}

void sink_line(struct sink *sink, const char *text)
{
    sink_text(sink, text);
    sink_crlf(sink);
}

void sink_number(struct sink *sink, unsigned value)
{
    char digits[16];
    struct text text;
    text_init(&text, digits, sizeof(digits));
    text_printf(&text, "%u", value);
    sink_put(sink, text_bytes(&text));
}

void sink_date(struct sink *sink, const char *name, wall_ms time)
{
    char date[SMTP_DATE_MAX];
    struct text text;
    text_init(&text, date, sizeof(date));
    smtp_date_format(time, &text);
    sink_text(sink, name);
    sink_text(sink, ": ");
    sink_put(sink, text_bytes(&text));
    sink_crlf(sink);
}

void sink_enhanced(struct sink *sink, struct smtp_enhanced code)
{
    sink_number(sink, code.class);
    sink_text(sink, ".");
    sink_number(sink, code.subject);
    sink_text(sink, ".");
    sink_number(sink, code.detail);
}

size_t sink_character(struct bytes text, uint32_t *codepoint)
{
    const size_t len = text.len > 0 ? utf8_char_len(text.data, text.len) : 0;
    if (len > 0) *codepoint = utf8_char_value(text.data, len);
    return len;
}

/* One character of a stranger's text, as it may be written; *taken octets of it are used. U+0080
 * to U+009F are control characters too, and U+2028 and U+2029 end lines for some readers. */
static struct bytes clean_character(const struct sink *sink, struct bytes text, size_t *taken)
{
    uint32_t codepoint;
    const size_t len = sink_character(text, &codepoint);
    *taken = MAX(len, 1u);
    if (len == 0 || codepoint < 32 || (codepoint >= 127 && codepoint < 160)) return BYTES("?");
    if (codepoint == 0x2028 || codepoint == 0x2029) return BYTES("?");
    if (len > 1 && !sink->utf8) return BYTES("?");
    return (struct bytes){text.data, len};
}

void sink_clean(struct sink *sink, struct bytes text)
{
    size_t written = 0, taken;
    while (text.len > 0) {
        const struct bytes clean = clean_character(sink, text, &taken);
        if (written + clean.len > SINK_WORD_MAX) return;
        sink_put(sink, clean);
        written += clean.len;
        text = bytes_skip(text, taken);
    }
}

void sink_address(struct sink *sink, struct bytes address)
{
    size_t written = 0;
    while (address.len > 0) {
        uint32_t codepoint;
        size_t taken = sink_character(address, &codepoint);
        struct bytes clean;
        char escaped[16];
        if (taken > 1 && !sink->utf8) {
            struct text text;
            text_init(&text, escaped, sizeof(escaped));
            text_printf(&text, "\\x{%X}", (unsigned)codepoint);
            clean = text_bytes(&text);
        } else {
            clean = clean_character(sink, address, &taken);
        }
        if (written + clean.len > SINK_WORD_MAX) return;
        sink_put(sink, clean);
        written += clean.len;
        address = bytes_skip(address, taken);
    }
}

/* The next word, up to a space; a word without end is cut into pieces, between characters. */
static struct bytes take_word(struct bytes *text)
{
    enum { PIECE_MAX = 200 };
    uint32_t ignored;
    size_t len = 0;
    while (text->len > 0 && text->data[0] == ' ')
        *text = bytes_skip(*text, 1);
    while (len < text->len && text->data[len] != ' ' && len < PIECE_MAX)
        len += MAX(sink_character(bytes_skip(*text, len), &ignored), 1u);
    const struct bytes word = {text->data, len};
    *text = bytes_skip(*text, len);
    return word;
}

void sink_folded(struct sink *sink, struct bytes text, const char *indent, size_t width)
{
    bool first = true;
    for (;;) {
        const struct bytes word = take_word(&text);
        if (word.len == 0) return;
        if (sink->column + 1 + word.len > width && !first) {
            sink_crlf(sink);
            sink_text(sink, indent);
        } else if (!first) {
            sink_text(sink, " ");
        }
        sink_clean(sink, word);
        first = false;
    }
}
