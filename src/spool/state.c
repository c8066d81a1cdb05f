/* SPDX-License-Identifier: Apache-2.0
 *
 * state - OUTCOME, DONE and LIVE records on their way into a batch
 *
 * They gather in lists and are written by the next commit of mail, or alone after a short delay. A
 * message that changes often within it is described once.
 */
#include "internal.h"
#include <stdlib.h>

/* ---- OUTCOME ------------------------------------------------------------------------------------
 */

void spool_state_forget(struct spool *spool, struct spool_message *message)
{
    if (message->state_size == 0) return;
    spool_segment_live(spool, spool_slot(spool, message->state_segment),
                       -(int64_t)message->state_size);
    message->state_size = 0;
}

bool spool_state_append(struct spool *spool, struct spool_message *message)
{
    struct text text;
    struct spool_place place;
    text_init(&text, spool->state_buffer, SPOOL_STATE_MAX + 1);
    spool->callbacks.describe(spool->context, message, &text);
    ASSERT(!text.cut);
    const uint32_t payload = (uint32_t)(sizeof(message->id) + text.len);
    if (!spool_reserve(spool, RECORD_OUTCOME, payload, SPOOL_FOR_STATE, &place)) return false;
    memcpy(place.payload, &message->id, sizeof(message->id));
    memcpy(place.payload + sizeof(message->id), text.data, text.len);
    spool_close_record(spool, &place, payload);

    struct spool_segment *segment = place.batch->segment;
    spool_segment_live(spool, segment, record_size(payload));
    spool_state_forget(spool, message);
    message->state_segment = segment->slot;
    message->state_size = record_size(payload);
    message->flags &= (uint8_t)~MESSAGE_DIRTY;
    message->flags |= MESSAGE_STATEFUL;
    list_remove(&message->state_link);
    list_push_back(&place.batch->states, &message->state_link);
    return true;
}

/* ---- DONE ---------------------------------------------------------------------------------------
 */

void spool_done_add(struct spool_dones *dones, const struct spool_done *done)
{
    if (dones->count == dones->cap) {
        dones->cap = MAX(16, dones->cap * 2);
        dones->items = base_realloc(dones->items, dones->cap * sizeof(*dones->items));
    }
    dones->items[dones->count++] = *done;
}

/* The tombstone lies in `in`: keep that segment as long as it could be missed. */
static void entomb(struct spool *spool, struct spool_segment *in, const struct spool_done *done)
{
    for (size_t i = 0; i < ARRAY_COUNT(done->slots); i++) {
        const struct spool_segment *about = spool_slot(spool, done->slots[i]);
        if (about == NULL || about->generation != done->generations[i] || about == in) continue;
        spool_bits_set(&in->tombs, spool_bit(about));
        spool_bits_add(&in->tombs, &about->copies);
    }
}

static bool dones_append(struct spool *spool)
{
    struct spool_dones *dones = &spool->dones;
    struct spool_place place;
    uint32_t at = 0;
    while (at < dones->count) {
        const uint32_t count = MIN(dones->count - at, (uint32_t)SPOOL_DONE_CHUNK);
        const uint32_t payload = count * (uint32_t)sizeof(uint64_t);
        if (!spool_reserve(spool, RECORD_DONE, payload, SPOOL_FOR_STATE, &place)) break;
        for (uint32_t i = 0; i < count; i++) {
            const struct spool_done *done = &dones->items[at + i];
            memcpy(place.payload + i * sizeof(uint64_t), &done->id, sizeof(uint64_t));
            entomb(spool, place.batch->segment, done);
            spool_done_add(&place.batch->dones, done); /* should the write fail */
        }
        spool_close_record(spool, &place, payload);
        at += count;
    }
    dones->count -= at;
    if (dones->count == 0) return true;
    memmove(dones->items, dones->items + at, dones->count * sizeof(*dones->items));
    return false;
}

/* ---- LIVE ---------------------------------------------------------------------------------------
 */

