/* SPDX-License-Identifier: Apache-2.0
 *
 * spool - start, the turn, the end
 */
#include "internal.h"
#include <errno.h>
#include <stdio.h>

int spool_lock(struct ring_file *lock, struct ring *ring, const char *path)
{
    char name[SPOOL_PATH_MAX];
    int result = ring_path_make_folder(ring, path);
    if (result < 0) return result;
    snprintf(name, sizeof(name), "%s/lock", path);
    result = ring_file_open(lock, ring, name, RING_FILE_CREATE);
    if (result < 0) return result;
    lock->on_closed = NULL;
    result = ring_file_lock(lock);
    if (result < 0) ring_file_close_now(lock);
    return result;
}

static void state_timer_fired(struct ring_timer *timer)
{
    CONTAINER_OF(timer, struct spool, state_timer)->states_due = true;
}

static void work_timer_fired(struct ring_timer *timer)
{
    (void)timer; /* the flush of this turn does the work */
}

void spool_set_limits(struct spool *spool, const struct spool_options *options)
{
    const uint64_t step = SPOOL_SEGMENT_SIZE_MIN;
    if (options->disk_max != spool->options.disk_max) spool->had_segments = spool->own_segments;
    spool->options = *options;
    uint64_t *size = &spool->options.segment_size;
    *size = MIN(MAX(*size / step * step, step), (uint64_t)SPOOL_SEGMENT_SIZE_MAX);
    spool->options.memory_max = MAX(options->memory_max, 8 * (uint64_t)SPOOL_BLOCK_SIZE);
    const uint64_t spare = spool->options.memory_max / SPOOL_BLOCK_SIZE / 4;
    spool->blocks.free_max = (uint32_t)MIN(MAX(spare, 4), 1024);
    spool->space_checked = 0;
    spool->tend = spool->compact_check = true;
}

static struct spool *spool_new(struct ring *ring)
{
    struct spool *spool = base_alloc(sizeof(*spool));
    struct list *lists[] = {
        &spool->logs,        &spool->free,     &spool->batches,       &spool->drafts,
        &spool->relaxed,     &spool->voided,   &spool->answers,       &spool->resident,
        &spool->dirty,       &spool->reads,    &spool->reads_waiting, &spool->relocations,
        &spool->dirty_notes, &spool->rewrites,
    };
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        list_init(lists[i]);
    spool->ring = ring;
    spool->in_flight_max = 1;
    spool->tend_at = UINT64_MAX;
    buf_pool_init(&spool->blocks, SPOOL_BLOCK_SIZE, 0);
    buf_pool_init(&spool->read_blocks, SPOOL_READ_BLOCK, 256);
    buf_pool_init(&spool->stages, SPOOL_STAGE_SIZE, 64);
    pool_init(&spool->batch_pool, sizeof(struct spool_batch), 16);
    pool_init(&spool->body_pool, sizeof(struct spool_body), 64);
    table_init(&spool->notes);
    table_init(&spool->spans);
    ring_timer_init(&spool->state_timer, state_timer_fired);
    ring_timer_init(&spool->work_timer, work_timer_fired);
    ring_timer_init(&spool->retry_timer, spool_retry_fired);
    spool->scratch = buf_block_get(&spool->read_blocks, 16 * SPOOL_STAGE_SIZE);
    spool->state_buffer = base_alloc(SPOOL_STATE_MAX + 1);
    return spool;
}

static void close_files(struct spool *spool, bool orphan)
{
    spool_notes_free(spool); /* they are linked into the segments */
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        if (spool->slots[slot] != NULL) spool_segment_dispose(spool->slots[slot], orphan);
    }
}

