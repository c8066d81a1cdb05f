/* SPDX-License-Identifier: Apache-2.0
 *
 * compact - a segment with little left alive has that appended again, and becomes free
 *
 * Work is bounded by octets a turn, less while mail waits for its commit. The same copies carry
 * mail out of abandoned segments and adopted folders, and (relaxed durability) acknowledged mail
 * whose write failed.
 */
#include "internal.h"

enum {
    COPY_IDLE = 256 * 1024, /* octets a turn */
    COPY_BUSY = 64 * 1024,
    STATES_A_TURN = 256,
    CHECK_MS = 10,
};

/* ---- one copy -----------------------------------------------------------------------------------
 */

static void relocation_free(struct spool_relocation *copy)
{
    list_remove(&copy->link);
    list_remove(&copy->batch_link);
    list_remove(&copy->load.link);
    for (uint32_t i = 0; i < copy->count; i++) {
        struct spool_segment *segment = spool_slot(copy->spool, copy->slots[i]);
        if (i > 0 && copy->slots[i] == copy->slots[i - 1]) continue;
        segment->unfinished -= 1;
        copy->spool->tend |= segment->unfinished == 0 && segment->live == 0;
    }
    copy->spool->relocation_count -= 1;
    base_free(copy->extents);
    base_free(copy->slots);
    base_free(copy);
}

/* The message stays where it is, and its segment with it. */
static void relocation_give_up(struct spool *spool, struct spool_relocation *copy)
{
    struct spool_message *message = copy->message;
    message->flags &= (uint8_t)~MESSAGE_RELOCATING;
    if (message->flags & MESSAGE_UNSTORED) {
        list_push_back(&spool->rewrites, &message->body->link);
        spool->rewrite_after = ring_now(spool->ring) + DURATION_S(1);
    }
    if (spool->victim != NULL) spool->victim->stuck = true;
    spool->victim = NULL;
    relocation_free(copy);
}

static void relocation_loaded(struct spool_load *load, enum spool_result result)
{
    struct spool_relocation *copy = CONTAINER_OF(load, struct spool_relocation, load);
    struct spool *spool = copy->spool;
    if (result == SPOOL_OK) {
        copy->state = RELOCATION_COPYING;
        return;
    }
    relocation_give_up(spool, copy); /* damaged, or not readable now */
}

static void relocation_start(struct spool *spool, struct spool_message *message)
{
    struct spool_relocation *copy = base_alloc(sizeof(*copy));
    copy->spool = spool;
    copy->message = message;
    copy->load.on_loaded = relocation_loaded;
    list_init(&copy->batch_link);
    list_init(&copy->load.link);
    list_push_back(&spool->relocations, &copy->link);
    spool->relocation_count += 1;
    message->flags |= MESSAGE_RELOCATING;
    copy->state = RELOCATION_LOADING;
    if (spool_message_load(spool, message, &copy->load)) copy->state = RELOCATION_COPYING;
}

static void add_extent(struct spool_relocation *copy, const struct spool_place *place, uint32_t len)
{
    if (copy->count == copy->cap) {
        copy->cap = MAX(4, copy->cap * 2);
        copy->extents = base_realloc(copy->extents, copy->cap * sizeof(*copy->extents));
        copy->slots = base_realloc(copy->slots, copy->cap * sizeof(*copy->slots));
    }
    struct spool_segment *segment = place->batch->segment;
    if (copy->count == 0 || copy->slots[copy->count - 1] != segment->slot) segment->unfinished += 1;
    copy->slots[copy->count] = segment->slot;
    copy->extents[copy->count++] = (struct disk_extent){
        .generation = segment->generation,
        .segment = segment->number,
        .offset = place->offset,
        .length = len,
        .len = len,
    };
}

/* What the copy says about the message's state: whatever was written before is void then. */
static struct bytes describe(struct spool *spool, const struct spool_message *message)
{
    if (!(message->flags & (MESSAGE_STATEFUL | MESSAGE_DIRTY))) return (struct bytes){0};
    struct text text;
    text_init(&text, spool->state_buffer, SPOOL_STATE_MAX + 1);
    spool->callbacks.describe(spool->context, message, &text);
    ASSERT(!text.cut);
    return text_bytes(&text);
}

