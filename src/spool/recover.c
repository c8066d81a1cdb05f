/* SPDX-License-Identifier: Apache-2.0
 *
 * recover - start: what the logs say is alive
 */
#include "recover.h"
#include <stdio.h>
#include <stdlib.h>

enum { DAMAGE_LINES_MAX = 20 };

/* ---- LIVE lists ---------------------------------------------------------------------------------
 */

struct live_list *recover_live_find(const struct recovery *recovery,
                                    const struct spool_segment *segment)
{
    for (uint32_t i = 0; i < recovery->live_count; i++) {
        struct live_list *live = &recovery->lives[i];
        if (live->segment == segment->number && live->generation == segment->generation &&
            live->log_id == segment->log->key.log_id) {
            return live;
        }
    }
    return NULL;
}

/* The first one met is the newest; it names fewer records than those before it. */
void recover_live_add(struct recovery *recovery, const struct live_list *list)
{
    const struct spool *spool = recovery->spool;
    bool exists = false;
    for (uint32_t slot = 0; slot < spool->slot_count && !exists; slot++) {
        const struct spool_segment *segment = spool->slots[slot];
        exists = segment != NULL && segment->number == list->segment &&
                 segment->generation == list->generation &&
                 segment->log->key.log_id == list->log_id &&
                 recover_live_find(recovery, segment) == NULL;
    }
    if (!exists) {
        base_free(list->offsets);
        return;
    }
    if (recovery->live_count == recovery->live_cap) {
        recovery->live_cap = MAX(16, recovery->live_cap * 2);
        recovery->lives =
            base_realloc(recovery->lives, recovery->live_cap * sizeof(*recovery->lives));
    }
    recovery->lives[recovery->live_count++] = *list;
}

