/* SPDX-License-Identifier: Apache-2.0
 *
 * commit - writes of batches: one after the other, several at a time on a slow disk
 *
 * The next write starts at the flush behind the completion of the last one, with what has gathered
 * since: no timer, no delay. Batches settle in the order of their numbers, so a message whose last
 * batch has settled is on disk as a whole. A segment's header is a write of its own, and nothing
 * else is in flight with it: nothing old is overwritten before all that was in the segment is void
 * by its header (README.md: the tombstone rule).
 */
#include "internal.h"

static void batch_written(struct ring_file_op *op, int64_t result);

static void header_finish(struct spool *spool, struct spool_batch *batch)
{
    const struct spool_segment *segment = batch->segment;
    const struct disk_header header = {
        .number = segment->number,
        .log_id = spool->own->key.log_id,
        .generation = segment->generation,
        .size = segment->size,
        .batch = batch->number + 1,
        .next_id = spool->next_id,
    };
    header_write(batch->block->data + batch->from, &header);
}

/* BATCH record and padding. */
static void batch_finish(struct spool *spool, struct spool_batch *batch)
{
    char *data = batch->block->data;
    const uint32_t at = batch->from, end = page_up(batch->end);
    const struct disk_batch fixed = {
        .number = batch->number,
        .durable = spool->hold > 0 ? spool->durable_held : spool->completed,
        .used = batch->end - at,
        .size = end - at,
    };
    struct spool_place place = {
        .batch = batch,
        .head = (struct record_head *)(void *)(data + at),
        .payload = data + at + sizeof(struct record_head),
    };
    *place.head = (struct record_head){.type = RECORD_BATCH};
    memcpy(place.payload, &fixed, sizeof(fixed));
    const uint32_t keep = batch->end; /* the place was counted when the batch was opened */
    spool_close_record(spool, &place, sizeof(fixed));
    batch->end = keep;
    memset(data + batch->end, 0, end - batch->end);
}

static void issue(struct spool *spool, struct spool_batch *batch)
{
    const uint32_t len = page_up(batch->end) - batch->from;
    if (batch->is_header) {
        header_finish(spool, batch);
    } else {
        batch_finish(spool, batch);
    }
    batch->state = BATCH_WRITING;
    batch->started = ring_now(spool->ring);
    batch->op.on_done = batch_written;
    spool->in_flight += 1;
    spool->header_in_flight = batch->is_header;
    metrics_add(spool->metrics, METRICS_SPOOL_COMMITS, 1);
    metrics_add(spool->metrics, METRICS_SPOOL_BYTES, len);
    ring_file_write(&batch->segment->file, &batch->op, batch->block->data + batch->from, len,
                    batch->offset, true);
}

static struct spool_batch *first_ready(const struct spool *spool)
{
    LIST_FOR_EACH(node, &spool->batches)
    {
        struct spool_batch *batch = CONTAINER_OF(node, struct spool_batch, link);
        if (batch->state == BATCH_READY) return batch;
    }
    return NULL;
}

bool spool_commit_wanted(const struct spool *spool)
{
    if (spool->gathering != NULL && spool->gathering->urgent) return true;
    return (spool->states_due && spool_states_pending(spool)) || !list_is_empty(&spool->voided);
}

/* More than one in flight where a write takes long, or where large content queues for it. */
static uint32_t in_flight_max(const struct spool *spool)
{
    const uint32_t waiting = spool->batch_count - spool->in_flight;
    return waiting > 3 ? SPOOL_IN_FLIGHT_MAX : spool->in_flight_max;
}

void spool_commit_pump(struct spool *spool)
{
    if (spool->failing) return;
    if (spool->states_due && first_ready(spool) != NULL) spool_states_append(spool);
    while (spool->in_flight < in_flight_max(spool)) {
        struct spool_batch *batch = first_ready(spool);
        if (batch == NULL) {
            if (!spool_commit_wanted(spool)) return;
            spool_states_append(spool);
            if (spool->failing || spool->gathering == NULL) return;
            spool_batch_seal(spool);
            continue;
        }
        if (spool->header_in_flight || (batch->is_header && spool->in_flight > 0)) return;
        if (batch->segment->zeroing) return; /* that write could come behind ours */
        issue(spool, batch);
    }
}

/* ---- completion ---------------------------------------------------------------------------------
 */

static void measure(struct spool *spool, const struct spool_batch *batch)
{
    const duration took = ring_now(spool->ring) - batch->started;
    metrics_observe(spool->metrics, METRICS_COMMIT_US, took / 1000);
    spool->commit_ns += took / 16;
    spool->commit_ns -= spool->commit_ns / 16;
    /* LIMITS.md: more than one in flight pays where a sync takes milliseconds. */
    spool->in_flight_max = spool->commit_ns > DURATION_MS(4)   ? SPOOL_IN_FLIGHT_MAX
                           : spool->commit_ns > DURATION_MS(1) ? 2
                                                               : 1;
}

