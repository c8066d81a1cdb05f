/* SPDX-License-Identifier: Apache-2.0
 *
 * gather - the write buffer: a block of memory that maps one to one to a range of the open segment
 *
 *   block     | batch being written | batch waiting | gathering -> |            | page for a seal |
 *              block_base: offset in the segment     ^ block_at     block_limit ^
 *
 * Records are built in place. A batch begins at a page and is padded to one when it is sealed, so
 * a page that was handed to a write is never written again.
 */
#include "internal.h"
#include "ringpost/scan.h"

/* What the segment can still take; a page is kept for the seal. */
static uint32_t segment_room(const struct spool_segment *segment)
{
    return (uint32_t)segment->size - FORMAT_PAGE - segment->tail;
}

bool spool_record_fits(const struct spool *spool, uint64_t payload)
{
    const uint64_t room = spool->options.segment_size - 2 * FORMAT_PAGE - BATCH_HEAD;
    return payload <= room - sizeof(struct record_head) - 8;
}

void spool_block_drop(struct spool *spool)
{
    if (spool->block != NULL) buf_block_unpin(spool->block);
    spool->block = NULL;
}

/* ---- batches ------------------------------------------------------------------------------------
 */

static struct spool_batch *batch_open(struct spool *spool)
{
    struct spool_batch *batch = pool_get(&spool->batch_pool);
    batch->spool = spool;
    batch->number = ++spool->batch_last;
    batch->segment = spool->current;
    batch->segment->batches += 1;
    batch->block = spool->block;
    buf_block_pin(batch->block);
    batch->from = spool->block_at;
    batch->offset = spool->block_base + spool->block_at;
    batch->is_header = batch->offset == 0;
    batch->end = batch->from + (batch->is_header ? FORMAT_PAGE : BATCH_HEAD);
    list_init(&batch->bodies);
    list_init(&batch->states);
    list_init(&batch->notes);
    list_init(&batch->relocations);
    list_init(&batch->voided);
    list_push_back(&spool->batches, &batch->link);
    spool->batch_count += 1;
    spool->gathering = batch;
    return batch;
}

/* What comes behind the batch begins at the next page. */
static void batch_end_at_page(struct spool *spool, const struct spool_batch *batch)
{
    spool->block_at = page_up(batch->end);
    spool->current->tail = spool->block_base + spool->block_at;
}

void spool_batch_seal(struct spool *spool)
{
    struct spool_batch *batch = spool->gathering;
    ASSERT(batch != NULL && batch->state == BATCH_GATHERING);
    batch->state = BATCH_READY;
    batch_end_at_page(spool, batch);
    spool->gathering = NULL;
    spool->last.batch = NULL;
    spool->room.kind = ROOM_NONE;
}

void spool_batch_free(struct spool_batch *batch)
{
    struct spool *spool = batch->spool;
    ASSERT(list_is_empty(&batch->bodies) && list_is_empty(&batch->states));
    ASSERT(list_is_empty(&batch->notes) && list_is_empty(&batch->relocations));
    ASSERT(list_is_empty(&batch->voided));
    buf_block_unpin(batch->block);
    base_free(batch->dones.items);
    base_free(batch->lives);
    pool_put(&spool->batch_pool, batch);
}

/* ---- segments follow each other -----------------------------------------------------------------
 */

static struct spool_place place_at_end(struct spool_batch *batch, enum record_type type)
{
    char *at = batch->block->data + batch->end;
    struct spool_place place = {.batch = batch};
    place.head = (struct record_head *)(void *)at;
    *place.head = (struct record_head){.type = (uint8_t)type};
    place.payload = at + sizeof(struct record_head);
    place.offset = batch->offset + batch->end - batch->from;
    return place;
}

