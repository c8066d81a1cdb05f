/* SPDX-License-Identifier: Apache-2.0
 *
 * draft - accepting a message: content into CONTENT records as it comes, then the MESSAGE record
 *
 * Content is received right behind the head of a record at the end of the write buffer, and the
 * record closes over what came. The next piece of the same draft makes that record longer, if it
 * is still the last one. Otherwise small pieces are staged until they are worth a record.
 */
#include "internal.h"
#include "ringpost/scan.h"

enum { ROOM_MIN = 2 * SPOOL_SMALL };

/* A limit is reached with nothing to evict: this draft gives its memory back and is refused. Not
 * for its own size, though: a message that is larger than the budget (which is a part of the whole,
 * with many workers) would be refused for ever. One such may always go on. */
static bool memory_is_exhausted(struct spool *spool, const struct spool_draft *draft)
{
    const uint64_t limit =
        spool->options.memory_max + spool->options.memory_max / 4 + SPOOL_BLOCK_SIZE;
    if (spool_memory(spool) <= limit) return false;
    spool_body_evict(spool, 0);
    const uint64_t memory = spool_memory(spool);
    return memory - MIN(memory, draft->content_size) > limit;
}

static enum spool_purpose purpose_of(const struct spool_draft *draft)
{
    return draft->notice ? SPOOL_FOR_NOTICE : SPOOL_FOR_MAIL;
}

static void refuse(struct spool_draft *draft, enum spool_result result)
{
    draft->result = (uint8_t)result;
    spool_body_drop_content(draft->spool, draft->body);
}

void spool_draft_begin(struct spool_draft *draft, struct spool *spool)
{
    ASSERT(!spool->closing);
    *draft = (struct spool_draft){.spool = spool, .id = spool->next_id++};
    draft->body = spool_body_new(spool);
    draft->body->draft = draft;
    list_push_back(&spool->drafts, &draft->link);
    if (spool->failing) draft->result = SPOOL_FAILED;
}

static char *room_set(struct spool_draft *draft, enum spool_room_kind kind, char *data, size_t len,
                      size_t *room)
{
    struct spool *spool = draft->spool;
    spool->room.draft = draft;
    spool->room.kind = (uint8_t)kind;
    spool->room.data = data;
    spool->room.len = *room = len;
    return data;
}

static char *room_scratch(struct spool_draft *draft, size_t *room)
{
    struct buf_block *scratch = draft->spool->scratch;
    return room_set(draft, ROOM_SCRATCH, scratch->data, scratch->size, room);
}

static struct record_head *last_head(const struct spool *spool)
{
    return (struct record_head *)(void *)(spool->last.batch->block->data + spool->last.at);
}

/* Octets by which the draft's last record may grow; 0: it may not. */
static uint32_t extension(const struct spool *spool, const struct spool_body *body)
{
    const struct spool_batch *batch = spool->last.batch;
    if (spool->last.body != body || batch == NULL || batch != spool->gathering) return 0;
    const uint32_t length = last_head(spool)->length;
    if (spool->last.at + record_size(length) != batch->end) return 0;
    if (spool->reserved_only || length >= FORMAT_CONTENT_MAX) return 0;
    const uint32_t end = spool->last.at + (uint32_t)sizeof(struct record_head) + length;
    return MIN(spool->block_limit - MIN(spool->block_limit, end), FORMAT_CONTENT_MAX - length);
}

char *spool_draft_room(struct spool_draft *draft, size_t *room)
{
    struct spool *spool = draft->spool;
    struct spool_body *body = draft->body;
    struct spool_place place;
    uint32_t most;
    ASSERT(draft->on_committed == NULL); /* not after the commit */
    if (draft->result != SPOOL_OK) return room_scratch(draft, room);
    if (body->staged > 0) {
        return room_set(draft, ROOM_STAGE, body->stage->data + body->staged,
                        SPOOL_STAGE_SIZE - body->staged, room);
    }
    most = extension(spool, body);
    if (most >= SPOOL_SMALL) {
        const struct record_head *head = last_head(spool);
        char *end = spool->last.batch->block->data + spool->last.at + sizeof(*head) + head->length;
        return room_set(draft, ROOM_EXTEND, end, most, room);
    }
    if (!draft->notice && memory_is_exhausted(spool, draft)) {
        refuse(draft, SPOOL_FULL);
        return room_scratch(draft, room);
    }
    if (!spool_reserve_content(spool, ROOM_MIN, purpose_of(draft), &place, &most)) {
        refuse(draft, spool_lack_of_room(spool));
        return room_scratch(draft, room);
    }
    return room_set(draft, ROOM_NEW, place.payload, most, room);
}

/* ---- what came ----------------------------------------------------------------------------------
 */

