/* SPDX-License-Identifier: Apache-2.0
 *
 * build_part - the headers of parts, and the boundaries between them (RFC 2046 section 5.1)
 *
 * A boundary is "=_", 32 digits and the letter of its multipart. So no one is the beginning of
 * another, and one search for what they share shows that a body has none.
 */
#include "build_private.h"
#include "ringpost/codec/parameter.h"
#include <stdio.h>

static_assert(MIME_BUILD_PIECE >
                  MIME_BUILD_TEXT_MAX * 34 + 4 * MIME_BUILD_ID_MAX + 2 * CODEC_ROOM_MIN,
              "the largest header of a part fits: codec_parameter_encoded_max()");
static_assert(MIME_BUILD_BOUNDARY + 1 <= MIME_BOUNDARY_MAX, "RFC 2046 section 5.1.1");

/* Not the number itself: that stands in the Message-ID, where a sender of the reply could take it
 * from. The search does not rely on that. */
void mime_build_choose_boundary(struct mime_builder *builder)
{
    const uint64_t *random = builder->message->random;
    snprintf(builder->boundary, sizeof(builder->boundary), "=_%016llx%016llx",
             (unsigned long long)hash_u64(random[0] ^ hash_u64(random[1])),
             (unsigned long long)hash_u64(random[1]));
}

size_t mime_build_delimiter(const struct mime_builder *builder, char *out)
{
    memcpy(out, "--", 2);
    memcpy(out + 2, builder->boundary, MIME_BUILD_BOUNDARY);
    return MIME_BUILD_DELIMITER;
}

/* The line before a part of the innermost multipart; nothing outside of all of them. The line end
 * before it belongs to the boundary, not to the part that ends there. */
static void put_delimiter(struct mime_builder *builder, struct text *out)
{
    if (builder->depth == 0) return;
    text_printf(out, "%s--%s%c\r\n", builder->fresh ? "" : "\r\n", builder->boundary,
                builder->levels[builder->depth - 1]);
    builder->fresh = false;
}

void mime_build_open(struct mime_builder *builder, struct text *out, char level)
{
    const struct mime_message *message = builder->message;
    const char *subtype = level == 'm' ? "mixed" : level == 'r' ? "related" : "alternative";
    put_delimiter(builder, out);
    text_printf(out, "Content-Type: multipart/%s;\r\n ", subtype);
    if (level == 'r') { /* RFC 2387 section 3.1: the type of the part that shows the others */
        text_printf(out, "type=\"%s\";\r\n ",
                    message->text.data != NULL ? "multipart/alternative" : "text/html");
    }
    text_printf(out, "boundary=\"%s%c\"\r\n\r\n", builder->boundary, level);
    ASSERT(builder->depth < MIME_BUILD_DEPTH_MAX);
    builder->levels[builder->depth++] = level;
    builder->fresh = true;
}

void mime_build_close(struct mime_builder *builder, struct text *out)
{
    ASSERT(builder->depth > 0 && !builder->fresh);
    text_printf(out, "\r\n--%s%c--\r\n", builder->boundary, builder->levels[--builder->depth]);
}

static void put_type(struct text *out, const struct mime_build_part *part)
{
    const bool octets = part->opaque || part->type.len == 0;
    text_put(out, BYTES("Content-Type: "));
    text_put(out, octets ? BYTES("application/octet-stream") : part->type);
    if (part->charset != NULL && !octets) text_printf(out, "; charset=%s", part->charset);
    text_printf(out, "\r\nContent-Transfer-Encoding: %s\r\n",
                mime_encoding_name((enum mime_encoding)part->encoding));
}

void mime_build_text_head(struct mime_builder *builder, struct text *out,
                          const struct mime_build_part *part)
{
    put_delimiter(builder, out);
    put_type(out, part);
    text_put(out, BYTES("\r\n"));
}

void mime_build_part_head(struct mime_builder *builder, struct text *out,
                          const struct mime_build_part *part, const char *disposition)
{
    put_delimiter(builder, out);
    put_type(out, part);
    if (part->id.len > 0) {
        text_put(out, BYTES("Content-ID: <"));
        text_put(out, part->id);
        text_put(out, BYTES(">\r\n"));
    }
    text_printf(out, "Content-Disposition: %s", disposition);
    if (part->name.len > 0) {
        ASSERT(out->cap - out->len > codec_parameter_encoded_max(part->name.len));
        out->len += codec_parameter_encode("filename", part->name.data, part->name.len,
                                           out->data + out->len);
        out->data[out->len] = '\0';
    }
    text_put(out, BYTES("\r\n\r\n"));
}