/* Nothing is in flight, no file is open and no handle is left. */
static void spool_free(struct spool *spool)
{
    struct list *node;
    while ((node = list_pop_front(&spool->logs)) != NULL)
        base_free(CONTAINER_OF(node, struct spool_log, link));
    table_deinit(&spool->spans);
    base_free(spool->slots);
    base_free(spool->dones.items);
    base_free(spool->state_buffer);
    buf_block_unpin(spool->scratch);
    buf_pool_deinit(&spool->blocks);
    buf_pool_deinit(&spool->read_blocks);
    buf_pool_deinit(&spool->stages);
    pool_deinit(&spool->batch_pool);
    pool_deinit(&spool->body_pool);
    base_free(spool);
}

/* The first segment is written before it is used, here and now; the second in the background. */
static bool first_segment(struct spool *spool, char *why, size_t why_size)
{
    if (spool->own_segments > 0) return true;
    spool_space_check(spool, true);
    if (spool_space_segments(spool, SPOOL_FOR_STATE) == 0) {
        snprintf(why, why_size, "%s: too little space for a segment of the queue (%llu octets)",
                 spool->own->path, (unsigned long long)spool->options.segment_size);
        return false;
    }
    struct spool_segment *segment = spool_segment_create(spool, why, why_size);
    if (segment == NULL) return false;
    const int result = spool_segment_prewrite(segment);
    if (result < 0) {
        snprintf(why, why_size, "%s: writing the first segment: %s", spool->own->path,
                 strerror(-result));
        spool_segment_unlink(segment);
        return false;
    }
    spool_segment_become(segment, SEGMENT_FREE);
    list_push_back(&spool->free, &segment->link);
    spool->free_count += 1;
    return true;
}

struct spool *spool_create(struct ring *ring, uint32_t index, uint32_t workers,
                           const struct spool_options *options,
                           const struct spool_callbacks *callbacks, void *context,
                           struct event_sink *events, struct metrics *metrics, char *why,
                           size_t why_size)
{
    ASSERT(index < workers && workers <= 256);
    struct spool *spool = spool_new(ring);
    spool->events = events;
    spool->metrics = metrics;
    spool->callbacks = *callbacks;
    spool->context = context;
    spool->index = index;
    spool_set_limits(spool, options);
    if (spool_recover(spool, workers, why, why_size) && first_segment(spool, why, why_size)) {
        spool_space_check(spool, true);
        return spool;
    }
    /* Handles that recovery has filled are the caller's to drop; files are closed by the ring. */
    uint32_t cursor = 0;
    struct spool_span *span;
    while ((span = table_next(&spool->spans, &cursor)) != NULL)
        base_free(span);
    close_files(spool, true);
    spool_free(spool);
    return NULL;
}

/* ---- the turn -----------------------------------------------------------------------------------
 */

/* One segment ahead, and another when the open one is half full. */
static void prepare_ahead(struct spool *spool)
{
    const bool half = spool->current != NULL && spool->current->tail > spool->current->size / 2;
    if (spool->free_count < 1 + (uint32_t)half) spool_segment_prepare(spool);
}

static void tell_memory(struct spool *spool)
{
    const int64_t memory = (int64_t)spool_memory(spool);
    metrics_gauge(spool->metrics, METRICS_MESSAGE_BYTES, memory - spool->memory_told);
    spool->memory_told = memory;
}

void spool_flush(struct spool *spool)
{
    spool_commit_settle(spool);
    spool_answer_relaxed(spool);
    spool_loads_tell(spool);
    spool_compact(spool);
    if (spool->tend) {
        spool_segments_tend(spool);
        spool_notes_tend(spool);
    }
    prepare_ahead(spool);
    spool_commit_pump(spool);
    spool_body_evict(spool, 0);
    tell_memory(spool);
}

static bool has_batches(const struct spool *spool)
{
    LIST_FOR_EACH(node, &spool->batches)
    {
        const struct spool_batch *batch = CONTAINER_OF(node, struct spool_batch, link);
        if (batch->state != BATCH_GATHERING || batch->urgent) return true;
    }
    return false;
}