static int compare_u32(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void apply_live(struct recovery *recovery, const struct spool_segment *keeper,
                       struct bytes payload)
{
    struct disk_live fixed;
    if (payload.len < sizeof(fixed)) return;
    memcpy(&fixed, payload.data, sizeof(fixed));
    const struct bytes offsets = bytes_skip(payload, sizeof(fixed));
    if (offsets.len != (uint64_t)fixed.count * sizeof(uint32_t)) return;
    struct live_list list = {
        .log_id = fixed.log_id,
        .generation = fixed.generation,
        .segment = fixed.segment,
        .keeper = keeper->slot,
        .count = fixed.count,
        .offsets = base_alloc(offsets.len),
    };
    if (offsets.len > 0) {
        memcpy(list.offsets, offsets.data, offsets.len);
        qsort(list.offsets, list.count, sizeof(uint32_t), compare_u32);
    }
    recover_live_add(recovery, &list);
}

/* ---- the other records --------------------------------------------------------------------------
 */

static void see_id(struct recovery *recovery, const struct spool_segment *segment, uint64_t id)
{
    if (segment->log == recovery->spool->own && id >> 56 == recovery->spool->index) {
        recovery->id_max = MAX(recovery->id_max, id);
    }
}

static void apply_done(struct recovery *recovery, const struct spool_segment *segment,
                       struct bytes payload)
{
    for (size_t at = 0; at + sizeof(uint64_t) <= payload.len; at += sizeof(uint64_t)) {
        uint64_t id;
        memcpy(&id, payload.data + at, sizeof(id));
        see_id(recovery, segment, id);
        struct id_entry *entry = id_get(&recovery->ids, id);
        if (entry->kind != ID_STATE) continue; /* a newer record spoke already */
        entry->kind = ID_DONE;
        entry->slot = segment->slot;
    }
}

static void apply_outcome(struct recovery *recovery, const struct spool_segment *segment,
                          struct bytes payload)
{
    uint64_t id;
    if (payload.len < sizeof(id)) return;
    memcpy(&id, payload.data, sizeof(id));
    struct id_entry *entry = id_get(&recovery->ids, id);
    if (entry->kind == ID_DONE || entry->kind == ID_ACCEPTED || entry->state_size > 0) return;
    const struct bytes state = bytes_skip(payload, sizeof(id));
    entry->state = arena_copy(&recovery->arena, state);
    entry->state_len = (uint32_t)state.len;
    entry->state_slot = segment->slot;
    entry->state_size = record_size((uint32_t)payload.len);
}

static void apply_note(struct recovery *recovery, struct spool_segment *segment,
                       struct bytes payload)
{
    struct spool *spool = recovery->spool;
    struct disk_note fixed;
    if (payload.len < sizeof(fixed)) return;
    memcpy(&fixed, payload.data, sizeof(fixed));
    const struct bytes rest = bytes_skip(payload, sizeof(fixed));
    if (fixed.key_len > SPOOL_NOTE_KEY_MAX || fixed.value_len > SPOOL_NOTE_VALUE_MAX ||
        (size_t)fixed.key_len + fixed.value_len != rest.len) {
        return;
    }
    const struct bytes key = {rest.data, fixed.key_len};
    if (spool_note_find(spool, key) != NULL) return; /* a newer one */
    struct spool_note_entry *note = spool_note_add(spool, key, bytes_skip(rest, fixed.key_len));
    spool_note_place(spool, note, segment->slot, record_size((uint32_t)payload.len));
    note->written = true;
    list_push_back(&segment->notes, &note->link);
}

static void apply(struct recovery *recovery, struct spool_segment *segment,
                  const struct scan_record *record)
{
    struct record_head head;
    const char *at = recovery->scan.data + record->offset;
    memcpy(&head, at, sizeof(head));
    const struct bytes payload = {at + sizeof(head), head.length};
    switch ((enum record_type)record->type) {
    case RECORD_MESSAGE:
        if (payload.len >= sizeof(uint64_t)) {
            uint64_t id;
            memcpy(&id, payload.data, sizeof(id));
            see_id(recovery, segment, id);
        }
        recover_message(recovery, segment, record);
        return;
    case RECORD_OUTCOME:
        apply_outcome(recovery, segment, payload);
        return;
    case RECORD_DONE:
        apply_done(recovery, segment, payload);
        return;
    case RECORD_LIVE:
        apply_live(recovery, segment, payload);
        return;
    case RECORD_NOTE:
        apply_note(recovery, segment, payload);
        return;
    case RECORD_SEAL:
    case RECORD_BATCH:
    case RECORD_CONTENT:
        return;
    }
}

/* ---- one segment --------------------------------------------------------------------------------
 */

/* Damage is what is not good although a later batch said that it was durable; the rest is torn.
 * Where a LIVE record exists, the segment was judged before; then only listed records that are
 * missing count. True: something is torn, and to be judged once and for all. */
static bool report_damage(struct recovery *recovery, const struct spool_segment *segment,
                          const struct scan_result *result)
{
    bool torn = !result->sealed;
    if (recover_live_now(recovery) != NULL) return false;
    for (uint32_t i = 0; i < result->bad_count; i++) {
        const struct scan_range *bad = &result->bad[i];
        if (bad->after_batch >= segment->log->durable) {
            torn = true;
            continue;
        }
        recovery->damaged += 1;
        if (++recovery->damage_lines > DAMAGE_LINES_MAX) continue;
        event_log(recovery->spool->events, EVENT_ERROR, "spool",
                  "%s/%010u.seg: damaged from offset %u to %u: what follows is kept",
                  segment->log->path, segment->number, bad->from, bad->to);
    }
    return torn;
}

static void recover_segment(struct recovery *recovery, struct spool_segment *segment)
{
    struct spool *spool = recovery->spool;
    struct scan *scan = &recovery->scan;
    struct scan_result *result = &recovery->results[segment->slot];
    scan_load(scan, segment);
    scan->first_batch = segment->first_batch > 0 ? segment->first_batch - 1 : 0;
    const struct live_list *known = recover_live_find(recovery, segment);
    recovery->live = known == NULL ? UINT32_MAX : (uint32_t)(known - recovery->lives);
    scan_records(scan, segment, result);
    recovery->octets += scan->len;
    for (uint32_t i = scan->count; i-- > 0;)
        apply(recovery, segment, &scan->records[i]);
    const bool torn = report_damage(recovery, segment, result);
    struct live_list *live = recover_live_now(recovery);
    if (live != NULL) {
        live->scanned = true;
        struct spool_segment *keeper = spool_slot(spool, live->keeper);
        if (keeper != segment) spool_bits_set(&keeper->tombs, spool_bit(segment));
    }
    if (torn && segment->log == spool->own) spool_want_live(spool, segment);
}

static int newest_first(const void *a, const void *b)
{
    const struct spool_segment *left = *(struct spool_segment *const *)a;
    const struct spool_segment *right = *(struct spool_segment *const *)b;
    if (left->generation != right->generation) {
        return left->generation < right->generation ? 1 : -1;
    }
    return left->number < right->number ? 1 : -1;
}

static void recover_log(struct recovery *recovery, struct spool_log *log)
{
    struct spool *spool = recovery->spool;
    struct spool_segment **order =
        base_alloc((spool->slot_count + 1) * sizeof(struct spool_segment *));
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment != NULL && segment->log == log && segment->state == SEGMENT_SEALED) {
            order[count++] = segment;
        }
    }
    qsort(order, count, sizeof(struct spool_segment *), newest_first);
    for (uint32_t i = 0; i < count; i++)
        recover_segment(recovery, order[i]);
    base_free(order);
}

