/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mime_field - headers, and the fields that MIME adds
 *
 * The fields of a header joined are the header; the part parser sees the same header.
 */
#include "ringpost/mime/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_type(struct bytes body)
{
    struct mime_content_type type;
    char value[100];
    size_t len;
    mime_content_type_read(body, &type);
    ASSERT(type.type.len > 0 && type.type.len <= MIME_TOKEN_MAX);
    ASSERT(type.subtype.len > 0 && type.subtype.len <= MIME_TOKEN_MAX);
    ASSERT(type.given || mime_type_is(&type, "text", "plain"));
    ASSERT(strlen(type.boundary) <= MIME_BOUNDARY_READ);
    if (mime_parameter(type.parameters, "charset", value, sizeof(value), &len)) {
        ASSERT(len <= sizeof(value));
    }
    struct bytes parameters;
    const struct bytes token = mime_disposition_read(body, &parameters);
    ASSERT(token.len + parameters.len <= body.len);
}

static void check_field(const struct mime_field *field, char *out)
{
    ASSERT(field->name.len > 0 && field->whole.data == field->name.data);
    ASSERT(field->name.len + field->body.len < field->whole.len);
    ASSERT(memchr(field->name.data, ':', field->name.len) == NULL);
    const size_t len = mime_unfold(field->body, out);
    ASSERT(len <= field->body.len);
    ASSERT(memchr(out, '\n', len) == NULL && memchr(out, '\r', len) == NULL);
    check_type(field->body);
    ASSERT(mime_encoding_name(mime_encoding_read(field->body)) != NULL);
}

static void check_parser(struct bytes text, size_t header_len)
{
    static struct mime_parser parser;
    static char room[1 << 16];
    struct mime_part part;
    struct mime_tree tree;
    mime_tree_init(&tree, &part, 1);
    mime_tree_read(&tree, &parser, text, room, sizeof(room));
    ASSERT(tree.count == 1);
    if (part.flags & MIME_PART_MBOX_LINE) return;
    ASSERT(part.header.begin == 0 && part.header.end == header_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes text = {(const char *)data, size};
    struct bytes rest = text;
    struct mime_field field, first;
    size_t len = 0;
    char *out = base_alloc(size + 1);
    while (mime_field_next(&rest, &field)) {
        ASSERT(field.whole.data == text.data + len);
        len += field.whole.len;
        check_field(&field, out);
        ASSERT(mime_field_find(text, field.name, &first) && first.name.data <= field.name.data);
    }
    ASSERT(len == mime_header_len(text));
    check_type(text);
    if (size < 1 << 16) check_parser(text, len);
    base_free(out);
    return 0;
}