/* The new MESSAGE record. False: there is no room for it. */
static bool append_message(struct spool *spool, struct spool_relocation *copy)
{
    struct spool_message *message = copy->message;
    const struct spool_body *body = message->body;
    const struct bytes state = describe(spool, message);
    const struct disk_message fixed = {
        .id = message->id,
        .created_ms = (int64_t)message->created_s * 1000,
        .extent_count = copy->count,
        .envelope_len = (uint32_t)body->envelope.len,
        .prefix_len = (uint32_t)body->pieces[0].len,
        .content_len = message->content_size,
        .state_len = (uint32_t)state.len,
        .content_flags = message->content_flags,
    };
    struct spool_place place;
    const uint64_t payload = message_payload_len(&fixed);
    /* Segments may be smaller than they were, and its table of extents longer. */
    if (!spool_record_fits(spool, payload)) return false;
    const uint32_t len = (uint32_t)payload;
    if (!spool_reserve(spool, RECORD_MESSAGE, len, SPOOL_FOR_COPY, &place)) return false;
    message_write(place.payload, &fixed, copy->extents, body->envelope, body->pieces[0], state);
    spool_close_record(spool, &place, len);
    copy->slot = place.batch->segment->slot;
    copy->generation = place.batch->segment->generation;
    copy->offset = place.offset;
    copy->record_size = record_size(len);
    copy->state = RELOCATION_COMMITTING;
    place.batch->urgent = true;
    list_push_back(&place.batch->relocations, &copy->batch_link);

    spool_state_forget(spool, message);
    list_remove(&message->state_link);
    if (message->flags & MESSAGE_DIRTY) message->flags |= MESSAGE_STATEFUL;
    message->flags &= (uint8_t)~MESSAGE_DIRTY;
    return true;
}

/* Goes on until it is complete or the budget is used up. False: there is no room on disk. */
static bool copy_on(struct spool *spool, struct spool_relocation *copy, uint64_t *budget)
{
    const struct spool_body *body = copy->message->body;
    while (copy->piece < body->count) {
        const struct bytes rest = bytes_skip(body->pieces[copy->piece + 1], copy->piece_at);
        struct spool_place place;
        uint32_t room;
        if (*budget == 0) return true;
        const uint32_t min = (uint32_t)MIN(rest.len, (size_t)SPOOL_STAGE_SIZE);
        if (!spool_reserve_content(spool, min, SPOOL_FOR_COPY, &place, &room)) return false;
        const uint32_t len = (uint32_t)MIN(rest.len, (size_t)room);
        memcpy(place.payload, rest.data, len);
        spool_close_record(spool, &place, len);
        add_extent(copy, &place, len);
        *budget -= MIN(*budget, len);
        copy->piece_at += len;
        if (len < rest.len) continue;
        copy->piece += 1;
        copy->piece_at = 0;
    }
    *budget -= MIN(*budget, copy->message->record_size);
    return append_message(spool, copy);
}

void spool_relocation_done(struct spool *spool, struct spool_relocation *copy, bool ok)
{
    struct spool_message *message = copy->message;
    struct spool_segment *to = spool_slot(spool, copy->slot);
    if (message == NULL) { /* done meanwhile: its tombstone covers this copy too */
        relocation_free(copy);
        return;
    }
    message->flags &= (uint8_t)~MESSAGE_RELOCATING;
    if (ok && !copy->failed) {
        struct spool_segment *from = spool_slot(spool, message->segment);
        if (from != to) spool_bits_set(&to->copies, spool_bit(from));
        spool_bits_add(&to->copies, &from->copies);
        spool_message_unplace(spool, message, true);
        message->segment = copy->slot;
        message->offset = copy->offset;
        message->record_size = copy->record_size;
        spool_message_attach(spool, message, copy->extents, copy->slots, copy->count);
        message->flags &= (uint8_t)~MESSAGE_UNSTORED;
        message->body->stored = true;
        message->body->rewrite = false;
        metrics_add(spool->metrics, METRICS_SPOOL_COMPACTED, 1);
    } else {
        if (ok) spool_want_live(spool, to); /* a MESSAGE record without its content */
        if (message->flags & MESSAGE_STATEFUL) spool_message_changed(spool, message);
        if (message->flags & MESSAGE_UNSTORED) {
            list_push_back(&spool->rewrites, &message->body->link);
        }
    }
    spool->compact_check = true;
    relocation_free(copy);
    spool_message_unpin(spool, message);
}

