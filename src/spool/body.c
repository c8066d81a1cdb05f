/* SPDX-License-Identifier: Apache-2.0
 *
 * body - content and envelope in memory
 *
 * A body pins the blocks it lies in. Blocks are shared: memory comes back when the last body in a
 * block goes, and bodies are evicted in the order in which they were filled, so whole blocks go.
 */
#include "internal.h"

struct spool_body *spool_body_new(struct spool *spool)
{
    struct spool_body *body = pool_get(&spool->body_pool);
    list_init(&body->link);
    list_init(&body->batch_link);
    body->pieces = body->pieces_inline;
    body->extents = body->extents_inline;
    body->slots = body->slots_inline;
    body->blocks = body->blocks_inline;
    body->segments = body->segments_inline;
    body->cap = body->block_cap = body->segment_cap = BODY_INLINE;
    return body;
}

static void free_arrays(struct spool_body *body)
{
    if (body->pieces != body->pieces_inline) {
        base_free(body->pieces);
        base_free(body->extents);
        base_free(body->slots);
    }
    if (body->blocks != body->blocks_inline) base_free(body->blocks);
    if (body->segments != body->segments_inline) base_free(body->segments);
    base_free(body->cuts);
}

void spool_body_keep_segment(struct spool_body *body, struct spool_segment *segment)
{
    /* Segments are filled one after the other, as blocks are. */
    const uint32_t count = body->segment_count;
    if (count > 0 && body->segments[count - 1] == segment->slot) return;
    if (count == body->segment_cap) {
        uint32_t *segments = base_alloc(2 * count * sizeof(*segments));
        memcpy(segments, body->segments, count * sizeof(*segments));
        if (body->segments != body->segments_inline) base_free(body->segments);
        body->segments = segments;
        body->segment_cap *= 2;
    }
    body->segments[body->segment_count++] = segment->slot;
    segment->unfinished += 1;
}

void spool_body_let_segments_go(struct spool *spool, struct spool_body *body)
{
    for (uint32_t i = 0; i < body->segment_count; i++) {
        struct spool_segment *segment = spool_slot(spool, body->segments[i]);
        segment->unfinished -= 1;
        spool->tend |= segment->unfinished == 0 && segment->live == 0;
    }
    body->segment_count = 0;
}

void spool_body_drop_content(struct spool *spool, struct spool_body *body)
{
    spool_body_let_segments_go(spool, body);
    if (spool->last.body == body) spool->last.body = NULL;
    for (uint32_t i = 0; i < body->block_count; i++)
        buf_block_unpin(body->blocks[i]);
    if (body->stage != NULL) buf_block_unpin(body->stage);
    body->stage = NULL;
    body->staged = body->block_count = body->count = body->cut_count = 0;
}

void spool_body_free(struct spool *spool, struct spool_body *body)
{
    list_remove(&body->link);
    list_remove(&body->batch_link);
    spool_body_drop_content(spool, body);
    free_arrays(body);
    pool_put(&spool->body_pool, body);
}

void spool_body_pin_block(struct spool_body *body, struct buf_block *block)
{
    /* Blocks are filled one after the other: a second pin could only follow the first. */
    if (body->block_count > 0 && body->blocks[body->block_count - 1] == block) return;
    if (body->block_count == body->block_cap) {
        const size_t size = sizeof(struct buf_block *);
        struct buf_block **blocks = base_alloc(body->block_cap * 2 * size);
        memcpy(blocks, body->blocks, body->block_cap * size);
        if (body->blocks != body->blocks_inline) base_free(body->blocks);
        body->blocks = blocks;
        body->block_cap *= 2;
    }
    body->blocks[body->block_count++] = block;
    buf_block_pin(block);
}

