/* SPDX-License-Identifier: Apache-2.0
 *
 * part_private - what the files of the part parser share
 */
#pragma once
#include "line.h"
#include "ringpost/mime/part.h"

static inline struct mime_level *mime_top(struct mime_parser *parser)
{
    return &parser->stack[parser->levels - 1];
}
/* The header of the part on top is in parser->header_room: reads what it says and decides the
 * part's kind; a multipart gets its delimiters. */
void mime_part_read_header(struct mime_parser *parser);
/* Is the line a delimiter of an open multipart? Its level; parser->levels if it is none. line: with
 * its line end, or without if nothing follows. */
uint32_t mime_delimiter_find(struct mime_parser *parser, struct bytes line, bool *closing);