void spool_relocation_forget(struct spool *spool, struct spool_message *message, uint32_t *slot,
                             uint64_t *generation)
{
    LIST_FOR_EACH(node, &spool->relocations)
    {
        struct spool_relocation *copy = CONTAINER_OF(node, struct spool_relocation, link);
        if (copy->message != message) continue;
        if (copy->state == RELOCATION_COMMITTING) {
            copy->message = NULL;
            if (slot != NULL) *slot = copy->slot;
            if (generation != NULL) *generation = copy->generation;
        } else {
            relocation_free(copy);
        }
        return;
    }
}

/* ---- which segment ------------------------------------------------------------------------------
 */

static bool is_empty(const struct spool_segment *segment)
{
    return list_is_empty(&segment->messages) && list_is_empty(&segment->parts) &&
           list_is_empty(&segment->states) && list_is_empty(&segment->notes);
}

/* Worth emptying? What must go anyway is; else what is less than half alive, when the log has grown
 * to more than twice what is alive in it. */
static bool is_worth(const struct spool *spool, const struct spool_segment *segment, bool grown,
                     uint64_t room)
{
    if (segment->state != SEGMENT_SEALED && segment->state != SEGMENT_ABANDONED) return false;
    if (segment->stuck || segment->batches > 0 || is_empty(segment)) return false;
    if (spool->full) return segment->live < MIN(segment->size / 4 * 3, room);
    if (segment->log != spool->own || segment->state == SEGMENT_ABANDONED) return true;
    if (segment->size != spool->options.segment_size) return true;
    return grown && segment->live < segment->size / 2;
}

/* Octets that copies may take on a full disk. */
static uint64_t room_left(const struct spool *spool)
{
    const struct spool_segment *segment = spool->current;
    const uint64_t here = segment == NULL ? 0 : segment->size - segment->tail;
    return here + (spool->free_count > 1 ? spool->options.segment_size : 0);
}

static struct spool_segment *choose_victim(const struct spool *spool)
{
    const uint64_t size = spool->options.segment_size;
    const uint64_t idle = spool->free_count + (spool->preparing != NULL);
    const uint64_t used = (spool->own_segments - MIN(idle, spool->own_segments)) * size;
    const bool grown = used > 2 * spool->live_bytes + 4 * size;
    const uint64_t room = room_left(spool);
    struct spool_segment *best = NULL;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || !is_worth(spool, segment, grown, room)) continue;
        if (best == NULL || segment->live < best->live) best = segment;
    }
    return best;
}

/* ---- emptying one -------------------------------------------------------------------------------
 */

/* Not what cannot be moved now: nothing is won when only a part of a message finds room. */
static bool can_move(const struct spool *spool, const struct spool_message *message)
{
    if (message->flags & (MESSAGE_DAMAGED | MESSAGE_UNSTORED)) return false;
    return !spool->full ||
           (uint64_t)message->content_size + message->record_size < room_left(spool);
}

static void start_copy(struct spool *spool, struct spool_message *message)
{
    if (spool->relocation_count >= SPOOL_RELOCATIONS_MAX) return;
    if (message->flags & MESSAGE_RELOCATING) return;
    relocation_start(spool, message);
}

/* Starts copies of what lies there; true: more may come later. */
static bool start_copies(struct spool *spool, struct spool_segment *victim)
{
    bool some = false;
    for (uint32_t i = 0; i < 2 * SPOOL_RELOCATIONS_MAX; i++) {
        struct list *node = list_pop_front(&victim->messages);
        if (node == NULL) break;
        list_push_back(&victim->messages, node); /* those that cannot go yet do not block others */
        struct spool_message *message = CONTAINER_OF(node, struct spool_message, record_link);
        if (!can_move(spool, message)) continue;
        some = true;
        start_copy(spool, message);
        if (spool->victim == NULL) return false;
    }
    for (uint32_t i = 0; i < 2 * SPOOL_RELOCATIONS_MAX; i++) {
        struct list *node = list_pop_front(&victim->parts);
        if (node == NULL) break;
        list_push_back(&victim->parts, node);
        const struct spool_part *part = CONTAINER_OF(node, struct spool_part, link);
        struct spool_message *message = part->span->message;
        if (!can_move(spool, message)) continue;
        some = true;
        start_copy(spool, message);
        if (spool->victim == NULL) return false;
    }
    return some;
}