/* The record at the end of the gathering batch, whose payload is in place. */
static void add_record(struct spool *spool, struct spool_body *body, struct spool_place *place,
                       uint32_t len)
{
    struct spool_batch *batch = place->batch;
    spool_close_record(spool, place, len);
    const struct disk_extent extent = {
        .generation = batch->segment->generation,
        .segment = batch->segment->number,
        .offset = place->offset,
        .length = len,
        .len = len,
    };
    spool_body_add(body, (struct bytes){place->payload, len}, &extent, batch->segment->slot);
    spool_body_pin_block(body, batch->block);
    spool_body_keep_segment(body, batch->segment);
    spool->last.body = body;
    spool->last.batch = batch;
    spool->last.at = (uint32_t)((char *)place->head - batch->block->data);
}

static void extend_record(struct spool *spool, struct spool_body *body, uint32_t len)
{
    struct record_head *head = last_head(spool);
    char *payload = (char *)head + sizeof(*head);
    head->payload_crc = scan_crc32c(head->payload_crc, payload + head->length, len);
    head->length += len;
    memset(payload + head->length, 0, record_pad(head->length) - head->length);
    record_close(&spool->own->key, head);
    spool->last.batch->end = spool->last.at + record_size(head->length);
    body->extents[body->count - 1].length = body->extents[body->count - 1].len = head->length;
    body->pieces[body->count].len = head->length;
}

/* Copies the staged octets into a record. */
static bool stage_flush(struct spool_draft *draft)
{
    struct spool *spool = draft->spool;
    struct spool_body *body = draft->body;
    const uint32_t len = body->staged;
    struct spool_place place;
    if (len == 0) return true;
    if (extension(spool, body) >= len) {
        const struct record_head *head = last_head(spool);
        char *end = spool->last.batch->block->data + spool->last.at + sizeof(*head) + head->length;
        memcpy(end, body->stage->data, len);
        extend_record(spool, body, len);
    } else {
        if (!spool_reserve(spool, RECORD_CONTENT, len, purpose_of(draft), &place)) return false;
        memcpy(place.payload, body->stage->data, len);
        add_record(spool, body, &place, len);
    }
    body->staged = 0;
    buf_block_unpin(body->stage);
    body->stage = NULL;
    return true;
}

static void add_new(struct spool *spool, struct spool_body *body, uint32_t len)
{
    char *payload = spool->room.data;
    if (len < SPOOL_SMALL) {
        body->stage = buf_block_get(&spool->stages, SPOOL_STAGE_SIZE);
        memcpy(body->stage->data, payload, len);
        body->staged = len;
        return;
    }
    struct spool_batch *batch = spool->gathering;
    struct spool_place place = {
        .batch = batch,
        .head = (struct record_head *)(void *)(payload - sizeof(struct record_head)),
        .payload = payload,
        .offset = batch->offset + batch->end - batch->from,
    };
    ASSERT((char *)place.head == batch->block->data + batch->end);
    add_record(spool, body, &place, len);
}

void spool_draft_add(struct spool_draft *draft, size_t len)
{
    struct spool *spool = draft->spool;
    struct spool_body *body = draft->body;
    if (len == 0) return;
    ASSERT(spool->room.kind != ROOM_NONE && spool->room.draft == draft && len <= spool->room.len);
    draft->content_size += len;
    const enum spool_room_kind kind = (enum spool_room_kind)spool->room.kind;
    spool->room.kind = ROOM_NONE;
    switch (kind) {
    case ROOM_NONE:
    case ROOM_SCRATCH:
        break;
    case ROOM_NEW:
        add_new(spool, body, (uint32_t)len);
        break;
    case ROOM_EXTEND:
        extend_record(spool, body, (uint32_t)len);
        break;
    case ROOM_STAGE:
        body->staged += (uint32_t)len;
        if (body->staged == SPOOL_STAGE_SIZE && !stage_flush(draft)) {
            refuse(draft, spool_lack_of_room(spool));
        }
        break;
    }
}

/* The cursor stays on the last piece: that one may still grow, and what is staged comes behind it.
 */
struct bytes spool_draft_read(const struct spool_draft *draft, struct spool_cursor *cursor,
                              uint64_t offset)
{
    const struct spool_body *body = draft->body;
    ASSERT(draft->on_committed == NULL && offset <= draft->content_size);
    if (draft->result != SPOOL_OK) return (struct bytes){0};
    if (offset < cursor->start) *cursor = (struct spool_cursor){0};
    while (cursor->piece + 1 < body->count &&
           offset >= cursor->start + body->pieces[cursor->piece + 1].len) {
        cursor->start += body->pieces[cursor->piece + 1].len;
        cursor->piece += 1;
    }
    uint64_t staged_at = cursor->start;
    if (cursor->piece < body->count) {
        const struct bytes piece = body->pieces[cursor->piece + 1];
        staged_at += piece.len;
        if (offset < staged_at) return bytes_skip(piece, offset - cursor->start);
    }
    if (body->staged == 0) return (struct bytes){0};
    return bytes_skip((struct bytes){body->stage->data, body->staged}, offset - staged_at);
}