static void batch_written(struct ring_file_op *op, int64_t result)
{
    struct spool_batch *batch = CONTAINER_OF(op, struct spool_batch, op);
    struct spool *spool = batch->spool;
    const int64_t expected = page_up(batch->end) - batch->from;
    spool->in_flight -= 1;
    if (batch->is_header) spool->header_in_flight = false;
    if (result == expected) {
        batch->state = BATCH_WRITTEN;
        if (!batch->is_header) spool_failures_end(spool); /* a page says little about a disk */
        measure(spool, batch);
    } else {
        batch->state = BATCH_FAILED;
        spool_write_failed(spool, batch, result < 0 ? (int)result : 0);
    }
    spool_commit_settle(spool);
}

/* The segment's dead MESSAGE records are named in the batch: older tombstones for them may go. */
static void live_settled(struct spool *spool, const struct spool_batch *batch,
                         const struct spool_live *live)
{
    struct spool_segment *segment = spool_slot(spool, live->slot);
    if (segment == NULL || segment->generation != live->generation) return;
    segment->live_wanted = segment->live_written = false;
    if (segment->held) spool->hold -= 1;
    segment->held = false;
    spool_segments_clear_bit(spool, spool_bit(segment), batch->segment);
}

/* All of the body is on disk, unless a part of it failed earlier. */
static void body_written(struct spool *spool, struct spool_body *body)
{
    struct spool_draft *draft = body->draft;
    if (draft == NULL) { /* relaxed: answered long ago */
        if (body->rewrite) {
            list_push_back(&spool->rewrites, &body->link);
            return;
        }
        body->stored = true;
        body->message->flags &= (uint8_t)~MESSAGE_UNSTORED;
        spool_body_settle(spool, body);
        return;
    }
    if (draft->result != SPOOL_OK) {
        spool_draft_void(spool, draft);
        return;
    }
    body->stored = true;
    body->draft = NULL;
    spool_message_pin(spool, body->message, 1);
    spool_message_attach(spool, body->message, body->extents, body->slots, body->count);
    spool_body_let_segments_go(spool, body);
    list_remove(&draft->link); /* of spool->relaxed, when the answer was quicker than the flush */
    spool_answer_later(spool, draft, SPOOL_OK);
}

static void batch_complete(struct spool *spool, struct spool_batch *batch)
{
    struct spool_segment *segment = batch->segment;
    struct list *node;
    segment->batches -= 1;
    spool->completed = batch->number;
    spool->tend |= spool->completed >= spool->tend_at ||
                   (segment->batches == 0 && segment->live == 0 && segment != spool->current);
    if (batch->is_header) spool_segment_opened(spool, segment);
    if (segment->batches == 0 && segment->live_wanted) spool_states_later(spool);
    for (uint32_t i = 0; i < batch->live_count; i++)
        live_settled(spool, batch, &batch->lives[i]);
    while ((node = list_pop_front(&batch->relocations)) != NULL) {
        spool_relocation_done(spool, CONTAINER_OF(node, struct spool_relocation, batch_link), true);
    }
    while ((node = list_pop_front(&batch->bodies)) != NULL)
        body_written(spool, CONTAINER_OF(node, struct spool_body, batch_link));
    list_append_all(&segment->states, &batch->states);
    LIST_FOR_EACH(note, &batch->notes)
    {
        CONTAINER_OF(note, struct spool_note_entry, link)->written = true;
    }
    list_append_all(&segment->notes, &batch->notes);
    list_append_all(&spool->answers, &batch->voided);
    spool->hold -= batch->void_holds;
    spool_batch_free(batch);
}

void spool_commit_settle(struct spool *spool)
{
    while (!list_is_empty(&spool->batches)) {
        struct spool_batch *batch = CONTAINER_OF(spool->batches.next, struct spool_batch, link);
        if (batch->state != BATCH_WRITTEN && batch->state != BATCH_FAILED) break;
        list_remove(&batch->link);
        spool->batch_count -= 1;
        if (batch->state == BATCH_WRITTEN) {
            batch_complete(spool, batch);
        } else {
            spool_batch_fail(spool, batch);
        }
    }
    spool_answer(spool);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

void spool_answer_later(struct spool *spool, struct spool_draft *draft, enum spool_result result)
{
    draft->result = (uint8_t)result;
    draft->body = NULL;
    list_push_back(&spool->answers, &draft->link);
}

void spool_answer(struct spool *spool)
{
    struct list *node;
    while ((node = list_pop_front(&spool->answers)) != NULL) {
        struct spool_draft *draft = CONTAINER_OF(node, struct spool_draft, link);
        draft->spool = NULL; /* the struct may be used again inside */
        spool->committing -= 1;
        draft->on_committed(draft, (enum spool_result)draft->result);
    }
}

/* Relaxed durability: the promise is given before the write. */
void spool_answer_relaxed(struct spool *spool)
{
    struct list *node;
    while ((node = list_pop_front(&spool->relaxed)) != NULL) {
        struct spool_draft *draft = CONTAINER_OF(node, struct spool_draft, link);
        struct spool_body *body = draft->body;
        if (draft->result != SPOOL_OK) continue; /* a part failed: told when its batch settles */
        body->draft = NULL;
        spool_message_pin(spool, body->message, 1);
        body->message->flags |= MESSAGE_UNSTORED;
        spool_message_attach(spool, body->message, body->extents, body->slots, body->count);
        spool_body_let_segments_go(spool, body);
        spool_answer_later(spool, draft, SPOOL_OK);
    }
    spool_answer(spool);
}
