/* SPDX-License-Identifier: Apache-2.0
 *
 * message - handles: which segments their records keep alive, and their end
 */
#include "internal.h"

/* ---- content in other segments ------------------------------------------------------------------
 */

static bool span_has_id(const void *item, const void *key)
{
    const struct spool_span *span = item;
    return span->message->id == *(const uint64_t *)key;
}

struct spool_span *spool_span_find(const struct spool *spool, uint64_t id)
{
    return table_find(&spool->spans, hash_u64(id), span_has_id, &id);
}

static struct spool_part *part_of(struct spool_span *span, uint32_t slot)
{
    for (uint32_t i = span->count; i-- > 0;) { /* the last is the likely one */
        if (span->parts[i].slot == slot) return &span->parts[i];
    }
    return NULL;
}

static void span_add(struct spool *spool, struct spool_message *message,
                     const struct disk_extent *extents, const uint32_t *slots, uint32_t count)
{
    struct spool_span *span = base_alloc(sizeof(*span) + count * sizeof(*span->parts));
    span->message = message;
    for (uint32_t i = 0; i < count; i++) {
        if (slots[i] == message->segment) continue;
        if (i > 0 && slots[i - 1] == slots[i] && extents[i - 1].offset == extents[i].offset) {
            continue; /* another part of the same record */
        }
        struct spool_part *part = part_of(span, slots[i]);
        if (part == NULL) {
            part = &span->parts[span->count++];
            part->slot = slots[i];
            part->span = span;
            list_push_back(&spool_slot(spool, slots[i])->parts, &part->link);
        }
        part->octets += record_size(extents[i].length);
        spool_segment_live(spool, spool_slot(spool, slots[i]), record_size(extents[i].length));
    }
    message->flags |= MESSAGE_SPANNING;
    table_add(&spool->spans, hash_u64(message->id), span);
}

static void span_remove(struct spool *spool, struct spool_message *message, bool account)
{
    struct spool_span *span = spool_span_find(spool, message->id);
    for (uint32_t i = 0; i < span->count; i++) {
        list_remove(&span->parts[i].link);
        if (!account) continue;
        spool_segment_live(spool, spool_slot(spool, span->parts[i].slot),
                           -(int64_t)span->parts[i].octets);
    }
    table_remove(&spool->spans, hash_u64(message->id), span);
    base_free(span);
    message->flags &= (uint8_t)~MESSAGE_SPANNING;
}

/* ---- alive --------------------------------------------------------------------------------------
 */

void spool_message_attach(struct spool *spool, struct spool_message *message,
                          const struct disk_extent *extents, const uint32_t *slots, uint32_t count)
{
    struct spool_segment *segment = spool_slot(spool, message->segment);
    uint64_t octets = message->record_size;
    bool spanning = false;
    for (uint32_t i = 0; i < count; i++) {
        spanning |= slots[i] != message->segment;
        if (slots[i] != message->segment) continue;
        if (i > 0 && slots[i - 1] == slots[i] && extents[i - 1].offset == extents[i].offset) {
            continue;
        }
        octets += record_size(extents[i].length);
    }
    message->disk_size = (uint32_t)MIN(octets, UINT32_MAX);
    spool_segment_live(spool, segment, message->disk_size);
    list_push_back(&segment->messages, &message->record_link);
    if (spanning) span_add(spool, message, extents, slots, count);
    message->flags |= MESSAGE_ATTACHED;
    spool->messages += 1;
}

void spool_message_unplace(struct spool *spool, struct spool_message *message, bool account)
{
    list_remove(&message->record_link);
    if (message->flags & MESSAGE_SPANNING) span_remove(spool, message, account);
    if (account) {
        spool_segment_live(spool, spool_slot(spool, message->segment),
                           -(int64_t)message->disk_size);
    }
    message->flags &= (uint8_t)~MESSAGE_ATTACHED;
    spool->messages -= 1;
}

/* The handle is free afterwards. */
static void forget(struct spool *spool, struct spool_message *message, bool account)
{
    spool_message_unplace(spool, message, account);
    if (account) spool_state_forget(spool, message);
    list_remove(&message->state_link);
    spool_read_forget(spool, message);
    spool_message_unpin_all(spool, message);
    if (message->body != NULL) spool_body_free(spool, message->body);
    message->body = NULL;
    message->flags = 0;
}

/* A MESSAGE record without its content would look damaged, and bounce, if a crash came before the
 * DONE record: its content stays until that is durable. */
static void keep_content(struct spool *spool, const struct spool_message *message)
{
    const struct spool_span *span = spool_span_find(spool, message->id);
    for (uint32_t i = 0; i < span->count; i++)
        spool_slot(spool, span->parts[i].slot)->await_dones = true;
    spool->await_dones = true;
}

void spool_message_done(struct spool *spool, struct spool_message *message)
{
    const struct spool_segment *segment = spool_slot(spool, message->segment);
    struct spool_done done = {
        .id = message->id,
        .slots = {message->segment, UINT32_MAX},
        .generations = {segment->generation, 0},
    };
    ASSERT(message->flags & MESSAGE_ATTACHED);
    if (message->flags & MESSAGE_RELOCATING) {
        spool_relocation_forget(spool, message, &done.slots[1], &done.generations[1]);
    }
    spool_done_add(&spool->dones, &done);
    spool_states_later(spool);
    if (message->flags & MESSAGE_SPANNING) keep_content(spool, message);
    forget(spool, message, true);
}

void spool_message_release(struct spool *spool, struct spool_message *message)
{
    ASSERT(message->flags & MESSAGE_ATTACHED);
    spool->closing = true;
    if (message->flags & MESSAGE_DIRTY) {
        if (!spool_state_append(spool, message)) spool->states_lost += 1; /* told at the end */
    }
    if (message->flags & MESSAGE_RELOCATING) {
        spool_relocation_forget(spool, message, NULL, NULL);
    }
    forget(spool, message, false);
}

void spool_message_changed(struct spool *spool, struct spool_message *message)
{
    ASSERT(message->flags & MESSAGE_ATTACHED);
    if (message->flags & MESSAGE_DIRTY) return;
    message->flags |= MESSAGE_DIRTY;
    list_remove(&message->state_link);
    list_push_back(&spool->dirty, &message->state_link);
    spool_states_later(spool);
}

/* ---- in memory ----------------------------------------------------------------------------------
 */

struct spool_view spool_message_view(const struct spool_message *message)
{
    const struct spool_body *body = message->body;
    ASSERT(body != NULL && message->pins > 0);
    const bool prefix = body->pieces[0].len > 0;
    return (struct spool_view){
        .envelope = body->envelope,
        .pieces = prefix ? body->pieces : body->pieces + 1,
        .piece_count = body->count + prefix,
        .prefix_pieces = prefix,
    };
}

void spool_message_pin(struct spool *spool, struct spool_message *message, uint32_t count)
{
    ASSERT(count > 0 && message->pins + count <= UINT16_MAX);
    if (message->pins == 0) spool->pinned += message->content_size;
    message->pins = (uint16_t)(message->pins + count);
    if (message->body->stored) list_remove(&message->body->link); /* of those to evict */
}

void spool_message_unpin(struct spool *spool, struct spool_message *message)
{
    ASSERT(message->pins > 0);
    message->pins -= 1;
    if (message->pins > 0) return;
    spool->pinned -= message->content_size;
    spool_body_settle(spool, message->body);
}

void spool_message_unpin_all(struct spool *spool, struct spool_message *message)
{
    if (message->pins > 0) spool->pinned -= message->content_size;
    message->pins = 0;
}
