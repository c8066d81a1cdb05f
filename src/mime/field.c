/* SPDX-License-Identifier: Apache-2.0
 *
 * field - takes a header apart into its fields (RFC 5322 section 2.2)
 */
#include "ringpost/mime/field.h"

#include "line.h"

/* Octets of the field at the front of the header, its continuations included; 0 if there is none.
 */
static size_t field_len(struct bytes header)
{
    if (header.len == 0 || mime_line_of_header(header) != MIME_LINE_FIELD) return 0;
    size_t len = mime_line_len(header);
    while (len < header.len && mime_is_wsp(header.data[len]))
        len += mime_line_len(bytes_skip(header, len));
    return len;
}

static struct bytes without_line_end(struct bytes line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\n') line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r') line.len--;
    return line;
}

bool mime_field_next(struct bytes *header, struct mime_field *field)
{
    const size_t len = field_len(*header);
    if (len == 0) return false;
    field->whole = (struct bytes){header->data, len};
    const char *colon = memchr(header->data, ':', len);
    ASSERT(colon != NULL);
    field->name = (struct bytes){header->data, (size_t)(colon - header->data)};
    while (mime_is_wsp(field->name.data[field->name.len - 1]))
        field->name.len--;
    field->body = without_line_end(bytes_skip(field->whole, (size_t)(colon - header->data) + 1));
    *header = bytes_skip(*header, len);
    return true;
}

size_t mime_header_len(struct bytes text)
{
    size_t at = 0;
    for (size_t len; (len = field_len(bytes_skip(text, at))) > 0;)
        at += len;
    return at;
}

bool mime_field_find(struct bytes header, struct bytes name, struct mime_field *field)
{
    while (mime_field_next(&header, field)) {
        if (bytes_equal_nocase(field->name, name)) return true;
    }
    return false;
}
