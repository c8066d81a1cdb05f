/* SPDX-License-Identifier: Apache-2.0
 *
 * line - what one line of a header is, and white space and comments between tokens
 */
#include "line.h"

/* RFC 5322 section 2.2: ftext. RFC 6532 leaves the names of fields as they are. */
static bool is_name_char(char c)
{
    return c > ' ' && c < 127 && c != ':';
}

enum mime_line mime_line_of_header(struct bytes line)
{
    size_t at = 0;
    if (line.len == 0 || line.data[0] == '\n') return MIME_LINE_EMPTY;
    if (line.len > 1 && line.data[0] == '\r' && line.data[1] == '\n') return MIME_LINE_EMPTY;
    if (mime_is_wsp(line.data[0])) return MIME_LINE_CONTINUATION;
    line.len = MIN(line.len, (size_t)MIME_LINE_MAX);
    while (at < line.len && is_name_char(line.data[at]))
        at++;
    if (at == 0) return MIME_LINE_OTHER;
    while (at < line.len && mime_is_wsp(line.data[at])) /* RFC 5322 section 4.5: obsolete */
        at++;
    return at < line.len && line.data[at] == ':' ? MIME_LINE_FIELD : MIME_LINE_OTHER;
}

size_t mime_line_len(struct bytes text)
{
    if (text.len == 0) return 0;
    const char *lf = memchr(text.data, '\n', text.len);
    return lf == NULL ? text.len : (size_t)(lf - text.data) + 1;
}

/* Depth is a number, not a call: nesting costs nothing. */
size_t mime_comment_len(struct bytes text)
{
    size_t depth = 0;
    for (size_t at = 0; at < text.len; at++) {
        if (text.data[at] == '\\') {
            at++;
        } else if (text.data[at] == '(') {
            depth++;
        } else if (text.data[at] == ')' && --depth == 0) {
            return at + 1;
        }
    }
    return text.len;
}

size_t mime_cfws_len(struct bytes text)
{
    size_t at = 0;
    while (at < text.len) {
        if (text.data[at] == '(') {
            at += mime_comment_len(bytes_skip(text, at));
        } else if (mime_is_space(text.data[at])) {
            at++;
        } else {
            break;
        }
    }
    return at;
}

size_t mime_quoted_len(struct bytes text)
{
    for (size_t at = 1; at < text.len; at++) {
        if (text.data[at] == '"') return at + 1;
        if (text.data[at] == '\\') at++;
    }
    return text.len;
}

size_t mime_token_len(struct bytes text)
{
    size_t at = 0;
    while (at < text.len && text.data[at] > ' ' && text.data[at] < 127 &&
           strchr("()<>@,;:\\\"/[]?=", text.data[at]) == NULL)
        at++;
    return at;
}
