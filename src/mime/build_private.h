/* SPDX-License-Identifier: Apache-2.0
 *
 * build_private - what the files of the builder share
 */
#pragma once
#include "ringpost/mime/build.h"

/* ---- build_check.c --------------------------------------------------------------------------- */

/* Also sets builder->utf8. */
enum mime_build_result mime_build_check(struct mime_builder *builder);

/* ---- build_body.c ---------------------------------------------------------------------------- */

/* Chooses the encoding of a part and computes its length. */
void mime_build_plan_text(struct mime_builder *builder, struct mime_build_part *part);
void mime_build_plan_part(struct mime_builder *builder, struct mime_build_part *part);
void mime_build_body_open(struct mime_build_body *body, const struct mime_build_part *part);
/* cap >= CODEC_ROOM_MIN. At the end ->active is false. */
size_t mime_build_body_fill(struct mime_build_body *body, char *dst, size_t cap);

/* ---- build_header.c: each writes one field or a piece of one --------------------------------- */

void mime_build_field(struct text *out, const char *name, struct bytes body);
void mime_build_unstructured(struct text *out, struct bytes name, struct bytes body, bool subject);
/* The index-th of a list, with the name before the first and the line end behind the last. */
void mime_build_mailbox(struct mime_builder *builder, struct text *out, const char *name,
                        const struct mime_mailboxes *mailboxes, size_t index);
void mime_build_date(struct text *out, wall_ms date);
void mime_build_message_id(struct text *out, const struct mime_message *message);

/* ---- build_part.c: the headers of parts, the boundaries between them ------------------------- */

void mime_build_choose_boundary(struct mime_builder *builder);
/* What begins every boundary line of this message, and nothing else in it. */
size_t mime_build_delimiter(const struct mime_builder *builder, char *out);
enum { MIME_BUILD_DELIMITER = 2 + MIME_BUILD_BOUNDARY };
void mime_build_open(struct mime_builder *builder, struct text *out, char level);
void mime_build_close(struct mime_builder *builder, struct text *out);
void mime_build_text_head(struct mime_builder *builder, struct text *out,
                          const struct mime_build_part *part);
void mime_build_part_head(struct mime_builder *builder, struct text *out,
                          const struct mime_build_part *part, const char *disposition);
