/* SPDX-License-Identifier: Apache-2.0
 *
 * recover_message - is a MESSAGE record that was found alive?
 *
 *   dead        a LIVE record about its segment does not list it, or a DONE record has its id
 *   stale       a newer record with its id was accepted (it has been moved)
 *   torn        its content is damaged, and it was never said to be durable: it was not answered
 *   damaged     its content is damaged, but it was durable: it is kept, and bounces when it is due
 *   alive       else
 */
#include "recover.h"

static void keep_for(struct spool *spool, struct spool_bits *(*set)(struct spool_segment *),
                     uint32_t keeper, const struct spool_segment *about)
{
    struct spool_segment *segment = spool_slot(spool, keeper);
    if (segment != NULL && segment != about) spool_bits_set(set(segment), spool_bit(about));
}
static struct spool_bits *tombs_of(struct spool_segment *segment)
{
    return &segment->tombs;
}
static struct spool_bits *copies_of(struct spool_segment *segment)
{
    return &segment->copies;
}

/* ---- extents ------------------------------------------------------------------------------------
 */

static struct spool_segment *extent_segment(const struct spool *spool, struct spool_segment *own,
                                            const struct disk_extent *extent)
{
    if (own->number == extent->segment && own->generation == extent->generation) return own;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment != NULL && segment->log == own->log && segment->number == extent->segment &&
            segment->generation == extent->generation) {
            return segment;
        }
    }
    return NULL;
}

static void extents_room(struct recovery *recovery, uint32_t count)
{
    if (count <= recovery->extent_cap) return;
    recovery->extent_cap = MAX(count, MAX(64, recovery->extent_cap * 2));
    const size_t cap = recovery->extent_cap;
    recovery->extents = base_realloc(recovery->extents, cap * sizeof(*recovery->extents));
    recovery->extent_slots = base_realloc(recovery->extent_slots, cap * sizeof(uint32_t));
}

/* Fills recovery->extents with those whose segment exists. False: some content is not there. */
static bool take_extents(struct recovery *recovery, struct spool_segment *own,
                         const struct message_parts *parts, uint32_t *count, bool *elsewhere)
{
    bool good = true;
    *count = 0;
    *elsewhere = false;
    extents_room(recovery, parts->fixed.extent_count);
    for (uint32_t i = 0; i < parts->fixed.extent_count; i++) {
        const struct disk_extent extent = message_extent(parts, i);
        const struct spool_segment *segment = extent_segment(recovery->spool, own, &extent);
        const uint64_t end = (uint64_t)extent.offset + record_size(extent.length);
        if (segment == NULL || extent.offset < FORMAT_PAGE || end > segment->size) {
            good = false;
            continue;
        }
        *elsewhere |= segment != own;
        good &= scan_is_good(&recovery->results[segment->slot], extent.offset, (uint32_t)end);
        recovery->extents[*count] = extent;
        recovery->extent_slots[*count] = segment->slot;
        *count += 1;
    }
    return good;
}

/* ---- acceptance ---------------------------------------------------------------------------------
 */

static void give_state(struct recovery *recovery, const struct id_entry *known,
                       struct spool_message *message)
{
    struct spool_segment *segment = spool_slot(recovery->spool, known->state_slot);
    list_init(&message->state_link);
    if (known->state_size == 0) return;
    message->state_segment = known->state_slot;
    message->state_size = known->state_size;
    spool_segment_live(recovery->spool, segment, message->state_size);
    list_push_back(&segment->states, &message->state_link);
}

/* Hands the message over. The extents are those of recovery->extents. */
static void accept(struct recovery *recovery, struct spool_segment *segment,
                   const struct candidate *found, const struct message_parts *parts,
                   const struct id_entry *known, uint32_t count)
{
    struct spool *spool = recovery->spool;
    const struct disk_message *fixed = &parts->fixed;
    /* An OUTCOME record that was met before is newer than the state in the record itself. */
    struct bytes state = parts->state;
    if (known->state_size > 0) state = (struct bytes){known->state, known->state_len};
    struct id_entry *entry = id_get(&recovery->ids, fixed->id);
    entry->kind = ID_ACCEPTED;
    entry->slot = segment->slot;
    const uint32_t created_s = (uint32_t)(fixed->created_ms / 1000);
    struct spool_message *message =
        spool->callbacks.recovered(spool->context, fixed->id, parts->envelope, state,
                                   fixed->content_len, fixed->content_flags, created_s);
    if (message == NULL) {
        const struct spool_done done = {
            .id = fixed->id,
            .slots = {segment->slot, UINT32_MAX},
            .generations = {segment->generation, 0},
        };
        spool_done_add(&spool->dones, &done);
        return;
    }
    *message = (struct spool_message){
        .id = fixed->id,
        .segment = segment->slot,
        .offset = found->offset,
        .record_size = found->size,
        .content_size = fixed->content_len,
        .content_flags = fixed->content_flags,
        .created_s = created_s,
    };
    if (state.len > 0 || known->state_size > 0) message->flags |= MESSAGE_STATEFUL;
    give_state(recovery, known, message);
    spool_message_attach(spool, message, recovery->extents, recovery->extent_slots, count);
}

