/* SPDX-License-Identifier: Apache-2.0
 *
 * header - the fields of a message, and their canonical form
 */
#include "internal.h"

void dkim_header_clear(struct dkim_header *header)
{
    header->count = 0;
    header->why = NULL;
}

void dkim_header_deinit(struct dkim_header *header)
{
    base_free(header->fields);
    *header = (struct dkim_header){0};
}

/* A line that is no field is read by some as the end of the header and by others as nothing: there
 * is no signature that would hold with all of them. */
void dkim_header_add(struct dkim_header *header, struct bytes octets)
{
    struct mime_field field;
    while (mime_field_next(&octets, &field)) {
        if (header->count == DKIM_FIELDS_MAX) {
            header->why = "has too many header fields";
            return;
        }
        if (header->count == header->cap) {
            header->cap = MAX(64, header->cap * 2);
            header->fields = base_realloc(header->fields, header->cap * sizeof(field));
        }
        header->fields[header->count++] = field;
    }
    if (octets.len > 0) header->why = "has a header line that is no field";
}

/* ---- canonical form -----------------------------------------------------------------------------
 */

void dkim_sink_init(struct dkim_sink *sink, struct digest_sha256 *digest)
{
    sink->digest = digest;
    sink->used = 0;
}

void dkim_sink_end(struct dkim_sink *sink)
{
    digest_sha256_add(sink->digest, (struct bytes){sink->room, sink->used});
    sink->used = 0;
}

static void put_octet(struct dkim_sink *sink, char octet)
{
    if (sink->used == sizeof(sink->room)) dkim_sink_end(sink);
    sink->room[sink->used++] = octet;
}

static void put(struct dkim_sink *sink, struct bytes octets)
{
    if (octets.len <= sizeof(sink->room) - sink->used) {
        memcpy(sink->room + sink->used, octets.data, octets.len);
        sink->used += (uint32_t)octets.len;
        return;
    }
    dkim_sink_end(sink);
    digest_sha256_add(sink->digest, octets);
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

/* Section 3.4.2: unfolded, runs of white space are one space, none at both ends. Octets of the body
 * that are neither white space nor of a line end go as they are. */
static void put_relaxed(struct dkim_sink *sink, struct bytes body)
{
    bool space = false, any = false;
    for (size_t i = 0; i < body.len; i++) {
        const char octet = body.data[i];
        if (is_blank(octet)) {
            space = true;
            continue;
        }
        const bool folds =
            octet == '\n' || (octet == '\r' && i + 1 < body.len && body.data[i + 1] == '\n');
        if (folds) continue;
        if (space && any) put_octet(sink, ' ');
        space = false;
        any = true;
        put_octet(sink, octet);
    }
}

void dkim_canonical_field(struct dkim_sink *sink, const struct mime_field *field,
                          enum codec_dkim_mode mode, bool with_end)
{
    if (mode == CODEC_DKIM_SIMPLE) { /* section 3.4.1: as it is, up to its line end */
        const size_t head = (size_t)(field->body.data - field->whole.data);
        put(sink, (struct bytes){field->whole.data, head + field->body.len});
    } else {
        for (size_t i = 0; i < field->name.len; i++)
            put_octet(sink, ascii_lower(field->name.data[i]));
        put_octet(sink, ':');
        put_relaxed(sink, field->body);
    }
    if (with_end) put(sink, BYTES("\r\n"));
}
