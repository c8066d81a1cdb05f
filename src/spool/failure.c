/* SPDX-License-Identifier: Apache-2.0
 *
 * failure - a write failed: what it carried is lost, and nothing is ever written there again
 *
 * The kernel may have dropped the pages and says success to a second try (REQUIREMENTS 1.2). So the
 * segment is abandoned, drafts with octets in the lost range are answered FAILED, and states,
 * tombstones and notes of the lost range are written again in a fresh segment. Some of the lost
 * range may be on disk all the same: a DONE record names the drafts that must not come alive, and
 * a LIVE record about the segment lists what is valid in it.
 */
#include "internal.h"
#include <errno.h>
#include <stdio.h>

static bool extents_are_in(const struct spool_body *body, const struct spool_batch *batch)
{
    const uint32_t end = batch->offset + page_up(batch->end) - batch->from;
    for (uint32_t i = 0; i < body->count; i++) {
        if (body->slots[i] != batch->segment->slot) continue;
        if (body->extents[i].offset >= batch->offset && body->extents[i].offset < end) return true;
    }
    return false;
}

/* Drafts and messages that are not on disk as a whole, and lost a piece in the failed batch. */
static void mark_lost(struct spool *spool, const struct spool_batch *failed)
{
    const enum spool_result result = failed->full_disk ? SPOOL_FULL : SPOOL_FAILED;
    LIST_FOR_EACH(node, &spool->drafts)
    {
        struct spool_draft *draft = CONTAINER_OF(node, struct spool_draft, link);
        if (draft->result == SPOOL_OK && extents_are_in(draft->body, failed)) {
            draft->result = (uint8_t)result;
            spool_body_drop_content(spool, draft->body);
        }
    }
    LIST_FOR_EACH(at, &spool->batches)
    {
        const struct spool_batch *batch = CONTAINER_OF(at, struct spool_batch, link);
        LIST_FOR_EACH(node, &batch->bodies)
        {
            struct spool_body *body = CONTAINER_OF(node, struct spool_body, batch_link);
            if (!extents_are_in(body, failed)) continue;
            if (body->draft == NULL) {
                body->rewrite = true;
            } else if (body->draft->result == SPOOL_OK) {
                body->draft->result = (uint8_t)result;
            }
        }
    }
    LIST_FOR_EACH(node, &spool->relocations)
    {
        struct spool_relocation *copy = CONTAINER_OF(node, struct spool_relocation, link);
        const uint32_t end = failed->offset + page_up(failed->end) - failed->from;
        for (uint32_t i = 0; i < copy->count; i++) {
            copy->failed |= copy->slots[i] == failed->segment->slot &&
                            copy->extents[i].offset >= failed->offset &&
                            copy->extents[i].offset < end;
        }
    }
}

void spool_draft_void(struct spool *spool, struct spool_draft *draft)
{
    struct spool_body *body = draft->body;
    const struct spool_segment *segment = spool_slot(spool, body->message->segment);
    const struct spool_done done = {
        .id = draft->id,
        .slots = {segment->slot, UINT32_MAX},
        .generations = {segment->generation, 0},
    };
    spool_done_add(&spool->dones, &done);
    if (spool->hold == 0) spool->durable_held = spool->completed - 1; /* not this batch */
    spool->hold += 1;
    spool->void_holds += 1;
    body->message->body = NULL;
    spool_body_free(spool, body);
    draft->body = NULL;
    list_remove(&draft->link);
    list_push_back(spool->failing ? &spool->answers : &spool->voided, &draft->link);
}

static void bodies_fail(struct spool *spool, struct spool_batch *batch)
{
    struct list *node;
    while ((node = list_pop_front(&batch->bodies)) != NULL) {
        struct spool_body *body = CONTAINER_OF(node, struct spool_body, batch_link);
        if (body->draft == NULL) {
            body->rewrite = true;
            list_push_back(&spool->rewrites, &body->link);
            continue;
        }
        body->draft->result = batch->full_disk ? SPOOL_FULL : SPOOL_FAILED;
        spool_draft_void(spool, body->draft);
    }
}

/* What the batch said must be said again. */
static void states_fail(struct spool *spool, struct spool_batch *batch)
{
    struct list *node;
    while ((node = list_pop_front(&batch->states)) != NULL) {
        struct spool_message *message = CONTAINER_OF(node, struct spool_message, state_link);
        spool_state_forget(spool, message);
        spool_message_changed(spool, message);
    }
    while ((node = list_pop_front(&batch->notes)) != NULL) {
        struct spool_note_entry *note = CONTAINER_OF(node, struct spool_note_entry, link);
        spool_note_place(spool, note, UINT32_MAX, 0);
        list_push_back(&spool->dirty_notes, &note->link);
    }
    for (uint32_t i = 0; i < batch->dones.count; i++)
        spool_done_add(&spool->dones, &batch->dones.items[i]);
    spool->void_holds += batch->void_holds;
    for (uint32_t i = 0; i < batch->live_count; i++) {
        struct spool_segment *about = spool_slot(spool, batch->lives[i].slot);
        if (about == NULL || about->generation != batch->lives[i].generation) continue;
        if (!about->live_written) continue;
        about->live_written = false;
        spool->lives_wanted += 1;
    }
}

