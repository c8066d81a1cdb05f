/* SPDX-License-Identifier: Apache-2.0
 *
 * note - keys and values that survive restarts
 *
 * The newest record of a key wins. A forgotten key keeps its entry (with an empty value) until no
 * segment can hold an older record of it any more.
 */
#include "internal.h"

static struct bytes entry_key(const struct spool_note_entry *note)
{
    return (struct bytes){note->data, note->key_len};
}

static bool key_equals(const void *item, const void *key)
{
    return bytes_equal(entry_key(item), *(const struct bytes *)key);
}

static uint64_t key_hash(struct bytes key)
{
    return hash_bytes(0, key);
}

struct spool_note_entry *spool_note_find(const struct spool *spool, struct bytes key)
{
    return table_find(&spool->notes, key_hash(key), key_equals, &key);
}

struct spool_note_entry *spool_note_add(struct spool *spool, struct bytes key, struct bytes value)
{
    ASSERT(key.len <= SPOOL_NOTE_KEY_MAX && value.len <= SPOOL_NOTE_VALUE_MAX);
    struct spool_note_entry *note = base_alloc(sizeof(*note) + key.len + value.len);
    list_init(&note->link);
    note->hash = key_hash(key);
    note->slot = UINT32_MAX;
    note->key_len = (uint16_t)key.len;
    note->value_len = (uint16_t)value.len;
    if (key.len > 0) memcpy(note->data, key.data, key.len);
    if (value.len > 0) memcpy(note->data + key.len, value.data, value.len);
    if (value.len == 0) {
        note->forgotten = spool->generation;
        spool->forgotten_notes += 1;
    }
    table_add(&spool->notes, note->hash, note);
    return note;
}

void spool_note_place(struct spool *spool, struct spool_note_entry *note, uint32_t slot,
                      uint32_t size)
{
    if (slot != UINT32_MAX) spool_segment_live(spool, spool_slot(spool, slot), size);
    if (note->slot != UINT32_MAX) {
        spool_segment_live(spool, spool_slot(spool, note->slot), -(int64_t)note->size);
    }
    note->slot = slot;
    note->size = size;
}

static void note_remove(struct spool *spool, struct spool_note_entry *note)
{
    list_remove(&note->link);
    spool_note_place(spool, note, UINT32_MAX, 0);
    if (note->value_len == 0) spool->forgotten_notes -= 1;
    table_remove(&spool->notes, note->hash, note);
    base_free(note);
}

void spool_note(struct spool *spool, struct bytes key, struct bytes value)
{
    struct spool_note_entry *old = spool_note_find(spool, key);
    if (old == NULL && value.len == 0) return;
    if (old != NULL) {
        const struct bytes now = {old->data + old->key_len, old->value_len};
        if (bytes_equal(now, value)) return;
    }
    struct spool_note_entry *note = spool_note_add(spool, key, value);
    if (old != NULL) { /* the record on disk counts until the new one is there */
        note->slot = old->slot;
        note->size = old->size;
        old->slot = UINT32_MAX;
        note_remove(spool, old);
    }
    list_push_back(&spool->dirty_notes, &note->link);
    spool_states_later(spool);
}

bool spool_notes_append(struct spool *spool)
{
    struct list *node;
    while (!list_is_empty(&spool->dirty_notes)) {
        node = spool->dirty_notes.next;
        struct spool_note_entry *note = CONTAINER_OF(node, struct spool_note_entry, link);
        const struct disk_note fixed = {note->key_len, note->value_len, 0};
        const uint32_t len = (uint32_t)note->key_len + note->value_len;
        const uint32_t payload = (uint32_t)sizeof(fixed) + len;
        struct spool_place place;
        if (!spool_reserve(spool, RECORD_NOTE, payload, SPOOL_FOR_STATE, &place)) return false;
        memcpy(place.payload, &fixed, sizeof(fixed));
        memcpy(place.payload + sizeof(fixed), note->data, len);
        spool_close_record(spool, &place, payload);
        spool_note_place(spool, note, place.batch->segment->slot, record_size(payload));
        note->written = false;
        list_remove(&note->link);
        list_push_back(&place.batch->notes, &note->link);
    }
    return true;
}

/* Forgotten keys whose older records were all overwritten need no entry any more. Those in the same
 * segment as the newest go together with it. */
void spool_notes_tend(struct spool *spool)
{
    uint64_t oldest = UINT64_MAX, second = UINT64_MAX;
    uint32_t oldest_slot = UINT32_MAX, cursor = 0;
    struct spool_note_entry *note;
    struct list gone;
    list_init(&gone);
    if (spool->forgotten_notes == 0 || spool->logs.next != spool->logs.prev) return;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        const struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || segment->generation == 0) continue;
        const bool open = segment->state == SEGMENT_OPEN && segment->former_generation > 0;
        const uint64_t generation = open ? segment->former_generation : segment->generation;
        if (generation < oldest) {
            second = oldest;
            oldest = generation;
            oldest_slot = slot;
        } else {
            second = MIN(second, generation);
        }
    }
    while ((note = table_next(&spool->notes, &cursor)) != NULL) {
        const uint64_t others = note->slot == oldest_slot ? second : oldest;
        if (note->value_len > 0 || !note->written || note->forgotten >= others) continue;
        list_remove(&note->link);
        list_push_back(&gone, &note->link);
    }
    while (!list_is_empty(&gone))
        note_remove(spool, CONTAINER_OF(gone.next, struct spool_note_entry, link));
}

void spool_notes_free(struct spool *spool)
{
    uint32_t cursor = 0;
    struct spool_note_entry *note;
    while ((note = table_next(&spool->notes, &cursor)) != NULL) {
        list_remove(&note->link);
        base_free(note);
    }
    table_deinit(&spool->notes);
}