/* ---- all ----------------------------------------------------------------------------------------
 */

static void give_notes(struct spool *spool)
{
    uint32_t cursor = 0;
    struct spool_note_entry *note;
    while ((note = table_next(&spool->notes, &cursor)) != NULL) {
        const struct bytes key = {note->data, note->key_len};
        const struct bytes value = {note->data + note->key_len, note->value_len};
        note->forgotten = spool->generation;
        if (value.len > 0) spool->callbacks.note(spool->context, key, value);
    }
}

static void report_missing(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    for (uint32_t i = 0; i < recovery->live_count; i++) {
        const struct live_list *live = &recovery->lives[i];
        if (!live->scanned || live->found >= live->count) continue;
        recovery->damaged += live->count - live->found;
        event_log(spool->events, EVENT_ERROR, "spool",
                  "%s: segment %010u: %u records of messages are damaged", spool->own->path,
                  live->segment, live->count - live->found);
    }
    if (recovery->damaged > 0) {
        event_log(spool->events, EVENT_ERROR, "spool", "%s: %u damaged places in all",
                  spool->own->path, recovery->damaged);
    }
}

static void set_counters(struct recovery *recovery)
{
    struct spool *spool = recovery->spool;
    const uint64_t worker = (uint64_t)spool->index << 56;
    const uint64_t now_us = (uint64_t)MAX(ring_wall(spool->ring), 0) * 1000;
    /* Torn batches that were not found may have used some numbers more. */
    spool->batch_last = recovery->scan.batch_max + 2 * SPOOL_IN_FLIGHT_MAX;
    spool->completed = spool->batch_last;
    spool->durable_held = spool->own->durable;
    spool->sequence = recovery->scan.sequence_max;
    spool->had_segments = spool->own_segments;
    spool->next_id = MAX(spool->next_id, recovery->id_max + 1);
    spool->next_id = MAX(spool->next_id, worker | (now_us & (((uint64_t)1 << 56) - 1)));
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || !segment->live_wanted || segment->held) continue;
        segment->held = true;
        spool->hold += 1;
    }
}

static void recovery_free(struct recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->result_count; i++)
        base_free(recovery->results[i].bad);
    for (uint32_t i = 0; i < recovery->live_count; i++)
        base_free(recovery->lives[i].offsets);
    base_free(recovery->results);
    base_free(recovery->lives);
    base_free(recovery->candidates);
    base_free(recovery->extents);
    base_free(recovery->extent_slots);
    base_free(recovery->ids.entries);
    base_free(recovery->scan.records);
    free(recovery->scan.data);
    arena_free(&recovery->arena);
}

bool spool_recover(struct spool *spool, uint32_t workers, char *why, size_t why_size)
{
    struct recovery recovery = {.spool = spool};
    if (!recover_open(&recovery, workers, why, why_size)) {
        recovery_free(&recovery);
        return false;
    }
    recovery.result_count = spool->slot_count;
    recovery.results = base_alloc(recovery.result_count * sizeof(*recovery.results));
    LIST_FOR_EACH(node, &spool->logs)
    {
        recover_log(&recovery, CONTAINER_OF(node, struct spool_log, link));
    }
    recover_candidates(&recovery);
    report_missing(&recovery);
    set_counters(&recovery);
    give_notes(spool);
    if (recovery.octets > 0) {
        event_log(spool->events, EVENT_INFO, "spool", "%s: %llu messages found in %llu MiB of log",
                  spool->own->path, (unsigned long long)spool->messages,
                  (unsigned long long)(recovery.octets >> 20));
    }
    metrics_add(spool->metrics, METRICS_SPOOL_ERRORS, recovery.damaged);
    recovery_free(&recovery);
    spool->states_due = spool_states_pending(spool);
    spool->tend = spool->compact_check = true;
    spool_segments_tend(spool);
    return true;
}
