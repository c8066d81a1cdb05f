/* SPDX-License-Identifier: Apache-2.0
 *
 * segment - what is alive in each segment, and when it may be used again
 *
 * A segment is dead when nothing in it is needed for itself. It may still be needed for what its
 * tombstones and newer copies say about older segments (tombs, copies): it becomes free only when
 * those are overwritten or said again elsewhere. README.md proves that this is enough.
 */
#include "internal.h"
#include <stdio.h>

#define TO(state) (1u << SEGMENT_##state)
static const uint32_t successors[] = {
    [SEGMENT_PREPARING] = TO(FREE) | TO(OPEN) | TO(REMOVED),
    [SEGMENT_FREE] = TO(OPEN) | TO(REMOVED),
    [SEGMENT_OPEN] = TO(SEALED) | TO(ABANDONED),
    [SEGMENT_SEALED] = TO(FREE) | TO(ABANDONED) | TO(REMOVED),
    [SEGMENT_ABANDONED] = TO(REMOVED),
    [SEGMENT_REMOVED] = 0,
};
static_assert(ARRAY_COUNT(successors) == SEGMENT_STATE_COUNT, "one row for each state");
#undef TO

void spool_segment_become(struct spool_segment *segment, enum spool_segment_state state)
{
    struct spool *spool = segment->spool;
    ASSERT(successors[segment->state] & (1u << state));
    spool->abandoned += state == SEGMENT_ABANDONED;
    spool->abandoned -= segment->state == SEGMENT_ABANDONED;
    segment->state = (uint8_t)state;
    if (state != SEGMENT_OPEN && state != SEGMENT_FREE && state != SEGMENT_REMOVED) return;
    if (spool->victim == segment) spool->victim = NULL;
    if (segment->live_wanted && !segment->live_written && state != SEGMENT_FREE) {
        spool->lives_wanted -= 1;
        segment->live_wanted = false;
    }
}

/* ---- sets --------------------------------------------------------------------------------------
 */

void spool_bits_set(struct spool_bits *bits, uint32_t bit)
{
    const uint32_t word = bit / 64;
    if (word >= bits->count) {
        const uint32_t count = MAX(word + 1, bits->count * 2);
        bits->words = base_realloc(bits->words, count * sizeof(*bits->words));
        memset(bits->words + bits->count, 0, (count - bits->count) * sizeof(*bits->words));
        bits->count = count;
    }
    bits->words[word] |= (uint64_t)1 << (bit % 64);
}

void spool_bits_clear(struct spool_bits *bits, uint32_t bit)
{
    if (bit / 64 < bits->count) bits->words[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

bool spool_bits_test(const struct spool_bits *bits, uint32_t bit)
{
    return bit / 64 < bits->count && (bits->words[bit / 64] >> (bit % 64) & 1) != 0;
}

void spool_bits_add(struct spool_bits *to, const struct spool_bits *from)
{
    for (uint32_t word = 0; word < from->count; word++) {
        if (from->words[word] == 0) continue;
        if (word >= to->count) { /* grows to's array; then adds the whole word */
            spool_bits_set(to, word * 64);
            spool_bits_clear(to, word * 64);
        }
        to->words[word] |= from->words[word];
    }
}

bool spool_bits_is_empty(const struct spool_bits *bits)
{
    for (uint32_t word = 0; word < bits->count; word++) {
        if (bits->words[word] != 0) return false;
    }
    return true;
}

void spool_bits_free(struct spool_bits *bits)
{
    base_free(bits->words);
    *bits = (struct spool_bits){0};
}

void spool_segments_clear_bit(struct spool *spool, uint32_t bit, const struct spool_segment *than)
{
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL) continue;
        const bool older =
            than == NULL || segment->log != than->log || segment->generation < than->generation;
        if (!older) continue;
        spool_bits_clear(&segment->tombs, bit);
        spool_bits_clear(&segment->copies, bit);
    }
    spool->tend = true;
}

/* ---- the struct --------------------------------------------------------------------------------
 */

static uint32_t free_slot(struct spool *spool)
{
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        if (spool->slots[slot] == NULL) return slot;
    }
    const uint32_t count = MAX(16, spool->slot_count * 2), slot = spool->slot_count;
    spool->slots = base_realloc(spool->slots, count * sizeof(*spool->slots));
    memset(spool->slots + slot, 0, (count - slot) * sizeof(*spool->slots));
    spool->slot_count = count;
    return slot;
}