static void grow(struct spool_body *body)
{
    const uint32_t cap = body->cap * 2;
    struct bytes *pieces = base_alloc((cap + 1) * sizeof(*pieces));
    struct disk_extent *extents = base_alloc(cap * sizeof(*extents));
    uint32_t *slots = base_alloc(cap * sizeof(*slots));
    memcpy(pieces, body->pieces, (body->cap + 1) * sizeof(*pieces));
    memcpy(extents, body->extents, body->cap * sizeof(*extents));
    memcpy(slots, body->slots, body->cap * sizeof(*slots));
    if (body->pieces != body->pieces_inline) {
        base_free(body->pieces);
        base_free(body->extents);
        base_free(body->slots);
    }
    body->pieces = pieces;
    body->extents = extents;
    body->slots = slots;
    body->cap = cap;
}

void spool_body_add(struct spool_body *body, struct bytes piece, const struct disk_extent *extent,
                    uint32_t slot)
{
    if (body->count == body->cap) grow(body);
    body->pieces[body->count + 1] = piece;
    body->extents[body->count] = *extent;
    body->slots[body->count] = slot;
    body->count += 1;
}

/* What is left of one piece when the ranges are taken out, as pieces of to. */
static void cut_piece(struct spool_body *to, const struct spool_body *from, uint32_t index,
                      uint64_t at, uint32_t *next_cut)
{
    const struct bytes piece = from->pieces[index + 1];
    const uint64_t end = at + piece.len;
    uint64_t keep = at; /* start of what is kept */
    while (keep < end) {
        while (*next_cut < from->cut_count &&
               from->cuts[*next_cut].from + from->cuts[*next_cut].len <= keep) {
            *next_cut += 1;
        }
        uint64_t stop = end, next = end;
        if (*next_cut < from->cut_count && from->cuts[*next_cut].from < end) {
            stop = MAX(keep, from->cuts[*next_cut].from);
            next = MIN(end, from->cuts[*next_cut].from + from->cuts[*next_cut].len);
        }
        if (stop > keep) {
            struct disk_extent extent = from->extents[index];
            extent.from += (uint32_t)(keep - at);
            extent.len = (uint32_t)(stop - keep);
            const struct bytes part = {piece.data + (keep - at), (size_t)(stop - keep)};
            spool_body_add(to, part, &extent, from->slots[index]);
        }
        keep = next;
    }
}

void spool_body_apply_cuts(struct spool_body *body)
{
    struct spool_body cut = {.cap = BODY_INLINE};
    uint64_t at = 0;
    uint32_t next_cut = 0;
    if (body->cut_count == 0) return;
    cut.pieces = cut.pieces_inline;
    cut.extents = cut.extents_inline;
    cut.slots = cut.slots_inline;
    for (uint32_t i = 0; i < body->count; i++) {
        const size_t len = body->pieces[i + 1].len;
        cut_piece(&cut, body, i, at, &next_cut);
        at += len;
    }
    while (body->cap < cut.count)
        grow(body);
    memcpy(body->pieces + 1, cut.pieces + 1, cut.count * sizeof(*cut.pieces));
    memcpy(body->extents, cut.extents, cut.count * sizeof(*cut.extents));
    memcpy(body->slots, cut.slots, cut.count * sizeof(*cut.slots));
    body->count = cut.count;
    body->cut_count = 0;
    if (cut.pieces == cut.pieces_inline) return;
    base_free(cut.pieces);
    base_free(cut.extents);
    base_free(cut.slots);
}

/* ---- residency ----------------------------------------------------------------------------------
 */

uint64_t spool_memory(const struct spool *spool)
{
    return spool->blocks.bytes + spool->read_blocks.bytes + spool->stages.bytes;
}

void spool_body_settle(struct spool *spool, struct spool_body *body)
{
    if (body->message == NULL || body->message->pins > 0 || !body->stored) return;
    list_remove(&body->link);
    list_push_back(&spool->resident, &body->link);
}

bool spool_body_evict(struct spool *spool, uint64_t more)
{
    while (spool_memory(spool) + more > spool->options.memory_max) {
        struct list *node = list_pop_front(&spool->resident);
        if (node == NULL) return false;
        struct spool_body *body = CONTAINER_OF(node, struct spool_body, link);
        body->message->body = NULL;
        spool_body_free(spool, body);
    }
    return true;
}