void spool_draft_cut(struct spool_draft *draft, uint64_t from, uint64_t len)
{
    struct spool_body *body = draft->body;
    ASSERT(from + len <= draft->content_size);
    if (len == 0 || draft->result != SPOOL_OK) return;
    if (body->cut_count > 0) {
        struct spool_cut *last = &body->cuts[body->cut_count - 1];
        ASSERT(from >= last->from + last->len);
        if (from == last->from + last->len) {
            last->len += len;
            return;
        }
    }
    if (body->cut_count == SPOOL_CUTS_MAX) {
        refuse(draft, SPOOL_FAILED);
        return;
    }
    if ((body->cut_count & (body->cut_count - 1)) == 0) { /* at 0, 1, 2, 4, 8, ... */
        const uint32_t cap = MAX(1, body->cut_count * 2);
        body->cuts = base_realloc(body->cuts, cap * sizeof(*body->cuts));
    }
    body->cuts[body->cut_count++] = (struct spool_cut){from, len};
}

/* ---- the end ------------------------------------------------------------------------------------
 */

/* The MESSAGE record at the end of the write buffer; false: no room for it. */
static bool append_message(struct spool_draft *draft, struct spool_message *message,
                           struct disk_message *fixed, struct bytes envelope, struct bytes prefix)
{
    struct spool *spool = draft->spool;
    struct spool_body *body = draft->body;
    struct spool_place place;
    uint64_t content = prefix.len;
    spool_body_apply_cuts(body);
    for (uint32_t i = 0; i < body->count; i++)
        content += body->extents[i].len;
    if (content > UINT32_MAX || envelope.len > UINT32_MAX) return false;
    fixed->extent_count = body->count;
    fixed->envelope_len = (uint32_t)envelope.len;
    fixed->prefix_len = (uint32_t)prefix.len;
    fixed->content_len = (uint32_t)content;
    const uint64_t payload = message_payload_len(fixed);
    if (!spool_record_fits(spool, payload)) return false;
    const uint32_t len = (uint32_t)payload;
    if (!spool_reserve(spool, RECORD_MESSAGE, len, purpose_of(draft), &place)) return false;

    const struct bytes state = {0};
    const char *at = message_write(place.payload, fixed, body->extents, envelope, prefix, state);
    body->envelope = (struct bytes){at, envelope.len};
    body->pieces[0] = (struct bytes){at + envelope.len, prefix.len};
    spool_close_record(spool, &place, len);
    spool_body_pin_block(body, place.batch->block);

    message->content_size = fixed->content_len;
    message->segment = place.batch->segment->slot;
    message->offset = place.offset;
    message->record_size = record_size(len);
    place.batch->urgent = true;
    list_push_back(&place.batch->bodies, &body->batch_link);
    return true;
}

void spool_draft_commit(struct spool_draft *draft, struct spool_message *message,
                        struct bytes envelope, struct bytes prefix, uint8_t content_flags,
                        wall_ms created,
                        void (*on_committed)(struct spool_draft *, enum spool_result))
{
    struct spool *spool = draft->spool;
    struct spool_body *body = draft->body;
    ASSERT(draft->on_committed == NULL && on_committed != NULL);
    draft->on_committed = on_committed;
    spool->committing += 1;
    draft->message = message;
    message->id = draft->id;
    message->content_flags = content_flags;
    message->created_s = (uint32_t)(created / 1000);
    message->body = body;
    list_init(&message->record_link);
    list_init(&message->state_link);
    body->message = message;
    list_remove(&draft->link);
    struct disk_message fixed = {
        .id = draft->id,
        .created_ms = created,
        .content_flags = content_flags,
    };
    if (draft->result == SPOOL_OK && spool->failing) draft->result = SPOOL_FAILED;
    if (draft->result == SPOOL_OK &&
        !(stage_flush(draft) && append_message(draft, message, &fixed, envelope, prefix))) {
        draft->result = spool_lack_of_room(spool);
    }
    if (draft->result != SPOOL_OK) {
        message->body = NULL;
        spool_body_free(spool, body);
        spool_answer_later(spool, draft, (enum spool_result)draft->result);
    } else if (spool->options.durability == SPOOL_RELAXED) {
        list_push_back(&spool->relaxed, &draft->link);
    }
}

void spool_draft_abort(struct spool_draft *draft)
{
    struct spool *spool = draft->spool;
    if (spool == NULL || draft->on_committed != NULL) return; /* the disk decides */
    if (spool->room.draft == draft) spool->room.kind = ROOM_NONE;
    list_remove(&draft->link);
    spool_body_free(spool, draft->body);
    *draft = (struct spool_draft){0};
}