struct spool_segment *spool_segment_add(struct spool *spool, struct spool_log *log, uint32_t number)
{
    struct spool_segment *segment = base_alloc(sizeof(*segment));
    segment->spool = spool;
    segment->log = log;
    segment->number = number;
    segment->slot = free_slot(spool);
    list_init(&segment->link);
    list_init(&segment->messages);
    list_init(&segment->states);
    list_init(&segment->notes);
    list_init(&segment->parts);
    spool->slots[segment->slot] = segment;
    log->segments += 1;
    log->number_last = MAX(log->number_last, number);
    if (log == spool->own) spool->own_segments += 1;
    metrics_gauge(spool->metrics, METRICS_SPOOL_SEGMENTS, 1);
    return segment;
}

void spool_segment_path(const struct spool_segment *segment, char *path, size_t size)
{
    snprintf(path, size, "%s/%010u.seg", segment->log->path, segment->number);
}

static void file_closed(struct ring_file *file)
{
    struct spool_segment *segment = CONTAINER_OF(file, struct spool_segment, file);
    if (segment->spool != NULL) segment->spool->open_files -= 1;
    base_free(segment);
}

void spool_segment_dispose(struct spool_segment *segment, bool orphan)
{
    struct spool *spool = segment->spool;
    ASSERT(segment->ops == 0 && segment->batches == 0);
    if (segment->state == SEGMENT_FREE) {
        list_remove(&segment->link);
        spool->free_count -= 1;
    }
    if (spool->preparing == segment) spool->preparing = NULL;
    spool->slots[segment->slot] = NULL;
    segment->log->segments -= 1;
    if (segment->log == spool->own) spool->own_segments -= 1;
    metrics_gauge(spool->metrics, METRICS_SPOOL_SEGMENTS, -1);
    spool_bits_free(&segment->tombs);
    spool_bits_free(&segment->copies);
    if (segment->file.handle.state == RING_CLOSED) {
        base_free(segment);
        return;
    }
    if (orphan) segment->spool = NULL;
    segment->file.on_closed = file_closed;
    ring_file_close(&segment->file);
}

void spool_segment_live(struct spool *spool, struct spool_segment *segment, int64_t change)
{
    ASSERT(change >= 0 || segment->live >= (uint64_t)-change);
    segment->live += (uint64_t)change;
    spool->live_bytes += (uint64_t)change;
    metrics_gauge(spool->metrics, METRICS_SPOOL_LIVE_BYTES, change);
    if (change >= 0) return;
    spool->compact_check = true;
    segment->stuck = false; /* perhaps it was the damaged message that went */
    if (segment->live > 0) return;
    /* What replaced the last live record may still be on its way to the disk. */
    segment->free_after = spool->batch_last;
    spool->tend = true;
}

/* ---- use and reuse -----------------------------------------------------------------------------
 */

static struct spool_segment *take_preparing(struct spool *spool)
{
    struct spool_segment *segment = spool->preparing;
    const int result = ring_path_sync_folder(spool->ring, segment->log->path);
    if (result < 0) {
        spool_failure_count(spool, "sync of the folder", result);
        return NULL;
    }
    spool->preparing = NULL;
    return segment;
}

static struct spool_segment *choose(struct spool *spool)
{
    if (spool->free_count > 0) {
        spool->free_count -= 1;
        return CONTAINER_OF(list_pop_front(&spool->free), struct spool_segment, link);
    }
    /* Not all of it was written before: slower, but better than waiting. */
    if (spool->preparing != NULL) return take_preparing(spool);
    char why[SPOOL_PATH_MAX];
    return spool_segment_create(spool, why, sizeof(why));
}

struct spool_segment *spool_segment_take(struct spool *spool, enum spool_purpose purpose)
{
    spool_space_check(spool, true);
    if (!spool_space_allows(spool, purpose)) return NULL;
    const bool reserved = !spool_space_allows(spool, SPOOL_FOR_MAIL);
    struct spool_segment *segment = choose(spool);
    if (segment == NULL) return NULL;

    ASSERT(spool_bits_is_empty(&segment->tombs) && spool_bits_is_empty(&segment->copies));
    ASSERT(!segment->held && segment->unfinished == 0);
    spool_segment_become(segment, SEGMENT_OPEN);
    segment->former_generation = segment->generation;
    segment->generation = ++spool->generation;
    segment->turn = !segment->turn;
    segment->tail = 0;
    segment->stuck = segment->live_wanted = segment->live_written = false;
    spool->reserved_only = reserved;
    return segment;
}

/* The new header is durable: no record of the former use can come alive. */
void spool_segment_opened(struct spool *spool, struct spool_segment *segment)
{
    spool_segments_clear_bit(spool, spool_bit_former(segment), NULL);
}

