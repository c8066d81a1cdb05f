/* SPDX-License-Identifier: Apache-2.0
 *
 * part_header - what the header of a part says about its body
 */
#include "part_private.h"

enum { BOUNDARY_SEED = 1 };

/* Keeps the first field of a name. */
static bool take_first(struct mime_part *part, const struct mime_parser *parser,
                       const struct mime_field *field, struct mime_range *range)
{
    if (range->end > range->begin) {
        part->flags |= MIME_PART_REPEATED;
        return false;
    }
    range->begin = part->header.begin + (uint64_t)(field->whole.data - parser->header_room);
    range->end = range->begin + field->whole.len;
    return true;
}

static void read_fields(struct mime_part *part, struct mime_parser *parser, struct bytes *type)
{
    struct bytes header = parser->header;
    struct mime_field field;
    while (mime_field_next(&header, &field)) {
        if (bytes_equal_nocase(field.name, BYTES("Content-Type"))) {
            if (take_first(part, parser, &field, &part->content_type)) *type = field.body;
        } else if (bytes_equal_nocase(field.name, BYTES("Content-Transfer-Encoding"))) {
            if (take_first(part, parser, &field, &part->transfer_encoding)) {
                part->encoding = mime_encoding_read(field.body);
            }
        } else if (bytes_equal_nocase(field.name, BYTES("Content-Disposition"))) {
            take_first(part, parser, &field, &part->disposition);
        }
    }
}

static bool major_is(const struct mime_content_type *type, const char *major)
{
    return bytes_equal_nocase(type->type, bytes_of(major));
}

static enum mime_type_class class_of(const struct mime_content_type *type)
{
    if (major_is(type, "text")) return MIME_TYPE_TEXT;
    if (mime_type_is(type, "multipart", "signed")) return MIME_TYPE_MULTIPART_SIGNED;
    if (mime_type_is(type, "multipart", "encrypted")) return MIME_TYPE_MULTIPART_ENCRYPTED;
    if (major_is(type, "multipart")) return MIME_TYPE_MULTIPART;
    if (mime_type_is(type, "message", "rfc822")) return MIME_TYPE_MESSAGE;
    if (mime_type_is(type, "message", "global")) return MIME_TYPE_MESSAGE;
    if (major_is(type, "message")) return MIME_TYPE_MESSAGE_OTHER;
    if (mime_type_is(type, "application", "pkcs7-mime")) return MIME_TYPE_PKCS7;
    if (mime_type_is(type, "application", "x-pkcs7-mime")) return MIME_TYPE_PKCS7;
    return MIME_TYPE_OTHER;
}

static void open_multipart(struct mime_parser *parser, struct mime_level *level)
{
    const struct bytes boundary = bytes_of(parser->content_type.boundary);
    ASSERT(boundary.len > 0 && boundary.len <= sizeof(level->boundary));
    memcpy(level->boundary, boundary.data, boundary.len);
    level->boundary_len = (uint8_t)boundary.len;
    level->boundary_hash = hash_bytes(BOUNDARY_SEED, boundary);
    level->digest = mime_type_is(&parser->content_type, "multipart", "digest");
    parser->open += 1;
}

/* A part that may hold others holds none if something stands against that: then it is a leaf. */
static void decide_kind(struct mime_parser *parser, struct mime_level *level)
{
    struct mime_part *part = &level->part;
    const bool multipart = part->type == MIME_TYPE_MULTIPART ||
                           part->type == MIME_TYPE_MULTIPART_SIGNED ||
                           part->type == MIME_TYPE_MULTIPART_ENCRYPTED;
    if (!multipart && part->type != MIME_TYPE_MESSAGE) return;
    const bool encoded = part->encoding > MIME_BINARY;
    if (encoded) part->flags |= MIME_PART_ENCODED;
    if (part->depth >= parser->depth_max) {
        part->flags |= MIME_PART_TOO_DEEP;
    } else if (multipart && parser->content_type.boundary[0] == '\0') {
        part->flags |= MIME_PART_NO_BOUNDARY;
    } else if (multipart) {
        part->kind = MIME_MULTIPART;
        open_multipart(parser, level);
    } else if (parser->part_count >= parser->parts_max) {
        part->flags |= MIME_PART_TOO_MANY;
    } else if (!encoded) {
        part->kind = MIME_MESSAGE;
    }
}

void mime_part_read_header(struct mime_parser *parser)
{
    struct mime_level *level = mime_top(parser);
    struct mime_part *part = &level->part;
    struct bytes type = {NULL, 0};
    parser->header = (struct bytes){parser->header_room, parser->header_len};
    read_fields(part, parser, &type);
    mime_content_type_read(type, &parser->content_type);
    if (!parser->content_type.given && parser->levels > 1 && level[-1].digest) {
        parser->content_type.type = BYTES("message");
        parser->content_type.subtype = BYTES("rfc822");
    }
    part->type = class_of(&parser->content_type);
    decide_kind(parser, level);
}

/* ---- delimiters -------------------------------------------------------------------------------
 */

/* Lengths differ nearly always, hashes do when they do not. */
struct candidate {
    struct bytes boundary;
    uint64_t hash;
    bool hashed;
};

static bool has_boundary(const struct mime_level *level, struct candidate *candidate)
{
    if (level->boundary_len == 0 || level->boundary_len != candidate->boundary.len) return false;
    if (!candidate->hashed) {
        candidate->hash = hash_bytes(BOUNDARY_SEED, candidate->boundary);
        candidate->hashed = true;
    }
    return level->boundary_hash == candidate->hash &&
           memcmp(level->boundary, candidate->boundary.data, level->boundary_len) == 0;
}

/* "--" boundary ["--"] with transport padding and the line end taken off (RFC 2046 section 5.1.1);
 * empty if it cannot be one. */
static struct bytes boundary_of(struct bytes line)
{
    const struct bytes none = {NULL, 0};
    if (line.len < 3 || line.data[0] != '-' || line.data[1] != '-') return none;
    if (line.data[line.len - 1] == '\n') {
        line.len--;
        if (line.data[line.len - 1] == '\r') line.len--;
    } else if (line.len >= MIME_LINE_MAX) {
        return none; /* goes on */
    }
    while (line.len > 2 && mime_is_wsp(line.data[line.len - 1]))
        line.len--;
    line = bytes_skip(line, 2);
    return line.len <= MIME_BOUNDARY_READ + 2 ? line : none;
}

/* The work for a line is bounded: two hashes of at most 202 octets and two comparisons of numbers
 * for each level. */
uint32_t mime_delimiter_find(struct mime_parser *parser, struct bytes line, bool *closing)
{
    struct candidate opening = {.boundary = boundary_of(line)}, last = {.hashed = false};
    const struct bytes name = opening.boundary;
    if (parser->open == 0 || name.len == 0) return parser->levels;
    if (name.len > 2 && memcmp(name.data + name.len - 2, "--", 2) == 0) {
        last.boundary = (struct bytes){name.data, name.len - 2};
    }
    for (uint32_t i = parser->levels; i > 0; i--) {
        const struct mime_level *level = &parser->stack[i - 1];
        *closing = has_boundary(level, &last);
        if (*closing) return i - 1;
        if (!has_boundary(level, &opening)) continue;
        if (parser->part_count < parser->parts_max) return i - 1;
        mime_top(parser)->part.flags |= MIME_PART_TOO_MANY;
        return parser->levels;
    }
    return parser->levels;
}