void spool_batch_fail(struct spool *spool, struct spool_batch *batch)
{
    struct spool_segment *segment = batch->segment;
    struct list *node;
    segment->batches -= 1;
    spool->completed = batch->number;
    /* Until all is said again, an older segment may hold the newest state that is on disk. */
    spool->unsettled = true;
    spool->states_due = true;
    mark_lost(spool, batch);
    while ((node = list_pop_front(&batch->relocations)) != NULL) {
        spool_relocation_done(spool, CONTAINER_OF(node, struct spool_relocation, batch_link),
                              false);
    }
    bodies_fail(spool, batch);
    states_fail(spool, batch);
    list_append_all(&spool->answers, &batch->voided); /* said in vain, but they waited enough */
    spool_batch_free(batch);
}

/* ---- the segment --------------------------------------------------------------------------------
 */

static void abandon(struct spool *spool, struct spool_segment *segment)
{
    if (segment->state == SEGMENT_ABANDONED) return;
    if (spool->hold == 0) spool->durable_held = spool->completed;
    if (!segment->held) spool->hold += 1;
    segment->held = true;
    spool_want_live(spool, segment);
    spool_segment_become(segment, SEGMENT_ABANDONED);
    LIST_FOR_EACH(node, &spool->batches)
    {
        struct spool_batch *batch = CONTAINER_OF(node, struct spool_batch, link);
        if (batch->segment != segment || batch->state > BATCH_READY) continue;
        batch->state = BATCH_FAILED;
    }
    if (spool->current != segment) return;
    spool->gathering = NULL;
    spool->last.batch = NULL;
    spool->room.kind = ROOM_NONE;
    spool->reserved_only = false;
    spool->current = NULL;
    spool_block_drop(spool);
}

void spool_write_failed(struct spool *spool, struct spool_batch *batch, int error)
{
    struct spool_segment *segment = batch->segment;
    event_log(spool->events, EVENT_ERROR, "spool",
              "%s/%010u.seg: writing %u octets at %u failed: %s; the segment is abandoned",
              segment->log->path, segment->number, page_up(batch->end) - batch->from, batch->offset,
              error < 0 ? strerror(-error) : "short write");
    const bool first = segment->state != SEGMENT_ABANDONED;
    abandon(spool, segment);
    if (error == -ENOSPC || error == -EDQUOT) {
        LIST_FOR_EACH(node, &spool->batches)
        {
            struct spool_batch *other = CONTAINER_OF(node, struct spool_batch, link);
            other->full_disk |= other->segment == segment;
        }
        spool_disk_full(spool);
    }
    /* Several writes in flight fail together: that is one failure. */
    if (first) spool_failure_count(spool, "a write", error);
}

/* ---- repeated failure ---------------------------------------------------------------------------
 */

static void start_failing(struct spool *spool)
{
    spool->failing = true;
    event_log(spool->events, EVENT_ERROR, "spool",
              "%s: %u failures in a row: no mail is accepted until a write succeeds",
              spool->own->path, spool->failures);
    LIST_FOR_EACH(node, &spool->batches) /* nobody shall wait for what is not even tried */
    {
        const struct spool_batch *batch = CONTAINER_OF(node, struct spool_batch, link);
        if (batch->state <= BATCH_READY) abandon(spool, batch->segment);
    }
    list_append_all(&spool->answers, &spool->voided);
    ring_timer_arm(spool->ring, &spool->retry_timer,
                   ring_now(spool->ring) + DURATION_MS(SPOOL_RETRY_MS));
}

void spool_failure_count(struct spool *spool, const char *what, int error)
{
    metrics_add(spool->metrics, METRICS_SPOOL_ERRORS, 1);
    spool->failures += 1;
    if (spool->failures > 1 && !spool->failing) {
        event_log(spool->events, EVENT_ERROR, "spool", "%s: %s failed again (%s)", spool->own->path,
                  what, strerror(-error));
    }
    if (spool->failures >= SPOOL_FAILURES_MAX && !spool->failing) start_failing(spool);
}

void spool_failures_end(struct spool *spool)
{
    if (!spool->failing) spool->failures = 0;
}

static void retry_later(struct spool *spool)
{
    ring_timer_arm(spool->ring, &spool->retry_timer,
                   ring_now(spool->ring) + DURATION_MS(SPOOL_RETRY_MS));
}

static void probe_closed(struct ring_file *file)
{
    struct spool *spool = CONTAINER_OF(file, struct spool, probe_file);
    spool->open_files -= 1;
    spool->probing = false;
}

static void probed(struct ring_file_op *op, int64_t result)
{
    struct spool *spool = CONTAINER_OF(op, struct spool, probe_op);
    ring_file_close(&spool->probe_file);
    if (result != FORMAT_PAGE) {
        retry_later(spool);
        return;
    }
    spool->failing = false;
    spool->failures = 0;
    spool->states_due = spool->tend = true;
    event_log(spool->events, EVENT_WARNING, "spool",
              "%s: the disk takes writes again: mail is accepted", spool->own->path);
}

/* A durable write into a file that has failed nobody yet. */
void spool_retry_fired(struct ring_timer *timer)
{
    struct spool *spool = CONTAINER_OF(timer, struct spool, retry_timer);
    char path[SPOOL_PATH_MAX + 64];
    if (spool->probing || spool->closing) {
        if (!spool->closing) retry_later(spool);
        return;
    }
    snprintf(path, sizeof(path), "%s/probe", spool->own->path);
    ring_path_remove(spool->ring, path);
    if (ring_file_open(&spool->probe_file, spool->ring, path, RING_FILE_CREATE | RING_FILE_DIRECT) <
        0) {
        retry_later(spool);
        return;
    }
    spool->open_files += 1;
    spool->probing = true;
    spool->probe_file.on_closed = probe_closed;
    spool->probe_op.on_done = probed;
    ring_file_write(&spool->probe_file, &spool->probe_op, spool_zeros, FORMAT_PAGE, 0, true);
}