/* Nothing in it is needed for itself. What replaced it may still have to become durable. */
static bool is_dead(const struct spool *spool, const struct spool_segment *segment)
{
    if (segment->state != SEGMENT_SEALED && segment->state != SEGMENT_ABANDONED) return false;
    return segment->live == 0 && segment->unfinished == 0 && segment->batches == 0 &&
           segment->ops == 0 && list_is_empty(&segment->messages) &&
           list_is_empty(&segment->states) && list_is_empty(&segment->parts) &&
           list_is_empty(&segment->notes) && !segment->live_wanted && !segment->await_dones &&
           !spool->unsettled;
}

/* Tombstones in a log about itself go away with it, all at once. */
static bool bits_leave_log(const struct spool *spool, const struct spool_log *log,
                           const struct spool_bits *bits)
{
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        const struct spool_segment *about = spool->slots[slot];
        if (about == NULL || about->log == log) continue;
        if (spool_bits_test(bits, slot * 2) || spool_bits_test(bits, slot * 2 + 1)) return true;
    }
    return false;
}

/* An adopted folder goes as a whole: renaming it is one step, so that at no moment a part of it is
 * left whose tombstones were in the other part. */
static void log_retire(struct spool *spool, struct spool_log *log)
{
    char dead[SPOOL_PATH_MAX + 32];
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        const struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || segment->log != log) continue;
        if (!is_dead(spool, segment) || segment->free_after > spool->completed ||
            bits_leave_log(spool, log, &segment->tombs) ||
            bits_leave_log(spool, log, &segment->copies)) {
            return;
        }
    }
    if (ring_now(spool->ring) < spool->next_removal) {
        spool->tend = true; /* again in a while */
        return;
    }
    spool->next_removal = ring_now(spool->ring) + DURATION_S(1);
    snprintf(dead, sizeof(dead), "%s-dead", log->path);
    if (ring_path_rename(spool->ring, log->path, dead) < 0 ||
        ring_path_sync_folder(spool->ring, log->parent->path) < 0) {
        ring_path_rename(spool->ring, dead, log->path);
        spool->tend = true; /* again in a second */
        return;
    }
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || segment->log != log) continue;
        spool_segments_clear_bit(spool, spool_bit(segment), NULL);
        spool_segment_become(segment, SEGMENT_REMOVED);
        spool_segment_dispose(segment, false);
    }
    spool_folder_remove(spool, dead); /* should it not be complete: recovery does it again */
    event_log(spool->events, EVENT_INFO, "spool", "%s: all mail of it has been moved, removed",
              log->path);
    log->parent->children -= 1;
    list_remove(&log->link);
    base_free(log);
}

static void logs_retire(struct spool *spool)
{
    LIST_FOR_EACH_SAFE(node, &spool->logs)
    {
        struct spool_log *log = CONTAINER_OF(node, struct spool_log, link);
        if (log != spool->own && log->children == 0) log_retire(spool, log);
    }
}

/* Frees what is dead and not needed for others. Cost: the number of segments, when something in
 * them changed that may free one. */
void spool_segments_tend(struct spool *spool)
{
    if (!spool->tend || spool->closing) return;
    spool->tend = false;
    spool->dead_pinned = 0;
    spool->tend_at = UINT64_MAX;
    uint32_t unlinked = 0;
    const bool may_remove = ring_now(spool->ring) >= spool->next_removal;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || segment->log != spool->own) continue;
        if (segment->state == SEGMENT_REMOVED) unlinked += 1;
        if (!is_dead(spool, segment)) continue;
        if (segment->free_after > spool->completed) {
            spool->tend_at = MIN(spool->tend_at, segment->free_after);
        } else if (!spool_bits_is_empty(&segment->tombs) ||
                   !spool_bits_is_empty(&segment->copies)) {
            spool->dead_pinned += 1;
        } else if (segment->state == SEGMENT_SEALED &&
                   segment->size == spool->options.segment_size) {
            spool_segment_become(segment, SEGMENT_FREE);
            list_push_back(&spool->free, &segment->link);
            spool->free_count += 1;
        } else if (may_remove) {
            spool_segment_unlink(segment);
            unlinked += segment->state == SEGMENT_REMOVED;
        }
    }
    /* On a full disk they are space that is missed. */
    const uint32_t spares = spool->full ? 2 : SPOOL_SPARE_SEGMENTS;
    while (may_remove && spool->free_count > spares) {
        struct spool_segment *spare = CONTAINER_OF(spool->free.prev, struct spool_segment, link);
        spool_segment_unlink(spare);
        if (spare->state != SEGMENT_REMOVED) break;
        unlinked += 1;
    }
    if (!may_remove && spool->free_count > spares) spool->tend = true;
    if (unlinked > 0 && may_remove) {
        spool->next_removal = ring_now(spool->ring) + DURATION_S(1);
        spool_segments_forget_unlinked(spool);
    }
    logs_retire(spool);
}