static bool move_states(struct spool *spool, struct spool_segment *victim)
{
    for (uint32_t i = 0; i < STATES_A_TURN && !list_is_empty(&victim->states); i++) {
        spool_message_changed(spool,
                              CONTAINER_OF(victim->states.next, struct spool_message, state_link));
    }
    if (!list_is_empty(&victim->notes)) {
        list_append_all(&spool->dirty_notes, &victim->notes);
        spool_states_later(spool);
    }
    return !list_is_empty(&victim->states);
}

static void empty_victim(struct spool *spool)
{
    struct spool_segment *victim = spool->victim;
    const bool states = move_states(spool, victim);
    const bool messages = start_copies(spool, victim);
    if (spool->victim == NULL || states || messages) return;
    /* Either nothing is left in it, or only what cannot be moved. */
    if (spool->relocation_count > 0) return;
    victim->stuck = !is_empty(victim);
    spool->victim = NULL;
}

static void start_rewrites(struct spool *spool)
{
    if (ring_now(spool->ring) < spool->rewrite_after) return;
    while (spool->relocation_count < SPOOL_RELOCATIONS_MAX && !list_is_empty(&spool->rewrites)) {
        struct list *node = list_pop_front(&spool->rewrites);
        struct spool_body *body = CONTAINER_OF(node, struct spool_body, link);
        relocation_start(spool, body->message);
    }
}

/* Dead segments that are kept for their tombstones become too many: the tombstones are said again
 * as LIVE records. A few a turn: each lists the messages of a segment. */
static void want_lives(struct spool *spool)
{
    uint32_t wanted = 0;
    const uint32_t enough = spool->full ? 1 : MAX(4, spool->own_segments / 8);
    if (spool->dead_pinned < enough || spool->lives_wanted > 0) return;
    for (uint32_t i = 0; i < spool->slot_count && wanted < 8; i++) {
        struct spool_segment *about = spool->slots[i];
        if (about == NULL || about->live_wanted || about->batches > 0) continue;
        if (about->state != SEGMENT_SEALED && about->state != SEGMENT_ABANDONED &&
            about->state != SEGMENT_FREE) {
            continue;
        }
        for (uint32_t j = 0; j < spool->slot_count; j++) {
            const struct spool_segment *keeper = spool->slots[j];
            if (keeper == NULL || keeper->log != spool->own || keeper->live > 0) continue;
            if (keeper->state != SEGMENT_SEALED && keeper->state != SEGMENT_ABANDONED) continue;
            if (!spool_bits_test(&keeper->tombs, spool_bit(about)) &&
                !spool_bits_test(&keeper->copies, spool_bit(about))) {
                continue;
            }
            spool_want_live(spool, about);
            wanted += 1;
            break;
        }
    }
    spool->dead_pinned = 0; /* counted again when they are durable */
    if (wanted > 0) spool_states_later(spool);
}

void spool_compact(struct spool *spool)
{
    if (spool->closing || spool->failing) return;
    const bool busy = spool->gathering != NULL && spool->gathering->urgent;
    uint64_t budget = busy ? COPY_BUSY : COPY_IDLE;
    want_lives(spool);
    start_rewrites(spool);
    const instant now = ring_now(spool->ring);
    if (spool->victim == NULL && spool->compact_check && now >= spool->next_compact_check) {
        spool->next_compact_check = now + DURATION_MS(CHECK_MS);
        spool->compact_check = false;
        spool->victim = choose_victim(spool);
    }
    if (spool->victim != NULL) empty_victim(spool);
    LIST_FOR_EACH_SAFE(node, &spool->relocations)
    {
        struct spool_relocation *copy = CONTAINER_OF(node, struct spool_relocation, link);
        if (copy->state != RELOCATION_COPYING || copy_on(spool, copy, &budget)) continue;
        struct spool_message *message = copy->message; /* what was copied of it is garbage now */
        relocation_give_up(spool, copy);
        spool_message_unpin(spool, message);
    }
    const bool more = spool->victim != NULL || spool->relocation_count > 0;
    const bool moved = budget < (busy ? COPY_BUSY : COPY_IDLE);
    if (more && !ring_timer_is_armed(&spool->work_timer)) {
        ring_timer_arm(spool->ring, &spool->work_timer, now + DURATION_MS(moved ? 1 : CHECK_MS));
    }
}
