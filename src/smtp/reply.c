/* SPDX-License-Identifier: Apache-2.0
 *
 * reply - reads the replies of a server (RFC 5321 section 4.2), from a stranger and in any pieces
 *
 * Tolerant where it is harmless: a bare LF ends a line, a line may be the code alone, the second
 * digit may be any. Strict where a wrong guess would shift replies against commands: the code must
 * have three digits from 200 to 599, be followed by a space, "-" or the end of the line, and be the
 * same in all lines of one reply. Lengths and the number of lines are bounded.
 */
#include "ringpost/smtp.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One to three digits at the front, moved past; false if there are none or more. */
static bool take_number(struct bytes *text, uint16_t *number)
{
    size_t len = 0;
    *number = 0;
    while (len < text->len && is_digit(text->data[len])) {
        if (len == 3) return false;
        *number = (uint16_t)(*number * 10 + (text->data[len] - '0'));
        len += 1;
    }
    *text = bytes_skip(*text, len);
    return len > 0;
}

static bool take_dot(struct bytes *text)
{
    if (text->len == 0 || text->data[0] != '.') return false;
    *text = bytes_skip(*text, 1);
    return true;
}

bool smtp_enhanced_parse(struct bytes text, struct smtp_enhanced *code, struct bytes *rest)
{
    uint16_t class = 0, subject = 0, detail = 0;
    struct bytes cursor = text;
    *code = (struct smtp_enhanced){0};
    *rest = text;

    if (text.len < 2 || text.data[1] != '.') return false;
    if (!take_number(&cursor, &class) || (class != 2 && class != 4 && class != 5)) return false;
    if (!take_dot(&cursor) || !take_number(&cursor, &subject)) return false;
    if (!take_dot(&cursor) || !take_number(&cursor, &detail)) return false;
    if (cursor.len > 0 && cursor.data[0] != ' ') return false;
    *code = (struct smtp_enhanced){(uint8_t) class, subject, detail};
    *rest = bytes_skip(cursor, 1);
    return true;
}

void smtp_reply_parser_init(struct smtp_reply_parser *parser)
{
    /* The large buffers need no clearing: their lengths say what is valid. */
    parser->reply.code = 0;
    parser->reply.text_len = 0;
    parser->line = (struct bytes){0};
    parser->lines = 0;
    parser->partial_len = 0;
    parser->done = true;
}

static void begin_reply(struct smtp_reply_parser *parser)
{
    parser->reply.code = 0;
    parser->reply.enhanced = (struct smtp_enhanced){0};
    parser->reply.text_len = 0;
    parser->lines = 0;
    parser->done = false;
}

static void append_octet(struct smtp_reply *reply, char octet)
{
    if (reply->text_len == SMTP_REPLY_TEXT_MAX) return;
    const unsigned char value = (unsigned char)octet;
    reply->text[reply->text_len++] = value < 32 || value == 127 ? '?' : octet;
}

/* The text goes into logs and reports, so nothing in it may act as the end of a line there. */
static void append_text(struct smtp_reply *reply, struct bytes text)
{
    struct smtp_enhanced code;
    if (smtp_enhanced_parse(text, &code, &text)) {
        /* RFC 2034 section 4: the class agrees with the code's first digit, else it is no code. */
        if (reply->enhanced.class == 0 && code.class == reply->code / 100) reply->enhanced = code;
    }
    if (reply->text_len > 0 && text.len > 0) append_octet(reply, ' ');
    for (size_t i = 0; i < text.len; i++)
        append_octet(reply, text.data[i]);
}

static enum smtp_reply_status malformed(struct smtp_reply_parser *parser)
{
    parser->partial_len = 0;
    parser->done = true;
    return SMTP_REPLY_MALFORMED;
}

static enum smtp_reply_status read_line(struct smtp_reply_parser *parser, struct bytes line)
{
    struct smtp_reply *reply = &parser->reply;
    line.len -= 1; /* the LF */
    if (line.len > 0 && line.data[line.len - 1] == '\r') line.len -= 1;

    if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5') return malformed(parser);
    if (!is_digit(line.data[1]) || !is_digit(line.data[2])) return malformed(parser);
    const uint16_t code =
        (uint16_t)((line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0'));
    const char mark = line.len > 3 ? line.data[3] : ' ';
    if (mark != ' ' && mark != '-') return malformed(parser);

    if (parser->done) begin_reply(parser);
    if (parser->lines > 0 && code != reply->code) return malformed(parser);
    if (parser->lines == SMTP_REPLY_LINES_MAX) return malformed(parser);
    parser->lines += 1;
    reply->code = code;
    parser->line = bytes_skip(line, 4);
    append_text(reply, parser->line);
    parser->done = mark == ' ';
    return parser->done ? SMTP_REPLY_DONE : SMTP_REPLY_LINE;
}

enum smtp_reply_status smtp_reply_parse(struct smtp_reply_parser *parser, struct bytes *input)
{
    if (input->len == 0) return SMTP_REPLY_MORE;
    const size_t room = SMTP_REPLY_LINE_MAX - parser->partial_len;
    const char *newline = memchr(input->data, '\n', MIN(input->len, room));
    const size_t len = newline ? (size_t)(newline - input->data) + 1 : input->len;
    if (newline == NULL && len >= room) {
        *input = bytes_skip(*input, room);
        return malformed(parser);
    }

    struct bytes line = {input->data, len};
    if (newline == NULL || parser->partial_len > 0) {
        memcpy(parser->partial + parser->partial_len, input->data, len);
        line = (struct bytes){parser->partial, parser->partial_len + len};
        parser->partial_len = (uint16_t)line.len;
    }
    *input = bytes_skip(*input, len);
    if (newline == NULL) return SMTP_REPLY_MORE;
    parser->partial_len = 0; /* the line itself stays valid until the next call */
    return read_line(parser, line);
}
