/* SPDX-License-Identifier: Apache-2.0
 *
 * tree - all parts of a message in an array of the caller's
 */
#include "ringpost/mime/part.h"

void mime_tree_init(struct mime_tree *tree, struct mime_part *parts, uint32_t cap)
{
    *tree = (struct mime_tree){.parts = parts, .cap = cap};
}

static void keep(struct mime_tree *tree, const struct mime_part *part)
{
    const unsigned limits = MIME_PART_HEADER_CUT | MIME_PART_TOO_DEEP | MIME_PART_TOO_MANY;
    if (part->flags & limits) tree->cut = true;
    if (part->index >= tree->cap) {
        tree->cut = true;
        return;
    }
    tree->parts[part->index] = *part;
    tree->count = MAX(tree->count, part->index + 1);
}

void mime_tree_feed(struct mime_tree *tree, struct mime_parser *parser, struct bytes piece,
                    bool last)
{
    for (;;) {
        switch (mime_parser_next(parser, &piece, last)) {
        case MIME_PART_BEGIN:
        case MIME_PART_END:
            keep(tree, parser->part);
            break;
        case MIME_PART_HEADER:
        case MIME_PART_BODY:
            break;
        case MIME_MORE:
        case MIME_DONE:
            return;
        }
    }
}

void mime_tree_read(struct mime_tree *tree, struct mime_parser *parser, struct bytes message,
                    char *room, size_t cap)
{
    mime_parser_init(parser, room, cap, NULL);
    mime_tree_feed(tree, parser, message, true);
}

bool mime_tree_is_sealed(const struct mime_tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        const uint8_t type = tree->parts[i].type;
        if (type == MIME_TYPE_MULTIPART_SIGNED || type == MIME_TYPE_MULTIPART_ENCRYPTED ||
            type == MIME_TYPE_PKCS7)
            return true;
    }
    return false;
}