static int compare_offsets(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* All MESSAGE records there but those listed are dead. True also where none can be written. */
static bool live_append(struct spool *spool, struct spool_segment *about)
{
    struct disk_live live = {
        .log_id = about->log->key.log_id,
        .generation = about->generation,
        .segment = about->number,
    };
    struct spool_place place;
    LIST_FOR_EACH(node, &about->messages)
    {
        live.count += 1;
    }
    const uint64_t payload = sizeof(live) + (uint64_t)live.count * sizeof(uint32_t);
    if (!spool_record_fits(spool, payload)) return true;
    if (!spool_reserve(spool, RECORD_LIVE, (uint32_t)payload, SPOOL_FOR_STATE, &place)) {
        return false;
    }
    uint32_t *offsets = (uint32_t *)(void *)(place.payload + sizeof(live)), count = 0;
    LIST_FOR_EACH(node, &about->messages)
    {
        const struct spool_message *message = CONTAINER_OF(node, struct spool_message, record_link);
        if (message->flags & MESSAGE_UNSTORED) continue;
        offsets[count++] = message->offset;
    }
    qsort(offsets, count, sizeof(*offsets), compare_offsets);
    live.count = count;
    memcpy(place.payload, &live, sizeof(live));
    spool_close_record(spool, &place, (uint32_t)(sizeof(live) + count * sizeof(uint32_t)));

    struct spool_batch *batch = place.batch;
    if (batch->live_count == batch->live_cap) {
        batch->live_cap = MAX(4, batch->live_cap * 2);
        batch->lives = base_realloc(batch->lives, batch->live_cap * sizeof(*batch->lives));
    }
    batch->lives[batch->live_count++] = (struct spool_live){about->slot, about->generation};
    if (about != batch->segment) spool_bits_set(&batch->segment->tombs, spool_bit(about));
    about->live_written = true;
    spool->lives_wanted -= 1;
    return true;
}

void spool_want_live(struct spool *spool, struct spool_segment *segment)
{
    if (segment->live_wanted) return;
    segment->live_wanted = true;
    spool->lives_wanted += 1;
    spool_states_later(spool);
}

/* Only of segments in which every MESSAGE record is decided: nothing gathering or in flight. */
static bool can_list(const struct spool_segment *segment)
{
    return segment->live_wanted && !segment->live_written && segment->batches == 0 &&
           segment->state != SEGMENT_OPEN && segment->state != SEGMENT_REMOVED;
}

static bool lives_append(struct spool *spool)
{
    for (uint32_t slot = 0; slot < spool->slot_count && spool->lives_wanted > 0; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment != NULL && can_list(segment) && !live_append(spool, segment)) return false;
    }
    return true;
}

static bool lives_are_pending(const struct spool *spool)
{
    for (uint32_t slot = 0; slot < spool->slot_count && spool->lives_wanted > 0; slot++) {
        if (spool->slots[slot] != NULL && can_list(spool->slots[slot])) return true;
    }
    return false;
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static bool outcomes_append(struct spool *spool)
{
    for (uint32_t i = 0; i < SPOOL_STATES_CHUNK && !list_is_empty(&spool->dirty); i++) {
        struct list *node = spool->dirty.next;
        if (!spool_state_append(spool, CONTAINER_OF(node, struct spool_message, state_link))) {
            return false;
        }
    }
    return true;
}

bool spool_states_pending(const struct spool *spool)
{
    return spool->dones.count > 0 || !list_is_empty(&spool->dirty) ||
           !list_is_empty(&spool->dirty_notes) || lives_are_pending(spool);
}

static void dones_written(struct spool *spool)
{
    if (!spool->await_dones || spool->dones.count > 0) return;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || !segment->await_dones) continue;
        segment->await_dones = false;
        segment->free_after = spool->batch_last;
    }
    spool->await_dones = false;
    spool->tend = true;
}

void spool_states_append(struct spool *spool)
{
    /* No LIVE record once handles were let go: it would not list them. */
    const bool all = (spool->closing || lives_append(spool)) && dones_append(spool) &&
                     outcomes_append(spool) && spool_notes_append(spool);
    dones_written(spool);
    if (spool->gathering != NULL) {
        /* What waits for a DONE record is told when this batch is through. */
        if (spool->dones.count == 0) {
            list_append_all(&spool->gathering->voided, &spool->voided);
            spool->gathering->void_holds += spool->void_holds;
            spool->void_holds = 0;
        }
        if (spool->states_due || !list_is_empty(&spool->gathering->voided)) {
            spool->gathering->urgent = true;
        }
    }
    if (!all) list_append_all(&spool->answers, &spool->voided); /* no room to say it: told now */
    if (!all || !list_is_empty(&spool->dirty)) {
        spool->states_due = all;
        spool_states_later(spool); /* no room on disk, or too many for one commit */
        return;
    }
    spool->states_due = false;
    ring_timer_disarm(spool->ring, &spool->state_timer);
    if (!spool->unsettled) return;
    /* Said again, but not durable before this batch is: nothing is freed until then. */
    spool->unsettled = false;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        if (spool->slots[slot] != NULL) spool->slots[slot]->free_after = spool->batch_last;
    }
    spool->tend = true;
}

void spool_states_later(struct spool *spool)
{
    if (spool->states_due || ring_timer_is_armed(&spool->state_timer)) return;
    ring_timer_arm(spool->ring, &spool->state_timer,
                   ring_now(spool->ring) + DURATION_MS(SPOOL_STATE_DELAY_MS));
}