static void wait_for_end(struct recovery *recovery, const struct candidate *found,
                         struct bytes payload)
{
    if (recovery->candidate_count == recovery->candidate_cap) {
        recovery->candidate_cap = MAX(64, recovery->candidate_cap * 2);
        recovery->candidates = base_realloc(
            recovery->candidates, recovery->candidate_cap * sizeof(*recovery->candidates));
    }
    struct candidate *candidate = &recovery->candidates[recovery->candidate_count++];
    *candidate = *found;
    candidate->payload = arena_copy(&recovery->arena, payload);
    candidate->payload_len = (uint32_t)payload.len;
    candidate->state = *id_get(&recovery->ids, found->id);
}

static bool is_listed(const struct live_list *live, uint32_t offset)
{
    uint32_t low = 0, high = live->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (live->offsets[middle] < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < live->count && live->offsets[low] == offset;
}

void recover_message(struct recovery *recovery, struct spool_segment *segment,
                     const struct scan_record *record)
{
    struct spool *spool = recovery->spool;
    const char *at = recovery->scan.data + record->offset;
    struct record_head head;
    struct message_parts parts;
    memcpy(&head, at, sizeof(head));
    const struct bytes payload = {at + sizeof(head), head.length};
    if (!message_parse(payload, &parts)) return;
    const struct candidate found = {
        .id = parts.fixed.id,
        .batch = record->batch,
        .slot = segment->slot,
        .offset = record->offset,
        .size = record_size(head.length),
    };

    struct live_list *live = recover_live_now(recovery);
    if (live != NULL) {
        if (!is_listed(live, record->offset)) return;
        live->found += 1;
    }
    const struct id_entry *entry = id_find(&recovery->ids, found.id);
    const enum id_kind kind = entry == NULL ? ID_NONE : (enum id_kind)entry->kind;
    if (kind == ID_DONE) {
        keep_for(spool, tombs_of, entry->slot, segment);
        return;
    }
    if (kind == ID_ACCEPTED) {
        keep_for(spool, copies_of, entry->slot, segment);
        return;
    }
    uint32_t count;
    bool elsewhere;
    if (kind != ID_PENDING && take_extents(recovery, segment, &parts, &count, &elsewhere) &&
        !elsewhere) {
        const struct id_entry none = {0};
        const struct id_entry known = entry == NULL ? none : *entry;
        accept(recovery, segment, &found, &parts, &known, count);
        return;
    }
    wait_for_end(recovery, &found, payload);
    id_get(&recovery->ids, found.id)->kind = ID_PENDING;
}

/* ---- at the end ---------------------------------------------------------------------------------
 */

static void report_damaged(struct recovery *recovery, const struct candidate *found,
                           const struct spool_segment *segment)
{
    char id[EVENT_ID_TEXT_MAX];
    recovery->damaged += 1;
    event_log(recovery->spool->events, EVENT_ERROR, "spool",
              "%s/%010u.seg: content of message %s at %u is damaged", segment->log->path,
              segment->number, event_id_print(found->id, id), found->offset);
}

/* sound: only with all of its content; else also damaged ones that had been durable. */
static void decide(struct recovery *recovery, struct candidate *found, bool sound)
{
    struct spool_segment *segment = spool_slot(recovery->spool, found->slot);
    struct message_parts parts;
    uint32_t count;
    bool elsewhere;
    if (id_get(&recovery->ids, found->id)->kind == ID_ACCEPTED) return;
    if (!message_parse((struct bytes){found->payload, found->payload_len}, &parts)) return;
    const bool good = take_extents(recovery, segment, &parts, &count, &elsewhere);
    if (good != sound) return;
    if (!good) {
        const bool durable =
            found->batch <= segment->log->durable || recover_live_find(recovery, segment) != NULL;
        if (!durable) return; /* torn: a LIVE record will say that it is dead */
        report_damaged(recovery, found, segment);
    }
    found->taken = true;
    accept(recovery, segment, found, &parts, &found->state, count);
}

/* Newest first, as they were met. */
void recover_candidates(struct recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->candidate_count; i++)
        decide(recovery, &recovery->candidates[i], true);
    for (uint32_t i = 0; i < recovery->candidate_count; i++)
        decide(recovery, &recovery->candidates[i], false);
    for (uint32_t i = 0; i < recovery->candidate_count; i++) {
        const struct candidate *found = &recovery->candidates[i];
        const struct id_entry *entry = id_find(&recovery->ids, found->id);
        struct spool_segment *segment = spool_slot(recovery->spool, found->slot);
        if (found->taken) continue;
        if (entry->kind == ID_ACCEPTED) {
            keep_for(recovery->spool, copies_of, entry->slot, segment);
        }
        if (segment->log == recovery->spool->own) spool_want_live(recovery->spool, segment);
    }
}