/* Ends the open segment with a SEAL record, in the page kept for it. */
static void seal_segment(struct spool *spool)
{
    struct spool_segment *segment = spool->current;
    struct spool_batch *batch = NULL;
    if (spool->gathering != NULL) spool_batch_seal(spool);
    if (!list_is_empty(&spool->batches)) {
        batch = CONTAINER_OF(spool->batches.prev, struct spool_batch, link);
    }
    if (batch == NULL || batch->state != BATCH_READY || batch->segment != segment ||
        batch->is_header) {
        batch = batch_open(spool);
        spool_batch_seal(spool);
    }
    struct spool_place place = place_at_end(batch, RECORD_SEAL);
    spool_close_record(spool, &place, 0);
    batch_end_at_page(spool, batch);
    ASSERT(segment->tail <= segment->size);
    spool_segment_become(segment, SEGMENT_SEALED);
    spool_block_drop(spool);
    spool->current = NULL;
    spool->compact_check = spool->tend = true;
}

void spool_seal_log(struct spool *spool)
{
    if (spool->current != NULL) seal_segment(spool);
}

static bool next_segment(struct spool *spool, enum spool_purpose purpose)
{
    struct spool_segment *next = spool_segment_take(spool, purpose);
    if (next == NULL) return false;
    if (spool->current != NULL) seal_segment(spool);
    spool->current = next;
    return true;
}

/* A fresh block in which `need` octets fit, in a fresh segment if they do not fit into this one. */
static bool next_block(struct spool *spool, uint32_t need, enum spool_purpose purpose)
{
    if (spool->current == NULL || segment_room(spool->current) < need) {
        if (!next_segment(spool, purpose)) return false;
    }
    struct spool_segment *segment = spool->current;
    const bool fresh = segment->tail == 0;
    if (fresh) need += FORMAT_PAGE; /* its header */
    ASSERT(segment_room(segment) >= need);
    const uint32_t size = MAX((uint32_t)SPOOL_BLOCK_SIZE, page_up(need) + FORMAT_PAGE);
    spool_body_evict(spool, size);
    spool_block_drop(spool);
    spool->block = buf_block_get(&spool->blocks, size);
    spool->block_base = segment->tail;
    spool->block_at = 0;
    spool->block_limit = MIN(spool->block->size - FORMAT_PAGE, segment_room(segment));
    if (fresh) {
        batch_open(spool);
        spool_batch_seal(spool);
    }
    return true;
}

/* A gathering batch with room for `need` octets of records. */
static bool make_room(struct spool *spool, uint32_t need, enum spool_purpose purpose)
{
    spool->room.kind = ROOM_NONE;
    if (purpose == SPOOL_FOR_MAIL && spool->reserved_only) {
        if (!spool_space_allows(spool, SPOOL_FOR_MAIL)) return false;
        spool->reserved_only = false;
    }
    const struct spool_batch *batch = spool->gathering;
    if (batch != NULL && batch->end + need <= spool->block_limit) return true;
    if (batch != NULL) spool_batch_seal(spool);
    if (spool->block == NULL || spool->block_at + BATCH_HEAD + need > spool->block_limit) {
        if (!next_block(spool, BATCH_HEAD + need, purpose)) return false;
    }
    batch_open(spool);
    return true;
}

/* ---- records ------------------------------------------------------------------------------------
 */

bool spool_reserve(struct spool *spool, enum record_type type, uint32_t payload,
                   enum spool_purpose purpose, struct spool_place *place)
{
    if (!make_room(spool, record_size(payload), purpose)) return false;
    *place = place_at_end(spool->gathering, type);
    return true;
}

bool spool_reserve_content(struct spool *spool, uint32_t min, enum spool_purpose purpose,
                           struct spool_place *place, uint32_t *room)
{
    if (!spool_reserve(spool, RECORD_CONTENT, min, purpose, place)) return false;
    const uint32_t most =
        spool->block_limit - place->batch->end - (uint32_t)sizeof(struct record_head);
    *room = MIN(most, (uint32_t)FORMAT_CONTENT_MAX);
    return true;
}

void spool_close_record(struct spool *spool, struct spool_place *place, uint32_t payload)
{
    struct record_head *head = place->head;
    memset(place->payload + payload, 0, record_pad(payload) - payload);
    head->length = payload;
    head->payload_crc = scan_crc32c(0, place->payload, payload);
    head->sequence = ++spool->sequence;
    head->generation = place->batch->segment->generation;
    record_close(&spool->own->key, head);
    place->batch->end += record_size(payload);
}