/* Relaxed: acknowledged mail that must be written again. */
static bool has_rewrites(const struct spool *spool)
{
    LIST_FOR_EACH(node, &spool->relocations)
    {
        const struct spool_message *message =
            CONTAINER_OF(node, struct spool_relocation, link)->message;
        if (message != NULL && (message->flags & MESSAGE_UNSTORED)) return true;
    }
    return !list_is_empty(&spool->rewrites);
}

bool spool_is_idle(const struct spool *spool)
{
    return !has_batches(spool) && !spool_states_pending(spool) && list_is_empty(&spool->voided) &&
           list_is_empty(&spool->answers) && list_is_empty(&spool->relaxed) &&
           list_is_empty(&spool->reads) && list_is_empty(&spool->reads_waiting) &&
           spool->in_flight == 0 && !has_rewrites(spool);
}

bool spool_is_committing(const struct spool *spool)
{
    return spool->committing > 0;
}

/* ---- the end ------------------------------------------------------------------------------------
 */

static bool is_busy(const struct spool *spool)
{
    if (spool->in_flight > 0 || spool->probing) return true;
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        if (spool->slots[slot] != NULL && spool->slots[slot]->ops > 0) return true;
    }
    return false;
}

static void turn(struct spool *spool)
{
    ring_turn(spool->ring, ring_now(spool->ring) + DURATION_MS(100), 64);
}

/* Writes all there is, as far as the disk lets us. */
static void drain(struct spool *spool)
{
    for (;;) {
        spool->states_due = true;
        spool_commit_settle(spool);
        spool_commit_pump(spool);
        if (!is_busy(spool)) break; /* nothing left, or nothing that can be written */
        turn(spool);
    }
    spool_commit_settle(spool);
}

/* Batches that could not be written are settled as failed, so that everybody is told. */
static void give_up(struct spool *spool)
{
    spool->gathering = NULL;
    LIST_FOR_EACH(node, &spool->batches)
    {
        CONTAINER_OF(node, struct spool_batch, link)->state = BATCH_FAILED;
    }
    spool_commit_settle(spool);
    list_append_all(&spool->answers, &spool->voided);
    spool_answer(spool);
}

void spool_destroy(struct spool **spool_ptr)
{
    struct spool *spool = *spool_ptr;
    struct list *node;
    *spool_ptr = NULL;
    ASSERT(spool->messages == 0);
    if (spool->states_lost > 0) {
        event_log(spool->events, EVENT_ERROR, "spool",
                  "%s: no room for the states of %u messages; their last attempts are forgotten",
                  spool->own->path, spool->states_lost);
    }
    while ((node = list_pop_front(&spool->drafts)) != NULL) {
        struct spool_draft *draft = CONTAINER_OF(node, struct spool_draft, link);
        spool_body_free(spool, draft->body);
        *draft = (struct spool_draft){0};
    }
    spool_answer_relaxed(spool);
    spool->closing = true;
    while (spool->probing)
        turn(spool);
    if (spool->failing) { /* one last try */
        spool->failing = false;
        spool->failures = SPOOL_FAILURES_MAX - 1;
    }
    /* Space, too, is looked for once more. */
    spool->grow_after = spool->grow_state_after = spool->space_checked = 0;
    drain(spool);
    if (spool->gathering != NULL) spool->gathering->urgent = true; /* content of nobody */
    if (!spool->failing) spool_seal_log(spool);
    drain(spool);
    give_up(spool);
    spool_block_drop(spool);
    spool->current = NULL;
    ring_timer_disarm(spool->ring, &spool->state_timer);
    ring_timer_disarm(spool->ring, &spool->work_timer);
    ring_timer_disarm(spool->ring, &spool->retry_timer);
    metrics_gauge(spool->metrics, METRICS_MESSAGE_BYTES, -spool->memory_told);
    close_files(spool, false);
    while (spool->open_files > 0)
        turn(spool);
    spool_free(spool);
}
